/* VMX instructions; see insn.h. No state. On the exit path. */
#include "vmx/insn.h"
#include "base/error.h"
#include "base/log.h"

/* CF: no current VMCS or a bad operand; ZF: the VM-instruction error tells. Both are failures. */
#define FAILED "setbe %0"

int vmx_insn_on(hpa_t region)
{
	uint8_t failed;

	__asm__ volatile("vmxon %1; " FAILED : "=qm"(failed) : "m"(region.v) : "cc", "memory");
	return failed ? -E_ENTRY : 0;
}

void vmx_insn_off(void)
{
	__asm__ volatile("vmxoff" ::: "cc", "memory");
}

int vmx_insn_clear(hpa_t vmcs)
{
	uint8_t failed;

	__asm__ volatile("vmclear %1; " FAILED : "=qm"(failed) : "m"(vmcs.v) : "cc", "memory");
	return failed ? -E_ENTRY : 0;
}

int vmx_insn_load(hpa_t vmcs)
{
	uint8_t failed;

	__asm__ volatile("vmptrld %1; " FAILED : "=qm"(failed) : "m"(vmcs.v) : "cc", "memory");
	return failed ? -E_ENTRY : 0;
}

uint64_t vmx_read(uint32_t field)
{
	uint64_t value;

	__asm__ volatile("vmread %1, %0" : "=r"(value) : "r"((uint64_t)field) : "cc");
	return value;
}

void vmx_write(uint32_t field, uint64_t value)
{
	bool failed;

	__asm__ volatile("vmwrite %2, %1"
			 : "=@ccbe"(failed)
			 : "r"((uint64_t)field), "r"(value)
			 : "memory");
	if (failed)
		log_line("vmx: the processor refused 0x%lx for VMCS field 0x%x", value, field);
}

#define INVALIDATE_ALL_EPT  2ull
#define INVALIDATE_ALL_VPID 2ull

void vmx_insn_invept_all(void)
{
	const uint64_t descriptor[2] = {0, 0};

	__asm__ volatile("invept %0, %1" ::"m"(descriptor), "r"(INVALIDATE_ALL_EPT)
			 : "cc", "memory");
}

void vmx_insn_invvpid_all(void)
{
	const uint64_t descriptor[2] = {0, 0};

	__asm__ volatile("invvpid %0, %1" ::"m"(descriptor), "r"(INVALIDATE_ALL_VPID)
			 : "cc", "memory");
}

struct vmx_selectors vmx_insn_selectors(void)
{
	struct vmx_selectors s;

	__asm__ volatile("mov %%es, %0" : "=rm"(s.es));
	__asm__ volatile("mov %%cs, %0" : "=rm"(s.cs));
	__asm__ volatile("mov %%ss, %0" : "=rm"(s.ss));
	__asm__ volatile("mov %%ds, %0" : "=rm"(s.ds));
	__asm__ volatile("mov %%fs, %0" : "=rm"(s.fs));
	__asm__ volatile("mov %%gs, %0" : "=rm"(s.gs));
	__asm__ volatile("sldt %0" : "=rm"(s.ldtr));
	__asm__ volatile("str %0" : "=rm"(s.tr));
	return s;
}

void vmx_insn_load_tr(uint16_t selector)
{
	__asm__ volatile("ltr %0" ::"rm"(selector) : "memory");
}

void vmx_insn_load_ldtr(uint16_t selector)
{
	__asm__ volatile("lldt %0" ::"rm"(selector) : "memory");
}

void vmx_insn_nmi(void)
{
	__asm__ volatile("int $2" ::: "memory");
}
