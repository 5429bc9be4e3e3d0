/*
 * The restricted IDE controller as a device: taking it from the firmware's driver, its regions, and
 * giving it back. State is struct ide behind dev->state. Only the region handlers and poll are on
 * the exit path.
 */
#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"
#include "core/vm.h"
#include "dma/ide.h"
#include "dma/ide_channel.h"
#include "hw/port.h"
#include "hw/time.h"

/* PCI IDE Controller Specification, revision 1.0: class code and the ports of compatibility mode. */
#define CLASS_IDE	  0x0101u
#define PROG_IF_NATIVE	  0x05u /* a bit for each channel */
#define PROG_IF_BUSMASTER 0x80u
#define PRIMARY_PORT	  0x1f0u
#define SECONDARY_PORT	  0x170u
#define CONTROL_PORT	  0x206u /* behind the command block */
#define BM_BAR		  4u
#define BM_BAR_PORTS	  0xfff0u

#define DEVICE_FIXED	  0xa0u /* device register's bits that were always ones */
#define PROBE_US	  100000ull
#define IDLE_US		  1000000ull
#define RESET_US	  10000000ull
#define RESET_HOLD_US	  10ull
#define RESET_SETTLE_US	  2000ull

/* ---- region handlers ---- */

static struct ide_channel *channel_of(struct device *dev, unsigned index)
{
	struct ide *ide = dev->state;

	return &ide->channel[index];
}

static enum io_result primary_command(struct device *dev, struct io_access *a)
{
	return ide_command_block_access(channel_of(dev, 0), a);
}

static enum io_result secondary_command(struct device *dev, struct io_access *a)
{
	return ide_command_block_access(channel_of(dev, 1), a);
}

static enum io_result primary_control(struct device *dev, struct io_access *a)
{
	return ide_control_access(channel_of(dev, 0), a);
}

static enum io_result secondary_control(struct device *dev, struct io_access *a)
{
	return ide_control_access(channel_of(dev, 1), a);
}

static enum io_result busmaster(struct device *dev, struct io_access *a)
{
	return ide_busmaster_access(dev->state, a);
}

static const struct {
	uint16_t port;
	io_handler command, control;
} channels[IDE_CHANNELS] = {
	{PRIMARY_PORT, primary_command, primary_control},
	{SECONDARY_PORT, secondary_command, secondary_control},
};

/* ---- the real device, before and after the guest ---- */

static void control_write(const struct ide_channel *ch, uint8_t value)
{
	hw_port_write(ch->control_port, 1, value);
}

static bool is_idle(void *arg)
{
	const struct ide_channel *ch = arg;

	return !(hw_port_read(ch->control_port, 1) & (ATA_STATUS_BSY | ATA_STATUS_DRQ));
}

static bool is_not_busy(void *arg)
{
	const struct ide_channel *ch = arg;

	return !(hw_port_read(ch->control_port, 1) & ATA_STATUS_BSY);
}

static uint8_t select_and_read(const struct ide_channel *ch, unsigned device)
{
	hw_port_write(ch->port + IDE_DEVICE, 1, DEVICE_FIXED | (device ? ATA_DEVICE_1 : 0));
	hw_delay(1);
	return (uint8_t)hw_port_read(ch->control_port, 1);
}

/* A device keeps what is written into its task file; an empty channel doesn't. */
static bool registers_keep(struct ide_channel *ch, unsigned device)
{
	uint16_t count = ch->port + IDE_COUNT, low = ch->port + IDE_LBA_LOW;

	if (select_and_read(ch, device) == 0xff || hw_poll(is_idle, ch, PROBE_US))
		return false;
	hw_port_write(count, 1, 0x55);
	hw_port_write(low, 1, 0xaa);
	hw_port_write(count, 1, 0xaa);
	hw_port_write(low, 1, 0x55);
	return hw_port_read(count, 1) == 0xaa && hw_port_read(low, 1) == 0x55;
}

/* The word's selected-mode bits are one hot, above the supported ones. */
static uint8_t selected_mode(uint16_t word, uint8_t kind)
{
	unsigned selected = (word >> 8) & 0x7f;

	return selected ? (uint8_t)(kind | (unsigned)(31 - __builtin_clz(selected))) : 0;
}

/* Words 63 and 88 of the identify data, the latter if word 53 says so. 0 if no mode is set. */
static uint8_t dma_mode(const uint16_t *id)
{
	uint8_t mode = 0;

	if (id[53] & BIT(2))
		mode = selected_mode(id[88], ATA_MODE_ULTRA);
	return mode ? mode : selected_mode(id[63], ATA_MODE_MULTIWORD);
}

/*
 * Is there a device, and which DMA mode did the firmware choose for it? Device 0 answers for an
 * absent device 1, but with a status of 0, also after a command. Packet devices abort this one.
 */
