/*
 * A virtual CPU for tests: the registers are values in a struct, behind a vcpu_ops. It runs
 * nothing; a test plays the exits.
 */
#ifndef POSTERN_FAKE_VCPU_H
#define POSTERN_FAKE_VCPU_H

#include "core/vcpu.h"

struct fake_vcpu {
	uint64_t reg[VREG_COUNT];
	struct vcpu_segment seg[VSEG_COUNT];
	unsigned resumed; /* calls of resume_at, which also sets reg[VREG_RIP] */
};

enum fake_mode {
	FAKE_REAL,     /* real mode, segments of 64 KiB at 0 */
	FAKE_FLAT16,   /* protected mode, 16-bit code, flat data */
	FAKE_FLAT32,   /* protected mode, 32-bit, flat */
	FAKE_LONG,     /* 64-bit mode; the test brings page tables and CR3 */
	FAKE_COMPAT32, /* 32-bit code under long mode's paging */
};

/* Connects v to f and vm: registers zero, the CPU in a mode, paging on only in the last two. */
void fake_vcpu_init(struct fake_vcpu *f, struct vcpu *v, struct vm *vm, enum fake_mode mode);

#endif
