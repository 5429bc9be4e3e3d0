/*
 * The real NVMe controller: taking it over, starting and stopping it, its doorbells, and what
 * namespaces it has. State is in struct nvme. Doorbells, start, stop and update are on the exit
 * path and never wait; the rest runs at attach and hand-back.
 */
#include "dma/nvme_state.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/mem.h"
#include "hw/mmio.h"
#include "hw/time.h"

#define GONE	    0xffffffffu /* what a register of a device reads that isn't there */
#define COMMAND_US  5000000u	/* for one Identify */
#define BAR_IO	    1u
#define BAR_TYPE    6u
#define BAR_TYPE_64 4u
#define BAR_FLAGS   0xfu

static uint32_t reg_read(const struct nvme *n, unsigned reg)
{
	return (uint32_t)hw_mmio_read(hpa(n->bar.v + reg), 4);
}

static void reg_write(const struct nvme *n, unsigned reg, uint32_t value)
{
	hw_mmio_write(hpa(n->bar.v + reg), 4, value);
}

/* In two halves, which every controller takes: "Controller Registers", access sizes. */
static uint64_t reg_read64(const struct nvme *n, unsigned reg)
{
	uint64_t lo = reg_read(n, reg);

	return (uint64_t)reg_read(n, reg + 4) << 32 | lo;
}

static void reg_write64(const struct nvme *n, unsigned reg, uint64_t value)
{
	reg_write(n, reg, (uint32_t)value);
	reg_write(n, reg + 4, (uint32_t)(value >> 32));
}

/* ---- start and stop ---- */

static void disable(struct nvme *n)
{
	n->phase = NVME_STOPPING;
	reg_write(n, NVME_CC, 0);
}

uint32_t nvme_ctrl_update(struct nvme *n)
{
	uint32_t csts = reg_read(n, NVME_CSTS);
	bool ready = csts & CSTS_RDY;

	if (n->phase == NVME_STARTING && ready && csts != GONE)
		n->phase = NVME_ON;
	else if (n->phase == NVME_ABORTING && ready && csts != GONE)
		disable(n);
	else if (n->phase == NVME_STOPPING && !ready)
		n->phase = NVME_OFF;
	return csts;
}

void nvme_ctrl_start(struct nvme *n)
{
	uint32_t last = NVME_ADMIN_ENTRIES - 1;

	reg_write(n, NVME_AQA, (uint32_t)(FIELD_PUT(AQA_ASQS, last) | FIELD_PUT(AQA_ACQS, last)));
	reg_write64(n, NVME_ASQ, n->sq[0].shadow_at.v);
	reg_write64(n, NVME_ACQ, n->cq[0].shadow_at.v);
	hw_barrier();
	n->phase = NVME_STARTING;
	reg_write(n, NVME_CC,
		(uint32_t)(FIELD_PUT(CC_IOSQES, NVME_SQE_SHIFT) |
			   FIELD_PUT(CC_IOCQES, NVME_CQE_SHIFT) | CC_EN));
}

void nvme_ctrl_stop(struct nvme *n)
{
	for (unsigned i = 0; i < NVME_QUEUES; i++) {
		n->sq[i].state = NVME_QUEUE_FREE;
		n->cq[i].state = NVME_QUEUE_FREE;
	}
	/* One that isn't ready yet mustn't be disabled: "Controller Configuration", Enable. */
	if (n->phase == NVME_STARTING)
		n->phase = NVME_ABORTING;
	else if (n->phase != NVME_ABORTING)
		disable(n);
	nvme_ctrl_update(n);
}

struct phase_wait {
	struct nvme *n;
	enum nvme_phase phase;
};

static bool phase_reached(void *arg)
{
	struct phase_wait *w = arg;

	nvme_ctrl_update(w->n);
	return w->n->phase == w->phase;
}

int nvme_ctrl_wait(struct nvme *n, enum nvme_phase phase)
{
	struct phase_wait w = {n, phase};

	return hw_poll(phase_reached, &w, n->timeout_us);
}

/* One that never gets ready is disabled all the same, when its time is up. */
int nvme_ctrl_halt(struct nvme *n)
{
	int err;

	nvme_ctrl_stop(n);
	err = nvme_ctrl_wait(n, NVME_OFF);
	if (!err || n->phase != NVME_ABORTING)
		return err;
	disable(n);
	return nvme_ctrl_wait(n, NVME_OFF);
}

/* ---- doorbells: "Submission Queue y Tail Doorbell", "Completion Queue y Head Doorbell" ---- */

