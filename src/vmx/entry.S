/*
 * Into the guest and back. State: the caller's struct vmx_entry, and vmx_nmi_seen. Exit path.
 *
 * Interrupts are off; an NMI may use the stack below RSP at any time.
 */
#include "vmx/entry.h"
#include "vmx/vmcs.h"

/* Offsets into v->gpr by enum gpr. RSP, number 4, is in the VMCS. */
#define RAX 0
#define RCX 8
#define RDX 16
#define RBX 24
#define RBP 40
#define RSI 48
#define RDI 56
#define R8  64
#define R9  72
#define R10 80
#define R11 88
#define R12 96
#define R13 104
#define R14 112
#define R15 120

	.section .text.vmx_enter, "ax", @progbits

/* uint64_t vmx_enter(uint64_t *gpr, struct vmx_entry *n) */
	.globl	vmx_enter
	.hidden	vmx_enter
	.type	vmx_enter, @function
vmx_enter:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rsi
	push	%rdi
	mov	$VMCS_GUEST_RIP, %eax
	vmwrite	ENTRY_RIP(%rsi), %rax
	/* The stack is mostly as deep as last time. Flags from here on: ZF set to resume. */
	cmp	%rsp, ENTRY_HOST_RSP(%rsi)
	jne	4f
1:	mov	RAX(%rdi), %rax
	mov	RCX(%rdi), %rcx
	mov	RDX(%rdi), %rdx
	mov	RBX(%rdi), %rbx
	mov	RBP(%rdi), %rbp
	mov	RSI(%rdi), %rsi
	mov	R8(%rdi), %r8
	mov	R9(%rdi), %r9
	mov	R10(%rdi), %r10
	mov	R11(%rdi), %r11
	mov	R12(%rdi), %r12
	mov	R13(%rdi), %r13
	mov	R14(%rdi), %r14
	mov	R15(%rdi), %r15
	mov	RDI(%rdi), %rdi
	jne	2f
	vmresume
	jmp	3f
2:	vmlaunch
	/* Refused: the stack is untouched and everything else is the guest's. */
3:	pop	%rdi
	pop	%rsi
	mov	$-1, %rax
	jmp	5f
4:	mov	%rsp, ENTRY_HOST_RSP(%rsi)
	mov	$VMCS_HOST_RSP, %eax
	vmwrite	%rsp, %rax
	mov	ENTRY_LAUNCHED(%rsi), %rax
	movq	$1, ENTRY_LAUNCHED(%rsi)
	cmp	$1, %rax
	jmp	1b

	.globl	vmx_landing
	.hidden	vmx_landing
	.type	vmx_landing, @function
vmx_landing:
	push	%rax
	mov	8(%rsp), %rax
	mov	%rcx, RCX(%rax)
	mov	%rdx, RDX(%rax)
	mov	%rbx, RBX(%rax)
	mov	%rbp, RBP(%rax)
	mov	%rsi, RSI(%rax)
	mov	%rdi, RDI(%rax)
	mov	%r8, R8(%rax)
	mov	%r9, R9(%rax)
	mov	%r10, R10(%rax)
	mov	%r11, R11(%rax)
	mov	%r12, R12(%rax)
	mov	%r13, R13(%rax)
	mov	%r14, R14(%rax)
	mov	%r15, R15(%rax)
	pop	RAX(%rax)
	pop	%rdi
	pop	%rsi
	mov	$VMCS_GUEST_RIP, %eax
	vmread	%rax, ENTRY_RIP(%rsi)
	mov	$VMCS_EXIT_INSN_LEN, %eax
	vmread	%rax, ENTRY_INSN_LEN(%rsi)
	mov	$VMCS_GUEST_INTERRUPTIBILITY, %eax
	vmread	%rax, ENTRY_INTERRUPTIBILITY(%rsi)
	mov	$VMCS_EXIT_REASON, %eax
	vmread	%rax, %rax
5:	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
	.size	vmx_landing, . - vmx_landing
	.size	vmx_enter, . - vmx_enter

/* An NMI outside the guest: remembered for the firmware's next window. */
	.globl	vmx_nmi_handler
	.hidden	vmx_nmi_handler
	.type	vmx_nmi_handler, @function
vmx_nmi_handler:
	movb	$1, vmx_nmi_seen(%rip)
	iretq
	.size	vmx_nmi_handler, . - vmx_nmi_handler

	.section .bss.vmx_nmi_seen, "aw", @nobits
	.globl	vmx_nmi_seen
	.hidden	vmx_nmi_seen
	.type	vmx_nmi_seen, @object
vmx_nmi_seen:
	.byte	0
	.size	vmx_nmi_seen, 1

	.section .note.GNU-stack, "", @progbits
