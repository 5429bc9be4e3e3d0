/*
 * mmio: what instructions do at the edges: page and region borders, exceptions that must change
 * nothing, repeated strings. What they compute is checked against real CPUs by the tests in diff.
 */
#include "base/bits.h"
#include "fakes/fake_guest.h"
#include "mmio/emulate.h"
#include "test.h"

#define RW_USER 0x67u /* entry bits: present, writable, user, accessed, dirty */

static struct fake_guest g;
static struct insn insn;
static enum insn_mode mode;

static void boot(enum fake_mode m)
{
	fake_guest_init(&g, m);
	mode = m == FAKE_LONG ? INSN_MODE_64 : m == FAKE_FLAT32 ? INSN_MODE_32 : INSN_MODE_16;
}

static uint64_t *reg(unsigned n)
{
	return &g.vm.vcpu.gpr[n];
}

static enum emulate_result run_exit(const char *bytes, size_t n, struct vmexit e)
{
	struct emulation em = {.vm = &g.vm, .exit = &e, .insn = &insn, .mode = mode};

	em.user = g.cpu.reg[VREG_CPL] == 3;
	g.vm.vcpu.event.type = VEVENT_NONE;
	g.accesses = 0;
	CHECK(insn_decode((const uint8_t *)bytes, n, mode, &insn) == INSN_OK);
	CHECK_EQ(insn.length, n);
	return emulate_run(&em);
}

/* An instruction at FAKE_CODE whose exit reports this device address, without a linear one. */
#define RUN_AT(bytes, address, write)                                                              \
	run_exit(bytes, sizeof(bytes) - 1, fake_guest_exit(FAKE_CODE, address, write, false))

/* The same, told the linear address too. */
#define RUN_GLA(bytes, address, write)                                                             \
	run_exit(bytes, sizeof(bytes) - 1, fake_guest_exit(FAKE_CODE, address, write, true))

static bool raised(unsigned vector, uint32_t error)
{
	const struct vcpu_event *e = &g.vm.vcpu.event;

	return e->type == VEVENT_EXCEPTION && e->vector == vector && e->error == error;
}

static bool accessed(unsigned i, uint64_t offset, unsigned size)
{
	return i < g.accesses && g.log[i].offset == offset && g.log[i].size == size;
}

static void registers_of_every_kind(void)
{
	boot(FAKE_LONG);
	*reg(GPR_RAX) = FAKE_DEV;
	*reg(GPR_RCX) = 0x1122334455667788;
	CHECK(RUN_AT("\x88\x28", FAKE_DEV, true) == EMULATE_DONE); /* mov %ch, (%rax) */
	CHECK(g.dev[0] == 0x77 && accessed(0, 0, 1));
	g.dev[0] = 0xee;
	CHECK(RUN_AT("\x8a\x28", FAKE_DEV, false) == EMULATE_DONE);
	CHECK_EQ(*reg(GPR_RCX), 0x112233445566ee88);
	CHECK(RUN_AT("\x66\x8b\x08", FAKE_DEV, false) == EMULATE_DONE);
	CHECK_EQ(*reg(GPR_RCX), 0x11223344556600ee);
	CHECK(RUN_AT("\x8b\x08", FAKE_DEV, false) == EMULATE_DONE);
	CHECK_EQ(*reg(GPR_RCX), 0xee);
	g.cpu.reg[VREG_RSP] = 0x1234;
	CHECK(RUN_AT("\x48\x89\x20", FAKE_DEV, true) == EMULATE_DONE); /* mov %rsp, (%rax) */
	CHECK(!memcmp(g.dev, "\x34\x12\0\0\0\0\0\0", 8));
	g.cpu.reg[VREG_RSP] = FAKE_DEV;
	CHECK(RUN_AT("\x8b\x4c\x24\x00", FAKE_DEV, false) == EMULATE_DONE);
	CHECK_EQ(*reg(GPR_RCX), 0x1234);
}

static void a_false_cmov_reads_and_clears_the_upper_half(void)
{
	boot(FAKE_LONG);
	*reg(GPR_RAX) = FAKE_DEV;
	*reg(GPR_RCX) = ~0ull;
	CHECK(RUN_AT("\x0f\x44\x08", FAKE_DEV, false) == EMULATE_DONE);
	CHECK(*reg(GPR_RCX) == 0xffffffff && g.accesses == 1);
}

