/*
 * The instruction decoder; see decode.h. No state; runs on the exit path.
 *
 * One form (4 bytes) per opcode says the operation, where the operands are encoded (the shape), and
 * what else the opcode fixes (flags). Opcodes that ModRM.reg extends lead to a group of eight forms.
 * Facts: SDM vol. 2A "Instruction Format", vol. 2D "Opcode Map" (325462-084).
 */
#include "mmio/decode.h"
#include "base/bits.h"
#include "base/mem.h"

/* Where the operands are encoded: destination first, as in the manuals. */
enum shape {
	SHAPE_NONE,  /* not an instruction of ours */
	SHAPE_GROUP, /* op is the number of a group, ModRM.reg picks the form */
	SHAPE_RM,
	SHAPE_RM_R,
	SHAPE_R_RM,
	SHAPE_RM_IMM,
	SHAPE_RM_ONE,
	SHAPE_RM_CL,
	SHAPE_RM_R_IMM,
	SHAPE_RM_R_CL,
	SHAPE_A_OFFS, /* accumulator and an absolute offset: no ModRM */
	SHAPE_OFFS_A,
	SHAPE_DI_SI, /* strings: no ModRM */
	SHAPE_DI_A,
	SHAPE_A_SI,
	SHAPE_A_DI,
	SHAPE_SI_DI,
};

/* What else a form fixes. */
#define F_BYTE	0x0001u /* operands of one byte, else 2, 4 or 8 by mode and prefixes */
#define F_SRC8	0x0002u /* the source is narrower: MOVZX and its like */
#define F_SRC16 0x0004u
#define F_SRC32 0x0008u /* but 16 bits with a prefix 66, as the SDM says; AMD's CPUs read 32 */
#define F_IMM8	0x0010u
#define F_IMMZ	0x0020u /* 2 or 4 bytes: never 8 */
#define F_LOCK	0x0040u /* LOCK is legal if the destination is memory */
#define F_MEM	0x0080u /* another instruction, or none, if ModRM names a register */
#define F_NP	0x0100u /* 66, F2 and F3 make it another instruction */
#define F_NOREP 0x0200u /* F2 and F3 make it another instruction */
#define F_64	0x0400u /* only in 64-bit mode */
#define F_NO64	0x0800u /* only outside of it */
#define F_DEF64 0x1000u /* 64 bits by default in 64-bit mode, and never 32 there */
#define F_DWORD 0x2000u /* 4 bytes, or 8 with REX.W */
#define F_PAIR	0x4000u /* 8 bytes, or 16 with REX.W */
#define F_COUNT 0x8000u /* the immediate is a byte that is not extended: a count, a bit number */

struct form {
	uint8_t op, shape;
	uint16_t flags;
};

_Static_assert(sizeof(struct form) == 4, "the tables are meant to stay in the cache");

/* clang-format off */
#define FORM(op, shape, fl)	{OP_##op, SHAPE_##shape, fl}
#define GROUP(n)		{n, SHAPE_GROUP, 0}
#define PAIR(at, op, shape, fl) [at] = FORM(op, shape, (fl) | F_BYTE), [(at) + 1] = FORM(op, shape, fl)
#define ALU(at, op, fl)		PAIR(at, op, RM_R, fl), PAIR((at) + 2, op, R_RM, 0)
#define EIGHT(at, op, shape, fl)                                                                   \
	[at] = FORM(op, shape, fl), [(at) + 1] = FORM(op, shape, fl),                              \
	[(at) + 2] = FORM(op, shape, fl), [(at) + 3] = FORM(op, shape, fl),                        \
	[(at) + 4] = FORM(op, shape, fl), [(at) + 5] = FORM(op, shape, fl),                        \
	[(at) + 6] = FORM(op, shape, fl), [(at) + 7] = FORM(op, shape, fl)

