/*
 * Turning SVM on and off, the way in and out of the guest, and the firmware's window.
 *
 * From enable to disable the global interrupt flag is 0 in all code of ours, so that an exit needs
 * no descriptor tables, FS, GS and TR of the host: nothing can interrupt it. A host interrupt that
 * comes meanwhile waits and ends the next VMRUN at once. Only the window gives the processor back
 * to the firmware, with all that is the host's loaded. On the exit path.
 *
 * AMD64 Architecture Programmer's Manual vol. 2 (24593), "Global Interrupt Flag", "VMSAVE and
 * VMLOAD Instructions".
 */
#include "base/error.h"
#include "hw/cpu.h"
#include "svm/svm.h"

#define CPUID_XSAVE BIT(26) /* leaf 1 ECX */

static void vmload(hpa_t at)
{
	__asm__ volatile("vmload %%rax" ::"a"(at.v) : "memory");
}

static void vmsave(hpa_t at)
{
	__asm__ volatile("vmsave %%rax" ::"a"(at.v) : "memory");
}

static void stgi(void)
{
	__asm__ volatile("stgi" ::: "memory");
}

static void clgi(void)
{
	__asm__ volatile("clgi" ::: "memory");
}

void svm_pull(struct svm *s)
{
	if (s->guest_saved)
		return;
	vmsave(s->vmcb_at);
	s->guest_saved = true;
}

void svm_push(struct svm *s)
{
	if (s->guest_loaded)
		vmload(s->vmcb_at);
}

static void load_guest(struct vcpu *v)
{
	struct svm *s = svm_of(v);

	vmload(s->vmcb_at);
	for (unsigned i = 0; i < array_size(s->guest_dr); i++)
		hw_write_dr(i, s->guest_dr[i]);
	fpu_load_guest(&v->fpu);
	s->guest_loaded = true;
}

/* CR2 and DR6 are the guest's after an exit, and DR7 is nobody's. */
static void load_host(struct vcpu *v)
{
	struct svm *s = svm_of(v);

	if (!s->guest_loaded)
		return;
	svm_pull(s);
	fpu_load_host(&v->fpu);
	for (unsigned i = 0; i < array_size(s->guest_dr); i++) {
		s->guest_dr[i] = hw_read_dr(i);
		hw_write_dr(i, s->host.dr[i]);
	}
	hw_write_cr(2, s->host.cr2);
	hw_write_dr(6, s->host.dr6);
	hw_write_dr(7, s->host.dr7);
	vmload(s->host_vmcb_at);
	s->guest_loaded = false;
}

static void save_found(struct svm_host *h)
{
	h->cr0 = hw_read_cr(0);
	h->cr2 = hw_read_cr(2);
	h->cr4 = hw_read_cr(4);
	h->efer = hw_rdmsr(MSR_EFER);
	h->pat = hw_rdmsr(MSR_PAT);
	h->vm_cr = hw_rdmsr(MSR_VM_CR);
	for (unsigned i = 0; i < array_size(h->dr); i++)
		h->dr[i] = hw_read_dr(i);
	h->dr6 = hw_read_dr(6);
	h->dr7 = hw_read_dr(7);
}

/*
 * NXE, because the nested tables are read by the host's rules; the firmware's tables can't have NX
 * set where it is off. CR0 and CR4 for the vector registers: core/fpu.h.
 */
