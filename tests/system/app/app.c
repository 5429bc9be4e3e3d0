/* See app.h. Independent of Postern's own console, since tests judge that. */
#include "app/app.h"
#include "base/fmt.h"
#include "hw/port.h"

#define COM1	   0x3f8u
#define COM1_LSR   (COM1 + 5)
#define LSR_THRE   0x20u
#define LSR_TEMT   0x40u
#define BOCHS_PORT 0x8900u
#define LINE	   300u
#define PATH	   200u

static EFI_GUID loaded_image_guid = LOADED_IMAGE_PROTOCOL;
static EFI_GUID device_path_guid = DEVICE_PATH_PROTOCOL;
static EFI_GUID file_system_guid = SIMPLE_FILE_SYSTEM_PROTOCOL;

void app_init(EFI_HANDLE image, EFI_SYSTEM_TABLE *st)
{
	uefi_init(image, st);
}

static void put(char c)
{
	for (unsigned i = 0; i < 100000 && !(hw_port_read(COM1_LSR, 1) & LSR_THRE); i++)
		;
	hw_port_write(COM1, 1, (uint8_t)c);
}

void app_say(const char *format, ...)
{
	char line[LINE];
	va_list args;

	va_start(args, format);
	fmt_vprint(line, sizeof(line), format, args);
	va_end(args);
	for (const char *s = line; *s; s++)
		put(*s);
	put('\r');
	put('\n');
}

void app_own_path(char *out, UINTN size)
{
	EFI_LOADED_IMAGE *image;
	UINTN n = 0;

	if (EFI_ERROR(efi_bs->HandleProtocol(efi_image, &loaded_image_guid, (void **)&image)) ||
		!image->FilePath) {
		fmt_print(out, size, "?");
		return;
	}
	for (EFI_DEVICE_PATH *node = image->FilePath; !IsDevicePathEnd(node);
		node = NextDevicePathNode(node)) {
		const CHAR16 *name = ((FILEPATH_DEVICE_PATH *)(void *)node)->PathName;

		if (DevicePathType(node) != MEDIA_DEVICE_PATH ||
			DevicePathSubType(node) != MEDIA_FILEPATH_DP)
			continue;
		for (; *name && n + 1 < size; name++)
			out[n++] = *name < 0x7f ? (char)*name : '?';
	}
	out[n] = '\0';
}

static BOOLEAN has_file(EFI_HANDLE volume, const char *path)
{
	EFI_FILE_IO_INTERFACE *fs;
	EFI_FILE_HANDLE root, file;
	CHAR16 name[PATH];
	EFI_STATUS status;

	uefi_widen_path(name, PATH, path);
	if (EFI_ERROR(efi_bs->HandleProtocol(volume, &file_system_guid, (void **)&fs)) ||
		EFI_ERROR(fs->OpenVolume(fs, &root)))
		return FALSE;
	status = root->Open(root, &file, name, EFI_FILE_MODE_READ, 0);
	if (!EFI_ERROR(status))
		file->Close(file);
	root->Close(root);
	return !EFI_ERROR(status);
}

EFI_HANDLE app_find_volume(const char *path)
{
	EFI_HANDLE *handles, found = NULL;
	UINTN count;

	if (uefi_handles(&file_system_guid, &handles, &count))
		return NULL;
	for (UINTN i = 0; i < count && !found; i++) {
		if (has_file(handles[i], path))
			found = handles[i];
	}
	if (handles)
		efi_bs->FreePool(handles);
	return found;
}

EFI_STATUS app_start(const char *path)
{
	EFI_HANDLE volume = app_find_volume(path), loaded;
	EFI_DEVICE_PATH *base, *full;
	EFI_STATUS status;

	if (!volume)
		return EFI_NOT_FOUND;
	status = efi_bs->HandleProtocol(volume, &device_path_guid, (void **)&base);
	if (EFI_ERROR(status))
		return status;
	full = uefi_file_path(base, path);
	if (!full)
		return EFI_OUT_OF_RESOURCES;
	status = efi_bs->LoadImage(FALSE, efi_image, full, NULL, 0, &loaded);
	efi_bs->FreePool(full);
	if (EFI_ERROR(status)) {
		app_say("%s: LoadImage: %lx", path, (unsigned long)status);
		return status;
	}
	return efi_bs->StartImage(loaded, NULL, NULL);
}

void app_power_off(void)
{
	/* Bochs goes off with what its UART still holds. */
	for (unsigned i = 0; i < 100000 && !(hw_port_read(COM1_LSR, 1) & LSR_TEMT); i++)
		;
	for (const char *s = "Shutdown"; *s; s++)
		hw_port_write(BOCHS_PORT, 1, (uint8_t)*s);
	efi_st->RuntimeServices->ResetSystem(EfiResetShutdown, EFI_SUCCESS, 0, NULL);
	for (;;)
		efi_bs->Stall(1000000);
}
