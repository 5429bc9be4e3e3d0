/*
 * The virtual machine control block: the page through which the processor and SVM software speak.
 * Layout, bits and exit codes are those of the AMD64 Architecture Programmer's Manual vol. 2
 * (24593), appendices "VMCB Layout" and "SVM Intercept Exit Codes". No state, no code.
 */
#ifndef POSTERN_SVM_VMCB_H
#define POSTERN_SVM_VMCB_H

#include "base/bits.h"
#include "base/types.h"

struct vmcb_segment {
	uint16_t selector;
	uint16_t attributes; /* descriptor bits 55:52 and 47:40, without a gap */
	uint32_t limit;
	uint64_t base;
};

struct vmcb_control {
	uint32_t intercept_cr; /* reads in 15:0, writes in 31:16 */
	uint32_t intercept_dr;
	uint32_t intercept_exception;
	uint32_t intercept1;
	uint32_t intercept2;
	uint32_t intercept3;
	uint8_t reserved_18[0x24];
	uint16_t pause_threshold;
	uint16_t pause_count;
	uint64_t iopm;
	uint64_t msrpm;
	uint64_t tsc_offset;
	uint32_t asid;
	uint8_t tlb_control;
	uint8_t reserved_5d[3];
	uint64_t virtual_interrupt;
	uint64_t interrupt_state;
	uint64_t exit_code;
	uint64_t exit_info1;
	uint64_t exit_info2;
	uint64_t exit_interrupt_info;
	uint64_t nested;
	uint8_t reserved_98[0x10];
	uint64_t event_injection;
	uint64_t nested_cr3;
	uint64_t virtual_extensions;
	uint32_t clean;
	uint32_t reserved_c4;
	uint64_t next_rip;
	uint8_t insn_count;
	uint8_t insn[15];
	uint8_t reserved_e0[0x320];
};

struct vmcb_save {
	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t reserved_a0[0x2b];
	uint8_t cpl;
	uint32_t reserved_cc;
	uint64_t efer;
	uint8_t reserved_d8[0x70];
	uint64_t cr4;
	uint64_t cr3;
	uint64_t cr0;
	uint64_t dr7;
	uint64_t dr6;
	uint64_t rflags;
	uint64_t rip;
	uint8_t reserved_180[0x58];
	uint64_t rsp;
	uint64_t s_cet;
	uint64_t ssp;
	uint64_t isst;
	uint64_t rax;
	uint64_t star;
	uint64_t lstar;
	uint64_t cstar;
	uint64_t sfmask;
	uint64_t kernel_gs_base;
	uint64_t sysenter_cs;
	uint64_t sysenter_esp;
	uint64_t sysenter_eip;
	uint64_t cr2;
	uint8_t reserved_248[0x20];
	uint64_t pat;
	uint64_t debugctl;
	uint8_t reserved_278[0x988];
};

struct vmcb {
	struct vmcb_control control;
	struct vmcb_save save;
};

