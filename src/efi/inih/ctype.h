/* See stdio.h. The white space of the C locale. */
#ifndef POSTERN_INIH_CTYPE_H
#define POSTERN_INIH_CTYPE_H

static inline int isspace(int c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

#endif
