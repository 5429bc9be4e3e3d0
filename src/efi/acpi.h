/* The few facts that Postern takes from the firmware's ACPI tables. */
#ifndef POSTERN_EFI_ACPI_H
#define POSTERN_EFI_ACPI_H

#include "base/types.h"

/* The ECAM window of PCI segment 0. -E_NOENT without tables or MCFG, -E_CORRUPT. */
int acpi_find_ecam(hpa_t *ret_base, uint64_t *ret_len) must_check;

/* A table as the firmware has it, unchecked but for its length, in bytes; NULL: there is none. */
const void *acpi_find_table(const char signature[static 4], size_t *ret_len);

#endif
