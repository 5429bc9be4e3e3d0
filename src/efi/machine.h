/*
 * The virtual parts of the guest's machine, put together: interrupt controller and timer, legacy
 * ports, hypercalls, the PCI filter, and the host interrupts behind them.
 */
#ifndef POSTERN_EFI_MACHINE_H
#define POSTERN_EFI_MACHINE_H

#include "guest/hypercall.h"
#include "irq/host.h"
#include "irq/irqchip.h"
#include "irq/vpic.h"
#include "irq/vpit.h"
#include "pci/filter.h"
#include "pio/cmos.h"
#include "pio/i8042.h"
#include "pio/pm.h"
#include "pio/reset.h"
#include "pio/uart.h"

/* Where the guest's ACPI hardware is: QEMU's and Intel's place for it, below all that PCI uses. */
#define MACHINE_PM_PORT 0x600u
#define MACHINE_SCI	9u

struct machine {
	struct vpic pic;
	struct irqchip irqchip; /* if the guest has an APIC */
	struct vpit pit;
	struct cmos cmos;
	struct i8042 keyboard;
	struct uart uart;
	struct reset_ports reset;
	struct pm pm;
	struct hypercall hypercall;
	struct pci_filter pci;
	struct host_irq host_irq;
	uint16_t levels; /* lines of the PIC that are level-triggered */
	/* Set before attach: serial port and keyboard stay the firmware's, and the guest has none. */
	bool without_console;
	unsigned attached; /* legacy devices, to be detached again */
};

/*
 * Sets the exit handlers of vm and attaches all parts, after vm_init; with apic false the guest has a
 * PIC alone. ecam_len is 0 if the firmware names no ECAM window. grace_tsc is pm_init's. On an error
 * everything is undone; -E_NOMEM, -E_EXIST, -E_NOTSUP.
 */
int machine_attach(struct machine *m, struct vm *vm, struct arena *arena, bool apic, hpa_t ecam,
	uint64_t ecam_len, uint64_t grace_tsc) must_check;
void machine_detach(struct machine *m);

/* A PCI pin drives this line: a level; firmware says so, and we are that here. */
void machine_set_level(struct machine *m, unsigned irq);

/* Lets the real ISA interrupt of that number set dev->irq_fired. The errors of host_irq_route_pin. */
int machine_route_isa(struct machine *m, struct device *dev, unsigned irq) must_check;

#endif
