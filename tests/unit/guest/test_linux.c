/*
 * The loader, over guest memory in several pieces and a kernel file made here: what ends up where, and
 * each header that it must refuse.
 */
#include "guest/linux.h"
#include "base/error.h"
#include "guest/bootparam.h"
#include "test.h"

#define SIZE	  (32 * MIB)
#define SETUP	  1024u /* one sector and the boot sector */
#define PROPER	  4096u
#define PREFERRED 0x1000000ull
#define INIT	  0x200000u

static uint8_t *memory;
static struct gmem gmem;
static struct guest_map map;
static uint8_t file[SETUP + PROPER];
static struct setup_header header;
static struct guest_linux_params params;
static struct guest_entry entry;
static struct guest_error error;

/* Guest memory from pieces that don't lie side by side in the host. */
static void make_memory(void)
{
	static const struct guest_range pieces[] = {{0, GUEST_LOW_END},
		{GUEST_BIOS_BASE, 16 * MIB - GUEST_BIOS_BASE}, {16 * MIB, 4096},
		{16 * MIB + 4096, SIZE - 16 * MIB - 4096}};
	uint64_t at = SIZE;

	free(memory);
	memory = aligned_alloc(PAGE_SIZE, SIZE);
	memset(memory, 0, SIZE);
	memset(&gmem, 0, sizeof(gmem));
	for (unsigned i = 0; i < array_size(pieces); i++) {
		struct guest_range r = pieces[i];

		at -= r.len;
		CHECK_EQ(gmem_add(&gmem, (struct gmem_run){gpa(r.base), hpa((uintptr_t)memory + at),
						 r.len, memory + at}),
			0);
	}
}

static void make_all(void)
{
	make_memory();
	CHECK_EQ(guest_map_init(&map, SIZE), 0);
	for (unsigned i = 0; i < sizeof(file); i++)
		file[i] = (uint8_t)(i * 7 + (i >> 8));
	header = (struct setup_header){
		.setup_sects = 1,
		.syssize = PROPER / 16,
		.boot_flag = SETUP_BOOT_FLAG,
		.jump_opcode = 0xeb,
		.jump_distance = 0x6a,
		.header = SETUP_HEADER_MAGIC,
		.version = 0x20f,
		.loadflags = LOADFLAG_LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.relocatable_kernel = 1,
		.xloadflags = XLOADFLAG_KERNEL_64,
		.cmdline_size = 2047,
		.payload_offset = 0x300,
		.payload_length = 0x400,
		.setup_data = 0x1234,
		.pref_address = PREFERRED,
		.init_size = INIT,
	};
	params = (struct guest_linux_params){
		.kernel = file,
		.kernel_len = sizeof(file),
		.cmdline = "quiet",
	};
	memset(&entry, 0xaa, sizeof(entry));
}

static int load(void)
{
	memcpy(file + SETUP_HEADER_OFFSET, &header, sizeof(header));
	return guest_load_linux(&gmem, &map, &params, &entry, &error);
}

static void read_guest(uint64_t at, void *ret, size_t len)
{
	CHECK_EQ(gmem_read(&gmem, gpa(at), ret, len), 0);
}

static uint64_t read64(uint64_t at)
{
	uint64_t v = 0;

	read_guest(at, &v, sizeof(v));
	return v;
}

static struct boot_params read_boot_params(void)
{
	struct boot_params b = {0};

	read_guest(entry.rsi, &b, sizeof(b));
	return b;
}

static void test_kernel(void)
{
	uint8_t loaded[PROPER + 16] = {0};

	make_all();
	CHECK_EQ(load(), 0);
	CHECK_EQ(entry.rip, PREFERRED + 0x200);
	read_guest(PREFERRED, loaded, sizeof(loaded));
	CHECK(!memcmp(loaded, file + SETUP, PROPER));
	for (unsigned i = 0; i < 16; i++)
		CHECK_EQ(loaded[PROPER + i], 0);
	CHECK_EQ(map.kernel.base, PREFERRED);
	CHECK_EQ(map.kernel.len, INIT);
}

