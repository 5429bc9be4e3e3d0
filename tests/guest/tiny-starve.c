/*
 * Wants the processor for itself: what costs Postern the most for the least, over and over, so that the
 * firmware's tick and the time limit have to find their way in between. Never comes back.
 */
#include "tiny.h"

const char tiny_name[] = "tiny-starve";

#define ROUNDS 200u

static uint8_t buffer[4096];

static void out_string(uint16_t port)
{
	uint64_t at = (uint64_t)buffer, count = sizeof(buffer);

	TRY("rep outsb", "+S"(at)COMMA "+c"(count), "d"(port));
}

static void in_string(uint16_t port)
{
	uint64_t at = (uint64_t)buffer, count = sizeof(buffer);

	TRY("rep insb", "+D"(at)COMMA "+c"(count), "d"(port));
}

static void fill(uint8_t even, uint8_t odd)
{
	for (unsigned i = 0; i < sizeof(buffer); i++)
		buffer[i] = i % 2 ? odd : even;
}

/* The keyboard and its controller make the processor wait, each byte anew. */
static void wait_for_keyboard(void)
{
	fill(0xf4, 0xee);
	out_string(0x60);
	fill(0xad, 0xae);
	out_string(0x64);
	in_string(0x60);
}

static void read_slow_ports(void)
{
	in_string(0x71);
	in_string(0x1f7);
	in_string(0x3f6);
	in_string(0xc002);
}

/* Accesses that end in nothing, refused commands, and code from nowhere, as fast as it goes. */
static void make_exits(void)
{
	uint64_t at = 0xd0000000, from = 0xd0010000, count = 4096;

	TRY("rep movsq", "+D"(at)COMMA "+S"(from)COMMA "+c"(count), "a"(0));
	for (unsigned i = 0; i < ROUNDS; i++) {
		at = 0xd0000000;
		TRY("jmp *%0", "+d"(at), "c"(0));
		cpuid(i, i);
		hypercall(99, 0, NULL, 0);
		pci_write(PCI_ADDRESS(0, 1, 1, 0x20), i << 4);
		out8(0x1f7, (uint8_t)i);
		__asm__ volatile("wbinvd");
	}
}

void tiny_main(const uint8_t *boot_params)
{
	(void)boot_params;
	for (;;) {
		wait_for_keyboard();
		read_slow_ports();
		make_exits();
	}
}
