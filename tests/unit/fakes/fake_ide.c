/* See fake_ide.h. Behaves as ATA/ATAPI-6 and the bus-master specification say, all at once. */
#include "fakes/fake_ide.h"
#include "fakes/fake_hw.h"

#include <string.h>

#define BSY  0x80u
#define IDLE 0x50u
#define DRQ  0x08u
#define ERR  0x01u

struct fake_ide fake_ide;

uint8_t fake_ide_byte(uint64_t lba, unsigned offset)
{
	return (uint8_t)(lba * 31 + offset * 7 + (offset >> 8));
}

static struct fake_drive *selected(struct fake_ide_channel *c)
{
	return &c->drive[c->selected];
}

static void raise_irq(struct fake_ide_channel *c)
{
	if (c->intrq || (c->control & 2))
		return;
	c->intrq = true;
	c->bm_status |= 4;
	fake_ide.irqs++;
}

static void finish(struct fake_ide_channel *c, uint8_t status, uint8_t error)
{
	struct fake_drive *d = selected(c);

	d->status = fake_ide.stuck ? BSY : status;
	d->error = error;
	if (!fake_ide.stuck)
		raise_irq(c);
}

static bool is_wide(uint8_t opcode)
{
	return opcode == 0x24 || opcode == 0x25 || opcode == 0x27 || opcode == 0x29 ||
	       opcode == 0x42 || opcode == 0xea;
}

static struct fake_ide_command decode(const struct fake_drive *d, uint8_t opcode)
{
	struct fake_ide_command c = {.opcode = opcode, .features = d->reg[1], .count = d->reg[2]};

	c.lba = d->reg[3] | (uint64_t)d->reg[4] << 8 | (uint64_t)d->reg[5] << 16;
	if (is_wide(opcode)) {
		c.count |= (uint16_t)(d->previous[2] << 8);
		c.lba |= (uint64_t)d->previous[3] << 24 | (uint64_t)d->previous[4] << 32 |
			 (uint64_t)d->previous[5] << 40;
	} else {
		c.lba |= (uint64_t)(d->reg[6] & 15) << 24;
	}
	return c;
}

static void fill_sectors(struct fake_drive *d, const struct fake_ide_command *c)
{
	unsigned sectors = c->count ? c->count : is_wide(c->opcode) ? 65536 : 256;

	d->pos = 0;
	d->len = sectors * 512 < FAKE_IDE_DATA_MAX ? sectors * 512 : FAKE_IDE_DATA_MAX;
	for (unsigned i = 0; i < d->len; i++)
		d->data[i] = fake_ide_byte(c->lba + i / 512, i % 512);
}

static void fill_identify(struct fake_drive *d)
{
	uint16_t id[256] = {0};

	id[0] = 0x40;
	id[53] = 6;
	id[63] = 0x0007;
	id[88] = 0x203f; /* mode 5 is selected */
	d->pos = 0;
	d->len = 512;
	memcpy(d->data, id, 512);
}

static void signature(struct fake_drive *d)
{
	static const uint8_t regs[8] = {0, 0, 1, 1, 0, 0, 0, 0};

	memcpy(d->reg, regs, 8);
	d->error = 1;
	d->status = fake_ide.stuck ? BSY : IDLE;
	d->dma = false;
	d->len = d->pos = 0;
}

static void run_dma(struct fake_ide_channel *c);

