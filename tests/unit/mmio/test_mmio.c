/* mmio: whole exits, from the bytes in guest memory to the device and the next RIP. */
#include "base/bits.h"
#include "base/log.h"
#include "fakes/fake_guest.h"
#include "mmio/mmio.h"
#include "test.h"

static struct fake_guest g;
static uint8_t pool[256 * KIB] __attribute__((aligned(4096)));
static char last_line[LOG_LINE_MAX];
static unsigned lines;

static void keep_line(const char *line, bool alert)
{
	(void)alert;
	strcpy(last_line, line);
	lines++;
}

static void boot(enum fake_mode mode)
{
	struct arena arena;

	arena_init(&arena, pool, hpa(0), sizeof(pool));
	fake_guest_init(&g, mode);
	CHECK(!mmio_attach(&g.vm, &arena));
	log_reset();
	log_add_sink(keep_line);
	lines = 0;
	g.cpu.reg[VREG_RIP] = FAKE_CODE;
}

static void put_code(const char *bytes, size_t n)
{
	memcpy(g.ram + FAKE_CODE, bytes, n);
}

#define CODE(bytes) put_code(bytes, sizeof(bytes) - 1)

static void deliver(struct vmexit e)
{
	g.vm.handler[VMEXIT_NPF](&g.vm, &e);
}

static void run_at(uint64_t address, bool write)
{
	deliver(fake_guest_exit(g.cpu.reg[VREG_RIP], address, write, false));
}

static uint64_t *reg(unsigned n)
{
	return &g.vm.vcpu.gpr[n];
}

static bool raised(unsigned vector)
{
	const struct vcpu_event *e = &g.vm.vcpu.event;

	return e->type == VEVENT_EXCEPTION && e->vector == vector && !g.cpu.resumed;
}

static void reads_and_writes(void)
{
	for (unsigned with_gla = 0; with_gla < 2; with_gla++) {
		boot(FAKE_LONG);
		memcpy(g.dev + 8, "\x78\x56\x34\x12", 4);
		*reg(GPR_RAX) = FAKE_DEV;
		*reg(GPR_RCX) = ~0ull;
		CODE("\x8b\x48\x08"); /* mov 8(%rax), %ecx */
		deliver(fake_guest_exit(FAKE_CODE, FAKE_DEV + 8, false, with_gla));
		CHECK_EQ(*reg(GPR_RCX), 0x12345678);
		CHECK_EQ(g.cpu.reg[VREG_RIP], FAKE_CODE + 3);
		CODE("\x89\x48\x10");
		deliver(fake_guest_exit(FAKE_CODE, FAKE_DEV + 16, true, with_gla));
		CHECK(!memcmp(g.dev + 16, "\x78\x56\x34\x12", 4));
		CHECK(g.accesses == 2 && g.log[1].offset == 16 && g.log[1].size == 4);
		CHECK_EQ(lines, 0);
	}
}

static void takes_the_bytes_that_the_cpu_delivers(void)
{
	struct vmexit e = fake_guest_exit(FAKE_CODE, FAKE_DEV, true, true);

	boot(FAKE_LONG);
	*reg(GPR_RAX) = FAKE_DEV;
	CODE("\xcc");
	e.n_insn = 15;
	memcpy(e.insn, "\x88\x08", 2);
	*reg(GPR_RCX) = 0x77;
	deliver(e);
	CHECK_EQ(g.dev[0], 0x77);
	/* Too few: the rest comes from memory. */
	boot(FAKE_LONG);
	*reg(GPR_RAX) = FAKE_DEV;
	CODE("\xc6\x00\x55");
	e.n_insn = 1;
	memcpy(e.insn, "\xc6", 1);
	deliver(e);
	CHECK_EQ(g.dev[0], 0x55);
	CHECK_EQ(g.cpu.reg[VREG_RIP], FAKE_CODE + 3);
}

static void holes_read_as_ones_and_drop_writes(void)
{
	boot(FAKE_LONG);
	*reg(GPR_RAX) = 0xd0000000;
	CODE("\x48\x8b\x08");
	run_at(0xd0000000, false);
	CHECK_EQ(*reg(GPR_RCX), ~0ull);
	CHECK(g.vm.unclaimed_mmio == 1 && lines == 1 && strstr(last_line, "nobody there"));
	g.cpu.reg[VREG_RIP] = FAKE_CODE;
	CODE("\x66\x89\x08");
	run_at(0xd0000000, true);
	CHECK_EQ(g.vm.unclaimed_mmio, 2);
	CHECK(g.cpu.reg[VREG_RIP] == FAKE_CODE + 3 && !g.accesses);
}

