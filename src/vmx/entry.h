/* What vmx/entry.S and C share: layout of struct vmx_entry. The assembler reads this file too. */
#ifndef POSTERN_VMX_ENTRY_H
#define POSTERN_VMX_ENTRY_H

#define ENTRY_HOST_RSP	       0
#define ENTRY_LAUNCHED	       8
#define ENTRY_RIP	       16
#define ENTRY_INSN_LEN	       24
#define ENTRY_INTERRUPTIBILITY 32

#ifndef __ASSEMBLER__

#include "base/types.h"

struct vmx_entry {
	uint64_t host_rsp;	   /* as the VMCS has it; 0 when it has none */
	uint64_t launched;	   /* VMRESUME from now on */
	uint64_t rip;		   /* the guest's: written at each entry, read at each exit */
	uint64_t insn_len;	   /* of the last exit */
	uint64_t interruptibility; /* read at each exit; who changes it writes the VMCS too */
};

_Static_assert(offsetof(struct vmx_entry, host_rsp) == ENTRY_HOST_RSP, "entry.S");
_Static_assert(offsetof(struct vmx_entry, launched) == ENTRY_LAUNCHED, "entry.S");
_Static_assert(offsetof(struct vmx_entry, rip) == ENTRY_RIP, "entry.S");
_Static_assert(offsetof(struct vmx_entry, insn_len) == ENTRY_INSN_LEN, "entry.S");
_Static_assert(offsetof(struct vmx_entry, interruptibility) == ENTRY_INTERRUPTIBILITY, "entry.S");

/* vmx_enter: the processor refused VMLAUNCH or VMRESUME. No exit reason has so many bits. */
#define VMX_ENTRY_REFUSED (~0ull)

#endif
#endif
