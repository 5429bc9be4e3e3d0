/*
 * The emulator; see emulate.h. State is the caller's. On the exit path.
 *
 * Every instruction follows one pattern, so that an exception leaves all registers as they were:
 * translate the operands, hold them against the exit, read, compute, write, and only then change
 * registers and flags. LOCK needs nothing: there is one virtual CPU, and it isn't running.
 */
#include "mmio/emulate.h"
#include "base/bits.h"
#include "base/error.h"
#include "mmio/alu.h"

uint64_t emulate_get_operand(struct emulation *em, const struct operand *o)
{
	switch (o->kind) {
	case OPERAND_REG:
		return vcpu_read_gpr(&em->vm->vcpu, o->reg) & size_mask(o->size);
	case OPERAND_HIGH:
		return vcpu_read_gpr(&em->vm->vcpu, o->reg) >> 8 & 0xff;
	default: /* OPERAND_IMM */
		return em->insn->imm & size_mask(o->size);
	}
}

void emulate_set_operand(struct emulation *em, const struct operand *o, uint64_t value)
{
	struct vcpu *v = &em->vm->vcpu;

	if (o->kind == OPERAND_HIGH)
		value = bytes_merge(vcpu_read_gpr(v, o->reg), value, 1, 1);
	else if (o->size < 4)
		value = bytes_merge(vcpu_read_gpr(v, o->reg), value, 0, o->size);
	else
		value &= size_mask(o->size);
	vcpu_write_gpr(v, o->reg, value);
}

void emulate_set_flags(struct emulation *em, uint64_t old, uint64_t flags)
{
	if (flags != old)
		vcpu_set(&em->vm->vcpu, VREG_RFLAGS, flags);
}

int emulate_resolve(struct emulation *em, unsigned size, enum gva_access access, struct span *ret)
{
	uint64_t offset = access_offset(em);
	int err = access_resolve(em, em->insn->mem.seg, offset, size, access, ret);

	return err ? err : em->matched ? 0 : -E_DENIED;
}

static uint64_t sign_extend(uint64_t v, unsigned size)
{
	unsigned unused = 64 - size * 8;

	return (uint64_t)((int64_t)(v << unused) >> unused);
}

static uint64_t swap_bytes(uint64_t v, unsigned size)
{
	return __builtin_bswap64(v) >> (64 - size * 8);
}

/* Instructions that read memory into a register. */
static int run_load(struct emulation *em)
{
	const struct insn *insn = em->insn;
	uint64_t value, flags;
	struct span s;
	int err = emulate_resolve(em, insn->src.size, GVA_READ, &s);

	if (!err)
		err = access_read_value(em, &s, &value);
	if (err)
		return err;
	switch (insn->op) {
	case OP_MOV:
	case OP_MOVZX:
		break;
	case OP_MOVSX:
		value = sign_extend(value, insn->src.size);
		break;
	case OP_MOVBE:
		value = swap_bytes(value, insn->src.size);
		break;
	case OP_CMOV:
		/* A condition that doesn't hold still clears the upper half in 64-bit mode. */
		if (!alu_condition(insn->cc, vcpu_get(&em->vm->vcpu, VREG_RFLAGS)))
			value = emulate_get_operand(em, &insn->dst);
		break;
	default:
		flags = vcpu_get(&em->vm->vcpu, VREG_RFLAGS);
		value = alu_run((enum insn_op)insn->op, insn->size,
			emulate_get_operand(em, &insn->dst), value, &flags);
		if (insn->op != OP_CMP)
			emulate_set_operand(em, &insn->dst, value);
		vcpu_set(&em->vm->vcpu, VREG_RFLAGS, flags);
		return 0;
	}
	emulate_set_operand(em, &insn->dst, value);
	return 0;
}

/* Instructions that write memory without having read it. */
static int run_store(struct emulation *em)
{
	const struct insn *insn = em->insn;
	struct span s;
	uint64_t value;
	int err = emulate_resolve(em, insn->dst.size, GVA_WRITE, &s);

	if (err)
		return err;
	if (insn->op == OP_SETCC)
		value = alu_condition(insn->cc, vcpu_get(&em->vm->vcpu, VREG_RFLAGS));
	else
		value = emulate_get_operand(em, &insn->src);
	if (insn->op == OP_MOVBE)
		value = swap_bytes(value, insn->size);
	return access_write_value(em, &s, value);
}

/* CMP, TEST and BT of memory. */
static int run_compare(struct emulation *em, const struct span *s, uint64_t src)
{
	uint64_t old = vcpu_get(&em->vm->vcpu, VREG_RFLAGS), flags = old, value;
	int err = access_read_value(em, s, &value);

	if (err)
		return err;
	alu_run((enum insn_op)em->insn->op, em->insn->size, value, src, &flags);
	emulate_set_flags(em, old, flags);
	return 0;
}

