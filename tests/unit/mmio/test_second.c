/* second: the real Capstone (hosted build), with our own reading tampered with where it has to differ. */
#include <capstone/capstone.h>

#include "base/bits.h"
#include "base/error.h"
#include "mmio/second.h"
#include "test.h"

static uint8_t pool[64 * KIB] __attribute__((aligned(4096)));
static struct arena arena;
static struct second *second;

static void open_second(void)
{
	arena_init(&arena, pool, hpa(0), sizeof(pool));
	if (second_open(&arena, &second))
		exit(EXIT_FAILURE);
	arena_seal(&arena);
}

static struct insn decode(const uint8_t *bytes, size_t n, enum insn_mode mode)
{
	struct insn ours = {0};

	CHECK(insn_decode(bytes, n, mode, &ours) == INSN_OK);
	return ours;
}

static bool agrees(const uint8_t *bytes, size_t n, enum insn_mode mode)
{
	struct insn ours = decode(bytes, n, mode);

	return second_agrees(second, bytes, n, mode, &ours);
}

#define AGREES(mode, bytes) CHECK(agrees((const uint8_t *)(bytes), sizeof(bytes) - 1, mode))

static void agrees_on_what_drivers_do(void)
{
	AGREES(INSN_MODE_64, "\x8b\x07");				  /* mov (%rdi),%eax */
	AGREES(INSN_MODE_64, "\x41\x89\x44\x24\x10");			  /* mov %eax,0x10(%r12) */
	AGREES(INSN_MODE_64, "\x88\x2f");				  /* mov %ch,(%rdi) */
	AGREES(INSN_MODE_64, "\xc7\x05\x00\x01\x00\x00\x01\x00\x00\x00"); /* movl $1,0x100(%rip) */
	AGREES(INSN_MODE_64, "\xf3\xa5");				  /* rep movsl */
	AGREES(INSN_MODE_64, "\xf2\xae");				  /* repne scasb */
	AGREES(INSN_MODE_32, "\x64\xa1\x00\x00\x00\xfe"); /* mov %fs:0xfe000000,%eax */
	AGREES(INSN_MODE_32, "\x0f\xb6\x44\x8b\x04");	  /* movzbl 4(%ebx,%ecx,4),%eax */
	AGREES(INSN_MODE_16, "\x26\x8a\x42\x01");	  /* mov %es:1(%bp,%si),%al */
	AGREES(INSN_MODE_16, "\xd1\x27");		  /* shlw (%bx): no operand for 1 */
	AGREES(INSN_MODE_64, "\x48\x0f\xc7\x09");	  /* cmpxchg16b (%rcx) */
}

/* Bytes behind the instruction are none of its business, but a page may end right behind it. */
static void needs_no_more_than_the_instruction(void)
{
	static const uint8_t bytes[15] = {0x8b, 0x07, 0xff, 0xff, 0xff};

	for (size_t n = 2; n <= sizeof(bytes); n++)
		CHECK(agrees(bytes, n, INSN_MODE_64));
}

static uint64_t hits(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < second_defect_count(); i++)
		sum += second_defect_hits(second, i);
	return sum;
}

static void knows_its_defects(void)
{
	for (unsigned i = 0; i < second_defect_count(); i++) {
		const struct second_defect *d = second_defect_get(i);
		uint64_t before = second_defect_hits(second, i), all = hits();

		CHECK(d->what[0] && d->n <= INSN_MAX);
		CHECK(agrees(d->bytes, d->n, d->mode));
		CHECK_EQ(second_defect_hits(second, i), before + 1);
		CHECK_EQ(hits(), all + 1);
	}
}

