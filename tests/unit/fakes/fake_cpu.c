/* Doubles of control, debug and table registers, and of MSRs; see fake_cpu.h. */
#include "fakes/fake_cpu.h"
#include "fakes/fake_hw.h"

#include <stdlib.h>
#include <string.h>

struct fake_cpu fake_cpu;

static struct fake_msr *find(uint32_t index)
{
	for (unsigned i = 0; i < fake_cpu.msr_count; i++)
		if (fake_cpu.msr[i].index == index)
			return &fake_cpu.msr[i];
	return NULL;
}

uint64_t fake_cpu_msr(uint32_t index)
{
	const struct fake_msr *m = find(index);

	return m ? m->value : 0;
}

void fake_cpu_set_msr(uint32_t index, uint64_t value)
{
	struct fake_msr *m = find(index);

	if (!m) {
		if (fake_cpu.msr_count == FAKE_MSRS)
			abort();
		m = &fake_cpu.msr[fake_cpu.msr_count++];
		m->index = index;
	}
	m->value = value;
}

void fake_cpu_reset(void)
{
	memset(&fake_cpu, 0, sizeof(fake_cpu));
	fake_hw_reset();
	fake_hw.rdmsr = fake_cpu_msr;
	fake_hw.wrmsr = fake_cpu_set_msr;
	for (unsigned i = 0; i < 9; i++)
		fake_cpu.cr[i] = 0xc0000 + i;
	for (unsigned i = 0; i < 8; i++)
		fake_cpu.dr[i] = 0xd0000 + i;
	fake_cpu.cr[0] = CR0_PG | CR0_PE | CR0_TS;
	fake_cpu.cr[4] = CR4_PAE;
}

uint64_t hw_read_cr(unsigned cr)
{
	return fake_cpu.cr[cr];
}

void hw_write_cr(unsigned cr, uint64_t value)
{
	fake_cpu.cr[cr] = value;
}

uint64_t hw_read_dr(unsigned dr)
{
	return fake_cpu.dr[dr];
}

void hw_write_dr(unsigned dr, uint64_t value)
{
	fake_cpu.dr[dr] = value;
}

struct hw_table hw_read_gdt(void)
{
	return fake_cpu.gdt;
}

struct hw_table hw_read_idt(void)
{
	return fake_cpu.idt;
}

void hw_write_gdt(struct hw_table t)
{
	fake_cpu.gdt = t;
}

void hw_write_idt(struct hw_table t)
{
	fake_cpu.idt = t;
}
