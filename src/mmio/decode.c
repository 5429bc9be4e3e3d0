/*
 * The instruction decoder; see decode.h. No state; runs on the exit path.
 *
 * One form (4 bytes) per opcode says the operation, where the operands are encoded (the shape), and
 * what else the opcode fixes (flags). Opcodes that ModRM.reg extends lead to a group of eight.
 * Facts: SDM vol. 2A "Instruction Format", vol. 2D "Opcode Map" (325462-084).
 *
 * What varies from one instruction to the next is looked up or computed, not branched on, as far as
 * that is as readable: a branch that the CPU can't predict costs as much as all the rest. For the same
 * reason the bytes are taken from a wide number with zeros above them, and the end is only checked
 * afterwards.
 */
#include "mmio/decode.h"
#include "base/bits.h"
#include "base/mem.h"

/* Where the operands are encoded: destination first, as in the manuals. */
enum shape {
	SHAPE_NONE,   /* not an instruction of ours */
	SHAPE_GROUP,  /* op is the number of a group, ModRM.reg picks the form */
	SHAPE_VECTOR, /* op is the number of a vector group, 66, F3 and F2 or VEX.pp pick the form */
	SHAPE_R_RM,
	SHAPE_RM_R,
	SHAPE_RM,
	SHAPE_RM_IMM,
	SHAPE_RM_ONE,
	SHAPE_RM_CL,
	SHAPE_RM_R_IMM,
	SHAPE_RM_R_CL,
	SHAPE_ES_RM,  /* MOVDIR64B */
	SHAPE_XMM_RM, /* vectors: flags are those that begin with V_ */
	SHAPE_RM_XMM,
	SHAPE_A_OFFS, /* accumulator and an absolute offset: no ModRM */
	SHAPE_OFFS_A,
	SHAPE_DI_SI, /* strings: no ModRM */
	SHAPE_DI_A,
	SHAPE_A_SI,
	SHAPE_A_DI,
	SHAPE_SI_DI,
};

/* What else a form fixes. */
#define F_BYTE	 0x0001u /* operands of one byte, else 2, 4 or 8 by mode and prefixes */
#define F_SRC8	 0x0002u /* the source is narrower: MOVZX and its like */
#define F_SRC16	 0x0004u
#define F_SRC32	 0x0008u /* but 16 bits with a prefix 66, as the SDM says; AMD's CPUs read 32 */
#define F_IMM8	 0x0010u
#define F_IMMZ	 0x0020u /* 2 or 4 bytes: never 8 */
#define F_LOCK	 0x0040u /* LOCK is legal if the destination is memory */
#define F_MEM	 0x0080u /* another instruction, or none, if ModRM names a register */
#define F_NP	 0x0100u /* 66, F2 and F3 make it another instruction */
#define F_NOREP	 0x0200u /* F2 and F3 make it another instruction */
#define F_64	 0x0400u /* only in 64-bit mode */
#define F_NO64	 0x0800u /* only outside of it */
#define F_DEF64	 0x1000u /* 64 bits by default in 64-bit mode, and never 32 there */
#define F_DWORD	 0x2000u /* 4 bytes, or 8 with REX.W */
#define F_PAIR	 0x4000u /* 8 bytes, or 16 with REX.W */
#define F_COUNT	 0x8000u /* the immediate is a byte that is not extended: a count, a bit number */

/* Flags of vector forms: the bytes in memory, if not a whole register, and more. */
#define V_4	 0x0001u
#define V_8	 0x0002u
#define V_DWORD	 0x0004u /* 4, or 8 with W */
#define V_SHORT	 0x0008u /* VEX.L must be 0 */
#define V_HALVES 0x0010u /* VEX.vvvv names the register with the other half */

struct form {
	uint8_t op, shape;
	uint16_t flags;
};

_Static_assert(sizeof(struct form) == 4, "the tables are meant to stay in the cache");

/* clang-format off */
#define FORM(op, shape, fl)	{OP_##op, SHAPE_##shape, fl}
#define GROUP(n)		{n, SHAPE_GROUP, 0}
#define VECTOR(n)		{n, SHAPE_VECTOR, 0}
#define PAIR(at, op, shape, fl)                                                                    \
	[at] = FORM(op, shape, (fl) | F_BYTE), [(at) + 1] = FORM(op, shape, fl)
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

