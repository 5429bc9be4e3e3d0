/*
 * The firmware's word about DMA remapping, the ACPI table DMAR: which remapping units there are, for which
 * devices, which memory some devices keep using, and what the platform asks for. Intel Virtualization
 * Technology for Directed I/O, Architecture Specification, "BIOS Considerations".
 *
 * A pure parser: it reads the table once, in bounds, and reads a bus number only where a path leads
 * through a bridge. Not on the exit path.
 */
#ifndef POSTERN_IOMMU_DMAR_H
#define POSTERN_IOMMU_DMAR_H

#include "base/types.h"
#include "hw/pci.h"

#define DMAR_UNITS    16u
#define DMAR_RESERVED 16u
#define DMAR_SCOPES   128u

enum dmar_scope_kind {
	DMAR_ENDPOINT = 1,
	DMAR_BRIDGE = 2, /* and all that is below it */
	DMAR_IOAPIC = 3,
	DMAR_HPET = 4,
	DMAR_ACPI = 5, /* a device without a bus that ACPI names; bdf is what it uses for DMA */
};

/* One device that a structure speaks of. */
struct dmar_scope {
	uint8_t kind; /* enum dmar_scope_kind; others of later revisions aren't kept */
	uint8_t id;   /* of an IOAPIC, HPET or ACPI device */
	pci_bdf_t bdf;
	uint8_t first_bus, last_bus; /* below a bridge; first above last: none */
};

/* Scopes of one structure: count of them, from first on in struct dmar. */
struct dmar_scopes {
	uint16_t first, count;
};

struct dmar_unit {
	uint64_t base; /* of its registers, host-physical */
	uint64_t size; /* bytes of them, from 4096 on */
	uint16_t segment;
	bool all; /* every device of its segment that no other unit has */
	struct dmar_scopes scopes;
};

/* Memory that devices of the firmware's may read and write at any time; both ends included. */
struct dmar_reserved {
	uint64_t base, last;
	uint16_t segment;
	struct dmar_scopes scopes;
};

struct dmar {
	uint8_t address_bits; /* that DMA can have on this platform */
	bool interrupts;      /* the platform can remap interrupts */
	bool no_x2apic;	      /* it asks not to enable x2APIC */
	bool opt_in;	      /* it asks for DMA remapping from power-on on, without a gap */
	struct dmar_unit unit[DMAR_UNITS];
	unsigned units;
	struct dmar_reserved reserved[DMAR_RESERVED];
	unsigned reserved_count;
	struct dmar_scope scope[DMAR_SCOPES];
	unsigned scopes;
	/* Structures that say something about address translation in devices, proximity, and names. */
	unsigned others;
};

/* Bus numbers of a bridge, as the firmware has set them. -E_NOENT: there is no bridge. */
struct dmar_buses {
	int (*read)(void *arg, pci_bdf_t bridge, uint8_t *ret_secondary, uint8_t *ret_subordinate);
	void *arg;
};

/*
 * Parses a table of len bytes. Segments but 0 are kept without their scopes, for there is no access to their
 * buses. -E_TRUNCATED (it is longer than len, or a structure than the table), -E_CORRUPT (it contradicts itself or
 * the specification), -E_NOMEM (more than fits), -E_NOTSUP (a path through a bridge that isn't there); with a phrase
 * in *ret_why and the offset of the structure in *ret_at, and nothing in *ret.
 */
int dmar_parse(struct dmar *ret, const void *table, size_t len, const struct dmar_buses *buses,
	const char **ret_why, size_t *ret_at) must_check;

/*
 * The unit that remaps a device of segment 0; NULL: none does, its DMA goes through untouched. A unit that
 * names it, or a bridge above it, comes before one that has all the rest.
 */
const struct dmar_unit *dmar_find_unit(const struct dmar *d, pci_bdf_t bdf);

/* Does a device of segment 0 belong to these scopes? */
bool dmar_in_scopes(const struct dmar *d, const struct dmar_scopes *s, pci_bdf_t bdf);

#endif
