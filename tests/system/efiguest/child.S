/* child.efi, as efi-services loads it. */
	.section .rodata, "a"
	.globl	child_efi, child_efi_end
	.hidden	child_efi, child_efi_end
	.balign	16
child_efi:
	.incbin	"child.efi"
child_efi_end:

	.section .note.GNU-stack, "", @progbits
