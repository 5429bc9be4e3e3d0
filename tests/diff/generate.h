/*
 * Random encodings of the instructions that the decoder claims to know, with register values that
 * make their memory operand land where the test wants it. Knows the encoding by itself: it shares
 * nothing with the decoder.
 */
#ifndef POSTERN_DIFF_GENERATE_H
#define POSTERN_DIFF_GENERATE_H

#include "core/vcpu.h"

/* What a form takes and is. */
#define FORM_BYTE   0x0001u
#define FORM_IMM8   0x0002u
#define FORM_IMMZ   0x0004u
#define FORM_LOCK   0x0008u /* LOCK is legal */
#define FORM_OFFS   0x0010u /* an absolute offset instead of ModRM */
#define FORM_SI	    0x0020u /* strings */
#define FORM_DI	    0x0040u
#define FORM_BITS   0x0080u /* the register is a bit number that moves the address */
#define FORM_STACK  0x0100u
#define FORM_NP	    0x0200u /* no 66, F2, F3 */
#define FORM_NOREP  0x0400u /* no F2, F3 */
#define FORM_64	    0x0800u
#define FORM_NO64   0x1000u
#define FORM_PAIR   0x2000u
#define FORM_MEMORY 0x4000u /* no register form */
#define FORM_VECTOR 0x8000u /* of SSE, and with VEX */
#define FORM_ALIGN  0x10000u
#define FORM_SHORT  0x20000u  /* vectors: no 256-bit form */
#define FORM_HALVES 0x40000u  /* vectors: VEX names another source */
#define FORM_DIRECT 0x80000u  /* the register is an address too: MOVDIR64B */
#define FORM_LINE   0x100000u /* prefetches and flushes */

struct form {
	uint8_t opcode[3], opcodes;
	int8_t extension; /* of ModRM.reg, or -1 */
	uint32_t flags;
	const char *name;
	uint8_t prefix; /* 66, F2 or F3 that makes the instruction what it is, or 0 */
};

extern const struct form forms[];
extern const unsigned form_count;

/* Where things are, as linear addresses; windows of GEN_WINDOW bytes. */
#define GEN_WINDOW 0x4000u
#define GEN_GS	   0x12340u /* base of GS outside of real mode, if gs is set */
struct layout {
	uint64_t dev, ram, code;
	bool gs;
};

struct sample {
	const struct form *form;
	unsigned bits; /* 16, 32 or 64 */
	uint8_t bytes[16];
	unsigned len;
	uint64_t target; /* linear address of the operand; of the device side of strings */
	bool memory;	 /* it has a memory operand */
	int base, index; /* registers of its address, or -1 */
	unsigned size;	 /* operand size */
	bool rep, repne, lock, address_size, stray_rex;
	bool vex, vex_256;
	uint64_t gpr[GPR_COUNT];
	uint16_t selector[6]; /* real mode: base is selector << 4 */
	bool si_is_dev;	      /* strings with two sides: which one is the device */
};

uint64_t rng_next(void);
void rng_seed(uint64_t seed);

/*
 * Makes a sample of a form. In 16 bits it is for real mode. With need_memory there is always a
 * memory operand, and the registers lead it into the device's window.
 */
void sample_make(struct sample *s, const struct form *form, unsigned bits,
	const struct layout *layout, bool need_memory);

#endif
