/* Real PCI configuration space; owns the ECAM window's address. */
#include "hw/pci.h"
#include "base/bits.h"
#include "hw/mmio.h"
#include "hw/port.h"

#define CONFIG_ADDRESS 0xcf8u
#define CONFIG_DATA    0xcfcu

static hpa_t ecam_base;
static uint64_t ecam_len;

void hw_pci_set_ecam(hpa_t base, uint64_t len)
{
	ecam_base = base;
	ecam_len = len;
}

static bool config_access_ok(unsigned offset, unsigned size)
{
	if (size != 1 && size != 2 && size != 4)
		return false;
	return is_aligned(offset, size) && offset < (ecam_len ? 4096u : 256u);
}

static bool ecam_covers(pci_bdf_t bdf)
{
	return range_fits((uint64_t)bdf << 12, 4096, ecam_len);
}

static hpa_t ecam_at(pci_bdf_t bdf, unsigned offset)
{
	return hpa(ecam_base.v + ((uint64_t)bdf << 12) + offset);
}

static void config_select(pci_bdf_t bdf, unsigned offset)
{
	hw_port_write(CONFIG_ADDRESS, 4, 0x80000000u | (uint32_t)bdf << 8 | (offset & 0xfcu));
}

/*
 * The address register is shared with the firmware: whoever interrupts us may have selected
 * another register, so it is put back after each access.
 */
uint32_t hw_pci_read(pci_bdf_t bdf, unsigned offset, unsigned size)
{
	uint32_t saved, v;

	if (!config_access_ok(offset, size))
		return (uint32_t)size_mask(size);
	if (ecam_covers(bdf))
		return (uint32_t)hw_mmio_read(ecam_at(bdf, offset), size);
	if (offset >= 256)
		return (uint32_t)size_mask(size);
	saved = hw_port_read(CONFIG_ADDRESS, 4);
	config_select(bdf, offset);
	v = hw_port_read((uint16_t)(CONFIG_DATA + (offset & 3)), size);
	hw_port_write(CONFIG_ADDRESS, 4, saved);
	return v;
}

void hw_pci_write(pci_bdf_t bdf, unsigned offset, unsigned size, uint32_t value)
{
	uint32_t saved;

	if (!config_access_ok(offset, size))
		return;
	if (ecam_covers(bdf)) {
		hw_mmio_write(ecam_at(bdf, offset), size, value);
		return;
	}
	if (offset >= 256)
		return;
	saved = hw_port_read(CONFIG_ADDRESS, 4);
	config_select(bdf, offset);
	hw_port_write((uint16_t)(CONFIG_DATA + (offset & 3)), size, value);
	hw_port_write(CONFIG_ADDRESS, 4, saved);
}

unsigned hw_pci_find_cap(pci_bdf_t bdf, uint8_t id)
{
	unsigned at;

	if (!(hw_pci_read(bdf, PCI_STATUS, 2) & PCI_STATUS_CAPS))
		return 0;
	at = hw_pci_read(bdf, PCI_CAP_PTR, 1) & 0xfcu;
	/* 48 capabilities of 4 bytes fill the space behind the header: a longer list is a loop. */
	for (unsigned n = 0; at >= 0x40 && n < 48; n++) {
		if (hw_pci_read(bdf, at, 1) == id)
			return at;
		at = hw_pci_read(bdf, at + 1, 1) & 0xfcu;
	}
	return 0;
}
