/* The back end's own state, one per vCPU, and the functions that its files share. */
#ifndef POSTERN_VMX_STATE_H
#define POSTERN_VMX_STATE_H

#include "base/bits.h"
#include "core/vcpu.h"
#include "hw/cpu.h"
#include "vmx/controls.h"
#include "vmx/entry.h"
#include "vmx/insn.h"
#include "vmx/vmcs.h"

/*
 * The guest's fields of the VMCS that have a copy in memory while the VMCS isn't current. First
 * four for each segment in the order of enum vcpu_seg up to TR: selector, limit, rights, base.
 * RIP and interruptibility are in struct vmx_entry.
 */
enum vmx_slot {
	SLOT_SEGMENTS = 0,
	SLOT_GDTR_LIMIT = 4 * (VSEG_TR + 1),
	SLOT_GDTR_BASE,
	SLOT_IDTR_LIMIT,
	SLOT_IDTR_BASE,
	SLOT_RSP,
	SLOT_RFLAGS,
	SLOT_CR0,
	SLOT_CR3,
	SLOT_CR4,
	SLOT_CR0_SHADOW,
	SLOT_CR4_SHADOW,
	SLOT_EFER,
	SLOT_PAT,
	SLOT_DR7,
	SLOT_DEBUGCTL,
	SLOT_SYSENTER_CS,
	SLOT_SYSENTER_ESP,
	SLOT_SYSENTER_EIP,
	SLOT_ACTIVITY,
	SLOT_PENDING_DEBUG,
	SLOT_LINK,
	SLOT_PDPTE0,
	SLOT_PDPTE1,
	SLOT_PDPTE2,
	SLOT_PDPTE3,
	SLOT_ENTRY_CONTROLS,
	SLOT_COUNT
};

/*
 * MSRs that the firmware gets back. VMX switches the last eight by itself; the first ones hold the
 * guest's values between its exits too, and change owner around the firmware's window.
 */
enum vmx_msr {
	VMX_STAR,
	VMX_LSTAR,
	VMX_CSTAR,
	VMX_SFMASK,
	VMX_KERNEL_GS,
	VMX_SWAPPED,
	VMX_EFER = VMX_SWAPPED,
	VMX_PAT,
	VMX_SYSENTER_CS,
	VMX_SYSENTER_ESP,
	VMX_SYSENTER_EIP,
	VMX_FS_BASE,
	VMX_GS_BASE,
	VMX_DEBUGCTL,
	VMX_MSRS
};

#define VMX_BREAKPOINTS 4u

/* Registers of the processor that VMX doesn't switch; the owner that isn't running has them here. */
struct vmx_unswitched {
	uint64_t cr2, dr[VMX_BREAKPOINTS], dr6;
};

/* The processor as the firmware left it at enable. */
struct vmx_host {
	bool saved;
	uint64_t cr0, cr4, dr7;
	uint64_t msr[VMX_MSRS];
	struct hw_table gdt, idt;
	struct vmx_selectors selectors;
	struct vmx_unswitched unswitched;
	uint64_t tss, exit_gdt; /* base addresses that exits load */
	uint16_t exit_tr;
};

struct vmx {
	struct vmx_entry entry;
	struct vmx_caps caps;
	struct vmx_controls controls;
	hpa_t vmxon, vmcs, msr_bitmap, slpt_root;
	struct vmx_gate *idt; /* of the exit path: the firmware's with an NMI handler of ours */
	struct vmx_host host;

	bool on;	      /* in VMX operation */
	bool live;	      /* the VMCS is current and has the guest's fields; else soft has */
	bool inside;	      /* guest_msr and unswitched are in the processor */
	bool window_armed;    /* PROC_WINDOW is set in the VMCS */
	uint32_t turn, timer; /* start values of the preemption timer: the longest, the VMCS's */
	bool nmi_pending;     /* an NMI ended the guest's turn; the firmware hasn't seen it */

	uint64_t soft[SLOT_COUNT];
	uint64_t guest_msr[VMX_SWAPPED];
	struct vmx_unswitched unswitched;
};

/* SDM vol. 3A "64-Bit Mode IDT". */
struct vmx_gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, reserved;
};
_Static_assert(sizeof(struct vmx_gate) == 16, "layout of the manual");

static inline struct vmx *vmx_of(struct vcpu *v)
{
	return v->backend;
}

/* regs.c */
void vmx_guest_reset(struct vmx *x);	 /* soft: the state after power-on */
void vmx_guest_to_vmcs(struct vmx *x);	 /* then live */
void vmx_guest_from_vmcs(struct vmx *x); /* then not live */
uint64_t vmx_guest_get(const struct vmx *x, enum vmx_slot slot);
void vmx_guest_set(struct vmx *x, enum vmx_slot slot, uint64_t value);
void vmx_set_interruptibility(struct vmx *x, uint64_t value);

/* The instruction behind STI or MOV SS is done with. */
static inline void vmx_end_shadow(struct vmx *x)
{
	if (x->entry.interruptibility & BLOCKING_INTR)
		vmx_set_interruptibility(x, x->entry.interruptibility & ~(uint64_t)BLOCKING_INTR);
}

uint64_t vmx_get(struct vcpu *v, enum vcpu_reg reg);
void vmx_set(struct vcpu *v, enum vcpu_reg reg, uint64_t value);
void vmx_get_seg(struct vcpu *v, enum vcpu_seg seg, struct vcpu_segment *ret);
void vmx_set_seg(struct vcpu *v, enum vcpu_seg seg, const struct vcpu_segment *s);
uint64_t vmx_resume_at(struct vcpu *v, uint64_t rip);
void vmx_dump(struct vcpu *v);

/*
 * Control-register bits that the guest doesn't get: it reads them from a shadow, and a write that
 * would change one exits. The absorbed ones have no meaning in the virtual machine; the back end
 * lets the guest have its way in the shadow.
 */
#define CR4_MCE	     (1ull << 6)
#define CR0_OWNED    (CR0_NE | CR0_NW | CR0_CD)
#define CR0_ABSORBED CR0_NE
#define CR4_ABSORBED CR4_MCE
#define CR4_OWNED    (~CR4_DIRECT)
/* VME, PVI, TSD, DE, PSE, PAE, PGE, OSFXSR, OSXMMEXCPT, FSGSBASE, OSXSAVE, SMEP, SMAP. */
#define CR4_DIRECT   (BITS(5, 0) | BIT(7) | BIT(9) | BIT(10) | BIT(16) | BIT(18) | BIT(20) | BIT(21))

/* host.c */
void vmx_host_save(struct vmx *x);
int vmx_host_tables(struct vmx *x) must_check; /* what exits load for GDTR, IDTR and TR */
void vmx_host_to_vmcs(const struct vmx *x);
void vmx_host_restore(struct vmx *x);
void vmx_context_guest(struct vcpu *v);
void vmx_context_host(struct vcpu *v);
void vmx_in_firmware(struct vcpu *v, void (*call)(void *arg), void *arg);
extern const uint32_t vmx_msr_index[VMX_MSRS];

/* run.c */
int vmx_run(struct vcpu *v, struct vmexit *ret) must_check;

#endif
