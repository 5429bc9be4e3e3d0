/*
 * The restricted NVMe controller at work: commands from the guest's queues to the shadows,
 * completions from the shadows to the guest's queues, and the guest's interrupts. State is in
 * struct nvme. On the exit path.
 *
 * A command is fetched only while its completion queue has room for one more entry, so that one
 * that is refused can be completed on the spot. Work is bounded by the size of the queues, since
 * the guest doesn't run meanwhile.
 */
#include "dma/nvme_state.h"
#include "base/bits.h"
#include "core/interrupt.h"

_Static_assert(NVME_QUEUES <= 32, "a bit for each interrupt vector");

/* Vectors of queues with entries that the guest hasn't taken. */
static uint32_t vectors_unread(const struct nvme *n)
{
	uint32_t unread = 0;

	for (unsigned i = 0; i < NVME_QUEUES; i++) {
		const struct nvme_cq *cq = &n->cq[i];

		if (cq->state == NVME_QUEUE_ACTIVE && cq->interrupts && nvme_cq_unread(cq))
			unread |= 1u << cq->vector;
	}
	return unread;
}

/*
 * The line is high while there is something unread that isn't masked; a message goes out when there is
 * something new. The mask register is for the line and for MSI: MSI-X has masks of its own.
 */
void nvme_exec_update_irq(struct nvme *n)
{
	enum interrupt_mode mode = device_interrupt_mode(n->dev);
	uint32_t unread = vectors_unread(n), open = ~n->intms, send;
	bool high = unread & open;

	if (mode == INTERRUPT_MSIX)
		open = ~0u;
	n->posted &= unread;
	send = n->posted & open;
	n->posted &= ~send;
	if (high != n->irq_high) {
		n->irq_high = high;
		device_set_line(n->dev, high);
	}
	for (unsigned v = 0; send && mode != INTERRUPT_LINE; v++, send >>= 1) {
		if (!(send & 1))
			continue;
		n->stats.messages++;
		device_message(n->dev, v);
	}
}

void nvme_exec_unmask(struct nvme *n, uint32_t bits)
{
	n->posted |= n->intms & bits;
	n->intms &= ~bits;
	nvme_exec_update_irq(n);
}

void nvme_exec_fail(struct nvme *n)
{
	log_limited(&n->refused_log, "%s: the guest's queues can't work, controller failed",
		n->dev->name);
	n->failed = true;
	nvme_ctrl_stop(n);
	nvme_exec_update_irq(n);
}

/* ---- completions ---- */

static void post(
	struct nvme *n, const struct nvme_sq *sq, uint16_t cid, uint32_t result, uint16_t status)
{
	struct nvme_cq *cq = &n->cq[sq->cq_id];
	struct nvme_cqe cqe = {
		.result = result,
		.sq_head = (uint16_t)sq->guest.head,
		.sq_id = sq->id,
		.cid = cid,
		.status = (uint16_t)(status << 1),
	};

	if (nvme_cq_post(cq, &n->dev->vm->gmem, cqe))
		nvme_exec_fail(n);
	else
		n->posted |= 1u << cq->vector;
}

static bool sq_is_live(const struct nvme_sq *sq)
{
	return sq->state == NVME_QUEUE_ACTIVE || sq->state == NVME_QUEUE_DELETING;
}

static void complete_one(struct nvme *n, const struct nvme_cq *cq, struct nvme_cqe *cqe)
{
	struct nvme_sq *sq = cqe->sq_id < NVME_QUEUES ? &n->sq[cqe->sq_id] : NULL;
	struct nvme_slot *slot = NULL;

	if (sq && sq_is_live(sq) && sq->cq_id == cq->id)
		slot = nvme_slot_find(sq, cqe->cid);
	if (!slot) {
		n->stats.strays++;
		return;
	}
	if (!sq->id)
		nvme_admin_finish(n, slot, cqe);
	n->stats.completions++;
	post(n, sq, slot->guest_cid, cqe->result, cqe->status >> 1);
	nvme_slot_put(sq, slot);
}

static void complete_all(struct nvme *n, struct nvme_cq *cq)
{
	struct nvme_cqe cqe;
	bool any = false;

	for (uint32_t i = 0; i < cq->entries; i++) {
		if (cq->state != NVME_QUEUE_ACTIVE || !nvme_cq_has_room(cq) ||
			!nvme_cq_pop(cq, &cqe))
			break;
		any = true;
		complete_one(n, cq, &cqe);
	}
	if (any && cq->state == NVME_QUEUE_ACTIVE)
		nvme_ctrl_ring_cq(n, cq);
}

/* ---- commands ---- */

static void refuse(struct nvme *n, const struct nvme_sq *sq, uint8_t opcode, uint16_t status)
{
	n->stats.refused++;
	n->dev->denied++;
	log_limited(&n->refused_log, "%s: %s command %02xh refused, status %u:%02xh", n->dev->name,
		sq->id ? "I/O" : "admin", opcode, status >> 8 & 7u, status & 0xffu);
}

static void submit_one(struct nvme *n, struct nvme_sq *sq, struct nvme_slot *slot)
{
	struct nvme_list list = nvme_slot_list(sq, slot);
	struct nvme_sqe in, out = {0};
	uint32_t result = 0;
	uint16_t status;

	if (nvme_sq_fetch(sq, &n->dev->vm->gmem, &in)) {
		nvme_exec_fail(n);
		return;
	}
	n->stats.commands++;
	slot->guest_cid = in.cid;
	slot->opcode = in.opcode;
	if (sq->id)
		status = nvme_io_check(&n->view, &in, &list, &out);
	else
		status = nvme_admin_check(n, &in, slot, &out, &result);
	if (status == NVME_FORWARD) {
		out.cid = nvme_slot_cid(sq, slot);
		nvme_sq_push(sq, &out);
		return;
	}
	nvme_slot_put(sq, slot);
	if (status)
		refuse(n, sq, in.opcode, status);
	post(n, sq, in.cid, result, status);
}

static bool can_submit(const struct nvme *n, const struct nvme_sq *sq)
{
	return sq->state == NVME_QUEUE_ACTIVE && nvme_sq_pending(sq) && !n->shut_down &&
	       nvme_cq_has_room(&n->cq[sq->cq_id]);
}

static void submit_all(struct nvme *n, struct nvme_sq *sq)
{
	for (uint32_t i = 0; i < sq->guest.entries && can_submit(n, sq); i++) {
		struct nvme_slot *slot = nvme_slot_get(sq);

		if (!slot)
			break;
		submit_one(n, sq, slot);
	}
	if (sq->state == NVME_QUEUE_ACTIVE)
		nvme_ctrl_ring_sq(n, sq);
}

/*
 * Completions first, for they free slots: then commands that still wait have the controller busy,
 * whose next interrupt continues, or a full completion queue, whose doorbell does. Queues in
 * descending order: what the controller completed before it deleted a queue is delivered before
 * the deletion is known.
 */
void nvme_exec_run(struct nvme *n)
{
	for (unsigned i = NVME_QUEUES; i-- > 0;)
		complete_all(n, &n->cq[i]);
	for (unsigned i = NVME_QUEUES; i-- > 0;)
		submit_all(n, &n->sq[i]);
	nvme_exec_update_irq(n);
}
