/* Entries of the nested page tables, alone and under core/slpt.c. */
#include "core/slpt.h"
#include "fakes/fake_hw.h"
#include "svm/svm.h"
#include "test.h"

#define NX (1ull << 63)

static void entries(void)
{
	const hpa_t at = {0x123456000};

	CHECK_EQ(svm_slpt.table(at), 0x123456007);
	CHECK_EQ(svm_slpt.leaf(at, SLPT_ALL, SLPT_WB, 1), 0x123456007);
	CHECK_EQ(svm_slpt.leaf(at, SLPT_READ | SLPT_WRITE, SLPT_WB, 1), NX | 0x123456007);
	CHECK_EQ(svm_slpt.leaf(at, SLPT_READ | SLPT_EXEC, SLPT_WB, 1), 0x123456005);
	CHECK_EQ(svm_slpt.leaf(at, SLPT_READ, SLPT_WB, 1), NX | 0x123456005);
	CHECK_EQ(svm_slpt.leaf(at, 0, SLPT_WB, 1), 0);
	CHECK_EQ(svm_slpt.leaf(at, SLPT_ALL, SLPT_WC, 1), 0x12345600f);
	CHECK_EQ(svm_slpt.leaf(at, SLPT_ALL, SLPT_UC, 1), 0x12345601f);
	CHECK_EQ(svm_slpt.leaf(hpa(0x40000000), SLPT_ALL, SLPT_WB, 2), 0x40000087);
	CHECK_EQ(svm_slpt.leaf(hpa(0x40000000), SLPT_ALL, SLPT_UC, 3), 0x4000009f);
	CHECK(svm_slpt.is_large(0x40000087) && !svm_slpt.is_large(0x123456007));
	CHECK_EQ(svm_slpt.address(NX | 0xfffffffffff9f).v, 0xffffffffff000);
}

static void memory_types(void)
{
	const uint64_t power_on = 0x0007040600070406;

	CHECK(svm_pat_is_usable(power_on));
	CHECK_EQ(svm_host_pat(power_on), 0x0007040600070106);
	CHECK(svm_pat_is_usable(svm_host_pat(power_on)));
	CHECK(!svm_pat_is_usable(power_on & ~7ull));
	CHECK(!svm_pat_is_usable(power_on | 6u << 24));
}

static uint32_t edx;

static struct cpuid_regs features(uint32_t leaf, uint32_t subleaf)
{
	(void)subleaf;
	return (struct cpuid_regs){.edx = leaf == 0x80000001u ? edx : 0};
}

/* Every type and size, found again where it was put. */
static void under_slpt(void)
{
	static uint8_t memory[64 * 4096] __attribute__((aligned(4096)));
	static const enum slpt_memtype types[] = {SLPT_UC, SLPT_WC, SLPT_WB};
	struct arena arena;
	struct slpt t;
	uint64_t entry;
	hpa_t to;

	fake_hw.cpuid = features;
	edx = 1u << 26;
	CHECK_EQ(svm_slpt.largest(), 3);
	edx = 0;
	CHECK_EQ(svm_slpt.largest(), 2);
	arena_init(&arena, memory, hpa(0x7000000), sizeof(memory));
	CHECK_EQ(slpt_init(&t, &svm_slpt, &arena), 0);
	for (unsigned i = 0; i < array_size(types); i++) {
		uint64_t base = (i + 1) * 0x10000000ull;

		CHECK_EQ(slpt_map(&t, gpa(base + 0x1ff000), hpa(base + 0x1ff000), 0x202000,
				 SLPT_ALL, types[i]),
			0);
		CHECK_EQ(slpt_lookup(&t, gpa(base + 0x1ff123), &to, &entry), 0);
		CHECK_EQ(to.v, base + 0x1ff123);
		CHECK_EQ(slpt_lookup(&t, gpa(base + 0x312345), &to, &entry), 0);
		CHECK_EQ(to.v, base + 0x312345);
		CHECK(svm_slpt.is_large(entry));
		CHECK(slpt_lookup(&t, gpa(base + 0x401000), &to, &entry) != 0);
	}
}

int main(void)
{
	RUN(entries);
	RUN(memory_types);
	RUN(under_slpt);
	return TEST_RESULT();
}
