/*
 * Capstone as second opinion; see second.h. State: struct second in the arena, and Capstone's own
 * allocator, which is a global of that library. On the exit path, where it allocates nothing and
 * needs about 3 KiB of stack. It is never entered twice: only an exit of the one virtual CPU leads
 * here, with host interrupts off.
 *
 * Facts about Capstone 4.0.2 are from its sources and from tests/diff.
 */
#include <capstone/capstone.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/fmt.h"
#include "base/mem.h"
#include "mmio/second.h"

/* What of two readings differs. */
#define DIFFERS_REFUSED	  0x01u /* Capstone says that it is no instruction */
#define DIFFERS_LENGTH	  0x02u
#define DIFFERS_OPERATION 0x04u
#define DIFFERS_REPEAT	  0x08u
#define DIFFERS_OPERANDS  0x10u /* their number, kinds and order, registers, immediate */
#define DIFFERS_SIZE	  0x20u /* of an operand */
#define DIFFERS_MEMORY	  0x40u /* base, index, scale, displacement, address size */
#define DIFFERS_SEGMENT	  0x80u

#define DEFECTS		  9u

struct second {
	csh handle;
	cs_insn theirs;
	cs_detail detail;
	enum insn_mode mode;
	unsigned differs; /* of the last question */
	uint64_t hits[DEFECTS];
};

/* ---- Capstone's memory ---- */

/*
 * It takes 19 KiB in all, when it is opened and at its first decode, and nothing later. It doesn't
 * bear running out of memory at these, so that there is some to spare. Built with its texts, as tests
 * and tools have it, it copies the name of an AAD or AAM and frees it at once: what was allocated last
 * can be given back.
 */
#define POOL_SIZE (24u * KIB)
#define TEXT_SIZE 32u

static struct {
	uint8_t *at, *last;
	size_t left;
} pool;

static void *pool_alloc(size_t size)
{
	size = align_up(size, 16);
	if (size > pool.left)
		return NULL;
	pool.last = pool.at;
	pool.at += size;
	pool.left -= size;
	return pool.last;
}

static void *pool_alloc_array(size_t n, size_t size)
{
	return pool_alloc(n * size);
}

static void *pool_realloc(void *old, size_t size)
{
	(void)old, (void)size;
	return NULL;
}

static void pool_free(void *p)
{
	if (!p || p != pool.last)
		return;
	pool.left += (size_t)(pool.at - pool.last);
	pool.at = pool.last;
	pool.last = NULL;
}

/* ---- registers and operations by Capstone's names for them ---- */

#define REG(name, number, size) [X86_REG_##name] = {OPERAND_REG, number, size}
#define HIGH(name, number)	[X86_REG_##name] = {OPERAND_HIGH, number, 1}
#define VECTOR(n)                                                                                  \
	[X86_REG_XMM##n] = {OPERAND_VECTOR, n, 16}, [X86_REG_YMM##n] = {OPERAND_VECTOR, n, 32}
#define SIZES(b, w, d, q, n) REG(b, n, 1), REG(w, n, 2), REG(d, n, 4), REG(q, n, 8)
#define NUMBERED(name, n)    SIZES(name##B, name##W, name##D, name, n)

static const struct operand registers[] = {
	SIZES(AL, AX, EAX, RAX, GPR_RAX),
	SIZES(CL, CX, ECX, RCX, GPR_RCX),
	SIZES(DL, DX, EDX, RDX, GPR_RDX),
	SIZES(BL, BX, EBX, RBX, GPR_RBX),
	SIZES(SPL, SP, ESP, RSP, GPR_RSP),
	SIZES(BPL, BP, EBP, RBP, GPR_RBP),
	SIZES(SIL, SI, ESI, RSI, GPR_RSI),
	SIZES(DIL, DI, EDI, RDI, GPR_RDI),
	NUMBERED(R8, GPR_R8),
	NUMBERED(R9, GPR_R9),
	NUMBERED(R10, GPR_R10),
	NUMBERED(R11, GPR_R11),
	NUMBERED(R12, GPR_R12),
	NUMBERED(R13, GPR_R13),
	NUMBERED(R14, GPR_R14),
	NUMBERED(R15, GPR_R15),
	HIGH(AH, 0),
	HIGH(CH, 1),
	HIGH(DH, 2),
	HIGH(BH, 3),
	VECTOR(0),
	VECTOR(1),
	VECTOR(2),
	VECTOR(3),
	VECTOR(4),
	VECTOR(5),
	VECTOR(6),
	VECTOR(7),
	VECTOR(8),
	VECTOR(9),
	VECTOR(10),
	VECTOR(11),
	VECTOR(12),
	VECTOR(13),
	VECTOR(14),
	VECTOR(15),
	REG(EIP, INSN_RIP, 4),
	REG(RIP, INSN_RIP, 8),
};

/* None, for no register and for EIZ and RIZ, which stand for the index that a SIB hasn't got. */
static struct operand register_of(unsigned reg)
{
	if (reg < array_size(registers) && registers[reg].kind != OPERAND_NONE)
		return registers[reg];
	return (struct operand){OPERAND_NONE, INSN_NO_REG, 0};
}

/* VSEG_COUNT: no override. */
static unsigned segment_of(unsigned reg)
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
		return VSEG_COUNT;
	}
}

