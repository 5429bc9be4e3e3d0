/*
 * Task file, device control and interrupts of one IDE channel; see ide_channel.h. State is the
 * caller's. On the exit path.
 */
#include "dma/ide_channel.h"
#include "core/vm.h"
#include "hw/port.h"

#define STATUS_IDLE  (ATA_STATUS_DRDY | ATA_STATUS_DSC)
/* A held command looks like one that the device is busy with. */
#define STATUS_HELD  (ATA_STATUS_BSY | STATUS_IDLE)
/* Reads of the alternate status that take at least the 400 ns of a device selection. */
#define SELECT_READS 4u

unsigned ide_selected(const struct ide_channel *ch)
{
	return ch->reg[IDE_DEVICE] & ATA_DEVICE_1 ? 1 : 0;
}

static struct ide_answer *selected_answer(struct ide_channel *ch)
{
	return &ch->answer[ide_selected(ch)];
}

static uint8_t real_alternate(const struct ide_channel *ch)
{
	return (uint8_t)hw_port_read(ch->control_port, 1);
}

/* ---- interrupts ---- */

/*
 * The guest's line follows the device's request and the guest's nIEN. A rising line sets the bus
 * master's interrupt bit, as its edge does in the controller.
 */
static void update_line(struct ide_channel *ch)
{
	bool line = ch->interrupt && !(ch->control & ATA_CONTROL_NIEN);

	if (line == ch->line)
		return;
	ch->line = line;
	if (line)
		ch->bm.status |= BM_STATUS_INTR;
	vm_set_irq(ch->dev->vm, ch->dev->irq + ch->index, line);
}

static void set_interrupt(struct ide_channel *ch, bool on)
{
	ch->interrupt = on;
	update_line(ch);
}

uint8_t ide_take_interrupt(struct ide_channel *ch)
{
	uint8_t status = ide_busmaster_status(ch);

	if (status & BM_STATUS_INTR) {
		ide_busmaster_clear(ch, BM_STATUS_INTR);
		set_interrupt(ch, true);
	}
	return status;
}

/* ---- the device's state ---- */

static bool is_busy(uint8_t status)
{
	return status & (ATA_STATUS_BSY | ATA_STATUS_DRQ);
}

/*
 * A look at the device without an effect on it. The work's end may show here before its interrupt
 * was taken; it is taken now, for later nobody would expect it.
 */
static uint8_t alternate_read(struct ide_channel *ch)
{
	uint8_t status = real_alternate(ch);

	if (ch->in_flight && !is_busy(status)) {
		ch->in_flight = false;
		ide_take_interrupt(ch);
	}
	return status;
}

static bool channel_busy(struct ide_channel *ch)
{
	return ch->held || (ch->in_flight && is_busy(alternate_read(ch)));
}

/*
 * Reading status ends the device's request, so the controller's bit is looked at first. An
 * interrupt that the guest was quicker than isn't raised any more.
 */
static uint8_t acknowledging_read(struct ide_channel *ch)
{
	uint8_t status;

	if (ch->in_flight && (ide_busmaster_status(ch) & BM_STATUS_INTR)) {
		ide_busmaster_clear(ch, BM_STATUS_INTR);
		if (!(ch->control & ATA_CONTROL_NIEN))
			ch->bm.status |= BM_STATUS_INTR;
	}
	set_interrupt(ch, false);
	status = (uint8_t)hw_port_read(ch->port + IDE_STATUS, 1);
	if (!is_busy(status))
		ch->in_flight = false;
	return status;
}

static uint8_t status_read(struct ide_channel *ch, bool alternate)
{
	const struct ide_answer *answer = selected_answer(ch);

	if (ch->held)
		return STATUS_HELD;
	if (!answer->valid)
		return alternate ? alternate_read(ch) : acknowledging_read(ch);
	if (!alternate)
		set_interrupt(ch, false);
	return answer->status;
}

/* ---- commands ---- */

void ide_answer_command(struct ide_channel *ch, uint8_t status, uint8_t error)
{
	*selected_answer(ch) = (struct ide_answer){true, status, error};
	set_interrupt(ch, true);
}

static void write_register(const struct ide_channel *ch, unsigned n, uint8_t value)
{
	hw_port_write((uint16_t)(ch->port + n), 1, value);
}

static void select_device(const struct ide_channel *ch)
{
	write_register(ch, IDE_DEVICE, ch->reg[IDE_DEVICE]);
	for (unsigned i = 0; i < SELECT_READS; i++)
		real_alternate(ch);
}

void ide_issue(struct ide_channel *ch, const struct ata_command *c, uint8_t opcode)
{
	select_device(ch);
	for (unsigned n = IDE_FEATURES; n <= IDE_LBA_HIGH; n++) {
		if (c->wide)
			write_register(ch, n, ch->previous[n]);
		write_register(ch, n, ch->reg[n]);
	}
	ch->in_flight = true;
	ch->pio = c->protocol == ATA_PIO_IN;
	write_register(ch, IDE_COMMAND, opcode);
	/* It addresses both devices, and leaves the first selected. */
	if (opcode == ATA_EXECUTE_DIAGNOSTIC) {
		ch->answer[0].valid = ch->answer[1].valid = false;
		ch->reg[IDE_DEVICE] = 0;
	}
}

