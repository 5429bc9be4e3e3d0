/* What of the host's processor must survive a guest: taken before enable and after disable. */
#include "base/log.h"
#include "bench.h"
#include "hw/cpu.h"

#define MSR_VM_HSAVE_PA 0xc0010117u
#define CPUID_XSAVE	(1u << 26) /* leaf 1 ECX */

static void add(struct host_state *h, const char *name, uint64_t value)
{
	h->name[h->count] = name;
	h->value[h->count++] = value;
}

static void take_selectors(struct host_state *h, bool svm)
{
	uint16_t s;

#define TAKE(reg, read)                                                                            \
	do {                                                                                       \
		__asm__ volatile(read " %0" : "=r"(s));                                            \
		add(h, reg, s);                                                                    \
	} while (0)
	TAKE("cs", "movw %%cs,");
	TAKE("ds", "movw %%ds,");
	TAKE("es", "movw %%es,");
	TAKE("ss", "movw %%ss,");
	TAKE("fs", "movw %%fs,");
	TAKE("gs", "movw %%gs,");
	TAKE("ldtr", "sldt");
	/* VMX needs a task register, and none can be had back: it stays loaded. */
	if (svm)
		TAKE("tr", "str");
#undef TAKE
}

static void take_msrs(struct host_state *h, bool svm)
{
	static const struct {
		const char *name;
		uint32_t index;
	} msrs[] = {
		{"EFER", MSR_EFER},
		{"PAT", MSR_PAT},
		{"STAR", MSR_STAR},
		{"LSTAR", MSR_LSTAR},
		{"CSTAR", MSR_CSTAR},
		{"SFMASK", MSR_SFMASK},
		{"FS base", MSR_FS_BASE},
		{"GS base", MSR_GS_BASE},
		{"KERNEL_GS_BASE", MSR_KERNEL_GS_BASE},
		{"SYSENTER_CS", MSR_SYSENTER_CS},
		{"SYSENTER_ESP", MSR_SYSENTER_ESP},
		{"SYSENTER_EIP", MSR_SYSENTER_EIP},
		{"APIC_BASE", MSR_APIC_BASE},
		{"DEBUGCTL", MSR_DEBUGCTL},
	};

	for (unsigned i = 0; i < array_size(msrs); i++)
		add(h, msrs[i].name, hw_rdmsr(msrs[i].index));
	if (svm)
		add(h, "VM_HSAVE_PA", hw_rdmsr(MSR_VM_HSAVE_PA));
}

static void take_vectors(struct host_state *h)
{
	uint64_t xmm[HOST_XMM];
	uint32_t mxcsr;
	uint16_t fcw;

	bench_store_vectors(xmm);
	for (unsigned i = 0; i < HOST_XMM; i++)
		add(h, "XMM", xmm[i]);
	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(fcw));
	add(h, "MXCSR", mxcsr);
	add(h, "FCW", fcw);
}

/* Readable only while CR4 says so, which the firmware may not have done. */
static uint64_t read_xcr0(void)
{
	uint64_t cr4 = hw_read_cr(4), xcr0;

	if (!(hw_cpuid(1, 0).ecx & CPUID_XSAVE))
		return 0;
	hw_write_cr(4, cr4 | CR4_OSXSAVE);
	xcr0 = hw_read_xcr0();
	hw_write_cr(4, cr4);
	return xcr0;
}

struct host_view host_view_take(void)
{
	struct host_view view = {
		.dr7 = hw_read_dr(7),
		.xcr0 = read_xcr0(),
		.fs_base = hw_rdmsr(MSR_FS_BASE),
		.gs_base = hw_rdmsr(MSR_GS_BASE),
		.star = hw_rdmsr(MSR_STAR),
		.lstar = hw_rdmsr(MSR_LSTAR),
	};

	for (unsigned i = 0; i < array_size(view.dr); i++)
		view.dr[i] = hw_read_dr(i);
	return view;
}

void host_state_take(struct host_state *h, bool svm)
{
	struct hw_table gdt = hw_read_gdt(), idt = hw_read_idt();

	h->count = 0;
	add(h, "CR0", hw_read_cr(0));
	add(h, "CR2", hw_read_cr(2));
	add(h, "CR3", hw_read_cr(3));
	add(h, "CR4", hw_read_cr(4));
	add(h, "CR8", hw_read_cr(8));
	add(h, "XCR0", read_xcr0());
	add(h, "GDT base", gdt.base);
	add(h, "GDT limit", gdt.limit);
	add(h, "IDT base", idt.base);
	add(h, "IDT limit", idt.limit);
	add(h, "DR0", hw_read_dr(0));
	add(h, "DR1", hw_read_dr(1));
	add(h, "DR2", hw_read_dr(2));
	add(h, "DR3", hw_read_dr(3));
	add(h, "DR6", hw_read_dr(6));
	add(h, "DR7", hw_read_dr(7));
	add(h, "IF", hw_irq_enabled());
	take_selectors(h, svm);
	take_msrs(h, svm);
	take_vectors(h);
}

bool host_state_compare(const struct host_state *before, const struct host_state *after)
{
	bool same = before->count == after->count;

	for (unsigned i = 0; i < before->count && i < after->count; i++) {
		if (before->value[i] == after->value[i])
			continue;
		log_line("  %s was %llx and is %llx", before->name[i],
			(unsigned long long)before->value[i], (unsigned long long)after->value[i]);
		same = false;
	}
	return same;
}
