/*
 * Page tables where no memory is. On a PC the CPU would read ones there, or fall over; under Postern
 * it is the end of the guest, as a triple fault is.
 */
#include "tiny.h"

const char tiny_name[] = "tiny-walk";

#define PTE_TABLE 0x03ull
#define NOWHERE	  0xc0000000ull
#define FIFTH_GIB (4ull << 30)

void tiny_main(const uint8_t *boot_params)
{
	uint64_t cr3, *pml4, *pdpt;

	(void)boot_params;
	__asm__ volatile("movq %%cr3, %0" : "=r"(cr3));
	pml4 = (uint64_t *)(cr3 & ~0xfffull);
	pdpt = (uint64_t *)(pml4[0] & 0xffffffffff000ull);
	pdpt[4] = NOWHERE | PTE_TABLE;
	__asm__ volatile("movq %0, %%cr3" : : "r"(cr3) : "memory");
	say("read %x", *(volatile uint64_t *)FIFTH_GIB);
}
