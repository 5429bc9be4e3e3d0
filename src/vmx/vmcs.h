/*
 * The virtual-machine control structure as numbers: field encodings, control bits, exit reasons.
 * SDM vol. 3C "Virtual Machine Control Structures", vol. 3D "Field Encoding in VMCS" and "VMX
 * Basic Exit Reasons" (325462-084). The assembler reads this file too: no C here.
 */
#ifndef POSTERN_VMX_VMCS_H
#define POSTERN_VMX_VMCS_H

/* Controls. */
#define VMCS_VPID		    0x0000
#define VMCS_MSR_BITMAP		    0x2004
#define VMCS_EPTP		    0x201a
#define VMCS_ENCLS_BITMAP	    0x202e
#define VMCS_PIN_CONTROLS	    0x4000
#define VMCS_PROC_CONTROLS	    0x4002
#define VMCS_EXCEPTION_BITMAP	    0x4004
#define VMCS_PF_ERROR_MASK	    0x4006
#define VMCS_PF_ERROR_MATCH	    0x4008
#define VMCS_CR3_TARGETS	    0x400a
#define VMCS_EXIT_CONTROLS	    0x400c
#define VMCS_EXIT_MSR_STORE_COUNT   0x400e
#define VMCS_EXIT_MSR_LOAD_COUNT    0x4010
#define VMCS_ENTRY_CONTROLS	    0x4012
#define VMCS_ENTRY_MSR_LOAD_COUNT   0x4014
#define VMCS_ENTRY_EVENT	    0x4016
#define VMCS_ENTRY_EVENT_ERROR	    0x4018
#define VMCS_ENTRY_INSN_LEN	    0x401a
#define VMCS_PROC2_CONTROLS	    0x401e
#define VMCS_CR0_MASK		    0x6000
#define VMCS_CR4_MASK		    0x6002
#define VMCS_CR0_SHADOW		    0x6004
#define VMCS_CR4_SHADOW		    0x6006

/* What an exit tells. */
#define VMCS_GUEST_PHYSICAL	    0x2400
#define VMCS_INSN_ERROR		    0x4400
#define VMCS_EXIT_REASON	    0x4402
#define VMCS_EXIT_EVENT		    0x4404
#define VMCS_EXIT_EVENT_ERROR	    0x4406
#define VMCS_VECTORING		    0x4408
#define VMCS_VECTORING_ERROR	    0x440a
#define VMCS_EXIT_INSN_LEN	    0x440c
#define VMCS_QUALIFICATION	    0x6400
#define VMCS_GUEST_LINEAR	    0x640a

/* Guest state. The segment fields go in steps of 2: ES, CS, SS, DS, FS, GS, LDTR, TR. */
#define VMCS_GUEST_SELECTOR	    0x0800
#define VMCS_GUEST_LINK		    0x2800
#define VMCS_GUEST_DEBUGCTL	    0x2802
#define VMCS_GUEST_PAT		    0x2804
#define VMCS_GUEST_EFER		    0x2806
#define VMCS_GUEST_PDPTE0	    0x280a
#define VMCS_GUEST_PDPTE1	    0x280c
#define VMCS_GUEST_PDPTE2	    0x280e
#define VMCS_GUEST_PDPTE3	    0x2810
#define VMCS_GUEST_LIMIT	    0x4800
#define VMCS_GUEST_GDTR_LIMIT	    0x4810
#define VMCS_GUEST_IDTR_LIMIT	    0x4812
#define VMCS_GUEST_RIGHTS	    0x4814
#define VMCS_GUEST_INTERRUPTIBILITY 0x4824
#define VMCS_GUEST_ACTIVITY	    0x4826
#define VMCS_GUEST_SYSENTER_CS	    0x482a
#define VMCS_TIMER		    0x482e
#define VMCS_GUEST_CR0		    0x6800
#define VMCS_GUEST_CR3		    0x6802
#define VMCS_GUEST_CR4		    0x6804
#define VMCS_GUEST_BASE		    0x6806
#define VMCS_GUEST_GDTR_BASE	    0x6816
#define VMCS_GUEST_IDTR_BASE	    0x6818
#define VMCS_GUEST_DR7		    0x681a
#define VMCS_GUEST_RSP		    0x681c
#define VMCS_GUEST_RIP		    0x681e
#define VMCS_GUEST_RFLAGS	    0x6820
#define VMCS_GUEST_PENDING_DEBUG    0x6822
#define VMCS_GUEST_SYSENTER_ESP	    0x6824
#define VMCS_GUEST_SYSENTER_EIP	    0x6826

/* Host state. */
#define VMCS_HOST_ES		    0x0c00
#define VMCS_HOST_CS		    0x0c02
#define VMCS_HOST_SS		    0x0c04
#define VMCS_HOST_DS		    0x0c06
#define VMCS_HOST_FS		    0x0c08
#define VMCS_HOST_GS		    0x0c0a
#define VMCS_HOST_TR		    0x0c0c
#define VMCS_HOST_PAT		    0x2c00
#define VMCS_HOST_EFER		    0x2c02
#define VMCS_HOST_SYSENTER_CS	    0x4c00
#define VMCS_HOST_CR0		    0x6c00
#define VMCS_HOST_CR3		    0x6c02
#define VMCS_HOST_CR4		    0x6c04
#define VMCS_HOST_FS_BASE	    0x6c06
#define VMCS_HOST_GS_BASE	    0x6c08
#define VMCS_HOST_TR_BASE	    0x6c0a
#define VMCS_HOST_GDTR_BASE	    0x6c0c
#define VMCS_HOST_IDTR_BASE	    0x6c0e
#define VMCS_HOST_SYSENTER_ESP	    0x6c10
#define VMCS_HOST_SYSENTER_EIP	    0x6c12
#define VMCS_HOST_RSP		    0x6c14
#define VMCS_HOST_RIP		    0x6c16

