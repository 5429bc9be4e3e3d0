/*
 * Inventory of the real interrupt controllers: taken before Postern touches anything, put back at
 * the hand-back, and compared to prove it.
 */
#ifndef POSTERN_IRQ_STATE_H
#define POSTERN_IRQ_STATE_H

#include "irq/apic.h"

#define IRQ_STATE_LAPIC_REGS 11u

struct irq_state {
	uint8_t pic_mask[2];
	uint8_t elcr[2];
	struct ioapic ioapic;
	uint64_t entry[IOAPIC_PINS_MAX];
	bool has_lapic;
	struct lapic lapic;
	uint64_t apic_base; /* the MSR */
	uint32_t lapic_reg[IRQ_STATE_LAPIC_REGS];
};

/* Reads only, but for the IOAPIC's index register, which it leaves as it was. */
void irq_state_save(struct irq_state *s, hpa_t ioapic);

/*
 * Writes back what differs now, and only that: writing the timer's initial count would start it
 * anew. Interrupts off.
 */
void irq_state_restore(const struct irq_state *s);

/* How many registers differ; each is logged after `what`. Read-only status bits don't count. */
unsigned irq_state_compare(
	const struct irq_state *before, const struct irq_state *after, const char *what);

#endif
