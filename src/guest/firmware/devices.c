/*
 * What a program finds besides the console: the volume that it is said to come from, the initramfs, the
 * framebuffer, random numbers. Runs in the guest.
 */
#include "base/bits.h"
#include "base/mem.h"
#include "guest/firmware/firmware.h"

static EFI_GUID device_path_guid = DEVICE_PATH_PROTOCOL;

struct vendor_path {
	VENDOR_DEVICE_PATH vendor;
	EFI_DEVICE_PATH end;
} __attribute__((packed));

#define VENDOR_PATH(type, subtype, ...)                                                            \
	{                                                                                          \
		{{type, subtype, {sizeof(VENDOR_DEVICE_PATH), 0}}, __VA_ARGS__},                   \
		{                                                                                  \
			END_DEVICE_PATH_TYPE, END_ENTIRE_DEVICE_PATH_SUBTYPE,                      \
			{                                                                          \
				sizeof(EFI_DEVICE_PATH), 0                                         \
			}                                                                          \
		}                                                                                  \
	}

/* A name of ours for where the program came from: there is nothing on it but the path. */
static struct vendor_path volume_path = VENDOR_PATH(HARDWARE_DEVICE_PATH, HW_VENDOR_DP,
	{0x7a1c5f0e, 0x3b52, 0x4d0b, {0x9e, 0x61, 0x70, 0x6f, 0x73, 0x74, 0x65, 0x72}});

/* Linux's name for the initramfs: Documentation/x86/boot.rst, LINUX_EFI_INITRD_MEDIA_GUID. */
static struct vendor_path initramfs_path = VENDOR_PATH(MEDIA_DEVICE_PATH, MEDIA_VENDOR_DP,
	{0x5568e427, 0x68fc, 0x4f3d, {0xac, 0x74, 0xca, 0x55, 0x52, 0x31, 0xcc, 0x68}});

/* ---- "Load File 2 Protocol" ---- */

struct load_file {
	EFI_STATUS(EFIAPI *load)
	(struct load_file *self, EFI_DEVICE_PATH *path, BOOLEAN policy, UINTN *size, VOID *buffer);
};

static EFI_STATUS EFIAPI load_initramfs(
	struct load_file *self, EFI_DEVICE_PATH *path, BOOLEAN policy, UINTN *size, VOID *buffer)
{
	const struct guest_range *file = &firmware.handover.initramfs;
	UINTN room;

	if (!self || !path || !size)
		return EFI_INVALID_PARAMETER;
	if (policy)
		return EFI_UNSUPPORTED;
	room = *size;
	*size = file->len;
	if (!buffer || room < file->len)
		return EFI_BUFFER_TOO_SMALL;
	memcpy(buffer, (const void *)file->base, file->len);
	return EFI_SUCCESS;
}

static void offer_initramfs(void)
{
	static EFI_GUID guid = {
		0x4006c0c1, 0xfcb3, 0x403e, {0x99, 0x6d, 0x4a, 0x6c, 0x87, 0x24, 0xe0, 0x6d}};
	static struct load_file file;
	EFI_HANDLE handle = NULL;

	if (!firmware.handover.initramfs.len)
		return;
	file.load = load_initramfs;
	protocol_offer(&handle, &device_path_guid, &initramfs_path);
	protocol_offer(&handle, &guid, &file);
}

/* ---- "Graphics Output Protocol": one mode, the one that is on ---- */

static EFI_GRAPHICS_OUTPUT_MODE_INFORMATION mode_info;
static EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE mode;
static EFI_GRAPHICS_OUTPUT_PROTOCOL graphics;