static void command(struct fake_ide_channel *c, uint8_t opcode)
{
	struct fake_drive *d = selected(c);
	struct fake_ide_command cmd = decode(d, opcode);

	if (!d->present)
		return;
	cmd.channel = (unsigned)(c - fake_ide.channel);
	cmd.drive = c->selected;
	if (fake_ide.commands < FAKE_IDE_COMMANDS)
		fake_ide.log[fake_ide.commands] = cmd;
	fake_ide.commands++;
	c->intrq = false;
	switch (opcode) {
	case 0xec:
		fill_identify(d);
		finish(c, IDLE | DRQ, 0);
		break;
	case 0x20:
	case 0x24:
	case 0xc4:
	case 0x29:
		fill_sectors(d, &cmd);
		finish(c, IDLE | DRQ, 0);
		break;
	case 0xc8:
	case 0x25:
		fill_sectors(d, &cmd);
		d->dma = true;
		d->status = IDLE | DRQ;
		run_dma(c);
		break;
	case 0x90:
		signature(&c->drive[0]);
		signature(&c->drive[1]);
		c->selected = 0;
		raise_irq(c);
		break;
	case 0xf8:
		d->reg[3] = 0x34;
		finish(c, IDLE, 0);
		break;
	case 0xef:
	case 0x40:
	case 0x42:
	case 0xe7:
	case 0xea:
	case 0xc6:
	case 0xe5:
		finish(c, IDLE, 0);
		break;
	default:
		finish(c, IDLE | ERR, 4);
	}
}

/* One region; false at the end of the table. */
static bool dma_region(struct fake_drive *d, const uint8_t *prd)
{
	uint32_t address, len;
	uint16_t count, flags;
	uint8_t *to;

	memcpy(&address, prd, 4);
	memcpy(&count, prd + 4, 2);
	memcpy(&flags, prd + 6, 2);
	len = count ? count : 65536;
	to = fake_ide.host(address, len);
	if (!to || (address & 0xffff) + len > 65536 || ((address | len) & 1)) {
		fake_ide.bad_prds++;
		return false;
	}
	if (len > d->len - d->pos)
		len = d->len - d->pos;
	memcpy(to, d->data + d->pos, len);
	d->pos += len;
	fake_ide.bytes += len;
	return d->pos < d->len && !(flags & 0x8000);
}

static void transfer(struct fake_ide_channel *c)
{
	struct fake_drive *d = selected(c);
	uint32_t at = c->bm_table;
	const uint8_t *prd;

	d->dma = false;
	for (unsigned n = 0;; n++, at += 8) {
		prd = n < 8192 ? fake_ide.host(at, 8) : NULL;
		if (!prd) {
			fake_ide.bad_prds++;
			break;
		}
		if (!dma_region(d, prd))
			break;
	}
	c->bm_status &= (uint8_t)~1u;
	/* A table that is too short leaves the drive waiting. */
	if (d->pos == d->len)
		finish(c, IDLE, 0);
}

static void run_dma(struct fake_ide_channel *c)
{
	if (!(c->bm_command & 1) || !selected(c)->dma || fake_ide.hold_dma || fake_ide.stuck)
		return;
	if (!(c->bm_command & 8))
		fake_ide.bad_prds++;
	else
		transfer(c);
}

void fake_ide_finish_dma(unsigned channel)
{
	fake_ide.hold_dma = false;
	run_dma(&fake_ide.channel[channel]);
}

static uint32_t read_data(struct fake_drive *d, unsigned size)
{
	uint32_t v = 0;

	if (!(d->status & DRQ) || d->dma)
		return ~0u;
	memcpy(&v, d->data + d->pos, size);
	d->pos += size;
	if (d->pos >= d->len)
		d->status = IDLE;
	return v;
}

static uint32_t read_block(struct fake_ide_channel *c, unsigned reg, unsigned size)
{
	struct fake_drive *d = selected(c);

	if (!c->drive[0].present && !c->drive[1].present)
		return FAKE_IDE_GONE;
	/* Device 0 answers for an absent device 1, with a status of 0. */
	if (!d->present && reg == 7)
		return 0;
	if (!d->present)
		d = &c->drive[0];
	switch (reg) {
	case 0:
		return read_data(d, size);
	case 1:
		return d->error;
	case 7:
		c->intrq = false;
		return d->status;
	default:
		return c->control & 0x80 ? d->previous[reg] : d->reg[reg];
	}
}

static bool any_busy(const struct fake_ide_channel *c)
{
	return (c->drive[0].present && (c->drive[0].status & (BSY | DRQ))) ||
	       (c->drive[1].present && (c->drive[1].status & (BSY | DRQ)));
}

