/* core: guest memory, its bounds and its runs. */
#include "base/bits.h"
#include "base/error.h"
#include "core/gmem.h"
#include "test.h"

static uint8_t low[2 * PAGE_SIZE], middle[PAGE_SIZE], high[PAGE_SIZE];

/* Two runs that touch, then a hole, then one more. */
static struct gmem machine(void)
{
	struct gmem m = {0};

	memset(low, 1, sizeof(low));
	memset(middle, 2, sizeof(middle));
	memset(high, 3, sizeof(high));
	CHECK(!gmem_add(&m, (struct gmem_run){gpa(0), hpa(0x100000), sizeof(low), low}));
	CHECK(!gmem_add(&m, (struct gmem_run){gpa(0x2000), hpa(0x102000), sizeof(middle), middle}));
	CHECK(!gmem_add(&m, (struct gmem_run){gpa(0x5000), hpa(0x900000), sizeof(high), high}));
	return m;
}

static void copies_across_runs(void)
{
	struct gmem m = machine();
	uint8_t buffer[4] = {0};

	CHECK(!gmem_read(&m, gpa(0x1ffe), buffer, 4));
	CHECK(!memcmp(buffer, "\1\1\2\2", 4));
	CHECK(!gmem_write(&m, gpa(0x1fff), "ab", 2) && low[0x1fff] == 'a' && middle[0] == 'b');
	CHECK(!gmem_fill(&m, gpa(0x1fff), 7, 2) && low[0x1fff] == 7 && middle[0] == 7);
	CHECK_EQ(gmem_size(&m), 4 * PAGE_SIZE);
}

static void refuses_holes_and_wraps_whole(void)
{
	struct gmem m = machine();
	uint8_t buffer[8] = {9, 9, 9, 9, 9, 9, 9, 9};

	CHECK(gmem_read(&m, gpa(0x2ffc), buffer, 8) == -E_FAULT && buffer[0] == 9);
	CHECK(gmem_write(&m, gpa(0x2ffc), buffer, 8) == -E_FAULT && middle[0xffc] == 2);
	CHECK(gmem_read(&m, gpa(0x6000), buffer, 1) == -E_FAULT);
	CHECK(gmem_read(&m, gpa(~0ull), buffer, 2) == -E_FAULT);
	CHECK(gmem_read(&m, gpa(~0ull - 3), buffer, 8) == -E_FAULT);
	CHECK(gmem_fill(&m, gpa(0x5fff), 0, 2) == -E_FAULT && high[0xfff] == 3);
	CHECK(!gmem_read(&m, gpa(~0ull), buffer, 0));
}

static void translates_for_dma(void)
{
	struct gmem m = machine();
	uint64_t len = 0;
	hpa_t at = hpa(0);

	CHECK(!gmem_translate(&m, gpa(0x1000), 0x2000, &at, &len));
	CHECK_EQ(at.v, 0x101000);
	CHECK_EQ(len, 0x2000); /* the first two runs are neighbours in host memory too */
	CHECK(!gmem_translate(&m, gpa(0x2800), 0x9000, &at, &len));
	CHECK_EQ(len, 0x800);
	CHECK(gmem_translate(&m, gpa(0x3000), 1, &at, &len) == -E_FAULT);
	CHECK(gmem_translate(&m, gpa(0), 0, &at, &len) == -E_INVAL);
}

static void refuses_bad_runs(void)
{
	struct gmem m = machine();

	CHECK(gmem_add(&m, (struct gmem_run){gpa(0x5000), hpa(0), PAGE_SIZE, high}) == -E_EXIST);
	CHECK(gmem_add(&m, (struct gmem_run){gpa(0x7001), hpa(0), PAGE_SIZE, high}) == -E_INVAL);
	CHECK(gmem_add(&m, (struct gmem_run){gpa(0x7000), hpa(0), 0, high}) == -E_INVAL);
	CHECK(gmem_add(&m, (struct gmem_run){gpa(align_down(~0ull, PAGE_SIZE)), hpa(0),
				   2 * PAGE_SIZE, high}) == -E_INVAL);
	for (unsigned i = m.count; i < GMEM_RUNS_MAX; i++)
		CHECK(!gmem_add(&m, (struct gmem_run){gpa(i << 20), hpa(0), PAGE_SIZE, high}));
	CHECK(gmem_add(&m, (struct gmem_run){gpa(1ull << 40), hpa(0), PAGE_SIZE, high}) ==
		-E_NOMEM);
}

int main(void)
{
	RUN(copies_across_runs);
	RUN(refuses_holes_and_wraps_whole);
	RUN(translates_for_dma);
	RUN(refuses_bad_runs);
	return TEST_RESULT();
}
