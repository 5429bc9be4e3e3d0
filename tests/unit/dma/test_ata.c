/* The table of ATA commands: what a restricted guest gets, and that nothing else does. */
#include "dma/ata.h"
#include "test.h"

static bool in(uint8_t opcode, const uint8_t *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == opcode)
			return true;
	return false;
}

static void issues_exactly_the_reads(void)
{
	static const uint8_t issued[] = {0x20, 0x21, 0x24, 0x25, 0x27, 0x29, 0x40, 0x41, 0x42, 0x90,
		0x91, 0x98, 0xc4, 0xc6, 0xc8, 0xc9, 0xe5, 0xe7, 0xea, 0xec, 0xf8};
	static const uint8_t pretended[] = {0x94, 0x95, 0xe0, 0xe1};

	for (unsigned op = 0; op < 256; op++) {
		const struct ata_command *c = ata_classify((uint8_t)op, 0);
		enum ata_verdict want = in((uint8_t)op, issued, sizeof(issued)) ? ATA_ISSUE
					: in((uint8_t)op, pretended, sizeof(pretended))
						? ATA_PRETEND
						: ATA_DENY;

		if (c->verdict != want)
			printf("  command %02x\n", op);
		CHECK_EQ(c->verdict, want);
		CHECK(c->name && *c->name);
	}
}

static void never_issues_what_takes_data(void)
{
	for (unsigned op = 0; op < 256; op++)
		for (unsigned features = 0; features < 256; features++) {
			const struct ata_command *c = ata_classify((uint8_t)op, (uint8_t)features);

			if (c->verdict == ATA_ISSUE || c->verdict == ATA_MODE)
				CHECK(c->protocol == ATA_NO_DATA || c->protocol == ATA_PIO_IN ||
					c->protocol == ATA_DMA_IN);
		}
}

static void set_features_by_subcommand(void)
{
	for (unsigned features = 0; features < 256; features++) {
		enum ata_verdict want = features == 3			       ? ATA_MODE
					: features == 0x55 || features == 0xaa ? ATA_PRETEND
									       : ATA_DENY;

		CHECK_EQ(ata_classify(0xef, (uint8_t)features)->verdict, want);
	}
}

static void knows_wide_commands(void)
{
	static const uint8_t wide[] = {0x24, 0x25, 0x27, 0x29, 0x42, 0xea};
	static const uint8_t narrow[] = {0x20, 0x40, 0xc4, 0xc8, 0xe7, 0xf8, 0xec};

	for (size_t i = 0; i < sizeof(wide); i++)
		CHECK(ata_classify(wide[i], 0)->wide);
	for (size_t i = 0; i < sizeof(narrow); i++)
		CHECK(!ata_classify(narrow[i], 0)->wide);
}

int main(void)
{
	RUN(issues_exactly_the_reads);
	RUN(never_issues_what_takes_data);
	RUN(set_features_by_subcommand);
	RUN(knows_wide_commands);
	return TEST_RESULT();
}
