/*
 * Real memory-mapped registers, identity mapped as the firmware maps them. Link-time double in
 * tests/unit/fakes. On the exit path.
 */
#ifndef POSTERN_HW_MMIO_H
#define POSTERN_HW_MMIO_H

#include "base/types.h"

/* size is 1, 2, 4 or 8 bytes; any other size reads all ones and writes nothing. */
uint64_t hw_mmio_read(hpa_t at, unsigned size);
void hw_mmio_write(hpa_t at, unsigned size, uint64_t value);

/* Orders earlier stores to memory before a later store to a register (a doorbell), and back. */
static inline void hw_barrier(void)
{
	__asm__ volatile("mfence" ::: "memory");
}

#endif
