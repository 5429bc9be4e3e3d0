/*
 * The guest's IOAPIC: 24 pins, version 20h (with an EOI register), at FEC00000h. A model only; the
 * real one stays as the firmware has it.
 */
#ifndef POSTERN_IRQ_VIOAPIC_H
#define POSTERN_IRQ_VIOAPIC_H

#include "irq/vlapic.h"

#define VIOAPIC_BASE 0xfec00000ull
#define VIOAPIC_PINS 24u

struct vioapic {
	struct device dev;
	struct region window;
	uint64_t entry[VIOAPIC_PINS]; /* in the layout of irq/apic.h */
	uint32_t lines;		      /* the pins that are asserted */
	uint8_t index;		      /* of the register behind the data window */
	uint8_t id;
	struct vlapic *lapic;
};

/* Adds the window; all pins are masked. It becomes what the LAPIC tells ends to. -E_NOMEM, -E_EXIST. */
int vioapic_attach(struct vioapic *io, struct vm *vm, struct vlapic *lapic) must_check;

/* Asserted or not: the polarity that the guest programs says how a pin is wired, and changes nothing. */
void vioapic_set_line(struct vioapic *io, unsigned pin, bool asserted);

/* Is this the vector of an unmasked, edge-triggered pin? And does a pin ask for cycles of the PIC? */
bool vioapic_pin_is_edge(const struct vioapic *io, unsigned pin, uint8_t vector);
bool vioapic_passes_extint(const struct vioapic *io);

#endif
