/* See stdio.h. Memory comes from src/mmio/second.c. */
#ifndef POSTERN_CAPSTONE_STDLIB_H
#define POSTERN_CAPSTONE_STDLIB_H

#include <stddef.h>

void qsort(void *base, size_t n, size_t size, int (*compare)(const void *, const void *));

#endif
