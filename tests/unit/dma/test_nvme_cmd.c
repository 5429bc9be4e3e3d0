/*
 * The judge of NVMe commands over guest memory that changes as soon as it was read: each pointer is
 * followed once, and what is issued is what was judged.
 */
#include "base/bits.h"
#include "dma/nvme_identify.h"
#include "fakes/fake_gmem.h"
#include "test.h"

#define DNR	 NVME_SC_DNR
#define RUN_SIZE 0x40000u
#define LIST_HPA 0x77700200ull

/*
 * Runs: [0, 256 KiB) and [256 KiB, 512 KiB), not neighbours in host memory; a hole; and one that
 * ends where addresses end.
 */
static uint8_t memory[3][RUN_SIZE] __attribute__((aligned(4096)));
static const uint64_t run_gpa[3] = {0, RUN_SIZE, 0ull - 2 * RUN_SIZE};
static const uint64_t run_hpa[3] = {0x10000000, 0x50000000, 0x20000000};

static struct gmem gmem;
static uint64_t list_memory[NVME_LIST_SIZE / 8];
static struct nvme_namespace namespaces[2];
static struct policy policy;
static struct nvme_view view;
static const struct nvme_list list = {list_memory, {LIST_HPA}};

static void reset(void)
{
	fake_gmem_reset();
	fake_gmem.hostile = true;
	memset(&gmem, 0, sizeof(gmem));
	memset(memory, 0, sizeof(memory));
	memset(list_memory, 0xee, sizeof(list_memory));
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(gmem_add(&gmem, (struct gmem_run){gpa(run_gpa[i]), hpa(run_hpa[i]),
						 RUN_SIZE, memory[i]}),
			0);
	namespaces[0] = (struct nvme_namespace){.id = 1, .block_shift = 9, .blocks = 1 << 20};
	namespaces[1] = (struct nvme_namespace){
		.id = 7, .block_shift = 12, .blocks = 100, .metadata = 8};
	policy = policy_read_only;
	view = (struct nvme_view){.gmem = &gmem,
		.policy = &policy,
		.ns = namespaces,
		.ns_count = 2,
		.max_transfer = NVME_TRANSFER_MAX};
}

static void put_list(uint64_t at, const uint64_t *entry, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(gmem_write(&gmem, gpa(at + 8ull * i), &entry[i], 8), 0);
}

static struct nvme_sqe read_of(uint32_t bytes, uint64_t prp1, uint64_t prp2)
{
	return (struct nvme_sqe){.opcode = NVME_READ,
		.cid = 0x1234,
		.nsid = 1,
		.prp1 = prp1,
		.prp2 = prp2,
		.cdw10 = 5,
		.cdw12 = bytes / 512 - 1};
}

static uint16_t judge(struct nvme_sqe in, struct nvme_sqe *out)
{
	memset(out, 0xdd, sizeof(*out));
	fake_gmem_forget();
	return nvme_io_check(&view, &in, &list, out);
}

static uint16_t verdict(struct nvme_sqe in)
{
	struct nvme_sqe out;
	uint16_t status = judge(in, &out);

	/* A refused command leaves the output alone. */
	if (status != NVME_FORWARD)
		CHECK_EQ(out.prp1, 0xddddddddddddddddull);
	return status;
}

/* ---- PRP entries ---- */

static void one_page(void)
{
	struct nvme_sqe out;

	reset();
	CHECK_EQ(judge(read_of(512, 0x3000, 0xbad), &out), NVME_FORWARD);
	CHECK_EQ(out.prp1, 0x10003000);
	CHECK_EQ(out.prp2, 0);
	CHECK_EQ(judge(read_of(4096, 0x3000, 0), &out), NVME_FORWARD);
	CHECK_EQ(judge(read_of(512, 0x3e00, 0xbad), &out), NVME_FORWARD);
	CHECK_EQ(out.prp1, 0x10003e00);
	CHECK_EQ(judge(read_of(512, 0x3ffc, 0x5000), &out), NVME_FORWARD);
	CHECK_EQ(out.prp1, 0x10003ffc);
	CHECK_EQ(out.prp2, 0x10005000);
	CHECK_EQ(verdict(read_of(512, 0x3002, 0)), NVME_SC_PRP_OFFSET | DNR);
	CHECK_EQ(verdict(read_of(512, 2 * RUN_SIZE, 0)), NVME_SC_TRANSFER | DNR);
	CHECK_EQ(verdict(read_of(512, 2 * RUN_SIZE - 0x200, 0)), NVME_FORWARD);
	CHECK_EQ(fake_gmem.reads, 0);
}