static void segment_bases_in_long_mode(void)
{
	boot(FAKE_LONG);
	g.cpu.seg[VSEG_FS].base = 0xf0000000;
	g.cpu.seg[VSEG_DS].base = 0x1000; /* as if it weren't there */
	*reg(GPR_RAX) = FAKE_DEV - 0xf0000000;
	g.dev[0] = 9;
	CHECK(RUN_GLA("\x64\x0f\xb6\x08", FAKE_DEV, false) == EMULATE_DONE);
	CHECK_EQ(*reg(GPR_RCX), 9);
	*reg(GPR_RAX) = FAKE_DEV;
	CHECK(RUN_GLA("\x3e\x0f\xb6\x08", FAKE_DEV, false) == EMULATE_DONE);
}

static void bit_numbers_move_the_address(void)
{
	boot(FAKE_LONG);
	*reg(GPR_RAX) = FAKE_DEV + 64;
	*reg(GPR_RCX) = (uint64_t)-1; /* bit 63 of the quad word before */
	CHECK(RUN_GLA("\x48\x0f\xab\x08", FAKE_DEV + 56, true) == EMULATE_DONE);
	CHECK(g.dev[63] == 0x80 && !(g.cpu.reg[VREG_RFLAGS] & 1));
	CHECK(RUN_GLA("\x48\x0f\xa3\x08", FAKE_DEV + 56, true) == EMULATE_DONE);
	CHECK(g.cpu.reg[VREG_RFLAGS] & 1);
	CHECK(RUN_GLA("\x48\x0f\xa3\x08", FAKE_DEV + 64, true) == EMULATE_REFUSED);
}

static void accesses_split_at_regions(void)
{
	boot(FAKE_LONG);
	*reg(GPR_RAX) = FAKE_DEV + FAKE_DEV_SIZE - 2;
	memcpy(g.dev + FAKE_DEV_SIZE - 2, "\x11\x22", 2);
	CHECK(RUN_AT("\x8b\x08", *reg(GPR_RAX), false) == EMULATE_DONE);
	CHECK_EQ(*reg(GPR_RCX), 0xffff2211);
	CHECK(g.accesses == 1 && accessed(0, FAKE_DEV_SIZE - 2, 2));
	*reg(GPR_RAX) = FAKE_DEV - 3;
	g.dev[0] = 0x77;
	CHECK(RUN_AT("\x8b\x08", *reg(GPR_RAX), false) == EMULATE_DONE);
	CHECK_EQ(*reg(GPR_RCX), 0x77ffffff);
	CHECK(g.accesses == 1 && accessed(0, 0, 1));
}

static void accesses_split_at_pages(void)
{
	boot(FAKE_LONG);
	*reg(GPR_RAX) = FAKE_DEV + PAGE_SIZE - 1;
	*reg(GPR_RCX) = 0x44332211;
	CHECK(RUN_AT("\x89\x08", *reg(GPR_RAX), true) == EMULATE_DONE);
	CHECK(!memcmp(g.dev + PAGE_SIZE - 1, "\x11\x22\x33\x44", 4));
	CHECK(g.accesses == 3 && accessed(0, 0xfff, 1) && accessed(1, 0x1000, 2) &&
		accessed(2, 0x1002, 1));
	/* Misaligned inside a page it stays one access. */
	*reg(GPR_RAX) = FAKE_DEV + 3;
	CHECK(RUN_AT("\x48\x89\x08", *reg(GPR_RAX), true) == EMULATE_DONE);
	CHECK(g.accesses == 1 && accessed(0, 3, 8));
}

static void half_of_an_access_can_be_memory(void)
{
	boot(FAKE_LONG);
	fake_guest_map(&g, 0, FAKE_DATA, RW_USER);
	fake_guest_map(&g, 1, FAKE_DEV, RW_USER);
	*reg(GPR_RAX) = FAKE_VIEW + PAGE_SIZE - 2;
	*reg(GPR_RCX) = 0x44332211;
	/* The exit is about the second page, which isn't where the operand begins. */
	CHECK(RUN_AT("\x89\x08", FAKE_DEV, true) == EMULATE_DONE);
	CHECK(!memcmp(g.ram + FAKE_DATA + PAGE_SIZE - 2, "\x11\x22", 2));
	CHECK(!memcmp(g.dev, "\x33\x44", 2) && accessed(0, 0, 2));
	/* An exit on the first page, and the second page is absent: nothing happens at all. */
	fake_guest_map(&g, 0, FAKE_DEV, RW_USER);
	fake_guest_map(&g, 1, 0, 0);
	CHECK(RUN_AT("\x89\x08", FAKE_DEV + PAGE_SIZE - 2, true) == EMULATE_RAISED);
	CHECK(raised(VECTOR_PF, 2) && g.cpu.reg[VREG_CR2] == FAKE_VIEW + PAGE_SIZE);
	CHECK_EQ(g.accesses, 0);
}

