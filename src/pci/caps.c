/* The guest's capability list; see caps.h. No state. Not on the exit path. */
#include "pci/caps.h"
#include "base/bits.h"
#include "pci/layout.h"

static unsigned shown_length(const struct pci_cap_rule *rules, uint8_t id)
{
	for (; rules->id; rules++)
		if (rules->id == id)
			return rules->len;
	return 0;
}

uint8_t pci_caps_show(const struct pci_cap_rule *rules, pci_bdf_t bdf, uint8_t config[256])
{
	unsigned at, last = 0;
	uint8_t first = 0;

	if (!(hw_pci_read(bdf, PCI_STATUS, 2) & PCI_STATUS_CAPS))
		return 0;
	at = hw_pci_read(bdf, PCI_CAP_PTR, 1) & 0xfcu;
	for (unsigned n = 0; at >= 0x40 && n < PCI_CAP_COUNT_MAX; n++) {
		unsigned next = hw_pci_read(bdf, at + 1, 1) & 0xfcu;
		unsigned len = shown_length(rules, (uint8_t)hw_pci_read(bdf, at, 1));

		if (len >= 2 && range_fits(at, len, PCI_CONFIG_SIZE)) {
			for (unsigned i = 0; i < len; i++)
				config[at + i] = (uint8_t)hw_pci_read(bdf, at + i, 1);
			config[at + 1] = 0;
			if (last)
				config[last + 1] = (uint8_t)at;
			else
				first = (uint8_t)at;
			last = at;
		}
		at = next;
	}
	return first;
}
