/* The guest's model-specific registers; see msr.h. State: vm->msr_shadow. On the exit path. */
#include "core/msr.h"
#include "base/bits.h"
#include "base/log.h"
#include "core/vm.h"
#include "hw/cpu.h"

enum msr_rule {
	MSR_REGISTER, /* a register of the vCPU; arg is its enum vcpu_reg */
	MSR_SHADOWED, /* reads what was written; arg is the slot, value the initial value */
	MSR_FIXED,    /* reads value, swallows writes */
	MSR_CLOCK,    /* the TSC; writes are swallowed, as they would put other CPUs out of step */
};

struct msr_entry {
	uint32_t index;
	enum msr_rule rule;
	unsigned arg;
	uint64_t value;
};

/*
 * Everything that isn't direct; an index that isn't here faults. Kernels read most of these without
 * a net, and what they probe with one (PLATFORM_INFO, TURBO_RATIO, PPIN, RAPL, AMD's SYSCFG, LS_CFG,
 * FP_CFG...) is absent on purpose: it tells of the host, or would steer it. What CPUID doesn't show
 * has no registers either: SPEC_CTRL, PRED_CMD, ARCH_CAPABILITIES, TSC_ADJUST, TSC_AUX, MCG_*, XSS,
 * APERF, MPERF, counters. Names and contents: SDM vol. 4, "Architectural MSRs"; AMD64 Architecture
 * Programmer's Manual vol. 2, "MSR Cross-Reference".
 */
static const struct msr_entry entries[] = {
	{MSR_TSC, MSR_CLOCK, 0, 0},
	/* PLATFORM_ID: which microcode fits; the guest loads none. */
	{0x17, MSR_FIXED, 0, 0},
	/* Locked: no VMX, no SMX, whatever the host has. */
	{MSR_FEATURE_CONTROL, MSR_FIXED, 0, 1},
	/* Microcode revision: written 0, then read. The host's isn't told. */
	{0x8b, MSR_SHADOWED, 0, 0},
	/* MTRRCAP: no ranges, write combining exists. The real types are in the second-level tables. */
	{0xfe, MSR_FIXED, 0, BIT(10)},
	/* MISC_FEATURES_ENABLES: nothing to enable, PLATFORM_INFO being absent. */
	{0x140, MSR_SHADOWED, 1, 0},
	/* MISC_ENABLE: fast strings; no branch trace, no PEBS. */
	{0x1a0, MSR_FIXED, 0, BIT(0) | BIT(11) | BIT(12)},
	/* Kernels write it around single steps; branch traces stay off. */
	{MSR_DEBUGCTL, MSR_FIXED, 0, 0},
	{MSR_PAT, MSR_REGISTER, VREG_PAT, 0},
	/* MTRR_DEF_TYPE: on, all memory write back. */
	{0x2ff, MSR_SHADOWED, 2, BIT(11) | 6},
	{MSR_EFER, MSR_REGISTER, VREG_EFER, 0},
	/* AMD, HWCR: the TSC runs at the rate of P0. */
	{0xc0010015, MSR_SHADOWED, 3, BIT(24)},
	/* AMD, NB_CFG: no configuration space through CF8h beyond 256 bytes. */
	{0xc001001f, MSR_FIXED, 0, 0},
	/* AMD, INT_PENDING_MSG: no C1E, which would stop timers (kernels ask on family 10h). */
	{0xc0010055, MSR_FIXED, 0, 0},
	/* AMD, DE_CFG: LFENCE serializes. */
	{0xc0011029, MSR_FIXED, 0, BIT(1)},
};

/* Registers that only hold values for the guest: the back ends switch them with the context. */
static const uint32_t direct[] = {MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_STAR,
	MSR_LSTAR, MSR_CSTAR, MSR_SFMASK, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE};

bool msr_is_direct(uint32_t index)
{
	for (size_t i = 0; i < array_size(direct); i++)
		if (direct[i] == index)
			return true;
	return false;
}

