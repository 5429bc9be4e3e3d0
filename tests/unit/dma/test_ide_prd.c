/* The PRD validator, over a guest memory that changes once it has been read. */
#include "base/error.h"
#include "base/types.h"
#include "dma/ide_prd.h"
#include "fakes/fake_gmem.h"
#include "test.h"

#define RAM  (512 * KIB)
#define HALF (256 * KIB)

static uint8_t ram[RAM];
static struct gmem memory;
static struct ide_prd shadow[IDE_PRD_MAX];

/* Two runs; the second lies apart, and not on a 64 KiB boundary of the host. */
static void start(void)
{
	memset(&memory, 0, sizeof(memory));
	memset(ram, 0, sizeof(ram));
	memset(shadow, 0xee, sizeof(shadow));
	fake_gmem_reset();
	fake_gmem.hostile = true;
	CHECK_EQ(gmem_add(&memory, (struct gmem_run){gpa(0), hpa(0x1000000), HALF, ram}), 0);
	CHECK_EQ(gmem_add(&memory, (struct gmem_run){gpa(HALF), hpa(0x3008000), HALF, ram + HALF}),
		0);
}

static void put(uint64_t table, unsigned n, uint32_t address, uint16_t count, uint16_t flags)
{
	struct ide_prd prd = {address, count, flags};

	memcpy(ram + table + n * sizeof(prd), &prd, sizeof(prd));
}

static int build(uint64_t table)
{
	int err = ide_prd_build(&memory, gpa(table), shadow);

	CHECK_EQ(fake_gmem.reread, 0);
	return err;
}

static void check_entry(unsigned n, uint32_t address, uint16_t count, uint16_t flags)
{
	CHECK_EQ(shadow[n].address, address);
	CHECK_EQ(shadow[n].count, count);
	CHECK_EQ(shadow[n].flags, flags);
}

static void translates(void)
{
	start();
	put(0x1000, 0, 0x2000, 0x1000, 0);
	put(0x1000, 1, 0x10000, 0, 0x7fff); /* 64 KiB; reserved bits go nowhere */
	put(0x1000, 2, HALF + 0x8000, 0x200, IDE_PRD_END | 1);
	put(0x1000, 3, 0xdead0001, 0xffff, 0);
	CHECK_EQ(build(0x1000), 0);
	check_entry(0, 0x1002000, 0x1000, 0);
	check_entry(1, 0x1010000, 0, 0);
	check_entry(2, 0x3010000, 0x200, IDE_PRD_END);
	CHECK_EQ(shadow[3].address, 0xeeeeeeee);
}

static void splits_at_runs_and_blocks(void)
{
	start();
	/* Over the end of the first run, and then over a block of the host. */
	put(0, 0, HALF - 0x1000, 0xf000, 0);
	put(0, 1, HALF + 0x10000, 0, IDE_PRD_END);
	CHECK_EQ(build(0), 0);
	check_entry(0, 0x103f000, 0x1000, 0);
	check_entry(1, 0x3008000, 0x8000, 0);
	check_entry(2, 0x3010000, 0x6000, 0);
	check_entry(3, 0x3018000, 0x8000, 0);
	check_entry(4, 0x3020000, 0x8000, IDE_PRD_END);
}

static void refuses_memory_that_is_not_the_guests(void)
{
	static const struct {
		uint32_t address;
		uint16_t count;
	} bad[] = {{RAM, 2}, {RAM - 2, 4}, {0xfffff000, 0x2000}, {0xfffffffe, 0}, {0xfee00000, 2},
		{RAM - 0x8000, 0}};

	for (size_t i = 0; i < array_size(bad); i++) {
		start();
		put(0x40, 0, 0x1000, 0x1000, 0);
		put(0x40, 1, bad[i].address, bad[i].count, IDE_PRD_END);
		CHECK_EQ(build(0x40), -E_FAULT);
	}
	start();
	CHECK_EQ(build(RAM), -E_FAULT);
	CHECK_EQ(build(0xfffffffc), -E_FAULT);
	/* The end mark never comes, and memory ends first. */
	start();
	for (unsigned i = 0; i < 16; i++)
		put(RAM - 128, i, 0x1000, 2, 0);
	CHECK_EQ(build(RAM - 128), -E_FAULT);
}

