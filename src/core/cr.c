/*
 * Intercepted writes of control registers: checked as the CPU would, then handed to the back end,
 * which adds what virtualization fixes. SDM vol. 3A "Control Registers". On the exit path.
 */
#include "core/cr.h"
#include "base/bits.h"
#include "core/cpuid.h"
#include "core/vm.h"

#define CR0_VALID                                                                                  \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | BIT(18) | CR0_NW |         \
		CR0_CD | CR0_PG)

/* CR4 bits that need no feature beyond those of every 64-bit CPU: VME to MCE, PGE, OSFXSR, OSXMMEXCPT. */
#define CR4_COMMON   (BITS(7, 0) | BIT(9) | BIT(10))
#define CR4_FSGSBASE BIT(16)

static uint64_t cr4_valid(const struct vm *vm)
{
	uint32_t leaf7 = vm->cpuid.basic[7].ebx;
	uint64_t valid = CR4_COMMON;

	if (vm->cpuid.basic[1].ecx & BIT(26))
		valid |= CR4_OSXSAVE;
	if (leaf7 & BIT(0))
		valid |= CR4_FSGSBASE;
	if (leaf7 & BIT(7))
		valid |= CR4_SMEP;
	if (leaf7 & BIT(20))
		valid |= CR4_SMAP;
	return valid;
}

#define TYPE_TSS16_BUSY 3u

/*
 * 64-bit code can't turn long mode on or off under its own feet, and long mode knows no 16-bit TSS;
 * an entry with such a state would be refused. SDM vol. 3A "Initializing IA-32e Mode".
 */
static bool may_switch_long_mode(struct vcpu *v, bool on)
{
	struct vcpu_segment cs, tr;

	v->ops->get_seg(v, VSEG_CS, &cs);
	v->ops->get_seg(v, VSEG_TR, &tr);
	return !(cs.attributes & SEG_L) && !(on && (tr.attributes & SEG_TYPE) == TYPE_TSS16_BUSY);
}

static bool write_cr0(struct vcpu *v, uint64_t value)
{
	uint64_t old = vcpu_get(v, VREG_CR0), efer = vcpu_get(v, VREG_EFER);
	bool pg = value & CR0_PG;

	value |= CR0_ET;
	if ((value & ~CR0_VALID) || (pg && !(value & CR0_PE)) ||
		((value & CR0_NW) && !(value & CR0_CD)))
		return false;
	if (pg && !(old & CR0_PG) && (efer & EFER_LME)) {
		if (!(vcpu_get(v, VREG_CR4) & CR4_PAE) || !may_switch_long_mode(v, true))
			return false;
		vcpu_set(v, VREG_EFER, efer | EFER_LMA);
	} else if (!pg && (efer & EFER_LMA)) {
		if (!may_switch_long_mode(v, false))
			return false;
		vcpu_set(v, VREG_EFER, efer & ~EFER_LMA);
	}
	vcpu_set(v, VREG_CR0, value);
	return true;
}

static bool write_cr4(struct vm *vm, uint64_t value)
{
	struct vcpu *v = &vm->vcpu;

	if (value & ~cr4_valid(vm))
		return false;
	if (!(value & CR4_PAE) && (vcpu_get(v, VREG_EFER) & EFER_LMA))
		return false;
	vcpu_set(v, VREG_CR4, value);
	return true;
}

static bool cr_write(struct vm *vm, unsigned cr, uint64_t value)
{
	switch (cr) {
	case 0:
		return write_cr0(&vm->vcpu, value);
	case 4:
		return write_cr4(vm, value);
	case 8:
		if (value & ~0xfull)
			return false;
		if (vm->irqchip->set_priority)
			vm->irqchip->set_priority(vm->irqchip_state, (uint8_t)value);
		else
			vm->cr8 = (uint8_t)value;
		return true;
	default:
		return false;
	}
}

static uint64_t cr_read(struct vm *vm, unsigned cr)
{
	switch (cr) {
	case 0:
		return vcpu_get(&vm->vcpu, VREG_CR0);
	case 4:
		return vcpu_get(&vm->vcpu, VREG_CR4);
	case 8:
		return vm->irqchip->priority ? vm->irqchip->priority(vm->irqchip_state) : vm->cr8;
	default:
		return 0;
	}
}

void cr_exit(struct vm *vm, const struct vmexit *e)
{
	struct vcpu *v = &vm->vcpu;
	struct vmexit found = *e;

	/* If it can't be read any more, the guest faults by itself when it runs it again. */
	if (e->u.cr.gpr == GPR_UNKNOWN &&
		!vcpu_find_cr_gpr(v, e->rip, &found.u.cr.gpr, &found.insn_len))
		return;
	if (!e->u.cr.write) {
		vcpu_write_gpr(v, found.u.cr.gpr, cr_read(vm, e->u.cr.cr));
	} else if (!cr_write(vm, e->u.cr.cr, vcpu_read_gpr(v, found.u.cr.gpr))) {
		vcpu_raise_error(v, VECTOR_GP, 0);
		return;
	}
	vcpu_skip(v, &found);
}

/* x87 is always on, AVX needs SSE: SDM vol. 1 "Enabling the XSAVE Feature Set". */
static bool xcr0_is_valid(const struct vm *vm, uint64_t value)
{
	if (value & ~(uint64_t)vm->cpuid.xsave[0].eax)
		return false;
	return (value & BIT(0)) && (!(value & BIT(2)) || (value & BIT(1)));
}

void xsetbv_exit(struct vm *vm, const struct vmexit *e)
{
	struct vcpu *v = &vm->vcpu;
	uint64_t value = v->gpr[GPR_RDX] << 32 | (uint32_t)v->gpr[GPR_RAX];

	if (vcpu_get(v, VREG_CPL) || (uint32_t)v->gpr[GPR_RCX] || !xcr0_is_valid(vm, value)) {
		vcpu_raise_error(v, VECTOR_GP, 0);
		return;
	}
	fpu_set_guest_xcr0(&v->fpu, value);
	vcpu_skip(v, e);
}
