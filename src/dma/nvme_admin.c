/*
 * Admin commands of the restricted NVMe controller: a table of what is understood, and the queues,
 * features and aborts that change or need the controller's state. State is in struct nvme. On the
 * exit path.
 *
 * What isn't in the table is refused as on a controller that lacks it, whatever the policy says: format,
 * firmware, sanitize, namespace and virtualization management, directives, doorbell
 * buffers, self-tests, and all of the vendor's.
 */
#include "dma/nvme_state.h"
#include "base/bits.h"
#include "base/mem.h"

#define FINAL(status) ((uint16_t)((status) | NVME_SC_DNR))

/* One command on its way to the controller. */
struct admin_call {
	struct nvme *n;
	const struct nvme_sqe *in;
	struct nvme_slot *slot;
	struct nvme_sqe *out;
	uint32_t *result;
};

static bool succeeded(const struct nvme_cqe *cqe)
{
	return !(cqe->status >> 1);
}

static struct gmem *guest_memory(struct nvme *n)
{
	return &n->dev->vm->gmem;
}

/* ---- creation and deletion of I/O queues ---- */

/* What the two creations have in common; entry_shift is what CC says, want what it must say. */
static uint16_t create_check(const struct admin_call *c, uint32_t entry_shift, uint32_t want)
{
	uint64_t entries = FIELD_GET(QUEUE_SIZE, c->in->cdw10) + 1;

	if (!nvme_shape_ok(c->in) || !(c->in->cdw11 & QUEUE_CONTIGUOUS) || entry_shift != want)
		return FINAL(NVME_SC_FIELD);
	if (entries < 2 || entries > FIELD_GET(CAP_MQES, c->n->cap) + 1)
		return FINAL(NVME_SC_QUEUE_SIZE);
	if (!is_aligned(c->in->prp1, PAGE_SIZE))
		return FINAL(NVME_SC_PRP_OFFSET);
	if (!nvme_ring_ok(guest_memory(c->n), c->in->prp1, (uint32_t)entries, 1u << want))
		return FINAL(NVME_SC_TRANSFER);
	return NVME_SC_SUCCESS;
}

static void create_shadow(
	const struct admin_call *c, hpa_t shadow_at, uint32_t entries, uint32_t flags)
{
	uint16_t id = c->in->cdw10 & QUEUE_ID;

	c->slot->arg = id;
	*c->out = (struct nvme_sqe){
		.opcode = c->in->opcode,
		.prp1 = shadow_at.v,
		.cdw10 = (uint32_t)FIELD_PUT(QUEUE_SIZE, entries - 1) | id,
		.cdw11 = QUEUE_CONTIGUOUS | flags,
	};
}

static uint16_t create_cq(const struct admin_call *c)
{
	struct nvme *n = c->n;
	uint16_t id = c->in->cdw10 & QUEUE_ID,
		 vector = (uint16_t)FIELD_GET(QUEUE_OTHER, c->in->cdw11);
	uint32_t entries = (uint32_t)FIELD_GET(QUEUE_SIZE, c->in->cdw10) + 1;
	uint16_t status = create_check(c, (uint32_t)FIELD_GET(CC_IOCQES, n->cc), NVME_CQE_SHIFT);
	struct nvme_cq *cq;

	if (!id || id > n->view.policy->queues || n->cq[id].state != NVME_QUEUE_FREE)
		return FINAL(NVME_SC_QUEUE_ID);
	if (status)
		return status;
	if (vector && vector >= n->dev->vectors)
		return FINAL(NVME_SC_VECTOR);
	cq = &n->cq[id];
	nvme_cq_start(cq, gpa(c->in->prp1), entries, c->in->cdw11 & QUEUE_IRQ, vector);
	cq->state = NVME_QUEUE_CREATING;
	/* The shadow always interrupts, vector 0: the guest's queue fills without being asked. */
	create_shadow(c, cq->shadow_at, cq->entries, QUEUE_IRQ);
	return NVME_FORWARD;
}

static void create_cq_finish(struct nvme *n, struct nvme_slot *slot, struct nvme_cqe *cqe)
{
	n->cq[slot->arg].state = succeeded(cqe) ? NVME_QUEUE_ACTIVE : NVME_QUEUE_FREE;
}

static uint16_t create_sq(const struct admin_call *c)
{
	struct nvme *n = c->n;
	uint16_t id = c->in->cdw10 & QUEUE_ID,
		 cq_id = (uint16_t)FIELD_GET(QUEUE_OTHER, c->in->cdw11);
	uint32_t entries = (uint32_t)FIELD_GET(QUEUE_SIZE, c->in->cdw10) + 1;
	uint16_t status = create_check(c, (uint32_t)FIELD_GET(CC_IOSQES, n->cc), NVME_SQE_SHIFT);
	struct nvme_sq *sq;

	if (!id || id > n->view.policy->queues || n->sq[id].state != NVME_QUEUE_FREE)
		return FINAL(NVME_SC_QUEUE_ID);
	if (!cq_id || cq_id >= NVME_QUEUES || n->cq[cq_id].state != NVME_QUEUE_ACTIVE)
		return FINAL(NVME_SC_CQ_INVALID);
	if (status)
		return status;
	sq = &n->sq[id];
	nvme_sq_start(sq, gpa(c->in->prp1), entries, cq_id);
	sq->state = NVME_QUEUE_CREATING;
	create_shadow(c, sq->shadow_at, sq->entries,
		(c->in->cdw11 & QUEUE_PRIORITY) | (uint32_t)FIELD_PUT(QUEUE_OTHER, cq_id));
	return NVME_FORWARD;
}

