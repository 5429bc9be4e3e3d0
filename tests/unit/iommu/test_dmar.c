/* The DMAR table: QEMU's, those of larger machines, and all that can be wrong with one. */
#include "base/bits.h"
#include "base/error.h"
#include "iommu/dmar.h"
#include "test.h"

#include <string.h>

static uint8_t table[4096];
static size_t len;
static struct dmar dmar;
static const char *why;
static size_t at;
static unsigned asked;

/* Bridges: 00:1c.0 to bus 2 (to 4), 02:00.0 to bus 3. */
static int read_buses(void *arg, pci_bdf_t bridge, uint8_t *secondary, uint8_t *subordinate)
{
	CHECK(arg == &asked);
	asked++;
	if (bridge == PCI_BDF(0, 0x1c, 0)) {
		*secondary = 2;
		*subordinate = 4;
		return 0;
	}
	if (bridge == PCI_BDF(2, 0, 0)) {
		*secondary = *subordinate = 3;
		return 0;
	}
	return -E_NOENT;
}

static void put(const void *data, size_t n)
{
	memcpy(table + len, data, n);
	len += n;
}

#define PUT(...) put((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void begin(void)
{
	memset(table, 0, sizeof(table));
	memcpy(table, "DMAR", 4);
	table[36] = 38;
	len = 48;
	asked = 0;
}

static int parse_as(size_t claimed, size_t given)
{
	static const struct dmar_buses buses = {read_buses, &asked};
	uint32_t length = (uint32_t)claimed;
	uint8_t sum = 0;

	memcpy(table + 4, &length, 4);
	table[9] = 0;
	for (size_t i = 0; i < claimed && i < sizeof(table); i++)
		sum = (uint8_t)(sum + table[i]);
	table[9] = (uint8_t)-sum;
	why = NULL;
	at = 99999;
	return dmar_parse(&dmar, table, given, &buses, &why, &at);
}

static int parse(void)
{
	return parse_as(len, len);
}

#define PAGE_AT(n) 0x00, ((n) << 4 & 0xff), ((n) >> 4 & 0xff), 0xfe, 0, 0, 0, 0

static void put_unit(unsigned n, uint8_t flags)
{
	PUT(0, 0, 16, 0, flags, 0, 0, 0, PAGE_AT(n));
}

/* Adds a device to the last structure, which begins at offset start. */
static void put_device(size_t start, uint8_t kind, uint8_t id, uint8_t bus, uint8_t dev, uint8_t fn)
{
	PUT(kind, 8, 0, 0, id, bus, dev, fn);
	table[start + 2] = (uint8_t)(len - start);
}

static void reads_the_one_of_qemu(void)
{
	size_t start;

	begin();
	table[37] = 1;
	start = len;
	put_unit(1, 0);
	put_device(start, DMAR_IOAPIC, 0, 0xff, 0, 0);
	put_device(start, DMAR_ENDPOINT, 0, 0, 2, 0);
	put_device(start, DMAR_ENDPOINT, 0, 0, 0x1f, 2);
	CHECK_EQ(parse(), 0);
	CHECK_EQ(dmar.address_bits, 39);
	CHECK(dmar.interrupts && !dmar.opt_in && !dmar.no_x2apic);
	CHECK_EQ(dmar.units, 1);
	CHECK_EQ(dmar.unit[0].base, 0xfe001000);
	CHECK_EQ(dmar.unit[0].size, 4096);
	CHECK_EQ(dmar.unit[0].scopes.count, 3);
	CHECK_EQ(dmar.scope[0].kind, DMAR_IOAPIC);
	CHECK_EQ(dmar.scope[0].bdf, PCI_BDF(0xff, 0, 0));
	CHECK(dmar_find_unit(&dmar, PCI_BDF(0, 2, 0)) == &dmar.unit[0]);
	CHECK(dmar_find_unit(&dmar, PCI_BDF(0, 0x1f, 2)) == &dmar.unit[0]);
	CHECK(!dmar_find_unit(&dmar, PCI_BDF(0, 3, 0)));
	CHECK_EQ(asked, 0);
}

