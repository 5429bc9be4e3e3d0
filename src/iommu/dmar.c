/* The parser of the ACPI table DMAR; see dmar.h. No state. Not on the exit path. */
#include "iommu/dmar.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/mem.h"

/* VT-d Architecture Specification, "DMA Remapping Reporting Structure" and what follows it. */
#define DMAR_LENGTH	     4u
#define DMAR_ADDRESS_WIDTH   36u
#define DMAR_FLAGS	     37u
#define DMAR_STRUCTURES	     48u
#define DMAR_FLAG_INTERRUPTS 0x01u
#define DMAR_FLAG_NO_X2APIC  0x02u
#define DMAR_FLAG_OPT_IN     0x04u
#define ADDRESS_WIDTH_MAX    51u /* it is the number of bits less 1 */

enum { TYPE_UNIT, TYPE_RESERVED, TYPE_ROOT_PORTS, TYPE_PROXIMITY, TYPE_NAME, TYPE_INTEGRATED };

struct dmar_header {
	uint16_t type, length;
} __attribute__((packed));

struct dmar_drhd {
	struct dmar_header header;
	uint8_t flags, size;
	uint16_t segment;
	uint64_t base;
} __attribute__((packed));

struct dmar_rmrr {
	struct dmar_header header;
	uint16_t reserved, segment;
	uint64_t base, last;
} __attribute__((packed));

struct dmar_device {
	uint8_t type, length, flags, reserved, id, bus;
} __attribute__((packed));

struct dmar_step {
	uint8_t device, function;
} __attribute__((packed));

_Static_assert(sizeof(struct dmar_header) == 4, "remapping structure header");
_Static_assert(sizeof(struct dmar_drhd) == 16, "DRHD");
_Static_assert(sizeof(struct dmar_rmrr) == 24, "RMRR");
_Static_assert(sizeof(struct dmar_device) == 6, "device scope");

#define DRHD_ALL  0x01u
#define DRHD_SIZE 0x0fu /* the power of two of its pages */

struct parser {
	struct dmar *d;
	const uint8_t *table;
	size_t len, at; /* of the table; of the structure that is being read */
	const struct dmar_buses *buses;
	const char *why;
};

static int fail(struct parser *p, int err, const char *why)
{
	p->why = why;
	return err;
}

/* ---- device scopes ---- */

/* Follows a path down to its device: each step but the last is a bridge. */
static int follow(struct parser *p, size_t at, unsigned steps, uint8_t bus, pci_bdf_t *ret)
{
	for (unsigned i = 0; i < steps; i++) {
		struct dmar_step s;
		uint8_t last;

		memcpy(&s, p->table + at + i * sizeof(s), sizeof(s));
		if (s.device > 31 || s.function > 7)
			return fail(p, -E_CORRUPT, "a path with an impossible device");
		*ret = PCI_BDF(bus, s.device, s.function);
		if (i + 1 < steps && p->buses->read(p->buses->arg, *ret, &bus, &last))
			return fail(p, -E_NOTSUP, "a path through a bridge that isn't there");
	}
	return 0;
}

static int add_scope(struct parser *p, const struct dmar_device *dev, size_t path, unsigned steps)
{
	struct dmar_scope s = {.kind = dev->type, .id = dev->id, .first_bus = 1, .last_bus = 0};
	int err;

	if (dev->type < DMAR_ENDPOINT || dev->type > DMAR_ACPI)
		return 0;
	err = follow(p, path, steps, dev->bus, &s.bdf);
	if (err)
		return err;
	if (s.kind == DMAR_BRIDGE &&
		p->buses->read(p->buses->arg, s.bdf, &s.first_bus, &s.last_bus))
		return fail(p, -E_NOTSUP, "a bridge that isn't there");
	if (p->d->scopes == DMAR_SCOPES)
		return fail(p, -E_NOMEM, "too many devices");
	p->d->scope[p->d->scopes++] = s;
	return 0;
}