static void test_boot_params(void)
{
	struct boot_params b;
	char cmdline[64] = "";

	make_all();
	params.tsc_khz = 2904000;
	CHECK_EQ(load(), 0);
	b = read_boot_params();
	CHECK_EQ(b.hdr.header, SETUP_HEADER_MAGIC);
	CHECK_EQ(b.hdr.type_of_loader, 0xff);
	CHECK_EQ(b.hdr.setup_data, 0);
	CHECK_EQ(b.acpi_rsdp_addr, 0);
	CHECK_EQ(b.hdr.ramdisk_image, 0);
	CHECK_EQ(b.hdr.ramdisk_size, 0);
	CHECK_EQ(b.hdr.pref_address, PREFERRED);
	CHECK_EQ(b.e820_entries, GUEST_E820_ENTRIES);
	CHECK_EQ(b.e820[5].base + b.e820[5].len, SIZE);
	CHECK_EQ(b.screen_info.type, 0);
	CHECK_EQ(b.reserved3[0x1ef - 0x1e9], 0); /* the sentinel */
	/* Nothing of the file behind the header's own end. */
	CHECK_EQ(b.hdr_bytes[0x202 + 0x6a - SETUP_HEADER_OFFSET], 0);
	read_guest(b.hdr.cmd_line_ptr, cmdline, sizeof(cmdline));
	CHECK(!strcmp(cmdline, "quiet tsc_early_khz=2904000"));
}

static void test_cmdline(void)
{
	char text[2100], got[2100];

	make_all();
	params.cmdline = "";
	params.tsc_khz = 1;
	CHECK_EQ(load(), 0);
	read_guest(GUEST_CMDLINE, got, sizeof(got));
	CHECK(!strcmp(got, "tsc_early_khz=1"));

	make_all();
	memset(text, 'a', sizeof(text));
	text[2047] = '\0';
	params.cmdline = text;
	CHECK_EQ(load(), 0);
	read_guest(GUEST_CMDLINE, got, sizeof(got));
	CHECK_EQ(strlen(got), 2047);
	params.tsc_khz = 1;
	CHECK_EQ(load(), -E_RANGE);
	CHECK_EQ(error.part, GUEST_CMDLINE_TEXT);
	CHECK(strstr(error.text, "the kernel takes 2047") != NULL);
	header.cmdline_size = 0xffffffff;
	CHECK_EQ(load(), 0);
}

static void test_initramfs(void)
{
	static uint8_t initramfs[3 * 4096 + 5], got[sizeof(initramfs)];
	struct boot_params b;

	make_all();
	for (unsigned i = 0; i < sizeof(initramfs); i++)
		initramfs[i] = (uint8_t)(i * 13);
	params.initramfs = initramfs;
	params.initramfs_len = sizeof(initramfs);
	CHECK_EQ(load(), 0);
	b = read_boot_params();
	CHECK_EQ(b.hdr.ramdisk_image, SIZE - 4 * 4096);
	CHECK_EQ(b.hdr.ramdisk_size, sizeof(initramfs));
	CHECK_EQ(b.ext_ramdisk_image, 0);
	read_guest(b.hdr.ramdisk_image, got, sizeof(got));
	CHECK(!memcmp(got, initramfs, sizeof(got)));
}

