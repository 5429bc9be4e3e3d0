/*
 * The MSI-X capability, its table and its pending bits; see interrupt.h. State: struct pci_msix, and the
 * control register in pci_function.reg. All but show is on the exit path.
 *
 * Accesses of the table have 4 or 8 bytes and their natural alignment; what others do is undefined
 * ("MSI-X Table Structure"), and here nothing.
 */
#include "base/error.h"
#include "core/vm.h"
#include "pci/function.h"

#define CONTROL_SHIFT 16
#define ENTRY_SIZE    ((unsigned)sizeof(struct pci_msix_entry))

static uint16_t control_of(const struct pci_function *fn)
{
	return (uint16_t)(fn->reg[fn->interrupts.msix.at / 4] >> CONTROL_SHIFT);
}

bool pci_msix_enabled(const struct pci_function *fn)
{
	return fn->interrupts.msix.at && control_of(fn) & PCI_MSIX_ENABLE;
}

static bool may_send(const struct pci_function *fn, unsigned n)
{
	return (control_of(fn) & (PCI_MSIX_ENABLE | PCI_MSIX_MASK)) == PCI_MSIX_ENABLE &&
	       !(fn->interrupts.msix.entry[n].control & PCI_MSIX_MASKED);
}

static void send(struct pci_function *fn, unsigned n)
{
	const struct pci_msix_entry *e = &fn->interrupts.msix.entry[n];

	pci_message_send(fn, (uint64_t)e->address_high << 32 | e->address, e->data);
}

void pci_msix_raise(struct pci_function *fn, unsigned n)
{
	struct pci_msix *m = &fn->interrupts.msix;

	if (n >= m->entries)
		return;
	if (may_send(fn, n))
		send(fn, n);
	else
		m->pending[n / 64] |= BIT(n % 64);
}

static void send_pending(struct pci_function *fn, unsigned n)
{
	struct pci_msix *m = &fn->interrupts.msix;

	if (!(m->pending[n / 64] & BIT(n % 64)) || !may_send(fn, n))
		return;
	m->pending[n / 64] &= ~BIT(n % 64);
	send(fn, n);
}

/* The control register: what was pending when MSI-X is switched off is the line's business then. */
void pci_msix_written(struct pci_function *fn)
{
	struct pci_msix *m = &fn->interrupts.msix;

	for (unsigned n = 0; n < m->entries; n += 64)
		if (!pci_msix_enabled(fn))
			m->pending[n / 64] = 0;
	for (unsigned n = 0; n < m->entries; n++)
		send_pending(fn, n);
}

/* ---- table and pending bits ---- */

static bool access_ok(const struct io_access *a, uint64_t len)
{
	return (a->size == 4 || a->size == 8) && is_aligned(a->offset, a->size) &&
	       range_fits(a->offset, a->size, len);
}

static uint32_t *entry_field(struct pci_msix_entry *e, unsigned offset)
{
	uint32_t *const field[] = {&e->address, &e->address_high, &e->data, &e->control};

	return field[offset / 4 % array_size(field)];
}

static void table_write(struct pci_function *fn, uint64_t offset, uint32_t value)
{
	static const uint32_t writable[] = {~3u, ~0u, ~0u, PCI_MSIX_MASKED};
	unsigned n = (unsigned)(offset / ENTRY_SIZE), at = (unsigned)(offset % ENTRY_SIZE);

	*entry_field(&fn->interrupts.msix.entry[n], at) = value & writable[at / 4];
	send_pending(fn, n);
}

static uint32_t table_read(const struct pci_function *fn, uint64_t offset)
{
	return *entry_field(
		&fn->interrupts.msix.entry[offset / ENTRY_SIZE], (unsigned)(offset % ENTRY_SIZE));
}

static enum io_result table_access(struct device *dev, struct io_access *a)
{
	struct pci_function *fn = dev->interrupt_state;

	if (!access_ok(a, pci_msix_table_len(fn->interrupts.msix.entries)))
		return IO_REJECT;
	if (a->write) {
		table_write(fn, a->offset, (uint32_t)a->value);
		if (a->size == 8)
			table_write(fn, a->offset + 4, (uint32_t)(a->value >> 32));
		return IO_DONE;
	}
	a->value = table_read(fn, a->offset);
	if (a->size == 8)
		a->value |= (uint64_t)table_read(fn, a->offset + 4) << 32;
	return IO_DONE;
}

