/*
 * The guest's registers: in the VMCS while it is current, else in soft. State: struct vmx. On the
 * exit path.
 */
#include "base/log.h"
#include "base/mem.h"
#include "vmx/state.h"

#define SEGMENT_FIELDS(n)                                                                          \
	VMCS_GUEST_SELECTOR + 2 * (n), VMCS_GUEST_LIMIT + 2 * (n), VMCS_GUEST_RIGHTS + 2 * (n),    \
		VMCS_GUEST_BASE + 2 * (n)

static const uint16_t slot_field[SLOT_COUNT] = {
	SEGMENT_FIELDS(VSEG_ES),
	SEGMENT_FIELDS(VSEG_CS),
	SEGMENT_FIELDS(VSEG_SS),
	SEGMENT_FIELDS(VSEG_DS),
	SEGMENT_FIELDS(VSEG_FS),
	SEGMENT_FIELDS(VSEG_GS),
	SEGMENT_FIELDS(VSEG_LDTR),
	SEGMENT_FIELDS(VSEG_TR),
	[SLOT_GDTR_LIMIT] = VMCS_GUEST_GDTR_LIMIT,
	[SLOT_GDTR_BASE] = VMCS_GUEST_GDTR_BASE,
	[SLOT_IDTR_LIMIT] = VMCS_GUEST_IDTR_LIMIT,
	[SLOT_IDTR_BASE] = VMCS_GUEST_IDTR_BASE,
	[SLOT_RSP] = VMCS_GUEST_RSP,
	[SLOT_RFLAGS] = VMCS_GUEST_RFLAGS,
	[SLOT_CR0] = VMCS_GUEST_CR0,
	[SLOT_CR3] = VMCS_GUEST_CR3,
	[SLOT_CR4] = VMCS_GUEST_CR4,
	[SLOT_CR0_SHADOW] = VMCS_CR0_SHADOW,
	[SLOT_CR4_SHADOW] = VMCS_CR4_SHADOW,
	[SLOT_EFER] = VMCS_GUEST_EFER,
	[SLOT_PAT] = VMCS_GUEST_PAT,
	[SLOT_DR7] = VMCS_GUEST_DR7,
	[SLOT_DEBUGCTL] = VMCS_GUEST_DEBUGCTL,
	[SLOT_SYSENTER_CS] = VMCS_GUEST_SYSENTER_CS,
	[SLOT_SYSENTER_ESP] = VMCS_GUEST_SYSENTER_ESP,
	[SLOT_SYSENTER_EIP] = VMCS_GUEST_SYSENTER_EIP,
	[SLOT_ACTIVITY] = VMCS_GUEST_ACTIVITY,
	[SLOT_PENDING_DEBUG] = VMCS_GUEST_PENDING_DEBUG,
	[SLOT_LINK] = VMCS_GUEST_LINK,
	[SLOT_PDPTE0] = VMCS_GUEST_PDPTE0,
	[SLOT_PDPTE1] = VMCS_GUEST_PDPTE1,
	[SLOT_PDPTE2] = VMCS_GUEST_PDPTE2,
	[SLOT_PDPTE3] = VMCS_GUEST_PDPTE3,
	[SLOT_ENTRY_CONTROLS] = VMCS_ENTRY_CONTROLS,
};

#define RFLAGS_DEFINED 0x3f7fd5ull
#define EFER_DEFINED   (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define DR7_FIXED      0x400ull
#define DR7_DEFINED    0xffff27ffull
#define TYPE_ACCESSED  1u
#define TYPE_TSS_BUSY  2u
#define PAT_POWER_ON   0x0007040600070406ull
#define LINK_NONE      (~0ull)

uint64_t vmx_guest_get(const struct vmx *x, enum vmx_slot slot)
{
	return x->live ? vmx_read(slot_field[slot]) : x->soft[slot];
}

void vmx_guest_set(struct vmx *x, enum vmx_slot slot, uint64_t value)
{
	if (x->live)
		vmx_write(slot_field[slot], value);
	else
		x->soft[slot] = value;
}

void vmx_set_interruptibility(struct vmx *x, uint64_t value)
{
	x->entry.interruptibility = value;
	if (x->live)
		vmx_write(VMCS_GUEST_INTERRUPTIBILITY, value);
}