/* Vector groups: forms without prefix, with 66, F3, F2; loads (XMM_RM) and stores (RM_XMM). */
#define LOAD(op, fl)		FORM(op, XMM_RM, fl)
#define STORE(op, fl)		FORM(op, RM_XMM, fl)

enum vector_group {
	VECTOR_10, VECTOR_11, VECTOR_12, VECTOR_13, VECTOR_16, VECTOR_17, VECTOR_28, VECTOR_29,
	VECTOR_2B, VECTOR_6E, VECTOR_6F, VECTOR_7E, VECTOR_7F, VECTOR_D6, VECTOR_E7, VECTOR_F0,
	VECTOR_38_2A,
};

static const struct form vectors[][4] = {
	[VECTOR_10] = {LOAD(MOVU, 0), LOAD(MOVU, 0), LOAD(MOVLOW, V_4), LOAD(MOVLOW, V_8)},
	[VECTOR_11] = {STORE(MOVU, 0), STORE(MOVU, 0), STORE(MOVLOW, V_4), STORE(MOVLOW, V_8)},
	[VECTOR_12] = {LOAD(MOVL, V_8 | V_SHORT | V_HALVES), LOAD(MOVL, V_8 | V_SHORT | V_HALVES)},
	[VECTOR_13] = {STORE(MOVL, V_8 | V_SHORT), STORE(MOVL, V_8 | V_SHORT)},
	[VECTOR_16] = {LOAD(MOVH, V_8 | V_SHORT | V_HALVES), LOAD(MOVH, V_8 | V_SHORT | V_HALVES)},
	[VECTOR_17] = {STORE(MOVH, V_8 | V_SHORT), STORE(MOVH, V_8 | V_SHORT)},
	[VECTOR_28] = {LOAD(MOVA, 0), LOAD(MOVA, 0)},
	[VECTOR_29] = {STORE(MOVA, 0), STORE(MOVA, 0)},
	[VECTOR_2B] = {STORE(MOVA, 0), STORE(MOVA, 0)},
	[VECTOR_6E] = {[1] = LOAD(MOVLOW, V_DWORD | V_SHORT)},
	[VECTOR_6F] = {[1] = LOAD(MOVA, 0), LOAD(MOVU, 0)},
	[VECTOR_7E] = {[1] = STORE(MOVLOW, V_DWORD | V_SHORT), LOAD(MOVLOW, V_8 | V_SHORT)},
	[VECTOR_7F] = {[1] = STORE(MOVA, 0), STORE(MOVU, 0)},
	[VECTOR_D6] = {[1] = STORE(MOVLOW, V_8 | V_SHORT)},
	[VECTOR_E7] = {[1] = STORE(MOVA, 0)},
	[VECTOR_F0] = {[3] = LOAD(MOVU, 0)},
	[VECTOR_38_2A] = {[1] = LOAD(MOVA, 0)},
};

enum group {
	GROUP_80, GROUP_81, GROUP_82, GROUP_83, GROUP_8F, GROUP_C0, GROUP_C1, GROUP_C6, GROUP_C7,
	GROUP_D0, GROUP_D1, GROUP_D2, GROUP_D3, GROUP_F6, GROUP_F7, GROUP_FE, GROUP_FF, GROUP_0F0D,
	GROUP_0F18, GROUP_0FAE, GROUP_0FAE66, GROUP_0FBA, GROUP_0FC7,
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
	[GROUP_0F0D] = {EIGHT(0, PREFETCH, RM, F_MEM | F_BYTE)},
	[GROUP_0F18] = {
		FORM(PREFETCH, RM, F_MEM | F_BYTE), FORM(PREFETCH, RM, F_MEM | F_BYTE),
		FORM(PREFETCH, RM, F_MEM | F_BYTE), FORM(PREFETCH, RM, F_MEM | F_BYTE)},
	[GROUP_0FAE] = {[7] = FORM(FLUSH, RM, F_MEM | F_NP | F_BYTE)},
	/* With 66; nothing else of the group is left then. */
	[GROUP_0FAE66] = {
		[6] = FORM(FLUSH, RM, F_MEM | F_NOREP | F_BYTE),
		FORM(FLUSH, RM, F_MEM | F_NOREP | F_BYTE)},
	[GROUP_0FBA] = {
		[4] = FORM(BT, RM_IMM, F_COUNT), FORM(BTS, RM_IMM, F_COUNT | F_LOCK),
		FORM(BTR, RM_IMM, F_COUNT | F_LOCK), FORM(BTC, RM_IMM, F_COUNT | F_LOCK)},
	[GROUP_0FC7] = {[1] = FORM(CMPXCHG8B, RM, F_LOCK | F_MEM | F_PAIR)},
};
/* clang-format on */

