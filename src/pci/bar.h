/*
 * Base address registers of the real device: what they are and how large. Sizes are found by
 * writing ones with decoding off, and everything is put back.
 */
#ifndef POSTERN_PCI_BAR_H
#define POSTERN_PCI_BAR_H

#include "base/types.h"
#include "hw/pci.h"

struct pci_bar {
	uint64_t base;	/* as found */
	uint64_t size;	/* bytes, a power of two; 0: no such register */
	uint32_t flags; /* the read-only low bits */
	bool io, wide;	/* wide: 64 bits, the next register is its upper half */
	/* I/O registers of older devices have no upper 16 bits: they always read 0. */
	bool short_io;
};

/*
 * Of a function with header type 0 that nobody uses: the device can't be reached meanwhile.
 * Registers that don't exist, and those in the mask skip, get a size of 0.
 */
void pci_bars_probe(pci_bdf_t bdf, unsigned skip, struct pci_bar ret_bar[PCI_BAR_COUNT]);

#endif
