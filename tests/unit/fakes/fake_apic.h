/*
 * A local APIC (xAPIC or x2APIC), an IOAPIC and a pair of PICs, behind the doubles of hw. Every
 * register reads back what was written, so that a test can compare before and after.
 */
#ifndef POSTERN_FAKE_APIC_H
#define POSTERN_FAKE_APIC_H

#include "base/types.h"

#define FAKE_IOAPIC	 0xfec00000ull
#define FAKE_IOAPIC_PINS 24u
#define FAKE_LAPIC	 0xfee00000ull

struct fake_apic {
	bool x2apic, no_lapic, no_ioapic;
	uint32_t lapic[0x400 / 16]; /* by offset / 16 */
	unsigned eois, lapic_writes;
	uint32_t index;
	uint64_t entry[FAKE_IOAPIC_PINS];
	unsigned ioapic_writes;
	bool unmasked_halfway; /* an entry changed its destination while it could fire */
	uint8_t port[0x10000];
};

extern struct fake_apic fake_apic;

/* Sets fake_hw's hooks; all pins masked, local APIC id 3. */
void fake_apic_reset(void);

/* For tests that have MMIO of their own: true if the access was to an APIC. */
bool fake_apic_mmio_read(uint64_t at, uint64_t *ret);
bool fake_apic_mmio_write(uint64_t at, uint64_t value);

#endif