static void the_particular_comes_first(void)
{
	size_t start;

	begin();
	table[37] = 6;
	put_unit(1, 1); /* all the rest, though it stands first */
	start = len;
	put_unit(2, 0);
	put_device(start, DMAR_ENDPOINT, 0, 0, 2, 0);
	start = len;
	put_unit(3, 0);
	put_device(start, DMAR_BRIDGE, 0, 0, 0x1c, 0);
	CHECK_EQ(parse(), 0);
	CHECK(dmar.opt_in && dmar.no_x2apic && !dmar.interrupts);
	CHECK(dmar_find_unit(&dmar, PCI_BDF(0, 2, 0)) == &dmar.unit[1]);
	CHECK(dmar_find_unit(&dmar, PCI_BDF(0, 2, 1)) == &dmar.unit[0]);
	/* The bridge itself and the buses from its secondary to its subordinate one. */
	CHECK(dmar_find_unit(&dmar, PCI_BDF(0, 0x1c, 0)) == &dmar.unit[2]);
	CHECK(dmar_find_unit(&dmar, PCI_BDF(2, 0, 0)) == &dmar.unit[2]);
	CHECK(dmar_find_unit(&dmar, PCI_BDF(4, 31, 7)) == &dmar.unit[2]);
	CHECK(dmar_find_unit(&dmar, PCI_BDF(1, 0, 0)) == &dmar.unit[0]);
	CHECK(dmar_find_unit(&dmar, PCI_BDF(5, 0, 0)) == &dmar.unit[0]);
}

static void follows_paths(void)
{
	size_t start;

	begin();
	start = len;
	put_unit(1, 0);
	PUT(DMAR_ENDPOINT, 12, 0, 0, 0, 0, 0x1c, 0, 0, 0, 5, 1);
	table[start + 2] = (uint8_t)(len - start);
	CHECK_EQ(parse(), 0);
	CHECK_EQ(asked, 2);
	CHECK_EQ(dmar.scope[0].bdf, PCI_BDF(3, 5, 1));
	table[len - 6] = 0x1d; /* no bridge there */
	CHECK_EQ(parse(), -E_NOTSUP);
	CHECK_EQ(at, start);
	table[len - 6] = 0x20;
	CHECK_EQ(parse(), -E_CORRUPT);
	table[len - 6] = 0x1c;
	table[len - 1] = 8;
	CHECK_EQ(parse(), -E_CORRUPT);
}

static void keeps_reserved_memory(void)
{
	size_t start;

	begin();
	put_unit(1, 1);
	start = len;
	PUT(1, 0, 24, 0, 0, 0, 0, 0, PAGE_AT(0x10), 0xff, 0x1f, 0x01, 0xfe, 0, 0, 0, 0);
	put_device(start, DMAR_ENDPOINT, 0, 0, 0x14, 0);
	CHECK_EQ(parse(), 0);
	CHECK_EQ(dmar.reserved_count, 1);
	CHECK_EQ(dmar.reserved[0].base, 0xfe010000);
	CHECK_EQ(dmar.reserved[0].last, 0xfe011fff);
	CHECK(dmar_in_scopes(&dmar, &dmar.reserved[0].scopes, PCI_BDF(0, 0x14, 0)));
	CHECK(!dmar_in_scopes(&dmar, &dmar.reserved[0].scopes, PCI_BDF(0, 0x14, 1)));
	table[start + 16] = 0xfe; /* not a page's end */
	CHECK_EQ(parse(), -E_CORRUPT);
	table[start + 16] = 0xff;
	table[start + 18] = 0; /* below its begin */
	CHECK_EQ(parse(), -E_CORRUPT);
}

static void skips_what_it_needs_not(void)
{
	size_t start;

	begin();
	put_unit(1, 1);
	PUT(2, 0, 8, 0, 1, 0, 0, 0);
	PUT(3, 0, 20, 0, 0, 0, 0, 0, PAGE_AT(1), 0, 0, 0, 0);
	PUT(4, 0, 11, 0, 0, 0, 0, 1, '\\', 'A', 0);
	PUT(5, 0, 8, 0, 0, 0, 0, 0);
	PUT(0x77, 0x77, 4, 0);
	/* A unit of another segment: kept, but its devices can't be followed. */
	start = len;
	put_unit(2, 1);
	table[start + 6] = 1;
	put_device(start, DMAR_BRIDGE, 0, 0, 9, 0);
	CHECK_EQ(parse(), 0);
	CHECK_EQ(dmar.others, 5);
	CHECK_EQ(dmar.units, 2);
	CHECK_EQ(dmar.unit[1].segment, 1);
	CHECK_EQ(dmar.unit[1].scopes.count, 0);
	CHECK(dmar_find_unit(&dmar, PCI_BDF(0, 9, 0)) == &dmar.unit[0]);
}