static void unknown_instructions_are_undefined(void)
{
	boot(FAKE_LONG);
	*reg(GPR_RAX) = FAKE_DEV;
	CODE("\x0f\x6f\x00");
	run_at(FAKE_DEV, false);
	CHECK(raised(VECTOR_UD) && !g.vm.vcpu.event.has_error && !g.accesses);
	CHECK(strstr(last_line, "unknown instruction") && strstr(last_line, ": 0f 6f 00"));
	boot(FAKE_LONG);
	CODE("\xf0\x89\x08");
	run_at(FAKE_DEV, true);
	CHECK(raised(VECTOR_UD) && strstr(last_line, "invalid instruction"));
}

static void a_guest_cannot_flood_the_log(void)
{
	boot(FAKE_LONG);
	CODE("\x0f\x6f\x00");
	for (unsigned i = 0; i < 2000; i++) {
		g.vm.vcpu.event.type = VEVENT_NONE;
		run_at(FAKE_DEV, false);
	}
	CHECK(lines < 20);
}

static void too_long_is_a_protection_fault(void)
{
	boot(FAKE_LONG);
	memset(g.ram + FAKE_CODE, 0x66, 15);
	run_at(FAKE_DEV, false);
	CHECK(raised(VECTOR_GP) && g.vm.vcpu.event.has_error && !g.vm.vcpu.event.error);
}

static void refuses_what_the_cpu_did_not_report(void)
{
	static const char *const code = "\x89\x08";

	for (unsigned with_gla = 0; with_gla < 2; with_gla++) {
		boot(FAKE_LONG);
		*reg(GPR_RAX) = FAKE_DEV + 0x100;
		put_code(code, 2);
		deliver(fake_guest_exit(FAKE_CODE, FAKE_DEV, true, with_gla));
		CHECK(raised(VECTOR_UD) && !g.accesses && strstr(last_line, "elsewhere: 89 08"));
	}
	/* The linear address is right, what it translates to is not. */
	boot(FAKE_LONG);
	*reg(GPR_RAX) = FAKE_VIEW;
	fake_guest_map(&g, 0, FAKE_DEV, 0x67);
	put_code(code, 2);
	run_at(FAKE_DEV + 0x1000, true);
	CHECK(raised(VECTOR_UD) && !g.accesses);
	/* A register form accesses nothing. */
	boot(FAKE_LONG);
	CODE("\x89\xc8");
	run_at(FAKE_DEV, true);
	CHECK(raised(VECTOR_UD));
}

/* The code page of the next cases: the last bytes of one page, and nothing or something behind. */
#define VIEW_END (FAKE_VIEW + PAGE_SIZE)

static void put_at_page_end(const char *bytes, size_t n)
{
	boot(FAKE_LONG);
	fake_guest_map(&g, 0, 0x30000, 0x67);
	memcpy(g.ram + 0x31000 - n, bytes, n);
	g.cpu.reg[VREG_RIP] = VIEW_END - n;
	*reg(GPR_RAX) = FAKE_DEV;
}

static void fetches_no_further_than_the_instruction(void)
{
	put_at_page_end("\xc6\x00\x66", 3);
	run_at(FAKE_DEV, true);
	CHECK(g.dev[0] == 0x66 && g.cpu.reg[VREG_RIP] == VIEW_END);
}

static void fetches_across_pages(void)
{
	put_at_page_end("\xc7\x40\x04\x11", 4);
	fake_guest_map(&g, 1, 0x50000, 0x67);
	memcpy(g.ram + 0x50000, "\x22\x33\x44", 3);
	run_at(FAKE_DEV + 4, true);
	CHECK(!memcmp(g.dev + 4, "\x11\x22\x33\x44", 4));
	CHECK_EQ(g.cpu.reg[VREG_RIP], VIEW_END + 3);
}