/* The accumulator gets the old value if they differ; the operand is written in both cases. */
static uint64_t compare_exchange(struct emulation *em, uint64_t old, uint64_t src, uint64_t *flags,
	struct operand *ret_reg, uint64_t *ret_value)
{
	const struct operand a = {OPERAND_REG, GPR_RAX, em->insn->size};

	alu_run(OP_CMP, em->insn->size, emulate_get_operand(em, &a), old, flags);
	if (*flags & FLAG_ZF)
		return src;
	*ret_reg = a;
	*ret_value = old;
	return old;
}

/* Instructions that read memory, compute, and write it back. */
static int run_update(struct emulation *em, const struct span *s, uint64_t src)
{
	const struct insn *insn = em->insn;
	enum insn_op op = (enum insn_op)insn->op;
	uint64_t before = vcpu_get(&em->vm->vcpu, VREG_RFLAGS), flags = before;
	struct operand reg = {.kind = OPERAND_NONE};
	uint64_t old, new, reg_value = 0;
	int err = access_read_value(em, s, &old);

	if (err)
		return err;
	switch (op) {
	case OP_XCHG:
	case OP_XADD:
		new = op == OP_XCHG ? src : alu_run(OP_ADD, insn->size, old, src, &flags);
		reg = insn->src;
		reg_value = old;
		break;
	case OP_CMPXCHG:
		new = compare_exchange(em, old, src, &flags, &reg, &reg_value);
		break;
	case OP_SHLD:
	case OP_SHRD:
		new = alu_shift_double(op, insn->size, old, src,
			(unsigned)emulate_get_operand(em, &insn->third), &flags);
		break;
	default:
		new = alu_run(op, insn->size, old, src, &flags);
		break;
	}
	err = access_write_value(em, s, new);
	if (err)
		return err;
	if (reg.kind != OPERAND_NONE)
		emulate_set_operand(em, &reg, reg_value);
	emulate_set_flags(em, before, flags);
	return 0;
}

/*
 * A bit number in a register reaches beyond the operand: it is signed, and moves the address.
 * SDM vol. 1 "Bit Strings" and vol. 2A "BT".
 */
static uint64_t bit_string_offset(struct emulation *em, uint64_t number)
{
	unsigned size = em->insn->size;
	int64_t bits = (int64_t)sign_extend(number, size);

	return (uint64_t)((bits >> __builtin_ctz(size * 8)) * (int)size);
}

/* Instructions whose destination is memory that they read first. */
static int run_modify(struct emulation *em)
{
	const struct insn *insn = em->insn;
	bool only_reads = insn->op == OP_CMP || insn->op == OP_TEST || insn->op == OP_BT;
	uint64_t offset = access_offset(em);
	uint64_t src = 0;
	struct span s;
	int err;

	if (insn->src.kind != OPERAND_NONE)
		src = emulate_get_operand(em, &insn->src);
	if (insn->op >= OP_BT && insn->op <= OP_BTC && insn->src.kind == OPERAND_REG)
		offset = (offset + bit_string_offset(em, src)) & size_mask(insn->mem.address_size);
	err = access_resolve(
		em, insn->mem.seg, offset, insn->dst.size, only_reads ? GVA_READ : GVA_WRITE, &s);
	if (err)
		return err;
	if (!em->matched)
		return -E_DENIED;
	return only_reads ? run_compare(em, &s, src) : run_update(em, &s, src);
}

static void set_pair(struct emulation *em, unsigned low, unsigned high, const uint64_t half[2])
{
	uint8_t size = em->insn->size / 2;

	emulate_set_operand(em, &(struct operand){OPERAND_REG, (uint8_t)low, size}, half[0]);
	emulate_set_operand(em, &(struct operand){OPERAND_REG, (uint8_t)high, size}, half[1]);
}

/* CMPXCHG8B and CMPXCHG16B. */
static int run_exchange_pair(struct emulation *em)
{
	struct vcpu *v = &em->vm->vcpu;
	uint64_t flags = vcpu_get(v, VREG_RFLAGS), mask = size_mask(em->insn->size / 2);
	uint64_t old[2] = {0}, new[2] = {v->gpr[GPR_RBX] & mask, v->gpr[GPR_RCX] & mask};
	unsigned size = em->insn->size, high_bits = size * 4;
	struct span s;
	bool equal;
	int err;

	em->align = size == 16 ? 16 : 0;
	err = emulate_resolve(em, size, GVA_WRITE, &s);
	if (!err)
		err = access_read(em, &s, old);
	if (err)
		return err;
	if (size == 8) {
		old[1] = old[0] >> high_bits;
		old[0] &= mask;
	}
	equal = old[0] == (v->gpr[GPR_RAX] & mask) && old[1] == (v->gpr[GPR_RDX] & mask);
	if (!equal) {
		new[0] = old[0];
		new[1] = old[1];
	}
	if (size == 8)
		new[0] |= new[1] << high_bits;
	err = access_write(em, &s, new);
	if (err)
		return err;
	if (!equal)
		set_pair(em, GPR_RAX, GPR_RDX, old);
	emulate_set_flags(em, flags, equal ? flags | FLAG_ZF : flags & ~FLAG_ZF);
	return 0;
}

