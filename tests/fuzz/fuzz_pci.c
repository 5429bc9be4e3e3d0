/*
 * The guest's PCI configuration space, MSI-X tables and interrupts: a conversation about an NVMe, an
 * AHCI with MSI and a function that doesn't exist, all the input's. Nothing of it may reach the real
 * machine, and only what the guest enabled may interrupt it.
 */
#include "base/bits.h"
#include "core/interrupt.h"
#include "fakes/fake_hw.h"
#include "fakes/fake_pci.h"
#include "fakes/fake_vm.h"
#include "fuzz.h"
#include "input.h"
#include "pci/filter.h"

#define ECAM	0xb0000000ull
#define DEVICES 3u
#define LINE	11u

static struct vm vm;
static struct pci_filter filter;
static uint8_t pool[256 * KIB] __attribute__((aligned(4096)));
static struct device dev[DEVICES];
static struct region own[DEVICES];
static unsigned moves;

static uint32_t take32(struct input *in)
{
	uint32_t v = take(in);

	for (unsigned i = 1; i < 4; i++)
		v |= (uint32_t)take(in) << 8 * i;
	return v;
}

static enum io_result own_access(struct device *d, struct io_access *a)
{
	(void)d;
	a->value = 0;
	return IO_DONE;
}

/* The first BAR's first pages are the device's own. */
static int bar_moved(struct device *d, unsigned bar, uint64_t base, bool enabled)
{
	moves++;
	return bar ? 0 : region_move(&vm.mmio, &own[d - dev], base, enabled);
}

static const struct device_ops ops = {.name = "fuzz", .bar_moved = bar_moved};

static void make_machine(struct input *in)
{
	static const pci_bdf_t bdf[] = {PCI_BDF(0, 4, 0), PCI_BDF(0, 31, 2)};
	static const struct pci_virtual virtual = {
		.vendor = 0x1af4, .bar_size = {8192, 4096}, .msix_bar = 1};
	struct arena arena;
	uint8_t odd = take(in);

	fake_hw_reset();
	fake_vm_init(&vm);
	fake_pci_q35();
	arena_init(&arena, pool, hpa(0), sizeof(pool));
	/* Now and then, hardware with nonsense in its capabilities. */
	for (unsigned i = 0; i < (odd & 7u); i++)
		fake_pci_set(fake_pci_find(bdf[i & 1]), (i & 1 ? 0x80 : 0x40) + (take(in) & 12u), 4,
			take32(in));
	MUST(!pci_filter_init(&filter, &vm, &arena, gpa(ECAM), 256 * MIB));
	for (unsigned i = 0; i < DEVICES; i++) {
		dev[i] = (struct device){.ops = &ops,
			.vm = &vm,
			.name = "fuzz",
			.irq = LINE,
			.vectors = (uint16_t)(i == 2	? 3
					      : odd & 8 ? 0xffff
							: 5)};
		own[i] = (struct region){
			.len = 0x1000, .dev = &dev[i], .handler = own_access, .name = "own"};
		if (i < 2)
			dev[i].bdf = bdf[i];
	}
	MUST(!pci_filter_add(&filter, &dev[0]) && !pci_filter_add(&filter, &dev[1]));
	MUST(!pci_filter_invent(&filter, &dev[2], &virtual));
	fake_pci.writes = fake_hw.log_count = 0;
}

/* Addresses that mean something: table entries, pending bits, BARs, and beside them. */
static uint64_t take_address(struct input *in, const struct pci_function *fn)
{
	const struct pci_msix *m = &fn->interrupts.msix;
	uint8_t what = take(in);
	uint64_t near = take(in);

	if (!(what & 3))
		return m->table.base + near * (what >> 2 & 15u);
	if ((what & 3) == 1)
		return m->bits.base + near;
	return fn->window[what >> 2 & 1].bar.base + (near << (what >> 3 & 7u)) - (what >> 6);
}

