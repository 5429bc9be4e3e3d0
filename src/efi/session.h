/* One guest, from the firmware's memory and devices to the hand-back. */
#ifndef POSTERN_EFI_SESSION_H
#define POSTERN_EFI_SESSION_H

#include "core/vm.h"
#include "efi/boot.h"
#include "efi/config.h"

/*
 * Runs the guest of a configuration and gives the machine back. 0 with the reason for its end in
 * *ret_stop; or an error, logged, with everything undone that was done before it. With c->rehearse
 * set it goes up to that stage and back, and ends like a guest that asked for the boot target.
 */
int session_run(
	const struct config *c, const struct boot_origin *o, struct vm_stop *ret_stop) must_check;

#endif