static bool find_device(struct ide_channel *ch, unsigned device)
{
	uint16_t id[ATA_SECTOR_SIZE / 2];
	uint8_t status;

	if (!registers_keep(ch, device))
		return false;
	hw_port_write(ch->port + IDE_COMMAND, 1, ATA_IDENTIFY);
	hw_delay(1);
	if (hw_poll(is_not_busy, ch, IDLE_US))
		return true;
	/* Takes the interrupt back too: nobody waits for it. */
	status = (uint8_t)hw_port_read(ch->port + IDE_STATUS, 1);
	if (status & ATA_STATUS_DRQ) {
		hw_port_read_block(ch->port + IDE_DATA, 2, id, array_size(id));
		ch->dma_mode[device] = dma_mode(id);
	}
	return status != 0;
}

/* ATA/ATAPI-5 "Software reset protocol". 0 or -E_TIMEOUT. */
static int reset_channel(struct ide_channel *ch)
{
	control_write(ch, ATA_CONTROL_SRST | ATA_CONTROL_NIEN);
	hw_delay(RESET_HOLD_US);
	control_write(ch, ATA_CONTROL_NIEN);
	hw_delay(RESET_SETTLE_US);
	return hw_poll(is_idle, ch, RESET_US);
}

static void stop_busmaster(struct ide_channel *ch)
{
	hw_port_write(ch->bm.port + BM_COMMAND, 1, 0);
	ch->bm.state = BM_IDLE;
}

/* ---- attach ---- */

static int check_controller(const struct device *dev, uint16_t *ret_bm_port)
{
	uint32_t class = hw_pci_read(dev->bdf, PCI_REVISION, 4);
	uint32_t bar = hw_pci_read(dev->bdf, PCI_BAR0 + 4 * BM_BAR, 4);
	uint8_t prog_if = (uint8_t)(class >> 8);

	if (class >> 16 != CLASS_IDE || (prog_if & PROG_IF_NATIVE) ||
		!(prog_if & PROG_IF_BUSMASTER) || !(bar & 1) || !(bar & BM_BAR_PORTS)) {
		log_line("%s: class %06x, bar 4 %08x: not a bus master in compatibility mode",
			dev->name, class >> 8, bar);
		return -E_NOTSUP;
	}
	*ret_bm_port = (uint16_t)(bar & BM_BAR_PORTS);
	return 0;
}

/* The controller has 32 address bits, on both sides. */
static int check_memory(const struct device *dev)
{
	const struct gmem *m = &dev->vm->gmem;

	for (unsigned i = 0; i < m->count; i++)
		if (!range_fits(m->run[i].hpa.v, m->run[i].len, 4 * GIB)) {
			log_line("%s: guest memory lies above 4 GiB", dev->name);
			return -E_NOTSUP;
		}
	return 0;
}

/* Two tables, each in one 64 KiB block: the arena aligns to pages only. */
static int allocate_tables(struct ide *ide, struct arena *arena)
{
	uint8_t *p = arena_pages(arena, (IDE_CHANNELS + 1) * IDE_PRD_TABLE_SIZE / PAGE_SIZE - 1);
	uint64_t at;

	if (!p)
		return -E_NOMEM;
	at = arena_hpa(arena, p).v;
	p += align_up(at, IDE_PRD_TABLE_SIZE) - at;
	at = align_up(at, IDE_PRD_TABLE_SIZE);
	if (!range_fits(at, IDE_CHANNELS * IDE_PRD_TABLE_SIZE, 4 * GIB))
		return -E_RANGE;
	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		ide->channel[i].bm.shadow = (struct ide_prd *)(void *)(p + i * IDE_PRD_TABLE_SIZE);
		ide->channel[i].bm.shadow_at = (uint32_t)(at + i * IDE_PRD_TABLE_SIZE);
	}
	return 0;
}

static void init_channel(struct device *dev, unsigned index, uint16_t bm_port)
{
	struct ide_channel *ch = channel_of(dev, index);

	ch->dev = dev;
	ch->index = index;
	ch->port = channels[index].port;
	ch->control_port = ch->port + CONTROL_PORT;
	ch->bm.port = (uint16_t)(bm_port + index * BM_PORTS);
	ch->command_block = (struct region){.base = ch->port,
		.len = IDE_REGISTERS,
		.hw = ch->port,
		.dev = dev,
		.handler = channels[index].command,
		.name = "ide command block"};
	ch->control_block = (struct region){.base = ch->control_port,
		.len = 1,
		.hw = ch->control_port,
		.dev = dev,
		.handler = channels[index].control,
		.name = "ide control block"};
}

static void take_channel(struct ide_channel *ch)
{
	stop_busmaster(ch);
	ch->bm.found_table = hw_port_read(ch->bm.port + BM_TABLE, 4);
	ch->bm.status = ide_busmaster_status(ch) & BM_STATUS_CAPABLE;
	ide_busmaster_clear(ch, BM_STATUS_ERROR | BM_STATUS_INTR);
	control_write(ch, ATA_CONTROL_NIEN);
	for (unsigned i = 0; i < 2; i++) {
		ch->present[i] = find_device(ch, i);
		if (ch->present[i])
			log_line("%s: channel %u device %u: dma mode %02x", ch->dev->name,
				ch->index, i, ch->dma_mode[i]);
	}
	select_and_read(ch, 0);
	/* The guest's nIEN is modelled; the real one stays 0, so that the host hears of work done. */
	control_write(ch, 0);
}