/* The scopes from offset at up to end. */
static int add_scopes(
	struct parser *p, size_t at, size_t end, uint16_t segment, struct dmar_scopes *ret)
{
	unsigned first = p->d->scopes;
	int err = 0;

	while (at < end && !err) {
		struct dmar_device dev;
		size_t steps;

		if (!range_fits(at, sizeof(dev) + sizeof(struct dmar_step), end))
			return fail(p, -E_CORRUPT, "a device that its structure cuts off");
		memcpy(&dev, p->table + at, sizeof(dev));
		steps = dev.length - sizeof(dev);
		if (dev.length < sizeof(dev) + sizeof(struct dmar_step) ||
			steps % sizeof(struct dmar_step) || !range_fits(at, dev.length, end))
			return fail(p, -E_CORRUPT, "a device of impossible length");
		if (!segment)
			err = add_scope(p, &dev, at + sizeof(dev),
				(unsigned)(steps / sizeof(struct dmar_step)));
		at += dev.length;
	}
	*ret = (struct dmar_scopes){(uint16_t)first, (uint16_t)(p->d->scopes - first)};
	return err;
}

/* ---- structures ---- */

static int check_unit(struct parser *p, const struct dmar_unit *u)
{
	if (!u->base || !is_aligned(u->base, PAGE_SIZE) || u->base > ~0ull - u->size)
		return fail(p, -E_CORRUPT, "a unit at an impossible address");
	for (unsigned i = 0; i < p->d->units; i++) {
		const struct dmar_unit *other = &p->d->unit[i];

		if (ranges_overlap(u->base, u->size, other->base, other->size))
			return fail(p, -E_CORRUPT, "two units at the same address");
		if (u->all && other->all && u->segment == other->segment)
			return fail(p, -E_CORRUPT, "two units for all the rest of a segment");
	}
	return p->d->units < DMAR_UNITS ? 0 : fail(p, -E_NOMEM, "too many units");
}

static int add_unit(struct parser *p, size_t end)
{
	struct dmar_unit u;
	struct dmar_drhd s;
	int err;

	if (!range_fits(p->at, sizeof(s), end))
		return fail(p, -E_CORRUPT, "a unit of impossible length");
	memcpy(&s, p->table + p->at, sizeof(s));
	u = (struct dmar_unit){.base = s.base,
		.size = PAGE_SIZE << (s.size & DRHD_SIZE),
		.segment = s.segment,
		.all = s.flags & DRHD_ALL};
	err = check_unit(p, &u);
	if (!err)
		err = add_scopes(p, p->at + sizeof(s), end, s.segment, &u.scopes);
	if (!err)
		p->d->unit[p->d->units++] = u;
	return err;
}

static int add_reserved(struct parser *p, size_t end)
{
	struct dmar_reserved r;
	struct dmar_rmrr s;
	int err;

	if (!range_fits(p->at, sizeof(s), end))
		return fail(p, -E_CORRUPT, "reserved memory of impossible length");
	memcpy(&s, p->table + p->at, sizeof(s));
	if (!is_aligned(s.base, PAGE_SIZE) || !is_aligned(s.last + 1, PAGE_SIZE) || s.base > s.last)
		return fail(p, -E_CORRUPT, "reserved memory that isn't pages");
	if (p->d->reserved_count == DMAR_RESERVED)
		return fail(p, -E_NOMEM, "too much reserved memory");
	r = (struct dmar_reserved){.base = s.base, .last = s.last, .segment = s.segment};
	err = add_scopes(p, p->at + sizeof(s), end, s.segment, &r.scopes);
	if (!err)
		p->d->reserved[p->d->reserved_count++] = r;
	return err;
}

