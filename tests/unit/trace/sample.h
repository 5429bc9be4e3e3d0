/* A trace for tests of its readers: one exit, made by hand. */
#ifndef POSTERN_TEST_SAMPLE_H
#define POSTERN_TEST_SAMPLE_H

#include "core/trace_format.h"

#define SAMPLE_DEVICE	0xfe000000ull
#define SAMPLE_ACCESSES 2u

/*
 * mov %ecx, 8(%rax) in flat 32-bit code without paging: the fetch of its 3 bytes up to the end of the
 * page, and one write of 4 bytes.
 */
struct sample {
	struct trace_header header;
	struct trace_record record;
	struct trace_region region;
	struct {
		struct trace_access access;
		uint8_t data[8];
	} access[SAMPLE_ACCESSES];
	uint64_t rip;
};

void sample_fill(struct sample *s);

#endif
