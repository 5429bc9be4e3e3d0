/* The judge of NVMe commands; see nvme_cmd.h. No state. On the exit path. */
#include "dma/nvme_cmd.h"
#include "base/bits.h"

#define FINAL(status) ((uint16_t)((status) | NVME_SC_DNR))

bool nvme_shape_ok(const struct nvme_sqe *in)
{
	return !in->flags && !in->mptr;
}

const struct nvme_namespace *nvme_find_namespace(const struct nvme_view *view, uint32_t id)
{
	for (unsigned i = 0; i < view->ns_count; i++)
		if (view->ns[i].id == id)
			return &view->ns[i];
	return NULL;
}

/* ---- data buffers: PRP entries and lists ---- */

uint32_t nvme_buffer_bytes(const struct nvme_buffer *b, unsigned n)
{
	uint64_t first = PAGE_SIZE - (b->page[0] & PAGE_MASK);
	uint64_t before = n ? first + (n - 1) * PAGE_SIZE : 0;
	uint64_t room = n ? PAGE_SIZE : first;

	return (uint32_t)min_u64(room, b->len - before);
}

/*
 * Reads the list that holds the last n entries of a buffer. A list that would run over the end of
 * its page has a pointer to the next list as that page's last entry; only the first list may begin
 * inside a page, so that the second holds all the rest.
 */
static uint16_t list_fetch(const struct gmem *gmem, uint64_t at, unsigned n, struct nvme_buffer *b)
{
	while (n) {
		unsigned room = (unsigned)(PAGE_SIZE - (at & PAGE_MASK)) / 8;
		unsigned got = (unsigned)min_u64(n, room);
		uint64_t *entry = b->page + b->count;

		if (gmem_read(gmem, gpa(at), entry, got * sizeof(*entry)))
			return FINAL(NVME_SC_TRANSFER);
		if (got < n) {
			at = entry[--got];
			if (!is_aligned(at, PAGE_SIZE))
				return FINAL(NVME_SC_PRP_OFFSET);
		}
		b->count += got;
		n -= got;
	}
	return NVME_SC_SUCCESS;
}

uint16_t nvme_buffer_fetch(
	const struct gmem *gmem, const struct nvme_sqe *in, uint32_t len, struct nvme_buffer *ret)
{
	unsigned pages = (unsigned)(((in->prp1 & PAGE_MASK) + len + PAGE_MASK) >> PAGE_SHIFT);
	uint16_t status = NVME_SC_SUCCESS;

	if (!len || pages > NVME_PRPS_MAX)
		return FINAL(NVME_SC_FIELD);
	*ret = (struct nvme_buffer){.page[0] = in->prp1, .len = len, .count = 1};
	if (pages == 2) {
		ret->page[ret->count++] = in->prp2;
	} else if (pages > 2) {
		if (!is_aligned(in->prp2, 8))
			return FINAL(NVME_SC_PRP_OFFSET);
		status = list_fetch(gmem, in->prp2, pages - 1, ret);
	}
	for (unsigned i = 0; i < ret->count && !status; i++)
		if (!is_aligned(ret->page[i], i ? PAGE_SIZE : 4))
			status = FINAL(NVME_SC_PRP_OFFSET);
	return status;
}

/* The host memory behind the nth page; memory is contiguous inside one. */
static uint16_t page_translate(
	const struct gmem *gmem, const struct nvme_buffer *b, unsigned n, uint64_t *ret)
{
	uint32_t len = nvme_buffer_bytes(b, n);
	uint64_t got;
	hpa_t at;

	if (gmem_translate(gmem, gpa(b->page[n]), len, &at, &got) || got != len)
		return FINAL(NVME_SC_TRANSFER);
	*ret = at.v;
	return NVME_SC_SUCCESS;
}

uint16_t nvme_buffer_check(const struct gmem *gmem, const struct nvme_buffer *b)
{
	uint16_t status = NVME_SC_SUCCESS;
	uint64_t ignored;

	for (unsigned i = 0; i < b->count && !status; i++)
		status = page_translate(gmem, b, i, &ignored);
	return status;
}

uint16_t nvme_buffer_map(const struct gmem *gmem, const struct nvme_buffer *b,
	const struct nvme_list *list, struct nvme_sqe *out)
{
	uint16_t status = page_translate(gmem, b, 0, &out->prp1);

	if (b->count == 2 && !status)
		return page_translate(gmem, b, 1, &out->prp2);
	for (unsigned i = 1; i < b->count && !status; i++)
		status = page_translate(gmem, b, i, &list->entry[i - 1]);
	if (b->count > 2)
		out->prp2 = list->at.v;
	return status;
}