#define ALU_GROUP(fl) {                                                                            \
	FORM(ADD, RM_IMM, F_LOCK | (fl)), FORM(OR, RM_IMM, F_LOCK | (fl)),                         \
	FORM(ADC, RM_IMM, F_LOCK | (fl)), FORM(SBB, RM_IMM, F_LOCK | (fl)),                        \
	FORM(AND, RM_IMM, F_LOCK | (fl)), FORM(SUB, RM_IMM, F_LOCK | (fl)),                        \
	FORM(XOR, RM_IMM, F_LOCK | (fl)), FORM(CMP, RM_IMM, fl) }

/* /6 is SHL once more on all processors, though the manuals are silent about it. */
#define SHIFT_GROUP(shape, fl) {                                                                   \
	FORM(ROL, shape, fl), FORM(ROR, shape, fl), FORM(RCL, shape, fl), FORM(RCR, shape, fl),    \
	FORM(SHL, shape, fl), FORM(SHR, shape, fl), FORM(SHL, shape, fl), FORM(SAR, shape, fl) }

/* /1 is TEST once more: AMD64 APM vol. 3 "Opcode and Operand Encodings". */
#define TEST_GROUP(fl, imm) {                                                                      \
	FORM(TEST, RM_IMM, (fl) | (imm)), FORM(TEST, RM_IMM, (fl) | (imm)),                        \
	FORM(NOT, RM, F_LOCK | (fl)), FORM(NEG, RM, F_LOCK | (fl)) }

enum group {
	GROUP_80, GROUP_81, GROUP_82, GROUP_83, GROUP_8F, GROUP_C0, GROUP_C1, GROUP_C6, GROUP_C7,
	GROUP_D0, GROUP_D1, GROUP_D2, GROUP_D3, GROUP_F6, GROUP_F7, GROUP_FE, GROUP_FF, GROUP_0FBA,
	GROUP_0FC7,
};

static const struct form groups[][8] = {
	[GROUP_80] = ALU_GROUP(F_BYTE | F_IMM8),
	[GROUP_81] = ALU_GROUP(F_IMMZ),
	[GROUP_82] = ALU_GROUP(F_BYTE | F_IMM8 | F_NO64),
	[GROUP_83] = ALU_GROUP(F_IMM8),
	[GROUP_8F] = {FORM(POP, RM, F_DEF64)},
	[GROUP_C0] = SHIFT_GROUP(RM_IMM, F_BYTE | F_COUNT),
	[GROUP_C1] = SHIFT_GROUP(RM_IMM, F_COUNT),
	[GROUP_C6] = {FORM(MOV, RM_IMM, F_BYTE | F_IMM8)},
	[GROUP_C7] = {FORM(MOV, RM_IMM, F_IMMZ)},
	[GROUP_D0] = SHIFT_GROUP(RM_ONE, F_BYTE),
	[GROUP_D1] = SHIFT_GROUP(RM_ONE, 0),
	[GROUP_D2] = SHIFT_GROUP(RM_CL, F_BYTE),
	[GROUP_D3] = SHIFT_GROUP(RM_CL, 0),
	[GROUP_F6] = TEST_GROUP(F_BYTE, F_IMM8),
	[GROUP_F7] = TEST_GROUP(0, F_IMMZ),
	[GROUP_FE] = {FORM(INC, RM, F_LOCK | F_BYTE), FORM(DEC, RM, F_LOCK | F_BYTE)},
	[GROUP_FF] = {FORM(INC, RM, F_LOCK), FORM(DEC, RM, F_LOCK), [6] = FORM(PUSH, RM, F_DEF64)},
	[GROUP_0FBA] = {
		[4] = FORM(BT, RM_IMM, F_COUNT), FORM(BTS, RM_IMM, F_COUNT | F_LOCK),
		FORM(BTR, RM_IMM, F_COUNT | F_LOCK), FORM(BTC, RM_IMM, F_COUNT | F_LOCK)},
	[GROUP_0FC7] = {[1] = FORM(CMPXCHG8B, RM, F_LOCK | F_MEM | F_PAIR)},
};
/* clang-format on */

