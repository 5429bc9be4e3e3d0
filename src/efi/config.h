/*
 * postern.conf: the configuration, as text and as what it means. Knows nothing of UEFI, so that it is
 * tested and fuzzed on a host. Every key, its values and its default: postern.conf.5, beside this file.
 */
#ifndef POSTERN_EFI_CONFIG_H
#define POSTERN_EFI_CONFIG_H

#include "core/device.h"
#include "core/policy.h"
#include "core/vm.h"

#define CONFIG_SIZE_MAX	   65536u /* bytes of the file */
#define CONFIG_LINE_MAX	   2045u  /* bytes of a line, its end not counted */
#define CONFIG_PATH_MAX	   255u
#define CONFIG_WORD_MAX	   23u
#define CONFIG_CMDLINE_MAX 1920u
#define CONFIG_DEVICES	   8u
#define CONFIG_WINDOWS	   POLICY_WINDOWS
#define CONFIG_GUID	   16u
#define CONFIG_MEMORY_MIN  (32 * MIB)
#define CONFIG_MEMORY_MAX  (2 * GIB)

/* What happens after the guest has ended without a boot target, or could not start. */
enum config_action {
	ACTION_CONTINUE, /* boot [boot] path all the same */
	ACTION_NEXT,	 /* return to the boot manager with an error: it takes its next entry */
	ACTION_SHUTDOWN, /* switch the machine off */
	ACTION_MENU,	 /* return to the boot manager with success: it shows its menu */
};

enum config_boot { CONFIG_BOOT_AUTO, CONFIG_BOOT_LINUX, CONFIG_BOOT_EFI };

#define CONFIG_VARIABLES     16u
#define CONFIG_VARIABLE_NAME 63u

/* An EFI variable: guid in the byte order of memory. */
struct config_variable {
	char name[CONFIG_VARIABLE_NAME + 1];
	uint8_t guid[16];
};

struct config_variables {
	struct config_variable item[CONFIG_VARIABLES];
	unsigned count;
};

enum config_trace { CONFIG_TRACE_FILE, CONFIG_TRACE_SERIAL };

enum { CONFIG_LOG_SERIAL = 1, CONFIG_LOG_CONSOLE = 2 };

/* Which PCI functions or, the last two, disks a [device] section speaks of. */
enum config_match_kind {
	MATCH_NONE,
	MATCH_CLASS,
	MATCH_ID,
	MATCH_PCI,
	MATCH_BOOT_DISK,
	MATCH_PARTITION
};

struct config_match {
	enum config_match_kind kind;
	uint32_t class_code, class_mask; /* class, subclass, programming interface: 24 bits */
	uint16_t vendor, device;
	pci_bdf_t bdf;
	uint8_t partition[CONFIG_GUID]; /* as GPT and UEFI store it */
};

enum config_window_kind { WINDOW_BLOCKS, WINDOW_GUID, WINDOW_NUMBER };

/* Part of a disk: blocks, or a partition, whose blocks the firmware knows. */
struct config_window {
	enum config_window_kind kind;
	struct policy_window blocks;
	uint8_t partition[CONFIG_GUID]; /* as GPT and UEFI store it */
	uint32_t number;		/* from 1 */
};

struct config_windows {
	struct config_window range[CONFIG_WINDOWS];
	unsigned count; /* 0: the whole disk */
};

struct config_device {
	char name[DEVICE_NAME_MAX];
	struct config_match match;
	enum device_mode mode;
	bool trace;
	bool write;
	uint64_t profile, allow, deny; /* bits of enum policy_command */
	uint32_t queues, transfer;
	struct config_windows window;
	unsigned line, window_line; /* of match and window */
};