static void faults_where_the_rest_is_not_mapped(void)
{
	put_at_page_end("\xc7\x40\x04\x11", 4);
	run_at(FAKE_DEV + 4, true);
	CHECK(raised(VECTOR_PF) && g.cpu.reg[VREG_CR2] == VIEW_END);
	CHECK(g.vm.vcpu.event.error == 0x10 && !g.accesses);
	put_at_page_end("\xc7\x40\x04\x11", 4);
	fake_guest_map(&g, 1, 0x50000, 0x67 | BIT(63));
	run_at(FAKE_DEV + 4, true);
	CHECK(raised(VECTOR_PF) && g.vm.vcpu.event.error == 0x11);
	/* The rest is a device's: the guest can't be helped. */
	put_at_page_end("\xc7\x40\x04\x11", 4);
	fake_guest_map(&g, 1, FAKE_DEV, 0x67);
	run_at(FAKE_DEV + 4, true);
	CHECK(g.vm.stop.reason == STOP_TRIPLE_FAULT && !g.accesses);
}

static void code_that_changes_is_right(void)
{
	boot(FAKE_LONG);
	*reg(GPR_RAX) = FAKE_DEV;
	for (unsigned i = 0; i < 100; i++) {
		g.cpu.reg[VREG_RIP] = FAKE_CODE;
		CODE("\xc6\x00\x66");
		g.ram[FAKE_CODE + 2] = (uint8_t)i;
		run_at(FAKE_DEV, true);
		CHECK_EQ(g.dev[0], i);
	}
	/* The same bytes in another mode are another instruction. */
	g.cpu.seg[VSEG_CS].attributes &= ~SEG_L;
	g.cpu.seg[VSEG_CS].attributes |= SEG_DB;
	g.cpu.reg[VREG_RIP] = FAKE_CODE;
	CODE("\xc7\x05\x00\x00\x00\xfe\x78\x56\x34\x12");
	run_at(FAKE_DEV, true);
	CHECK(!memcmp(g.dev, "\x78\x56\x34\x12", 4));
	g.cpu.resumed = 0;
	g.cpu.seg[VSEG_CS].attributes |= SEG_L;
	g.cpu.reg[VREG_RIP] = FAKE_CODE;
	run_at(FAKE_DEV, true); /* relative to RIP it is elsewhere */
	CHECK(raised(VECTOR_PF) && g.cpu.reg[VREG_CR2] == FAKE_CODE + 10 - 0x2000000);
}

static void bytes_that_are_missing_are_no_zeros(void)
{
	struct vmexit e = fake_guest_exit(FAKE_CODE, FAKE_DEV, true, true);

	boot(FAKE_LONG);
	*reg(GPR_RAX) = FAKE_DEV;
	CODE("\xc7\x00\x00\x00\x00\x00");
	deliver(e);
	CODE("\xc7\x00\x01\x02\x03\x04");
	e.n_insn = 2;
	memcpy(e.insn, "\xc7\x00", 2);
	deliver(e);
	CHECK(!memcmp(g.dev, "\x01\x02\x03\x04", 4));
}

static void code_wraps_at_4_gib(void)
{
	struct vmexit e = fake_guest_exit(0xfffffffe, FAKE_DEV, true, false);

	boot(FAKE_COMPAT32);
	*reg(GPR_RAX) = FAKE_DEV;
	e.n_insn = 2;
	memcpy(e.insn, "\xc6\x00", 2);
	g.ram[0] = 0x99;
	deliver(e);
	CHECK(g.dev[0] == 0x99 && g.cpu.reg[VREG_RIP] == 1);
}

static void code_outside_of_memory_is_undefined(void)
{
	struct vmexit e = fake_guest_exit(FAKE_DEV, FAKE_DEV, false, true);

	boot(FAKE_LONG);
	e.u.npf.fetch = true;
	deliver(e);
	CHECK(raised(VECTOR_UD) && !g.accesses && g.vm.stop.reason == STOP_NONE);
}

