/* pio: INS and OUTS: modes, prefixes, directions, faults, limits, bounds. */
#include "pio/guest_port.h"
#include "fakes/fake_hw.h"
#include "test.h"

#define PORT	0x1f0u
#define CODE	0x9000u
#define DATA	FAKE_DATA
#define LIN	FAKE_VIEW /* long mode: two pages mapped to DATA */
#define PRESENT 1u
#define WRITE	2u
#define USER	4u

static struct fake_guest g;
static struct fake_lines lines;
static struct device dev;
static struct region region;
static uint32_t next_datum, refuse_at, block_items, block_limit;
static uint32_t written[4096];
static unsigned written_count;

static enum io_result handler(struct device *d, struct io_access *a)
{
	(void)d;
	if (refuse_at && next_datum + written_count == refuse_at)
		return IO_FAULT;
	if (!a->write)
		a->value = 0x01010100u + next_datum++;
	else if (written_count < array_size(written))
		written[written_count++] = (uint32_t)a->value;
	return IO_DONE;
}

static size_t read_block(struct device *d, const struct io_access *a, void *ret, size_t n)
{
	(void)d;
	n = n < block_limit ? n : block_limit;
	for (size_t i = 0; i < n; i++, next_datum++)
		memcpy((char *)ret + i * a->size, &next_datum, a->size);
	block_items += (uint32_t)n;
	return n;
}

static void map_data(unsigned page, uint64_t bits)
{
	fake_guest_map(&g, page, DATA + page * PAGE_SIZE, bits);
}

static void set_mode(enum fake_mode mode)
{
	fake_vcpu_init(&g.cpu, &g.vm.vcpu, &g.vm, mode);
	g.cpu.reg[VREG_RIP] = CODE;
}

static void setup(void)
{
	fake_hw_reset();
	fake_hw.tsc_step = 1;
	start_guest(&g, &lines);
	g.cpu.reg[VREG_RIP] = CODE;
	map_data(0, PRESENT | WRITE | USER);
	map_data(1, PRESENT | WRITE | USER);
	region = (struct region){.base = PORT, .len = 4, .dev = &dev, .handler = handler};
	CHECK(!region_add(&g.vm.pio, &region));
	next_datum = refuse_at = block_items = 0;
	written_count = 0;
	block_limit = ~0u;
}

/* One exit for an instruction given as its bytes, with or without its length. */
static void run_bytes(const void *bytes, size_t n, unsigned size, bool know_length)
{
	struct vmexit e = {.kind = VMEXIT_PIO, .rip = g.cpu.reg[VREG_RIP]};
	const uint8_t *b = bytes;

	memcpy(g.ram + CODE, bytes, n);
	e.insn_len = know_length ? (uint8_t)n : 0;
	e.u.pio.port = PORT;
	e.u.pio.size = (uint8_t)size;
	e.u.pio.string = true;
	e.u.pio.in = b[n - 1] < 0x6e;
	for (size_t i = 0; i < n; i++)
		e.u.pio.rep |= b[i] == 0xf3;
	g.vm.handler[VMEXIT_PIO](&g.vm, &e);
}

#define RUN_INSN(size, text) run_bytes(text, sizeof(text) - 1, size, true)

static void set_regs(uint64_t rcx, uint64_t rsi, uint64_t rdi)
{
	g.vm.vcpu.gpr[GPR_RCX] = rcx;
	g.vm.vcpu.gpr[GPR_RSI] = rsi;
	g.vm.vcpu.gpr[GPR_RDI] = rdi;
}

static void check_regs(uint64_t rcx, uint64_t rsi, uint64_t rdi)
{
	CHECK_EQ(g.vm.vcpu.gpr[GPR_RCX], rcx);
	CHECK_EQ(g.vm.vcpu.gpr[GPR_RSI], rsi);
	CHECK_EQ(g.vm.vcpu.gpr[GPR_RDI], rdi);
}

