/*
 * What is done once, before the guest runs: is there SVM, and the structures that the processor
 * reads. AMD64 Architecture Programmer's Manual vol. 2 (24593), "Enabling SVM", "VMCB Layout",
 * "I/O Permissions Map", "MSR Permissions Map". Not on the exit path.
 */
#include "base/error.h"
#include "base/mem.h"
#include "core/msr.h"
#include "hw/cpu.h"
#include "svm/svm.h"

/* All that the virtual CPU lacks, and what core answers. */
#define INTERCEPT1                                                                                 \
	(I1_INTR | I1_NMI | I1_INIT | I1_RDPMC | I1_CPUID | I1_RSM | I1_INVD | I1_HLT |            \
		I1_INVLPGA | I1_IOIO | I1_MSR | I1_SHUTDOWN)
#define INTERCEPT2                                                                                 \
	(I2_VMRUN | I2_VMMCALL | I2_VMLOAD | I2_VMSAVE | I2_STGI | I2_CLGI | I2_SKINIT |           \
		I2_RDTSCP | I2_WBINVD | I2_MONITOR | I2_MWAIT | I2_XSETBV)
/*
 * #DB and #AC: a guest can arrange that delivering one raises the next without end, and no host
 * interrupt gets between them. #MC is the machine's own. No control register but CR8 is intercepted:
 * the processor keeps two of each, and none of the guest's bits reaches beyond the guest. CR8 belongs
 * to the guest's local APIC, and a lower priority may let an interrupt in at once.
 */
#define INTERCEPT_CR	     (BIT(8) | BIT(8 + 16))
#define INTERCEPT_EXCEPTIONS (BIT(VECTOR_DB) | BIT(VECTOR_AC) | BIT(VECTOR_MC))

#define PAT_AT_RESET	     0x0007040600070406ull
#define DR6_AT_RESET	     0xffff0ff0u
#define DR7_AT_RESET	     0x400u
#define GUEST_ASID	     1u
#define CPUID_HYPERVISOR     0x40000000u
#define CPUID_1_HYPERVISOR   BIT(31) /* ECX */

int svm_probe(const char **ret_why)
{
	uint64_t vm_cr;

	if (hw_cpuid(CPUID_EXTENDED, 0).eax < CPUID_SVM ||
		!(hw_cpuid(CPUID_FEATURES, 0).ecx & CPUID_FEATURES_SVM)) {
		*ret_why = "this CPU has no AMD-V (SVM)";
		return -E_NOTSUP;
	}
	if (!(hw_cpuid(CPUID_SVM, 0).edx & CPUID_SVM_NPT)) {
		*ret_why = "this CPU has AMD-V without nested paging";
		return -E_NOTSUP;
	}
	vm_cr = hw_rdmsr(MSR_VM_CR);
	if ((vm_cr & VM_CR_SVMDIS) && (vm_cr & VM_CR_LOCK)) {
		*ret_why = "the firmware has switched AMD-V off: look for SVM in its setup";
		return -E_LOCKED;
	}
	return 0;
}

/*
 * QEMU's emulated CPU saves the interrupt shadow at an exit and forgets it at the next VMRUN; it
 * says who it is in the CPUID leaf that its vendor reserved for that.
 */
static bool shadow_is_kept(void)
{
	struct cpuid_regs r;

	if (!(hw_cpuid(1, 0).ecx & CPUID_1_HYPERVISOR))
		return true;
	r = hw_cpuid(CPUID_HYPERVISOR, 0);
	return r.ebx != 0x54474354; /* "TCGT" */
}

/* MSRs that the processor doesn't keep apart, whatever core says. */
static bool is_passed(uint32_t index)
{
	return msr_is_direct(index) && index != MSR_EFER && index != MSR_PAT;
}

/* Two bits for each MSR of three ranges: reads and writes exit. */
static void fill_msrpm(uint8_t *map)
{
	static const uint32_t first[] = {0, 0xc0000000u, 0xc0010000u};

	memset(map, 0xff, MSRPM_PAGES * PAGE_SIZE);
	for (unsigned range = 0; range < array_size(first); range++)
		for (unsigned i = 0; i < 0x2000; i++)
			if (is_passed(first[range] + i))
				map[range * 0x800 + i / 4] &= (uint8_t) ~(3u << (i % 4 * 2));
}

static void fill_control(struct vmcb_control *c, struct svm *s)
{
	c->intercept_cr = INTERCEPT_CR;
	c->intercept_exception = INTERCEPT_EXCEPTIONS;
	c->intercept1 = INTERCEPT1;
	c->intercept2 = INTERCEPT2;
	if (hw_cpuid(CPUID_EXTENDED, 0).eax >= CPUID_SIZES &&
		(hw_cpuid(CPUID_SIZES, 0).ebx & CPUID_SIZES_RDPRU))
		c->intercept2 |= I2_RDPRU;
	c->asid = GUEST_ASID;
	c->nested = NESTED_ENABLE;
	s->features = hw_cpuid(CPUID_SVM, 0).edx;
	s->shadow_is_kept = shadow_is_kept();
}

/* AMD64 Architecture Programmer's Manual vol. 2 (24593), "Initial Processor State". */
static void fill_power_on(struct vmcb_save *g)
{
	const struct vmcb_segment data = {0, 0x93, 0xffff, 0};

	g->es = g->ss = g->ds = g->fs = g->gs = data;
	g->cs = (struct vmcb_segment){0xf000, 0x9b, 0xffff, 0xffff0000};
	g->gdtr.limit = g->idtr.limit = 0xffff;
	g->ldtr = (struct vmcb_segment){0, 0x82, 0xffff, 0};
	g->tr = (struct vmcb_segment){0, 0x8b, 0xffff, 0};
	g->efer = EFER_SVME;
	g->cr0 = CR0_CD | CR0_NW | CR0_ET;
	g->dr6 = DR6_AT_RESET;
	g->dr7 = DR7_AT_RESET;
	g->rflags = RFLAGS_FIXED;
	g->rip = 0xfff0;
	g->pat = PAT_AT_RESET;
}

int svm_init(struct vcpu *v, struct arena *arena, hpa_t slpt_root)
{
	struct svm *s = arena_alloc(arena, sizeof(*s), 64);
	void *hsave = arena_pages(arena, 1);
	void *iopm = arena_pages(arena, IOPM_PAGES);
	void *msrpm = arena_pages(arena, MSRPM_PAGES);
	struct vmcb_control *c;

	if (!s || !hsave || !iopm || !msrpm)
		return -E_NOMEM;
	s->vmcb = arena_pages(arena, 1);
	s->host_vmcb = arena_pages(arena, 1);
	if (!s->vmcb || !s->host_vmcb)
		return -E_NOMEM;
	s->vmcb_at = arena_hpa(arena, s->vmcb);
	s->host_vmcb_at = arena_hpa(arena, s->host_vmcb);
	s->hsave_at = arena_hpa(arena, hsave);
	memset(iopm, 0xff, IOPM_PAGES * PAGE_SIZE);
	fill_msrpm(msrpm);
	c = &s->vmcb->control;
	fill_control(c, s);
	c->iopm = arena_hpa(arena, iopm).v;
	c->msrpm = arena_hpa(arena, msrpm).v;
	c->nested_cr3 = slpt_root.v;
	fill_power_on(&s->vmcb->save);
	s->guest_saved = true;
	memset(v->gpr, 0, sizeof(v->gpr));
	v->backend = s;
	return 0;
}
