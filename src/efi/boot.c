/* Starting what comes next; see boot.h. State is the caller's. Not on the exit path. */
#include "efi/boot.h"
#include "base/log.h"
#include "base/mem.h"
#include "efi/files.h"

/* The boot manager arms this watchdog for what it starts, in seconds: UEFI 2.10, "Boot Manager". */
#define LOADER_WATCHDOG 300u

static EFI_GUID device_path_guid = EFI_DEVICE_PATH_PROTOCOL_GUID;
static EFI_GUID file_system_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
static EFI_GUID loaded_image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;

int boot_origin_init(struct boot_origin *o)
{
	EFI_LOADED_IMAGE *image;
	EFI_DEVICE_PATH *path;
	EFI_STATUS status;

	*o = (struct boot_origin){NULL};
	status = efi_bs->HandleProtocol(efi_image, &loaded_image_guid, (void **)&image);
	if (!EFI_ERROR(status))
		status = efi_bs->HandleProtocol(
			image->DeviceHandle, &device_path_guid, (void **)&path);
	if (!EFI_ERROR(status))
		status = efi_bs->AllocatePool(
			EfiBootServicesData, uefi_path_size(path), (void **)&o->volume);
	if (!EFI_ERROR(status))
		memcpy(o->volume, path, uefi_path_size(path));
	return uefi_error(status);
}

int boot_origin_volume(const struct boot_origin *o, EFI_HANDLE *ret_volume)
{
	EFI_DEVICE_PATH *rest = o->volume;
	EFI_HANDLE handle;
	EFI_STATUS status;

	if (!rest)
		return -E_NOENT;
	status = efi_bs->LocateDevicePath(&file_system_guid, &rest, &handle);
	/* A rest means that only a part of the path is there: the disk, not the partition. */
	if (EFI_ERROR(status) || rest->Type != END_DEVICE_PATH_TYPE)
		return -E_NOENT;
	*ret_volume = handle;
	return 0;
}

static int start_from(EFI_HANDLE volume, const char *path, EFI_STATUS *ret_status)
{
	EFI_DEVICE_PATH *base, *full;
	EFI_HANDLE loader;
	EFI_STATUS status;

	status = efi_bs->HandleProtocol(volume, &device_path_guid, (void **)&base);
	if (EFI_ERROR(status))
		return uefi_error(status);
	full = uefi_file_path(base, path);
	if (!full)
		return -E_NOMEM;
	status = efi_bs->LoadImage(FALSE, efi_image, full, NULL, 0, &loader);
	efi_bs->FreePool(full);
	if (EFI_ERROR(status)) {
		/* Secure Boot leaves a refused image loaded: UEFI 2.10, "LoadImage()". */
		if (status == EFI_SECURITY_VIOLATION)
			efi_bs->UnloadImage(loader);
		return uefi_error(status);
	}
	log_line("booting %s", path);
	efi_bs->SetWatchdogTimer(LOADER_WATCHDOG, 0, 0, NULL);
	*ret_status = efi_bs->StartImage(loader, NULL, NULL);
	efi_bs->SetWatchdogTimer(0, 0, 0, NULL);
	log_line("%s returned (status 0x%lx)", path, *ret_status);
	return 0;
}

/* Entries and volumes change when a drive is unlocked: a loader is found by its path. */
static int find_volume(const struct boot_origin *o, const char *path, EFI_HANDLE *ret_volume)
{
	EFI_HANDLE *handles, origin;
	UINTN count;
	int err;

	if (!boot_origin_volume(o, &origin) && file_exists(origin, path)) {
		*ret_volume = origin;
		return 0;
	}
	err = uefi_handles(&file_system_guid, &handles, &count);
	if (err)
		return err;
	err = -E_NOENT;
	for (UINTN i = 0; i < count && err; i++) {
		if (!file_exists(handles[i], path))
			continue;
		*ret_volume = handles[i];
		err = 0;
	}
	if (handles)
		efi_bs->FreePool(handles);
	return err;
}

int boot_path(const struct boot_origin *o, const char *path, EFI_STATUS *ret_status)
{
	EFI_HANDLE volume;
	int err = find_volume(o, path, &volume);

	return err ? err : start_from(volume, path, ret_status);
}

static EFI_STATUS boot_default(const struct boot_origin *o, const struct config *c)
{
	EFI_STATUS status = EFI_NOT_FOUND;
	int err;

	if (!c->boot_path[0]) {
		log_line("no boot path configured: back to the boot manager");
		return status;
	}
	err = boot_path(o, c->boot_path, &status);
	if (err) {
		log_alert("%s: %s: back to the boot manager", c->boot_path, error_string(err));
		return EFI_LOAD_ERROR;
	}
	return status;
}

EFI_STATUS boot_action(
	const struct boot_origin *o, const struct config *c, enum config_action action)
{
	log_line("action: %s", config_action_name(action));
	switch (action) {
	case ACTION_SHUTDOWN:
		efi_st->RuntimeServices->ResetSystem(EfiResetShutdown, EFI_SUCCESS, 0, NULL);
		return EFI_DEVICE_ERROR; /* only if the firmware can't */
	case ACTION_MENU:
		return EFI_SUCCESS;
	case ACTION_NEXT:
		return EFI_NOT_FOUND;
	case ACTION_CONTINUE:
	default:
		return boot_default(o, c);
	}
}
