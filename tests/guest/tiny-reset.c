/* Resets the machine through the chipset's reset control register, CF9h. */
#include "tiny.h"

const char tiny_name[] = "tiny-reset";

void tiny_main(const uint8_t *boot_params)
{
	(void)boot_params;
	out8(0xcf9, 0x02);
	out8(0xcf9, 0x06);
	say("still here after the reset");
}
