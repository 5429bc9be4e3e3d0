/*
 * Integer arithmetic as the CPU does it, flags included. Pure. On the exit path.
 *
 * Operands are size bytes (1, 2, 4, 8) with zeros above, and so are results. Flags that the manuals
 * leave undefined keep their old value, but for AF, PF, SF and ZF after logic operations.
 */
#ifndef POSTERN_MMIO_ALU_H
#define POSTERN_MMIO_ALU_H

#include "base/bits.h"
#include "mmio/decode.h"

#define FLAG_CF	    BIT(0)
#define FLAG_PF	    BIT(2)
#define FLAG_AF	    BIT(4)
#define FLAG_ZF	    BIT(6)
#define FLAG_SF	    BIT(7)
#define FLAG_OF	    BIT(11)
#define FLAGS_ARITH (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

/*
 * The result of one of OP_ADD to OP_BTC for dst and src, and in *flags what it does to RFLAGS.
 * Operations with one operand ignore src; CMP, TEST and BT return dst. Counts of shifts and
 * rotates, and bit numbers, are taken modulo what the CPU takes them.
 */
uint64_t alu_run(enum insn_op op, unsigned size, uint64_t dst, uint64_t src, uint64_t *flags);

/* SHLD and SHRD: the bits shifted in come from fill. */
uint64_t alu_shift_double(enum insn_op op, unsigned size, uint64_t dst, uint64_t fill,
	unsigned count, uint64_t *flags);

/* Does the condition of CMOVcc and SETcc, as encoded in the opcode's low bits, hold? */
bool alu_condition(unsigned cc, uint64_t flags);

#endif
