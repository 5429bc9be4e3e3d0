/*
 * A device asks for the guest's attention. Whether that becomes a message (MSI-X, MSI) or a level on
 * the line dev->irq is decided behind dev->interrupt, by what the guest has enabled; devices without
 * that have just the line. On the exit path.
 *
 * A device whose interrupts are events calls device_raise, and device_lower when the guest has
 * acknowledged the last one. One that has a condition of its own keeps the line at that condition
 * with device_set_line, whatever the mode is, and sends a message for each event.
 */
#ifndef POSTERN_CORE_INTERRUPT_H
#define POSTERN_CORE_INTERRUPT_H

#include "core/vm.h"

static inline enum interrupt_mode device_interrupt_mode(const struct device *dev)
{
	return dev->interrupt ? dev->interrupt->mode(dev) : INTERRUPT_LINE;
}

/* Message n, or nothing while the guest has chosen the line. */
static inline void device_message(struct device *dev, unsigned n)
{
	if (device_interrupt_mode(dev) != INTERRUPT_LINE)
		dev->interrupt->message(dev, n);
}

/* The level of the line. It is remembered, and reaches the guest in the mode INTERRUPT_LINE only. */
static inline void device_set_line(struct device *dev, bool high)
{
	if (dev->interrupt)
		dev->interrupt->set_line(dev, high);
	else
		vm_set_irq(dev->vm, dev->irq, high);
}

/* Interrupt number n, by message or line. */
static inline void device_raise(struct device *dev, unsigned n)
{
	if (device_interrupt_mode(dev) == INTERRUPT_LINE)
		device_set_line(dev, true);
	else
		dev->interrupt->message(dev, n);
}

static inline void device_lower(struct device *dev)
{
	device_set_line(dev, false);
}

#endif
