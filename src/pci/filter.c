/*
 * The PCI configuration filter; see filter.h. State is the caller's. The two handlers and
 * pci_filter_find are on the exit path, everything else runs before the guest.
 */
#include "pci/filter.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/trace.h"

#define PORTS_BASE	 0xcf8u
#define PORTS_LEN	 8u
#define PORT_ADDRESS	 0u /* offsets in the region */
#define PORT_RESET	 1u
#define PORT_DATA	 4u

/*
 * PCI Local Bus Specification 3.0, "Configuration Mechanism". AMD processors take bits 11:8 of the
 * register from bits 27:24: guests use that by the processor, whatever the host bridge is.
 */
#define ADDRESS_ENABLE	 BIT(31)
#define ADDRESS_BDF	 BITS(23, 8)
#define ADDRESS_REGISTER BITS(7, 2)
#define ADDRESS_EXTENDED BITS(27, 24)
#define ADDRESS_WRITABLE (ADDRESS_ENABLE | ADDRESS_EXTENDED | ADDRESS_BDF | ADDRESS_REGISTER)

/* 82371SB (PIIX3) "Reset Control Register": a rising edge of bit 2 resets, bit 1 says how hard. */
#define RESET_CPU	 BIT(2)
#define RESET_WRITABLE	 (BIT(1) | RESET_CPU | BIT(3))

/* Below the IOAPIC, where every PC has its window for 32-bit memory of PCI; not below 2 GiB. */
#define INVENT_TOP	 0xfec00000ull
#define INVENT_BOTTOM	 0x80000000ull

/* ---- the exit path ---- */

struct pci_function *pci_filter_find(struct pci_filter *f, pci_bdf_t bdf)
{
	unsigned row = f->row_of_bus[PCI_BUS(bdf)], n;

	if (!row)
		return NULL;
	n = f->at[row - 1][bdf & 0xff];
	return n ? &f->shown[n - 1] : NULL;
}

/* Hidden functions, the extended space, and accesses across a dword answer as nobody does. */
static enum io_result config_access(
	struct pci_filter *f, pci_bdf_t bdf, uint64_t offset, struct io_access *a)
{
	struct pci_function *fn = pci_filter_find(f, bdf);

	if (fn)
		trace_claim_config(f->vm, fn->dev, (uint32_t)offset);
	if (!fn || !pci_function_access_ok(offset, a->size))
		return IO_REJECT;
	if (a->write)
		pci_function_write(fn, (unsigned)offset, a->size, (uint32_t)a->value);
	else
		a->value = pci_function_read(fn, (unsigned)offset, a->size);
	return IO_DONE;
}

static enum io_result reset_access(struct pci_filter *f, struct io_access *a)
{
	uint8_t old = f->reset_control;

	if (!a->write) {
		a->value = old;
		return IO_DONE;
	}
	f->reset_control = a->value & RESET_WRITABLE;
	if (f->reset_control & ~old & RESET_CPU)
		vm_request_stop(f->vm, STOP_RESET);
	return IO_DONE;
}

/*
 * The address register exists for whole dwords only; among the bytes that it hides is the reset
 * control register at CF9h, for byte accesses. The data port takes any access inside its dword.
 */
static enum io_result ports_access(struct device *dev, struct io_access *a)
{
	struct pci_filter *f = dev->state;

	if (a->offset >= PORT_DATA) {
		if (!(f->address & ADDRESS_ENABLE))
			return IO_REJECT;
		return config_access(f, (pci_bdf_t)FIELD_GET(ADDRESS_BDF, f->address),
			FIELD_GET(ADDRESS_EXTENDED, f->address) * PCI_CONFIG_SIZE +
				(f->address & ADDRESS_REGISTER) + (a->offset - PORT_DATA),
			a);
	}
	if (a->offset == PORT_RESET && a->size == 1)
		return reset_access(f, a);
	if (a->offset != PORT_ADDRESS || a->size != 4)
		return IO_REJECT;
	if (a->write)
		f->address = (uint32_t)(a->value & ADDRESS_WRITABLE);
	else
		a->value = f->address;
	return IO_DONE;
}

static enum io_result ecam_access(struct device *dev, struct io_access *a)
{
	return config_access(
		dev->state, (pci_bdf_t)(a->offset / PCI_ECAM_SIZE), a->offset % PCI_ECAM_SIZE, a);
}

