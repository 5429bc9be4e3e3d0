/*
 * A processor's registers as the hw room reads and writes them. fake_cpu_reset gives them values
 * and lets fake_hw's MSRs end up here.
 */
#ifndef POSTERN_FAKE_CPU_H
#define POSTERN_FAKE_CPU_H

#include "hw/cpu.h"

#define FAKE_MSRS 48u

struct fake_msr {
	uint32_t index;
	uint64_t value;
};

struct fake_cpu {
	uint64_t cr[9], dr[8];
	struct hw_table gdt, idt;
	struct fake_msr msr[FAKE_MSRS];
	unsigned msr_count;
};

extern struct fake_cpu fake_cpu;

/* Forgets fake_hw too. */
void fake_cpu_reset(void);

/* An MSR that was never set reads 0. */
uint64_t fake_cpu_msr(uint32_t index);
void fake_cpu_set_msr(uint32_t index, uint64_t value);

#endif
