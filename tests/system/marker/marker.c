/* Stands for a host OS: says that it was started, and from where, and switches the machine off. */
#include "app/app.h"

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st);

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st)
{
	char path[200];

	app_init(image, st);
	app_own_path(path, sizeof(path));
	app_say("marker: started from %s", path);
	app_power_off();
}
