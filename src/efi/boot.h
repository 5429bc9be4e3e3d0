/* What comes after Postern: the host OS's loader, the boot manager, or power off. */
#ifndef POSTERN_EFI_BOOT_H
#define POSTERN_EFI_BOOT_H

#include "efi/config.h"
#include "efi/uefi.h"

/*
 * The volume that Postern was started from, remembered by its device path: its handle goes stale
 * when the disk's driver is stopped.
 */
struct boot_origin {
	EFI_DEVICE_PATH *volume; /* pool memory; NULL if the image has no volume */
};

int boot_origin_init(struct boot_origin *o) must_check;

/* The volume's handle as of now. -E_NOENT. */
int boot_origin_volume(const struct boot_origin *o, EFI_HANDLE *ret_volume) must_check;

/*
 * Starts the loader at a path on the origin's volume, or on any other volume that has it. Returns
 * only if that fails (-E_NOENT, -E_DENIED, ...) or the loader returns; its status is then in
 * *ret_status.
 */
int boot_path(const struct boot_origin *o, const char *path, EFI_STATUS *ret_status) must_check;

/* Carries out an action of the configuration; the result is what efi_main returns. */
EFI_STATUS boot_action(
	const struct boot_origin *o, const struct config *c, enum config_action action);

#endif
