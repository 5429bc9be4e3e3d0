/*
 * Routes of host interrupts; see host.h. State: struct host_irq. irq_taken runs in the firmware's
 * interrupt context, host_irq_rearm and host_irq_tick on the exit path, the rest before and after the guest.
 *
 * Source: PCI Local Bus Specification 3.0, "MSI Capability and Operation", "MSI-X Capability and
 * Table Structure"; SDM vol. 3A "Message Signalled Interrupts".
 */
#include "irq/host.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"
#include "hw/cpu.h"
#include "hw/mmio.h"
#include "hw/time.h"

#define MSI_ADDRESS	    0xfee00000u
#define MSI_ADDRESS_DEST    0x000ff000u

#define CAP_CONTROL	    2u

#define MSI_CONTROL_ENABLE  0x0001u
#define MSI_CONTROL_COUNT   0x0070u
#define MSI_CONTROL_64	    0x0080u
#define MSI_CONTROL_MASKS   0x0100u
#define MSI_LOW		    0x04u
#define MSI_HIGH	    0x08u
#define MSI_DATA_32	    0x08u /* data and mask of a capability with 32-bit addresses */
#define MSI_MASK_32	    0x0cu
#define MSI_DATA_64	    0x0cu
#define MSI_MASK_64	    0x10u

#define MSIX_CONTROL_SIZE   0x07ffu
#define MSIX_CONTROL_MASK   0x4000u
#define MSIX_CONTROL_ENABLE 0x8000u
#define MSIX_TABLE	    0x04u
#define MSIX_TABLE_BAR	    0x00000007u
#define MSIX_ENTRY	    16u /* bytes */
#define MSIX_ENTRY_CONTROL  12u
#define MSIX_ENTRY_MASKED   0x00000001u

/* 3 to 7, 9 to 12, 14, 15: ISA interrupts that a PCI interrupt router can be set to. */
#define ROUTER_ISA	    0xdef8u
#define STATUS_INTX	    0x0008u

#define BAR_IO		    0x1u
#define BAR_TYPE	    0x6u
#define BAR_TYPE_64	    0x4u
#define BAR_FLAGS	    0xfu

#define SETTLE_TIMEOUT_US   10000u

static void irq_taken(void *arg)
{
	struct host_irq_route *r = arg;

	r->fired++;
	r->dev->irq_fired = true;
	if (r->kind == HOST_IRQ_PIN && r->pin.level) {
		ioapic_write(&r->owner->ioapic, r->pin.pin, r->entry | IOAPIC_MASKED);
		r->held = true;
	}
	lapic_write(&r->owner->lapic, LAPIC_EOI, 0);
}

int host_irq_init(struct host_irq *h, const struct host_vector_ops *ops, hpa_t ioapic)
{
	struct host_irq new = {.ops = ops};
	int r = lapic_open(&new.lapic);

	if (r)
		return r;
	new.apic_id = lapic_id(&new.lapic);
	if (new.apic_id > 0xff)
		return -E_NOTSUP;
	if (ioapic_open(&new.ioapic, ioapic))
		log_line("irq: no ioapic at 0x%llx", (unsigned long long)ioapic.v);
	*h = new;
	return 0;
}

/* A free route with a vector of its own. -E_NOMEM if either has run out. */
static int route_claim(struct host_irq *h, struct device *dev, struct host_irq_route **ret)
{
	struct host_irq_route *r = NULL;

	for (unsigned i = 0; i < HOST_IRQ_ROUTES && !r; i++)
		if (h->route[i].kind == HOST_IRQ_FREE)
			r = &h->route[i];
	if (!r)
		return -E_NOMEM;
	*r = (struct host_irq_route){.owner = h, .dev = dev};
	for (unsigned v = HOST_IRQ_VECTOR_FIRST; v <= HOST_IRQ_VECTOR_LAST; v++) {
		if (h->ops->claim(v, irq_taken, r))
			continue;
		r->vector = (uint8_t)v;
		*ret = r;
		return 0;
	}
	return -E_NOMEM;
}

static void route_release(struct host_irq_route *r)
{
	r->owner->ops->release(r->vector);
	r->kind = HOST_IRQ_FREE;
}

/* A route for a pin, which stays masked. */
static int pin_claim(struct host_irq *h, struct device *dev, const struct host_irq_pin *pin,
	struct host_irq_route **ret)
{
	struct host_irq_route *r;
	uint64_t saved;
	int err;

	if (pin->pin >= h->ioapic.pins)
		return -E_RANGE;
	saved = ioapic_read(&h->ioapic, pin->pin);
	if (!(saved & IOAPIC_MASKED))
		return -E_EXIST;
	err = route_claim(h, dev, &r);
	if (err)
		return err;
	r->kind = HOST_IRQ_PIN;
	r->pin = *pin;
	r->saved_entry = saved;
	r->entry = FIELD_PUT(IOAPIC_VECTOR, r->vector) | FIELD_PUT(IOAPIC_DEST, h->apic_id) |
		   (pin->level ? IOAPIC_LEVEL : 0) | (pin->active_low ? IOAPIC_LOW : 0);
	*ret = r;
	return 0;
}