static void two_pages(void)
{
	struct nvme_sqe out;

	reset();
	/* Across the seam between two runs: contiguous for the guest, not for the device. */
	CHECK_EQ(judge(read_of(8192, RUN_SIZE - 0x1000, RUN_SIZE), &out), NVME_FORWARD);
	CHECK_EQ(out.prp1, 0x10000000 + RUN_SIZE - 0x1000);
	CHECK_EQ(out.prp2, 0x50000000);
	CHECK_EQ(verdict(read_of(8192, 0x3000, 0x4200)), NVME_SC_PRP_OFFSET | DNR);
	CHECK_EQ(verdict(read_of(8192, 0x3000, 0x4004)), NVME_SC_PRP_OFFSET | DNR);
	CHECK_EQ(verdict(read_of(8192, 0x3000, 2 * RUN_SIZE)), NVME_SC_TRANSFER | DNR);
	CHECK_EQ(verdict(read_of(8192, 0x3000, ~0xfffull)), NVME_SC_TRANSFER | DNR);
	CHECK_EQ(verdict(read_of(8192, 2 * RUN_SIZE, 0x3000)), NVME_SC_TRANSFER | DNR);
	CHECK_EQ(fake_gmem.reads, 0);
}

static void lists(void)
{
	uint64_t entry[32];
	struct nvme_sqe out;

	reset();
	for (unsigned i = 0; i < 32; i++)
		entry[i] = i & 1 ? 0x20000 + i * 0x1000 : RUN_SIZE + i * 0x1000;
	/* The smallest list: three pages, two entries. */
	put_list(0x1000, entry, 2);
	CHECK_EQ(judge(read_of(8192 + 512, 0x3000, 0x1000), &out), NVME_FORWARD);
	CHECK_EQ(out.prp2, LIST_HPA);
	CHECK_EQ(list_memory[0], 0x50000000);
	CHECK_EQ(list_memory[1], 0x10021000);
	CHECK_EQ(list_memory[2], 0xeeeeeeeeeeeeeeeeull);
	CHECK_EQ(fake_gmem.reads, 1);
	/* The largest: 33 pages. */
	put_list(0x1000, entry, 32);
	CHECK_EQ(judge(read_of(128 * 1024, 0x3004, 0x1000), &out), NVME_FORWARD);
	for (unsigned i = 0; i < 32; i++)
		CHECK_EQ(list_memory[i], entry[i] < RUN_SIZE ? 0x10000000 + entry[i]
							     : 0x50000000 + entry[i] - RUN_SIZE);
	CHECK_EQ(list_memory[32], 0xeeeeeeeeeeeeeeeeull);
	CHECK_EQ(fake_gmem.reread, 0);
	/* Memory has changed behind our back: a second look would have seen it. */
	CHECK_EQ(verdict(read_of(128 * 1024, 0x3004, 0x1000)), NVME_SC_PRP_OFFSET | DNR);
}

static void lists_that_end_with_their_page(void)
{
	uint64_t entry[3] = {0x20000, 0x21000, 0x22000};
	struct nvme_sqe out;

	reset();
	put_list(0x1ff0, entry, 2);
	CHECK_EQ(judge(read_of(3 * 4096, 0x3000, 0x1ff0), &out), NVME_FORWARD);
	CHECK_EQ(list_memory[1], 0x10021000);
	CHECK_EQ(fake_gmem.reads, 1);
	/* One entry more: the last place is a pointer now. */
	entry[1] = 0x9000;
	put_list(0x1ff0, entry, 2);
	entry[0] = 0x21000;
	entry[1] = 0x22000;
	put_list(0x9000, entry, 2);
	fake_gmem.reads = 0;
	CHECK_EQ(judge(read_of(4 * 4096, 0x3000, 0x1ff0), &out), NVME_FORWARD);
	CHECK_EQ(list_memory[0], 0x10020000);
	CHECK_EQ(list_memory[1], 0x10021000);
	CHECK_EQ(list_memory[2], 0x10022000);
	CHECK_EQ(list_memory[3], 0xeeeeeeeeeeeeeeeeull);
	CHECK_EQ(fake_gmem.reads, 2);
	CHECK_EQ(fake_gmem.reread, 0);
}

