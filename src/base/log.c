/* The log; owns the list of sinks. */
#include "base/log.h"
#include "base/fmt.h"

static log_sink sinks[LOG_SINKS];
static unsigned sink_count;

void log_add_sink(log_sink sink)
{
	if (sink_count < LOG_SINKS)
		sinks[sink_count++] = sink;
}

void log_reset(void)
{
	sink_count = 0;
}

static void emit(const char *line, bool alert)
{
	for (unsigned i = 0; i < sink_count; i++)
		sinks[i](line, alert);
}

static void format_and_emit(bool alert, const char *format, va_list args)
{
	char line[LOG_LINE_MAX];

	fmt_vprint(line, sizeof(line), format, args);
	emit(line, alert);
}

void log_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	format_and_emit(false, format, args);
	va_end(args);
}

void log_alert(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	format_and_emit(true, format, args);
	va_end(args);
}

void log_limited(struct log_limit *limit, const char *format, ...)
{
	va_list args;
	uint32_t n = limit->seen;

	if (n != UINT32_MAX)
		limit->seen = ++n;
	if (n > LOG_BURST && (n & (n - 1)))
		return;
	va_start(args, format);
	format_and_emit(false, format, args);
	va_end(args);
	if (n == LOG_BURST)
		emit("(of more of these the 16th is shown, the 32nd, the 64th...)", false);
}
