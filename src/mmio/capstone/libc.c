/*
 * The two functions of the C library that Capstone calls and src/base has no other use for. No state.
 * strncpy runs on the exit path, qsort only at the first decode.
 */
#include "base/mem.h"

char *strncpy(char *restrict dst, const char *restrict src, size_t n);
void qsort(void *base, size_t n, size_t size, int (*compare)(const void *, const void *));

char *strncpy(char *restrict dst, const char *restrict src, size_t n)
{
	size_t i = 0;

	for (; i < n && src[i]; i++)
		dst[i] = src[i];
	for (; i < n; i++)
		dst[i] = '\0';
	return dst;
}

static void swap(unsigned char *a, unsigned char *b, size_t size)
{
	while (size--) {
		unsigned char c = *a;

		*a++ = *b;
		*b++ = c;
	}
}

/* By insertion: stable, and quick enough for Capstone's table of about a hundred entries. */
void qsort(void *base, size_t n, size_t size, int (*compare)(const void *, const void *))
{
	unsigned char *list = base;

	for (size_t i = 1; i < n; i++)
		for (size_t at = i * size; at && compare(list + at - size, list + at) > 0;
			at -= size)
			swap(list + at - size, list + at, size);
}