static void tables_and_events_outside_of_memory_end_the_guest(void)
{
	struct vmexit e = fake_guest_exit(FAKE_CODE, FAKE_DEV, false, true);

	boot(FAKE_LONG);
	e.u.npf.walk = true;
	deliver(e);
	CHECK(g.vm.stop.reason == STOP_TRIPLE_FAULT && !g.cpu.resumed);
	boot(FAKE_LONG);
	e.u.npf.walk = false;
	g.vm.vcpu.event = (struct vcpu_event){.type = VEVENT_INTR, .vector = 0x30};
	CODE("\x8b\x08");
	*reg(GPR_RAX) = FAKE_DEV;
	deliver(e);
	CHECK(g.vm.stop.reason == STOP_TRIPLE_FAULT && !g.accesses);
	/* The tables of the code, and those of the other operand. */
	boot(FAKE_LONG);
	g.cpu.reg[VREG_CR3] = 0x90000000;
	CODE("\x8b\x08");
	run_at(FAKE_DEV, false);
	CHECK_EQ(g.vm.stop.reason, STOP_TRIPLE_FAULT);
	boot(FAKE_LONG);
	fake_guest_lose_view(&g);
	CODE("\xa4");
	*reg(GPR_RSI) = FAKE_DEV;
	*reg(GPR_RDI) = FAKE_VIEW;
	run_at(FAKE_DEV, false);
	CHECK(g.vm.stop.reason == STOP_TRIPLE_FAULT && !g.accesses);
	CHECK(g.vm.vcpu.event.type == VEVENT_NONE && !g.cpu.resumed);
}

static void other_modes(void)
{
	boot(FAKE_FLAT32);
	*reg(GPR_RAX) = 0xdeadbeef00000000 | FAKE_DEV;
	*reg(GPR_RCX) = 0x55;
	CODE("\x88\x48\x01");
	run_at(FAKE_DEV + 1, true);
	CHECK(g.dev[1] == 0x55 && g.cpu.reg[VREG_RIP] == FAKE_CODE + 3);
	boot(FAKE_COMPAT32);
	*reg(GPR_RAX) = 0xdeadbeef00000000 | FAKE_DEV;
	CODE("\x88\x48\x01");
	*reg(GPR_RCX) = 0x56;
	run_at(FAKE_DEV + 1, true);
	CHECK_EQ(g.dev[1], 0x56);
	boot(FAKE_REAL);
	region_remove(&g.vm.mmio, &g.region);
	CHECK(!region_move(&g.vm.mmio, &g.region, 0xf0000, true));
	g.cpu.seg[VSEG_CS].base = FAKE_CODE;
	g.cpu.seg[VSEG_ES].base = 0xf0000;
	*reg(GPR_RBX) = 0x1000;
	*reg(GPR_RDI) = 0xffff1004;
	CODE("\x26\xc7\x41\x02\x34\x12"); /* movw $0x1234, %es:2(%bx,%di) */
	deliver(fake_guest_exit(0, 0xf2006, true, false));
	CHECK(!memcmp(g.dev + 0x2006, "\x34\x12", 2));
	CHECK_EQ(g.cpu.reg[VREG_RIP], 6);
}

static enum io_result refuse(struct fake_guest *guest, struct io_access *a)
{
	(void)guest;
	(void)a;
	return IO_FAULT;
}

static void a_device_can_raise_a_fault(void)
{
	boot(FAKE_LONG);
	g.hook = refuse;
	*reg(GPR_RAX) = FAKE_DEV;
	*reg(GPR_RCX) = 1;
	CODE("\x48\x8b\x08");
	run_at(FAKE_DEV, false);
	CHECK(raised(VECTOR_GP) && *reg(GPR_RCX) == 1);
}

static void without_memory_it_does_not_attach(void)
{
	struct arena arena;

	boot(FAKE_LONG);
	arena_init(&arena, pool, hpa(0), 64);
	g.vm.handler[VMEXIT_NPF] = NULL;
	CHECK(mmio_attach(&g.vm, &arena) && !g.vm.handler[VMEXIT_NPF]);
}

int main(void)
{
	RUN(reads_and_writes);
	RUN(takes_the_bytes_that_the_cpu_delivers);
	RUN(holes_read_as_ones_and_drop_writes);
	RUN(unknown_instructions_are_undefined);
	RUN(a_guest_cannot_flood_the_log);
	RUN(too_long_is_a_protection_fault);
	RUN(refuses_what_the_cpu_did_not_report);
	RUN(fetches_no_further_than_the_instruction);
	RUN(fetches_across_pages);
	RUN(faults_where_the_rest_is_not_mapped);
	RUN(code_that_changes_is_right);
	RUN(bytes_that_are_missing_are_no_zeros);
	RUN(code_wraps_at_4_gib);
	RUN(code_outside_of_memory_is_undefined);
	RUN(tables_and_events_outside_of_memory_end_the_guest);
	RUN(other_modes);
	RUN(a_device_can_raise_a_fault);
	RUN(without_memory_it_does_not_attach);
	return TEST_RESULT();
}