/* One-byte opcodes, and those behind 0F. */
static const struct form maps[2][256] = {{
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
					 },
	{
		[0x0d] = GROUP(GROUP_0F0D),
		[0x10] = VECTOR(VECTOR_10),
		[0x11] = VECTOR(VECTOR_11),
		[0x12] = VECTOR(VECTOR_12),
		[0x13] = VECTOR(VECTOR_13),
		[0x16] = VECTOR(VECTOR_16),
		[0x17] = VECTOR(VECTOR_17),
		[0x18] = GROUP(GROUP_0F18),
		[0x28] = VECTOR(VECTOR_28),
		[0x29] = VECTOR(VECTOR_29),
		[0x2b] = VECTOR(VECTOR_2B),
		EIGHT(0x40, CMOV, R_RM, 0),
		EIGHT(0x48, CMOV, R_RM, 0),
		[0x6e] = VECTOR(VECTOR_6E),
		[0x6f] = VECTOR(VECTOR_6F),
		[0x7e] = VECTOR(VECTOR_7E),
		[0x7f] = VECTOR(VECTOR_7F),
		EIGHT(0x90, SETCC, RM, F_BYTE),
		EIGHT(0x98, SETCC, RM, F_BYTE),
		[0xa3] = FORM(BT, RM_R, 0),
		[0xa4] = FORM(SHLD, RM_R_IMM, F_COUNT),
		[0xa5] = FORM(SHLD, RM_R_CL, 0),
		[0xab] = FORM(BTS, RM_R, F_LOCK),
		[0xac] = FORM(SHRD, RM_R_IMM, F_COUNT),
		[0xad] = FORM(SHRD, RM_R_CL, 0),
		[0xae] = GROUP(GROUP_0FAE),
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
		[0xd6] = VECTOR(VECTOR_D6),
		[0xe7] = VECTOR(VECTOR_E7),
		[0xf0] = VECTOR(VECTOR_F0),
	}};

static const struct form map_0f38[256] = {
	[0x2a] = VECTOR(VECTOR_38_2A),
	[0xf0] = FORM(MOVBE, R_RM, F_MEM | F_NOREP),
	[0xf1] = FORM(MOVBE, RM_R, F_MEM | F_NOREP),
	[0xf8] = FORM(MOVDIR64B, ES_RM, F_MEM | F_NOREP),
	[0xf9] = FORM(MOVDIRI, RM_R, F_MEM | F_NP | F_DWORD),
};

/*
 * What the prefixes have said so far, in 16 bits: those of insn.prefixes, the segment in bits 10:8 if
 * bit 11 is set, and the low four bits of a REX that counts in bits 15:12. Each prefix clears some of
 * them and then sets some: of F2 and F3, and of segments, the last one counts, and any prefix undoes
 * a REX in front of it. In 64-bit mode ES, CS, SS and DS overrides are as if they weren't there.
 */
#define STATE_SEG_SHIFT 8
#define STATE_SEG_GIVEN 0x0800u
#define STATE_SEG	0x0f00u
#define STATE_REX_SHIFT 12
#define STATE_REX	(0xf000u | INSN_REX | INSN_REX_W)

#define PREFIX(clear, set)                                                                         \
	{                                                                                          \
		STATE_REX | (clear), set                                                           \
	}
