/*
 * One vector register at a time; see vector.h. The only instructions of Postern that name vector
 * registers, as they move the guest's on purpose. No state; on the exit path.
 */

/* name(n in %edi, memory in %rsi): jumps to the nth of sixteen pieces of 8 bytes each. */
.macro vector_function name
	.section .text.\name, "ax", @progbits
	.globl \name
	.hidden \name
	.type \name, @function
	.balign 16
\name:
	and	$15, %edi
	lea	1f(%rip), %rax
	lea	(%rax, %rdi, 8), %rax
	jmp	*%rax
	.balign 8
1:
.endm

.macro vector_pieces insn:vararg
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vector_piece_\insn \n
	ret
	.balign 8
	.endr
.endm

.macro vector_piece_read128 n
	movups	%xmm\n, (%rsi)
.endm

.macro vector_piece_write128 n
	movups	(%rsi), %xmm\n
.endm

.macro vector_piece_read256 n
	vmovups	%ymm\n, (%rsi)
.endm

.macro vector_piece_write128_zero n
	vmovups	(%rsi), %xmm\n
.endm

.macro vector_piece_write256 n
	vmovups	(%rsi), %ymm\n
.endm

vector_function hw_vector_read128
	vector_pieces read128
vector_function hw_vector_write128
	vector_pieces write128
vector_function hw_vector_read256
	vector_pieces read256
vector_function hw_vector_write128_zero
	vector_pieces write128_zero
vector_function hw_vector_write256
	vector_pieces write256

	.section .note.GNU-stack, "", @progbits