static void ring(const struct nvme *n, unsigned doorbell, uint32_t value)
{
	hw_barrier();
	reg_write(n, NVME_REGS_END + doorbell * n->doorbell_stride, value);
}

void nvme_ctrl_ring_sq(struct nvme *n, struct nvme_sq *sq)
{
	if (sq->rung == sq->tail)
		return;
	sq->rung = sq->tail;
	ring(n, 2u * sq->id, sq->tail);
}

void nvme_ctrl_ring_cq(struct nvme *n, const struct nvme_cq *cq)
{
	ring(n, 2u * cq->id + 1, cq->head);
}

/* ---- take and release ---- */

static int bar_find(struct nvme *n)
{
	pci_bdf_t bdf = n->dev->bdf;
	uint32_t low = hw_pci_read(bdf, PCI_BAR0, 4);
	uint64_t base = low & ~BAR_FLAGS;

	if (low & BAR_IO)
		return -E_NOTSUP;
	if ((low & BAR_TYPE) == BAR_TYPE_64)
		base |= (uint64_t)hw_pci_read(bdf, PCI_BAR0 + 4, 4) << 32;
	if (!base)
		return -E_NOTSUP;
	n->bar = hpa(base);
	return 0;
}

void nvme_ctrl_set_master(struct nvme *n, bool on)
{
	uint32_t command = hw_pci_read(n->dev->bdf, PCI_COMMAND, 2);

	command = on ? command | PCI_COMMAND_MASTER : command & ~PCI_COMMAND_MASTER;
	hw_pci_write(n->dev->bdf, PCI_COMMAND, 2, command);
}

static int capabilities_check(const struct nvme *n)
{
	if (n->real_cap & CAP_MPSMIN || !(n->real_cap & CAP_CSS_NVM))
		return -E_NOTSUP;
	/* MQES is 1 at least: a ring of one entry holds nothing. */
	return n->io_entries < 2 ? -E_NOTSUP : 0;
}

/* Newer controllers may need longer than CAP.TO can say. */
static uint64_t timeout_read(const struct nvme *n, uint64_t cap)
{
	uint64_t units = max_u64(FIELD_GET(CAP_TO, cap), 1);

	if (cap & CAP_CRMS)
		units = max_u64(units, FIELD_GET(CRTO_CRWMT, reg_read(n, NVME_CRTO)));
	return units * NVME_TIMEOUT_US;
}

static void capabilities_read(struct nvme *n)
{
	uint64_t cap = reg_read64(n, NVME_CAP);

	n->real_cap = cap;
	n->version = reg_read(n, NVME_VS);
	n->timeout_us = timeout_read(n, cap);
	n->doorbell_stride = 4u << FIELD_GET(CAP_DSTRD, cap);
	n->io_entries = (uint32_t)min_u64(FIELD_GET(CAP_MQES, cap) + 1, NVME_IO_ENTRIES);
	n->saved_aqa = reg_read(n, NVME_AQA);
	n->saved_asq = reg_read64(n, NVME_ASQ);
	n->saved_acq = reg_read64(n, NVME_ACQ);
}

int nvme_ctrl_take(struct nvme *n)
{
	pci_bdf_t bdf = n->dev->bdf;
	uint32_t command = hw_pci_read(bdf, PCI_COMMAND, 2);
	int err = bar_find(n);

	if (err)
		return err;
	/* The pin stays quiet: there is no handler for it, and level-triggered it would storm. */
	n->saved_command = (uint16_t)command;
	n->taken = true;
	command = (command | PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_OFF) & ~PCI_COMMAND_MASTER;
	hw_pci_write(bdf, PCI_COMMAND, 2, command);
	if (reg_read(n, NVME_CSTS) == GONE)
		return -E_IO;
	/* It is stopped in any case: firmware may have left it running on memory that is free. */
	capabilities_read(n);
	nvme_ctrl_stop(n);
	err = nvme_ctrl_wait(n, NVME_OFF);
	return err ? err : capabilities_check(n);
}

/*
 * A controller that wouldn't stop may still write to our memory: its bus mastering stays off, and
 * the next driver's own reset is its only way back.
 */
void nvme_ctrl_release(struct nvme *n)
{
	uint16_t command = n->saved_command;

	if (n->phase == NVME_OFF && n->timeout_us) {
		reg_write(n, NVME_AQA, n->saved_aqa);
		reg_write64(n, NVME_ASQ, n->saved_asq);
		reg_write64(n, NVME_ACQ, n->saved_acq);
	} else {
		command &= (uint16_t)~PCI_COMMAND_MASTER;
	}
	hw_pci_write(n->dev->bdf, PCI_COMMAND, 2, command);
	n->taken = false;
}

