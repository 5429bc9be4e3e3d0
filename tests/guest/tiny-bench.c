/*
 * The cost of an exit, seen from inside: TSC ticks of an instruction that exits, less those of the two
 * RDTSCs around it. The fastest of many, since now and then the firmware's timer comes between. Under
 * Bochs a tick is an instruction of the host, and the one that exits counts as well; under QEMU with
 * -icount it is a fixed part of one.
 *
 * Trapped memory is an NVMe controller's registers if there is one, else a place where nobody is.
 */
#include "tiny.h"

const char tiny_name[] = "tiny-bench";

#define ROUNDS 2000u

static void do_nothing(void)
{
}

static void do_cpuid(void)
{
	cpuid(0, 0);
}

/* The system control port: PIT channel 2's output. Trapped, and answered from the model. */
static void do_port_read(void)
{
	in8(0x61);
}

static void do_port_write(void)
{
	out8(0x80, 0);
}

static void do_config_address(void)
{
	out32(0xcf8, PCI_ADDRESS(0, 0, 0, 0));
}

static void do_config_read(void)
{
	in32(0xcfc);
}

#define NOWHERE	   0xc0000000ull /* mapped 1:1 by the loader's tables */
#define NVME_INTMC 0x10u	 /* a 0 here changes nothing */
#define DWORDS	   64u

static uint64_t registers = NOWHERE;
static uint32_t buffer[DWORDS];

#define PTE_TABLE  0x03ull
#define PTE_LARGE  0x83ull
#define LARGE_MASK 0x1fffffull
#define FIFTH_GIB  (4ull << 30)

/* The loader's tables end at 4 GiB; the firmware may have put the registers beyond. */
static uint64_t map(uint64_t address)
{
	static uint64_t directory[512] __attribute__((aligned(4096)));
	uint64_t cr3, *pml4, *pdpt;

	if (address < FIFTH_GIB)
		return address;
	__asm__ volatile("movq %%cr3, %0" : "=r"(cr3));
	pml4 = (uint64_t *)(cr3 & ~0xfffull);
	pdpt = (uint64_t *)(pml4[0] & 0xffffffffff000ull);
	directory[0] = (address & ~LARGE_MASK) | PTE_LARGE;
	pdpt[4] = (uint64_t)directory | PTE_TABLE;
	__asm__ volatile("movq %0, %%cr3" : : "r"(cr3) : "memory");
	return FIFTH_GIB | (address & LARGE_MASK);
}

static void find_registers(void)
{
	for (uint32_t slot = 0; slot < 32; slot++) {
		uint32_t at = PCI_ADDRESS(0, slot, 0, 0);

		if (pci_read(at + 8) >> 16 != 0x0108)
			continue;
		pci_write(at + 4, 6);
		registers = map(
			(pci_read(at + 0x10) & ~0xfu) | (uint64_t)pci_read(at + 0x14) << 32);
		say("NVMe registers");
	}
}

static void do_mmio_read(void)
{
	uint32_t v;

	__asm__ volatile("movl (%1), %0" : "=r"(v) : "r"(registers) : "memory");
}

static void do_mmio_write(void)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(0), "r"(registers + NVME_INTMC) : "memory");
}

static void do_mmio_rep_movs(void)
{
	uint64_t from = registers, to = (uint64_t)buffer, count = DWORDS;

	__asm__ volatile("rep movsl" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
}

static uint64_t measure(void (*work)(void))
{
	uint64_t best = ~0ull;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t start = tsc(), took;

		work();
		took = tsc() - start;
		best = took < best ? took : best;
	}
	return best;
}

void tiny_main(const uint8_t *boot_params)
{
	static const struct {
		const char *name;
		void (*work)(void);
	} works[] = {{"cpuid", do_cpuid}, {"port-read", do_port_read},
		{"port-write", do_port_write}, {"config-address", do_config_address},
		{"config-read", do_config_read}, {"mmio-read", do_mmio_read},
		{"mmio-write", do_mmio_write}, {"mmio-rep-movsl-64", do_mmio_rep_movs}};
	uint64_t nothing = measure(do_nothing);

	(void)boot_params;
	find_registers();
	for (unsigned i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		say("%s %u ticks", works[i].name, measure(works[i].work) - nothing);
	say("done");
}