static void write_block(struct fake_ide_channel *c, unsigned reg, uint8_t value)
{
	if (reg == 0) {
		fake_ide.data_writes++;
		return;
	}
	fake_ide.touched_busy += any_busy(c);
	if (reg == 7) {
		command(c, value);
		return;
	}
	c->control &= 0x7f;
	for (unsigned i = 0; i < 2; i++) {
		c->drive[i].previous[reg] = c->drive[i].reg[reg];
		c->drive[i].reg[reg] = value;
	}
	if (reg == 6)
		c->selected = value >> 4 & 1;
}

static void write_control(struct fake_ide_channel *c, uint8_t value)
{
	bool end = (c->control & 4) && !(value & 4);

	c->control = value;
	if (value & 4) {
		c->drive[0].status = c->drive[1].status = BSY;
		c->intrq = false;
	}
	if (!end)
		return;
	signature(&c->drive[0]);
	signature(&c->drive[1]);
	c->selected = 0;
}

static uint32_t read_bm(struct fake_ide_channel *c, unsigned reg)
{
	switch (reg) {
	case 0:
		return c->bm_command;
	case 2:
		return c->bm_status;
	case 4:
		return c->bm_table;
	default:
		return 0;
	}
}

static void write_bm(struct fake_ide_channel *c, unsigned reg, uint32_t value)
{
	switch (reg) {
	case 0:
		if ((value & 1) && !(c->bm_command & 1))
			c->bm_status |= 1;
		if (!(value & 1))
			c->bm_status &= (uint8_t)~1u;
		c->bm_command = value & 9;
		run_dma(c);
		break;
	case 2:
		c->bm_status &= (uint8_t) ~(value & 6);
		c->bm_status = (uint8_t)((c->bm_status & ~0x60u) | (value & 0x60));
		break;
	case 4:
		fake_ide.bad_prds += c->bm_command & 1;
		c->bm_table = value & ~3u;
		break;
	default:
		break;
	}
}

static uint32_t port_read(uint16_t port, unsigned size)
{
	for (unsigned i = 0; i < 2; i++) {
		struct fake_ide_channel *c = &fake_ide.channel[i];
		uint16_t base = i ? 0x170 : 0x1f0;

		if (port >= base && port < base + 8)
			return read_block(c, port - base, size);
		if (port == base + 0x206)
			return c->drive[0].present || c->drive[1].present
				       ? selected(c)->present ? selected(c)->status : 0
				       : FAKE_IDE_GONE;
	}
	if (port >= FAKE_IDE_BM && port < FAKE_IDE_BM + 16)
		return read_bm(&fake_ide.channel[port >> 3 & 1], port & 7);
	return ~0u;
}

static void port_write(uint16_t port, unsigned size, uint32_t value)
{
	(void)size;
	for (unsigned i = 0; i < 2; i++) {
		struct fake_ide_channel *c = &fake_ide.channel[i];
		uint16_t base = i ? 0x170 : 0x1f0;

		if (port >= base && port < base + 8)
			write_block(c, port - base, (uint8_t)value);
		if (port == base + 0x206)
			write_control(c, (uint8_t)value);
	}
	if (port >= FAKE_IDE_BM && port < FAKE_IDE_BM + 16)
		write_bm(&fake_ide.channel[port >> 3 & 1], port & 7, value);
}

void fake_ide_start(uint8_t *(*host)(uint64_t at, uint64_t len))
{
	memset(&fake_ide, 0, sizeof(fake_ide));
	fake_ide.host = host;
	fake_hw.port_read = port_read;
	fake_hw.port_write = port_write;
	for (unsigned i = 0; i < 2; i++) {
		fake_ide.channel[i].bm_status = 0x60;
		fake_ide.channel[i].bm_table = 0x5000 + i * 0x100;
	}
}

void fake_ide_insert(unsigned channel, unsigned drive)
{
	struct fake_drive *d = &fake_ide.channel[channel].drive[drive];

	d->present = true;
	signature(d);
}