static uint64_t take_message(struct input *in)
{
	uint32_t v = take32(in);

	return v & 1 ? 0xfee00000 | (v & 0xff000) : v;
}

static void step(struct input *in)
{
	uint8_t op = take(in);
	struct device *d = &dev[(op >> 3 & 3u) % DEVICES];
	struct pci_function *fn = d->interrupt_state;
	unsigned size = 1u << (op >> 5 & 3);
	uint8_t at;

	switch (op & 7) {
	case 0:
		fake_vm_write(&vm, true, 0xcf8, 4, 0x80000000u | (uint32_t)d->bdf << 8 | take(in));
		at = take(in);
		fake_vm_write(&vm, true, 0xcfc + (at & 3u), size & 7, take32(in));
		break;
	case 1:
		at = take(in);
		(void)fake_vm_read(&vm, true, 0xcf8 + (at & 7u), size & 7);
		(void)fake_vm_read(&vm, false, ECAM + ((uint64_t)d->bdf << 12) + at, size);
		break;
	case 2:
		at = take(in);
		fake_vm_write(&vm, false, ECAM + ((uint64_t)d->bdf << 12) + at, size, take32(in));
		break;
	case 3:
		fake_vm_write(&vm, false, take_address(in, fn), size, take_message(in));
		break;
	case 4:
		(void)fake_vm_read(&vm, false, take_address(in, fn), size);
		break;
	case 5:
		device_raise(d, op & 0x80 ? take32(in) : take(in) & 7u);
		break;
	case 6:
		device_set_line(d, op & 0x80);
		break;
	default:
		device_message(d, take(in));
		break;
	}
}

static uint64_t count_pending(const struct pci_function *fn)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < fn->interrupts.msix.entries; i += 64)
		n += (unsigned)__builtin_popcountll(fn->interrupts.msix.pending[i / 64]);
	return n;
}

static void check_function(const struct device *d)
{
	const struct pci_function *fn = d->interrupt_state;
	const struct pci_interrupts *i = &fn->interrupts;
	uint32_t command = fn->reg[PCI_COMMAND / 4];
	bool on_line = device_interrupt_mode(d) == INTERRUPT_LINE;

	MUST(i->asserted == (i->level && on_line && !(command & PCI_COMMAND_INTX_OFF)));
	MUST(!(command >> PCI_STATUS_SHIFT & PCI_STATUS_INTX) == !(i->level && on_line));
	MUST(d->vectors <= PCI_MSIX_MAX && d->denied == i->strays);
	/* What could go has gone. */
	if (device_interrupt_mode(d) != INTERRUPT_MSIX)
		MUST(!count_pending(fn));
	else if (!(fn->reg[i->msix.at / 4] >> 16 & PCI_MSIX_MASK))
		for (unsigned n = 0; n < i->msix.entries; n++)
			MUST(!(i->msix.pending[n / 64] >> n % 64 & 1) ||
				i->msix.entry[n].control & PCI_MSIX_MASKED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	make_machine(&in);
	while (in.size) {
		unsigned before = fake_irqchip.messages, asserted = 0;

		moves = 0;
		step(&in);
		for (unsigned i = 0; i < DEVICES; i++) {
			check_function(&dev[i]);
			asserted += ((struct pci_function *)dev[i].interrupt_state)
					    ->interrupts.asserted;
		}
		MUST(fake_irqchip.messages - before <= PCI_MSIX_MAX);
		MUST(filter.sharers[LINE] == asserted && fake_irqchip.line[LINE] == !!asserted);
		MUST(moves <= 3 * PCI_BAR_COUNT);
		MUST(!fake_pci.writes && !fake_hw.log_count);
	}
	for (unsigned i = 0; i < min_u64(fake_irqchip.messages, array_size(fake_irqchip.message));
		i++)
		MUST(fake_irqchip.message[i].address >> 20 == 0xfee);
	return 0;
}
