/*
 * The restricted NVMe controller: the model of its registers that the guest works on, and the
 * operations of the device contract. State is in struct nvme, on the arena. nvme_mmio, poll and
 * bar_moved are on the exit path.
 */
#include "dma/nvme.h"
#include "base/bits.h"
#include "base/error.h"
#include "dma/nvme_state.h"

/* PCI Local Bus Specification 3.0, "MSI-X Capability Structure". */
#define MSIX_TABLE   4u
#define MSIX_PENDING 8u
#define MSIX_BAR     0x7u

/* ---- registers: reads ---- */

static uint32_t csts_read(struct nvme *n)
{
	uint32_t real = nvme_ctrl_update(n), csts = real & (CSTS_RDY | CSTS_CFS);

	/* Surprise removal, which drivers look for. */
	if (real == 0xffffffff)
		return real;
	/* To the guest it was ready, and is on its way down. */
	if (n->phase == NVME_ABORTING)
		csts |= CSTS_RDY;
	if (n->failed)
		csts |= CSTS_CFS;
	if (n->shut_down)
		csts |= CSTS_SHST_DONE;
	return csts;
}

/* Eight bytes of registers. What isn't named is reserved or hidden, and reads 0. */
static uint64_t block_read(struct nvme *n, uint64_t at)
{
	switch (at) {
	case NVME_CAP:
		return n->cap;
	case NVME_VS:
		return (uint64_t)n->intms << 32 | n->version;
	case NVME_INTMC:
		return (uint64_t)n->cc << 32 | n->intms;
	case NVME_CSTS - 4:
		return (uint64_t)csts_read(n) << 32;
	case NVME_AQA - 4:
		return (uint64_t)n->aqa << 32;
	case NVME_ASQ:
		return n->asq;
	case NVME_ACQ:
		return n->acq;
	default:
		return 0;
	}
}

/* Any size and alignment, as long as the access stays inside one block. Doorbells read 0. */
static enum io_result registers_read(struct nvme *n, struct io_access *a)
{
	unsigned in_block = a->offset & 7;

	if (in_block + a->size > 8) {
		n->stats.bad_accesses++;
		return IO_REJECT;
	}
	a->value = block_read(n, a->offset - in_block) >> in_block * 8 & size_mask(a->size);
	return IO_DONE;
}

/* ---- registers: writes ---- */

/*
 * The guest's admin queues must be rings in its memory, its pages 4 KiB, the command set NVM, and
 * arbitration round robin.
 */
static bool admin_queues_ok(const struct nvme *n)
{
	const struct gmem *gmem = &n->dev->vm->gmem;
	uint32_t sq_last = n->aqa & AQA_ASQS, cq_last = (uint32_t)FIELD_GET(AQA_ACQS, n->aqa);

	if (n->cc & (CC_CSS | CC_MPS | CC_AMS) || !sq_last || !cq_last)
		return false;
	return nvme_ring_ok(gmem, n->asq, sq_last + 1, NVME_SQE_SIZE) &&
	       nvme_ring_ok(gmem, n->acq, cq_last + 1, NVME_CQE_SIZE);
}

static void controller_enable(struct nvme *n)
{
	nvme_ctrl_update(n);
	/* Enabled before RDY went to 0: undefined by the specification, and no way to go on. */
	if (n->phase != NVME_OFF || !admin_queues_ok(n)) {
		log_limited(
			&n->refused_log, "%s: the guest's admin queues are refused", n->dev->name);
		n->failed = true;
		return;
	}
	n->failed = n->shut_down = false;
	nvme_sq_start(&n->sq[0], gpa(n->asq), (n->aqa & AQA_ASQS) + 1, 0);
	nvme_cq_start(&n->cq[0], gpa(n->acq), (uint32_t)FIELD_GET(AQA_ACQS, n->aqa) + 1, true, 0);
	n->sq[0].state = n->cq[0].state = NVME_QUEUE_ACTIVE;
	nvme_ctrl_start(n);
}

/* "Controller Level Reset": all but the admin queues' registers. */
static void controller_reset(struct nvme *n)
{
	n->failed = n->shut_down = false;
	n->intms = n->posted = 0;
	nvme_ctrl_stop(n);
	nvme_exec_update_irq(n);
}

/*
 * A shutdown notification stays here, since the drive goes on serving the host afterwards: it
 * completes at once, and nothing is fetched any more.
 */
static void cc_write(struct nvme *n, uint32_t value)
{
	uint32_t fixed = n->cc & CC_EN ? CC_CSS | CC_MPS | CC_AMS : 0;
	uint32_t old = n->cc;

	n->cc = (old & fixed) | (value & CC_WRITABLE & ~fixed);
	if (value & ~old & CC_EN)
		controller_enable(n);
	else if (old & ~value & CC_EN)
		controller_reset(n);
	if (value & CC_SHN)
		n->shut_down = true;
}

