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

#define POSTERN_CPUID_SIGNATURE	   0x40000000u
#define POSTERN_CPUID_ABI	   0x40000001u
#define POSTERN_CPUID_MAX_LEAF	   POSTERN_CPUID_ABI

/* "Postern", filled up with NULs, as little-endian words. */
#define POSTERN_SIGNATURE_EBX	   0x74736f50u /* "Post" */
#define POSTERN_SIGNATURE_ECX	   0x006e7265u /* "ern" */
#define POSTERN_SIGNATURE_EDX	   0x00000000u

#define POSTERN_ABI_VERSION	   1u

#define POSTERN_CALL_PORT	   0x504fu /* "PO" */

/*
 * Hands the machine back and boots. RBX: an enum postern_boot_target; for POSTERN_BOOT_PATH also
 * RCX: guest-virtual address, and RSI: length in bytes, of a path on the ESP in UTF-8 without a NUL.
 * Does not return on success.
 */
#define POSTERN_CALL_BOOT	   1u

/* Hands the machine back without a boot target. RBX: an enum postern_fail_reason. Does not return. */
#define POSTERN_CALL_FAIL	   2u

/* Puts a line into Postern's log. RCX: guest-virtual address, RSI: length in bytes. */
#define POSTERN_CALL_LOG	   3u

/* Puts the counts of the guest's exits so far into Postern's log. */
#define POSTERN_CALL_EXITS	   4u

/*
 * The group that the firmware inside a guest needs: what UEFI's runtime services can't do without the
 * machine. They exist only for guests that are EFI programs. Times, names, GUIDs and attributes are
 * UEFI's own ("Services - Runtime Services", UEFI specification 2.10).
 */

/* The machine's time. RCX: where to put the 16 bytes of an EFI_TIME. */
#define POSTERN_CALL_GET_TIME	   0x100u

/* Ends the guest. RBX: an EFI_RESET_TYPE: a shutdown switches off, all others reset. No return. */
#define POSTERN_CALL_RESET	   0x101u

/* RCX: a struct postern_variable, which is read once and, on success and with ETOOSMALL, written. */
#define POSTERN_CALL_GET_VARIABLE  0x102u
#define POSTERN_CALL_SET_VARIABLE  0x103u
#define POSTERN_CALL_NEXT_VARIABLE 0x104u

/* RCX: a struct postern_variable_info. */
#define POSTERN_CALL_VARIABLE_INFO 0x105u

/* Boot services are over: variables without EFI_VARIABLE_RUNTIME_ACCESS are gone from here on. */
#define POSTERN_CALL_EXIT_BOOT	   0x106u

/* A program wanted a service that the firmware lacks. RBX: an enum postern_service, for the log. */
#define POSTERN_CALL_NO_SERVICE	   0x107u

/*
 * GET: name, guid and room for data in data_size; back come attributes, the size, and the data.
 * SET: all of them; data_size 0 deletes.
 * NEXT: name and guid of one, name_size 0 for the first; at data, with room for data_size bytes, the
 * next one's name with its NUL, and in guid its GUID.
 */
struct postern_variable {
	unsigned char guid[16];
	unsigned long long name; /* guest-virtual address, UCS-2 without the NUL */
	unsigned long long data; /* guest-virtual address */
	unsigned int name_size;	 /* bytes */
	unsigned int data_size;	 /* bytes */
	unsigned int attributes;
	unsigned int reserved; /* 0 */
};

struct postern_variable_info {
	unsigned long long size, left, variable_max; /* bytes; as QueryVariableInfo means them */
};

#define POSTERN_VARIABLE_NAME_MAX 256u	/* bytes */
#define POSTERN_VARIABLE_DATA_MAX 8192u /* bytes */

/* Services that a guest's firmware may lack. The names in the log are in the same order. */
enum postern_service {
	POSTERN_NO_SERVICE,
	POSTERN_NO_REINSTALL_PROTOCOL_INTERFACE,
	POSTERN_NO_REGISTER_PROTOCOL_NOTIFY,
	POSTERN_NO_LOAD_IMAGE_FROM_PATH,
	POSTERN_NO_SET_WATCHDOG_TIMER,
	POSTERN_NO_CONNECT_CONTROLLER,
	POSTERN_NO_DISCONNECT_CONTROLLER,
	POSTERN_NO_OPEN_PROTOCOL_INFORMATION,
	POSTERN_NO_CREATE_EVENT,
	POSTERN_NO_SET_TIME,
	POSTERN_NO_GET_WAKEUP_TIME,
	POSTERN_NO_SET_WAKEUP_TIME,
	POSTERN_NO_GET_NEXT_HIGH_MONOTONIC_COUNT,
	POSTERN_NO_UPDATE_CAPSULE,
	POSTERN_NO_QUERY_CAPSULE_CAPABILITIES,
	POSTERN_NO_SET_VIRTUAL_ADDRESS_MAP,
	POSTERN_NO_CONVERT_POINTER,
	POSTERN_NO_BLT,
	POSTERN_NO_SERVICES
};

#define POSTERN_BOOT_PATH_MAX 512u
#define POSTERN_LOG_LINE_MAX  256u

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
#define POSTERN_CALL_ENOENT    (-2)  /* no such boot target */
#define POSTERN_CALL_EIO       (-5)  /* the machine's firmware failed */
#define POSTERN_CALL_ENOMEM    (-12) /* no room for another variable */
#define POSTERN_CALL_EACCES    (-13) /* a variable that the guest may not change */
#define POSTERN_CALL_EFAULT    (-14) /* memory that isn't mapped, or isn't the guest's */
#define POSTERN_CALL_EINVAL    (-22) /* an argument out of its range */
#define POSTERN_CALL_ETOOSMALL (-34) /* the data is larger than the room for it: data_size says */
#define POSTERN_CALL_ENOSYS    (-38) /* no such function */

#endif
