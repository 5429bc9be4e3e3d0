/*
 * Programs in the PE32+ format as UEFI loads them: "Microsoft PE and COFF Specification" (rev. 11), and
 * UEFI specification 2.10, "UEFI Images". Reads a file that may be anything, and knows nothing of who
 * loads it: Postern asks whether a file is a program, the guest's firmware loads it.
 */
#ifndef POSTERN_GUEST_PE_H
#define POSTERN_GUEST_PE_H

#include "base/types.h"

struct pe {
	const uint8_t *file;
	size_t len;
	uint32_t size;	      /* bytes of the image in memory */
	uint32_t alignment;   /* of its sections, and so of its place; a power of two */
	uint32_t headers;     /* bytes of the file that belong to the front of the image */
	uint32_t entry;	      /* offset in the image */
	uint64_t preferred;   /* where it was linked to be */
	uint32_t sections_at; /* offset in the file */
	uint16_t section_count;
	uint32_t relocations_at, relocations_len; /* offset in the image */
	bool fixed; /* has no relocations: only its preferred place will do */
};

/*
 * Reads the headers. -E_INVAL (not PE), -E_NOTSUP (not a 64-bit x86 EFI program), -E_TRUNCATED,
 * -E_CORRUPT. The file has to stay as long as *ret_pe is used.
 */
int pe_parse(const void *file, size_t len, struct pe *ret_pe) must_check;

/*
 * Puts the image into memory of pe->size bytes, for an address where it is going to run. -E_CORRUPT,
 * -E_NOTSUP (a kind of relocation that x86 hasn't; or a fixed image, and not its place); then there is
 * a part of it.
 */
int pe_load(const struct pe *pe, void *memory, uint64_t address) must_check;

#endif
