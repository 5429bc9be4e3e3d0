/* efi: entering and leaving stages, with each of them failing in turn; and the memory plan. */
#include "base/error.h"
#include "efi/ramplan.h"
#include "efi/stages.h"
#include "test.h"

static char trace[64];
static char fails;

static int enter(char c)
{
	if (c == fails)
		return -E_IO;
	strcat(trace, (const char[]){c, 0});
	return 0;
}

static int enter_a(void *context)
{
	(void)context;
	return enter('a');
}

static int enter_b(void *context)
{
	(void)context;
	return enter('b');
}

static int enter_c(void *context)
{
	(void)context;
	return enter('c');
}

static void leave_a(void *context)
{
	(void)context;
	strcat(trace, "A");
}

static void leave_c(void *context)
{
	(void)context;
	strcat(trace, "C");
}

static const struct stage stages[] = {
	{"first", enter_a, leave_a}, {"second", enter_b, NULL}, {"third", enter_c, leave_c}};

static int run(char failing, const char *last, const char **ret_failed)
{
	trace[0] = 0;
	fails = failing;
	return stages_run(stages, 3, last, NULL, ret_failed);
}

static void leaves_in_reverse(void)
{
	const char *failed = NULL;

	CHECK(!run(0, NULL, &failed) && !strcmp(trace, "abcCA") && !failed);
	CHECK(!run(0, "", &failed) && !strcmp(trace, "abcCA"));
}

static void each_failure_unwinds_what_was_done(void)
{
	const char *failed = NULL;

	CHECK(run('a', NULL, &failed) == -E_IO && !strcmp(trace, "") && !strcmp(failed, "first"));
	CHECK(run('b', NULL, &failed) == -E_IO && !strcmp(trace, "aA") &&
		!strcmp(failed, "second"));
	CHECK(run('c', NULL, &failed) == -E_IO && !strcmp(trace, "abA") &&
		!strcmp(failed, "third"));
}

static void rehearses_up_to_a_stage(void)
{
	const char *failed = NULL;

	CHECK(!run(0, "second", &failed) && !strcmp(trace, "abA"));
	CHECK(stages_has(stages, 3, "third") && !stages_has(stages, 3, "fourth"));
}

static void plan_takes_large_aligned_runs(void)
{
	static const struct ram_range free[] = {{0x1000, 0x9f000}, {0x100000, 0x500000},
		{0x1000000, 0x8000000}, {0x20001000, 0x1ffff000}, {0xfffff000, 0x2000}};
	struct ram_range runs[4];
	size_t n = 0;

	CHECK(!ram_plan(free, 5, MIB, 4 * GIB, 256 * MIB, 64 * MIB, runs, 4, &n));
	CHECK(n == 1 && runs[0].start == 0x20200000 && runs[0].len == 256 * MIB);
	CHECK(!ram_plan(free, 5, MIB, 4 * GIB, 600 * MIB, 16 * MIB, runs, 4, &n));
	CHECK(n == 2 && runs[0].len == 0x1fe00000 && runs[1].start == 0x1000000);
	CHECK_EQ(runs[0].len + runs[1].len, 600 * MIB);
}

static void plan_refuses(void)
{
	static const struct ram_range free[] = {{0, 64 * MIB}, {128 * MIB, 64 * MIB}};
	struct ram_range runs[4];
	size_t n = 99;

	CHECK(ram_plan(free, 2, 0, 4 * GIB, 128 * MIB, LARGE_SIZE, runs, 4, &n) == -E_NOMEM);
	CHECK(ram_plan(free, 2, 0, 4 * GIB, 100 * MIB, 0, runs, 1, &n) == -E_RANGE);
	CHECK(ram_plan(free, 2, 0, 64 * MIB, 100 * MIB, 0, runs, 4, &n) == -E_NOMEM && n == 99);
	CHECK(!ram_plan(free, 2, 0, 4 * GIB, 128 * MIB, 0, runs, 4, &n) && n == 2);
}

int main(void)
{
	RUN(leaves_in_reverse);
	RUN(each_failure_unwinds_what_was_done);
	RUN(rehearses_up_to_a_stage);
	RUN(plan_takes_large_aligned_runs);
	RUN(plan_refuses);
	return TEST_RESULT();
}