/* A first list with room for nothing but the pointer to the second. */
static void a_list_of_one_pointer(void)
{
	uint64_t pointer = RUN_SIZE + 0x1000, entry[32];
	struct nvme_sqe out;

	reset();
	for (unsigned i = 0; i < 32; i++)
		entry[i] = 0x20000 + i * 0x1000;
	put_list(0x1ff8, &pointer, 1);
	put_list(pointer, entry, 32);
	CHECK_EQ(judge(read_of(128 * 1024, 0x3e00, 0x1ff8), &out), NVME_FORWARD);
	CHECK_EQ(list_memory[31], 0x10000000 + entry[31]);
	CHECK_EQ(fake_gmem.reads, 2);
	/* Only the first list may begin inside a page. */
	pointer += 8;
	put_list(0x1ff8, &pointer, 1);
	put_list(pointer, entry, 32);
	CHECK_EQ(verdict(read_of(128 * 1024, 0x3e00, 0x1ff8)), NVME_SC_PRP_OFFSET | DNR);
	pointer = 2 * RUN_SIZE;
	put_list(0x1ff8, &pointer, 1);
	CHECK_EQ(verdict(read_of(128 * 1024, 0x3e00, 0x1ff8)), NVME_SC_TRANSFER | DNR);
	/* Pointing at itself is a list page like any other, read once more, and ends. */
	pointer = 0x1000;
	put_list(0x1ff8, &pointer, 1);
	put_list(0x1000, entry, 32);
	CHECK_EQ(judge(read_of(128 * 1024, 0x3e00, 0x1ff8), &out), NVME_FORWARD);
}

static void bad_lists(void)
{
	uint64_t entry[3] = {0x20000, 0x21000, 0x22000};

	reset();
	fake_gmem.hostile = false;
	put_list(0x1000, entry, 3);
	CHECK_EQ(verdict(read_of(4 * 4096, 0x3000, 0x1000)), NVME_FORWARD);
	CHECK_EQ(verdict(read_of(4 * 4096, 0x3000, 0x1004)), NVME_SC_PRP_OFFSET | DNR);
	CHECK_EQ(verdict(read_of(4 * 4096, 0x3000, 0x1001)), NVME_SC_PRP_OFFSET | DNR);
	CHECK_EQ(verdict(read_of(4 * 4096, 0x3000, 2 * RUN_SIZE)), NVME_SC_TRANSFER | DNR);
	CHECK_EQ(verdict(read_of(4 * 4096, 0x3000, ~0xfull)), NVME_SC_TRANSFER | DNR);
	CHECK_EQ(verdict(read_of(4 * 4096, 0x3000, ~7ull)), NVME_SC_TRANSFER | DNR);
	entry[2] = 0x22800;
	put_list(0x1000, entry, 3);
	CHECK_EQ(verdict(read_of(4 * 4096, 0x3000, 0x1000)), NVME_SC_PRP_OFFSET | DNR);
	entry[2] = 2 * RUN_SIZE;
	put_list(0x1000, entry, 3);
	CHECK_EQ(verdict(read_of(4 * 4096, 0x3000, 0x1000)), NVME_SC_TRANSFER | DNR);
	entry[2] = 0;
	put_list(0x1000, entry, 3);
	CHECK_EQ(verdict(read_of(4 * 4096, 0x3000, 0x1000)), NVME_FORWARD);
}

static void buffers_have_a_size(void)
{
	struct nvme_sqe in = {.prp1 = 0x3000, .prp2 = 0x1000};
	struct nvme_buffer b;

	reset();
	fake_gmem.hostile = false;
	CHECK_EQ(nvme_buffer_fetch(&gmem, &in, 0, &b), NVME_SC_FIELD | DNR);
	CHECK_EQ(nvme_buffer_fetch(&gmem, &in, NVME_PRPS_MAX * 4096, &b), 0);
	CHECK_EQ(b.count, NVME_PRPS_MAX);
	CHECK_EQ(nvme_buffer_fetch(&gmem, &in, NVME_PRPS_MAX * 4096 + 1, &b), NVME_SC_FIELD | DNR);
	CHECK_EQ(nvme_buffer_fetch(&gmem, &in, 0xffffffff, &b), NVME_SC_FIELD | DNR);
	in.prp1 = 0x3004;
	CHECK_EQ(nvme_buffer_fetch(&gmem, &in, NVME_PRPS_MAX * 4096, &b), NVME_SC_FIELD | DNR);
	CHECK_EQ(nvme_buffer_fetch(&gmem, &in, NVME_PRPS_MAX * 4096 - 4, &b), 0);
	CHECK_EQ(nvme_buffer_bytes(&b, 0), 4092);
	CHECK_EQ(nvme_buffer_bytes(&b, NVME_PRPS_MAX - 1), 4096);
}

