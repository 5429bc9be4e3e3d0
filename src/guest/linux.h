/*
 * Loads a Linux kernel (or a program that looks like one) for its 64-bit entry, as "The Linux/x86 Boot
 * Protocol" describes it under "64-bit BOOT PROTOCOL": the kernel proper at the address that it prefers,
 * the initramfs, boot_params, and the CPU's first page tables and descriptors, all in guest memory.
 */
#ifndef POSTERN_GUEST_LINUX_H
#define POSTERN_GUEST_LINUX_H

#include "core/gmem.h"
#include "guest/entry.h"
#include "guest/memory_map.h"

/* A linear framebuffer of 32 bits per pixel; positions and sizes of the colours in bits. */
struct guest_framebuffer {
	uint64_t base;
	uint32_t size; /* bytes */
	uint16_t width, height;
	uint16_t stride; /* bytes per line */
	uint8_t red_pos, red_size, green_pos, green_size, blue_pos, blue_size;
};

struct guest_linux_params {
	const void *kernel; /* the whole bzImage, in memory of ours */
	size_t kernel_len;
	const void *initramfs;
	size_t initramfs_len; /* 0: none */
	const char *cmdline;
	uint32_t tsc_khz; /* handed over on the command line; 0: the guest measures it */
	const struct guest_framebuffer *framebuffer; /* NULL: none */
	bool acpi; /* tables will be at GUEST_ACPI_BASE before the guest runs: guest/acpi.h */
};

/* Which of the things that a user configures is wrong, and how. */
enum guest_part {
	GUEST_KERNEL,
	GUEST_INITRAMFS,
	GUEST_CMDLINE_TEXT,
	GUEST_MEMORY,
	GUEST_DISPLAY,
	GUEST_VARIABLES
};

struct guest_error {
	enum guest_part part;
	char text[120];
};

/*
 * Guest memory behind map's ranges has been added to m and is zero; the places in map are set here. A
 * framebuffer becomes one of its windows. -E_INVAL, -E_TRUNCATED, -E_NOTSUP, -E_RANGE or -E_FAULT
 * with the user's reason in *ret_error; guest memory may then hold a part of all this.
 */
int guest_load_linux(struct gmem *m, struct guest_map *map, const struct guest_linux_params *p,
	struct guest_entry *ret_entry, struct guest_error *ret_error) must_check;

#endif
