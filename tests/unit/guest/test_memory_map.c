/* The guest's address space: what is memory, what the guest is told, and what may lie where. */
#include "guest/memory_map.h"
#include "base/error.h"
#include "test.h"

static struct guest_map map;

static void test_size(void)
{
	CHECK_EQ(guest_map_init(&map, 32 * MIB), 0);
	CHECK_EQ(guest_map_init(&map, 2 * GIB), 0);
	CHECK_EQ(guest_map_init(&map, 0), -E_RANGE);
	CHECK_EQ(guest_map_init(&map, 32 * MIB - PAGE_SIZE), -E_RANGE);
	CHECK_EQ(guest_map_init(&map, 2 * GIB + PAGE_SIZE), -E_RANGE);
	CHECK_EQ(guest_map_init(&map, ~0ull), -E_RANGE);
	CHECK_EQ(guest_map_init(&map, 64 * MIB + 512), -E_INVAL);
	CHECK_EQ(map.size, 2 * GIB); /* what failed changed nothing */
}

/* All that is memory or nothing, each byte once; no usable memory that has none behind it. */
static void test_e820(void)
{
	struct e820_entry e[GUEST_E820_ENTRIES];
	uint64_t told = 0, behind = 0;

	CHECK_EQ(guest_map_init(&map, 256 * MIB), 0);
	guest_map_e820(&map, e);
	CHECK_EQ(e[0].base, 0);
	CHECK_EQ(e[0].len, 0xa0000);
	CHECK_EQ(e[0].type, E820_RAM);
	CHECK_EQ(e[1].base, 0xc0000);
	CHECK_EQ(e[1].len, 0x20000);
	CHECK_EQ(e[1].type, E820_RESERVED);
	CHECK_EQ(e[2].base, GUEST_ACPI_BASE);
	CHECK_EQ(e[2].type, E820_ACPI);
	CHECK_EQ(e[3].base, GUEST_ACPI_NVS);
	CHECK_EQ(e[3].type, E820_NVS);
	CHECK_EQ(e[4].type, E820_RESERVED);
	CHECK_EQ(e[4].base + e[4].len, 0x100000);
	CHECK_EQ(e[5].base, 0x100000);
	CHECK_EQ(e[5].base + e[5].len, 256 * MIB);
	CHECK_EQ(e[5].type, E820_RAM);
	for (unsigned i = 0; i < GUEST_E820_ENTRIES; i++)
		told += e[i].len;
	for (unsigned i = 0; i < GUEST_RAM_RANGES; i++)
		behind += guest_map_ram(&map, i).len;
	CHECK_EQ(told, 256 * MIB - 0x20000);
	CHECK_EQ(behind, told);
	CHECK_EQ(guest_map_ram(&map, 1).base, 0xc0000);
}

static void test_windows(void)
{
	CHECK_EQ(guest_map_init(&map, 256 * MIB), 0);
	CHECK_EQ(guest_map_add_window(&map, 0x80000000, 0), -E_INVAL);
	CHECK_EQ(guest_map_add_window(&map, ~0ull - 10, 100), -E_INVAL);
	CHECK_EQ(guest_map_add_window(&map, ~0ull, 1), -E_INVAL);
	CHECK_EQ(guest_map_add_window(&map, 0xa0000, 0x20000), -E_RANGE);
	CHECK_EQ(guest_map_add_window(&map, 256 * MIB - 1, 2), -E_RANGE);
	CHECK_EQ(guest_map_add_window(&map, (1ull << 48) - 1, 2), -E_RANGE);
	CHECK_EQ(guest_map_add_window(&map, 256 * MIB, PAGE_SIZE), 0);
	CHECK_EQ(guest_map_add_window(&map, 0x80000000, 0x1000000), 0);
	CHECK_EQ(guest_map_add_window(&map, 0x80ffffff, 1), -E_EXIST);
	CHECK_EQ(guest_map_add_window(&map, 0x7fffffff, 2), -E_EXIST);
	CHECK_EQ(guest_map_add_window(&map, 0x81000000, PAGE_SIZE), 0);
	CHECK_EQ(map.window_count, 3);
	while (map.window_count < GUEST_WINDOWS)
		CHECK_EQ(guest_map_add_window(&map, 0x90000000 + map.window_count, 1), 0);
	CHECK_EQ(guest_map_add_window(&map, 0xa0000000, 1), -E_NOMEM);
}

static void test_kernel(void)
{
	CHECK_EQ(guest_map_init(&map, 64 * MIB), 0);
	CHECK_EQ(guest_map_place_kernel(&map, 0, PAGE_SIZE), -E_INVAL);
	CHECK_EQ(guest_map_place_kernel(&map, 16 * MIB + 1, PAGE_SIZE), -E_INVAL);
	CHECK_EQ(guest_map_place_kernel(&map, 16 * MIB, 0), -E_INVAL);
	CHECK_EQ(guest_map_place_kernel(&map, 16 * MIB, 48 * MIB + 1), -E_RANGE);
	CHECK_EQ(guest_map_place_kernel(&map, 16 * MIB, ~0ull), -E_RANGE);
	CHECK_EQ(guest_map_place_kernel(&map, ~0ull - 4095, PAGE_SIZE), -E_RANGE);
	CHECK_EQ(guest_map_place_kernel(&map, 16 * MIB, 48 * MIB), 0);
	CHECK_EQ(map.kernel.len, 48 * MIB);
}

static void test_initramfs(void)
{
	CHECK_EQ(guest_map_init(&map, 64 * MIB), 0);
	CHECK_EQ(guest_map_place_kernel(&map, 16 * MIB, 16 * MIB), 0);
	CHECK_EQ(guest_map_place_initramfs(&map, 5000, ~0ull), 0);
	CHECK_EQ(map.initramfs.base, 64 * MIB - 8192);
	CHECK_EQ(map.initramfs.len, 5000);
	CHECK_EQ(guest_map_place_initramfs(&map, 5000, 48 * MIB - 1), 0);
	CHECK_EQ(map.initramfs.base, 48 * MIB - 8192);
	CHECK_EQ(guest_map_place_initramfs(&map, 32 * MIB, 0x7fffffff), 0);
	CHECK_EQ(map.initramfs.base, 32 * MIB);
	CHECK_EQ(guest_map_place_initramfs(&map, 32 * MIB + 1, 0x7fffffff), -E_RANGE);
	CHECK_EQ(guest_map_place_initramfs(&map, ~0ull, ~0ull), -E_RANGE);
	CHECK_EQ(guest_map_place_initramfs(&map, 1, 0), -E_RANGE);
	CHECK_EQ(map.initramfs.base, 32 * MIB);
	CHECK_EQ(guest_map_place_initramfs(&map, 0, 0), 0);
	CHECK_EQ(map.initramfs.base, 0);
}

int main(void)
{
	RUN(test_size);
	RUN(test_e820);
	RUN(test_windows);
	RUN(test_kernel);
	RUN(test_initramfs);
	return TEST_RESULT();
}
