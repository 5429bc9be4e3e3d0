/* Memory of the guest, by page; see pages.h. State is the caller's. Runs in the guest. */
#include "guest/firmware/pages.h"
#include "base/bits.h"
#include "base/error.h"

static uint64_t range_end(const struct page_range *r)
{
	return r->base + r->pages * PAGE_SIZE;
}

static bool is_span(uint64_t base, uint64_t pages)
{
	return pages && is_aligned(base, PAGE_SIZE) && pages <= (~0ull >> PAGE_SHIFT) &&
	       base <= ~0ull - pages * PAGE_SIZE;
}

int pages_add(struct page_map *m, uint64_t base, uint64_t len, EFI_MEMORY_TYPE type)
{
	uint64_t pages = len / PAGE_SIZE;

	if (!is_aligned(len, PAGE_SIZE) || !is_span(base, pages))
		return -E_INVAL;
	if (m->count && range_end(&m->range[m->count - 1]) > base)
		return -E_INVAL;
	if (m->count == PAGE_RANGES)
		return -E_NOMEM;
	m->range[m->count++] = (struct page_range){base, pages, type};
	m->key++;
	return 0;
}

/* The range that has all of these pages; PAGE_RANGES if none has. */
static unsigned find(const struct page_map *m, uint64_t base, uint64_t pages)
{
	for (unsigned i = 0; i < m->count; i++) {
		const struct page_range *r = &m->range[i];

		if (base >= r->base && base + pages * PAGE_SIZE <= range_end(r))
			return i;
	}
	return PAGE_RANGES;
}

static void insert(struct page_map *m, unsigned at, struct page_range r)
{
	for (unsigned i = m->count++; i > at; i--)
		m->range[i] = m->range[i - 1];
	m->range[at] = r;
}

static void drop(struct page_map *m, unsigned at)
{
	m->count--;
	for (unsigned i = at; i < m->count; i++)
		m->range[i] = m->range[i + 1];
}

/* Makes one range of at and the one behind it, if they are alike. */
static void merge(struct page_map *m, unsigned at)
{
	struct page_range *r = &m->range[at];

	if (at + 1 >= m->count || r[1].type != r->type || range_end(r) != r[1].base)
		return;
	r->pages += r[1].pages;
	drop(m, at + 1);
}

int pages_change(struct page_map *m, uint64_t base, uint64_t pages, EFI_MEMORY_TYPE from,
	EFI_MEMORY_TYPE type)
{
	struct page_range whole;
	uint64_t end;
	unsigned at;

	if (!is_span(base, pages))
		return -E_INVAL;
	at = find(m, base, pages);
	if (at == PAGE_RANGES || m->range[at].type != from)
		return -E_NOENT;
	whole = m->range[at];
	end = base + pages * PAGE_SIZE;
	/* What is left in front of it and behind. */
	if (m->count + (whole.base < base) + (end < range_end(&whole)) > PAGE_RANGES)
		return -E_NOMEM;
	m->range[at] = (struct page_range){base, pages, type};
	if (end < range_end(&whole))
		insert(m, at + 1,
			(struct page_range){end, (range_end(&whole) - end) / PAGE_SIZE, from});
	if (whole.base < base)
		insert(m, at++,
			(struct page_range){whole.base, (base - whole.base) / PAGE_SIZE, from});
	merge(m, at);
	if (at)
		merge(m, at - 1);
	m->key++;
	return 0;
}

int pages_take(struct page_map *m, uint64_t pages, uint64_t align, uint64_t last,
	EFI_MEMORY_TYPE type, uint64_t *ret_base)
{
	uint64_t end, base;
	int err;

	if (!is_span(0, pages) || align < PAGE_SIZE)
		return -E_INVAL;
	for (unsigned i = m->count; i-- > 0;) {
		const struct page_range *r = &m->range[i];

		end = min_u64(range_end(r), last == ~0ull ? last : last + 1);
		if (r->type != EfiConventionalMemory || end < r->base ||
			end - r->base < pages * PAGE_SIZE)
			continue;
		base = align_down(end - pages * PAGE_SIZE, align);
		if (base < r->base)
			continue;
		err = pages_change(m, base, pages, EfiConventionalMemory, type);
		if (!err)
			*ret_base = base;
		return err;
	}
	return -E_NOMEM;
}

int pages_free(struct page_map *m, uint64_t base, uint64_t pages)
{
	unsigned at;

	if (!is_span(base, pages))
		return -E_INVAL;
	at = find(m, base, pages);
	if (at == PAGE_RANGES || m->range[at].type == EfiConventionalMemory)
		return -E_NOENT;
	return pages_change(m, base, pages, m->range[at].type, EfiConventionalMemory);
}