static void check_fault(uint8_t vector, uint32_t error)
{
	CHECK_EQ(g.vm.vcpu.event.type, VEVENT_EXCEPTION);
	CHECK_EQ(g.vm.vcpu.event.vector, vector);
	CHECK_EQ(g.vm.vcpu.event.error, error);
	CHECK_EQ(g.cpu.reg[VREG_RIP], CODE);
}

static uint16_t word_at(unsigned at)
{
	uint16_t v;

	memcpy(&v, g.ram + at, 2);
	return v;
}

static void insw_fills_a_sector(void)
{
	setup();
	set_regs(256, 7, LIN);
	RUN_INSN(2, "\xf3\x66\x6d");
	check_regs(0, 7, LIN + 512);
	CHECK_EQ(g.cpu.reg[VREG_RIP], CODE + 3);
	for (unsigned i = 0; i < 256; i++)
		CHECK_EQ(word_at(DATA + 2 * i), 0x0100 + i);
	CHECK_EQ(word_at(DATA + 512), 0);
}

static void insw_takes_the_block_that_a_device_offers(void)
{
	setup();
	region.read_block = read_block;
	set_regs(256, 0, LIN);
	RUN_INSN(2, "\xf3\x66\x6d");
	CHECK_EQ(block_items, 256);
	CHECK_EQ(word_at(DATA + 510), 255);
	check_regs(0, 0, LIN + 512);
	/* Part of it: the rest comes one by one. */
	block_limit = 10;
	g.cpu.reg[VREG_RIP] = CODE;
	set_regs(20, 0, LIN);
	RUN_INSN(2, "\xf3\x66\x6d");
	CHECK_EQ(word_at(DATA + 18), 265);
	CHECK_EQ(word_at(DATA + 20), 0x0100 + 266);
}

static void single_items_and_both_widths(void)
{
	setup();
	set_regs(99, 0, LIN);
	RUN_INSN(1, "\x6c");
	check_regs(99, 0, LIN + 1);
	CHECK_EQ(g.ram[DATA], 0);
	g.cpu.reg[VREG_RIP] = CODE;
	RUN_INSN(4, "\x6d");
	check_regs(99, 0, LIN + 5);
	CHECK_EQ(g.ram[DATA + 4], 1);
	g.cpu.reg[VREG_RIP] = CODE;
	memcpy(g.ram + DATA, "\x11\x22\x33\x44", 4);
	set_regs(99, LIN, 0);
	RUN_INSN(4, "\x6f");
	CHECK_EQ(written[0], 0x44332211);
	check_regs(99, LIN + 4, 0);
}

static void direction_flag_goes_down(void)
{
	setup();
	g.cpu.reg[VREG_RFLAGS] |= RFLAGS_DF;
	set_regs(3, 0, LIN + 4);
	RUN_INSN(2, "\xf3\x66\x6d");
	CHECK_EQ(word_at(DATA + 4), 0x100);
	CHECK_EQ(word_at(DATA), 0x102);
	check_regs(0, 0, LIN - 2);
}

static void bounded_per_exit(void)
{
	unsigned exits = 0;

	setup();
	set_regs(4000, LIN, 0);
	while (g.cpu.reg[VREG_RIP] == CODE && exits < 100) {
		RUN_INSN(1, "\xf3\x6e");
		exits++;
	}
	CHECK_EQ(exits, 4);
	CHECK_EQ(written_count, 4000);
	check_regs(0, LIN + 4000, 0);
	CHECK_EQ(g.cpu.reg[VREG_RIP], CODE + 2);
}

/* A port that takes 2 ms for an item, like a keyboard controller that doesn't read. */
static enum io_result slow_handler(struct device *d, struct io_access *a)
{
	fake_hw.tsc += 2000000;
	return handler(d, a);
}

static void bounded_in_time(void)
{
	setup();
	region.handler = slow_handler;
	set_regs(600, LIN, 0);
	for (unsigned exits = 1; exits <= 600; exits++) {
		RUN_INSN(1, "\xf3\x6e");
		CHECK_EQ(written_count, exits);
		check_regs(600 - exits, LIN + exits, 0);
		CHECK_EQ(g.cpu.reg[VREG_RIP], exits < 600 ? CODE : CODE + 2);
	}
	setup();
	region.handler = slow_handler;
	set_regs(2, 0, LIN);
	RUN_INSN(2, "\xf3\x66\x6d");
	check_regs(1, 0, LIN + 2);
	CHECK_EQ(word_at(DATA), 0x0100);
	CHECK_EQ(word_at(DATA + 2), 0);
}