int host_irq_route_pin(struct host_irq *h, struct device *dev, const struct host_irq_pin *pin)
{
	struct host_irq_route *r;
	int err = pin_claim(h, dev, pin, &r);

	if (!err)
		ioapic_write(&h->ioapic, pin->pin, r->entry);
	return err;
}

/* The command register's bit becomes off, and *ret_before is what it was. */
static void intx_set_off(const struct host_irq_route *r, uint32_t off, uint32_t *ret_before)
{
	uint32_t command = hw_pci_read(r->dev->bdf, PCI_COMMAND, 2);

	*ret_before = command & PCI_COMMAND_INTX_OFF;
	hw_pci_write(r->dev->bdf, PCI_COMMAND, 2, (command & ~PCI_COMMAND_INTX_OFF) | off);
}

int host_irq_route_intx(struct host_irq *h, struct device *dev)
{
	unsigned line = hw_pci_read(dev->bdf, PCI_INT_LINE, 1);
	struct host_irq_route *r;
	int err;

	if (!hw_pci_read(dev->bdf, PCI_INT_PIN, 1))
		return -E_NOTSUP;
	if (line > 15 || !(ROUTER_ISA & BIT(line)))
		return -E_NOENT;
	err = pin_claim(
		h, dev, &(struct host_irq_pin){.pin = line, .level = true, .active_low = true}, &r);
	if (err)
		return err;
	r->intx = true;
	ioapic_write(&h->ioapic, line, r->entry);
	intx_set_off(r, 0, &r->saved_off);
	return 0;
}

static uint32_t message_address(const struct host_irq *h)
{
	return MSI_ADDRESS | (uint32_t)FIELD_PUT(MSI_ADDRESS_DEST, h->apic_id);
}

static void set_control(const struct host_irq_route *r, uint16_t control)
{
	hw_pci_write(r->dev->bdf, r->cap + CAP_CONTROL, 2, control);
}

static bool msi_is_64(const struct host_irq_route *r)
{
	return r->saved_control & MSI_CONTROL_64;
}

static unsigned msi_data_at(const struct host_irq_route *r)
{
	return r->cap + (msi_is_64(r) ? MSI_DATA_64 : MSI_DATA_32);
}

static unsigned msi_mask_at(const struct host_irq_route *r)
{
	return r->cap + (msi_is_64(r) ? MSI_MASK_64 : MSI_MASK_32);
}

static void msi_write(const struct host_irq_route *r, const uint32_t message[4])
{
	pci_bdf_t bdf = r->dev->bdf;

	hw_pci_write(bdf, r->cap + MSI_LOW, 4, message[0]);
	if (msi_is_64(r))
		hw_pci_write(bdf, r->cap + MSI_HIGH, 4, message[1]);
	hw_pci_write(bdf, msi_data_at(r), 2, message[2]);
	if (r->saved_control & MSI_CONTROL_MASKS)
		hw_pci_write(bdf, msi_mask_at(r), 4, message[3]);
}

static uint16_t msi_off(const struct host_irq_route *r)
{
	return r->saved_control & (uint16_t) ~(MSI_CONTROL_ENABLE | MSI_CONTROL_COUNT);
}

static void msi_start(const struct host_irq_route *r)
{
	set_control(r, msi_off(r) | MSI_CONTROL_ENABLE);
}

static void msi_program(struct host_irq_route *r)
{
	const uint32_t message[4] = {message_address(r->owner), 0, r->vector, 0};
	pci_bdf_t bdf = r->dev->bdf;

	r->kind = HOST_IRQ_MSI;
	r->saved_message[0] = hw_pci_read(bdf, r->cap + MSI_LOW, 4);
	if (msi_is_64(r))
		r->saved_message[1] = hw_pci_read(bdf, r->cap + MSI_HIGH, 4);
	r->saved_message[2] = hw_pci_read(bdf, msi_data_at(r), 2);
	if (r->saved_control & MSI_CONTROL_MASKS)
		r->saved_message[3] = hw_pci_read(bdf, msi_mask_at(r), 4);
	set_control(r, msi_off(r));
	msi_write(r, message);
	msi_start(r);
}

static void msi_stop(const struct host_irq_route *r)
{
	set_control(r, r->saved_control & (uint16_t)~MSI_CONTROL_ENABLE);
}

static void msi_restore(const struct host_irq_route *r)
{
	msi_write(r, r->saved_message);
	set_control(r, r->saved_control);
}