static void test_screen(void)
{
	struct guest_framebuffer fb = {
		0x1280000000ull, 1024 * 768 * 4, 1024, 768, 4096, 16, 8, 8, 8, 0, 8};
	struct boot_params b;

	make_all();
	params.framebuffer = &fb;
	CHECK_EQ(load(), 0);
	b = read_boot_params();
	CHECK_EQ(b.screen_info.type, VIDEO_TYPE_EFI);
	CHECK_EQ(b.screen_info.lfb_base, 0x80000000);
	CHECK_EQ(b.screen_info.ext_lfb_base, 0x12);
	CHECK_EQ(b.screen_info.capabilities, VIDEO_CAPABILITY_64BIT_BASE);
	CHECK_EQ(b.screen_info.lfb_width, 1024);
	CHECK_EQ(b.screen_info.lfb_height, 768);
	CHECK_EQ(b.screen_info.lfb_depth, 32);
	CHECK_EQ(b.screen_info.lfb_linelength, 4096);
	CHECK_EQ(b.screen_info.lfb_size, 1024 * 768 * 4);
	CHECK_EQ(b.screen_info.red_pos, 16);
	CHECK_EQ(map.window_count, 1);
	CHECK_EQ(map.window[0].base, 0x1280000000ull);
}

static void check_screen_refused(struct guest_framebuffer fb)
{
	make_all();
	params.framebuffer = &fb;
	CHECK(load() != 0);
	CHECK_EQ(error.part, GUEST_DISPLAY);
}

static void test_screen_refused(void)
{
	struct guest_framebuffer good = {0x80000000, 4096 * 4, 1024, 4, 4096, 16, 8, 8, 8, 0, 8}, f;

	f = good, f.stride = 4092, check_screen_refused(f);
	f = good, f.stride = 0, check_screen_refused(f);
	f = good, f.width = 0, check_screen_refused(f);
	f = good, f.height = 5, check_screen_refused(f);
	f = good, f.base = SIZE - 4096, check_screen_refused(f);
	f = good, f.base = ~0ull - 100, check_screen_refused(f);
}

/* Walks the tables as the CPU does; false where nothing is mapped. */
static bool walk(uint64_t linear, uint64_t *ret)
{
	uint64_t table = entry.cr3.v, e = 0;

	for (unsigned shift = 39; shift >= 21; shift -= 9) {
		e = read64((table & ~0xfffull) + (linear >> shift & 511) * 8);
		if (!(e & 1))
			return false;
		table = e & 0xffffffffff000ull;
	}
	CHECK(e & 0x80);
	*ret = table + (linear & (LARGE_SIZE - 1));
	return true;
}

static void test_page_tables(void)
{
	static const uint64_t mapped[] = {0, PREFERRED + 0x200, SIZE - 1, 0x80000000, 0xffffffff};
	uint64_t to;

	make_all();
	CHECK_EQ(load(), 0);
	for (unsigned i = 0; i < array_size(mapped); i++) {
		CHECK(walk(mapped[i], &to));
		CHECK_EQ(to, mapped[i]);
	}
	CHECK(!walk(1ull << 32, &to));
	CHECK(!walk(1ull << 39, &to));
	CHECK_EQ(read64(entry.gdt.v + 0x10) >> 40 & 0xff, 0x9b);
	CHECK_EQ(read64(entry.gdt.v + 0x10) >> 53 & 1, 1); /* L */
	CHECK_EQ(read64(entry.gdt.v + 0x18) >> 40 & 0xff, 0x93);
	CHECK_EQ(entry.gdt_limit, 31);
	CHECK(entry.rsp <= GUEST_LOW_END && entry.rsp > GUEST_PAGE_TABLES + 6 * PAGE_SIZE);
}

static void check_refused(int code, enum guest_part part)
{
	struct guest_entry untouched;

	memset(&untouched, 0xaa, sizeof(untouched));
	error.text[0] = '\0';
	CHECK_EQ(load(), code);
	CHECK_EQ(error.part, part);
	CHECK(*error.text);
	CHECK(!memcmp(&entry, &untouched, sizeof(entry)));
}

#define REFUSED(change, code, part)                                                                \
	do {                                                                                       \
		make_all();                                                                        \
		change;                                                                            \
		check_refused(code, part);                                                         \
	} while (0)

