/* The cache of decoded instructions; see cache.h. State is the caller's. On the exit path. */
#include "mmio/cache.h"
#include "base/bits.h"

static struct decode_slot *find_slot(struct decode_cache *c, uint64_t address)
{
	return &c->slot[(address ^ address >> 8) % DECODE_CACHE_SLOTS];
}

/* Apart, so that a hit needs no more registers and stack than it has use for. */
static __attribute__((noinline)) enum insn_status decode_missing(struct decode_cache *c,
	struct decode_slot *s, uint64_t address, enum insn_mode mode,
	const struct insn_bytes *bytes, const struct insn **ret)
{
	enum insn_status status;
	unsigned length;

	c->misses++;
	s->insn.length = 0;
	status = insn_decode_window(bytes->byte, bytes->n, mode, &s->insn);
	if (status != INSN_OK)
		return status;
	if (!second_agrees(c->second, bytes->byte, bytes->n, mode, &s->insn)) {
		c->disputed = s->insn;
		s->insn.length = 0;
		*ret = &c->disputed;
		return INSN_DISPUTED;
	}
	length = s->insn.length;
	s->address = address;
	s->mode = (uint8_t)mode;
	s->mask[0] = size_mask(length);
	s->mask[1] = length > 8 ? size_mask(length - 8) : 0;
	s->word[0] = bytes->word[0];
	s->word[1] = bytes->word[1];
	*ret = &s->insn;
	return INSN_OK;
}

enum insn_status decode_cached(struct decode_cache *c, uint64_t address, enum insn_mode mode,
	const struct insn_bytes *bytes, const struct insn **ret)
{
	struct decode_slot *s = find_slot(c, address);
	uint64_t differ = (s->word[0] ^ bytes->word[0]) & s->mask[0];

	differ |= (s->word[1] ^ bytes->word[1]) & s->mask[1];
	if (!differ && s->address == address && s->mode == mode && s->insn.length &&
		s->insn.length <= bytes->n) {
		c->hits++;
		*ret = &s->insn;
		return INSN_OK;
	}
	return decode_missing(c, s, address, mode, bytes, ret);
}
