/*
 * The restricted IDE controller: whole conversations as drivers hold them, and as a hostile guest
 * would, with a made-up PIIX behind it and a guest memory that changes once it has been read.
 */
#include "base/bits.h"
#include "base/error.h"
#include "dma/ide.h"
#include "dma/ide_prd.h"
#include "fakes/fake_gmem.h"
#include "fakes/fake_hw.h"
#include "fakes/fake_ide.h"
#include "fakes/fake_pci.h"
#include "fakes/fake_vm.h"
#include "test.h"

#define IDE	  PCI_BDF(0, 1, 1)
#define GUEST_BM  0xd000u
#define RAM	  (512 * KIB)
#define HALF	  (256 * KIB)
#define RUN0	  0x1000000ull
#define RUN1	  0x3008000ull
#define ARENA_AT  0x7f01000ull
#define ARENA_LEN (512 * KIB)

static uint8_t ram[RAM];
static _Alignas(4096) uint8_t arena_memory[ARENA_LEN];
static struct arena arena;
static struct vm vm;
static struct device dev;

static uint8_t *host(uint64_t at, uint64_t len)
{
	if (range_fits(at - RUN0, len, HALF))
		return ram + (at - RUN0);
	if (range_fits(at - RUN1, len, HALF))
		return ram + HALF + (at - RUN1);
	if (range_fits(at - ARENA_AT, len, ARENA_LEN))
		return arena_memory + (at - ARENA_AT);
	return NULL;
}

/* A machine with its drives in place, up to the attached controller. */
static void prepare(void)
{
	fake_hw_reset();
	fake_pci_i440fx();
	fake_gmem_reset();
	fake_gmem.hostile = true;
	fake_vm_init(&vm);
	memset(ram, 0, sizeof(ram));
	CHECK_EQ(gmem_add(&vm.gmem, (struct gmem_run){gpa(0), hpa(RUN0), HALF, ram}), 0);
	CHECK_EQ(gmem_add(&vm.gmem, (struct gmem_run){gpa(HALF), hpa(RUN1), HALF, ram + HALF}), 0);
	arena_init(&arena, arena_memory, hpa(ARENA_AT), ARENA_LEN);
	fake_ide_start(host);
	fake_ide_insert(0, 0);
	dev = (struct device){
		.ops = &ide_ops, .vm = &vm, .name = "ide 00:01.1", .bdf = IDE, .irq = 14};
}

static void start(void)
{
	prepare();
	CHECK_EQ(ide_ops.attach(&dev, &arena), 0);
	CHECK_EQ(ide_ops.bar_moved(&dev, 4, GUEST_BM, true), 0);
	fake_ide.commands = 0;
	fake_ide.touched_busy = 0;
	fake_ide.irqs = 0;
}

static uint8_t in(uint16_t port)
{
	return (uint8_t)fake_vm_read(&vm, true, port, 1);
}

static void out(uint16_t port, uint8_t value)
{
	fake_vm_write(&vm, true, port, 1, value);
}

/* The host's handler ran, and then the firmware's window closed. */
static void host_interrupt(void)
{
	dev.irq_fired = true;
	ide_ops.poll(&dev);
	CHECK(!dev.irq_fired);
}

static void task_file(uint16_t base, uint8_t device, uint8_t count, uint32_t lba)
{
	out(base + 6, device);
	out(base + 1, 0);
	out(base + 2, count);
	out(base + 3, (uint8_t)lba);
	out(base + 4, (uint8_t)(lba >> 8));
	out(base + 5, (uint8_t)(lba >> 16));
}

static void put_prd(uint64_t table, unsigned n, uint32_t address, uint16_t count, uint16_t flags)
{
	struct ide_prd prd = {address, count, flags};

	memcpy(ram + table + n * sizeof(prd), &prd, sizeof(prd));
}

static void set_table(uint16_t bm, uint32_t table)
{
	fake_vm_write(&vm, true, bm + 4u, 4, table);
}

static void check_sector(uint64_t at, uint64_t lba, unsigned n)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < n; i++)
		wrong += ram[at + i] != fake_ide_byte(lba + i / 512, i % 512);
	CHECK_EQ(wrong, 0);
}

/* Nothing went wrong on the side of the hardware. */
static void check_hardware(void)
{
	CHECK_EQ(fake_ide.bad_prds, 0);
	CHECK_EQ(fake_ide.touched_busy, 0);
	CHECK_EQ(fake_ide.data_writes, 0);
	CHECK_EQ(fake_gmem.reread, 0);
}

/* ---- as Linux does it ---- */

