/*
 * The cost of an exit, seen from inside: TSC ticks of an instruction that exits, less those of the two
 * RDTSCs around it. The fastest of many, since now and then the firmware's timer comes between. Under
 * Bochs a tick is an instruction of the host, and the one that exits counts as well.
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
		{"config-read", do_config_read}};
	uint64_t nothing = measure(do_nothing);

	(void)boot_params;
	for (unsigned i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		say("%s %u ticks", works[i].name, measure(works[i].work) - nothing);
	say("done");
}
