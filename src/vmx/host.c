/*
 * The firmware's side of the processor: saved at enable, given back in its window and at disable.
 * State: struct vmx_host, and the address of the resident page. Windows are on the exit path.
 */
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "vmx/state.h"
#include "vmx/vmx.h"

const uint32_t vmx_msr_index[VMX_MSRS] = {
	[VMX_STAR] = MSR_STAR,
	[VMX_LSTAR] = MSR_LSTAR,
	[VMX_CSTAR] = MSR_CSTAR,
	[VMX_SFMASK] = MSR_SFMASK,
	[VMX_KERNEL_GS] = MSR_KERNEL_GS_BASE,
	[VMX_EFER] = MSR_EFER,
	[VMX_PAT] = MSR_PAT,
	[VMX_SYSENTER_CS] = MSR_SYSENTER_CS,
	[VMX_SYSENTER_ESP] = MSR_SYSENTER_ESP,
	[VMX_SYSENTER_EIP] = MSR_SYSENTER_EIP,
	[VMX_FS_BASE] = MSR_FS_BASE,
	[VMX_GS_BASE] = MSR_GS_BASE,
	[VMX_DEBUGCTL] = MSR_DEBUGCTL,
};

#define TSS_BYTES	   104u /* SDM vol. 3A "Task Management in 64-bit Mode" */
#define TSS_IO_MAP	   102u /* offset of the I/O map's base; at the limit: none */
#define RESIDENT_TSS	   (PAGE_SIZE - 128)
#define SELECTOR_INDEX	   0xfff8u
#define SELECTOR_TI	   0x4u
#define DESC_TYPE	   BITS(44, 40) /* with S */
#define DESC_PRESENT	   BIT(47)
#define DESC_TSS_AVAILABLE 9u
#define DESC_TSS_BUSY	   11u
#define DESC_LIMIT_LOW	   BITS(15, 0)
#define DESC_BASE_LOW	   BITS(39, 16)
#define DESC_BASE_MID	   BITS(63, 56)
#define GATE_INTERRUPT	   0x8eu
#define NMI_VECTOR	   2u
#define IDT_BYTES	   4096u
#define DR7_OFF		   0x400ull

/* A page that outlives every struct vmx, hence not in one. */
static uint8_t *resident_page;

void vmx_set_resident_page(void *page)
{
	resident_page = page;
}

static void unswitched_read(struct vmx_unswitched *u)
{
	u->cr2 = hw_read_cr(2);
	for (unsigned i = 0; i < VMX_BREAKPOINTS; i++)
		u->dr[i] = hw_read_dr(i);
	u->dr6 = hw_read_dr(6);
}

static void unswitched_write(const struct vmx_unswitched *u)
{
	hw_write_cr(2, u->cr2);
	for (unsigned i = 0; i < VMX_BREAKPOINTS; i++)
		hw_write_dr(i, u->dr[i]);
	hw_write_dr(6, u->dr6);
}

void vmx_host_save(struct vmx *x)
{
	struct vmx_host *h = &x->host;

	h->cr0 = hw_read_cr(0);
	h->cr4 = hw_read_cr(4);
	h->dr7 = hw_read_dr(7);
	for (unsigned i = 0; i < VMX_MSRS; i++)
		h->msr[i] = hw_rdmsr(vmx_msr_index[i]);
	h->gdt = hw_read_gdt();
	h->idt = hw_read_idt();
	h->selectors = vmx_insn_selectors();
	unswitched_read(&h->unswitched);
	h->saved = true;
}

static uint64_t *gdt_entry(uint64_t base, unsigned selector)
{
	return (uint64_t *)(uintptr_t)(base + (selector & SELECTOR_INDEX));
}

