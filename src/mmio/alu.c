/*
 * Integer arithmetic; see alu.h. No state; on the exit path. The flags follow from the carries out
 * of each bit, as in SDM vol. 1 "EFLAGS Register" and the instructions' pages in vol. 2 (325462-084).
 */
#include "mmio/alu.h"

static uint64_t sign_bit(unsigned size)
{
	return BIT(size * 8 - 1);
}

/* SF, ZF and PF of a result. */
static uint64_t result_flags(uint64_t r, unsigned size)
{
	return (r & sign_bit(size) ? FLAG_SF : 0) | (r ? 0 : FLAG_ZF) |
	       (__builtin_parity((unsigned)r & 0xff) ? 0 : FLAG_PF);
}

static void set_flags(uint64_t *flags, uint64_t which, uint64_t value)
{
	*flags = (*flags & ~which) | (value & which);
}

static uint64_t add(unsigned size, uint64_t a, uint64_t b, uint64_t carry, uint64_t *flags)
{
	uint64_t r = (a + b + carry) & size_mask(size), top = sign_bit(size);
	uint64_t out = (a & b) | ((a | b) & ~r);

	set_flags(flags, FLAGS_ARITH,
		result_flags(r, size) | (out & top ? FLAG_CF : 0) | ((a ^ b ^ r) & FLAG_AF) |
			((a ^ r) & (b ^ r) & top ? FLAG_OF : 0));
	return r;
}

static uint64_t subtract(unsigned size, uint64_t a, uint64_t b, uint64_t borrow, uint64_t *flags)
{
	uint64_t r = (a - b - borrow) & size_mask(size), top = sign_bit(size);
	uint64_t out = (~a & b) | ((~a | b) & r);

	set_flags(flags, FLAGS_ARITH,
		result_flags(r, size) | (out & top ? FLAG_CF : 0) | ((a ^ b ^ r) & FLAG_AF) |
			((a ^ b) & (a ^ r) & top ? FLAG_OF : 0));
	return r;
}

static uint64_t logic(unsigned size, uint64_t r, uint64_t *flags)
{
	set_flags(flags, FLAGS_ARITH, result_flags(r, size));
	return r;
}

static uint64_t rotate_left(uint64_t v, unsigned n, unsigned size)
{
	unsigned bits = size * 8;

	n %= bits;
	return n ? ((v << n) | (v >> (bits - n))) & size_mask(size) : v;
}

/* ROL and ROR: only CF and OF change, and not for a count of 0; a full turn does change them. */
static uint64_t rotate(enum insn_op op, unsigned size, uint64_t v, unsigned count, uint64_t *flags)
{
	unsigned bits = size * 8;
	uint64_t r, top, cf;

	if (!count)
		return v;
	r = rotate_left(v, op == OP_ROL ? count : bits - count % bits, size);
	top = r >> (bits - 1) & 1;
	if (op == OP_ROL) {
		cf = r & 1;
		set_flags(flags, FLAG_CF | FLAG_OF, cf | (top ^ cf ? FLAG_OF : 0));
	} else {
		cf = top;
		set_flags(
			flags, FLAG_CF | FLAG_OF, cf | (top ^ (r >> (bits - 2) & 1) ? FLAG_OF : 0));
	}
	return r;
}

/* RCL and RCR rotate through CF, bit by bit: the count is below 64. */
static uint64_t rotate_carry(
	enum insn_op op, unsigned size, uint64_t v, unsigned count, uint64_t *flags)
{
	unsigned top = size * 8 - 1;
	uint64_t cf = *flags & FLAG_CF, of;

	if (!count)
		return v;
	count %= size * 8 + 1;
	for (unsigned i = 0; i < count; i++) {
		uint64_t out = op == OP_RCL ? v >> top & 1 : v & 1;

		v = op == OP_RCL ? (v << 1 | cf) & size_mask(size) : v >> 1 | cf << top;
		cf = out;
	}
	of = op == OP_RCL ? (v >> top & 1) ^ cf : (v >> top & 1) ^ (v >> (top - 1) & 1);
	set_flags(flags, FLAG_CF | FLAG_OF, cf | (of ? FLAG_OF : 0));
	return v;
}

static uint64_t shift_left(unsigned size, uint64_t v, unsigned count, uint64_t *flags)
{
	unsigned bits = size * 8;
	uint64_t r, cf;

	if (!count)
		return v;
	r = (v << count) & size_mask(size);
	cf = count > bits ? 0 : v >> (bits - count) & 1;
	set_flags(flags, FLAGS_ARITH & ~FLAG_AF,
		result_flags(r, size) | cf | ((r >> (bits - 1) & 1) != cf ? FLAG_OF : 0));
	return r;
}

static uint64_t shift_right(unsigned size, uint64_t v, unsigned count, uint64_t *flags)
{
	uint64_t r, of;

	if (!count)
		return v;
	r = v >> count;
	of = (r ^ r << 1) & sign_bit(size);
	set_flags(flags, FLAGS_ARITH & ~FLAG_AF,
		result_flags(r, size) | (v >> (count - 1) & 1) | (of ? FLAG_OF : 0));
	return r;
}

