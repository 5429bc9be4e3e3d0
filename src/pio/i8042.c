/*
 * Keyboard controller. State: what the guest believes of the controller. On the exit path.
 *
 * The rule: keyboard data and the status pass, the controller itself is a model.
 *   60h read   the model's answer if one waits, else the real data; bytes of a mouse are dropped
 *   60h write  for the keyboard: to the real one, once its input buffer is free (bounded, then
 *              dropped); for a command's operand: to the model
 *   64h read   the real status, with the model's answer and the guest's own bits in it
 *   64h write  20h, 60h: command byte of the guest. Interrupt enable, lock and translation of the
 *              keyboard reach the real one, the mouse stays off
 *              AAh, ABh: both tests pass without touching the hardware
 *              ADh, AEh: keyboard off and on, through the command byte
 *              A7h-A9h, D3h, D4h: the mouse port: there is none
 *              C0h, D0h, E0h, 21h-3Fh: fixed answers
 *              D1h, F0h-FFh: the reset line resets the guest; A20 doesn't move
 *              the rest: dropped
 * The EC's ports 62h and 66h belong to nobody. Detach puts the firmware's command byte back, and
 * the keyboard's defaults if the guest has spoken to it.
 *
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
 * Controller".
 */
#include "pio/i8042.h"
#include "base/error.h"
#include "base/log.h"
#include "hw/port.h"
#include "hw/time.h"
#include "pio/pio.h"

#define DATA_PORT	   0x60u
#define COMMAND_PORT	   0x64u

#define STATUS_OUTPUT	   0x01u
#define STATUS_INPUT	   0x02u
#define STATUS_SYSTEM	   0x04u
#define STATUS_COMMAND	   0x08u
#define STATUS_MOUSE	   0x20u

#define BYTE_KEYBOARD_IRQ  0x01u
#define BYTE_MOUSE_IRQ	   0x02u
#define BYTE_SYSTEM	   0x04u
#define BYTE_KEYBOARD_OFF  0x10u
#define BYTE_MOUSE_OFF	   0x20u
#define BYTE_TRANSLATE	   0x40u
#define BYTE_ZERO	   0x88u

#define COMMAND_READ_BYTE  0x20u
#define COMMAND_WRITE_BYTE 0x60u
#define COMMAND_MOUSE_OFF  0xa7u
#define COMMAND_MOUSE_ON   0xa8u
#define COMMAND_MOUSE_TEST 0xa9u
#define COMMAND_SELF_TEST  0xaau
#define COMMAND_LINE_TEST  0xabu
#define COMMAND_OFF	   0xadu
#define COMMAND_ON	   0xaeu
#define COMMAND_READ_IN	   0xc0u
#define COMMAND_READ_OUT   0xd0u
#define COMMAND_WRITE_OUT  0xd1u
#define COMMAND_ECHO	   0xd2u
#define COMMAND_LOOP	   0xd3u
#define COMMAND_TO_MOUSE   0xd4u
#define COMMAND_READ_TEST  0xe0u
#define COMMAND_PULSE	   0xf0u /* to FFh; a clear low bit pulses that line */

#define ANSWER_SELF_TEST   0x55u
#define ANSWER_CLOCK_HIGH  0x02u /* of the mouse test: nobody there */
#define ANSWER_UNLOCKED	   0x80u
#define ANSWER_A20_RUN	   0x03u
#define OUTPUT_RUN	   0x01u /* the reset line, active low */

#define KEYBOARD_DEFAULTS  0xf6u
#define KEYBOARD_ENABLE	   0xf4u

#define INPUT_TIMEOUT_US   2000u  /* until the controller takes a byte from the guest */
#define SETUP_TIMEOUT_US   50000u /* for one step of attach and detach */
#define DRAIN_MAX	   64u

static uint8_t real_status(void)
{
	return (uint8_t)hw_port_read(COMMAND_PORT, 1);
}

static bool input_is_free(void *arg)
{
	(void)arg;
	return !(real_status() & STATUS_INPUT);
}

static bool output_is_full(void *arg)
{
	(void)arg;
	return real_status() & STATUS_OUTPUT;
}

static int real_write(uint16_t port, uint8_t value, uint64_t timeout_us)
{
	int r = hw_poll(input_is_free, NULL, timeout_us);

	if (!r)
		hw_port_write(port, 1, value);
	return r;
}

static void real_drain(void)
{
	for (unsigned i = 0; i < DRAIN_MAX && (real_status() & STATUS_OUTPUT); i++)
		(void)hw_port_read(DATA_PORT, 1);
}

static int real_read_byte(uint8_t *ret_byte)
{
	int r;

	real_drain();
	r = real_write(COMMAND_PORT, COMMAND_READ_BYTE, SETUP_TIMEOUT_US);
	if (!r)
		r = hw_poll(output_is_full, NULL, SETUP_TIMEOUT_US);
	if (!r)
		*ret_byte = (uint8_t)hw_port_read(DATA_PORT, 1);
	return r;
}

