/*
 * Loads a guest that is an EFI program: the firmware of src/guest/firmware, which gets the program's file,
 * initramfs and command line in guest memory and does the rest there.
 */
#ifndef POSTERN_GUEST_EFI_H
#define POSTERN_GUEST_EFI_H

#include "guest/linux.h"

struct guest_efi_params {
	const void *firmware;
	size_t firmware_len;
	/* The program's file in kernel; cmdline empty: no load options. */
	struct guest_linux_params program;
	const char *path;      /* where the program came from, UTF-8 */
	uint64_t rsdp, smbios; /* tables in guest memory; 0: none */
};

/* Is a file an EFI program of this machine's? It may be a Linux kernel as well. */
bool guest_is_efi(const void *file, size_t len);

/* Is a file a Linux kernel, to be started as one? */
bool guest_is_linux(const void *file, size_t len);

/* As guest_load_linux. */
int guest_load_efi(struct gmem *m, struct guest_map *map, const struct guest_efi_params *p,
	struct guest_entry *ret_entry, struct guest_error *ret_error) must_check;

#endif
