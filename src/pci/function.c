/*
 * The modelled configuration space of one function; see function.h. State is the caller's. Reads,
 * writes and the decoding that follows from them are on the exit path; building a view is not.
 */
#include "pci/function.h"
#include "base/error.h"
#include "base/mem.h"
#include "core/vm.h"
#include "pci/caps.h"

#define COMMAND_WRITABLE                                                                           \
	(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_OFF)

/*
 * Registers behind the header that a driver must find as the firmware set them; read-only.
 * 82371AB (PIIX4) "IDE Configuration Registers": IDETIM has the channels' enable bits, without
 * which a driver takes a channel for absent. Bytes, inclusive.
 */
static const struct {
	uint16_t vendor, class;
	uint8_t first, last;
} shown_registers[] = {
	{0x8086, PCI_CLASS_IDE, 0x40, 0x4b},
	{0x8086, PCI_CLASS_IDE, 0x54, 0x57},
};

static uint32_t real_dword(pci_bdf_t bdf, unsigned offset)
{
	return hw_pci_read(bdf, offset, 4);
}

static void copy_dword(struct pci_function *fn, unsigned offset)
{
	fn->reg[offset / 4] = real_dword(fn->bdf, offset);
}

static uint32_t config_bits(const struct pci_function *fn, unsigned offset, unsigned size)
{
	return (uint32_t)((fn->reg[offset / 4] >> (offset % 4 * 8)) & size_mask(size));
}

/* Identity, command as found, the constant part of status, and the header type. */
static void view_identity(struct pci_function *fn, pci_bdf_t bdf)
{
	memset(fn, 0, sizeof(*fn));
	fn->bdf = bdf;
	copy_dword(fn, PCI_VENDOR_ID);
	fn->reg[PCI_COMMAND / 4] = real_dword(bdf, PCI_COMMAND) &
				   (COMMAND_WRITABLE | PCI_STATUS_FIXED << PCI_STATUS_SHIFT);
	copy_dword(fn, PCI_REVISION);
	fn->reg[PCI_CACHE_LINE / 4] = (uint32_t)FIELD_PUT(
		BITS(23, 16), hw_pci_read(bdf, PCI_HEADER_TYPE, 1) & PCI_HEADER_KIND);
}

void pci_function_reduce(struct pci_function *fn, pci_bdf_t bdf)
{
	view_identity(fn, bdf);
	if (!config_bits(fn, PCI_HEADER_TYPE, 1))
		copy_dword(fn, PCI_SUBSYSTEM);
}

void pci_function_bridge(struct pci_function *fn, pci_bdf_t bdf)
{
	view_identity(fn, bdf);
	copy_dword(fn, PCI_BRIDGE_BUSES);
	/* The upper half is the secondary status: errors behind the bridge are the host's. */
	fn->reg[PCI_BRIDGE_IO / 4] = hw_pci_read(bdf, PCI_BRIDGE_IO, 2);
	copy_dword(fn, PCI_BRIDGE_MEMORY);
	copy_dword(fn, PCI_BRIDGE_PREFETCH);
	copy_dword(fn, PCI_BRIDGE_BASE_HIGH);
	copy_dword(fn, PCI_BRIDGE_LIM_HIGH);
	copy_dword(fn, PCI_BRIDGE_IO_HIGH);
	fn->reg[PCI_INT_LINE / 4] = (uint32_t)hw_pci_read(bdf, PCI_BRIDGE_CONTROL, 2) << 16;
}

void pci_function_placeholder(struct pci_function *fn, pci_bdf_t bdf)
{
	memset(fn, 0, sizeof(*fn));
	fn->bdf = bdf;
	fn->reg[PCI_VENDOR_ID / 4] = hw_pci_read(bdf, PCI_VENDOR_ID, 2) | 0xfffe0000u;
	fn->reg[PCI_REVISION / 4] = PCI_CLASS_UNKNOWN << 16;
}

bool pci_function_is_placeholder(const struct pci_function *fn)
{
	return !fn->dev && fn->reg[PCI_REVISION / 4] == PCI_CLASS_UNKNOWN << 16;
}

/* BARs that mean nothing: channels of an IDE controller in compatibility mode have fixed ports. */
static unsigned unused_bars(uint16_t class, uint8_t prog_if)
{
	unsigned unused = 0;

	if (class != PCI_CLASS_IDE)
		return 0;
	if (!(prog_if & PCI_IDE_NATIVE_0))
		unused |= BIT(0) | BIT(1);
	if (!(prog_if & PCI_IDE_NATIVE_1))
		unused |= BIT(2) | BIT(3);
	return unused;
}