/* ---- before the guest ---- */

static int filter_row(struct pci_filter *f, unsigned bus, uint8_t **ret_row)
{
	if (!f->row_of_bus[bus]) {
		if (f->rows == PCI_SHOWN_BUSES_MAX)
			return -E_NOMEM;
		f->row_of_bus[bus] = (uint8_t)++f->rows;
	}
	*ret_row = f->at[f->row_of_bus[bus] - 1];
	return 0;
}

/* A place for a function that isn't shown yet. */
static int filter_place(struct pci_filter *f, pci_bdf_t bdf, struct pci_function **ret)
{
	uint8_t *row;
	int err;

	if (f->shown_count == PCI_SHOWN_MAX)
		return -E_NOMEM;
	err = filter_row(f, PCI_BUS(bdf), &row);
	if (err)
		return err;
	*ret = &f->shown[f->shown_count++];
	row[bdf & 0xff] = (uint8_t)f->shown_count;
	return 0;
}

static int show_reduced(
	struct pci_filter *f, pci_bdf_t bdf, void (*view)(struct pci_function *fn, pci_bdf_t bdf))
{
	struct pci_function *fn;
	int err;

	if (pci_filter_find(f, bdf))
		return 0;
	err = filter_place(f, bdf, &fn);
	if (!err)
		view(fn, bdf);
	return err;
}

/* Function 0 has the bit if another function of the device is shown. */
static void update_multi(struct pci_filter *f, pci_bdf_t bdf)
{
	struct pci_function *first = pci_filter_find(f, bdf & ~7u);
	bool multi = false;

	for (unsigned n = 1; n < 8; n++)
		multi |= pci_filter_find(f, (pci_bdf_t)((bdf & ~7u) | n)) != NULL;
	if (first)
		pci_function_set_multi(first, multi);
}

/* Guests look for functions 1 to 7 only where there is a function 0. */
static int show_function_0(struct pci_filter *f, pci_bdf_t bdf)
{
	const struct pci_seen *seen = pci_topology_find(&f->topology, bdf & ~7u);

	if (!PCI_FN(bdf) || !seen)
		return 0;
	if ((seen->header & PCI_HEADER_KIND) == PCI_HEADER_BRIDGE)
		return show_reduced(f, seen->bdf, pci_function_bridge);
	return show_reduced(f, seen->bdf, pci_function_placeholder);
}

/* The bridges between bus 0 and a function; the scan bounds their number. */
static int show_path(struct pci_filter *f, const struct pci_seen *fn)
{
	for (unsigned n = 0; n < 256; n++) {
		int err = show_function_0(f, fn->bdf);

		if (err)
			return err;
		update_multi(f, fn->bdf);
		if (fn->bridge == PCI_NO_BRIDGE)
			return 0;
		fn = pci_topology_find(&f->topology, fn->bridge);
		if (!fn)
			return -E_CORRUPT;
		err = show_reduced(f, fn->bdf, pci_function_bridge);
		if (err)
			return err;
	}
	return -E_CORRUPT;
}

/* What Linux takes for granted: the host bridge, and the bridge with the legacy devices. */
static int show_machine(struct pci_filter *f)
{
	for (unsigned i = 0; i < f->topology.count; i++) {
		const struct pci_seen *fn = &f->topology.fn[i];
		int err;

		if (PCI_BUS(fn->bdf) || (fn->bdf && fn->class != PCI_CLASS_ISA))
			continue;
		err = show_reduced(f, fn->bdf, pci_function_reduce);
		if (!err)
			err = show_path(f, fn);
		if (err)
			return err;
	}
	return 0;
}

static int add_regions(struct pci_filter *f, gpa_t ecam_base, uint64_t ecam_len)
{
	int err;

	f->part = (struct device){.vm = f->vm, .state = f, .name = "pci"};
	f->ports = (struct region){.base = PORTS_BASE,
		.len = PORTS_LEN,
		.dev = &f->part,
		.handler = ports_access,
		.name = "pci configuration ports"};
	f->ecam = (struct region){.base = ecam_base.v,
		.len = min_u64(ecam_len, 65536ull * PCI_ECAM_SIZE),
		.dev = &f->part,
		.handler = ecam_access,
		.name = "pci ecam"};
	err = region_add(&f->vm->pio, &f->ports);
	if (err || !ecam_len)
		return err;
	err = region_add(&f->vm->mmio, &f->ecam);
	if (err)
		region_remove(&f->vm->pio, &f->ports);
	return err;
}

