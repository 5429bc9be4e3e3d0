/* The guest's ACPI tables: pointers, lengths and sums; what a machine lacks isn't in them. */
#include "guest/acpi.h"
#include "base/error.h"
#include "guest/acpi_machines.h"
#include "guest/acpi_tables.h"
#include "test.h"

static uint8_t tables[GUEST_ACPI_SIZE];
static struct guest_acpi m;

static unsigned sum(const void *data, size_t len)
{
	unsigned s = 0;

	for (size_t i = 0; i < len; i++)
		s += ((const uint8_t *)data)[i];
	return s & 0xff;
}

static const void *at(uint64_t address)
{
	return tables + (address - GUEST_ACPI_BASE);
}

/* A table by its signature, checked, or NULL. */
static const void *find(const char *signature)
{
	const struct acpi_rsdp *r = (const void *)tables;
	const struct acpi_header *x = at(r->xsdt);

	for (size_t i = 0; i < (x->length - sizeof(*x)) / 8; i++) {
		const struct acpi_header *t;
		uint64_t address;

		memcpy(&address, (const uint8_t *)(x + 1) + 8 * i, 8);
		CHECK(address > GUEST_ACPI_BASE && address < GUEST_ACPI_NVS);
		t = at(address);
		CHECK_EQ(sum(t, t->length), 0);
		if (!memcmp(t->signature, signature, 4))
			return t;
	}
	return NULL;
}

static void pointers_and_sums(void)
{
	for (unsigned i = 0; i < ACPI_MACHINES; i++) {
		const struct acpi_rsdp *r = (const void *)tables;
		const struct acpi_fadt *f;
		const struct acpi_header *dsdt;

		acpi_machine(i, &m);
		CHECK_EQ(guest_acpi_build(&m, tables), 0);
		CHECK_EQ(sum(r, 20), 0);
		CHECK_EQ(sum(r, 36), 0);
		CHECK(!memcmp(r->signature, "RSD PTR ", 8));
		CHECK_EQ(sum(at(r->xsdt), ((const struct acpi_header *)at(r->xsdt))->length), 0);
		f = find("FACP");
		CHECK(f != NULL);
		CHECK_EQ(f->x_dsdt, f->dsdt);
		dsdt = at(f->dsdt);
		CHECK(!memcmp(dsdt->signature, "DSDT", 4));
		CHECK_EQ(sum(dsdt, dsdt->length), 0);
		CHECK_EQ(f->facs, GUEST_ACPI_NVS);
		CHECK(!memcmp(at(f->facs), "FACS", 4));
		CHECK_EQ(f->x_pm1a_control.address, 0x604);
		CHECK_EQ(f->smi_command, 0);
		CHECK(!(f->flags & (1u << 20))); /* not hardware-reduced */
		CHECK_EQ(find("APIC") != NULL, i == 0);
		CHECK_EQ(find("MCFG") != NULL, i == 0);
		CHECK_EQ(!(f->boot_flags & FADT_BOOT_NO_MSI), i == 0);
	}
}

static void windows(void)
{
	m = (struct guest_acpi){0};
	CHECK_EQ(guest_acpi_add_window(&m, 0x1000, 0), -E_RANGE);
	CHECK_EQ(guest_acpi_add_window(&m, ~0ull, 2), -E_RANGE);
	CHECK_EQ(guest_acpi_add_window(&m, 0x1000, 0x9000), 0);
	CHECK_EQ(guest_acpi_cut_windows(&m, 0x3000, 0x1000), 0);
	CHECK_EQ(m.window_count, 2);
	CHECK_EQ(m.window[0].len, 0x2000);
	CHECK_EQ(m.window[1].base, 0x4000);
	CHECK_EQ(m.window[1].len, 0x6000);
	CHECK_EQ(guest_acpi_cut_windows(&m, 0, 0x2000), 0);
	CHECK_EQ(m.window[0].base, 0x2000);
	CHECK_EQ(guest_acpi_cut_windows(&m, 0x9000, 0x9000), 0);
	CHECK_EQ(m.window[1].len, 0x5000);
	CHECK_EQ(guest_acpi_cut_windows(&m, 0, 0x3000), 0);
	CHECK_EQ(m.window_count, 1);
	for (unsigned i = 1; i < GUEST_ACPI_WINDOWS; i++)
		CHECK_EQ(guest_acpi_add_window(&m, i * GIB, 1), 0);
	CHECK_EQ(guest_acpi_add_window(&m, 64 * GIB, 1), -E_NOMEM);
	CHECK_EQ(guest_acpi_cut_windows(&m, 0x5000, 1), -E_NOMEM);
	CHECK_EQ(m.window[0].len, 0x5000);
	CHECK_EQ(guest_acpi_cut_windows(&m, 0, ~0ull), -E_RANGE);
}

static void routes(void)
{
	m = (struct guest_acpi){0};
	CHECK_EQ(guest_acpi_add_route(&m, 32, 0, 11), -E_RANGE);
	CHECK_EQ(guest_acpi_add_route(&m, 0, 4, 11), -E_RANGE);
	CHECK_EQ(guest_acpi_add_route(&m, 2, 0, 11), 0);
	CHECK_EQ(guest_acpi_add_route(&m, 2, 0, 11), 0);
	CHECK_EQ(guest_acpi_add_route(&m, 2, 0, 10), -E_EXIST);
	CHECK_EQ(m.route_count, 1);
	for (uint8_t i = 3; m.route_count < GUEST_ACPI_ROUTES; i++)
		CHECK_EQ(guest_acpi_add_route(&m, i % 32, i / 32, 11), 0);
	CHECK_EQ(guest_acpi_add_route(&m, 31, 3, 11), -E_NOMEM);
}

static void the_largest_machine_fits(void)
{
	acpi_machine(0, &m);
	m.override_count = GUEST_ACPI_OVERRIDES;
	while (m.window_count < GUEST_ACPI_WINDOWS)
		CHECK_EQ(guest_acpi_add_window(&m, 1ull << 40, 1 * GIB), 0);
	for (unsigned i = 0; m.route_count < GUEST_ACPI_ROUTES; i++)
		CHECK(guest_acpi_add_route(&m, i % 32, 1, 11) <= 0);
	CHECK_EQ(guest_acpi_build(&m, tables), 0);
}

static void impossible_machines(void)
{
	acpi_machine(0, &m);
	m.pm_port = 0;
	CHECK_EQ(guest_acpi_build(&m, tables), -E_INVAL);
	acpi_machine(0, &m);
	m.ecam_base++;
	CHECK_EQ(guest_acpi_build(&m, tables), -E_INVAL);
	acpi_machine(0, &m);
	m.ecam_base = 0xfff00000;
	CHECK_EQ(guest_acpi_build(&m, tables), -E_RANGE);
	acpi_machine(0, &m);
	m.sci = 16;
	CHECK_EQ(guest_acpi_build(&m, tables), -E_RANGE);
	acpi_machine(0, &m);
	m.route_count = GUEST_ACPI_ROUTES + 1;
	CHECK_EQ(guest_acpi_build(&m, tables), -E_RANGE);
}

int main(void)
{
	RUN(pointers_and_sums);
	RUN(windows);
	RUN(routes);
	RUN(the_largest_machine_fits);
	RUN(impossible_machines);
	return TEST_RESULT();
}
