/* See fake_nvme.h. */
#include "fakes/fake_nvme.h"
#include "base/bits.h"
#include "fakes/fake_hw.h"
#include "fakes/fake_pci.h"

#include <string.h>

#define ALLOWED_MAX 16u
#define BAR_SIZE    16384u

struct fake_nvme fake_nvme;

static struct allowed {
	unsigned kind;
	uint64_t at, len;
	uint8_t *va;
} allowed[ALLOWED_MAX];
static unsigned allowed_count;

void fake_nvme_allow(unsigned kind, uint64_t at, uint64_t len, void *va)
{
	allowed[allowed_count++] = (struct allowed){kind, at, len, va};
}

/* ---- DMA ---- */

static uint8_t *dma(unsigned kinds, uint64_t at, uint64_t len)
{
	struct fake_function *fn = fake_pci_find(FAKE_NVME_BDF);

	for (unsigned i = 0; i < allowed_count; i++)
		if (allowed[i].kind & kinds && at >= allowed[i].at &&
			range_fits(at - allowed[i].at, len, allowed[i].len) &&
			fn->config[PCI_COMMAND] & PCI_COMMAND_MASTER)
			return allowed[i].va + (at - allowed[i].at);
	fake_nvme.bad_dma++;
	return NULL;
}

static uint64_t list_entry(uint64_t list, unsigned i)
{
	uint64_t v = 0;
	const uint8_t *p = dma(FAKE_NVME_CONTROL, list + 8ull * i, 8);

	/* A list of ours never needs a second page. */
	fake_nvme.bad_protocol += (list & PAGE_MASK) + 8ull * i >= PAGE_SIZE - 8;
	if (p)
		memcpy(&v, p, 8);
	return v;
}

/* Copies data to where a command's PRP entries say. */
static void put_data(unsigned kinds, const struct nvme_sqe *c, const uint8_t *data, uint32_t len)
{
	uint32_t first = (uint32_t)(PAGE_SIZE - (c->prp1 & PAGE_MASK));
	uint32_t chunk = len < first ? len : first;
	bool listed = len > first && len - first > PAGE_SIZE;
	uint64_t at = c->prp1;

	for (unsigned i = 0; len; i++) {
		uint8_t *p = dma(kinds, at, chunk);

		if (p)
			memcpy(p, data, chunk);
		data += chunk;
		len -= chunk;
		chunk = len < PAGE_SIZE ? len : (uint32_t)PAGE_SIZE;
		if (len)
			at = listed ? list_entry(c->prp2, i) : c->prp2;
		fake_nvme.bad_protocol += len && !is_aligned(at, PAGE_SIZE);
	}
}

/* ---- completions ---- */

static void post(uint16_t cq_id, struct nvme_cqe cqe)
{
	struct fake_nvme_queue *cq = &fake_nvme.cq[cq_id];
	uint8_t *p;

	if (!cq->exists || (cq->tail + 1) % cq->entries == cq->head) {
		fake_nvme.bad_protocol++;
		return;
	}
	cqe.status = (uint16_t)((cqe.status & ~1u) | cq->phase);
	p = dma(FAKE_NVME_CONTROL, cq->base + cq->tail * sizeof(cqe), sizeof(cqe));
	if (p)
		memcpy(p, &cqe, sizeof(cqe));
	cq->tail = (cq->tail + 1) % cq->entries;
	if (!cq->tail)
		cq->phase = !cq->phase;
	fake_nvme.interrupts++;
}

static void complete(const struct fake_nvme_pending *c, uint16_t status, uint32_t result)
{
	const struct fake_nvme_queue *sq = &fake_nvme.sq[c->sq_id];

	post(sq->cq_id, (struct nvme_cqe){
				.result = result,
				.sq_head = (uint16_t)sq->head,
				.sq_id = c->sq_id,
				.cid = c->sqe.cid,
				.status = (uint16_t)(status << 1),
			});
}

void fake_nvme_stray(uint16_t cq_id, uint16_t sq_id, uint16_t cid)
{
	post(cq_id, (struct nvme_cqe){.sq_id = sq_id, .cid = cid});
}

/* ---- commands ---- */

