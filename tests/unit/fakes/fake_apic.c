/* See fake_apic.h. */
#include "fakes/fake_apic.h"
#include "fakes/fake_hw.h"
#include "hw/cpu.h"
#include "irq/apic.h"

#include <string.h>

struct fake_apic fake_apic;

static uint32_t lapic_get(unsigned reg)
{
	if (reg == LAPIC_ID)
		return fake_apic.x2apic ? 3 : 3u << 24;
	return reg < 0x400 ? fake_apic.lapic[reg / 16] : 0;
}

static void lapic_set(unsigned reg, uint32_t value)
{
	fake_apic.lapic_writes++;
	fake_apic.eois += reg == LAPIC_EOI;
	if (reg < 0x400)
		fake_apic.lapic[reg / 16] = value;
}

static uint32_t ioapic_get(void)
{
	unsigned pin = (fake_apic.index - 0x10) / 2;

	if (fake_apic.no_ioapic)
		return ~0u;
	if (fake_apic.index == 1)
		return (FAKE_IOAPIC_PINS - 1) << 16 | 0x20;
	if (fake_apic.index < 0x10 || pin >= FAKE_IOAPIC_PINS)
		return 0;
	return (uint32_t)(fake_apic.entry[pin] >> (fake_apic.index & 1 ? 32 : 0));
}

static void ioapic_set(uint32_t value)
{
	unsigned pin = (fake_apic.index - 0x10) / 2;
	uint64_t *e = &fake_apic.entry[pin];

	fake_apic.ioapic_writes++;
	if (fake_apic.index < 0x10 || pin >= FAKE_IOAPIC_PINS)
		return;
	if (fake_apic.index & 1) {
		fake_apic.unmasked_halfway |= !(*e & IOAPIC_MASKED) && *e >> 32 != value;
		*e = (uint32_t)*e | (uint64_t)value << 32;
	} else {
		*e = (*e & ~0xffffffffull) | value;
	}
}

bool fake_apic_mmio_read(uint64_t at, uint64_t *ret)
{
	if (at == FAKE_IOAPIC)
		*ret = fake_apic.index;
	else if (at == FAKE_IOAPIC + 0x10)
		*ret = ioapic_get();
	else if (at >= FAKE_LAPIC && at < FAKE_LAPIC + 0x1000 && !fake_apic.x2apic)
		*ret = lapic_get((unsigned)(at - FAKE_LAPIC));
	else
		return false;
	return true;
}

bool fake_apic_mmio_write(uint64_t at, uint64_t value)
{
	if (at == FAKE_IOAPIC)
		fake_apic.index = (uint32_t)value;
	else if (at == FAKE_IOAPIC + 0x10)
		ioapic_set((uint32_t)value);
	else if (at >= FAKE_LAPIC && at < FAKE_LAPIC + 0x1000 && !fake_apic.x2apic)
		lapic_set((unsigned)(at - FAKE_LAPIC), (uint32_t)value);
	else
		return false;
	return true;
}

static uint64_t mmio_read(uint64_t at, unsigned size)
{
	uint64_t v;

	(void)size;
	return fake_apic_mmio_read(at, &v) ? v : ~0ull;
}

static void mmio_write(uint64_t at, unsigned size, uint64_t value)
{
	(void)size;
	fake_apic_mmio_write(at, value);
}

static uint64_t rdmsr(uint32_t msr)
{
	if (msr == MSR_APIC_BASE)
		return FAKE_LAPIC | 0x100 | (fake_apic.no_lapic ? 0 : 0x800) |
		       (fake_apic.x2apic ? 0x400 : 0);
	if (fake_apic.x2apic && msr >= 0x800 && msr < 0x840)
		return lapic_get((msr - 0x800) * 16);
	return 0;
}

static void wrmsr(uint32_t msr, uint64_t value)
{
	if (fake_apic.x2apic && msr >= 0x800 && msr < 0x840)
		lapic_set((msr - 0x800) * 16, (uint32_t)value);
}

static uint32_t port_read(uint16_t port, unsigned size)
{
	(void)size;
	return fake_apic.port[port];
}

static void port_write(uint16_t port, unsigned size, uint32_t value)
{
	(void)size;
	fake_apic.port[port] = (uint8_t)value;
}

void fake_apic_reset(void)
{
	memset(&fake_apic, 0, sizeof(fake_apic));
	fake_apic.lapic[0x030 / 16] = 6u << 16 | 0x15;
	for (unsigned i = 0; i < FAKE_IOAPIC_PINS; i++)
		fake_apic.entry[i] = IOAPIC_MASKED;
	fake_hw_reset();
	fake_hw.mmio_read = mmio_read;
	fake_hw.mmio_write = mmio_write;
	fake_hw.rdmsr = rdmsr;
	fake_hw.wrmsr = wrmsr;
	fake_hw.port_read = port_read;
	fake_hw.port_write = port_write;
}
