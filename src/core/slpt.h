/*
 * Second-level page tables: guest-physical to host-physical. EPT, NPT and VT-d share one radix
 * tree of 4 levels and 512 entries and differ in the bits of an entry; a format says those.
 */
#ifndef POSTERN_CORE_SLPT_H
#define POSTERN_CORE_SLPT_H

#include "base/arena.h"
#include "base/types.h"

enum { SLPT_READ = 1, SLPT_WRITE = 2, SLPT_EXEC = 4, SLPT_ALL = 7 };

enum slpt_memtype { SLPT_UC, SLPT_WC, SLPT_WB };

struct slpt_format {
	/* Entry that points to the next table. */
	uint64_t (*table)(hpa_t next);
	/* Entry that maps a page; level 1 is 4 KiB, 2 is 2 MiB, 3 is 1 GiB. */
	uint64_t (*leaf)(hpa_t page, unsigned access, enum slpt_memtype type, unsigned level);
	/* Is a non-zero entry at level 2 or 3 a page? */
	bool (*is_large)(uint64_t entry);
	/* The address field of an entry of either kind. */
	hpa_t (*address)(uint64_t entry);
	/* Largest level at which the machine has pages: 1, 2 or 3. */
	unsigned (*largest)(void);
};

struct slpt {
	const struct slpt_format *format;
	struct arena *arena;
	uint64_t *root;
	uint64_t mapped[4]; /* pages by level, for the log */
};

int slpt_init(struct slpt *t, const struct slpt_format *format, struct arena *arena) must_check;

/*
 * Maps whole pages with the largest size that both addresses allow. -E_INVAL (alignment, empty),
 * -E_RANGE (beyond 48 bits), -E_EXIST (something is mapped there), -E_NOMEM (arena).
 */
int slpt_map(struct slpt *t, gpa_t at, hpa_t to, uint64_t len, unsigned access,
	enum slpt_memtype type) must_check;

/* What a guest address maps to. -E_FAULT if nothing. */
int slpt_lookup(const struct slpt *t, gpa_t at, hpa_t *ret_hpa, uint64_t *ret_entry) must_check;

/*
 * Calls visit for every page that is mapped, in rising guest order, until it fails; returns its error
 * or 0. Reads the tables themselves, as the CPU does, and nothing that slpt_map remembers.
 */
int slpt_visit(const struct slpt *t,
	int (*visit)(void *arg, gpa_t at, hpa_t to, uint64_t len, uint64_t entry),
	void *arg) must_check;

/* Tables needed at worst to map len bytes in n separate runs; pages for the arena's budget. */
size_t slpt_pages_needed(uint64_t len, unsigned runs);

#endif
