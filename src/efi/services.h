/* What the firmware inside a guest needs of the machine's: its variables, and its clock. */
#ifndef POSTERN_EFI_SERVICES_H
#define POSTERN_EFI_SERVICES_H

#include "efi/config.h"
#include "guest/firmware_calls.h"

/*
 * Memory for the guest's variables, and those of the machine's in it that the configuration names and
 * the firmware has. -E_NOMEM. Before the guest starts; c and vm live as long as it.
 */
int services_init(struct firmware_calls *c, struct vm *vm, const struct config_variables *shown,
	struct arena *arena) must_check;

#endif
