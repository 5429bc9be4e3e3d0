/*
 * Which standard capabilities of a real function the guest sees. A rule shows the first len bytes
 * of a capability, read-only, at their real offset; what has no rule isn't in the guest's list.
 */
#ifndef POSTERN_PCI_CAPS_H
#define POSTERN_PCI_CAPS_H

#include "base/types.h"
#include "hw/pci.h"

struct pci_cap_rule {
	uint8_t id;
	uint8_t len; /* bytes, header included; 0 hides it */
};

/* The rules for restricted functions; ends with id 0. */
extern const struct pci_cap_rule pci_restricted_caps[];

/*
 * Copies the shown capabilities of a real function into config, which is its modelled space, and
 * links them. Returns the offset of the first, or 0. Bounded, whatever the device's list is.
 */
uint8_t pci_caps_show(const struct pci_cap_rule *rules, pci_bdf_t bdf, uint8_t config[256]);

#endif