int pci_filter_init(struct pci_filter *f, struct vm *vm, struct arena *arena, gpa_t ecam_base,
	uint64_t ecam_len)
{
	int err;

	memset(f, 0, sizeof(*f));
	f->vm = vm;
	f->arena = arena;
	f->shown = arena_alloc(arena, PCI_SHOWN_MAX * sizeof(*f->shown), 64);
	if (!f->shown)
		return -E_NOMEM;
	err = pci_topology_read(&f->topology);
	if (!err)
		err = show_machine(f);
	return err ? err : add_regions(f, ecam_base, ecam_len);
}

static void log_shown(const struct pci_function *fn)
{
	pci_bdf_t bdf =
		fn->bdf; /* NOLINT(clang-analyzer-core.NullDereference): set by pci_filter_init */

	log_line("pci " PCI_BDF_FMT ": shown %s as %04x:%04x class %04x", PCI_BDF_ARGS(bdf),
		fn->is_virtual ? "virtual" : "restricted", fn->reg[0] & 0xffff, fn->reg[0] >> 16,
		fn->reg[PCI_REVISION / 4] >> 16);
	for (unsigned n = 0; n < PCI_BAR_COUNT; n++) {
		const struct pci_bar *bar = &fn->window[n].bar;

		if (bar->size)
			log_line("pci " PCI_BDF_FMT ": bar %u %s 0x%lx + 0x%lx",
				PCI_BDF_ARGS(fn->bdf), n, bar->io ? "ports" : "memory", bar->base,
				bar->size);
	}
	if (fn->dev->vectors)
		log_line("pci " PCI_BDF_FMT ": %u interrupt messages", PCI_BDF_ARGS(bdf),
			fn->dev->vectors);
}

int pci_filter_add(struct pci_filter *f, struct device *dev)
{
	const struct pci_seen *seen = pci_topology_find(&f->topology, dev->bdf);
	struct pci_function *fn;
	int err;

	if (!seen)
		return -E_NOENT;
	if ((seen->header & PCI_HEADER_KIND) != PCI_HEADER_DEVICE)
		return -E_NOTSUP;
	if (!dev->ops || !dev->ops->bar_moved)
		return -E_INVAL;
	fn = pci_filter_find(f, dev->bdf);
	if (fn && !pci_function_is_placeholder(fn))
		return -E_EXIST;
	err = fn ? 0 : filter_place(f, dev->bdf, &fn);
	if (err)
		return err;
	if (dev->trace)
		f->part.trace = TRACE_CLAIM;
	err = pci_function_restrict(fn, dev, f->arena, &f->sharers[dev->irq]);
	if (err)
		return err;
	log_shown(fn);
	return show_path(f, seen);
}

uint8_t pci_filter_last_bus(const struct pci_filter *f)
{
	uint8_t last = 0;

	for (unsigned i = 0; i < f->shown_count; i++) {
		const struct pci_function *fn = &f->shown[i];
		uint32_t kind = pci_function_read(fn, PCI_HEADER_TYPE, 1) & PCI_HEADER_KIND;
		uint8_t bus = (uint8_t)PCI_BUS(fn->bdf);

		if (kind == PCI_HEADER_BRIDGE)
			bus = (uint8_t)max_u64(
				bus, pci_function_read(fn, PCI_BRIDGE_SUBORDINATE, 1));
		last = (uint8_t)max_u64(last, bus);
	}
	return last;
}

int pci_filter_root_pin(const struct pci_filter *f, pci_bdf_t bdf, unsigned pin,
	unsigned *ret_device, unsigned *ret_pin)
{
	/* The scan bounds the number of bridges. */
	for (unsigned n = 0; n < 256; n++) {
		const struct pci_seen *fn;

		/* Virtual functions are all there, and in no scan. */
		if (!PCI_BUS(bdf)) {
			*ret_device = PCI_DEV(bdf);
			*ret_pin = pin;
			return 0;
		}
		fn = pci_topology_find(&f->topology, bdf);
		if (!fn)
			return -E_NOENT;
		pin = (pin + PCI_DEV(bdf)) % 4;
		bdf = fn->bridge;
	}
	return -E_CORRUPT;
}

/* ---- virtual functions ---- */

