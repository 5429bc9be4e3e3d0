/* irq: the virtual 8254, on a clock that the test moves. */
#include "irq/vpit.h"
#include "irq/vpic.h"
#include "fakes/fake_hw.h"
#include "fakes/fake_lines.h"
#include "hw/time.h"
#include "test.h"

#define KHZ 2400000u

static struct vm vm;
static struct fake_lines lines;
static struct vpit pit;

static enum io_result access_port(uint16_t port, struct io_access *a)
{
	struct region *r = region_find(&vm.pio, port);

	a->offset = port - r->base;
	return r->handler(r->dev, a);
}

static void out(uint16_t port, uint8_t value)
{
	struct io_access a = {.size = 1, .write = true, .value = value};

	CHECK_EQ(access_port(port, &a), IO_DONE);
}

static uint8_t in(uint16_t port)
{
	struct io_access a = {.size = 1};

	CHECK_EQ(access_port(port, &a), IO_DONE);
	return (uint8_t)a.value;
}

static void setup(void)
{
	fake_hw_reset();
	hw_time_init(KHZ);
	fake_hw.tsc_step = 0;
	fake_hw.tsc = 1ull << 50;
	memset(&vm, 0, sizeof(vm));
	fake_lines_init(&lines, &vm);
	CHECK_EQ(vpit_attach(&pit, &vm), 0);
}

/* To n input clocks and a half after the time at. */
static void go_to(uint64_t at, uint64_t n)
{
	fake_hw.tsc = at + (2 * n + 1) * (KHZ * 1000ull) / (2ull * VPIT_HZ);
}

static void tick(void)
{
	vm.timer[0].tick(vm.timer[0].arg, fake_hw.tsc);
}

static void program(unsigned channel, unsigned mode, unsigned count)
{
	out(0x43, (uint8_t)(channel << 6 | 0x30 | mode << 1));
	out((uint16_t)(0x40 + channel), (uint8_t)count);
	out((uint16_t)(0x40 + channel), (uint8_t)(count >> 8));
}

static unsigned read16(unsigned channel)
{
	unsigned low = in((uint16_t)(0x40 + channel));

	return low | (unsigned)in((uint16_t)(0x40 + channel)) << 8;
}

static void periodic_interrupts(void)
{
	uint64_t t0;

	for (unsigned mode = 2; mode <= 3; mode++) {
		setup();
		program(0, mode, 1193);
		t0 = fake_hw.tsc;
		go_to(t0, 1191);
		tick();
		CHECK_EQ(lines.raised[0], 0);
		for (unsigned i = 1; i <= 50; i++) {
			go_to(t0, i * 1193ull);
			tick();
			tick();
			CHECK_EQ(lines.raised[0], i);
		}
		CHECK_EQ(pit.backlog + pit.lost, 0);
	}
}

static void modes_6_and_7_are_2_and_3(void)
{
	setup();
	program(0, 6, 100);
	CHECK_EQ(pit.channel[0].mode, 2);
	program(0, 7, 100);
	CHECK_EQ(pit.channel[0].mode, 3);
}

static void missed_periods_come_one_by_one(void)
{
	uint64_t t0;

	setup();
	program(0, 2, 1193);
	t0 = fake_hw.tsc;
	go_to(t0, 4 * 1193);
	tick();
	CHECK_EQ(lines.raised[0], 1);
	CHECK_EQ(pit.backlog, 3);
	for (unsigned i = 2; i < 10; i++) {
		vpit_acknowledged(&pit, 0);
		CHECK_EQ(lines.raised[0], i <= 4 ? i : 4);
	}
	vpit_acknowledged(&pit, 1);
	CHECK_EQ(lines.raised[0], 4);
}