#define SEGMENT(s) PREFIX(STATE_SEG, INSN_SEGMENT | STATE_SEG_GIVEN | (s) << STATE_SEG_SHIFT)
#define NO_SEGMENT PREFIX(0, INSN_SEGMENT)
#define REX(n)	   PREFIX(0, (n) << STATE_REX_SHIFT | INSN_REX | ((n)&REX_W ? INSN_REX_W : 0))
#define PREFIXES                                                                                   \
	[0x64] = SEGMENT(VSEG_FS), [0x65] = SEGMENT(VSEG_GS), [0x66] = PREFIX(0, INSN_OPSIZE),     \
	[0x67] = PREFIX(0, INSN_ADDRSIZE), [0xf0] = PREFIX(0, INSN_LOCK),                          \
	[0xf2] = PREFIX(INSN_REP, INSN_REPNE), [0xf3] = PREFIX(INSN_REPNE, INSN_REP)

#define REX_B 1u
#define REX_X 2u
#define REX_R 4u
#define REX_W 8u

/* All zero: not a prefix. */
struct prefix {
	uint16_t clear, set;
};

/* Outside of 64-bit mode, and in it. */
static const struct prefix prefix_of[2][256] = {
	{PREFIXES, [0x26] = SEGMENT(VSEG_ES), [0x2e] = SEGMENT(VSEG_CS), [0x36] = SEGMENT(VSEG_SS),
		[0x3e] = SEGMENT(VSEG_DS)},
	{PREFIXES, [0x26] = NO_SEGMENT, [0x2e] = NO_SEGMENT, [0x36] = NO_SEGMENT,
		[0x3e] = NO_SEGMENT, [0x40] = REX(0u), [0x41] = REX(1u), [0x42] = REX(2u),
		[0x43] = REX(3u), [0x44] = REX(4u), [0x45] = REX(5u), [0x46] = REX(6u),
		[0x47] = REX(7u), [0x48] = REX(8u), [0x49] = REX(9u), [0x4a] = REX(10u),
		[0x4b] = REX(11u), [0x4c] = REX(12u), [0x4d] = REX(13u), [0x4e] = REX(14u),
		[0x4f] = REX(15u)},
};

/* The bytes, how far they are read, and what the prefixes said. */
struct decoder {
	const uint8_t *bytes; /* INSN_WINDOW of them, zeros behind the end */
	unsigned at, end;
	enum insn_mode mode;
	unsigned prefixes; /* the state above */
	unsigned rex;
	uint8_t opcode;
	uint8_t modrm;
	bool vex, vex_256;
	uint8_t pp, vvvv; /* of VEX; vvvv not inverted any more */
};

/* b ? x : y by arithmetic, where the compiler would make a branch of it. */
static inline unsigned select(unsigned b, unsigned x, unsigned y)
{
	unsigned mask = 0u - (b != 0);

	return (x & mask) | (y & ~mask);
}

static inline uint8_t take_byte(struct decoder *d)
{
	return d->bytes[d->at++];
}

/* The little-endian number of size bytes (0 to 8) that follows, sign-extended. */
static inline uint64_t take_signed(struct decoder *d, unsigned size)
{
	unsigned unused = (64 - size * 8) & 63;
	uint64_t v;

	memcpy(&v, d->bytes + d->at, sizeof(v));
	d->at += size;
	v = (uint64_t)((int64_t)(v << unused) >> unused);
	return v & (0ull - (size != 0));
}

/* Reads the prefixes and the first opcode byte. False: there is none. */
static bool take_prefixes(struct decoder *d)
{
	const struct prefix *table = prefix_of[d->mode == INSN_MODE_64];
	unsigned state = 0;

	while (d->at < d->end) {
		uint8_t b = take_byte(d);

		if (!table[b].clear) {
			d->opcode = b;
			d->prefixes = state;
			d->rex = state >> STATE_REX_SHIFT;
			return true;
		}
		state = (state & ~(unsigned)table[b].clear) | table[b].set;
	}
	return false;
}

static unsigned address_size(const struct decoder *d)
{
	static const uint8_t sizes[][2] = {{2, 4}, {4, 2}, {8, 4}};

	return sizes[d->mode][(d->prefixes & INSN_ADDRSIZE) != 0];
}

