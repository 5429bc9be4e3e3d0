/*
 * The contract of everything that the guest can address: one handler shape for ports, MMIO and
 * configuration space.
 */
#ifndef POSTERN_CORE_DEVICE_H
#define POSTERN_CORE_DEVICE_H

#include "base/arena.h"
#include "base/types.h"
#include "hw/pci.h"

struct vm;
struct device;
struct policy;

/* What a handler made of an access. Never an error code. */
enum io_result {
	IO_DONE,   /* answered; a read's value is in the access */
	IO_PASS,   /* do just this on the real hardware, at the region's hw address */
	IO_REJECT, /* the bus's answer to nobody: all ones, writes dropped */
	IO_FAULT,  /* #GP to the guest */
};

/*
 * One access inside a region: offset from its base in bytes, size 1, 2, 4 or 8, value of a write
 * (upper bytes zero) or place for a read. It never crosses the region's end.
 */
struct io_access {
	uint64_t offset, value;
	uint8_t size;
	bool write;
};

typedef enum io_result (*io_handler)(struct device *dev, struct io_access *a);

/*
 * What the guest has of a device of the machine: nothing, the real one behind its mediator, or a
 * virtual one that the firmware's driver serves.
 */
enum device_mode { DEVICE_HIDDEN, DEVICE_RESTRICTED, DEVICE_FIRMWARE };

/*
 * How a device interrupts the guest is the guest's choice, and the model of its configuration space
 * knows it. For core/interrupt.h only, which is what devices call.
 */
enum interrupt_mode { INTERRUPT_LINE, INTERRUPT_MSI, INTERRUPT_MSIX };

struct interrupt_ops {
	enum interrupt_mode (*mode)(const struct device *dev);
	void (*message)(struct device *dev, unsigned n);
	void (*set_line)(struct device *dev, bool high);
};

/*
 * A mediator for a real device. attach is called once, before the guest runs, after the firmware's
 * driver has left; detach undoes attach and quiesce and leaves the device quiet, as its next
 * driver expects it. All but attach may be called when attach failed half way.
 */
struct device_ops {
	const char *name;
	/* Takes the device: allocates from the arena, adds regions, quiets the hardware. */
	int (*attach)(struct device *dev, struct arena *arena);
	/* No DMA and no interrupt of the device after this; bounded. 0 or -E_TIMEOUT. */
	int (*quiesce)(struct device *dev);
	void (*detach)(struct device *dev);
	/*
	 * Called outside the guest after each firmware window, when the device's interrupt fired or a
	 * tick passed: completions, interrupt lines. Bounded work.
	 */
	void (*poll)(struct device *dev);
	/* Base address register n of the guest's view now decodes at base, or not at all. */
	int (*bar_moved)(struct device *dev, unsigned bar, uint64_t base, bool enabled);
};

#define DEVICE_NAME_MAX 24u

struct device {
	const struct device_ops *ops; /* NULL for parts of the virtual machine: PIC, PIT... */
	struct vm *vm;
	void *state;		    /* the owner's */
	char name[DEVICE_NAME_MAX]; /* "nvme 00:04.0" */
	pci_bdf_t bdf;
	enum device_mode mode;
	uint8_t irq; /* the line of the guest's PIC that the device drives */
	/* Messages that it can tell apart; set before it is shown to the guest. 0: it has just its line. */
	uint16_t vectors;
	const struct interrupt_ops *interrupt; /* set when it is shown; NULL: its line */
	void *interrupt_state;
	/* Set by poll, which left work for its next turn: the processor shall not rest meanwhile. */
	bool busy;
	/* Set by the host's interrupt handler, cleared by poll. */
	volatile bool irq_fired;
	uint8_t trace; /* core/trace.h: its exits are recorded if not 0 */
	/* It didn't come to rest: it may still read and write what it was told of. Nobody resets it. */
	bool restless;
	const struct policy *policy; /* of a restricted disk; set before attach */
	uint64_t denied;	     /* accesses and commands that the policy refused */
};

#endif