static const char *name_of(unsigned id)
{
	/* Longer than the longest name, and no pointers that would have to be relocated. */
	static const char names[][20] = {
#include <capstone_names.inc>
	};

	return id != X86_INS_INVALID && id < array_size(names) ? names[id] : "?";
}

/* The operations whose name says it all; the others are in same_operation. */
static const uint16_t plain_id[OP_COUNT] = {
	[OP_ADD] = X86_INS_ADD,
	[OP_OR] = X86_INS_OR,
	[OP_ADC] = X86_INS_ADC,
	[OP_SBB] = X86_INS_SBB,
	[OP_AND] = X86_INS_AND,
	[OP_SUB] = X86_INS_SUB,
	[OP_XOR] = X86_INS_XOR,
	[OP_CMP] = X86_INS_CMP,
	[OP_TEST] = X86_INS_TEST,
	[OP_NOT] = X86_INS_NOT,
	[OP_NEG] = X86_INS_NEG,
	[OP_INC] = X86_INS_INC,
	[OP_DEC] = X86_INS_DEC,
	[OP_ROL] = X86_INS_ROL,
	[OP_ROR] = X86_INS_ROR,
	[OP_RCL] = X86_INS_RCL,
	[OP_RCR] = X86_INS_RCR,
	[OP_SHL] = X86_INS_SHL,
	[OP_SHR] = X86_INS_SHR,
	[OP_SAR] = X86_INS_SAR,
	[OP_SHLD] = X86_INS_SHLD,
	[OP_SHRD] = X86_INS_SHRD,
	[OP_BT] = X86_INS_BT,
	[OP_BTS] = X86_INS_BTS,
	[OP_BTR] = X86_INS_BTR,
	[OP_BTC] = X86_INS_BTC,
	[OP_XADD] = X86_INS_XADD,
	[OP_XCHG] = X86_INS_XCHG,
	[OP_CMPXCHG] = X86_INS_CMPXCHG,
	[OP_MOV] = X86_INS_MOV,
	[OP_MOVNTI] = X86_INS_MOVNTI,
	[OP_MOVZX] = X86_INS_MOVZX,
	[OP_MOVSX] = X86_INS_MOVSX,
	[OP_MOVBE] = X86_INS_MOVBE,
	[OP_PUSH] = X86_INS_PUSH,
	[OP_POP] = X86_INS_POP,
};

#define CONDITIONS(op)                                                                             \
	{                                                                                          \
		X86_INS_##op##O, X86_INS_##op##NO, X86_INS_##op##B, X86_INS_##op##AE,              \
			X86_INS_##op##E, X86_INS_##op##NE, X86_INS_##op##BE, X86_INS_##op##A,      \
			X86_INS_##op##S, X86_INS_##op##NS, X86_INS_##op##P, X86_INS_##op##NP,      \
			X86_INS_##op##L, X86_INS_##op##GE, X86_INS_##op##LE, X86_INS_##op##G       \
	}

static const uint16_t cmov_id[16] = CONDITIONS(CMOV);
static const uint16_t set_id[16] = CONDITIONS(SET);

#define STRING_SIZES(op)                                                                           \
	{                                                                                          \
		X86_INS_##op##B, X86_INS_##op##W, X86_INS_##op##D, X86_INS_##op##Q                 \
	}

