/*
 * The firmware's console as the guest's: what it prints goes to ConOut, keys come from ConIn. The seam of
 * virtio/console.h ends here.
 */
#ifndef POSTERN_EFI_GUESTCON_H
#define POSTERN_EFI_GUESTCON_H

#include "core/vcpu.h"
#include "efi/terminal.h"
#include "efi/uefi.h"
#include "virtio/console.h"

struct guestcon {
	struct vcpu *vcpu;
	struct terminal terminal;
	uint64_t seen_tick; /* keys are looked for once a tick */
	INT32 attribute;    /* as found */
	BOOLEAN cursor;
	bool taken;
};

/* Takes the console, or says that there is none: -E_NOENT. The size is in characters. */
int guestcon_take(
	struct guestcon *c, struct vcpu *v, uint16_t *ret_cols, uint16_t *ret_rows) must_check;

/* Colours and cursor as they were. */
void guestcon_leave(struct guestcon *c);

extern const struct virtio_console_ops guestcon_ops;

#endif
