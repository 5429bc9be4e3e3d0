/*
 * The loader of guests that are EFI programs; see efi.h. From 1 MiB on lies the firmware, at the end of
 * memory the initramfs, and below that the program's file. Owns no state. Runs before the guest only.
 */
#include "guest/efi.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/fmt.h"
#include "base/mem.h"
#include "guest/bootparam.h"
#include "guest/firmware_abi.h"
#include "guest/pe.h"

struct loader {
	struct gmem *gmem;
	struct guest_map *map;
	const struct guest_efi_params *p;
	struct guest_error *error;
	struct firmware_handover handover;
};

static int printf_like(4, 5)
	fail(struct loader *l, int code, enum guest_part part, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	l->error->part = part;
	fmt_vprint(l->error->text, sizeof(l->error->text), format, args);
	va_end(args);
	return code;
}

bool guest_is_efi(const void *file, size_t len)
{
	struct pe pe;

	return pe_parse(file, len, &pe) == 0;
}

bool guest_is_linux(const void *file, size_t len)
{
	struct setup_header h;

	if (!range_fits(SETUP_HEADER_OFFSET, sizeof(h), len))
		return false;
	memcpy(&h, (const uint8_t *)file + SETUP_HEADER_OFFSET, sizeof(h));
	return h.boot_flag == SETUP_BOOT_FLAG && h.header == SETUP_HEADER_MAGIC;
}

static int check_program(struct loader *l)
{
	const struct guest_linux_params *p = &l->p->program;
	struct pe pe;
	int err = pe_parse(p->kernel, p->kernel_len, &pe);

	if (err == -E_INVAL)
		return fail(l, err, GUEST_KERNEL, "not an EFI program");
	if (err)
		return fail(l, err, GUEST_KERNEL, "%s",
			err == -E_NOTSUP ? "not an EFI program for 64-bit x86" : error_string(err));
	if (l->p->firmware_len > FIRMWARE_SIZE)
		return fail(l, -E_RANGE, GUEST_MEMORY, "the guest's firmware is too large");
	return 0;
}

static int put(struct loader *l, uint64_t at, const void *data, size_t len)
{
	int err = len ? gmem_write(l->gmem, gpa(at), data, len) : 0;

	if (err)
		return fail(
			l, err, GUEST_MEMORY, "no guest memory at %llx", (unsigned long long)at);
	return 0;
}

static int place_files(struct loader *l)
{
	const struct guest_linux_params *p = &l->p->program;
	struct guest_map *map = l->map;
	uint64_t end, len = align_up(p->kernel_len, PAGE_SIZE);
	int err = guest_map_place_kernel(map, FIRMWARE_BASE, FIRMWARE_SIZE);

	if (!err)
		err = guest_map_place_initramfs(map, p->initramfs_len, ~0ull);
	end = p->initramfs_len ? map->initramfs.base : map->size;
	/* Twice: the file, and what is made of it. */
	if (err || !range_fits(FIRMWARE_BASE + FIRMWARE_SIZE, 2 * len, end))
		return fail(l, -E_RANGE, GUEST_MEMORY,
			"program and initramfs need %u MiB, and there are %u",
			(unsigned)((FIRMWARE_BASE + FIRMWARE_SIZE + 2 * len + p->initramfs_len) /
				   MIB) +
				1,
			(unsigned)(map->size / MIB));
	l->handover.image = (struct guest_range){end - len, p->kernel_len};
	l->handover.initramfs = map->initramfs;
	err = put(l, FIRMWARE_BASE, l->p->firmware, l->p->firmware_len);
	if (!err)
		err = put(l, l->handover.image.base, p->kernel, p->kernel_len);
	if (!err)
		err = put(l, map->initramfs.base, p->initramfs, p->initramfs_len);
	return err;
}

/* What is added for a kernel would be noise to other programs. */
static int put_options(struct loader *l)
{
	const struct guest_linux_params *p = &l->p->program;
	char text[PAGE_SIZE], tsc[32] = "";
	int len;

	if (p->tsc_khz && guest_is_linux(p->kernel, p->kernel_len))
		fmt_print(
			tsc, sizeof(tsc), "%stsc_early_khz=%u", *p->cmdline ? " " : "", p->tsc_khz);
	len = fmt_print(text, sizeof(text), "%s%s", p->cmdline, tsc);
	if (len < 0 || (size_t)len >= sizeof(text))
		return fail(l, -E_RANGE, GUEST_CMDLINE_TEXT, "%d characters are too many", len);
	l->handover.options = (struct guest_range){len ? GUEST_CMDLINE : 0, (size_t)len};
	return put(l, GUEST_CMDLINE, text, (size_t)len);
}

static uint32_t color_mask(uint8_t pos, uint8_t size)
{
	return (uint32_t)(size_mask(4) >> (size < 32 ? 32 - size : 0)) << (pos & 31);
}

static int set_screen(struct loader *l)
{
	const struct guest_framebuffer *f = l->p->program.framebuffer;
	struct firmware_framebuffer *to = &l->handover.framebuffer;
	int err;

	if (!f)
		return 0;
	if (!f->width || !f->height || f->stride / 4 < f->width || f->size / f->stride < f->height)
		return fail(l, -E_INVAL, GUEST_DISPLAY,
			"the framebuffer's sizes contradict each other");
	err = guest_map_add_window(l->map, f->base, align_up(f->size, PAGE_SIZE));
	if (err)
		return fail(l, err, GUEST_DISPLAY, "no place for the framebuffer at %llx",
			(unsigned long long)f->base);
	*to = (struct firmware_framebuffer){
		.base = f->base,
		.size = f->size,
		.width = f->width,
		.height = f->height,
		.stride = f->stride,
		.red_mask = color_mask(f->red_pos, f->red_size),
		.green_mask = color_mask(f->green_pos, f->green_size),
		.blue_mask = color_mask(f->blue_pos, f->blue_size),
	};
	to->reserved_mask = ~(to->red_mask | to->green_mask | to->blue_mask);
	return 0;
}

static int put_handover(struct loader *l)
{
	struct firmware_handover *h = &l->handover;

	h->magic = FIRMWARE_MAGIC;
	h->tsc_khz = l->p->program.tsc_khz;
	h->ram[0] = guest_map_ram(l->map, 0);
	h->ram[1] = (struct guest_range){GUEST_HIGH_BASE, l->map->size - GUEST_HIGH_BASE};
	h->rsdp = l->p->rsdp;
	h->smbios = l->p->smbios;
	fmt_print(h->path, sizeof(h->path), "%s", l->p->path);
	return put(l, GUEST_BOOT_PARAMS, h, sizeof(*h));
}

int guest_load_efi(struct gmem *m, struct guest_map *map, const struct guest_efi_params *p,
	struct guest_entry *ret_entry, struct guest_error *ret_error)
{
	static int (*const steps[])(struct loader *) = {
		check_program, place_files, put_options, set_screen, put_handover};
	struct loader l = {.gmem = m, .map = map, .p = p, .error = ret_error};
	int err = 0;

	for (unsigned i = 0; i < array_size(steps) && !err; i++)
		err = steps[i](&l);
	if (err)
		return err;
	err = guest_entry_put(m, FIRMWARE_BASE, GUEST_BOOT_PARAMS, ret_entry);
	return err ? fail(&l, err, GUEST_MEMORY, "no guest memory for the first page tables") : 0;
}
