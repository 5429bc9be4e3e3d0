/*
 * The decoder against Capstone, through src/mmio/second.c, which does the comparing and knows what
 * Capstone gets wrong: random encodings of every form, and random bytes, in all three modes.
 * Anything that isn't known fails, and so does a known defect that never shows.
 *
 *   diff_capstone [COUNT]: how many instructions are compared, by default COUNT_DEFAULT.
 */
#include "base/bits.h"
#include "generate.h"
#include "mmio/second.h"
#include "test.h"

#define COUNT_DEFAULT 10000000u
#define REPORTS_MAX   20u
#define MODES	      3u

static const unsigned bits_of[MODES] = {16, 32, 64};

static struct second *second;
static uint64_t count = COUNT_DEFAULT;
static unsigned reports;

static void report(const uint8_t *bytes, unsigned n, enum insn_mode mode, const char *text)
{
	if (++reports > REPORTS_MAX)
		return;
	printf("  %u bits:", bits_of[mode]);
	for (unsigned i = 0; i < n; i++)
		printf(" %02x", bytes[i]);
	printf(": %s\n", text);
}

static void compare(const uint8_t *bytes, size_t n, enum insn_mode mode, const struct insn *ours)
{
	char text[160];

	if (second_agrees(second, bytes, n, mode, ours))
		return;
	second_describe(second, ours, text, sizeof(text));
	report(bytes, ours->length, mode, text);
}

static void sample_forms(enum insn_mode mode, uint64_t samples)
{
	const struct layout layout = {.dev = mode == INSN_MODE_16 ? 0xa0000 : 0xfe000000,
		.ram = 0x20000,
		.code = 0x10000,
		.gs = true};
	unsigned missing = mode == INSN_MODE_64 ? FORM_NO64 : FORM_64;

	for (unsigned f = 0; samples; f = (f + 1) % form_count) {
		const struct form *form = &forms[f];
		struct insn ours = {0};
		struct sample s;

		if (form->flags & missing)
			continue;
		samples--;
		sample_make(&s, form, bits_of[mode], &layout, false);
		if (insn_decode(s.bytes, s.len, mode, &ours) != INSN_OK || ours.length != s.len)
			report(s.bytes, s.len, mode, "ours refuses");
		else
			compare(s.bytes, s.len, mode, &ours);
	}
}

/* Whatever ours accepts among random bytes, Capstone reads the same way. */
static void sample_bytes(enum insn_mode mode, uint64_t samples)
{
	uint64_t tried = 0, accepted = 0;

	while (accepted < samples && tried++ < samples * 20) {
		uint64_t word[2] = {rng_next(), rng_next()};
		struct insn ours = {0};
		uint8_t bytes[16];

		memcpy(bytes, word, 16);
		if (insn_decode(bytes, INSN_MAX, mode, &ours) != INSN_OK)
			continue;
		accepted++;
		compare(bytes, INSN_MAX, mode, &ours);
	}
	CHECK_EQ(accepted, samples);
}

static void sample_mode(enum insn_mode mode)
{
	reports = 0;
	sample_forms(mode, count / MODES / 2);
	sample_bytes(mode, count / MODES / 2);
	CHECK_EQ(reports, 0);
}

static void mode_16(void)
{
	sample_mode(INSN_MODE_16);
}

static void mode_32(void)
{
	sample_mode(INSN_MODE_32);
}

static void mode_64(void)
{
	sample_mode(INSN_MODE_64);
}

static void every_defect_shows(void)
{
	for (unsigned i = 0; i < second_defect_count(); i++) {
		uint64_t hits = second_defect_hits(second, i);

		printf("  %lu times: %s\n", hits, second_defect_get(i)->what);
		CHECK(hits);
	}
}

int main(int argc, char **argv)
{
	static uint8_t pool[64 * KIB] __attribute__((aligned(4096)));
	struct arena arena;

	if (argc > 1)
		count = strtoull(argv[1], NULL, 10);
	arena_init(&arena, pool, hpa(0), sizeof(pool));
	if (second_open(&arena, &second))
		return EXIT_FAILURE;
	rng_seed(1);
	RUN(mode_16);
	RUN(mode_32);
	RUN(mode_64);
	RUN(every_defect_shows);
	return TEST_RESULT();
}