static void endless_count_does_not_hang(void)
{
	setup();
	set_regs(~0ull, 0, LIN);
	RUN_INSN(1, "\xf3\x6c");
	check_regs(~0ull - 1024, 0, LIN + 1024);
	CHECK_EQ(g.cpu.reg[VREG_RIP], CODE);
	setup();
	set_regs(0, 0, LIN);
	RUN_INSN(1, "\xf3\x6c");
	CHECK_EQ(next_datum, 0);
	CHECK_EQ(g.cpu.reg[VREG_RIP], CODE + 2);
}

static void page_fault_is_exact_and_costs_no_datum(void)
{
	setup();
	map_data(1, 0);
	set_regs(8, 0, LIN + 0xffc);
	RUN_INSN(2, "\xf3\x66\x6d");
	check_fault(VECTOR_PF, 2);
	CHECK_EQ(g.cpu.reg[VREG_CR2], LIN + 0x1000);
	check_regs(6, 0, LIN + 0x1000);
	CHECK_EQ(next_datum, 2);
}

static void item_across_pages(void)
{
	setup();
	set_regs(2, 0, LIN + 0xffe);
	RUN_INSN(4, "\xf3\x6d");
	CHECK_EQ(g.ram[DATA + 0xffe], 0);
	CHECK_EQ(g.ram[DATA + 0x1000], 1);
	CHECK_EQ(g.ram[DATA + 0x1002], 1);
	check_regs(0, 0, LIN + 0x1006);
	setup();
	map_data(1, 0);
	set_regs(1, 0, LIN + 0xffe);
	RUN_INSN(4, "\x6d");
	check_fault(VECTOR_PF, 2);
	CHECK_EQ(g.cpu.reg[VREG_CR2], LIN + 0x1000);
	CHECK_EQ(next_datum, 0);
	CHECK_EQ(word_at(DATA + 0xffe), 0);
}

static void permissions_of_the_privilege_level(void)
{
	setup();
	map_data(0, PRESENT | WRITE);
	set_regs(1, LIN, LIN);
	RUN_INSN(1, "\x6e");
	CHECK_EQ(written_count, 1);
	g.cpu.reg[VREG_RIP] = CODE;
	g.cpu.reg[VREG_CPL] = 3;
	RUN_INSN(1, "\x6e");
	check_fault(VECTOR_PF, 5);
	setup();
	map_data(0, PRESENT | USER);
	g.cpu.reg[VREG_CPL] = 3;
	set_regs(1, LIN, LIN);
	RUN_INSN(1, "\x6c");
	check_fault(VECTOR_PF, 7);
}

static void non_canonical_address(void)
{
	setup();
	set_regs(1, 0, 0x800000000000ull);
	RUN_INSN(1, "\x6c");
	check_fault(VECTOR_GP, 0);
	CHECK_EQ(next_datum, 0);
}

static void address_size_and_segment_prefixes(void)
{
	setup();
	g.cpu.seg[VSEG_FS].base = 0x100;
	g.cpu.seg[VSEG_DS].base = 0x5000; /* ignored in 64-bit mode, as is its prefix */
	g.ram[DATA] = 0x11;
	g.ram[DATA + 0x100] = 0x22;
	set_regs(0xaaaaaaaa00000001, 0xbbbbbbbb00000000 | LIN, 0);
	RUN_INSN(1, "\x64\x67\xf3\x6e");
	CHECK_EQ(written[0], 0x22);
	check_regs(0, LIN + 1, 0);
	g.cpu.reg[VREG_RIP] = CODE;
	set_regs(1, LIN, 0);
	RUN_INSN(1, "\x3e\x48\x6e");
	CHECK_EQ(written[1], 0x11);
}