static void finds_devices(void)
{
	start();
	/* Soft reset, then the signature, as libata classifies. */
	out(0x3f6, 0x08);
	out(0x3f6, 0x0c);
	CHECK_EQ(in(0x3f6), 0x80);
	out(0x3f6, 0x08);
	CHECK_EQ(in(0x1f7), 0x50);
	CHECK_EQ(in(0x1f1), 1);
	CHECK_EQ(in(0x1f2), 1);
	CHECK_EQ(in(0x1f3), 1);
	CHECK_EQ(in(0x1f4), 0);
	CHECK_EQ(in(0x1f5), 0);
	/* The test for a device: registers keep what is written, in an empty channel they don't. */
	out(0x1f2, 0x55);
	out(0x1f3, 0xaa);
	CHECK(in(0x1f2) == 0x55 && in(0x1f3) == 0xaa);
	out(0x1f6, 0xb0);
	CHECK_EQ(in(0x1f7), 0);
	CHECK_EQ(in(0x177), 0xff);
	out(0x376, 0x0c);
	out(0x376, 0x08);
	CHECK_EQ(in(0x376), 0xff);
	out(0x172, 0x55);
	CHECK_EQ(in(0x172), 0xff);
	check_hardware();
}

static void identifies_by_polling(void)
{
	start();
	out(0x3f6, 0x0a);
	task_file(0x1f0, 0xa0, 0, 0);
	out(0x1f7, 0xec);
	/* The host hears of it, the guest doesn't. */
	CHECK_EQ(fake_ide.irqs, 1);
	host_interrupt();
	CHECK(!fake_irqchip.line[14]);
	CHECK_EQ(in(GUEST_BM + 2), 0x60);
	CHECK_EQ(in(0x3f6), 0x58);
	CHECK_EQ(in(0x1f7), 0x58);
	CHECK_EQ(fake_vm_read(&vm, true, 0x1f0, 2), 0x0040);
	for (unsigned i = 1; i < 255; i += 2)
		fake_vm_read(&vm, true, 0x1f0, 4);
	CHECK_EQ(in(0x1f7), 0x58);
	fake_vm_read(&vm, true, 0x1f0, 2);
	CHECK_EQ(in(0x1f7), 0x50);
	out(0x3f6, 0x08);
	CHECK_EQ(fake_irqchip.raised[14], 0);
	CHECK_EQ(fake_ide.commands, 1);
	check_hardware();
}

static void reads_by_pio_with_interrupts(void)
{
	start();
	task_file(0x1f0, 0xe0, 1, 0x123456);
	out(0x1f7, 0x20);
	CHECK_EQ(fake_ide.irqs, 1);
	CHECK(!fake_irqchip.line[14]);
	host_interrupt();
	CHECK(fake_irqchip.line[14] && !fake_irqchip.line[15]);
	CHECK_EQ(in(0x3f6), 0x58);
	CHECK(fake_irqchip.line[14]);
	CHECK_EQ(in(0x1f7), 0x58);
	CHECK(!fake_irqchip.line[14]);
	for (unsigned i = 0; i < 512; i += 2)
		CHECK_EQ(fake_vm_read(&vm, true, 0x1f0, 2),
			fake_ide_byte(0x123456, i) | fake_ide_byte(0x123456, i + 1) << 8);
	/* Nothing is left to read. */
	CHECK_EQ(in(0x1f7), 0x50);
	CHECK_EQ(fake_vm_read(&vm, true, 0x1f0, 2), 0xffff);
	check_hardware();
}

static void dma_setup(uint16_t bm, uint32_t table)
{
	fake_gmem_forget();
	set_table(bm, table);
	out(bm, 8);
	out(bm + 2, 0x66);
}

static void reads_by_dma(void)
{
	start();
	put_prd(0x1000, 0, 0x4000, 0x200, 0);
	put_prd(0x1000, 1, HALF - 0x200, 0x400, 0);
	put_prd(0x1000, 2, 0x8000, 0x200, IDE_PRD_END);
	dma_setup(GUEST_BM, 0x1000);
	task_file(0x1f0, 0xe1, 4, 0x23456);
	out(0x1f7, 0xc8);
	/* Held until there is a bus master; the guest sees a busy device. */
	CHECK_EQ(fake_ide.commands, 0);
	CHECK_EQ(in(0x3f6), 0xd0);
	CHECK_EQ(in(0x1f7), 0xd0);
	fake_ide.hold_dma = true;
	out(GUEST_BM, 9);
	CHECK_EQ(fake_ide.commands, 1);
	CHECK_EQ(in(GUEST_BM + 2), 0x61);
	fake_ide_finish_dma(0);
	host_interrupt();
	CHECK(fake_irqchip.line[14]);
	CHECK_EQ(in(GUEST_BM + 2), 0x64);
	CHECK_EQ(in(GUEST_BM), 9);
	out(GUEST_BM, 8);
	CHECK_EQ(in(0x3f6), 0x50);
	CHECK_EQ(in(0x1f7), 0x50);
	CHECK(!fake_irqchip.line[14]);
	out(GUEST_BM + 2, 0x64);
	CHECK_EQ(in(GUEST_BM + 2), 0x60);
	check_sector(0x4000, 0x1023456, 512);
	check_sector(HALF - 0x200, 0x1023457, 1024);
	check_sector(0x8000, 0x1023459, 512);
	CHECK_EQ(fake_ide.log[0].lba, 0x1023456);
	CHECK_EQ(fake_ide.bytes, 2048);
	/* The real one never saw the guest's table. */
	CHECK(fake_ide.channel[0].bm_table >= ARENA_AT);
	CHECK_EQ(fake_ide.channel[0].bm_table & 0xffff, 0);
	CHECK_EQ(fake_irqchip.raised[14], 1);
	check_hardware();
}

