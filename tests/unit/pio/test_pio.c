/* pio: single IN and OUT: widths, merging, splitting, nobody, #GP. */
#include "pio/guest_port.h"
#include "fakes/fake_hw.h"
#include "test.h"

static struct fake_guest g;
static struct fake_lines lines;
static struct device dev;
static struct region wide, narrow;
static struct io_access seen[16];
static unsigned seen_count;
static enum io_result answer;

static enum io_result handler(struct device *d, struct io_access *a)
{
	(void)d;
	if (seen_count < array_size(seen))
		seen[seen_count++] = *a;
	if (!a->write)
		a->value = 0x8877665544332211ull >> (a->offset * 8);
	return answer;
}

static void setup(void)
{
	fake_hw_reset();
	start_guest(&g, &lines);
	wide = (struct region){.base = 0x200,
		.len = 8,
		.hw = 0x200,
		.dev = &dev,
		.handler = handler,
		.name = "wide"};
	narrow = (struct region){.base = 0x300,
		.len = 4,
		.hw = 0x1300,
		.dev = &dev,
		.handler = handler,
		.name = "narrow",
		.byte_wide = true};
	CHECK(!region_add(&g.vm.pio, &wide) && !region_add(&g.vm.pio, &narrow));
	seen_count = 0;
	answer = IO_DONE;
}

static void results_merge_into_rax(void)
{
	struct vcpu *v = &g.vm.vcpu;

	setup();
	v->gpr[GPR_RAX] = 0xaaaaaaaaaaaaaaaa;
	guest_exit(&g, 0x200, 1, true);
	CHECK_EQ(v->gpr[GPR_RAX], 0xaaaaaaaaaaaaaa11);
	guest_exit(&g, 0x201, 2, true);
	CHECK_EQ(v->gpr[GPR_RAX], 0xaaaaaaaaaaaa3322);
	guest_exit(&g, 0x202, 4, true);
	CHECK_EQ(v->gpr[GPR_RAX], 0x66554433);
	CHECK_EQ(g.cpu.reg[VREG_RIP], 0x1006);
	CHECK_EQ(seen_count, 3);
}

static void writes_carry_their_size_only(void)
{
	setup();
	guest_out(&g, 0x204, 1, 0xdeadbeef);
	guest_out(&g, 0x204, 2, 0xdeadbeef);
	guest_out(&g, 0x204, 4, 0xdeadbeef);
	CHECK_EQ(seen[0].value, 0xef);
	CHECK_EQ(seen[1].value, 0xbeef);
	CHECK_EQ(seen[2].value, 0xdeadbeef);
	CHECK(seen[2].write && seen[2].offset == 4 && seen[2].size == 4);
	CHECK_EQ(g.vm.vcpu.gpr[GPR_RAX], 0xdeadbeef);
}

static void nobody_reads_all_ones_and_is_counted(void)
{
	setup();
	CHECK_EQ(guest_in(&g, 0x500, 1), 0xff);
	CHECK_EQ(guest_in(&g, 0x500, 2), 0xffff);
	CHECK_EQ(guest_in(&g, 0x500, 4), 0xffffffff);
	guest_out(&g, 0x500, 4, 1);
	CHECK_EQ(g.vm.unclaimed_pio, 4);
	CHECK_EQ(fake_hw.log_count, 0);
}

static void wide_access_splits_at_the_end_of_a_region(void)
{
	setup();
	CHECK_EQ(guest_in(&g, 0x206, 4), 0xffff8877);
	CHECK_EQ(seen_count, 2);
	CHECK(seen[0].size == 1 && seen[0].offset == 6 && seen[1].offset == 7);
	CHECK_EQ(g.vm.unclaimed_pio, 2);
	seen_count = 0;
	guest_out(&g, 0x207, 2, 0x1234);
	CHECK_EQ(seen_count, 1);
	CHECK_EQ(seen[0].value, 0x34);
}

static void wide_access_before_a_region_reaches_it(void)
{
	setup();
	CHECK_EQ(guest_in(&g, 0x1ff, 2), 0x11ff);
	CHECK_EQ(guest_in(&g, 0x1fd, 4), 0x11ffffff);
	CHECK_EQ(seen_count, 2);
}

static void byte_wide_device_sees_bytes_in_order(void)
{
	setup();
	guest_out(&g, 0x300, 4, 0x04030201);
	CHECK_EQ(seen_count, 4);
	for (unsigned i = 0; i < 4; i++)
		CHECK(seen[i].size == 1 && seen[i].offset == i && seen[i].value == i + 1);
	CHECK_EQ(guest_in(&g, 0x300, 4), 0x44332211);
	CHECK_EQ(guest_in(&g, 0x302, 4), 0xffff4433);
}

static void last_port_does_not_wrap(void)
{
	struct region zero = {.base = 0, .len = 1, .dev = &dev, .handler = handler};

	setup();
	CHECK(!region_add(&g.vm.pio, &zero));
	CHECK_EQ(guest_in(&g, 0xffff, 4), 0xffffffff);
	CHECK_EQ(seen_count, 0);
}

static void pass_goes_to_the_real_port(void)
{
	setup();
	answer = IO_PASS;
	guest_out(&g, 0x301, 2, 0xbbaa);
	CHECK_EQ(fake_hw.log_count, 2);
	CHECK(fake_hw.log[0].at == 0x1301 && fake_hw.log[0].value == 0xaa);
	CHECK(fake_hw.log[1].at == 0x1302 && fake_hw.log[1].value == 0xbb);
}

static void fault_raises_gp_once_and_keeps_rip(void)
{
	setup();
	answer = IO_FAULT;
	CHECK_EQ(guest_in(&g, 0x200, 4), 0);
	CHECK_EQ(g.cpu.reg[VREG_RIP], 0x1000);
	CHECK(g.vm.vcpu.event.type == VEVENT_EXCEPTION);
	CHECK_EQ(g.vm.vcpu.event.vector, VECTOR_GP);
	CHECK(g.vm.vcpu.event.has_error && g.vm.vcpu.event.error == 0);
}

static void fault_in_a_split_access_ends_it(void)
{
	setup();
	answer = IO_FAULT;
	guest_out(&g, 0x300, 4, 1);
	CHECK_EQ(seen_count, 1);
	CHECK_EQ(g.vm.vcpu.event.vector, VECTOR_GP); /* once: two would be #DF */
	CHECK_EQ(g.cpu.reg[VREG_RIP], 0x1000);
}

static void rejected_write_goes_nowhere(void)
{
	setup();
	answer = IO_REJECT;
	guest_out(&g, 0x200, 4, 7);
	CHECK_EQ(guest_in(&g, 0x200, 2), 0xffff);
	CHECK_EQ(fake_hw.log_count, 0);
	CHECK_EQ(g.cpu.reg[VREG_RIP], 0x1004);
}

int main(void)
{
	RUN(results_merge_into_rax);
	RUN(writes_carry_their_size_only);
	RUN(nobody_reads_all_ones_and_is_counted);
	RUN(wide_access_splits_at_the_end_of_a_region);
	RUN(wide_access_before_a_region_reaches_it);
	RUN(byte_wide_device_sees_bytes_in_order);
	RUN(last_port_does_not_wrap);
	RUN(pass_goes_to_the_real_port);
	RUN(fault_raises_gp_once_and_keeps_rip);
	RUN(fault_in_a_split_access_ends_it);
	RUN(rejected_write_goes_nowhere);
	return TEST_RESULT();
}