static int svm_enable(struct vcpu *v)
{
	struct svm *s = svm_of(v);
	struct svm_host *h = &s->host;

	save_found(h);
	if (!svm_pat_is_usable(h->pat))
		return -E_NOTSUP;
	if (h->vm_cr & VM_CR_SVMDIS) {
		if (h->vm_cr & VM_CR_LOCK)
			return -E_LOCKED;
		hw_wrmsr(MSR_VM_CR, h->vm_cr & ~VM_CR_SVMDIS);
	}
	hw_write_cr(0, (h->cr0 & ~(CR0_TS | CR0_EM)) | CR0_MP);
	hw_write_cr(4, h->cr4 | CR4_OSFXSR | (v->fpu.supported ? CR4_OSXSAVE : 0));
	hw_wrmsr(MSR_EFER, h->efer | EFER_SVME | EFER_NXE);
	h->hsave = hw_rdmsr(MSR_VM_HSAVE_PA);
	clgi();
	hw_wrmsr(MSR_VM_HSAVE_PA, s->hsave_at.v);
	hw_wrmsr(MSR_PAT, svm_host_pat(h->pat));
	vmsave(s->host_vmcb_at);
	svm_flush(v);
	s->enabled = true;
	return 0;
}

static void svm_disable(struct vcpu *v)
{
	struct svm *s = svm_of(v);
	const struct svm_host *h = &s->host;

	if (!s->enabled)
		return;
	load_host(v);
	hw_wrmsr(MSR_PAT, h->pat);
	hw_wrmsr(MSR_VM_HSAVE_PA, h->hsave);
	stgi();
	hw_wrmsr(MSR_EFER, h->efer);
	if (h->vm_cr & VM_CR_SVMDIS)
		hw_wrmsr(MSR_VM_CR, h->vm_cr);
	hw_write_cr(4, h->cr4);
	hw_write_cr(0, h->cr0);
	s->enabled = false;
}

/*
 * A virtual interrupt of the highest priority that is intercepted when the guest could take it.
 * Where the processor forgets the interrupt shadow, the question waits for the next exit: an
 * interrupt between STI and HLT would be slept over.
 */
static void ask_for_window(struct vcpu *v, struct vmcb_control *c)
{
	struct svm *s = svm_of(v);
	bool shadow = c->interrupt_state & INTERRUPT_SHADOW;
	uint64_t tpr = c->virtual_interrupt & VINTR_TPR;

	if (v->want_window && (s->shadow_is_kept || !shadow)) {
		c->virtual_interrupt = tpr | VINTR_MASKING | VINTR_IRQ | VINTR_IGNORE_TPR |
				       VINTR_PRIORITY;
		c->intercept1 |= I1_VINTR;
	} else {
		c->virtual_interrupt = tpr | VINTR_MASKING;
		c->intercept1 &= ~(uint32_t)I1_VINTR;
	}
}

static int svm_run(struct vcpu *v, struct vmexit *ret)
{
	struct svm *s = svm_of(v);
	struct vmcb_control *c = &s->vmcb->control;

	if (!s->guest_loaded)
		load_guest(v);
	c->event_injection = svm_event_field(&v->event);
	ask_for_window(v, c);
	s->vmcb->save.rax = v->gpr[GPR_RAX];
	s->guest_saved = false;

	svm_enter(v->gpr, s->vmcb_at.v);

	v->gpr[GPR_RAX] = s->vmcb->save.rax;
	c->tlb_control = TLB_KEEP;
	svm_normalise(s->vmcb, v->gpr, s->features, ret);
	v->event = svm_interrupted_event(s->vmcb);
	return ret->kind == VMEXIT_REFUSED ? -E_ENTRY : 0;
}

/* STGI comes last and with RFLAGS.IF 0: what is pending is taken after STI, or wakes the HLT. */
static void svm_in_firmware(struct vcpu *v, void (*call)(void *arg), void *arg)
{
	load_host(v);
	stgi();
	call(arg);
	clgi();
}

const struct vcpu_ops svm_ops = {
	.name = "svm",
	.slpt = &svm_slpt,
	.probe = svm_probe,
	.init = svm_init,
	.enable = svm_enable,
	.disable = svm_disable,
	.run = svm_run,
	.in_firmware = svm_in_firmware,
	.get = svm_get,
	.set = svm_set,
	.get_seg = svm_get_seg,
	.set_seg = svm_set_seg,
	.resume_at = svm_resume_at,
	.flush = svm_flush,
	.dump = svm_dump,
};