static void reads_by_dma_with_48_bits(void)
{
	start();
	put_prd(0x1000, 0, 0x10000, 0, IDE_PRD_END);
	dma_setup(GUEST_BM, 0x1000);
	task_file(0x1f0, 0xe0, 0, 0x0000a5); /* count 0x00, LBA 47:24 */
	task_file(0x1f0, 0xe0, 128, 0x654321);
	/* The device's task file changes behind our back: what counts is what the guest wrote. */
	fake_ide.channel[0].drive[0].reg[3] = 0xff;
	fake_ide.channel[0].drive[0].previous[4] = 0xff;
	fake_ide.channel[0].selected = 1;
	out(0x1f7, 0x25);
	out(GUEST_BM, 9);
	CHECK_EQ(fake_ide.commands, 1);
	CHECK_EQ(fake_ide.log[0].lba, 0xa5654321);
	CHECK_EQ(fake_ide.log[0].count, 128);
	check_sector(0x10000, 0xa5654321, 65536);
	host_interrupt();
	out(GUEST_BM, 0);
	CHECK_EQ(in(0x1f7), 0x50);
	/* The history shows through the HOB bit. */
	out(0x1f3, 0x11);
	out(0x1f3, 0x22);
	out(0x3f6, 0x88);
	CHECK_EQ(in(0x1f3), 0x11);
	out(0x3f6, 0x08);
	CHECK_EQ(in(0x1f3), 0x22);
	check_hardware();
}

static void bus_master_may_start_first(void)
{
	start();
	put_prd(0x1000, 0, 0x4000, 0x200, IDE_PRD_END);
	dma_setup(GUEST_BM, 0x1000);
	out(GUEST_BM, 9);
	CHECK_EQ(in(GUEST_BM + 2), 0x61);
	CHECK_EQ(fake_ide.channel[0].bm_command, 0);
	CHECK_EQ(fake_gmem.reads, 0);
	task_file(0x1f0, 0xe0, 1, 7);
	out(0x1f7, 0xc8);
	CHECK_EQ(fake_ide.bytes, 512);
	check_sector(0x4000, 7, 512);
	host_interrupt();
	CHECK(fake_irqchip.line[14]);
	check_hardware();
}

static void channels_are_apart(void)
{
	prepare();
	fake_ide_insert(1, 0);
	fake_ide_insert(1, 1);
	CHECK_EQ(ide_ops.attach(&dev, &arena), 0);
	CHECK_EQ(ide_ops.bar_moved(&dev, 4, GUEST_BM, true), 0);
	fake_ide.commands = fake_ide.touched_busy = 0;
	put_prd(0x1000, 0, 0x4000, 0x200, IDE_PRD_END);
	put_prd(0x2000, 0, 0x5000, 0x200, IDE_PRD_END);
	fake_ide.hold_dma = true;
	dma_setup(GUEST_BM, 0x1000);
	task_file(0x1f0, 0xe0, 1, 100);
	out(0x1f7, 0xc8);
	out(GUEST_BM, 9);
	dma_setup(GUEST_BM + 8, 0x2000);
	task_file(0x170, 0xf0, 1, 200);
	out(0x177, 0xc8);
	out(GUEST_BM + 8, 9);
	fake_ide_finish_dma(1);
	host_interrupt();
	CHECK(!fake_irqchip.line[14] && fake_irqchip.line[15]);
	CHECK_EQ(in(GUEST_BM + 2), 0x61);
	CHECK_EQ(in(GUEST_BM + 10), 0x64);
	CHECK(fake_ide.log[1].channel == 1 && fake_ide.log[1].drive == 1);
	fake_ide_finish_dma(0);
	host_interrupt();
	CHECK(fake_irqchip.line[14]);
	check_sector(0x4000, 100, 512);
	check_sector(0x5000, 200, 512);
	CHECK_EQ(in(0x177), 0x50);
	CHECK(fake_irqchip.line[14] && !fake_irqchip.line[15]);
	check_hardware();
}

