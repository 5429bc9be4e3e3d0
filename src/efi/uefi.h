/*
 * What the EFI room shares: the firmware's tables, and small helpers on its services. Only files
 * of this room include it; EFI_STATUS doesn't leave the room.
 */
#ifndef POSTERN_EFI_UEFI_H
#define POSTERN_EFI_UEFI_H

#include <efi.h>

#include "base/error.h"
#include "base/types.h"

extern EFI_HANDLE efi_image;
extern EFI_SYSTEM_TABLE *efi_st;
extern EFI_BOOT_SERVICES *efi_bs;

void uefi_init(EFI_HANDLE image, EFI_SYSTEM_TABLE *st);

/* The nearest of our codes for a failed status. */
int uefi_error(EFI_STATUS status);

/* Length of a device path up to its end node, or of the whole of it with the end node, in bytes. */
UINTN uefi_path_length(const EFI_DEVICE_PATH *path);
UINTN uefi_path_size(const EFI_DEVICE_PATH *path);

/* Is there a node of this kind in a device path? */
bool uefi_path_has(const EFI_DEVICE_PATH *path, uint8_t type, uint8_t subtype);

/*
 * A new device path: base and a file path node. The result is from pool memory, for the caller to
 * free. NULL if out of memory. name is UTF-8 with either kind of slash.
 */
EFI_DEVICE_PATH *uefi_file_path(const EFI_DEVICE_PATH *base, const char *name);

/* UTF-8 to UCS-2, cut at max - 1 characters; the second turns slashes into backslashes too. */
void uefi_widen(CHAR16 *out, UINTN max, const char *text);
void uefi_widen_path(CHAR16 *out, UINTN max, const char *path);

/* Pages of boot-services data anywhere below 4 GiB, zeroed; NULL if there are none. */
void *uefi_pages(UINTN count);
void uefi_free_pages(void *pages, UINTN count);

/*
 * All handles with a protocol, in pool memory for the caller to free. 0 handles is success with a
 * NULL array.
 */
int uefi_handles(EFI_GUID *protocol, EFI_HANDLE **ret_handles, UINTN *ret_count) must_check;

#endif
