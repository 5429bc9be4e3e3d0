/*
 * The guests of the back-end test: a few instructions each, copied to guest address 8000h and run
 * in real mode or in long mode. Each ends with HLT. Addresses are those of bench.h.
 */
#define GUEST(name, bits)                                                                          \
	.balign 16;                                                                                \
	.globl guest_##name;                                                                       \
	.hidden guest_##name;                                                                      \
	.code##bits;                                                                               \
	guest_##name:

#define END(name)                                                                                  \
	.globl guest_##name##_end;                                                                 \
	.hidden guest_##name##_end;                                                                \
	guest_##name##_end:

#define TRAP_ITERATION 1
#define TRAP_NATIVE 2
#define TRAP_OPTIONAL 4

#define DATA 0x10000
#define FLAG 0x10f00
#define EVENT_PORT 0xe0

	.section .rodata.guests, "a", @progbits

/*
 * Gates of the long-mode guests, one every 16 bytes, for the vectors 0 to 63. They report vector
 * (RAX), error code (RBX), interrupted RIP (RCX) and DR6 (RDX) by an OUT, and return.
 */
GUEST(gates, 64)
	.set vector, 0
	.rept 64
	.balign 16
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
	push $0
	.endif
	push $vector
	jmp gate_common
	.set vector, vector + 1
	.endr
	.balign 16
gate_common:
	xchg %rax, (%rsp)
	xchg %rbx, 8(%rsp)
	push %rcx
	push %rdx
	mov 32(%rsp), %rcx
	mov %dr6, %rdx
	out %al, $EVENT_PORT
	pop %rdx
	pop %rcx
	pop %rax
	pop %rbx
	iretq
END(gates)

GUEST(reset, 16)
	cpuid
	hlt
END(reset)

GUEST(cpuid, 16)
	mov $1, %eax
	mov $7, %ecx
	cpuid
	hlt
END(cpuid)

GUEST(pio, 16)
	mov $0x11223344, %eax
	mov $0x1234, %dx
	out %al, $0x80
	out %ax, %dx
	out %eax, %dx
	in $0x81, %al
	in %dx, %ax
	in %dx, %eax
	hlt
END(pio)

GUEST(pio_string, 16)
	mov $0x1234, %dx
	mov $0x9000, %si
	mov $0x9100, %di
	mov $3, %cx
	rep outsb
	insw
	rep insl
	outsl
	hlt
END(pio_string)

GUEST(long_entry, 64)
	mov %cs, %eax
	mov %ss, %ebx
	mov %cr0, %rcx
	mov %cr4, %rdx
	mov %cr3, %rsi
	pushfq
	pop %rdi
	mov %rsp, %r8
	lea 0(%rip), %r9
	movabs $0x123456789abcdef0, %r10
	hlt
END(long_entry)

GUEST(gprs, 64)
	cpuid
	mov %rax, DATA + 0x00
	mov %rcx, DATA + 0x08
	mov %rdx, DATA + 0x10
	mov %rbx, DATA + 0x18
	mov %rsp, DATA + 0x20
	mov %rbp, DATA + 0x28
	mov %rsi, DATA + 0x30
	mov %rdi, DATA + 0x38
	mov %r8, DATA + 0x40
	mov %r9, DATA + 0x48
	mov %r10, DATA + 0x50
	mov %r11, DATA + 0x58
	mov %r12, DATA + 0x60
	mov %r13, DATA + 0x68
	mov %r14, DATA + 0x70
	mov %r15, DATA + 0x78
	hlt
END(gprs)

GUEST(msr, 64)
	mov $0xc0000080, %ecx
	rdmsr
	wrmsr
	mov $0x277, %ecx
	rdmsr
	wrmsr
	mov $0x12345, %ecx
	rdmsr
	mov $0x10, %ecx
	wrmsr
	hlt
END(msr)

