/* A triple fault: an exception without a descriptor table. */
#include "tiny.h"

const char tiny_name[] = "tiny-triple";

void tiny_main(const uint8_t *boot_params)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = {0, 0};

	(void)boot_params;
	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}
