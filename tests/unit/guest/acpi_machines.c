/* Machines to describe by ACPI tables; see acpi_machines.h. */
#include "guest/acpi_machines.h"

#include <stdlib.h>

static const struct guest_acpi bare = {.pm_port = 0x600, .sci = 9, .s5_type = 5};

static const struct guest_acpi full = {.pm_port = 0x600,
	.sci = 9,
	.s5_type = 5,
	.pic = true,
	.pit = true,
	.rtc = true,
	.keyboard = true,
	.uart = true,
	.reset_port = 0xcf9,
	.reset_value = 6,
	.last_bus = 255};

const char *acpi_machine(unsigned i, struct guest_acpi *ret)
{
	*ret = i == 2 ? bare : full;
	if (i < 2 && guest_acpi_add_window(ret, 0x10000000, 0xfec00000 - 0x10000000))
		abort();
	if (i == 0) {
		ret->ecam_base = 0xb0000000;
		ret->msi = ret->apic = true;
		ret->lapic_base = 0xfee00000;
		ret->ioapic_base = 0xfec00000;
		ret->override[0] = (struct guest_acpi_override){0, 2, false, false};
		ret->override[1] = (struct guest_acpi_override){9, 9, true, false};
		ret->override_count = 2;
		if (guest_acpi_cut_windows(ret, 0xb0000000, 256 * MIB) ||
			guest_acpi_add_window(ret, 0x800000000, 16 * KIB) ||
			guest_acpi_add_route(ret, 3, 0, 11) || guest_acpi_add_route(ret, 31, 3, 10))
			abort();
	}
	return (const char *const[]){"q35", "i440fx", "empty"}[i];
}
