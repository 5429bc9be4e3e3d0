/*
 * The format of a trace: exits of the guest with all that is needed to run them again elsewhere.
 * Layouts only, little endian, for the recorder (core/trace.c) and for the tool that reads traces.
 *
 * A file is a struct trace_header and records, each with its length first and a multiple of 8 bytes:
 *
 *	struct trace_record
 *	struct trace_region	region_count of them: what the exit's accesses met
 *	struct trace_access	access_count of them in the order of their happening, each followed
 *				by its data, padded with zeros to 8 bytes
 *	uint64_t		one for each bit in the changed mask: registers after the exit
 *	struct trace_extension	extension_bytes of them; readers skip types that they don't know
 *
 * Version 1. Whatever changes the meaning or place of a field makes a new version; vector registers
 * of the exits that use them come as an extension.
 *
 * A trace holds what the guest and its disk exchanged through registers: treat it as their data.
 */
#ifndef POSTERN_CORE_TRACE_FORMAT_H
#define POSTERN_CORE_TRACE_FORMAT_H

#include "base/types.h"

#define TRACE_MAGIC   0x4543415254545350ull /* "PSTTRACE" */
#define TRACE_VERSION 1u
#define TRACE_DEVICES 8u

enum trace_vendor { TRACE_VENDOR_NONE, TRACE_VENDOR_VMX, TRACE_VENDOR_SVM, TRACE_VENDORS };

struct trace_device {
	char name[24]; /* with a NUL; empty: not used */
	uint16_t bdf;  /* bus, device, function, as in configuration addresses */
	uint8_t reserved[6];
};
_Static_assert(sizeof(struct trace_device) == 32, "trace_device");

/* Of the guest's CPU, as its page tables are read. */
#define TRACE_CPU_1GIB_PAGES 1u

struct trace_header {
	uint64_t magic;
	uint32_t version;
	uint32_t header_bytes;
	uint32_t tsc_khz;
	uint8_t vendor;	       /* enum trace_vendor */
	uint8_t physical_bits; /* of guest-physical addresses */
	uint8_t cpu;	       /* TRACE_CPU_... */
	uint8_t reserved;
	uint64_t records, bytes; /* that follow the header */
	uint64_t lost;		 /* older records that the ring had no room for any more */
	struct trace_device device[TRACE_DEVICES];
};
_Static_assert(sizeof(struct trace_header) == 304, "trace_header");
_Static_assert(offsetof(struct trace_header, device) == 48, "trace_header");

enum trace_kind { TRACE_MMIO, TRACE_PORTS, TRACE_KINDS };

/* Flags of a record. */
#define TRACE_WRITE    0x0001u /* the CPU reported a write, or OUT */
#define TRACE_FETCHING 0x0002u /* it was fetching code there */
#define TRACE_WALKING  0x0004u /* it was reading page tables there */
#define TRACE_GLA      0x0008u /* gla is valid */
#define TRACE_STRING   0x0010u /* INS or OUTS */
#define TRACE_REP      0x0020u
#define TRACE_SHADOW   0x0040u /* interrupts were held off by STI or MOV SS */
#define TRACE_CUT      0x0080u /* some accesses or regions are missing: too many for a record */
#define TRACE_CONFIG   0x0100u /* an access to configuration space, at config */
#define TRACE_FLAGS    0x01ffu

enum trace_verdict {
	TRACE_DONE,	 /* RIP moved behind the instruction */
	TRACE_AGAIN,	 /* the guest executes it again: iterations of a string are left */
	TRACE_EXCEPTION, /* one is pending, see after */
	TRACE_STOPPED,	 /* the guest has ended */
	TRACE_VERDICTS
};

enum trace_insn_source { TRACE_INSN_NONE, TRACE_INSN_CPU, TRACE_INSN_FETCHED, TRACE_INSN_SOURCES };

/* An event on its way into the guest: type as core's enum vcpu_event_type. */
struct trace_event {
	uint8_t type, vector, has_error, reserved;
	uint32_t error;
};
_Static_assert(sizeof(struct trace_event) == 8, "trace_event");

struct trace_segment {
	uint64_t base;
	uint32_t limit, attributes; /* as struct vcpu_segment */
	uint16_t selector;
	uint8_t reserved[6];
};
_Static_assert(sizeof(struct trace_segment) == 24, "trace_segment");

#define TRACE_SEGMENTS 6u /* ES, CS, SS, DS, FS, GS */