static void create_sq_finish(struct nvme *n, struct nvme_slot *slot, struct nvme_cqe *cqe)
{
	n->sq[slot->arg].state = succeeded(cqe) ? NVME_QUEUE_ACTIVE : NVME_QUEUE_FREE;
}

static uint16_t delete_forward(const struct admin_call *c, uint16_t id)
{
	c->slot->arg = id;
	*c->out = (struct nvme_sqe){.opcode = c->in->opcode, .cdw10 = id};
	return NVME_FORWARD;
}

static uint16_t delete_sq(const struct admin_call *c)
{
	struct nvme *n = c->n;
	uint16_t id = c->in->cdw10 & QUEUE_ID;

	if (!id || id >= NVME_QUEUES || n->sq[id].state != NVME_QUEUE_ACTIVE)
		return FINAL(NVME_SC_QUEUE_ID);
	n->sq[id].state = NVME_QUEUE_DELETING;
	return delete_forward(c, id);
}

/* Slots that are still busy go with their queue: its next start makes new generations. */
static void delete_sq_finish(struct nvme *n, struct nvme_slot *slot, struct nvme_cqe *cqe)
{
	n->sq[slot->arg].state = succeeded(cqe) ? NVME_QUEUE_FREE : NVME_QUEUE_ACTIVE;
}

static uint16_t delete_cq(const struct admin_call *c)
{
	struct nvme *n = c->n;
	uint16_t id = c->in->cdw10 & QUEUE_ID;

	if (!id || id >= NVME_QUEUES || n->cq[id].state != NVME_QUEUE_ACTIVE)
		return FINAL(NVME_SC_QUEUE_ID);
	for (unsigned i = 1; i < NVME_QUEUES; i++)
		if (n->sq[i].state != NVME_QUEUE_FREE && n->sq[i].cq_id == id)
			return FINAL(NVME_SC_QUEUE_DELETION);
	n->cq[id].state = NVME_QUEUE_DELETING;
	return delete_forward(c, id);
}

static void delete_cq_finish(struct nvme *n, struct nvme_slot *slot, struct nvme_cqe *cqe)
{
	n->cq[slot->arg].state = succeeded(cqe) ? NVME_QUEUE_FREE : NVME_QUEUE_ACTIVE;
}

/* ---- Identify and logs ---- */

static uint16_t identify(const struct admin_call *c)
{
	struct nvme_list page = nvme_slot_list(&c->n->sq[0], c->slot);
	struct nvme_reply *reply = &c->slot->reply;
	struct nvme_buffer b;
	uint16_t status = nvme_identify_check(&c->n->view, c->in, c->out, &b);

	if (status != NVME_FORWARD)
		return status;
	*reply = (struct nvme_reply){0};
	for (unsigned i = 0; i < b.count && i < array_size(reply->page); i++) {
		reply->page[i] = b.page[i];
		reply->len[i] = nvme_buffer_bytes(&b, i);
	}
	/* Its last use may have been a PRP list, and host addresses are nobody's business. */
	memset(page.entry, 0, NVME_IDENTIFY_SIZE);
	c->out->prp1 = page.at.v;
	c->slot->arg = c->in->cdw10 & IDENTIFY_CNS;
	return NVME_FORWARD;
}

static void identify_finish(struct nvme *n, struct nvme_slot *slot, struct nvme_cqe *cqe)
{
	struct nvme_list area = nvme_slot_list(&n->sq[0], slot);
	const struct nvme_reply *reply = &slot->reply;
	uint8_t *page = (uint8_t *)area.entry;

	if (!succeeded(cqe))
		return;
	nvme_identify_filter(&n->view, (uint8_t)slot->arg, page);
	for (unsigned i = 0; i < array_size(reply->page); i++) {
		if (gmem_write(guest_memory(n), gpa(reply->page[i]), page, reply->len[i]))
			cqe->status = (uint16_t)(NVME_SC_TRANSFER << 1);
		page += reply->len[i];
	}
}

static uint16_t get_log_page(const struct admin_call *c)
{
	struct nvme_list list = nvme_slot_list(&c->n->sq[0], c->slot);

	return nvme_log_page_check(&c->n->view, c->in, &list, c->out);
}

/* ---- features ---- */

static uint16_t get_features(const struct admin_call *c)
{
	c->slot->arg = c->in->cdw10 & FEATURE_ID;
	return nvme_get_features_check(&c->n->view, c->in, c->out);
}