static void addresses_near_the_end_of_the_world(void)
{
	uint64_t top = 0ull - RUN_SIZE;

	reset();
	CHECK_EQ(verdict(read_of(4096, top - 0x1000, 0)), NVME_FORWARD);
	CHECK_EQ(verdict(read_of(8192, top - 0x1000, top)), NVME_SC_TRANSFER | DNR);
	CHECK_EQ(verdict(read_of(4096, ~3ull, 0)), NVME_SC_TRANSFER | DNR);
	CHECK_EQ(verdict(read_of(4096, ~3ull, 0x1000)), NVME_SC_TRANSFER | DNR);
}

/* ---- I/O commands ---- */

static void reads_are_rebuilt(void)
{
	struct nvme_sqe in = read_of(4096, 0x3000, 0), out;

	reset();
	in.cdw2 = in.cdw3 = in.cdw13 = in.cdw14 = in.cdw15 = 0xffffffff;
	in.cdw12 |= 0xc3ff0000; /* FUA, limited retry, and what is reserved */
	CHECK_EQ(judge(in, &out), NVME_FORWARD);
	CHECK_EQ(out.opcode, NVME_READ);
	CHECK_EQ(out.nsid, 1);
	CHECK_EQ(out.cdw10, 5);
	CHECK_EQ(out.cdw12, 0xc0000007);
	CHECK_EQ(out.flags | out.cid | out.cdw2 | out.cdw3 | out.cdw13 | out.cdw14 | out.cdw15, 0);
}

static void reads_are_checked(void)
{
	struct nvme_sqe in;

	reset();
	for (unsigned flags = 1; flags < 256; flags++) {
		in = read_of(512, 0x3000, 0);
		in.flags = (uint8_t)flags; /* SGL, fused */
		CHECK_EQ(verdict(in), NVME_SC_FIELD | DNR);
	}
	in = read_of(512, 0x3000, 0);
	in.mptr = 0x4000;
	CHECK_EQ(verdict(in), NVME_SC_FIELD | DNR);
	in = read_of(512, 0x3000, 0);
	in.cdw12 |= 0x20000000; /* protection information */
	CHECK_EQ(verdict(in), NVME_SC_FIELD | DNR);
	for (uint32_t id = 0; id < 10; id++) {
		in = read_of(512, 0x3000, 0);
		in.nsid = id;
		CHECK_EQ(verdict(in), id == 1	? NVME_FORWARD
				      : id == 7 ? NVME_SC_FIELD | DNR /* metadata */
						: NVME_SC_NAMESPACE | DNR);
	}
	in.nsid = NVME_NSID_ALL;
	CHECK_EQ(verdict(in), NVME_SC_NAMESPACE | DNR);
	CHECK_EQ(verdict(read_of(128 * 1024 + 512, 0x3000, 0x1000)), NVME_SC_FIELD | DNR);
	in = read_of(512, 0x3000, 0);
	in.cdw12 = 0xffff; /* 32 MiB */
	CHECK_EQ(verdict(in), NVME_SC_FIELD | DNR);
	view.max_transfer = 8192;
	CHECK_EQ(verdict(read_of(8192, 0x3000, 0x4000)), NVME_FORWARD);
	CHECK_EQ(verdict(read_of(8192 + 512, 0x3000, 0x1000)), NVME_SC_FIELD | DNR);
}

static void block_ranges_cant_overflow(void)
{
	static const struct {
		uint64_t lba;
		uint32_t blocks;
		bool ok;
	} range[] = {
		{0, 1, true},
		{(1 << 20) - 1, 1, true},
		{(1 << 20) - 1, 2, false},
		{1 << 20, 1, false},
		{(1 << 20) - 8, 8, true},
		{(1 << 20) - 7, 8, false},
		{~0ull, 1, false},
		{~0ull, 8, false},
		{~0ull - 7, 8, false},
		{1ull << 55, 1, false},
		{0xffffffff, 1, false},
		{1ull << 32, 1, false},
	};

	reset();
	for (unsigned i = 0; i < array_size(range); i++) {
		struct nvme_sqe in = read_of(512, 0x3000, 0);

		in.cdw10 = (uint32_t)range[i].lba;
		in.cdw11 = (uint32_t)(range[i].lba >> 32);
		in.cdw12 = range[i].blocks - 1;
		CHECK_EQ(verdict(in), range[i].ok ? NVME_FORWARD : NVME_SC_LBA_RANGE | DNR);
	}
	/* Large blocks: the length in bytes counts, and shifts without loss. */
	namespaces[0].block_shift = 17;
	CHECK_EQ(verdict(read_of(512, 0x3004, 0x1000)), NVME_FORWARD);
	CHECK_EQ(verdict(read_of(1024, 0x3004, 0x1000)), NVME_SC_FIELD | DNR);
	CHECK_EQ(verdict(read_of(512 * 0x8001, 0x3004, 0x1000)), NVME_SC_FIELD | DNR);
}