static const struct form map_one[256] = {
	ALU(0x00, ADD, F_LOCK),
	ALU(0x08, OR, F_LOCK),
	ALU(0x10, ADC, F_LOCK),
	ALU(0x18, SBB, F_LOCK),
	ALU(0x20, AND, F_LOCK),
	ALU(0x28, SUB, F_LOCK),
	ALU(0x30, XOR, F_LOCK),
	ALU(0x38, CMP, 0),
	[0x63] = FORM(MOVSX, R_RM, F_SRC32 | F_64),
	[0x80] = GROUP(GROUP_80),
	[0x81] = GROUP(GROUP_81),
	[0x82] = GROUP(GROUP_82),
	[0x83] = GROUP(GROUP_83),
	PAIR(0x84, TEST, RM_R, 0),
	PAIR(0x86, XCHG, RM_R, F_LOCK),
	PAIR(0x88, MOV, RM_R, 0),
	PAIR(0x8a, MOV, R_RM, 0),
	[0x8f] = GROUP(GROUP_8F),
	PAIR(0xa0, MOV, A_OFFS, 0),
	PAIR(0xa2, MOV, OFFS_A, 0),
	PAIR(0xa4, MOVS, DI_SI, 0),
	PAIR(0xa6, CMPS, SI_DI, 0),
	PAIR(0xaa, STOS, DI_A, 0),
	PAIR(0xac, LODS, A_SI, 0),
	PAIR(0xae, SCAS, A_DI, 0),
	[0xc0] = GROUP(GROUP_C0),
	[0xc1] = GROUP(GROUP_C1),
	[0xc6] = GROUP(GROUP_C6),
	[0xc7] = GROUP(GROUP_C7),
	[0xd0] = GROUP(GROUP_D0),
	[0xd1] = GROUP(GROUP_D1),
	[0xd2] = GROUP(GROUP_D2),
	[0xd3] = GROUP(GROUP_D3),
	[0xf6] = GROUP(GROUP_F6),
	[0xf7] = GROUP(GROUP_F7),
	[0xfe] = GROUP(GROUP_FE),
	[0xff] = GROUP(GROUP_FF),
};

static const struct form map_0f[256] = {
	EIGHT(0x40, CMOV, R_RM, 0),
	EIGHT(0x48, CMOV, R_RM, 0),
	EIGHT(0x90, SETCC, RM, F_BYTE),
	EIGHT(0x98, SETCC, RM, F_BYTE),
	[0xa3] = FORM(BT, RM_R, 0),
	[0xa4] = FORM(SHLD, RM_R_IMM, F_COUNT),
	[0xa5] = FORM(SHLD, RM_R_CL, 0),
	[0xab] = FORM(BTS, RM_R, F_LOCK),
	[0xac] = FORM(SHRD, RM_R_IMM, F_COUNT),
	[0xad] = FORM(SHRD, RM_R_CL, 0),
	PAIR(0xb0, CMPXCHG, RM_R, F_LOCK),
	[0xb3] = FORM(BTR, RM_R, F_LOCK),
	[0xb6] = FORM(MOVZX, R_RM, F_SRC8),
	[0xb7] = FORM(MOVZX, R_RM, F_SRC16),
	[0xba] = GROUP(GROUP_0FBA),
	[0xbb] = FORM(BTC, RM_R, F_LOCK),
	[0xbe] = FORM(MOVSX, R_RM, F_SRC8),
	[0xbf] = FORM(MOVSX, R_RM, F_SRC16),
	PAIR(0xc0, XADD, RM_R, F_LOCK),
	[0xc3] = FORM(MOVNTI, RM_R, F_MEM | F_NP | F_DWORD),
	[0xc7] = GROUP(GROUP_0FC7),
};

static const struct form map_0f38[256] = {
	[0xf0] = FORM(MOVBE, R_RM, F_MEM | F_NOREP),
	[0xf1] = FORM(MOVBE, RM_R, F_MEM | F_NOREP),
};

