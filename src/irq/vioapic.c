/*
 * Model of an IOAPIC. State: struct vioapic. On the exit path.
 *
 * An edge on a masked pin is lost, as on the hardware. A level is delivered once, and again after its
 * end if it is still there; one that the local APIC doesn't take is offered again when its entry is
 * written or the line rises.
 *
 * Odd accesses: registers are 32 bits at 0, 10h and 40h; the index takes a byte too. A narrower read
 * gives the piece, another write does nothing, and elsewhere there is nobody.
 *
 * Source: Intel 82093AA data sheet (290566); Intel I/O Controller Hub data sheets for the EOI
 * register.
 */
#include "irq/vioapic.h"
#include "base/bits.h"
#include "base/fmt.h"
#include "irq/apic.h"

#define WINDOW_INDEX	0x00u
#define WINDOW_DATA	0x10u
#define WINDOW_EOI	0x40u

#define INDEX_ID	0x00u
#define INDEX_VERSION	0x01u
#define INDEX_ARBITER	0x02u
#define INDEX_ENTRIES	0x10u

#define VERSION		(0x20u | (VIOAPIC_PINS - 1) << 16)
#define ID_BITS		0x0f000000u

#define ENTRY_READ_ONLY (IOAPIC_SENDING | IOAPIC_REMOTE_IRR)
#define ENTRY_BITS	(IOAPIC_DEST | BITS(16, 0))

static void deliver(struct vioapic *io, unsigned pin)
{
	uint64_t e = io->entry[pin];
	unsigned mode = (unsigned)FIELD_GET(IOAPIC_MODE, e);
	bool level = e & IOAPIC_LEVEL, taken;

	/* The PIC's own output is asked about when it is there: vioapic_passes_extint. */
	if (mode == APIC_EXTINT)
		return;
	taken = vlapic_receive(
		io->lapic, &(struct apic_message){.dest = (uint8_t)FIELD_GET(IOAPIC_DEST, e),
				   .vector = (uint8_t)e,
				   .mode = (uint8_t)mode,
				   .logical = e & IOAPIC_LOGICAL,
				   .level = level});
	if (taken && level && (mode == APIC_FIXED || mode == APIC_LOWEST))
		io->entry[pin] |= IOAPIC_REMOTE_IRR;
}

static void offer_level(struct vioapic *io, unsigned pin)
{
	uint64_t e = io->entry[pin];

	if (e & IOAPIC_LEVEL && io->lines & BIT(pin) && !(e & (IOAPIC_MASKED | IOAPIC_REMOTE_IRR)))
		deliver(io, pin);
}

void vioapic_set_line(struct vioapic *io, unsigned pin, bool asserted)
{
	uint32_t bit;

	if (pin >= VIOAPIC_PINS)
		return;
	bit = (uint32_t)BIT(pin);
	if (asserted == !!(io->lines & bit))
		return;
	io->lines ^= bit;
	if (!asserted)
		return;
	if (io->entry[pin] & IOAPIC_LEVEL)
		offer_level(io, pin);
	else if (!(io->entry[pin] & IOAPIC_MASKED))
		deliver(io, pin);
}

bool vioapic_pin_is_edge(const struct vioapic *io, unsigned pin, uint8_t vector)
{
	uint64_t e = io->entry[pin];

	return (uint8_t)e == vector && !(e & (IOAPIC_LEVEL | IOAPIC_MASKED));
}

bool vioapic_passes_extint(const struct vioapic *io)
{
	return !(io->entry[0] & IOAPIC_MASKED) &&
	       FIELD_GET(IOAPIC_MODE, io->entry[0]) == APIC_EXTINT;
}

/* Every pin with that vector, as the message names no other. */
static void vioapic_ended(void *arg, uint8_t vector)
{
	struct vioapic *io = arg;

	for (unsigned pin = 0; pin < VIOAPIC_PINS; pin++) {
		if ((uint8_t)io->entry[pin] != vector || !(io->entry[pin] & IOAPIC_REMOTE_IRR))
			continue;
		io->entry[pin] &= ~IOAPIC_REMOTE_IRR;
		offer_level(io, pin);
	}
}

static void write_entry(struct vioapic *io, unsigned pin, bool upper, uint32_t value)
{
	uint64_t old = io->entry[pin];
	uint64_t new = bytes_merge(old, value, upper ? 4 : 0, 4);

	new = (new &ENTRY_BITS & ~ENTRY_READ_ONLY) | (old & ENTRY_READ_ONLY);
	if (!(new &IOAPIC_LEVEL))
		new &= ~IOAPIC_REMOTE_IRR;
	io->entry[pin] = new;
	offer_level(io, pin);
}

static bool is_entry(unsigned index)
{
	return index >= INDEX_ENTRIES && index < INDEX_ENTRIES + 2 * VIOAPIC_PINS;
}

static uint32_t read_data(const struct vioapic *io)
{
	if (is_entry(io->index)) {
		unsigned n = io->index - INDEX_ENTRIES;

		return (uint32_t)(io->entry[n / 2] >> (n % 2 ? 32 : 0));
	}
	switch (io->index) {
	case INDEX_ID:
	case INDEX_ARBITER:
		return (uint32_t)FIELD_PUT(ID_BITS, io->id);
	case INDEX_VERSION:
		return VERSION;
	default:
		return 0;
	}
}

static void write_data(struct vioapic *io, uint32_t value)
{
	if (is_entry(io->index))
		write_entry(io, (io->index - INDEX_ENTRIES) / 2, io->index % 2, value);
	else if (io->index == INDEX_ID)
		io->id = (uint8_t)FIELD_GET(ID_BITS, value);
}

static enum io_result window_read(const struct vioapic *io, struct io_access *a)
{
	unsigned at = (unsigned)(a->offset % 4);
	uint32_t value;

	switch (align_down(a->offset, 4)) {
	case WINDOW_INDEX:
		value = io->index;
		break;
	case WINDOW_DATA:
		value = read_data(io);
		break;
	case WINDOW_EOI:
		value = 0;
		break;
	default:
		return IO_REJECT;
	}
	a->value = ((uint64_t)value >> 8 * at) & size_mask(a->size);
	return IO_DONE;
}

static enum io_result window_access(struct device *dev, struct io_access *a)
{
	struct vioapic *io = dev->state;

	if (!a->write)
		return window_read(io, a);
	if (a->offset == WINDOW_INDEX && (a->size == 1 || a->size == 4))
		io->index = (uint8_t)a->value;
	else if (a->offset == WINDOW_DATA && a->size == 4)
		write_data(io, (uint32_t)a->value);
	else if (a->offset == WINDOW_EOI && a->size == 4)
		vioapic_ended(io, (uint8_t)a->value);
	else
		return IO_REJECT;
	return IO_DONE;
}

int vioapic_attach(struct vioapic *io, struct vm *vm, struct vlapic *lapic)
{
	*io = (struct vioapic){.dev = {.vm = vm, .state = io}, .lapic = lapic};
	fmt_print(io->dev.name, sizeof(io->dev.name), "ioapic");
	for (unsigned i = 0; i < VIOAPIC_PINS; i++)
		io->entry[i] = IOAPIC_MASKED;
	io->window = (struct region){.base = VIOAPIC_BASE,
		.len = PAGE_SIZE,
		.dev = &io->dev,
		.handler = window_access,
		.name = "ioapic"};
	lapic->ended = vioapic_ended;
	lapic->ended_arg = io;
	return region_add(&vm->mmio, &io->window);
}
