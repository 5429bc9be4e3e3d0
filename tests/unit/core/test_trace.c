/*
 * core: the recorder, with exits of a fake guest, read back by the tool's reader. What it records is
 * also written to the file that TRACE_OUT names, for a replay.
 */
#include "core/trace.h"
#include "core/gva.h"
#include "base/bits.h"
#include "base/error.h"
#include "fakes/fake_guest.h"
#include "fakes/fake_hw.h"
#include "hw/time.h"
#include "mmio/mmio.h"
#include "pio/pio.h"
#include "reader.h"
#include "test.h"

#define IO_PORT	 0x1f0u
#define ENTRY_RW 0x67u

static struct fake_guest g;
static uint8_t pool[MIB] __attribute__((aligned(4096)));
static uint8_t bytes[MIB];
static struct device dev, other;
static struct region ports;
static FILE *out;
static struct trace_header written;

static enum io_result port_handler(struct device *d, struct io_access *a)
{
	(void)d;
	if (!a->write)
		a->value = 0x5a5a5a5a & size_mask(a->size);
	return a->offset == 6 ? IO_FAULT : IO_DONE;
}

static size_t port_block(struct device *d, const struct io_access *a, void *ret, size_t n)
{
	(void)d;
	memset(ret, 0xb7, n * a->size);
	return a->offset == 0 ? n : 0;
}

static void start(enum fake_mode mode)
{
	struct arena arena;

	fake_hw_reset();
	hw_time_init(1000000);
	fake_hw.tsc_step = 1;
	arena_init(&arena, pool, hpa(0), sizeof(pool));
	fake_guest_init(&g, mode);
	CHECK(!mmio_attach(&g.vm, &arena));
	pio_attach(&g.vm);
	CHECK(!trace_init(&g.vm, &arena, TRACE_SIZE_MIN));
	dev = (struct device){.vm = &g.vm, .name = "fake 00:04.0", .bdf = 0x20};
	other = (struct device){.vm = &g.vm, .name = "other"};
	CHECK(!trace_add_device(&g.vm, &dev));
	g.region.dev = &dev;
	ports = (struct region){.base = IO_PORT,
		.len = 8,
		.dev = &dev,
		.handler = port_handler,
		.read_block = port_block};
	CHECK(!region_add(&g.vm.pio, &ports));
	trace_start(&g.vm);
	g.cpu.reg[VREG_RIP] = FAKE_CODE;
	g.vm.vcpu.gpr[GPR_RAX] = FAKE_DEV;
}

/* The trace as one run of bytes, opened. */
static struct trace_file open_trace(void)
{
	struct trace_piece piece[TRACE_PIECES];
	struct trace_file f = {.size = 0};
	const char *why = "";
	size_t n = 0;

	trace_contents(&g.vm, piece);
	for (unsigned i = 0; i < TRACE_PIECES; i++) {
		memcpy(bytes + n, piece[i].data, piece[i].size);
		n += piece[i].size;
	}
	CHECK_EQ(trace_file_open(bytes, n, &f, &why), 0);
	return f;
}

/* The only record. It goes into the file too. */
static struct trace_view only_record(void)
{
	struct trace_file f = open_trace();
	struct trace_view v = {.start = NULL}, none;
	const char *why = "";

	CHECK_EQ(trace_file_next(&f, &v, &why), 1);
	CHECK_EQ(trace_file_next(&f, &none, &why), 0);
	if (out && v.start) {
		fwrite(v.start, v.record.length, 1, out);
		written.magic = f.header.magic;
		written.records++;
		written.bytes += v.record.length;
	}
	return v;
}

static void put_code(const char *code, size_t n)
{
	memcpy(g.ram + FAKE_CODE, code, n);
}

#define CODE(code) put_code(code, sizeof(code) - 1)

static void exit_at(uint64_t address, bool write, bool with_gla)
{
	struct vmexit e = fake_guest_exit(g.cpu.reg[VREG_RIP], address, write, with_gla);

	e.raw_reason = 0x400;
	g.vm.handler[VMEXIT_NPF](&g.vm, &e);
}

static void port_exit(uint16_t port, unsigned size, bool in, bool string, bool rep)
{
	struct vmexit e = {.kind = VMEXIT_PIO, .insn_len = string ? 2 : 1};

	e.rip = g.cpu.reg[VREG_RIP];
	e.u.pio.port = port;
	e.u.pio.size = (uint8_t)size;
	e.u.pio.in = in;
	e.u.pio.string = string;
	e.u.pio.rep = rep;
	g.vm.handler[VMEXIT_PIO](&g.vm, &e);
}