static void show_bar(struct pci_function *fn, unsigned n, const struct pci_bar *bar)
{
	unsigned r = PCI_BAR0 / 4 + n;
	uint64_t writable = ~(bar->size - 1);

	fn->window[n].bar = *bar;
	if (!bar->size)
		return;
	if (bar->io)
		writable &= bar->short_io ? 0xfffcu : 0xfffffffcu;
	else
		writable &= ~(uint64_t)PCI_BAR_MEM_FLAGS;
	fn->reg[r] = (uint32_t)(bar->base & writable) | bar->flags;
	fn->writable[r] = (uint32_t)writable;
	if (bar->wide) {
		fn->reg[r + 1] = (uint32_t)(bar->base >> 32);
		fn->writable[r + 1] = (uint32_t)(writable >> 32);
	}
}

static void show_bars(struct pci_function *fn, unsigned unused)
{
	struct pci_bar bar[PCI_BAR_COUNT];

	pci_bars_probe(fn->bdf, unused, bar);
	/* The upper half of a wide register has a size of 0, and keeps what its lower half wrote. */
	for (unsigned n = 0; n < PCI_BAR_COUNT; n++)
		show_bar(fn, n, &bar[n]);
}

static void show_extra_registers(struct pci_function *fn, uint16_t class)
{
	uint16_t vendor = (uint16_t)config_bits(fn, PCI_VENDOR_ID, 2);

	for (unsigned i = 0; i < array_size(shown_registers); i++) {
		if (shown_registers[i].vendor != vendor || shown_registers[i].class != class)
			continue;
		for (unsigned at = shown_registers[i].first; at < shown_registers[i].last; at += 4)
			copy_dword(fn, at);
	}
}

/*
 * The model of the real MSI-X capability, as far as the device can use it. One that can't be right isn't
 * shown. *ret_shown is the number of vectors.
 */
static int show_msix(struct pci_function *fn, struct arena *arena, unsigned *ret_shown)
{
	unsigned at = hw_pci_find_cap(fn->bdf, PCI_CAP_MSIX);
	uint32_t table, bits;
	uint16_t vectors;
	int err;

	*ret_shown = 0;
	if (!at || !fn->dev->vectors)
		return 0;
	table = real_dword(fn->bdf, at + PCI_MSIX_TABLE);
	bits = real_dword(fn->bdf, at + PCI_MSIX_PENDING);
	vectors = (uint16_t)((hw_pci_read(fn->bdf, at + PCI_MSIX_CONTROL, 2) & PCI_MSIX_SIZE) + 1);
	vectors = (uint16_t)min_u64(vectors, fn->dev->vectors);
	err = pci_msix_show(fn, at,
		&(struct pci_msix_place){.table_bar = table & PCI_MSIX_BAR,
			.pending_bar = bits & PCI_MSIX_BAR,
			.table_at = table & ~PCI_MSIX_BAR,
			.pending_at = bits & ~PCI_MSIX_BAR},
		vectors, arena);
	if (!err)
		*ret_shown = vectors;
	return err == -E_INVAL ? 0 : err;
}

static unsigned show_msi(struct pci_function *fn)
{
	unsigned at = hw_pci_find_cap(fn->bdf, PCI_CAP_MSI), vectors;
	uint16_t control;

	if (!at || !fn->dev->vectors)
		return 0;
	control = (uint16_t)hw_pci_read(fn->bdf, at + PCI_MSI_CONTROL, 2);
	vectors = 1u << FIELD_GET(PCI_MSI_CAPABLE, control);
	vectors = (unsigned)min_u64(vectors, fn->dev->vectors);
	return pci_msi_show(fn, at, control, vectors) ? 0 : vectors;
}

/* The device learns how many of its messages are left. */
static int show_caps(struct pci_function *fn, struct arena *arena)
{
	unsigned msix, msi = show_msi(fn);
	int err = show_msix(fn, arena, &msix);
	const struct pci_cap_rule rules[] = {{PCI_CAP_MSI, msi ? PCI_CAP_HEADER : 0},
		{PCI_CAP_MSIX, msix ? PCI_CAP_HEADER : 0}, {0, 0}};

	fn->dev->vectors = (uint16_t)max_u64(msix, msi);
	fn->reg[PCI_CAP_PTR / 4] = pci_caps_show(rules, fn->bdf, (uint8_t *)(void *)fn->reg);
	if (fn->reg[PCI_CAP_PTR / 4])
		fn->reg[PCI_COMMAND / 4] |= PCI_STATUS_CAPS << PCI_STATUS_SHIFT;
	return err;
}