static void rights_are_checked_as_by_the_cpu(void)
{
	struct vmexit e = fake_guest_exit(FAKE_CODE, FAKE_VIEW, false, true);

	boot(FAKE_LONG);
	fake_guest_map(&g, 0, FAKE_DEV, RW_USER & ~2u);
	*reg(GPR_RAX) = FAKE_VIEW;
	CHECK(RUN_AT("\xff\x00", FAKE_DEV, false) == EMULATE_RAISED);
	CHECK(raised(VECTOR_PF, 3) && !g.accesses);
	/* The CPU reported a read, which says nothing about the right to write. */
	e.u.npf.gpa = gpa(FAKE_DEV);
	CHECK(run_exit("\xff\x00", 2, e) == EMULATE_RAISED);
	CHECK(raised(VECTOR_PF, 3) && !g.accesses);
	CHECK(RUN_AT("\x8b\x08", FAKE_DEV, false) == EMULATE_DONE);
	g.cpu.reg[VREG_CPL] = 3;
	fake_guest_map(&g, 0, FAKE_DEV, RW_USER & ~4u);
	CHECK(RUN_AT("\x8b\x08", FAKE_DEV, false) == EMULATE_RAISED && raised(VECTOR_PF, 5));
}

static void addresses_must_be_canonical(void)
{
	boot(FAKE_LONG);
	*reg(GPR_RAX) = 1ull << 63;
	CHECK(RUN_AT("\x8b\x08", FAKE_DEV, false) == EMULATE_RAISED && raised(VECTOR_GP, 0));
	*reg(GPR_RBP) = 1ull << 47;
	CHECK(RUN_AT("\x8b\x4d\x00", FAKE_DEV, false) == EMULATE_RAISED);
	CHECK(raised(VECTOR_SS, 0));
	*reg(GPR_RAX) = (1ull << 47) - 2;
	CHECK(RUN_AT("\x8b\x08", FAKE_DEV, false) == EMULATE_RAISED && raised(VECTOR_GP, 0));
	g.cpu.reg[VREG_CR4] |= CR4_LA57;
	*reg(GPR_RAX) = 1ull << 47;
	CHECK(RUN_AT("\x8b\x08", FAKE_DEV, false) == EMULATE_RAISED && raised(VECTOR_PF, 0));
}

static void segments_have_limits_and_types(void)
{
	struct vcpu_segment *ds = &g.cpu.seg[VSEG_DS], *ss = &g.cpu.seg[VSEG_SS];

	boot(FAKE_FLAT32);
	*reg(GPR_RAX) = FAKE_DEV;
	*reg(GPR_RBP) = FAKE_DEV;
	ds->limit = FAKE_DEV + 2;
	CHECK(RUN_AT("\x8b\x08", FAKE_DEV, false) == EMULATE_RAISED && raised(VECTOR_GP, 0));
	ds->limit = FAKE_DEV + 3;
	CHECK(RUN_AT("\x8b\x08", FAKE_DEV, false) == EMULATE_DONE);
	ss->limit = 0xffff;
	CHECK(RUN_AT("\x8b\x4d\x00", FAKE_DEV, false) == EMULATE_RAISED);
	CHECK(raised(VECTOR_SS, 0));
	ds->limit = 0xffffffff;
	ds->attributes &= ~2u; /* read only */
	CHECK(RUN_AT("\x89\x08", FAKE_DEV, true) == EMULATE_RAISED && raised(VECTOR_GP, 0));
	CHECK(RUN_AT("\x8b\x08", FAKE_DEV, false) == EMULATE_DONE);
	ds->attributes |= 8u; /* code that can't be read */
	CHECK(RUN_AT("\x8b\x08", FAKE_DEV, false) == EMULATE_RAISED && raised(VECTOR_GP, 0));
	ds->attributes = SEG_P | SEG_S | SEG_DB | 7u; /* data that grows down */
	ds->limit = FAKE_DEV;
	CHECK(RUN_AT("\x8b\x08", FAKE_DEV, false) == EMULATE_RAISED && raised(VECTOR_GP, 0));
	ds->limit = FAKE_DEV - 1;
	CHECK(RUN_AT("\x8b\x08", FAKE_DEV, false) == EMULATE_DONE);
	ds->attributes |= SEG_UNUSABLE;
	CHECK(RUN_AT("\x8b\x08", FAKE_DEV, false) == EMULATE_RAISED && raised(VECTOR_GP, 0));
	CHECK(RUN_AT("\x2e\x8b\x08", FAKE_DEV, false) == EMULATE_DONE);
	CHECK(RUN_AT("\x2e\x89\x08", FAKE_DEV, true) == EMULATE_RAISED && raised(VECTOR_GP, 0));
}

