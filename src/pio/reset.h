/* Ports with which a guest would reset, switch off or disturb the machine; rules in reset.c. */
#ifndef POSTERN_PIO_RESET_H
#define POSTERN_PIO_RESET_H

#include "core/vm.h"

#define RESET_REGIONS 5u

struct reset_ports {
	struct device dev;
	struct region region[RESET_REGIONS];
	uint16_t pm1_control; /* where the guest's ACPI tables put it; 0 for none */
	uint16_t pm1_value;
	uint8_t port92;
	uint8_t bochs_seen; /* letters of the Bochs word so far */
};

/* Before vm_add_device. pm1_control: the port of the guest's PM1a control block, or 0. */
void reset_ports_init(struct reset_ports *p, struct vm *vm, uint16_t pm1_control);

#endif
