/* The few facts that Postern takes from the firmware's ACPI tables. */
#ifndef POSTERN_EFI_ACPI_H
#define POSTERN_EFI_ACPI_H

#include "base/types.h"

/* The ECAM window of PCI segment 0. -E_NOENT without tables or MCFG, -E_CORRUPT. */
int acpi_find_ecam(hpa_t *ret_base, uint64_t *ret_len) must_check;

#endif
