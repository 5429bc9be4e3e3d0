/*
 * What the replay links instead of the hardware room: nothing is there. The doubles of guest memory and
 * of time, which records know of, are in replay.c.
 */
#include "hw/cpu.h"
#include "hw/mmio.h"
#include "hw/port.h"
#include "hw/vector.h"

#include <string.h>

struct cpuid_regs hw_cpuid(uint32_t leaf, uint32_t subleaf)
{
	(void)leaf;
	(void)subleaf;
	return (struct cpuid_regs){0};
}

uint64_t hw_rdmsr(uint32_t msr)
{
	(void)msr;
	return 0;
}

void hw_wrmsr(uint32_t msr, uint64_t value)
{
	(void)msr;
	(void)value;
}

/* There is no firmware that could take interrupts. */
void hw_interrupt_window(void)
{
}

void hw_wait(void)
{
}

void hw_irq_enable(void)
{
}

void hw_irq_disable(void)
{
}

uint64_t hw_read_xcr0(void)
{
	return 0;
}

void hw_write_xcr0(uint64_t value)
{
	(void)value;
}

uint32_t hw_port_read(uint16_t port, unsigned size)
{
	(void)port;
	(void)size;
	return ~0u;
}

void hw_port_write(uint16_t port, unsigned size, uint32_t value)
{
	(void)port;
	(void)size;
	(void)value;
}

uint64_t hw_mmio_read(hpa_t at, unsigned size)
{
	(void)at;
	(void)size;
	return ~0ull;
}

void hw_mmio_write(hpa_t at, unsigned size, uint64_t value)
{
	(void)at;
	(void)size;
	(void)value;
}

/* Records have no vector registers: they read as zeros. */
void hw_vector_read128(unsigned n, void *ret_16)
{
	(void)n;
	memset(ret_16, 0, 16);
}

void hw_vector_read256(unsigned n, void *ret_32)
{
	(void)n;
	memset(ret_32, 0, 32);
}

static void ignore(unsigned n, const void *data)
{
	(void)n;
	(void)data;
}

void hw_vector_write128(unsigned n, const void *data_16)
{
	ignore(n, data_16);
}

void hw_vector_write128_zero(unsigned n, const void *data_16)
{
	ignore(n, data_16);
}

void hw_vector_write256(unsigned n, const void *data_32)
{
	ignore(n, data_32);
}
