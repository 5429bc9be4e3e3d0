/* core: second-level tables, in a plain format of the test's own. */
#include "base/bits.h"
#include "base/error.h"
#include "core/slpt.h"
#include "test.h"

#define PRESENT BIT(0)
#define LARGE	BIT(7)
#define ADDRESS BITS(51, 12)

static unsigned largest_level = 2;

static uint64_t table(hpa_t next)
{
	return next.v | PRESENT;
}

static uint64_t leaf(hpa_t page, unsigned access, enum slpt_memtype type, unsigned level)
{
	return page.v | PRESENT | (level > 1 ? LARGE : 0) | (uint64_t)access << 1 |
	       (uint64_t)type << 8;
}

static bool is_large(uint64_t entry)
{
	return entry & LARGE;
}

static hpa_t address(uint64_t entry)
{
	return hpa(entry & ADDRESS);
}

static unsigned largest(void)
{
	return largest_level;
}

static const struct slpt_format format = {table, leaf, is_large, address, largest};
static uint8_t memory[64 * PAGE_SIZE] __attribute__((aligned(4096)));

static struct slpt fresh(struct arena *a, size_t pages)
{
	struct slpt t;

	arena_init(a, memory, hpa(0x40000000), pages * PAGE_SIZE);
	CHECK(!slpt_init(&t, &format, a));
	return t;
}

static uint64_t lookup(const struct slpt *t, uint64_t at)
{
	uint64_t entry;
	hpa_t to;

	return slpt_lookup(t, gpa(at), &to, &entry) ? ~0ull : to.v;
}

static void maps_small_and_large(void)
{
	struct arena a;
	struct slpt t = fresh(&a, 64);

	/* 4 KiB up to the first 2 MiB boundary, two large pages, 4 KiB at the end. */
	CHECK(!slpt_map(&t, gpa(0x1ff000), hpa(0x9ff000), 0x402000, SLPT_ALL, SLPT_WB));
	CHECK(t.mapped[1] == 2 && t.mapped[2] == 2);
	CHECK_EQ(lookup(&t, 0x1ff123), 0x9ff123);
	CHECK_EQ(lookup(&t, 0x3abcde), 0xbabcde);
	CHECK_EQ(lookup(&t, 0x600fff), 0xe00fff);
	CHECK_EQ(lookup(&t, 0x601000), ~0ull);
	CHECK_EQ(lookup(&t, 0x1fe000), ~0ull);
}

static void odd_alignment_takes_small_pages(void)
{
	struct arena a;
	struct slpt t = fresh(&a, 64);

	CHECK(!slpt_map(&t, gpa(0), hpa(0x1000), 4 * MIB, SLPT_READ, SLPT_UC));
	CHECK(t.mapped[2] == 0 && t.mapped[1] == 1024);
	largest_level = 3;
	CHECK(!slpt_map(&t, gpa(GIB), hpa(2 * GIB), GIB, SLPT_ALL, SLPT_WB));
	CHECK(t.mapped[3] == 1);
	CHECK_EQ(lookup(&t, GIB + 0x12345678), 2 * GIB + 0x12345678);
	CHECK(slpt_map(&t, gpa(GIB + MIB), hpa(0), PAGE_SIZE, SLPT_ALL, SLPT_WB) == -E_EXIST);
	largest_level = 2;
}

static void refuses(void)
{
	struct arena a;
	struct slpt t = fresh(&a, 5);

	CHECK(slpt_map(&t, gpa(1), hpa(0), PAGE_SIZE, SLPT_ALL, SLPT_WB) == -E_INVAL);
	CHECK(slpt_map(&t, gpa(0), hpa(0), 0, SLPT_ALL, SLPT_WB) == -E_INVAL);
	CHECK(slpt_map(&t, gpa(1ull << 48), hpa(0), PAGE_SIZE, SLPT_ALL, SLPT_WB) == -E_RANGE);
	CHECK(slpt_map(&t, gpa(0), hpa(1ull << 52), PAGE_SIZE, SLPT_ALL, SLPT_WB) == -E_RANGE);
	CHECK(!slpt_map(&t, gpa(0), hpa(0), PAGE_SIZE, SLPT_ALL, SLPT_WB));
	CHECK(slpt_map(&t, gpa(0), hpa(0x5000), PAGE_SIZE, SLPT_ALL, SLPT_WB) == -E_EXIST);
	CHECK(!slpt_map(&t, gpa(LARGE_SIZE), hpa(0), PAGE_SIZE, SLPT_ALL, SLPT_WB));
	CHECK(slpt_map(&t, gpa(2 * LARGE_SIZE), hpa(0), PAGE_SIZE, SLPT_ALL, SLPT_WB) == -E_NOMEM);
	CHECK_EQ(lookup(&t, ~0ull), ~0ull);
}

struct seen {
	uint64_t pages[4], bytes, last;
	unsigned fail_at;
};

static int see(void *arg, gpa_t at, hpa_t to, uint64_t len, uint64_t entry)
{
	struct seen *s = arg;

	CHECK(at.v >= s->last && (entry & PRESENT));
	CHECK_EQ(to.v, at.v + 0x800000);
	s->last = at.v + len;
	s->bytes += len;
	s->pages[len == PAGE_SIZE ? 1 : len == LARGE_SIZE ? 2 : 3]++;
	return s->fail_at && s->pages[1] == s->fail_at ? -E_DENIED : 0;
}

static void visits_what_is_mapped(void)
{
	struct arena a;
	struct slpt t = fresh(&a, 64);
	struct seen s = {0};

	CHECK(!slpt_visit(&t, see, &s) && s.bytes == 0);
	CHECK(!slpt_map(&t, gpa(0x1ff000), hpa(0x9ff000), 0x402000, SLPT_ALL, SLPT_WB));
	CHECK(!slpt_map(
		&t, gpa(0xfffffffff000), hpa(0x10000007ff000), PAGE_SIZE, SLPT_READ, SLPT_UC));
	CHECK(!slpt_map(&t, gpa(GIB), hpa(GIB + 0x800000), LARGE_SIZE, SLPT_ALL, SLPT_WB));
	CHECK(!slpt_visit(&t, see, &s));
	CHECK(s.pages[1] == 3 && s.pages[2] == 3);
	CHECK_EQ(s.bytes, 0x402000 + PAGE_SIZE + LARGE_SIZE);
	s = (struct seen){.fail_at = 2};
	CHECK(slpt_visit(&t, see, &s) == -E_DENIED && s.pages[1] == 2 && s.pages[2] == 2);
}

static void budget_is_enough(void)
{
	struct arena a;
	struct slpt t = fresh(&a, slpt_pages_needed(8 * MIB, 3));

	CHECK(!slpt_map(&t, gpa(0), hpa(0x1000), 4 * MIB, SLPT_ALL, SLPT_WB));
	CHECK(!slpt_map(&t, gpa(0x7ffff000), hpa(0x1000), 2 * MIB, SLPT_ALL, SLPT_WB));
	CHECK(!slpt_map(&t, gpa(0x7ffffff000), hpa(0x1000), 2 * MIB, SLPT_ALL, SLPT_WB));
}

int main(void)
{
	RUN(maps_small_and_large);
	RUN(odd_alignment_takes_small_pages);
	RUN(refuses);
	RUN(visits_what_is_mapped);
	RUN(budget_is_enough);
	return TEST_RESULT();
}
