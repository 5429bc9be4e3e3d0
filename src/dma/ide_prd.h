/*
 * Physical region descriptors, the scatter list of a bus-master IDE controller: the guest's table
 * is read once, checked, and written as a shadow table with host addresses. Pure but for guest
 * memory. Programming Interface for Bus Master IDE Controller, revision 1.0, "Physical Region
 * Descriptor Table". On the exit path.
 */
#ifndef POSTERN_DMA_IDE_PRD_H
#define POSTERN_DMA_IDE_PRD_H

#include "base/types.h"
#include "core/gmem.h"

struct ide_prd {
	uint32_t address;
	uint16_t count; /* bytes; 0 is 64 KiB */
	uint16_t flags;
};
_Static_assert(sizeof(struct ide_prd) == 8, "a descriptor has two dwords");
_Static_assert(offsetof(struct ide_prd, count) == 4, "the count is the second dword's lower half");

#define IDE_PRD_END	   0x8000u
#define IDE_PRD_TABLE_SIZE (64 * KIB) /* a table lies in one 64 KiB block, and so is never longer */
#define IDE_PRD_MAX	   (IDE_PRD_TABLE_SIZE / sizeof(struct ide_prd))

/*
 * Builds the shadow of the guest's table at `table` in shadow[IDE_PRD_MAX], each entry inside one
 * contiguous piece of host memory and one 64 KiB block of it. Beyond the real controller, a guest
 * may let its table or a region cross a 64 KiB boundary.
 *
 * -E_FAULT: table or region outside guest memory. -E_INVAL: odd address or count. -E_RANGE: no
 * end mark within 64 KiB of table, more bytes than one command can move, or host memory above
 * 4 GiB. -E_NOMEM: the shadow has no room for the pieces. After an error the shadow is garbage.
 */
int ide_prd_build(const struct gmem *m, gpa_t table, struct ide_prd *shadow) must_check;

#endif
