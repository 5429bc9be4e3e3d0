/* What vmx/entry.S and C share: layout of struct vmx_entry. The assembler reads this file too. */
#ifndef POSTERN_VMX_ENTRY_H
#define POSTERN_VMX_ENTRY_H

#define ENTRY_HOST_RSP 0
#define ENTRY_LAUNCHED 8
#define ENTRY_REASON   16
#define ENTRY_RIP      24
#define ENTRY_INSN_LEN 32

#ifndef __ASSEMBLER__

#include "base/types.h"

struct vmx_entry {
	uint64_t host_rsp; /* as the VMCS has it; 0 when it has none */
	uint64_t launched; /* VMRESUME from now on */
	/* Of the last exit. Other fields are read by those who need them. */
	uint64_t reason, rip, insn_len;
};

_Static_assert(offsetof(struct vmx_entry, host_rsp) == ENTRY_HOST_RSP, "entry.S");
_Static_assert(offsetof(struct vmx_entry, launched) == ENTRY_LAUNCHED, "entry.S");
_Static_assert(offsetof(struct vmx_entry, reason) == ENTRY_REASON, "entry.S");
_Static_assert(offsetof(struct vmx_entry, rip) == ENTRY_RIP, "entry.S");
_Static_assert(offsetof(struct vmx_entry, insn_len) == ENTRY_INSN_LEN, "entry.S");

#endif
#endif
