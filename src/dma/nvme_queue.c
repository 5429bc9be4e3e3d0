/* Queue pairs: rings, slots, phases; see nvme_queue.h. State is the caller's. On the exit path. */
#include "dma/nvme_queue.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/mem.h"

_Static_assert(NVME_IO_ENTRIES <= 256, "a slot's number is the low byte of an identifier");

int nvme_sq_init(
	struct nvme_sq *sq, struct arena *arena, uint16_t id, uint32_t entries, uint32_t area_size)
{
	uint32_t slots = entries - 1;

	*sq = (struct nvme_sq){
		.id = id, .entries = entries, .slots = slots, .area_size = area_size};
	sq->shadow = arena_alloc(arena, entries * sizeof(*sq->shadow), PAGE_SIZE);
	sq->slot = arena_alloc(arena, slots * sizeof(*sq->slot), 64);
	sq->free = arena_alloc(arena, slots * sizeof(*sq->free), 64);
	sq->area = arena_alloc(arena, (size_t)slots * area_size, PAGE_SIZE);
	if (!sq->shadow || !sq->slot || !sq->free || !sq->area)
		return -E_NOMEM;
	sq->shadow_at = arena_hpa(arena, sq->shadow);
	sq->area_at = arena_hpa(arena, sq->area);
	return 0;
}

int nvme_cq_init(struct nvme_cq *cq, struct arena *arena, uint16_t id, uint32_t entries)
{
	struct nvme_cqe *shadow = arena_alloc(arena, entries * sizeof(*shadow), PAGE_SIZE);

	*cq = (struct nvme_cq){.id = id, .entries = entries, .shadow = shadow};
	if (!shadow)
		return -E_NOMEM;
	cq->shadow_at = arena_hpa(arena, shadow);
	return 0;
}

size_t nvme_queue_arena_size(uint32_t entries, uint32_t area_size)
{
	size_t rings = align_up(entries * NVME_SQE_SIZE, PAGE_SIZE) +
		       align_up(entries * NVME_CQE_SIZE, PAGE_SIZE);
	size_t slots = entries * (sizeof(struct nvme_slot) + sizeof(uint16_t) + area_size);

	return rings + align_up(slots, PAGE_SIZE) + 2 * PAGE_SIZE;
}

bool nvme_ring_ok(const struct gmem *gmem, uint64_t base, uint32_t entries, uint32_t entry_size)
{
	uint64_t len = (uint64_t)entries * entry_size;

	if (!is_aligned(base, PAGE_SIZE) || base > ~0ull - len)
		return false;
	while (len) {
		uint64_t got;
		hpa_t at;

		if (gmem_translate(gmem, gpa(base), len, &at, &got))
			return false;
		base += got;
		len -= got;
	}
	return true;
}

void nvme_sq_start(struct nvme_sq *sq, gpa_t base, uint32_t entries, uint16_t cq_id)
{
	sq->guest = (struct nvme_ring){.base = base, .entries = entries};
	sq->cq_id = cq_id;
	sq->tail = sq->rung = 0;
	for (uint32_t i = 0; i < sq->slots; i++) {
		sq->slot[i].generation++;
		sq->slot[i].busy = false;
		/* Popped from the end: number 0 comes first. */
		sq->free[i] = (uint16_t)(sq->slots - 1 - i);
	}
	sq->free_count = sq->slots;
}

void nvme_cq_start(
	struct nvme_cq *cq, gpa_t base, uint32_t entries, bool interrupts, uint16_t vector)
{
	cq->guest = (struct nvme_ring){.base = base, .entries = entries};
	cq->interrupts = interrupts;
	cq->vector = vector;
	cq->phase = cq->shadow_phase = true;
	cq->head = 0;
	for (uint32_t i = 0; i < cq->entries; i++)
		cq->shadow[i].status = 0;
}

static uint32_t ring_next(uint32_t at, uint32_t entries)
{
	return at + 1 < entries ? at + 1 : 0;
}

static uint32_t ring_distance(uint32_t from, uint32_t to, uint32_t entries)
{
	return to >= from ? to - from : to + entries - from;
}

/*
 * A tail can't run into entries that aren't fetched yet; the doorbell of a full ring can't move.
 */
