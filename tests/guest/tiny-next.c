/* Asks for the firmware's next boot option at once: the shortest way through Postern and back. */
#include "tiny.h"

const char tiny_name[] = "tiny-next";

void tiny_main(const uint8_t *boot_params)
{
	(void)boot_params;
}