/* What each byte is as a legacy prefix: bits for insn.prefixes, with the segment in bits 10:8. */
#define SEGMENT(s) (INSN_SEGMENT | (unsigned)(s) << 8)

static const uint16_t prefix_class[256] = {
	[0x26] = SEGMENT(VSEG_ES),
	[0x2e] = SEGMENT(VSEG_CS),
	[0x36] = SEGMENT(VSEG_SS),
	[0x3e] = SEGMENT(VSEG_DS),
	[0x64] = SEGMENT(VSEG_FS),
	[0x65] = SEGMENT(VSEG_GS),
	[0x66] = INSN_OPSIZE,
	[0x67] = INSN_ADDRSIZE,
	[0xf0] = INSN_LOCK,
	[0xf2] = INSN_REPNE,
	[0xf3] = INSN_REP,
};

#define REX_B	    1u
#define REX_X	    2u
#define REX_R	    4u
#define REX_W	    8u

#define SEG_DEFAULT 0xffu

/* The bytes, how far they are read, and what the prefixes said. */
struct decoder {
	const uint8_t *bytes;
	unsigned at, end;
	enum insn_mode mode;
	uint8_t prefixes, rex; /* rex: its low four bits, 0 without one that counts */
	uint8_t segment;       /* override or SEG_DEFAULT */
	uint8_t opcode;
	uint8_t modrm;
};

/* The little-endian number of size bytes (1, 2, 4, 8) at the cursor, sign-extended. */
static inline bool take_signed(struct decoder *d, unsigned size, uint64_t *ret)
{
	const uint8_t *p = d->bytes + d->at;
	int16_t v16;
	int32_t v32;

	if (size > d->end - d->at)
		return false;
	d->at += size;
	switch (size) {
	case 1:
		*ret = (uint64_t)(int8_t)*p;
		break;
	case 2:
		memcpy(&v16, p, 2);
		*ret = (uint64_t)v16;
		break;
	case 4:
		memcpy(&v32, p, 4);
		*ret = (uint64_t)v32;
		break;
	default:
		memcpy(ret, p, 8);
		break;
	}
	return true;
}

static inline bool take_byte(struct decoder *d, uint8_t *ret)
{
	if (d->at >= d->end)
		return false;
	*ret = d->bytes[d->at++];
	return true;
}

/* In 64-bit mode ES, CS, SS and DS overrides are as if they weren't there. */
static void prefix_segment(struct decoder *d, uint8_t segment)
{
	if (d->mode != INSN_MODE_64 || segment >= VSEG_FS)
		d->segment = segment;
}

/*
 * Reads the prefixes and the first opcode byte. A REX counts only right before the opcode; of F2
 * and F3, and of segments, the last one counts.
 */
static bool take_prefixes(struct decoder *d)
{
	uint8_t b, rex = 0;

	while (take_byte(d, &b)) {
		uint16_t class = prefix_class[b];

		if (d->mode == INSN_MODE_64 && (b & 0xf0) == 0x40) {
			rex = b;
			continue;
		}
		if (!class) {
			d->opcode = b;
			d->rex = rex & 0xf;
			if (rex)
				d->prefixes |= rex & REX_W ? INSN_REX | INSN_REX_W : INSN_REX;
			return true;
		}
		rex = 0;
		if (class & INSN_SEGMENT)
			prefix_segment(d, class >> 8);
		else if (class & (INSN_REP | INSN_REPNE))
			d->prefixes &= (uint8_t) ~(INSN_REP | INSN_REPNE);
		d->prefixes |= (uint8_t) class;
	}
	return false;
}

static unsigned address_size(const struct decoder *d)
{
	bool other = d->prefixes & INSN_ADDRSIZE;

	if (d->mode == INSN_MODE_64)
		return other ? 4 : 8;
	return (d->mode == INSN_MODE_32) != other ? 4 : 2;
}

