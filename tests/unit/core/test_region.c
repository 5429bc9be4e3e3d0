/* core: tables of address ranges. */
#include "base/error.h"
#include "core/region.h"
#include "test.h"

static void finds_by_address(void)
{
	struct region_table t = {0};
	struct region a = {.base = 0x60, .len = 1}, b = {.base = 0x64, .len = 1};
	struct region c = {.base = 0x3f8, .len = 8};

	CHECK(!region_find(&t, 0x60));
	CHECK(!region_add(&t, &c) && !region_add(&t, &a) && !region_add(&t, &b));
	CHECK(region_find(&t, 0x60) == &a && region_find(&t, 0x64) == &b);
	CHECK(region_find(&t, 0x3f8) == &c && region_find(&t, 0x3ff) == &c);
	CHECK(!region_find(&t, 0x5f) && !region_find(&t, 0x61) && !region_find(&t, 0x400));
	CHECK(!region_find(&t, ~0ull));
}

static void refuses_overlap_wrap_and_repeat(void)
{
	struct region_table t = {0};
	struct region a = {.base = 0x1000, .len = 0x1000}, b = {.base = 0x1fff, .len = 1};
	struct region wraps = {.base = ~0ull - 1, .len = 3}, empty = {.base = 5};
	struct region top = {.base = ~0ull - 1, .len = 2};

	CHECK(!region_add(&t, &a));
	CHECK(region_add(&t, &a) == -E_INVAL);
	CHECK(region_add(&t, &b) == -E_EXIST);
	CHECK(region_add(&t, &wraps) == -E_INVAL && region_add(&t, &empty) == -E_INVAL);
	CHECK(!region_add(&t, &top) && region_find(&t, ~0ull) == &top);
	CHECK(t.count == 2);
}

static void moves_or_stays(void)
{
	struct region_table t = {0};
	struct region a = {.base = 0x1000, .len = 0x1000}, b = {.base = 0x4000, .len = 0x1000};

	CHECK(!region_add(&t, &a) && !region_add(&t, &b));
	CHECK(region_move(&t, &b, 0x1800, true) == -E_EXIST);
	CHECK(region_find(&t, 0x4000) == &b && b.base == 0x4000 && b.enabled);
	CHECK(!region_move(&t, &b, 0, true) && region_find(&t, 0xfff) == &b);
	CHECK(!region_move(&t, &b, 0x1800, false) && !region_find(&t, 0) && !b.enabled);
	CHECK(region_move(&t, &b, b.base, true) == -E_EXIST);
	CHECK(!region_move(&t, &a, 0x1800, true) && region_find(&t, 0x1800) == &a);
	region_remove(&t, &b);
	CHECK(t.count == 1);
}

static void is_bounded(void)
{
	static struct region r[REGION_MAX + 1];
	struct region_table t = {0};

	for (unsigned i = 0; i <= REGION_MAX; i++) {
		r[i] = (struct region){.base = i * 0x10, .len = 0x10};
		CHECK_EQ(region_add(&t, &r[i]), i < REGION_MAX ? 0 : -E_NOMEM);
	}
	for (unsigned i = 0; i < REGION_MAX; i++)
		CHECK(region_find(&t, i * 0x10 + 7) == &r[i]);
}

int main(void)
{
	RUN(finds_by_address);
	RUN(refuses_overlap_wrap_and_repeat);
	RUN(moves_or_stays);
	RUN(is_bounded);
	return TEST_RESULT();
}
