/*
 * What Capstone's headers name of the C library, for a build without one; found before the system's
 * headers. Its diet build prints nothing.
 */
#ifndef POSTERN_CAPSTONE_STDIO_H
#define POSTERN_CAPSTONE_STDIO_H

#include <stdarg.h>
#include <stddef.h>

#endif
