/*
 * The bus master of an IDE channel; see ide_channel.h. Its registers are modelled; the real one
 * only ever sees the shadow table, and only when a command that reads is about to be issued. State
 * is the caller's. On the exit path.
 */
#include "base/bits.h"
#include "base/error.h"
#include "core/vm.h"
#include "dma/ide_channel.h"
#include "hw/mmio.h"
#include "hw/port.h"

#define BM_COMMAND_WRITABLE (BM_COMMAND_START | BM_COMMAND_READ)
#define BM_TABLE_WRITABLE   (~3u)

static void real_write(const struct ide_channel *ch, unsigned reg, unsigned size, uint32_t value)
{
	hw_port_write((uint16_t)(ch->bm.port + reg), size, value);
}

uint8_t ide_busmaster_status(const struct ide_channel *ch)
{
	return (uint8_t)hw_port_read((uint16_t)(ch->bm.port + BM_STATUS), 1);
}

void ide_busmaster_clear(const struct ide_channel *ch, uint8_t bits)
{
	real_write(ch, BM_STATUS, 1, (ide_busmaster_status(ch) & BM_STATUS_CAPABLE) | bits);
}

void ide_busmaster_halt(struct ide_channel *ch)
{
	if (ch->bm.state == BM_RUNNING)
		real_write(ch, BM_COMMAND, 1, 0);
	ch->bm.state = BM_IDLE;
}

/* ---- a DMA command, once both it and the start of the bus master are there ---- */

/* As a controller that met a bad descriptor, and a device that gave its command up. */
static void fail(struct ide_channel *ch, int err)
{
	struct ide *ide = ch->dev->state;

	ch->dev->denied++;
	log_limited(&ide->refusals, "%s: channel %u: bad transfer: %s", ch->dev->name, ch->index,
		error_string(err));
	ch->bm.state = BM_ENDED;
	ch->bm.status |= BM_STATUS_ERROR;
	ide_answer_command(ch, ATA_STATUS_DRDY | ATA_STATUS_DSC | ATA_STATUS_ERR, ATA_ERROR_ABRT);
}

static void launch(struct ide_channel *ch)
{
	const struct ata_command *c = ch->held;
	int err = -E_DENIED;

	ch->held = NULL;
	/* Only reads are ever held: a bus master that would fetch data for one is set up wrong. */
	if (ch->bm.command & BM_COMMAND_READ)
		err = ide_prd_build(&ch->dev->vm->gmem, gpa(ch->bm.table), ch->bm.shadow);
	if (err) {
		fail(ch, err);
		return;
	}
	hw_barrier();
	real_write(ch, BM_COMMAND, 1, BM_COMMAND_READ);
	real_write(ch, BM_TABLE, 4, ch->bm.shadow_at);
	ide_busmaster_clear(ch, BM_STATUS_ERROR | BM_STATUS_INTR);
	ide_issue(ch, c, ch->held_opcode);
	real_write(ch, BM_COMMAND, 1, BM_COMMAND_READ | BM_COMMAND_START);
	ch->bm.state = BM_RUNNING;
}

void ide_busmaster_command_held(struct ide_channel *ch)
{
	if (ch->bm.state == BM_WAITING)
		launch(ch);
}

/* ---- registers ---- */

static void command_write(struct ide_channel *ch, uint8_t value)
{
	uint8_t old = ch->bm.command;

	ch->bm.command = value & BM_COMMAND_WRITABLE;
	if (!(value & BM_COMMAND_START)) {
		ide_busmaster_halt(ch);
	} else if (!(old & BM_COMMAND_START)) {
		ch->bm.state = BM_WAITING;
		if (ch->held)
			launch(ch);
	}
}

/* Error and interrupt clear by writing ones; the rest but two bits is read-only. */
static void status_write(struct ide_channel *ch, uint8_t value)
{
	uint8_t cleared = value & (BM_STATUS_ERROR | BM_STATUS_INTR);

	ch->bm.status &= (uint8_t) ~(cleared | BM_STATUS_CAPABLE);
	ch->bm.status |= value & BM_STATUS_CAPABLE;
	if (cleared & BM_STATUS_ERROR)
		ide_busmaster_clear(ch, BM_STATUS_ERROR);
}

static uint8_t status_read(struct ide_channel *ch)
{
	uint8_t real = ide_take_interrupt(ch);

	switch (ch->bm.state) {
	case BM_RUNNING:
		return ch->bm.status | (real & (BM_STATUS_ACTIVE | BM_STATUS_ERROR));
	case BM_WAITING:
		return ch->bm.status | BM_STATUS_ACTIVE;
	default:
		return ch->bm.status;
	}
}

static uint8_t read_byte(struct ide_channel *ch, unsigned reg)
{
	switch (reg) {
	case BM_COMMAND:
		return ch->bm.command;
	case BM_STATUS:
		return status_read(ch);
	case BM_TABLE ... BM_TABLE + 3:
		return (uint8_t)(ch->bm.table >> 8 * (reg - BM_TABLE));
	default:
		return 0;
	}
}

static void write_byte(struct ide_channel *ch, unsigned reg, uint8_t value)
{
	switch (reg) {
	case BM_COMMAND:
		command_write(ch, value);
		break;
	case BM_STATUS:
		status_write(ch, value);
		break;
	case BM_TABLE ... BM_TABLE + 3:
		ch->bm.table = (uint32_t)bytes_merge(ch->bm.table, value, reg - BM_TABLE, 1) &
			       BM_TABLE_WRITABLE;
		break;
	default:
		break;
	}
}

/* Any access is that of its bytes in rising order, so that sizes and crossings need no rule. */
enum io_result ide_busmaster_access(struct ide *ide, struct io_access *a)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < a->size; i++) {
		unsigned at = (unsigned)a->offset + i;
		struct ide_channel *ch = &ide->channel[at / BM_PORTS % IDE_CHANNELS];

		if (a->write)
			write_byte(ch, at % BM_PORTS, (uint8_t)(a->value >> 8 * i));
		else
			value |= (uint64_t)read_byte(ch, at % BM_PORTS) << 8 * i;
	}
	if (!a->write)
		a->value = value;
	return IO_DONE;
}
