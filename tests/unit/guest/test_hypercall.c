/* The guest's calls, from a guest that may pass anything. */
#include "guest/hypercall.h"
#include "core/gva.h"
#include "fakes/fake_hw.h"
#include "guest/hypercall_abi.h"
#include "base/bits.h"
#include "base/error.h"
#include "test.h"

static struct vm vm;
static struct hypercall hypercall;
static unsigned cpl;
static char lines[128][LOG_LINE_MAX];
static unsigned line_count;

/* The guest's linear memory: one page at 0x7000. It counts reads; each byte may be read once only. */
#define TEXT_AT 0x7000ull
static char text[PAGE_SIZE];
static unsigned reads;
static bool read_as_user;

int gva_read(struct vm *v, uint64_t at, void *ret_copy, size_t len, enum gva_access access,
	bool user, struct gva_fault *ret_fault)
{
	CHECK(v == &vm);
	CHECK_EQ(access, GVA_READ);
	reads++;
	read_as_user = user;
	if (at < TEXT_AT || !range_fits(at - TEXT_AT, len, sizeof(text))) {
		*ret_fault = (struct gva_fault){VECTOR_PF, 0, at};
		return -E_FAULT;
	}
	memcpy(ret_copy, text + (at - TEXT_AT), len);
	memset(text, '!', sizeof(text));
	return 0;
}

int gva_write(struct vm *v, uint64_t at, const void *data, size_t len, bool user,
	struct gva_fault *ret_fault)
{
	(void)v;
	(void)at;
	(void)data;
	(void)len;
	(void)user;
	(void)ret_fault;
	CHECK(!"a guest without a firmware makes no call that writes");
	return -E_FAULT;
}

static uint64_t get(struct vcpu *v, enum vcpu_reg reg)
{
	(void)v;
	CHECK_EQ(reg, VREG_CPL);
	return cpl;
}

static void keep_line(const char *line, bool alert)
{
	(void)alert;
	if (line_count < array_size(lines))
		strcpy(lines[line_count], line);
	line_count++;
}

static void set_up(void)
{
	static const struct vcpu_ops ops = {.name = "fake", .get = get};

	memset(&vm, 0, sizeof(vm));
	vm.vcpu.ops = &ops;
	vm.vcpu.vm = &vm;
	cpl = 0;
	reads = 0;
	line_count = 0;
	memset(text, 0, sizeof(text));
	log_reset();
	log_add_sink(keep_line);
	CHECK_EQ(hypercall_init(&hypercall, &vm), 0);
}

static bool out(uint16_t port, unsigned size, uint64_t value)
{
	struct region *r = region_find(&vm.pio, port);
	struct io_access a = {r ? port - r->base : 0, value, (uint8_t)size, true};

	return vm_io(&vm, r, &a, true);
}

static int32_t call(uint32_t function, uint64_t rbx, uint64_t rcx, uint64_t rsi)
{
	vm.vcpu.gpr[GPR_RAX] = 0xdeadbeef00000000 | function;
	vm.vcpu.gpr[GPR_RBX] = rbx;
	vm.vcpu.gpr[GPR_RCX] = rcx;
	vm.vcpu.gpr[GPR_RSI] = rsi;
	CHECK(out(POSTERN_CALL_PORT, 4, function));
	CHECK_EQ(vm.vcpu.gpr[GPR_RAX] >> 32, 0);
	return (int32_t)vm.vcpu.gpr[GPR_RAX];
}

static int32_t boot_path(const char *path, size_t len)
{
	memcpy(text, path, len);
	return call(POSTERN_CALL_BOOT, POSTERN_BOOT_PATH, TEXT_AT, len);
}

static void test_boot(void)
{
	set_up();
	CHECK_EQ(call(POSTERN_CALL_BOOT, POSTERN_BOOT_DEFAULT, ~0ull, ~0ull), 0);
	CHECK_EQ(vm.stop.reason, STOP_BOOT);
	CHECK_EQ(vm.stop.target, BOOT_DEFAULT);
	set_up();
	CHECK_EQ(call(POSTERN_CALL_BOOT, POSTERN_BOOT_NEXT, 0, 0), 0);
	CHECK_EQ(vm.stop.target, BOOT_NEXT);
	CHECK_EQ(reads, 0);
	set_up();
	CHECK_EQ(call(POSTERN_CALL_BOOT, 3, 0, 0), POSTERN_CALL_EINVAL);
	CHECK_EQ(call(POSTERN_CALL_BOOT, 1ull << 32, 0, 0), POSTERN_CALL_EINVAL);
	CHECK_EQ(vm.stop.reason, STOP_NONE);
}

