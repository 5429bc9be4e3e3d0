/*
 * Handles and their protocols: UEFI specification 2.10, "Protocol Handler Services". Interfaces are
 * never called here.
 */
#ifndef POSTERN_FIRMWARE_HANDLES_H
#define POSTERN_FIRMWARE_HANDLES_H

#include <efi.h>

#include "base/types.h"

#define HANDLES		 64u
#define HANDLE_PROTOCOLS 12u

struct handle {
	struct {
		EFI_GUID guid;
		void *interface;
	} protocol[HANDLE_PROTOCOLS];
	unsigned count; /* 0: nobody's */
};

struct handle_table {
	struct handle handle[HANDLES];
};

/* Do two GUIDs name the same? */
bool guid_is(const EFI_GUID *a, const EFI_GUID *b);

/* What an EFI_HANDLE that a program passed means; NULL if it isn't one. */
struct handle *handle_check(struct handle_table *t, EFI_HANDLE handle);

/*
 * Adds a protocol to *handle; NULL there asks for a new one. EFI_INVALID_PARAMETER (not a handle, or
 * it has that protocol), EFI_OUT_OF_RESOURCES.
 */
EFI_STATUS handle_install(
	struct handle_table *t, EFI_HANDLE *handle, const EFI_GUID *guid, void *interface);

/* Takes it away again; the last one takes the handle with it. EFI_NOT_FOUND. */
EFI_STATUS handle_uninstall(
	struct handle_table *t, EFI_HANDLE handle, const EFI_GUID *guid, const void *interface);

/* EFI_INVALID_PARAMETER (not a handle), EFI_UNSUPPORTED (hasn't it). */
EFI_STATUS handle_protocol(
	struct handle_table *t, EFI_HANDLE handle, const EFI_GUID *guid, void **ret_interface);

/* The handle behind another (NULL: the first one) that has a protocol (NULL: any); NULL at the end. */
EFI_HANDLE handle_next(struct handle_table *t, EFI_HANDLE after, const EFI_GUID *guid);

#endif
