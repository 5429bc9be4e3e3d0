/*
 * The guest's memory by page, as UEFI's memory map has it: UEFI specification 2.10, "Memory Allocation
 * Services". Only the bookkeeping; it never touches the memory.
 */
#ifndef POSTERN_FIRMWARE_PAGES_H
#define POSTERN_FIRMWARE_PAGES_H

#include <efi.h>

#include "base/types.h"

/* Neighbours of one type are one range, so that this is far more than programs come to. */
#define PAGE_RANGES 256u

struct page_range {
	uint64_t base, pages;
	EFI_MEMORY_TYPE type; /* EfiConventionalMemory: free */
};

struct page_map {
	struct page_range range[PAGE_RANGES]; /* ascending, no overlap */
	unsigned count;
	uint64_t key; /* another one after each change */
};

/* Adds memory above all others. -E_INVAL (empty, not whole pages, out of order), -E_NOMEM. */
int pages_add(struct page_map *m, uint64_t base, uint64_t len, EFI_MEMORY_TYPE type) must_check;

/*
 * Gives [base, base + pages) a type. Every page has to be of the type from. -E_INVAL, -E_NOENT (not all
 * of that type), -E_NOMEM (no room for more ranges).
 */
int pages_change(struct page_map *m, uint64_t base, uint64_t pages, EFI_MEMORY_TYPE from,
	EFI_MEMORY_TYPE type) must_check;

/*
 * The highest free pages whose last byte is at most at last, on a multiple of align (a power of two, at
 * least PAGE_SIZE). -E_INVAL, -E_NOMEM.
 */
int pages_take(struct page_map *m, uint64_t pages, uint64_t align, uint64_t last,
	EFI_MEMORY_TYPE type, uint64_t *ret_base) must_check;

/* Makes pages free that have one type and aren't free. -E_INVAL, -E_NOENT, -E_NOMEM. */
int pages_free(struct page_map *m, uint64_t base, uint64_t pages) must_check;

#endif
