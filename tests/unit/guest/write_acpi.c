/* Writes the tables of each machine as files FOLDER/MACHINE-SIGNATURE.aml, for guest/acpi-iasl. */
#include "guest/acpi_machines.h"
#include "guest/acpi_tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t tables[GUEST_ACPI_SIZE];

static void write_table(const char *folder, const char *machine, uint64_t at)
{
	const struct acpi_header *h = (const void *)(tables + (at - GUEST_ACPI_BASE));
	char name[512];
	FILE *file;

	snprintf(name, sizeof(name), "%s/%s-%.4s.aml", folder, machine, h->signature);
	file = fopen(name, "wb");
	if (!file || fwrite(h, h->length, 1, file) != 1 || fclose(file))
		abort();
}

static void write_machine(const char *folder, unsigned i)
{
	const struct acpi_rsdp *r = (const void *)tables;
	const struct acpi_header *xsdt;
	struct guest_acpi m;
	const char *name = acpi_machine(i, &m);

	if (guest_acpi_build(&m, tables))
		abort();
	xsdt = (const void *)(tables + (r->xsdt - GUEST_ACPI_BASE));
	write_table(folder, name, r->xsdt);
	write_table(folder, name, GUEST_ACPI_NVS);
	for (size_t n = 0; n < (xsdt->length - sizeof(*xsdt)) / 8; n++) {
		const struct acpi_fadt *fadt;
		uint64_t at;

		memcpy(&at, (const uint8_t *)(xsdt + 1) + n * 8, 8);
		write_table(folder, name, at);
		fadt = (const void *)(tables + (at - GUEST_ACPI_BASE));
		if (!memcmp(fadt->header.signature, "FACP", 4))
			write_table(folder, name, fadt->x_dsdt);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return EXIT_FAILURE;
	for (unsigned i = 0; i < ACPI_MACHINES; i++)
		write_machine(argv[1], i);
	return EXIT_SUCCESS;
}