static void refuses_odd_ones(void)
{
	start();
	put(0, 0, 0x1001, 0x100, IDE_PRD_END);
	CHECK_EQ(build(0), -E_INVAL);
	start();
	put(0, 0, 0x1000, 0x101, IDE_PRD_END);
	CHECK_EQ(build(0), -E_INVAL);
}

static void last_entry_of_memory_counts(void)
{
	start();
	put(RAM - 8, 0, 0x1000, 2, IDE_PRD_END);
	CHECK_EQ(build(RAM - 8), 0);
	/* An entry over two pages, here also over two runs of the host. */
	start();
	put(HALF - 12, 0, 0x2000, 2, 0);
	put(HALF - 12, 1, 0x3000, 2, 0);
	put(HALF - 12, 2, 0x4000, 2, IDE_PRD_END);
	CHECK_EQ(build(HALF - 12), 0);
	check_entry(1, 0x1003000, 2, 0);
	check_entry(2, 0x1004000, 2, IDE_PRD_END);
}

static void bounds_the_table(void)
{
	/* The end mark on the last possible entry, which is also far beyond a 64 KiB boundary. */
	start();
	for (unsigned i = 0; i < IDE_PRD_MAX; i++)
		put(0x8004, i, 0x1000, 2, i == IDE_PRD_MAX - 1 ? IDE_PRD_END : 0);
	CHECK_EQ(build(0x8004), 0);
	check_entry(IDE_PRD_MAX - 1, 0x1001000, 2, IDE_PRD_END);
	/* One later is too late. */
	start();
	for (unsigned i = 0; i <= IDE_PRD_MAX; i++)
		put(0x8004, i, 0x1000, 2, i == IDE_PRD_MAX ? IDE_PRD_END : 0);
	CHECK_EQ(build(0x8004), -E_RANGE);
	CHECK(fake_gmem.reads <= IDE_PRD_MAX);
	/* More pieces than the shadow has room for. */
	start();
	for (unsigned i = 0; i < IDE_PRD_MAX; i++)
		put(0x8004, i, HALF - 2, 4, i == IDE_PRD_MAX - 1 ? IDE_PRD_END : 0);
	CHECK_EQ(build(0x8004), -E_NOMEM);
}

static void bounds_the_bytes(void)
{
	/* 32 MiB is the most that a command moves. */
	start();
	for (unsigned i = 0; i < 512; i++)
		put(0, i, 0x10000, 0, i == 511 ? IDE_PRD_END : 0);
	CHECK_EQ(build(0), 0);
	start();
	for (unsigned i = 0; i < 512; i++)
		put(0, i, 0x10000, 0, 0);
	put(0, 512, 0x10000, 2, IDE_PRD_END);
	CHECK_EQ(build(0), -E_RANGE);
}

static void refuses_host_memory_above_4_gib(void)
{
	start();
	memory.run[1].hpa = hpa(4 * GIB - 0x1000);
	put(0, 0, HALF, 0x1000, IDE_PRD_END);
	CHECK_EQ(build(0), 0);
	check_entry(0, 0xfffff000, 0x1000, IDE_PRD_END);
	fake_gmem_forget();
	put(0, 0, HALF, 0x1002, IDE_PRD_END);
	CHECK_EQ(build(0), -E_RANGE);
}

int main(void)
{
	RUN(translates);
	RUN(splits_at_runs_and_blocks);
	RUN(refuses_memory_that_is_not_the_guests);
	RUN(refuses_odd_ones);
	RUN(last_entry_of_memory_counts);
	RUN(bounds_the_table);
	RUN(bounds_the_bytes);
	RUN(refuses_host_memory_above_4_gib);
	return TEST_RESULT();
}
