/*
 * String instructions, single and repeated; see emulate.h. State is the caller's. On the exit path.
 *
 * One exit does as many iterations as lie in the first one's pages, EMULATE_STRING_MAX at most, and
 * fewer if an interrupt comes up: then the registers are current, RIP stays, and the guest goes on
 * by itself, taking interrupts and faults in between just as it would without us.
 */
#include "base/bits.h"
#include "base/error.h"
#include "mmio/alu.h"
#include "mmio/emulate.h"

/* One side of a string: the operand of the current iteration. */
struct side {
	bool used;
	unsigned reg, seg;
	uint64_t offset;
	struct span span;
};

/* The instruction while it runs. */
struct string {
	struct side si, di;
	bool down;
	unsigned count; /* iterations that this exit may do */
	uint64_t flags, accumulator;
};

static uint64_t read_index(struct emulation *em, unsigned reg)
{
	return vcpu_read_gpr(&em->vm->vcpu, reg) & size_mask(em->insn->mem.address_size);
}

static void write_index(struct emulation *em, unsigned reg, uint64_t value)
{
	struct operand o = {OPERAND_REG, (uint8_t)reg, em->insn->mem.address_size};

	emulate_set_operand(em, &o, value);
}

static bool is_side(const struct insn *insn, unsigned kind)
{
	return insn->dst.kind == kind || insn->src.kind == kind;
}

static bool is_written(const struct insn *insn, unsigned kind)
{
	return (insn->op == OP_MOVS || insn->op == OP_STOS) && insn->dst.kind == kind;
}

static int resolve_side(struct emulation *em, struct string *str, struct side *side, unsigned kind)
{
	const struct insn *insn = em->insn;
	int err;

	side->used = is_side(insn, kind);
	if (!side->used)
		return 0;
	side->reg = kind == OPERAND_SI ? GPR_RSI : GPR_RDI;
	side->seg = kind == OPERAND_SI ? insn->mem.seg : VSEG_ES;
	side->offset = read_index(em, side->reg);
	err = access_resolve(em, side->seg, side->offset, insn->size,
		is_written(insn, kind) ? GVA_WRITE : GVA_READ, &side->span);
	if (!err)
		str->count = access_reach(
			em, &side->span, side->seg, side->offset, str->down, str->count);
	return err;
}

static int read_side(struct emulation *em, const struct side *side, uint64_t *ret)
{
	return access_read_value(em, &side->span, ret);
}

/* One iteration without its registers. */
static int iterate(struct emulation *em, struct string *str)
{
	const struct insn *insn = em->insn;
	uint64_t a = str->accumulator, b = 0;
	int err = 0;

	if (str->si.used)
		err = read_side(em, &str->si, &a);
	if (!err && str->di.used && !is_written(insn, OPERAND_DI))
		err = read_side(em, &str->di, &b);
	if (err)
		return err;
	switch (insn->op) {
	case OP_MOVS:
	case OP_STOS:
		return access_write_value(em, &str->di.span, a);
	case OP_LODS:
		str->accumulator = a;
		return 0;
	default: /* OP_SCAS, OP_CMPS */
		alu_run(OP_CMP, insn->size, a, b, &str->flags);
		return 0;
	}
}

/* Has the comparison ended the repetition? */
static bool is_satisfied(const struct insn *insn, uint64_t flags)
{
	if (insn->op != OP_SCAS && insn->op != OP_CMPS)
		return false;
	return insn->prefixes & INSN_REP ? !(flags & FLAG_ZF) : flags & FLAG_ZF;
}

static void step_side(struct emulation *em, const struct string *str, struct side *side)
{
	uint64_t size = em->insn->size;

	side->offset += str->down ? -size : size;
	span_step(&side->span, str->down);
}

static void commit_side(struct emulation *em, const struct side *side)
{
	if (side->used)
		write_index(em, side->reg, side->offset);
}

static void commit(struct emulation *em, const struct string *str, uint64_t old_flags)
{
	const struct operand a = {OPERAND_REG, GPR_RAX, em->insn->size};

	commit_side(em, &str->si);
	commit_side(em, &str->di);
	if (em->insn->op == OP_LODS)
		emulate_set_operand(em, &a, str->accumulator);
	emulate_set_flags(em, old_flags, str->flags);
}

static bool interrupt_waits(struct vm *vm)
{
	return vm->irqchip && vm->irqchip->pending(vm->irqchip_state);
}

static int resolve_string(struct emulation *em, struct string *str)
{
	int err = resolve_side(em, str, &str->si, OPERAND_SI);

	if (!err)
		err = resolve_side(em, str, &str->di, OPERAND_DI);
	if (!err && !em->matched)
		err = -E_DENIED;
	if (!err && str->count > 1) {
		if (str->si.used)
			access_settle(em, &str->si.span, str->down, str->count);
		if (str->di.used)
			access_settle(em, &str->di.span, str->down, str->count);
	}
	return err;
}

int emulate_string(struct emulation *em, bool *ret_again)
{
	const struct insn *insn = em->insn;
	const struct operand a = {OPERAND_REG, GPR_RAX, insn->size};
	uint64_t old_flags = vcpu_get(&em->vm->vcpu, VREG_RFLAGS);
	bool repeat = insn->prefixes & (INSN_REP | INSN_REPNE);
	uint64_t left = repeat ? read_index(em, GPR_RCX) : 1;
	struct string str = {.down = old_flags & RFLAGS_DF, .flags = old_flags};
	bool interruptible = repeat && vcpu_can_interrupt(&em->vm->vcpu), satisfied = false;
	unsigned done = 0;
	int err;

	if (!left)
		return 0;
	str.count = old_flags & RFLAGS_TF ? 1 : (unsigned)min_u64(left, EMULATE_STRING_MAX);
	str.accumulator = emulate_get_operand(em, &a);
	err = resolve_string(em, &str);
	while (!err && !satisfied && done < str.count) {
		if (done && interruptible && interrupt_waits(em->vm))
			break;
		err = iterate(em, &str);
		if (err)
			break;
		step_side(em, &str, &str.si);
		step_side(em, &str, &str.di);
		done++;
		satisfied = is_satisfied(insn, str.flags);
	}
	/* A fault in a later iteration leaves those before it done. */
	if (done) {
		commit(em, &str, old_flags);
		if (repeat)
			write_index(em, GPR_RCX, left - done);
	}
	*ret_again = repeat && !satisfied && done < left;
	return err;
}