/* The registers that don't exit, both ways. */
GUEST(direct, 64)
	mov $0xc0000082, %ecx
	mov $0x89abcdef, %eax
	mov $0xffff8000, %edx
	wrmsr
	mov $0xc0000101, %ecx
	mov $0x00012340, %eax
	mov $0x00000005, %edx
	wrmsr
	hlt
	mov $0xc0000100, %ecx
	rdmsr
	mov %rax, %rbx
	mov %rdx, %rsi
	cpuid
	mov $0xc0000082, %ecx
	rdmsr
	mov $0x18, %edi
	mov %edi, %gs
	hlt
END(direct)

GUEST(cr, 64)
	mov %cr0, %rax
	xor $0xa, %rax
	mov %rax, %cr0
	mov %cr0, %rbx
	clts
	mov %cr0, %rsi
	mov %cr4, %rax
	or $0x680, %rax
	mov %rax, %cr4
	mov %cr4, %rdi
	mov %cr3, %rax
	mov %rax, %cr3
	mov $5, %eax
	mov %rax, %cr8
	mov %cr8, %r8
	xor %eax, %eax
	mov %rax, %cr8
	hlt
END(cr)

/* RBX: an alias of guest-physical 10000000h. RSI, R12: where to jump, where to come back. */
GUEST(npf, 64)
	mov 0x10(%rbx), %eax
	mov %eax, 0x123(%rbx)
	mov 0x20010, %eax
	movb $1, 0x20011
	lea 1f(%rip), %r12
	jmp *%rsi
1:	lea 2f(%rip), %r12
	jmp *%rdi
2:	mov (%r8), %eax
	lock incl 0x20(%rbx)
	mov $2, %ecx
	mov %rbx, %rsi
	mov $DATA, %edi
	rep movsl
	hlt
END(npf)

GUEST(events, 64)
	cpuid
	cpuid
	cpuid
	hlt
END(events)

/* With a task priority that doesn't count for the virtual CPU's interrupts. */
GUEST(interrupt, 64)
	mov $15, %eax
	mov %rax, %cr8
	cpuid
	sti
	nop
	nop
	hlt
END(interrupt)

GUEST(shadow, 64)
	sti
	cpuid
	mov %ss, %eax
	mov %eax, %ss
	cpuid
	cli
	cpuid
	sti
	hlt
	nop
	hlt
END(shadow)

GUEST(shutdown, 64)
	ud2
END(shutdown)

GUEST(cache, 64)
	wbinvd
	invd
	hlt
END(cache)

/* Its gate is at offset 3. */
GUEST(real_event, 16)
	cpuid
	hlt
	out %al, $EVENT_PORT
	iret
END(real_event)

GUEST(software, 64)
	int $0x30
	hlt
END(software)

/* Each in a place of 8 bytes. */
GUEST(undefined, 64)
	vmcall
	.balign 8
	vmmcall
	.balign 8
	vmrun %rax
	.balign 8
	vmload %rax
	.balign 8
	vmsave %rax
	.balign 8
	stgi
	.balign 8
	clgi
	.balign 8
	skinit %eax
	.balign 8
	invlpga %rax, %ecx
	.balign 8
	monitor
	.balign 8
	mwait
	.balign 8
	rdpmc
	.balign 8
	rsm
	.balign 8
	vmxon (%rax)
	.balign 8
	vmlaunch
	.balign 8
	vmxoff
	.balign 8
END(undefined)

/* R15: XCR0 to set, or 0 for SSE only. Waits for FLAG between loading and storing. */
GUEST(vectors, 64)
	mov %cr4, %rax
	or $0x600, %rax
	test %r15, %r15
	jz 1f
	or $0x40000, %rax
1:	mov %rax, %cr4
	mov $DATA, %esi
	test %r15, %r15
	jz 2f
	xor %ecx, %ecx
	xor %edx, %edx
	mov %r15d, %eax
	xsetbv
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovdqu \n * 32(%rsi), %ymm\n
	.endr
	jmp 3f
2:	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu \n * 32(%rsi), %xmm\n
	.endr
3:	ldmxcsr 0x200(%rsi)
	fldcw 0x204(%rsi)
