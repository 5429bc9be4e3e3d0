/*
 * One function's configuration space as the guest sees it: a shadow of the registers with a mask
 * of the bits that the guest may write, and what follows from them. Nothing that the guest writes
 * reaches the bus. Reading and writing are on the exit path.
 */
#ifndef POSTERN_PCI_FUNCTION_H
#define POSTERN_PCI_FUNCTION_H

#include "base/bits.h"
#include "base/log.h"
#include "core/device.h"
#include "core/gmem.h"
#include "pci/bar.h"
#include "pci/interrupt.h"
#include "pci/layout.h"

/* Where a BAR of the guest's view decodes. */
struct pci_window {
	struct pci_bar bar;
	uint64_t base; /* meaningful while decoded */
	bool decoded;
};

struct pci_function {
	uint32_t reg[PCI_CONFIG_DWORDS];
	uint32_t writable[PCI_CONFIG_DWORDS];
	struct device *dev; /* NULL: shown reduced, nothing writable */
	pci_bdf_t bdf;
	struct pci_window window[PCI_BAR_COUNT];
	struct log_limit refusals;
	struct pci_interrupts interrupts;
	bool is_virtual; /* there is nothing at bdf on the real bus */
};

/* A function that exists in the guest's machine only. */
struct pci_virtual_cap {
	const void *data; /* id, next (ignored), and what follows */
	uint8_t len;	  /* bytes, at least 2 */
};

struct pci_virtual {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint16_t class; /* base class and subclass */
	uint8_t revision;
	uint32_t bar_size
		[PCI_BAR_COUNT]; /* bytes of memory, a power of two from a page on; 0: none */
	const struct pci_virtual_cap *cap;
	unsigned caps;
	/* The BAR that holds nothing but the MSI-X table, and in its upper half the pending bits; for dev->vectors. */
	uint8_t msix_bar;
};

/*
 * The ways to show a function. All but the restricted and the virtual one are read-only for ever. A bridge
 * shows its bus numbers and windows; a placeholder has no identity but its vendor, and stands
 * where the specification demands a function 0 that the guest shall not see.
 */
void pci_function_reduce(struct pci_function *fn, pci_bdf_t bdf);
void pci_function_bridge(struct pci_function *fn, pci_bdf_t bdf);
void pci_function_placeholder(struct pci_function *fn, pci_bdf_t bdf);
bool pci_function_is_placeholder(const struct pci_function *fn);
/*
 * Probes the real BARs: the firmware's driver must have left. Decoding is off at first. MSI and MSI-X
 * are shown where the real function has them, for at most dev->vectors, which is then what is left.
 * sharers: see pci_interrupts_init. -E_NOMEM.
 */
int pci_function_restrict(struct pci_function *fn, struct device *dev, struct arena *arena,
	uint8_t *sharers) must_check;

/*
 * From a description, with the BARs at bar_base. Like a device of a firmware that was there before the
 * guest: addresses are assigned, decoding is off. -E_INVAL: the capabilities don't fit, or the MSI-X table
 * doesn't. -E_NOMEM.
 */
int pci_function_invent(struct pci_function *fn, struct device *dev, const struct pci_virtual *v,
	const uint64_t bar_base[static PCI_BAR_COUNT], struct arena *arena,
	uint8_t *sharers) must_check;

/* Sets or clears the multifunction bit. */
void pci_function_set_multi(struct pci_function *fn, bool multi);

/* Is [offset, offset + size) inside one dword of the first 256 bytes? */
static inline bool pci_function_access_ok(uint64_t offset, unsigned size)
{
	return offset < PCI_CONFIG_SIZE && (offset & 3) + size <= 4;
}

/* Both need pci_function_access_ok. */
uint32_t pci_function_read(const struct pci_function *fn, unsigned offset, unsigned size);
void pci_function_write(struct pci_function *fn, unsigned offset, unsigned size, uint32_t value);

#endif