uint8_t fake_nvme_byte(uint32_t nsid, uint64_t at)
{
	uint64_t x = (at / 8 + 1) * 0x9e3779b97f4a7c15ull + nsid * 0x2545f4914f6cdd1dull;

	return (uint8_t)((x ^ x >> 29) >> at % 8 * 8);
}

static uint16_t execute_read(const struct nvme_sqe *c)
{
	static uint8_t data[1 << 20];
	uint64_t lba = (uint64_t)c->cdw11 << 32 | c->cdw10;
	unsigned i = 0;
	uint64_t len, at;

	while (i < fake_nvme.ns_count && fake_nvme.ns[i].id != c->nsid)
		i++;
	if (i == fake_nvme.ns_count)
		return NVME_SC_NAMESPACE;
	len = ((c->cdw12 & RW_BLOCKS) + 1ull) << fake_nvme.ns[i].shift;
	at = lba << fake_nvme.ns[i].shift;
	if (!range_fits(lba, (c->cdw12 & RW_BLOCKS) + 1ull, fake_nvme.ns[i].blocks))
		return NVME_SC_LBA_RANGE;
	for (uint64_t k = 0; k < len; k++)
		data[k] = fake_nvme_byte(c->nsid, at + k);
	put_data(FAKE_NVME_DATA, c, data, (uint32_t)len);
	return 0;
}

static void identify_controller(uint8_t *page)
{
	uint32_t nn = fake_nvme.ns_count;

	/* Every optional feature that the specification has, and some that it hasn't. */
	memset(page, 0xff, NVME_IDENTIFY_SIZE);
	memcpy(page + IDC_SERIAL, "serial              ", 20);
	memcpy(page + IDC_MODEL, "Fake controller                         ", 40);
	page[IDC_MDTS] = fake_nvme.mdts;
	page[IDC_AERL] = fake_nvme.aerl;
	page[IDC_VWC] = 1;
	memcpy(page + IDC_NN, &nn, 4);
}

static void identify_namespace(uint8_t *page, uint32_t id)
{
	for (unsigned i = 0; i < fake_nvme.ns_count; i++) {
		uint32_t lbaf = fake_nvme.ns[i].metadata | (uint32_t)fake_nvme.ns[i].shift << 16;

		if (fake_nvme.ns[i].id != id)
			continue;
		memset(page, 0xff, NVME_IDENTIFY_SIZE);
		memcpy(page, &fake_nvme.ns[i].blocks, 8);
		page[IDN_FLBAS] = 0x22; /* format 18, by both fields of the index */
		memcpy(page + IDN_LBAF + 18 * 4, &lbaf, 4);
	}
}

static uint16_t execute_identify(const struct nvme_sqe *c)
{
	static uint8_t page[NVME_IDENTIFY_SIZE];
	uint32_t at = 0;

	memset(page, 0, sizeof(page));
	switch (c->cdw10 & 0xff) {
	case CNS_NAMESPACE:
		identify_namespace(page, c->nsid);
		break;
	case CNS_CONTROLLER:
		identify_controller(page);
		break;
	case CNS_ACTIVE_LIST:
		for (unsigned i = 0; i < fake_nvme.ns_count; i++)
			if (fake_nvme.ns[i].id > c->nsid)
				memcpy(page + 4 * at++, &fake_nvme.ns[i].id, 4);
		break;
	case CNS_DESCRIPTORS:
		memset(page, 0x5d, 16);
		break;
	case CNS_CS_CONTROLLER:
		memset(page, 0xcc, sizeof(page));
		break;
	default:
		return NVME_SC_FIELD;
	}
	if (!fake_nvme.no_data)
		put_data(FAKE_NVME_CONTROL, c, page, sizeof(page));
	return 0;
}

static uint16_t create_queue(const struct nvme_sqe *c, bool is_cq)
{
	uint16_t id = c->cdw10 & 0xffff, cq_id = is_cq ? id : (uint16_t)(c->cdw11 >> 16);
	uint32_t entries = (c->cdw10 >> 16) + 1;
	struct fake_nvme_queue *q = is_cq ? &fake_nvme.cq[id] : &fake_nvme.sq[id];

	if (!id || id >= FAKE_NVME_QUEUES || q->exists || !(c->cdw11 & 1) ||
		entries > FIELD_GET(CAP_MQES, fake_nvme.cap) + 1 || c->prp1 & PAGE_MASK ||
		(!is_cq && !fake_nvme.cq[cq_id].exists) || (is_cq && c->cdw11 >> 16)) {
		fake_nvme.bad_protocol++;
		return NVME_SC_FIELD;
	}
	*q = (struct fake_nvme_queue){
		.base = c->prp1, .entries = entries, .cq_id = cq_id, .exists = true, .phase = true};
	return 0;
}

