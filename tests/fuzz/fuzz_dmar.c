/* A DMAR table: the input, with its length and checksum put right unless its first byte says otherwise. */
#include "base/error.h"
#include "fuzz.h"
#include "iommu/dmar.h"

/* Bridges everywhere but on every fourth device; bus numbers that lead anywhere, also back. */
static int read_buses(void *arg, pci_bdf_t bridge, uint8_t *ret_secondary, uint8_t *ret_subordinate)
{
	(void)arg;
	if (PCI_DEV(bridge) % 4 == 3)
		return -E_NOENT;
	*ret_secondary = (uint8_t)(bridge * 7);
	*ret_subordinate = (uint8_t)(bridge * 11);
	return 0;
}

static void check(const struct dmar *d)
{
	MUST(d->units <= DMAR_UNITS && d->reserved_count <= DMAR_RESERVED &&
		d->scopes <= DMAR_SCOPES);
	MUST(d->address_bits <= 52);
	for (unsigned i = 0; i < d->units; i++)
		MUST(d->unit[i].scopes.first + d->unit[i].scopes.count <= d->scopes);
	for (unsigned i = 0; i < d->reserved_count; i++) {
		MUST(d->reserved[i].base < d->reserved[i].last);
		MUST(d->reserved[i].scopes.first + d->reserved[i].scopes.count <= d->scopes);
	}
	for (unsigned bdf = 0; bdf < 0x10000; bdf += 57) {
		const struct dmar_unit *u = dmar_find_unit(d, (pci_bdf_t)bdf);

		MUST(!u || (u >= d->unit && u < d->unit + d->units && !u->segment));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct dmar_buses buses = {.read = read_buses};
	static struct dmar d;
	uint8_t *table;
	const char *why;
	size_t at;

	if (!size)
		return 0;
	/* Exactly as long as it says: reading further is found. */
	table = malloc(--size ? size : 1);
	MUST(table);
	memcpy(table, data + 1, size);
	if (!(*data & 1) && size >= 48) {
		uint32_t length = (uint32_t)size;
		uint8_t sum = 0;

		memcpy(table, "DMAR", 4);
		memcpy(table + 4, &length, 4);
		table[9] = 0;
		for (size_t i = 0; i < size; i++)
			sum = (uint8_t)(sum + table[i]);
		table[9] = (uint8_t)-sum;
	}
	if (!dmar_parse(&d, table, size, &buses, &why, &at))
		check(&d);
	else
		MUST(why && !d.units);
	free(table);
	return 0;
}
