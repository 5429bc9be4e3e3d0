/*
 * Vector registers and trapped memory: loads and stores of 16 and 32 bytes go through the emulator,
 * which moves this guest's own registers. Checked here: the value, the upper half, and that no other
 * register changes.
 */
#include "tiny.h"

const char tiny_name[] = "tiny-vector";

#define HOLE	     0xa0000ull /* the VGA window: nothing is there, so that reads give ones */
#define CR4_OSFXSR   (1ull << 9)
#define CR4_OSXSAVE  (1ull << 18)
#define CPUID_XSAVE  (1u << 26) /* leaf 1 ECX */
#define CPUID_AVX    (1u << 28)
#define XCR0_AVX_SSE 7u

struct vector {
	uint64_t word[4];
} __attribute__((aligned(32)));

static unsigned wrong;

static void check(
	const char *what, const struct vector *got, const struct vector *want, unsigned words)
{
	for (unsigned i = 0; i < words; i++) {
		if (got->word[i] == want->word[i])
			continue;
		say("WRONG: %s: word %u", what, i);
		wrong++;
	}
}

static void enable_sse(void)
{
	uint64_t cr4;

	__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("movq %0, %%cr4" : : "r"(cr4 | CR4_OSFXSR));
}

static bool enable_avx(void)
{
	uint32_t ecx = cpuid(1, 0).ecx;
	uint64_t cr4;

	if (!(ecx & CPUID_XSAVE) || !(ecx & CPUID_AVX))
		return false;
	__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("movq %0, %%cr4" : : "r"(cr4 | CR4_OSXSAVE));
	__asm__ volatile("xsetbv" : : "c"(0), "a"(XCR0_AVX_SSE), "d"(0));
	return true;
}

static const struct vector pattern = {
	{0x1111222233334444, 0x5555666677778888, 0x9999aaaabbbbcccc, 0xddddeeeeffff0123}};
static const struct vector ones = {{~0ull, ~0ull, ~0ull, ~0ull}};

/* A load of ones into XMM3 and XMM12, with the pattern in their neighbours. */
static void test_sse(void)
{
	struct vector got = {{0}};

	__asm__ volatile("movups (%0), %%xmm2\n\tmovups (%0), %%xmm4\n\tmovups (%0), %%xmm12\n\t"
			 "movups (%1), %%xmm3\n\tmovdqu (%1), %%xmm12"
			 :
			 : "r"(&pattern), "r"(HOLE)
			 : "memory");
	__asm__ volatile("movups %%xmm3, (%0)" : : "r"(&got) : "memory");
	check("movups into xmm3", &got, &ones, 2);
	__asm__ volatile("movups %%xmm12, (%0)" : : "r"(&got) : "memory");
	check("movdqu into xmm12", &got, &ones, 2);
	__asm__ volatile("movups %%xmm2, (%0)" : : "r"(&got) : "memory");
	check("xmm2 beside it", &got, &pattern, 2);
	__asm__ volatile("movups %%xmm4, (%0)" : : "r"(&got) : "memory");
	check("xmm4 beside it", &got, &pattern, 2);
	/* To nobody: it must not change the register, nor stop the guest. */
	__asm__ volatile("movups %%xmm4, (%1)\n\tmovups %%xmm4, (%0)"
			 :
			 : "r"(&got), "r"(HOLE)
			 : "memory");
	check("xmm4 after a store", &got, &pattern, 2);
}

static void test_avx(void)
{
	const struct vector zero_upper = {{~0ull, ~0ull, 0, 0}};
	const struct vector keep_upper = {{~0ull, ~0ull, pattern.word[2], pattern.word[3]}};
	struct vector got = {{0}};

	__asm__ volatile("vmovups (%1), %%ymm5\n\tvmovups (%2), %%ymm5\n\tvmovups %%ymm5, (%0)"
			 :
			 : "r"(&got), "r"(&pattern), "r"(HOLE)
			 : "memory");
	check("vmovups into ymm5", &got, &ones, 4);
	__asm__ volatile("vmovups (%1), %%ymm15\n\tvmovups (%2), %%xmm15\n\tvmovups %%ymm15, (%0)"
			 :
			 : "r"(&got), "r"(&pattern), "r"(HOLE)
			 : "memory");
	check("vmovups into xmm15", &got, &zero_upper, 4);
	__asm__ volatile("vmovups (%1), %%ymm6\n\tmovups (%2), %%xmm6\n\tvmovups %%ymm6, (%0)"
			 :
			 : "r"(&got), "r"(&pattern), "r"(HOLE)
			 : "memory");
	check("movups into xmm6", &got, &keep_upper, 4);
}

void tiny_main(const uint8_t *boot_params)
{
	(void)boot_params;
	enable_sse();
	test_sse();
	if (enable_avx())
		test_avx();
	else
		say("no AVX");
	say("%u wrong", wrong);
}
