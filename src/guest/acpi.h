/*
 * The guest's ACPI tables, made from a description of its machine and from nothing else: no table of
 * the firmware is read or copied, so that nothing hidden can shine through. ACPI Specification 6.4;
 * for the MCFG, PCI Firmware Specification 3.2.
 *
 * The machine is one with fixed hardware, not a hardware-reduced one: on x86 Linux takes the latter
 * for a machine without PIC, PIT and real-time clock, all of which the guest has, and its power button
 * would need a GPIO controller or a generic event device with a driver of its own, where the fixed one
 * is two registers. SMI_CMD is 0 and SCI_EN always set, as for a machine that is born in ACPI mode.
 * There is no PM timer: it is optional, costs an exit for each read, and Linux would hold the TSC
 * against it, which isn't fair to either when the guest's time is shared with the firmware's.
 */
#ifndef POSTERN_GUEST_ACPI_H
#define POSTERN_GUEST_ACPI_H

#include "base/types.h"
#include "guest/memory_map.h"

#define GUEST_ACPI_WINDOWS   16u
#define GUEST_ACPI_ROUTES    32u
#define GUEST_ACPI_OVERRIDES 8u

/* Pin 0 to 3 (INTA to INTD) of a device of bus 0, and the input of the IOAPIC or PIC that it drives. */
struct guest_acpi_route {
	uint8_t device, pin, gsi;
};

/* An ISA interrupt that isn't an edge, active high, on the input of its own number. */
struct guest_acpi_override {
	uint8_t irq, gsi;
	bool level, active_low;
};

struct guest_acpi {
	/* The PCI root: what it decodes (guest_acpi_add_window), its last bus, and its ECAM window. */
	struct guest_range window[GUEST_ACPI_WINDOWS];
	unsigned window_count;
	uint8_t last_bus;
	uint64_t ecam_base; /* of bus 0; 0: none */
	struct guest_acpi_route route[GUEST_ACPI_ROUTES];
	unsigned route_count;

	/* Parts of the machine that have ports and no other way to be found. */
	bool pic, pit, rtc, keyboard, uart;

	/* The PM1 event block at pm_port, the control block at pm_port + 4: pio/pm.h. */
	uint16_t pm_port;
	uint8_t sci, s5_type;
	/* A byte port, and what resets the machine there; 0: none. */
	uint16_t reset_port;
	uint8_t reset_value;
	bool msi; /* message-signalled interrupts arrive */

	/* Local APIC and IOAPIC, whose inputs begin with GSI 0. */
	bool apic;
	uint32_t lapic_base, ioapic_base;
	uint8_t ioapic_id;
	struct guest_acpi_override override[GUEST_ACPI_OVERRIDES];
	unsigned override_count;
};

/* A range of memory addresses that the PCI root decodes. -E_RANGE (empty, or it wraps), -E_NOMEM. */
int guest_acpi_add_window(struct guest_acpi *m, uint64_t base, uint64_t len) must_check;

/* Takes a range out of the windows again: it is something else than PCI. -E_RANGE, -E_NOMEM. */
int guest_acpi_cut_windows(struct guest_acpi *m, uint64_t base, uint64_t len) must_check;

/* Repeating a route is fine. -E_EXIST if the pin goes elsewhere, -E_RANGE, -E_NOMEM. */
int guest_acpi_add_route(struct guest_acpi *m, uint8_t device, uint8_t pin, uint8_t gsi) must_check;

/*
 * Writes all tables as the guest finds them at GUEST_ACPI_BASE: the RSDP first, GUEST_ACPI_SIZE
 * bytes in all, the rest zeros. -E_NOMEM (they don't fit), -E_RANGE, -E_INVAL (an impossible machine).
 */
int guest_acpi_build(
	const struct guest_acpi *m, uint8_t ret_tables[static GUEST_ACPI_SIZE]) must_check;

#endif