static void drop_pending(unsigned i)
{
	fake_nvme.pending_count--;
	memmove(&fake_nvme.pending[i], &fake_nvme.pending[i + 1],
		(fake_nvme.pending_count - i) * sizeof(fake_nvme.pending[0]));
}

static uint16_t delete_sq(const struct nvme_sqe *c)
{
	uint16_t id = c->cdw10 & 0xffff;

	if (!id || id >= FAKE_NVME_QUEUES || !fake_nvme.sq[id].exists) {
		fake_nvme.bad_protocol++;
		return NVME_SC_QUEUE_ID;
	}
	for (unsigned i = 0; i < fake_nvme.pending_count;) {
		struct fake_nvme_pending victim = fake_nvme.pending[i];

		if (victim.sq_id != id) {
			i++;
			continue;
		}
		drop_pending(i);
		if (!fake_nvme.silent_deletion)
			complete(&victim, NVME_SC(0, 0x08), 0);
	}
	fake_nvme.sq[id].exists = false;
	return 0;
}

static uint16_t delete_cq(const struct nvme_sqe *c)
{
	uint16_t id = c->cdw10 & 0xffff;
	bool used = false;

	for (unsigned i = 0; i < FAKE_NVME_QUEUES; i++)
		used |= fake_nvme.sq[i].exists && fake_nvme.sq[i].cq_id == id;
	if (!id || id >= FAKE_NVME_QUEUES || !fake_nvme.cq[id].exists || used) {
		fake_nvme.bad_protocol++;
		return NVME_SC_QUEUE_ID;
	}
	fake_nvme.cq[id].exists = false;
	return 0;
}

static uint16_t execute_log(const struct nvme_sqe *c)
{
	static uint8_t data[1 << 18];

	memset(data, 0x10 + (c->cdw10 & 0xff), sizeof(data));
	put_data(FAKE_NVME_DATA, c, data, (uint32_t)(((c->cdw10 >> 16) + 1) * 4));
	return 0;
}

static uint16_t execute_abort(const struct nvme_sqe *c, uint32_t *result)
{
	*result = 1;
	for (unsigned i = 0; i < fake_nvme.pending_count; i++) {
		struct fake_nvme_pending victim = fake_nvme.pending[i];

		if (victim.sq_id != (c->cdw10 & 0xffff) || victim.sqe.cid != c->cdw10 >> 16)
			continue;
		drop_pending(i);
		complete(&victim, NVME_SC(0, 0x07), 0);
		*result = 0;
		break;
	}
	return 0;
}

static uint16_t execute_admin(const struct nvme_sqe *c, uint32_t *result)
{
	if (c->opcode == fake_nvme.fail_opcode)
		return fake_nvme.fail_status;
	switch (c->opcode) {
	case NVME_IDENTIFY:
		return execute_identify(c);
	case NVME_CREATE_CQ:
		return create_queue(c, true);
	case NVME_CREATE_SQ:
		return create_queue(c, false);
	case NVME_DELETE_SQ:
		return delete_sq(c);
	case NVME_DELETE_CQ:
		return delete_cq(c);
	case NVME_GET_LOG_PAGE:
		return execute_log(c);
	case NVME_ABORT:
		return execute_abort(c, result);
	case NVME_SET_FEATURES:
	case NVME_GET_FEATURES:
		*result = (c->cdw10 & 0xff) == FEATURE_QUEUES ? fake_nvme.queues_granted : c->cdw11;
		return 0;
	default:
		/* Whatever else arrives here is something that the filter let through. */
		fake_nvme.bad_protocol++;
		return NVME_SC_OPCODE;
	}
}

static uint16_t execute_io(const struct nvme_sqe *c)
{
	switch (c->opcode) {
	case NVME_READ:
		return execute_read(c);
	case NVME_FLUSH:
		return 0;
	default:
		fake_nvme.bad_protocol++;
		return NVME_SC_OPCODE;
	}
}