static void test_refused(void)
{
	REFUSED(header.boot_flag = 0, -E_INVAL, GUEST_KERNEL);
	REFUSED(header.header = 0x53726449, -E_INVAL, GUEST_KERNEL);
	REFUSED(header.version = 0x20b, -E_NOTSUP, GUEST_KERNEL);
	REFUSED(header.jump_distance = 0x60, -E_INVAL, GUEST_KERNEL);
	REFUSED(header.xloadflags = 0, -E_NOTSUP, GUEST_KERNEL);
	REFUSED(header.loadflags = 0, -E_NOTSUP, GUEST_KERNEL);
	REFUSED(header.setup_sects = 2, -E_TRUNCATED, GUEST_KERNEL);
	REFUSED(header.setup_sects = 0, -E_TRUNCATED, GUEST_KERNEL);
	REFUSED(header.setup_sects = 255, -E_TRUNCATED, GUEST_KERNEL);
	REFUSED(header.syssize++, -E_TRUNCATED, GUEST_KERNEL);
	REFUSED(header.syssize = 0xffffffff, -E_TRUNCATED, GUEST_KERNEL);
	REFUSED(header.syssize = 0x20, -E_INVAL, GUEST_KERNEL);
	REFUSED(header.payload_offset = 0xffffffff, -E_INVAL, GUEST_KERNEL);
	REFUSED(header.payload_length = 0xffffffff, -E_INVAL, GUEST_KERNEL);
	REFUSED(header.init_size = PROPER - 1, -E_INVAL, GUEST_KERNEL);
	REFUSED(header.init_size = 0xffffffff, -E_RANGE, GUEST_MEMORY);
	REFUSED(header.init_size = 16 * MIB + 1, -E_RANGE, GUEST_MEMORY);
	REFUSED(header.pref_address = 0, -E_INVAL, GUEST_KERNEL);
	REFUSED(header.pref_address = 0x1000001, -E_INVAL, GUEST_KERNEL);
	REFUSED(header.pref_address = 0xfffffffffffff000, -E_RANGE, GUEST_MEMORY);
	REFUSED(params.initramfs_len = 15 * MIB, -E_RANGE, GUEST_MEMORY);
	REFUSED(params.initramfs_len = ~0ull, -E_RANGE, GUEST_MEMORY);
	make_all();
	header.init_size = 64 * MIB;
	check_refused(-E_RANGE, GUEST_MEMORY);
	CHECK(!strcmp(error.text, "the kernel needs 80 MiB, and there are 32"));
}

/* Whatever the header says of itself, a file that is cut short is refused. */
static void test_truncated(void)
{
	make_all();
	memcpy(file + SETUP_HEADER_OFFSET, &header, sizeof(header));
	for (size_t n = 0; n < sizeof(file); n += n < 700 ? 1 : 111) {
		uint8_t *cut = malloc(n ? n : 1); /* so that a read behind its end is caught */

		memcpy(cut, file, n);
		params.kernel = cut;
		params.kernel_len = n;
		CHECK_EQ(guest_load_linux(&gmem, &map, &params, &entry, &error), -E_TRUNCATED);
		free(cut);
	}
}

/* A map without memory behind it is noticed, not written to. */
static void test_no_memory(void)
{
	make_all();
	gmem.count = 3;
	params.initramfs = file;
	params.initramfs_len = 100;
	check_refused(-E_FAULT, GUEST_MEMORY);
	gmem.count = 0;
	check_refused(-E_FAULT, GUEST_MEMORY);
}

int main(void)
{
	RUN(test_kernel);
	RUN(test_boot_params);
	RUN(test_cmdline);
	RUN(test_initramfs);
	RUN(test_screen);
	RUN(test_screen_refused);
	RUN(test_page_tables);
	RUN(test_refused);
	RUN(test_truncated);
	RUN(test_no_memory);
	free(memory);
	return TEST_RESULT();
}
