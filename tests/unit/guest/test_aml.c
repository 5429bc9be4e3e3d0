/* The AML writer: exact bytes, lengths at the edges of their forms, and every way to misuse it. */
#include "guest/aml.h"
#include "base/error.h"
#include "test.h"

static uint8_t buffer[8192];
static struct aml a;

static void check_bytes(const char *expected, size_t len)
{
	size_t got = 0;

	CHECK_EQ(aml_finish(&a, &got), 0);
	CHECK_EQ(got, len);
	CHECK(got == len && !memcmp(buffer, expected, len));
}

#define CHECK_BYTES(text) check_bytes(text, sizeof(text) - 1)

static void start(void)
{
	memset(buffer, 0xcc, sizeof(buffer));
	aml_init(&a, buffer, sizeof(buffer));
}

static void values(void)
{
	start();
	aml_name(&a, "\\_S5");
	aml_package(&a);
	aml_integer(&a, 0);
	aml_integer(&a, 1);
	aml_integer(&a, 0xff);
	aml_integer(&a, 0x100);
	aml_integer(&a, 0x10000);
	aml_integer(&a, 1ull << 32);
	aml_close(&a);
	CHECK_BYTES("\x08\\_S5_\x12\x17\x06\x00\x01\x0a\xff\x0b\x00\x01\x0c\x00\x00\x01\x00"
		    "\x0e\x00\x00\x00\x00\x01\x00\x00\x00");
}

static void devices_and_resources(void)
{
	start();
	aml_device(&a, "RTC");
	aml_name(&a, "_HID");
	aml_eisa_id(&a, "PNP0B00");
	aml_name(&a, "_CRS");
	aml_resources(&a);
	aml_io(&a, 0x70, 2);
	aml_irq(&a, 8);
	aml_close(&a);
	aml_close(&a);
	CHECK_BYTES("\x5b\x82\x25RTC_\x08_HID\x0c\x41\xd0\x0b\x00\x08_CRS\x11\x10\x0a\x0d"
		    "\x47\x01\x70\x00\x70\x00\x01\x02\x22\x00\x01\x79\x00");
}

/* A string of n characters in a scope: the scope's length is n + 4 + 2 and what it takes itself. */
static void check_length(size_t n, const char *expected, size_t bytes)
{
	char text[5000];
	size_t len;

	memset(text, 'x', n);
	text[n] = 0;
	start();
	aml_scope(&a, "A");
	aml_string(&a, text);
	aml_close(&a);
	CHECK_EQ(aml_finish(&a, &len), 0);
	CHECK_EQ(len, n + 7 + bytes);
	CHECK(!memcmp(buffer + 1, expected, bytes));
}

static void lengths(void)
{
	check_length(56, "\x3f", 1);
	check_length(57, "\x41\x04", 2);
	check_length(4087, "\x4f\xff", 2);
	check_length(4088, "\x81\x00\x01", 3);
}

/* Whatever the size of the buffer, nothing behind it changes and the error is told. */
static void too_small(void)
{
	for (size_t size = 0; size < 40; size++) {
		size_t len = 77;

		memset(buffer, 0xcc, sizeof(buffer));
		aml_init(&a, buffer, size);
		aml_device(&a, "RTC");
		aml_name(&a, "_CRS");
		aml_resources(&a);
		aml_memory(&a, 0x1000, 0x1000);
		aml_close(&a);
		aml_close(&a);
		if (size >= 30) {
			CHECK_EQ(aml_finish(&a, &len), 0);
			CHECK_EQ(len, 30);
		} else {
			CHECK_EQ(aml_finish(&a, &len), -E_NOMEM);
			CHECK_EQ(len, 77);
		}
		for (size_t i = size; i < 64; i++)
			CHECK_EQ(buffer[i], 0xcc);
	}
}

static int result(void)
{
	size_t len;

	return aml_finish(&a, &len);
}

static void misuse(void)
{
	static const char *const names[] = {"", "\\", "ABCDE", "1A", "ab", "A.B"};
	static const char *const ids[] = {
		"", "PNP0A0", "PNP0A088", "pNP0A08", "PNP0a08", "PN[0A08"};

	for (size_t i = 0; i < array_size(names); i++) {
		start();
		aml_name(&a, names[i]);
		CHECK_EQ(result(), -E_INVAL);
	}
	for (size_t i = 0; i < array_size(ids); i++) {
		start();
		aml_eisa_id(&a, ids[i]);
		CHECK_EQ(result(), -E_INVAL);
	}
	start();
	aml_close(&a);
	CHECK_EQ(result(), -E_INVAL);
	start();
	aml_scope(&a, "A");
	CHECK_EQ(result(), -E_INVAL);
	start();
	aml_io(&a, 0, 1); /* outside of resources */
	CHECK_EQ(result(), -E_INVAL);
	start();
	aml_resources(&a);
	aml_integer(&a, 1);
	CHECK_EQ(result(), -E_INVAL);
	start();
	for (unsigned i = 0; i <= AML_DEPTH_MAX; i++)
		aml_package(&a);
	CHECK_EQ(result(), -E_NOMEM);
	start();
	aml_package(&a);
	for (unsigned i = 0; i < 256; i++)
		aml_integer(&a, 0);
	CHECK_EQ(result(), -E_RANGE);
}

static void ranges(void)
{
	start();
	aml_resources(&a);
	aml_io(&a, 0xffff, 2);
	CHECK_EQ(result(), -E_RANGE);
	start();
	aml_resources(&a);
	aml_irq(&a, 16);
	CHECK_EQ(result(), -E_RANGE);
	start();
	aml_resources(&a);
	aml_memory(&a, 0xfffff000, 0x1001);
	CHECK_EQ(result(), -E_RANGE);
	start();
	aml_resources(&a);
	aml_memory_window(&a, 2, 1);
	CHECK_EQ(result(), -E_RANGE);
	start();
	aml_resources(&a);
	aml_memory_window(&a, 0, 0xffffffff); /* a length that 32 bits can't hold */
	aml_close(&a);
	CHECK_EQ(result(), 0);
	CHECK_EQ(buffer[4], 0x8a);
}

int main(void)
{
	RUN(values);
	RUN(devices_and_resources);
	RUN(lengths);
	RUN(too_small);
	RUN(misuse);
	RUN(ranges);
	return TEST_RESULT();
}