void fake_nvme_run_one(unsigned i)
{
	struct fake_nvme_pending c = fake_nvme.pending[i];
	uint32_t result = 0;
	uint16_t status;

	drop_pending(i);
	status = c.sq_id ? execute_io(&c.sqe) : execute_admin(&c.sqe, &result);
	complete(&c, status, result);
}

static bool is_event(const struct fake_nvme_pending *c)
{
	return !c->sq_id && c->sqe.opcode == NVME_ASYNC_EVENT;
}

void fake_nvme_run(void)
{
	for (unsigned i = 0; i < fake_nvme.pending_count;)
		if (is_event(&fake_nvme.pending[i]))
			i++;
		else
			fake_nvme_run_one(i);
}

bool fake_nvme_event(uint32_t result)
{
	for (unsigned i = 0; i < fake_nvme.pending_count; i++) {
		struct fake_nvme_pending c = fake_nvme.pending[i];

		if (!is_event(&c))
			continue;
		drop_pending(i);
		complete(&c, 0, result);
		return true;
	}
	return false;
}

static void fetch(uint16_t id)
{
	struct fake_nvme_queue *sq = &fake_nvme.sq[id];

	while (sq->head != sq->tail) {
		struct fake_nvme_pending c = {.sq_id = id};
		const uint8_t *p = dma(
			FAKE_NVME_CONTROL, sq->base + sq->head * sizeof(c.sqe), sizeof(c.sqe));

		if (p)
			memcpy(&c.sqe, p, sizeof(c.sqe));
		sq->head = (sq->head + 1) % sq->entries;
		for (unsigned i = 0; i < fake_nvme.pending_count; i++)
			fake_nvme.bad_protocol += fake_nvme.pending[i].sq_id == id &&
						  fake_nvme.pending[i].sqe.cid == c.sqe.cid;
		if (fake_nvme.pending_count < FAKE_NVME_PENDING)
			fake_nvme.pending[fake_nvme.pending_count++] = c;
		if (fake_nvme.history_count < FAKE_NVME_HISTORY)
			fake_nvme.history[fake_nvme.history_count++] = c;
	}
	if (!fake_nvme.hold)
		fake_nvme_run();
}

/* ---- registers ---- */

static void doorbell(uint64_t at, uint32_t value)
{
	uint64_t stride = 4ull << FIELD_GET(CAP_DSTRD, fake_nvme.cap), n = at / stride;
	struct fake_nvme_queue *q = n & 1 ? &fake_nvme.cq[n / 2] : &fake_nvme.sq[n / 2];

	if (at % stride || n / 2 >= FAKE_NVME_QUEUES || !q->exists || value >= q->entries ||
		!(fake_nvme.csts & CSTS_RDY)) {
		fake_nvme.bad_protocol++;
		return;
	}
	if (n & 1) {
		q->head = value;
		return;
	}
	q->tail = value;
	fetch((uint16_t)(n / 2));
}

static void settle(void)
{
	bool enabled = fake_nvme.cc & CC_EN;

	if (fake_nvme.countdown) {
		fake_nvme.countdown--;
		return;
	}
	if (enabled && !fake_nvme.never_ready)
		fake_nvme.csts |= CSTS_RDY;
	if (!enabled && !fake_nvme.never_stops)
		fake_nvme.csts &= ~CSTS_RDY;
}

static void enable(void)
{
	fake_nvme.enables++;
	memset(fake_nvme.sq, 0, sizeof(fake_nvme.sq));
	memset(fake_nvme.cq, 0, sizeof(fake_nvme.cq));
	fake_nvme.sq[0] = (struct fake_nvme_queue){
		.base = fake_nvme.asq, .entries = (fake_nvme.aqa & AQA_ASQS) + 1, .exists = true};
	fake_nvme.cq[0] = (struct fake_nvme_queue){.base = fake_nvme.acq,
		.entries = (uint32_t)FIELD_GET(AQA_ACQS, fake_nvme.aqa) + 1,
		.exists = true,
		.phase = true};
}

