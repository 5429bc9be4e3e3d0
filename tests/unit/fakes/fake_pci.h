/*
 * A double of hw/pci.h: a small bus whose functions have real write masks, so that BARs size and
 * move as on hardware, with a log of the writes. Two ready machines behave like QEMU's q35 with
 * NVMe and like an i440fx with a PIIX3.
 */
#ifndef POSTERN_FAKE_PCI_H
#define POSTERN_FAKE_PCI_H

#include "base/types.h"
#include "hw/pci.h"

struct fake_function {
	pci_bdf_t bdf;
	uint8_t config[256], writable[256];
	uint8_t last_cap; /* offset of the newest capability */
};

struct fake_pci_write {
	pci_bdf_t bdf;
	unsigned offset, size;
	uint32_t value;
};

#define FAKE_FUNCTIONS	600u
#define FAKE_PCI_WRITES 1024u

struct fake_pci {
	struct fake_function fn[FAKE_FUNCTIONS];
	unsigned count;
	struct fake_pci_write log[FAKE_PCI_WRITES];
	unsigned writes;
	unsigned reads;
	unsigned sized_live; /* all ones written to a BAR while it decoded */
};

extern struct fake_pci fake_pci;

void fake_pci_reset(void);

/* class: base class, subclass, programming interface. */
struct fake_function *fake_pci_add(pci_bdf_t bdf, uint32_t vendor_device, uint32_t class);
struct fake_function *fake_pci_find(pci_bdf_t bdf);
void fake_pci_multi(struct fake_function *fn);
void fake_pci_bar_io(struct fake_function *fn, unsigned n, uint32_t base, uint32_t size);
void fake_pci_bar_mem(
	struct fake_function *fn, unsigned n, uint64_t base, uint64_t size, bool wide);
void fake_pci_cap(struct fake_function *fn, uint8_t id, uint8_t at);
struct fake_function *fake_pci_bridge(pci_bdf_t bdf, uint8_t secondary, uint8_t subordinate);

uint32_t fake_pci_get(const struct fake_function *fn, unsigned offset, unsigned size);
void fake_pci_set(struct fake_function *fn, unsigned offset, unsigned size, uint32_t value);

/* 00:00.0 host, 00:01.0 display, 00:04.0 NVMe, 00:1f.0 LPC, 1f.2 AHCI, 1f.3 SMBus. */
void fake_pci_q35(void);
/* 00:00.0 host, 00:01.0 ISA, 01.1 IDE, 01.3 power management, 00:02.0 display. */
void fake_pci_i440fx(void);
/* So many functions on the buses behind 00:00.0, 00.1 and so on; at most 512 and a few. */
void fake_pci_crowd(unsigned functions);

#endif
