/* The keyboard controller, ports 60h and 64h, forwarded through a filter; rule in i8042.c. */
#ifndef POSTERN_PIO_I8042_H
#define POSTERN_PIO_I8042_H

#include "core/vm.h"

/* What the next byte to port 60h is for. */
enum i8042_expect {
	I8042_KEYBOARD,	    /* the keyboard */
	I8042_COMMAND_BYTE, /* the controller's command byte */
	I8042_OUTPUT_PORT,  /* reset and A20 lines */
	I8042_ECHO,	    /* comes back as if the keyboard had sent it */
	I8042_LOOP,	    /* the test of the hidden mouse port */
	I8042_NOBODY	    /* dropped */
};

struct i8042 {
	struct device dev;
	struct region data, command;
	bool present;	    /* there is a controller, and its state is saved */
	bool keyboard_used; /* the guest sent something to the keyboard */
	bool last_was_command;
	uint8_t saved_byte; /* the firmware's command byte */
	uint8_t guest_byte; /* the guest's */
	enum i8042_expect expect;
	bool answer_ready; /* the model's own answer waits at port 60h, before real data */
	uint8_t answer;
};

/*
 * Before vm_add_device. The firmware's own keyboard driver must be off the controller first, or it
 * takes the guest's keys in its timer. Drives IRQ 1; dev.irq_fired is for the real IRQ 1.
 */
void i8042_init(struct i8042 *k, struct vm *vm);

#endif
