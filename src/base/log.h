/*
 * The log. One line per call, no newline at its end, lower case, beginning with the subject
 * ("nvme 00:04.0: ..."). Lines go to every sink; the EFI room installs the sinks. Never allocates
 * and may be called on the exit path, where guests can trigger it only through log_limited.
 */
#ifndef POSTERN_BASE_LOG_H
#define POSTERN_BASE_LOG_H

#include "base/types.h"

#define LOG_LINE_MAX 200u /* bytes, NUL included; longer lines are cut */
#define LOG_SINKS    3u

/* alert: a line that the user must see wherever he looks, whatever he configured. */
typedef void (*log_sink)(const char *line, bool alert);

/* Adds a sink; more than LOG_SINKS are ignored. log_reset forgets them all. */
void log_add_sink(log_sink sink);
void log_reset(void);

void log_line(const char *format, ...) printf_like(1, 2);

/* A failure that changes what the machine does: wrong configuration, missing file, no virtualization. */
void log_alert(const char *format, ...) printf_like(1, 2);

/*
 * A budget for lines that a guest can cause: the first LOG_BURST pass, then the 16th, the 32nd and
 * so on, so that whatever it does there is an end to them. Starts as zero.
 */
#define LOG_BURST 8u
struct log_limit {
	uint32_t seen;
};
void log_limited(struct log_limit *limit, const char *format, ...) printf_like(2, 3);

#endif
