/* "Image Services": programs loaded from memory, started, and ended. Runs in the guest. */
#include "base/bits.h"
#include "base/mem.h"
#include "guest/firmware/firmware.h"

#define IMAGES 8u

struct image {
	EFI_HANDLE handle; /* NULL: nobody's */
	EFI_LOADED_IMAGE loaded;
	void *entry;
	struct image_context context;
	bool started;
};

static struct image images[IMAGES];
static EFI_GUID loaded_image_guid = LOADED_IMAGE_PROTOCOL;
static EFI_GUID image_path_guid = EFI_LOADED_IMAGE_DEVICE_PATH_PROTOCOL_GUID;

static struct image *find(EFI_HANDLE handle)
{
	for (unsigned i = 0; handle && i < IMAGES; i++)
		if (images[i].handle == handle)
			return &images[i];
	return NULL;
}

static struct image *find_unused(void)
{
	for (unsigned i = 0; i < IMAGES; i++)
		if (!images[i].handle)
			return &images[i];
	return NULL;
}

static UINTN image_pages(const struct image *i)
{
	return align_up(i->loaded.ImageSize, PAGE_SIZE) / PAGE_SIZE;
}

/* Memory for a parsed file, and the file put there. */
static EFI_STATUS place(struct image *i, const struct pe *pe)
{
	uint64_t base, align = max_u64(pe->alignment, PAGE_SIZE);
	int err;

	i->loaded.ImageSize = pe->size;
	err = pages_take(&firmware.pages, image_pages(i), align, 0xffffffff, EfiLoaderCode, &base);
	if (err)
		return memory_status(err);
	if (pe_load(pe, (void *)base, base)) {
		if (pages_free(&firmware.pages, base, image_pages(i)))
			firmware_stop();
		return EFI_LOAD_ERROR;
	}
	i->loaded.ImageBase = (void *)base;
	i->entry = (void *)(base + pe->entry);
	return EFI_SUCCESS;
}

static EFI_STATUS load(EFI_HANDLE parent, EFI_HANDLE device, EFI_DEVICE_PATH *path,
	const void *file, UINTN len, EFI_HANDLE *ret)
{
	struct image *i = find_unused();
	EFI_STATUS status;
	struct pe pe;

	if (!i)
		return EFI_OUT_OF_RESOURCES;
	if (pe_parse(file, len, &pe))
		return EFI_LOAD_ERROR;
	*i = (struct image){.loaded = {
				    .Revision = EFI_IMAGE_INFORMATION_REVISION,
				    .ParentHandle = parent,
				    .SystemTable = &runtime_tables.system,
				    .DeviceHandle = device,
				    .FilePath = path,
				    .ImageCodeType = EfiLoaderCode,
				    .ImageDataType = EfiLoaderData,
			    }};
	status = place(i, &pe);
	if (EFI_ERROR(status))
		return status;
	status = handle_install(&firmware.handles, &i->handle, &loaded_image_guid, &i->loaded);
	if (!EFI_ERROR(status))
		status = handle_install(&firmware.handles, &i->handle, &image_path_guid, path);
	if (!EFI_ERROR(status))
		*ret = i->handle;
	return status;
}

static EFI_STATUS EFIAPI load_image(BOOLEAN policy, EFI_HANDLE parent, EFI_DEVICE_PATH *path,
	VOID *file, UINTN len, EFI_HANDLE *ret)
{
	(void)policy;
	if (!ret || !find(parent))
		return EFI_INVALID_PARAMETER;
	/* There is no file system here that a path could lead to. */
	if (!file) {
		no_service(POSTERN_NO_LOAD_IMAGE_FROM_PATH);
		return EFI_NOT_FOUND;
	}
	return load(parent, NULL, path, file, len, ret);
}

static void unload(struct image *i)
{
	struct handle *h = handle_check(&firmware.handles, i->handle);

	if (pages_free(&firmware.pages, (uintptr_t)i->loaded.ImageBase, image_pages(i)))
		firmware_log("firmware: the memory of an image is gone before it");
	if (h)
		h->count = 0;
	i->handle = NULL;
}

static EFI_STATUS start(struct image *i)
{
	EFI_STATUS status;

	i->started = true;
	status = image_enter(&i->context, i->entry, i->handle, &runtime_tables.system);
	unload(i);
	return status;
}

static EFI_STATUS EFIAPI start_image(EFI_HANDLE handle, UINTN *size, CHAR16 **data)
{
	struct image *i = find(handle);

	if (!i || i->started)
		return EFI_INVALID_PARAMETER;
	if (size)
		*size = 0;
	if (data)
		*data = NULL;
	return start(i);
}