static void a_long_absence_does_not_flood(void)
{
	uint64_t t0;

	setup();
	program(0, 2, 1);
	t0 = fake_hw.tsc;
	go_to(t0, 1000000);
	tick();
	CHECK_EQ(lines.raised[0], 1);
	CHECK_EQ(pit.backlog, VPIT_BACKLOG_MAX);
	CHECK_EQ(pit.lost, 1000000 - 1 - VPIT_BACKLOG_MAX);
	go_to(t0, 2000000);
	tick();
	CHECK_EQ(pit.backlog, VPIT_BACKLOG_MAX);
	/* A new count forgets them. */
	program(0, 2, 50000);
	CHECK_EQ(pit.backlog, 0);
}

static void one_shot_fires_once(void)
{
	static const unsigned modes[] = {0, 4};

	for (size_t i = 0; i < array_size(modes); i++) {
		uint64_t t0;

		setup();
		program(0, modes[i], 5000);
		t0 = fake_hw.tsc;
		go_to(t0, 4998);
		tick();
		CHECK_EQ(lines.raised[0], 0);
		go_to(t0, 5000);
		tick();
		CHECK_EQ(lines.raised[0], 1);
		go_to(t0, 500000);
		tick();
		CHECK_EQ(lines.raised[0], 1);
		/* A new count arms it again, without a mode word. */
		out(0x40, 100);
		out(0x40, 0);
		t0 = fake_hw.tsc;
		tick();
		CHECK_EQ(lines.raised[0], 1);
		go_to(t0, 100);
		in(0x40); /* found by a read, too */
		CHECK_EQ(lines.raised[0], 2);
	}
}

static void channel_0_never_fires_without_a_trigger(void)
{
	setup();
	program(0, 1, 10);
	fake_hw.tsc += KHZ * 1000ull;
	tick();
	CHECK_EQ(lines.raised[0], 0);
	CHECK_EQ(vpit_next_deadline(&pit), ~0ull);
}

static void deadlines(void)
{
	uint64_t t0, due;

	setup();
	CHECK_EQ(vpit_next_deadline(&pit), ~0ull);
	program(0, 2, 11932);
	t0 = fake_hw.tsc;
	for (unsigned i = 1; i < 5; i++) {
		due = vpit_next_deadline(&pit);
		CHECK(due > fake_hw.tsc && due - t0 < (i * 10 + 1) * (uint64_t)KHZ);
		fake_hw.tsc = due - 5000;
		tick();
		CHECK_EQ(lines.raised[0], i - 1);
		fake_hw.tsc = due;
		tick();
		CHECK_EQ(lines.raised[0], i);
	}
	program(0, 0, 0);
	fake_hw.tsc = vpit_next_deadline(&pit);
	tick();
	CHECK_EQ(vpit_next_deadline(&pit), ~0ull);
}

static void counts_go_down(void)
{
	uint64_t t0;

	setup();
	program(2, 0, 0xffff);
	out(0x61, 0x01);
	t0 = fake_hw.tsc;
	go_to(t0, 0);
	CHECK_EQ(read16(2), 0xffff);
	go_to(t0, 0x1234);
	CHECK_EQ(read16(2), 0xffff - 0x1234);
	go_to(t0, 0x10005);
	CHECK_EQ(read16(2), 0xfffa); /* goes round */
	program(0, 2, 1000);
	t0 = fake_hw.tsc;
	go_to(t0, 1003);
	CHECK_EQ(read16(0), 997);
	program(0, 3, 1000);
	t0 = fake_hw.tsc;
	go_to(t0, 1);
	CHECK_EQ(read16(0), 998);
	program(0, 2, 0);
	t0 = fake_hw.tsc;
	go_to(t0, 65535);
	CHECK_EQ(read16(0), 1);
}

static void byte_access_modes(void)
{
	uint64_t t0;

	setup();
	out(0x43, 0x14); /* channel 0, low byte, mode 2 */
	out(0x40, 200);
	t0 = fake_hw.tsc;
	go_to(t0, 50);
	CHECK_EQ(in(0x40), 150);
	CHECK_EQ(in(0x40), 150);
	out(0x43, 0x24); /* high byte */
	out(0x40, 2);
	CHECK_EQ(pit.channel[0].reload, 0x200);
	CHECK_EQ(in(0x40), 2);
}