/* An explained difference doesn't excuse another one in the same instruction. */
static void a_defect_explains_only_itself(void)
{
	for (unsigned i = 0; i < second_defect_count(); i++) {
		const struct second_defect *d = second_defect_get(i);
		struct insn ours = decode(d->bytes, d->n, d->mode);
		bool refused = d->bytes[2] == 0xa1 || d->bytes[1] == 0x38 || d->bytes[1] == 0x0d;

		ours.op = OP_BTC;
		CHECK(!second_agrees(second, d->bytes, d->n, d->mode, &ours));
		ours = decode(d->bytes, d->n, d->mode);
		ours.length++;
		/* Of an instruction that it refuses Capstone says nothing about the length. */
		CHECK_EQ(second_agrees(second, d->bytes, d->n, d->mode, &ours), refused);
	}
}

/* mov %eax,%gs:0x10(%rbx,%rcx,4) */
static const uint8_t store[] = {0x65, 0x89, 0x44, 0x8b, 0x10};

#define TAMPER(bytes, change)                                                                      \
	do {                                                                                       \
		struct insn ours = decode(bytes, sizeof(bytes), INSN_MODE_64);                     \
		CHECK(second_agrees(second, bytes, sizeof(bytes), INSN_MODE_64, &ours));           \
		ours.change;                                                                       \
		CHECK(!second_agrees(second, bytes, sizeof(bytes), INSN_MODE_64, &ours));          \
	} while (0)

static void any_other_reading_is_refused(void)
{
	static const uint8_t add[] = {0x83, 0x03, 0x05};   /* addl $5,(%rbx) */
	static const uint8_t set[] = {0x0f, 0x94, 0x03};   /* sete (%rbx) */
	static const uint8_t cmov[] = {0x0f, 0x44, 0x03};  /* cmove (%rbx),%eax */
	static const uint8_t movs[] = {0xf3, 0x65, 0xa5};  /* rep movsl %gs:(%rsi),(%rdi) */
	static const uint8_t high[] = {0x88, 0x23};	   /* mov %ah,(%rbx) */
	static const uint8_t shift[] = {0xc1, 0x23, 0x04}; /* shll $4,(%rbx) */

	TAMPER(store, length++);
	TAMPER(store, op = OP_XCHG);
	TAMPER(store, dst.size = 8);
	TAMPER(store, src.size = 2);
	TAMPER(store, src.reg = GPR_RCX);
	TAMPER(store, src.kind = OPERAND_HIGH);
	TAMPER(store, dst = ours.src);
	TAMPER(store, third = ours.src);
	TAMPER(store, mem.seg = VSEG_DS);
	TAMPER(store, mem.base = GPR_RDX);
	TAMPER(store, mem.base = INSN_NO_REG);
	TAMPER(store, mem.index = INSN_NO_REG);
	TAMPER(store, mem.shift = 1);
	TAMPER(store, mem.disp++);
	TAMPER(store, mem.address_size = 4);
	TAMPER(add, imm++);
	TAMPER(add, mem.seg = VSEG_SS);
	TAMPER(add, mem.seg = VSEG_FS);
	TAMPER(add, src.kind = OPERAND_NONE);
	TAMPER(set, cc = 5);
	TAMPER(cmov, cc = 5);
	TAMPER(movs, prefixes = 0);
	TAMPER(movs, prefixes = INSN_REPNE);
	TAMPER(movs, op = OP_CMPS);
	TAMPER(movs, mem.seg = VSEG_DS);
	TAMPER(movs, mem.address_size = 4);
	TAMPER(movs, dst.reg = GPR_RSI);
	TAMPER(high, src.kind = OPERAND_REG);
	TAMPER(high, src.reg = 1);
	TAMPER(shift, op = OP_SHR);
	TAMPER(shift, src.kind = OPERAND_NONE);
}

/* Bytes that are no instruction to Capstone, whatever ours says they are. */
static void a_refusal_is_a_difference(void)
{
	static const uint8_t bytes[] = {0x0f, 0x04, 0x00};
	struct insn ours = decode(store, sizeof(store), INSN_MODE_64);
	char text[160];

	CHECK(!second_agrees(second, bytes, sizeof(bytes), INSN_MODE_64, &ours));
	second_describe(second, &ours, text, sizeof(text));
	CHECK(strstr(text, "capstone nothing"));
	CHECK(!second_agrees(second, store, 0, INSN_MODE_64, &ours));
}

