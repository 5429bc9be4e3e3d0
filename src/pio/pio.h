/*
 * Port accesses by the guest: VMEXIT_PIO, and what the devices behind trapped ports share. On the
 * exit path.
 */
#ifndef POSTERN_PIO_PIO_H
#define POSTERN_PIO_PIO_H

#include "core/vm.h"

/* Sets vm->handler[VMEXIT_PIO]. */
void pio_attach(struct vm *vm);

/*
 * One access of 1, 2 or 4 bytes at a port; a->offset is filled in here. Where no region is, reads
 * give all ones and writes vanish. An access that a region doesn't cover whole, or that is wider
 * than a byte-wide region, is split into bytes in rising order, as the ISA bus does; each byte
 * then finds its own region. Bytes above port FFFFh belong to nobody. False: #GP was raised; bytes
 * before the refused one have happened.
 */
bool pio_access(struct vm *vm, uint32_t port, struct io_access *a) must_check;

/* INS and OUTS, with or without REP. */
void pio_string(struct vm *vm, const struct vmexit *e);

/* Fills in the device of a legacy port range; irq is the PIC line that it drives, if any. */
void pio_init_device(
	struct device *dev, const struct device_ops *ops, struct vm *vm, void *state, uint8_t irq);

#endif
