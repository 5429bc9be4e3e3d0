/* Registers and segments of the guest over a VMCB. */
#include "hw/cpu.h"
#include "svm/svm.h"
#include "test.h"

static struct vmcb vmcb;
static struct svm svm;
static struct vcpu vcpu;
static unsigned pulls, pushes;

/* The processor's side: what it holds of the VMLOAD part. */
static struct vmcb_save in_processor;

static void copy_lazy(struct vmcb_save *to, const struct vmcb_save *from)
{
	to->fs = from->fs;
	to->gs = from->gs;
	to->ldtr = from->ldtr;
	to->tr = from->tr;
	to->star = from->star;
	to->lstar = from->lstar;
	to->cstar = from->cstar;
	to->sfmask = from->sfmask;
	to->kernel_gs_base = from->kernel_gs_base;
	to->sysenter_cs = from->sysenter_cs;
	to->sysenter_esp = from->sysenter_esp;
	to->sysenter_eip = from->sysenter_eip;
}

void svm_pull(struct svm *s)
{
	pulls++;
	copy_lazy(&s->vmcb->save, &in_processor);
}

void svm_push(struct svm *s)
{
	pushes++;
	copy_lazy(&in_processor, &s->vmcb->save);
}

static void clear(void)
{
	memset(&vmcb, 0, sizeof(vmcb));
	memset(&svm, 0, sizeof(svm));
	memset(&in_processor, 0, sizeof(in_processor));
	svm.vmcb = &vmcb;
	vcpu.backend = &svm;
	pulls = pushes = 0;
	vmcb.save.efer = EFER_SVME;
}

static void registers(void)
{
	clear();
	for (unsigned r = 0; r < VREG_CPL; r++)
		if (r != VREG_EFER)
			svm_set(&vcpu, (enum vcpu_reg)r, 0x1000 + r);
	for (unsigned r = 0; r < VREG_CPL; r++)
		if (r != VREG_EFER)
			CHECK_EQ(svm_get(&vcpu, (enum vcpu_reg)r), 0x1000 + r);
	CHECK_EQ(vmcb.save.rip, 0x1000 + VREG_RIP);
	CHECK_EQ(vmcb.save.cr3, 0x1000 + VREG_CR3);
	CHECK_EQ(vmcb.save.pat, 0x1000 + VREG_PAT);
	/* The lazy ones went through the processor, both ways. */
	CHECK_EQ(in_processor.lstar, 0x1000 + VREG_LSTAR);
	CHECK_EQ(in_processor.sysenter_cs, 0x1000 + VREG_SYSENTER_CS);
	CHECK_EQ(in_processor.kernel_gs_base, 0x1000 + VREG_KERNEL_GS_BASE);
	CHECK_EQ(pushes, 8);
	in_processor.star = 0x77;
	CHECK_EQ(svm_get(&vcpu, VREG_STAR), 0x77);
	/* One set doesn't carry another's stale copy along. */
	in_processor.cstar = 0x88;
	svm_set(&vcpu, VREG_STAR, 0x99);
	CHECK_EQ(in_processor.cstar, 0x88);
	CHECK_EQ(in_processor.star, 0x99);
	/* Nonsense is harmless. */
	CHECK_EQ(svm_get(&vcpu, VREG_COUNT), 0);
	svm_set(&vcpu, VREG_COUNT, 1);
	svm_set(&vcpu, VREG_CPL, 3);
	CHECK_EQ(svm_get(&vcpu, VREG_CPL), 0);
}

static void efer(void)
{
	clear();
	svm_set(&vcpu, VREG_EFER, EFER_LME | EFER_NXE);
	CHECK_EQ(svm_get(&vcpu, VREG_EFER), EFER_LME | EFER_NXE);
	CHECK_EQ(vmcb.save.efer, EFER_LME | EFER_NXE | EFER_SVME);
	svm_set(&vcpu, VREG_CR0, CR0_PG | CR0_PE);
	CHECK_EQ(svm_get(&vcpu, VREG_EFER), EFER_LME | EFER_LMA | EFER_NXE);
	svm_set(&vcpu, VREG_CR0, CR0_PE);
	CHECK_EQ(svm_get(&vcpu, VREG_EFER), EFER_LME | EFER_NXE);
	/* A claim of LMA without paging is not believed. */
	svm_set(&vcpu, VREG_EFER, EFER_LME | EFER_LMA);
	CHECK_EQ(vmcb.save.efer, EFER_LME | EFER_SVME);
}

