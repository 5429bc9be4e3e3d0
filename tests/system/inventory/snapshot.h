/*
 * Everything of the machine that a hypervisor could leave behind differently, as a list of named
 * numbers, so that two states can be compared one by one.
 */
#ifndef POSTERN_TEST_SNAPSHOT_H
#define POSTERN_TEST_SNAPSHOT_H

#include "efi/uefi.h"

struct item {
	const char *name;
	uint32_t index; /* which of several of that name: a register, a function's address */
	uint64_t value;
};

#define SNAPSHOT_ITEMS 1024u

struct snapshot {
	struct item item[SNAPSHOT_ITEMS];
	unsigned count;
	BOOLEAN overflow;
	uint64_t free_pages; /* not compared */
};

void snapshot_take(struct snapshot *s);

/* Says each difference on COM1 under a prefix, and returns how many there are. */
unsigned snapshot_compare(
	const struct snapshot *before, const struct snapshot *after, const char *prefix);

#endif