static void flushes(void)
{
	struct nvme_sqe in = {.opcode = NVME_FLUSH, .nsid = 1, .prp1 = 5, .cdw10 = 9}, out;

	reset();
	CHECK_EQ(judge(in, &out), NVME_FORWARD);
	CHECK_EQ(out.nsid, 1);
	CHECK_EQ(out.prp1 | out.cdw10, 0);
	in.nsid = NVME_NSID_ALL;
	CHECK_EQ(verdict(in), NVME_FORWARD);
	in.nsid = 3;
	CHECK_EQ(verdict(in), NVME_SC_NAMESPACE | DNR);
}

static void policies_widen(void)
{
	struct nvme_sqe in = read_of(512, 0x3000, 0), out;

	reset();
	in.opcode = NVME_WRITE;
	CHECK_EQ(verdict(in), NVME_SC_READ_ONLY | DNR);
	policy.allowed = ~0ull;
	CHECK_EQ(judge(in, &out), NVME_FORWARD);
	CHECK_EQ(out.opcode, NVME_WRITE);
	CHECK_EQ(out.prp1, 0x10003000);
	in.opcode = NVME_COMPARE;
	CHECK_EQ(verdict(in), NVME_FORWARD);
	in.opcode = NVME_WRITE_ZEROES;
	in.cdw12 = 0xffff;
	CHECK_EQ(judge(in, &out), NVME_FORWARD);
	CHECK_EQ(out.prp1, 0);
	in.cdw10 = (1 << 20) - 1;
	CHECK_EQ(verdict(in), NVME_SC_LBA_RANGE | DNR);
	/* What isn't understood stays refused, whatever is allowed. */
	in.opcode = NVME_DATASET_MANAGEMENT;
	CHECK_EQ(verdict(in), NVME_SC_OPCODE | DNR);
	in.opcode = 0xc1;
	CHECK_EQ(verdict(in), NVME_SC_OPCODE | DNR);
	policy.allowed = 0;
	in.opcode = NVME_READ;
	CHECK_EQ(verdict(in), NVME_SC_OPCODE | DNR);
}

static void windows_have_rights(void)
{
	struct nvme_sqe in = read_of(4096, 0x3000, 0);
	static const struct {
		uint64_t first;
		uint16_t read, write;
	} cases[] = {
		{92, NVME_SC_ACCESS | DNR, NVME_SC_ACCESS | DNR}, /* ends on the first block */
		{93, NVME_SC_ACCESS | DNR, NVME_SC_ACCESS | DNR},
		{100, NVME_FORWARD, NVME_SC_READ_ONLY | DNR},
		{112, NVME_FORWARD, NVME_SC_READ_ONLY | DNR},
		{113, NVME_SC_ACCESS | DNR, NVME_SC_ACCESS | DNR},
		{120, NVME_FORWARD, NVME_FORWARD},
		{121, NVME_SC_ACCESS | DNR, NVME_SC_ACCESS | DNR},
		{0xffffffff, NVME_SC_LBA_RANGE | DNR, NVME_SC_LBA_RANGE | DNR},
	};

	reset();
	policy.allowed = ~0ull;
	policy.windows = 2;
	policy.window[0] = (struct policy_window){100, 119, true};
	policy.window[1] = (struct policy_window){120, 127, false};
	for (unsigned i = 0; i < array_size(cases); i++) {
		in.cdw10 = (uint32_t)cases[i].first;
		in.opcode = NVME_READ;
		CHECK_EQ(verdict(in), cases[i].read);
		in.opcode = NVME_COMPARE;
		CHECK_EQ(verdict(in), cases[i].read);
		in.opcode = NVME_WRITE;
		CHECK_EQ(verdict(in), cases[i].write);
		in.opcode = NVME_WRITE_ZEROES;
		CHECK_EQ(verdict(in), cases[i].write);
	}
	in.opcode = NVME_READ;
	in.cdw10 = 120;
	in.cdw11 = 1; /* 2^32 blocks further */
	CHECK_EQ(verdict(in), NVME_SC_LBA_RANGE | DNR);
}

/* ---- admin commands ---- */