/* Both halves of number of queues: at most the policy's, less 1. */
static uint32_t queues_clamp(const struct nvme *n, uint32_t dword)
{
	uint64_t sqs = min_u64(dword & 0xffff, n->view.policy->queues - 1u);
	uint64_t cqs = min_u64(dword >> 16, n->view.policy->queues - 1u);

	return (uint32_t)(cqs << 16 | sqs);
}

static uint16_t set_features(const struct admin_call *c)
{
	uint16_t status = nvme_set_features_check(&c->n->view, c->in, c->out);
	uint32_t dword = c->in->cdw11;

	c->slot->arg = c->in->cdw10 & FEATURE_ID;
	if (status != NVME_FORWARD || c->slot->arg != FEATURE_QUEUES)
		return status;
	if ((dword & 0xffff) == 0xffff || dword >> 16 == 0xffff)
		return FINAL(NVME_SC_FIELD);
	c->out->cdw11 = queues_clamp(c->n, dword);
	return NVME_FORWARD;
}

static void features_finish(struct nvme *n, struct nvme_slot *slot, struct nvme_cqe *cqe)
{
	if (succeeded(cqe) && slot->arg == FEATURE_QUEUES)
		cqe->result = queues_clamp(n, cqe->result);
}

/* ---- abort, events ---- */

/* A command that the controller doesn't have can't be aborted, which is no error: bit 0 says so. */
static uint16_t abort_command(const struct admin_call *c)
{
	struct nvme *n = c->n;
	uint16_t sq_id = c->in->cdw10 & 0xffff;
	struct nvme_slot *victim;
	struct nvme_sq *sq;

	if (!nvme_shape_ok(c->in) || sq_id >= NVME_QUEUES ||
		n->sq[sq_id].state != NVME_QUEUE_ACTIVE)
		return FINAL(NVME_SC_FIELD);
	sq = &n->sq[sq_id];
	victim = nvme_slot_find_guest(sq, (uint16_t)(c->in->cdw10 >> 16));
	if (!victim || victim == c->slot) {
		*c->result = 1;
		return NVME_SC_SUCCESS;
	}
	*c->out = (struct nvme_sqe){
		.opcode = c->in->opcode,
		.cdw10 = (uint32_t)nvme_slot_cid(sq, victim) << 16 | sq_id,
	};
	return NVME_FORWARD;
}

static uint16_t async_event(const struct admin_call *c)
{
	const struct nvme_sq *sq = &c->n->sq[0];
	unsigned count = 0;

	/* The command's own slot is among them. */
	for (uint32_t i = 0; i < sq->slots; i++)
		count += sq->slot[i].busy && sq->slot[i].opcode == NVME_ASYNC_EVENT;
	if (count > c->n->events_max)
		return FINAL(NVME_SC_EVENT_LIMIT);
	*c->out = (struct nvme_sqe){.opcode = c->in->opcode};
	return NVME_FORWARD;
}

static uint16_t security(const struct admin_call *c)
{
	struct nvme_list list = nvme_slot_list(&c->n->sq[0], c->slot);

	return nvme_security_check(&c->n->view, c->in, &list, c->out);
}

/* ---- the table ---- */

static const struct admin_command {
	uint8_t opcode;
	uint16_t (*check)(const struct admin_call *c);
	void (*finish)(struct nvme *n, struct nvme_slot *slot, struct nvme_cqe *cqe);
} admin_commands[] = {
	{NVME_DELETE_SQ, delete_sq, delete_sq_finish},
	{NVME_CREATE_SQ, create_sq, create_sq_finish},
	{NVME_GET_LOG_PAGE, get_log_page, NULL},
	{NVME_DELETE_CQ, delete_cq, delete_cq_finish},
	{NVME_CREATE_CQ, create_cq, create_cq_finish},
	{NVME_IDENTIFY, identify, identify_finish},
	{NVME_ABORT, abort_command, NULL},
	{NVME_SET_FEATURES, set_features, features_finish},
	{NVME_GET_FEATURES, get_features, features_finish},
	{NVME_ASYNC_EVENT, async_event, NULL},
	{NVME_SECURITY_SEND, security, NULL},
	{NVME_SECURITY_RECEIVE, security, NULL},
};

static const struct admin_command *admin_command_find(uint8_t opcode)
{
	for (unsigned i = 0; i < array_size(admin_commands); i++)
		if (admin_commands[i].opcode == opcode)
			return &admin_commands[i];
	return NULL;
}

uint16_t nvme_admin_check(struct nvme *n, const struct nvme_sqe *in, struct nvme_slot *slot,
	struct nvme_sqe *ret, uint32_t *ret_result)
{
	const struct admin_command *command = admin_command_find(in->opcode);
	struct admin_call call = {n, in, slot, ret, ret_result};

	if (!command)
		return FINAL(NVME_SC_OPCODE);
	return command->check(&call);
}

void nvme_admin_finish(struct nvme *n, struct nvme_slot *slot, struct nvme_cqe *cqe)
{
	const struct admin_command *command = admin_command_find(slot->opcode);

	if (command && command->finish)
		command->finish(n, slot, cqe);
}
