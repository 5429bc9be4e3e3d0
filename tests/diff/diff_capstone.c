/*
 * The decoder against Capstone: random encodings of every form in all modes, and random bytes.
 * Compares length, operation, operands and memory operand. What Capstone 4.0.2 gets wrong is listed
 * in is_known_defect; anything else that differs fails.
 */
#include <capstone/capstone.h>

#include "base/bits.h"
#include "generate.h"
#include "mmio/decode.h"
#include "test.h"

#define SAMPLES_PER_FORM 3000u
#define RANDOM_SAMPLES	 1000000u
#define REPORTS_MAX	 20u

static csh handle[3];
static cs_insn *cs;
static unsigned reports;

static void report(const char *what, const uint8_t *bytes, unsigned len, const struct insn *ours)
{
	if (++reports > REPORTS_MAX)
		return;
	printf("  %s:", what);
	for (unsigned i = 0; i < len; i++)
		printf(" %02x", bytes[i]);
	printf(" | ours %s %u bytes size %u | capstone %s %s, %u bytes\n", insn_op_name(ours->op),
		ours->length, ours->size, cs->mnemonic, cs->op_str, cs->size);
}

static enum insn_mode mode_of(unsigned bits)
{
	return bits == 16 ? INSN_MODE_16 : bits == 32 ? INSN_MODE_32 : INSN_MODE_64;
}

static bool capstone(const uint8_t *bytes, size_t n, unsigned bits)
{
	uint64_t address = 0x1000;

	return cs_disasm_iter(handle[mode_of(bits)], &bytes, &n, &address, cs);
}

