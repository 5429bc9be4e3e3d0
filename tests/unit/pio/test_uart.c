/* pio: the serial port's filter over a small model of a real 16550. */
#include "pio/uart.h"
#include "pio/guest_port.h"
#include "fakes/fake_hw.h"
#include "test.h"

#define BASE 0x3f8u
#define IER  1u
#define IIR  2u
#define LCR  3u
#define MCR  4u
#define LSR  5u
#define MSR  6u

static struct {
	uint8_t reg[8];
	uint8_t fcr;
	bool no_fifo, absent;
	uint8_t in[8];
	unsigned in_count;
	uint8_t out[64];
	unsigned out_count;
	unsigned divisor_writes;
	uint8_t iir_cause;
} real;

static struct fake_guest g;
static struct fake_lines lines;
static struct uart uart;

static uint32_t port_read(uint16_t port, unsigned size)
{
	uint8_t v;

	(void)size;
	if (real.absent)
		return 0xff;
	switch (port - BASE) {
	case 0:
		v = real.in[0];
		if (real.in_count)
			memmove(real.in, real.in + 1, --real.in_count);
		return v;
	case IIR:
		return real.iir_cause | (real.fcr & 1 && !real.no_fifo ? 0xc0 : 0);
	case LSR:
		v = real.reg[LSR] | (real.in_count ? 1 : 0);
		real.reg[LSR] &= 0x60;
		return v;
	case MSR:
		v = real.reg[MSR];
		real.reg[MSR] &= 0xf0;
		return v;
	default:
		return real.reg[(port - BASE) & 7];
	}
}

static void port_write(uint16_t port, unsigned size, uint32_t value)
{
	unsigned reg = port - BASE;

	(void)size;
	if (reg < 2 && (real.reg[LCR] & 0x80)) {
		real.divisor_writes++;
	} else if (reg == 0) {
		if (real.out_count < sizeof(real.out))
			real.out[real.out_count++] = (uint8_t)value;
	} else if (reg == IIR) {
		real.fcr = (uint8_t)value;
		if (value & 2)
			real.in_count = 0;
	} else {
		real.reg[reg & 7] = (uint8_t)value;
	}
}

static void start(void)
{
	fake_hw_reset();
	fake_hw.port_read = port_read;
	fake_hw.port_write = port_write;
	start_guest(&g, &lines);
	uart_init(&uart, &g.vm);
	CHECK_EQ(uart.dev.ops->attach(&uart.dev, NULL), 0);
}

static void power_on(void)
{
	memset(&real, 0, sizeof(real));
	real.reg[IER] = 0x01;
	real.reg[LCR] = 0x1b;
	real.reg[MCR] = 0x03;
	real.reg[LSR] = 0x60;
	real.reg[MSR] = 0xb0;
	real.fcr = 1;
	real.iir_cause = 1;
}

static void setup(void)
{
	power_on();
	start();
	CHECK(uart.present);
}

static uint8_t in(unsigned reg)
{
	return (uint8_t)guest_in(&g, (uint16_t)(BASE + reg), 1);
}

static void out(unsigned reg, uint8_t v)
{
	guest_out(&g, (uint16_t)(BASE + reg), 1, v);
}

static void data_passes_both_ways(void)
{
	setup();
	out(0, 'a');
	out(0, 'b');
	CHECK(real.out_count == 2 && real.out[0] == 'a' && real.out[1] == 'b');
	real.in[real.in_count++] = 'x';
	CHECK_EQ(in(LSR), 0x61);
	CHECK_EQ(in(0), 'x');
	CHECK_EQ(in(LSR), 0x60);
}

static void divisor_and_format_stay_the_firmwares(void)
{
	setup();
	out(LCR, 0x83);
	out(0, 0x0c);
	out(1, 0x01);
	CHECK_EQ(in(0), 0x0c);
	CHECK_EQ(in(1), 0x01);
	CHECK_EQ(in(LCR), 0x83);
	CHECK_EQ(real.reg[LCR], 0x1b);
	out(LCR, 0x03);
	CHECK_EQ(in(1), 0x00);
	CHECK_EQ(real.divisor_writes + real.out_count, 0);
	CHECK_EQ(uart.divisor, 0x10c);
}

static void interrupts_only_when_enabled_and_gated(void)
{
	setup();
	real.in[real.in_count++] = 'x';
	uart.dev.irq_fired = true;
	uart.dev.ops->poll(&uart.dev);
	CHECK(!lines.line[4] && !uart.dev.irq_fired);
	out(IER, 0x01);
	CHECK(!lines.line[4]);
	out(MCR, 0x0b);
	CHECK(lines.line[4]);
	CHECK_EQ(in(IIR), 0x04);
	CHECK_EQ(in(0), 'x');
	CHECK(!lines.line[4]);
	CHECK_EQ(in(IIR), 0x01);
	real.in[real.in_count++] = 'y';
	uart.dev.ops->poll(&uart.dev);
	CHECK_EQ(lines.raised[4], 2);
	/* In loopback the gate is shut. */
	out(MCR, 0x1b);
	CHECK(!lines.line[4]);
}

static void transmitter_interrupt_as_the_chip_does(void)
{
	setup();
	out(MCR, 0x0b);
	out(IER, 0x02);
	CHECK(lines.line[4]); /* empty when enabled: at once */
	CHECK_EQ(in(IIR), 0x02);
	CHECK(!lines.line[4]);
	CHECK_EQ(in(IIR), 0x01);
	real.reg[LSR] = 0;
	out(0, 'a');
	CHECK(!lines.line[4]);
	real.reg[LSR] = 0x60;
	uart.dev.ops->poll(&uart.dev);
	CHECK(lines.line[4]);
	out(IER, 0x00);
	CHECK(!lines.line[4]);
	out(IER, 0x02);
	CHECK(lines.line[4]);
}