static void refuse(struct ide_channel *ch, const struct ata_command *c, uint8_t opcode)
{
	struct ide *ide = ch->dev->state;

	ch->dev->denied++;
	log_limited(&ide->refusals, "%s: channel %u device %u: %s (command %02x) refused",
		ch->dev->name, ch->index, ide_selected(ch), c->name, opcode);
	ide_answer_command(ch, STATUS_IDLE | ATA_STATUS_ERR, ATA_ERROR_ABRT);
}

/*
 * The device's mode has to match the timing registers of the controller, and those stay as the
 * firmware set them. So a guest that asks for some DMA mode gets the one that the firmware chose,
 * which a reset may have undone; PIO works in all of them.
 */
static void set_mode(struct ide_channel *ch, const struct ata_command *c, uint8_t opcode)
{
	uint8_t asked = ch->reg[IDE_COUNT], mode = ch->dma_mode[ide_selected(ch)];

	if (!mode || !(asked & (ATA_MODE_MULTIWORD | ATA_MODE_ULTRA))) {
		ide_answer_command(ch, STATUS_IDLE, 0);
		return;
	}
	ch->reg[IDE_COUNT] = mode;
	ide_issue(ch, c, opcode);
	ch->reg[IDE_COUNT] = asked;
}

/* A busy device ignores commands, and nobody hears those to a device that isn't there. */
static void command_write(struct ide_channel *ch, uint8_t opcode)
{
	const struct ata_command *c = ata_classify(opcode, ch->reg[IDE_FEATURES]);

	if (channel_busy(ch) || !ch->present[ide_selected(ch)])
		return;
	selected_answer(ch)->valid = false;
	set_interrupt(ch, false);
	if (c->verdict == ATA_PRETEND) {
		ide_answer_command(ch, STATUS_IDLE, 0);
	} else if (c->verdict == ATA_MODE) {
		set_mode(ch, c, opcode);
	} else if (c->verdict != ATA_ISSUE) {
		refuse(ch, c, opcode);
	} else if (c->protocol == ATA_DMA_IN) {
		ch->held = c;
		ch->held_opcode = opcode;
		ide_busmaster_command_held(ch);
	} else {
		ide_issue(ch, c, opcode);
	}
}

/* ---- ports ---- */

static enum io_result data_access(struct ide_channel *ch, const struct io_access *a)
{
	/* No allowed command takes data from the guest. */
	if (a->write)
		return IO_DONE;
	if (a->size == 1 || !ch->in_flight || !ch->pio || selected_answer(ch)->valid)
		return IO_REJECT;
	return IO_PASS;
}

static enum io_result register_write(struct ide_channel *ch, unsigned n, uint8_t value)
{
	if (channel_busy(ch))
		return IO_DONE;
	ch->previous[n] = ch->reg[n];
	ch->reg[n] = value;
	return IO_PASS;
}

enum io_result ide_command_block_access(struct ide_channel *ch, struct io_access *a)
{
	const struct ide_answer *answer = selected_answer(ch);

	if (a->offset == IDE_DATA && a->size <= 4)
		return data_access(ch, a);
	if (a->size != 1)
		return IO_REJECT;
	if (a->offset == IDE_STATUS) {
		if (a->write)
			command_write(ch, (uint8_t)a->value);
		else
			a->value = status_read(ch, false);
		return IO_DONE;
	}
	if (a->write)
		return register_write(ch, (unsigned)a->offset, (uint8_t)a->value);
	if (a->offset == IDE_ERROR && answer->valid) {
		a->value = answer->error;
		return IO_DONE;
	}
	return IO_PASS;
}

/* Everything that was going on is off; the device says when it is ready again. */
static void soft_reset(struct ide_channel *ch)
{
	ide_busmaster_halt(ch);
	ch->held = NULL;
	ch->answer[0].valid = ch->answer[1].valid = false;
	ch->reg[IDE_DEVICE] = 0;
	ch->in_flight = true;
	ch->pio = false;
	set_interrupt(ch, false);
}

enum io_result ide_control_access(struct ide_channel *ch, struct io_access *a)
{
	uint8_t old = ch->control, now = (uint8_t)a->value;

	if (a->size != 1)
		return IO_REJECT;
	if (!a->write) {
		a->value = status_read(ch, true);
		return IO_DONE;
	}
	ch->control = now;
	if (now & ~old & ATA_CONTROL_SRST)
		soft_reset(ch);
	update_line(ch);
	hw_port_write(ch->control_port, 1, now & (uint8_t)~ATA_CONTROL_NIEN);
	return IO_DONE;
}
