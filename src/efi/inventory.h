/*
 * What Postern found and must leave behind: the registers of the processor, the interrupt
 * controllers, PCI, the firmware's timer and console. Taken before the first change, put back and
 * compared after the last.
 */
#ifndef POSTERN_EFI_INVENTORY_H
#define POSTERN_EFI_INVENTORY_H

#include "efi/uefi.h"
#include "hw/cpu.h"
#include "irq/host.h"
#include "irq/state.h"
#include "pci/state.h"

struct cpu_state {
	uint64_t cr0, cr3, cr4, efer, pat, star, lstar, cstar, sfmask;
	uint64_t fs_base, gs_base, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t dr[8];
	struct hw_table gdt, idt;
};

struct inventory {
	struct cpu_state cpu;
	struct irq_state irq;
	struct pci_state pci;
	uint64_t timer_period; /* 100 ns; 0 if the firmware doesn't tell */
	uint32_t graphics_mode;
	bool taken;
};

int inventory_take(struct inventory *i) must_check;

/* Puts back what can be written; the processor's registers are the back end's to restore. */
void inventory_restore(const struct inventory *i);

/* Logs each difference between then and now; returns their number. */
unsigned inventory_compare(const struct inventory *i);

#endif