static void real_mode_has_limits_and_no_error_codes(void)
{
	boot(FAKE_REAL);
	g.cpu.seg[VSEG_DS].base = FAKE_DEV; /* as after a trip through protected mode */
	*reg(GPR_RBX) = 0xffff;
	CHECK(RUN_AT("\x8b\x0f", FAKE_DEV + 0xffff, false) == EMULATE_RAISED);
	CHECK(raised(VECTOR_GP, 0) && !g.vm.vcpu.event.has_error);
	*reg(GPR_RBX) = 0x12340010;
	CHECK(RUN_AT("\x88\x0f", FAKE_DEV + 0x10, true) == EMULATE_DONE);
	CHECK(accessed(0, 0x10, 1));
}

static void pairs_of_16_bytes(void)
{
	boot(FAKE_LONG);
	*reg(GPR_RSI) = FAKE_DEV + 16;
	*reg(GPR_RBX) = 1;
	*reg(GPR_RCX) = 2;
	CHECK(RUN_AT("\x48\x0f\xc7\x0e", FAKE_DEV + 16, true) == EMULATE_DONE);
	CHECK(g.cpu.reg[VREG_RFLAGS] & BIT(6) && g.dev[16] == 1 && g.dev[24] == 2);
	CHECK(g.accesses == 4 && accessed(1, 24, 8));
	CHECK(RUN_AT("\x48\x0f\xc7\x0e", FAKE_DEV + 16, true) == EMULATE_DONE);
	CHECK(!(g.cpu.reg[VREG_RFLAGS] & BIT(6)) && *reg(GPR_RAX) == 1 && *reg(GPR_RDX) == 2);
	*reg(GPR_RSI) = FAKE_DEV + 8;
	CHECK(RUN_AT("\x48\x0f\xc7\x0e", FAKE_DEV + 8, true) == EMULATE_RAISED);
	CHECK(raised(VECTOR_GP, 0) && !g.accesses);
	CHECK(RUN_AT("\x0f\xc7\x0e", FAKE_DEV + 8, true) == EMULATE_DONE);
}

static enum io_result refuse_writes(struct fake_guest *guest, struct io_access *a)
{
	(void)guest;
	return a->write ? IO_FAULT : IO_DONE;
}

static void a_refused_write_changes_no_register(void)
{
	uint64_t flags;

	boot(FAKE_LONG);
	g.hook = refuse_writes;
	*reg(GPR_RAX) = FAKE_DEV;
	*reg(GPR_RCX) = 5;
	flags = g.cpu.reg[VREG_RFLAGS];
	g.cpu.reg[VREG_RSP] = FAKE_DATA;
	CHECK(RUN_AT("\x0f\xc1\x08", FAKE_DEV, true) == EMULATE_RAISED); /* xadd */
	CHECK(raised(VECTOR_GP, 0) && *reg(GPR_RCX) == 5 && g.cpu.reg[VREG_RFLAGS] == flags);
	CHECK(RUN_AT("\x87\x08", FAKE_DEV, true) == EMULATE_RAISED && *reg(GPR_RCX) == 5);
	CHECK(RUN_AT("\x48\x0f\xc7\x08", FAKE_DEV, true) == EMULATE_RAISED);
	CHECK(*reg(GPR_RAX) == FAKE_DEV && g.cpu.reg[VREG_RFLAGS] == flags);
	CHECK(RUN_AT("\x8f\x00", FAKE_DEV, true) == EMULATE_RAISED);
	CHECK_EQ(g.cpu.reg[VREG_RSP], FAKE_DATA);
}