void vmx_guest_to_vmcs(struct vmx *x)
{
	for (unsigned i = 0; i < SLOT_COUNT; i++)
		vmx_write(slot_field[i], x->soft[i]);
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, x->entry.interruptibility);
	x->live = true;
}

void vmx_guest_from_vmcs(struct vmx *x)
{
	for (unsigned i = 0; i < SLOT_COUNT; i++)
		x->soft[i] = vmx_read(slot_field[i]);
	x->live = false;
}

/*
 * Long mode is active when it is enabled and paging is on. The CPU keeps LMA and the entry control
 * in step while the guest runs; a change by hand has to. SDM vol. 3C "Checks on Guest Control
 * Registers, Debug Registers, and MSRs".
 */
static void update_long_mode(struct vmx *x)
{
	uint64_t efer = vmx_guest_get(x, SLOT_EFER);
	uint64_t entry = vmx_guest_get(x, SLOT_ENTRY_CONTROLS);
	bool active = (efer & EFER_LME) && (vmx_guest_get(x, SLOT_CR0) & CR0_PG);

	vmx_guest_set(x, SLOT_EFER, active ? efer | EFER_LMA : efer & ~EFER_LMA);
	vmx_guest_set(x, SLOT_ENTRY_CONTROLS,
		active ? entry | ENTRY_IA32E : entry & ~(uint64_t)ENTRY_IA32E);
}

/*
 * Unrestricted guests are free of the fixed PE and PG. Caches stay on: CD and NW would outlive the
 * exit. Paging with PAE outside long mode is left to the guest's own MOV, which the CPU completes
 * with its page-directory pointers; nothing else ever turns it on.
 */
static void set_cr0(struct vmx *x, uint64_t value)
{
	uint64_t fixed0 = x->caps.cr0_fixed0 & ~(CR0_PE | CR0_PG);

	vmx_guest_set(x, SLOT_CR0_SHADOW, value);
	vmx_guest_set(x, SLOT_CR0, vmx_fix(value & ~(CR0_CD | CR0_NW), fixed0, x->caps.cr0_fixed1));
	update_long_mode(x);
}

/* Machine checks are on whatever the guest says: off, one of them would shut the machine down. */
static void set_cr4(struct vmx *x, uint64_t value)
{
	vmx_guest_set(x, SLOT_CR4_SHADOW, value);
	vmx_guest_set(
		x, SLOT_CR4, vmx_fix(value | CR4_MCE, x->caps.cr4_fixed0, x->caps.cr4_fixed1));
}

/* The MSRs that the processor holds for whoever is running. */
static uint64_t get_msr(const struct vmx *x, enum vmx_msr msr)
{
	return x->inside ? hw_rdmsr(vmx_msr_index[msr]) : x->guest_msr[msr];
}

static void set_msr(struct vmx *x, enum vmx_msr msr, uint64_t value)
{
	if (x->inside)
		hw_wrmsr(vmx_msr_index[msr], value);
	else
		x->guest_msr[msr] = value;
}

static uint64_t get_cpl(const struct vmx *x)
{
	return FIELD_GET(SEG_DPL, vmx_guest_get(x, SLOT_SEGMENTS + 4 * VSEG_SS + 2));
}

