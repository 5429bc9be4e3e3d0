/* Processor primitives; see cpu.h. No state. */
#include "hw/cpu.h"

struct cpuid_regs hw_cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

uint64_t hw_rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}

void hw_wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

uint64_t hw_tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

uint64_t hw_read_cr(unsigned cr)
{
	uint64_t v = 0;

	switch (cr) {
	case 0:
		__asm__ volatile("mov %%cr0, %0" : "=r"(v));
		break;
	case 2:
		__asm__ volatile("mov %%cr2, %0" : "=r"(v));
		break;
	case 3:
		__asm__ volatile("mov %%cr3, %0" : "=r"(v));
		break;
	case 4:
		__asm__ volatile("mov %%cr4, %0" : "=r"(v));
		break;
	case 8:
		__asm__ volatile("mov %%cr8, %0" : "=r"(v));
		break;
	default:
		break;
	}
	return v;
}

void hw_write_cr(unsigned cr, uint64_t value)
{
	switch (cr) {
	case 0:
		__asm__ volatile("mov %0, %%cr0" ::"r"(value) : "memory");
		break;
	case 2:
		__asm__ volatile("mov %0, %%cr2" ::"r"(value) : "memory");
		break;
	case 3:
		__asm__ volatile("mov %0, %%cr3" ::"r"(value) : "memory");
		break;
	case 4:
		__asm__ volatile("mov %0, %%cr4" ::"r"(value) : "memory");
		break;
	case 8:
		__asm__ volatile("mov %0, %%cr8" ::"r"(value) : "memory");
		break;
	default:
		break;
	}
}

uint64_t hw_read_dr(unsigned dr)
{
	uint64_t v = 0;

	switch (dr) {
	case 0:
		__asm__ volatile("mov %%db0, %0" : "=r"(v));
		break;
	case 1:
		__asm__ volatile("mov %%db1, %0" : "=r"(v));
		break;
	case 2:
		__asm__ volatile("mov %%db2, %0" : "=r"(v));
		break;
	case 3:
		__asm__ volatile("mov %%db3, %0" : "=r"(v));
		break;
	case 6:
		__asm__ volatile("mov %%db6, %0" : "=r"(v));
		break;
	case 7:
		__asm__ volatile("mov %%db7, %0" : "=r"(v));
		break;
	default:
		break;
	}
	return v;
}

void hw_write_dr(unsigned dr, uint64_t value)
{
	switch (dr) {
	case 0:
		__asm__ volatile("mov %0, %%db0" ::"r"(value));
		break;
	case 1:
		__asm__ volatile("mov %0, %%db1" ::"r"(value));
		break;
	case 2:
		__asm__ volatile("mov %0, %%db2" ::"r"(value));
		break;
	case 3:
		__asm__ volatile("mov %0, %%db3" ::"r"(value));
		break;
	case 6:
		__asm__ volatile("mov %0, %%db6" ::"r"(value));
		break;
	case 7:
		__asm__ volatile("mov %0, %%db7" ::"r"(value));
		break;
	default:
		break;
	}
}

uint64_t hw_read_xcr0(void)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (uint64_t)hi << 32 | lo;
}

void hw_write_xcr0(uint64_t value)
{
	__asm__ volatile("xsetbv" ::"c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

struct hw_table hw_read_gdt(void)
{
	struct hw_table t;

	__asm__ volatile("sgdt %0" : "=m"(t));
	return t;
}

struct hw_table hw_read_idt(void)
{
	struct hw_table t;

	__asm__ volatile("sidt %0" : "=m"(t));
	return t;
}

void hw_write_gdt(struct hw_table t)
{
	__asm__ volatile("lgdt %0" ::"m"(t));
}

void hw_write_idt(struct hw_table t)
{
	__asm__ volatile("lidt %0" ::"m"(t));
}

void hw_irq_disable(void)
{
	__asm__ volatile("cli" ::: "memory");
}

void hw_irq_enable(void)
{
	__asm__ volatile("sti" ::: "memory");
}

bool hw_irq_enabled(void)
{
	uint64_t flags;

	__asm__ volatile("pushfq; popq %0" : "=r"(flags));
	return flags & RFLAGS_IF;
}

/* The instruction after STI runs before an interrupt is taken: hence the NOP. */
void hw_interrupt_window(void)
{
	__asm__ volatile("sti; nop; nop; cli" ::: "memory");
}

void hw_wait(void)
{
	__asm__ volatile("sti; hlt; cli" ::: "memory");
}
