/*
 * Leaves a secret in every page of its upper memory, and asks for the firmware's next boot option: the
 * shortest way through Postern and back.
 */
#include "secret.h"
#include "tiny.h"

const char tiny_name[] = "tiny-next";

void tiny_main(const uint8_t *boot_params)
{
	(void)boot_params;
	for (uint64_t at = SECRET_FIRST; at < SECRET_LAST; at += 4096)
		*(volatile uint64_t *)at = ~SECRET_INVERTED;
}
