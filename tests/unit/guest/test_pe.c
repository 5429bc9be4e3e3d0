/* The loader of EFI programs: a good one, and each way to lie in its headers. */
#include "guest/pe.h"
#include "base/bits.h"
#include "base/error.h"
#include "test.h"

#define PREFERRED 0x400000ull
#define COFF_AT	  0x80u
#define OPT_AT	  (COFF_AT + 24)
#define SECTION	  (OPT_AT + 160)
#define TEXT_FILE 0x200u
#define SIZE	  0x3000u

static uint8_t file[0x600];
static uint8_t image[SIZE + 64];

static void put(size_t at, uint64_t v, unsigned size)
{
	memcpy(file + at, &v, size);
}

/* One section at 1000h with relocations at its end; bss from 1400h on. */
static void make(void)
{
	memset(file, 0, sizeof(file));
	put(0, 0x5a4d, 2);
	put(0x3c, COFF_AT, 4);
	put(COFF_AT, 0x4550, 4);
	put(COFF_AT + 4, 0x8664, 2);
	put(COFF_AT + 6, 1, 2);
	put(COFF_AT + 20, 160, 2);
	put(OPT_AT, 0x20b, 2);
	put(OPT_AT + 16, 0x1010, 4);
	put(OPT_AT + 24, PREFERRED, 8);
	put(OPT_AT + 32, 0x1000, 4);
	put(OPT_AT + 56, SIZE, 4);
	put(OPT_AT + 60, TEXT_FILE, 4);
	put(OPT_AT + 68, 10, 2);
	put(OPT_AT + 108, 6, 4);
	put(OPT_AT + 152, 0x1300, 4);
	put(OPT_AT + 156, 16, 4);
	put(SECTION + 8, 0x2000, 4);
	put(SECTION + 12, 0x1000, 4);
	put(SECTION + 16, 0x400, 4);
	put(SECTION + 20, TEXT_FILE, 4);
	memset(file + TEXT_FILE, 0xcc, 0x300);
	put(TEXT_FILE + 0x20, PREFERRED + 0x1234, 8);
	put(TEXT_FILE + 0x30, PREFERRED + 0x1234, 4);
	put(TEXT_FILE + 0x300, 0x1000, 4);
	put(TEXT_FILE + 0x304, 16, 4);
	put(TEXT_FILE + 0x308, 0xa020, 2);
	put(TEXT_FILE + 0x30a, 0x3030, 2);
}

static int parse(void)
{
	struct pe pe;

	return pe_parse(file, sizeof(file), &pe);
}

static int load_at(uint64_t address)
{
	struct pe pe;
	int err = pe_parse(file, sizeof(file), &pe);

	memset(image, 0xee, sizeof(image));
	if (err)
		return err;
	err = pe_load(&pe, image, address);
	for (size_t i = SIZE; i < sizeof(image); i++)
		CHECK_EQ(image[i], 0xee);
	return err;
}

static uint64_t get(size_t at, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, image + at, size);
	return v;
}

static void test_good(void)
{
	struct pe pe;

	make();
	CHECK_EQ(pe_parse(file, sizeof(file), &pe), 0);
	CHECK_EQ(pe.size, SIZE);
	CHECK_EQ(pe.entry, 0x1010);
	CHECK_EQ(pe.alignment, 0x1000);
	CHECK_EQ(load_at(PREFERRED), 0);
	CHECK_EQ(get(0, 2), 0x5a4d);
	CHECK_EQ(get(0x1020, 8), PREFERRED + 0x1234);
	CHECK_EQ(get(0x1400, 8), 0);
	CHECK_EQ(get(SIZE - 8, 8), 0);
	CHECK_EQ(load_at(PREFERRED + 0x100000), 0);
	CHECK_EQ(get(0x1020, 8), PREFERRED + 0x101234);
	CHECK_EQ(get(0x1030, 4), PREFERRED + 0x101234);
	CHECK_EQ(get(0x1028, 8), 0xccccccccccccccccull);
}

