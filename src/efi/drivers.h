/*
 * The firmware's drivers on the devices that the guest will use: stopped before, started again
 * after, and no others touched.
 */
#ifndef POSTERN_EFI_DRIVERS_H
#define POSTERN_EFI_DRIVERS_H

#include "efi/uefi.h"
#include "hw/pci.h"

#define DRIVERS_MAX 16u

struct drivers {
	EFI_HANDLE stopped[DRIVERS_MAX];
	unsigned count;
};

/* The handle of a PCI function. -E_NOENT. */
int drivers_find_pci(pci_bdf_t bdf, EFI_HANDLE *ret_handle) must_check;

/* Plug and Play ids as ACPI device path nodes carry them: UEFI Specification, "ACPI Device Path". */
#define PNP_KEYBOARD 0x030341d0u
#define PNP_SERIAL   0x050141d0u

/* The handle whose device path ends in this ACPI id and unit. -E_NOENT. */
int drivers_find_pnp(uint32_t hid, uint32_t uid, EFI_HANDLE *ret_handle) must_check;

/* Stops all drivers on a handle; on an error some may be left. -E_NOMEM, or what the firmware says. */
int drivers_stop(struct drivers *d, EFI_HANDLE handle) must_check;

/* Starts them again, last first, and whatever grows on top of them. */
void drivers_restart(struct drivers *d);

#endif