uint64_t vmx_get(struct vcpu *v, enum vcpu_reg reg)
{
	const struct vmx *x = vmx_of(v);

	switch (reg) {
	case VREG_RIP:
		return x->entry.rip;
	case VREG_RSP:
		return vmx_guest_get(x, SLOT_RSP);
	case VREG_RFLAGS:
		return vmx_guest_get(x, SLOT_RFLAGS);
	case VREG_CR0:
		return (vmx_guest_get(x, SLOT_CR0) & ~CR0_OWNED) |
		       (vmx_guest_get(x, SLOT_CR0_SHADOW) & CR0_OWNED);
	case VREG_CR2:
		return x->inside ? hw_read_cr(2) : x->unswitched.cr2;
	case VREG_CR3:
		return vmx_guest_get(x, SLOT_CR3);
	case VREG_CR4:
		return (vmx_guest_get(x, SLOT_CR4) & ~CR4_OWNED) |
		       (vmx_guest_get(x, SLOT_CR4_SHADOW) & CR4_OWNED);
	case VREG_EFER:
		return vmx_guest_get(x, SLOT_EFER);
	case VREG_PAT:
		return vmx_guest_get(x, SLOT_PAT);
	case VREG_DR6:
		return x->inside ? hw_read_dr(6) : x->unswitched.dr6;
	case VREG_DR7:
		return vmx_guest_get(x, SLOT_DR7);
	case VREG_SYSENTER_CS:
		return vmx_guest_get(x, SLOT_SYSENTER_CS);
	case VREG_SYSENTER_ESP:
		return vmx_guest_get(x, SLOT_SYSENTER_ESP);
	case VREG_SYSENTER_EIP:
		return vmx_guest_get(x, SLOT_SYSENTER_EIP);
	case VREG_STAR:
		return get_msr(x, VMX_STAR);
	case VREG_LSTAR:
		return get_msr(x, VMX_LSTAR);
	case VREG_CSTAR:
		return get_msr(x, VMX_CSTAR);
	case VREG_SFMASK:
		return get_msr(x, VMX_SFMASK);
	case VREG_KERNEL_GS_BASE:
		return get_msr(x, VMX_KERNEL_GS);
	case VREG_CPL:
		return get_cpl(x);
	case VREG_INTR_SHADOW:
		return (x->entry.interruptibility & BLOCKING_INTR) != 0;
	case VREG_NMI_BLOCKED:
		return (x->entry.interruptibility & BLOCKING_NMI) != 0;
	case VREG_COUNT:
	default:
		return 0;
	}
}

/*
 * What a MOV to a control register does to the TLB, which knows nothing of a change by hand. With
 * a VPID, entries and exits keep it.
 */
static void forget_translations(const struct vmx *x)
{
	if (x->live && x->controls.proc2 & PROC2_VPID)
		vmx_insn_invvpid_all();
}

static void set_shadow(struct vmx *x, bool on)
{
	uint64_t now = x->entry.interruptibility & ~(uint64_t)BLOCKING_INTR;

	vmx_set_interruptibility(x, on ? now | BLOCKING_STI : now);
}

void vmx_set(struct vcpu *v, enum vcpu_reg reg, uint64_t value)
{
	struct vmx *x = vmx_of(v);

	switch (reg) {
	case VREG_RIP:
		x->entry.rip = value;
		break;
	case VREG_RSP:
		vmx_guest_set(x, SLOT_RSP, value);
		break;
	case VREG_RFLAGS:
		vmx_guest_set(x, SLOT_RFLAGS, (value & RFLAGS_DEFINED) | RFLAGS_FIXED);
		break;
	case VREG_CR0:
		set_cr0(x, value);
		forget_translations(x);
		break;
	case VREG_CR2:
		if (x->inside)
			hw_write_cr(2, value);
		else
			x->unswitched.cr2 = value;
		break;
	case VREG_CR3:
		vmx_guest_set(x, SLOT_CR3, value);
		forget_translations(x);
		break;
	case VREG_CR4:
		set_cr4(x, value);
		forget_translations(x);
		break;
	case VREG_EFER:
		vmx_guest_set(x, SLOT_EFER, value & EFER_DEFINED);
		update_long_mode(x);
		forget_translations(x);
		break;
	case VREG_PAT:
		vmx_guest_set(x, SLOT_PAT, value);
		break;
	case VREG_DR6:
		if (x->inside)
			hw_write_dr(6, value);
		else
			x->unswitched.dr6 = value;
		break;
	case VREG_DR7:
		vmx_guest_set(x, SLOT_DR7, (value & DR7_DEFINED) | DR7_FIXED);
		break;
	case VREG_SYSENTER_CS:
		vmx_guest_set(x, SLOT_SYSENTER_CS, value);
		break;
	case VREG_SYSENTER_ESP:
		vmx_guest_set(x, SLOT_SYSENTER_ESP, value);
		break;
	case VREG_SYSENTER_EIP:
		vmx_guest_set(x, SLOT_SYSENTER_EIP, value);
		break;
	case VREG_STAR:
		set_msr(x, VMX_STAR, value);
		break;
	case VREG_LSTAR:
		set_msr(x, VMX_LSTAR, value);
		break;
	case VREG_CSTAR:
		set_msr(x, VMX_CSTAR, value);
		break;
	case VREG_SFMASK:
		set_msr(x, VMX_SFMASK, value);
		break;
	case VREG_KERNEL_GS_BASE:
		set_msr(x, VMX_KERNEL_GS, value);
		break;
	case VREG_INTR_SHADOW:
		set_shadow(x, value);
		break;
	case VREG_CPL:
	case VREG_NMI_BLOCKED:
	case VREG_COUNT:
	default:
		break;
	}
}

