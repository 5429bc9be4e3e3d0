/* The guest's memory: taken from the firmware, wiped, and given back. */
#ifndef POSTERN_EFI_GUESTRAM_H
#define POSTERN_EFI_GUESTRAM_H

#include "core/gmem.h"
#include "efi/ramplan.h"

struct guest_ram {
	struct ram_range run[GMEM_RUNS_MAX];
	size_t count;
};

/*
 * Takes size bytes below 4 GiB, where every restricted device can reach them, and wipes them.
 * -E_NOMEM: the firmware has not so much to spare; *ret_free then holds what it has, in bytes.
 */
int guest_ram_take(struct guest_ram *ram, uint64_t size, uint64_t *ret_free) must_check;

void guest_ram_wipe(const struct guest_ram *ram);

/* Wipes and frees all of it; harmless when nothing is taken. */
void guest_ram_return(struct guest_ram *ram);

#endif