static unsigned operand_size(const struct decoder *d, unsigned flags)
{
	/* By mode, REX.W and 66. */
	static const uint8_t sizes[][4] = {{2, 4}, {4, 2}, {4, 2, 8, 8}};
	unsigned other = (d->prefixes & INSN_OPSIZE) != 0, wide = (d->prefixes & INSN_REX_W) != 0;
	unsigned size = sizes[d->mode][wide * 2 + other];

	if (flags & (F_DWORD | F_PAIR | F_DEF64)) {
		if (flags & F_DWORD)
			return wide ? 8 : 4;
		if (flags & F_PAIR)
			return wide ? 16 : 8;
		return d->mode == INSN_MODE_64 && !other ? 8 : size;
	}
	return select(flags & F_BYTE, 1, size);
}

static unsigned override_or(const struct decoder *d, unsigned segment)
{
	return select(d->prefixes & STATE_SEG_GIVEN, d->prefixes >> STATE_SEG_SHIFT & 7, segment);
}

/* SDM vol. 2A table 2-1 "16-Bit Addressing Forms with the ModR/M Byte". */
static void take_mem16(struct decoder *d, struct insn_mem *mem)
{
	static const uint8_t base[8] = {
		GPR_RBX, GPR_RBX, GPR_RBP, GPR_RBP, GPR_RSI, GPR_RDI, GPR_RBP, GPR_RBX};
	static const uint8_t index[8] = {GPR_RSI, GPR_RDI, GPR_RSI, GPR_RDI, INSN_NO_REG,
		INSN_NO_REG, INSN_NO_REG, INSN_NO_REG};
	unsigned mod = d->modrm >> 6, rm = d->modrm & 7;

	if (!mod && rm == 6) {
		mem->disp = take_signed(d, 2);
		return;
	}
	mem->base = base[rm];
	mem->index = index[rm];
	if (mem->base == GPR_RBP)
		mem->seg = VSEG_SS;
	mem->disp = take_signed(d, mod);
}

/* SDM vol. 2A tables 2-2 and 2-3, and section "RIP-Relative Addressing". */
static void take_mem32(struct decoder *d, struct insn_mem *mem)
{
	static const uint8_t disp_sizes[4] = {0, 1, 4, 0};
	unsigned mod = d->modrm >> 6, rm = d->modrm & 7;
	bool has_sib = rm == GPR_RSP;
	unsigned sib = select(has_sib, d->bytes[d->at], GPR_RSP << 3 | rm);
	unsigned base = (sib & 7) | (d->rex & REX_B) << 3;
	unsigned index = (sib >> 3 & 7) | (d->rex & has_sib * REX_X) << 2;
	bool has_index = index != GPR_RSP, has_base = mod || (sib & 7) != GPR_RBP;
	unsigned no_base = select((d->mode == INSN_MODE_64) & !has_sib, INSN_RIP, INSN_NO_REG);

	d->at += has_sib;
	mem->index = (uint8_t)select(has_index, index, INSN_NO_REG);
	mem->shift = (uint8_t)(has_index ? sib >> 6 : 0);
	mem->base = (uint8_t)select(has_base, base, no_base);
	mem->seg = mem->base == GPR_RSP || mem->base == GPR_RBP ? VSEG_SS : VSEG_DS;
	mem->disp = take_signed(d, has_base ? disp_sizes[mod] : 4);
}

_Static_assert(OPERAND_HIGH == OPERAND_REG + 1, "reg_operand adds");

static inline void set_reg(
	const struct decoder *d, unsigned reg, unsigned size, struct operand *ret)
{
	unsigned high = (size == 1) & (reg >> 2 == 1) & !(d->prefixes & INSN_REX);

	ret->kind = (uint8_t)(OPERAND_REG + high);
	ret->reg = (uint8_t)(reg - high * GPR_RSP);
	ret->size = (uint8_t)size;
}