/* ---- discovery: a few Identify commands of our own ---- */

struct completion_wait {
	struct nvme_cq *cq;
	struct nvme_cqe cqe;
};

static bool completion_there(void *arg)
{
	struct completion_wait *w = arg;

	return nvme_cq_pop(w->cq, &w->cqe);
}

/* Identify into slot 0's area; *ret_page is that page. */
static int identify(struct nvme *n, uint8_t cns, uint32_t nsid, const uint8_t **ret_page)
{
	struct nvme_sq *sq = &n->sq[0];
	struct completion_wait w = {.cq = &n->cq[0]};
	struct nvme_slot *slot = nvme_slot_get(sq);
	struct nvme_list page = nvme_slot_list(sq, slot);
	struct nvme_sqe sqe = {
		.opcode = NVME_IDENTIFY,
		.cid = nvme_slot_cid(sq, slot),
		.nsid = nsid,
		.prp1 = page.at.v,
		.cdw10 = cns,
	};
	int err;

	memset(page.entry, 0, NVME_IDENTIFY_SIZE);
	nvme_sq_push(sq, &sqe);
	nvme_ctrl_ring_sq(n, sq);
	err = hw_poll(completion_there, &w, COMMAND_US);
	if (err)
		return err;
	nvme_ctrl_ring_cq(n, w.cq);
	nvme_slot_put(sq, slot);
	if (w.cqe.cid != sqe.cid || w.cqe.status >> 1)
		return -E_IO;
	*ret_page = (const uint8_t *)page.entry;
	return 0;
}

static void namespace_log(const struct nvme *n, const struct nvme_namespace *ns)
{
	uint64_t mib = ns->blocks >> (20 - min_u64(ns->block_shift, 20));

	if (ns->metadata)
		log_line("%s: namespace %u has metadata: it can't be read", n->dev->name, ns->id);
	else
		log_line("%s: namespace %u, %llu MiB, %u-byte blocks", n->dev->name, ns->id,
			(unsigned long long)mib, 1u << ns->block_shift);
}

static int namespace_add(struct nvme *n, uint32_t id)
{
	const uint8_t *page;
	struct nvme_namespace ns;
	int err = identify(n, CNS_NAMESPACE, id, &page);

	if (err)
		return err;
	ns = nvme_identify_namespace(page, id);
	if (!ns.blocks)
		return 0;
	n->ns[n->view.ns_count++] = ns;
	namespace_log(n, &ns);
	return 0;
}

/* Identifiers in use; controllers before 1.1 have no list, but number them from 1. */
static int namespace_ids(struct nvme *n, uint32_t count, uint32_t ret_id[NVME_NAMESPACES_MAX])
{
	const uint8_t *page;
	int err;

	if (n->version < NVME_VS_MAKE(1, 1)) {
		for (uint32_t i = 0; i < NVME_NAMESPACES_MAX; i++)
			ret_id[i] = i < count ? i + 1 : 0;
		return 0;
	}
	err = identify(n, CNS_ACTIVE_LIST, 0, &page);
	if (!err)
		memcpy(ret_id, page, NVME_NAMESPACES_MAX * sizeof(*ret_id));
	return err;
}

static int namespaces_find(struct nvme *n)
{
	uint32_t id[NVME_NAMESPACES_MAX], count;
	const uint8_t *page;
	int err = identify(n, CNS_CONTROLLER, 0, &page);

	if (err)
		return err;
	n->view.max_transfer = (uint32_t)min_u64(
		nvme_identify_max_transfer(page), n->view.policy->transfer);
	n->events_max = (uint32_t)min_u64(page[IDC_AERL] + 1u, NVME_EVENTS_MAX);
	memcpy(&count, page + IDC_NN, sizeof(count));
	err = namespace_ids(n, count, id);
	for (unsigned i = 0; i < NVME_NAMESPACES_MAX && !err && id[i]; i++)
		err = namespace_add(n, id[i]);
	return err;
}

int nvme_ctrl_discover(struct nvme *n)
{
	int err;

	nvme_sq_start(&n->sq[0], gpa(0), 0, 0);
	nvme_cq_start(&n->cq[0], gpa(0), 0, false, 0);
	nvme_ctrl_start(n);
	err = nvme_ctrl_wait(n, NVME_ON);
	if (err)
		return err;
	err = namespaces_find(n);
	nvme_ctrl_stop(n);
	return err ? err : nvme_ctrl_wait(n, NVME_OFF);
}
