/* Never comes back, and makes no exit of its own. */
#include "tiny.h"

const char tiny_name[] = "tiny-hang";

void tiny_main(const uint8_t *boot_params)
{
	(void)boot_params;
	for (;;)
		__asm__ volatile("");
}