static void sets_the_firmwares_transfer_mode(void)
{
	start();
	task_file(0x1f0, 0xa0, 0x42, 0);
	out(0x1f1, 3);
	out(0x1f7, 0xef);
	CHECK_EQ(fake_ide.commands, 1);
	CHECK_EQ(fake_ide.log[0].count, 0x45);
	host_interrupt();
	CHECK_EQ(in(0x1f7), 0x50);
	/* PIO works in any mode. */
	out(0x1f2, 0x0c);
	out(0x1f7, 0xef);
	CHECK_EQ(fake_ide.commands, 1);
	CHECK(fake_irqchip.line[14]);
	CHECK_EQ(in(0x1f7), 0x50);
	out(0x1f1, 2); /* write cache */
	out(0x1f7, 0xef);
	CHECK_EQ(in(0x1f7), 0x51);
	CHECK_EQ(fake_ide.commands, 1);
	/* The guest's own count is the one that the next command takes. */
	out(0x1f2, 0x42);
	out(0x1f1, 3);
	out(0x1f7, 0xef);
	CHECK_EQ(in(0x1f7), 0x50);
	out(0x1f7, 0x40);
	CHECK_EQ(fake_ide.log[1].count, 0x45);
	CHECK_EQ(fake_ide.log[2].count, 0x42);
	check_hardware();
}

static void results_show_in_the_task_file(void)
{
	start();
	task_file(0x1f0, 0xe0, 0, 0);
	out(0x1f7, 0xf8);
	host_interrupt();
	CHECK_EQ(in(0x1f7), 0x50);
	CHECK_EQ(in(0x1f3), 0x34);
	out(0x1f7, 0x90);
	host_interrupt();
	CHECK_EQ(in(0x1f7), 0x50);
	CHECK_EQ(in(0x1f1), 1);
	check_hardware();
}

/* ---- as a guest that may not ---- */

static void refuses_everything_else(void)
{
	static const uint8_t refused[] = {0x00, 0x06, 0x22, 0x30, 0x31, 0x34, 0x35, 0x37, 0x39,
		0x3d, 0x3f, 0x45, 0x50, 0x57, 0x5c, 0x5d, 0x5e, 0x5f, 0x60, 0x61, 0x80, 0x92, 0x93,
		0xa0, 0xa1, 0xb0, 0xb4, 0xc5, 0xca, 0xcb, 0xe6, 0xe8, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5,
		0xf6, 0xf9, 0xfa, 0xff};
	unsigned log_count;

	for (size_t i = 0; i < sizeof(refused); i++) {
		start();
		task_file(0x1f0, 0xe0, 1, 0);
		log_count = fake_hw.log_count;
		out(0x1f7, refused[i]);
		CHECK_EQ(fake_hw.log_count, log_count);
		CHECK(fake_irqchip.line[14]);
		CHECK_EQ(in(0x3f6), 0x51);
		CHECK(fake_irqchip.line[14]);
		CHECK_EQ(in(GUEST_BM + 2), 0x64);
		CHECK_EQ(in(0x1f1), 0x04);
		CHECK_EQ(in(0x1f7), 0x51);
		CHECK(!fake_irqchip.line[14]);
		CHECK_EQ(in(0x1f7), 0x51);
		/* A writer would go on with its data. */
		fake_vm_write(&vm, true, 0x1f0, 2, 0xdead);
		fake_vm_write(&vm, true, 0x1f0, 4, 0xdeadbeef);
		CHECK_EQ(fake_vm_read(&vm, true, 0x1f0, 2), 0xffff);
		out(GUEST_BM, 1);
		CHECK_EQ(fake_ide.channel[0].bm_command, 0);
		CHECK_EQ(fake_ide.commands, 0);
		CHECK_EQ(dev.denied, 1);
		check_hardware();
	}
}

static void refusals_keep_nien(void)
{
	start();
	out(0x3f6, 0x0a);
	task_file(0x1f0, 0xe0, 1, 0);
	out(0x1f7, 0x30);
	CHECK(!fake_irqchip.line[14]);
	CHECK_EQ(in(GUEST_BM + 2), 0x60);
	/* It is still asked for, and shows when the guest lets it. */
	out(0x3f6, 0x08);
	CHECK(fake_irqchip.line[14]);
	CHECK_EQ(in(GUEST_BM + 2), 0x64);
	/* The next command takes it back. */
	out(0x1f7, 0xe7);
	CHECK(!fake_irqchip.line[14]);
	CHECK_EQ(fake_ide.commands, 1);
	/* The real control register never masked anything. */
	CHECK_EQ(fake_ide.channel[0].control & 2, 0);
	host_interrupt();
	CHECK(fake_irqchip.line[14]);
	CHECK_EQ(in(0x1f7), 0x50);
	CHECK_EQ(in(0x1f1), 0);
}

/* A DMA read whose table or set-up is bad: the device never hears of it. */
static void check_failed_dma(uint8_t direction)
{
	task_file(0x1f0, 0xe0, 1, 0);
	out(0x1f7, 0xc8);
	out(GUEST_BM, direction | 1);
	CHECK_EQ(fake_ide.commands, 0);
	CHECK_EQ(fake_ide.channel[0].bm_command, 0);
	CHECK(fake_irqchip.line[14]);
	CHECK_EQ(in(GUEST_BM + 2), 0x66);
	CHECK_EQ(in(0x1f1), 0x04);
	CHECK_EQ(in(0x1f7), 0x51);
	out(GUEST_BM, 0);
	out(GUEST_BM + 2, 0x66);
	CHECK_EQ(in(GUEST_BM + 2), 0x60);
	CHECK_EQ(fake_ide.bytes, 0);
	check_hardware();
}