static void cc_write(uint32_t value)
{
	uint32_t changed = fake_nvme.cc ^ value;

	fake_nvme.cc = value;
	if (!(changed & CC_EN))
		return;
	/* So is disabling before it rose, but for one that never gets ready. */
	if (!(value & CC_EN) && !fake_nvme.never_ready)
		fake_nvme.bad_protocol += !(fake_nvme.csts & CSTS_RDY);
	fake_nvme.countdown = fake_nvme.slow_reads;
	fake_nvme.pending_count = 0;
	if (value & CC_EN) {
		/* Enabling before RDY fell is undefined. */
		fake_nvme.bad_protocol += fake_nvme.csts & CSTS_RDY;
		enable();
	}
	settle();
}

static uint64_t regs_read(uint64_t at, unsigned size)
{
	uint64_t reg = at - FAKE_NVME_BAR;
	uint64_t wide[] = {fake_nvme.cap, fake_nvme.asq, fake_nvme.acq};

	if (at < FAKE_NVME_BAR || reg >= BAR_SIZE || size != 4 || fake_nvme.gone)
		return size_mask(size);
	switch (reg) {
	case NVME_CAP:
	case NVME_CAP + 4:
		return wide[0] >> reg % 8 * 8 & 0xffffffff;
	case NVME_VS:
		return fake_nvme.version;
	case NVME_CRTO:
		return fake_nvme.crto;
	case NVME_CC:
		return fake_nvme.cc;
	case NVME_CSTS:
		settle();
		return fake_nvme.csts;
	case NVME_AQA:
		return fake_nvme.aqa;
	case NVME_ASQ:
	case NVME_ASQ + 4:
		return wide[1] >> reg % 8 * 8 & 0xffffffff;
	case NVME_ACQ:
	case NVME_ACQ + 4:
		return wide[2] >> reg % 8 * 8 & 0xffffffff;
	default:
		fake_nvme.bad_protocol++;
		return 0;
	}
}

static void regs_write(uint64_t at, unsigned size, uint64_t value)
{
	uint64_t reg = at - FAKE_NVME_BAR;

	if (at < FAKE_NVME_BAR || reg >= BAR_SIZE || size != 4) {
		fake_nvme.bad_protocol++;
		return;
	}
	if (reg >= NVME_REGS_END) {
		doorbell(reg - NVME_REGS_END, (uint32_t)value);
		return;
	}
	/* The admin queues' registers may only change while it is disabled. */
	fake_nvme.bad_protocol += reg != NVME_CC && (fake_nvme.cc & CC_EN);
	switch (reg) {
	case NVME_CC:
		cc_write((uint32_t)value);
		break;
	case NVME_AQA:
		fake_nvme.aqa = (uint32_t)value;
		break;
	case NVME_ASQ:
	case NVME_ASQ + 4:
		fake_nvme.asq = bytes_merge(fake_nvme.asq, value, reg % 8, 4);
		break;
	case NVME_ACQ:
	case NVME_ACQ + 4:
		fake_nvme.acq = bytes_merge(fake_nvme.acq, value, reg % 8, 4);
		break;
	default:
		fake_nvme.bad_protocol++;
		break;
	}
}

void fake_nvme_reset(void)
{
	memset(&fake_nvme, 0, sizeof(fake_nvme));
	allowed_count = 0;
	fake_nvme.cap = 2047 | CAP_CQR | CAP_CSS | FIELD_PUT(CAP_TO, 15) | 3ull << 52 | 3ull << 56;
	fake_nvme.version = NVME_VS_MAKE(1, 4);
	fake_nvme.ns[0].id = 1;
	fake_nvme.ns[0].shift = 9;
	fake_nvme.ns[0].blocks = 8192;
	fake_nvme.ns_count = 1;
	fake_nvme.mdts = 7;
	fake_nvme.aerl = 3;
	fake_nvme.fail_opcode = 0xffff;
	fake_nvme.queues_granted = 0x003f003f;
	/* As the firmware's driver leaves it. */
	fake_nvme.cc = CC_EN;
	fake_nvme.csts = CSTS_RDY;
	fake_nvme.aqa = 0x00010001;
	fake_nvme.asq = 0x7f000000;
	fake_nvme.acq = 0x7f001000;
	fake_hw_reset();
	fake_hw.mmio_read = regs_read;
	fake_hw.mmio_write = regs_write;
	fake_pci_q35();
}
