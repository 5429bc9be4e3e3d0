/*
 * Serial port: data and line state are the real chip's, its settings a model. State: the guest's
 * registers. On the exit path.
 *
 * The rule, by register (PC16550D data sheet, "Registers"):
 *   0  data      forwarded; with DLAB the guest's divisor, which never reaches the chip. In
 *                loopback bytes vanish
 *   1  IER       the guest's; reaches the chip only while the host takes its interrupt
 *   2  IIR       computed from the real line state, since Postern reads that state too
 *      FCR       "clear receiver" forwarded; the real FIFO stays on, the transmitter is never
 *                cleared: lines of Postern's log may be in it
 *   3  LCR       the guest's: the line keeps the firmware's format and speed
 *   4  MCR       the guest's; of the chip only OUT2, which gates its interrupt, is ever switched
 *   5  LSR       real, with the errors that Postern read in between
 *   6  MSR       likewise; in loopback computed from MCR
 *   7  scratch   the guest's
 * Detach puts IER, MCR and the FIFO back; LCR and divisor have never changed.
 */
#include "pio/uart.h"
#include "base/error.h"
#include "base/log.h"
#include "hw/port.h"
#include "hw/time.h"
#include "pio/pio.h"

#define UART_BASE	 0x3f8u
#define UART_LEN	 8u

#define REG_DATA	 0u
#define REG_IER		 1u
#define REG_IIR		 2u
#define REG_LCR		 3u
#define REG_MCR		 4u
#define REG_LSR		 5u
#define REG_MSR		 6u
#define REG_SCRATCH	 7u

#define IER_RECEIVED	 0x01u
#define IER_EMPTY	 0x02u
#define IER_ERRORS	 0x04u
#define IER_MODEM	 0x08u
#define IER_ALL		 0x0fu

#define IIR_NONE	 0x01u
#define IIR_MODEM	 0x00u
#define IIR_EMPTY	 0x02u
#define IIR_RECEIVED	 0x04u
#define IIR_ERRORS	 0x06u
#define IIR_FIFO	 0xc0u

#define FCR_ENABLE	 0x01u
#define FCR_CLEAR_RX	 0x02u
#define LCR_DLAB	 0x80u
#define MCR_OUT2	 0x08u
#define MCR_LOOP	 0x10u
#define MCR_ALL		 0x1fu
#define LSR_DATA	 0x01u
#define LSR_ERRORS	 0x1eu
#define LSR_THRE	 0x20u
#define LSR_TEMT	 0x40u
#define MSR_DELTAS	 0x0fu

#define DRAIN_TIMEOUT_US 50000u

static uint8_t real_read(unsigned reg)
{
	return (uint8_t)hw_port_read((uint16_t)(UART_BASE + reg), 1);
}

static void real_write(unsigned reg, uint8_t value)
{
	hw_port_write((uint16_t)(UART_BASE + reg), 1, value);
}

/* Reads the real line state and keeps what reading clears. */
static uint8_t sample_line(struct uart *u)
{
	uint8_t lsr = real_read(REG_LSR);

	u->line_errors |= lsr & LSR_ERRORS;
	if (u->sent && (lsr & LSR_THRE)) {
		u->sent = false;
		u->transmit_due = true;
	}
	return lsr;
}

static uint8_t sample_modem(struct uart *u)
{
	uint8_t msr = real_read(REG_MSR);

	u->modem_deltas |= msr & MSR_DELTAS;
	return msr;
}

/* The most urgent condition that the guest has enabled. */
static uint8_t pending_cause(struct uart *u)
{
	uint8_t lsr = sample_line(u);

	if ((u->ier & IER_ERRORS) && u->line_errors)
		return IIR_ERRORS;
	if ((u->ier & IER_RECEIVED) && (lsr & LSR_DATA))
		return IIR_RECEIVED;
	if ((u->ier & IER_EMPTY) && u->transmit_due)
		return IIR_EMPTY;
	if (u->ier & IER_MODEM) {
		sample_modem(u);
		if (u->modem_deltas)
			return IIR_MODEM;
	}
	return IIR_NONE;
}