static void describes_both_readings(void)
{
	struct insn ours = decode(store, sizeof(store), INSN_MODE_64);
	char text[160];

	ours.mem.index = GPR_R9;
	ours.op = OP_ADD;
	CHECK(!second_agrees(second, store, sizeof(store), INSN_MODE_64, &ours));
	second_describe(second, &ours, text, sizeof(text));
	CHECK(!strcmp(text, "ours add/5/4 [gs:rbx+r9*4+0x10], "
			    "capstone mov/5/4 [gs:rbx+rcx*4+0x10]"));
	/* Cut, and ended, in whatever room there is. */
	for (size_t n = 1; n < sizeof(text); n++) {
		memset(text, 'x', sizeof(text));
		second_describe(second, &ours, text, n);
		CHECK(memchr(text, '\0', n) && (n == sizeof(text) || text[n] == 'x'));
	}
}

static void names_what_ours_does_not_know(void)
{
	static const uint8_t movups[] = {0x0f, 0x10, 0x07}, none[] = {0x0f, 0x04};

	CHECK(!strcmp(second_name(second, movups, 3, INSN_MODE_64), "movups"));
	CHECK(!strcmp(second_name(second, store, 5, INSN_MODE_64), "mov"));
	CHECK(!strcmp(second_name(second, none, 2, INSN_MODE_64), "?"));
	CHECK(!strcmp(second_name(second, none, 0, INSN_MODE_64), "?"));
}

/* The generated names against Capstone's own: all that random bytes lead to. */
static void names_are_those_of_capstone(void)
{
	uint64_t state = 1;
	csh h;

	/* Its own allocator again, which second_open took away. */
	cs_opt_mem mem = {malloc, calloc, realloc, free, vsnprintf};

	CHECK(!cs_option(0, CS_OPT_MEM, (uintptr_t)&mem) && !cs_open(CS_ARCH_X86, CS_MODE_64, &h));
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t bytes[16];
		cs_insn *list;
		size_t n;

		for (unsigned b = 0; b < sizeof(bytes); b++) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			bytes[b] = (uint8_t)(state >> 56);
		}
		if (i % 2)
			bytes[0] = 0x0f;
		n = cs_disasm(h, bytes, 15, 0, 1, &list);
		if (n && !strstr(list->mnemonic, " ")) {
			const char *name = cs_insn_name(h, list->id);

			CHECK(!strcmp(second_name(second, bytes, 15, INSN_MODE_64), name));
		}
		cs_free(list, n);
	}
	cs_close(&h);
	open_second();
}

/* Neither the arena nor Capstone's part of it gives anything away once the guest runs. */
static void allocates_only_when_it_is_opened(void)
{
	size_t used = arena.used;
	csh h;

	knows_its_defects();
	names_what_ours_does_not_know();
	CHECK_EQ(arena.used, used);
	CHECK_EQ(cs_open(CS_ARCH_X86, CS_MODE_64, &h), CS_ERR_MEM);
}

static void fails_without_memory(void)
{
	struct second *other = NULL;
	struct arena small;

	for (size_t size = 0; size < 24 * KIB; size += KIB) {
		arena_init(&small, pool, hpa(0), size);
		CHECK_EQ(second_open(&small, &other), -E_NOMEM);
		CHECK(!other);
	}
	open_second();
}

int main(void)
{
	open_second();
	RUN(agrees_on_what_drivers_do);
	RUN(needs_no_more_than_the_instruction);
	RUN(knows_its_defects);
	RUN(a_defect_explains_only_itself);
	RUN(any_other_reading_is_refused);
	RUN(a_refusal_is_a_difference);
	RUN(describes_both_readings);
	RUN(names_what_ours_does_not_know);
	RUN(names_are_those_of_capstone);
	RUN(allocates_only_when_it_is_opened);
	RUN(fails_without_memory);
	return TEST_RESULT();
}
