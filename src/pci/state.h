/*
 * The inventory of PCI: what of each function's configuration space Postern, the guest's devices or
 * their drivers could change, to be put back at the hand-back.
 */
#ifndef POSTERN_PCI_STATE_H
#define POSTERN_PCI_STATE_H

#include "base/types.h"
#include "pci/scan.h"

struct pci_msi_state {
	uint8_t at; /* offset of the capability, 0: none */
	uint16_t control, data;
	uint32_t address, address_high;
};

struct pci_function_state {
	pci_bdf_t bdf;
	uint16_t command;
	uint8_t bars; /* 6, 2 for a bridge, or 0 */
	uint8_t int_line;
	uint32_t bar[PCI_BAR_COUNT];
	struct pci_msi_state msi;
	uint8_t msix_at;
	uint16_t msix_control;
};

/* About 30 KiB: static or from the arena, never on a stack. */
struct pci_state {
	unsigned count;
	struct pci_function_state fn[PCI_FUNCTIONS_MAX];
};

/* Reads every function of the machine. -E_NOMEM if there are more than the table holds. */
int pci_state_save(struct pci_state *ret) must_check;

/*
 * Puts back what differs, function by function: bus mastering and decoding off, BARs, MSI, MSI-X,
 * interrupt line, and last the command register. A function in which nothing differs isn't touched.
 */
void pci_state_restore(const struct pci_state *s);

/*
 * A device that didn't come to rest may still write to memory: from here on the inventory has it
 * with bus mastering off, until its next driver switches that on.
 */
void pci_state_stop_master(struct pci_state *s, pci_bdf_t bdf);

/* The number of registers that differ from the inventory; each is logged. */
unsigned pci_state_compare(const struct pci_state *s);

#endif
