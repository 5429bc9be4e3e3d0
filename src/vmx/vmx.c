/*
 * The back end's life: probe, init, enable, disable. State: struct vmx, from the arena. Not on the
 * exit path.
 */
#include "vmx/vmx.h"
#include "base/error.h"
#include "base/log.h"
#include "core/msr.h"
#include "vmx/state.h"

#define CPUID_1_ECX_VMX	  BIT(5)
#define CPUID_1_ECX_XSAVE BIT(26)
#define FEATURE_LOCK	  BIT(0)
#define FEATURE_VMX	  BIT(2) /* outside SMX operation */
#define CR4_CET		  BIT(23)
#define EPTP_WB		  6u
#define EPTP_WALK4	  (3u << 3)
#define GUEST_VPID	  1u
/* #DB, #AC and #MC: see exception_exit. */
#define EXCEPTIONS	  (BIT(1) | BIT(17) | BIT(18))

/* SDM vol. 3C "MSR-Bitmap Address": four parts of 1 KiB. */
#define BITMAP_READ	  0u
#define BITMAP_WRITE	  2048u
#define BITMAP_HIGH	  1024u
#define MSR_RANGE	  0x2000u
#define MSR_HIGH	  0xc0000000u

static struct vmx_caps caps_read(void)
{
	struct vmx_caps c = {.basic = hw_rdmsr(MSR_VMX_BASIC)};

	c.misc = hw_rdmsr(MSR_VMX_MISC);
	c.cr0_fixed0 = hw_rdmsr(MSR_VMX_CR0_FIXED0);
	c.cr0_fixed1 = hw_rdmsr(MSR_VMX_CR0_FIXED1);
	c.cr4_fixed0 = hw_rdmsr(MSR_VMX_CR4_FIXED0);
	c.cr4_fixed1 = hw_rdmsr(MSR_VMX_CR4_FIXED1);
	if (!vmx_caps_has_true(c.basic))
		return c;
	c.pin = hw_rdmsr(MSR_VMX_TRUE_PIN);
	c.proc = hw_rdmsr(MSR_VMX_TRUE_PROC);
	c.exit = hw_rdmsr(MSR_VMX_TRUE_EXIT);
	c.entry = hw_rdmsr(MSR_VMX_TRUE_ENTRY);
	if (!vmx_caps_has_proc2(c.proc))
		return c;
	c.proc2 = hw_rdmsr(MSR_VMX_PROC2);
	if ((c.proc2 >> 32) & (PROC2_EPT | PROC2_VPID))
		c.ept_vpid = hw_rdmsr(MSR_VMX_EPT_VPID_CAP);
	return c;
}

static bool is_locked_off(uint64_t feature_control)
{
	return (feature_control & FEATURE_LOCK) && !(feature_control & FEATURE_VMX);
}

static int vmx_probe(const char **ret_why)
{
	struct vmx_controls unused;
	struct vmx_caps caps;

	if (!(hw_cpuid(1, 0).ecx & CPUID_1_ECX_VMX)) {
		*ret_why = "the CPU has no VMX (Intel VT-x)";
		return -E_NOTSUP;
	}
	if (is_locked_off(hw_rdmsr(MSR_FEATURE_CONTROL))) {
		*ret_why = "the firmware has switched VMX off: enable \"Intel Virtualization "
			   "Technology\" (VT-x) in its setup, then switch the machine off and on";
		return -E_LOCKED;
	}
	if (hw_read_cr(4) & CR4_VMXE) {
		*ret_why = "another hypervisor is running (CR4.VMXE is set)";
		return -E_NOTSUP;
	}
	if (hw_read_cr(4) & CR4_CET) {
		*ret_why = "the firmware runs with control-flow enforcement (CR4.CET is set)";
		return -E_NOTSUP;
	}
	caps = caps_read();
	return vmx_controls_choose(&caps, &unused, ret_why);
}

static void bitmap_allow(uint8_t *bitmap, uint32_t msr)
{
	unsigned at = (msr & (MSR_RANGE - 1)) / 8 + (msr >= MSR_HIGH ? BITMAP_HIGH : 0);
	uint8_t bit = (uint8_t)(1u << (msr & 7));

	bitmap[at + BITMAP_READ] &= (uint8_t)~bit;
	bitmap[at + BITMAP_WRITE] &= (uint8_t)~bit;
}

/* Direct are only MSRs that change owner with the guest. */
static void fill_bitmap(uint8_t *bitmap)
{
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		bitmap[i] = 0xff;
	for (unsigned i = 0; i < VMX_MSRS; i++)
		if (msr_is_direct(vmx_msr_index[i]))
			bitmap_allow(bitmap, vmx_msr_index[i]);
}

static void reset_gpr(struct vcpu *v)
{
	for (unsigned i = 0; i < GPR_COUNT; i++)
		v->gpr[i] = 0;
	v->gpr[GPR_RDX] = hw_cpuid(1, 0).eax;
}

static int vmx_init(struct vcpu *v, struct arena *arena, hpa_t slpt_root)
{
	struct vmx *x = arena_alloc(arena, sizeof(*x), 64);
	uint32_t *vmxon = arena_pages(arena, 1), *vmcs = arena_pages(arena, 1);
	uint8_t *bitmap = arena_pages(arena, 1);
	struct vmx_gate *idt = arena_pages(arena, 1);
	const char *why;
	int err;

	if (!x || !vmxon || !vmcs || !bitmap || !idt)
		return -E_NOMEM;
	x->caps = caps_read();
	err = vmx_controls_choose(&x->caps, &x->controls, &why);
	if (err) {
		log_line("vmx: %s", why);
		return err;
	}
	*vmxon = *vmcs = (uint32_t)(x->caps.basic & VMX_BASIC_REVISION);
	fill_bitmap(bitmap);
	x->vmxon = arena_hpa(arena, vmxon);
	x->vmcs = arena_hpa(arena, vmcs);
	x->msr_bitmap = arena_hpa(arena, bitmap);
	x->slpt_root = slpt_root;
	x->idt = idt;
	vmx_guest_reset(x);
	reset_gpr(v);
	v->event = (struct vcpu_event){0};
	v->backend = x;
	return 0;
}

