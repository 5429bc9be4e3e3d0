/*
 * Reading the firmware's ACPI tables: ACPI Specification 6.4, "Root System Description Pointer",
 * "Extended System Description Table"; PCI Firmware Specification 3.2, "MCFG". No state.
 */
#include "efi/acpi.h"
#include "base/bits.h"
#include "base/mem.h"
#include "efi/uefi.h"

#define TABLES_MAX     256u
#define TABLE_SIZE_MAX (1 * MIB)

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[18];
	uint32_t creator, creator_revision;
} __attribute__((packed));

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} __attribute__((packed));

struct acpi_mcfg_entry {
	uint64_t base;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint32_t reserved;
} __attribute__((packed));

_Static_assert(sizeof(struct acpi_header) == 36, "ACPI table header");
_Static_assert(sizeof(struct acpi_rsdp) == 36, "RSDP of revision 2");
_Static_assert(sizeof(struct acpi_mcfg_entry) == 16, "MCFG allocation");

#define MCFG_ENTRIES_OFFSET (sizeof(struct acpi_header) + 8)

static const struct acpi_rsdp *find_rsdp(void)
{
	EFI_GUID guid = ACPI_20_TABLE_GUID;

	for (UINTN i = 0; i < efi_st->NumberOfTableEntries; i++)
		if (!memcmp(&efi_st->ConfigurationTable[i].VendorGuid, &guid, sizeof(guid)))
			return efi_st->ConfigurationTable[i].VendorTable;
	return NULL;
}

static const struct acpi_header *find_table(const char *signature)
{
	const struct acpi_rsdp *rsdp = find_rsdp();
	const struct acpi_header *xsdt, *table;
	uint64_t at;

	if (!rsdp || rsdp->revision < 2 || !rsdp->xsdt)
		return NULL;
	xsdt = (const void *)(uintptr_t)rsdp->xsdt;
	if (xsdt->length < sizeof(*xsdt) || xsdt->length > TABLE_SIZE_MAX)
		return NULL;
	for (uint64_t i = 0; i < (xsdt->length - sizeof(*xsdt)) / 8 && i < TABLES_MAX; i++) {
		memcpy(&at, (const uint8_t *)(xsdt + 1) + i * 8, sizeof(at));
		table = (const void *)(uintptr_t)at;
		if (table && !memcmp(table->signature, signature, 4))
			return table;
	}
	return NULL;
}

const void *acpi_find_table(const char signature[static 4], size_t *ret_len)
{
	const struct acpi_header *table = find_table(signature);

	if (!table || table->length < sizeof(*table) || table->length > TABLE_SIZE_MAX)
		return NULL;
	*ret_len = table->length;
	return table;
}

int acpi_find_ecam(hpa_t *ret_base, uint64_t *ret_len)
{
	const struct acpi_header *mcfg = find_table("MCFG");

	if (!mcfg)
		return -E_NOENT;
	if (mcfg->length < MCFG_ENTRIES_OFFSET || mcfg->length > TABLE_SIZE_MAX)
		return -E_CORRUPT;
	for (uint64_t off = MCFG_ENTRIES_OFFSET;
		range_fits(off, sizeof(struct acpi_mcfg_entry), mcfg->length);
		off += sizeof(struct acpi_mcfg_entry)) {
		struct acpi_mcfg_entry e;

		memcpy(&e, (const uint8_t *)mcfg + off, sizeof(e));
		if (e.segment || e.first_bus || !is_aligned(e.base, MIB))
			continue;
		*ret_base = hpa(e.base);
		*ret_len = ((uint64_t)e.last_bus + 1) << 20;
		return 0;
	}
	return -E_NOENT;
}
