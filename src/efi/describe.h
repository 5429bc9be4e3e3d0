/* The guest's ACPI tables, from what the guest's machine has. */
#ifndef POSTERN_EFI_DESCRIBE_H
#define POSTERN_EFI_DESCRIBE_H

#include "efi/machine.h"
#include "guest/memory_map.h"

/*
 * Writes the tables to GUEST_ACPI_BASE of guest memory, after the devices are in the filter. Windows
 * of map that aren't PCI's (the framebuffer) stay out of the PCI root's.
 */
int describe_guest(struct vm *vm, const struct machine *m, const struct guest_map *map,
	struct arena *arena) must_check;

#endif