static const uint16_t string_id[][4] = {
	[0] = STRING_SIZES(MOVS), /* the first of them */
	[OP_STOS - OP_MOVS] = STRING_SIZES(STOS),
	[OP_LODS - OP_MOVS] = STRING_SIZES(LODS),
	[OP_SCAS - OP_MOVS] = STRING_SIZES(SCAS),
	[OP_CMPS - OP_MOVS] = STRING_SIZES(CMPS),
};

/* Operations of ours that have several names, by what the data is meant to be, and by VEX. */
#define NAMED(op, name)                                                                            \
	{                                                                                          \
		OP_##op, X86_INS_##name                                                            \
	}
#define VECTOR_NAMED(op, name) NAMED(op, name), NAMED(op, V##name)

static const struct {
	uint8_t op;
	uint16_t id;
} group_names[] = {
	VECTOR_NAMED(MOVA, MOVAPS),
	VECTOR_NAMED(MOVA, MOVAPD),
	VECTOR_NAMED(MOVA, MOVDQA),
	VECTOR_NAMED(MOVA, MOVNTPS),
	VECTOR_NAMED(MOVA, MOVNTPD),
	VECTOR_NAMED(MOVA, MOVNTDQ),
	VECTOR_NAMED(MOVA, MOVNTDQA),
	VECTOR_NAMED(MOVU, MOVUPS),
	VECTOR_NAMED(MOVU, MOVUPD),
	VECTOR_NAMED(MOVU, MOVDQU),
	VECTOR_NAMED(MOVU, LDDQU),
	VECTOR_NAMED(MOVLOW, MOVSS),
	VECTOR_NAMED(MOVLOW, MOVSD),
	VECTOR_NAMED(MOVLOW, MOVD),
	VECTOR_NAMED(MOVLOW, MOVQ),
	VECTOR_NAMED(MOVL, MOVLPS),
	VECTOR_NAMED(MOVL, MOVLPD),
	VECTOR_NAMED(MOVH, MOVHPS),
	VECTOR_NAMED(MOVH, MOVHPD),
	NAMED(FLUSH, CLFLUSH),
	NAMED(FLUSH, CLFLUSHOPT),
	NAMED(FLUSH, CLWB),
	NAMED(PREFETCH, PREFETCH),
	NAMED(PREFETCH, PREFETCHW),
	NAMED(PREFETCH, PREFETCHNTA),
	NAMED(PREFETCH, PREFETCHT0),
	NAMED(PREFETCH, PREFETCHT1),
	NAMED(PREFETCH, PREFETCHT2),
};

static bool is_string(const struct insn *insn)
{
	return insn->op >= OP_MOVS && insn->op <= OP_CMPS;
}

static bool is_half(const struct insn *insn)
{
	return (insn->op == OP_MOVL || insn->op == OP_MOVH) && insn->third.kind == OPERAND_VECTOR;
}

/* ---- comparison ---- */

static bool is_named(unsigned id, unsigned op)
{
	for (unsigned i = 0; i < array_size(group_names); i++)
		if (group_names[i].op == op && group_names[i].id == id)
			return true;
	return false;
}

static bool same_string(unsigned id, const struct insn *ours)
{
	const uint16_t *ids = string_id[ours->op - OP_MOVS];

	/* A wrong size is found at the operands; the names of all sizes mean the same operation. */
	return id == ids[0] || id == ids[1] || id == ids[2] || id == ids[3];
}

static bool same_operation(unsigned id, const struct insn *ours)
{
	switch (ours->op) {
	case OP_CMOV:
		return id == cmov_id[ours->cc];
	case OP_SETCC:
		return id == set_id[ours->cc];
	case OP_CMPXCHG8B:
		return id == (ours->size == 16 ? X86_INS_CMPXCHG16B : X86_INS_CMPXCHG8B);
	case OP_MOV:
		return id == X86_INS_MOV || id == X86_INS_MOVABS;
	case OP_MOVSX:
		return id == X86_INS_MOVSX || id == X86_INS_MOVSXD;
	case OP_SHL:
		return id == X86_INS_SHL || id == X86_INS_SAL;
	default:
		if (is_string(ours))
			return same_string(id, ours);
		return ours->op > OP_CMPS ? is_named(id, ours->op) : id == plain_id[ours->op];
	}
}

