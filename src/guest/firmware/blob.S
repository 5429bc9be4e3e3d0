/* The guest's firmware, as it was built on its own: BUILD/guest-firmware.bin. */
	.section .rodata.guest_firmware, "a"
	.globl	guest_firmware, guest_firmware_len
	.hidden	guest_firmware, guest_firmware_len
guest_firmware:
	.incbin "guest-firmware.bin"
1:
	.balign	8
guest_firmware_len:
	.quad	1b - guest_firmware

	.section .note.GNU-stack, "", @progbits
