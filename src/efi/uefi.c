/* Helpers on the firmware's services; owns the pointers to its tables. Not on the exit path. */
#include "efi/uefi.h"
#include "base/bits.h"
#include "base/mem.h"

EFI_HANDLE efi_image;
EFI_SYSTEM_TABLE *efi_st;
EFI_BOOT_SERVICES *efi_bs;

void uefi_init(EFI_HANDLE image, EFI_SYSTEM_TABLE *st)
{
	efi_image = image;
	efi_st = st;
	efi_bs = st->BootServices;
}

int uefi_error(EFI_STATUS status)
{
	switch (status) {
	case EFI_SUCCESS:
		return 0;
	case EFI_NOT_FOUND:
		return -E_NOENT;
	case EFI_OUT_OF_RESOURCES:
		return -E_NOMEM;
	case EFI_UNSUPPORTED:
		return -E_NOTSUP;
	case EFI_TIMEOUT:
		return -E_TIMEOUT;
	case EFI_SECURITY_VIOLATION:
	case EFI_ACCESS_DENIED:
		return -E_DENIED;
	case EFI_INVALID_PARAMETER:
		return -E_INVAL;
	case EFI_ALREADY_STARTED:
		return -E_EXIST;
	default:
		return -E_IO;
	}
}

static UINTN node_length(const EFI_DEVICE_PATH *node)
{
	return node->Length[0] | (UINTN)node->Length[1] << 8;
}

/*
 * The node behind another, or the first one; NULL at the end. Device paths come from the firmware; a
 * malformed node ends the walk all the same.
 */
static const EFI_DEVICE_PATH *node_at(const EFI_DEVICE_PATH *path, UINTN at)
{
	const EFI_DEVICE_PATH *node = (const EFI_DEVICE_PATH *)(const void *)((const uint8_t *)
										      path +
									      at);

	if (node->Type == END_DEVICE_PATH_TYPE || node_length(node) < sizeof(*node))
		return NULL;
	return node;
}

UINTN uefi_path_length(const EFI_DEVICE_PATH *path)
{
	const EFI_DEVICE_PATH *node;
	UINTN len = 0;

	while ((node = node_at(path, len)))
		len += node_length(node);
	return len;
}

UINTN uefi_path_size(const EFI_DEVICE_PATH *path)
{
	return uefi_path_length(path) + sizeof(EFI_DEVICE_PATH);
}

bool uefi_path_has(const EFI_DEVICE_PATH *path, uint8_t type, uint8_t subtype)
{
	const EFI_DEVICE_PATH *node;

	for (UINTN at = 0; (node = node_at(path, at)); at += node_length(node))
		if (node->Type == type && node->SubType == subtype)
			return true;
	return false;
}

static uint32_t decode_utf8(const char **text)
{
	const uint8_t *s = (const uint8_t *)*text;
	unsigned more = s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
	uint32_t c = more ? s[0] & (0x3fu >> more) : s[0];
	unsigned n = 1;

	for (; n <= more && (s[n] & 0xc0) == 0x80; n++)
		c = c << 6 | (s[n] & 0x3f);
	*text += n;
	return n == more + 1 && c <= 0xffff ? c : '?';
}

void uefi_widen(CHAR16 *out, UINTN max, const char *text)
{
	UINTN n = 0;

	while (*text && n + 1 < max)
		out[n++] = (CHAR16)decode_utf8(&text);
	out[n] = 0;
}

void uefi_widen_path(CHAR16 *out, UINTN max, const char *path)
{
	uefi_widen(out, max, path);
	for (; *out; out++)
		if (*out == '/')
			*out = '\\';
}

EFI_DEVICE_PATH *uefi_file_path(const EFI_DEVICE_PATH *base, const char *name)
{
	UINTN base_len = uefi_path_length(base), chars = strlen(name) + 1;
	UINTN node_len = sizeof(EFI_DEVICE_PATH) + chars * sizeof(CHAR16);
	uint8_t *path;
	EFI_DEVICE_PATH node = {.Type = MEDIA_DEVICE_PATH, .SubType = MEDIA_FILEPATH_DP};
	EFI_DEVICE_PATH end = {
		.Type = END_DEVICE_PATH_TYPE, .SubType = END_ENTIRE_DEVICE_PATH_SUBTYPE};

	if (EFI_ERROR(efi_bs->AllocatePool(
		    EfiBootServicesData, base_len + node_len + sizeof(end), (void **)&path)))
		return NULL;
	memset(path, 0, base_len + node_len);
	memcpy(path, base, base_len);
	node.Length[0] = (UINT8)node_len;
	node.Length[1] = (UINT8)(node_len >> 8);
	memcpy(path + base_len, &node, sizeof(node));
	/* A name with multi-byte characters gets shorter: the rest of the node is zeros. */
	uefi_widen_path((CHAR16 *)(void *)(path + base_len + sizeof(node)), chars, name);
	end.Length[0] = sizeof(end);
	memcpy(path + base_len + node_len, &end, sizeof(end));
	return (EFI_DEVICE_PATH *)(void *)path;
}

void *uefi_pages(UINTN count)
{
	EFI_PHYSICAL_ADDRESS at = 0xffffffff;

	if (EFI_ERROR(efi_bs->AllocatePages(AllocateMaxAddress, EfiBootServicesData, count, &at)))
		return NULL;
	return memset((void *)(uintptr_t)at, 0, count * PAGE_SIZE);
}

void uefi_free_pages(void *pages, UINTN count)
{
	if (pages)
		efi_bs->FreePages((uintptr_t)pages, count);
}

int uefi_handles(EFI_GUID *protocol, EFI_HANDLE **ret_handles, UINTN *ret_count)
{
	EFI_STATUS status;

	*ret_handles = NULL;
	*ret_count = 0;
	status = efi_bs->LocateHandleBuffer(ByProtocol, protocol, NULL, ret_count, ret_handles);
	return status == EFI_NOT_FOUND ? 0 : uefi_error(status);
}
