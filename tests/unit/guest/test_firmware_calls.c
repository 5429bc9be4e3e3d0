/* The calls of a guest's firmware, from a guest that may pass anything. */
#include "guest/firmware_calls.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"
#include "core/gva.h"
#include "test.h"

/* The guest's linear memory: two pages at 0x7000. What it holds may be read once only by a call. */
#define AT   0x7000ull
#define SIZE (2 * PAGE_SIZE)
#define NAME (AT + 0x100)
#define DATA (AT + 0x200)

static struct vm vm;
static struct firmware_calls calls;
static _Alignas(4096) uint8_t memory[128 * KIB];
static uint8_t guest[SIZE], reads[SIZE];
static unsigned lines;
static int clock_error;

int gva_read(struct vm *v, uint64_t at, void *ret_copy, size_t len, enum gva_access access,
	bool user, struct gva_fault *ret_fault)
{
	CHECK(v == &vm && access == GVA_READ && !user);
	if (at < AT || !range_fits(at - AT, len, SIZE)) {
		*ret_fault = (struct gva_fault){VECTOR_PF, 0, at};
		return -E_FAULT;
	}
	memcpy(ret_copy, guest + (at - AT), len);
	for (size_t i = 0; i < len; i++)
		CHECK(!reads[at - AT + i]++);
	return 0;
}

int gva_write(struct vm *v, uint64_t at, const void *data, size_t len, bool user,
	struct gva_fault *ret_fault)
{
	CHECK(v == &vm && !user);
	if (at < AT || !range_fits(at - AT, len, SIZE)) {
		*ret_fault = (struct gva_fault){VECTOR_PF, 2, at};
		return -E_FAULT;
	}
	memcpy(guest + (at - AT), data, len);
	return 0;
}

static uint64_t get(struct vcpu *v, enum vcpu_reg reg)
{
	(void)v;
	CHECK_EQ(reg, VREG_CPL);
	return 0;
}

static int get_time(void *arg, struct guest_time *ret)
{
	CHECK(arg == &vm);
	if (!clock_error)
		*ret = (struct guest_time){.year = 2024, .month = 2, .day = 29};
	return clock_error;
}

static void count_line(const char *line, bool alert)
{
	(void)line;
	(void)alert;
	lines++;
}

static void set_up(void)
{
	static const struct vcpu_ops ops = {.name = "fake", .get = get};
	struct arena arena;

	memset(&vm, 0, sizeof(vm));
	memset(guest, 0, sizeof(guest));
	vm.vcpu.ops = &ops;
	vm.vcpu.vm = &vm;
	clock_error = 0;
	lines = 0;
	log_reset();
	log_add_sink(count_line);
	arena_init(&arena, memory, hpa(0), sizeof(memory));
	calls = (struct firmware_calls){.get_time = get_time, .arg = &vm};
	CHECK_EQ(variables_init(&calls.variables, &arena), 0);
}

static int call(uint32_t function, uint64_t rbx, uint64_t rcx)
{
	vm.vcpu.gpr[GPR_RBX] = rbx;
	vm.vcpu.gpr[GPR_RCX] = rcx;
	memset(reads, 0, sizeof(reads));
	return firmware_call(&calls, &vm, function);
}

/* The struct at AT, for a name of two characters, and data_size bytes of data. */
static struct postern_variable variable(const char *name, uint32_t data_size)
{
	struct postern_variable v = {.guid = {1},
		.name = NAME,
		.data = DATA,
		.name_size = 4,
		.data_size = data_size,
		.attributes = VARIABLE_BOOT | VARIABLE_RUNTIME};

	guest[NAME - AT] = (uint8_t)name[0];
	guest[NAME - AT + 2] = (uint8_t)name[1];
	return v;
}

static int call_with(uint32_t function, const struct postern_variable *v)
{
	memcpy(guest, v, sizeof(*v));
	return call(function, 0, AT);
}

static struct postern_variable result(void)
{
	struct postern_variable v;

	memcpy(&v, guest, sizeof(v));
	return v;
}

static void test_time(void)
{
	struct guest_time t;

	set_up();
	CHECK_EQ(call(POSTERN_CALL_GET_TIME, 0, DATA), 0);
	memcpy(&t, guest + (DATA - AT), sizeof(t));
	CHECK_EQ(t.year, 2024);
	CHECK_EQ(call(POSTERN_CALL_GET_TIME, 0, AT + SIZE - 15), POSTERN_CALL_EFAULT);
	CHECK_EQ(call(POSTERN_CALL_GET_TIME, 0, ~0ull - 3), POSTERN_CALL_EFAULT);
	clock_error = -E_IO;
	CHECK_EQ(call(POSTERN_CALL_GET_TIME, 0, DATA), POSTERN_CALL_EIO);
}

static void test_reset(void)
{
	static const enum vm_stop_reason reasons[] = {
		STOP_RESET, STOP_RESET, STOP_POWEROFF, STOP_RESET};

	for (unsigned i = 0; i < array_size(reasons); i++) {
		set_up();
		CHECK_EQ(call(POSTERN_CALL_RESET, i, 0), 0);
		CHECK_EQ(vm.stop.reason, reasons[i]);
	}
	set_up();
	CHECK_EQ(call(POSTERN_CALL_RESET, 4, 0), POSTERN_CALL_EINVAL);
	CHECK_EQ(call(POSTERN_CALL_RESET, 1ull << 32, 0), POSTERN_CALL_EINVAL);
	CHECK_EQ(vm.stop.reason, STOP_NONE);
}