/* F2 and F3 in front of a string; elsewhere they mean nothing that matters. */
static bool same_repeat(const cs_x86 *x, const struct insn *ours)
{
	unsigned rep = ours->prefixes & (INSN_REP | INSN_REPNE);
	unsigned theirs = x->prefix[0];

	if (!is_string(ours))
		return true;
	return theirs == (!rep ? 0 : rep & INSN_REP ? X86_PREFIX_REP : X86_PREFIX_REPNE);
}

/* The segment that Capstone means. In 64-bit mode it shows overrides that have no effect there. */
static unsigned segment_shown(const x86_op_mem *theirs, enum insn_mode mode)
{
	unsigned named = segment_of(theirs->segment), base = register_of(theirs->base).reg;

	if (named != VSEG_COUNT && (mode != INSN_MODE_64 || named >= VSEG_FS))
		return named;
	return base == GPR_RSP || base == GPR_RBP ? VSEG_SS : VSEG_DS;
}

static bool same_address_register(unsigned reg, unsigned number, unsigned size)
{
	struct operand theirs = register_of(reg);

	return theirs.reg == number && (theirs.kind == OPERAND_NONE || theirs.size == size);
}

static unsigned compare_memory(
	const x86_op_mem *theirs, const struct insn_mem *ours, enum insn_mode mode)
{
	unsigned size = ours->address_size;
	unsigned differs = segment_shown(theirs, mode) == ours->seg ? 0 : DIFFERS_SEGMENT;

	if (!same_address_register(theirs->base, ours->base, size) ||
		!same_address_register(theirs->index, ours->index, size) ||
		(ours->index != INSN_NO_REG && theirs->scale != 1 << ours->shift) ||
		((uint64_t)theirs->disp ^ ours->disp) & size_mask(size))
		differs |= DIFFERS_MEMORY;
	return differs;
}

/* rSI and rDI, which Capstone shows as base registers; rDI is in ES, and nothing else. */
static unsigned compare_string_memory(const x86_op_mem *theirs, const struct insn *ours,
	const struct operand *o, enum insn_mode mode)
{
	struct insn_mem mem = {.seg = ours->mem.seg,
		.base = o->reg,
		.index = INSN_NO_REG,
		.address_size = ours->mem.address_size};
	unsigned named = segment_of(theirs->segment);

	if (o->kind == OPERAND_SI)
		return compare_memory(theirs, &mem, mode);
	if (named != VSEG_ES && !(named == VSEG_COUNT && mode == INSN_MODE_64))
		return DIFFERS_SEGMENT;
	mem.seg = (uint8_t)segment_shown(theirs, mode);
	return compare_memory(theirs, &mem, mode);
}

static unsigned compare_operand(const struct second *s, const struct insn *ours,
	const struct operand *o, const cs_x86_op *theirs)
{
	struct operand reg;
	unsigned differs;

	switch (o->kind) {
	case OPERAND_REG:
	case OPERAND_HIGH:
	case OPERAND_VECTOR:
		reg = register_of(theirs->reg);
		if (theirs->type != X86_OP_REG || reg.kind != o->kind || reg.reg != o->reg)
			return DIFFERS_OPERANDS;
		return reg.size == o->size ? 0 : DIFFERS_SIZE;
	case OPERAND_IMM:
		if (theirs->type != X86_OP_IMM)
			return DIFFERS_OPERANDS;
		return ((uint64_t)theirs->imm ^ ours->imm) & size_mask(o->size) ? DIFFERS_OPERANDS
										: 0;
	default:
		if (theirs->type != X86_OP_MEM)
			return DIFFERS_OPERANDS;
		differs = o->kind == OPERAND_MEM
				  ? compare_memory(&theirs->mem, &ours->mem, s->mode)
				  : compare_string_memory(&theirs->mem, ours, o, s->mode);
		/* A whole line, or a byte of it. */
		if (ours->op == OP_FLUSH || ours->op == OP_PREFETCH)
			return differs;
		return theirs->size == o->size ? differs : differs | DIFFERS_SIZE;
	}
}