/* Four bytes. The admin queues' registers are fixed while the controller is enabled. */
static void register_write(struct nvme *n, uint64_t reg, uint32_t value)
{
	bool enabled = n->cc & CC_EN;

	switch (reg) {
	case NVME_INTMS:
		n->intms |= value;
		nvme_exec_update_irq(n);
		break;
	case NVME_INTMC:
		nvme_exec_unmask(n, value);
		break;
	case NVME_CC:
		cc_write(n, value);
		break;
	case NVME_AQA:
		n->aqa = enabled ? n->aqa : value & (AQA_ASQS | AQA_ACQS);
		break;
	case NVME_ASQ:
	case NVME_ASQ + 4:
		if (!enabled)
			n->asq = bytes_merge(n->asq, value, reg - NVME_ASQ, 4) & ~PAGE_MASK;
		break;
	case NVME_ACQ:
	case NVME_ACQ + 4:
		if (!enabled)
			n->acq = bytes_merge(n->acq, value, reg - NVME_ACQ, 4) & ~PAGE_MASK;
		break;
	default:
		break;
	}
}

/* ---- doorbells ---- */

static bool doorbell_take(struct nvme *n, uint64_t number, uint32_t value)
{
	uint64_t id = number / 2;

	if (n->phase == NVME_STARTING)
		nvme_ctrl_update(n);
	if (n->phase != NVME_ON || id >= NVME_QUEUES)
		return false;
	if (number & 1)
		return n->cq[id].state == NVME_QUEUE_ACTIVE && nvme_cq_set_head(&n->cq[id], value);
	return n->sq[id].state == NVME_QUEUE_ACTIVE && nvme_sq_set_tail(&n->sq[id], value);
}

/* Misuse has no effect, as on a controller from which no asynchronous event was requested. */
static void doorbell_write(struct nvme *n, uint64_t offset, uint32_t value)
{
	uint64_t at = offset - NVME_REGS_END;

	n->stats.doorbells++;
	if (is_aligned(at, n->doorbell_stride) &&
		doorbell_take(n, at / n->doorbell_stride, value)) {
		nvme_exec_run(n);
		return;
	}
	n->stats.bad_doorbells++;
	log_limited(&n->doorbell_log, "%s: doorbell at %xh ignored, value %u", n->dev->name,
		(unsigned)offset, value);
}

/* Four bytes anywhere, or eight among the registers; other writes have no effect. */
static enum io_result registers_write(struct nvme *n, struct io_access *a)
{
	bool doorbell = a->offset >= NVME_REGS_END;

	if (!is_aligned(a->offset, a->size) || (a->size != 4 && (a->size != 8 || doorbell))) {
		n->stats.bad_accesses++;
		return IO_REJECT;
	}
	if (doorbell) {
		doorbell_write(n, a->offset, (uint32_t)a->value);
		return IO_DONE;
	}
	register_write(n, a->offset, (uint32_t)a->value);
	if (a->size == 8)
		register_write(n, a->offset + 4, (uint32_t)(a->value >> 32));
	return IO_DONE;
}

static enum io_result nvme_mmio(struct device *dev, struct io_access *a)
{
	struct nvme *n = dev->state;

	return a->write ? registers_write(n, a) : registers_read(n, a);
}

/* ---- the device contract ---- */

/*
 * What is left of CAP: queues up to the size of our shadows, contiguous ones only, no subsystem
 * reset, boot partitions, controller or persistent memory, one command set, 4 KiB pages.
 */
static uint64_t cap_model(const struct nvme *n)
{
	uint64_t timeout = min_u64(n->timeout_us / NVME_TIMEOUT_US, FIELD_GET(CAP_TO, CAP_TO));

	return (n->real_cap & CAP_DSTRD) | FIELD_PUT(CAP_TO, timeout) |
	       FIELD_PUT(CAP_MQES, n->io_entries - 1) | CAP_CQR | CAP_CSS_NVM;
}

static int queues_init(struct nvme *n, struct arena *arena)
{
	int err = nvme_sq_init(&n->sq[0], arena, 0, NVME_ADMIN_ENTRIES, NVME_IDENTIFY_SIZE);

	if (!err)
		err = nvme_cq_init(&n->cq[0], arena, 0, NVME_ADMIN_ENTRIES);
	for (uint16_t i = 1; i < NVME_QUEUES && !err; i++) {
		err = nvme_sq_init(&n->sq[i], arena, i, n->io_entries, NVME_LIST_SIZE);
		if (!err)
			err = nvme_cq_init(&n->cq[i], arena, i, n->io_entries);
	}
	return err;
}