5:	pause
	cmpb $0, FLAG
	je 5b
	stmxcsr 0x600(%rsi)
	fnstcw 0x604(%rsi)
	test %r15, %r15
	jz 4f
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovdqu %ymm\n, 0x400 + \n * 32(%rsi)
	.endr
	jmp 6f
4:	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu %xmm\n, 0x400 + \n * 32(%rsi)
	.endr
6:	hlt
END(vectors)

/* RAX, RBX, RCX, RDX: debug registers. Waits for FLAG. */
GUEST(debug, 64)
	mov %rax, %db0
	mov %rbx, %db1
	mov %rcx, %db2
	mov %rdx, %db3
	mov $0x401, %esi
	mov %rsi, %db7
1:	pause
	cmpb $0, FLAG
	je 1b
	mov %db0, %rax
	mov %db1, %rbx
	mov %db2, %rcx
	mov %db3, %rdx
	mov %db7, %rsi
	hlt
END(debug)

GUEST(step, 64)
	pushfq
	orl $0x100, (%rsp)
	popfq
	nop
	nop
	hlt
END(step)

/*
 * A single step through instructions that the CPU executes and that we do. Each trap has a row: its
 * offset, and what bench.h says of it. R8: an alias of trapped memory.
 */
.macro trap flags=0
9:	.pushsection .rodata.step_traps, "a", @progbits
	.short 9b - guest_steps, \flags
	.popsection
.endm

	.pushsection .rodata.step_traps, "a", @progbits
	.globl guest_step_traps
	.hidden guest_step_traps
guest_step_traps:
	.popsection
GUEST(steps, 64)
	pushfq
	orl $0x100, (%rsp)
	popfq
	nop
	trap
	trap TRAP_NATIVE
	rep stosb
	trap
	mov %eax, 0x10(%r8)
	trap
	mov 0x10(%r8), %eax
	trap
	orl $1, 0x10(%r8)
	trap
	cpuid
	trap
	mov $0x80, %edx
	trap
	mov $2, %ecx
	trap
	out %al, %dx
	trap
	in %dx, %al
	trap
	trap TRAP_ITERATION
	rep outsb
	trap
	rep outsb
	trap
	mov $2, %ecx
	trap
	mov %r8, %rsi
	trap
	trap TRAP_ITERATION
	rep movsl
	trap
	mov %ss, %eax
	trap
	mov %eax, %ss
	trap TRAP_OPTIONAL
	nop
	trap
	mov %eax, %ss
	trap TRAP_OPTIONAL
	cpuid
	trap
	mov $0x8b, %ecx
	trap
	rdmsr
	trap
	wbinvd
	trap
	hlt
	trap
	pushfq
	trap
	andl $~0x100, (%rsp)
	trap
	popfq
	trap
	cpuid
	hlt
END(steps)
	.pushsection .rodata.step_traps, "a", @progbits
	.globl guest_step_traps_end
	.hidden guest_step_traps_end
guest_step_traps_end:
	.popsection

/* With interrupts off and the highest priority, which the host's interrupts mustn't heed. */
GUEST(spin, 64)
	mov $15, %eax
	mov %rax, %cr8
1:	pause
	cmpb $0, FLAG
	je 1b
	xor %eax, %eax
	mov %rax, %cr8
	hlt
END(spin)

/*
 * Real mode to long mode and back by the guest's own means, with a table at DATA: entry 1 is a
 * 32-bit code segment, 2 a 64-bit one, 3 data, 4 a 16-bit code segment. CPUID in each mode; EAX
 * is the number of the mode.
 */
GUEST(modes, 16)
	lgdtl %cs:modes_gdtr - guest_modes + 0x8000
	mov %cr4, %eax
	or $0x20, %eax
	mov %eax, %cr4
	mov $0x1000, %eax
	mov %eax, %cr3
	mov %cr0, %eax
	or $1, %eax
	mov %eax, %cr0
	ljmpl $8, $(modes_32 - guest_modes + 0x8000)
	.code32
