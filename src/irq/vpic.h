/*
 * The guest's interrupt controller: two cascaded 8259A with the edge/level registers (ELCR) of
 * the PCI south bridges. A model only; the real controllers stay as the firmware has them.
 */
#ifndef POSTERN_IRQ_VPIC_H
#define POSTERN_IRQ_VPIC_H

#include "core/vm.h"

#define VPIC_LINES 16u

struct vpic_chip {
	uint8_t line;	   /* inputs as they are now */
	uint8_t irr;	   /* edges not acknowledged yet; level inputs come from line */
	uint8_t isr;	   /* in service */
	uint8_t imr;	   /* masked */
	uint8_t elcr;	   /* level-triggered inputs */
	uint8_t elcr_mask; /* inputs for which that can be chosen */
	uint8_t base;	   /* vector of input 0 */
	uint8_t lowest;	   /* the input with the lowest priority */
	uint8_t init_next; /* the initialization word that the data port expects, 0 for none */
	bool init_has_icw4, init_single;
	bool read_isr, poll;
	bool special_mask, special_nested, auto_eoi, rotate_on_auto_eoi;
};

struct vpic {
	struct vpic_chip chip[2]; /* master, slave */
	struct device dev;
	struct region region[3];
	bool output; /* what the processor's INTR pin would be */
	/* Called when an interrupt was acknowledged; may set lines. NULL for nobody. */
	void (*acknowledged)(void *arg, unsigned irq);
	void *acknowledged_arg;
};

/*
 * Adds the ports and becomes vm->irqchip. All inputs are masked and edge-triggered, as after
 * power-on. -E_EXIST, -E_NOMEM.
 */
int vpic_attach(struct vpic *p, struct vm *vm) must_check;

/* What a BIOS would have chosen: one bit per line, for PCI interrupts. */
void vpic_set_levels(struct vpic *p, uint16_t elcr);

extern const struct irqchip_ops vpic_irqchip;

#endif
