/*
 * Devices of the guest that the firmware's drivers serve: disks without a mediator and the console, as
 * the configuration names them. Order of calls: choose when the restricted devices are known, attach
 * after theirs; detach any time.
 */
#ifndef POSTERN_EFI_BACKED_H
#define POSTERN_EFI_BACKED_H

#include "efi/disk.h"
#include "efi/drivers.h"
#include "efi/guestcon.h"
#include "efi/machine.h"
#include "efi/mediated.h"

#define BACKED_DISKS 4u

struct backed_disk {
	const struct config_device *section;
	struct firmware_disk firmware;
	struct virtio_blk blk;
	bool attached;
};

struct backed_set {
	const struct config *config;
	struct vm *vm;
	struct backed_disk disk[BACKED_DISKS];
	unsigned count;
	struct guestcon firmware_console;
	struct virtio_console console;
	bool console_attached;
};

/*
 * Finds the disks. What is wrong with a section goes to the user through complain: not one disk, a
 * disk of a restricted controller, two sections for one. -E_NOENT, -E_EXIST, -E_NOTSUP, -E_NOMEM.
 */
int backed_choose(struct backed_set *set, const struct config *c, struct vm *vm,
	const struct boot_origin *origin, const struct mediated_set *mediated,
	void (*complain)(const struct config_error *e)) must_check;

/* Attaches them and shows them in the filter. Undone on an error. */
int backed_attach(struct backed_set *set, struct machine *m, struct arena *arena,
	void (*complain)(const struct config_error *e)) must_check;

/*
 * The firmware may remember what was on a disk before the guest wrote to it: drivers on such a disk are
 * stopped, and so are among those that come back.
 */
void backed_detach(struct backed_set *set, struct drivers *d);

#endif