static unsigned count_accesses(const struct trace_view *v, unsigned kind, unsigned flags)
{
	struct trace_item item;
	unsigned n = 0;

	for (size_t at = 0; trace_view_next(v, &at, &item);)
		n += item.access.kind == kind && (item.access.flags & TRACE_ACCESS_WRITE) == flags;
	return n;
}

static struct trace_item last_access(const struct trace_view *v)
{
	struct trace_item item = {.data = NULL};

	for (size_t at = 0; trace_view_next(v, &at, &item);)
		;
	return item;
}

static void a_read_is_one_record(void)
{
	struct trace_item item;
	struct trace_view v;

	start(FAKE_LONG);
	memcpy(g.dev + 8, "\x78\x56\x34\x12", 4);
	g.cpu.reg[VREG_INTR_SHADOW] = 1;
	CODE("\x8b\x48\x08"); /* mov 8(%rax), %ecx */
	exit_at(FAKE_DEV + 8, false, false);
	v = only_record();
	CHECK_EQ(v.record.kind, TRACE_MMIO);
	CHECK_EQ(v.record.reason, 0x400);
	CHECK_EQ(v.record.gpa, FAKE_DEV + 8);
	CHECK_EQ(v.record.flags, TRACE_SHADOW);
	CHECK_EQ(v.record.insn_source, TRACE_INSN_FETCHED);
	CHECK(v.record.insn_bytes == 15 && !memcmp(v.record.insn, "\x8b\x48\x08", 3));
	CHECK_EQ(v.record.verdict, TRACE_DONE);
	CHECK_EQ(v.record.changed, BIT(GPR_RCX) | BIT(TRACE_RIP));
	CHECK(v.after[GPR_RCX] == 0x12345678 && v.after[TRACE_RIP] == FAKE_CODE + 3);
	CHECK(v.record.reg[TRACE_CR3] == g.cpu.reg[VREG_CR3]);
	CHECK(v.record.segment[VSEG_CS].attributes == g.cpu.seg[VSEG_CS].attributes);
	CHECK(v.record.region_count == 1 && v.region[0].base == FAKE_DEV);
	CHECK_EQ(count_accesses(&v, TRACE_ACCESS_FETCH, 0), 1);
	CHECK_EQ(count_accesses(&v, TRACE_ACCESS_WALK, 0), 6);
	item = last_access(&v);
	CHECK(item.access.kind == TRACE_ACCESS_DEVICE && item.access.len == 4);
	CHECK(item.access.physical == FAKE_DEV + 8 && item.access.linear == FAKE_DEV + 8);
	CHECK(!memcmp(item.data, "\x78\x56\x34\x12", 4));
	CHECK(v.record.ticks && v.record.tsc);
}

static void bytes_of_the_cpu_and_the_linear_address(void)
{
	struct vmexit e = fake_guest_exit(FAKE_CODE, FAKE_DEV, true, true);
	struct trace_view v;

	start(FAKE_LONG);
	CODE("\xc6\x00\x55");
	e.n_insn = 1;
	e.insn[0] = 0xc6;
	g.vm.handler[VMEXIT_NPF](&g.vm, &e);
	v = only_record();
	CHECK_EQ(v.record.flags, TRACE_GLA | TRACE_WRITE);
	CHECK(v.record.gla == FAKE_DEV && v.record.insn_given == 1);
	CHECK(!memcmp(v.record.insn, "\xc6\x00\x55", 3) && g.dev[0] == 0x55);
}

static void others_leave_no_record(void)
{
	struct trace_file f;

	start(FAKE_LONG);
	g.region.dev = &other;
	other.vm = &g.vm;
	CODE("\x8b\x48\x08");
	exit_at(FAKE_DEV + 8, false, false);
	g.cpu.reg[VREG_RIP] = FAKE_CODE;
	g.vm.vcpu.gpr[GPR_RAX] = 0xd0000000;
	exit_at(0xd0000008, false, false);
	f = open_trace();
	CHECK(!f.header.records && !f.header.lost && g.accesses == 1);
	CHECK(!g.vm.recording);
}

