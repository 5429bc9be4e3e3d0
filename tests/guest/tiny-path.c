/* Asks for the hand-back with a path of its own, slashes and all. */
#include "tiny.h"

const char tiny_name[] = "tiny-path";

void tiny_main(const uint8_t *boot_params)
{
	static const char path[] = "/EFI/Linux/host.efi";

	(void)boot_params;
	hypercall(POSTERN_CALL_BOOT, POSTERN_BOOT_PATH, path, sizeof(path) - 1);
	say("still here");
}
