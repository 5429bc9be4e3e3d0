/* See stdio.h. There is no heap: inih is built to keep its line on the stack. */
#ifndef POSTERN_INIH_STDLIB_H
#define POSTERN_INIH_STDLIB_H

#include <stddef.h>

static inline void *malloc(size_t size)
{
	(void)size;
	return NULL;
}

static inline void *realloc(void *old, size_t size)
{
	(void)old, (void)size;
	return NULL;
}

static inline void free(void *p)
{
	(void)p;
}

#endif