modes_32:
	mov $0x18, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $1, %eax
	cpuid
	mov $0xc0000080, %ecx
	mov $0x100, %eax
	xor %edx, %edx
	wrmsr
	mov %cr0, %eax
	or $0x80000000, %eax
	mov %eax, %cr0
	mov $2, %eax
	cpuid
	ljmpl $0x10, $(modes_64 - guest_modes + 0x8000)
	.code64
modes_64:
	mov $3, %eax
	cpuid
	ljmpl *modes_back - guest_modes + 0x8000
	.code32
modes_compat:
	mov $4, %eax
	cpuid
	mov %cr0, %eax
	and $0x7fffffff, %eax
	mov %eax, %cr0
	mov $5, %eax
	cpuid
	ljmpl $0x20, $(modes_16 - guest_modes + 0x8000)
	.code16
modes_16:
	mov %cr0, %eax
	and $~1, %eax
	mov %eax, %cr0
	ljmpl $0, $(modes_real - guest_modes + 0x8000)
modes_real:
	mov $6, %eax
	cpuid
	hlt
modes_gdtr:
	.word 39
	.long DATA
modes_back:
	.long modes_compat - guest_modes + 0x8000
	.word 8
END(modes)

/* CR0.NE, CR4.MCE, CR0.CD: what the guest writes there it reads. */
GUEST(owned, 64)
	mov %cr0, %rbx
	mov %rbx, %rax
	xor $0x20, %rax
	mov %rax, %cr0
	mov %cr0, %rsi
	mov %cr4, %rax
	or $0x40, %rax
	mov %rax, %cr4
	mov %cr4, %rdi
	mov %rbx, %rax
	or $0x40000000, %rax
	mov %rax, %cr0
	mov %cr0, %r8
	mov %rbx, %cr0
	mov %cr0, %r9
	hlt
END(owned)

/* 32-bit paging with PAE: page-directory pointers at DATA, a directory with large pages behind. */
GUEST(pae, 16)
	lgdtl %cs:pae_gdtr - guest_pae + 0x8000
	mov %cr4, %eax
	or $0x20, %eax
	mov %eax, %cr4
	mov $DATA + 0x100, %eax
	mov %eax, %cr3
	mov %cr0, %eax
	or $0x80000021, %eax
	mov %eax, %cr0
	ljmpl $8, $(pae_32 - guest_pae + 0x8000)
	.code32
pae_32:
	mov $0x18, %eax
	mov %eax, %ds
	mov 0x40000000 + DATA + 0x200, %ebx
	mov $1, %eax
	cpuid
	hlt
pae_gdtr:
	.word 39
	.long DATA
END(pae)

/* TSC ticks of CPUID in R12, of OUT in R14, of neither in R13; the last of a few rounds. */
.macro measure reg, insn:vararg
	rdtsc
	mov %eax, %esi
	xor %eax, %eax
	xor %ecx, %ecx
	\insn
	rdtsc
	sub %esi, %eax
	mov %eax, \reg
.endm

GUEST(cost, 64)
	.rept 4
	measure %r12d, cpuid
	measure %r13d
	measure %r14d, out %al, $0x80
	.endr
	hlt
END(cost)

	.code64
	.text
/* The firmware's window sees NMIs here. */
	.globl bench_nmi_handler
	.hidden bench_nmi_handler
bench_nmi_handler:
	lock incl bench_nmi_count(%rip)
	iretq

/* void bench_load_vectors(const void *from): XMM6 to XMM15, which calls preserve, 16 bytes each. */
	.globl bench_load_vectors
	.hidden bench_load_vectors
bench_load_vectors:
	.irp n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu (\n - 6) * 16(%rdi), %xmm\n
	.endr
	ret

/* void bench_store_vectors(void *to) */
	.globl bench_store_vectors
	.hidden bench_store_vectors
bench_store_vectors:
	.irp n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu %xmm\n, (\n - 6) * 16(%rdi)
	.endr
	ret

	.section .note.GNU-stack, "", @progbits