static void test_boot_path(void)
{
	set_up();
	cpl = 3;
	CHECK_EQ(boot_path("\\EFI\\a.efi", 10), 0);
	CHECK_EQ(vm.stop.reason, STOP_BOOT);
	CHECK_EQ(vm.stop.target, BOOT_PATH);
	CHECK(!strcmp(vm.stop.path, "\\EFI\\a.efi"));
	CHECK_EQ(reads, 1);
	CHECK(read_as_user);
	set_up();
	CHECK_EQ(boot_path("/EFI/\xc3\xa9/\xe2\x82\xac", 11), 0);
	CHECK(!strcmp(vm.stop.path, "\\EFI\\\xc3\xa9\\\xe2\x82\xac"));
	CHECK(!read_as_user);
}

static void test_boot_path_lengths(void)
{
	char path[600];

	memset(path, 'a', sizeof(path));
	path[0] = '\\';
	set_up();
	CHECK_EQ(boot_path(path, 0), POSTERN_CALL_EINVAL);
	CHECK_EQ(boot_path(path, 513), POSTERN_CALL_EINVAL);
	CHECK_EQ(call(POSTERN_CALL_BOOT, POSTERN_BOOT_PATH, TEXT_AT, ~0ull), POSTERN_CALL_EINVAL);
	CHECK_EQ(reads, 0);
	CHECK_EQ(vm.stop.reason, STOP_NONE);
	CHECK_EQ(boot_path(path, 512), 0);
	CHECK_EQ(strlen(vm.stop.path), 512);
}

static void test_bad_addresses(void)
{
	set_up();
	CHECK_EQ(call(POSTERN_CALL_BOOT, POSTERN_BOOT_PATH, 0, 5), POSTERN_CALL_EFAULT);
	CHECK_EQ(call(POSTERN_CALL_BOOT, POSTERN_BOOT_PATH, TEXT_AT + PAGE_SIZE - 4, 5),
		POSTERN_CALL_EFAULT);
	CHECK_EQ(call(POSTERN_CALL_BOOT, POSTERN_BOOT_PATH, ~0ull - 3, 5), POSTERN_CALL_EINVAL);
	CHECK_EQ(call(POSTERN_CALL_LOG, 0, 0x8000000000000000, 5), POSTERN_CALL_EFAULT);
	CHECK_EQ(vm.stop.reason, STOP_NONE);
}

static void test_bad_paths(void)
{
	static const struct {
		const char *path;
		size_t len;
	} bad[] = {{"EFI", 3}, {"\\a\0b", 4}, {"\\a\n", 3}, {"\\\x7f", 2}, {"\\\x80", 2},
		{"\\\xc3", 2}, {"\\\xc3(", 3}, {"\\\xc0\xaf", 3}, {"\\\xc2\x85", 3},
		{"\\\xe0\x80\xaf", 4}, {"\\\xe2\x82", 3}, {"\\\xed\xa0\x80", 4},
		{"\\\xef\xbf\xbf", 4}, {"\\\xf0\x9f\x98\x80", 5}, {"\\\xff", 2}};

	for (unsigned i = 0; i < array_size(bad); i++) {
		set_up();
		CHECK_EQ(boot_path(bad[i].path, bad[i].len), POSTERN_CALL_EINVAL);
		CHECK_EQ(vm.stop.reason, STOP_NONE);
	}
}

static void test_fail(void)
{
	set_up();
	CHECK_EQ(call(POSTERN_CALL_FAIL, 0, 0, 0), POSTERN_CALL_EINVAL);
	CHECK_EQ(call(POSTERN_CALL_FAIL, 3, 0, 0), POSTERN_CALL_EINVAL);
	CHECK_EQ(call(POSTERN_CALL_FAIL, 0x100000001, 0, 0), POSTERN_CALL_EINVAL);
	CHECK_EQ(vm.stop.reason, STOP_NONE);
	CHECK_EQ(call(POSTERN_CALL_FAIL, POSTERN_FAIL_AUTHENTICATION, 0, 0), 0);
	CHECK_EQ(vm.stop.reason, STOP_GUEST_FAILED);
	CHECK_EQ(vm.stop.code, POSTERN_FAIL_AUTHENTICATION);
}