static unsigned compare_operands(const struct second *s, const struct insn *ours)
{
	struct operand list[3] = {ours->dst, ours->src, ours->third};
	const cs_x86 *x = &s->detail.x86;
	unsigned n = 0, differs = 0;

	/* The other half comes from the destination itself, or with VEX from an operand before memory. */
	if (is_half(ours)) {
		list[1] = ours->vex ? ours->third : ours->src;
		list[2] = ours->vex ? ours->src : (struct operand){.kind = OPERAND_NONE};
	}
	while (n < array_size(list) && list[n].kind != OPERAND_NONE)
		n++;
	/* A shift by one has no operand for it. */
	if (n == 2 && x->op_count == 1 && ours->op >= OP_ROL && ours->op <= OP_SAR &&
		ours->src.kind == OPERAND_IMM && ours->imm == 1)
		n = 1;
	if (n != x->op_count)
		return DIFFERS_OPERANDS;
	for (unsigned i = 0; i < n; i++)
		differs |= compare_operand(s, ours, &list[i], &x->operands[i]);
	return differs;
}

static unsigned compare(const struct second *s, const struct insn *ours)
{
	unsigned differs = 0;

	if (s->theirs.size != ours->length)
		differs |= DIFFERS_LENGTH;
	if (!same_operation(s->theirs.id, ours))
		return differs | DIFFERS_OPERATION;
	if (!same_repeat(&s->detail.x86, ours))
		differs |= DIFFERS_REPEAT;
	return differs | compare_operands(s, ours);
}

/* ---- known defects ---- */

struct defect {
	struct second_defect example;
	unsigned explains; /* DIFFERS_... */
	bool (*applies)(const struct second *s, const uint8_t *bytes, const struct insn *ours);
};

/* The last prefix that isn't REX; 0 without one. Ends at the opcode. */
static uint8_t last_prefix(const uint8_t *bytes, enum insn_mode mode)
{
	static const char legacy[] = "\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3";
	uint8_t last = 0;

	for (;; bytes++) {
		if (*bytes && strchr(legacy, *bytes))
			last = *bytes;
		else if (mode != INSN_MODE_64 || (*bytes & 0xf0) != 0x40)
			return last;
	}
}

static bool is_opsize_hidden(const struct second *s, const uint8_t *bytes, const struct insn *ours)
{
	uint8_t last = last_prefix(bytes, s->mode);

	return ours->prefixes & INSN_OPSIZE && (last == 0xf2 || last == 0xf3);
}

static bool is_hidden_offset(const struct second *s, const uint8_t *bytes, const struct insn *ours)
{
	return ours->op == OP_MOV && is_opsize_hidden(s, bytes, ours);
}

/* The name is also that of an instruction for vector registers, whose F2 is part of the opcode. */
static bool is_repne_movsd(const struct second *s, const uint8_t *bytes, const struct insn *ours)
{
	(void)bytes;
	return s->theirs.id == X86_INS_MOVSD && ours->prefixes & INSN_REPNE &&
	       !s->detail.x86.prefix[0];
}

static bool is_short_movsxd(const struct second *s, const uint8_t *bytes, const struct insn *ours)
{
	(void)bytes;
	return s->theirs.id == X86_INS_MOVSXD && !(ours->prefixes & INSN_REX_W) &&
	       s->detail.x86.operands[0].size == 8;
}

static bool is_wide_stack(const struct second *s, const uint8_t *bytes, const struct insn *ours)
{
	(void)bytes;
	return (ours->op == OP_PUSH || ours->op == OP_POP) && ours->prefixes & INSN_REX_W &&
	       ours->prefixes & (INSN_OPSIZE | INSN_ADDRSIZE) &&
	       s->detail.x86.operands[0].size == 2;
}

/* The prefix that makes another instruction of the opcode is only seen where nothing comes between. */
static bool is_lost_prefix(const struct second *s, const uint8_t *bytes, const struct insn *ours)
{
	unsigned prefixes = ours->prefixes;
	uint8_t meant = prefixes & INSN_REP ? 0xf3 : prefixes & INSN_REPNE ? 0xf2 : 0x66;

	if (ours->vex || !(prefixes & (INSN_REP | INSN_REPNE | INSN_OPSIZE)) ||
		!((ours->op >= OP_MOVA && ours->op <= OP_MOVH) || ours->op == OP_FLUSH))
		return false;
	return s->mode == INSN_MODE_16 || prefixes & INSN_REX_W ||
	       last_prefix(bytes, s->mode) != meant;
}

static bool is_prefetch(const struct second *s, const uint8_t *bytes, const struct insn *ours)
{
	(void)s, (void)bytes;
	return ours->op == OP_PREFETCH;
}

static bool is_direct_store(const struct second *s, const uint8_t *bytes, const struct insn *ours)
{
	(void)s, (void)bytes;
	return ours->op == OP_MOVDIRI || ours->op == OP_MOVDIR64B;
}