/* ---- I/O commands ---- */

enum io_shape {
	SHAPE_FLUSH,
	SHAPE_BLOCKS,	   /* a range of blocks, no data */
	SHAPE_BLOCKS_DATA, /* a range of blocks and a buffer of that size */
};

/*
 * What is understood, and how a command ends that the policy refuses: a write as on a
 * write-protected range, an optional command as on a drive that lacks it.
 */
static const struct io_command {
	uint8_t opcode, shape, command;
	bool write;
	uint16_t refusal;
} io_commands[] = {
	{NVME_FLUSH, SHAPE_FLUSH, POLICY_FLUSH, false, NVME_SC_OPCODE},
	{NVME_WRITE, SHAPE_BLOCKS_DATA, POLICY_WRITE, true, NVME_SC_READ_ONLY},
	{NVME_READ, SHAPE_BLOCKS_DATA, POLICY_READ, false, NVME_SC_OPCODE},
	{NVME_COMPARE, SHAPE_BLOCKS_DATA, POLICY_COMPARE, false, NVME_SC_OPCODE},
	{NVME_WRITE_ZEROES, SHAPE_BLOCKS, POLICY_WRITE_ZEROES, true, NVME_SC_OPCODE},
};

static const struct io_command *io_command_find(uint8_t opcode)
{
	for (unsigned i = 0; i < array_size(io_commands); i++)
		if (io_commands[i].opcode == opcode)
			return &io_commands[i];
	return NULL;
}

static uint16_t flush_check(
	const struct nvme_view *view, const struct nvme_sqe *in, struct nvme_sqe *ret)
{
	if (in->nsid != NVME_NSID_ALL && !nvme_find_namespace(view, in->nsid))
		return FINAL(NVME_SC_NAMESPACE);
	*ret = (struct nvme_sqe){.opcode = in->opcode, .nsid = in->nsid};
	return NVME_FORWARD;
}

/*
 * Blocks with metadata need a second buffer or a longer one: not understood, so refused. The windows of
 * a policy hold in each namespace.
 */
static uint16_t blocks_check(const struct policy *p, const struct nvme_namespace *ns,
	const struct nvme_sqe *in, bool write)
{
	uint64_t first = (uint64_t)in->cdw11 << 32 | in->cdw10;
	uint64_t count = (in->cdw12 & RW_BLOCKS) + 1;

	if (ns->metadata || in->cdw12 & RW_PRINFO)
		return FINAL(NVME_SC_FIELD);
	if (!range_fits(first, count, ns->blocks))
		return FINAL(NVME_SC_LBA_RANGE);
	switch (policy_reach(p->window, p->windows, first, count, write)) {
	case POLICY_INSIDE:
		return NVME_SC_SUCCESS;
	case POLICY_NOT_WRITABLE:
		return FINAL(NVME_SC_READ_ONLY);
	default:
		return FINAL(NVME_SC_ACCESS);
	}
}

static uint16_t data_map(const struct nvme_view *view, const struct nvme_sqe *in, uint64_t len,
	const struct nvme_list *list, struct nvme_sqe *out)
{
	struct nvme_buffer buffer;
	uint16_t status;

	if (len > view->max_transfer)
		return FINAL(NVME_SC_FIELD);
	status = nvme_buffer_fetch(view->gmem, in, (uint32_t)len, &buffer);
	return status ? status : nvme_buffer_map(view->gmem, &buffer, list, out);
}

static uint16_t rw_check(const struct nvme_view *view, const struct nvme_sqe *in,
	const struct io_command *c, const struct nvme_list *list, struct nvme_sqe *ret)
{
	const struct nvme_namespace *ns = nvme_find_namespace(view, in->nsid);
	struct nvme_sqe out = {
		.opcode = in->opcode,
		.nsid = in->nsid,
		.cdw10 = in->cdw10,
		.cdw11 = in->cdw11,
		.cdw12 = in->cdw12 & (RW_BLOCKS | RW_FUA | RW_LIMITED_RETRY),
	};
	uint16_t status;

	if (!ns)
		return FINAL(NVME_SC_NAMESPACE);
	status = blocks_check(view->policy, ns, in, c->write);
	if (!status && c->shape == SHAPE_BLOCKS_DATA) {
		uint64_t count = (in->cdw12 & RW_BLOCKS) + 1;

		status = data_map(view, in, count << ns->block_shift, list, &out);
	}
	if (status)
		return status;
	*ret = out;
	return NVME_FORWARD;
}

