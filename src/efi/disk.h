/*
 * A disk as the firmware has it: found by what a [device] section says, and read and written through
 * EFI_BLOCK_IO_PROTOCOL while the guest runs. The seam of virtio/blk.h ends here.
 *
 * Every call goes to the firmware as its own code would: in its context, with interrupts on, at
 * TPL_CALLBACK, so that no timer event of a bus driver takes the disk away in the middle.
 */
#ifndef POSTERN_EFI_DISK_H
#define POSTERN_EFI_DISK_H

#include "base/log.h"
#include "core/vcpu.h"
#include "efi/boot.h"
#include "efi/config.h"
#include "efi/uefi.h"
#include "virtio/blk.h"

struct firmware_disk {
	EFI_HANDLE handle;
	struct vcpu *vcpu;
	uint32_t media, block_size;
	uint64_t blocks;
	bool read_only;	    /* the firmware says so */
	bool is_pci;	    /* it hangs on the function bdf */
	bool gone, written; /* its medium was changed; the guest wrote to it */
	pci_bdf_t bdf;
};

/*
 * The one disk that a section means. -E_NOENT (none), -E_EXIST (several), -E_NOTSUP (its blocks or its
 * alignment are out of the ordinary); with a sentence for the user in *ret_why.
 */
int firmware_disk_find(struct firmware_disk *d, const struct config_match *m,
	const struct boot_origin *origin, const char **ret_why) must_check;

/*
 * The blocks of the partition that a window names, on the disks of a PCI function; the window's right stays.
 * -E_NOENT: there is none, or more than one.
 */
int firmware_partition_find(
	const struct config_window *w, pci_bdf_t bdf, struct policy_window *ret_blocks) must_check;

extern const struct virtio_blk_disk_ops firmware_disk_ops;

#endif