/* What ended the guest stands, whatever the guest calls before it is stopped. */
static void test_first_stop_wins(void)
{
	set_up();
	CHECK_EQ(boot_path("\\a", 2), 0);
	CHECK_EQ(boot_path("\\b", 2), POSTERN_CALL_EINVAL);
	CHECK_EQ(call(POSTERN_CALL_FAIL, 1, 0, 0), POSTERN_CALL_EINVAL);
	CHECK_EQ(vm.stop.reason, STOP_BOOT);
	CHECK(!strcmp(vm.stop.path, "\\a"));
}

static void test_log(void)
{
	set_up();
	strcpy(text, "hello\n\x1b[2J\xff");
	CHECK_EQ(call(POSTERN_CALL_LOG, 0, TEXT_AT, 11), 0);
	CHECK(!strcmp(lines[0], "guest says: hello??[2J?"));
	CHECK_EQ(call(POSTERN_CALL_LOG, 0, TEXT_AT, 257), POSTERN_CALL_EINVAL);
	CHECK_EQ(call(POSTERN_CALL_LOG, 0, TEXT_AT, 256), 0);
	line_count = 0;
	for (unsigned i = 0; i < 1000; i++)
		CHECK_EQ(call(POSTERN_CALL_LOG, 0, TEXT_AT, 1), 0);
	CHECK_EQ(line_count, HYPERCALL_LOG_LINES - 2);
	CHECK(strstr(lines[line_count - 1], "no more") != NULL);
}

static void test_exits(void)
{
	set_up();
	vm.exits[VMEXIT_CPUID] = 3;
	vm.exits[VMEXIT_HLT] = 4;
	CHECK_EQ(call(POSTERN_CALL_EXITS, 0, 0, 0), 0);
	CHECK_EQ(line_count, 2);
	CHECK(!strcmp(lines[0], "exits: 7: cpuid 3 hlt 4"));
	/* A guest can't fill the log with it. */
	for (unsigned i = 0; i < 1000; i++)
		(void)call(POSTERN_CALL_EXITS, 0, 0, 0);
	CHECK(line_count <= 2 * HYPERCALL_LOG_LINES);
}

static void test_unknown(void)
{
	set_up();
	CHECK_EQ(call(0, 0, 0, 0), POSTERN_CALL_ENOSYS);
	for (uint32_t f = POSTERN_CALL_GET_TIME; f <= POSTERN_CALL_NO_SERVICE; f++)
		CHECK_EQ(call(f, 0, TEXT_AT, 0), POSTERN_CALL_ENOSYS);
	for (unsigned i = 0; i < 10000; i++)
		CHECK_EQ(call(0xffffffff - i, 0, 0, 0), POSTERN_CALL_ENOSYS);
	CHECK(line_count < 20); /* refusals are logged, but not without end */
}

/* Other widths, other ports of the four, and reads: nobody is there. */
static void test_other_accesses(void)
{
	struct io_access in = {0, 0, 4, false};

	set_up();
	vm.vcpu.gpr[GPR_RAX] = 1;
	CHECK(out(POSTERN_CALL_PORT, 1, POSTERN_CALL_BOOT));
	CHECK(out(POSTERN_CALL_PORT, 2, POSTERN_CALL_BOOT));
	CHECK(out(POSTERN_CALL_PORT + 1, 1, POSTERN_CALL_BOOT));
	CHECK(out(POSTERN_CALL_PORT + 2, 2, POSTERN_CALL_BOOT));
	CHECK_EQ(vm.stop.reason, STOP_NONE);
	CHECK_EQ(vm.vcpu.gpr[GPR_RAX], 1);
	CHECK(vm_io(&vm, region_find(&vm.pio, POSTERN_CALL_PORT), &in, true));
	CHECK_EQ(in.value, 0xffffffff);
	CHECK(!region_find(&vm.pio, POSTERN_CALL_PORT + 4));
	CHECK(!region_find(&vm.pio, POSTERN_CALL_PORT - 1));
	CHECK_EQ(fake_hw.log_count, 0); /* and the real port is never touched */
}

static void test_port_taken(void)
{
	struct hypercall second;

	set_up();
	CHECK_EQ(hypercall_init(&second, &vm), -E_EXIST);
}

int main(void)
{
	RUN(test_boot);
	RUN(test_boot_path);
	RUN(test_boot_path_lengths);
	RUN(test_bad_addresses);
	RUN(test_bad_paths);
	RUN(test_fail);
	RUN(test_first_stop_wins);
	RUN(test_log);
	RUN(test_exits);
	RUN(test_unknown);
	RUN(test_other_accesses);
	RUN(test_port_taken);
	return TEST_RESULT();
}
