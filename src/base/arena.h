/*
 * Memory for everything that lives as long as the guest: one run of pages, handed out upwards,
 * zeroed, never freed one by one. It is sealed before the guest starts, so that nothing on the
 * exit path can allocate.
 */
#ifndef POSTERN_BASE_ARENA_H
#define POSTERN_BASE_ARENA_H

#include "base/types.h"

struct arena {
	uint8_t *base; /* page aligned; identity mapped, so it is the host-physical address too */
	hpa_t phys;    /* host-physical address of base */
	size_t size, used;
	bool sealed;
};

void arena_init(struct arena *a, void *base, hpa_t phys, size_t size);
void arena_seal(struct arena *a);

/* Zeroed memory aligned to align (a power of two, at most 4096), or NULL if full or sealed. */
void *arena_alloc(struct arena *a, size_t size, size_t align) must_check;

/* n zeroed pages, or NULL. */
void *arena_pages(struct arena *a, size_t n) must_check;

/* The host-physical address of a pointer into the arena. */
hpa_t arena_hpa(const struct arena *a, const void *p);

#endif