#define VMCB_AT(field, offset)                                                                     \
	_Static_assert(offsetof(struct vmcb, field) == (offset), "VMCB layout: " #field)

VMCB_AT(control.intercept_exception, 0x008);
VMCB_AT(control.pause_threshold, 0x03c);
VMCB_AT(control.iopm, 0x040);
VMCB_AT(control.asid, 0x058);
VMCB_AT(control.tlb_control, 0x05c);
VMCB_AT(control.virtual_interrupt, 0x060);
VMCB_AT(control.exit_code, 0x070);
VMCB_AT(control.exit_interrupt_info, 0x088);
VMCB_AT(control.nested, 0x090);
VMCB_AT(control.event_injection, 0x0a8);
VMCB_AT(control.nested_cr3, 0x0b0);
VMCB_AT(control.clean, 0x0c0);
VMCB_AT(control.next_rip, 0x0c8);
VMCB_AT(control.insn_count, 0x0d0);
VMCB_AT(save.es, 0x400);
VMCB_AT(save.gdtr, 0x460);
VMCB_AT(save.tr, 0x490);
VMCB_AT(save.cpl, 0x4cb);
VMCB_AT(save.efer, 0x4d0);
VMCB_AT(save.cr4, 0x548);
VMCB_AT(save.rip, 0x578);
VMCB_AT(save.rsp, 0x5d8);
VMCB_AT(save.rax, 0x5f8);
VMCB_AT(save.star, 0x600);
VMCB_AT(save.cr2, 0x640);
VMCB_AT(save.pat, 0x668);
VMCB_AT(save.debugctl, 0x670);
_Static_assert(sizeof(struct vmcb_segment) == 16, "VMCB layout: segment");
_Static_assert(sizeof(struct vmcb) == PAGE_SIZE, "VMCB layout: size");

/* intercept1 and the numbers of its exits: bit n exits with code EXIT_INTR + n. */
#define I1_INTR		     BIT(0)
#define I1_NMI		     BIT(1)
#define I1_INIT		     BIT(3)
#define I1_VINTR	     BIT(4)
#define I1_RDPMC	     BIT(15)
#define I1_CPUID	     BIT(18)
#define I1_RSM		     BIT(19)
#define I1_INVD		     BIT(22)
#define I1_HLT		     BIT(24)
#define I1_INVLPGA	     BIT(26)
#define I1_IOIO		     BIT(27)
#define I1_MSR		     BIT(28)
#define I1_SHUTDOWN	     BIT(31)

/* intercept2: bit n exits with code EXIT_VMRUN + n. */
#define I2_VMRUN	     BIT(0)
#define I2_VMMCALL	     BIT(1)
#define I2_VMLOAD	     BIT(2)
#define I2_VMSAVE	     BIT(3)
#define I2_STGI		     BIT(4)
#define I2_CLGI		     BIT(5)
#define I2_SKINIT	     BIT(6)
#define I2_RDTSCP	     BIT(7)
#define I2_WBINVD	     BIT(9)
#define I2_MONITOR	     BIT(10)
#define I2_MWAIT	     BIT(11)
#define I2_XSETBV	     BIT(13)
#define I2_RDPRU	     BIT(14)

#define TLB_KEEP	     0u
#define TLB_FLUSH_ALL	     1u
#define TLB_FLUSH_ASID	     3u /* CPUID_SVM_FLUSH_ASID */

#define VINTR_TPR	     BITS(7, 0)
#define VINTR_IRQ	     BIT(8)
#define VINTR_PRIORITY	     BITS(19, 16)
#define VINTR_IGNORE_TPR     BIT(20)
#define VINTR_MASKING	     BIT(24)

#define INTERRUPT_SHADOW     BIT(0)

#define NESTED_ENABLE	     BIT(0)

/* EVENTINJ and EXITINTINFO. */
#define EVENT_VECTOR	     BITS(7, 0)
#define EVENT_TYPE	     BITS(10, 8)
#define EVENT_INTR	     0u
#define EVENT_NMI	     2u
#define EVENT_EXCEPTION	     3u
#define EVENT_SOFTWARE	     4u
#define EVENT_HAS_ERROR	     BIT(11)
#define EVENT_VALID	     BIT(31)
#define EVENT_ERROR_CODE     BITS(63, 32)

#define EXIT_READ_CR8	     0x008u
#define EXIT_WRITE_CR8	     0x018u
#define EXIT_EXCEPTION	     0x040u /* plus the vector */
#define EXIT_DB		     0x041u
#define EXIT_AC		     0x051u
#define EXIT_INTR	     0x060u
#define EXIT_NMI	     0x061u
#define EXIT_INIT	     0x063u
#define EXIT_VINTR	     0x064u
#define EXIT_RDPMC	     0x06fu
#define EXIT_CPUID	     0x072u
#define EXIT_RSM	     0x073u
#define EXIT_INVD	     0x076u
#define EXIT_HLT	     0x078u
#define EXIT_INVLPGA	     0x07au
#define EXIT_IOIO	     0x07bu
#define EXIT_MSR	     0x07cu
#define EXIT_SHUTDOWN	     0x07fu
#define EXIT_VMRUN	     0x080u
#define EXIT_VMMCALL	     0x081u
#define EXIT_VMLOAD	     0x082u
#define EXIT_VMSAVE	     0x083u
#define EXIT_STGI	     0x084u
#define EXIT_CLGI	     0x085u
#define EXIT_SKINIT	     0x086u
#define EXIT_RDTSCP	     0x087u
#define EXIT_WBINVD	     0x089u
#define EXIT_MONITOR	     0x08au
#define EXIT_MWAIT	     0x08bu
#define EXIT_XSETBV	     0x08du
#define EXIT_RDPRU	     0x08eu
#define EXIT_NPF	     0x400u

#define IOIO_IN		     BIT(0)
#define IOIO_STRING	     BIT(2)
#define IOIO_REP	     BIT(3)
#define IOIO_SIZE	     BITS(6, 4) /* one bit each for 1, 2 and 4 bytes: the field is the size */
#define IOIO_PORT	     BITS(31, 16)

#define NPF_WRITE	     BIT(1)
#define NPF_FETCH	     BIT(4)
#define NPF_WALK	     BIT(33) /* while the guest's page tables were read */

#define VECTOR_MC	     18u
#define VECTOR_AC	     17u

/* CPUID. */
#define CPUID_EXTENDED	     0x80000000u
#define CPUID_FEATURES	     0x80000001u
#define CPUID_FEATURES_SVM   BIT(2)  /* ECX */
#define CPUID_FEATURES_1G    BIT(26) /* EDX */
#define CPUID_SIZES	     0x80000008u
#define CPUID_SIZES_RDPRU    BIT(4) /* EBX */
#define CPUID_SVM	     0x8000000au
#define CPUID_SVM_NPT	     BIT(0) /* EDX */
#define CPUID_SVM_NRIP	     BIT(3)
#define CPUID_SVM_FLUSH_ASID BIT(6)
#define CPUID_SVM_DECODE     BIT(7)

#define MSR_VM_CR	     0xc0010114u
#define VM_CR_LOCK	     BIT(3)
#define VM_CR_SVMDIS	     BIT(4)
#define MSR_VM_HSAVE_PA	     0xc0010117u

#define IOPM_PAGES	     3u
#define MSRPM_PAGES	     2u

#endif
