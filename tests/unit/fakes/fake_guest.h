/*
 * A guest without a CPU: registers and segments that a test sets, a little memory at 0, and an
 * interrupt controller that remembers its lines. core's own code runs on top of it.
 */
#ifndef POSTERN_FAKE_GUEST_H
#define POSTERN_FAKE_GUEST_H

#include "core/vm.h"

#define FAKE_GUEST_MEMORY 0x20000u
/* In long mode: the table with one entry for each page of the memory, mapped 1:1. */
#define FAKE_GUEST_PT 0x13000u

struct fake_guest {
	struct vm vm;
	uint64_t reg[VREG_COUNT];
	struct vcpu_segment seg[VSEG_COUNT];
	bool line[16];
	unsigned raised[16]; /* rising edges */
	uint8_t memory[FAKE_GUEST_MEMORY] __attribute__((aligned(4096)));
};

/* A machine without devices, CPU in long mode with CPL 0, at RIP 1000h. */
void fake_guest_init(struct fake_guest *g);

/* 32-bit or 16-bit protected mode, flat, without paging. */
void fake_guest_protected(struct fake_guest *g, bool wide);

/* Real mode with all segments at base 0. */
void fake_guest_real(struct fake_guest *g);

/* Long mode: may the guest touch a page? flags are P, R/W and U/S (1, 2, 4). */
void fake_guest_map(struct fake_guest *g, unsigned page, unsigned flags);

#endif
