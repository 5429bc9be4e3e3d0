/* Real I/O ports; see port.h. No state. */
#include "hw/port.h"

uint32_t hw_port_read(uint16_t port, unsigned size)
{
	uint32_t v = 0;
	uint16_t w;
	uint8_t b;

	switch (size) {
	case 1:
		__asm__ volatile("inb %1, %0" : "=a"(b) : "Nd"(port));
		return b;
	case 2:
		__asm__ volatile("inw %1, %0" : "=a"(w) : "Nd"(port));
		return w;
	case 4:
		__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
		return v;
	default:
		return ~0u;
	}
}

void hw_port_write(uint16_t port, unsigned size, uint32_t value)
{
	switch (size) {
	case 1:
		__asm__ volatile("outb %0, %1" ::"a"((uint8_t)value), "Nd"(port));
		break;
	case 2:
		__asm__ volatile("outw %0, %1" ::"a"((uint16_t)value), "Nd"(port));
		break;
	case 4:
		__asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port));
		break;
	default:
		break;
	}
}

void hw_port_read_block(uint16_t port, unsigned size, void *ret, size_t n)
{
	if (size == 1)
		__asm__ volatile("rep insb" : "+D"(ret), "+c"(n) : "d"(port) : "memory");
	else if (size == 2)
		__asm__ volatile("rep insw" : "+D"(ret), "+c"(n) : "d"(port) : "memory");
	else if (size == 4)
		__asm__ volatile("rep insl" : "+D"(ret), "+c"(n) : "d"(port) : "memory");
}