static uint16_t security_verdict(uint8_t opcode, uint8_t protocol, uint32_t len)
{
	struct nvme_sqe out, in = {.opcode = opcode,
				     .prp1 = 0x3000,
				     .cdw10 = (uint32_t)protocol << 24 | 0x000100ff,
				     .cdw11 = len};
	uint16_t status = nvme_security_check(&view, &in, &list, &out);

	if (status == NVME_FORWARD) {
		CHECK_EQ(out.prp1, 0x10003000);
		CHECK_EQ(out.cdw10, (uint32_t)protocol << 24 | 0x00010000);
		CHECK_EQ(out.cdw11, len);
	}
	return status;
}

static void security_by_protocol(void)
{
	struct nvme_sqe out, in = {.opcode = NVME_SECURITY_SEND, .prp1 = 0x3000};

	reset();
	CHECK_EQ(security_verdict(NVME_SECURITY_RECEIVE, 0, 512), NVME_SC_OPCODE | DNR);
	policy.allowed = BIT(POLICY_SECURITY_RECEIVE);
	CHECK_EQ(security_verdict(NVME_SECURITY_RECEIVE, 0, 512), NVME_FORWARD);
	CHECK_EQ(security_verdict(NVME_SECURITY_RECEIVE, 1, 2048), NVME_FORWARD);
	CHECK_EQ(security_verdict(NVME_SECURITY_SEND, 1, 512), NVME_SC_OPCODE | DNR);
	policy.allowed = policy_find_profile("unlock");
	CHECK_EQ(security_verdict(NVME_SECURITY_SEND, 1, 512), NVME_FORWARD);
	CHECK_EQ(security_verdict(NVME_SECURITY_SEND, 2, 512), NVME_FORWARD);
	/* Only the list of protocols is without one, and it is only read. */
	CHECK_EQ(security_verdict(NVME_SECURITY_SEND, 0, 512), NVME_SC_FIELD | DNR);
	for (unsigned p = 3; p < 256; p++) {
		CHECK_EQ(
			security_verdict(NVME_SECURITY_SEND, (uint8_t)p, 512), NVME_SC_FIELD | DNR);
		CHECK_EQ(security_verdict(NVME_SECURITY_RECEIVE, (uint8_t)p, 512),
			NVME_SC_FIELD | DNR);
	}
	CHECK_EQ(security_verdict(NVME_SECURITY_SEND, 1, 0), NVME_SC_FIELD | DNR);
	CHECK_EQ(security_verdict(NVME_SECURITY_SEND, 1, NVME_TRANSFER_MAX + 1),
		NVME_SC_FIELD | DNR);
	in.cdw10 = 1u << 24;
	in.cdw11 = 512;
	in.prp1 = 0xdead0000;
	CHECK_EQ(nvme_security_check(&view, &in, &list, &out), NVME_SC_TRANSFER | DNR);
	in.nsid = 99;
	CHECK_EQ(nvme_security_check(&view, &in, &list, &out), NVME_SC_NAMESPACE | DNR);
}

static uint16_t log_verdict(struct nvme_sqe in, struct nvme_sqe *out)
{
	in.opcode = NVME_GET_LOG_PAGE;
	fake_gmem_forget();
	return nvme_log_page_check(&view, &in, &list, out);
}