static void the_stack(void)
{
	boot(FAKE_LONG);
	g.cpu.reg[VREG_RSP] = FAKE_DATA;
	*reg(GPR_RAX) = FAKE_DEV;
	memcpy(g.dev, "abcdefgh", 8);
	CHECK(RUN_AT("\xff\x30", FAKE_DEV, false) == EMULATE_DONE);
	CHECK_EQ(g.cpu.reg[VREG_RSP], FAKE_DATA - 8);
	CHECK(!memcmp(g.ram + FAKE_DATA - 8, "abcdefgh", 8));
	/* The operand of POP is computed with RSP after the pop. */
	g.cpu.reg[VREG_RSP] = FAKE_DATA - 8;
	CHECK(RUN_AT("\x8f\x84\x24\x00\x00\xfe\x7d", FAKE_DATA + 0x7dfe0000, true) == EMULATE_DONE);
	CHECK_EQ(g.cpu.reg[VREG_RSP], FAKE_DATA);
	/* The stack itself can be the device. */
	g.cpu.reg[VREG_RSP] = FAKE_DEV + 32;
	*reg(GPR_RAX) = FAKE_DATA - 8;
	CHECK(RUN_AT("\xff\x30", FAKE_DEV + 24, true) == EMULATE_DONE);
	CHECK(!memcmp(g.dev + 24, "abcdefgh", 8));
	/* A stack that isn't mapped, and an operand that is. */
	g.cpu.reg[VREG_RSP] = FAKE_VIEW + 16;
	*reg(GPR_RAX) = FAKE_DEV;
	CHECK(RUN_AT("\xff\x30", FAKE_DEV, false) == EMULATE_RAISED && raised(VECTOR_PF, 2));
	CHECK(!g.accesses && g.cpu.reg[VREG_CR2] == FAKE_VIEW + 8);
	boot(FAKE_REAL);
	g.cpu.reg[VREG_RSP] = 0x12340000;
	g.cpu.seg[VSEG_DS].base = FAKE_DEV;
	g.cpu.seg[VSEG_SS].base = FAKE_DATA;
	CHECK(RUN_AT("\xff\x37", FAKE_DEV, false) == EMULATE_DONE);
	CHECK_EQ(g.cpu.reg[VREG_RSP], 0x1234fffe);
}

/* ---- strings ---- */

static void start_string(uint64_t from, uint64_t to, uint64_t count)
{
	boot(FAKE_LONG);
	*reg(GPR_RSI) = from;
	*reg(GPR_RDI) = to;
	*reg(GPR_RCX) = count;
	for (unsigned i = 0; i < FAKE_DEV_SIZE; i++) {
		g.dev[i] = (uint8_t)(i * 7);
		g.ram[FAKE_DATA + i] = (uint8_t)(i * 5 + 1);
	}
}

static void strings_go_both_ways(void)
{
	start_string(FAKE_DATA, FAKE_DEV + 8, 16);
	CHECK(RUN_GLA("\xf3\xa5", FAKE_DEV + 8, true) == EMULATE_DONE);
	CHECK(!memcmp(g.dev + 8, g.ram + FAKE_DATA, 64));
	CHECK(g.accesses == 16 && accessed(15, 8 + 60, 4));
	CHECK(*reg(GPR_RSI) == FAKE_DATA + 64 && *reg(GPR_RDI) == FAKE_DEV + 72);
	CHECK_EQ(*reg(GPR_RCX), 0);
	start_string(FAKE_DEV + 8, FAKE_DATA, 16);
	CHECK(RUN_AT("\xf3\xa5", FAKE_DEV + 8, false) == EMULATE_DONE);
	CHECK(!memcmp(g.dev + 8, g.ram + FAKE_DATA, 64));
	/* From the device to itself. */
	start_string(FAKE_DEV, FAKE_DEV + 0x100, 4);
	CHECK(RUN_AT("\xf3\xa4", FAKE_DEV, false) == EMULATE_DONE);
	CHECK(!memcmp(g.dev, g.dev + 0x100, 4) && g.accesses == 8);
}

static void strings_go_down(void)
{
	start_string(FAKE_DATA + 60, FAKE_DEV + 60, 16);
	g.cpu.reg[VREG_RFLAGS] |= RFLAGS_DF;
	CHECK(RUN_AT("\xf3\xa5", FAKE_DEV + 60, true) == EMULATE_DONE);
	CHECK(!memcmp(g.dev, g.ram + FAKE_DATA, 64));
	CHECK(accessed(0, 60, 4) && accessed(15, 0, 4));
	CHECK_EQ(*reg(GPR_RDI), FAKE_DEV - 4);
	/* No further than the page's beginning. */
	start_string(FAKE_DATA + PAGE_SIZE + 4, FAKE_DEV + PAGE_SIZE + 4, 16);
	g.cpu.reg[VREG_RFLAGS] |= RFLAGS_DF;
	CHECK(RUN_AT("\xf3\xa5", FAKE_DEV + PAGE_SIZE + 4, true) == EMULATE_AGAIN);
	CHECK(g.accesses == 2 && *reg(GPR_RCX) == 14);
	CHECK_EQ(*reg(GPR_RDI), FAKE_DEV + PAGE_SIZE - 4);
}