static void refuses_bad_tables(void)
{
	static const struct {
		uint32_t table, address;
		uint16_t count, flags;
	} bad[] = {
		{0x1000, RAM, 0x200, IDE_PRD_END},	/* behind memory */
		{0x1000, 0xfffff000, 0, IDE_PRD_END},	/* wraps */
		{0x1000, ARENA_AT, 0x200, IDE_PRD_END}, /* our own table */
		{0x1000, 0x4001, 0x200, IDE_PRD_END},	/* odd */
		{0x1000, 0x4000, 0x200, 0},  /* then an entry of 0: all of memory, twice */
		{RAM - 8, 0x4000, 0x200, 0}, /* no end before memory's end */
		{RAM - 0x1000, RAM - 0x8000, 0, IDE_PRD_END}, /* 64 KiB, half of it behind memory */
	};

	for (size_t i = 0; i < array_size(bad); i++) {
		start();
		put_prd(bad[i].table, 0, bad[i].address, bad[i].count, bad[i].flags);
		put_prd(0x1000, 1, bad[i].flags ? 0 : 0x4001, 0, 0);
		dma_setup(GUEST_BM, bad[i].table);
		check_failed_dma(8);
	}
	start();
	dma_setup(GUEST_BM, 0xfffffffc);
	check_failed_dma(8);
}

static void refuses_the_wrong_direction(void)
{
	start();
	put_prd(0x1000, 0, 0x4000, 0x200, IDE_PRD_END);
	dma_setup(GUEST_BM, 0x1000);
	check_failed_dma(0);
	CHECK_EQ(fake_gmem.reads, 0);
	/* And works again after that. */
	fake_gmem.hostile = false;
	put_prd(0x1000, 0, 0x4000, 0x200, IDE_PRD_END);
	dma_setup(GUEST_BM, 0x1000);
	task_file(0x1f0, 0xe0, 1, 3);
	out(0x1f7, 0xc8);
	out(GUEST_BM, 9);
	check_sector(0x4000, 3, 512);
	check_hardware();
}

static void start_without_command_does_nothing(void)
{
	unsigned log_count;

	start();
	put_prd(0x1000, 0, 0x4000, 0x200, IDE_PRD_END);
	log_count = fake_hw.log_count;
	set_table(GUEST_BM, 0x1000);
	out(GUEST_BM, 9);
	out(GUEST_BM, 9);
	out(GUEST_BM, 1);
	out(GUEST_BM, 0);
	CHECK_EQ(fake_hw.log_count, log_count);
	out(GUEST_BM, 9);
	out(0x1f7, 0xe7);
	CHECK_EQ(fake_ide.channel[0].bm_command, 0);
	CHECK_EQ(fake_gmem.reads, 0);
}

static void ignores_what_comes_to_a_busy_device(void)
{
	start();
	put_prd(0x1000, 0, 0x4000, 0x200, IDE_PRD_END);
	fake_ide.hold_dma = true;
	dma_setup(GUEST_BM, 0x1000);
	task_file(0x1f0, 0xe0, 1, 5);
	out(0x1f7, 0xc8);
	/* Held. */
	out(0x1f3, 0x77);
	out(0x1f6, 0xf0);
	out(0x1f7, 0xec);
	out(0x1f7, 0x30);
	CHECK_EQ(dev.denied, 0);
	out(GUEST_BM, 9);
	CHECK_EQ(fake_ide.log[0].lba, 5);
	/* Running: another table, another command, another start. */
	put_prd(0x2000, 0, 0x6000, 0x200, IDE_PRD_END);
	set_table(GUEST_BM, 0x2000);
	CHECK_EQ(fake_vm_read(&vm, true, GUEST_BM + 4, 4), 0x2000);
	out(0x1f3, 0x77);
	out(0x1f7, 0xec);
	out(0x1f7, 0xca);
	out(GUEST_BM, 9);
	CHECK_EQ(fake_vm_read(&vm, true, 0x1f0, 2), 0xffff);
	CHECK_EQ(fake_ide.commands, 1);
	fake_ide_finish_dma(0);
	check_sector(0x4000, 5, 512);
	CHECK_EQ(ram[0x6000], 0);
	out(GUEST_BM, 0);
	CHECK_EQ(fake_ide.channel[0].bm_command, 0);
	check_hardware();
	/* Idle again, and so the device listens. */
	host_interrupt();
	CHECK_EQ(in(0x1f7), 0x50);
	out(0x1f3, 0x77);
	CHECK_EQ(in(0x1f3), 0x77);
}