uint16_t nvme_io_check(const struct nvme_view *view, const struct nvme_sqe *in,
	const struct nvme_list *list, struct nvme_sqe *ret)
{
	const struct io_command *c = io_command_find(in->opcode);

	if (!c)
		return FINAL(NVME_SC_OPCODE);
	if (!policy_allows(view->policy, c->command))
		return FINAL(c->refusal);
	if (!nvme_shape_ok(in))
		return FINAL(NVME_SC_FIELD);
	if (c->shape == SHAPE_FLUSH)
		return flush_check(view, in, ret);
	return rw_check(view, in, c, list, ret);
}

/* ---- admin commands ---- */

static bool log_allowed(const struct policy *p, uint32_t id)
{
	return (id == LOG_ERRORS && policy_allows(p, POLICY_ERROR_LOG)) ||
	       (id == LOG_SMART && policy_allows(p, POLICY_SMART_LOG)) ||
	       (id == LOG_FIRMWARE && policy_allows(p, POLICY_FIRMWARE_LOG));
}

uint16_t nvme_log_page_check(const struct nvme_view *view, const struct nvme_sqe *in,
	const struct nvme_list *list, struct nvme_sqe *ret)
{
	uint64_t dwords = FIELD_GET(LOG_NUMDL, in->cdw10) + 1;
	uint32_t id = in->cdw10 & LOG_ID;
	struct nvme_sqe out = {
		.opcode = in->opcode,
		.nsid = in->nsid,
		.cdw10 = in->cdw10 & (LOG_ID | LOG_RETAIN | LOG_NUMDL),
	};
	uint16_t status;

	if (!log_allowed(view->policy, id))
		return FINAL(NVME_SC_LOG_PAGE);
	/* The filtered LPA says: no log of one namespace, no offsets, no upper half of the length. */
	if (!nvme_shape_ok(in) || (in->nsid && in->nsid != NVME_NSID_ALL) ||
		in->cdw10 & LOG_SPECIFIC || in->cdw11 || in->cdw12 || in->cdw13 || in->cdw14)
		return FINAL(NVME_SC_FIELD);
	status = data_map(view, in, dwords * 4, list, &out);
	if (status)
		return status;
	*ret = out;
	return NVME_FORWARD;
}

/*
 * Features without a data buffer that are harmless to read; and with the bits of dword 11 that a
 * guest may set: none of those outlives the controller's next reset, which ends the guest's turn.
 * A volatile write cache is the host's to switch.
 */
#define ALWAYS POLICY_COMMANDS

static const struct feature {
	uint8_t id, command;
	uint32_t settable;
} features[] = {
	{0x01, POLICY_SET_ARBITRATION, 0xffffff07}, {0x02, 0, 0}, /* power management */
	{0x04, POLICY_SET_TEMPERATURE, 0x003fffff}, {0x05, 0, 0}, /* error recovery */
	{0x06, 0, 0},						  /* volatile write cache */
	{FEATURE_QUEUES, ALWAYS, 0xffffffff},			  /* number of queues */
	{0x08, POLICY_SET_COALESCING, 0x0000ffff},		  /* of interrupts */
	{FEATURE_VECTOR, POLICY_SET_VECTOR, 0x00010000},	  /* vector 0 only */
	{0x0a, POLICY_SET_ATOMICITY, 0x00000001},
	{FEATURE_EVENTS, POLICY_SET_EVENTS, 0x000000ff}, /* health only */
};

static const struct feature *feature_find(uint32_t id)
{
	for (unsigned i = 0; i < array_size(features); i++)
		if (features[i].id == id)
			return &features[i];
	return NULL;
}

uint16_t nvme_get_features_check(
	const struct nvme_view *view, const struct nvme_sqe *in, struct nvme_sqe *ret)
{
	uint32_t id = in->cdw10 & FEATURE_ID;

	if (!policy_allows(view->policy, POLICY_GET_FEATURES))
		return FINAL(NVME_SC_OPCODE);

	/* Save and select are hidden in ONCS: there are only current values. */
	if (!nvme_shape_ok(in) || !feature_find(id) || in->cdw10 & ~FEATURE_ID)
		return FINAL(NVME_SC_FIELD);
	if (id == FEATURE_VECTOR && in->cdw11 & 0xffff)
		return FINAL(NVME_SC_FIELD);
	*ret = (struct nvme_sqe){
		.opcode = in->opcode,
		.nsid = in->nsid,
		.cdw10 = id,
		.cdw11 = in->cdw11 & 0x003fffff, /* temperature threshold: which one */
	};
	return NVME_FORWARD;
}

