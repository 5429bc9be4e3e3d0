/* Probing of real BARs; see bar.h. No state. Not on the exit path. */
#include "pci/bar.h"
#include "base/bits.h"
#include "pci/layout.h"

static unsigned bar_at(unsigned n)
{
	return PCI_BAR0 + 4 * n;
}

/* The bits of a register that can be written. */
static uint32_t bar_mask(pci_bdf_t bdf, unsigned n)
{
	uint32_t found = hw_pci_read(bdf, bar_at(n), 4), mask;

	hw_pci_write(bdf, bar_at(n), 4, ~0u);
	mask = hw_pci_read(bdf, bar_at(n), 4);
	hw_pci_write(bdf, bar_at(n), 4, found);
	return mask;
}

/* The lowest bit that can be set is the size, also where a device leaves holes above it. */
static uint64_t size_of(uint64_t mask)
{
	return mask & -mask;
}

static struct pci_bar probe_io(uint32_t found, uint32_t mask)
{
	struct pci_bar bar = {.io = true, .flags = found & PCI_BAR_IO_FLAGS};

	mask &= ~PCI_BAR_IO_FLAGS;
	bar.base = found & ~PCI_BAR_IO_FLAGS;
	bar.size = size_of(mask);
	bar.short_io = !(mask >> 16);
	return bar;
}

static struct pci_bar probe_memory(pci_bdf_t bdf, unsigned n, uint32_t found, uint64_t mask)
{
	struct pci_bar bar = {.flags = found & PCI_BAR_MEM_FLAGS};

	mask &= ~(uint64_t)PCI_BAR_MEM_FLAGS;
	bar.base = found & ~PCI_BAR_MEM_FLAGS;
	bar.wide = (found & PCI_BAR_MEM_KIND) == PCI_BAR_MEM_64;
	if (bar.wide && n + 1 == PCI_BAR_COUNT)
		return (struct pci_bar){0};
	if (bar.wide) {
		bar.base |= (uint64_t)hw_pci_read(bdf, bar_at(n + 1), 4) << 32;
		mask |= (uint64_t)bar_mask(bdf, n + 1) << 32;
	}
	bar.size = size_of(mask);
	return bar;
}

void pci_bars_probe(pci_bdf_t bdf, unsigned skip, struct pci_bar ret_bar[PCI_BAR_COUNT])
{
	uint32_t command = hw_pci_read(bdf, PCI_COMMAND, 2);

	hw_pci_write(bdf, PCI_COMMAND, 2, command & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
	for (unsigned n = 0; n < PCI_BAR_COUNT; n++) {
		uint32_t found = hw_pci_read(bdf, bar_at(n), 4), mask;

		ret_bar[n] = (struct pci_bar){0};
		if (skip & BIT(n))
			continue;
		mask = bar_mask(bdf, n);
		if (!mask)
			continue;
		ret_bar[n] = mask & PCI_BAR_IO ? probe_io(found, mask)
					       : probe_memory(bdf, n, found, mask);
		if (ret_bar[n].wide)
			ret_bar[++n] = (struct pci_bar){0};
	}
	hw_pci_write(bdf, PCI_COMMAND, 2, command);
}
