/*
 * Interrupts of the real devices that the guest's devices stand for. The processor takes them
 * through the firmware's IDT, on vectors that the firmware lends; a handler of ours only notes
 * that the device fired, and its mediator looks after it at the next poll.
 */
#ifndef POSTERN_IRQ_HOST_H
#define POSTERN_IRQ_HOST_H

#include "base/log.h"
#include "core/device.h"
#include "irq/apic.h"

/*
 * Vectors of the firmware's IDT. claim makes a vector call handler(arg) with interrupts off; the
 * handler acknowledges the local APIC itself. -E_EXIST if the firmware uses the vector.
 */
struct host_vector_ops {
	int (*claim)(unsigned vector, void (*handler)(void *arg), void *arg);
	void (*release)(unsigned vector);
};

#define HOST_IRQ_ROUTES	      8u
#define HOST_IRQ_VECTOR_FIRST 0x80u
#define HOST_IRQ_VECTOR_LAST  0xdfu
#define IOAPIC_DEFAULT_BASE   0xfec00000ull

/* A pin of the IOAPIC. ISA interrupts are edges, active high, on the pin of their number unless
 * the MADT has an override; PCI's are levels, active low. */
struct host_irq_pin {
	unsigned pin;
	bool level, active_low;
};

enum host_irq_kind { HOST_IRQ_FREE, HOST_IRQ_PIN, HOST_IRQ_MSI, HOST_IRQ_MSIX };

/* One device's interrupt, and what the hardware had before. */
struct host_irq_route {
	struct host_irq *owner;
	struct device *dev;
	enum host_irq_kind kind;
	uint8_t vector;
	volatile bool held;	 /* a level, masked until host_irq_rearm */
	volatile uint32_t fired; /* interrupts taken */
	bool silenced;		 /* too many of them: masked until the period is over */
	uint32_t fired_before;	 /* in this period */
	uint64_t period_start;	 /* a TSC */
	struct host_irq_pin pin;
	bool intx;		     /* the pin is a PCI function's */
	uint64_t look_tsc;	     /* ... and held: when to see whether it still asserts it */
	uint32_t saved_off;	     /* PCI_COMMAND_INTX_OFF of that function */
	uint64_t entry, saved_entry; /* of the IOAPIC */
	unsigned cap;		     /* offset of the MSI or MSI-X capability */
	uint16_t saved_control;
	uint32_t saved_message[4]; /* address, upper address, data, mask or vector control */
	hpa_t table;		   /* MSI-X */
	unsigned entries;
	uint8_t was_masked[2048 / 8]; /* MSI-X: entries that were masked, one bit each */
};

struct host_irq {
	const struct host_vector_ops *ops;
	struct lapic lapic;
	uint32_t apic_id;
	struct ioapic ioapic; /* without pins if there is none: only MSI works */
	struct host_irq_route route[HOST_IRQ_ROUTES];
	struct log_limit storms;
};

/* -E_NOTSUP if the local APIC is off or its id doesn't fit into an interrupt message. */
int host_irq_init(struct host_irq *h, const struct host_vector_ops *ops, hpa_t ioapic) must_check;

/*
 * From now on the interrupt sets dev->irq_fired; a device may have several. Boot processor, firmware context, the device
 * quiet. On failure nothing has changed. -E_NOMEM (routes, vectors), -E_RANGE (no such pin),
 * -E_EXIST (the firmware uses the pin).
 */
int host_irq_route_pin(
	struct host_irq *h, struct device *dev, const struct host_irq_pin *pin) must_check;

/*
 * The same with entry 0 of the function's MSI-X table, or its MSI capability. The function must
 * decode its memory. -E_NOTSUP (no such capability), -E_IO (the table isn't reachable), -E_NOMEM.
 */
int host_irq_route_msi(struct host_irq *h, struct device *dev) must_check;

/*
 * The same with the function's own pin, INTx, for functions without messages. Which input of the IOAPIC
 * that is only the firmware's ACPI namespace says; without it there is the interrupt line register, in
 * which firmware notes the ISA interrupt that its router connects INTx to. The caller polls on
 * if that turns out wrong. The pin is armed again when the function no longer asserts it.
 * -E_NOTSUP (the function has no pin), -E_NOENT (the register names none that PCI can have), and the errors
 * of host_irq_route_pin.
 */
int host_irq_route_intx(struct host_irq *h, struct device *dev) must_check;

/*
 * After a level-triggered interrupt the pin stays masked, as its device goes on asserting it. Its
 * mediator calls this when the cause is gone, or when the guest has acknowledged it. Does nothing
 * for other kinds.
 */
void host_irq_rearm(struct host_irq *h, const struct device *dev);

/*
 * Against storms: a route that took more than HOST_IRQ_BURST interrupts in one period is masked for
 * its rest, and its device polled when that is over, as one may have been lost. Besides, the pins of
 * PCI functions are armed again. tick and next are a timer of the virtual machine (core/vm.h); arg is the
 * struct host_irq.
 */
#define HOST_IRQ_PERIOD_US 10000u
#define HOST_IRQ_BURST	   1000u
#define HOST_IRQ_LOOK_US   100u
void host_irq_tick(void *arg, uint64_t tsc);
uint64_t host_irq_next(void *arg);

/*
 * Puts the device's pins or capability back and returns the vectors. Boot processor, firmware context, the device
 * quiet: an interrupt on its way is still taken here, so that the firmware never sees it.
 */
void host_irq_unroute(struct host_irq *h, const struct device *dev);
void host_irq_unroute_all(struct host_irq *h);

#endif
