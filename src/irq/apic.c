/* Registers of the real APICs; see apic.h. No state. lapic_write runs in interrupt handlers. */
#include "irq/apic.h"
#include "base/bits.h"
#include "base/error.h"
#include "hw/cpu.h"
#include "hw/mmio.h"

#define APIC_BASE_ENABLE  0x800ull
#define APIC_BASE_X2APIC  0x400ull
#define APIC_BASE_ADDRESS BITS(51, 12)
#define MSR_X2APIC_FIRST  0x800u

#define IOAPIC_INDEX	  0x00u
#define IOAPIC_DATA	  0x10u
#define IOAPIC_VERSION	  0x01u
#define IOAPIC_ENTRIES	  0x10u
#define VERSION_MAX	  0x00ff0000u

int lapic_open(struct lapic *ret)
{
	uint64_t base = hw_rdmsr(MSR_APIC_BASE);

	if (!(base & APIC_BASE_ENABLE))
		return -E_NOTSUP;
	ret->x2apic = base & APIC_BASE_X2APIC;
	ret->base = hpa(base & APIC_BASE_ADDRESS);
	return 0;
}

uint32_t lapic_read(const struct lapic *l, unsigned reg)
{
	if (l->x2apic)
		return (uint32_t)hw_rdmsr(MSR_X2APIC_FIRST + (reg >> 4));
	return (uint32_t)hw_mmio_read(hpa(l->base.v + reg), 4);
}

void lapic_write(const struct lapic *l, unsigned reg, uint32_t value)
{
	if (l->x2apic)
		hw_wrmsr(MSR_X2APIC_FIRST + (reg >> 4), value);
	else
		hw_mmio_write(hpa(l->base.v + reg), 4, value);
}

uint32_t lapic_id(const struct lapic *l)
{
	uint32_t id = lapic_read(l, LAPIC_ID);

	return l->x2apic ? id : id >> 24;
}

bool lapic_vector_waits(const struct lapic *l, uint8_t vector)
{
	return lapic_read(l, LAPIC_IRR + (vector / 32u) * 0x10u) & BIT(vector % 32);
}

static uint32_t select_and_read(const struct ioapic *io, unsigned reg)
{
	uint64_t index = hw_mmio_read(hpa(io->base.v + IOAPIC_INDEX), 4);
	uint32_t v;

	hw_mmio_write(hpa(io->base.v + IOAPIC_INDEX), 4, reg);
	v = (uint32_t)hw_mmio_read(hpa(io->base.v + IOAPIC_DATA), 4);
	hw_mmio_write(hpa(io->base.v + IOAPIC_INDEX), 4, index);
	return v;
}

static void select_and_write(const struct ioapic *io, unsigned reg, uint32_t value)
{
	uint64_t index = hw_mmio_read(hpa(io->base.v + IOAPIC_INDEX), 4);

	hw_mmio_write(hpa(io->base.v + IOAPIC_INDEX), 4, reg);
	hw_mmio_write(hpa(io->base.v + IOAPIC_DATA), 4, value);
	hw_mmio_write(hpa(io->base.v + IOAPIC_INDEX), 4, index);
}

int ioapic_open(struct ioapic *ret, hpa_t base)
{
	struct ioapic io = {.base = base};
	uint32_t version = select_and_read(&io, IOAPIC_VERSION);

	if (version == 0 || version == ~0u)
		return -E_NOENT;
	io.pins = (unsigned)min_u64(FIELD_GET(VERSION_MAX, version) + 1, IOAPIC_PINS_MAX);
	*ret = io;
	return 0;
}

uint64_t ioapic_read(const struct ioapic *io, unsigned pin)
{
	uint64_t low = select_and_read(io, IOAPIC_ENTRIES + 2 * pin);

	return low | (uint64_t)select_and_read(io, IOAPIC_ENTRIES + 2 * pin + 1) << 32;
}

void ioapic_write(const struct ioapic *io, unsigned pin, uint64_t entry)
{
	unsigned reg = IOAPIC_ENTRIES + 2 * pin;

	select_and_write(io, reg, select_and_read(io, reg) | IOAPIC_MASKED);
	select_and_write(io, reg + 1, (uint32_t)(entry >> 32));
	select_and_write(io, reg, (uint32_t)entry);
}
