/*
 * The guest's interrupt controllers behind one contract: the PIC, the IOAPIC, and the local APIC that
 * both are wired to. A kernel that uses the PIC alone finds it on LINT0.
 */
#ifndef POSTERN_IRQ_IRQCHIP_H
#define POSTERN_IRQ_IRQCHIP_H

#include "base/log.h"
#include "irq/vioapic.h"
#include "irq/vlapic.h"
#include "irq/vpic.h"

struct irqchip {
	struct vpic *pic;
	struct vlapic lapic;
	struct vioapic ioapic;
	bool pic_was; /* the PIC's output when it was last looked at */
	struct log_limit dropped;
};

/*
 * Takes the place of the PIC, which is attached already, as vm->irqchip; the guest's CPUID shows a
 * local APIC from now on. ISA interrupt 0 is on pin 2 of the IOAPIC, each other line on the pin of
 * its number. -E_NOMEM, -E_EXIST.
 */
int irqchip_attach(struct irqchip *c, struct vm *vm, struct vpic *pic) must_check;

#endif
