/* The guest's physical address space; see memory_map.h. Runs before the guest only. */
#include "guest/memory_map.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/mem.h"

#define ACPI_END (GUEST_ACPI_BASE + GUEST_ACPI_SIZE)

int guest_map_init(struct guest_map *g, uint64_t size)
{
	if (size < GUEST_SIZE_MIN || size > GUEST_SIZE_MAX)
		return -E_RANGE;
	if (!is_aligned(size, PAGE_SIZE))
		return -E_INVAL;
	*g = (struct guest_map){.size = size};
	return 0;
}

struct guest_range guest_map_ram(const struct guest_map *g, unsigned i)
{
	if (i == 0)
		return (struct guest_range){0, GUEST_LOW_END};
	return (struct guest_range){GUEST_BIOS_BASE, g->size - GUEST_BIOS_BASE};
}

void guest_map_e820(
	const struct guest_map *g, struct e820_entry ret_entries[static GUEST_E820_ENTRIES])
{
	const struct e820_entry entries[GUEST_E820_ENTRIES] = {
		{0, GUEST_LOW_END, E820_RAM},
		{GUEST_BIOS_BASE, GUEST_ACPI_BASE - GUEST_BIOS_BASE, E820_RESERVED},
		{GUEST_ACPI_BASE, GUEST_ACPI_NVS - GUEST_ACPI_BASE, E820_ACPI},
		{GUEST_ACPI_NVS, ACPI_END - GUEST_ACPI_NVS, E820_NVS},
		{ACPI_END, GUEST_HIGH_BASE - ACPI_END, E820_RESERVED},
		{GUEST_HIGH_BASE, g->size - GUEST_HIGH_BASE, E820_RAM},
	};

	memcpy(ret_entries, entries, sizeof(entries));
}

int guest_map_add_window(struct guest_map *g, uint64_t base, uint64_t len)
{
	if (!len || base > ~0ull - len)
		return -E_INVAL;
	if (base < g->size || !range_fits(base, len, GUEST_ADDRESS_END))
		return -E_RANGE;
	for (unsigned i = 0; i < g->window_count; i++) {
		if (ranges_overlap(base, len, g->window[i].base, g->window[i].len))
			return -E_EXIST;
	}
	if (g->window_count == GUEST_WINDOWS)
		return -E_NOMEM;
	g->window[g->window_count++] = (struct guest_range){base, len};
	return 0;
}

int guest_map_place_kernel(struct guest_map *g, uint64_t base, uint64_t len)
{
	len = align_up(len, PAGE_SIZE);
	if (!len || base < GUEST_HIGH_BASE || !is_aligned(base, PAGE_SIZE))
		return -E_INVAL;
	if (!range_fits(base, len, g->size))
		return -E_RANGE;
	g->kernel = (struct guest_range){base, len};
	return 0;
}

int guest_map_place_initramfs(struct guest_map *g, uint64_t len, uint64_t last)
{
	uint64_t floor = max_u64(g->kernel.base + g->kernel.len, GUEST_HIGH_BASE);
	uint64_t end = min_u64(g->size, last == ~0ull ? last : last + 1);
	uint64_t base;

	if (!len) {
		g->initramfs = (struct guest_range){0, 0};
		return 0;
	}
	if (len > end)
		return -E_RANGE;
	base = align_down(end - len, PAGE_SIZE);
	if (base < floor)
		return -E_RANGE;
	g->initramfs = (struct guest_range){base, len};
	return 0;
}
