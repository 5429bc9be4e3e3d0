/*
 * Queue pairs of the restricted NVMe controller. Each of the guest's queues has a shadow of ours
 * that the real controller works on; the guest's own are known to Postern only.
 *
 *   guest SQ --fetch once--> (validate) --> slot + shadow SQ --doorbell--> controller
 *   guest CQ <--post-------- (translate) <-- slot <-- shadow CQ <-------- controller
 *
 * The two sides run apart: a command that is refused never reaches the shadow, and a completion
 * stays in the shadow while the guest's queue is full. A slot holds a command while the controller
 * has it; its number and a generation are the command's identifier in the shadow, so that a
 * completion that comes twice or too late finds no slot.
 *
 * Pure bookkeeping: memory comes from the caller, registers are never touched. On the exit path.
 */
#ifndef POSTERN_DMA_NVME_QUEUE_H
#define POSTERN_DMA_NVME_QUEUE_H

#include "base/arena.h"
#include "core/gmem.h"
#include "dma/nvme_cmd.h"

/* Entries of shadow queues. One less can be in flight, so that a ring never overruns. */
#define NVME_ADMIN_ENTRIES 32u
#define NVME_IO_ENTRIES	   256u

enum nvme_queue_state {
	NVME_QUEUE_FREE,
	NVME_QUEUE_CREATING, /* the controller has the command that makes it */
	NVME_QUEUE_ACTIVE,
	NVME_QUEUE_DELETING, /* the controller has the command that ends it */
};

/* A ring of the guest's in its memory; which index is whose depends on the kind. */
struct nvme_ring {
	gpa_t base;
	uint32_t entries, head, tail;
};

/* Where the filtered data of an Identify goes in the end. */
struct nvme_reply {
	uint64_t page[2];
	uint32_t len[2];
};

struct nvme_slot {
	struct nvme_reply reply;
	uint16_t guest_cid;
	uint16_t arg; /* of the admin command: which queue, which structure */
	uint8_t opcode;
	uint8_t generation;
	bool busy;
};

struct nvme_sq {
	enum nvme_queue_state state;
	uint16_t id, cq_id;
	struct nvme_ring guest; /* tail: the doorbell; head: fetched up to here */
	struct nvme_sqe *shadow;
	hpa_t shadow_at;
	uint32_t entries, tail; /* of the shadow */
	uint32_t rung;		/* the tail that the controller knows */
	struct nvme_slot *slot;
	uint16_t *free; /* stack of slot numbers */
	uint32_t slots, free_count;
	uint8_t *area; /* area_size bytes for each slot: PRP list, or bounced data */
	hpa_t area_at;
	uint32_t area_size;
};

struct nvme_cq {
	enum nvme_queue_state state;
	uint16_t id;
	bool interrupts;
	uint16_t vector;	/* of the guest's interrupts; below 32 */
	bool phase;		/* of the guest's next entry */
	struct nvme_ring guest; /* tail: posted up to here; head: the doorbell */
	volatile struct nvme_cqe *shadow;
	hpa_t shadow_at;
	uint32_t entries, head; /* of the shadow */
	bool shadow_phase;	/* that the next entry will have */
};

/*
 * Memory for the shadows of both queues of number id; each slot's area has area_size bytes, a power
 * of two from NVME_LIST_SIZE to a page. -E_NOMEM.
 */
int nvme_sq_init(struct nvme_sq *sq, struct arena *arena, uint16_t id, uint32_t entries,
	uint32_t area_size) must_check;
int nvme_cq_init(struct nvme_cq *cq, struct arena *arena, uint16_t id, uint32_t entries) must_check;
/* What both take from an arena, at most. */
size_t nvme_queue_arena_size(uint32_t entries, uint32_t area_size);

/* Is a ring of that many entries at base all guest memory? */
bool nvme_ring_ok(const struct gmem *gmem, uint64_t base, uint32_t entries, uint32_t entry_size);

/*
 * Empties the shadow and takes over the guest's ring. The controller must not be using the shadow.
 * The caller sets the state.
 */
void nvme_sq_start(struct nvme_sq *sq, gpa_t base, uint32_t entries, uint16_t cq_id);
void nvme_cq_start(
	struct nvme_cq *cq, gpa_t base, uint32_t entries, bool interrupts, uint16_t vector);

/* A doorbell write. False: no value that the guest may write here; nothing changed. */
bool nvme_sq_set_tail(struct nvme_sq *sq, uint32_t value) must_check;
bool nvme_cq_set_head(struct nvme_cq *cq, uint32_t value) must_check;

static inline bool nvme_sq_pending(const struct nvme_sq *sq)
{
	return sq->guest.head != sq->guest.tail;
}

static inline bool nvme_cq_unread(const struct nvme_cq *cq)
{
	return cq->guest.head != cq->guest.tail;
}

bool nvme_cq_has_room(const struct nvme_cq *cq);

/* The guest's next command, once. -E_FAULT if its ring is gone. Only when one is pending. */
int nvme_sq_fetch(struct nvme_sq *sq, const struct gmem *gmem, struct nvme_sqe *ret) must_check;

/* A slot, or NULL when the shadow is full. */
struct nvme_slot *nvme_slot_get(struct nvme_sq *sq);
void nvme_slot_put(struct nvme_sq *sq, struct nvme_slot *slot);
/* The slot of a command's identifier in the shadow, or NULL; that of the guest's likewise. */
struct nvme_slot *nvme_slot_find(struct nvme_sq *sq, uint16_t cid);
struct nvme_slot *nvme_slot_find_guest(struct nvme_sq *sq, uint16_t guest_cid);
uint16_t nvme_slot_cid(const struct nvme_sq *sq, const struct nvme_slot *slot);
/* Its area. */
struct nvme_list nvme_slot_list(const struct nvme_sq *sq, const struct nvme_slot *slot);

/* Appends to the shadow; a slot guarantees the room. The doorbell is the caller's to ring. */
void nvme_sq_push(struct nvme_sq *sq, const struct nvme_sqe *sqe);

/* The controller's next completion, once; false if there is none yet. */
bool nvme_cq_pop(struct nvme_cq *cq, struct nvme_cqe *ret) must_check;

/* Writes an entry to the guest's ring, which has room, with the right phase. -E_FAULT. */
int nvme_cq_post(struct nvme_cq *cq, struct gmem *gmem, struct nvme_cqe cqe) must_check;

#endif
