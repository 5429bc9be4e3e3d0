/*
 * Address ranges with a handler: one kind for ports and for guest-physical memory. A table is a
 * sorted array of fixed size with binary search.
 */
#ifndef POSTERN_CORE_REGION_H
#define POSTERN_CORE_REGION_H

#include "base/types.h"
#include "core/device.h"

struct region {
	uint64_t base, len; /* ports, or guest-physical bytes */
	uint64_t hw;	    /* the real port or host-physical address, for IO_PASS */
	struct device *dev;
	io_handler handler;
	const char *name; /* for the log; static text */
	bool enabled;	  /* decoded now; region_add sets it */
	/*
	 * Ports only. byte_wide: an 8-bit device on the ISA bus, so that its handler sees wider
	 * accesses as bytes in rising order. read_block, or NULL: n items of a->size bytes read at
	 * a->offset, as REP INS does; returns how many it put at ret (0 to n), and the rest go to
	 * the handler one by one.
	 */
	bool byte_wide;
	size_t (*read_block)(struct device *dev, const struct io_access *a, void *ret, size_t n);
};

#define REGION_MAX 64u

struct region_table {
	struct region *slot[REGION_MAX]; /* the enabled ones, sorted by base; they never overlap */
	unsigned count;
	struct region *last; /* found last: a driver stays with its device for a while */
};

/*
 * Makes a region decode at r->base. It stays the caller's and must outlive its stay in the table.
 * -E_EXIST if it overlaps another, -E_NOMEM if the table is full, -E_INVAL if it is empty, wraps, or
 * is in a table already.
 */
int region_add(struct region_table *t, struct region *r) must_check;

/* Stops decoding it; harmless if it isn't in the table. */
void region_remove(struct region_table *t, struct region *r);

/*
 * Moves a region to a new base, enabled or not; it may be disabled before. On an error, those of
 * region_add, nothing has changed.
 */
int region_move(struct region_table *t, struct region *r, uint64_t base, bool enabled) must_check;

/* The enabled region that covers an address, or NULL. On the exit path. */
struct region *region_find(struct region_table *t, uint64_t address);

/* Does an enabled region other than skip overlap [base, base + len)? */
bool region_overlaps(
	const struct region_table *t, uint64_t base, uint64_t len, const struct region *skip);

#endif
