/*
 * The MSI capability; see interrupt.h. Its registers in pci_function.reg, of which the guest can write
 * some, are the whole state. All but show is on the exit path.
 *
 * PCI Local Bus Specification 3.0, "MSI Capability Structure".
 */
#include "base/error.h"
#include "pci/function.h"

#define CONTROL_SHIFT 16

static uint16_t control_of(const struct pci_function *fn)
{
	return (uint16_t)(fn->reg[fn->interrupts.msi / 4] >> CONTROL_SHIFT);
}

static unsigned data_dword(const struct pci_function *fn)
{
	return fn->interrupts.msi / 4u + (control_of(fn) & PCI_MSI_64 ? 3 : 2);
}

static uint32_t *masks(struct pci_function *fn)
{
	return &fn->reg[data_dword(fn) + 1];
}

static uint32_t *pending(struct pci_function *fn)
{
	return &fn->reg[data_dword(fn) + 2];
}

/* Messages that the guest allows; it can't allow more than there are. */
static uint32_t allowed(const struct pci_function *fn)
{
	uint16_t control = control_of(fn);

	return 1u << min_u64(
		       FIELD_GET(PCI_MSI_COUNT, control), FIELD_GET(PCI_MSI_CAPABLE, control));
}

bool pci_msi_enabled(const struct pci_function *fn)
{
	return fn->interrupts.msi && control_of(fn) & PCI_MSI_ENABLE;
}

/* The low bits of the data are the message's number. */
static void send(struct pci_function *fn, uint32_t n)
{
	unsigned first = fn->interrupts.msi / 4u + 1;
	uint64_t address = fn->reg[first] & ~3u;
	uint32_t data = fn->reg[data_dword(fn)] & 0xffff;

	if (control_of(fn) & PCI_MSI_64)
		address |= (uint64_t)fn->reg[first + 1] << 32;
	pci_message_send(fn, address, (data & ~(allowed(fn) - 1)) | n);
}

/* With fewer messages than interrupts, some share one. */
void pci_msi_raise(struct pci_function *fn, unsigned n)
{
	n &= allowed(fn) - 1;
	if (control_of(fn) & PCI_MSI_MASKS && *masks(fn) & BIT(n))
		*pending(fn) |= (uint32_t)BIT(n);
	else
		send(fn, n);
}

void pci_msi_written(struct pci_function *fn)
{
	uint32_t ready;

	if (!(control_of(fn) & PCI_MSI_MASKS))
		return;
	/* What was pending is the line's business now. */
	if (!pci_msi_enabled(fn)) {
		*pending(fn) = 0;
		return;
	}
	ready = *pending(fn) & ~*masks(fn);
	*pending(fn) &= *masks(fn);
	for (uint32_t n = 0; n < PCI_MSI_MAX; n++)
		if (ready & BIT(n))
			send(fn, n & (allowed(fn) - 1));
}

int pci_msi_show(struct pci_function *fn, unsigned at, uint16_t shape, unsigned vectors)
{
	unsigned log = 0, r = at / 4;
	bool wide = shape & PCI_MSI_64, has_masks = shape & PCI_MSI_MASKS;
	unsigned len = 12u + (wide ? 4 : 0) + (has_masks ? 8 : 0);
	uint64_t control = shape & (PCI_MSI_64 | PCI_MSI_MASKS);

	if (!vectors || vectors > PCI_MSI_MAX || !is_aligned(at, 4) ||
		!range_fits(at, len, PCI_CONFIG_SIZE))
		return -E_INVAL;
	while (1u << log < vectors)
		log++;
	control |= FIELD_PUT(PCI_MSI_CAPABLE, log);
	fn->reg[r] = (fn->reg[r] & 0xffff) | (uint32_t)control << CONTROL_SHIFT;
	fn->writable[r] = (PCI_MSI_ENABLE | PCI_MSI_COUNT) << CONTROL_SHIFT;
	for (unsigned i = r + 1; i < r + len / 4; i++)
		fn->reg[i] = fn->writable[i] = 0;
	fn->interrupts.msi = (uint8_t)at;
	fn->writable[r + 1] = ~3u;
	if (wide)
		fn->writable[r + 2] = ~0u;
	fn->writable[data_dword(fn)] = 0xffff;
	if (has_masks)
		fn->writable[data_dword(fn) + 1] = (uint32_t)BITS((1u << log) - 1, 0);
	return 0;
}
