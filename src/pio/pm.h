/*
 * The fixed hardware of ACPI: events, power button and sleep. Rules in pm.c; guest/acpi.h tells the
 * guest of it.
 */
#ifndef POSTERN_PIO_PM_H
#define POSTERN_PIO_PM_H

#include "core/vm.h"

#define PM_PORTS   6u /* PM1a event block, and the control block behind it */
#define PM_S5_TYPE 5u /* what \_S5 has to say */

struct pm {
	struct device dev;
	struct region region;
	uint16_t port;
	uint16_t status, enable, control;
	uint64_t grace_tsc; /* before the guest's time limit */
	bool warned;	    /* the time limit's press has happened */
};

/*
 * Before vm_add_device. Drives the line irq with the level of the SCI. grace_tsc: how long before
 * vm->time_limit_tsc the power button is pressed, once; 0 for never.
 */
void pm_init(struct pm *pm, struct vm *vm, uint16_t port, uint8_t irq, uint64_t grace_tsc);

/* The guest is asked to end; one that hasn't enabled the event finds it in the status register. */
void pm_press_power_button(struct pm *pm);

#endif