static void repeated_strings(void)
{
	struct trace_view v;

	start(FAKE_LONG);
	CODE("\xf3\xa5"); /* rep movsl */
	memcpy(g.ram + FAKE_DATA, "0123456789abcdef", 16);
	g.vm.vcpu.gpr[GPR_RSI] = FAKE_DATA;
	g.vm.vcpu.gpr[GPR_RDI] = FAKE_DEV;
	g.vm.vcpu.gpr[GPR_RCX] = 4;
	exit_at(FAKE_DEV, true, false);
	v = only_record();
	CHECK_EQ(v.record.verdict, TRACE_DONE);
	CHECK_EQ(count_accesses(&v, TRACE_ACCESS_DEVICE, TRACE_ACCESS_WRITE), 4);
	CHECK(count_accesses(&v, TRACE_ACCESS_MEMORY, 0) >= 4);
	CHECK(!memcmp(g.dev, "0123456789abcdef", 16));
	/* More than one exit may do: the rest stays. */
	start(FAKE_LONG);
	CODE("\xf3\xaa");
	g.vm.vcpu.gpr[GPR_RDI] = FAKE_DEV;
	g.vm.vcpu.gpr[GPR_RCX] = 1000;
	exit_at(FAKE_DEV, true, false);
	v = only_record();
	CHECK(v.record.verdict == TRACE_AGAIN && v.after[GPR_RCX] < 1000);
}

static void faults(void)
{
	struct trace_view v;

	/* movsb from a page that is not there. */
	start(FAKE_LONG);
	CODE("\xa4");
	g.vm.vcpu.gpr[GPR_RSI] = FAKE_VIEW + 0x10;
	g.vm.vcpu.gpr[GPR_RDI] = FAKE_DEV;
	exit_at(FAKE_DEV, true, false);
	v = only_record();
	CHECK_EQ(v.record.verdict, TRACE_EXCEPTION);
	CHECK(v.record.after.vector == VECTOR_PF && v.record.after.has_error);
	CHECK_EQ(v.record.changed, BIT(TRACE_CR2));
	CHECK_EQ(v.after[TRACE_CR2], FAKE_VIEW + 0x10);
	/* An unknown instruction. */
	start(FAKE_LONG);
	CODE("\x0f\x0b");
	exit_at(FAKE_DEV, true, false);
	v = only_record();
	CHECK(v.record.after.vector == VECTOR_UD && !v.record.changed);
	/* The delivery of an event from there ends the guest. */
	start(FAKE_LONG);
	g.vm.vcpu.event = (struct vcpu_event){VEVENT_INTR, 0x20, false, 0};
	exit_at(FAKE_DEV, true, false);
	v = only_record();
	CHECK(v.record.verdict == TRACE_STOPPED && v.record.before.vector == 0x20);
}

static void pages_and_accessed_bits(void)
{
	struct trace_view v;

	/* xchg across two pages of the device, mapped apart, the first not yet accessed. */
	start(FAKE_LONG);
	fake_guest_map(&g, 3, FAKE_DEV + 0x1000, 7);
	fake_guest_map(&g, 4, FAKE_DEV, ENTRY_RW);
	g.vm.vcpu.gpr[GPR_RAX] = FAKE_VIEW + 0x3ffe;
	CODE("\x87\x08");
	exit_at(FAKE_DEV + 0x1ffe, true, false);
	v = only_record();
	CHECK_EQ(v.record.verdict, TRACE_DONE);
	CHECK_EQ(count_accesses(&v, TRACE_ACCESS_WALK, TRACE_ACCESS_WRITE), 1);
	CHECK_EQ(count_accesses(&v, TRACE_ACCESS_DEVICE, 0), 2);
	CHECK_EQ(count_accesses(&v, TRACE_ACCESS_DEVICE, TRACE_ACCESS_WRITE), 2);
	CHECK_EQ(last_access(&v).access.linear, FAKE_VIEW + 0x4000);
}

static void other_modes(void)
{
	static const enum fake_mode modes[] = {FAKE_REAL, FAKE_FLAT16, FAKE_FLAT32, FAKE_COMPAT32};

	for (size_t i = 0; i < array_size(modes); i++) {
		struct trace_view v;

		start(modes[i]);
		if (i < 2) {
			g.cpu.seg[VSEG_CS].base = FAKE_CODE;
			g.cpu.seg[VSEG_DS].base = FAKE_DEV;
			g.cpu.reg[VREG_RIP] = 0;
			CODE("\x8b\x0e\x04\x00"); /* mov 4, %cx */
		} else {
			CODE("\x8b\x48\x04");
		}
		exit_at(FAKE_DEV + 4, false, false);
		v = only_record();
		CHECK_EQ(v.record.verdict, TRACE_DONE);
		CHECK_EQ(v.record.insn[0], 0x8b);
	}
}

