/* Real memory-mapped registers; see mmio.h. No state. */
#include "hw/mmio.h"

uint64_t hw_mmio_read(hpa_t at, unsigned size)
{
	switch (size) {
	case 1:
		return *(volatile uint8_t *)(uintptr_t)at.v;
	case 2:
		return *(volatile uint16_t *)(uintptr_t)at.v;
	case 4:
		return *(volatile uint32_t *)(uintptr_t)at.v;
	case 8:
		return *(volatile uint64_t *)(uintptr_t)at.v;
	default:
		return ~0ull;
	}
}

void hw_mmio_write(hpa_t at, unsigned size, uint64_t value)
{
	switch (size) {
	case 1:
		*(volatile uint8_t *)(uintptr_t)at.v = (uint8_t)value;
		break;
	case 2:
		*(volatile uint16_t *)(uintptr_t)at.v = (uint16_t)value;
		break;
	case 4:
		*(volatile uint32_t *)(uintptr_t)at.v = (uint32_t)value;
		break;
	case 8:
		*(volatile uint64_t *)(uintptr_t)at.v = value;
		break;
	default:
		break;
	}
}