/* Places of registers: 16 general ones as instructions number them, then these. */
enum trace_register {
	TRACE_RIP = 16,
	TRACE_RFLAGS,
	TRACE_CR0,
	TRACE_CR2,
	TRACE_CR3,
	TRACE_CR4,
	TRACE_EFER,
	TRACE_XCR0,
	TRACE_REGISTERS
};

#define TRACE_INSN_MAX 15u

struct trace_record {
	uint32_t length; /* bytes, with all that belongs to the record */
	uint8_t kind;	 /* enum trace_kind */
	uint8_t device;	 /* index in the header's table */
	uint16_t flags;
	uint64_t number;	  /* of the record, counted from 0 with the lost ones */
	uint64_t tsc, ticks;	  /* at the exit, and spent on it */
	uint64_t reason, info[2]; /* the processor's own, raw */
	uint64_t gpa;		  /* or the port */
	uint64_t gla;
	uint32_t config; /* offset in configuration space, if TRACE_CONFIG */
	uint32_t reserved32;
	uint8_t insn[TRACE_INSN_MAX];
	uint8_t insn_bytes;  /* of insn: known ones, which may be more than the instruction has */
	uint8_t insn_source; /* enum trace_insn_source */
	uint8_t insn_given;  /* the first of them came from the CPU with the exit */
	uint8_t insn_length; /* as the CPU told it; 0: it didn't */
	uint8_t port_size, cpl;
	uint8_t verdict; /* enum trace_verdict */
	uint8_t region_count;
	uint8_t reserved;
	struct trace_event before, after;
	uint64_t reg[TRACE_REGISTERS];
	struct trace_segment segment[TRACE_SEGMENTS];
	uint32_t changed; /* registers with another value after the exit */
	uint32_t access_count;
	uint32_t access_bytes;
	uint32_t extension_bytes;
};
_Static_assert(offsetof(struct trace_record, insn) == 80, "trace_record");
_Static_assert(offsetof(struct trace_record, before) == 104, "trace_record");
_Static_assert(offsetof(struct trace_record, reg) == 120, "trace_record");
_Static_assert(offsetof(struct trace_record, segment) == 312, "trace_record");
_Static_assert(sizeof(struct trace_record) == 472, "trace_record");

#define TRACE_REGIONS	       4u /* in a record, at most */
#define TRACE_REGION_BYTE_WIDE 1u
#define TRACE_REGION_BLOCK     2u /* takes whole runs of INS */

struct trace_region {
	uint64_t base, len;
	uint32_t flags;
	uint8_t device; /* index in the header's table, or TRACE_NO_DEVICE */
	uint8_t reserved[3];
};
_Static_assert(sizeof(struct trace_region) == 24, "trace_region");

#define TRACE_NO_DEVICE 0xffu
#define TRACE_NO_REGION 0xffu

enum trace_access_kind {
	TRACE_ACCESS_FETCH,  /* of instruction bytes */
	TRACE_ACCESS_WALK,   /* of a page table's entry */
	TRACE_ACCESS_MEMORY, /* of guest memory, as operand */
	TRACE_ACCESS_DEVICE, /* of a region in memory space, or of nobody there */
	TRACE_ACCESS_PORT,
	TRACE_ACCESS_BLOCK, /* a run of INS in one piece */
	TRACE_ACCESS_KINDS
};

#define TRACE_ACCESS_WRITE  1u
#define TRACE_ACCESS_LINEAR 2u /* linear is known */
#define TRACE_ACCESS_FLAGS  3u

#define TRACE_RESULT_ABSENT 1u /* of fetch, walk and memory: nothing there; 0 is success */

struct trace_access {
	uint8_t kind; /* enum trace_access_kind */
	uint8_t flags;
	uint8_t result;		   /* TRACE_RESULT_..., or core's enum io_result */
	uint8_t region;		   /* index in the record's list, or TRACE_NO_REGION */
	uint32_t len;		   /* bytes of data */
	uint64_t linear, physical; /* physical: guest-physical address or port */
};
_Static_assert(sizeof(struct trace_access) == 24, "trace_access");

struct trace_extension {
	uint16_t type, version;
	uint32_t length; /* with this header, a multiple of 8 */
};
_Static_assert(sizeof(struct trace_extension) == 8, "trace_extension");

/* Before each line of base64 (RFC 4648) of a trace that is sent as text. */
#define TRACE_LINE	       "postern-trace:"

/* Upper bounds, for buffers of writers and readers. */
#define TRACE_ACCESS_BYTES_MAX 0xf000u
#define TRACE_RECORD_MAX       0x10000u

#endif
