/* A guest's EFI variables; see variables.h. State is the caller's. On the exit path. */
#include "guest/variables.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/mem.h"

#define ATTRIBUTES_KNOWN                                                                           \
	(VARIABLE_NON_VOLATILE | VARIABLE_BOOT | VARIABLE_RUNTIME | VARIABLE_APPEND)

int variables_init(struct variables *v, struct arena *arena)
{
	struct variable *list = arena_alloc(
		arena, sizeof(*list) * VARIABLES_MAX, _Alignof(struct variable));
	uint8_t *data = arena_alloc(arena, VARIABLES_ROOM, 1);

	if (!list || !data)
		return -E_NOMEM;
	*v = (struct variables){.list = list, .data = data};
	return 0;
}

static bool id_is_fit(const struct variable_id *id)
{
	return id->name_size && id->name_size <= sizeof(id->name) && id->name_size % 2 == 0;
}

static bool id_is(const struct variable_id *a, const struct variable_id *b)
{
	return a->name_size == b->name_size && !memcmp(a->guid, b->guid, sizeof(a->guid)) &&
	       !memcmp(a->name, b->name, a->name_size);
}

static bool is_visible(const struct variables *v, const struct variable *x)
{
	return !v->boot_over || (x->attributes & VARIABLE_RUNTIME);
}

/* Its index, or count if there is none that the guest may see. */
static unsigned find(const struct variables *v, const struct variable_id *id)
{
	unsigned i = 0;

	if (!id_is_fit(id))
		return v->count;
	while (i < v->count && !(id_is(&v->list[i].id, id) && is_visible(v, &v->list[i])))
		i++;
	return i;
}

/* A hidden one has its name all the same. */
static bool is_taken(const struct variables *v, const struct variable_id *id)
{
	for (unsigned i = 0; i < v->count; i++)
		if (id_is(&v->list[i].id, id))
			return true;
	return false;
}

uint32_t variables_room(const struct variables *v)
{
	return v->count < VARIABLES_MAX ? VARIABLES_ROOM - v->used : 0;
}

/* Takes the data of one out of the pool, and moves what lies behind it. */
static void drop_data(struct variables *v, struct variable *x)
{
	uint32_t end = x->at + x->size;

	memmove(v->data + x->at, v->data + end, v->used - end);
	v->used -= x->size;
	for (unsigned i = 0; i < v->count; i++)
		if (v->list[i].at >= end)
			v->list[i].at -= x->size;
	x->at = v->used;
	x->size = 0;
}

static void drop(struct variables *v, unsigned i)
{
	drop_data(v, &v->list[i]);
	/* In order, so that a walk with variables_next goes on behind it. */
	v->count--;
	for (; i < v->count; i++)
		v->list[i] = v->list[i + 1];
}

static int add(struct variables *v, const struct variable_id *id, uint32_t attributes,
	const void *data, size_t size, bool locked)
{
	if (size > POSTERN_VARIABLE_DATA_MAX || size > variables_room(v))
		return -E_NOMEM;
	v->list[v->count++] = (struct variable){.id = *id,
		.attributes = attributes & ~VARIABLE_APPEND,
		.at = v->used,
		.size = (uint32_t)size,
		.locked = locked};
	memcpy(v->data + v->used, data, size);
	v->used += (uint32_t)size;
	return 0;
}

int variables_show(struct variables *v, const struct variable_id *id, uint32_t attributes,
	const void *data, size_t size)
{
	if (!id_is_fit(id) || !size)
		return -E_INVAL;
	if (is_taken(v, id))
		return -E_EXIST;
	return add(v, id, attributes, data, size, true);
}

int variables_get(const struct variables *v, const struct variable_id *id, uint32_t *ret_attributes,
	const void **ret_data, uint32_t *ret_size)
{
	unsigned i = find(v, id);

	if (i == v->count)
		return -E_NOENT;
	*ret_attributes = v->list[i].attributes;
	*ret_data = v->data + v->list[i].at;
	*ret_size = v->list[i].size;
	return 0;
}

/* The old data and the new, or the new alone, as the last of the pool. */
static int replace(
	struct variables *v, struct variable *x, const void *data, size_t size, bool append)
{
	uint32_t kept = append ? x->size : 0;

	if (size > POSTERN_VARIABLE_DATA_MAX - kept ||
		size > VARIABLES_ROOM - v->used + (x->size - kept))
		return -E_NOMEM;
	if (append) {
		/* A move behind all others: whoever lies behind it now comes before. */
		uint8_t old[POSTERN_VARIABLE_DATA_MAX];

		memcpy(old, v->data + x->at, kept);
		drop_data(v, x);
		memcpy(v->data + v->used, old, kept);
		v->used += kept;
	} else {
		drop_data(v, x);
	}
	memcpy(v->data + v->used, data, size);
	v->used += (uint32_t)size;
	x->size = kept + (uint32_t)size;
	return 0;
}

int variables_set(struct variables *v, const struct variable_id *id, uint32_t attributes,
	const void *data, size_t size)
{
	bool append = attributes & VARIABLE_APPEND;
	unsigned i;

	if (!id_is_fit(id))
		return -E_INVAL;
	i = find(v, id);
	if (i < v->count && v->list[i].locked)
		return -E_DENIED;
	if (attributes & ~ATTRIBUTES_KNOWN)
		return -E_NOTSUP;
	if (!(attributes & (VARIABLE_BOOT | VARIABLE_RUNTIME)) || (!size && !append)) {
		if (i == v->count)
			return -E_NOENT;
		drop(v, i);
		return 0;
	}
	if ((attributes & VARIABLE_RUNTIME) && !(attributes & VARIABLE_BOOT))
		return -E_INVAL;
	if (i < v->count) {
		if ((attributes & ~VARIABLE_APPEND) != v->list[i].attributes)
			return -E_INVAL;
		return replace(v, &v->list[i], data, size, append);
	}
	if (is_taken(v, id) || (v->boot_over && !(attributes & VARIABLE_RUNTIME)))
		return -E_INVAL;
	return size ? add(v, id, attributes, data, size, false) : 0;
}

int variables_next(const struct variables *v, const struct variable_id *id,
	const struct variable_id **ret_next)
{
	unsigned i = 0;

	if (id->name_size) {
		i = find(v, id);
		if (i == v->count)
			return -E_INVAL;
		i++;
	}
	while (i < v->count && !is_visible(v, &v->list[i]))
		i++;
	if (i >= v->count)
		return -E_NOENT;
	*ret_next = &v->list[i].id;
	return 0;
}

void variables_end_boot(struct variables *v)
{
	v->boot_over = true;
}