/* Found unlocked, the register is set and locked: that stays until the next reset. */
static int open_feature_control(void)
{
	uint64_t fc = hw_rdmsr(MSR_FEATURE_CONTROL);

	if (is_locked_off(fc))
		return -E_LOCKED;
	if (!(fc & FEATURE_LOCK))
		hw_wrmsr(MSR_FEATURE_CONTROL, fc | FEATURE_LOCK | FEATURE_VMX);
	return 0;
}

/* As VMX operation and the FPU code want them. */
static void load_control_registers(const struct vmx *x)
{
	uint64_t cr0 = x->host.cr0 & ~(CR0_TS | CR0_EM), cr4 = x->host.cr4 | CR4_OSFXSR;

	if (hw_cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE)
		cr4 |= CR4_OSXSAVE;
	hw_write_cr(0, vmx_fix(cr0, x->caps.cr0_fixed0, x->caps.cr0_fixed1));
	hw_write_cr(4, vmx_fix(cr4, x->caps.cr4_fixed0, x->caps.cr4_fixed1));
}

static void controls_to_vmcs(const struct vmx *x)
{
	vmx_write(VMCS_PIN_CONTROLS, x->controls.pin);
	vmx_write(VMCS_PROC_CONTROLS, x->controls.proc);
	vmx_write(VMCS_PROC2_CONTROLS, x->controls.proc2);
	vmx_write(VMCS_EXIT_CONTROLS, x->controls.exit);
	vmx_write(VMCS_EXIT_MSR_STORE_COUNT, 0);
	vmx_write(VMCS_EXIT_MSR_LOAD_COUNT, 0);
	vmx_write(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
	vmx_write(VMCS_ENTRY_EVENT, 0);
	vmx_write(VMCS_CR3_TARGETS, 0);
	vmx_write(VMCS_MSR_BITMAP, x->msr_bitmap.v);
	vmx_write(VMCS_EPTP, x->slpt_root.v | EPTP_WB | EPTP_WALK4);
	vmx_write(VMCS_EXCEPTION_BITMAP, EXCEPTIONS);
	vmx_write(VMCS_PF_ERROR_MASK, 0);
	vmx_write(VMCS_PF_ERROR_MATCH, 0);
	vmx_write(VMCS_CR0_MASK, CR0_OWNED);
	vmx_write(VMCS_CR4_MASK, CR4_OWNED);
	if (x->controls.pin & PIN_TIMER)
		vmx_write(VMCS_TIMER, x->timer);
	if (x->controls.proc2 & PROC2_VPID)
		vmx_write(VMCS_VPID, GUEST_VPID);
	if (x->controls.proc2 & PROC2_ENCLS)
		vmx_write(VMCS_ENCLS_BITMAP, ~0ull);
}

static void vmx_flush(struct vcpu *v)
{
	const struct vmx *x = vmx_of(v);

	if (!x->on)
		return;
	vmx_insn_invept_all();
	if (x->controls.proc2 & PROC2_VPID)
		vmx_insn_invvpid_all();
}

/* Each step that succeeded leaves its mark in x; vmx_disable undoes just those. */
static int vmx_enable(struct vcpu *v)
{
	struct vmx *x = vmx_of(v);
	int err = open_feature_control();

	if (err)
		return err;
	vmx_host_save(x);
	err = vmx_host_tables(x);
	if (err)
		return err;
	load_control_registers(x);
	err = vmx_insn_on(x->vmxon);
	if (err) {
		log_line("vmx: VMXON failed");
		return err;
	}
	x->on = true;
	err = vmx_insn_clear(x->vmcs);
	if (!err)
		err = vmx_insn_load(x->vmcs);
	if (err) {
		log_line("vmx: the processor refused the VMCS");
		return err;
	}
	x->entry.host_rsp = 0;
	x->entry.launched = 0;
	x->window_armed = false;
	x->turn = x->timer = vmx_turn(&x->caps);
	controls_to_vmcs(x);
	vmx_host_to_vmcs(x);
	vmx_guest_to_vmcs(x);
	vmx_flush(v);
	vmx_context_guest(v);
	return 0;
}

static void vmx_disable(struct vcpu *v)
{
	struct vmx *x = vmx_of(v);

	vmx_context_host(v);
	if (x->live)
		vmx_guest_from_vmcs(x);
	if (x->on) {
		if (vmx_insn_clear(x->vmcs))
			log_line("vmx: VMCLEAR failed");
		vmx_insn_off();
		x->on = false;
	}
	vmx_host_restore(x);
}

const struct vcpu_ops vmx_ops = {
	.name = "vmx",
	.slpt = &vmx_slpt,
	.probe = vmx_probe,
	.init = vmx_init,
	.enable = vmx_enable,
	.disable = vmx_disable,
	.run = vmx_run,
	.in_firmware = vmx_in_firmware,
	.get = vmx_get,
	.set = vmx_set,
	.get_seg = vmx_get_seg,
	.set_seg = vmx_set_seg,
	.resume_at = vmx_resume_at,
	.flush = vmx_flush,
	.dump = vmx_dump,
};
