/* pio: reset ports: they stop the guest and never reach the hardware. */
#include "pio/reset.h"
#include "pio/guest_port.h"
#include "fakes/fake_hw.h"
#include "test.h"

static struct fake_guest g;
static struct fake_lines lines;
static struct reset_ports ports;

static void setup(void)
{
	fake_hw_reset();
	start_guest(&g, &lines);
	reset_ports_init(&ports, &g.vm);
	CHECK_EQ(ports.dev.ops->attach(&ports.dev, NULL), 0);
}

static void fast_reset_is_an_edge(void)
{
	setup();
	CHECK_EQ(guest_in(&g, 0x92, 1), 0x02);
	guest_out(&g, 0x92, 1, 0xfe);
	CHECK_EQ(g.vm.stop.reason, STOP_NONE);
	CHECK_EQ(guest_in(&g, 0x92, 1), 0xfe);
	guest_out(&g, 0x92, 1, 0x01);
	CHECK_EQ(g.vm.stop.reason, STOP_RESET);
	CHECK_EQ(guest_in(&g, 0x92, 1), 0x03);
}

static void write_word(const char *word)
{
	for (; *word; word++)
		guest_out(&g, 0x8900, 1, (uint8_t)*word);
}

static void bochs_word(void)
{
	setup();
	write_word("shutdown Shutdow");
	write_word("n");
	CHECK_EQ(g.vm.stop.reason, STOP_POWEROFF);
	setup();
	write_word("Shutdo!SShutdow");
	CHECK_EQ(g.vm.stop.reason, STOP_NONE);
	guest_out(&g, 0x8900, 1, 'n');
	CHECK_EQ(g.vm.stop.reason, STOP_POWEROFF);
}

static void nothing_reaches_the_hardware(void)
{
	static const uint16_t all[] = {0x80, 0x92, 0xb2, 0xb3, 0x8900};

	setup();
	for (size_t i = 0; i < array_size(all); i++) {
		for (unsigned v = 0; v < 256; v++)
			guest_out(&g, all[i], 1, v);
		for (unsigned size = 1; size <= 4; size *= 2)
			guest_in(&g, all[i], size);
	}
	CHECK_EQ(guest_in(&g, 0xb2, 2), 0xffff);
	CHECK_EQ(guest_in(&g, 0x80, 1), 0);
	CHECK_EQ(fake_hw.log_count, 0);
	CHECK_EQ(ports.dev.denied, 512);
}

static void attach_fails_where_something_is(void)
{
	struct reset_ports second;

	setup();
	reset_ports_init(&second, &g.vm);
	CHECK(second.dev.ops->attach(&second.dev, NULL) < 0);
}

int main(void)
{
	RUN(fast_reset_is_an_edge);
	RUN(bochs_word);
	RUN(nothing_reaches_the_hardware);
	RUN(attach_fails_where_something_is);
	return TEST_RESULT();
}
