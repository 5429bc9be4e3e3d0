/* A program for efi-services to load from memory: says what it got, and leaves through Exit. */
#include "app/app.h"

#define CHILD_STATUS 0x1234u

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st);

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st)
{
	EFI_GUID guid = LOADED_IMAGE_PROTOCOL;
	EFI_LOADED_IMAGE *loaded;

	app_init(image, st);
	if (EFI_ERROR(efi_bs->HandleProtocol(image, &guid, (void **)&loaded)))
		return EFI_NOT_FOUND;
	app_say("child: %u bytes of options, %s parent", loaded->LoadOptionsSize,
		loaded->ParentHandle ? "a" : "no");
	efi_bs->Exit(image, CHILD_STATUS, 0, NULL);
	return EFI_SUCCESS;
}