static void errors_and_modem_changes_are_not_lost(void)
{
	setup();
	out(MCR, 0x0b);
	out(IER, 0x0c);
	real.reg[LSR] = 0x62;
	real.reg[MSR] = 0xb1;
	uart.dev.ops->poll(&uart.dev);
	CHECK(lines.line[4]);
	uart.dev.ops->poll(&uart.dev);
	CHECK_EQ(in(IIR), 0x06);
	CHECK_EQ(in(LSR), 0x62);
	CHECK_EQ(in(LSR), 0x60);
	CHECK_EQ(in(IIR), 0x00);
	CHECK_EQ(in(MSR), 0xb1);
	CHECK_EQ(in(IIR), 0x01);
	CHECK(!lines.line[4]);
}

static void loopback_is_a_model(void)
{
	setup();
	out(MCR, 0x1a);
	CHECK_EQ(in(MSR)&0xf0, 0x90);
	out(MCR, 0x15);
	CHECK_EQ(in(MSR)&0xf0, 0x60);
	out(0, 'z');
	CHECK_EQ(in(0), 0);
	CHECK_EQ(real.out_count, 0);
	CHECK_EQ(real.reg[MCR], 0x03);
	out(MCR, 0);
	CHECK_EQ(real.reg[MCR], 0x03); /* no hang-up under Postern's log */
}

static void fifo_control(void)
{
	setup();
	CHECK_EQ(in(IIR), 0x01);
	out(IIR, 0x01);
	CHECK_EQ(in(IIR), 0xc1);
	real.in_count = 3;
	out(IIR, 0x07);
	CHECK_EQ(real.in_count, 0);
	CHECK_EQ(real.fcr, 0x03); /* the transmitter isn't cleared */
	out(IIR, 0x00);
	CHECK_EQ(in(IIR), 0x01);
	CHECK_EQ(real.fcr, 0x03);
}

static void real_interrupt_only_when_routed(void)
{
	setup();
	out(IER, 0x0f);
	CHECK_EQ(real.reg[IER], 0);
	uart_set_routed(&uart, true);
	CHECK_EQ(real.reg[IER], 0x0f);
	CHECK_EQ(real.reg[MCR], 0x0b);
	out(IER, 0xf1);
	CHECK_EQ(real.reg[IER], 0x01);
	CHECK_EQ(in(IER), 0x01);
	uart_set_routed(&uart, false);
	CHECK_EQ(real.reg[IER], 0);
	CHECK_EQ(real.reg[MCR], 0x03);
}

static void detach_restores_each_register(void)
{
	power_on();
	real.fcr = 0;
	real.reg[LCR] = 0x9b; /* left with the divisor latch open */
	start();
	CHECK_EQ(real.reg[LCR], 0x1b);
	CHECK_EQ(real.fcr, 1);
	uart_set_routed(&uart, true);
	out(IER, 0x0f);
	out(MCR, 0x0f);
	CHECK_EQ(uart.dev.ops->quiesce(&uart.dev), 0);
	CHECK_EQ(real.reg[IER], 0);
	real.reg[LSR] = 0; /* stuck: bounded */
	uart.dev.ops->detach(&uart.dev);
	CHECK_EQ(real.reg[IER], 0x01);
	CHECK_EQ(real.reg[LCR], 0x9b);
	CHECK_EQ(real.reg[MCR], 0x03);
	CHECK_EQ(real.fcr, 0);
	CHECK_EQ(real.divisor_writes, 0);
	CHECK_EQ(in(LSR), 0xff);
}

static void absent_port_and_chip_without_fifo(void)
{
	memset(&real, 0, sizeof(real));
	real.absent = true;
	start();
	CHECK_EQ(in(LSR), 0xff);
	out(0, 'a');
	uart.dev.ops->poll(&uart.dev);
	uart_set_routed(&uart, true);
	uart.dev.ops->detach(&uart.dev);
	CHECK_EQ(fake_hw.log_count, 2); /* the two reads that found nothing */
	power_on();
	real.no_fifo = true;
	start();
	out(IIR, 0x01);
	CHECK_EQ(in(IIR), 0x01);
}

static void any_access_has_an_answer(void)
{
	setup();
	for (unsigned reg = 0; reg < 8; reg++) {
		for (unsigned size = 1; size <= 4; size *= 2) {
			for (unsigned v = 0; v < 0x100; v++) {
				guest_out(&g, (uint16_t)(BASE + reg), size, v * 0x01010101u);
				guest_in(&g, (uint16_t)(BASE + reg), size);
			}
		}
	}
	CHECK_EQ(real.reg[LCR], 0x1b);
	CHECK_EQ(real.reg[MCR], 0x03);
	CHECK_EQ(real.reg[IER], 0);
	CHECK_EQ(real.divisor_writes, 0);
}

int main(void)
{
	RUN(data_passes_both_ways);
	RUN(divisor_and_format_stay_the_firmwares);
	RUN(interrupts_only_when_enabled_and_gated);
	RUN(transmitter_interrupt_as_the_chip_does);
	RUN(errors_and_modem_changes_are_not_lost);
	RUN(loopback_is_a_model);
	RUN(fifo_control);
	RUN(real_interrupt_only_when_routed);
	RUN(detach_restores_each_register);
	RUN(absent_port_and_chip_without_fifo);
	RUN(any_access_has_an_answer);
	return TEST_RESULT();
}