/* Number, size and high byte of a general register, by Capstone's name for it. */
static struct operand register_by_name(csh h, unsigned reg)
{
	static const char *const names[4][8] = {
		{"al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"},
		{"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"},
		{"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"},
		{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"},
	};
	static const char *const high[4] = {"ah", "ch", "dh", "bh"};
	const char *name = reg ? cs_reg_name(h, reg) : "none", *end;
	unsigned n;

	for (uint8_t size = 0; size < 4; size++)
		for (uint8_t i = 0; i < 8; i++)
			if (!strcmp(name, names[size][i]))
				return (struct operand){OPERAND_REG, i, (uint8_t)(1u << size)};
	for (uint8_t i = 0; i < 4; i++)
		if (!strcmp(name, high[i]))
			return (struct operand){OPERAND_HIGH, i, 1};
	if (!strcmp(name, "rip") || !strcmp(name, "eip"))
		return (struct operand){OPERAND_REG, INSN_RIP, 8};
	if (name[0] == 'r' && name[1] >= '0' && name[1] <= '9') {
		n = (unsigned)strtoul(name + 1, NULL, 10);
		end = name + (n > 9 ? 3 : 2);
		return (struct operand){OPERAND_REG, (uint8_t)n,
			*end == 'b'   ? 1
			: *end == 'w' ? 2
			: *end == 'd' ? 4
				      : 8};
	}
	return (struct operand){OPERAND_NONE, INSN_NO_REG, 0};
}

static unsigned segment_by_reg(unsigned reg)
{
	switch (reg) {
	case X86_REG_ES:
		return VSEG_ES;
	case X86_REG_CS:
		return VSEG_CS;
	case X86_REG_SS:
		return VSEG_SS;
	case X86_REG_DS:
		return VSEG_DS;
	case X86_REG_FS:
		return VSEG_FS;
	case X86_REG_GS:
		return VSEG_GS;
	default:
		return VSEG_COUNT; /* the default one */
	}
}

static bool same_mem(const struct insn *ours, const cs_x86_op *op, unsigned bits)
{
	csh h = handle[mode_of(bits)];
	const struct insn_mem *m = &ours->mem;
	uint64_t mask = size_mask(m->address_size);
	unsigned seg = segment_by_reg(op->mem.segment);

	/* Capstone calls a SIB without index eiz or riz. */
	if (register_by_name(h, op->mem.base).reg != m->base ||
		register_by_name(h, op->mem.index).reg != m->index)
		return false;
	if (m->index != INSN_NO_REG && op->mem.scale != 1 << m->shift)
		return false;
	if (((uint64_t)op->mem.disp & mask) != (m->disp & mask))
		return false;
	/* Overrides that 64-bit mode ignores are shown by Capstone all the same. */
	return seg == VSEG_COUNT || seg == m->seg || (bits == 64 && seg < VSEG_FS);
}

static bool same_operand(
	const struct insn *ours, struct operand o, const cs_x86_op *op, unsigned bits)
{
	struct operand theirs;

	switch (o.kind) {
	case OPERAND_REG:
	case OPERAND_HIGH:
		theirs = register_by_name(handle[mode_of(bits)], op->reg);
		return op->type == X86_OP_REG && theirs.kind == o.kind && theirs.reg == o.reg &&
		       theirs.size == o.size;
	case OPERAND_IMM:
		return op->type == X86_OP_IMM &&
		       (((uint64_t)op->imm ^ ours->imm) & size_mask(o.size)) == 0;
	case OPERAND_MEM:
		return op->type == X86_OP_MEM && op->size == o.size && same_mem(ours, op, bits);
	case OPERAND_SI:
	case OPERAND_DI:
		return op->type == X86_OP_MEM && op->size == o.size;
	default:
		return false;
	}
}

static bool same_name(const struct insn *ours, csh h)
{
	const char *name = cs_insn_name(h, cs->id), *want = insn_op_name(ours->op);

	if (ours->op == OP_SETCC)
		want = "set";
	if (ours->op == OP_MOV && !strcmp(name, "movabs"))
		return true;
	if (ours->op == OP_SHL && !strcmp(name, "sal"))
		return true;
	if (ours->op == OP_CMPXCHG8B && ours->size == 16)
		want = "cmpxchg16b";
	return !strncmp(name, want, strlen(want));
}

static bool same_operands(const struct insn *ours, unsigned bits)
{
	const cs_x86 *x = &cs->detail->x86;
	struct operand list[3] = {ours->dst, ours->src, ours->third};
	unsigned n = 0;

	while (n < 3 && list[n].kind != OPERAND_NONE)
		n++;
	/* A shift by 1 without an operand for it. */
	if (n == 2 && x->op_count == 1 && ours->op >= OP_ROL && ours->op <= OP_SAR)
		n = 1;
	if (n != x->op_count)
		return false;
	for (unsigned i = 0; i < n; i++)
		if (!same_operand(ours, list[i], &x->operands[i], bits))
			return false;
	return true;
}

/*
 * What Capstone 4.0.2 gets wrong. Found by this test, and confirmed on a real CPU by diff/native:
 * - 66 before F2 or F3: it takes the last prefix for a mandatory one and gets the operand size
 *   wrong, or refuses (A0 and A1 in particular).
 * - MOVSXD without REX.W, which it gives a destination of 64 bits.
 * - PUSH and POP of memory with REX.W and 66 or 67, which it calls 16 bits.
 */
static bool is_known_defect(const uint8_t *bytes, const struct insn *ours)
{
	unsigned i = 0;

	if ((ours->op == OP_PUSH || ours->op == OP_POP) && ours->prefixes & INSN_REX_W)
		return ours->prefixes & (INSN_OPSIZE | INSN_ADDRSIZE);
	if (ours->op == OP_MOVSX && cs->id == X86_INS_MOVSXD)
		return !(ours->prefixes & INSN_REX_W);
	if (!(ours->prefixes & INSN_OPSIZE) || !(ours->prefixes & (INSN_REP | INSN_REPNE)))
		return false;
	while (bytes[i] != 0x66 && bytes[i] != 0xf2 && bytes[i] != 0xf3)
		i++;
	return bytes[i] == 0x66;
}

static void compare(const uint8_t *bytes, size_t n, const struct insn *ours, unsigned bits)
{
	if (!capstone(bytes, n, bits)) {
		if (!is_known_defect(bytes, ours))
			report("capstone refuses", bytes, ours->length, ours);
	} else if (cs->size != ours->length)
		report("length", bytes, ours->length, ours);
	else if (!same_name(ours, handle[mode_of(bits)]))
		report("operation", bytes, ours->length, ours);
	else if (!is_known_defect(bytes, ours) && !same_operands(ours, bits))
		report("operands", bytes, ours->length, ours);
}

static void forms_in_mode(unsigned bits)
{
	const struct layout layout = {.dev = bits == 16 ? 0xa0000 : 0xfe000000,
		.ram = 0x20000,
		.code = 0x10000,
		.gs = true};

	for (unsigned f = 0; f < form_count; f++) {
		if (forms[f].flags & (bits == 64 ? FORM_NO64 : FORM_64))
			continue;
		for (unsigned i = 0; i < SAMPLES_PER_FORM; i++) {
			struct insn ours = {0};
			struct sample s;

			sample_make(&s, &forms[f], bits, &layout, false);
			if (insn_decode(s.bytes, s.len, mode_of(bits), &ours) != INSN_OK ||
				ours.length != s.len)
				report("ours refuses", s.bytes, s.len, &ours);
			else
				compare(s.bytes, s.len, &ours, bits);
		}
	}
	CHECK_EQ(reports, 0);
}

static void forms_16(void)
{
	forms_in_mode(16);
}

static void forms_32(void)
{
	forms_in_mode(32);
}

static void forms_64(void)
{
	forms_in_mode(64);
}

/* Does Capstone see one of our instructions, with a memory operand? SSE2 has another MOVSD. */
static bool is_one_of_ours(csh h)
{
	const char *name = cs_insn_name(h, cs->id);
	const cs_x86 *x = &cs->detail->x86;
	bool memory = false;

	for (unsigned i = 0; i < x->op_count; i++)
		memory |= x->operands[i].type == X86_OP_MEM;
	for (unsigned op = OP_ADD; memory && op < OP_COUNT; op++) {
		const char *ours = insn_op_name(op);
		size_t n = strlen(ours);

		if (!strcmp(name, ours) ||
			(op >= OP_MOVS && x->opcode[0] != 0x0f && !strncmp(name, ours, n) &&
				strchr("bwdq", name[n]) && !name[n + 1]))
			return true;
	}
	return false;
}

/*
 * What Capstone takes for one of our instructions and we refuse: LOCK where it is illegal, MOVNTI
 * with 66, F2 or F3 (a real CPU raises #UD), and moves of segment registers, which the decoder
 * doesn't know.
 */
static bool is_rightly_refused(const uint8_t *bytes)
{
	static const char prefixes[] = "\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3";
	const uint8_t *opcode = cs->detail->x86.opcode;

	/* A REX in between is one that doesn't count. */
	while (memchr(prefixes, *bytes, sizeof(prefixes) - 1) || (*bytes & 0xf0) == 0x40)
		if (*bytes++ == 0xf0)
			return true;
	return opcode[0] == 0x8c || opcode[0] == 0x8e || cs->id == X86_INS_MOVNTI;
}

/* Random bytes: what either accepts, the other reads the same way. */
static void random_bytes(void)
{
	static const unsigned modes[3] = {16, 32, 64};
	unsigned accepted = 0;

	for (unsigned i = 0; i < RANDOM_SAMPLES; i++) {
		unsigned bits = modes[i % 3];
		uint64_t word[2] = {rng_next(), rng_next()};
		struct insn ours = {0};
		uint8_t bytes[16];

		memcpy(bytes, word, 16);
		if (insn_decode(bytes, 15, mode_of(bits), &ours) != INSN_OK) {
			if (capstone(bytes, 15, bits) && is_one_of_ours(handle[mode_of(bits)]) &&
				!is_rightly_refused(bytes))
				report("ours refuses", bytes, cs->size, &ours);
			continue;
		}
		accepted++;
		compare(bytes, 15, &ours, bits);
	}
	CHECK_EQ(reports, 0);
	CHECK(accepted > RANDOM_SAMPLES / 10);
}

int main(void)
{
	static const cs_mode modes[3] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};

	for (unsigned i = 0; i < 3; i++) {
		if (cs_open(CS_ARCH_X86, modes[i], &handle[i]))
			return EXIT_FAILURE;
		cs_option(handle[i], CS_OPT_DETAIL, CS_OPT_ON);
	}
	cs = cs_malloc(handle[0]);
	rng_seed(1);
	RUN(forms_16);
	reports = 0;
	RUN(forms_32);
	reports = 0;
	RUN(forms_64);
	reports = 0;
	RUN(random_bytes);
	cs_free(cs, 1);
	return TEST_RESULT();
}