/* 64 bytes to an aligned address in ES; the manuals call it one store, but no bus of ours has that. */
static int run_direct_store(struct emulation *em)
{
	const struct insn *insn = em->insn;
	uint64_t mask = size_mask(insn->mem.address_size);
	uint64_t offset = vcpu_read_gpr(&em->vm->vcpu, insn->dst.reg) & mask;
	uint8_t data[SPAN_MAX];
	struct span from, to;
	int err;

	em->align = insn->size;
	err = access_resolve(em, VSEG_ES, offset, insn->size, GVA_WRITE, &to);
	em->align = 0;
	if (!err)
		err = access_resolve(
			em, insn->mem.seg, access_offset(em), insn->size, GVA_READ, &from);
	if (!err && !em->matched)
		err = -E_DENIED;
	if (!err)
		err = access_read(em, &from, data);
	return err ? err : access_write(em, &to, data);
}

/* Memory of devices isn't cached by us: nothing to do, but for the permissions of a read. */
static int run_flush(struct emulation *em)
{
	struct span s;

	return emulate_resolve(em, 1, GVA_READ, &s);
}

/* Bytes of the stack pointer: by the mode, or the size of the stack segment. */
static unsigned stack_size(struct emulation *em)
{
	struct vcpu_segment ss;

	if (em->mode == INSN_MODE_64)
		return 8;
	em->vm->vcpu.ops->get_seg(&em->vm->vcpu, VSEG_SS, &ss);
	return ss.attributes & SEG_DB ? 4 : 2;
}

static void set_stack_pointer(struct emulation *em, uint64_t value, unsigned stack)
{
	emulate_set_operand(em, &(struct operand){OPERAND_REG, GPR_RSP, (uint8_t)stack}, value);
}

static int run_push(struct emulation *em)
{
	unsigned size = em->insn->size, stack = stack_size(em);
	uint64_t sp = (vcpu_read_gpr(&em->vm->vcpu, GPR_RSP) - size) & size_mask(stack), value;
	struct span from, to;
	int err = access_resolve(em, em->insn->mem.seg, access_offset(em), size, GVA_READ, &from);

	if (!err)
		err = access_resolve(em, VSEG_SS, sp, size, GVA_WRITE, &to);
	if (!err && !em->matched)
		err = -E_DENIED;
	if (!err)
		err = access_read_value(em, &from, &value);
	if (!err)
		err = access_write_value(em, &to, value);
	if (!err)
		set_stack_pointer(em, sp, stack);
	return err;
}

/* The address of the operand is computed with the stack pointer after the pop. */
static int run_pop(struct emulation *em)
{
	unsigned size = em->insn->size, stack = stack_size(em);
	uint64_t sp = vcpu_read_gpr(&em->vm->vcpu, GPR_RSP) & size_mask(stack), value;
	struct span from, to;
	int err = access_resolve(em, VSEG_SS, sp, size, GVA_READ, &from);

	em->sp_add = size;
	if (!err)
		err = access_resolve(
			em, em->insn->mem.seg, access_offset(em), size, GVA_WRITE, &to);
	if (!err && !em->matched)
		err = -E_DENIED;
	if (!err)
		err = access_read_value(em, &from, &value);
	if (!err)
		err = access_write_value(em, &to, value);
	if (!err)
		set_stack_pointer(em, sp + size, stack);
	return err;
}

static int run(struct emulation *em, bool *ret_again)
{
	const struct insn *insn = em->insn;

	if (insn->op >= OP_MOVS && insn->op <= OP_CMPS)
		return emulate_string(em, ret_again);
	if (insn->op >= OP_MOVA && insn->op <= OP_MOVH)
		return emulate_vector(em);
	if (insn->op == OP_MOVDIR64B)
		return run_direct_store(em);
	if (insn->src.kind == OPERAND_MEM)
		return run_load(em);
	if (insn->dst.kind != OPERAND_MEM)
		return -E_DENIED;
	switch (insn->op) {
	case OP_MOV:
	case OP_MOVNTI:
	case OP_MOVDIRI:
	case OP_MOVBE:
	case OP_SETCC:
		return run_store(em);
	case OP_FLUSH:
		return run_flush(em);
	case OP_PREFETCH:
		return 0; /* a hint, which never faults */
	case OP_CMPXCHG8B:
		return run_exchange_pair(em);
	case OP_PUSH:
		return run_push(em);
	case OP_POP:
		return run_pop(em);
	default:
		return run_modify(em);
	}
}

enum emulate_result emulate_run(struct emulation *em)
{
	bool again = false;
	int err = run(em, &again);

	if (!err)
		return again ? EMULATE_AGAIN : EMULATE_DONE;
	return err == -E_FAULT ? EMULATE_RAISED : EMULATE_REFUSED;
}