static EFI_STATUS EFIAPI query_mode(EFI_GRAPHICS_OUTPUT_PROTOCOL *self, UINT32 number, UINTN *size,
	EFI_GRAPHICS_OUTPUT_MODE_INFORMATION **ret)
{
	EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info;

	if (!self || number || !size || !ret)
		return EFI_INVALID_PARAMETER;
	info = memory_pool(EfiBootServicesData, sizeof(*info));
	if (!info)
		return EFI_OUT_OF_RESOURCES;
	*info = mode_info;
	*size = sizeof(*info);
	*ret = info;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI set_mode(EFI_GRAPHICS_OUTPUT_PROTOCOL *self, UINT32 number)
{
	(void)self;
	return number ? EFI_UNSUPPORTED : EFI_SUCCESS;
}

/* Programs that start an operating system draw nothing but a picture, if they have one. */
static EFI_STATUS EFIAPI blt(EFI_GRAPHICS_OUTPUT_PROTOCOL *self,
	EFI_GRAPHICS_OUTPUT_BLT_PIXEL *buffer, EFI_GRAPHICS_OUTPUT_BLT_OPERATION operation,
	UINTN from_x, UINTN from_y, UINTN to_x, UINTN to_y, UINTN width, UINTN height, UINTN delta)
{
	(void)self;
	(void)buffer;
	(void)operation;
	(void)from_x;
	(void)from_y;
	(void)to_x;
	(void)to_y;
	(void)width;
	(void)height;
	(void)delta;
	return no_service(POSTERN_NO_BLT);
}

static EFI_GRAPHICS_PIXEL_FORMAT pixel_format(const struct firmware_framebuffer *f)
{
	if (f->green_mask == 0xff00 && f->red_mask == 0xff && f->blue_mask == 0xff0000)
		return PixelRedGreenBlueReserved8BitPerColor;
	if (f->green_mask == 0xff00 && f->blue_mask == 0xff && f->red_mask == 0xff0000)
		return PixelBlueGreenRedReserved8BitPerColor;
	return PixelBitMask;
}

static void offer_graphics(void)
{
	static EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
	const struct firmware_framebuffer *f = &firmware.handover.framebuffer;
	EFI_HANDLE handle = NULL;

	if (!f->size)
		return;
	mode_info = (EFI_GRAPHICS_OUTPUT_MODE_INFORMATION){
		.HorizontalResolution = f->width,
		.VerticalResolution = f->height,
		.PixelFormat = pixel_format(f),
		.PixelInformation = {f->red_mask, f->green_mask, f->blue_mask, f->reserved_mask},
		.PixelsPerScanLine = f->stride / 4,
	};
	mode = (EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE){
		.MaxMode = 1,
		.Info = &mode_info,
		.SizeOfInfo = sizeof(mode_info),
		.FrameBufferBase = f->base,
		.FrameBufferSize = f->size,
	};
	graphics.QueryMode = query_mode;
	graphics.SetMode = set_mode;
	graphics.Blt = blt;
	graphics.Mode = &mode;
	protocol_offer(&handle, &guid, &graphics);
}

/* ---- "Random Number Generator Protocol", from the processor's ---- */

#define RANDOM_TRIES 10u /* SDM vol. 1 "Using RDRAND": more failures mean that it is broken */

static EFI_GUID random_raw = EFI_RNG_ALGORITHM_RAW;

static EFI_STATUS EFIAPI random_info(EFI_RNG_PROTOCOL *self, UINTN *size, EFI_RNG_ALGORITHM *list)
{
	UINTN room;

	if (!self || !size)
		return EFI_INVALID_PARAMETER;
	room = *size;
	*size = sizeof(*list);
	if (room < sizeof(*list))
		return EFI_BUFFER_TOO_SMALL;
	if (!list)
		return EFI_INVALID_PARAMETER;
	*list = random_raw;
	return EFI_SUCCESS;
}

static bool random_take(uint64_t *ret)
{
	bool ok = false;

	for (unsigned i = 0; i < RANDOM_TRIES && !ok; i++)
		__asm__ volatile("rdrand %0" : "=r"(*ret), "=@ccc"(ok));
	return ok;
}

static EFI_STATUS EFIAPI random_get(
	EFI_RNG_PROTOCOL *self, EFI_RNG_ALGORITHM *algorithm, UINTN len, UINT8 *value)
{
	if (!self || !len || !value)
		return EFI_INVALID_PARAMETER;
	if (algorithm && !guid_is(algorithm, &random_raw))
		return EFI_UNSUPPORTED;
	while (len) {
		UINTN part = min_u64(len, sizeof(uint64_t));
		uint64_t random;

		if (!random_take(&random))
			return EFI_DEVICE_ERROR;
		memcpy(value, &random, part);
		value += part;
		len -= part;
	}
	return EFI_SUCCESS;
}

static void offer_random(void)
{
	static EFI_GUID guid = EFI_RNG_PROTOCOL_GUID;
	static EFI_RNG_PROTOCOL protocol;
	uint32_t eax = 1, ebx, ecx = 0, edx;
	EFI_HANDLE handle = NULL;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	if (!(ecx & BIT(30)))
		return;
	protocol.GetInfo = random_info;
	protocol.GetRNG = random_get;
	protocol_offer(&handle, &guid, &protocol);
}

EFI_HANDLE devices_init(void)
{
	EFI_HANDLE volume = NULL;

	protocol_offer(&volume, &device_path_guid, &volume_path);
	offer_initramfs();
	offer_graphics();
	offer_random();
	return volume;
}