static void test_variables(void)
{
	struct postern_variable v;

	set_up();
	v = variable("ab", 5);
	memcpy(guest + (DATA - AT), "12345", 5);
	CHECK_EQ(call_with(POSTERN_CALL_SET_VARIABLE, &v), 0);
	memset(guest + (DATA - AT), 0, 16);
	v.data_size = 4;
	CHECK_EQ(call_with(POSTERN_CALL_GET_VARIABLE, &v), POSTERN_CALL_ETOOSMALL);
	CHECK_EQ(result().data_size, 5);
	CHECK_EQ(guest[DATA - AT], 0);
	v.data_size = 0xffffffff;
	CHECK_EQ(call_with(POSTERN_CALL_GET_VARIABLE, &v), 0);
	CHECK_EQ(result().data_size, 5);
	CHECK(!memcmp(guest + (DATA - AT), "12345", 6));
	v.name_size = 0;
	v.data_size = 6;
	CHECK_EQ(call_with(POSTERN_CALL_NEXT_VARIABLE, &v), 0);
	CHECK_EQ(result().guid[0], 1);
	CHECK_EQ(result().data_size, 6);
	CHECK(!memcmp(guest + (DATA - AT), "a\0b\0\0\0", 6));
	v.data_size = 5;
	CHECK_EQ(call_with(POSTERN_CALL_NEXT_VARIABLE, &v), POSTERN_CALL_ETOOSMALL);
	v = variable("ab", 6);
	CHECK_EQ(call_with(POSTERN_CALL_NEXT_VARIABLE, &v), POSTERN_CALL_ENOENT);
	v = variable("xy", 6);
	CHECK_EQ(call_with(POSTERN_CALL_GET_VARIABLE, &v), POSTERN_CALL_ENOENT);
	CHECK_EQ(call_with(POSTERN_CALL_NEXT_VARIABLE, &v), POSTERN_CALL_EINVAL);
	CHECK_EQ(call(POSTERN_CALL_VARIABLE_INFO, 0, AT), 0);
	CHECK_EQ(call(POSTERN_CALL_VARIABLE_INFO, 0, AT + SIZE - 1), POSTERN_CALL_EFAULT);
}

static void test_hostile_variables(void)
{
	static const uint32_t functions[] = {
		POSTERN_CALL_GET_VARIABLE, POSTERN_CALL_SET_VARIABLE, POSTERN_CALL_NEXT_VARIABLE};
	struct postern_variable good, v;

	set_up();
	good = variable("ab", 5);
	CHECK_EQ(call_with(POSTERN_CALL_SET_VARIABLE, &good), 0);
	for (unsigned i = 0; i < array_size(functions); i++) {
		uint32_t f = functions[i];

		CHECK_EQ(call(f, 0, 0), POSTERN_CALL_EFAULT);
		CHECK_EQ(call(f, 0, ~0ull - 7), POSTERN_CALL_EFAULT);
		CHECK_EQ(call(f, 0, AT + SIZE - 8), POSTERN_CALL_EFAULT);
		v = good;
		v.name_size = POSTERN_VARIABLE_NAME_MAX + 2;
		CHECK_EQ(call_with(f, &v), POSTERN_CALL_EINVAL);
		v.name_size = 0xfffffffe;
		CHECK_EQ(call_with(f, &v), POSTERN_CALL_EINVAL);
		v.name_size = 3;
		CHECK_EQ(call_with(f, &v), POSTERN_CALL_EINVAL);
		v = good;
		v.name = ~0ull - 1;
		CHECK_EQ(call_with(f, &v), POSTERN_CALL_EFAULT);
	}
	v = good;
	v.data = AT + SIZE - 4;
	CHECK_EQ(call_with(POSTERN_CALL_SET_VARIABLE, &v), POSTERN_CALL_EFAULT);
	CHECK_EQ(call_with(POSTERN_CALL_GET_VARIABLE, &v), POSTERN_CALL_EFAULT);
	v = good;
	v.data_size = POSTERN_VARIABLE_DATA_MAX + 1;
	CHECK_EQ(call_with(POSTERN_CALL_SET_VARIABLE, &v), POSTERN_CALL_ENOMEM);
	CHECK_EQ(calls.variables.count, 1);
}

static void test_lines(void)
{
	set_up();
	for (unsigned i = 0; i < 100; i++) {
		CHECK_EQ(call(POSTERN_CALL_NO_SERVICE, POSTERN_NO_BLT, 0), 0);
		CHECK_EQ(call(POSTERN_CALL_NO_SERVICE, POSTERN_NO_SERVICES + i, 0), 0);
		CHECK_EQ(call(POSTERN_CALL_NO_SERVICE, ~0ull - i, 0), 0);
		CHECK_EQ(call(POSTERN_CALL_EXIT_BOOT, 0, 0), 0);
	}
	CHECK_EQ(lines, 3);
	CHECK(calls.variables.boot_over);
	for (uint64_t i = 0; i < 200; i++)
		CHECK_EQ(call(POSTERN_CALL_NO_SERVICE, i, 0), 0);
	CHECK_EQ(lines, POSTERN_NO_SERVICES + 1);
	CHECK_EQ(call(POSTERN_CALL_NO_SERVICE + 1, 0, 0), POSTERN_CALL_ENOSYS);
}

int main(void)
{
	RUN(test_time);
	RUN(test_reset);
	RUN(test_variables);
	RUN(test_hostile_variables);
	RUN(test_lines);
	return TEST_RESULT();
}
