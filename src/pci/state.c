/* The inventory of PCI; see state.h. State is the caller's. Not on the exit path. */
#include "pci/state.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "pci/layout.h"

#define COMMAND_DECODE (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

static unsigned bar_count(uint8_t header)
{
	switch (header & PCI_HEADER_KIND) {
	case PCI_HEADER_DEVICE:
		return PCI_BAR_COUNT;
	case PCI_HEADER_BRIDGE:
		return PCI_BRIDGE_BARS;
	default:
		return 0;
	}
}

/* PCI Local Bus Specification 3.0, "MSI Capability Structure": data follows the address. */
static unsigned msi_data_at(const struct pci_msi_state *msi)
{
	return msi->at + PCI_MSI_ADDRESS + (msi->control & PCI_MSI_64 ? 8 : 4);
}

static void msi_save(pci_bdf_t bdf, struct pci_msi_state *msi)
{
	msi->at = (uint8_t)hw_pci_find_cap(bdf, PCI_CAP_MSI);
	if (!msi->at)
		return;
	msi->control = (uint16_t)hw_pci_read(bdf, msi->at + PCI_MSI_CONTROL, 2);
	msi->address = hw_pci_read(bdf, msi->at + PCI_MSI_ADDRESS, 4);
	if (msi->control & PCI_MSI_64)
		msi->address_high = hw_pci_read(bdf, msi->at + PCI_MSI_ADDRESS + 4, 4);
	msi->data = (uint16_t)hw_pci_read(bdf, msi_data_at(msi), 2);
}

static void function_save(pci_bdf_t bdf, unsigned bars, struct pci_function_state *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->bdf = bdf;
	ret->command = (uint16_t)hw_pci_read(bdf, PCI_COMMAND, 2);
	ret->int_line = (uint8_t)hw_pci_read(bdf, PCI_INT_LINE, 1);
	ret->bars = (uint8_t)bars;
	for (unsigned n = 0; n < bars; n++)
		ret->bar[n] = hw_pci_read(bdf, PCI_BAR0 + 4 * n, 4);
	msi_save(bdf, &ret->msi);
	ret->msix_at = (uint8_t)hw_pci_find_cap(bdf, PCI_CAP_MSIX);
	if (ret->msix_at)
		ret->msix_control = (uint16_t)hw_pci_read(bdf, ret->msix_at + PCI_MSIX_CONTROL, 2);
}

static int state_add(void *arg, const struct pci_seen *seen)
{
	struct pci_state *s = arg;

	if (s->count == PCI_FUNCTIONS_MAX)
		return -E_NOMEM;
	function_save(seen->bdf, bar_count(seen->header), &s->fn[s->count++]);
	return 0;
}

int pci_state_save(struct pci_state *ret)
{
	ret->count = 0;
	return pci_scan(state_add, ret);
}

static bool same_bars(const struct pci_function_state *a, const struct pci_function_state *b)
{
	return !memcmp(a->bar, b->bar, sizeof(a->bar));
}

static bool same_msi(const struct pci_msi_state *a, const struct pci_msi_state *b)
{
	return a->control == b->control && a->data == b->data && a->address == b->address &&
	       a->address_high == b->address_high;
}

static void msi_restore(pci_bdf_t bdf, const struct pci_msi_state *msi)
{
	if (!msi->at)
		return;
	hw_pci_write(bdf, msi->at + PCI_MSI_CONTROL, 2, msi->control & ~PCI_MSI_ENABLE);
	hw_pci_write(bdf, msi->at + PCI_MSI_ADDRESS, 4, msi->address);
	if (msi->control & PCI_MSI_64)
		hw_pci_write(bdf, msi->at + PCI_MSI_ADDRESS + 4, 4, msi->address_high);
	hw_pci_write(bdf, msi_data_at(msi), 2, msi->data);
	hw_pci_write(bdf, msi->at + PCI_MSI_CONTROL, 2, msi->control);
}

static void function_restore(const struct pci_function_state *want)
{
	struct pci_function_state now;

	function_save(want->bdf, want->bars, &now);
	if (!same_bars(&now, want)) {
		hw_pci_write(want->bdf, PCI_COMMAND, 2, now.command & ~COMMAND_DECODE);
		for (unsigned n = 0; n < want->bars; n++)
			hw_pci_write(want->bdf, PCI_BAR0 + 4 * n, 4, want->bar[n]);
		now.command &= (uint16_t)~COMMAND_DECODE;
	}
	if (!same_msi(&now.msi, &want->msi))
		msi_restore(want->bdf, &want->msi);
	if (now.msix_control != want->msix_control)
		hw_pci_write(want->bdf, want->msix_at + PCI_MSIX_CONTROL, 2, want->msix_control);
	if (now.int_line != want->int_line)
		hw_pci_write(want->bdf, PCI_INT_LINE, 1, want->int_line);
	if (now.command != want->command)
		hw_pci_write(want->bdf, PCI_COMMAND, 2, want->command);
}

void pci_state_restore(const struct pci_state *s)
{
	for (unsigned i = 0; i < s->count; i++)
		function_restore(&s->fn[i]);
}

void pci_state_stop_master(struct pci_state *s, pci_bdf_t bdf)
{
	for (unsigned i = 0; i < s->count; i++)
		if (s->fn[i].bdf == bdf)
			s->fn[i].command &= (uint16_t)~PCI_COMMAND_MASTER;
}

static unsigned differs(pci_bdf_t bdf, const char *what, uint32_t now, uint32_t want)
{
	if (now == want)
		return 0;
	log_line("pci " PCI_BDF_FMT ": %s is 0x%x, was 0x%x", PCI_BDF_ARGS(bdf), what, now, want);
	return 1;
}

static unsigned function_compare(const struct pci_function_state *want)
{
	static const char *const bar_name[PCI_BAR_COUNT] = {
		"bar 0", "bar 1", "bar 2", "bar 3", "bar 4", "bar 5"};
	struct pci_function_state now;
	unsigned n;

	function_save(want->bdf, want->bars, &now);
	n = differs(want->bdf, "command", now.command, want->command);
	for (unsigned i = 0; i < want->bars; i++)
		n += differs(want->bdf, bar_name[i], now.bar[i], want->bar[i]);
	n += differs(want->bdf, "interrupt line", now.int_line, want->int_line);
	n += differs(want->bdf, "msi control", now.msi.control, want->msi.control);
	n += differs(want->bdf, "msi address", now.msi.address, want->msi.address);
	n += differs(want->bdf, "msi upper address", now.msi.address_high, want->msi.address_high);
	n += differs(want->bdf, "msi data", now.msi.data, want->msi.data);
	return n + differs(want->bdf, "msi-x control", now.msix_control, want->msix_control);
}

unsigned pci_state_compare(const struct pci_state *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->count; i++)
		n += function_compare(&s->fn[i]);
	return n;
}
