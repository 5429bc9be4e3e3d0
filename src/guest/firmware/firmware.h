/*
 * The firmware inside a guest that is an EFI program: what its files share. It runs in guest context, in
 * long mode on the identity map that Postern made, and has the guest to itself until the program calls
 * ExitBootServices. Nothing here is trusted by Postern, and nothing here trusts the program less than
 * any firmware does: it is the guest's own machine to break.
 *
 * UEFI specification 2.10 is meant where a comment names a section alone.
 */
#ifndef POSTERN_FIRMWARE_H
#define POSTERN_FIRMWARE_H

#include <efi.h>

#include "guest/firmware/handles.h"
#include "guest/firmware/pages.h"
#include "guest/firmware_abi.h"
#include "guest/hypercall_abi.h"
#include "guest/pe.h"

#define FIRMWARE_REVISION   ((2u << 16) | 70u) /* UEFI 2.7: no service of a later one is here */
#define FIRMWARE_TABLES_MAX 16u

/*
 * All that has to be there when boot services are gone, in pages of its own that are runtime data: what
 * an operating system reads. The runtime services themselves have no state.
 */
struct runtime_tables {
	EFI_SYSTEM_TABLE system;
	EFI_RUNTIME_SERVICES services;
	EFI_CONFIGURATION_TABLE table[FIRMWARE_TABLES_MAX];
	CHAR16 vendor[8];
	/* "EFI_RT_PROPERTIES_TABLE" */
	struct {
		uint16_t version, length;
		uint32_t supported;
	} properties;
};

struct firmware {
	struct firmware_handover handover;
	struct page_map pages;
	struct handle_table handles;
	EFI_BOOT_SERVICES boot;
};

extern struct firmware firmware;
extern struct runtime_tables runtime_tables;

/* ---- the call to Postern ---- */

static inline int32_t postern_call(uint32_t function, uint64_t rbx, const void *rcx, uint64_t rsi)
{
	uint32_t result = function;

	__asm__ volatile("outl %%eax, %%dx"
			 : "+a"(result)
			 : "d"((uint16_t)POSTERN_CALL_PORT), "b"(rbx), "c"(rcx), "S"(rsi), "D"(0ull)
			 : "memory");
	return (int32_t)result;
}

/* Puts a line into Postern's log. */
void firmware_log(const char *format, ...) printf_like(1, 2);

/* Notes that a program wanted what isn't here, and answers so. */
static inline EFI_STATUS no_service(enum postern_service service)
{
	postern_call(POSTERN_CALL_NO_SERVICE, service, NULL, 0);
	return EFI_UNSUPPORTED;
}

_Noreturn void firmware_stop(void);

static inline uint64_t read_tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

/* ---- memory.c ---- */

void memory_init(void);
void memory_fill_services(EFI_BOOT_SERVICES *bs);
/* Zeroed pool memory of a type; NULL if there is none. */
void *memory_pool(EFI_MEMORY_TYPE type, UINTN size);
EFI_STATUS memory_status(int error);

/* ---- events.c ---- */

void events_fill_services(EFI_BOOT_SERVICES *bs);
/* An event whose state notify finds out when somebody waits; NULL if there is no room. */
EFI_EVENT event_create_wait(EFI_EVENT_NOTIFY notify);
/* Signals all events that wait for the end of boot services. */
void events_signal_exit(void);

/* ---- protocols.c ---- */

void protocols_fill_services(EFI_BOOT_SERVICES *bs);
/* For the firmware's own devices: adds a protocol, and stops if that can't be. */
void protocol_offer(EFI_HANDLE *handle, const EFI_GUID *guid, void *interface);

/* ---- images.c ---- */

void images_fill_services(EFI_BOOT_SERVICES *bs);
/* Loads the program of the handover and runs it; what it returned. */
EFI_STATUS image_run_first(EFI_HANDLE device);

/* A program's way in and out, in entry.S: what Exit needs to return from StartImage. */
struct image_context {
	uint64_t rsp, saved[6];
	uint8_t xmm[10][16];
};
EFI_STATUS image_enter(struct image_context *c, void *entry, EFI_HANDLE image, void *system_table);
_Noreturn void image_leave(struct image_context *c, EFI_STATUS status);

/* ---- console.c, devices.c ---- */

void console_init(EFI_SYSTEM_TABLE *st);
/* The firmware's devices; the handle that the program is said to come from. */
EFI_HANDLE devices_init(void);

/* ---- runtime.c ---- */

void runtime_fill_services(EFI_RUNTIME_SERVICES *rs);
void table_seal(EFI_TABLE_HEADER *header);
uint32_t table_crc32(const void *data, size_t len);

/* Sections; firmware.lds. */
extern const char firmware_start[], boot_end[], runtime_text_end[], runtime_data_end[],
	firmware_end[];

#endif