/* Capstone must name an override that doesn't count, and ours one that does. */
static bool is_lost_segment(const struct second *s, const uint8_t *bytes, const struct insn *ours)
{
	const cs_x86 *x = &s->detail.x86;

	(void)bytes;
	if (s->mode != INSN_MODE_64 || ours->mem.seg < VSEG_FS)
		return false;
	for (unsigned i = 0; i < x->op_count && i < array_size(x->operands); i++)
		if (x->operands[i].type == X86_OP_MEM &&
			segment_of(x->operands[i].mem.segment) < VSEG_FS)
			return true;
	return false;
}

/* Found by tests/diff, which also makes sure that each is met. */
static const struct defect defects[] = {
	{{"66 doesn't count if F2 or F3 is the last prefix", {0x66, 0xf3, 0xa5}, 3, INSN_MODE_64},
		DIFFERS_SIZE, is_opsize_hidden},
	{{"nor is there a MOV with an absolute offset then", {0x66, 0xf3, 0xa1, 0, 0, 0, 0}, 7,
		 INSN_MODE_32},
		DIFFERS_REFUSED, is_hidden_offset},
	{{"F2 in front of MOVSD doesn't show", {0xf2, 0xa5}, 2, INSN_MODE_64}, DIFFERS_REPEAT,
		is_repne_movsd},
	{{"MOVSXD without REX.W writes 8 bytes", {0x63, 0x00}, 2, INSN_MODE_64}, DIFFERS_SIZE,
		is_short_movsxd},
	{{"PUSH and POP with REX.W and 66 or 67 move 2 bytes", {0x66, 0x48, 0xff, 0x30}, 4,
		 INSN_MODE_64},
		DIFFERS_SIZE, is_wide_stack},
	{{"FS or GS is lost to a later override that means nothing in 64-bit mode",
		 {0x64, 0x2e, 0x8b, 0x00}, 4, INSN_MODE_64},
		DIFFERS_SEGMENT, is_lost_segment},
	{{"MOVDIRI and MOVDIR64B are not known", {0x0f, 0x38, 0xf9, 0x00}, 4, INSN_MODE_64},
		DIFFERS_REFUSED, is_direct_store},
	{{"66, F2 and F3 of vector instructions are lost before other prefixes and in 16-bit code",
		 {0xf3, 0x3e, 0x0f, 0x10, 0x00}, 5, INSN_MODE_64},
		DIFFERS_OPERATION | DIFFERS_OPERANDS | DIFFERS_SIZE | DIFFERS_REFUSED,
		is_lost_prefix},
	{{"most of 0F 0D isn't known", {0x0f, 0x0d, 0x10}, 3, INSN_MODE_64}, DIFFERS_REFUSED,
		is_prefetch},
};

_Static_assert(array_size(defects) == DEFECTS, "one counter for each");

/* Several can meet in one instruction. */
static bool is_known(struct second *s, const uint8_t *bytes, const struct insn *ours)
{
	unsigned unexplained = s->differs;

	for (unsigned i = 0; i < DEFECTS; i++) {
		const struct defect *d = &defects[i];

		if (d->explains & s->differs && d->applies(s, bytes, ours)) {
			unexplained &= ~d->explains;
			s->hits[i]++;
		}
	}
	return !unexplained;
}

unsigned second_defect_count(void)
{
	return DEFECTS;
}

const struct second_defect *second_defect_get(unsigned i)
{
	return &defects[i].example;
}

uint64_t second_defect_hits(const struct second *s, unsigned i)
{
	return s->hits[i];
}

/* ---- both readings as text ---- */

struct reading {
	const char *name;
	unsigned length, size;
	bool has_memory;
	unsigned seg, base, index, scale; /* segments and registers by number; VSEG_COUNT: none */
	uint64_t disp;
};

static struct reading reading_of_ours(const struct insn *ours)
{
	const struct insn_mem *m = &ours->mem;

	return (struct reading){insn_op_name(ours->op), ours->length, ours->dst.size,
		ours->dst.kind == OPERAND_MEM || ours->src.kind == OPERAND_MEM, m->seg, m->base,
		m->index, 1u << m->shift, m->disp};
}

