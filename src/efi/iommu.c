/* Finds and reports the firmware's DMAR table; see iommu.h. No state. Not on the exit path. */
#include "efi/iommu.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "efi/acpi.h"
#include "pci/layout.h"

static int read_buses(void *arg, pci_bdf_t bridge, uint8_t *ret_secondary, uint8_t *ret_subordinate)
{
	uint32_t kind = hw_pci_read(bridge, PCI_HEADER_TYPE, 1) & PCI_HEADER_KIND;

	(void)arg;
	if (hw_pci_read(bridge, PCI_VENDOR_ID, 2) == 0xffff || kind != PCI_HEADER_BRIDGE)
		return -E_NOENT;
	*ret_secondary = (uint8_t)hw_pci_read(bridge, PCI_BRIDGE_SECONDARY, 1);
	*ret_subordinate = (uint8_t)hw_pci_read(bridge, PCI_BRIDGE_SUBORDINATE, 1);
	return 0;
}

void iommu_describe(struct dmar *ret)
{
	static const struct dmar_buses buses = {.read = read_buses};
	size_t len, at;
	const char *why;
	const void *table = acpi_find_table("DMAR", &len);

	memset(ret, 0, sizeof(*ret));
	if (!table) {
		log_line("iommu: none, for the firmware has no DMAR table");
		return;
	}
	if (dmar_parse(ret, table, len, &buses, &why, &at)) {
		log_alert(
			"iommu: the firmware's DMAR table has %s, at %lu: taken as none", why, at);
		return;
	}
	log_line("iommu: %u units, %u reserved ranges, %u address bits%s%s", ret->units,
		ret->reserved_count, ret->address_bits, ret->interrupts ? ", interrupts" : "",
		ret->opt_in ? ", asked for from power-on on" : "");
	for (unsigned i = 0; i < ret->units; i++)
		log_line("iommu: unit at 0x%lx: %u devices of its own%s", ret->unit[i].base,
			ret->unit[i].scopes.count, ret->unit[i].all ? " and all the rest" : "");
}
