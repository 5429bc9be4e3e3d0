/* An input as a source of decisions: bytes in turn, and zeros behind its end. */
#ifndef POSTERN_FUZZ_INPUT_H
#define POSTERN_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

struct input {
	const uint8_t *data;
	size_t size;
};

static inline uint8_t take(struct input *in)
{
	if (!in->size)
		return 0;
	in->size--;
	return *in->data++;
}

#endif
