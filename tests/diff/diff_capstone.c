/*
 * The decoder against Capstone, through src/mmio/second.c, which does the comparing and knows what
 * Capstone gets wrong: random encodings of every form, and random bytes, in all three modes.
 * Anything that isn't known fails, and so does a known defect that never shows.
 *
 *   diff_capstone [COUNT]: how many encodings are tried, by default COUNT_DEFAULT.
 */
#include <capstone/capstone.h>

#include "base/bits.h"
#include "generate.h"
#include "mmio/second.h"
#include "test.h"

#define COUNT_DEFAULT 10000000u
#define REPORTS_MAX   20u
#define MODES	      3u

static const unsigned bits_of[MODES] = {16, 32, 64};

static struct second *second;
static csh handle; /* Capstone once more, for what ours refuses */
static cs_insn *cs;
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

/* Does Capstone see one of our instructions, with a memory operand? SSE2 has another MOVSD. */
static bool is_one_of_ours(const char *name)
{
	const cs_x86 *x = &cs->detail->x86;
	bool memory = false;

	for (unsigned i = 0; i < x->op_count; i++)
		memory |= x->operands[i].type == X86_OP_MEM;
	if (memory && (!strncmp(name, "cmov", 4) || !strncmp(name, "set", 3)))
		return true;
	for (unsigned op = OP_ADD; memory && op < OP_COUNT; op++) {
		const char *ours = insn_op_name(op);
		size_t n = strlen(ours);

		if (!strcmp(name, ours) ||
			(op >= OP_MOVS && op <= OP_CMPS && x->opcode[0] != 0x0f &&
				!strncmp(name, ours, n) && strchr("bwdq", name[n]) && !name[n + 1]))
			return true;
	}
	return false;
}

/*
 * What Capstone takes for one of our instructions and we refuse: LOCK where it is illegal, MOVNTI
 * with 66, F2 or F3 (a real CPU raises #UD), and moves of segment registers, which the decoder
 * doesn't know.
 */
static bool is_rightly_refused(const uint8_t *bytes)
{
	static const char prefixes[] = "\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3";
	const uint8_t *opcode = cs->detail->x86.opcode;

	/* A REX in between is one that doesn't count. */
	while (memchr(prefixes, *bytes, sizeof(prefixes) - 1) || (*bytes & 0xf0) == 0x40)
		if (*bytes++ == 0xf0)
			return true;
	return opcode[0] == 0x8c || opcode[0] == 0x8e || cs->id == X86_INS_MOVNTI;
}

/* Ours doesn't know the instruction: it must be none that we claim to know. */
static void check_refused(const uint8_t *bytes, size_t n, enum insn_mode mode)
{
	static const cs_mode modes[MODES] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
	const uint8_t *at = bytes;
	uint64_t address = 0;

	cs_option(handle, CS_OPT_MODE, modes[mode]);
	if (!cs_disasm_iter(handle, &at, &n, &address, cs))
		return;
	if (is_one_of_ours(second_name(second, bytes, INSN_MAX, mode)) &&
		!is_rightly_refused(bytes))
		report(bytes, cs->size, mode, "ours refuses");
}

/* What either accepts among random bytes, the other reads the same way. */
static void sample_bytes(enum insn_mode mode, uint64_t samples)
{
	uint64_t accepted = 0;

	for (uint64_t i = 0; i < samples; i++) {
		uint64_t word[2] = {rng_next(), rng_next()};
		struct insn ours = {0};
		uint8_t bytes[16];

		memcpy(bytes, word, 16);
		if (insn_decode(bytes, INSN_MAX, mode, &ours) != INSN_OK) {
			check_refused(bytes, INSN_MAX, mode);
			continue;
		}
		accepted++;
		compare(bytes, INSN_MAX, mode, &ours);
	}
	CHECK(accepted > samples / 10);
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

/* A handle of our own, with the C library's memory. The second opinion needs no more of its own. */
static int open_capstone(void)
{
	cs_opt_mem mem = {malloc, calloc, realloc, free, vsnprintf};

	if (cs_option(0, CS_OPT_MEM, (uintptr_t)&mem) ||
		cs_open(CS_ARCH_X86, CS_MODE_64, &handle) ||
		cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON))
		return -1;
	cs = cs_malloc(handle);
	return cs ? 0 : -1;
}

int main(int argc, char **argv)
{
	static uint8_t pool[64 * KIB] __attribute__((aligned(4096)));
	struct arena arena;

	if (argc > 1)
		count = strtoull(argv[1], NULL, 10);
	arena_init(&arena, pool, hpa(0), sizeof(pool));
	if (second_open(&arena, &second) || open_capstone())
		return EXIT_FAILURE;
	rng_seed(1);
	RUN(mode_16);
	RUN(mode_32);
	RUN(mode_64);
	RUN(every_defect_shows);
	cs_free(cs, 1);
	cs_close(&handle);
	return TEST_RESULT();
}