/* The base of the firmware's TSS, if its task register names one in its own table; else 0. */
static uint64_t firmware_tss(const struct vmx_host *h)
{
	unsigned at = h->selectors.tr & SELECTOR_INDEX;
	const uint64_t *d = gdt_entry(h->gdt.base, at);

	if (!at || h->selectors.tr & SELECTOR_TI || at + 15 > h->gdt.limit)
		return 0;
	if (FIELD_GET(DESC_TYPE, d[0]) != DESC_TSS_BUSY || !(d[0] & DESC_PRESENT))
		return 0;
	return d[1] << 32 | FIELD_GET(DESC_BASE_MID, d[0]) << 24 | FIELD_GET(DESC_BASE_LOW, d[0]);
}

/* A copy of the firmware's GDT with a TSS of ours behind it, both in the resident page. */
static int tables_of_ours(struct vmx_host *h)
{
	unsigned size = h->gdt.limit + 1u, selector = (unsigned)align_up(size, 8);
	uint64_t *d;

	if (!resident_page) {
		log_line("vmx: the firmware has no task state segment, and there is no page for "
			 "one");
		return -E_NOTSUP;
	}
	if (selector + 16 > RESIDENT_TSS) {
		log_line("vmx: no task state segment fits behind %u bytes of the firmware's GDT",
			size);
		return -E_NOTSUP;
	}
	memset(resident_page, 0, PAGE_SIZE);
	memcpy(resident_page, (const void *)(uintptr_t)h->gdt.base, size);
	h->tss = (uintptr_t)resident_page + RESIDENT_TSS;
	h->exit_gdt = (uintptr_t)resident_page;
	h->exit_tr = (uint16_t)selector;
	*(uint16_t *)(void *)(resident_page + RESIDENT_TSS + TSS_IO_MAP) = TSS_BYTES;
	d = gdt_entry(h->exit_gdt, selector);
	d[0] = FIELD_PUT(DESC_LIMIT_LOW, TSS_BYTES - 1) | FIELD_PUT(DESC_BASE_LOW, h->tss) |
	       FIELD_PUT(DESC_BASE_MID, h->tss >> 24) | FIELD_PUT(DESC_TYPE, DESC_TSS_AVAILABLE) |
	       DESC_PRESENT;
	d[1] = h->tss >> 32;
	hw_write_gdt((struct hw_table){.limit = (uint16_t)(selector + 15), .base = h->exit_gdt});
	vmx_insn_load_tr(h->exit_tr);
	return 0;
}

/* The firmware's handlers, but for NMIs: those wait for its window. */
static void make_idt(struct vmx *x)
{
	const struct vmx_host *h = &x->host;
	uint64_t handler = (uintptr_t)vmx_nmi_handler;

	memset(x->idt, 0, IDT_BYTES);
	memcpy(x->idt, (const void *)(uintptr_t)h->idt.base,
		min_u64(h->idt.limit + 1ull, IDT_BYTES));
	x->idt[NMI_VECTOR] = (struct vmx_gate){
		.offset_low = (uint16_t)handler,
		.selector = h->selectors.cs,
		.type = GATE_INTERRUPT,
		.offset_mid = (uint16_t)(handler >> 16),
		.offset_high = (uint32_t)(handler >> 32),
	};
}

static void load_exit_idt(const struct vmx *x)
{
	hw_write_idt((struct hw_table){.limit = IDT_BYTES - 1, .base = (uintptr_t)x->idt});
}

int vmx_host_tables(struct vmx *x)
{
	struct vmx_host *h = &x->host;

	make_idt(x);
	h->tss = firmware_tss(h);
	if (!h->tss)
		return tables_of_ours(h);
	h->exit_tr = h->selectors.tr;
	h->exit_gdt = h->gdt.base;
	return 0;
}