static void port_accesses(void)
{
	struct trace_view v;

	start(FAKE_LONG);
	port_exit(IO_PORT + 7, 1, true, false, false);
	v = only_record();
	CHECK(v.record.kind == TRACE_PORTS && v.record.gpa == IO_PORT + 7);
	CHECK(v.record.port_size == 1 && (v.after[GPR_RAX] & 0xff) == 0x5a);
	start(FAKE_LONG);
	port_exit(IO_PORT + 6, 1, false, false, false);
	v = only_record();
	CHECK(v.record.after.vector == VECTOR_GP && last_access(&v).access.result == IO_FAULT);
	/* Across the end of the region. */
	start(FAKE_LONG);
	port_exit(IO_PORT + 7, 2, true, false, false);
	v = only_record();
	CHECK_EQ(v.record.access_count, 2);
	CHECK_EQ(last_access(&v).access.region, TRACE_NO_REGION);
}

static void port_strings(void)
{
	struct trace_view v;

	for (unsigned in_blocks = 0; in_blocks < 2; in_blocks++) {
		start(FAKE_LONG);
		CODE("\xf3\x6d");
		g.vm.vcpu.gpr[GPR_RDI] = FAKE_DATA;
		g.vm.vcpu.gpr[GPR_RCX] = 128;
		port_exit(IO_PORT + (in_blocks ? 0 : 4), 4, true, true, true);
		v = only_record();
		CHECK(v.record.flags & TRACE_REP && v.after[GPR_RCX] == 0);
		CHECK_EQ(count_accesses(&v, TRACE_ACCESS_BLOCK, 0), in_blocks ? 1 : 0);
		CHECK_EQ(count_accesses(&v, TRACE_ACCESS_MEMORY, TRACE_ACCESS_WRITE), 1);
	}
	start(FAKE_LONG);
	CODE("\xf3\x6f");
	g.vm.vcpu.gpr[GPR_RSI] = FAKE_DATA;
	g.vm.vcpu.gpr[GPR_RCX] = 8;
	port_exit(IO_PORT, 4, false, true, true);
	v = only_record();
	CHECK_EQ(count_accesses(&v, TRACE_ACCESS_PORT, TRACE_ACCESS_WRITE), 8);
}

static void port_strings_that_take_too_long(void)
{
	for (unsigned in = 0; in < 2; in++) {
		struct trace_view v;

		start(FAKE_LONG);
		fake_hw.tsc_step = hw_us_to_tsc(1000);
		put_code(in ? "\xf3\x6d" : "\xf3\x6f", 2);
		g.vm.vcpu.gpr[GPR_RSI] = g.vm.vcpu.gpr[GPR_RDI] = FAKE_DATA;
		g.vm.vcpu.gpr[GPR_RCX] = 100;
		port_exit(IO_PORT + 4, 4, in, true, true);
		v = only_record();
		CHECK(v.record.verdict == TRACE_AGAIN && v.after[GPR_RCX] == 99);
	}
}

static void too_much_for_a_record(void)
{
	struct trace_view v;
	FILE *keep = out;

	start(FAKE_LONG);
	CODE("\xf3\x6d");
	for (unsigned i = 0; i < 3; i++) {
		fake_guest_map(&g, i, FAKE_DATA + i * PAGE_SIZE, ENTRY_RW);
	}
	g.vm.vcpu.gpr[GPR_RDI] = FAKE_VIEW + 1; /* no item is aligned */
	g.vm.vcpu.gpr[GPR_RCX] = 4096;
	ports.byte_wide = true;
	out = NULL;
	port_exit(IO_PORT + 2, 4, true, true, true);
	v = only_record();
	out = keep;
	CHECK(v.record.flags & TRACE_CUT);
	CHECK(v.record.access_bytes <= TRACE_ACCESS_BYTES_MAX && v.record.verdict == TRACE_AGAIN);
	CHECK_EQ(v.after[GPR_RCX], 4096 - 1024);
}