static unsigned operand_size(const struct decoder *d, unsigned flags)
{
	bool other = d->prefixes & INSN_OPSIZE, wide = d->rex & REX_W;

	if (flags & F_BYTE)
		return 1;
	if (flags & F_DWORD)
		return wide ? 8 : 4;
	if (flags & F_PAIR)
		return wide ? 16 : 8;
	if (d->mode != INSN_MODE_64)
		return (d->mode == INSN_MODE_32) != other ? 4 : 2;
	if (wide)
		return 8;
	if (other)
		return 2;
	return flags & F_DEF64 ? 8 : 4;
}

/* SDM vol. 2A table 2-1 "16-Bit Addressing Forms with the ModR/M Byte". */
static bool take_mem16(struct decoder *d, struct insn_mem *mem)
{
	static const uint8_t base[8] = {
		GPR_RBX, GPR_RBX, GPR_RBP, GPR_RBP, GPR_RSI, GPR_RDI, GPR_RBP, GPR_RBX};
	static const uint8_t index[8] = {GPR_RSI, GPR_RDI, GPR_RSI, GPR_RDI, INSN_NO_REG,
		INSN_NO_REG, INSN_NO_REG, INSN_NO_REG};
	unsigned mod = d->modrm >> 6, rm = d->modrm & 7;

	if (!mod && rm == 6) {
		mem->base = INSN_NO_REG;
		return take_signed(d, 2, &mem->disp);
	}
	mem->base = base[rm];
	mem->index = index[rm];
	if (mem->base == GPR_RBP)
		mem->seg = VSEG_SS;
	return !mod || take_signed(d, mod, &mem->disp);
}

/* Fills base and index. Returns whether a displacement of 4 bytes takes the place of the base. */
static bool mem_sib(const struct decoder *d, struct insn_mem *mem, uint8_t sib)
{
	unsigned index = (sib >> 3 & 7) | (d->rex & REX_X) << 2;

	mem->base = (sib & 7) | (d->rex & REX_B) << 3;
	if (index != GPR_RSP) {
		mem->index = (uint8_t)index;
		mem->shift = sib >> 6;
	}
	return !(d->modrm >> 6) && (sib & 7) == 5;
}

/* SDM vol. 2A tables 2-2 and 2-3, and section "RIP-Relative Addressing". */
static bool take_mem32(struct decoder *d, struct insn_mem *mem)
{
	unsigned mod = d->modrm >> 6, rm = d->modrm & 7;
	bool no_base;
	uint8_t sib;

	if (rm == 4) {
		if (!take_byte(d, &sib))
			return false;
		no_base = mem_sib(d, mem, sib);
	} else {
		mem->base = (uint8_t)(rm | (d->rex & REX_B) << 3);
		no_base = !mod && rm == 5;
	}
	if (no_base) {
		mem->base = d->mode == INSN_MODE_64 && rm == 5 ? INSN_RIP : INSN_NO_REG;
		return take_signed(d, 4, &mem->disp);
	}
	if (mem->base == GPR_RSP || mem->base == GPR_RBP)
		mem->seg = VSEG_SS;
	return !mod || take_signed(d, mod == 1 ? 1 : 4, &mem->disp);
}

static struct operand reg_operand(const struct decoder *d, unsigned reg, unsigned size)
{
	if (size == 1 && reg >= GPR_RSP && reg < GPR_R8 && !(d->prefixes & INSN_REX))
		return (struct operand){OPERAND_HIGH, (uint8_t)(reg - GPR_RSP), 1};
	return (struct operand){OPERAND_REG, (uint8_t)reg, (uint8_t)size};
}

/* ModRM and what follows it; the operand that mod and rm name. */
static bool take_rm(struct decoder *d, struct insn *insn, unsigned size, struct operand *ret)
{
	struct insn_mem *mem = &insn->mem;

	if (d->modrm >> 6 == 3) {
		*ret = reg_operand(d, (d->modrm & 7u) | (d->rex & REX_B) << 3, size);
		return true;
	}
	*ret = (struct operand){OPERAND_MEM, INSN_NO_REG, (uint8_t)size};
	if (mem->address_size == 2 ? !take_mem16(d, mem) : !take_mem32(d, mem))
		return false;
	if (d->segment != SEG_DEFAULT)
		mem->seg = d->segment;
	return true;
}