uint16_t nvme_set_features_check(
	const struct nvme_view *view, const struct nvme_sqe *in, struct nvme_sqe *ret)
{
	uint32_t id = in->cdw10 & FEATURE_ID;
	const struct feature *f = feature_find(id);

	if (!nvme_shape_ok(in) || !f || !f->settable ||
		(f->command != ALWAYS && !policy_allows(view->policy, f->command)))
		return FINAL(NVME_SC_FIELD);
	if (in->cdw10 & FEATURE_SAVE)
		return FINAL(NVME_SC_NOT_SAVEABLE);
	if (in->cdw10 & ~FEATURE_ID)
		return FINAL(NVME_SC_FIELD);
	if (id == FEATURE_VECTOR && in->cdw11 & 0xffff)
		return FINAL(NVME_SC_FIELD);
	*ret = (struct nvme_sqe){
		.opcode = in->opcode,
		.nsid = in->nsid,
		.cdw10 = id,
		.cdw11 = in->cdw11 & f->settable,
	};
	return NVME_FORWARD;
}

/* Of the namespaces only those that were found at attach are known to exist. */
static uint16_t identify_target_check(const struct nvme_view *view, const struct nvme_sqe *in)
{
	switch (in->cdw10 & IDENTIFY_CNS) {
	case CNS_NAMESPACE:
	case CNS_DESCRIPTORS:
		return nvme_find_namespace(view, in->nsid) ? 0 : FINAL(NVME_SC_NAMESPACE);
	case CNS_ACTIVE_LIST:
		return in->nsid >= NVME_NSID_ALL - 1 ? FINAL(NVME_SC_NAMESPACE) : 0;
	case CNS_CONTROLLER:
	case CNS_CS_CONTROLLER:
		return 0;
	default:
		return FINAL(NVME_SC_FIELD);
	}
}

uint16_t nvme_identify_check(const struct nvme_view *view, const struct nvme_sqe *in,
	struct nvme_sqe *ret, struct nvme_buffer *ret_buffer)
{
	struct nvme_buffer buffer;
	uint16_t status;

	/* Dword 10: controller identifier; 11: command set, of which there is one, number 0. */
	if (!policy_allows(view->policy, POLICY_IDENTIFY))
		return FINAL(NVME_SC_OPCODE);
	if (!nvme_shape_ok(in) || in->cdw10 & ~IDENTIFY_CNS || in->cdw11 || in->cdw14)
		return FINAL(NVME_SC_FIELD);
	status = identify_target_check(view, in);
	if (!status)
		status = nvme_buffer_fetch(view->gmem, in, NVME_IDENTIFY_SIZE, &buffer);
	if (!status)
		status = nvme_buffer_check(view->gmem, &buffer);
	if (status)
		return status;
	*ret_buffer = buffer;
	*ret = (struct nvme_sqe){.opcode = in->opcode, .nsid = in->nsid, .cdw10 = in->cdw10};
	return NVME_FORWARD;
}

/*
 * What a drive answers to a security command it decides by the command's protocol. ATA's passwords and
 * the vendors' protocols can lock a drive for good, and no unlocking needs them.
 */
static bool protocol_allowed(const struct nvme_sqe *in)
{
	uint32_t protocol = (uint32_t)FIELD_GET(SECURITY_PROTOCOL, in->cdw10);

	switch (protocol) {
	case SECURITY_INFORMATION:
		return in->opcode == NVME_SECURITY_RECEIVE;
	case SECURITY_TCG_1:
	case SECURITY_TCG_2:
		return true;
	default:
		return false;
	}
}

uint16_t nvme_security_check(const struct nvme_view *view, const struct nvme_sqe *in,
	const struct nvme_list *list, struct nvme_sqe *ret)
{
	bool send = in->opcode == NVME_SECURITY_SEND;
	struct nvme_sqe out = {
		.opcode = in->opcode,
		.nsid = in->nsid,
		.cdw10 = in->cdw10 & (SECURITY_PROTOCOL | SECURITY_SPECIFIC),
		.cdw11 = in->cdw11,
	};
	uint16_t status;

	if (!policy_allows(view->policy, send ? POLICY_SECURITY_SEND : POLICY_SECURITY_RECEIVE))
		return FINAL(NVME_SC_OPCODE);
	if (!nvme_shape_ok(in) || !protocol_allowed(in) || in->cdw12 || in->cdw13 || in->cdw14)
		return FINAL(NVME_SC_FIELD);
	if (in->nsid && in->nsid != NVME_NSID_ALL && !nvme_find_namespace(view, in->nsid))
		return FINAL(NVME_SC_NAMESPACE);
	status = data_map(view, in, in->cdw11, list, &out);
	if (status)
		return status;
	*ret = out;
	return NVME_FORWARD;
}
