/* The guest's firmware, as it was built on its own: BUILD/guest-firmware.bin. */
	.section .rodata.guest_firmware, "a"
	.globl	guest_firmware, guest_firmware_end
	.hidden	guest_firmware, guest_firmware_end
guest_firmware:
	.incbin "guest-firmware.bin"
guest_firmware_end:

	.section .note.GNU-stack, "", @progbits
