/*
 * How long decoding and emulating takes, next to other decoders on the same instructions in the same
 * run: lines "bench NAME VALUE UNIT". Not a test: a value is the best of some rounds on this machine.
 *
 * The corpus is of 64-bit code: every form that the decoder knows, with random prefixes and operands,
 * in random order.
 */
#include <capstone/capstone.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "bench_zydis.h"
#include "fakes/fake_guest.h"
#include "generate.h"
#include "mmio/cache.h"
#include "mmio/mmio.h"

#define SAMPLES	 8192u
#define ROUNDS	 40u
#define ACCESSES 20000u

static struct insn_bytes corpus[SAMPLES];
static uint16_t order[SAMPLES];
static struct decode_cache cache;
static csh handle;
static cs_insn *cs;
static uint64_t sink; /* what is computed, so that the compiler can't drop it */

static void print(const char *name, double ns)
{
	printf("bench %s %.1f ns\n", name, ns);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void shuffle(void)
{
	for (unsigned i = SAMPLES - 1; i; i--) {
		unsigned j = (unsigned)(rng_next() % (i + 1));
		uint16_t t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
}

/* ns per call of one(i), for each sample in an order that is new in every round. */
static double measure(void (*one)(const struct insn_bytes *bytes))
{
	uint64_t best = UINT64_MAX;

	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t start;

		shuffle();
		start = now_ns();
		for (unsigned i = 0; i < SAMPLES; i++)
			one(&corpus[order[i]]);
		best = min_u64(best, now_ns() - start);
	}
	return (double)best / SAMPLES;
}

static void decode_ours(const struct insn_bytes *bytes)
{
	struct insn insn;

	if (insn_decode_window(bytes->byte, bytes->n, INSN_MODE_64, &insn) == INSN_OK)
		sink += insn.length + insn.mem.disp;
}

/* As many instructions as the cache holds, each at an address of its own. */
static void decode_from_cache(const struct insn_bytes *bytes)
{
	unsigned i = (unsigned)(bytes - corpus) % DECODE_CACHE_SLOTS;
	const struct insn *insn;

	if (decode_cached(&cache, i, INSN_MODE_64, &corpus[i], &insn) == INSN_OK)
		sink += insn->length;
}

static void decode_capstone(const struct insn_bytes *bytes)
{
	const uint8_t *at = bytes->byte;
	uint64_t address = 0;
	size_t n = bytes->n;

	if (cs_disasm_iter(handle, &at, &n, &address, cs))
		sink += cs->size;
}

static void decode_zydis(const struct insn_bytes *bytes)
{
	sink += zydis_decode(bytes->byte, bytes->n);
}

/* What all decoders accept. */
static void make_corpus(void)
{
	const struct layout layout = {
		.dev = 0xfe000000, .ram = 0x20000, .code = 0x10000, .gs = true};

	for (unsigned i = 0; i < SAMPLES;) {
		const struct form *form = &forms[rng_next() % form_count];
		struct insn_bytes *b = &corpus[i];
		struct insn insn;
		struct sample s;
		uint64_t before;

		if (form->flags & FORM_NO64)
			continue;
		sample_make(&s, form, 64, &layout, true);
		memset(b, 0, sizeof(*b));
		/* As a fetch delivers it: more than the instruction. */
		b->n = INSN_MAX;
		memcpy(b->byte, s.bytes, s.len);
		before = sink;
		decode_capstone(b);
		if (sink == before || insn_decode(b->byte, b->n, INSN_MODE_64, &insn) != INSN_OK ||
			(zydis_is_there() && !zydis_decode(b->byte, b->n)))
			continue;
		order[i] = (uint16_t)i;
		i++;
	}
}

static void bench_decoders(void)
{
	double ours, details;

	make_corpus();
	ours = measure(decode_ours);
	print("decode/ours", ours);
	print("decode/ours-from-cache", measure(decode_from_cache));
	details = measure(decode_capstone);
	print("decode/capstone-details", details);
	cs_option(handle, CS_OPT_DETAIL, CS_OPT_OFF);
	print("decode/capstone", measure(decode_capstone));
	printf("bench decode/capstone-details-to-ours %.1f times\n", details / ours);
	if (zydis_is_there()) {
		double zydis = measure(decode_zydis);

		print("decode/zydis", zydis);
		printf("bench decode/zydis-to-ours %.1f times\n", zydis / ours);
	} else
		fprintf(stderr, "bench: no Zydis: libzydis-dev isn't installed\n");
}

/* ---- whole accesses ---- */

static struct fake_guest guest;

/*
 * ns for one exit, from the handler's entry to its return: bytes as the CPU delivers them, decoded
 * from the cache, executed, written back.
 */
static void bench_access(const char *name, const char *code, unsigned n, bool write)
{
	struct vmexit e = fake_guest_exit(FAKE_CODE, FAKE_DEV, write, true);
	struct vcpu *v = &guest.vm.vcpu;
	uint64_t best = UINT64_MAX;

	e.n_insn = 15;
	memcpy(e.insn, code, n);
	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t start = now_ns();

		for (unsigned i = 0; i < ACCESSES; i++) {
			v->gpr[GPR_RDI] = FAKE_DEV;
			v->gpr[GPR_RSI] = FAKE_DATA;
			v->gpr[GPR_RCX] = 16;
			guest.vm.handler[VMEXIT_NPF](&guest.vm, &e);
		}
		best = min_u64(best, now_ns() - start);
	}
	if (v->event.type != VEVENT_NONE || !guest.accesses) {
		fprintf(stderr, "bench: %s was refused\n", name);
		exit(EXIT_FAILURE);
	}
	print(name, (double)best / ACCESSES);
}

static void bench_accesses(struct arena *arena)
{
	fake_guest_init(&guest, FAKE_LONG);
	if (mmio_attach(&guest.vm, arena))
		exit(EXIT_FAILURE);
	bench_access("access/mov-load", "\x8b\x07", 2, false);
	bench_access("access/mov-store", "\x89\x07", 2, true);
	bench_access("access/movzx", "\x0f\xb6\x07", 3, false);
	bench_access("access/or-imm", "\x83\x0f\x01", 3, true);
	bench_access("access/rep-movsl-16", "\xf3\xa5", 2, true);
}

int main(void)
{
	static uint8_t pool[512 * KIB] __attribute__((aligned(4096)));
	cs_opt_mem mem = {malloc, calloc, realloc, free, vsnprintf};
	struct arena arena;

	arena_init(&arena, pool, hpa(0), sizeof(pool));
	rng_seed(1);
	if (second_open(&arena, &cache.second) || cs_option(0, CS_OPT_MEM, (uintptr_t)&mem) ||
		cs_open(CS_ARCH_X86, CS_MODE_64, &handle) ||
		cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON))
		return EXIT_FAILURE;
	cs = cs_malloc(handle);
	bench_decoders();
	bench_accesses(&arena);
	return sink ? EXIT_SUCCESS : EXIT_FAILURE;
}
