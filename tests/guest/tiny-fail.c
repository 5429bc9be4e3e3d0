/* Reports that the authentication failed. */
#include "tiny.h"

const char tiny_name[] = "tiny-fail";

void tiny_main(const uint8_t *boot_params)
{
	(void)boot_params;
	hypercall(POSTERN_CALL_FAIL, POSTERN_FAIL_AUTHENTICATION, NULL, 0);
}
