/* Halts with interrupts off, as a kernel does that has nothing left to do. */
#include "tiny.h"

const char tiny_name[] = "tiny-halt";

void tiny_main(const uint8_t *boot_params)
{
	(void)boot_params;
	for (;;)
		__asm__ volatile("cli; hlt");
}
