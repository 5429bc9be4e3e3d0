/* Second-level page tables; see slpt.h. State is the caller's. Built before the guest runs. */
#include "core/slpt.h"
#include "base/bits.h"
#include "base/error.h"

#define TOP_LEVEL 4u
#define ENTRIES	  512u

static uint64_t level_size(unsigned level)
{
	return 1ull << (PAGE_SHIFT + 9 * (level - 1));
}

static unsigned level_index(uint64_t address, unsigned level)
{
	return (unsigned)(address >> (PAGE_SHIFT + 9 * (level - 1))) & (ENTRIES - 1);
}

int slpt_init(struct slpt *t, const struct slpt_format *format, struct arena *arena)
{
	*t = (struct slpt){.format = format, .arena = arena, .root = arena_pages(arena, 1)};
	return t->root ? 0 : -E_NOMEM;
}

/* Tables live in the arena, which the host sees at a fixed distance from its physical address. */
static uint64_t *table_at(const struct slpt *t, hpa_t at)
{
	return (uint64_t *)(void *)(t->arena->base + (at.v - t->arena->phys.v));
}

static bool entry_is_page(const struct slpt *t, uint64_t entry, unsigned level)
{
	return level == 1 || t->format->is_large(entry);
}

/* The entry at a level for an address, with the tables above it made if they are missing. */
static int find_entry(struct slpt *t, uint64_t at, unsigned level, uint64_t **ret_entry)
{
	uint64_t *table = t->root;

	for (unsigned l = TOP_LEVEL; l > level; l--) {
		uint64_t *e = &table[level_index(at, l)];

		if (!*e) {
			uint64_t *next = arena_pages(t->arena, 1);

			if (!next)
				return -E_NOMEM;
			*e = t->format->table(arena_hpa(t->arena, next));
		} else if (l < TOP_LEVEL && entry_is_page(t, *e, l)) {
			return -E_EXIST;
		}
		table = table_at(t, t->format->address(*e));
	}
	*ret_entry = &table[level_index(at, level)];
	return 0;
}

static unsigned best_level(const struct slpt *t, uint64_t at, uint64_t to, uint64_t len)
{
	unsigned level = t->format->largest();

	while (level > 1 && (!is_aligned(at | to, level_size(level)) || len < level_size(level)))
		level--;
	return level;
}

int slpt_map(
	struct slpt *t, gpa_t at, hpa_t to, uint64_t len, unsigned access, enum slpt_memtype type)
{
	if (!len || !is_aligned(at.v | to.v | len, PAGE_SIZE))
		return -E_INVAL;
	if (!range_fits(at.v, len, 1ull << 48) || !range_fits(to.v, len, 1ull << 52))
		return -E_RANGE;
	while (len) {
		unsigned level = best_level(t, at.v, to.v, len);
		uint64_t *entry;
		int err = find_entry(t, at.v, level, &entry);

		if (!err && *entry)
			err = -E_EXIST;
		if (err)
			return err;
		*entry = t->format->leaf(to, access, type, level);
		t->mapped[level]++;
		at.v += level_size(level);
		to.v += level_size(level);
		len -= level_size(level);
	}
	return 0;
}

int slpt_lookup(const struct slpt *t, gpa_t at, hpa_t *ret_hpa, uint64_t *ret_entry)
{
	const uint64_t *table = t->root;

	if (at.v >> 48)
		return -E_FAULT;
	for (unsigned level = TOP_LEVEL; level; level--) {
		uint64_t entry = table[level_index(at.v, level)];

		if (!entry)
			return -E_FAULT;
		if (level < TOP_LEVEL && entry_is_page(t, entry, level)) {
			*ret_hpa = hpa(
				t->format->address(entry).v | (at.v & (level_size(level) - 1)));
			*ret_entry = entry;
			return 0;
		}
		table = table_at(t, t->format->address(entry));
	}
	return -E_FAULT;
}

int slpt_visit(const struct slpt *t,
	int (*visit)(void *arg, gpa_t at, hpa_t to, uint64_t len, uint64_t entry), void *arg)
{
	const uint64_t *table[TOP_LEVEL + 1] = {[TOP_LEVEL] = t->root};
	unsigned level = TOP_LEVEL;
	uint64_t at = 0;

	/* Depth first, without recursion: at says where in each table of the way down we are. */
	while (at < 1ull << 48) {
		uint64_t entry = table[level][level_index(at, level)];
		int err;

		if (entry && (level == TOP_LEVEL || !entry_is_page(t, entry, level))) {
			table[level - 1] = table_at(t, t->format->address(entry));
			level--;
			continue;
		}
		err = entry ? visit(arg, gpa(at), t->format->address(entry), level_size(level),
				      entry)
			    : 0;
		if (err)
			return err;
		at += level_size(level);
		while (level < TOP_LEVEL && !level_index(at, level))
			level++;
	}
	return 0;
}

size_t slpt_pages_needed(uint64_t len, unsigned runs)
{
	/* Per run: its own share of 4 KiB tables, and a partial table of each level at both ends. */
	return 1 + len / LARGE_SIZE + len / GIB + 2 + (size_t)runs * 6;
}
