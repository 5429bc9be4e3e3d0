/*
 * Processor primitives of the real machine. The functions have a link-time double in
 * tests/unit/fakes; the inlines are instructions without a side effect outside the caller.
 */
#ifndef POSTERN_HW_CPU_H
#define POSTERN_HW_CPU_H

#include "base/types.h"

struct cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

struct cpuid_regs hw_cpuid(uint32_t leaf, uint32_t subleaf);
uint64_t hw_rdmsr(uint32_t msr);
void hw_wrmsr(uint32_t msr, uint64_t value);
uint64_t hw_tsc(void);

uint64_t hw_read_cr(unsigned cr); /* 0, 2, 3, 4 or 8 */
void hw_write_cr(unsigned cr, uint64_t value);
uint64_t hw_read_dr(unsigned dr); /* 0 to 3, 6, 7 */
void hw_write_dr(unsigned dr, uint64_t value);
uint64_t hw_read_xcr0(void); /* needs CR4.OSXSAVE */
void hw_write_xcr0(uint64_t value);

/* Limit and base as LGDT and LIDT load them. */
struct hw_table {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

struct hw_table hw_read_gdt(void);
struct hw_table hw_read_idt(void);
void hw_write_gdt(struct hw_table t);
void hw_write_idt(struct hw_table t);

/*
 * Interrupts of the host. hw_interrupt_window lets the processor take what is pending through its
 * current IDT and returns with interrupts off; hw_wait does the same after halting until one comes.
 */
void hw_irq_disable(void);
void hw_irq_enable(void);
bool hw_irq_enabled(void);
void hw_interrupt_window(void);
void hw_wait(void);

/* CR and EFER bits that more than one room names. SDM vol. 3A "Control Registers". */
#define CR0_PE		    (1ull << 0)
#define CR0_MP		    (1ull << 1)
#define CR0_EM		    (1ull << 2)
#define CR0_TS		    (1ull << 3)
#define CR0_ET		    (1ull << 4)
#define CR0_NE		    (1ull << 5)
#define CR0_WP		    (1ull << 16)
#define CR0_NW		    (1ull << 29)
#define CR0_CD		    (1ull << 30)
#define CR0_PG		    (1ull << 31)
#define CR4_PSE		    (1ull << 4)
#define CR4_PAE		    (1ull << 5)
#define CR4_OSFXSR	    (1ull << 9)
#define CR4_LA57	    (1ull << 12)
#define CR4_VMXE	    (1ull << 13)
#define CR4_OSXSAVE	    (1ull << 18)
#define CR4_SMEP	    (1ull << 20)
#define CR4_SMAP	    (1ull << 21)
#define EFER_SCE	    (1ull << 0)
#define EFER_LME	    (1ull << 8)
#define EFER_LMA	    (1ull << 10)
#define EFER_NXE	    (1ull << 11)
#define EFER_SVME	    (1ull << 12)
#define RFLAGS_FIXED	    (1ull << 1)
#define RFLAGS_TF	    (1ull << 8)
#define RFLAGS_IF	    (1ull << 9)
#define RFLAGS_DF	    (1ull << 10)
#define RFLAGS_RF	    (1ull << 16)
#define RFLAGS_VM	    (1ull << 17)
#define RFLAGS_AC	    (1ull << 18)
#define DR6_B0_TO_B3	    0xfull
#define DR6_BS		    (1ull << 14)
#define DR7_GD		    (1ull << 13)

/* Architectural MSRs that more than one room names. SDM vol. 4 "Model-Specific Registers". */
#define MSR_TSC		    0x10u
#define MSR_APIC_BASE	    0x1bu
#define MSR_FEATURE_CONTROL 0x3au
#define MSR_SYSENTER_CS	    0x174u
#define MSR_SYSENTER_ESP    0x175u
#define MSR_SYSENTER_EIP    0x176u
#define MSR_DEBUGCTL	    0x1d9u
#define MSR_PAT		    0x277u
#define MSR_TSC_DEADLINE    0x6e0u
#define MSR_X2APIC_FIRST    0x800u
#define MSR_X2APIC_LAST	    0x8ffu
#define MSR_EFER	    0xc0000080u
#define MSR_STAR	    0xc0000081u
#define MSR_LSTAR	    0xc0000082u
#define MSR_CSTAR	    0xc0000083u
#define MSR_SFMASK	    0xc0000084u
#define MSR_FS_BASE	    0xc0000100u
#define MSR_GS_BASE	    0xc0000101u
#define MSR_KERNEL_GS_BASE  0xc0000102u
#define MSR_TSC_AUX	    0xc0000103u

#endif