static void reset_gets_out_of_everything(void)
{
	start();
	put_prd(0x1000, 0, 0x4000, 0x200, IDE_PRD_END);
	dma_setup(GUEST_BM, 0x1000);
	task_file(0x1f0, 0xe0, 1, 5);
	out(0x1f7, 0xc8);
	out(0x3f6, 0x0c);
	CHECK_EQ(in(0x3f6), 0x80);
	out(0x3f6, 0x08);
	CHECK_EQ(in(0x1f7), 0x50);
	/* The command is forgotten: its bus master finds nothing to do. */
	out(GUEST_BM, 9);
	CHECK_EQ(fake_ide.commands, 0);
	out(GUEST_BM, 0);
	/* In the middle of a transfer. */
	fake_ide.hold_dma = true;
	task_file(0x1f0, 0xe0, 1, 5);
	out(0x1f7, 0xc8);
	out(GUEST_BM, 9);
	CHECK_EQ(fake_ide.channel[0].bm_command, 9);
	out(0x3f6, 0x0c);
	CHECK_EQ(fake_ide.channel[0].bm_command, 0);
	out(0x3f6, 0x08);
	CHECK_EQ(in(0x1f7), 0x50);
	CHECK_EQ(fake_ide.bytes, 0);
	/* A refusal is forgotten too. */
	out(0x1f7, 0x30);
	CHECK_EQ(in(0x3f6), 0x51);
	out(0x3f6, 0x0c);
	CHECK(!fake_irqchip.line[14]);
	out(0x3f6, 0x08);
	CHECK_EQ(in(0x1f7), 0x50);
	check_hardware();
}

static void short_tables_leave_a_device_that_waits(void)
{
	start();
	put_prd(0x1000, 0, 0x4000, 0x200, IDE_PRD_END);
	dma_setup(GUEST_BM, 0x1000);
	task_file(0x1f0, 0xe0, 2, 5);
	out(0x1f7, 0xc8);
	out(GUEST_BM, 9);
	CHECK_EQ(fake_ide.bytes, 512);
	CHECK_EQ(in(GUEST_BM + 2), 0x60);
	CHECK_EQ(in(0x3f6), 0x58);
	out(GUEST_BM, 0);
	CHECK_EQ(ide_ops.quiesce(&dev), 0);
	CHECK_EQ(fake_ide.channel[0].drive[0].status, 0x50);
}

static void absent_devices_take_no_commands(void)
{
	start();
	task_file(0x1f0, 0xf0, 1, 0);
	out(0x1f7, 0x30);
	out(0x1f7, 0xc8);
	out(0x1f7, 0xec);
	CHECK_EQ(in(0x1f7), 0);
	CHECK_EQ(fake_irqchip.raised[14], 0);
	CHECK_EQ(fake_ide.commands, 0);
	out(0x177, 0xec);
	CHECK_EQ(in(0x177), 0xff);
}

static void odd_accesses_have_answers(void)
{
	start();
	task_file(0x1f0, 0xe0, 1, 0x55);
	CHECK_EQ(fake_vm_read(&vm, true, 0x1f2, 2), 0xffff);
	CHECK_EQ(fake_vm_read(&vm, true, 0x1f4, 4), 0xffffffff);
	fake_vm_write(&vm, true, 0x1f6, 2, 0xecb0);
	fake_vm_write(&vm, true, 0x1f2, 4, 0xffffffff);
	CHECK_EQ(in(0x1f3), 0x55);
	CHECK_EQ(in(0x1f6), 0xe0);
	CHECK_EQ(in(0x1f0), 0xff);
	CHECK_EQ(fake_ide.commands, 0);
	/* Bus-master registers go byte by byte. */
	fake_vm_write(&vm, true, GUEST_BM, 4, 0x00600008);
	CHECK_EQ(fake_vm_read(&vm, true, GUEST_BM, 4), 0x00600008);
	fake_vm_write(&vm, true, GUEST_BM + 5, 2, 0x1234);
	fake_vm_write(&vm, true, GUEST_BM + 4, 1, 0xff);
	CHECK_EQ(fake_vm_read(&vm, true, GUEST_BM + 4, 4), 0x001234fc);
	fake_vm_write(&vm, true, GUEST_BM + 6, 4, 0x00085678);
	CHECK_EQ(fake_vm_read(&vm, true, GUEST_BM + 4, 4), 0x567834fc);
	CHECK_EQ(in(GUEST_BM + 8), 8);
	CHECK_EQ(fake_vm_read(&vm, true, GUEST_BM + 1, 1), 0);
	out(GUEST_BM + 1, 0xff);
	out(GUEST_BM + 3, 0xff);
	CHECK_EQ(in(GUEST_BM + 2), 0x60);
}

