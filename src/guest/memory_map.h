/*
 * The guest's physical address space: where its memory is, what the loader puts where, and which
 * windows of devices lie above. Only addresses; the memory behind them is core/gmem.h's.
 *
 *   0 ............ A0000    RAM; the loader's structures are in its first 64 KiB
 *   A0000 ........ C0000    nothing (VGA's memory on a PC; the guest has no VGA)
 *   C0000 ....... 100000    RAM full of zeros, reserved: scans for BIOS tables find nothing, but for
 *                           the ACPI tables at E0000 if the guest gets some
 *   100000 ........ SIZE    RAM: the kernel at the address it prefers, the initramfs at the end
 *   above                   the framebuffer and the windows of PCI devices
 */
#ifndef POSTERN_GUEST_MEMORY_MAP_H
#define POSTERN_GUEST_MEMORY_MAP_H

#include "base/types.h"

#define GUEST_LOW_END	  0xa0000ull  /* end of the memory below the hole */
#define GUEST_BIOS_BASE	  0xc0000ull  /* memory again, but reserved */
#define GUEST_HIGH_BASE	  0x100000ull /* memory again */
#define GUEST_ACPI_BASE	  0xe0000ull  /* tables, the RSDP first: guest/acpi.h */
#define GUEST_ACPI_NVS	  0xe3000ull  /* those of them that an OS never reuses */
#define GUEST_ACPI_SIZE	  0x4000u     /* both, in bytes */
#define GUEST_SIZE_MIN	  (32 * MIB)
#define GUEST_SIZE_MAX	  (2 * GIB)
#define GUEST_ADDRESS_END (1ull << 48) /* what 4 levels of second-level tables translate */

/* The loader's structures, whole pages in low memory. */
#define GUEST_GDT	  0x6000ull
#define GUEST_BOOT_PARAMS 0x7000ull
#define GUEST_CMDLINE	  0x8000ull
#define GUEST_PAGE_TABLES 0x9000ull
#define GUEST_STACK_TOP	  0x10000ull

struct guest_range {
	uint64_t base, len;
};

/* ACPI specification 6.4, "INT 15H, E820H": Linux stores the 20 bytes unpadded. */
enum { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4 };

struct e820_entry {
	uint64_t base, len;
	uint32_t type;
} __attribute__((packed));
_Static_assert(sizeof(struct e820_entry) == 20, "e820 entry");

#define GUEST_RAM_RANGES   2u
#define GUEST_E820_ENTRIES 6u
#define GUEST_WINDOWS	   16u

struct guest_map {
	uint64_t size; /* where memory ends: the configured size, hole included */
	struct guest_range kernel, initramfs;
	struct guest_range window[GUEST_WINDOWS];
	unsigned window_count;
};

/* -E_RANGE outside GUEST_SIZE_MIN..MAX, -E_INVAL if it isn't whole pages. */
int guest_map_init(struct guest_map *g, uint64_t size) must_check;

/* The ranges that need memory behind them, ascending; i < GUEST_RAM_RANGES. */
struct guest_range guest_map_ram(const struct guest_map *g, unsigned i);

/* What the guest is told: GUEST_E820_ENTRIES entries. */
void guest_map_e820(
	const struct guest_map *g, struct e820_entry ret_entries[static GUEST_E820_ENTRIES]);

/*
 * Notes that the framebuffer or a device decodes [base, base + len). -E_INVAL (empty, or it wraps),
 * -E_RANGE (below the end of memory, or beyond 48 bits), -E_EXIST (overlaps another window),
 * -E_NOMEM (GUEST_WINDOWS).
 */
int guest_map_add_window(struct guest_map *g, uint64_t base, uint64_t len) must_check;

/* -E_INVAL (not whole pages from 1 MiB on), -E_RANGE (doesn't fit into memory). */
int guest_map_place_kernel(struct guest_map *g, uint64_t base, uint64_t len) must_check;

/*
 * The highest place for len bytes (0: none) whose last byte is at most at last. After the kernel's.
 * -E_RANGE if there is no room above the kernel.
 */
int guest_map_place_initramfs(struct guest_map *g, uint64_t len, uint64_t last) must_check;

#endif
