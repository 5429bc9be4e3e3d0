/*
 * The functions of the real machine: a walk over bus 0 of segment 0 and every bus behind its
 * bridges. Each bus is visited once, so that no wiring of bus numbers makes it endless.
 */
#ifndef POSTERN_PCI_SCAN_H
#define POSTERN_PCI_SCAN_H

#include "base/types.h"
#include "hw/pci.h"

#define PCI_FUNCTIONS_MAX 512u
#define PCI_NO_BRIDGE	  0xffffu

struct pci_seen {
	pci_bdf_t bdf;
	pci_bdf_t bridge; /* the bridge that leads to its bus, or PCI_NO_BRIDGE on bus 0 */
	uint16_t class;	  /* base class and subclass */
	uint8_t prog_if;
	uint8_t header;	   /* header type with the multifunction bit */
	uint8_t secondary; /* of a bridge */
};

/* Calls visit for each function until it fails; returns its error or 0. */
int pci_scan(int (*visit)(void *arg, const struct pci_seen *fn), void *arg) must_check;

/* Everything that a scan finds, in the order of finding. */
struct pci_topology {
	unsigned count;
	struct pci_seen fn[PCI_FUNCTIONS_MAX];
};

/* -E_NOMEM if the machine has more functions than the table holds. */
int pci_topology_read(struct pci_topology *ret) must_check;
const struct pci_seen *pci_topology_find(const struct pci_topology *t, pci_bdf_t bdf);

#endif