static void length_and_bytes_from_the_cpu_or_not(void)
{
	struct vmexit e = {.kind = VMEXIT_PIO, .rip = CODE, .insn_len = 2, .n_insn = 2};

	setup();
	set_regs(2, 0, LIN);
	run_bytes("\xf3\x6c", 2, 1, false);
	CHECK_EQ(g.cpu.reg[VREG_RIP], CODE + 2);
	CHECK_EQ(g.ram[DATA + 1], 1);
	/* Delivered bytes are used, and the page of the code isn't read. */
	memcpy(e.insn, "\xf3\x6c", 2);
	e.u.pio.port = PORT;
	e.u.pio.size = 1;
	e.u.pio.in = e.u.pio.string = e.u.pio.rep = true;
	e.rip = LIN + 2 * PAGE_SIZE; /* nothing is mapped there */
	set_regs(2, 0, LIN);
	g.vm.handler[VMEXIT_PIO](&g.vm, &e);
	CHECK_EQ(g.vm.vcpu.event.type, VEVENT_NONE);
	check_regs(0, 0, LIN + 2);
	/* Without them the fetch faults. */
	e.n_insn = 0;
	g.vm.handler[VMEXIT_PIO](&g.vm, &e);
	CHECK_EQ(g.vm.vcpu.event.vector, VECTOR_PF);
	CHECK_EQ(g.cpu.reg[VREG_CR2], LIN + 2 * PAGE_SIZE);
	CHECK_EQ(g.vm.vcpu.event.error & ~4u, 0x10);
}

static void other_bytes_than_string_io_are_undefined(void)
{
	struct vmexit e = {.kind = VMEXIT_PIO, .rip = CODE, .insn_len = 1};

	setup();
	set_regs(1, LIN, LIN);
	RUN_INSN(1, "\xf3\x90\x6c");
	check_fault(VECTOR_UD, 0);
	setup();
	/* The bytes changed since: OUTS where the CPU saw INS. */
	e.u.pio.in = e.u.pio.string = true;
	memcpy(g.ram + CODE, "\x6e", 1);
	g.vm.handler[VMEXIT_PIO](&g.vm, &e);
	check_fault(VECTOR_UD, 0);
	setup();
	/* Fifteen prefixes and no opcode. */
	run_bytes("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66", 15, 1, false);
	check_fault(VECTOR_UD, 0);
	CHECK_EQ(next_datum + written_count, 0);
}

static void segment_limits_and_types(void)
{
	setup();
	set_mode(FAKE_FLAT32);
	g.cpu.seg[VSEG_ES].limit = DATA + 3;
	set_regs(8, 0, DATA);
	RUN_INSN(2, "\xf3\x66\x6d");
	check_fault(VECTOR_GP, 0);
	check_regs(6, 0, DATA + 4);
	CHECK_EQ(next_datum, 2);

	setup();
	set_mode(FAKE_FLAT32);
	g.cpu.seg[VSEG_ES].attributes &= ~2u; /* read only */
	set_regs(1, 0, DATA);
	RUN_INSN(1, "\x6c");
	check_fault(VECTOR_GP, 0);

	setup();
	set_mode(FAKE_FLAT32);
	g.cpu.seg[VSEG_SS].limit = 0x10;
	set_regs(1, DATA, 0);
	RUN_INSN(1, "\x36\x6e");
	check_fault(VECTOR_SS, 0);

	setup();
	set_mode(FAKE_FLAT32);
	g.cpu.seg[VSEG_DS].attributes = SEG_UNUSABLE;
	set_regs(1, DATA, 0);
	RUN_INSN(1, "\x6e");
	check_fault(VECTOR_GP, 0);
	CHECK_EQ(written_count, 0);
}

static void expand_down_segment(void)
{
	setup();
	set_mode(FAKE_FLAT32);
	g.cpu.seg[VSEG_DS].attributes |= 4;
	g.cpu.seg[VSEG_DS].limit = DATA;
	set_regs(1, DATA + 1, 0);
	RUN_INSN(1, "\x6e");
	CHECK_EQ(written_count, 1);
	g.cpu.reg[VREG_RIP] = CODE;
	set_regs(1, DATA, 0);
	RUN_INSN(1, "\x6e");
	check_fault(VECTOR_GP, 0);
}

