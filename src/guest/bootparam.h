/*
 * Linux's structures at boot, as the x86 boot protocol lays them out: "The Linux/x86 Boot Protocol" and
 * "Zero Page" (Documentation/x86/boot.rst and zero-page.rst, Linux 6.1). Only the fields that Postern
 * reads or writes have names. Little-endian, and so is every machine that this runs on.
 */
#ifndef POSTERN_GUEST_BOOTPARAM_H
#define POSTERN_GUEST_BOOTPARAM_H

#include "guest/memory_map.h"

#define PACKED __attribute__((packed))

/* "Zero Page": screen_info. */
struct screen_info {
	uint8_t text_mode[15]; /* the legacy text screen: none */
	uint8_t type;	       /* orig_video_isVGA */
	uint16_t points;
	uint16_t lfb_width, lfb_height, lfb_depth;
	uint32_t lfb_base, lfb_size;
	uint32_t reserved0;
	uint16_t lfb_linelength;
	uint8_t red_size, red_pos, green_size, green_pos, blue_size, blue_pos, rsvd_size, rsvd_pos;
	uint8_t vesa[8];
	uint32_t capabilities;
	uint32_t ext_lfb_base;
	uint8_t reserved1[2];
} PACKED;
_Static_assert(sizeof(struct screen_info) == 0x40, "screen_info");
_Static_assert(offsetof(struct screen_info, type) == 0x0f, "screen_info");
_Static_assert(offsetof(struct screen_info, lfb_base) == 0x18, "screen_info");
_Static_assert(offsetof(struct screen_info, lfb_linelength) == 0x24, "screen_info");
_Static_assert(offsetof(struct screen_info, capabilities) == 0x36, "screen_info");
_Static_assert(offsetof(struct screen_info, ext_lfb_base) == 0x3a, "screen_info");

#define VIDEO_TYPE_EFI		    0x70u
#define VIDEO_CAPABILITY_64BIT_BASE (1u << 1)

/* "The Real-Mode Kernel Header": offset 1F1h of the file and of boot_params. */
#define SETUP_HEADER_OFFSET	    0x1f1u
#define SETUP_HEADER_MAGIC	    0x53726448u /* "HdrS" */
#define SETUP_BOOT_FLAG		    0xaa55u
#define SETUP_VERSION_MIN	    0x020cu /* xloadflags */
#define SETUP_SECTOR		    512u
#define SETUP_ENTRY_64		    0x200u /* of the 64-bit entry behind the start of the kernel proper */

struct setup_header {
	uint8_t setup_sects; /* 0 means 4 */
	uint16_t root_flags;
	uint32_t syssize; /* of the kernel proper, in 16 bytes */
	uint16_t ram_size, vid_mode, root_dev, boot_flag;
	uint8_t jump_opcode, jump_distance; /* over the rest of the header: says its end */
	uint32_t header;
	uint16_t version;
	uint32_t realmode_swtch;
	uint16_t start_sys_seg, kernel_version;
	uint8_t type_of_loader, loadflags;
	uint16_t setup_move_size;
	uint32_t code32_start, ramdisk_image, ramdisk_size, bootsect_kludge;
	uint16_t heap_end_ptr;
	uint8_t ext_loader_ver, ext_loader_type;
	uint32_t cmd_line_ptr, initrd_addr_max, kernel_alignment;
	uint8_t relocatable_kernel, min_alignment;
	uint16_t xloadflags;
	uint32_t cmdline_size; /* without the NUL */
	uint32_t hardware_subarch;
	uint64_t hardware_subarch_data;
	uint32_t payload_offset, payload_length;
	uint64_t setup_data, pref_address;
	uint32_t init_size, handover_offset;
} PACKED;

/* The last field that version 2.12 has; a later header may go on to the end that jump_distance says. */
#define SETUP_HEADER_SIZE_MIN (offsetof(struct setup_header, handover_offset) + 4)
#define SETUP_HEADER_SIZE_MAX 0x9fu /* as much as boot_params has room for */
/* Where jump_distance counts from. */
#define SETUP_JUMP_END	      (offsetof(struct setup_header, jump_distance) + 1)

#define SETUP_AT(field, at)                                                                        \
	_Static_assert(SETUP_HEADER_OFFSET + offsetof(struct setup_header, field) == (at), #field)
SETUP_AT(syssize, 0x1f4);
SETUP_AT(boot_flag, 0x1fe);
SETUP_AT(header, 0x202);
SETUP_AT(type_of_loader, 0x210);
SETUP_AT(ramdisk_image, 0x218);
SETUP_AT(cmd_line_ptr, 0x228);
SETUP_AT(initrd_addr_max, 0x22c);
SETUP_AT(xloadflags, 0x236);
SETUP_AT(cmdline_size, 0x238);
SETUP_AT(payload_offset, 0x248);
SETUP_AT(pref_address, 0x258);
SETUP_AT(init_size, 0x260);

#define LOADFLAG_LOADED_HIGH  (1u << 0)
#define XLOADFLAG_KERNEL_64   (1u << 0)
#define LOADER_TYPE_UNDEFINED 0xffu

#define BOOT_E820_MAX	      128u

/* "Zero Page": boot_params. */
struct boot_params {
	struct screen_info screen_info;
	uint8_t reserved0[0x70 - 0x40];
	uint64_t acpi_rsdp_addr;
	uint8_t reserved1[0xc0 - 0x78];
	uint32_t ext_ramdisk_image, ext_ramdisk_size, ext_cmd_line_ptr;
	uint8_t reserved2[0x1e8 - 0xcc];
	uint8_t e820_entries;
	uint8_t reserved3[SETUP_HEADER_OFFSET - 0x1e9];
	union {
		struct setup_header hdr;
		uint8_t hdr_bytes[SETUP_HEADER_SIZE_MAX];
	};
	uint8_t reserved4[0x2d0 - 0x290];
	struct e820_entry e820[BOOT_E820_MAX];
	uint8_t reserved5[0x1000 - 0xcd0];
} PACKED;
_Static_assert(sizeof(struct boot_params) == 0x1000, "boot_params");
_Static_assert(offsetof(struct boot_params, acpi_rsdp_addr) == 0x70, "boot_params");
_Static_assert(offsetof(struct boot_params, ext_ramdisk_image) == 0xc0, "boot_params");
_Static_assert(offsetof(struct boot_params, e820_entries) == 0x1e8, "boot_params");
_Static_assert(offsetof(struct boot_params, hdr) == SETUP_HEADER_OFFSET, "boot_params");
_Static_assert(offsetof(struct boot_params, e820) == 0x2d0, "boot_params");

#endif