static void latched_count_stands_still(void)
{
	uint64_t t0;

	setup();
	program(0, 2, 0x8000);
	t0 = fake_hw.tsc;
	go_to(t0, 0x100);
	out(0x43, 0x00);
	go_to(t0, 0x200);
	out(0x43, 0x00); /* ignored until it is read */
	CHECK_EQ(read16(0), 0x7f00);
	CHECK_EQ(read16(0), 0x7e00);
}

static void read_back_of_status_and_count(void)
{
	uint64_t t0;

	setup();
	program(0, 2, 0x8000);
	out(0x43, 0xb1); /* channel 2: loaded later, mode 0, BCD asked */
	t0 = fake_hw.tsc;
	go_to(t0, 0x10);
	out(0x43, 0xca); /* status and count of channels 0 and 2 */
	go_to(t0, 0x1000);
	CHECK_EQ(in(0x40), 0xb4);
	CHECK_EQ(read16(0), 0x7ff0);
	CHECK_EQ(in(0x42), 0x71); /* output low, no count yet */
	out(0x43, 0xe2);	  /* status only */
	CHECK_EQ(in(0x40), 0xb4);
	CHECK_EQ(read16(0), 0x7000);
}

static void output_of_channel_2_in_port_61(void)
{
	uint64_t t0;

	setup();
	out(0x61, 0xfd);
	CHECK_EQ(in(0x61) & 0xef, 0x2d); /* bits 3:0 read back; the idle output is high */
	program(2, 0, 1000);
	t0 = fake_hw.tsc;
	CHECK(!(in(0x61) & 0x20));
	go_to(t0, 999);
	CHECK(!(in(0x61) & 0x20));
	go_to(t0, 1000);
	CHECK(in(0x61) & 0x20);
	out(0x43, 0xb0);
	CHECK(!(in(0x61) & 0x20));
	out(0x42, 1);
	go_to(t0, 100000);
	CHECK(!(in(0x61) & 0x20)); /* half a count */
}

static void gate_pauses_and_triggers(void)
{
	uint64_t t0;

	setup();
	program(2, 0, 1000);
	t0 = fake_hw.tsc;
	go_to(t0, 500);
	CHECK_EQ(read16(2), 1000); /* gate low */
	out(0x61, 1);
	t0 = fake_hw.tsc;
	go_to(t0, 400);
	out(0x61, 0);
	fake_hw.tsc += KHZ * 1000ull;
	CHECK_EQ(read16(2), 600);
	out(0x61, 1);
	t0 = fake_hw.tsc;
	go_to(t0, 100);
	CHECK_EQ(read16(2), 500);
	/* One-shot: starts with the edge, and again with the next. */
	out(0x61, 0);
	program(2, 1, 50);
	CHECK(in(0x61) & 0x20);
	out(0x61, 1);
	CHECK(!(in(0x61) & 0x20));
	t0 = fake_hw.tsc;
	go_to(t0, 50);
	CHECK(in(0x61) & 0x20);
	out(0x61, 0);
	out(0x61, 1);
	CHECK(!(in(0x61) & 0x20));
	/* Square wave: high without gate, then half and half. */
	program(2, 3, 100);
	t0 = fake_hw.tsc;
	go_to(t0, 49);
	CHECK(in(0x61) & 0x20);
	go_to(t0, 50);
	CHECK(!(in(0x61) & 0x20));
	out(0x61, 0);
	CHECK(in(0x61) & 0x20);
	/* Strobe: low for one clock. */
	program(2, 4, 10);
	out(0x61, 1);
	t0 = fake_hw.tsc;
	go_to(t0, 9);
	CHECK(in(0x61) & 0x20);
	go_to(t0, 10);
	CHECK(!(in(0x61) & 0x20));
	go_to(t0, 11);
	CHECK(in(0x61) & 0x20);
}

static void refresh_bit_toggles(void)
{
	unsigned changes = 0;
	uint8_t last;

	setup();
	last = in(0x61) & 0x10;
	for (unsigned i = 0; i < 100; i++) {
		fake_hw.tsc += KHZ / 100; /* 10 us */
		changes += (in(0x61) & 0x10) != last;
		last = in(0x61) & 0x10;
	}
	CHECK(changes > 50 && changes < 80);
}