/* The keys outside of [device]; the index of config.line. */
enum config_key {
	CONFIG_ON_FAILURE,
	CONFIG_ON_RESET,
	CONFIG_ON_POWEROFF,
	CONFIG_ON_TRIPLE_FAULT,
	CONFIG_ON_TIME_LIMIT,
	CONFIG_TIME_LIMIT,
	CONFIG_TIME_LIMIT_GRACE,
	CONFIG_LOG,
	CONFIG_REHEARSE,
	CONFIG_TRACE_TO,
	CONFIG_TRACE_SIZE,
	CONFIG_KERNEL,
	CONFIG_BOOT,
	CONFIG_INITRAMFS,
	CONFIG_CMDLINE,
	CONFIG_MEMORY,
	CONFIG_DISPLAY,
	CONFIG_ACPI,
	CONFIG_APIC,
	CONFIG_CONSOLE,
	CONFIG_VARIABLE_LIST,
	CONFIG_BOOT_PATH,
	CONFIG_KEYS
};

struct config {
	enum config_action on_failure, on_reset, on_poweroff, on_triple_fault, on_time_limit;
	uint32_t time_limit, time_limit_grace; /* seconds, 0 for none */
	uint32_t log;			       /* CONFIG_LOG_... */
	char rehearse[CONFIG_WORD_MAX + 1];    /* a stage's name; empty: run the guest */
	enum config_trace trace_to;
	uint64_t trace_size; /* bytes, whole pages */
	char kernel[CONFIG_PATH_MAX + 1];
	enum config_boot boot;
	char initramfs[CONFIG_PATH_MAX + 1]; /* empty: none */
	char cmdline[CONFIG_CMDLINE_MAX + 1];
	uint64_t memory; /* bytes, whole pages */
	bool framebuffer, apic, acpi;
	bool firmware_console;
	struct config_variables variables;
	char boot_path[CONFIG_PATH_MAX + 1]; /* empty: return to the boot manager */
	struct config_device device[CONFIG_DEVICES];
	unsigned device_count;
	unsigned line[CONFIG_KEYS]; /* where each key was set; 0: its default holds */
};

#define CONFIG_KEY_MAX	63u
#define CONFIG_TEXT_MAX 159u

struct config_error {
	unsigned line;		      /* from 1; 0 when it isn't about one line */
	char key[CONFIG_KEY_MAX + 1]; /* key or [section]; empty when it isn't about one */
	char text[CONFIG_TEXT_MAX + 1];
};

/* Is any device to be recorded? */
bool config_wants_trace(const struct config *c);

/* Does a section say what the guest may do with the device? */
bool config_names_policy(const struct config_device *d);

/* The policy of a section, windows excepted: those of partitions are for the firmware to find. */
struct policy config_policy(const struct config_device *d);

/* Every default, as an empty file would give it. */
void config_init(struct config *c);

/*
 * Parses len bytes at text, followed by a NUL. -E_INVAL with the first error of the file in
 * *ret_error. Then *c is still fit for a failure path: on_failure and the boot path are the file's if it
 * has valid ones anywhere, and no field is undefined.
 */
int config_parse(
	struct config *c, const char *text, size_t len, struct config_error *ret_error) must_check;

/* An error about a key of a file that was parsed, with the line that set it: a file not found... */
void config_error_at(const struct config *c, enum config_key key, const char *text,
	struct config_error *ret_error);

/* The same about a key of a [device] section, which stands in that line. */
void config_error_in(const struct config_device *d, unsigned line, const char *key,
	const char *text, struct config_error *ret_error);

/* "FILE:LINE: KEY: TEXT", without the parts that the error lacks; cut to size. */
void config_error_print(const struct config_error *e, const char *file, char *out, size_t size);

/* "kernel", "path", ...; never NULL. */
const char *config_key_name(enum config_key key);

/* What to do about a guest that ended for this reason; STOP_BOOT has no action and gives continue. */
enum config_action config_action_for(const struct config *c, enum vm_stop_reason reason);

/* "continue", ...; never NULL. */
const char *config_action_name(enum config_action action);

/* Does a section speak of a disk, and not of a PCI function? */
bool config_match_is_disk(const struct config_match *m);

/* Does a section speak of this function? class_code is the three bytes at PCI_CLASS. */
bool config_match_device(const struct config_match *m, pci_bdf_t bdf, uint16_t vendor,
	uint16_t device, uint32_t class_code);

#endif
