/* The guest's variables: what is shown, what it sets itself, and every bound. */
#include "guest/variables.h"
#include "base/bits.h"
#include "base/error.h"
#include "test.h"

#define BOTH (VARIABLE_BOOT | VARIABLE_RUNTIME)

static _Alignas(4096) uint8_t memory[128 * KIB];
static struct arena arena;
static struct variables vars;

static struct variable_id id_of(const char *name, uint8_t guid)
{
	struct variable_id id = {.guid = {guid}};

	for (size_t i = 0; name[i]; i++) {
		id.name[2 * i] = (uint8_t)name[i];
		id.name_size = (uint32_t)(2 * (i + 1));
	}
	return id;
}

static int set(const char *name, uint32_t attributes, const void *data, size_t size)
{
	struct variable_id id = id_of(name, 1);

	return variables_set(&vars, &id, attributes, data, size);
}

/* Is a variable there, with this text? */
static bool has(const char *name, const char *text)
{
	struct variable_id id = id_of(name, 1);
	const void *data = NULL;
	uint32_t attributes, size = 0;

	return !variables_get(&vars, &id, &attributes, &data, &size) && size == strlen(text) &&
	       !memcmp(data, text, size);
}

static void set_up(void)
{
	struct variable_id id = id_of("SecureBoot", 1);

	arena_init(&arena, memory, hpa(0), sizeof(memory));
	CHECK_EQ(variables_init(&vars, &arena), 0);
	CHECK_EQ(variables_show(&vars, &id, BOTH, "\1", 1), 0);
}

static void test_shown(void)
{
	struct variable_id id = id_of("SecureBoot", 1), other = id_of("SecureBoot", 2);
	struct variable_id none = {.guid = {1}};

	set_up();
	CHECK(has("SecureBoot", "\1"));
	CHECK_EQ(set("SecureBoot", BOTH, "\0", 1), -E_DENIED);
	CHECK_EQ(set("SecureBoot", BOTH | VARIABLE_APPEND, "\0", 1), -E_DENIED);
	CHECK_EQ(set("SecureBoot", 0, NULL, 0), -E_DENIED);
	CHECK(has("SecureBoot", "\1"));
	/* Another GUID is another variable: the guest's. */
	CHECK_EQ(variables_set(&vars, &other, BOTH, "x", 1), 0);
	CHECK(has("SecureBoot", "\1"));
	CHECK_EQ(variables_show(&vars, &id, BOTH, "\1", 1), -E_EXIST);
	CHECK_EQ(variables_show(&vars, &none, BOTH, "\1", 1), -E_INVAL);
}

static void test_set(void)
{
	set_up();
	CHECK_EQ(set("A", BOTH, "one", 3), 0);
	CHECK_EQ(set("B", BOTH, "two", 3), 0);
	CHECK_EQ(set("A", BOTH, "longer", 6), 0);
	CHECK(has("A", "longer") && has("B", "two"));
	CHECK_EQ(set("A", BOTH | VARIABLE_APPEND, "!", 1), 0);
	CHECK_EQ(set("B", BOTH | VARIABLE_APPEND, "?", 1), 0);
	CHECK(has("A", "longer!") && has("B", "two?"));
	CHECK_EQ(set("A", VARIABLE_BOOT, "x", 1), -E_INVAL);
	CHECK_EQ(set("A", BOTH | 0x20, "x", 1), -E_NOTSUP);
	CHECK_EQ(set("C", VARIABLE_RUNTIME, "x", 1), -E_INVAL);
	CHECK_EQ(set("A", BOTH, NULL, 0), 0);
	CHECK(!has("A", "longer!") && has("B", "two?") && has("SecureBoot", "\1"));
	CHECK_EQ(set("A", BOTH, NULL, 0), -E_NOENT);
	CHECK_EQ(set("B", 0, "x", 1), 0);
	CHECK_EQ(vars.used, 1);
}

