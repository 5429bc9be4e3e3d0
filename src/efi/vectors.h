/*
 * CPU vectors of the firmware's IDT, lent to the guest's devices through the CPU architectural
 * protocol.
 */
#ifndef POSTERN_EFI_VECTORS_H
#define POSTERN_EFI_VECTORS_H

#include "irq/host.h"

/* Finds the protocol. -E_NOENT if the firmware has none: then no device interrupt can be had. */
int vectors_init(void) must_check;

extern const struct host_vector_ops efi_vector_ops;

#endif