static void real_mode_uses_16_bits(void)
{
	setup();
	set_mode(FAKE_REAL);
	g.cpu.seg[VSEG_ES].base = DATA;
	set_regs(0xaaaaaaaaaaaa0002, 0, 0xbbbbbbbbbbbbffff);
	RUN_INSN(1, "\xf3\x6c");
	check_regs(0xaaaaaaaaaaaa0000, 0, 0xbbbbbbbbbbbb0001);
	CHECK_EQ(g.ram[DATA + 0xffff], 0);
	CHECK_EQ(g.ram[DATA], 1);
	/* A word at FFFFh is beyond the limit. */
	g.cpu.reg[VREG_RIP] = CODE;
	set_regs(1, 0, 0xffff);
	RUN_INSN(2, "\x6d");
	CHECK_EQ(g.vm.vcpu.event.vector, VECTOR_GP);
	CHECK(!g.vm.vcpu.event.has_error);
}

static void linear_addresses_wrap_at_4_gib(void)
{
	setup();
	set_mode(FAKE_FLAT32);
	g.cpu.seg[VSEG_ES].base = 0xfffff000;
	set_regs(1, 0, 0x1000 + DATA);
	RUN_INSN(1, "\x6c");
	check_regs(1, 0, 0x1001 + DATA);
	CHECK_EQ(next_datum, 1);
	g.cpu.reg[VREG_RIP] = CODE;
	set_regs(1, 0, 0xffe);
	RUN_INSN(4, "\x6d");
	check_fault(VECTOR_GP, 0);
}

static void refused_item_stops_with_exact_registers(void)
{
	setup();
	refuse_at = 3;
	set_regs(8, 0, LIN);
	RUN_INSN(2, "\xf3\x66\x6d");
	check_fault(VECTOR_GP, 0);
	check_regs(5, 0, LIN + 6);
	CHECK_EQ(word_at(DATA + 4), 0x102);
	CHECK_EQ(word_at(DATA + 6), 0);
	setup();
	refuse_at = 2;
	set_regs(8, LIN, 0);
	RUN_INSN(2, "\xf3\x66\x6f");
	check_fault(VECTOR_GP, 0);
	check_regs(6, LIN + 4, 0);
}

static void memory_that_is_not_there(void)
{
	setup();
	g.vm.gmem.run[0].len = DATA; /* the tables are beyond, too: no paging */
	set_mode(FAKE_FLAT32);
	set_regs(4, 0, DATA);
	RUN_INSN(1, "\xf3\x6c");
	check_regs(0, 0, DATA + 4);
	CHECK_EQ(next_datum, 4);
	CHECK_EQ(g.ram[DATA], 0);
	CHECK(g.vm.unclaimed_mmio > 0);
	g.cpu.reg[VREG_RIP] = CODE;
	set_regs(1, DATA, 0);
	RUN_INSN(2, "\x66\x6f");
	CHECK_EQ(written[0], 0xffff);
}

int main(void)
{
	RUN(insw_fills_a_sector);
	RUN(insw_takes_the_block_that_a_device_offers);
	RUN(single_items_and_both_widths);
	RUN(direction_flag_goes_down);
	RUN(bounded_per_exit);
	RUN(bounded_in_time);
	RUN(endless_count_does_not_hang);
	RUN(page_fault_is_exact_and_costs_no_datum);
	RUN(item_across_pages);
	RUN(permissions_of_the_privilege_level);
	RUN(non_canonical_address);
	RUN(address_size_and_segment_prefixes);
	RUN(length_and_bytes_from_the_cpu_or_not);
	RUN(other_bytes_than_string_io_are_undefined);
	RUN(segment_limits_and_types);
	RUN(expand_down_segment);
	RUN(real_mode_uses_16_bits);
	RUN(linear_addresses_wrap_at_4_gib);
	RUN(refused_item_stops_with_exact_registers);
	RUN(memory_that_is_not_there);
	return TEST_RESULT();
}
