/*
 * vector-keeper SECONDS: a test of whoever runs this machine underneath.
 *
 * Fills the vector registers with a pattern, spins long enough for several timer ticks, and looks
 * whether they changed, again and again. Only the hypervisor or the kernel can make them change.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REGISTERS	    16
#define REGISTER_BYTES	    32
#define SPINS_PER_ROUND	    (1u << 21)

#define MXCSR_DEFAULT	    0x1f80u

#define CPUID_1_ECX_OSXSAVE (1u << 27)
#define CPUID_1_ECX_AVX	    (1u << 28)

struct vectors {
	_Alignas(32) uint8_t bytes[REGISTERS][REGISTER_BYTES];
	uint32_t mxcsr;
};

/* Assembly reads better in lines of its own. */
/* clang-format off */
#define EACH_REGISTER(DO) \
	DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) \
	DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)
#define LOAD_AVX(n)  "vmovdqa " #n "*32(%[in]), %%ymm" #n "\n\t"
#define STORE_AVX(n) "vmovdqa %%ymm" #n ", " #n "*32(%[out])\n\t"
#define LOAD_SSE(n)  "movdqa " #n "*32(%[in]), %%xmm" #n "\n\t"
#define STORE_SSE(n) "movdqa %%xmm" #n ", " #n "*32(%[out])\n\t"

/* Loads, wait and stores have to be one block, or the compiler could use the registers in between. */
#define HOLD(LOAD, STORE, in_vectors, out_vectors) \
	do { \
		uint64_t count = SPINS_PER_ROUND; \
		__asm__ volatile( \
			EACH_REGISTER(LOAD) \
			"ldmxcsr 512(%[in])\n\t" \
			"1: dec %[count]\n\t" \
			"jnz 1b\n\t" \
			EACH_REGISTER(STORE) \
			"stmxcsr 512(%[out])\n\t" \
			: [count] "+r"(count) \
			: [in] "r"(in_vectors), [out] "r"(out_vectors) \
			: "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", \
			  "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", \
			  "xmm15"); \
	} while (0)
/* clang-format on */

static bool cpu_has_avx(void)
{
	const uint32_t wanted = CPUID_1_ECX_OSXSAVE | CPUID_1_ECX_AVX;
	uint32_t eax, ebx, ecx, edx;

	__cpuid(1, eax, ebx, ecx, edx);
	return (ecx & wanted) == wanted;
}

/* A different pattern in each round, so that what an earlier round left behind is noticed too. */
static void fill(struct vectors *vectors, unsigned int round)
{
	for (unsigned int i = 0; i < REGISTERS; i++) {
		for (unsigned int j = 0; j < REGISTER_BYTES; j++)
			vectors->bytes[i][j] = (uint8_t)(i * 37 + j * 11 + round * 101 + 1);
	}
	/* The rounding mode goes round. */
	vectors->mxcsr = MXCSR_DEFAULT | (round & 3) << 13;
}

static bool same(const struct vectors *a, const struct vectors *b, size_t width)
{
	for (unsigned int i = 0; i < REGISTERS; i++) {
		if (memcmp(a->bytes[i], b->bytes[i], width) != 0)
			return false;
	}
	return a->mxcsr == b->mxcsr;
}

int main(int argc, char **argv)
{
	const bool avx = cpu_has_avx();
	const long seconds = argc == 2 ? strtol(argv[1], NULL, 10) : 1;
	struct timespec start, now;
	unsigned int round = 0;

	_Static_assert(offsetof(struct vectors, mxcsr) == 512, "the assembly knows the offset");
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		struct vectors in, out;

		fill(&in, round++);
		if (avx)
			HOLD(LOAD_AVX, STORE_AVX, &in, &out);
		else
			HOLD(LOAD_SSE, STORE_SSE, &in, &out);
		__builtin_ia32_ldmxcsr(MXCSR_DEFAULT);
		if (!same(&in, &out, avx ? 32 : 16)) {
			printf("vector-keeper: CHANGED in round %u\n", round);
			return 1;
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - start.tv_sec < seconds);
	printf("vector-keeper: %s kept for %u rounds\n", avx ? "AVX" : "SSE", round);
	return 0;
}