static void interrupt_shadow(void)
{
	clear();
	vmcb.control.interrupt_state = 2;
	svm_set(&vcpu, VREG_INTR_SHADOW, 1);
	CHECK_EQ(vmcb.control.interrupt_state, 3);
	CHECK_EQ(svm_get(&vcpu, VREG_INTR_SHADOW), 1);
	vmcb.save.rflags = 1u << 16 | 2;
	svm_resume_at(&vcpu, 0x123);
	CHECK_EQ(vmcb.save.rip, 0x123);
	CHECK_EQ(svm_get(&vcpu, VREG_INTR_SHADOW), 0);
	CHECK_EQ(vmcb.control.interrupt_state, 2);
	CHECK_EQ(vmcb.save.rflags, 2);
}

static void segments(void)
{
	const struct vcpu_segment code = {
		0x10, SEG_P | SEG_S | SEG_L | SEG_G | SEG_AVL | 11, 0xffffffff, 0x123456789abc};
	const struct vcpu_segment none = {0x18, SEG_UNUSABLE | SEG_P | SEG_S | 3, 0xffff, 5};
	struct vcpu_segment s;

	clear();
	for (unsigned n = 0; n < VSEG_GDTR; n++) {
		svm_set_seg(&vcpu, (enum vcpu_seg)n, &code);
		svm_get_seg(&vcpu, (enum vcpu_seg)n, &s);
		CHECK(s.selector == code.selector && s.attributes == code.attributes);
		CHECK(s.limit == code.limit && s.base == code.base);
	}
	CHECK_EQ(vmcb.save.cs.attributes, 0xb9b);
	CHECK_EQ(in_processor.gs.attributes, 0xb9b);
	CHECK_EQ(pushes, 4);
	svm_set_seg(&vcpu, VSEG_DS, &none);
	CHECK(!(vmcb.save.ds.attributes & 0x80));
	svm_get_seg(&vcpu, VSEG_DS, &s);
	CHECK(s.attributes & SEG_UNUSABLE);
	/* As a processor may give them back: CS without G, TR not busy. */
	vmcb.save.cs.attributes = 0x29b;
	svm_get_seg(&vcpu, VSEG_CS, &s);
	CHECK_EQ(s.attributes, SEG_P | SEG_S | SEG_L | SEG_G | 11);
	in_processor.tr = (struct vmcb_segment){0x40, 0x89, 0x67, 0};
	svm_get_seg(&vcpu, VSEG_TR, &s);
	CHECK_EQ(s.attributes, SEG_P | 11);
}

static void privilege_and_tables(void)
{
	struct vcpu_segment s = {0x2b, SEG_P | SEG_S | SEG_DPL | 3, 0xfffff, 0};

	clear();
	svm_set_seg(&vcpu, VSEG_SS, &s);
	CHECK_EQ(svm_get(&vcpu, VREG_CPL), 3);
	s = (struct vcpu_segment){.limit = 0x1234, .base = 0x5678, .selector = 9, .attributes = 9};
	svm_set_seg(&vcpu, VSEG_IDTR, &s);
	CHECK_EQ(vmcb.save.idtr.limit, 0x1234);
	vmcb.save.idtr.limit = 0xabcd1234;
	svm_get_seg(&vcpu, VSEG_IDTR, &s);
	CHECK(s.limit == 0x1234 && s.base == 0x5678 && !s.selector && !s.attributes);
}

static void flushes(void)
{
	static const enum vcpu_reg regs[] = {VREG_CR0, VREG_CR3, VREG_CR4, VREG_EFER};

	clear();
	svm_flush(&vcpu);
	CHECK_EQ(vmcb.control.tlb_control, 1);
	svm.features = 1u << 6;
	svm_flush(&vcpu);
	CHECK_EQ(vmcb.control.tlb_control, 3);
	for (size_t i = 0; i < array_size(regs); i++) {
		vmcb.control.tlb_control = 0;
		svm_set(&vcpu, regs[i], 0);
		CHECK_EQ(vmcb.control.tlb_control, 3);
	}
	vmcb.control.tlb_control = 0;
	svm_set(&vcpu, VREG_RIP, 0);
	svm_dump(&vcpu);
	CHECK_EQ(vmcb.control.tlb_control, 0);
}

int main(void)
{
	RUN(registers);
	RUN(efer);
	RUN(interrupt_shadow);
	RUN(segments);
	RUN(privilege_and_tables);
	RUN(flushes);
	return TEST_RESULT();
}
