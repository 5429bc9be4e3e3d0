/* The framebuffer as the firmware describes it: UEFI 2.10, "Graphics Output Protocol". No state. */
#include "efi/framebuffer.h"
#include "efi/uefi.h"

struct color {
	uint8_t pos, size;
};

static struct color color_of(uint32_t mask)
{
	struct color c = {0};

	if (!mask)
		return c;
	c.pos = (uint8_t)__builtin_ctz(mask);
	c.size = (uint8_t)(32 - __builtin_clz(mask) - c.pos);
	return c;
}

static int pixel_masks(
	const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info, EFI_PIXEL_BITMASK *ret_masks)
{
	switch (info->PixelFormat) {
	case PixelRedGreenBlueReserved8BitPerColor:
		*ret_masks = (EFI_PIXEL_BITMASK){0xff, 0xff00, 0xff0000, 0xff000000};
		return 0;
	case PixelBlueGreenRedReserved8BitPerColor:
		*ret_masks = (EFI_PIXEL_BITMASK){0xff0000, 0xff00, 0xff, 0xff000000};
		return 0;
	case PixelBitMask:
		*ret_masks = info->PixelInformation;
		/* All 32 bits named: else it isn't four bytes a pixel. */
		return (info->PixelInformation.RedMask | info->PixelInformation.GreenMask |
			       info->PixelInformation.BlueMask |
			       info->PixelInformation.ReservedMask) == 0xffffffff
			       ? 0
			       : -E_NOENT;
	default:
		return -E_NOENT;
	}
}

int framebuffer_find(struct guest_framebuffer *ret_fb)
{
	EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
	const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info;
	EFI_GRAPHICS_OUTPUT_PROTOCOL *gop;
	EFI_PIXEL_BITMASK masks;
	struct color red, green, blue;

	if (EFI_ERROR(efi_bs->LocateProtocol(&guid, NULL, (void **)&gop)) || !gop->Mode)
		return -E_NOENT;
	info = gop->Mode->Info;
	if (!gop->Mode->FrameBufferBase || pixel_masks(info, &masks))
		return -E_NOENT;
	if (info->HorizontalResolution > 0xffff || info->VerticalResolution > 0xffff ||
		info->PixelsPerScanLine > 0xffff / 4 || gop->Mode->FrameBufferSize > 0xffffffff)
		return -E_NOENT;
	red = color_of(masks.RedMask);
	green = color_of(masks.GreenMask);
	blue = color_of(masks.BlueMask);
	*ret_fb = (struct guest_framebuffer){
		.base = gop->Mode->FrameBufferBase,
		.size = (uint32_t)gop->Mode->FrameBufferSize,
		.width = (uint16_t)info->HorizontalResolution,
		.height = (uint16_t)info->VerticalResolution,
		.stride = (uint16_t)(info->PixelsPerScanLine * 4),
		.red_pos = red.pos,
		.red_size = red.size,
		.green_pos = green.pos,
		.green_size = green.size,
		.blue_pos = blue.pos,
		.blue_size = blue.size,
	};
	return 0;
}
