/* The firmware's drivers; see drivers.h. State is the caller's. Not on the exit path. */
#include "efi/drivers.h"
#include "base/log.h"
#include "base/mem.h"

#include <efipciio.h>

static EFI_GUID pci_io_guid = EFI_PCI_IO_PROTOCOL_GUID;
static EFI_GUID device_path_guid = EFI_DEVICE_PATH_PROTOCOL_GUID;

static bool is_function(EFI_HANDLE handle, pci_bdf_t bdf)
{
	EFI_PCI_IO_PROTOCOL *io;
	UINTN segment, bus, device, function;

	if (EFI_ERROR(efi_bs->HandleProtocol(handle, &pci_io_guid, (void **)&io)) ||
		EFI_ERROR(io->GetLocation(io, &segment, &bus, &device, &function)))
		return false;
	return !segment && bus == PCI_BUS(bdf) && device == PCI_DEV(bdf) && function == PCI_FN(bdf);
}

int drivers_find_pci(pci_bdf_t bdf, EFI_HANDLE *ret_handle)
{
	EFI_HANDLE *handles;
	UINTN count;
	int err = uefi_handles(&pci_io_guid, &handles, &count);

	if (err)
		return err;
	err = -E_NOENT;
	for (UINTN i = 0; i < count && err; i++) {
		if (!is_function(handles[i], bdf))
			continue;
		*ret_handle = handles[i];
		err = 0;
	}
	if (handles)
		efi_bs->FreePool(handles);
	return err;
}

static bool ends_in_pnp(EFI_HANDLE handle, uint32_t hid, uint32_t uid)
{
	EFI_DEVICE_PATH *path;
	ACPI_HID_DEVICE_PATH last;
	UINTN len;

	if (EFI_ERROR(efi_bs->HandleProtocol(handle, &device_path_guid, (void **)&path)))
		return false;
	len = uefi_path_length(path);
	if (len < sizeof(last))
		return false;
	memcpy(&last, (const uint8_t *)path + len - sizeof(last), sizeof(last));
	return last.Header.Type == ACPI_DEVICE_PATH && last.Header.SubType == ACPI_DP &&
	       last.Header.Length[0] == sizeof(last) && last.HID == hid && last.UID == uid;
}

int drivers_find_pnp(uint32_t hid, uint32_t uid, EFI_HANDLE *ret_handle)
{
	EFI_HANDLE *handles;
	UINTN count;
	int err = uefi_handles(&device_path_guid, &handles, &count);

	if (err)
		return err;
	err = -E_NOENT;
	for (UINTN i = 0; i < count && err; i++) {
		if (!ends_in_pnp(handles[i], hid, uid))
			continue;
		*ret_handle = handles[i];
		err = 0;
	}
	if (handles)
		efi_bs->FreePool(handles);
	return err;
}

int drivers_stop(struct drivers *d, EFI_HANDLE handle)
{
	EFI_STATUS status;

	if (d->count == DRIVERS_MAX)
		return -E_NOMEM;
	/* Noted first: of several drivers some may have left before one refused, and come back too. */
	d->stopped[d->count++] = handle;
	status = efi_bs->DisconnectController(handle, NULL, NULL);
	/* Not found: nobody drives it, which is what we want; a later connect does no harm. */
	return status == EFI_NOT_FOUND ? 0 : uefi_error(status);
}

void drivers_restart(struct drivers *d)
{
	while (d->count) {
		EFI_STATUS status = efi_bs->ConnectController(
			d->stopped[--d->count], NULL, NULL, TRUE);

		if (EFI_ERROR(status) && status != EFI_NOT_FOUND)
			log_line("firmware: a driver did not come back (status 0x%lx)", status);
	}
}