/* Where a memory BAR really is. -E_IO if it is none, or isn't decoded. */
static int read_bar(pci_bdf_t bdf, unsigned bar, uint64_t *ret_base)
{
	unsigned at = PCI_BAR0 + 4 * bar;
	uint32_t low;
	uint64_t base;

	if (bar >= PCI_BAR_COUNT || !(hw_pci_read(bdf, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY))
		return -E_IO;
	low = hw_pci_read(bdf, at, 4);
	if (low & BAR_IO)
		return -E_IO;
	base = low & ~BAR_FLAGS;
	if ((low & BAR_TYPE) == BAR_TYPE_64) {
		if (bar + 1 == PCI_BAR_COUNT)
			return -E_IO;
		base |= (uint64_t)hw_pci_read(bdf, at + 4, 4) << 32;
	}
	if (!base)
		return -E_IO;
	*ret_base = base;
	return 0;
}

/* Fills in table and entries. */
static int msix_find_table(struct host_irq_route *r)
{
	uint32_t table = hw_pci_read(r->dev->bdf, r->cap + MSIX_TABLE, 4);
	uint64_t base, offset = table & ~MSIX_TABLE_BAR;
	int err = read_bar(r->dev->bdf, table & MSIX_TABLE_BAR, &base);

	if (err)
		return err;
	r->entries = (r->saved_control & MSIX_CONTROL_SIZE) + 1u;
	if (base > ~0ull - (offset + r->entries * MSIX_ENTRY))
		return -E_IO;
	r->table = hpa(base + offset);
	return 0;
}

static hpa_t msix_at(const struct host_irq_route *r, unsigned entry, unsigned offset)
{
	return hpa(r->table.v + (uint64_t)entry * MSIX_ENTRY + offset);
}

static void msix_set_masked(const struct host_irq_route *r, unsigned entry, bool masked)
{
	hpa_t at = msix_at(r, entry, MSIX_ENTRY_CONTROL);
	uint32_t old = (uint32_t)hw_mmio_read(at, 4);
	uint32_t new = masked ? old | MSIX_ENTRY_MASKED : old & ~MSIX_ENTRY_MASKED;

	if (new != old)
		hw_mmio_write(at, 4, new);
}

static void msix_write(const struct host_irq_route *r, const uint32_t message[4])
{
	for (unsigned i = 0; i < 4; i++)
		hw_mmio_write(msix_at(r, 0, 4 * i), 4, message[i]);
}

static void msix_start(const struct host_irq_route *r)
{
	set_control(r, (r->saved_control & (uint16_t)~MSIX_CONTROL_MASK) | MSIX_CONTROL_ENABLE);
}

/* The whole function is masked while its table changes. */
static void msix_program(struct host_irq_route *r)
{
	const uint32_t message[4] = {message_address(r->owner), 0, r->vector, 0};

	r->kind = HOST_IRQ_MSIX;
	set_control(r, r->saved_control | MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK);
	for (unsigned i = 0; i < 4; i++)
		r->saved_message[i] = (uint32_t)hw_mmio_read(msix_at(r, 0, 4 * i), 4);
	for (unsigned i = 1; i < r->entries; i++) {
		if (hw_mmio_read(msix_at(r, i, MSIX_ENTRY_CONTROL), 4) & MSIX_ENTRY_MASKED)
			r->was_masked[i / 8] |= (uint8_t)BIT(i % 8);
		else
			msix_set_masked(r, i, true);
	}
	msix_write(r, message);
	msix_start(r);
}

static void msix_stop(const struct host_irq_route *r)
{
	set_control(r, r->saved_control | MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK);
}

static void msix_restore(const struct host_irq_route *r)
{
	msix_write(r, r->saved_message);
	for (unsigned i = 1; i < r->entries; i++)
		if (!(r->was_masked[i / 8] & BIT(i % 8)))
			msix_set_masked(r, i, false);
	set_control(r, r->saved_control);
}

int host_irq_route_msi(struct host_irq *h, struct device *dev)
{
	unsigned msix = hw_pci_find_cap(dev->bdf, PCI_CAP_MSIX);
	unsigned cap = msix ? msix : hw_pci_find_cap(dev->bdf, PCI_CAP_MSI);
	struct host_irq_route *r;
	int err;

	if (!cap)
		return -E_NOTSUP;
	err = route_claim(h, dev, &r);
	if (err)
		return err;
	r->cap = cap;
	r->saved_control = (uint16_t)hw_pci_read(dev->bdf, cap + CAP_CONTROL, 2);
	if (!msix) {
		msi_program(r);
		return 0;
	}
	err = msix_find_table(r);
	if (err)
		goto err_release;
	msix_program(r);
	return 0;
err_release:
	route_release(r);
	return err;
}

static bool routes_device(const struct host_irq_route *r, const struct device *dev)
{
	return r->kind != HOST_IRQ_FREE && r->dev == dev;
}

void host_irq_rearm(struct host_irq *h, const struct device *dev)
{
	for (unsigned i = 0; i < HOST_IRQ_ROUTES; i++) {
		struct host_irq_route *r = &h->route[i];

		if (!routes_device(r, dev) || !r->held)
			continue;
		r->held = false;
		if (!r->silenced)
			ioapic_write(&h->ioapic, r->pin.pin, r->entry);
	}
}

/* Also the first step of giving the interrupt back: no new ones. */
static void route_mask(const struct host_irq_route *r)
{
	if (r->kind == HOST_IRQ_PIN)
		ioapic_write(&r->owner->ioapic, r->pin.pin, r->entry | IOAPIC_MASKED);
	else if (r->kind == HOST_IRQ_MSI)
		msi_stop(r);
	else
		msix_stop(r);
}

static void route_unmask(const struct host_irq_route *r)
{
	if (r->kind == HOST_IRQ_MSI)
		msi_start(r);
	else if (r->kind == HOST_IRQ_MSIX)
		msix_start(r);
	else if (!r->held)
		ioapic_write(&r->owner->ioapic, r->pin.pin, r->entry);
}

/* Armed while the function still asserts it, the pin would fire at once, and the guest never get on. */
static void intx_look(struct host_irq_route *r, uint64_t tsc)
{
	if (tsc < r->look_tsc)
		return;
	if (hw_pci_read(r->dev->bdf, PCI_STATUS, 2) & STATUS_INTX) {
		r->look_tsc = tsc + hw_us_to_tsc(HOST_IRQ_LOOK_US);
		return;
	}
	host_irq_rearm(r->owner, r->dev);
}

static void route_tick(struct host_irq *h, struct host_irq_route *r, uint64_t tsc)
{
	if (tsc - r->period_start >= hw_us_to_tsc(HOST_IRQ_PERIOD_US)) {
		r->period_start = tsc;
		r->fired_before = r->fired;
		if (!r->silenced)
			return;
		r->silenced = false;
		route_unmask(r);
		r->dev->irq_fired = true;
	} else if (!r->silenced && r->fired - r->fired_before > HOST_IRQ_BURST) {
		r->silenced = true;
		route_mask(r);
		log_limited(
			&h->storms, "irq: %s interrupts too often and has to wait", r->dev->name);
	}
}

void host_irq_tick(void *arg, uint64_t tsc)
{
	struct host_irq *h = arg;

	for (unsigned i = 0; i < HOST_IRQ_ROUTES; i++)
		if (h->route[i].kind != HOST_IRQ_FREE) {
			route_tick(h, &h->route[i], tsc);
			if (h->route[i].intx && h->route[i].held)
				intx_look(&h->route[i], tsc);
		}
}

uint64_t host_irq_next(void *arg)
{
	const struct host_irq *h = arg;
	uint64_t next = ~0ull;

	for (unsigned i = 0; i < HOST_IRQ_ROUTES; i++) {
		const struct host_irq_route *r = &h->route[i];

		if (r->kind != HOST_IRQ_FREE && r->silenced)
			next = min_u64(next, r->period_start + hw_us_to_tsc(HOST_IRQ_PERIOD_US));
		if (r->kind != HOST_IRQ_FREE && r->intx && r->held)
			next = min_u64(next, r->look_tsc);
	}
	return next;
}

static bool vector_is_quiet(void *arg)
{
	struct host_irq_route *r = arg;

	if (!lapic_vector_waits(&r->owner->lapic, r->vector))
		return true;
	if (!hw_irq_enabled())
		hw_interrupt_window();
	return false;
}

static void route_undo(struct host_irq_route *r)
{
	/* First no new ones, then those on their way, then the old settings. */
	route_mask(r);
	if (r->intx)
		intx_set_off(r, r->saved_off, &r->saved_off);
	if (hw_poll(vector_is_quiet, r, SETTLE_TIMEOUT_US))
		log_line("irq: vector %x of %s doesn't get quiet", r->vector, r->dev->name);
	if (r->kind == HOST_IRQ_PIN)
		ioapic_write(&r->owner->ioapic, r->pin.pin, r->saved_entry);
	else if (r->kind == HOST_IRQ_MSI)
		msi_restore(r);
	else
		msix_restore(r);
	route_release(r);
}

void host_irq_unroute(struct host_irq *h, const struct device *dev)
{
	for (unsigned i = HOST_IRQ_ROUTES; i-- > 0;)
		if (routes_device(&h->route[i], dev))
			route_undo(&h->route[i]);
}

void host_irq_unroute_all(struct host_irq *h)
{
	for (unsigned i = HOST_IRQ_ROUTES; i-- > 0;)
		if (h->route[i].kind != HOST_IRQ_FREE)
			route_undo(&h->route[i]);
}
