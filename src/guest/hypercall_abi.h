/*
 * The calls that a guest program can make to Postern.
 *
 * Shared by Postern and by guest programs (posternctl), so plain C and no other header.
 *
 * A guest finds Postern through CPUID: leaf POSTERN_CPUID_SIGNATURE returns the highest hypervisor
 * leaf in EAX and the twelve bytes of the signature in EBX, ECX, EDX; leaf POSTERN_CPUID_ABI returns
 * POSTERN_ABI_VERSION in EAX.
 *
 * A call is `outl %eax, %dx` with DX = POSTERN_CALL_PORT, EAX = the function, and the arguments in
 * RBX, RCX and RSI (RDI is reserved, 0). The result is in EAX: 0, or a negative POSTERN_CALL_E…. The
 * call is an OUT and not VMCALL because the CPU itself then sees to it that the caller is the guest's
 * kernel, or a process that root gave the port to with ioperm().
 */
#ifndef POSTERN_HYPERCALL_ABI_H
#define POSTERN_HYPERCALL_ABI_H

#define POSTERN_CPUID_SIGNATURE 0x40000000u
#define POSTERN_CPUID_ABI	0x40000001u
#define POSTERN_CPUID_MAX_LEAF	POSTERN_CPUID_ABI

/* "Postern", filled up with NULs, as little-endian words. */
#define POSTERN_SIGNATURE_EBX	0x74736f50u /* "Post" */
#define POSTERN_SIGNATURE_ECX	0x006e7265u /* "ern" */
#define POSTERN_SIGNATURE_EDX	0x00000000u

#define POSTERN_ABI_VERSION	1u

#define POSTERN_CALL_PORT	0x504fu /* "PO" */

/*
 * Hands the machine back and boots. RBX: an enum postern_boot_target; for POSTERN_BOOT_PATH also
 * RCX: guest-virtual address, and RSI: length in bytes, of a path on the ESP in UTF-8 without a NUL.
 * Does not return on success.
 */
#define POSTERN_CALL_BOOT	1u

/* Hands the machine back without a boot target. RBX: an enum postern_fail_reason. Does not return. */
#define POSTERN_CALL_FAIL	2u

/* Puts a line into Postern's log. RCX: guest-virtual address, RSI: length in bytes. */
#define POSTERN_CALL_LOG	3u

/* Puts the counts of the guest's exits so far into Postern's log. */
#define POSTERN_CALL_EXITS	4u

#define POSTERN_BOOT_PATH_MAX	512u
#define POSTERN_LOG_LINE_MAX	256u

enum postern_boot_target {
	POSTERN_BOOT_DEFAULT = 0, /* what the configuration names */
	POSTERN_BOOT_PATH = 1,
	POSTERN_BOOT_NEXT = 2, /* the firmware's next boot option */
};

enum postern_fail_reason {
	POSTERN_FAIL_AUTHENTICATION = 1,
	POSTERN_FAIL_OTHER = 2,
};

/* Results, with the values that Linux gives to the same names. */
#define POSTERN_CALL_ENOENT (-2)  /* no such boot target */
#define POSTERN_CALL_EFAULT (-14) /* memory that isn't mapped, or isn't the guest's */
#define POSTERN_CALL_EINVAL (-22) /* an argument out of its range */
#define POSTERN_CALL_ENOSYS (-38) /* no such function */

#endif
