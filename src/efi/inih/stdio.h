/*
 * What inih names of the C library, for a build without one; found before the system's headers.
 * Postern parses a string: files never open, and the functions that need a FILE are dropped by
 * the linker.
 */
#ifndef POSTERN_INIH_STDIO_H
#define POSTERN_INIH_STDIO_H

#include <stddef.h>

typedef struct inih_file FILE;

static inline char *fgets(char *line, int size, FILE *file)
{
	(void)line, (void)size, (void)file;
	return NULL;
}

static inline FILE *fopen(const char *name, const char *mode)
{
	(void)name, (void)mode;
	return NULL;
}

static inline int fclose(FILE *file)
{
	(void)file;
	return -1;
}

#endif