/* Read-only. */
static enum io_result pending_access(struct device *dev, struct io_access *a)
{
	const struct pci_msix *m = &((struct pci_function *)dev->interrupt_state)->interrupts.msix;

	if (!access_ok(a, pci_msix_pending_len(m->entries)))
		return IO_REJECT;
	if (!a->write)
		a->value = m->pending[a->offset / 8] >> a->offset % 8 * 8 & size_mask(a->size);
	return IO_DONE;
}

static int part_move(struct vm *vm, struct region *r, uint64_t at, bool enabled)
{
	if (!enabled) {
		region_remove(&vm->mmio, r);
		return 0;
	}
	return region_move(&vm->mmio, r, at, true);
}

int pci_msix_move(struct pci_function *fn, unsigned bar, uint64_t base, bool enabled)
{
	struct pci_msix *m = &fn->interrupts.msix;
	struct vm *vm = fn->dev->vm;
	int err = 0;

	if (!m->at)
		return 0;
	if (bar == m->place.table_bar)
		err = part_move(vm, &m->table, base + m->place.table_at, enabled);
	if (err || bar != m->place.pending_bar)
		return err;
	err = part_move(vm, &m->bits, base + m->place.pending_at, enabled);
	if (err && bar == m->place.table_bar)
		region_remove(&vm->mmio, &m->table);
	return err;
}

/* ---- before the guest ---- */

uint64_t pci_msix_table_len(unsigned vectors)
{
	return (uint64_t)vectors * ENTRY_SIZE;
}

uint64_t pci_msix_pending_len(unsigned vectors)
{
	return align_up(vectors, 64) / 8;
}

static bool part_ok(const struct pci_function *fn, unsigned bar, uint32_t at, uint64_t len)
{
	const struct pci_bar *b = &fn->window[bar < PCI_BAR_COUNT ? bar : 0].bar;

	return bar < PCI_BAR_COUNT && b->size && !b->io && is_aligned(at, 8) &&
	       range_fits(at, len, b->size);
}

static bool place_ok(
	const struct pci_function *fn, const struct pci_msix_place *p, unsigned vectors)
{
	uint64_t table = pci_msix_table_len(vectors), bits = pci_msix_pending_len(vectors);

	return part_ok(fn, p->table_bar, p->table_at, table) &&
	       part_ok(fn, p->pending_bar, p->pending_at, bits) &&
	       (p->table_bar != p->pending_bar ||
		       !ranges_overlap(p->table_at, table, p->pending_at, bits));
}

static void fill_registers(struct pci_function *fn)
{
	const struct pci_msix *m = &fn->interrupts.msix;
	unsigned r = m->at / 4u;

	fn->reg[r] = (fn->reg[r] & 0xffff) | (m->entries - 1) << CONTROL_SHIFT;
	fn->writable[r] = (uint32_t)(PCI_MSIX_ENABLE | PCI_MSIX_MASK) << CONTROL_SHIFT;
	fn->reg[r + PCI_MSIX_TABLE / 4] = m->place.table_at | m->place.table_bar;
	fn->reg[r + PCI_MSIX_PENDING / 4] = m->place.pending_at | m->place.pending_bar;
}

int pci_msix_show(struct pci_function *fn, unsigned at, const struct pci_msix_place *place,
	unsigned vectors, struct arena *arena)
{
	struct pci_msix m = {.at = (uint8_t)at, .place = *place, .entries = vectors};

	if (!vectors || vectors > PCI_MSIX_MAX || !is_aligned(at, 4) ||
		!range_fits(at, PCI_MSIX_LEN, PCI_CONFIG_SIZE) || !place_ok(fn, place, vectors))
		return -E_INVAL;
	m.entry = arena_alloc(arena, pci_msix_table_len(vectors), 64);
	m.pending = arena_alloc(arena, pci_msix_pending_len(vectors), 64);
	if (!m.entry || !m.pending)
		return -E_NOMEM;
	for (unsigned n = 0; n < vectors; n++)
		m.entry[n] = (struct pci_msix_entry){.control = PCI_MSIX_MASKED};
	for (unsigned n = 0; n < vectors; n += 64)
		m.pending[n / 64] = 0;
	m.table = (struct region){.len = pci_msix_table_len(vectors),
		.dev = fn->dev,
		.handler = table_access,
		.name = "msi-x table"};
	m.bits = (struct region){.len = pci_msix_pending_len(vectors),
		.dev = fn->dev,
		.handler = pending_access,
		.name = "msi-x pending bits"};
	fn->interrupts.msix = m;
	fill_registers(fn);
	return 0;
}
