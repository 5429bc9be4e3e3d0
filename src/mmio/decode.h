/*
 * The instruction decoder: bytes and a CPU mode in, a description of the instruction out. Pure:
 * no globals but constant tables, no pointers into anything. Runs on the exit path.
 *
 * It knows the instructions with a memory operand that reach devices in practice, in 16-, 32- and
 * 64-bit code, with every form of ModRM, SIB, displacement and prefix. Anything else has a definite
 * answer too: see enum insn_status. It checks what the bytes alone decide (LOCK, illegal prefixes,
 * length), and nothing that depends on the CPU's state.
 */
#ifndef POSTERN_MMIO_DECODE_H
#define POSTERN_MMIO_DECODE_H

#include "base/types.h"
#include "core/vcpu.h"

/* Default sizes of the code segment: real mode and 16-bit code, 32-bit code, 64-bit code. */
enum insn_mode { INSN_MODE_16, INSN_MODE_32, INSN_MODE_64 };

enum insn_status {
	INSN_OK,
	INSN_UNSUPPORTED, /* may be an instruction, but not one of the table */
	INSN_INVALID,	  /* the CPU raises #UD */
	INSN_TRUNCATED,	  /* right so far, and more bytes are needed */
	INSN_TOO_LONG,	  /* over 15 bytes: the CPU raises #GP */
	INSN_DISPUTED,	  /* from decode_cached only: the second opinion is another one */
};

#define INSN_MAX    15u /* bytes */
/*
 * How far the decoder may read: 8 bytes from behind 15 bytes up to the opcode, two more of that, ModRM,
 * SIB and a displacement.
 */
#define INSN_WINDOW 32u

enum insn_op {
	OP_NONE,
	/* As ModRM.reg and bits 5:3 of the opcode number them. */
	OP_ADD,
	OP_OR,
	OP_ADC,
	OP_SBB,
	OP_AND,
	OP_SUB,
	OP_XOR,
	OP_CMP,
	OP_TEST,
	OP_NOT,
	OP_NEG,
	OP_INC,
	OP_DEC,
	OP_ROL,
	OP_ROR,
	OP_RCL,
	OP_RCR,
	OP_SHL,
	OP_SHR,
	OP_SAR,
	OP_SHLD,
	OP_SHRD,
	OP_BT,
	OP_BTS,
	OP_BTR,
	OP_BTC,
	OP_XADD,
	OP_XCHG,
	OP_CMPXCHG,
	OP_CMPXCHG8B, /* and 16B: size 16 */
	OP_MOV,
	OP_MOVNTI,
	OP_MOVZX,
	OP_MOVSX, /* and MOVSXD */
	OP_MOVBE,
	OP_CMOV,
	OP_SETCC,
	OP_PUSH,
	OP_POP,
	OP_MOVS,
	OP_STOS,
	OP_LODS,
	OP_SCAS,
	OP_CMPS,
	/* Between memory and a vector register. Of loads all but MOVL and MOVH zero what is above. */
	OP_MOVA,   /* whole register, the address must be aligned: MOVAPS, MOVDQA, MOVNTPS... */
	OP_MOVU,   /* whole register: MOVUPS, MOVDQU, LDDQU... */
	OP_MOVLOW, /* the low 4 or 8 bytes: MOVSS, MOVSD, MOVD, MOVQ */
	OP_MOVL,   /* bytes 7:0: MOVLPS, MOVLPD */
	OP_MOVH,   /* bytes 15:8: MOVHPS, MOVHPD */
	OP_MOVDIRI,
	OP_MOVDIR64B,
	OP_FLUSH,    /* CLFLUSH, CLFLUSHOPT, CLWB */
	OP_PREFETCH, /* any hint */
	OP_COUNT
};

/* "add", "movs"...; never NULL. */
const char *insn_op_name(unsigned op);

enum operand_kind {
	OPERAND_NONE,
	OPERAND_REG,	/* the low size bytes of a general register */
	OPERAND_HIGH,	/* AH, CH, DH, BH: byte 1 of reg, which is 0 to 3 */
	OPERAND_MEM,	/* at mem */
	OPERAND_SI,	/* string source: mem.seg and rSI */
	OPERAND_DI,	/* string destination: ES and rDI */
	OPERAND_ES,	/* at ES : reg, of the address size: MOVDIR64B's destination */
	OPERAND_VECTOR, /* XMM or YMM reg: size 16, or 32 */
	OPERAND_IMM, /* imm, sign-extended to 64 bits; a count or bit number is one byte as it is */
};

struct operand {
	uint8_t kind, reg;
	uint8_t size; /* in bytes */
};

#define INSN_NO_REG 0xffu
#define INSN_RIP    0x10u /* as base: the address of the next instruction */

/* seg : base + (index << shift) + disp, cut to address_size bytes before the segment is added. */
struct insn_mem {
	uint8_t seg; /* enum vcpu_seg */
	uint8_t base, index;
	uint8_t shift;
	uint8_t address_size; /* 2, 4 or 8; also of rSI, rDI and rCX of string instructions */
	uint64_t disp;	      /* sign-extended */
};

/* Prefixes that the instruction has, whether they mean something to it or not. */
#define INSN_LOCK     0x01u
#define INSN_REPNE    0x02u /* F2, unless a later F3 took its place */
#define INSN_REP      0x04u /* F3, likewise */
#define INSN_OPSIZE   0x08u /* 66 */
#define INSN_ADDRSIZE 0x10u /* 67 */
#define INSN_SEGMENT  0x20u
#define INSN_REX      0x40u /* one that counts: right before the opcode */
#define INSN_REX_W    0x80u

/*
 * dst is operand 1 of the manuals, src operand 2, third operand 3 (the count of SHLD and SHRD). But
 * MOVL and MOVH have in third the register that the other half of dst comes from, with VEX another one.
 * Implicit operands that op names are not listed: the stack of PUSH and POP, rAX of CMPXCHG,
 * rDX:rAX and rCX:rBX of CMPXCHG8B, rCX of repeated strings.
 */
struct insn {
	uint8_t op; /* enum insn_op */
	uint8_t length;
	uint8_t size; /* effective operand size in bytes; each operand has its own too */
	uint8_t cc;   /* condition of CMOV and SETCC, as encoded */
	uint8_t prefixes;
	bool vex; /* encoded with VEX: loads zero the register above their size */
	struct operand dst, src, third;
	struct insn_mem mem;
	uint64_t imm;
};

/*
 * Decodes the instruction that starts at bytes[0]; n is how many bytes there are, and those behind
 * the 15th are never looked at. *ret is filled only if the result is INSN_OK.
 */
enum insn_status insn_decode(
	const uint8_t *bytes, size_t n, enum insn_mode mode, struct insn *ret) must_check;

/*
 * The same without a copy, for whoever has the bytes in a window with zeros behind the n. *ret is
 * undefined unless the result is INSN_OK.
 */
enum insn_status insn_decode_window(const uint8_t window[INSN_WINDOW], size_t n,
	enum insn_mode mode, struct insn *ret) must_check;

#endif
