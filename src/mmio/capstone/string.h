/* See stdio.h. The string functions are those of src/base. */
#ifndef POSTERN_CAPSTONE_STRING_H
#define POSTERN_CAPSTONE_STRING_H

#include "base/mem.h"

char *strncpy(char *restrict dst, const char *restrict src, size_t n);

#endif