int pci_filter_reserve(struct pci_filter *f, uint64_t base, uint64_t len)
{
	if (f->reserved_count == PCI_RESERVED_MAX)
		return -E_NOMEM;
	f->reserved[f->reserved_count].base = base;
	f->reserved[f->reserved_count++].len = min_u64(len, ~0ull - base);
	return 0;
}

/* PCI-to-PCI Bridge Architecture Specification 1.2, "Memory Base Register": bits 31:20, inclusive. */
static bool bridge_window_hits(uint32_t reg, uint64_t base, uint64_t len)
{
	uint64_t first = (uint64_t)(reg & 0xfff0) << 16;
	uint64_t last = (reg & 0xfff00000u) | 0xfffffu;

	return first <= last && ranges_overlap(base, len, first, last - first + 1);
}

static bool function_hits(const struct pci_function *fn, uint64_t base, uint64_t len)
{
	uint32_t header = fn->reg[PCI_CACHE_LINE / 4] >> 16 & PCI_HEADER_KIND;

	if (header == PCI_HEADER_BRIDGE)
		return bridge_window_hits(fn->reg[PCI_BRIDGE_MEMORY / 4], base, len) ||
		       bridge_window_hits(fn->reg[PCI_BRIDGE_PREFETCH / 4], base, len);
	for (unsigned n = 0; n < PCI_BAR_COUNT; n++) {
		const struct pci_bar *bar = &fn->window[n].bar;

		if (!bar->io && ranges_overlap(base, len, bar->base, bar->size))
			return true;
	}
	return false;
}

static bool address_taken(const struct pci_filter *f, uint64_t base, uint64_t len)
{
	const struct gmem *m = &f->vm->gmem;

	if (region_overlaps(&f->vm->mmio, base, len, NULL))
		return true;
	for (unsigned i = 0; i < m->count; i++)
		if (ranges_overlap(base, len, m->run[i].gpa.v, m->run[i].len))
			return true;
	for (unsigned i = 0; i < f->reserved_count; i++)
		if (ranges_overlap(base, len, f->reserved[i].base, f->reserved[i].len))
			return true;
	for (unsigned i = 0; i < f->shown_count; i++)
		if (function_hits(&f->shown[i], base, len))
			return true;
	return false;
}

static int find_address(const struct pci_filter *f, uint64_t below, uint64_t size, uint64_t *ret)
{
	for (uint64_t base = align_down(below - size, size); base >= INVENT_BOTTOM; base -= size) {
		if (address_taken(f, base, size))
			continue;
		*ret = base;
		return 0;
	}
	return -E_NOMEM;
}

/* Downwards, so that what the guest knows from the real machine keeps its place in its list. */
static int find_device_number(struct pci_filter *f, pci_bdf_t *ret)
{
	for (unsigned n = 31; n > 0; n--) {
		bool free = true;

		for (unsigned i = 0; i < f->topology.count; i++) {
			pci_bdf_t bdf = f->topology.fn[i].bdf;

			free &= PCI_BUS(bdf) || PCI_DEV(bdf) != n;
		}
		if (!free || pci_filter_find(f, PCI_BDF(0, n, 0)))
			continue;
		*ret = PCI_BDF(0, n, 0);
		return 0;
	}
	return -E_NOMEM;
}

int pci_filter_invent(struct pci_filter *f, struct device *dev, const struct pci_virtual *v)
{
	uint64_t base[PCI_BAR_COUNT] = {0}, below = INVENT_TOP;
	struct pci_function *fn;
	int err;

	if (!dev->ops || !dev->ops->bar_moved)
		return -E_INVAL;
	for (unsigned n = 0; n < PCI_BAR_COUNT; n++) {
		uint32_t size = v->bar_size[n];

		if (!size)
			continue;
		if (size < PAGE_SIZE || size & (size - 1))
			return -E_INVAL;
		err = find_address(f, below, size, &base[n]);
		if (err)
			return err;
		below = base[n];
	}
	err = find_device_number(f, &dev->bdf);
	if (!err)
		err = filter_place(f, dev->bdf, &fn);
	if (!err)
		err = pci_function_invent(fn, dev, v, base, f->arena, &f->sharers[dev->irq]);
	if (err)
		return err;
	if (dev->trace)
		f->part.trace = TRACE_CLAIM;
	log_shown(fn);
	return 0;
}
