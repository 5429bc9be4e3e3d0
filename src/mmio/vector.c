/*
 * Moves between memory and vector registers; see emulate.h. The registers are the guest's own, live
 * in the CPU. State is the caller's. On the exit path.
 *
 * Which exceptions come before the access: SDM vol. 2A "Instruction Exception Specification"
 * (325462-084).
 */
#include "base/bits.h"
#include "base/error.h"
#include "base/mem.h"
#include "core/fpu.h"
#include "mmio/emulate.h"

#define XCR0_SSE_AVX 6u
#define VECTOR_MAX   32u /* bytes */
#define HALF	     8u

static bool is_protected(struct vcpu *v)
{
	return vcpu_get(v, VREG_CR0) & CR0_PE && !(vcpu_get(v, VREG_RFLAGS) & RFLAGS_VM);
}

static bool has_avx(struct vcpu *v)
{
	return is_protected(v) && vcpu_get(v, VREG_CR4) & CR4_OSXSAVE &&
	       (fpu_guest_xcr0(&v->fpu) & XCR0_SSE_AVX) == XCR0_SSE_AVX;
}

static bool has_sse(struct vcpu *v)
{
	return !(vcpu_get(v, VREG_CR0) & CR0_EM) && vcpu_get(v, VREG_CR4) & CR4_OSFXSR;
}

/* The CPU has checked all this before it exits; but the bytes are read again, and may be others. */
static int check_enabled(struct emulation *em)
{
	struct vcpu *v = &em->vm->vcpu;

	if (!(em->insn->vex ? has_avx(v) : has_sse(v))) {
		vcpu_raise(v, VECTOR_UD);
		return -E_FAULT;
	}
	if (vcpu_get(v, VREG_CR0) & CR0_TS) {
		vcpu_raise(v, VECTOR_NM);
		return -E_FAULT;
	}
	return 0;
}

static int run_vector_load(struct emulation *em)
{
	const struct insn *insn = em->insn;
	uint8_t value[VECTOR_MAX] = {0}, data[VECTOR_MAX];
	struct span s;
	int err = emulate_resolve(em, insn->size, GVA_READ, &s);

	if (!err)
		err = access_read(em, &s, data);
	if (err)
		return err;
	if (insn->third.kind == OPERAND_VECTOR)
		fpu_read_vector(insn->third.reg, insn->third.size, value);
	memcpy(value + (insn->op == OP_MOVH ? HALF : 0), data, insn->size);
	fpu_write_vector(insn->dst.reg, insn->dst.size, insn->vex, value);
	return 0;
}

static int run_vector_store(struct emulation *em)
{
	const struct insn *insn = em->insn;
	uint8_t value[VECTOR_MAX];
	struct span s;
	int err = emulate_resolve(em, insn->size, GVA_WRITE, &s);

	if (err)
		return err;
	fpu_read_vector(insn->src.reg, insn->src.size, value);
	return access_write(em, &s, value + (insn->op == OP_MOVH ? HALF : 0));
}

int emulate_vector(struct emulation *em)
{
	int err = check_enabled(em);

	if (err)
		return err;
	em->align = em->insn->op == OP_MOVA ? em->insn->size : 0;
	return em->insn->src.kind == OPERAND_MEM ? run_vector_load(em) : run_vector_store(em);
}
