/* Resets the machine through the keyboard controller's pulse command. */
#include "tiny.h"

const char tiny_name[] = "tiny-reset-8042";

void tiny_main(const uint8_t *boot_params)
{
	(void)boot_params;
	for (unsigned i = 0; i < 10000 && (in8(0x64) & 2); i++)
		;
	out8(0x64, 0xfe);
	say("still here after the reset");
}