int pci_function_restrict(
	struct pci_function *fn, struct device *dev, struct arena *arena, uint8_t *sharers)
{
	uint32_t class_rev = real_dword(dev->bdf, PCI_REVISION);
	uint16_t class = (uint16_t)(class_rev >> 16);
	unsigned unused = unused_bars(class, (uint8_t)(class_rev >> 8));
	unsigned pin = unused == BITS(3, 0) ? 0 : 1;

	view_identity(fn, dev->bdf);
	fn->dev = dev;
	/* The guest's driver switches decoding on; until then no region of the device answers. */
	fn->reg[PCI_COMMAND / 4] &= ~COMMAND_WRITABLE;
	fn->writable[PCI_COMMAND / 4] = COMMAND_WRITABLE;
	fn->writable[PCI_CACHE_LINE / 4] = 0xffff; /* cache line and latency: of no effect here */
	copy_dword(fn, PCI_SUBSYSTEM);
	show_bars(fn, unused);
	show_extra_registers(fn, class);
	pci_interrupts_init(fn, sharers);
	/* Pin A, but none where the lines are fixed. */
	fn->reg[PCI_INT_LINE / 4] = dev->irq | pin << 8;
	fn->writable[PCI_INT_LINE / 4] = 0xff;
	return show_caps(fn, arena);
}

static int invent_caps(struct pci_function *fn, const struct pci_virtual *v, struct arena *arena)
{
	const struct pci_msix_place place = {.table_bar = v->msix_bar,
		.pending_bar = v->msix_bar,
		.pending_at = (uint32_t)(fn->window[v->msix_bar % PCI_BAR_COUNT].bar.size / 2)};
	uint8_t *config = (uint8_t *)(void *)fn->reg;
	unsigned at = PCI_CAP_FIRST, link = PCI_CAP_PTR;

	for (unsigned i = 0; i < v->caps; i++) {
		const struct pci_virtual_cap *cap = &v->cap[i];

		if (cap->len < 2 || !range_fits(at, cap->len, PCI_CONFIG_SIZE))
			return -E_INVAL;
		memcpy(config + at, cap->data, cap->len);
		config[at + 1] = 0;
		config[link] = (uint8_t)at;
		link = at + 1;
		at = (unsigned)align_up(at + cap->len, 4);
	}
	if (v->caps || fn->dev->vectors)
		fn->reg[PCI_COMMAND / 4] |= PCI_STATUS_CAPS << PCI_STATUS_SHIFT;
	if (!fn->dev->vectors)
		return 0;
	if (!range_fits(at, PCI_MSIX_LEN, PCI_CONFIG_SIZE))
		return -E_INVAL;
	config[at] = PCI_CAP_MSIX;
	config[link] = (uint8_t)at;
	return pci_msix_show(fn, at, &place, fn->dev->vectors, arena);
}

int pci_function_invent(struct pci_function *fn, struct device *dev, const struct pci_virtual *v,
	const uint64_t bar_base[static PCI_BAR_COUNT], struct arena *arena, uint8_t *sharers)
{
	memset(fn, 0, sizeof(*fn));
	fn->dev = dev;
	fn->bdf = dev->bdf;
	fn->is_virtual = true;
	fn->reg[PCI_VENDOR_ID / 4] = v->vendor | (uint32_t)v->device << 16;
	fn->reg[PCI_REVISION / 4] = v->revision | (uint32_t)v->class << 16;
	fn->reg[PCI_SUBSYSTEM / 4] = v->subsystem_vendor | (uint32_t)v->subsystem << 16;
	fn->writable[PCI_COMMAND / 4] = COMMAND_WRITABLE;
	fn->writable[PCI_CACHE_LINE / 4] = 0xffff;
	for (unsigned n = 0; n < PCI_BAR_COUNT; n++)
		show_bar(fn, n, &(struct pci_bar){.base = bar_base[n], .size = v->bar_size[n]});
	fn->reg[PCI_INT_LINE / 4] = dev->irq | 1u << 8;
	fn->writable[PCI_INT_LINE / 4] = 0xff;
	pci_interrupts_init(fn, sharers);
	return invent_caps(fn, v, arena);
}