static void strings_leave_the_region_downwards(void)
{
	start_string(FAKE_DATA + 0x104, FAKE_DEV + 0x104, 4);
	CHECK(!region_move(&g.vm.mmio, &g.region, FAKE_DEV + 0x100, true));
	g.cpu.reg[VREG_RFLAGS] |= RFLAGS_DF;
	CHECK(RUN_AT("\xf3\xa5", FAKE_DEV + 0x104, true) == EMULATE_DONE);
	CHECK(g.accesses == 2 && accessed(0, 4, 4) && accessed(1, 0, 4));
	CHECK_EQ(g.vm.unclaimed_mmio, 2);
}

static void counts_of_zero_do_nothing(void)
{
	start_string(FAKE_DATA, FAKE_DEV, 0);
	CHECK(RUN_AT("\xf3\xa5", FAKE_DEV, true) == EMULATE_DONE);
	CHECK(!g.accesses && *reg(GPR_RSI) == FAKE_DATA && *reg(GPR_RDI) == FAKE_DEV);
	start_string(FAKE_DATA, FAKE_DEV, 1ull << 32);
	CHECK(RUN_AT("\xf3\x67\xa5", FAKE_DEV, true) == EMULATE_DONE && !g.accesses);
}

static void huge_counts_are_bounded(void)
{
	start_string(FAKE_DATA, FAKE_DEV, ~0ull);
	CHECK(RUN_AT("\xf3\xa4", FAKE_DEV, true) == EMULATE_AGAIN);
	CHECK_EQ(g.accesses, EMULATE_STRING_MAX);
	CHECK_EQ(*reg(GPR_RCX), ~0ull - EMULATE_STRING_MAX);
	CHECK_EQ(*reg(GPR_RDI), FAKE_DEV + EMULATE_STRING_MAX);
	/* Up to the end of the page, and an element across it by itself. */
	start_string(FAKE_DATA, FAKE_DEV + PAGE_SIZE - 10, ~0ull);
	CHECK(RUN_AT("\xf3\xa5", FAKE_DEV + PAGE_SIZE - 10, true) == EMULATE_AGAIN);
	CHECK(g.accesses == 2 && *reg(GPR_RCX) == ~0ull - 2);
	CHECK(RUN_AT("\xf3\xa5", FAKE_DEV + PAGE_SIZE - 2, true) == EMULATE_AGAIN);
	CHECK(g.accesses == 2 && *reg(GPR_RCX) == ~0ull - 3);
	CHECK(!memcmp(g.dev + PAGE_SIZE - 10, g.ram + FAKE_DATA, 12));
}

static void strings_stop_at_the_region(void)
{
	start_string(FAKE_DATA, FAKE_DEV + 0xff0, 8);
	g.region.len = 0xffa;
	CHECK(RUN_AT("\xf3\xa5", FAKE_DEV + 0xff0, true) == EMULATE_AGAIN);
	CHECK(*reg(GPR_RCX) == 4 && g.vm.unclaimed_mmio == 2); /* two bytes, and the last four */
	CHECK(accessed(2, 0xff8, 2));
}

static bool irq_waits;

static bool fake_pending(void *chip)
{
	(void)chip;
	return irq_waits;
}

static enum io_result raise_interrupt(struct fake_guest *guest, struct io_access *a)
{
	(void)guest;
	irq_waits |= a->offset == 8;
	return IO_DONE;
}

static void interrupts_come_between_iterations(void)
{
	static const struct irqchip_ops chip = {.pending = fake_pending};

	start_string(FAKE_DATA, FAKE_DEV, 10);
	g.vm.irqchip = &chip;
	g.hook = raise_interrupt;
	irq_waits = false;
	CHECK(RUN_AT("\xf3\xa5", FAKE_DEV, true) == EMULATE_DONE && g.accesses == 10);
	start_string(FAKE_DATA, FAKE_DEV, 10);
	g.vm.irqchip = &chip;
	g.hook = raise_interrupt;
	g.cpu.reg[VREG_RFLAGS] |= RFLAGS_IF;
	irq_waits = false;
	CHECK(RUN_AT("\xf3\xa5", FAKE_DEV, true) == EMULATE_AGAIN);
	CHECK(g.accesses == 3 && *reg(GPR_RCX) == 7);
	/* One that waits already lets the first iteration pass: the guest makes progress. */
	CHECK(RUN_AT("\xf3\xa5", FAKE_DEV + 12, true) == EMULATE_AGAIN);
	CHECK(g.accesses == 1 && *reg(GPR_RCX) == 6);
}