size_t nvme_arena_size(void)
{
	return align_up(sizeof(struct nvme), PAGE_SIZE) +
	       nvme_queue_arena_size(NVME_ADMIN_ENTRIES, NVME_IDENTIFY_SIZE) +
	       NVME_IO_QUEUES * nvme_queue_arena_size(NVME_IO_ENTRIES, NVME_LIST_SIZE);
}

static int take_and_discover(struct nvme *n, struct arena *arena)
{
	int err = nvme_ctrl_take(n);

	if (!err)
		err = queues_init(n, arena);
	if (err)
		return err;
	nvme_ctrl_set_master(n, true);
	return nvme_ctrl_discover(n);
}

static int nvme_quiesce(struct device *dev)
{
	struct nvme *n = dev->state;
	int err = 0;

	if (!n || !n->taken)
		return 0;
	if (n->timeout_us) {
		err = nvme_ctrl_halt(n);
		nvme_exec_update_irq(n);
	}
	nvme_ctrl_set_master(n, false);
	return err;
}

static void nvme_detach(struct device *dev)
{
	struct nvme *n = dev->state;

	if (!n)
		return;
	region_remove(&dev->vm->mmio, &n->region);
	if (n->taken)
		nvme_ctrl_release(n);
	log_line("%s: %llu commands, %llu refused; %llu doorbells, %llu ignored", dev->name,
		(unsigned long long)n->stats.commands, (unsigned long long)n->stats.refused,
		(unsigned long long)n->stats.doorbells, (unsigned long long)n->stats.bad_doorbells);
	if (n->stats.messages)
		log_line("%s: %llu interrupt messages", dev->name,
			(unsigned long long)n->stats.messages);
	dev->state = NULL;
}

/* Where in BAR 0 a structure of MSI-X begins, or all ones. */
static uint64_t msix_begin(const struct nvme *n, unsigned reg)
{
	unsigned at = hw_pci_find_cap(n->dev->bdf, PCI_CAP_MSIX);
	uint32_t place = at ? hw_pci_read(n->dev->bdf, at + reg, 4) : ~0u;

	return place & MSIX_BAR ? ~0ull : place;
}

/* Registers and doorbells to the end of their page; table and pending bits of MSI-X aren't ours. */
static uint64_t region_length(const struct nvme *n)
{
	uint64_t doorbells = NVME_REGS_END + 2ull * NVME_QUEUES * n->doorbell_stride;
	uint64_t len = align_up(doorbells, PAGE_SIZE);

	len = min_u64(len, msix_begin(n, MSIX_TABLE));
	len = min_u64(len, msix_begin(n, MSIX_PENDING));
	return max_u64(len, doorbells);
}

static int nvme_attach(struct device *dev, struct arena *arena)
{
	struct nvme *n = arena_alloc(arena, sizeof(*n), 64);
	int err;

	if (!n)
		return -E_NOMEM;
	*n = (struct nvme){
		.dev = dev,
		.view = {.gmem = &dev->vm->gmem, .policy = dev->policy, .ns = n->ns},
	};
	dev->state = n;
	err = take_and_discover(n, arena);
	if (err)
		goto err_take;
	n->cap = cap_model(n);
	dev->vectors = NVME_QUEUES;
	n->region = (struct region){
		.len = region_length(n),
		.dev = dev,
		.handler = nvme_mmio,
		.name = "nvme",
	};
	log_line("%s: version %u.%u, %u namespaces", dev->name, n->version >> 16,
		n->version >> 8 & 0xffu, n->view.ns_count);
	return 0;

err_take:
	log_line("%s: can't be taken: %s", dev->name, error_string(err));
	if (nvme_quiesce(dev)) {
		dev->restless = true;
		log_line("%s: doesn't stop; its bus mastering stays off", dev->name);
	}
	nvme_detach(dev);
	return err;
}

static void nvme_poll(struct device *dev)
{
	struct nvme *n = dev->state;

	dev->irq_fired = false;
	if (n && n->phase == NVME_ON)
		nvme_exec_run(n);
}

static int nvme_bar_moved(struct device *dev, unsigned bar, uint64_t base, bool enabled)
{
	struct nvme *n = dev->state;

	if (bar || !n)
		return 0;
	return region_move(&dev->vm->mmio, &n->region, base, enabled);
}

const struct device_ops nvme_ops = {
	.name = "nvme",
	.attach = nvme_attach,
	.quiesce = nvme_quiesce,
	.detach = nvme_detach,
	.poll = nvme_poll,
	.bar_moved = nvme_bar_moved,
};