static bool is_table(enum vcpu_seg seg)
{
	return seg == VSEG_GDTR || seg == VSEG_IDTR;
}

void vmx_get_seg(struct vcpu *v, enum vcpu_seg seg, struct vcpu_segment *ret)
{
	const struct vmx *x = vmx_of(v);
	unsigned at = SLOT_SEGMENTS + 4 * (unsigned)seg;

	if (is_table(seg)) {
		at = seg == VSEG_GDTR ? SLOT_GDTR_LIMIT : SLOT_IDTR_LIMIT;
		*ret = (struct vcpu_segment){
			.limit = (uint32_t)vmx_guest_get(x, at), .base = vmx_guest_get(x, at + 1)};
		return;
	}
	ret->selector = (uint16_t)vmx_guest_get(x, at);
	ret->limit = (uint32_t)vmx_guest_get(x, at + 1);
	ret->attributes = (uint32_t)vmx_guest_get(x, at + 2);
	ret->base = vmx_guest_get(x, at + 3);
}

/*
 * Rights that the entry checks accept: a loaded segment is accessed, TR is busy, and the
 * granularity fits the limit. SDM vol. 3C "Checks on Guest Segment Registers".
 */
static uint32_t usable_rights(enum vcpu_seg seg, const struct vcpu_segment *s)
{
	uint32_t rights = s->attributes & (SEG_TYPE | SEG_S | SEG_DPL | SEG_P | SEG_AVL | SEG_L |
						  SEG_DB | SEG_G | SEG_UNUSABLE);

	if (rights & SEG_UNUSABLE)
		return rights;
	if (rights & SEG_S)
		rights |= TYPE_ACCESSED;
	if (seg == VSEG_TR)
		rights |= TYPE_TSS_BUSY;
	if (s->limit & 0xfff00000u)
		rights |= SEG_G;
	else if ((s->limit & 0xfffu) != 0xfffu)
		rights &= ~SEG_G;
	return rights;
}

void vmx_set_seg(struct vcpu *v, enum vcpu_seg seg, const struct vcpu_segment *s)
{
	struct vmx *x = vmx_of(v);
	unsigned at = SLOT_SEGMENTS + 4 * (unsigned)seg;

	if (is_table(seg)) {
		at = seg == VSEG_GDTR ? SLOT_GDTR_LIMIT : SLOT_IDTR_LIMIT;
		vmx_guest_set(x, at, s->limit & 0xffff);
		vmx_guest_set(x, at + 1, s->base);
		return;
	}
	vmx_guest_set(x, at, s->selector);
	vmx_guest_set(x, at + 1, s->limit);
	vmx_guest_set(x, at + 2, usable_rights(seg, s));
	vmx_guest_set(x, at + 3, s->base);
}

/*
 * The debug exceptions that the processor has pending from before: without a shadow, and hence
 * without an instruction that is held back, there can be none. They go out of the VMCS, since an
 * entry that injects would lose them: SDM vol. 3C "Delivery of Pending Debug Exceptions after VM
 * Entry" (325462-084).
 */
static uint64_t take_pending(struct vmx *x)
{
	uint64_t pending = vmx_guest_get(x, SLOT_PENDING_DEBUG);

	if (!pending)
		return 0;
	vmx_guest_set(x, SLOT_PENDING_DEBUG, 0);
	return pending & (PENDING_ENABLED | DR6_BS) ? pending & (DR6_BS | DR6_B0_TO_B3) : 0;
}

/* Kept out of vmx_resume_at, which would save registers for it. */
static __attribute__((noinline)) uint64_t end_instruction(struct vmx *x, uint64_t rflags)
{
	uint64_t causes = 0;

	if (x->entry.interruptibility & BLOCKING_INTR) {
		causes = take_pending(x);
		vmx_end_shadow(x);
	}
	if (rflags & RFLAGS_RF)
		vmx_guest_set(x, SLOT_RFLAGS, rflags & ~RFLAGS_RF);
	return rflags & RFLAGS_TF ? causes | DR6_BS : causes;
}

