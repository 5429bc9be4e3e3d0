/*
 * The guest's PCI configuration space: which functions of the real machine it sees, behind the
 * ports CF8h to CFFh and an ECAM window alike. Order of calls, all before the guest runs:
 *
 *	pci_filter_init, then pci_filter_add for each restricted device, then pci_filter_reserve and
 *	pci_filter_invent for virtual ones.
 *
 * Everything is hidden but host bridge 00:00.0, the ISA bridges of bus 0, what was added, and the
 * bridges and functions 0 that a guest must see to find that.
 */
#ifndef POSTERN_PCI_FILTER_H
#define POSTERN_PCI_FILTER_H

#include "base/arena.h"
#include "core/region.h"
#include "core/vm.h"
#include "pci/function.h"
#include "pci/scan.h"

#define PCI_SHOWN_MAX	    32u /* functions that the guest sees */
#define PCI_SHOWN_BUSES_MAX 8u	/* buses on which they are */

#define PCI_RESERVED_MAX    8u

struct pci_filter {
	struct vm *vm;
	struct arena *arena;	      /* until the guest runs */
	struct pci_topology topology; /* of the real machine */
	struct pci_function *shown;   /* PCI_SHOWN_MAX of them */
	unsigned shown_count;
	/* bus -> row + 1, (row, devfn) -> index in shown + 1; 0 is nothing in both. */
	uint8_t row_of_bus[256], at[PCI_SHOWN_BUSES_MAX][256];
	unsigned rows;

	uint32_t address;      /* CF8h */
	uint8_t reset_control; /* CF9h */
	struct device part;    /* stands behind the two regions */
	struct region ports, ecam;
	struct {
		uint64_t base, len;
	} reserved[PCI_RESERVED_MAX]; /* no BAR of a virtual function gets there */
	unsigned reserved_count;
	uint8_t sharers[256]; /* functions that assert each line */
};

/*
 * Scans the real bus and adds the regions to vm. ecam_len is 0 for no ECAM window; the window
 * begins with bus 0. -E_NOMEM, or what region_add says.
 */
int pci_filter_init(struct pci_filter *f, struct vm *vm, struct arena *arena, gpa_t ecam_base,
	uint64_t ecam_len) must_check;

/*
 * Shows a function as restricted: dev->bdf, irq, ops and vm must be set, and the firmware's driver
 * must have left it, for its BARs are probed. Its own attach may come before or after. -E_NOENT (no
 * such function), -E_NOTSUP (a bridge), -E_EXIST (shown already), -E_INVAL (no bar_moved),
 * -E_NOMEM.
 */
int pci_filter_add(struct pci_filter *f, struct device *dev) must_check;

/*
 * Where an interrupt pin (0 to 3: INTA to INTD) of a function comes out on bus 0: device and pin there,
 * turned on at each bridge on the way. PCI-to-PCI Bridge Architecture Specification 1.2, "Interrupt
 * Binding". -E_NOENT (no such function), -E_CORRUPT.
 */
int pci_filter_root_pin(const struct pci_filter *f, pci_bdf_t bdf, unsigned pin,
	unsigned *ret_device, unsigned *ret_pin) must_check;

/* The highest bus number that the guest can find, by the functions and bridges that it sees. */
uint8_t pci_filter_last_bus(const struct pci_filter *f);

/* Memory of the guest's machine that isn't in vm: the framebuffer. -E_NOMEM. */
int pci_filter_reserve(struct pci_filter *f, uint64_t base, uint64_t len) must_check;

/*
 * Shows a function that the real machine lacks, at a device number of bus 0 that is free on both, which
 * dev->bdf then has. dev->irq, ops and vm must be set. Its BARs get addresses as high as possible
 * below the interrupt controllers, where nothing of the guest's is: memory, regions, what is reserved,
 * BARs and bridge windows of shown functions. -E_INVAL, -E_NOMEM (functions, devices, addresses).
 */
int pci_filter_invent(
	struct pci_filter *f, struct device *dev, const struct pci_virtual *v) must_check;

/* The guest's view of a function, or NULL. */
struct pci_function *pci_filter_find(struct pci_filter *f, pci_bdf_t bdf);

#endif