static EFI_STATUS EFIAPI exit_image(EFI_HANDLE handle, EFI_STATUS status, UINTN size, CHAR16 *data)
{
	struct image *i = find(handle);

	(void)size;
	(void)data;
	if (!i)
		return EFI_INVALID_PARAMETER;
	if (i->started)
		image_leave(&i->context, status);
	unload(i);
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI unload_image(EFI_HANDLE handle)
{
	struct image *i = find(handle);

	if (!i)
		return EFI_INVALID_PARAMETER;
	/* A program that runs can only end itself; one that stays resident says here what to do. */
	if (i->started)
		return i->loaded.Unload ? i->loaded.Unload(handle) : EFI_UNSUPPORTED;
	unload(i);
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI exit_boot_services(EFI_HANDLE handle, UINTN key)
{
	EFI_SYSTEM_TABLE *st = &runtime_tables.system;

	if (!find(handle) || key != firmware.pages.key)
		return EFI_INVALID_PARAMETER;
	events_signal_exit();
	postern_call(POSTERN_CALL_EXIT_BOOT, 0, NULL, 0);
	st->ConsoleInHandle = st->ConsoleOutHandle = st->StandardErrorHandle = NULL;
	st->ConIn = NULL;
	st->ConOut = st->StdErr = NULL;
	st->BootServices = NULL;
	table_seal(&st->Hdr);
	return EFI_SUCCESS;
}

static UINT64 monotonic_count;

static EFI_STATUS EFIAPI get_monotonic_count(UINT64 *count)
{
	if (!count)
		return EFI_INVALID_PARAMETER;
	*count = monotonic_count++;
	return EFI_SUCCESS;
}

/* Nothing here hangs for a watchdog to find; Postern has a time limit of its own. */
static EFI_STATUS EFIAPI set_watchdog(UINTN timeout, UINT64 code, UINTN size, CHAR16 *data)
{
	(void)code;
	(void)size;
	(void)data;
	return timeout ? no_service(POSTERN_NO_SET_WATCHDOG_TIMER) : EFI_SUCCESS;
}

static EFI_STATUS EFIAPI calculate_crc32(VOID *data, UINTN len, UINT32 *ret)
{
	if (!data || !len || !ret)
		return EFI_INVALID_PARAMETER;
	*ret = table_crc32(data, len);
	return EFI_SUCCESS;
}

void images_fill_services(EFI_BOOT_SERVICES *bs)
{
	bs->LoadImage = load_image;
	bs->StartImage = start_image;
	bs->Exit = exit_image;
	bs->UnloadImage = unload_image;
	bs->ExitBootServices = exit_boot_services;
	bs->GetNextMonotonicCount = get_monotonic_count;
	bs->SetWatchdogTimer = set_watchdog;
	bs->CalculateCrc32 = calculate_crc32;
}

/* A character of UTF-8, which Postern has checked; what UCS-2 hasn't becomes a question mark. */
static CHAR16 take_utf8(const uint8_t **text, const uint8_t *end)
{
	const uint8_t *s = *text;
	unsigned more = s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3, n = 1;
	uint32_t c = more ? s[0] & (0x3fu >> more) : s[0];

	for (; n <= more && s + n < end && (s[n] & 0xc0) == 0x80; n++)
		c = c << 6 | (s[n] & 0x3f);
	*text = s + n;
	return n == more + 1 && c <= 0xffff ? (CHAR16)c : '?';
}

/* Text in UCS-2 with a NUL, in pool memory; its size in bytes. */
static CHAR16 *widen(const char *text, size_t len, size_t front, size_t *ret_size)
{
	const uint8_t *s = (const uint8_t *)text, *end = s + len;
	uint8_t *buffer = memory_pool(EfiLoaderData, front + (len + 1) * sizeof(CHAR16));
	CHAR16 *out = (CHAR16 *)(void *)(buffer + front);
	size_t n = 0;

	if (!buffer)
		firmware_stop();
	while (s < end)
		out[n++] = take_utf8(&s, end);
	*ret_size = (n + 1) * sizeof(CHAR16);
	return out;
}

/* "File Path Media Device Path", of the file that the program came from. */
static EFI_DEVICE_PATH *file_path(void)
{
	const char *path = firmware.handover.path;
	size_t name_size, len = strlen(path);
	CHAR16 *name = widen(path, len, sizeof(EFI_DEVICE_PATH), &name_size);
	EFI_DEVICE_PATH *node = (EFI_DEVICE_PATH *)(void *)name - 1, *end;

	node->Type = MEDIA_DEVICE_PATH;
	node->SubType = MEDIA_FILEPATH_DP;
	SetDevicePathNodeLength(node, sizeof(*node) + name_size);
	/* Room for the end: behind the page's contents, which are short. */
	end = (EFI_DEVICE_PATH *)(void *)((uint8_t *)name + name_size);
	*end = (EFI_DEVICE_PATH){
		END_DEVICE_PATH_TYPE, END_ENTIRE_DEVICE_PATH_SUBTYPE, {sizeof(*end), 0}};
	return node;
}

EFI_STATUS image_run_first(EFI_HANDLE device)
{
	const struct firmware_handover *h = &firmware.handover;
	EFI_STATUS status;
	EFI_HANDLE handle;
	struct image *i;
	size_t size;

	status = load(
		NULL, device, file_path(), (const void *)h->image.base, h->image.len, &handle);
	if (pages_free(
		    &firmware.pages, h->image.base, align_up(h->image.len, PAGE_SIZE) / PAGE_SIZE))
		firmware_stop();
	if (EFI_ERROR(status))
		return status;
	i = find(handle);
	if (h->options.len) {
		i->loaded.LoadOptions = widen(
			(const char *)h->options.base, h->options.len, 0, &size);
		i->loaded.LoadOptionsSize = (UINT32)size;
	}
	return start(i);
}