static void log_pages(void)
{
	struct nvme_sqe in = {
		.nsid = NVME_NSID_ALL, .prp1 = 0x3000, .cdw10 = 127u << 16 | LOG_SMART};
	struct nvme_sqe out;
	uint64_t entry[2] = {0x4000, 0x5000};

	reset();
	CHECK_EQ(log_verdict(in, &out), NVME_FORWARD);
	CHECK_EQ(out.prp1, 0x10003000);
	CHECK_EQ(out.cdw10, in.cdw10);
	in.cdw10 |= LOG_RETAIN;
	CHECK_EQ(log_verdict(in, &out), NVME_FORWARD);
	CHECK_EQ(out.cdw10, in.cdw10);
	/* The buffer must hold what is asked for: 4096 bytes from the middle of a page. */
	in = (struct nvme_sqe){.prp1 = 0x3800, .prp2 = 0x4000, .cdw10 = 1023u << 16 | LOG_ERRORS};
	CHECK_EQ(log_verdict(in, &out), NVME_FORWARD);
	CHECK_EQ(out.prp2, 0x10004000);
	in.prp2 = 2 * RUN_SIZE;
	CHECK_EQ(log_verdict(in, &out), NVME_SC_TRANSFER | DNR);
	put_list(0x1000, entry, 2);
	in = (struct nvme_sqe){.prp1 = 0x3800, .prp2 = 0x1000, .cdw10 = 2047u << 16 | LOG_FIRMWARE};
	CHECK_EQ(log_verdict(in, &out), NVME_FORWARD);
	CHECK_EQ(out.prp2, LIST_HPA);
	in.cdw10 = 0xffffu << 16 | LOG_ERRORS;
	CHECK_EQ(log_verdict(in, &out), NVME_SC_FIELD | DNR);
	in.cdw10 = LOG_ERRORS;
	in.cdw11 = 1;
	CHECK_EQ(log_verdict(in, &out), NVME_SC_FIELD | DNR);
	in.cdw11 = 0;
	in.cdw12 = 4;
	CHECK_EQ(log_verdict(in, &out), NVME_SC_FIELD | DNR);
	in.cdw12 = 0;
	in.nsid = 1;
	CHECK_EQ(log_verdict(in, &out), NVME_SC_FIELD | DNR);
	in.nsid = 0;
	for (uint32_t id = 0; id < 256; id++) {
		in.cdw10 = id;
		CHECK_EQ(log_verdict(in, &out),
			id >= 1 && id <= 3 ? NVME_FORWARD : NVME_SC_LOG_PAGE | DNR);
	}
	in.cdw10 = LOG_SMART;
	in.flags = 0x40;
	CHECK_EQ(log_verdict(in, &out), NVME_SC_FIELD | DNR);
}

static void features(void)
{
	struct nvme_sqe in = {.prp1 = 0x3000, .cdw11 = ~0u}, out;

	reset();
	for (uint32_t id = 0; id < 256; id++) {
		bool known = id <= 0x0b && 0xff6 >> id & 1;
		bool settable = known && 0xf92 >> id & 1;

		in.cdw10 = id;
		in.cdw11 = id == FEATURE_VECTOR ? 0xffff0000 : ~0u;
		CHECK_EQ(nvme_get_features_check(&view, &in, &out),
			known ? NVME_FORWARD : NVME_SC_FIELD | DNR);
		CHECK(!known || !out.prp1);
		CHECK_EQ(nvme_set_features_check(&view, &in, &out),
			settable ? NVME_FORWARD : NVME_SC_FIELD | DNR);
		CHECK(!settable || !out.prp1);
		in.cdw10 = id | FEATURE_SAVE;
		CHECK_EQ(nvme_set_features_check(&view, &in, &out),
			settable ? NVME_SC_NOT_SAVEABLE | DNR : NVME_SC_FIELD | DNR);
		in.cdw10 = id | 0x100;
		CHECK_EQ(nvme_get_features_check(&view, &in, &out), NVME_SC_FIELD | DNR);
		CHECK_EQ(nvme_set_features_check(&view, &in, &out), NVME_SC_FIELD | DNR);
	}
	in.cdw10 = FEATURE_VECTOR;
	in.cdw11 = 1;
	CHECK_EQ(nvme_get_features_check(&view, &in, &out), NVME_SC_FIELD | DNR);
	CHECK_EQ(nvme_set_features_check(&view, &in, &out), NVME_SC_FIELD | DNR);
}

static void identify_controller_hides_all_options(void)
{
	static const struct {
		unsigned from, to;
	} hidden[] = {
		{76, 77},
		{92, 111},
		{128, 258},
		{261, 262},
		{264, 266},
		{270, 280},
		{296, 512},
		{514, 516},
		{520, 525},
		{530, 768},
		{1024, 2048},
		{3072, 4096},
	};
	static uint8_t page[4096] __attribute__((aligned(8)));
	unsigned zeroes = 0;

	reset();
	memset(page, 0xff, sizeof(page));
	nvme_identify_filter(&view, CNS_CONTROLLER, page);
	for (unsigned i = 0; i < array_size(hidden); i++)
		for (unsigned k = hidden[i].from; k < hidden[i].to; k++, zeroes++)
			CHECK_EQ(page[k], 0);
	for (unsigned k = 0; k < sizeof(page); k++)
		zeroes -= !page[k];
	CHECK_EQ(zeroes, 0);
	CHECK_EQ(page[77], 5);
	CHECK_EQ(page[259], 3);
	CHECK_EQ(page[260], 3);
	CHECK_EQ(page[512], 0x66);
	CHECK_EQ(page[513], 0x44);

	memset(page, 0xff, sizeof(page));
	policy.allowed = ~0ull;
	view.max_transfer = 16384;
	nvme_identify_filter(&view, CNS_CONTROLLER, page);
	CHECK_EQ(page[520], ONCS_COMPARE | ONCS_WRITE_ZEROES);
	CHECK_EQ(page[77], 2);
	CHECK_EQ(page[256], OACS_SECURITY);
	CHECK_EQ(page[525] & VWC_PRESENT, VWC_PRESENT);
	/* Who may not flush is told of no cache. */
	policy.allowed = policy_find_profile("unlock");
	nvme_identify_filter(&view, CNS_CONTROLLER, page);
	CHECK_EQ(page[525] & VWC_PRESENT, 0);
	CHECK_EQ(page[256], OACS_SECURITY);
	CHECK_EQ(page[520], 0);
}

