/* pio: the keyboard controller's filter over a small model of a real one. */
#include "pio/i8042.h"
#include "pio/guest_port.h"
#include "fakes/fake_hw.h"
#include "test.h"

#define FIRMWARE_BYTE 0x65u /* translate, mouse off, system, keyboard interrupt */

/* A controller with a keyboard that acknowledges all that it gets. */
static struct {
	bool absent, busy, mute;
	uint8_t byte, pending_command;
	uint8_t out[16];
	unsigned out_count;
	bool out_is_mouse;
	unsigned forbidden; /* commands that must never arrive */
	uint8_t keyboard[16];
	unsigned keyboard_count;
} real;

static struct fake_guest g;
static struct fake_lines lines;
static struct i8042 k;

static void real_put(uint8_t v)
{
	if (real.out_count < sizeof(real.out))
		real.out[real.out_count++] = v;
}

static uint32_t port_read(uint16_t port, unsigned size)
{
	uint8_t v;

	(void)size;
	if (real.absent)
		return 0xff;
	if (port == 0x64)
		return (real.out_count && !real.mute) | (real.busy ? 2 : 0) | 0x14 |
		       (real.out_is_mouse && real.out_count ? 0x20 : 0);
	if (port != 0x60 || !real.out_count)
		return 0;
	v = real.out[0];
	memmove(real.out, real.out + 1, --real.out_count);
	return v;
}

static void port_write(uint16_t port, unsigned size, uint32_t value)
{
	(void)size;
	if (port == 0x64) {
		if (value == 0x20)
			real_put(real.byte);
		else if (value == 0x60)
			real.pending_command = 0x60;
		else
			real.forbidden++;
	} else if (real.pending_command) {
		real.byte = (uint8_t)value;
		real.pending_command = 0;
	} else {
		if (real.keyboard_count < sizeof(real.keyboard))
			real.keyboard[real.keyboard_count++] = (uint8_t)value;
		real_put(0xfa);
	}
}

static int start(void)
{
	fake_hw_reset();
	fake_hw.port_read = port_read;
	fake_hw.port_write = port_write;
	start_guest(&g, &lines);
	i8042_init(&k, &g.vm);
	return k.dev.ops->attach(&k.dev, NULL);
}

static void setup(void)
{
	memset(&real, 0, sizeof(real));
	real.byte = FIRMWARE_BYTE;
	CHECK_EQ(start(), 0);
	CHECK(k.present);
}

static uint8_t status(void)
{
	return (uint8_t)guest_in(&g, 0x64, 1);
}

static uint8_t command_answer(uint8_t command)
{
	guest_out(&g, 0x64, 1, command);
	CHECK(status() & 1);
	return (uint8_t)guest_in(&g, 0x60, 1);
}

static void controller_commands_are_answered_by_the_model(void)
{
	setup();
	CHECK_EQ(command_answer(0xaa), 0x55);
	CHECK_EQ(command_answer(0xab), 0x00);
	CHECK_EQ(command_answer(0xa9), 0x02);
	CHECK_EQ(command_answer(0xc0), 0x80);
	CHECK_EQ(command_answer(0xd0), 0x03);
	CHECK_EQ(command_answer(0x3f), 0x00);
	CHECK_EQ(command_answer(0x20), 0x64);
	CHECK(!(status() & 1));
	CHECK_EQ(real.forbidden, 0);
}

static void command_byte_is_filtered(void)
{
	setup();
	CHECK_EQ(real.byte, 0x64);
	guest_out(&g, 0x64, 1, 0x60);
	CHECK(status() & 8);
	guest_out(&g, 0x60, 1, 0xff & ~0x30);
	CHECK(!(status() & 8));
	CHECK_EQ(command_answer(0x20), 0x47);
	CHECK_EQ(real.byte, 0x65); /* the mouse stays off, system as the firmware has it */
	guest_out(&g, 0x64, 1, 0xad);
	CHECK_EQ(real.byte, 0x75);
	guest_out(&g, 0x64, 1, 0xae);
	CHECK_EQ(real.byte, 0x65);
	guest_out(&g, 0x64, 1, 0xa8);
	guest_out(&g, 0x64, 1, 0xa7);
	CHECK_EQ(real.byte, 0x65);
	CHECK_EQ(real.forbidden, 0);
}

static void keyboard_data_passes_both_ways(void)
{
	setup();
	guest_out(&g, 0x60, 1, 0xed);
	CHECK_EQ(real.keyboard[0], 0xed);
	CHECK(status() & 1);
	CHECK_EQ(guest_in(&g, 0x60, 1), 0xfa);
	real_put(0x1e);
	CHECK_EQ(guest_in(&g, 0x60, 1), 0x1e);
}

static void reset_lines_stop_the_guest_only(void)
{
	static const uint8_t pulses[] = {0xfe, 0xf0, 0xfc};

	for (size_t i = 0; i < array_size(pulses); i++) {
		setup();
		guest_out(&g, 0x64, 1, pulses[i]);
		CHECK_EQ(g.vm.stop.reason, STOP_RESET);
		CHECK_EQ(real.forbidden, 0);
	}
	setup();
	guest_out(&g, 0x64, 1, 0xff);
	guest_out(&g, 0x64, 1, 0xd1);
	guest_out(&g, 0x60, 1, 0xdf);
	CHECK_EQ(g.vm.stop.reason, STOP_NONE);
	guest_out(&g, 0x64, 1, 0xd1);
	guest_out(&g, 0x60, 1, 0xfe);
	CHECK_EQ(g.vm.stop.reason, STOP_RESET);
	CHECK_EQ(real.forbidden + real.keyboard_count, 0);
}

