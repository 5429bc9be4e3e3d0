/* The first serial port, 3F8h to 3FFh, forwarded through a filter; rule in uart.c. */
#ifndef POSTERN_PIO_UART_H
#define POSTERN_PIO_UART_H

#include "core/vm.h"

struct uart {
	struct device dev;
	struct region region;
	bool present;
	bool routed;	/* the real IRQ 4 reaches us */
	bool real_fifo; /* the chip has one, and it is on while the guest runs */
	/* The firmware's registers. */
	uint8_t saved_ier, saved_lcr, saved_mcr;
	bool saved_fifo;
	/* The guest's registers. */
	uint8_t ier, lcr, mcr, fcr, scratch;
	uint16_t divisor;
	/* Interrupt conditions that reading the real registers took away. */
	uint8_t line_errors, modem_deltas;
	bool sent, transmit_due; /* a byte went out; "transmitter empty" hasn't been told yet */
};

/*
 * Before vm_add_device. Drives IRQ 4.
 *
 * Divisor, line format and loopback of the real chip never change, so a log sink may use the port
 * at any time. It waits for LSR.THRE (20h) before each byte and for LSR.TEMT (40h) after the last
 * one, since the guest may have seen an empty transmitter just before.
 */
void uart_init(struct uart *u, struct vm *vm);

/*
 * After attach: the host takes the real IRQ 4 and sets dev.irq_fired, so the chip may raise it.
 * Without, input is found at the firmware's ticks.
 */
void uart_set_routed(struct uart *u, bool routed);

#endif
