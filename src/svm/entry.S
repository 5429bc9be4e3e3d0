/*
 * The way into the guest and back. On the exit path.
 *
 * VMRUN keeps RAX, RSP, RIP, RFLAGS, the segments and control registers of both sides; the other
 * general registers are ours. It loads the host's RFLAGS.IF into the rule for physical interrupts,
 * which end the guest only if that is set: hence STI, which does nothing else while GIF is 0. Its
 * interrupt shadow mustn't reach VMRUN, from where some processors carry it into the guest.
 * AMD64 Architecture Programmer's Manual vol. 2 (24593), "VMRUN Instruction", "Global Interrupt
 * Flag", "Virtualizing RFLAGS.IF".
 */
#define GPR(n) ((n) * 8)

	.text
	.globl svm_enter
	.hidden svm_enter
	.type svm_enter, @function
svm_enter:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	push %rdi
	sti
	mov %rsi, %rax
	mov GPR(1)(%rdi), %rcx
	mov GPR(2)(%rdi), %rdx
	mov GPR(3)(%rdi), %rbx
	mov GPR(5)(%rdi), %rbp
	mov GPR(6)(%rdi), %rsi
	mov GPR(8)(%rdi), %r8
	mov GPR(9)(%rdi), %r9
	mov GPR(10)(%rdi), %r10
	mov GPR(11)(%rdi), %r11
	mov GPR(12)(%rdi), %r12
	mov GPR(13)(%rdi), %r13
	mov GPR(14)(%rdi), %r14
	mov GPR(15)(%rdi), %r15
	mov GPR(7)(%rdi), %rdi
	vmrun %rax
	cli
	pop %rax
	mov %rcx, GPR(1)(%rax)
	mov %rdx, GPR(2)(%rax)
	mov %rbx, GPR(3)(%rax)
	mov %rbp, GPR(5)(%rax)
	mov %rsi, GPR(6)(%rax)
	mov %rdi, GPR(7)(%rax)
	mov %r8, GPR(8)(%rax)
	mov %r9, GPR(9)(%rax)
	mov %r10, GPR(10)(%rax)
	mov %r11, GPR(11)(%rax)
	mov %r12, GPR(12)(%rax)
	mov %r13, GPR(13)(%rax)
	mov %r14, GPR(14)(%rax)
	mov %r15, GPR(15)(%rax)
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret
	.size svm_enter, . - svm_enter
	.section .note.GNU-stack, "", @progbits
