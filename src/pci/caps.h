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

/*
 * Of MSI and MSI-X the header is enough: the rest is a model (interrupt.h). The others stay hidden:
 * power management would take the device away from its mediator; PCI Express has function-level
 * reset; vendor capabilities are anything.
 */
#define PCI_CAP_HEADER 2u

/*
 * Copies the shown capabilities of a real function into config, which is its modelled space, and
 * links them. The rules end with id 0. Returns the offset of the first, or 0. Bounded, whatever the device's list is.
 */
uint8_t pci_caps_show(const struct pci_cap_rule *rules, pci_bdf_t bdf, uint8_t config[256]);

#endif
