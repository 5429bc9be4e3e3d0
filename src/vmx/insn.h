/*
 * VMX instructions, the segment registers of the host, and the way into the guest. Tests bring
 * doubles (tests/unit/fakes/fake_vmx.c). On the exit path.
 */
#ifndef POSTERN_VMX_INSN_H
#define POSTERN_VMX_INSN_H

#include "base/types.h"
#include "vmx/entry.h"

/* -E_ENTRY if the processor refused. Addresses are those of 4 KiB regions. */
int vmx_insn_on(hpa_t region) must_check;
void vmx_insn_off(void);
int vmx_insn_clear(hpa_t vmcs) must_check;
int vmx_insn_load(hpa_t vmcs) must_check;

/* Fields of the current VMCS. A write that the processor refuses is logged. */
uint64_t vmx_read(uint32_t field);
void vmx_write(uint32_t field, uint64_t value);

/* Forget all that is cached for any EPT pointer; for any VPID. */
void vmx_insn_invept_all(void);
void vmx_insn_invvpid_all(void);

struct vmx_selectors {
	uint16_t es, cs, ss, ds, fs, gs, ldtr, tr;
};

struct vmx_selectors vmx_insn_selectors(void);
void vmx_insn_load_tr(uint16_t selector);
void vmx_insn_load_ldtr(uint16_t selector);

/* INT 2: the firmware's handler of NMIs runs as if the NMI had come now. */
void vmx_insn_nmi(void);

/*
 * Runs the guest up to its next exit. gpr is v->gpr; RSP isn't in it. Returns the exit reason as
 * the VMCS has it, or VMX_ENTRY_REFUSED; then gpr, rip, insn_len and interruptibility are as before.
 */
uint64_t vmx_enter(uint64_t *gpr, struct vmx_entry *n) must_check;

/* Where exits land, and the handler of an NMI that comes outside the guest: never called. */
void vmx_landing(void);
void vmx_nmi_handler(void);

/* Set by vmx_nmi_handler. A global, since an interrupt has nothing else to find it by. */
extern volatile uint8_t vmx_nmi_seen;

#endif