void vmx_host_to_vmcs(const struct vmx *x)
{
	const struct vmx_host *h = &x->host;

	vmx_write(VMCS_HOST_ES, h->selectors.es & SELECTOR_INDEX);
	vmx_write(VMCS_HOST_CS, h->selectors.cs & SELECTOR_INDEX);
	vmx_write(VMCS_HOST_SS, h->selectors.ss & SELECTOR_INDEX);
	vmx_write(VMCS_HOST_DS, h->selectors.ds & SELECTOR_INDEX);
	vmx_write(VMCS_HOST_FS, h->selectors.fs & SELECTOR_INDEX);
	vmx_write(VMCS_HOST_GS, h->selectors.gs & SELECTOR_INDEX);
	vmx_write(VMCS_HOST_TR, h->exit_tr & SELECTOR_INDEX);
	vmx_write(VMCS_HOST_CR0, hw_read_cr(0));
	vmx_write(VMCS_HOST_CR3, hw_read_cr(3));
	vmx_write(VMCS_HOST_CR4, hw_read_cr(4));
	vmx_write(VMCS_HOST_EFER, h->msr[VMX_EFER]);
	vmx_write(VMCS_HOST_PAT, h->msr[VMX_PAT]);
	vmx_write(VMCS_HOST_SYSENTER_CS, h->msr[VMX_SYSENTER_CS]);
	vmx_write(VMCS_HOST_SYSENTER_ESP, h->msr[VMX_SYSENTER_ESP]);
	vmx_write(VMCS_HOST_SYSENTER_EIP, h->msr[VMX_SYSENTER_EIP]);
	vmx_write(VMCS_HOST_FS_BASE, h->msr[VMX_FS_BASE]);
	vmx_write(VMCS_HOST_GS_BASE, h->msr[VMX_GS_BASE]);
	vmx_write(VMCS_HOST_TR_BASE, h->tss);
	vmx_write(VMCS_HOST_GDTR_BASE, h->exit_gdt);
	vmx_write(VMCS_HOST_IDTR_BASE, (uintptr_t)x->idt);
	vmx_write(VMCS_HOST_RIP, (uintptr_t)vmx_landing);
}

/* Writes of MSRs are slow, and most hold the value already. */
static void msrs_write(const uint64_t *value, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (hw_rdmsr(vmx_msr_index[i]) != value[i])
			hw_wrmsr(vmx_msr_index[i], value[i]);
}

/* What an exit changes and the firmware may look at: limits, LDTR, debug registers. */
static void host_tables_write(const struct vmx_host *h)
{
	hw_write_gdt(h->gdt);
	hw_write_idt(h->idt);
	if (h->selectors.ldtr)
		vmx_insn_load_ldtr(h->selectors.ldtr);
}

void vmx_host_restore(struct vmx *x)
{
	struct vmx_host *h = &x->host;

	if (!h->saved)
		return;
	h->saved = false;
	host_tables_write(h);
	msrs_write(h->msr, VMX_MSRS);
	unswitched_write(&h->unswitched);
	hw_write_dr(7, h->dr7);
	hw_write_cr(0, h->cr0);
	hw_write_cr(4, h->cr4);
}

void vmx_context_guest(struct vcpu *v)
{
	struct vmx *x = vmx_of(v);

	if (x->inside)
		return;
	x->inside = true;
	hw_write_dr(7, DR7_OFF);
	load_exit_idt(x);
	unswitched_write(&x->unswitched);
	msrs_write(x->guest_msr, VMX_SWAPPED);
	fpu_load_guest(&v->fpu);
}

void vmx_context_host(struct vcpu *v)
{
	struct vmx *x = vmx_of(v);
	const struct vmx_host *h = &x->host;

	if (!x->inside)
		return;
	x->inside = false;
	fpu_load_host(&v->fpu);
	for (unsigned i = 0; i < VMX_SWAPPED; i++)
		x->guest_msr[i] = hw_rdmsr(vmx_msr_index[i]);
	msrs_write(h->msr, VMX_MSRS);
	unswitched_read(&x->unswitched);
	unswitched_write(&h->unswitched);
	host_tables_write(h);
	hw_write_dr(7, h->dr7);
}

void vmx_in_firmware(struct vcpu *v, void (*call)(void *arg), void *arg)
{
	struct vmx *x = vmx_of(v);

	vmx_context_host(v);
	if (x->nmi_pending || vmx_nmi_seen) {
		x->nmi_pending = false;
		vmx_nmi_seen = 0;
		vmx_insn_nmi();
	}
	call(arg);
	vmx_context_guest(v);
}