/* RF is set after an EPT violation: SDM vol. 3C "Saving RIP, RSP, RFLAGS, and SSP" (325462-084). */
uint64_t vmx_resume_at(struct vcpu *v, uint64_t rip)
{
	struct vmx *x = vmx_of(v);
	uint64_t rflags = vmx_guest_get(x, SLOT_RFLAGS);

	x->entry.rip = rip;
	if (rflags & (RFLAGS_RF | RFLAGS_TF) || x->entry.interruptibility & BLOCKING_INTR)
		return end_instruction(x, rflags);
	return 0;
}

static void reset_segment(struct vmx *x, enum vcpu_seg seg, uint16_t selector, uint32_t rights)
{
	uint64_t *slot = &x->soft[SLOT_SEGMENTS + 4 * (unsigned)seg];

	slot[0] = selector;
	slot[1] = 0xffff;
	slot[2] = rights;
	slot[3] = 0;
}

/* SDM vol. 3A "Processor State After Reset". */
void vmx_guest_reset(struct vmx *x)
{
	memset(x->soft, 0, sizeof(x->soft));
	for (unsigned seg = VSEG_ES; seg <= VSEG_GS; seg++)
		reset_segment(x, (enum vcpu_seg)seg, 0, SEG_P | SEG_S | 3);
	reset_segment(x, VSEG_CS, 0xf000, SEG_P | SEG_S | 11);
	x->soft[SLOT_SEGMENTS + 4 * VSEG_CS + 3] = 0xffff0000;
	reset_segment(x, VSEG_LDTR, 0, SEG_P | 2);
	reset_segment(x, VSEG_TR, 0, SEG_P | 11);
	x->soft[SLOT_GDTR_LIMIT] = 0xffff;
	x->soft[SLOT_IDTR_LIMIT] = 0xffff;
	x->entry.rip = 0xfff0;
	x->soft[SLOT_RFLAGS] = RFLAGS_FIXED;
	x->soft[SLOT_PAT] = PAT_POWER_ON;
	x->soft[SLOT_DR7] = DR7_FIXED;
	x->soft[SLOT_LINK] = LINK_NONE;
	x->soft[SLOT_ENTRY_CONTROLS] = x->controls.entry;
	set_cr4(x, 0);
	set_cr0(x, CR0_CD | CR0_NW | CR0_ET);
}

void vmx_dump(struct vcpu *v)
{
	static const char *const seg_names[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};
	const struct vmx *x = vmx_of(v);

	log_line("vmx: rip 0x%lx rsp 0x%lx rflags 0x%lx", vmx_get(v, VREG_RIP),
		vmx_get(v, VREG_RSP), vmx_get(v, VREG_RFLAGS));
	for (unsigned i = 0; i < GPR_COUNT; i += 4)
		log_line("vmx: r%u 0x%lx r%u 0x%lx r%u 0x%lx r%u 0x%lx", i, v->gpr[i], i + 1,
			v->gpr[i + 1], i + 2, v->gpr[i + 2], i + 3, v->gpr[i + 3]);
	log_line("vmx: cr0 0x%lx (real 0x%lx) cr2 0x%lx cr3 0x%lx", vmx_get(v, VREG_CR0),
		vmx_guest_get(x, SLOT_CR0), vmx_get(v, VREG_CR2), vmx_get(v, VREG_CR3));
	log_line("vmx: cr4 0x%lx (real 0x%lx) efer 0x%lx", vmx_get(v, VREG_CR4),
		vmx_guest_get(x, SLOT_CR4), vmx_get(v, VREG_EFER));
	for (unsigned i = 0; i < array_size(seg_names); i++) {
		struct vcpu_segment s;

		vmx_get_seg(v, (enum vcpu_seg)i, &s);
		log_line("vmx: %s 0x%x base 0x%lx limit 0x%x rights 0x%x", seg_names[i], s.selector,
			s.base, s.limit, s.attributes);
	}
	log_line("vmx: gdt 0x%lx+0x%lx idt 0x%lx+0x%lx", vmx_guest_get(x, SLOT_GDTR_BASE),
		vmx_guest_get(x, SLOT_GDTR_LIMIT), vmx_guest_get(x, SLOT_IDTR_BASE),
		vmx_guest_get(x, SLOT_IDTR_LIMIT));
	log_line("vmx: interruptibility 0x%lx activity 0x%lx entry controls 0x%lx",
		x->entry.interruptibility, vmx_guest_get(x, SLOT_ACTIVITY),
		vmx_guest_get(x, SLOT_ENTRY_CONTROLS));
}