static void remove_regions(struct device *dev)
{
	struct ide *ide = dev->state;

	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		region_remove(&dev->vm->pio, &ide->channel[i].command_block);
		region_remove(&dev->vm->pio, &ide->channel[i].control_block);
	}
	region_remove(&dev->vm->pio, &ide->bm_block);
}

static int add_regions(struct device *dev)
{
	struct ide *ide = dev->state;
	int err = 0;

	for (unsigned i = 0; i < IDE_CHANNELS && !err; i++) {
		err = region_add(&dev->vm->pio, &ide->channel[i].command_block);
		if (!err)
			err = region_add(&dev->vm->pio, &ide->channel[i].control_block);
	}
	if (err)
		remove_regions(dev);
	return err;
}

static void set_command(const struct device *dev, uint32_t clear, uint32_t set)
{
	uint32_t command = hw_pci_read(dev->bdf, PCI_COMMAND, 2);

	hw_pci_write(dev->bdf, PCI_COMMAND, 2, (command & ~clear) | set);
}

static int ide_attach(struct device *dev, struct arena *arena)
{
	uint16_t bm_port;
	struct ide *ide;
	int err = check_controller(dev, &bm_port);

	if (!err)
		err = check_memory(dev);
	if (err)
		return err;
	ide = arena_alloc(arena, sizeof(*ide), 64);
	if (!ide)
		return -E_NOMEM;
	err = allocate_tables(ide, arena);
	if (err)
		return err;
	dev->state = ide;
	for (unsigned i = 0; i < IDE_CHANNELS; i++)
		init_channel(dev, i, bm_port);
	ide->bm_block = (struct region){.base = bm_port,
		.len = IDE_CHANNELS * BM_PORTS,
		.hw = bm_port,
		.dev = dev,
		.handler = busmaster,
		.name = "ide bus master"};
	err = add_regions(dev);
	if (err) {
		dev->state = NULL;
		return err;
	}
	/* Quiet first, so that bus mastering comes on with nothing to do. */
	set_command(dev, PCI_COMMAND_MASTER, PCI_COMMAND_IO);
	for (unsigned i = 0; i < IDE_CHANNELS; i++)
		take_channel(&ide->channel[i]);
	set_command(dev, PCI_COMMAND_INTX_OFF, PCI_COMMAND_MASTER);
	return 0;
}

/* ---- giving it back ---- */

static int quiesce_channel(struct ide_channel *ch)
{
	stop_busmaster(ch);
	control_write(ch, ATA_CONTROL_NIEN);
	ch->held = NULL;
	if (!ch->present[0] && !ch->present[1])
		return 0;
	if (hw_poll(is_idle, ch, ch->in_flight ? IDLE_US : PROBE_US)) {
		int err = reset_channel(ch);

		if (err) {
			log_line("%s: channel %u: still busy after its reset", ch->dev->name,
				ch->index);
			return err;
		}
	}
	ch->in_flight = false;
	return 0;
}

static int ide_quiesce(struct device *dev)
{
	int err = 0;

	if (!dev->state)
		return 0;
	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		int one = quiesce_channel(channel_of(dev, i));

		err = err ? err : one;
	}
	set_command(dev, PCI_COMMAND_MASTER, 0);
	return err;
}

/*
 * nIEN can't be read, so it isn't known how the firmware's driver had it. It stays set: no
 * interrupt comes before the next driver asks for one.
 */
static void ide_detach(struct device *dev)
{
	if (!dev->state)
		return;
	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		struct ide_channel *ch = channel_of(dev, i);

		stop_busmaster(ch);
		ide_busmaster_clear(ch, BM_STATUS_ERROR | BM_STATUS_INTR);
		hw_port_write(ch->bm.port + BM_TABLE, 4, ch->bm.found_table);
		control_write(ch, ATA_CONTROL_NIEN);
		select_and_read(ch, 0);
		/* Takes back an interrupt that is still asked for. */
		hw_port_read(ch->port + IDE_STATUS, 1);
		vm_set_irq(dev->vm, dev->irq + i, false);
	}
	remove_regions(dev);
	dev->state = NULL;
}

/* ---- while the guest runs ---- */

static void ide_poll(struct device *dev)
{
	bool fired = dev->irq_fired;

	dev->irq_fired = false;
	if (!dev->state)
		return;
	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		struct ide_channel *ch = channel_of(dev, i);

		if (fired || ch->in_flight)
			ide_take_interrupt(ch);
	}
}

static int ide_bar_moved(struct device *dev, unsigned bar, uint64_t base, bool enabled)
{
	struct ide *ide = dev->state;

	if (bar != BM_BAR || !ide)
		return enabled ? -E_NOTSUP : 0;
	return region_move(&dev->vm->pio, &ide->bm_block, base, enabled);
}

const struct device_ops ide_ops = {
	.name = "ide",
	.attach = ide_attach,
	.quiesce = ide_quiesce,
	.detach = ide_detach,
	.poll = ide_poll,
	.bar_moved = ide_bar_moved,
};