static bool take_imm(struct decoder *d, struct insn *insn, unsigned flags, struct operand *ret)
{
	bool count = flags & F_COUNT;

	*ret = (struct operand){OPERAND_IMM, INSN_NO_REG, count ? 1 : insn->size};
	if (!take_signed(d, flags & F_IMMZ ? (insn->size == 2 ? 2 : 4) : 1, &insn->imm))
		return false;
	if (count)
		insn->imm &= 0xff;
	return true;
}

static struct operand count_cl(void)
{
	return (struct operand){OPERAND_REG, GPR_RCX, 1};
}

static unsigned source_size(const struct insn *insn, unsigned flags)
{
	if (flags & F_SRC8)
		return 1;
	if (flags & F_SRC16)
		return 2;
	return flags & F_SRC32 && insn->size != 2 ? 4 : insn->size;
}

/* The operands of a form with ModRM. False: truncated. */
static bool take_operands(struct decoder *d, const struct form *form, struct insn *insn)
{
	unsigned flags = form->flags, size = insn->size;
	struct operand reg = reg_operand(d, (d->modrm >> 3 & 7u) | (d->rex & REX_R) << 1, size);

	if (form->shape == SHAPE_R_RM) {
		insn->dst = reg;
		return take_rm(d, insn, source_size(insn, flags), &insn->src);
	}
	if (!take_rm(d, insn, size, &insn->dst))
		return false;
	switch (form->shape) {
	case SHAPE_RM_R:
		insn->src = reg;
		return true;
	case SHAPE_RM_IMM:
		return take_imm(d, insn, flags, &insn->src);
	case SHAPE_RM_ONE:
		insn->src = (struct operand){OPERAND_IMM, INSN_NO_REG, 1};
		insn->imm = 1;
		return true;
	case SHAPE_RM_CL:
		insn->src = count_cl();
		return true;
	case SHAPE_RM_R_IMM:
		insn->src = reg;
		return take_imm(d, insn, flags, &insn->third);
	case SHAPE_RM_R_CL:
		insn->src = reg;
		insn->third = count_cl();
		return true;
	default: /* SHAPE_RM */
		return true;
	}
}

/* The operands of a form without ModRM. False: truncated. */
static bool take_implicit(struct decoder *d, const struct form *form, struct insn *insn)
{
	struct operand a = {OPERAND_REG, GPR_RAX, insn->size};
	struct operand mem = {OPERAND_MEM, INSN_NO_REG, insn->size};
	struct operand si = {OPERAND_SI, GPR_RSI, insn->size};
	struct operand di = {OPERAND_DI, GPR_RDI, insn->size};

	if (d->segment != SEG_DEFAULT)
		insn->mem.seg = d->segment;
	switch (form->shape) {
	case SHAPE_A_OFFS:
	case SHAPE_OFFS_A:
		insn->dst = form->shape == SHAPE_A_OFFS ? a : mem;
		insn->src = form->shape == SHAPE_A_OFFS ? mem : a;
		return take_signed(d, insn->mem.address_size, &insn->mem.disp);
	case SHAPE_DI_SI:
		insn->dst = di;
		insn->src = si;
		return true;
	case SHAPE_DI_A:
		insn->dst = di;
		insn->src = a;
		return true;
	case SHAPE_A_SI:
		insn->dst = a;
		insn->src = si;
		return true;
	case SHAPE_A_DI:
		insn->dst = a;
		insn->src = di;
		return true;
	default: /* SHAPE_SI_DI */
		insn->dst = si;
		insn->src = di;
		return true;
	}
}

/* The form of the opcode behind the prefixes, with d->modrm read where it has one. */
static enum insn_status take_form(struct decoder *d, const struct form **ret)
{
	const struct form *form = &map_one[d->opcode];

