/* MSI, MSI-X and the pin of functions in the guest's configuration space. */
#include "core/interrupt.h"
#include "base/error.h"
#include "fakes/fake_hw.h"
#include "fakes/fake_pci.h"
#include "fakes/fake_vm.h"
#include "pci/filter.h"
#include "test.h"

#define NVME	PCI_BDF(0, 4, 0)
#define AHCI	PCI_BDF(0, 31, 2)
#define MSIX	0x40u /* capabilities of the two */
#define MSI	0x80u
#define BAR	0xe0000000ull /* where the guest puts the NVMe's */
#define TABLE	(BAR + 0x2000)
#define PENDING (BAR + 0x3000)
#define ADDRESS 0xfee00000u

static struct vm vm;
static struct pci_filter filter;
static struct arena arena;
static _Alignas(4096) uint8_t memory[256 * 1024];
static struct device dev, other;
static struct region own;
static int own_error;

static enum io_result own_access(struct device *d, struct io_access *a)
{
	(void)d;
	a->value = 0x55;
	return IO_DONE;
}

/* The NVMe's registers are in front of the table, in the same BAR. */
static int bar_moved(struct device *d, unsigned bar, uint64_t base, bool enabled)
{
	if (d != &dev || bar)
		return 0;
	if (enabled && own_error)
		return own_error;
	return region_move(&vm.mmio, &own, base, enabled);
}

static const struct device_ops ops = {.name = "test", .bar_moved = bar_moved};

static void machine(void)
{
	fake_hw_reset();
	fake_vm_init(&vm);
	fake_pci_q35();
	arena_init(&arena, memory, hpa(0x100000), sizeof(memory));
	own = (struct region){.len = 0x2000, .dev = &dev, .handler = own_access, .name = "own"};
	own_error = 0;
	CHECK_EQ(pci_filter_init(&filter, &vm, &arena, gpa(0), 0), 0);
}

static int show(struct device *d, pci_bdf_t bdf, uint16_t vectors)
{
	*d = (struct device){
		.ops = &ops, .vm = &vm, .name = "test", .bdf = bdf, .irq = 11, .vectors = vectors};
	return pci_filter_add(&filter, d);
}

static uint32_t get(pci_bdf_t bdf, unsigned at, unsigned size)
{
	fake_vm_write(&vm, true, 0xcf8, 4, 0x80000000u | (uint32_t)bdf << 8 | (at & 0xfc));
	return (uint32_t)fake_vm_read(&vm, true, (uint16_t)(0xcfc + (at & 3)), size);
}

static void set(pci_bdf_t bdf, unsigned at, unsigned size, uint32_t value)
{
	fake_vm_write(&vm, true, 0xcf8, 4, 0x80000000u | (uint32_t)bdf << 8 | (at & 0xfc));
	fake_vm_write(&vm, true, (uint16_t)(0xcfc + (at & 3)), size, value);
}

static uint64_t peek(uint64_t at, unsigned size)
{
	return fake_vm_read(&vm, false, at, size);
}

static void poke(uint64_t at, unsigned size, uint64_t value)
{
	fake_vm_write(&vm, false, at, size, value);
}

static void control(uint16_t value)
{
	set(NVME, MSIX + 2, 2, value);
}

static void set_entry(unsigned n, uint64_t address, uint32_t data, uint32_t masked)
{
	poke(TABLE + 16 * n, 4, (uint32_t)address);
	poke(TABLE + 16 * n + 4, 4, address >> 32);
	poke(TABLE + 16 * n + 8, 4, data);
	poke(TABLE + 16 * n + 12, 4, masked);
}