static void mouse_port_is_not_there(void)
{
	setup();
	guest_out(&g, 0x64, 1, 0xd4);
	guest_out(&g, 0x60, 1, 0xf2);
	CHECK_EQ(real.keyboard_count, 0);
	guest_out(&g, 0x64, 1, 0xd3);
	guest_out(&g, 0x60, 1, 0x5a);
	CHECK(!(status() & 0x20));
	CHECK_EQ(guest_in(&g, 0x60, 1), 0xa5);
	guest_out(&g, 0x64, 1, 0xd2);
	guest_out(&g, 0x60, 1, 0x42);
	CHECK_EQ(guest_in(&g, 0x60, 1), 0x42);
	real_put(0x08);
	real.out_is_mouse = true;
	CHECK(!(status() & 0x21));
	CHECK_EQ(real.out_count, 0);
}

static void interrupt_follows_the_output_buffer(void)
{
	setup();
	real_put(0x1e);
	k.dev.irq_fired = true;
	k.dev.ops->poll(&k.dev);
	CHECK(!lines.line[1] && !k.dev.irq_fired);
	guest_out(&g, 0x64, 1, 0x60);
	guest_out(&g, 0x60, 1, 0x45);
	CHECK(lines.line[1]);
	CHECK_EQ(lines.raised[1], 1);
	real_put(0x9e);
	guest_in(&g, 0x60, 1);
	CHECK(lines.line[1]);
	CHECK_EQ(lines.raised[1], 2); /* the second byte is an edge of its own */
	guest_in(&g, 0x60, 1);
	CHECK(!lines.line[1]);
	real_put(0x20);
	k.dev.ops->poll(&k.dev);
	CHECK_EQ(lines.raised[1], 3);
}

static void busy_controller_costs_bounded_time(void)
{
	setup();
	real.busy = true;
	guest_out(&g, 0x60, 1, 0xed);
	CHECK_EQ(real.keyboard_count, 0);
	CHECK_EQ(k.dev.denied, 1);
	guest_out(&g, 0x64, 1, 0xad);
	CHECK_EQ(g.cpu.reg[VREG_RIP], 0x1004);
	k.dev.ops->detach(&k.dev);
	CHECK_EQ(real.keyboard_count, 0);
}

static void detach_puts_byte_and_keyboard_back(void)
{
	setup();
	guest_out(&g, 0x64, 1, 0x60);
	guest_out(&g, 0x60, 1, 0x10);
	CHECK_EQ(real.byte, 0x34);
	CHECK_EQ(k.dev.ops->quiesce(&k.dev), 0);
	k.dev.ops->detach(&k.dev);
	CHECK_EQ(real.byte, FIRMWARE_BYTE);
	CHECK_EQ(real.keyboard_count, 0);
	CHECK_EQ(guest_in(&g, 0x60, 1), 0xff);
	setup();
	guest_out(&g, 0x60, 1, 0xf5);
	k.dev.ops->detach(&k.dev);
	CHECK_EQ(real.keyboard[1], 0xf6);
	CHECK_EQ(real.keyboard[2], 0xf4);
	CHECK_EQ(real.byte, FIRMWARE_BYTE);
	CHECK_EQ(real.out_count, 0);
}

static void absent_or_mute_controller_is_hidden(void)
{
	memset(&real, 0, sizeof(real));
	real.absent = true;
	CHECK_EQ(start(), 0);
	CHECK_EQ(status(), 0xff);
	guest_out(&g, 0x64, 1, 0xfe);
	k.dev.ops->poll(&k.dev);
	CHECK_EQ(k.dev.ops->quiesce(&k.dev), 0);
	k.dev.ops->detach(&k.dev);
	CHECK_EQ(g.vm.stop.reason, STOP_NONE);
	memset(&real, 0, sizeof(real));
	real.mute = true;
	CHECK_EQ(start(), 0);
	CHECK_EQ(status(), 0xff);
	memset(&real, 0, sizeof(real));
	real.byte = 0x88; /* can't be: reserved bits */
	CHECK_EQ(start(), 0);
	CHECK(!k.present);
}

static void all_commands_stay_in_the_model(void)
{
	setup();
	for (unsigned c = 0; c < 0x100; c++) {
		guest_out(&g, 0x64, 1, c);
		guest_out(&g, 0x64, 2, c | c << 8);
		CHECK_EQ(guest_in(&g, 0x60, 4) >> 8, 0xffffff);
	}
	CHECK_EQ(real.forbidden, 0);
	CHECK_EQ(real.keyboard_count, 0);
}

int main(void)
{
	RUN(controller_commands_are_answered_by_the_model);
	RUN(command_byte_is_filtered);
	RUN(keyboard_data_passes_both_ways);
	RUN(reset_lines_stop_the_guest_only);
	RUN(mouse_port_is_not_there);
	RUN(interrupt_follows_the_output_buffer);
	RUN(busy_controller_costs_bounded_time);
	RUN(detach_puts_byte_and_keyboard_back);
	RUN(absent_or_mute_controller_is_hidden);
	RUN(all_commands_stay_in_the_model);
	return TEST_RESULT();
}