static void update_line(struct uart *u)
{
	bool gated = (u->mcr & MCR_OUT2) && !(u->mcr & MCR_LOOP);
	bool high = u->ier && gated && pending_cause(u) != IIR_NONE;

	vm_set_irq(u->dev.vm, u->dev.irq, high);
}

static uint8_t read_iir(struct uart *u)
{
	uint8_t cause = pending_cause(u);

	if (cause == IIR_EMPTY)
		u->transmit_due = false;
	return cause | ((u->fcr & FCR_ENABLE) && u->real_fifo ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct uart *u)
{
	uint8_t lsr = sample_line(u) | u->line_errors;

	u->line_errors = 0;
	return lsr;
}

/* In loopback DTR, RTS, OUT1 and OUT2 come back as DSR, CTS, RI and DCD. */
static uint8_t read_msr(struct uart *u)
{
	uint8_t m = u->mcr, msr;

	if (m & MCR_LOOP)
		return (uint8_t)((m & 1) << 5 | (m & 2) << 3 | (m & 4) << 4 | (m & 8) << 4);
	msr = sample_modem(u) | u->modem_deltas;
	u->modem_deltas = 0;
	return msr;
}

static uint8_t read_register(struct uart *u, unsigned reg)
{
	switch (reg) {
	case REG_DATA:
		if (u->lcr & LCR_DLAB)
			return (uint8_t)u->divisor;
		return u->mcr & MCR_LOOP ? 0 : real_read(REG_DATA);
	case REG_IER:
		return u->lcr & LCR_DLAB ? u->divisor >> 8 : u->ier;
	case REG_IIR:
		return read_iir(u);
	case REG_LCR:
		return u->lcr;
	case REG_MCR:
		return u->mcr;
	case REG_LSR:
		return read_lsr(u);
	case REG_MSR:
		return read_msr(u);
	default:
		return u->scratch;
	}
}

static void write_data(struct uart *u, uint8_t v)
{
	if (u->lcr & LCR_DLAB) {
		u->divisor = (uint16_t)((u->divisor & 0xff00) | v);
		return;
	}
	u->transmit_due = false;
	u->sent = true;
	if (!(u->mcr & MCR_LOOP))
		real_write(REG_DATA, v);
}

/* Enabling the "empty" interrupt with an empty transmitter raises it at once. */
static void write_ier(struct uart *u, uint8_t v)
{
	uint8_t before = u->ier;

	if (u->lcr & LCR_DLAB) {
		u->divisor = (uint16_t)((u->divisor & 0xff) | v << 8);
		return;
	}
	u->ier = v & IER_ALL;
	if ((u->ier & ~before & IER_EMPTY) && (sample_line(u) & LSR_THRE))
		u->transmit_due = true;
	if (u->routed && u->ier != before)
		real_write(REG_IER, u->ier);
}

static void write_fcr(struct uart *u, uint8_t v)
{
	u->fcr = v;
	if (!(v & FCR_CLEAR_RX))
		return;
	u->line_errors = 0;
	if (u->real_fifo)
		real_write(REG_IIR, FCR_ENABLE | FCR_CLEAR_RX);
}

static void write_register(struct uart *u, unsigned reg, uint8_t v)
{
	switch (reg) {
	case REG_DATA:
		write_data(u, v);
		break;
	case REG_IER:
		write_ier(u, v);
		break;
	case REG_IIR:
		write_fcr(u, v);
		break;
	case REG_LCR:
		u->lcr = v;
		break;
	case REG_MCR:
		u->mcr = v & MCR_ALL;
		break;
	case REG_SCRATCH:
		u->scratch = v;
		break;
	default:
		break;
	}
}

static enum io_result uart_access(struct device *dev, struct io_access *a)
{
	struct uart *u = dev->state;

	if (a->size != 1 || a->offset >= UART_LEN || !u->present)
		return IO_REJECT;
	if (a->write)
		write_register(u, (unsigned)a->offset, (uint8_t)a->value);
	else
		a->value = read_register(u, (unsigned)a->offset);
	update_line(u);
	return IO_DONE;
}

static bool transmitter_is_empty(void *arg)
{
	(void)arg;
	return real_read(REG_LSR) & LSR_TEMT;
}

/* What the firmware left in the transmitter goes out, or is lost if the line is stuck. */
static void real_drain(void)
{
	if (hw_poll(transmitter_is_empty, NULL, DRAIN_TIMEOUT_US))
		log_line("uart: the transmitter doesn't get empty");
}

static bool real_fifo_is_on(void)
{
	return (real_read(REG_IIR) & IIR_FIFO) == IIR_FIFO;
}

/* The guest's loader expects 115200 baud, 8 bits, no parity, whatever the line really runs at. */
static void set_power_on_state(struct uart *u)
{
	u->divisor = 1;
	u->lcr = 0x03;
	u->ier = u->mcr = u->fcr = u->scratch = 0;
	u->line_errors = u->modem_deltas = 0;
	u->sent = u->transmit_due = false;
}

/* A machine without the port shows all ones to the guest. */
static int uart_attach(struct device *dev, struct arena *arena)
{
	struct uart *u = dev->state;
	int r;

	(void)arena;
	u->region = (struct region){.base = UART_BASE,
		.len = UART_LEN,
		.hw = UART_BASE,
		.dev = dev,
		.handler = uart_access,
		.name = "uart",
		.byte_wide = true};
	r = region_add(&dev->vm->pio, &u->region);
	if (r)
		return r;
	set_power_on_state(u);
	if (real_read(REG_LSR) == 0xff && real_read(REG_LCR) == 0xff) {
		log_line("uart: no serial port at 3f8");
		return 0;
	}
	u->saved_lcr = real_read(REG_LCR);
	if (u->saved_lcr & LCR_DLAB)
		real_write(REG_LCR, u->saved_lcr & (uint8_t)~LCR_DLAB);
	u->saved_ier = real_read(REG_IER);
	u->saved_mcr = real_read(REG_MCR);
	u->saved_fifo = real_fifo_is_on();
	real_write(REG_IER, 0);
	if (!u->saved_fifo) {
		real_drain();
		real_write(REG_IIR, FCR_ENABLE);
	}
	u->real_fifo = real_fifo_is_on();
	u->present = true;
	return 0;
}

void uart_set_routed(struct uart *u, bool routed)
{
	if (!u->present)
		return;
	u->routed = routed;
	real_write(REG_MCR, routed ? u->saved_mcr | MCR_OUT2 : u->saved_mcr);
	real_write(REG_IER, routed ? u->ier : 0);
}

static int uart_quiesce(struct device *dev)
{
	uart_set_routed(dev->state, false);
	return 0;
}

static void uart_detach(struct device *dev)
{
	struct uart *u = dev->state;

	if (!u->present)
		return;
	u->present = false;
	real_drain();
	if (!u->saved_fifo)
		real_write(REG_IIR, 0);
	real_write(REG_MCR, u->saved_mcr);
	real_write(REG_IER, u->saved_ier);
	real_write(REG_LCR, u->saved_lcr); /* last: its DLAB would hide IER */
}

/* Reading the real IIR lets go of the chip's "empty" interrupt, so that the next one is an edge. */
static void uart_poll(struct device *dev)
{
	struct uart *u = dev->state;

	dev->irq_fired = false;
	if (!u->present || !u->ier)
		return;
	if (u->routed)
		(void)real_read(REG_IIR);
	update_line(u);
}

static const struct device_ops uart_ops = {.name = "uart",
	.attach = uart_attach,
	.quiesce = uart_quiesce,
	.detach = uart_detach,
	.poll = uart_poll};

void uart_init(struct uart *u, struct vm *vm)
{
	*u = (struct uart){0};
	pio_init_device(&u->dev, &uart_ops, vm, u, 4);
}