static void test_fixed(void)
{
	make();
	put(COFF_AT + 22, 1, 2);
	CHECK_EQ(load_at(PREFERRED), 0);
	CHECK_EQ(load_at(0x100000), -E_NOTSUP);
}

static const struct {
	size_t at;
	uint64_t value;
	unsigned size;
	int error;
} lies[] = {
	{0, 0, 2, -E_INVAL},
	{0x3c, 0xffffffff, 4, -E_INVAL},
	{0x3c, sizeof(file) - 23, 4, -E_INVAL},
	{COFF_AT, 0x4551, 4, -E_INVAL},
	{COFF_AT + 4, 0x14c, 2, -E_NOTSUP},
	{COFF_AT + 6, 0xffff, 2, -E_TRUNCATED},
	{COFF_AT + 20, 111, 2, -E_NOTSUP},
	{COFF_AT + 20, 0xffff, 2, -E_TRUNCATED},
	{OPT_AT, 0x10b, 2, -E_NOTSUP},
	{OPT_AT + 16, SIZE, 4, -E_CORRUPT},
	{OPT_AT + 32, 0, 4, -E_CORRUPT},
	{OPT_AT + 32, 0x1001, 4, -E_CORRUPT},
	{OPT_AT + 32, 0x80000000, 4, -E_CORRUPT},
	{OPT_AT + 56, 0, 4, -E_CORRUPT},
	{OPT_AT + 56, 0xffffffff, 4, -E_CORRUPT},
	{OPT_AT + 56, 0x1fff, 4, -E_CORRUPT},
	{OPT_AT + 60, sizeof(file) + 1, 4, -E_TRUNCATED},
	{OPT_AT + 68, 3, 2, -E_NOTSUP},
	{OPT_AT + 68, 13, 2, -E_NOTSUP},
	{OPT_AT + 152, 0xffffffff, 4, -E_CORRUPT},
	{OPT_AT + 156, 0xffffffff, 4, -E_CORRUPT},
	{SECTION + 8, 0xffffffff, 4, -E_CORRUPT},
	{SECTION + 12, 0xfffff000, 4, -E_CORRUPT},
	{SECTION + 16, 0x1000, 4, -E_TRUNCATED},
	{SECTION + 20, 0xffffffff, 4, -E_TRUNCATED},
};

static void test_lies(void)
{
	for (unsigned i = 0; i < array_size(lies); i++) {
		make();
		put(lies[i].at, lies[i].value, lies[i].size);
		CHECK_EQ(parse(), lies[i].error);
	}
}

static void test_truncated(void)
{
	make();
	for (size_t len = 0; len < TEXT_FILE + 0x400; len++) {
		uint8_t *exact = malloc(len ? len : 1);
		struct pe pe;

		memcpy(exact, file, len);
		CHECK(pe_parse(exact, len, &pe) != 0);
		free(exact);
	}
}

static void test_bad_relocations(void)
{
	make();
	put(TEXT_FILE + 0x304, 4, 4);
	CHECK_EQ(load_at(0x100000), -E_CORRUPT);
	make();
	put(TEXT_FILE + 0x304, 17, 4);
	CHECK_EQ(load_at(0x100000), -E_CORRUPT);
	make();
	put(TEXT_FILE + 0x300, 0xfffffff0, 4);
	CHECK_EQ(load_at(0x100000), -E_CORRUPT);
	make();
	put(TEXT_FILE + 0x300, SIZE - 4, 4);
	put(TEXT_FILE + 0x308, 0xa000, 2);
	CHECK_EQ(load_at(0x100000), -E_CORRUPT);
	make();
	put(TEXT_FILE + 0x308, 0x4000, 2);
	CHECK_EQ(load_at(0x100000), -E_NOTSUP);
	/* A block without a length ends them. */
	make();
	put(TEXT_FILE + 0x304, 0, 4);
	CHECK_EQ(load_at(0x100000), 0);
	CHECK_EQ(get(0x1020, 8), PREFERRED + 0x1234);
}

int main(void)
{
	RUN(test_good);
	RUN(test_fixed);
	RUN(test_lies);
	RUN(test_truncated);
	RUN(test_bad_relocations);
	return TEST_RESULT();
}
