/*
 * What Postern hands to the guest's firmware (src/guest/firmware), which then has all to itself: one
 * struct in guest memory, at the address that it gets in RSI. Shared by both, so plain layouts only.
 * Addresses are guest-physical.
 */
#ifndef POSTERN_GUEST_FIRMWARE_ABI_H
#define POSTERN_GUEST_FIRMWARE_ABI_H

#include "guest/memory_map.h"

/* Where the firmware is linked to be, and what it may take there, its stack and data included. */
#define FIRMWARE_BASE	  0x100000ull
#define FIRMWARE_SIZE	  0x100000ull

#define FIRMWARE_MAGIC	  0x4645544eu /* "NTEF" */
#define FIRMWARE_PATH_MAX 256u

struct firmware_framebuffer {
	uint64_t base;
	uint32_t size, width, height, stride; /* bytes, pixels, pixels, bytes per line */
	uint32_t red_mask, green_mask, blue_mask, reserved_mask;
};

struct firmware_handover {
	uint32_t magic;
	uint32_t tsc_khz;
	struct guest_range ram[GUEST_RAM_RANGES]; /* what programs may use, ascending */
	struct guest_range image;		 /* the program's file, which is gone when loaded */
	struct guest_range initramfs;		 /* empty: none */
	struct guest_range options;		 /* the command line in UTF-8; empty: none */
	struct firmware_framebuffer framebuffer; /* size 0: none */
	uint64_t rsdp, smbios;			 /* tables for the program; 0: none */
	char path[FIRMWARE_PATH_MAX];		 /* where the program came from; ends with a NUL */
};
_Static_assert(sizeof(struct firmware_handover) <= PAGE_SIZE, "one page");
_Static_assert(offsetof(struct firmware_handover, ram) == 8, "layout");
_Static_assert(offsetof(struct firmware_handover, framebuffer) == 88, "layout");
_Static_assert(offsetof(struct firmware_handover, path) == 144, "layout");

#endif