static int real_write_byte(uint8_t byte, uint64_t timeout_us)
{
	int r = real_write(COMMAND_PORT, COMMAND_WRITE_BYTE, timeout_us);

	return r ? r : real_write(DATA_PORT, byte, timeout_us);
}

/* The real command byte that goes with the guest's. */
static uint8_t allowed_byte(const struct i8042 *k)
{
	uint8_t guest = k->guest_byte & (BYTE_KEYBOARD_IRQ | BYTE_KEYBOARD_OFF | BYTE_TRANSLATE);

	return guest | BYTE_MOUSE_OFF | (k->saved_byte & BYTE_SYSTEM);
}

static void set_guest_byte(struct i8042 *k, uint8_t byte)
{
	uint8_t before = allowed_byte(k);

	k->guest_byte = byte;
	if (allowed_byte(k) != before)
		(void)real_write_byte(allowed_byte(k), INPUT_TIMEOUT_US);
}

static void give_answer(struct i8042 *k, uint8_t answer)
{
	k->answer = answer;
	k->answer_ready = true;
}

/* The status as the guest sees it. A mouse's byte that got through is dropped here. */
static uint8_t guest_status(struct i8042 *k)
{
	uint8_t status = real_status();

	if ((status & STATUS_OUTPUT) && (status & STATUS_MOUSE)) {
		(void)hw_port_read(DATA_PORT, 1);
		status &= (uint8_t)~STATUS_OUTPUT;
	}
	status &= (uint8_t) ~(STATUS_MOUSE | STATUS_COMMAND | STATUS_SYSTEM);
	if (k->answer_ready)
		status |= STATUS_OUTPUT;
	if (k->last_was_command)
		status |= STATUS_COMMAND;
	return status | (k->guest_byte & BYTE_SYSTEM ? STATUS_SYSTEM : 0);
}

static void update_line(struct i8042 *k)
{
	bool high = (k->guest_byte & BYTE_KEYBOARD_IRQ) && (guest_status(k) & STATUS_OUTPUT);

	vm_set_irq(k->dev.vm, k->dev.irq, high);
}

static uint8_t read_data(struct i8042 *k)
{
	uint8_t v = k->answer;

	if (k->answer_ready)
		k->answer_ready = false;
	else
		v = (uint8_t)hw_port_read(DATA_PORT, 1);
	/* Down first: the next byte in the buffer is a new edge. */
	vm_set_irq(k->dev.vm, k->dev.irq, false);
	return v;
}

static void write_data(struct i8042 *k, uint8_t v)
{
	enum i8042_expect expect = k->expect;

	k->expect = I8042_KEYBOARD;
	k->last_was_command = false;
	switch (expect) {
	case I8042_KEYBOARD:
		k->keyboard_used = true;
		if (real_write(DATA_PORT, v, INPUT_TIMEOUT_US))
			k->dev.denied++;
		break;
	case I8042_COMMAND_BYTE:
		set_guest_byte(k, v & (uint8_t)~BYTE_ZERO);
		break;
	case I8042_OUTPUT_PORT:
		if (!(v & OUTPUT_RUN))
			vm_request_stop(k->dev.vm, STOP_RESET);
		break;
	case I8042_ECHO:
		give_answer(k, v);
		break;
	case I8042_LOOP:
		give_answer(k, (uint8_t)~v);
		break;
	case I8042_NOBODY:
		break;
	}
}

/* Commands that only change the model or expect an operand. */
static void write_command(struct i8042 *k, uint8_t command)
{
	k->expect = I8042_KEYBOARD;
	k->last_was_command = true;
	switch (command) {
	case COMMAND_READ_BYTE:
		give_answer(k, k->guest_byte);
		break;
	case COMMAND_WRITE_BYTE:
		k->expect = I8042_COMMAND_BYTE;
		break;
	case COMMAND_MOUSE_OFF:
		k->guest_byte |= BYTE_MOUSE_OFF;
		break;
	case COMMAND_MOUSE_ON:
		k->guest_byte &= (uint8_t)~BYTE_MOUSE_OFF;
		break;
	case COMMAND_MOUSE_TEST:
		give_answer(k, ANSWER_CLOCK_HIGH);
		break;
	case COMMAND_SELF_TEST:
		give_answer(k, ANSWER_SELF_TEST);
		break;
	case COMMAND_LINE_TEST:
	case COMMAND_READ_TEST:
		give_answer(k, 0);
		break;
	case COMMAND_OFF:
		set_guest_byte(k, k->guest_byte | BYTE_KEYBOARD_OFF);
		break;
	case COMMAND_ON:
		set_guest_byte(k, k->guest_byte & (uint8_t)~BYTE_KEYBOARD_OFF);
		break;
	case COMMAND_READ_IN:
		give_answer(k, ANSWER_UNLOCKED);
		break;
	case COMMAND_READ_OUT:
		give_answer(k, ANSWER_A20_RUN);
		break;
	case COMMAND_WRITE_OUT:
		k->expect = I8042_OUTPUT_PORT;
		break;
	case COMMAND_ECHO:
		k->expect = I8042_ECHO;
		break;
	case COMMAND_LOOP:
		k->expect = I8042_LOOP;
		break;
	case COMMAND_TO_MOUSE:
		k->expect = I8042_NOBODY;
		break;
	default:
		if (command >= COMMAND_PULSE && !(command & OUTPUT_RUN))
			vm_request_stop(k->dev.vm, STOP_RESET);
		else if (command > COMMAND_READ_BYTE && command < 0x40)
			give_answer(k, 0);
		else if (command > COMMAND_WRITE_BYTE && command < 0x80)
			k->expect = I8042_NOBODY;
		break;
	}
}

