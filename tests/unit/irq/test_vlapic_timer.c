/* irq: the clock of the virtual local APIC's timer, at times that the test chooses. */
#include "irq/vlapic_timer.h"
#include "core/vm.h"
#include "test.h"

#define T0	 1000000ull
#define DIVIDE_1 0xbu
#define DIVIDE_4 0x1u

static struct vlapic_timer t;

static void start(enum vlapic_timer_mode mode, uint32_t divide, uint32_t count)
{
	vlapic_timer_init(&t, 1, 1);
	vlapic_timer_set_mode(&t, mode);
	vlapic_timer_set_divide(&t, divide, T0);
	vlapic_timer_set_initial(&t, count, T0);
}

static void test_one_shot(void)
{
	start(VLAPIC_TIMER_ONE_SHOT, DIVIDE_4, 100);
	CHECK_EQ(t.due, T0 + 400);
	CHECK_EQ(vlapic_timer_count(&t, T0), 101);
	CHECK_EQ(vlapic_timer_count(&t, T0 + 200), 51);
	CHECK_EQ(vlapic_timer_count(&t, T0 + 399), 1);
	CHECK_EQ(vlapic_timer_expire(&t, T0 + 399), 0);
	CHECK_EQ(vlapic_timer_expire(&t, T0 + 10000), 1);
	CHECK_EQ(vlapic_timer_expire(&t, T0 + 20000), 0);
	CHECK_EQ(t.due, VM_NEVER);
	CHECK_EQ(vlapic_timer_count(&t, T0 + 10000), 0);
}

static void test_periodic(void)
{
	uint64_t times = 0;

	start(VLAPIC_TIMER_PERIODIC, DIVIDE_1, 7);
	for (uint64_t now = T0; now <= T0 + 700; now += 3)
		times += vlapic_timer_expire(&t, now);
	CHECK_EQ(times, 99); /* the last look is at 699 */
	CHECK_EQ(vlapic_timer_expire(&t, T0 + 7000000), 1000000 - 99);
	CHECK_EQ(t.due, T0 + 7000007);
	vlapic_timer_set_initial(&t, 0, T0);
	CHECK_EQ(t.due, VM_NEVER);
}

/* Every code of the divide register. SDM vol. 3A "Divide Configuration Register". */
static void test_divisors(void)
{
	static const struct {
		uint8_t code;
		uint64_t divisor;
	} all[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};

	for (unsigned i = 0; i < 8; i++) {
		start(VLAPIC_TIMER_ONE_SHOT, all[i].code, 1000);
		CHECK_EQ(t.due - T0, 1000 * all[i].divisor);
	}
	start(VLAPIC_TIMER_ONE_SHOT, 0xfffffff4, 1000);
	CHECK_EQ(t.divide, 0);
}

static void test_divide_on_the_way(void)
{
	start(VLAPIC_TIMER_ONE_SHOT, DIVIDE_1, 1000);
	vlapic_timer_set_divide(&t, DIVIDE_4, T0 + 501);
	CHECK_EQ(t.due, T0 + 501 + 500 * 4);
}

static void test_deadline(void)
{
	start(VLAPIC_TIMER_DEADLINE, DIVIDE_1, 5);
	CHECK_EQ(t.due, VM_NEVER);
	CHECK_EQ(t.initial, 0);
	vlapic_timer_set_deadline(&t, T0 + 50);
	CHECK_EQ(vlapic_timer_deadline(&t), T0 + 50);
	CHECK_EQ(vlapic_timer_count(&t, T0), 0);
	CHECK_EQ(vlapic_timer_expire(&t, T0 + 49), 0);
	CHECK_EQ(vlapic_timer_expire(&t, T0 + 50), 1);
	CHECK_EQ(vlapic_timer_deadline(&t), 0);
	vlapic_timer_set_deadline(&t, 1);
	CHECK_EQ(vlapic_timer_expire(&t, T0), 1);
	vlapic_timer_set_deadline(&t, T0 + 90);
	vlapic_timer_set_deadline(&t, 0);
	CHECK_EQ(t.due, VM_NEVER);
}

static void test_modes(void)
{
	start(VLAPIC_TIMER_ONE_SHOT, DIVIDE_1, 100);
	vlapic_timer_set_deadline(&t, T0 + 1);
	CHECK_EQ(t.due, T0 + 100);
	vlapic_timer_set_mode(&t, VLAPIC_TIMER_PERIODIC);
	CHECK_EQ(vlapic_timer_expire(&t, T0 + 250), 2);
	vlapic_timer_set_mode(&t, VLAPIC_TIMER_DEADLINE);
	CHECK_EQ(t.due, VM_NEVER);
	vlapic_timer_set_deadline(&t, T0 + 9);
	vlapic_timer_set_mode(&t, VLAPIC_TIMER_DEADLINE);
	CHECK_EQ(t.due, T0 + 9);
	vlapic_timer_set_mode(&t, VLAPIC_TIMER_RESERVED);
	CHECK_EQ(t.due, VM_NEVER);
	vlapic_timer_set_initial(&t, 100, T0);
	CHECK_EQ(t.due, VM_NEVER);
}

/* The largest count at the slowest pace and ratio, a crystal, and ratios that can't be. */
static void test_ratio(void)
{
	vlapic_timer_init(&t, 2, 168);
	vlapic_timer_set_divide(&t, DIVIDE_1, T0);
	vlapic_timer_set_initial(&t, 24000, T0);
	CHECK_EQ(t.due - T0, 24000ull * 84);
	CHECK_EQ(vlapic_timer_count(&t, T0 + 12000ull * 84), 12001);
	vlapic_timer_init(&t, 1, 0xffff);
	vlapic_timer_set_divide(&t, 10, T0);
	vlapic_timer_set_initial(&t, UINT32_MAX, T0);
	CHECK_EQ(t.due - T0, 0xffffffffull * 128 * 0xffff);
	vlapic_timer_init(&t, 0, 0);
	CHECK_EQ(t.ticks, 1);
	vlapic_timer_init(&t, 3, 1);
	CHECK_EQ(t.clocks, 1);
	vlapic_timer_init(&t, 1, 0x10000);
	CHECK_EQ(t.ticks, 1);
}

int main(void)
{
	RUN(test_one_shot);
	RUN(test_periodic);
	RUN(test_divisors);
	RUN(test_divide_on_the_way);
	RUN(test_deadline);
	RUN(test_modes);
	RUN(test_ratio);
	return TEST_RESULT();
}
