/* Tables of address ranges; see region.h. State is the caller's. region_find is on the exit path. */
#include "core/region.h"
#include "base/bits.h"
#include "base/error.h"

/* The number of regions that begin at or below an address. */
static unsigned count_up_to(const struct region_table *t, uint64_t address)
{
	unsigned lo = 0, hi = t->count;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (t->slot[mid]->base <= address)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct region *region_search(struct region_table *t, uint64_t address)
{
	unsigned n = count_up_to(t, address);
	struct region *r;

	if (!n)
		return NULL;
	r = t->slot[n - 1];
	if (address - r->base >= r->len)
		return NULL;
	t->last = r;
	return r;
}

struct region *region_find(struct region_table *t, uint64_t address)
{
	struct region *r = t->last;

	return r && address - r->base < r->len ? r : region_search(t, address);
}

bool region_overlaps(
	const struct region_table *t, uint64_t base, uint64_t len, const struct region *skip)
{
	for (unsigned i = 0; i < t->count; i++) {
		const struct region *r = t->slot[i];

		if (r != skip && ranges_overlap(base, len, r->base, r->len))
			return true;
	}
	return false;
}

static int region_check(const struct region_table *t, const struct region *r, uint64_t base)
{
	if (!r->len || base > ~0ull - (r->len - 1))
		return -E_INVAL;
	return region_overlaps(t, base, r->len, r) ? -E_EXIST : 0;
}

static void region_insert(struct region_table *t, struct region *r)
{
	unsigned at = count_up_to(t, r->base);

	for (unsigned i = t->count; i > at; i--)
		t->slot[i] = t->slot[i - 1];
	t->slot[at] = r;
	t->count++;
	r->enabled = true;
}

int region_add(struct region_table *t, struct region *r)
{
	int err;

	if (r->enabled)
		return -E_INVAL;
	err = region_check(t, r, r->base);
	if (err)
		return err;
	if (t->count == REGION_MAX)
		return -E_NOMEM;
	region_insert(t, r);
	return 0;
}

void region_remove(struct region_table *t, struct region *r)
{
	unsigned i = 0;

	while (i < t->count && t->slot[i] != r)
		i++;
	if (i == t->count)
		return;
	for (t->count--; i < t->count; i++)
		t->slot[i] = t->slot[i + 1];
	r->enabled = false;
	if (t->last == r)
		t->last = NULL;
}

int region_move(struct region_table *t, struct region *r, uint64_t base, bool enabled)
{
	int err = enabled ? region_check(t, r, base) : 0;

	if (!err && enabled && !r->enabled && t->count == REGION_MAX)
		err = -E_NOMEM;
	if (err)
		return err;
	region_remove(t, r);
	r->base = base;
	if (enabled)
		region_insert(t, r);
	return 0;
}
