/* The real-time clock's ports, 70h and 71h, read through a filter; rule in cmos.c. */
#ifndef POSTERN_PIO_CMOS_H
#define POSTERN_PIO_CMOS_H

#include "core/vm.h"

struct cmos {
	struct device dev;
	struct region region;
	uint8_t index;	     /* the guest's port 70h, NMI bit included */
	uint8_t saved_index; /* the firmware's */
	bool attached;
};

/* Before vm_add_device; dev.ops->attach adds the ports, detach puts the index back. */
void cmos_init(struct cmos *c, struct vm *vm);

#endif
