/*
 * Which way a function interrupts, and its pin; see interrupt.h. State: struct pci_interrupts. All but
 * init is on the exit path.
 */
#include "pci/interrupt.h"
#include "core/vm.h"
#include "pci/function.h"

/* SDM vol. 3A "Message Address Register Format" (325462-084): FEEh in bits 31:20. */
#define MESSAGE_WINDOW 0xfffffffffff00000ull
#define MESSAGE_BASE   0xfee00000ull

static struct pci_function *function_of(const struct device *dev)
{
	return dev->interrupt_state;
}

/* With both enabled, which no guest may do, MSI-X wins. */
static enum interrupt_mode mode_of(const struct pci_function *fn)
{
	if (pci_msix_enabled(fn))
		return INTERRUPT_MSIX;
	return pci_msi_enabled(fn) ? INTERRUPT_MSI : INTERRUPT_LINE;
}

void pci_message_send(struct pci_function *fn, uint64_t address, uint32_t data)
{
	struct pci_interrupts *i = &fn->interrupts;
	struct device *dev = fn->dev;

	if (!(fn->reg[PCI_COMMAND / 4] & PCI_COMMAND_MASTER))
		return;
	if ((address & MESSAGE_WINDOW) == MESSAGE_BASE) {
		i->sent++;
		vm_send_message(dev->vm, address, data);
		return;
	}
	i->strays++;
	dev->denied++;
	log_limited(&i->stray_log, "%s: interrupt message to 0x%lx dropped", dev->name, address);
}

/* The status bit says what the device wants; the command register can keep it from the line. */
static void line_update(struct pci_function *fn)
{
	struct pci_interrupts *i = &fn->interrupts;
	uint32_t *command = &fn->reg[PCI_COMMAND / 4];
	bool status = i->level && mode_of(fn) == INTERRUPT_LINE;
	bool asserted = status && !(*command & PCI_COMMAND_INTX_OFF);

	*command &= ~(PCI_STATUS_INTX << PCI_STATUS_SHIFT);
	if (status)
		*command |= PCI_STATUS_INTX << PCI_STATUS_SHIFT;
	if (asserted == i->asserted)
		return;
	i->asserted = asserted;
	*i->sharers = (uint8_t)(*i->sharers + (asserted ? 1 : -1));
	vm_set_irq(fn->dev->vm, fn->dev->irq, *i->sharers != 0);
}

static enum interrupt_mode interrupt_mode(const struct device *dev)
{
	return mode_of(function_of(dev));
}

static void interrupt_message(struct device *dev, unsigned n)
{
	struct pci_function *fn = function_of(dev);

	if (pci_msix_enabled(fn))
		pci_msix_raise(fn, n);
	else if (pci_msi_enabled(fn))
		pci_msi_raise(fn, n);
}

static void interrupt_set_line(struct device *dev, bool high)
{
	struct pci_function *fn = function_of(dev);

	fn->interrupts.level = high;
	line_update(fn);
}

const struct interrupt_ops pci_interrupt_ops = {
	.mode = interrupt_mode, .message = interrupt_message, .set_line = interrupt_set_line};

void pci_interrupts_written(struct pci_function *fn, unsigned dword)
{
	const struct pci_interrupts *i = &fn->interrupts;

	if (i->msix.at && dword == i->msix.at / 4)
		pci_msix_written(fn);
	else if (i->msi && dword >= i->msi / 4)
		pci_msi_written(fn);
	else if (dword != PCI_COMMAND / 4)
		return;
	line_update(fn);
}

void pci_interrupts_init(struct pci_function *fn, uint8_t *sharers)
{
	fn->interrupts = (struct pci_interrupts){.sharers = sharers};
	fn->dev->interrupt = &pci_interrupt_ops;
	fn->dev->interrupt_state = fn;
}
