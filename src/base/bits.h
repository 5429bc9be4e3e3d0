/*
 * Bit, field, alignment and range helpers. All of them are total: no input overflows or traps.
 */
#ifndef POSTERN_BASE_BITS_H
#define POSTERN_BASE_BITS_H

#include "base/types.h"

#define BIT(n)		     (1ull << (n))
#define BITS(hi, lo)	     ((~0ull >> (63 - (hi))) & (~0ull << (lo)))

/* The field under a mask, shifted down; and a value shifted up into a mask. */
#define FIELD_GET(mask, reg) (((reg) & (mask)) >> __builtin_ctzll(mask))
#define FIELD_PUT(mask, val) (((uint64_t)(val) << __builtin_ctzll(mask)) & (mask))

static inline uint64_t field_set(uint64_t reg, uint64_t mask, uint64_t value)
{
	return (reg & ~mask) | FIELD_PUT(mask, value);
}

/* All ones in the low size bytes; size is 0 to 8. */
static inline uint64_t size_mask(unsigned size)
{
	return size >= 8 ? ~0ull : (1ull << (size * 8)) - 1;
}

/* A register of old with size bytes at byte offset replaced by value; offset + size <= 8. */
static inline uint64_t bytes_merge(uint64_t old, uint64_t value, unsigned offset, unsigned size)
{
	uint64_t mask = size_mask(size) << (offset * 8);

	return (old & ~mask) | ((value << (offset * 8)) & mask);
}

static inline uint64_t align_down(uint64_t v, uint64_t a)
{
	return v & ~(a - 1);
}

/* Saturates at the last aligned address instead of wrapping. */
static inline uint64_t align_up(uint64_t v, uint64_t a)
{
	return v > ~0ull - (a - 1) ? align_down(~0ull, a) : align_down(v + a - 1, a);
}

static inline bool is_aligned(uint64_t v, uint64_t a)
{
	return (v & (a - 1)) == 0;
}

/* Does [off, off + len) lie inside [0, size)? Can't overflow. */
static inline bool range_fits(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

/* Do [a, a + alen) and [b, b + blen) share a byte? Neither range may wrap. */
static inline bool ranges_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	if (!alen || !blen)
		return false;
	return a < b ? b - a < alen : a - b < blen;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