static struct reading reading_of_theirs(const struct second *s)
{
	const cs_x86 *x = &s->detail.x86;
	struct reading r = {.name = name_of(s->theirs.id),
		.length = s->theirs.size,
		.size = x->op_count ? x->operands[0].size : 0};

	for (unsigned i = 0; i < x->op_count && i < array_size(x->operands); i++) {
		const x86_op_mem *m = &x->operands[i].mem;

		if (x->operands[i].type != X86_OP_MEM || r.has_memory)
			continue;
		r.has_memory = true;
		r.seg = segment_of(m->segment);
		r.base = register_of(m->base).reg;
		r.index = register_of(m->index).reg;
		r.scale = (unsigned)m->scale;
		r.disp = (uint64_t)m->disp;
	}
	return r;
}

static const char *register_name(unsigned reg)
{
	static const char names[INSN_RIP + 1][4] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi",
		"rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"};

	return reg <= INSN_RIP ? names[reg] : "-";
}

/* name/length/operand size [memory operand] */
static void format_reading(const struct reading *r, char *out, size_t size)
{
	static const char segments[][4] = {"es", "cs", "ss", "ds", "fs", "gs"};
	int n = fmt_print(out, size, "%s/%u/%u", r->name, r->length, r->size);

	if (!r->has_memory || (size_t)n >= size)
		return;
	fmt_print(out + n, size - (size_t)n, " [%s:%s+%s*%u+0x%lx]",
		r->seg < array_size(segments) ? segments[r->seg] : "-", register_name(r->base),
		register_name(r->index), r->scale, r->disp);
}

#define READING_MAX 64u

void second_describe(const struct second *s, const struct insn *ours, char *out, size_t size)
{
	struct reading one = reading_of_ours(ours), other;
	char a[READING_MAX], b[READING_MAX] = "nothing";

	format_reading(&one, a, sizeof(a));
	if (s->differs != DIFFERS_REFUSED) {
		other = reading_of_theirs(s);
		format_reading(&other, b, sizeof(b));
	}
	fmt_print(out, size, "ours %s, capstone %s", a, b);
}

/* ---- the interface ---- */

static bool disassemble(struct second *s, const uint8_t *bytes, size_t n, enum insn_mode mode)
{
	static const cs_mode modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
	uint64_t address = 0;

	s->mode = mode;
	/* Capstone leaves alone what it doesn't know. */
	s->theirs.id = X86_INS_INVALID;
	s->theirs.size = 0;
	s->theirs.detail = &s->detail;
	n = min_u64(n, INSN_MAX);
	return !cs_option(s->handle, CS_OPT_MODE, modes[mode]) &&
	       cs_disasm_iter(s->handle, &bytes, &n, &address, &s->theirs);
}

bool second_agrees(struct second *s, const uint8_t *bytes, size_t n, enum insn_mode mode,
	const struct insn *ours)
{
	s->differs = disassemble(s, bytes, n, mode) ? compare(s, ours) : DIFFERS_REFUSED;
	return !s->differs || is_known(s, bytes, ours);
}

const char *second_name(struct second *s, const uint8_t *bytes, size_t n, enum insn_mode mode)
{
	return disassemble(s, bytes, n, mode) ? name_of(s->theirs.id) : "?";
}

/* The first decode makes Capstone allocate what it lacks; then it never does again. */
static int start(struct second *s)
{
	static const uint8_t nop = 0x90;

	if (cs_open(CS_ARCH_X86, CS_MODE_64, &s->handle))
		return -E_IO;
	if (cs_option(s->handle, CS_OPT_DETAIL, CS_OPT_ON))
		return -E_IO;
	return disassemble(s, &nop, 1, INSN_MODE_64) ? 0 : -E_IO;
}

int second_open(struct arena *arena, struct second **ret)
{
	cs_opt_mem mem = {pool_alloc, pool_alloc_array, pool_realloc, pool_free, fmt_vprint};
	struct second *s = arena_alloc(arena, sizeof(*s), _Alignof(struct second));
	int err;

	pool.at = arena_alloc(arena, POOL_SIZE, 16);
	pool.last = NULL;
	if (!s || !pool.at)
		return -E_NOMEM;
	pool.left = POOL_SIZE;
	if (cs_option(0, CS_OPT_MEM, (uintptr_t)&mem))
		return -E_IO;
	err = start(s);
	pool.left = min_u64(pool.left, TEXT_SIZE);
	if (!err)
		*ret = s;
	return err;
}