static void interrupts_are_not_invented(void)
{
	start();
	ide_ops.poll(&dev);
	host_interrupt();
	CHECK_EQ(fake_irqchip.raised[14] + fake_irqchip.raised[15], 0);
	/* A guest that polls takes the interrupt away before its handler sees it. */
	task_file(0x1f0, 0xe0, 1, 0);
	out(0x3f6, 0x0a);
	out(0x1f7, 0xe7);
	CHECK_EQ(in(0x3f6), 0x50);
	CHECK_EQ(in(0x1f7), 0x50);
	out(0x3f6, 0x08);
	host_interrupt();
	CHECK_EQ(fake_irqchip.raised[14], 0);
	out(0x1f7, 0xe7);
	CHECK_EQ(in(0x1f7), 0x50);
	CHECK_EQ(in(GUEST_BM + 2), 0x64);
	out(GUEST_BM + 2, 0x64);
	host_interrupt();
	CHECK_EQ(fake_irqchip.raised[14], 0);
	CHECK_EQ(in(GUEST_BM + 2), 0x60);
	out(0x3f6, 0x0a);
	out(0x1f7, 0xe7);
	CHECK_EQ(in(0x1f7), 0x50);
	CHECK_EQ(in(GUEST_BM + 2), 0x60);
	out(0x3f6, 0x08);
	/* One that the host missed is found while work is going on. */
	out(0x1f7, 0xe7);
	ide_ops.poll(&dev);
	CHECK_EQ(fake_irqchip.raised[14], 1);
	check_hardware();
}

/* ---- taking and giving back ---- */

static void gives_the_controller_back(void)
{
	start();
	CHECK_EQ(fake_pci_get(fake_pci_find(IDE), PCI_COMMAND, 2) & 5, 5);
	put_prd(0x1000, 0, 0x4000, 0x200, IDE_PRD_END);
	fake_ide.hold_dma = true;
	dma_setup(GUEST_BM, 0x1000);
	task_file(0x1f0, 0xe0, 1, 5);
	out(0x1f7, 0xc8);
	out(GUEST_BM, 9);
	CHECK_EQ(ide_ops.quiesce(&dev), 0);
	CHECK_EQ(fake_ide.channel[0].bm_command, 0);
	CHECK_EQ(fake_ide.channel[0].control, 2);
	CHECK_EQ(fake_ide.channel[0].drive[0].status, 0x50);
	CHECK_EQ(fake_pci_get(fake_pci_find(IDE), PCI_COMMAND, 2) & 4, 0);
	ide_ops.detach(&dev);
	CHECK_EQ(fake_ide.channel[0].bm_table, 0x5000);
	CHECK_EQ(fake_ide.channel[1].bm_table, 0x5100);
	CHECK_EQ(fake_ide.channel[0].bm_status, 0x60);
	CHECK_EQ(fake_ide.channel[0].selected, 0);
	CHECK_EQ(vm.pio.count, 0);
	CHECK(!fake_irqchip.line[14]);
	/* Late calls find nothing to do. */
	ide_ops.detach(&dev);
	CHECK_EQ(ide_ops.quiesce(&dev), 0);
	host_interrupt();
	CHECK_EQ(ide_ops.bar_moved(&dev, 4, 0, false), 0);
	CHECK_EQ(fake_ide.bytes, 0);
	/* And it may be taken again. */
	CHECK_EQ(ide_ops.attach(&dev, &arena), 0);
	ide_ops.detach(&dev);
	arena_seal(&arena);
	CHECK_EQ(ide_ops.attach(&dev, &arena), -E_NOMEM);
}

static void gives_up_on_a_dead_drive(void)
{
	start();
	fake_ide.stuck = true;
	task_file(0x1f0, 0xe0, 1, 5);
	out(0x1f7, 0xe7);
	CHECK_EQ(in(0x1f7), 0x80);
	fake_hw.tsc_step = 1000000; /* a millisecond for each look at the clock */
	CHECK_EQ(ide_ops.quiesce(&dev), -E_TIMEOUT);
	ide_ops.detach(&dev);
	CHECK_EQ(vm.pio.count, 0);
}

static void attaches_only_to_what_it_knows(void)
{
	struct region block = {.base = 0x376, .len = 1};

	prepare();
	fake_pci_find(IDE)->config[9] = 0x85;
	CHECK_EQ(ide_ops.attach(&dev, &arena), -E_NOTSUP);
	prepare();
	fake_pci_find(IDE)->config[9] = 0x00;
	CHECK_EQ(ide_ops.attach(&dev, &arena), -E_NOTSUP);
	prepare();
	fake_pci_set(fake_pci_find(IDE), PCI_BAR0 + 16, 4, 1);
	CHECK_EQ(ide_ops.attach(&dev, &arena), -E_NOTSUP);
	prepare();
	dev.bdf = PCI_BDF(0, 2, 0);
	CHECK_EQ(ide_ops.attach(&dev, &arena), -E_NOTSUP);
	prepare();
	vm.gmem.run[1].hpa = hpa(4 * GIB - 0x1000);
	CHECK_EQ(ide_ops.attach(&dev, &arena), -E_NOTSUP);
	prepare();
	arena_init(&arena, arena_memory, hpa(5 * GIB), ARENA_LEN);
	CHECK_EQ(ide_ops.attach(&dev, &arena), -E_RANGE);
	prepare();
	arena_init(&arena, arena_memory, hpa(ARENA_AT), 128 * KIB);
	CHECK_EQ(ide_ops.attach(&dev, &arena), -E_NOMEM);
	prepare();
	CHECK_EQ(region_add(&vm.pio, &block), 0);
	CHECK_EQ(ide_ops.attach(&dev, &arena), -E_EXIST);
	CHECK_EQ(vm.pio.count, 1);
	CHECK_EQ(ide_ops.quiesce(&dev), 0);
	ide_ops.detach(&dev);
	/* Nothing of all that touched the hardware. */
	CHECK_EQ(fake_hw.log_count, 0);
}

