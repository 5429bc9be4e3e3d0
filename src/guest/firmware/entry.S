/*
 * The guest's firmware: its first instructions, exceptions, and a program's way in and out. Long mode, on
 * the page tables and the GDT that Postern made, with interrupts off.
 */
	.section .head, "ax"
	.globl firmware_entry
firmware_entry:
	cld
	leaq	stack_top(%rip), %rsp
	/* "x64 Platforms": CR0.MP, no EM and no TS, CR4.OSFXSR and OSXMMEXCPT: programs may use SSE. */
	movq	%cr0, %rax
	andq	$~0xc, %rax
	orq	$0x2, %rax
	movq	%rax, %cr0
	movq	%cr4, %rax
	orq	$0x600, %rax
	movq	%rax, %cr4
	fninit
	movq	%rsi, %rdi
	call	firmware_main
1:	cli
	hlt
	jmp	1b

/*
 * EFI_STATUS image_enter(context, entry, image, system_table): calls entry as UEFI has it, and notes what
 * image_leave needs to come back from anywhere below. The program's calling convention keeps xmm6 to
 * xmm15, and this code's own doesn't, hence the saving.
 */
	.text
	.globl image_enter
image_enter:
	movq	%rbx, 8(%rdi)
	movq	%rbp, 16(%rdi)
	movq	%r12, 24(%rdi)
	movq	%r13, 32(%rdi)
	movq	%r14, 40(%rdi)
	movq	%r15, 48(%rdi)
	movups	%xmm6, 56(%rdi)
	movups	%xmm7, 72(%rdi)
	movups	%xmm8, 88(%rdi)
	movups	%xmm9, 104(%rdi)
	movups	%xmm10, 120(%rdi)
	movups	%xmm11, 136(%rdi)
	movups	%xmm12, 152(%rdi)
	movups	%xmm13, 168(%rdi)
	movups	%xmm14, 184(%rdi)
	movups	%xmm15, 200(%rdi)
	movq	%rsp, (%rdi)
	pushq	%rdi
	subq	$32, %rsp
	movq	%rsi, %rax
	movq	%rcx, %r8
	movq	%rdx, %rcx
	movq	%r8, %rdx
	call	*%rax
	addq	$32, %rsp
	popq	%rdi
	movq	%rax, %rsi
	/* Falls through. */

/* image_leave(context, status): image_enter returns status. */
	.globl image_leave
image_leave:
	movq	(%rdi), %rsp
	movups	56(%rdi), %xmm6
	movups	72(%rdi), %xmm7
	movups	88(%rdi), %xmm8
	movups	104(%rdi), %xmm9
	movups	120(%rdi), %xmm10
	movups	136(%rdi), %xmm11
	movups	152(%rdi), %xmm12
	movups	168(%rdi), %xmm13
	movups	184(%rdi), %xmm14
	movups	200(%rdi), %xmm15
	movq	8(%rdi), %rbx
	movq	16(%rdi), %rbp
	movq	24(%rdi), %r12
	movq	32(%rdi), %r13
	movq	40(%rdi), %r14
	movq	48(%rdi), %r15
	movq	%rsi, %rax
	cld
	ret

/*
 * exception_stubs: the same frame for all vectors, whether the CPU pushes an error code or not.
 * SDM vol. 3A "Interrupt and Exception Handling", table of protected-mode exceptions.
 */
	.balign 16
	.globl exception_stubs
exception_stubs:
	.set vector, 0
	.rept 32
	.balign 16
	.if !((1 << vector) & 0x60227d00)
	pushq	$0
	.endif
	pushq	$vector
	jmp	exception_common
	.set vector, vector + 1
	.endr

exception_common:
	popq	%rdi
	popq	%rsi
	movq	(%rsp), %rdx
	andq	$~15, %rsp
	cld
	call	firmware_exception

	.bss
	.balign 16
	.skip	262144		/* UEFI asks for 128 KiB at least */
stack_top:

	.section .note.GNU-stack, "", @progbits
