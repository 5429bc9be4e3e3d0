/* Doubles of the hw room; see fake_hw.h. */
#include "fakes/fake_hw.h"
#include "base/bits.h"
#include "hw/cpu.h"
#include "hw/mmio.h"
#include "hw/port.h"

#include <string.h>

struct fake_hw fake_hw;

void fake_hw_reset(void)
{
	memset(&fake_hw, 0, sizeof(fake_hw));
	fake_hw.tsc_step = 1000;
}

static void record(bool port, bool write, uint64_t at, unsigned size, uint64_t value)
{
	if (fake_hw.log_count < FAKE_LOG_MAX)
		fake_hw.log[fake_hw.log_count] = (struct fake_access){port, write, at, value, size};
	fake_hw.log_count++;
}

uint32_t hw_port_read(uint16_t port, unsigned size)
{
	uint32_t v = fake_hw.port_read ? fake_hw.port_read(port, size) : (uint32_t)size_mask(size);

	record(true, false, port, size, v);
	return v;
}

void hw_port_write(uint16_t port, unsigned size, uint32_t value)
{
	record(true, true, port, size, value);
	if (fake_hw.port_write)
		fake_hw.port_write(port, size, value);
}

void hw_port_read_block(uint16_t port, unsigned size, void *ret, size_t n)
{
	uint8_t *out = ret;

	for (size_t i = 0; i < n; i++) {
		uint32_t v = hw_port_read(port, size);

		memcpy(out + i * size, &v, size);
	}
}

uint64_t hw_mmio_read(hpa_t at, unsigned size)
{
	uint64_t v = fake_hw.mmio_read ? fake_hw.mmio_read(at.v, size) : size_mask(size);

	record(false, false, at.v, size, v);
	return v;
}

void hw_mmio_write(hpa_t at, unsigned size, uint64_t value)
{
	record(false, true, at.v, size, value);
	if (fake_hw.mmio_write)
		fake_hw.mmio_write(at.v, size, value);
}

uint64_t hw_tsc(void)
{
	return fake_hw.tsc += fake_hw.tsc_step;
}

void hw_irq_enable(void)
{
	fake_hw.irq_enabled = true;
}

void hw_irq_disable(void)
{
	fake_hw.irq_enabled = false;
}

bool hw_irq_enabled(void)
{
	return fake_hw.irq_enabled;
}

void hw_interrupt_window(void)
{
	fake_hw.windows++;
	if (fake_hw.window)
		fake_hw.window();
}

void hw_wait(void)
{
	fake_hw.waits++;
	if (fake_hw.window)
		fake_hw.window();
}

uint64_t hw_read_xcr0(void)
{
	return fake_hw.xcr0;
}

void hw_write_xcr0(uint64_t value)
{
	fake_hw.xcr0 = value;
}

struct cpuid_regs hw_cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs r = {0};

	if (fake_hw.cpuid)
		return fake_hw.cpuid(leaf, subleaf);
	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

uint64_t hw_rdmsr(uint32_t msr)
{
	return fake_hw.rdmsr ? fake_hw.rdmsr(msr) : 0;
}

void hw_wrmsr(uint32_t msr, uint64_t value)
{
	if (fake_hw.wrmsr)
		fake_hw.wrmsr(msr, value);
}
