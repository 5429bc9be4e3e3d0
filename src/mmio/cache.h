/*
 * A small cache of decoded instructions, direct-mapped by linear address. A hit needs the same
 * address, the same mode and the same bytes as last time, so that code that changes is right
 * without anybody telling. On the exit path.
 */
#ifndef POSTERN_MMIO_CACHE_H
#define POSTERN_MMIO_CACHE_H

#include "mmio/second.h"

#define DECODE_CACHE_SLOTS 256u

/* Instruction bytes as fetched, zeros behind the n that there are. */
struct insn_bytes {
	union {
		uint8_t byte[INSN_WINDOW];
		uint64_t word[2];
	};
	unsigned n;
};

struct decode_slot {
	uint64_t address;
	uint64_t word[2], mask[2]; /* the bytes, and which of them belong to the instruction */
	struct insn insn;	   /* length 0: the slot is empty */
	uint8_t mode;
};

struct decode_cache {
	struct decode_slot slot[DECODE_CACHE_SLOTS];
	struct second *second; /* from second_open */
	struct insn disputed;
	uint64_t hits, misses;
};

/*
 * insn_decode through the cache, and whatever isn't in it yet past the second opinion as well. *ret
 * points to the instruction, until the next call; if the result is INSN_DISPUTED, to our reading.
 */
enum insn_status decode_cached(struct decode_cache *c, uint64_t address, enum insn_mode mode,
	const struct insn_bytes *bytes, const struct insn **ret) must_check;

#endif
