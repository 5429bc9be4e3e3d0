/*
 * Doubles of the hw room. Ports and registers read from tables that a test fills, and every access
 * is recorded in order; hooks let a test play a device.
 */
#ifndef POSTERN_FAKE_HW_H
#define POSTERN_FAKE_HW_H

#include "base/types.h"
#include "hw/cpu.h"
#include "hw/pci.h"

struct fake_access {
	bool port, write;
	uint64_t at, value;
	unsigned size;
};

#define FAKE_LOG_MAX 4096u

struct fake_hw {
	/* Answer a read, or see a write; NULL: reads give all ones, writes vanish. */
	uint32_t (*port_read)(uint16_t port, unsigned size);
	void (*port_write)(uint16_t port, unsigned size, uint32_t value);
	uint64_t (*mmio_read)(uint64_t at, unsigned size);
	void (*mmio_write)(uint64_t at, unsigned size, uint64_t value);
	/* NULL: the real CPU's leaves; registers read 0 and forget what is written. */
	struct cpuid_regs (*cpuid)(uint32_t leaf, uint32_t subleaf);
	uint64_t (*rdmsr)(uint32_t msr);
	void (*wrmsr)(uint32_t msr, uint64_t value);
	struct fake_access log[FAKE_LOG_MAX];
	unsigned log_count;	/* accesses in all; only the first FAKE_LOG_MAX are kept */
	uint64_t tsc, tsc_step; /* each hw_tsc() adds tsc_step */
	uint64_t xcr0;
	bool irq_enabled;
	void (*window)(void); /* what the firmware does when it may take interrupts */
	unsigned windows, waits;
};

extern struct fake_hw fake_hw;

/* Forgets hooks, log and time. */
void fake_hw_reset(void);

#endif
