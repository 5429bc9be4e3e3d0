/*
 * The loader of Linux kernels; see linux.h. The kernel's file comes from the ESP: its header is checked
 * as input, though whoever chose the kernel is trusted with the guest. Owns no state. Runs before the
 * guest only.
 */
#include "guest/linux.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/fmt.h"
#include "base/mem.h"
#include "guest/bootparam.h"

struct loader {
	struct gmem *gmem;
	struct guest_map *map;
	const struct guest_linux_params *p;
	struct guest_error *error;
	struct setup_header header; /* a copy, whole */
	size_t setup_len;	    /* bytes of the file in front of the kernel proper */
	size_t kernel_len;	    /* bytes of the kernel proper */
	struct boot_params boot;
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

static unsigned to_mib(uint64_t bytes)
{
	return (unsigned)(align_up(bytes, MIB) / MIB);
}

/* Copies the header and checks that the file is a kernel with a 64-bit entry. */
static int read_header(struct loader *l)
{
	const uint8_t *file = l->p->kernel;
	struct setup_header *h = &l->header;

	if (l->p->kernel_len < SETUP_HEADER_OFFSET + SETUP_HEADER_SIZE_MAX)
		return fail(l, -E_TRUNCATED, GUEST_KERNEL, "the file is too short for a kernel");
	memcpy(h, file + SETUP_HEADER_OFFSET, sizeof(*h));
	if (h->boot_flag != SETUP_BOOT_FLAG || h->header != SETUP_HEADER_MAGIC)
		return fail(l, -E_INVAL, GUEST_KERNEL, "not a Linux kernel (bzImage)");
	if (h->version < SETUP_VERSION_MIN)
		return fail(l, -E_NOTSUP, GUEST_KERNEL,
			"boot protocol %u.%u is older than 2.12 (Linux 3.8)", h->version >> 8,
			h->version & 0xff);
	if (SETUP_JUMP_END + h->jump_distance < SETUP_HEADER_SIZE_MIN)
		return fail(l, -E_INVAL, GUEST_KERNEL, "the header ends too early");
	if (!(h->xloadflags & XLOADFLAG_KERNEL_64) || !(h->loadflags & LOADFLAG_LOADED_HIGH))
		return fail(l, -E_NOTSUP, GUEST_KERNEL, "not a 64-bit kernel");
	return 0;
}

/* Checks that the sizes in the header fit the file and each other. */
static int check_sizes(struct loader *l)
{
	const struct setup_header *h = &l->header;
	size_t sectors = h->setup_sects ? h->setup_sects : 4;

	l->setup_len = (sectors + 1) * SETUP_SECTOR;
	l->kernel_len = (size_t)h->syssize * 16;
	if (!range_fits(l->setup_len, l->kernel_len, l->p->kernel_len))
		return fail(l, -E_TRUNCATED, GUEST_KERNEL,
			"truncated: %zu bytes of the %zu that the header says", l->p->kernel_len,
			l->setup_len + l->kernel_len);
	if (!range_fits(SETUP_ENTRY_64, 1, l->kernel_len) || h->init_size < l->kernel_len ||
		!range_fits(h->payload_offset, h->payload_length, l->kernel_len))
		return fail(
			l, -E_INVAL, GUEST_KERNEL, "the sizes in the header contradict each other");
	return 0;
}

static int place(struct loader *l)
{
	const struct setup_header *h = &l->header;
	uint64_t size = l->map->size;
	int err = guest_map_place_kernel(l->map, h->pref_address, h->init_size);

	if (err == -E_RANGE)
		return fail(l, err, GUEST_MEMORY, "the kernel needs %u MiB, and there are %u",
			to_mib(h->pref_address + min_u64(h->init_size, ~0ull - h->pref_address)),
			(unsigned)(size / MIB));
	if (err)
		return fail(l, err, GUEST_KERNEL, "can't be loaded where its header says");
	err = guest_map_place_initramfs(l->map, l->p->initramfs_len, h->initrd_addr_max);
	if (err)
		return fail(l, err, GUEST_MEMORY,
			"kernel and initramfs need %u MiB, and there are %u",
			to_mib(l->map->kernel.base + l->map->kernel.len + l->p->initramfs_len),
			(unsigned)(size / MIB));
	return 0;
}

/* "...and there is no memory there" would be a defect of ours: the map and gmem differ. */
static int put(struct loader *l, uint64_t at, const void *data, size_t len)
{
	int err = gmem_write(l->gmem, gpa(at), data, len);

	if (err)
		return fail(
			l, err, GUEST_MEMORY, "no guest memory at %llx", (unsigned long long)at);
	return 0;
}

static int put_files(struct loader *l)
{
	const uint8_t *file = l->p->kernel;
	int err = put(l, l->map->kernel.base, file + l->setup_len, l->kernel_len);

	if (err || !l->p->initramfs_len)
		return err;
	return put(l, l->map->initramfs.base, l->p->initramfs, l->p->initramfs_len);
}

static int put_cmdline(struct loader *l)
{
	char text[PAGE_SIZE], tsc[32] = "";
	size_t limit = min_u64(l->header.cmdline_size, sizeof(text) - 1);
	int len;

	if (l->p->tsc_khz)
		fmt_print(tsc, sizeof(tsc), "%stsc_early_khz=%u", *l->p->cmdline ? " " : "",
			l->p->tsc_khz);
	len = fmt_print(text, sizeof(text), "%s%s", l->p->cmdline, tsc);
	if (len < 0 || (size_t)len > limit)
		return fail(l, -E_RANGE, GUEST_CMDLINE_TEXT,
			"%d characters, with%s; the kernel takes %zu", len,
			*tsc ? tsc : " nothing added", limit);
	return put(l, GUEST_CMDLINE, text, (size_t)len + 1);
}

static int set_screen(struct loader *l)
{
	const struct guest_framebuffer *f = l->p->framebuffer;
	struct screen_info *s = &l->boot.screen_info;
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
	s->type = VIDEO_TYPE_EFI;
	s->lfb_width = f->width;
	s->lfb_height = f->height;
	s->lfb_depth = 32;
	s->lfb_base = (uint32_t)f->base;
	s->ext_lfb_base = (uint32_t)(f->base >> 32);
	s->capabilities = f->base >> 32 ? VIDEO_CAPABILITY_64BIT_BASE : 0;
	s->lfb_size = f->size;
	s->lfb_linelength = f->stride;
	s->red_pos = f->red_pos;
	s->red_size = f->red_size;
	s->green_pos = f->green_pos;
	s->green_size = f->green_size;
	s->blue_pos = f->blue_pos;
	s->blue_size = f->blue_size;
	return 0;
}

static int put_boot_params(struct loader *l)
{
	struct boot_params *b = &l->boot;
	const uint8_t *file = l->p->kernel;
	size_t header_len = min_u64(
		SETUP_JUMP_END + l->header.jump_distance, SETUP_HEADER_SIZE_MAX);
	int err = set_screen(l);

	if (err)
		return err;
	memcpy(b->hdr_bytes, file + SETUP_HEADER_OFFSET, header_len);
	b->hdr.type_of_loader = LOADER_TYPE_UNDEFINED;
	b->hdr.cmd_line_ptr = (uint32_t)GUEST_CMDLINE;
	b->hdr.ramdisk_image = (uint32_t)l->map->initramfs.base;
	b->hdr.ramdisk_size = (uint32_t)l->map->initramfs.len;
	b->ext_ramdisk_image = (uint32_t)(l->map->initramfs.base >> 32);
	b->ext_ramdisk_size = (uint32_t)(l->map->initramfs.len >> 32);
	b->hdr.setup_data = 0;
	b->acpi_rsdp_addr = l->p->acpi ? GUEST_ACPI_BASE : 0;
	b->e820_entries = GUEST_E820_ENTRIES;
	guest_map_e820(l->map, b->e820);
	return put(l, GUEST_BOOT_PARAMS, b, sizeof(*b));
}

int guest_load_linux(struct gmem *m, struct guest_map *map, const struct guest_linux_params *p,
	struct guest_entry *ret_entry, struct guest_error *ret_error)
{
	static int (*const steps[])(struct loader *) = {
		read_header, check_sizes, place, put_files, put_cmdline, put_boot_params};
	struct loader l = {.gmem = m, .map = map, .p = p, .error = ret_error};
	int err = 0;

	for (unsigned i = 0; i < array_size(steps) && !err; i++)
		err = steps[i](&l);
	if (err)
		return err;
	err = guest_entry_put(m, map->kernel.base + SETUP_ENTRY_64, GUEST_BOOT_PARAMS, ret_entry);
	return err ? fail(&l, err, GUEST_MEMORY, "no guest memory for the first page tables") : 0;
}