static uint64_t shift_arithmetic(unsigned size, uint64_t v, unsigned count, uint64_t *flags)
{
	unsigned unused = 64 - size * 8;
	int64_t wide = (int64_t)(v << unused) >> unused;
	uint64_t r;

	if (!count)
		return v;
	r = (uint64_t)(wide >> count) & size_mask(size);
	set_flags(flags, FLAGS_ARITH & ~FLAG_AF,
		result_flags(r, size) | ((uint64_t)(wide >> (count - 1)) & 1));
	return r;
}

uint64_t alu_shift_double(enum insn_op op, unsigned size, uint64_t dst, uint64_t fill,
	unsigned count, uint64_t *flags)
{
	unsigned bits = size * 8;
	uint64_t r, cf;

	count &= size == 8 ? 63 : 31;
	if (!count)
		return dst;
	/* Undefined beyond 16 bits; processors go on with the operand's own bits. */
	if (count > bits) {
		count -= bits;
		r = dst;
		dst = fill;
		fill = r;
	}
	if (op == OP_SHLD) {
		r = (dst << count | (count == bits ? fill : fill >> (bits - count))) &
		    size_mask(size);
		cf = dst >> (bits - count) & 1;
	} else {
		r = (dst >> count | fill << (bits - count)) & size_mask(size);
		cf = dst >> (count - 1) & 1;
	}
	set_flags(flags, FLAGS_ARITH & ~FLAG_AF,
		result_flags(r, size) | cf | ((r ^ dst) & sign_bit(size) ? FLAG_OF : 0));
	return r;
}

static uint64_t bit(enum insn_op op, unsigned size, uint64_t v, uint64_t number, uint64_t *flags)
{
	uint64_t mask = BIT(number & (size * 8 - 1));

	set_flags(flags, FLAG_CF, v & mask ? FLAG_CF : 0);
	switch (op) {
	case OP_BTS:
		return v | mask;
	case OP_BTR:
		return v & ~mask;
	case OP_BTC:
		return v ^ mask;
	default: /* OP_BT */
		return v;
	}
}

/* INC and DEC leave CF alone. */
static uint64_t step(enum insn_op op, unsigned size, uint64_t v, uint64_t *flags)
{
	uint64_t cf = *flags & FLAG_CF;
	uint64_t r = op == OP_INC ? add(size, v, 1, 0, flags) : subtract(size, v, 1, 0, flags);

	set_flags(flags, FLAG_CF, cf);
	return r;
}

uint64_t alu_run(enum insn_op op, unsigned size, uint64_t dst, uint64_t src, uint64_t *flags)
{
	unsigned count = src & (size == 8 ? 63 : 31);

	switch (op) {
	case OP_ADD:
		return add(size, dst, src, 0, flags);
	case OP_OR:
		return logic(size, dst | src, flags);
	case OP_ADC:
		return add(size, dst, src, *flags & FLAG_CF, flags);
	case OP_SBB:
		return subtract(size, dst, src, *flags & FLAG_CF, flags);
	case OP_AND:
		return logic(size, dst & src, flags);
	case OP_SUB:
		return subtract(size, dst, src, 0, flags);
	case OP_XOR:
		return logic(size, dst ^ src, flags);
	case OP_CMP:
		subtract(size, dst, src, 0, flags);
		return dst;
	case OP_TEST:
		logic(size, dst & src, flags);
		return dst;
	case OP_NOT:
		return ~dst & size_mask(size);
	case OP_NEG:
		return subtract(size, 0, dst, 0, flags);
	case OP_INC:
	case OP_DEC:
		return step(op, size, dst, flags);
	case OP_ROL:
	case OP_ROR:
		return rotate(op, size, dst, count, flags);
	case OP_RCL:
	case OP_RCR:
		return rotate_carry(op, size, dst, count, flags);
	case OP_SHL:
		return shift_left(size, dst, count, flags);
	case OP_SHR:
		return shift_right(size, dst, count, flags);
	case OP_SAR:
		return shift_arithmetic(size, dst, count, flags);
	case OP_BT:
	case OP_BTS:
	case OP_BTR:
	case OP_BTC:
		return bit(op, size, dst, src, flags);
	default:
		return dst;
	}
}

/* SDM vol. 1 appendix B "EFLAGS Condition Codes". */
bool alu_condition(unsigned cc, uint64_t flags)
{
	bool sign = !(flags & FLAG_SF) != !(flags & FLAG_OF), holds;

	switch (cc >> 1 & 7) {
	case 0:
		holds = flags & FLAG_OF;
		break;
	case 1:
		holds = flags & FLAG_CF;
		break;
	case 2:
		holds = flags & FLAG_ZF;
		break;
	case 3:
		holds = flags & (FLAG_CF | FLAG_ZF);
		break;
	case 4:
		holds = flags & FLAG_SF;
		break;
	case 5:
		holds = flags & FLAG_PF;
		break;
	case 6:
		holds = sign;
		break;
	default:
		holds = sign || flags & FLAG_ZF;
		break;
	}
	return holds != (cc & 1);
}
