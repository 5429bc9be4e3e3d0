/*
 * Registers and segments of the guest, in the VMCB. Those that VMLOAD loads stay in the processor
 * between exits and are pulled from there on demand. On the exit path.
 */
#include "base/log.h"
#include "hw/cpu.h"
#include "svm/svm.h"

/* Kept where VMLOAD and VMSAVE put it. */
static bool reg_is_lazy(enum vcpu_reg reg)
{
	return reg >= VREG_SYSENTER_CS && reg <= VREG_KERNEL_GS_BASE;
}

static bool seg_is_lazy(enum vcpu_seg seg)
{
	return seg == VSEG_FS || seg == VSEG_GS || seg == VSEG_LDTR || seg == VSEG_TR;
}

static uint64_t *reg_at(struct vmcb_save *g, enum vcpu_reg reg)
{
	switch (reg) {
	case VREG_RIP:
		return &g->rip;
	case VREG_RSP:
		return &g->rsp;
	case VREG_RFLAGS:
		return &g->rflags;
	case VREG_CR0:
		return &g->cr0;
	case VREG_CR2:
		return &g->cr2;
	case VREG_CR3:
		return &g->cr3;
	case VREG_CR4:
		return &g->cr4;
	case VREG_EFER:
		return &g->efer;
	case VREG_PAT:
		return &g->pat;
	case VREG_DR6:
		return &g->dr6;
	case VREG_DR7:
		return &g->dr7;
	case VREG_SYSENTER_CS:
		return &g->sysenter_cs;
	case VREG_SYSENTER_ESP:
		return &g->sysenter_esp;
	case VREG_SYSENTER_EIP:
		return &g->sysenter_eip;
	case VREG_STAR:
		return &g->star;
	case VREG_LSTAR:
		return &g->lstar;
	case VREG_CSTAR:
		return &g->cstar;
	case VREG_SFMASK:
		return &g->sfmask;
	case VREG_KERNEL_GS_BASE:
		return &g->kernel_gs_base;
	case VREG_CPL:
	case VREG_INTR_SHADOW:
	case VREG_NMI_BLOCKED: /* the VMCB doesn't tell */
	case VREG_COUNT:
	default:
		return NULL;
	}
}

uint64_t svm_get(struct vcpu *v, enum vcpu_reg reg)
{
	struct svm *s = svm_of(v);
	uint64_t *at = reg_at(&s->vmcb->save, reg);

	if (reg == VREG_CPL)
		return s->vmcb->save.cpl;
	if (reg == VREG_INTR_SHADOW)
		return s->vmcb->control.interrupt_state & INTERRUPT_SHADOW;
	if (!at)
		return 0;
	if (reg_is_lazy(reg))
		svm_pull(s);
	return reg == VREG_EFER ? *at & ~EFER_SVME : *at;
}

/* VMRUN needs SVME in the guest's EFER, and LMA to agree with LME and PG. */
static void fix_efer(struct vmcb_save *g)
{
	g->efer |= EFER_SVME;
	if ((g->efer & EFER_LME) && (g->cr0 & CR0_PG))
		g->efer |= EFER_LMA;
	else
		g->efer &= ~EFER_LMA;
}

void svm_set(struct vcpu *v, enum vcpu_reg reg, uint64_t value)
{
	struct svm *s = svm_of(v);
	struct vmcb_save *g = &s->vmcb->save;
	uint64_t *at = reg_at(g, reg);

	if (reg == VREG_INTR_SHADOW)
		s->vmcb->control.interrupt_state = field_set(
			s->vmcb->control.interrupt_state, INTERRUPT_SHADOW, value & 1);
	if (!at)
		return;
	if (reg_is_lazy(reg))
		svm_pull(s);
	*at = value;
	if (reg_is_lazy(reg))
		svm_push(s);
	if (reg == VREG_EFER || reg == VREG_CR0)
		fix_efer(g);
	/* With the paging mode the meaning of cached translations changes. */
	if (reg == VREG_EFER || reg == VREG_CR0 || reg == VREG_CR3 || reg == VREG_CR4)
		svm_flush(v);
}

static struct vmcb_segment *seg_at(struct vmcb_save *g, enum vcpu_seg seg)
{
	switch (seg) {
	case VSEG_ES:
		return &g->es;
	case VSEG_CS:
		return &g->cs;
	case VSEG_SS:
		return &g->ss;
	case VSEG_DS:
		return &g->ds;
	case VSEG_FS:
		return &g->fs;
	case VSEG_GS:
		return &g->gs;
	case VSEG_LDTR:
		return &g->ldtr;
	case VSEG_TR:
		return &g->tr;
	case VSEG_GDTR:
		return &g->gdtr;
	case VSEG_IDTR:
	case VSEG_COUNT:
	default:
		return &g->idtr;
	}
}

static bool is_table(enum vcpu_seg seg)
{
	return seg == VSEG_GDTR || seg == VSEG_IDTR;
}