/* Five vectors, decoding and bus mastering on, each entry with its own data and unmasked. */
static void start_msix(void)
{
	machine();
	CHECK_EQ(show(&dev, NVME, 5), 0);
	set(NVME, PCI_BAR0 + 4, 4, 0);
	set(NVME, PCI_BAR0, 4, BAR);
	set(NVME, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	for (unsigned n = 0; n < 5; n++)
		set_entry(n, ADDRESS, 0x50 + n, 0);
	fake_pci.writes = fake_hw.log_count = 0;
}

static void check_sent(unsigned messages, uint32_t last)
{
	CHECK_EQ(fake_irqchip.messages, messages);
	if (messages && messages <= array_size(fake_irqchip.message)) {
		CHECK_EQ(fake_irqchip.message[messages - 1].data, last);
		CHECK_EQ(fake_irqchip.message[messages - 1].address >> 20, 0xfee);
	}
}

/* ---- MSI-X ---- */

static void msix_is_shown(void)
{
	machine();
	/* What the real function has is nobody's business. */
	fake_pci_set(fake_pci_find(NVME), MSIX + 2, 2, 0xc040);
	CHECK_EQ(show(&dev, NVME, 5), 0);
	CHECK(get(NVME, PCI_STATUS, 2) & PCI_STATUS_CAPS);
	CHECK_EQ(get(NVME, PCI_CAP_PTR, 1), MSIX);
	CHECK_EQ(get(NVME, MSIX, 4), 0x00040011);
	CHECK_EQ(get(NVME, MSIX + 4, 4), 0x2000);
	CHECK_EQ(get(NVME, MSIX + 8, 4), 0x3000);
	CHECK_EQ(dev.vectors, 5);
	/* Only two bits are the guest's. */
	for (unsigned at = MSIX; at < MSIX + 12; at += 4)
		set(NVME, at, 4, ~0u);
	CHECK_EQ(get(NVME, MSIX, 4), 0xc0040011);
	CHECK_EQ(get(NVME, MSIX + 4, 4), 0x2000);
	CHECK_EQ(get(NVME, MSIX + 8, 4), 0x3000);
	control(0);
	CHECK_EQ(get(NVME, MSIX, 4), 0x00040011);
}

static void vectors_are_limited(void)
{
	/* By what the real function has, and to none if the device knows none. */
	machine();
	fake_pci_set(fake_pci_find(NVME), MSIX + 2, 2, 1);
	CHECK_EQ(show(&dev, NVME, 5), 0);
	CHECK_EQ(dev.vectors, 2);
	CHECK_EQ(get(NVME, MSIX + 2, 2), 1);
	machine();
	CHECK_EQ(show(&dev, NVME, 0), 0);
	CHECK_EQ(get(NVME, PCI_CAP_PTR, 1), 0);
	machine();
	fake_pci_set(fake_pci_find(NVME), MSIX + 2, 2, 0x7ff);
	CHECK_EQ(show(&dev, NVME, 0xffff), 0);
	/* 32 KiB of table in a BAR of 16: a capability that can't be isn't shown. */
	CHECK_EQ(dev.vectors, 0);
	CHECK_EQ(get(NVME, PCI_CAP_PTR, 1), 0);
}

static void impossible_places_are_not_shown(void)
{
	static const uint32_t bad[][2] = {{0x2000, 0x2010}, /* overlap */
		{0x3ff8, 0x3000},			    /* the table leaves the BAR */
		{0x2000, 0x4000},			    /* the pending bits are outside */
		{0x2001, 0x3000},			    /* the upper half of a BAR */
		{0x2002, 0x3002},			    /* no such BAR */
		{0x2000, 0x3006}, {0x2007, 0x3000}, {0xfffffff8, 0x3000}, {0x2000, 0xfffffff8}};

	for (unsigned i = 0; i < array_size(bad); i++) {
		machine();
		fake_pci_set(fake_pci_find(NVME), MSIX + 4, 4, bad[i][0]);
		fake_pci_set(fake_pci_find(NVME), MSIX + 8, 4, bad[i][1]);
		CHECK_EQ(show(&dev, NVME, 5), 0);
		CHECK_EQ(get(NVME, PCI_CAP_PTR, 1), 0);
		CHECK_EQ(dev.vectors, 0);
	}
	machine();
	arena_seal(&arena);
	CHECK_EQ(show(&dev, NVME, 5), -E_NOMEM);
}

static void the_largest_table(void)
{
	struct fake_function *fn;

	machine();
	fn = fake_pci_find(NVME);
	fake_pci_bar_mem(fn, 0, 0x800000000, 65536, true);
	fake_pci_set(fn, MSIX + 2, 2, 0x7ff);
	fake_pci_set(fn, MSIX + 4, 4, 0x4000);
	CHECK_EQ(show(&dev, NVME, PCI_MSIX_MAX), 0);
	CHECK_EQ(dev.vectors, PCI_MSIX_MAX);
	set(NVME, PCI_BAR0 + 4, 4, 0);
	set(NVME, PCI_BAR0, 4, BAR);
	set(NVME, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	control(0x8000);
	device_raise(&dev, 2047);
	device_raise(&dev, 2048);
	device_raise(&dev, ~0u);
	CHECK_EQ(peek(PENDING + 248, 8), 1ull << 63);
	CHECK_EQ(peek(PENDING + 256, 8), ~0ull);
	poke(BAR + 0x4000 + 16 * 2047, 8, ADDRESS);
	poke(BAR + 0x4000 + 16 * 2047 + 8, 8, 0x77);
	check_sent(1, 0x77);
	CHECK_EQ(peek(PENDING + 248, 8), 0);
}

static void msix_messages(void)
{
	start_msix();
	device_raise(&dev, 1);
	CHECK_EQ(fake_irqchip.messages, 0);
	CHECK(fake_irqchip.line[11]);
	/* Enabled: the pin falls and stays down. */
	control(0x8000);
	CHECK(!fake_irqchip.line[11]);
	CHECK(!(get(NVME, PCI_STATUS, 2) & PCI_STATUS_INTX));
	for (unsigned n = 0; n < 5; n++) {
		device_raise(&dev, n);
		check_sent(n + 1, 0x50 + n);
	}
	device_raise(&dev, 5);
	device_raise(&dev, 0xffff);
	CHECK_EQ(fake_irqchip.messages, 5);
	CHECK(!fake_irqchip.line[11]);
	/* Off again: what the device still wants of its pin is there. */
	control(0);
	CHECK(fake_irqchip.line[11]);
	device_lower(&dev);
	CHECK(!fake_irqchip.line[11]);
	/* Nothing of it reaches the hardware. */
	CHECK_EQ(fake_pci.writes, 0);
	CHECK_EQ(fake_hw.log_count, 0);
}

static void masked_entries_stay_pending(void)
{
	start_msix();
	control(0x8000);
	set_entry(2, ADDRESS, 0x52, 1);
	device_raise(&dev, 2);
	device_raise(&dev, 2);
	CHECK_EQ(fake_irqchip.messages, 0);
	CHECK_EQ(peek(PENDING, 8), 4);
	CHECK_EQ(peek(PENDING, 4), 4);
	CHECK_EQ(peek(PENDING + 4, 4), 0);
	poke(PENDING, 8, 0);
	poke(PENDING, 4, ~0u);
	CHECK_EQ(peek(PENDING, 8), 4);
	/* Once, with what the entry says by now. */
	poke(TABLE + 16 * 2 + 8, 4, 0x99);
	CHECK_EQ(fake_irqchip.messages, 0);
	poke(TABLE + 16 * 2 + 12, 4, 0);
	check_sent(1, 0x99);
	CHECK_EQ(peek(PENDING, 8), 0);
	poke(TABLE + 16 * 2 + 12, 4, 0);
	CHECK_EQ(fake_irqchip.messages, 1);
	/* Data and control by one access: the message has the new data. */
	poke(TABLE + 16 * 2 + 12, 4, 1);
	device_raise(&dev, 2);
	poke(TABLE + 16 * 2 + 8, 8, 0x98);
	check_sent(2, 0x98);
}

static void the_function_mask(void)
{
	start_msix();
	control(0xc000);
	set_entry(3, ADDRESS, 0x53, 1);
	for (unsigned n = 0; n < 5; n++)
		device_raise(&dev, n);
	CHECK_EQ(fake_irqchip.messages, 0);
	CHECK_EQ(peek(PENDING, 8), 0x1f);
	poke(TABLE + 12, 4, 0);
	CHECK_EQ(fake_irqchip.messages, 0);
	control(0x8000);
	check_sent(4, 0x54);
	CHECK_EQ(peek(PENDING, 8), 8);
	/* Writing the same again changes nothing. */
	control(0x8000);
	CHECK_EQ(fake_irqchip.messages, 4);
	/* Disabled: nothing is pending any more, in the whole table. */
	control(0);
	CHECK_EQ(peek(PENDING, 8), 0);
	control(0x8000);
	poke(TABLE + 16 * 3 + 12, 4, 0);
	CHECK_EQ(fake_irqchip.messages, 4);
}

static void odd_accesses_of_the_table(void)
{
	static const uint8_t size[] = {1, 2, 4, 8};

	start_msix();
	for (unsigned s = 0; s < array_size(size); s++)
		for (uint64_t at = 0; at < 16; at++) {
			bool good = size[s] >= 4 && at % size[s] == 0;
			uint64_t all = size[s] < 8 ? (1ull << size[s] * 8) - 1 : ~0ull;

			set_entry(1, ADDRESS, 0x51, 0);
			if (!good)
				CHECK_EQ(peek(TABLE + 16 + at, size[s]), all);
			poke(TABLE + 16 + at, size[s], ~0ull);
			CHECK_EQ(peek(TABLE + 16, 8) == ADDRESS && peek(TABLE + 24, 8) == 0x51,
				!good);
			if (!good)
				CHECK_EQ(peek(PENDING + at % 8, size[s]), all);
		}
	/* Bits that don't exist. */
	poke(TABLE, 4, ~0u);
	CHECK_EQ(peek(TABLE, 4), 0xfffffffc);
	poke(TABLE + 12, 4, ~0u);
	CHECK_EQ(peek(TABLE + 12, 4), 1);
	poke(TABLE, 8, 0x1122334455667788);
	CHECK_EQ(peek(TABLE, 8), 0x1122334455667788);
	/* Behind both ends is nobody, and in front of the table the device. */
	CHECK_EQ(peek(TABLE + 80, 4), 0xffffffff);
	CHECK_EQ(peek(TABLE + 76, 8), ~0ull);
	CHECK_EQ(peek(PENDING + 8, 4), 0xffffffff);
	CHECK_EQ(peek(TABLE - 4, 4), 0x55);
	CHECK_EQ(fake_hw.log_count, 0);
}

static void hostile_messages_are_dropped(void)
{
	static const uint64_t bad[] = {0, 0x1000, 0xfed00000, 0xfef00000, 0x1fee00000,
		0xfee00000fee00000, 0xfec00000, 0xfffffffffffffffc, 0xfedffffc, 0x7ee00000};
	static const uint64_t good[] = {0xfee00000, 0xfeefffff, 0xfee0100c};

	start_msix();
	control(0x8000);
	for (unsigned i = 0; i < array_size(bad); i++) {
		set_entry(0, bad[i], 0x50, 0);
		device_raise(&dev, 0);
	}
	CHECK_EQ(fake_irqchip.messages, 0);
	CHECK_EQ(dev.denied, array_size(bad));
	CHECK_EQ(pci_filter_find(&filter, NVME)->interrupts.strays, array_size(bad));
	for (unsigned i = 0; i < array_size(good); i++) {
		set_entry(0, good[i], 0x60 + i, 0);
		device_raise(&dev, 0);
		check_sent(i + 1, 0x60 + i);
		CHECK_EQ(fake_irqchip.message[i].address, good[i] & ~3ull);
	}
	/* A write to memory takes a bus master. */
	set(NVME, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	device_raise(&dev, 0);
	CHECK_EQ(fake_irqchip.messages, 3);
	CHECK_EQ(dev.denied, array_size(bad));
	CHECK_EQ(fake_hw.log_count, 0);
}

static void nobody_takes_messages(void)
{
	struct irqchip_ops pic_only = *vm.irqchip;

	start_msix();
	pic_only.message = NULL;
	vm.irqchip = &pic_only;
	control(0x8000);
	device_raise(&dev, 0);
	CHECK_EQ(fake_irqchip.messages, 0);
	CHECK(!fake_irqchip.line[11]);
	vm.irqchip = NULL;
}

static void the_table_follows_its_bar(void)
{
	start_msix();
	set_entry(0, ADDRESS, 0x12345678, 0);
	set(NVME, PCI_BAR0, 4, 0xd0000000);
	CHECK_EQ(peek(TABLE + 8, 4), 0xffffffff);
	CHECK_EQ(peek(0xd0002008, 4), 0x12345678);
	CHECK_EQ(peek(0xd0003000, 4), 0);
	/* To where the old place overlaps the new one. */
	set(NVME, PCI_BAR0, 4, 0xd0004000);
	CHECK_EQ(peek(0xd0006008, 4), 0x12345678);
	/* A device that refuses takes its table with it; so does a table that can't go there. */
	own_error = -E_EXIST;
	set(NVME, PCI_BAR0, 4, 0xc0000000);
	CHECK_EQ(peek(0xc0002008, 4), 0xffffffff);
	CHECK_EQ(peek(0xd0006008, 4), 0xffffffff);
	own_error = 0;
	set(NVME, PCI_BAR0, 4, 0xd0000000);
	CHECK_EQ(peek(0xd0002008, 4), 0x12345678);
	other = (struct device){.vm = &vm};
	static struct region block = {.base = 0xb0003004, .len = 4, .handler = own_access};
	block.dev = &other;
	CHECK_EQ(region_add(&vm.mmio, &block), 0);
	set(NVME, PCI_BAR0, 4, 0xb0000000);
	CHECK_EQ(peek(0xb0000000, 4), 0xffffffff);
	CHECK_EQ(peek(0xb0002008, 4), 0xffffffff);
	CHECK_EQ(vm.mmio.count, 1);
	region_remove(&vm.mmio, &block);
	set(NVME, PCI_COMMAND, 2, 0);
	CHECK_EQ(vm.mmio.count, 0);
	set(NVME, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	CHECK_EQ(vm.mmio.count, 3);
	CHECK_EQ(peek(0xb0002008, 4), 0x12345678);
}

/* ---- MSI ---- */

static void start_msi(uint16_t shape, uint16_t vectors)
{
	struct fake_function *fn;

	machine();
	fn = fake_pci_find(AHCI);
	fake_pci_set(fn, MSI + 2, 2, shape);
	for (unsigned at = MSI + 4; at < MSI + 24; at += 4)
		fake_pci_set(fn, at, 4, 0xfee03000 + at);
	CHECK_EQ(show(&dev, AHCI, vectors), 0);
	set(AHCI, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	fake_pci.writes = 0;
}

static void msi_in_its_four_shapes(void)
{
	static const struct {
		uint16_t shape, shown;
		unsigned data, mask, len;
	} c[] = {{0x0007, 0x0004, 8, 0, 12}, {0x00f7, 0x0084, 12, 0, 16},
		{0x0106, 0x0104, 8, 12, 20}, {0x01b7, 0x0184, 12, 16, 24}};

	for (unsigned i = 0; i < array_size(c); i++) {
		start_msi(c[i].shape, 4);
		CHECK_EQ(dev.vectors, 4);
		CHECK_EQ(get(AHCI, MSI, 4), (uint32_t)c[i].shown << 16 | 5);
		/* The host's message isn't shown. */
		for (unsigned at = 4; at < 24; at += 4)
			CHECK_EQ(get(AHCI, MSI + at, 4), 0);
		for (unsigned at = 4; at < 28; at += 4)
			set(AHCI, MSI + at, 4, ~0u);
		CHECK_EQ(get(AHCI, MSI + 4, 4), 0xfffffffc);
		CHECK_EQ(get(AHCI, MSI + c[i].data, 4), 0xffff);
		if (c[i].data == 12)
			CHECK_EQ(get(AHCI, MSI + 8, 4), 0xffffffff);
		if (c[i].mask)
			CHECK_EQ(get(AHCI, MSI + c[i].mask, 4), 0xf);
		if (c[i].mask)
			CHECK_EQ(get(AHCI, MSI + c[i].mask + 4, 4), 0);
		CHECK_EQ(get(AHCI, MSI + c[i].len, 4), 0);
		set(AHCI, MSI + 2, 2, 0xffff);
		CHECK_EQ(get(AHCI, MSI + 2, 2), c[i].shown | 0x71u);
		CHECK_EQ(fake_pci.writes, 0);
	}
}

static void msi_messages(void)
{
	start_msi(0x0086, 8);
	set(AHCI, MSI + 4, 4, ADDRESS | 0x1000);
	set(AHCI, MSI + 12, 2, 0x4457);
	device_raise(&dev, 3);
	CHECK(fake_irqchip.line[11]);
	/* Four of eight: those share. */
	set(AHCI, MSI + 2, 2, 0x0021);
	CHECK(!fake_irqchip.line[11]);
	device_raise(&dev, 3);
	check_sent(1, 0x4457);
	CHECK_EQ(fake_irqchip.message[0].address, 0xfee01000);
	device_raise(&dev, 0);
	check_sent(2, 0x4454);
	device_raise(&dev, 6);
	check_sent(3, 0x4456);
	/* One; then more than there are. */
	set(AHCI, MSI + 2, 2, 0x0001);
	device_raise(&dev, 7);
	check_sent(4, 0x4457);
	set(AHCI, MSI + 2, 2, 0x0071);
	device_raise(&dev, 12);
	check_sent(5, 0x4454);
	set(AHCI, MSI + 8, 4, 1);
	device_raise(&dev, 1);
	CHECK_EQ(fake_irqchip.messages, 5);
	CHECK_EQ(dev.denied, 1);
}

static void msi_masks(void)
{
	start_msi(0x0184, 4);
	set(AHCI, MSI + 4, 4, ADDRESS);
	set(AHCI, MSI + 12, 2, 0x40);
	set(AHCI, MSI + 16, 4, 0xa);
	set(AHCI, MSI + 2, 2, 0x0021);
	for (unsigned n = 0; n < 4; n++)
		device_raise(&dev, n);
	check_sent(2, 0x42);
	CHECK_EQ(get(AHCI, MSI + 20, 4), 0xa);
	set(AHCI, MSI + 20, 4, 0);
	CHECK_EQ(get(AHCI, MSI + 20, 4), 0xa);
	set(AHCI, MSI + 16, 4, 2);
	check_sent(3, 0x43);
	CHECK_EQ(get(AHCI, MSI + 20, 4), 2);
	set(AHCI, MSI + 2, 2, 0x0020);
	CHECK_EQ(get(AHCI, MSI + 20, 4), 0);
	set(AHCI, MSI + 2, 2, 0x0021);
	set(AHCI, MSI + 16, 4, 0);
	CHECK_EQ(fake_irqchip.messages, 3);
}

static void msi_without_room_is_not_shown(void)
{
	struct fake_function *fn;

	machine();
	fn = fake_pci_find(AHCI);
	fn->config[PCI_CAP_PTR] = 0xf4;
	fn->config[0xf4] = PCI_CAP_MSI;
	fn->config[0xf6] = 0x80;
	CHECK_EQ(show(&dev, AHCI, 4), 0);
	CHECK_EQ(get(AHCI, PCI_CAP_PTR, 1), 0);
	CHECK_EQ(dev.vectors, 0);
}

static void msix_wins_over_msi(void)
{
	struct fake_function *fn;

	machine();
	fn = fake_pci_find(NVME);
	fake_pci_cap(fn, PCI_CAP_MSI, 0x90);
	fake_pci_set(fn, 0x92, 2, 0x0080);
	CHECK_EQ(show(&dev, NVME, 5), 0);
	CHECK_EQ(get(NVME, MSIX + 1, 1), 0x90);
	CHECK_EQ(get(NVME, 0x91, 1), 0);
	CHECK_EQ(dev.vectors, 5);
	set(NVME, PCI_BAR0 + 4, 4, 0);
	set(NVME, PCI_BAR0, 4, BAR);
	set(NVME, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	set_entry(0, ADDRESS, 0x50, 0);
	set(NVME, 0x94, 4, ADDRESS);
	set(NVME, 0x9c, 2, 0x70);
	set(NVME, 0x92, 2, 1);
	device_raise(&dev, 0);
	check_sent(1, 0x70);
	control(0x8000);
	device_raise(&dev, 0);
	check_sent(2, 0x50);
	CHECK(device_interrupt_mode(&dev) == INTERRUPT_MSIX);
	control(0);
	CHECK(device_interrupt_mode(&dev) == INTERRUPT_MSI);
}

/* ---- the pin ---- */

static void the_pin_can_be_switched_off(void)
{
	start_msix();
	set(NVME, PCI_COMMAND, 2, PCI_COMMAND_INTX_OFF);
	device_raise(&dev, 0);
	CHECK(!fake_irqchip.line[11]);
	CHECK(get(NVME, PCI_STATUS, 2) & PCI_STATUS_INTX);
	set(NVME, PCI_COMMAND, 2, 0);
	CHECK(fake_irqchip.line[11]);
	set(NVME, PCI_COMMAND + 1, 1, PCI_COMMAND_INTX_OFF >> 8);
	CHECK(!fake_irqchip.line[11]);
	device_lower(&dev);
	CHECK(!(get(NVME, PCI_STATUS, 2) & PCI_STATUS_INTX));
	set(NVME, PCI_COMMAND, 2, 0);
	CHECK(!fake_irqchip.line[11]);
}

static void functions_share_a_line(void)
{
	start_msix();
	CHECK_EQ(show(&other, AHCI, 1), 0);
	device_raise(&dev, 0);
	device_raise(&dev, 0);
	device_raise(&other, 0);
	device_lower(&dev);
	CHECK(fake_irqchip.line[11]);
	CHECK_EQ(fake_irqchip.raised[11], 1);
	set(AHCI, PCI_COMMAND, 2, PCI_COMMAND_INTX_OFF);
	CHECK(!fake_irqchip.line[11]);
	set(AHCI, PCI_COMMAND, 2, 0);
	device_raise(&dev, 0);
	control(0x8000);
	CHECK(fake_irqchip.line[11]);
	device_lower(&other);
	CHECK(!fake_irqchip.line[11]);
	device_lower(&other);
	CHECK_EQ(filter.sharers[11], 0);
}

static void a_device_without_a_function(void)
{
	machine();
	dev = (struct device){.vm = &vm, .irq = 5};
	CHECK(device_interrupt_mode(&dev) == INTERRUPT_LINE);
	device_raise(&dev, 7);
	CHECK(fake_irqchip.line[5]);
	device_message(&dev, 7);
	CHECK_EQ(fake_irqchip.messages, 0);
	device_lower(&dev);
	CHECK(!fake_irqchip.line[5]);
}

/* ---- functions that exist in the guest's machine only ---- */

static void invented_functions_have_msix(void)
{
	static const struct pci_virtual v = {
		.vendor = 0x1af4, .bar_size = {0, 0, 4096}, .msix_bar = 2};
	static const struct pci_virtual no_bar = {.vendor = 0x1af4, .msix_bar = 2};
	uint64_t table;

	machine();
	dev = (struct device){.ops = &ops, .vm = &vm, .name = "test", .irq = 10, .vectors = 129};
	CHECK_EQ(pci_filter_invent(&filter, &dev, &v), -E_INVAL); /* 2064 bytes in one half */
	dev.vectors = 128;
	CHECK_EQ(pci_filter_invent(&filter, &dev, &v), 0);
	CHECK_EQ(get(dev.bdf, PCI_CAP_PTR, 1), 0x40);
	CHECK_EQ(get(dev.bdf, 0x40, 4), 0x007f0011);
	CHECK_EQ(get(dev.bdf, 0x44, 4), 2);
	CHECK_EQ(get(dev.bdf, 0x48, 4), 0x802);
	CHECK(get(dev.bdf, PCI_STATUS, 2) & PCI_STATUS_CAPS);
	table = get(dev.bdf, PCI_BAR0 + 8, 4) & ~0xfu;
	set(dev.bdf, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	poke(table + 127 * 16, 8, ADDRESS);
	poke(table + 127 * 16 + 8, 8, 0x66);
	set(dev.bdf, 0x42, 2, 0x8000);
	device_raise(&dev, 127);
	check_sent(1, 0x66);
	other = (struct device){.ops = &ops, .vm = &vm, .irq = 10, .vectors = 1};
	CHECK_EQ(pci_filter_invent(&filter, &other, &no_bar), -E_INVAL);
}

int main(void)
{
	RUN(msix_is_shown);
	RUN(vectors_are_limited);
	RUN(impossible_places_are_not_shown);
	RUN(the_largest_table);
	RUN(msix_messages);
	RUN(masked_entries_stay_pending);
	RUN(the_function_mask);
	RUN(odd_accesses_of_the_table);
	RUN(hostile_messages_are_dropped);
	RUN(nobody_takes_messages);
	RUN(the_table_follows_its_bar);
	RUN(msi_in_its_four_shapes);
	RUN(msi_messages);
	RUN(msi_masks);
	RUN(msi_without_room_is_not_shown);
	RUN(msix_wins_over_msi);
	RUN(the_pin_can_be_switched_off);
	RUN(functions_share_a_line);
	RUN(a_device_without_a_function);
	RUN(invented_functions_have_msix);
	return TEST_RESULT();
}
