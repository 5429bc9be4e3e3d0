/*
 * Interrupts of one function in the guest's configuration space: MSI-X, MSI, and the pin. All of it is
 * a model, for restricted, passed-through and virtual functions alike: what the guest writes into the
 * capabilities and the table never reaches a real device, whose own interrupts are the host's.
 *
 *   interrupt.c   which of them is in use, the pin's level, what may be sent
 *   msi.c         the MSI capability; its registers in pci_function.reg are the whole state
 *   msix.c        the MSI-X capability, the table and the pending bits in a BAR
 *
 * A message is a write to memory, and only to the interrupt controllers' addresses does it mean an
 * interrupt. Any other address, and any message while bus mastering is off, is dropped.
 *
 * PCI Local Bus Specification 3.0, "Message Signalled Interrupts".
 */
#ifndef POSTERN_PCI_INTERRUPT_H
#define POSTERN_PCI_INTERRUPT_H

#include "base/arena.h"
#include "base/log.h"
#include "core/device.h"
#include "core/region.h"
#include "pci/layout.h"

struct pci_function;

struct pci_msix_entry {
	uint32_t address, address_high, data;
	uint32_t control; /* PCI_MSIX_MASKED */
};
_Static_assert(sizeof(struct pci_msix_entry) == 16, "an entry has four dwords");
_Static_assert(offsetof(struct pci_msix_entry, control) == 12, "an entry has four dwords");

/* Where table and pending bits are: offsets in memory BARs, multiples of 8. */
struct pci_msix_place {
	uint8_t table_bar, pending_bar;
	uint32_t table_at, pending_at;
};

struct pci_msix {
	uint8_t at; /* of the capability; 0: there is none */
	struct pci_msix_place place;
	unsigned entries;
	struct pci_msix_entry *entry;
	uint64_t *pending; /* a bit for each entry */
	struct region table, bits;
};

struct pci_interrupts {
	uint8_t msi; /* offset of the capability; 0: there is none */
	struct pci_msix msix;
	bool level;	  /* what the device wants its line to be */
	bool asserted;	  /* ... and what it is told */
	uint8_t *sharers; /* functions that assert the line now */
	uint64_t sent, strays;
	struct log_limit stray_log;
};

/* ---- before the guest ---- */

/*
 * dev's interrupts are this function's from now on. Without a capability that is the pin; sharers
 * counts the functions that assert the line dev->irq.
 */
void pci_interrupts_init(struct pci_function *fn, uint8_t *sharers);

/*
 * A capability whose place in the list is the caller's business: all bytes behind its header are
 * filled in. shape has PCI_MSI_64 and PCI_MSI_MASKS. vectors are rounded up to a power of two.
 * -E_INVAL: vectors, or no room at that offset.
 */
int pci_msi_show(struct pci_function *fn, unsigned at, uint16_t shape, unsigned vectors) must_check;

/*
 * The same for MSI-X; the function's BARs must be known. From now on the table and the pending bits are
 * regions that follow the BAR: what the device itself has there must keep clear of exactly those
 * bytes. -E_INVAL also if they overlap or aren't inside of a memory BAR; -E_NOMEM.
 */
int pci_msix_show(struct pci_function *fn, unsigned at, const struct pci_msix_place *place,
	unsigned vectors, struct arena *arena) must_check;

/* Bytes of the table and of the pending bits. */
uint64_t pci_msix_table_len(unsigned vectors);
uint64_t pci_msix_pending_len(unsigned vectors);

/* ---- the exit path ---- */

extern const struct interrupt_ops pci_interrupt_ops;

/* The guest has changed a dword of configuration space. */
void pci_interrupts_written(struct pci_function *fn, unsigned dword);

/* Regions of a BAR that decodes at base now, or not at all. The errors of region_move. */
int pci_msix_move(struct pci_function *fn, unsigned bar, uint64_t base, bool enabled) must_check;

/* ---- for the three files ---- */

bool pci_msi_enabled(const struct pci_function *fn);
void pci_msi_raise(struct pci_function *fn, unsigned n);
void pci_msi_written(struct pci_function *fn);
bool pci_msix_enabled(const struct pci_function *fn);
void pci_msix_raise(struct pci_function *fn, unsigned n);
void pci_msix_written(struct pci_function *fn);
/* To the guest's interrupt controller, if it is one. */
void pci_message_send(struct pci_function *fn, uint64_t address, uint32_t data);

#endif
