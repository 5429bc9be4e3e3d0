/*
 * The header of "The Linux/x86 Boot Protocol", the 64-bit entry, and the exceptions of a tiny guest.
 * Runs in ring 0 on the page tables of the loader, with interrupts off.
 */
	.section .header, "a"
	.org 0x1f1
	.byte	1			/* setup_sects */
	.word	0			/* root_flags */
	.long	setup_syssize
	.word	0, 0, 0
	.word	0xaa55			/* boot_flag */
	.byte	0xeb, header_end - 1f	/* jump */
1:	.ascii	"HdrS"
	.word	0x020f			/* version */
	.long	0			/* realmode_swtch */
	.word	0, 0
	.byte	0			/* type_of_loader */
	.byte	1			/* loadflags: LOADED_HIGH */
	.word	0
	.long	0, 0, 0, 0
	.word	0
	.byte	0, 0
	.long	0			/* cmd_line_ptr */
	.long	0x7fffffff		/* initrd_addr_max */
	.long	0x200000		/* kernel_alignment */
	.byte	0, 0			/* relocatable_kernel, min_alignment */
	.word	1			/* xloadflags: KERNEL_64 */
	.long	2047			/* cmdline_size */
	.long	0
	.quad	0
	.long	0			/* payload_offset */
	.long	setup_payload_length
	.quad	0			/* setup_data */
	.quad	setup_pref_address
	.long	setup_init_size
	.long	0			/* handover_offset */
header_end:

	.section .head, "ax"
	.code64
	/* The 32-bit entry, which nobody uses. */
1:	hlt
	jmp	1b
	.org 0x200
	.globl entry_64
entry_64:
	cld
	leaq	stack_top(%rip), %rsp
	leaq	bss_start(%rip), %rdi
	leaq	bss_end(%rip), %rcx
	subq	%rdi, %rcx
	xorl	%eax, %eax
	rep stosb
	movq	%rsi, %rdi
	call	tiny_start
1:	cli
	hlt
	jmp	1b

/*
 * exception_stub(vector), for interrupts too: the same frame for all vectors, whether the CPU pushes an error code or not.
 * SDM vol. 3A "Interrupt and Exception Handling", table of protected-mode exceptions.
 */
	.text
	.balign 16
	.globl exception_stubs
exception_stubs:
	.set vector, 0
	.rept 256
	.balign 16
	.if vector > 31 || !((1 << (vector & 31)) & 0x60227d00)
	pushq	$0
	.endif
	pushq	$vector
	jmp	exception_common
	.set vector, vector + 1
	.endr

exception_common:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rbx
	pushq	%rbp
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	cld
	movq	%rsp, %rdi
	call	exception_handle
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rbp
	popq	%rbx
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	iretq

	.bss
	.balign 16
	.skip	16384
stack_top:

	.section .note.GNU-stack, "", @progbits