/* As Linux measures the TSC when nobody tells it: 50 ms on channel 2. */
static void calibration_loop(void)
{
	uint64_t t0;
	unsigned count = VPIT_HZ / 20, loops = 0;

	setup();
	out(0x61, 0x01);
	program(2, 0, count);
	t0 = fake_hw.tsc;
	fake_hw.tsc_step = 2400;
	while (!(in(0x61) & 0x20) && loops < 200000)
		loops++;
	CHECK((fake_hw.tsc - t0) / 50 > KHZ - KHZ / 1000);
	CHECK((fake_hw.tsc - t0) / 50 < KHZ + KHZ / 1000);
}

static void drives_a_real_model_of_the_pic(void)
{
	struct vpic pic;
	unsigned taken = 0;
	uint64_t t0;

	setup();
	CHECK_EQ(vpic_attach(&pic, &vm), 0);
	pic.acknowledged = vpit_acknowledged;
	pic.acknowledged_arg = &pit;
	out(0x21, 0xfe);
	program(0, 2, 4772); /* 4 ms */
	t0 = fake_hw.tsc;
	for (unsigned ms = 10; ms <= 1000; ms += 10) {
		fake_hw.tsc = t0 + (uint64_t)ms * KHZ;
		tick();
		while (vm.irqchip->pending(&pic)) {
			CHECK_EQ(vm.irqchip->acknowledge(&pic), 0x08);
			out(0x20, 0x60);
			taken++;
		}
	}
	CHECK(taken == 250 || taken == 249);
}

static void random_writes(void)
{
	uint32_t seed = 1;

	setup();
	fake_hw.tsc_step = 777;
	for (unsigned i = 0; i < 200000; i++) {
		uint16_t port;

		seed = seed * 1664525u + 1013904223u;
		port = (seed >> 24) % 5 == 4 ? 0x61 : (uint16_t)(0x40 + (seed >> 24) % 5);
		if (seed & 0x10000)
			out(port, (uint8_t)(seed >> 8));
		else if (port != 0x43)
			in(port);
		if (!(seed & 0x3f00))
			fake_hw.tsc += (uint64_t)seed << 8;
		tick();
		vpit_acknowledged(&pit, 0);
		CHECK(pit.backlog <= VPIT_BACKLOG_MAX);
		vpit_next_deadline(&pit);
	}
}

static void odd_accesses_are_rejected(void)
{
	struct io_access a = {.size = 2};

	setup();
	CHECK_EQ(access_port(0x40, &a), IO_REJECT);
	CHECK_EQ(access_port(0x61, &a), IO_REJECT);
	a.size = 1;
	CHECK_EQ(access_port(0x43, &a), IO_REJECT);
	fake_hw.tsc = 5; /* a clock that went back */
	tick();
	CHECK_EQ(lines.raised[0], 0);
}

static void attach_fails_where_something_is(void)
{
	struct vpit second;

	setup();
	CHECK(vpit_attach(&second, &vm) < 0);
}

int main(void)
{
	RUN(periodic_interrupts);
	RUN(modes_6_and_7_are_2_and_3);
	RUN(missed_periods_come_one_by_one);
	RUN(a_long_absence_does_not_flood);
	RUN(one_shot_fires_once);
	RUN(channel_0_never_fires_without_a_trigger);
	RUN(deadlines);
	RUN(counts_go_down);
	RUN(byte_access_modes);
	RUN(latched_count_stands_still);
	RUN(read_back_of_status_and_count);
	RUN(output_of_channel_2_in_port_61);
	RUN(gate_pauses_and_triggers);
	RUN(refresh_bit_toggles);
	RUN(calibration_loop);
	RUN(drives_a_real_model_of_the_pic);
	RUN(random_writes);
	RUN(odd_accesses_are_rejected);
	RUN(attach_fails_where_something_is);
	return TEST_RESULT();
}