/* Types of later revisions are skipped, as the specification asks for. */
static int add_structure(struct parser *p, uint16_t type, size_t end)
{
	switch (type) {
	case TYPE_UNIT:
		return add_unit(p, end);
	case TYPE_RESERVED:
		return add_reserved(p, end);
	default:
		p->d->others++;
		return 0;
	}
}

static int parse_structures(struct parser *p)
{
	int err = 0;

	for (p->at = DMAR_STRUCTURES; p->at < p->len && !err;) {
		struct dmar_header h;
		size_t end;

		if (!range_fits(p->at, sizeof(h), p->len))
			return fail(p, -E_TRUNCATED, "a structure that the table cuts off");
		memcpy(&h, p->table + p->at, sizeof(h));
		if (h.length < sizeof(h))
			return fail(p, -E_CORRUPT, "a structure without length");
		if (!range_fits(p->at, h.length, p->len))
			return fail(p, -E_TRUNCATED, "a structure that the table cuts off");
		end = p->at + h.length;
		err = add_structure(p, h.type, end);
		if (!err)
			p->at = end;
	}
	return err;
}

static int parse_header(struct parser *p, size_t len)
{
	uint32_t length;
	uint8_t sum = 0, flags;

	if (len < DMAR_STRUCTURES)
		return fail(p, -E_TRUNCATED, "no whole header");
	memcpy(&length, p->table + DMAR_LENGTH, sizeof(length));
	if (memcmp(p->table, "DMAR", 4) != 0)
		return fail(p, -E_CORRUPT, "another signature");
	if (length < DMAR_STRUCTURES)
		return fail(p, -E_CORRUPT, "an impossible length");
	if (length > len)
		return fail(p, -E_TRUNCATED, "it is longer than what is there");
	for (uint32_t i = 0; i < length; i++)
		sum = (uint8_t)(sum + p->table[i]);
	if (sum)
		return fail(p, -E_CORRUPT, "a wrong checksum");
	if (p->table[DMAR_ADDRESS_WIDTH] > ADDRESS_WIDTH_MAX)
		return fail(p, -E_CORRUPT, "an impossible address width");
	flags = p->table[DMAR_FLAGS];
	p->len = length;
	p->d->address_bits = (uint8_t)(p->table[DMAR_ADDRESS_WIDTH] + 1);
	p->d->interrupts = flags & DMAR_FLAG_INTERRUPTS;
	p->d->no_x2apic = flags & DMAR_FLAG_NO_X2APIC;
	p->d->opt_in = flags & DMAR_FLAG_OPT_IN;
	return 0;
}

int dmar_parse(struct dmar *ret, const void *table, size_t len, const struct dmar_buses *buses,
	const char **ret_why, size_t *ret_at)
{
	struct parser p = {.d = ret, .table = table, .buses = buses};
	int err;

	memset(ret, 0, sizeof(*ret));
	err = parse_header(&p, len);
	if (!err)
		err = parse_structures(&p);
	if (!err)
		return 0;
	memset(ret, 0, sizeof(*ret));
	*ret_why = p.why;
	*ret_at = p.at;
	return err;
}

/* ---- questions ---- */

bool dmar_in_scopes(const struct dmar *d, const struct dmar_scopes *s, pci_bdf_t bdf)
{
	for (unsigned i = 0; i < s->count; i++) {
		const struct dmar_scope *scope = &d->scope[s->first + i];

		if (scope->bdf == bdf)
			return true;
		if (PCI_BUS(bdf) >= scope->first_bus && PCI_BUS(bdf) <= scope->last_bus)
			return true;
	}
	return false;
}

const struct dmar_unit *dmar_find_unit(const struct dmar *d, pci_bdf_t bdf)
{
	const struct dmar_unit *all = NULL;

	for (unsigned i = 0; i < d->units; i++) {
		const struct dmar_unit *u = &d->unit[i];

		if (u->segment)
			continue;
		if (dmar_in_scopes(d, &u->scopes, bdf))
			return u;
		if (u->all)
			all = u;
	}
	return all;
}