/* Pin-based controls. */
#define PIN_INTERRUPTS		    (1u << 0)
#define PIN_NMI			    (1u << 3)
#define PIN_VIRTUAL_NMI		    (1u << 5)
#define PIN_TIMER		    (1u << 6)

/* Primary processor-based controls. */
#define PROC_WINDOW		    (1u << 2)
#define PROC_HLT		    (1u << 7)
#define PROC_INVLPG		    (1u << 9)
#define PROC_MWAIT		    (1u << 10)
#define PROC_RDPMC		    (1u << 11)
#define PROC_RDTSC		    (1u << 12)
#define PROC_CR3_LOAD		    (1u << 15)
#define PROC_CR3_STORE		    (1u << 16)
#define PROC_CR8_LOAD		    (1u << 19)
#define PROC_CR8_STORE		    (1u << 20)
#define PROC_MOV_DR		    (1u << 23)
#define PROC_IO			    (1u << 24)
#define PROC_MSR_BITMAP		    (1u << 28)
#define PROC_MONITOR		    (1u << 29)
#define PROC_SECONDARY		    (1u << 31)

/* Secondary processor-based controls. */
#define PROC2_EPT		    (1u << 1)
#define PROC2_VPID		    (1u << 5)
#define PROC2_WBINVD		    (1u << 6)
#define PROC2_UNRESTRICTED	    (1u << 7)
#define PROC2_ENCLS		    (1u << 15)

/* Exit and entry controls. */
#define EXIT_SAVE_DEBUG		    (1u << 2)
#define EXIT_HOST_64		    (1u << 9)
#define EXIT_SAVE_PAT		    (1u << 18)
#define EXIT_LOAD_PAT		    (1u << 19)
#define EXIT_SAVE_EFER		    (1u << 20)
#define EXIT_LOAD_EFER		    (1u << 21)
#define ENTRY_LOAD_DEBUG	    (1u << 2)
#define ENTRY_IA32E		    (1u << 9)
#define ENTRY_LOAD_PAT		    (1u << 14)
#define ENTRY_LOAD_EFER		    (1u << 15)

/* Interruptibility: SDM vol. 3C "Guest Non-Register State". */
#define BLOCKING_STI		    (1u << 0)
#define BLOCKING_MOV_SS		    (1u << 1)
#define BLOCKING_NMI		    (1u << 3)
#define BLOCKING_INTR		    (BLOCKING_STI | BLOCKING_MOV_SS)

/* Pending debug exceptions beside those bits of DR6: SDM vol. 3C "Guest Non-Register State". */
#define PENDING_ENABLED		    (1u << 12) /* one of B0 to B3 is of an enabled breakpoint */

/* Event information of entry, exit, and IDT vectoring: SDM vol. 3C "VM-Entry Controls for Event Injection". */
#define EVENT_VECTOR		    0x000000ffu
#define EVENT_TYPE		    0x00000700u
#define EVENT_HAS_ERROR		    0x00000800u
#define EVENT_VALID		    0x80000000u
#define EVENT_ERROR_BITS	    0x00007fffu
#define EVENT_TYPE_INTR		    0u
#define EVENT_TYPE_NMI		    2u
#define EVENT_TYPE_HARD		    3u
#define EVENT_TYPE_ICEBP	    5u

/* Basic exit reasons that are told apart; bit 31 marks an entry that failed on guest state. */
#define REASON_EXCEPTION	    0
#define REASON_TRIPLE_FAULT	    2
#define REASON_INTERRUPT	    1
#define REASON_INIT		    3
#define REASON_WINDOW		    7
#define REASON_TASK_SWITCH	    9
#define REASON_CPUID		    10
#define REASON_GETSEC		    11
#define REASON_HLT		    12
#define REASON_INVD		    13
#define REASON_RDPMC		    15
#define REASON_RSM		    17
#define REASON_VMCALL		    18
#define REASON_VMXON		    27
#define REASON_CR		    28
#define REASON_IO		    30
#define REASON_RDMSR		    31
#define REASON_WRMSR		    32
#define REASON_MWAIT		    36
#define REASON_MONITOR		    39
#define REASON_MACHINE_CHECK	    41
#define REASON_EPT_VIOLATION	    48
#define REASON_EPT_MISCONFIG	    49
#define REASON_INVEPT		    50
#define REASON_TIMER		    52
#define REASON_INVVPID		    53
#define REASON_WBINVD		    54
#define REASON_XSETBV		    55
#define REASON_VMFUNC		    59
#define REASON_ENCLS		    60
#define REASON_COUNT		    64
#define REASON_ENTRY_FAILED	    0x80000000u

#endif
