/* The resident page; see resident.h. Its address is the firmware's to keep: a protocol interface. */
#include "efi/resident.h"
#include "efi/uefi.h"

static EFI_GUID resident_guid = {
	0x7d2f1b54, 0x9c0e, 0x4a53, {0x8e, 0x21, 0x5b, 0x0c, 0x6f, 0x7a, 0x33, 0xd9}};

void *resident_page(void)
{
	EFI_HANDLE handle = NULL;
	void *page;

	if (!EFI_ERROR(efi_bs->LocateProtocol(&resident_guid, NULL, &page)))
		return page;
	page = uefi_pages(1);
	if (!page)
		return NULL;
	if (EFI_ERROR(efi_bs->InstallProtocolInterface(
		    &handle, &resident_guid, EFI_NATIVE_INTERFACE, page))) {
		uefi_free_pages(page, 1);
		return NULL;
	}
	return page;
}