void msr_init(struct vm *vm)
{
	for (size_t i = 0; i < array_size(entries); i++)
		if (entries[i].rule == MSR_SHADOWED)
			vm->msr_shadow[entries[i].arg] = entries[i].value;
}

static const struct msr_entry *find(uint32_t index)
{
	for (size_t i = 0; i < array_size(entries); i++)
		if (entries[i].index == index)
			return &entries[i];
	return NULL;
}

/* Memory types 0, 1, 4, 5, 6 and 7 exist: SDM vol. 3A "Page Attribute Table (PAT)". */
static bool pat_is_valid(uint64_t value)
{
	for (unsigned i = 0; i < 64; i += 8) {
		uint64_t type = (value >> i) & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

/* The bits that the guest's CPUID offers; LMA is the CPU's and ignored in a write. */
static bool efer_is_valid(struct vcpu *v, uint64_t value)
{
	uint64_t old = vcpu_get(v, VREG_EFER);

	if (value & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
		return false;
	return !((old ^ value) & EFER_LME) || !(vcpu_get(v, VREG_CR0) & CR0_PG);
}

static bool write_register(struct vcpu *v, enum vcpu_reg reg, uint64_t value)
{
	if (reg == VREG_PAT && !pat_is_valid(value))
		return false;
	if (reg == VREG_EFER) {
		if (!efer_is_valid(v, value))
			return false;
		value = (value & ~EFER_LMA) | (vcpu_get(v, VREG_EFER) & EFER_LMA);
	}
	vcpu_set(v, reg, value);
	return true;
}

static bool msr_write(struct vm *vm, const struct msr_entry *m, uint64_t value)
{
	if (m->rule == MSR_SHADOWED)
		vm->msr_shadow[m->arg] = value;
	else if (m->rule == MSR_REGISTER)
		return write_register(&vm->vcpu, (enum vcpu_reg)m->arg, value);
	return true;
}

static uint64_t msr_read(struct vm *vm, const struct msr_entry *m)
{
	switch (m->rule) {
	case MSR_REGISTER:
		return vcpu_get(&vm->vcpu, (enum vcpu_reg)m->arg);
	case MSR_SHADOWED:
		return vm->msr_shadow[m->arg];
	case MSR_CLOCK:
		return hw_tsc();
	case MSR_FIXED:
	default:
		return m->value;
	}
}

/* The local APIC's own, x2APIC's included; in a machine without one they don't exist. */
static bool is_lapic(uint32_t index)
{
	return index == MSR_APIC_BASE || index == MSR_TSC_DEADLINE ||
	       (index >= MSR_X2APIC_FIRST && index <= MSR_X2APIC_LAST);
}

static bool lapic_access(struct vm *vm, const struct vmexit *e)
{
	uint64_t value;

	if (e->u.msr.write)
		return vm->irqchip->write_msr(vm->irqchip_state, e->u.msr.index, e->u.msr.value);
	if (!vm->irqchip->read_msr(vm->irqchip_state, e->u.msr.index, &value))
		return false;
	vcpu_set_edx_eax(&vm->vcpu, value);
	return true;
}

static void lapic_exit(struct vm *vm, const struct vmexit *e)
{
	if (!vm->irqchip->read_msr || !lapic_access(vm, e))
		vcpu_raise_error(&vm->vcpu, VECTOR_GP, 0);
	else
		vcpu_skip(&vm->vcpu, e);
}

void msr_exit(struct vm *vm, const struct vmexit *e)
{
	const struct msr_entry *m = find(e->u.msr.index);

	if (!m && is_lapic(e->u.msr.index)) {
		lapic_exit(vm, e);
		return;
	}
	if (!m || (e->u.msr.write && !msr_write(vm, m, e->u.msr.value))) {
		vcpu_raise_error(&vm->vcpu, VECTOR_GP, 0);
		return;
	}
	if (!e->u.msr.write)
		vcpu_set_edx_eax(&vm->vcpu, msr_read(vm, m));
	vcpu_skip(&vm->vcpu, e);
}