static void identify_lists_only_what_is_known(void)
{
	static uint32_t ids[1024];

	reset();
	for (unsigned i = 0; i < 1024; i++)
		ids[i] = i + 1;
	nvme_identify_filter(&view, CNS_ACTIVE_LIST, (uint8_t *)ids);
	CHECK_EQ(ids[0], 1);
	CHECK_EQ(ids[1], 7);
	for (unsigned i = 2; i < 1024; i++)
		CHECK_EQ(ids[i], 0);
	memset(ids, 0xff, sizeof(ids));
	nvme_identify_filter(&view, 0x13, (uint8_t *)ids);
	CHECK_EQ(ids[0] | ids[1023], 0);
}

static void identify_commands(void)
{
	static const struct {
		struct nvme_sqe c;
		uint16_t status;
	} cases[] = {
		{{.cdw10 = 0, .nsid = 1, .prp1 = 0x3000}, NVME_FORWARD},
		{{.cdw10 = 1, .prp1 = 0x3800, .prp2 = 0x8000}, NVME_FORWARD},
		{{.cdw10 = 1, .nsid = 1, .prp1 = 0x3000}, NVME_FORWARD},
		{{.cdw10 = 2, .prp1 = 0x3000}, NVME_FORWARD},
		{{.cdw10 = 2, .nsid = 0xfffffffe, .prp1 = 0x3000}, NVME_SC_NAMESPACE | DNR},
		{{.cdw10 = 3, .nsid = 7, .prp1 = 0x3000}, NVME_FORWARD},
		{{.cdw10 = 3, .nsid = 2, .prp1 = 0x3000}, NVME_SC_NAMESPACE | DNR},
		{{.cdw10 = 6, .prp1 = 0x3000}, NVME_FORWARD},
		{{.cdw10 = 6, .prp1 = 0x3000, .cdw11 = 2u << 24}, NVME_SC_FIELD | DNR},
		{{.cdw10 = 0x10001, .prp1 = 0x3000}, NVME_SC_FIELD | DNR},
		{{.cdw10 = 0x11, .nsid = 1, .prp1 = 0x3000}, NVME_SC_FIELD | DNR},
		{{.cdw10 = 1, .prp1 = 0x3002}, NVME_SC_PRP_OFFSET | DNR},
		{{.cdw10 = 1, .prp1 = 0x3800, .prp2 = 0x8001}, NVME_SC_PRP_OFFSET | DNR},
		{{.cdw10 = 1, .prp1 = 0x3800, .prp2 = 2 * RUN_SIZE}, NVME_SC_TRANSFER | DNR},
		{{.cdw10 = 1, .prp1 = 0x3000, .flags = 0x40}, NVME_SC_FIELD | DNR},
	};

	reset();
	for (unsigned i = 0; i < array_size(cases); i++) {
		struct nvme_sqe in = cases[i].c, out;
		struct nvme_buffer b;

		in.opcode = NVME_IDENTIFY;
		CHECK_EQ(nvme_identify_check(&view, &in, &out, &b), cases[i].status);
		if (cases[i].status == NVME_FORWARD)
			CHECK_EQ(out.prp1 | out.prp2, 0);
	}
}

int main(void)
{
	RUN(one_page);
	RUN(two_pages);
	RUN(lists);
	RUN(lists_that_end_with_their_page);
	RUN(a_list_of_one_pointer);
	RUN(bad_lists);
	RUN(buffers_have_a_size);
	RUN(addresses_near_the_end_of_the_world);
	RUN(reads_are_rebuilt);
	RUN(reads_are_checked);
	RUN(block_ranges_cant_overflow);
	RUN(flushes);
	RUN(policies_widen);
	RUN(windows_have_rights);
	RUN(security_by_protocol);
	RUN(log_pages);
	RUN(features);
	RUN(identify_controller_hides_all_options);
	RUN(identify_lists_only_what_is_known);
	RUN(identify_commands);
	return TEST_RESULT();
}