bool nvme_sq_set_tail(struct nvme_sq *sq, uint32_t value)
{
	struct nvme_ring *r = &sq->guest;

	if (value >= r->entries || ring_distance(r->head, value, r->entries) <
					   ring_distance(r->head, r->tail, r->entries))
		return false;
	r->tail = value;
	return true;
}

/* A head can't pass what was posted. */
bool nvme_cq_set_head(struct nvme_cq *cq, uint32_t value)
{
	struct nvme_ring *r = &cq->guest;

	if (value >= r->entries || ring_distance(r->head, value, r->entries) >
					   ring_distance(r->head, r->tail, r->entries))
		return false;
	r->head = value;
	return true;
}

bool nvme_cq_has_room(const struct nvme_cq *cq)
{
	return ring_next(cq->guest.tail, cq->guest.entries) != cq->guest.head;
}

int nvme_sq_fetch(struct nvme_sq *sq, const struct gmem *gmem, struct nvme_sqe *ret)
{
	struct nvme_ring *r = &sq->guest;
	int err = gmem_read(gmem, gpa(r->base.v + r->head * NVME_SQE_SIZE), ret, sizeof(*ret));

	if (!err)
		r->head = ring_next(r->head, r->entries);
	return err;
}

struct nvme_slot *nvme_slot_get(struct nvme_sq *sq)
{
	struct nvme_slot *slot;

	if (!sq->free_count)
		return NULL;
	slot = &sq->slot[sq->free[--sq->free_count]];
	slot->busy = true;
	return slot;
}

void nvme_slot_put(struct nvme_sq *sq, struct nvme_slot *slot)
{
	slot->busy = false;
	slot->generation++;
	sq->free[sq->free_count++] = (uint16_t)(slot - sq->slot);
}

uint16_t nvme_slot_cid(const struct nvme_sq *sq, const struct nvme_slot *slot)
{
	return (uint16_t)((unsigned)slot->generation << 8 | (unsigned)(slot - sq->slot));
}

struct nvme_slot *nvme_slot_find(struct nvme_sq *sq, uint16_t cid)
{
	struct nvme_slot *slot = &sq->slot[cid & 0xff];

	if ((cid & 0xffu) >= sq->slots || !slot->busy || slot->generation != cid >> 8)
		return NULL;
	return slot;
}

struct nvme_slot *nvme_slot_find_guest(struct nvme_sq *sq, uint16_t guest_cid)
{
	for (uint32_t i = 0; i < sq->slots; i++)
		if (sq->slot[i].busy && sq->slot[i].guest_cid == guest_cid)
			return &sq->slot[i];
	return NULL;
}

struct nvme_list nvme_slot_list(const struct nvme_sq *sq, const struct nvme_slot *slot)
{
	size_t at = (size_t)(slot - sq->slot) * sq->area_size;

	return (struct nvme_list){
		.entry = (uint64_t *)(void *)(sq->area + at), .at = hpa(sq->area_at.v + at)};
}

void nvme_sq_push(struct nvme_sq *sq, const struct nvme_sqe *sqe)
{
	sq->shadow[sq->tail] = *sqe;
	sq->tail = ring_next(sq->tail, sq->entries);
}

bool nvme_cq_pop(struct nvme_cq *cq, struct nvme_cqe *ret)
{
	volatile struct nvme_cqe *e = &cq->shadow[cq->head];
	uint16_t status = e->status;

	if ((status & CQE_PHASE) != cq->shadow_phase)
		return false;
	/* The rest is valid once the phase is; loads aren't reordered, volatile ones by nobody. */
	*ret = (struct nvme_cqe){
		.result = e->result,
		.sq_head = e->sq_head,
		.sq_id = e->sq_id,
		.cid = e->cid,
		.status = status,
	};
	cq->head = ring_next(cq->head, cq->entries);
	if (!cq->head)
		cq->shadow_phase = !cq->shadow_phase;
	return true;
}

int nvme_cq_post(struct nvme_cq *cq, struct gmem *gmem, struct nvme_cqe cqe)
{
	struct nvme_ring *r = &cq->guest;
	int err;

	cqe.status = (uint16_t)((cqe.status & ~CQE_PHASE) | cq->phase);
	err = gmem_write(gmem, gpa(r->base.v + r->tail * NVME_CQE_SIZE), &cqe, sizeof(cqe));
	if (err)
		return err;
	r->tail = ring_next(r->tail, r->entries);
	if (!r->tail)
		cq->phase = !cq->phase;
	return 0;
}
