/* Policies: names, profiles, and blocks at the edges of windows. */
#include "core/policy.h"
#include "base/bits.h"
#include "test.h"

#include <string.h>

static void names_are_found(void)
{
	for (unsigned i = 0; i < POLICY_COMMANDS; i++) {
		const char *name = policy_command_name((enum policy_command)i);

		CHECK(strlen(name) > 3);
		CHECK_EQ(policy_find_command(name, strlen(name)), BIT(i));
		/* A part of a name is none. */
		CHECK_EQ(policy_find_command(name, strlen(name) - 1), 0);
	}
	CHECK(!strcmp(policy_command_name(POLICY_COMMANDS), "?"));
	CHECK_EQ(policy_find_command("", 0), 0);
	CHECK_EQ(policy_find_command("reads", 5), 0);
	CHECK_EQ(policy_find_command("read, write", 4), BIT(POLICY_READ));
	CHECK_EQ(policy_find_command("set-features", 12),
		BITS(POLICY_SET_EVENTS, POLICY_SET_ARBITRATION));
	CHECK_EQ(policy_find_command("set-features:", 13), 0);
}

static void profiles_say_what_they_are(void)
{
	static const enum policy_command changes[] = {
		POLICY_WRITE, POLICY_WRITE_ZEROES, POLICY_SECURITY_SEND};
	uint64_t unlock = policy_find_profile("unlock");

	CHECK_EQ(policy_find_profile("read-only"), policy_read_only.allowed);
	for (unsigned i = 0; i < array_size(changes); i++)
		CHECK(!policy_allows(&policy_read_only, changes[i]));
	CHECK(policy_allows(&policy_read_only, POLICY_READ));
	CHECK(unlock & BIT(POLICY_READ) && unlock & BIT(POLICY_SECURITY_SEND));
	CHECK(!(unlock & (BIT(POLICY_WRITE) | BIT(POLICY_WRITE_ZEROES))));
	CHECK_EQ(policy_find_profile("full"), BIT(POLICY_COMMANDS) - 1);
	CHECK_EQ(policy_find_profile(""), 0);
	CHECK_EQ(policy_find_profile("ful"), 0);
}

static void windows_end_where_they_end(void)
{
	const struct policy_window w[] = {{10, 19, true}, {20, 29, false}, {~0ull, ~0ull, false}};

	CHECK_EQ(policy_reach(w, 0, 0, ~0ull, true), POLICY_INSIDE);
	CHECK_EQ(policy_reach(w, 2, 9, 1, false), POLICY_OUTSIDE);
	CHECK_EQ(policy_reach(w, 2, 10, 10, false), POLICY_INSIDE);
	CHECK_EQ(policy_reach(w, 2, 10, 10, true), POLICY_NOT_WRITABLE);
	CHECK_EQ(policy_reach(w, 2, 19, 2, false), POLICY_OUTSIDE);
	CHECK_EQ(policy_reach(w, 2, 20, 10, true), POLICY_INSIDE);
	CHECK_EQ(policy_reach(w, 2, 29, 2, true), POLICY_OUTSIDE);
	CHECK_EQ(policy_reach(w, 3, ~0ull, 1, true), POLICY_INSIDE);
	CHECK_EQ(policy_reach(w, 3, ~0ull, 2, true), POLICY_OUTSIDE);
	CHECK_EQ(policy_reach(w, 3, 15, ~0ull, false), POLICY_OUTSIDE);
}

int main(void)
{
	RUN(names_are_found);
	RUN(profiles_say_what_they_are);
	RUN(windows_end_where_they_end);
	return TEST_RESULT();
}