	if (d->opcode == 0x0f) {
		if (!take_byte(d, &d->opcode))
			return INSN_TRUNCATED;
		form = &map_0f[d->opcode];
		if (d->opcode == 0x38) {
			if (!take_byte(d, &d->opcode))
				return INSN_TRUNCATED;
			form = &map_0f38[d->opcode];
		}
	}
	if (form->shape == SHAPE_NONE)
		return INSN_UNSUPPORTED;
	if (form->shape < SHAPE_A_OFFS && !take_byte(d, &d->modrm))
		return INSN_TRUNCATED;
	if (form->shape == SHAPE_GROUP)
		form = &groups[form->op][d->modrm >> 3 & 7];
	*ret = form;
	return form->shape == SHAPE_NONE ? INSN_UNSUPPORTED : INSN_OK;
}

/* What the prefixes, the mode and the kind of operand forbid. */
static enum insn_status check_form(const struct decoder *d, const struct form *form)
{
	unsigned flags = form->flags, prefixes = d->prefixes;
	unsigned reps = prefixes & (INSN_REP | INSN_REPNE);
	bool reg = form->shape < SHAPE_A_OFFS && d->modrm >> 6 == 3;

	if (flags & (d->mode == INSN_MODE_64 ? F_NO64 : F_64))
		return d->mode == INSN_MODE_64 ? INSN_INVALID : INSN_UNSUPPORTED;
	if ((flags & F_NP && prefixes & INSN_OPSIZE) || (flags & (F_NP | F_NOREP) && reps))
		return INSN_UNSUPPORTED;
	if (reg && flags & F_MEM)
		return INSN_UNSUPPORTED;
	if (prefixes & INSN_LOCK && (reg || !(flags & F_LOCK)))
		return INSN_INVALID;
	return INSN_OK;
}

/* For a source that ran out: more would help, or the instruction is too long. */
static enum insn_status ran_out(const struct decoder *d)
{
	return d->end == INSN_MAX ? INSN_TOO_LONG : INSN_TRUNCATED;
}

enum insn_status insn_decode(const uint8_t *bytes, size_t n, enum insn_mode mode, struct insn *ret)
{
	struct decoder d = {.bytes = bytes,
		.end = n < INSN_MAX ? (unsigned)n : INSN_MAX,
		.mode = mode,
		.segment = SEG_DEFAULT};
	struct insn insn = {.mem = {.seg = VSEG_DS, .base = INSN_NO_REG, .index = INSN_NO_REG}};
	const struct form *form;
	enum insn_status status;

	if (!take_prefixes(&d))
		return ran_out(&d);
	status = take_form(&d, &form);
	if (status == INSN_OK)
		status = check_form(&d, form);
	if (status != INSN_OK)
		return status == INSN_TRUNCATED ? ran_out(&d) : status;

	insn.op = form->op;
	insn.cc = d.opcode & 0xf;
	insn.prefixes = d.prefixes;
	insn.size = (uint8_t)operand_size(&d, form->flags);
	insn.mem.address_size = (uint8_t)address_size(&d);
	if (form->shape < SHAPE_A_OFFS ? !take_operands(&d, form, &insn)
				       : !take_implicit(&d, form, &insn))
		return ran_out(&d);
	insn.length = (uint8_t)d.at;
	*ret = insn;
	return INSN_OK;
}

const char *insn_op_name(unsigned op)
{
	static const char *const names[] = {"none", "add", "or", "adc", "sbb", "and", "sub", "xor",
		"cmp", "test", "not", "neg", "inc", "dec", "rol", "ror", "rcl", "rcr", "shl", "shr",
		"sar", "shld", "shrd", "bt", "bts", "btr", "btc", "xadd", "xchg", "cmpxchg",
		"cmpxchg8b", "mov", "movnti", "movzx", "movsx", "movbe", "cmov", "setcc", "push",
		"pop", "movs", "stos", "lods", "scas", "cmps"};

	_Static_assert(array_size(names) == OP_COUNT, "one name for each operation");
	return op < OP_COUNT ? names[op] : "?";
}
