/* Layouts of the ACPI tables that the guest gets. ACPI Specification 6.4, "ACPI System Description Tables". */
#ifndef POSTERN_GUEST_ACPI_TABLES_H
#define POSTERN_GUEST_ACPI_TABLES_H

#include <stddef.h>
#include <stdint.h>

#define PACKED __attribute__((packed))

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem[6];
	uint8_t revision;
	uint32_t rsdt, length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} PACKED;
_Static_assert(sizeof(struct acpi_rsdp) == 36, "RSDP");

#define ACPI_RSDP_FIRST 20u

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision;
	char creator[4];
	uint32_t creator_revision;
} PACKED;
_Static_assert(sizeof(struct acpi_header) == 36, "table header");

/* "Generic Address Structure". */
struct acpi_gas {
	uint8_t space, bits, offset, access;
	uint64_t address;
} PACKED;
_Static_assert(sizeof(struct acpi_gas) == 12, "generic address");

#define ACPI_SPACE_IO	  1u
#define ACPI_ACCESS_BYTE  1u
#define ACPI_ACCESS_WORD  2u
#define ACPI_ACCESS_DWORD 3u

/* "Fixed ACPI Description Table". */
struct acpi_fadt {
	struct acpi_header header;
	uint32_t facs, dsdt;
	uint8_t reserved0, profile;
	uint16_t sci;
	uint32_t smi_command;
	uint8_t acpi_enable, acpi_disable, s4bios, pstate_control;
	uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer;
	uint32_t gpe0, gpe1;
	uint8_t pm1_event_len, pm1_control_len, pm2_control_len, pm_timer_len;
	uint8_t gpe0_len, gpe1_len, gpe1_base, cst_control;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_flags;
	uint8_t reserved1;
	uint32_t flags;
	struct acpi_gas reset;
	uint8_t reset_value;
	uint16_t arm_flags;
	uint8_t minor;
	uint64_t x_facs, x_dsdt;
	struct acpi_gas x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control,
		x_pm_timer, x_gpe0, x_gpe1, sleep_control, sleep_status;
	uint64_t hypervisor;
} PACKED;
_Static_assert(sizeof(struct acpi_fadt) == 276, "FADT of revision 6");
_Static_assert(offsetof(struct acpi_fadt, pm1a_event) == 56, "FADT");
_Static_assert(offsetof(struct acpi_fadt, boot_flags) == 109, "FADT");
_Static_assert(offsetof(struct acpi_fadt, reset) == 116, "FADT");
_Static_assert(offsetof(struct acpi_fadt, x_pm1a_event) == 148, "FADT");

#define FADT_REVISION	  6u
#define FADT_MINOR	  4u

#define FADT_BOOT_LEGACY  0x0001u
#define FADT_BOOT_8042	  0x0002u
#define FADT_BOOT_NO_VGA  0x0004u
#define FADT_BOOT_NO_MSI  0x0008u
#define FADT_BOOT_NO_ASPM 0x0010u
#define FADT_BOOT_NO_RTC  0x0020u

#define FADT_WBINVD	  0x00000001u
#define FADT_C1		  0x00000004u
#define FADT_NO_SLEEP	  0x00000020u /* no fixed sleep button */
#define FADT_NO_RTC_WAKE  0x00000040u
#define FADT_RESET	  0x00000400u

/* Latencies above these mean that the state isn't there. */
#define FADT_NO_C2	  101u
#define FADT_NO_C3	  1001u

struct acpi_facs {
	char signature[4];
	uint32_t length, hardware, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t version, reserved0[3];
	uint32_t ospm_flags;
	uint8_t reserved1[24];
} PACKED;
_Static_assert(sizeof(struct acpi_facs) == 64, "FACS");

/* "Multiple APIC Description Table", and the entries that follow it. */
struct acpi_madt {
	struct acpi_header header;
	uint32_t lapic_base, flags;
} PACKED;
_Static_assert(sizeof(struct acpi_madt) == 44, "MADT");

#define MADT_PCAT 0x1u /* there is a PIC too */

struct acpi_madt_lapic {
	uint8_t type, length, processor, id;
	uint32_t flags;
} PACKED;
_Static_assert(sizeof(struct acpi_madt_lapic) == 8, "MADT local APIC");

struct acpi_madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t base, first_gsi;
} PACKED;
_Static_assert(sizeof(struct acpi_madt_ioapic) == 12, "MADT IOAPIC");

struct acpi_madt_override {
	uint8_t type, length, bus, irq;
	uint32_t gsi;
	uint16_t flags;
} PACKED;
_Static_assert(sizeof(struct acpi_madt_override) == 10, "MADT override");

#define MADT_LAPIC	   0u
#define MADT_IOAPIC	   1u
#define MADT_OVERRIDE	   2u
#define MADT_LAPIC_ENABLED 0x1u
/* "MPS INTI Flags". */
#define MADT_POLARITY_HIGH 0x1u
#define MADT_POLARITY_LOW  0x3u
#define MADT_TRIGGER_EDGE  0x4u
#define MADT_TRIGGER_LEVEL 0xcu

struct acpi_mcfg {
	struct acpi_header header;
	uint64_t reserved0, ecam_base;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint32_t reserved1;
} PACKED;
_Static_assert(sizeof(struct acpi_mcfg) == 60, "MCFG with one window");

#endif