static void single_steps_do_one_iteration(void)
{
	start_string(FAKE_DATA, FAKE_DEV, 10);
	g.cpu.reg[VREG_RFLAGS] |= RFLAGS_TF;
	CHECK(RUN_AT("\xf3\xa5", FAKE_DEV, true) == EMULATE_AGAIN && g.accesses == 1);
}

static void faults_of_the_other_side_come_first(void)
{
	start_string(FAKE_VIEW, FAKE_DEV, 10);
	CHECK(RUN_AT("\xf3\xa5", FAKE_DEV, true) == EMULATE_RAISED);
	CHECK(raised(VECTOR_PF, 0) && g.cpu.reg[VREG_CR2] == FAKE_VIEW && !g.accesses);
	CHECK(*reg(GPR_RCX) == 10 && *reg(GPR_RSI) == FAKE_VIEW);
	start_string(FAKE_DEV, FAKE_VIEW, 10);
	CHECK(RUN_AT("\xf3\xa5", FAKE_DEV, false) == EMULATE_RAISED);
	CHECK(raised(VECTOR_PF, 2) && !g.accesses);
}

static enum io_result refuse_the_third(struct fake_guest *guest, struct io_access *a)
{
	(void)a;
	return guest->accesses == 2 ? IO_FAULT : IO_DONE;
}

static void a_late_fault_keeps_the_iterations_before_it(void)
{
	start_string(FAKE_DATA, FAKE_DEV, 10);
	g.hook = refuse_the_third;
	CHECK(RUN_AT("\xf3\xa5", FAKE_DEV, true) == EMULATE_RAISED && raised(VECTOR_GP, 0));
	CHECK(*reg(GPR_RCX) == 8 && *reg(GPR_RDI) == FAKE_DEV + 8);
}

static void comparisons_end_the_repetition(void)
{
	start_string(FAKE_DEV, FAKE_DATA, 100);
	memcpy(g.dev, g.ram + FAKE_DATA, 16);
	g.dev[9] ^= 1;
	CHECK(RUN_AT("\xf3\xa6", FAKE_DEV, false) == EMULATE_DONE); /* repe cmpsb */
	CHECK(*reg(GPR_RCX) == 90 && !(g.cpu.reg[VREG_RFLAGS] & BIT(6)));
	start_string(FAKE_DATA, FAKE_DEV, 100);
	*reg(GPR_RAX) = g.dev[5];
	CHECK(RUN_AT("\xf2\xae", FAKE_DEV, false) == EMULATE_DONE); /* repne scasb */
	CHECK(*reg(GPR_RCX) == 94 && g.cpu.reg[VREG_RFLAGS] & BIT(6) && g.accesses == 6);
	start_string(FAKE_DEV, FAKE_DATA, 3);
	CHECK(RUN_AT("\xf3\x66\xad", FAKE_DEV, false) == EMULATE_DONE); /* rep lodsw */
	CHECK_EQ(*reg(GPR_RAX), (uint16_t)(g.dev[5] << 8 | g.dev[4]));
}

static void strings_without_rep_leave_the_count(void)
{
	start_string(FAKE_DATA, FAKE_DEV, 0);
	*reg(GPR_RAX) = 0x4142434445464748;
	CHECK(RUN_AT("\x48\xab", FAKE_DEV, true) == EMULATE_DONE); /* stosq */
	CHECK(!memcmp(g.dev, "HGFEDCBA", 8) && *reg(GPR_RCX) == 0);
	CHECK_EQ(*reg(GPR_RDI), FAKE_DEV + 8);
}

static void addresses_of_strings_wrap(void)
{
	/* 32-bit addresses clear the upper halves, and wrap at 4 GiB: not inside a run. */
	start_string(0x500000000 | FAKE_DATA, 0x700000000 | FAKE_DEV, 0x900000002);
	CHECK(RUN_AT("\xf3\x67\xa5", FAKE_DEV, true) == EMULATE_DONE);
	CHECK(*reg(GPR_RSI) == FAKE_DATA + 8 && *reg(GPR_RDI) == FAKE_DEV + 8);
	CHECK(*reg(GPR_RCX) == 0 && g.accesses == 2);
	/* An element across the wrap, which a segment base puts in the middle of a page. */
	start_string(0xfffffffe, 0, 5);
	g.cpu.seg[VSEG_FS].base = FAKE_DEV + 0x10 - 0xfffffffe;
	CHECK(RUN_AT("\xf3\x64\x67\xad", FAKE_DEV + 0x10, false) == EMULATE_AGAIN);
	CHECK(*reg(GPR_RSI) == 2 && *reg(GPR_RCX) == 4 && g.accesses == 1);
	boot(FAKE_REAL);
	g.cpu.seg[VSEG_ES].base = FAKE_DEV - 0xf000;
	*reg(GPR_RDI) = 0xfffe;
	*reg(GPR_RCX) = 4;
	CHECK(RUN_AT("\xf3\xab", FAKE_DEV + 0xffe, true) == EMULATE_AGAIN);
	CHECK(g.accesses == 1 && *reg(GPR_RDI) == 0 && *reg(GPR_RCX) == 3);
}