static enum io_result data_access(struct device *dev, struct io_access *a)
{
	struct i8042 *k = dev->state;

	if (a->size != 1 || !k->present)
		return IO_REJECT;
	if (a->write)
		write_data(k, (uint8_t)a->value);
	else
		a->value = read_data(k);
	update_line(k);
	return IO_DONE;
}

static enum io_result command_access(struct device *dev, struct io_access *a)
{
	struct i8042 *k = dev->state;

	if (a->size != 1 || !k->present)
		return IO_REJECT;
	if (a->write) {
		write_command(k, (uint8_t)a->value);
		update_line(k);
	} else {
		a->value = guest_status(k);
	}
	return IO_DONE;
}

/*
 * The command byte as two readings agree on it: a key pressed meanwhile could pass for one of
 * them. -E_TIMEOUT, or -E_IO if they never agree.
 */
static int save_byte(struct i8042 *k)
{
	uint8_t first = 0, second = 0;
	int r = real_read_byte(&first);

	for (unsigned i = 0; !r && i < 4; i++) {
		r = real_read_byte(&second);
		if (!r && first == second && !(second & BYTE_ZERO)) {
			k->saved_byte = second;
			return 0;
		}
		first = second;
	}
	return r ? r : -E_IO;
}

/* A machine without a controller, or with one that doesn't answer, shows all ones to the guest. */
static int i8042_attach(struct device *dev, struct arena *arena)
{
	struct i8042 *k = dev->state;
	int r;

	(void)arena;
	k->data = (struct region){.base = DATA_PORT,
		.len = 1,
		.hw = DATA_PORT,
		.dev = dev,
		.handler = data_access,
		.name = "i8042 data",
		.byte_wide = true};
	k->command = k->data;
	k->command.base = k->command.hw = COMMAND_PORT;
	k->command.handler = command_access;
	k->command.name = "i8042 command";
	r = region_add(&dev->vm->pio, &k->data);
	if (!r)
		r = region_add(&dev->vm->pio, &k->command);
	if (r)
		return r;
	if (real_status() == 0xff) {
		log_line("i8042: no controller");
		return 0;
	}
	r = save_byte(k);
	k->guest_byte = (k->saved_byte | BYTE_MOUSE_OFF) &
			(uint8_t) ~(BYTE_KEYBOARD_IRQ | BYTE_MOUSE_IRQ);
	if (!r)
		r = real_write_byte(allowed_byte(k), SETUP_TIMEOUT_US);
	k->present = !r;
	if (r)
		log_line("i8042: hidden, the controller doesn't answer: %s", error_string(r));
	return 0;
}

/* No interrupts from the keyboard from here on. */
static int i8042_quiesce(struct device *dev)
{
	struct i8042 *k = dev->state;

	if (!k->present)
		return 0;
	k->guest_byte &= (uint8_t)~BYTE_KEYBOARD_IRQ;
	return real_write_byte(allowed_byte(k), SETUP_TIMEOUT_US);
}

static void send_to_keyboard(uint8_t command)
{
	if (real_write(DATA_PORT, command, SETUP_TIMEOUT_US) == 0 &&
		hw_poll(output_is_full, NULL, SETUP_TIMEOUT_US) == 0)
		real_drain();
}

static void i8042_detach(struct device *dev)
{
	struct i8042 *k = dev->state;

	if (!k->present)
		return;
	k->present = false;
	real_drain();
	if (k->keyboard_used) {
		(void)real_write_byte(
			allowed_byte(k) & (uint8_t)~BYTE_KEYBOARD_OFF, SETUP_TIMEOUT_US);
		send_to_keyboard(KEYBOARD_DEFAULTS);
		send_to_keyboard(KEYBOARD_ENABLE);
	}
	if (real_write_byte(k->saved_byte, SETUP_TIMEOUT_US))
		log_line("i8042: command byte not restored: the controller is busy");
}

static void i8042_poll(struct device *dev)
{
	struct i8042 *k = dev->state;

	dev->irq_fired = false;
	if (k->present && (k->guest_byte & BYTE_KEYBOARD_IRQ))
		update_line(k);
}

static const struct device_ops i8042_ops = {.name = "i8042",
	.attach = i8042_attach,
	.quiesce = i8042_quiesce,
	.detach = i8042_detach,
	.poll = i8042_poll};

void i8042_init(struct i8042 *k, struct vm *vm)
{
	*k = (struct i8042){0};
	pio_init_device(&k->dev, &i8042_ops, vm, k, 1);
}