/* ModRM and what follows it; the operand that mod and rm name. */
static inline void take_rm(
	struct decoder *d, struct insn_mem *mem, unsigned size, struct operand *ret)
{
	if (d->modrm >> 6 == 3) {
		set_reg(d, (d->modrm & 7u) | (d->rex & REX_B) << 3, size, ret);
		return;
	}
	if (mem->address_size == 2)
		take_mem16(d, mem);
	else
		take_mem32(d, mem);
	mem->seg = (uint8_t)override_or(d, mem->seg);
	*ret = (struct operand){OPERAND_MEM, INSN_NO_REG, (uint8_t)size};
}

static struct operand take_imm(struct decoder *d, struct insn *insn, unsigned flags)
{
	bool count = flags & F_COUNT;
	unsigned size = flags & F_IMMZ ? (insn->size == 2 ? 2 : 4) : 1;

	insn->imm = take_signed(d, size) & (count ? 0xff : ~0ull);
	return (struct operand){OPERAND_IMM, INSN_NO_REG, count ? 1 : insn->size};
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

/* The operands of a form with ModRM. */
static void take_operands(struct decoder *d, const struct form *form, struct insn *insn)
{
	unsigned flags = form->flags, size = insn->size;
	bool load = form->shape == SHAPE_R_RM;
	struct operand *reg = load ? &insn->dst : &insn->src;
	struct operand *rm = load ? &insn->src : &insn->dst;

	set_reg(d, (d->modrm >> 3 & 7u) | (d->rex & REX_R) << 1, size, reg);
	take_rm(d, &insn->mem, load ? source_size(insn, flags) : size, rm);
	if (form->shape <= SHAPE_RM_R)
		return;
	switch (form->shape) {
	case SHAPE_RM_IMM:
		insn->src = take_imm(d, insn, flags);
		break;
	case SHAPE_RM_ONE:
		insn->src = (struct operand){OPERAND_IMM, INSN_NO_REG, 1};
		insn->imm = 1;
		break;
	case SHAPE_RM_CL:
		insn->src = count_cl();
		break;
	case SHAPE_RM_R_IMM:
		insn->third = take_imm(d, insn, flags);
		break;
	case SHAPE_RM_R_CL:
		insn->third = count_cl();
		break;
	case SHAPE_RM:
		insn->src = (struct operand){0};
		break;
	default: /* SHAPE_R_RM, SHAPE_RM_R */
		break;
	}
}

static uint8_t vector_size(const struct decoder *d, unsigned flags)
{
	if (flags & V_4)
		return 4;
	if (flags & V_8)
		return 8;
	if (flags & V_DWORD)
		return d->rex & REX_W ? 8 : 4;
	return d->vex_256 ? 32 : 16;
}

#define DIRECT_STORE 64u /* bytes */

/* The operands of a form with more than 8 bytes: vectors, and MOVDIR64B. */
static void take_wide(struct decoder *d, const struct form *form, struct insn *insn)
{
	bool load = form->shape != SHAPE_RM_XMM;
	uint8_t number = (uint8_t)((d->modrm >> 3 & 7u) | (d->rex & REX_R) << 1);
	struct operand *reg = load ? &insn->dst : &insn->src;

	if (form->shape == SHAPE_ES_RM) {
		insn->size = DIRECT_STORE;
		*reg = (struct operand){OPERAND_ES, number, DIRECT_STORE};
	} else {
		insn->size = vector_size(d, form->flags);
		insn->vex = d->vex;
		*reg = (struct operand){OPERAND_VECTOR, number, insn->size == 32 ? 32 : 16};
		if (form->flags & V_HALVES)
			insn->third = (struct operand){
				OPERAND_VECTOR, d->vex ? d->vvvv : number, 16};
	}
	take_rm(d, &insn->mem, insn->size, load ? &insn->src : &insn->dst);
}

/* The operands of a form without ModRM. */
static void take_implicit(struct decoder *d, const struct form *form, struct insn *insn)
{
	struct operand a = {OPERAND_REG, GPR_RAX, insn->size};
	struct operand mem = {OPERAND_MEM, INSN_NO_REG, insn->size};
	struct operand si = {OPERAND_SI, GPR_RSI, insn->size};
	struct operand di = {OPERAND_DI, GPR_RDI, insn->size};

	insn->mem.seg = (uint8_t)override_or(d, VSEG_DS);
	switch (form->shape) {
	case SHAPE_A_OFFS:
	case SHAPE_OFFS_A:
		insn->dst = form->shape == SHAPE_A_OFFS ? a : mem;
		insn->src = form->shape == SHAPE_A_OFFS ? mem : a;
		insn->mem.disp = take_signed(d, insn->mem.address_size);
		break;
	case SHAPE_DI_SI:
		insn->dst = di;
		insn->src = si;
		break;
	case SHAPE_DI_A:
		insn->dst = di;
		insn->src = a;
		break;
	case SHAPE_A_SI:
		insn->dst = a;
		insn->src = si;
		break;
	case SHAPE_A_DI:
		insn->dst = a;
		insn->src = di;
		break;
	default: /* SHAPE_SI_DI */
		insn->dst = si;
		insn->src = di;
		break;
	}
}

/* What isn't an instruction of ours. */
static const struct form none;

/*
 * VEX behind C4 or C5, and the opcode's entry. Outside of 64-bit mode these are LES and LDS, unless a
 * register follows. SDM vol. 2A "The VEX Prefix".
 */
static const struct form *take_vex(struct decoder *d)
{
	bool wide = d->mode == INSN_MODE_64, three = d->opcode == 0xc4;
	uint8_t first = take_byte(d), last = first, map = 1;
	const struct form *form;

	if (!wide && first < 0xc0)
		return &none;
	if (three) {
		map = first & 0x1f;
		last = take_byte(d);
	}
	d->opcode = take_byte(d);
	d->vex = true;
	d->vex_256 = last & 4;
	d->pp = last & 3;
	d->vvvv = ~last >> 3 & (wide ? 15 : 7);
	/* With two bytes R is alone, with three W is where R is with two. */
	d->rex = 0;
	if (wide)
		d->rex = (~first >> 5 & (three ? 7u : 4u)) | (three && last & 0x80 ? REX_W : 0);
	if (map != 1 && map != 2)
		return &none;
	form = map == 1 ? &maps[1][d->opcode] : &map_0f38[d->opcode];
	return form->shape == SHAPE_VECTOR ? form : &none;
}

/* Without VEX the prefixes do its work: F2 and F3, of which the last one counts, before 66. */
static unsigned mandatory_prefix(const struct decoder *d)
{
	if (d->vex)
		return d->pp;
	if (d->prefixes & INSN_REP)
		return 2;
	if (d->prefixes & INSN_REPNE)
		return 3;
	return d->prefixes & INSN_OPSIZE ? 1 : 0;
}

/* The form of the opcode behind the prefixes, with d->modrm read where it has one. */
static const struct form *take_form(struct decoder *d)
{
	bool two = d->opcode == 0x0f;
	const struct form *form;

	d->at += two;
	d->opcode = d->bytes[d->at - 1];
	form = &maps[two][d->opcode];
	if (two && d->opcode == 0x38) {
		d->opcode = take_byte(d);
		form = &map_0f38[d->opcode];
	} else if (!two && (d->opcode & 0xfe) == 0xc4) {
		form = take_vex(d);
	}
	if (form->shape != SHAPE_NONE && form->shape < SHAPE_A_OFFS)
		d->modrm = take_byte(d);
	if (form->shape == SHAPE_VECTOR)
		return &vectors[form->op][mandatory_prefix(d)];
	if (form->shape == SHAPE_GROUP) {
		unsigned group = form->op;

		if (group == GROUP_0FAE && d->prefixes & INSN_OPSIZE)
			group = GROUP_0FAE66;
		form = &groups[group][d->modrm >> 3 & 7];
	}
	return form;
}

static bool is_vector(const struct form *form)
{
	return form->shape == SHAPE_XMM_RM || form->shape == SHAPE_RM_XMM;
}

/* As check_form, for vectors: they have flags of their own. */
static enum insn_status check_vector(const struct decoder *d, unsigned flags)
{
	if (d->modrm >> 6 == 3)
		return INSN_UNSUPPORTED;
	if (d->prefixes & INSN_LOCK)
		return INSN_INVALID;
	if (!d->vex)
		return INSN_OK;
	if (d->prefixes & (INSN_REP | INSN_REPNE | INSN_OPSIZE | INSN_REX))
		return INSN_INVALID;
	if ((flags & V_SHORT && d->vex_256) || (!(flags & V_HALVES) && d->vvvv))
		return INSN_INVALID;
	return INSN_OK;
}

/* What the prefixes, the mode and the kind of operand forbid. */
static enum insn_status check_form(const struct decoder *d, const struct form *form)
{
	unsigned flags = form->flags, prefixes = d->prefixes;
	unsigned reps = prefixes & (INSN_REP | INSN_REPNE);
	bool reg = form->shape < SHAPE_A_OFFS && d->modrm >> 6 == 3;

