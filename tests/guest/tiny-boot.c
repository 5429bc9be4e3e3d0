/* Asks for the boot target of the configuration at once. */
#include "tiny.h"

const char tiny_name[] = "tiny-boot";

void tiny_main(const uint8_t *boot_params)
{
	(void)boot_params;
	hypercall(POSTERN_CALL_BOOT, POSTERN_BOOT_DEFAULT, NULL, 0);
}
