/* Doubles of the VMX instructions; see fake_vmx.h. */
#include "fakes/fake_vmx.h"
#include "base/error.h"
#include "fakes/fake_cpu.h"

#include <string.h>

struct fake_vmx fake_vmx;
volatile uint8_t vmx_nmi_seen;

void fake_vmx_reset(void)
{
	memset(&fake_vmx, 0, sizeof(fake_vmx));
	fake_vmx.selectors = (struct vmx_selectors){
		.es = 0x30, .cs = 0x38, .ss = 0x30, .ds = 0x30, .fs = 0x30, .gs = 0x30};
	vmx_nmi_seen = 0;
}

#define MAY(must, may) ((uint64_t)(may) << 32 | (must))

struct vmx_caps fake_vmx_good_caps(void)
{
	/* Bits that must be 1, as real CPUs have them, and everything that may be. */
	struct vmx_caps c = {
		.basic = VMX_BASIC_TRUE | 0x12,
		.misc = 5,
		.pin = MAY(0x16, 0xffffffff),
		.proc = MAY(0x04006172, 0xffffffff),
		.proc2 = MAY(0, 0xffffffff),
		.exit = MAY(0x36dfb, 0xffffffff),
		.entry = MAY(0x11fb, 0xffffffff),
		.cr0_fixed0 = CR0_PG | CR0_NE | CR0_PE,
		.cr0_fixed1 = 0xffffffff,
		.cr4_fixed0 = CR4_VMXE,
		.cr4_fixed1 = 0x3767ff,
		.ept_vpid = ~0ull,
	};

	fake_cpu_set_msr(MSR_VMX_BASIC, c.basic);
	fake_cpu_set_msr(MSR_VMX_MISC, c.misc);
	fake_cpu_set_msr(MSR_VMX_TRUE_PIN, c.pin);
	fake_cpu_set_msr(MSR_VMX_TRUE_PROC, c.proc);
	fake_cpu_set_msr(MSR_VMX_PROC2, c.proc2);
	fake_cpu_set_msr(MSR_VMX_TRUE_EXIT, c.exit);
	fake_cpu_set_msr(MSR_VMX_TRUE_ENTRY, c.entry);
	fake_cpu_set_msr(MSR_VMX_CR0_FIXED0, c.cr0_fixed0);
	fake_cpu_set_msr(MSR_VMX_CR0_FIXED1, c.cr0_fixed1);
	fake_cpu_set_msr(MSR_VMX_CR4_FIXED0, c.cr4_fixed0);
	fake_cpu_set_msr(MSR_VMX_CR4_FIXED1, c.cr4_fixed1);
	fake_cpu_set_msr(MSR_VMX_EPT_VPID_CAP, c.ept_vpid);
	return c;
}

void fake_vmx_make_live(struct vmx *x)
{
	fake_vmx.on = fake_vmx.loaded = true;
	vmx_guest_to_vmcs(x);
	memset(fake_vmx.writes, 0, sizeof(fake_vmx.writes));
}

int vmx_insn_on(hpa_t region)
{
	fake_vmx.misuse += fake_vmx.on || !(fake_cpu.cr[4] & CR4_VMXE) ||
			   !(fake_cpu.cr[0] & CR0_NE) || region.v % PAGE_SIZE;
	if (fake_vmx.fail_on)
		return -E_ENTRY;
	fake_vmx.on = true;
	return 0;
}

void vmx_insn_off(void)
{
	fake_vmx.misuse += !fake_vmx.on;
	fake_vmx.on = false;
}

int vmx_insn_clear(hpa_t vmcs)
{
	fake_vmx.misuse += !fake_vmx.on || vmcs.v % PAGE_SIZE;
	fake_vmx.loaded = false;
	return fake_vmx.fail_clear ? -E_ENTRY : 0;
}

int vmx_insn_load(hpa_t vmcs)
{
	fake_vmx.misuse += !fake_vmx.on || vmcs.v % PAGE_SIZE;
	if (fake_vmx.fail_load)
		return -E_ENTRY;
	fake_vmx.loaded = true;
	return 0;
}

uint64_t vmx_read(uint32_t field)
{
	fake_vmx.misuse += !fake_vmx.loaded || field >= FAKE_FIELDS;
	return field < FAKE_FIELDS ? fake_vmx.field[field] : 0;
}

void vmx_write(uint32_t field, uint64_t value)
{
	fake_vmx.misuse += !fake_vmx.loaded || field >= FAKE_FIELDS;
	if (field >= FAKE_FIELDS)
		return;
	fake_vmx.field[field] = value;
	fake_vmx.writes[field]++;
}

void vmx_insn_invept_all(void)
{
	fake_vmx.misuse += !fake_vmx.on;
	fake_vmx.invepts++;
}

void vmx_insn_invvpid_all(void)
{
	fake_vmx.misuse += !fake_vmx.on;
	fake_vmx.invvpids++;
}

struct vmx_selectors vmx_insn_selectors(void)
{
	return fake_vmx.selectors;
}

void vmx_insn_load_tr(uint16_t selector)
{
	fake_vmx.selectors.tr = selector;
}

void vmx_insn_load_ldtr(uint16_t selector)
{
	fake_vmx.selectors.ldtr = selector;
}

void vmx_insn_nmi(void)
{
	fake_vmx.nmis++;
}

uint64_t vmx_enter(uint64_t *gpr, struct vmx_entry *n)
{
	fake_vmx.misuse += !fake_vmx.loaded;
	return fake_vmx.enter ? fake_vmx.enter(gpr, n) : VMX_ENTRY_REFUSED;
}

void vmx_landing(void)
{
}

void vmx_nmi_handler(void)
{
}