static void bar_goes_where_the_guest_puts_it(void)
{
	struct region block = {.base = 0xe000, .len = 16};

	start();
	CHECK_EQ(region_add(&vm.pio, &block), 0);
	CHECK_EQ(ide_ops.bar_moved(&dev, 4, 0xe008, true), -E_EXIST);
	CHECK_EQ(in(GUEST_BM + 2), 0x60);
	CHECK_EQ(ide_ops.bar_moved(&dev, 4, GUEST_BM, false), 0);
	CHECK_EQ(in(GUEST_BM + 2), 0xff);
	CHECK_EQ(ide_ops.bar_moved(&dev, 4, 0xf000, true), 0);
	CHECK_EQ(in(0xf002), 0x60);
	CHECK_EQ(ide_ops.bar_moved(&dev, 0, 0x1f0, true), -E_NOTSUP);
	CHECK_EQ(ide_ops.bar_moved(&dev, 0, 0x1f0, false), 0);
}

/* Any order of any accesses: no DMA outside of guest memory, no command that writes. */
static void survives_noise(void)
{
	static const uint16_t ports[] = {0x1f0, 0x1f1, 0x1f2, 0x1f3, 0x1f6, 0x1f7, 0x1f7, 0x3f6,
		GUEST_BM, GUEST_BM + 2, GUEST_BM + 4, GUEST_BM + 8};
	static const uint8_t values[] = {0x08, 0x09, 0x01, 0xc8, 0x25, 0xec, 0x20, 0xca, 0x35, 0xe0,
		0xf0, 0x0c, 0x66, 0x0a, 0xef, 0x03};
	uint32_t x = 1;

	start();
	fake_gmem.hostile = false;
	for (unsigned i = 0; i < 300000; i++) {
		uint16_t port;
		uint8_t value;

		x = x * 1664525 + 1013904223;
		port = ports[(x >> 8) % array_size(ports)];
		value = values[(x >> 16) % array_size(values)];
		if (i % 64 == 0)
			put_prd((x >> 4) % 0x1000 & ~3u, 0, x, (uint16_t)(x >> 7), (uint16_t)x);
		if (i % 50 == 0)
			set_table(GUEST_BM, (x >> 4) % 0x1000);
		if (i % 7 == 0)
			host_interrupt();
		else if (x >> 31)
			in(port);
		else
			out(port, value);
	}
	CHECK_EQ(fake_ide.bad_prds, 0);
	CHECK_EQ(fake_ide.data_writes, 0);
	CHECK(fake_ide.commands > 100);
	for (unsigned i = 0; i < fake_ide.commands && i < FAKE_IDE_COMMANDS; i++)
		CHECK(fake_ide.log[i].opcode != 0xca && fake_ide.log[i].opcode != 0x35);
	CHECK_EQ(ide_ops.quiesce(&dev), 0);
	ide_ops.detach(&dev);
}

int main(void)
{
	RUN(finds_devices);
	RUN(identifies_by_polling);
	RUN(reads_by_pio_with_interrupts);
	RUN(reads_by_dma);
	RUN(reads_by_dma_with_48_bits);
	RUN(bus_master_may_start_first);
	RUN(channels_are_apart);
	RUN(sets_the_firmwares_transfer_mode);
	RUN(results_show_in_the_task_file);
	RUN(refuses_everything_else);
	RUN(refusals_keep_nien);
	RUN(refuses_bad_tables);
	RUN(refuses_the_wrong_direction);
	RUN(start_without_command_does_nothing);
	RUN(ignores_what_comes_to_a_busy_device);
	RUN(reset_gets_out_of_everything);
	RUN(short_tables_leave_a_device_that_waits);
	RUN(absent_devices_take_no_commands);
	RUN(odd_accesses_have_answers);
	RUN(interrupts_are_not_invented);
	RUN(gives_the_controller_back);
	RUN(gives_up_on_a_dead_drive);
	RUN(attaches_only_to_what_it_knows);
	RUN(bar_goes_where_the_guest_puts_it);
	RUN(survives_noise);
	return TEST_RESULT();
}
