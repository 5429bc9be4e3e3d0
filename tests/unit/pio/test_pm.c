/* pio: ACPI's fixed hardware: the power button, its interrupt, sleep, and the time limit's press. */
#include "pio/pm.h"
#include "fakes/fake_hw.h"
#include "pio/guest_port.h"
#include "test.h"

#define PM 0x600u

static struct fake_guest g;
static struct fake_lines lines;
static struct pm pm;

static void setup(uint64_t grace)
{
	fake_hw_reset();
	start_guest(&g, &lines);
	g.vm.timer_count = 0;
	pm_init(&pm, &g.vm, PM, 9, grace);
	CHECK_EQ(pm.dev.ops->attach(&pm.dev, NULL), 0);
}

static void button_raises_a_level(void)
{
	setup(0);
	pm_press_power_button(&pm);
	CHECK(!lines.line[9]);
	CHECK_EQ(guest_in(&g, PM, 2), 0x0100);
	guest_out(&g, PM + 2, 2, 0xffff);
	CHECK_EQ(guest_in(&g, PM + 2, 2), 0x4721);
	CHECK(lines.line[9]);
	guest_out(&g, PM, 2, 0xfeff);
	CHECK(lines.line[9]);
	guest_out(&g, PM + 1, 1, 0x01);
	CHECK(!lines.line[9]);
	CHECK_EQ(guest_in(&g, PM, 4), 0x47210000);
	pm_press_power_button(&pm);
	CHECK(lines.line[9]);
	guest_out(&g, PM + 3, 1, 0);
	CHECK(!lines.line[9]);
	CHECK_EQ(guest_in(&g, PM, 4), 0x00210100);
	guest_out(&g, PM, 4, 0x00000100);
	CHECK_EQ(guest_in(&g, PM, 4), 0);
}

static void sleep_enable_powers_off(void)
{
	setup(0);
	CHECK_EQ(guest_in(&g, PM + 4, 2), 0x0001);
	guest_out(&g, PM + 4, 2, 0x1402);
	CHECK_EQ(g.vm.stop.reason, STOP_NONE);
	CHECK_EQ(guest_in(&g, PM + 4, 2), 0x1403);
	guest_out(&g, PM + 5, 1, 0x34);
	CHECK_EQ(g.vm.stop.reason, STOP_POWEROFF);
	CHECK_EQ(guest_in(&g, PM + 4, 2), 0x1403);
	/* Beyond the end is nobody. */
	CHECK_EQ(guest_in(&g, PM + 4, 4), 0xffff1403);
	CHECK_EQ(fake_hw.log_count, 0);
}

static void the_time_limit_presses_once(void)
{
	setup(100);
	CHECK_EQ(g.vm.timer_count, 1);
	g.vm.timer[0].tick(&pm, ~0ull); /* no limit */
	CHECK_EQ(pm.status, 0);
	g.vm.time_limit_tsc = 1000;
	g.vm.timer[0].tick(&pm, 899);
	CHECK_EQ(pm.status, 0);
	g.vm.timer[0].tick(&pm, 900);
	CHECK_EQ(pm.status, 0x100);
	guest_out(&g, PM, 2, 0x100);
	g.vm.timer[0].tick(&pm, 901);
	CHECK_EQ(pm.status, 0);
	setup(100);
	g.vm.time_limit_tsc = 1000;
	g.vm.timer[0].tick(&pm, 5000); /* a late tick */
	CHECK_EQ(pm.status, 0x100);
	setup(0);
	g.vm.time_limit_tsc = 1000;
	g.vm.timer[0].tick(&pm, 5000);
	CHECK_EQ(pm.status, 0);
}

static void attach_fails_where_something_is(void)
{
	struct pm second;

	setup(0);
	pm_init(&second, &g.vm, PM + 5, 9, 0);
	CHECK(second.dev.ops->attach(&second.dev, NULL) < 0);
}

int main(void)
{
	RUN(button_raises_a_level);
	RUN(sleep_enable_powers_off);
	RUN(the_time_limit_presses_once);
	RUN(attach_fails_where_something_is);
	return TEST_RESULT();
}