void pci_function_set_multi(struct pci_function *fn, bool multi)
{
	uint32_t bit = PCI_HEADER_MULTI << 16;

	fn->reg[PCI_CACHE_LINE / 4] &= ~bit;
	if (multi)
		fn->reg[PCI_CACHE_LINE / 4] |= bit;
}

/* ---- the exit path ---- */

uint32_t pci_function_read(const struct pci_function *fn, unsigned offset, unsigned size)
{
	return config_bits(fn, offset, size);
}

/* Where the guest's register points, and whether decoding there is on. */
static bool window_wanted(const struct pci_function *fn, unsigned n, uint64_t *ret_base)
{
	const struct pci_bar *bar = &fn->window[n].bar;
	uint32_t command = fn->reg[PCI_COMMAND / 4];
	unsigned r = PCI_BAR0 / 4 + n;

	*ret_base = fn->reg[r] & ~(bar->io ? PCI_BAR_IO_FLAGS : PCI_BAR_MEM_FLAGS);
	if (bar->wide)
		*ret_base |= (uint64_t)fn->reg[r + 1] << 32;
	return command & (bar->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY);
}

static bool hits_guest_memory(const struct gmem *m, uint64_t base, uint64_t len)
{
	for (unsigned i = 0; i < m->count; i++)
		if (ranges_overlap(base, len, m->run[i].gpa.v, m->run[i].len))
			return true;
	return false;
}

/*
 * May the range decode at all? Memory wins over a device, as on a real bus; I/O space has 16 bits.
 */
static bool window_possible(const struct pci_function *fn, const struct pci_bar *bar, uint64_t base)
{
	if (bar->io)
		return range_fits(base, bar->size, 0x10000);
	return base <= ~0ull - bar->size && !hits_guest_memory(&fn->dev->vm->gmem, base, bar->size);
}

static void window_off(struct pci_function *fn, unsigned n, uint64_t base)
{
	struct device *dev = fn->dev;
	int err = pci_msix_move(fn, n, base, false);

	/* A device can't refuse to stop decoding. */
	if (dev->ops->bar_moved(dev, n, base, false) || err)
		log_limited(&fn->refusals, "%s: bar %u still decodes", dev->name, n);
}

/* The old place is left before the new one is taken: they may overlap. */
static int window_on(struct pci_function *fn, unsigned n, uint64_t base)
{
	struct device *dev = fn->dev;
	int err;

	if (!window_possible(fn, &fn->window[n].bar, base))
		return -E_EXIST;
	err = pci_msix_move(fn, n, base, false);
	if (!err)
		err = dev->ops->bar_moved(dev, n, base, true);
	if (err)
		return err;
	err = pci_msix_move(fn, n, base, true);
	if (err)
		window_off(fn, n, base);
	return err;
}

static void window_update(struct pci_function *fn, unsigned n)
{
	struct pci_window *w = &fn->window[n];
	bool wanted, refused;
	uint64_t base;

	wanted = window_wanted(fn, n, &base);
	if (wanted == w->decoded && (!wanted || base == w->base))
		return;
	refused = wanted && window_on(fn, n, base);
	if (wanted && !refused) {
		w->base = base;
		w->decoded = true;
		return;
	}
	if (refused)
		log_limited(&fn->refusals, "%s: guest put bar %u at 0x%lx: not decoded",
			fn->dev->name, n, base);
	if (w->decoded)
		window_off(fn, n, w->base);
	w->decoded = false;
}

void pci_function_write(struct pci_function *fn, unsigned offset, unsigned size, uint32_t value)
{
	unsigned r = offset / 4;
	uint32_t merged = (uint32_t)bytes_merge(fn->reg[r], value, offset % 4, size);
	uint32_t mask = fn->writable[r], now = (fn->reg[r] & ~mask) | (merged & mask);

	if (now == fn->reg[r])
		return;
	fn->reg[r] = now;
	pci_interrupts_written(fn, r);
	if (r != PCI_COMMAND / 4 && (r < PCI_BAR0 / 4 || r >= PCI_BAR0 / 4 + PCI_BAR_COUNT))
		return;
	for (unsigned n = 0; n < PCI_BAR_COUNT; n++)
		if (fn->window[n].bar.size)
			window_update(fn, n);
}