/* Each must be refused with a reason; the structure begins at offset 48. */
static void refuses_contradictions(void)
{
	begin();
	PUT(0, 0, 0, 0); /* without length: it would never end */
	CHECK_EQ(parse(), -E_CORRUPT);
	CHECK(why && at == 48 && !dmar.units);
	begin();
	PUT(0, 0, 3, 0);
	CHECK_EQ(parse(), -E_CORRUPT);
	begin();
	PUT(0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	CHECK_EQ(parse(), -E_CORRUPT);
	begin();
	PUT(1, 0, 16, 0, 0, 0, 0, 0, PAGE_AT(1));
	CHECK_EQ(parse(), -E_CORRUPT);
	begin();
	put_unit(1, 0);
	put_unit(1, 0);
	CHECK_EQ(parse(), -E_CORRUPT);
	begin();
	put_unit(1, 1);
	put_unit(2, 1);
	CHECK_EQ(parse(), -E_CORRUPT);
	begin();
	put_unit(0, 0);
	memset(table + 56, 0, 8); /* at address 0 */
	CHECK_EQ(parse(), -E_CORRUPT);
	table[56] = 8;
	CHECK_EQ(parse(), -E_CORRUPT);
	memset(table + 56, 0xff, 8);
	table[56] = 0, table[57] = 0xf0;
	CHECK_EQ(parse(), -E_CORRUPT);
	for (unsigned dev_len = 0; dev_len < 32; dev_len++) {
		begin();
		put_unit(1, 0);
		put_device(48, DMAR_ENDPOINT, 0, 0, 2, 0);
		table[48 + 16 + 1] = (uint8_t)dev_len;
		CHECK_EQ(parse(), dev_len == 8 ? 0 : -E_CORRUPT);
	}
	begin();
	put_unit(1, 0);
	put_device(48, DMAR_BRIDGE, 0, 0, 2, 0);
	CHECK_EQ(parse(), -E_NOTSUP);
}

static void refuses_what_does_not_fit(void)
{
	begin();
	for (unsigned i = 0; i < DMAR_UNITS; i++)
		put_unit(i + 1, 0);
	CHECK_EQ(parse(), 0);
	put_unit(DMAR_UNITS + 1, 0);
	CHECK_EQ(parse(), -E_NOMEM);
	begin();
	put_unit(1, 0);
	for (unsigned i = 0; i < 16; i++)
		put_device(48, DMAR_ENDPOINT, 0, 0, 2, 0);
	for (unsigned n = 2; n < 9; n++) {
		size_t start = len;

		put_unit(n, 0);
		for (unsigned i = 0; i < 16; i++)
			put_device(start, DMAR_ENDPOINT, 0, 0, 2, 0);
	}
	CHECK_EQ(parse(), 0);
	CHECK_EQ(dmar.scopes, DMAR_SCOPES);
	put_unit(9, 0);
	put_device(len - 16, DMAR_ENDPOINT, 0, 0, 2, 0);
	CHECK_EQ(parse(), -E_NOMEM);
	begin();
	for (unsigned i = 0; i <= DMAR_RESERVED; i++) {
		CHECK_EQ(parse(), 0);
		PUT(1, 0, 24, 0, 0, 0, 0, 0, PAGE_AT(1), 0xff, 0x1f, 0, 0xfe, 0, 0, 0, 0);
	}
	CHECK_EQ(parse(), -E_NOMEM);
}

/* Every cut, by the table's own length and by what is there. */
static void survives_every_cut(void)
{
	size_t whole;

	begin();
	put_unit(1, 0);
	put_device(48, DMAR_ENDPOINT, 0, 0, 2, 0);
	whole = len;
	for (size_t n = 0; n < whole; n++) {
		int err = parse_as(n, n);

		CHECK(n == 48 ? !err : err == -E_TRUNCATED || err == -E_CORRUPT);
		CHECK_EQ(parse_as(whole, n), -E_TRUNCATED);
	}
	CHECK_EQ(parse_as(whole, whole + 100), 0);
	table[9]++;
	CHECK_EQ(dmar_parse(
			 &dmar, table, whole, &(struct dmar_buses){read_buses, &asked}, &why, &at),
		-E_CORRUPT);
	table[0] = 'X';
	CHECK_EQ(parse_as(whole, whole), -E_CORRUPT);
	table[0] = 'D';
	table[36] = 52;
	CHECK_EQ(parse_as(whole, whole), -E_CORRUPT);
	table[36] = 51;
	CHECK_EQ(parse_as(whole, whole), 0);
	CHECK_EQ(dmar.address_bits, 52);
}

int main(void)
{
	RUN(reads_the_one_of_qemu);
	RUN(the_particular_comes_first);
	RUN(follows_paths);
	RUN(keeps_reserved_memory);
	RUN(skips_what_it_needs_not);
	RUN(refuses_contradictions);
	RUN(refuses_what_does_not_fit);
	RUN(survives_every_cut);
	return TEST_RESULT();
}
