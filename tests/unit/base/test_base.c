/* base: formatting, ranges, arena. */
#include "base/arena.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/fmt.h"
#include "base/log.h"
#include "test.h"

static void check_same_as_libc(const char *format, uint64_t v)
{
	char ours[64], libc[64];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	int a = fmt_print(ours, sizeof(ours), format, v);
	int b = snprintf(libc, sizeof(libc), format, v);
#pragma GCC diagnostic pop

	CHECK(a == b && !strcmp(ours, libc));
	if (strcmp(ours, libc))
		printf("  %s: '%s', libc says '%s'\n", format, ours, libc);
}

static void formats_like_libc(void)
{
	static const char *const formats[] = {"%lu", "%lx", "%lX", "%016lx", "%-20lx|", "%20lu",
		"%ld", "%.5lu", "%08ld", "%llx", "%zu", "%5ld|"};
	static const uint64_t values[] = {0, 1, 42, 0xdeadbeef, ~0ull, 1ull << 63, 12345};

	for (size_t i = 0; i < array_size(formats); i++)
		for (size_t k = 0; k < array_size(values); k++)
			check_same_as_libc(formats[i], values[k]);
}

static void formats_text_and_cuts(void)
{
	char out[8];

	CHECK(fmt_print(out, sizeof(out), "%s-%c", "abc", 'd') == 5 && !strcmp(out, "abc-d"));
	CHECK(fmt_print(out, sizeof(out), "%s", "0123456789") == 10 && !strcmp(out, "0123456"));
	CHECK(fmt_print(out, sizeof(out), "%.2s|%3s", "xyz", "w") == 6 && !strcmp(out, "xy|  w"));
	CHECK(fmt_print(NULL, 0, "%d", -7) == 2);
	fmt_print(out, sizeof(out), "%hhx", (unsigned char)0xff);
	CHECK(!strcmp(out, "ff"));
}

static void ranges_do_not_overflow(void)
{
	CHECK(range_fits(0, 10, 10) && !range_fits(1, 10, 10) && !range_fits(~0ull, 2, 10));
	CHECK(!range_fits(2, ~0ull, 10));
	CHECK(ranges_overlap(0, 10, 9, 1) && !ranges_overlap(0, 10, 10, 5));
	CHECK(!ranges_overlap(5, 0, 0, 10));
	CHECK_EQ(align_up(~0ull, 4096), ~0ull << 12);
	CHECK_EQ(bytes_merge(0x11223344, 0xaa, 1, 1), 0x1122aa44);
	CHECK_EQ(size_mask(8), ~0ull);
	CHECK_EQ(FIELD_GET(BITS(11, 4), 0xabcd), 0xbc);
}

static unsigned lines;

static void count_line(const char *line, bool alert)
{
	(void)alert;
	lines += !strncmp(line, "again", 5);
}

static void a_guest_can_not_flood_the_log(void)
{
	struct log_limit limit = {0}, old = {UINT32_MAX};

	log_reset();
	log_add_sink(count_line);
	for (unsigned i = 0; i < 1u << 20; i++)
		log_limited(&limit, "again %u", i);
	CHECK_EQ(lines, LOG_BURST + 20 - 3);
	for (unsigned i = 0; i < 100; i++)
		log_limited(&old, "again %u", i);
	CHECK_EQ(lines, LOG_BURST + 20 - 3);
	log_reset();
}

static void arena_is_bounded_and_sealed(void)
{
	static uint8_t memory[4 * PAGE_SIZE] __attribute__((aligned(4096)));
	struct arena a;
	uint8_t *p;

	memset(memory, 0xff, sizeof(memory));
	arena_init(&a, memory, hpa(0x100000), sizeof(memory));
	CHECK(arena_alloc(&a, 3, 1) == memory);
	p = arena_pages(&a, 2);
	CHECK(p == memory + PAGE_SIZE && p[0] == 0 && p[2 * PAGE_SIZE - 1] == 0);
	CHECK_EQ(arena_hpa(&a, p).v, 0x100000 + PAGE_SIZE);
	CHECK(!arena_pages(&a, 2) && !arena_pages(&a, SIZE_MAX));
	arena_seal(&a);
	CHECK(!arena_alloc(&a, 1, 1));
}

static void errors_have_names(void)
{
	for (int e = 0; e < E_COUNT; e++)
		CHECK(strcmp(error_string(-e), "unknown error"));
	CHECK(!strcmp(error_string(-1000), "unknown error"));
}

int main(void)
{
	RUN(formats_like_libc);
	RUN(formats_text_and_cuts);
	RUN(ranges_do_not_overflow);
	RUN(a_guest_can_not_flood_the_log);
	RUN(arena_is_bounded_and_sealed);
	RUN(errors_have_names);
	return TEST_RESULT();
}
