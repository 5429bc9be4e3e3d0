/* Machines to describe by ACPI tables. */
#ifndef POSTERN_ACPI_MACHINES_H
#define POSTERN_ACPI_MACHINES_H

#include "guest/acpi.h"

#define ACPI_MACHINES 3u

/* "q35": NVMe behind a root port; "i440fx": IDE, no ECAM; "empty". The name of machine i. */
const char *acpi_machine(unsigned i, struct guest_acpi *ret);

#endif