	if (form->shape == SHAPE_NONE)
		return INSN_UNSUPPORTED;
	if (is_vector(form))
		return check_vector(d, flags);
	if (!(flags & (F_NO64 | F_64 | F_NP | F_NOREP | F_MEM) || prefixes & INSN_LOCK))
		return INSN_OK;
	if (flags & (d->mode == INSN_MODE_64 ? F_NO64 : F_64))
		return d->mode == INSN_MODE_64 ? INSN_INVALID : INSN_UNSUPPORTED;
	if ((flags & F_NP && prefixes & INSN_OPSIZE) || (flags & (F_NP | F_NOREP) && reps))
		return INSN_UNSUPPORTED;
	if (form->shape == SHAPE_ES_RM && !(prefixes & INSN_OPSIZE))
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

enum insn_status insn_decode_window(
	const uint8_t window[INSN_WINDOW], size_t n, enum insn_mode mode, struct insn *ret)
{
	struct decoder d = {
		.bytes = window, .end = n < INSN_MAX ? (unsigned)n : INSN_MAX, .mode = mode};
	const struct form *form;
	enum insn_status status;

	if (!take_prefixes(&d))
		return ran_out(&d);
	form = take_form(&d);
	if (d.at > d.end)
		return ran_out(&d);
	status = check_form(&d, form);
	if (status != INSN_OK)
		return status;

	*ret = (struct insn){.op = form->op,
		.size = (uint8_t)operand_size(&d, form->flags),
		.cc = d.opcode & 0xf,
		.prefixes = (uint8_t)d.prefixes,
		.mem = {VSEG_DS, INSN_NO_REG, INSN_NO_REG, 0, (uint8_t)address_size(&d), 0}};
	if (form->shape < SHAPE_ES_RM)
		take_operands(&d, form, ret);
	else if (form->shape < SHAPE_A_OFFS)
		take_wide(&d, form, ret);
	else
		take_implicit(&d, form, ret);
	if (d.at > d.end)
		return ran_out(&d);
	ret->length = (uint8_t)d.at;
	return INSN_OK;
}

enum insn_status insn_decode(const uint8_t *bytes, size_t n, enum insn_mode mode, struct insn *ret)
{
	uint8_t window[INSN_WINDOW] = {0};
	enum insn_status status;
	struct insn insn;

	n = min_u64(n, INSN_MAX);
	memcpy(window, bytes, n);
	status = insn_decode_window(window, n, mode, &insn);
	if (status == INSN_OK)
		*ret = insn;
	return status;
}

const char *insn_op_name(unsigned op)
{
	static const char *const names[] = {"none", "add", "or", "adc", "sbb", "and", "sub", "xor",
		"cmp", "test", "not", "neg", "inc", "dec", "rol", "ror", "rcl", "rcr", "shl", "shr",
		"sar", "shld", "shrd", "bt", "bts", "btr", "btc", "xadd", "xchg", "cmpxchg",
		"cmpxchg8b", "mov", "movnti", "movzx", "movsx", "movbe", "cmov", "setcc", "push",
		"pop", "movs", "stos", "lods", "scas", "cmps", "mova", "movu", "movlow", "movl",
		"movh", "movdiri", "movdir64b", "flush", "prefetch"};

	_Static_assert(array_size(names) == OP_COUNT, "one name for each operation");
	return op < OP_COUNT ? names[op] : "?";
}
