/* The arena; see arena.h. State is the caller's. Not on the exit path, but for arena_hpa. */
#include "base/arena.h"
#include "base/bits.h"
#include "base/mem.h"

void arena_init(struct arena *a, void *base, hpa_t phys, size_t size)
{
	*a = (struct arena){.base = base, .phys = phys, .size = size};
}

void arena_seal(struct arena *a)
{
	a->sealed = true;
}

void *arena_alloc(struct arena *a, size_t size, size_t align)
{
	size_t at = align_up(a->used, align);

	if (a->sealed || !range_fits(at, size, a->size))
		return NULL;
	a->used = at + size;
	return memset(a->base + at, 0, size);
}

void *arena_pages(struct arena *a, size_t n)
{
	return n > a->size / PAGE_SIZE ? NULL : arena_alloc(a, n * PAGE_SIZE, PAGE_SIZE);
}

hpa_t arena_hpa(const struct arena *a, const void *p)
{
	return hpa(a->phys.v + (uint64_t)((const uint8_t *)p - a->base));
}
