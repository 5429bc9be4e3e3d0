/*
 * A double of core/gmem.h for validators: guest memory that changes as soon as it has been read, as
 * a hostile guest's other agents could make it. It also counts bytes that were read twice. Linked
 * instead of core/gmem.c.
 */
#ifndef POSTERN_FAKE_GMEM_H
#define POSTERN_FAKE_GMEM_H

#include "core/gmem.h"

struct fake_gmem {
	bool hostile;	 /* each byte is inverted right after it was read */
	unsigned reads;	 /* calls of gmem_read that succeeded */
	unsigned reread; /* reads that overlap an earlier one since the last forget */
	/* Called after each read, if set, to play a cleverer guest. */
	void (*after_read)(uint64_t at, size_t len);
};

extern struct fake_gmem fake_gmem;

void fake_gmem_reset(void);
/* The next reads are those of another command. */
void fake_gmem_forget(void);

#endif
