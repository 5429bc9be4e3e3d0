/* The real machine's local APIC of this processor, and its IOAPIC: registers only. */
#ifndef POSTERN_IRQ_APIC_H
#define POSTERN_IRQ_APIC_H

#include "base/types.h"

/* How the local APIC is reached: SDM vol. 3A "Local APIC" and "Extended xAPIC (x2APIC)". */
struct lapic {
	bool x2apic;
	hpa_t base; /* xAPIC only */
};

/* Offsets of the xAPIC's registers; x2APIC has the same ones as MSRs. */
#define LAPIC_ID	    0x020u
#define LAPIC_TPR	    0x080u
#define LAPIC_EOI	    0x0b0u
#define LAPIC_SVR	    0x0f0u
#define LAPIC_IRR	    0x200u /* eight registers of 32 vectors, 10h apart */
#define LAPIC_LVT_CMCI	    0x2f0u
#define LAPIC_LVT_TIMER	    0x320u
#define LAPIC_LVT_THERMAL   0x330u
#define LAPIC_LVT_COUNTERS  0x340u
#define LAPIC_LVT_LINT0	    0x350u
#define LAPIC_LVT_LINT1	    0x360u
#define LAPIC_LVT_ERROR	    0x370u
#define LAPIC_TIMER_INITIAL 0x380u
#define LAPIC_TIMER_DIVIDE  0x3e0u

/* -E_NOTSUP if it is off. */
int lapic_open(struct lapic *ret) must_check;
uint32_t lapic_read(const struct lapic *l, unsigned reg);
void lapic_write(const struct lapic *l, unsigned reg, uint32_t value);
/* The id that interrupt messages name. */
uint32_t lapic_id(const struct lapic *l);
/* Is a vector waiting to be delivered to this processor? */
bool lapic_vector_waits(const struct lapic *l, uint8_t vector);

struct ioapic {
	hpa_t base;
	unsigned pins; /* 0 if there is none */
};

#define IOAPIC_PINS_MAX	  240u

/* A redirection entry: Intel 82093AA data sheet (290566), "I/O Redirection Table Registers". */
#define IOAPIC_VECTOR	  0x00000000000000ffull
#define IOAPIC_MODE	  0x0000000000000700ull /* 0: fixed */
#define IOAPIC_LOGICAL	  0x0000000000000800ull
#define IOAPIC_SENDING	  0x0000000000001000ull /* read only */
#define IOAPIC_LOW	  0x0000000000002000ull
#define IOAPIC_REMOTE_IRR 0x0000000000004000ull /* read only */
#define IOAPIC_LEVEL	  0x0000000000008000ull
#define IOAPIC_MASKED	  0x0000000000010000ull
#define IOAPIC_DEST	  0xff00000000000000ull

/* -E_NOENT if nothing answers at base. */
int ioapic_open(struct ioapic *ret, hpa_t base) must_check;

/*
 * One redirection entry; the pin is below pins. A write masks the pin while its halves differ. The
 * index register is left as it was: the firmware may be in the middle of using it.
 */
uint64_t ioapic_read(const struct ioapic *io, unsigned pin);
void ioapic_write(const struct ioapic *io, unsigned pin, uint64_t entry);

#endif