/*
 * The processor may give CS back without its granularity bit, and TR without its busy bit; the
 * limit is in bytes on both sides, and a loaded TR is always busy.
 */
void svm_get_seg(struct vcpu *v, enum vcpu_seg seg, struct vcpu_segment *ret)
{
	struct svm *s = svm_of(v);
	const struct vmcb_segment *at = seg_at(&s->vmcb->save, seg);
	uint32_t attributes;

	if (seg_is_lazy(seg))
		svm_pull(s);
	if (is_table(seg)) {
		*ret = (struct vcpu_segment){.limit = at->limit & 0xffff, .base = at->base};
		return;
	}
	attributes = (at->attributes & 0xffu) | (at->attributes & 0xf00u) << 4;
	if (at->limit > 0xfffff)
		attributes |= SEG_G;
	if (!(attributes & SEG_P))
		attributes |= SEG_UNUSABLE;
	else if (seg == VSEG_TR)
		attributes |= 2;
	*ret = (struct vcpu_segment){at->selector, attributes, at->limit, at->base};
}

void svm_set_seg(struct vcpu *v, enum vcpu_seg seg, const struct vcpu_segment *segment)
{
	struct svm *s = svm_of(v);
	struct vmcb_segment *at = seg_at(&s->vmcb->save, seg);
	uint32_t a = segment->attributes;

	if (a & SEG_UNUSABLE)
		a &= ~SEG_P;
	if (seg_is_lazy(seg))
		svm_pull(s);
	*at = (struct vmcb_segment){segment->selector, (uint16_t)((a & 0xff) | ((a >> 4) & 0xf00)),
		segment->limit, segment->base};
	if (seg_is_lazy(seg))
		svm_push(s);
	if (seg == VSEG_SS)
		s->vmcb->save.cpl = (uint8_t)FIELD_GET(SEG_DPL, a);
}

/* Traps that MOV SS holds back are not in the VMCB: an intercept loses them, but for a single step. */
uint64_t svm_resume_at(struct vcpu *v, uint64_t rip)
{
	struct vmcb *c = svm_of(v)->vmcb;

	c->save.rip = rip;
	c->save.rflags &= ~RFLAGS_RF;
	c->control.interrupt_state &= ~INTERRUPT_SHADOW;
	return c->save.rflags & RFLAGS_TF ? DR6_BS : 0;
}

void svm_flush(struct vcpu *v)
{
	struct svm *s = svm_of(v);

	s->vmcb->control.tlb_control = s->features & CPUID_SVM_FLUSH_ASID ? TLB_FLUSH_ASID
									  : TLB_FLUSH_ALL;
}

static void dump_segment(struct vcpu *v, const char *name, enum vcpu_seg seg)
{
	struct vcpu_segment d;

	svm_get_seg(v, seg, &d);
	log_line("svm: %-4s %04x attr %05x limit %08x base %016llx", name, d.selector, d.attributes,
		d.limit, (unsigned long long)d.base);
}

static void dump_pair(const char *a, uint64_t va, const char *b, uint64_t vb)
{
	log_line("svm: %-8s %016llx  %-8s %016llx", a, (unsigned long long)va, b,
		(unsigned long long)vb);
}

void svm_dump(struct vcpu *v)
{
	static const char *const segments[VSEG_COUNT] = {
		"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr", "gdtr", "idtr"};
	static const char *const gprs[GPR_COUNT] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi",
		"rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
	const struct vmcb *vmcb = svm_of(v)->vmcb;
	const struct vmcb_control *c = &vmcb->control;
	const struct vmcb_save *g = &vmcb->save;

	for (unsigned i = 0; i < GPR_COUNT; i += 2)
		dump_pair(gprs[i], i == GPR_RSP ? g->rsp : v->gpr[i], gprs[i + 1], v->gpr[i + 1]);
	dump_pair("rip", g->rip, "rflags", g->rflags);
	dump_pair("cr0", g->cr0, "cr2", g->cr2);
	dump_pair("cr3", g->cr3, "cr4", g->cr4);
	dump_pair("efer", g->efer, "pat", g->pat);
	dump_pair("dr6", g->dr6, "dr7", g->dr7);
	for (unsigned i = 0; i < VSEG_COUNT; i++)
		dump_segment(v, segments[i], (enum vcpu_seg)i);
	dump_pair("exit", c->exit_code, "rip+", c->next_rip);
	dump_pair("info1", c->exit_info1, "info2", c->exit_info2);
	dump_pair("inject", c->event_injection, "during", c->exit_interrupt_info);
	dump_pair("vintr", c->virtual_interrupt, "shadow", c->interrupt_state);
	dump_pair("ncr3", c->nested_cr3, "nested", c->nested);
	log_line("svm: intercepts %08x %08x exceptions %08x asid %u cpl %u", c->intercept1,
		c->intercept2, c->intercept_exception, c->asid, g->cpl);
}
