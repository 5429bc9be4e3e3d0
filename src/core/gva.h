/*
 * Guest-virtual addresses: the walk through the guest's own page tables (none, 32-bit, PAE, 4 and
 * 5 levels), and copies through it. The tables are read through gmem; each entry once. Used for
 * instruction fetch, for the memory operands of emulated instructions, and for hypercalls.
 */
#ifndef POSTERN_CORE_GVA_H
#define POSTERN_CORE_GVA_H

#include "base/types.h"

struct vm;

enum gva_access { GVA_READ = 0, GVA_WRITE = 1, GVA_FETCH = 2 };

/* What the guest's CPU would raise: #PF with this error code and CR2, or #GP (non-canonical). */
struct gva_fault {
	uint8_t vector;
	uint32_t error;
	uint64_t address;
};

/*
 * A translation of 4 KiB under 4 or 5 levels that was found before. It holds as long as the registers
 * and the entries that led to it are what they were, which is looked up each time: nobody has to say
 * when the guest changes its tables.
 */
#define GVA_SLOTS 8u
struct gva_slot {
	uint64_t tag; /* page, access, rights; 0: empty */
	uint64_t cr0, cr3, cr4, efer;
	const uint64_t *at[5];
	uint64_t entry[5];
	unsigned depth;
	uint64_t page; /* guest-physical */
};

/*
 * Translates one linear address for an access by the current privilege level (user: as CPL 3).
 * -E_FAULT with *ret_fault filled. Sets accessed and dirty bits as the CPU does.
 */
int gva_translate(struct vm *vm, uint64_t gva, enum gva_access access, bool user, gpa_t *ret_gpa,
	struct gva_fault *ret_fault) must_check;

/*
 * Copies from or to linear addresses that are backed by guest memory, page by page. -E_FAULT:
 * *ret_fault says why (vector 0: translated, but not guest memory); a prefix may have been copied.
 */
int gva_read(struct vm *vm, uint64_t gva, void *ret_copy, size_t len, enum gva_access access,
	bool user, struct gva_fault *ret_fault) must_check;
int gva_write(struct vm *vm, uint64_t gva, const void *data, size_t len, bool user,
	struct gva_fault *ret_fault) must_check;

#endif
