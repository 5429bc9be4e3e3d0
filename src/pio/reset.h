/* Ports with which a guest would reset, switch off or disturb the machine; rules in reset.c. */
#ifndef POSTERN_PIO_RESET_H
#define POSTERN_PIO_RESET_H

#include "core/vm.h"

#define RESET_REGIONS 4u

struct reset_ports {
	struct device dev;
	struct region region[RESET_REGIONS];
	uint8_t port92;
	uint8_t bochs_seen; /* letters of the Bochs word so far */
};

/* Before vm_add_device. */
void reset_ports_init(struct reset_ports *p, struct vm *vm);

#endif