static void limits_bound_strings(void)
{
	boot(FAKE_FLAT32);
	*reg(GPR_RDI) = FAKE_DEV;
	*reg(GPR_RCX) = 100;
	g.cpu.seg[VSEG_ES].limit = FAKE_DEV + 17;
	CHECK(RUN_AT("\xf3\xab", FAKE_DEV, true) == EMULATE_AGAIN);
	CHECK(g.accesses == 4 && *reg(GPR_RCX) == 96);
	CHECK(RUN_AT("\xf3\xab", FAKE_DEV + 16, true) == EMULATE_RAISED);
	CHECK(raised(VECTOR_GP, 0) && *reg(GPR_RCX) == 96);
	g.cpu.seg[VSEG_ES].attributes = SEG_P | SEG_S | SEG_DB | 7u;
	g.cpu.seg[VSEG_ES].limit = 0x1000;
	CHECK(RUN_AT("\xf3\xab", FAKE_DEV + 16, true) == EMULATE_AGAIN && g.accesses == 1);
}

static void what_the_exit_did_not_report_is_refused(void)
{
	struct vmexit e = fake_guest_exit(FAKE_CODE, FAKE_DEV, true, true);

	start_string(FAKE_DATA, FAKE_DEV, 10);
	CHECK(RUN_AT("\xf3\xa5", FAKE_DEV + 0x100, true) == EMULATE_REFUSED);
	CHECK(RUN_GLA("\xf3\xa5", FAKE_DEV + 0x100, true) == EMULATE_REFUSED);
	CHECK(!g.accesses && *reg(GPR_RCX) == 10);
	/* The right linear address, and a physical one that doesn't go with it. */
	e.u.npf.gpa = gpa(FAKE_DEV + 4);
	*reg(GPR_RAX) = FAKE_DEV;
	CHECK(run_exit("\x89\x08", 2, e) == EMULATE_REFUSED && !g.accesses);
	*reg(GPR_RAX) = FAKE_DATA;
	g.cpu.reg[VREG_RSP] = FAKE_DATA + 64;
	CHECK(RUN_AT("\xff\x30", FAKE_DEV, false) == EMULATE_REFUSED);
	CHECK(RUN_AT("\x8f\x00", FAKE_DEV, false) == EMULATE_REFUSED);
	CHECK(RUN_AT("\x0f\xc7\x08", FAKE_DEV, true) == EMULATE_REFUSED);
	CHECK(RUN_AT("\x01\x08", FAKE_DEV, true) == EMULATE_REFUSED);
	CHECK(RUN_AT("\x01\xc8", FAKE_DEV, true) == EMULATE_REFUSED);
}

int main(void)
{
	RUN(registers_of_every_kind);
	RUN(a_false_cmov_reads_and_clears_the_upper_half);
	RUN(segment_bases_in_long_mode);
	RUN(bit_numbers_move_the_address);
	RUN(accesses_split_at_regions);
	RUN(accesses_split_at_pages);
	RUN(half_of_an_access_can_be_memory);
	RUN(rights_are_checked_as_by_the_cpu);
	RUN(addresses_must_be_canonical);
	RUN(segments_have_limits_and_types);
	RUN(real_mode_has_limits_and_no_error_codes);
	RUN(pairs_of_16_bytes);
	RUN(a_refused_write_changes_no_register);
	RUN(the_stack);
	RUN(strings_go_both_ways);
	RUN(strings_go_down);
	RUN(strings_leave_the_region_downwards);
	RUN(counts_of_zero_do_nothing);
	RUN(huge_counts_are_bounded);
	RUN(strings_stop_at_the_region);
	RUN(interrupts_come_between_iterations);
	RUN(single_steps_do_one_iteration);
	RUN(faults_of_the_other_side_come_first);
	RUN(a_late_fault_keeps_the_iterations_before_it);
	RUN(comparisons_end_the_repetition);
	RUN(strings_without_rep_leave_the_count);
	RUN(addresses_of_strings_wrap);
	RUN(limits_bound_strings);
	RUN(what_the_exit_did_not_report_is_refused);
	return TEST_RESULT();
}
