/*
 * Formatted text without a libc: %s %c %d %i %u %x %X %p %%, flags 0 and -, width and precision
 * (numbers or *), lengths hh h l ll z. What it doesn't know is copied as it stands.
 */
#ifndef POSTERN_BASE_FMT_H
#define POSTERN_BASE_FMT_H

#include <stdarg.h>

#include "base/types.h"

/*
 * Writes at most size bytes including the terminating NUL (none if size is 0). Returns the length
 * that the whole text would have had, as snprintf does.
 */
int fmt_vprint(char *out, size_t size, const char *format, va_list args);
int fmt_print(char *out, size_t size, const char *format, ...) printf_like(3, 4);

#endif