static void test_bad_names(void)
{
	struct variable_id id = id_of("A", 1);

	set_up();
	id.name_size = 0;
	CHECK_EQ(variables_set(&vars, &id, BOTH, "x", 1), -E_INVAL);
	id.name_size = 1;
	CHECK_EQ(variables_set(&vars, &id, BOTH, "x", 1), -E_INVAL);
	id.name_size = sizeof(id.name) + 2;
	CHECK_EQ(variables_set(&vars, &id, BOTH, "x", 1), -E_INVAL);
	CHECK_EQ(vars.count, 1);
}

static void test_next(void)
{
	const struct variable_id *next;
	struct variable_id id = {0}, missing = id_of("nobody", 1);

	set_up();
	CHECK_EQ(set("A", BOTH, "1", 1), 0);
	CHECK_EQ(set("B", VARIABLE_BOOT, "2", 1), 0);
	CHECK_EQ(set("C", BOTH, "3", 1), 0);
	for (unsigned i = 0; i < 4; i++) {
		CHECK_EQ(variables_next(&vars, &id, &next), 0);
		id = *next;
		CHECK_EQ(id.name[0], "SABC"[i]);
	}
	CHECK_EQ(variables_next(&vars, &id, &next), -E_NOENT);
	CHECK_EQ(variables_next(&vars, &missing, &next), -E_INVAL);
	variables_end_boot(&vars);
	id = id_of("A", 1);
	CHECK_EQ(variables_next(&vars, &id, &next), 0);
	CHECK_EQ(next->name[0], 'C');
}

static void test_end_of_boot(void)
{
	set_up();
	CHECK_EQ(set("A", VARIABLE_BOOT, "1", 1), 0);
	variables_end_boot(&vars);
	CHECK(!has("A", "1"));
	CHECK_EQ(set("A", VARIABLE_BOOT, NULL, 0), -E_NOENT);
	CHECK_EQ(set("A", BOTH, "2", 1), -E_INVAL);
	CHECK_EQ(set("B", VARIABLE_BOOT, "2", 1), -E_INVAL);
	CHECK_EQ(set("B", BOTH, "2", 1), 0);
}

/* Filled up by count and by size, and usable again afterwards. */
static void test_bounds(void)
{
	static const uint8_t big[POSTERN_VARIABLE_DATA_MAX + 1];
	char name[3] = "aa";
	unsigned n = 0;

	set_up();
	CHECK_EQ(set("A", BOTH, big, sizeof(big)), -E_NOMEM);
	for (; n < 1000; n++) {
		name[0] = (char)('a' + n / 26);
		name[1] = (char)('a' + n % 26);
		if (set(name, BOTH, "x", 1))
			break;
	}
	CHECK_EQ(n, VARIABLES_MAX - 1);
	CHECK_EQ(variables_room(&vars), 0);
	set_up();
	CHECK_EQ(set("A", BOTH, big, sizeof(big) - 1), 0);
	CHECK_EQ(set("A", BOTH | VARIABLE_APPEND, big, 1), -E_NOMEM);
	for (n = 0; n < 100; n++) {
		name[1] = (char)('a' + n);
		if (set(name, BOTH, big, sizeof(big) - 1))
			break;
	}
	CHECK_EQ(n, VARIABLES_ROOM / POSTERN_VARIABLE_DATA_MAX - 2);
	CHECK(vars.used <= VARIABLES_ROOM);
	CHECK_EQ(set("A", BOTH, "small", 5), 0);
	CHECK(has("A", "small"));
	CHECK_EQ(set("Z", BOTH, big, sizeof(big) - 1), 0);
}

static void test_no_memory(void)
{
	arena_init(&arena, memory, hpa(0), VARIABLES_ROOM / 2);
	CHECK_EQ(variables_init(&vars, &arena), -E_NOMEM);
}

int main(void)
{
	RUN(test_shown);
	RUN(test_set);
	RUN(test_bad_names);
	RUN(test_next);
	RUN(test_end_of_boot);
	RUN(test_bounds);
	RUN(test_no_memory);
	return TEST_RESULT();
}