static void the_ring_drops_the_oldest(void)
{
	struct trace_file f;
	struct trace_view v;
	uint64_t expected;
	const char *why = "";

	start(FAKE_LONG);
	CODE("\x8b\x48\x08");
	for (unsigned i = 0; i < 1000; i++) {
		g.cpu.reg[VREG_RIP] = FAKE_CODE;
		g.dev[8] = (uint8_t)i;
		exit_at(FAKE_DEV + 8, false, i & 1);
	}
	f = open_trace();
	CHECK(f.header.lost > 0 && f.header.lost + f.header.records == 1000);
	CHECK(f.header.bytes <= TRACE_SIZE_MIN && f.header.bytes > TRACE_SIZE_MIN - 2000);
	CHECK_EQ(trace_count(&g.vm).lost, f.header.lost);
	expected = f.header.lost;
	while (trace_file_next(&f, &v, &why) > 0) {
		CHECK_EQ(v.record.number, expected);
		CHECK_EQ(v.after[GPR_RCX], (uint8_t)expected);
		expected++;
	}
	CHECK_EQ(expected, 1000);
	trace_forget(&g.vm);
	CHECK(!trace_count(&g.vm).records && !trace_count(&g.vm).bytes);
}

static enum io_result config_handler(struct device *d, struct io_access *a)
{
	if (a->offset)
		trace_claim_config(&g.vm, a->offset == 1 ? &dev : &other, 0x40);
	return port_handler(d, a);
}

static void configuration_space_is_claimed(void)
{
	static struct region config;
	struct trace_view v;

	start(FAKE_LONG);
	other.trace = 0;
	config = (struct region){.base = 0xcf8, .len = 8, .dev = &other, .handler = config_handler};
	CHECK(!region_add(&g.vm.pio, &config));
	other.trace = TRACE_CLAIM;
	port_exit(0xcf8, 4, true, false, false); /* claimed for nobody */
	CHECK_EQ(trace_count(&g.vm).records, 0);
	other.trace = 0;
	port_exit(0xcfa, 1, true, false, false); /* for one that is not traced */
	CHECK_EQ(trace_count(&g.vm).records, 0);
	other.trace = TRACE_CLAIM;
	port_exit(0xcf9, 1, true, false, false);
	v = only_record();
	CHECK(v.record.flags & TRACE_CONFIG && v.record.config == 0x40 && !v.record.device);
	CHECK_EQ(v.region[0].device, TRACE_NO_DEVICE);
}

/* A device that reads guest memory in its handler, through the guest's page tables even. */
static enum io_result reading_hook(struct fake_guest *guest, struct io_access *a)
{
	struct gva_fault fault;
	uint8_t data[8];

	(void)a;
	CHECK(!gva_read(&guest->vm, FAKE_DATA, data, sizeof(data), GVA_READ, false, &fault));
	return IO_DONE;
}

static void what_devices_do_is_not_recorded(void)
{
	struct trace_view v;

	start(FAKE_LONG);
	g.hook = reading_hook;
	CODE("\x8b\x48\x08");
	exit_at(FAKE_DEV + 8, false, true);
	v = only_record();
	CHECK_EQ(v.record.access_count, 5);
	CHECK_EQ(count_accesses(&v, TRACE_ACCESS_MEMORY, 0), 0);
}

static void limits(void)
{
	struct arena arena;

	arena_init(&arena, pool, hpa(0), sizeof(pool));
	CHECK_EQ(trace_init(&g.vm, &arena, TRACE_SIZE_MIN - 8), -E_INVAL);
	CHECK_EQ(trace_init(&g.vm, &arena, TRACE_SIZE_MIN + 1), -E_INVAL);
	CHECK_EQ(trace_init(&g.vm, &arena, 2 * MIB), -E_NOMEM);
	start(FAKE_LONG);
	for (unsigned i = 1; i < TRACE_DEVICES; i++)
		CHECK_EQ(trace_add_device(&g.vm, &dev), 0);
	CHECK_EQ(trace_add_device(&g.vm, &dev), -E_NOMEM);
}

int main(void)
{
	const char *path = getenv("TRACE_OUT");

	out = path ? fopen(path, "wb") : NULL;
	if (out)
		fwrite(&written, sizeof(written), 1, out);
	RUN(a_read_is_one_record);
	RUN(bytes_of_the_cpu_and_the_linear_address);
	RUN(others_leave_no_record);
	RUN(repeated_strings);
	RUN(faults);
	RUN(pages_and_accessed_bits);
	RUN(other_modes);
	RUN(port_accesses);
	RUN(port_strings);
	RUN(port_strings_that_take_too_long);
	RUN(too_much_for_a_record);
	RUN(the_ring_drops_the_oldest);
	RUN(configuration_space_is_claimed);
	RUN(what_devices_do_is_not_recorded);
	if (out) {
		struct trace_header h = open_trace().header;

		h.records = written.records;
		h.bytes = written.bytes;
		rewind(out);
		fwrite(&h, sizeof(h), 1, out);
		fclose(out);
	}
	RUN(limits);
	return TEST_RESULT();
}
