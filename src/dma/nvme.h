/*
 * The restricted NVMe controller. The guest finds the real controller's registers in base address
 * register 0, but each access is trapped and answered from a model; each command is fetched once,
 * judged (nvme_cmd.h), and issued again from a shadow queue (nvme_queue.h) with host addresses.
 *
 *   nvme.c           the model of the registers, and the device's operations
 *   nvme_exec.c      commands from the guest to the controller, completions back, interrupts
 *   nvme_admin.c     admin commands that change or need the controller's state
 *   nvme_ctrl.c      the real controller: start, stop, doorbells, what it has
 *   nvme_cmd.c, nvme_identify.c, nvme_queue.c   pure parts
 *
 * Before attach the firmware's driver has let go of the controller. Interrupts: all queues of the
 * real controller use vector 0; whoever owns host vectors programs the function's MSI-X entry 0 or
 * its MSI, and sets dev->irq_fired in the handler. Without that, ticks alone make progress. The
 * guest's interrupts are messages, one vector for each completion queue that it wants, or its pin,
 * dev->irq, level-triggered: core/interrupt.h.
 */
#ifndef POSTERN_DMA_NVME_H
#define POSTERN_DMA_NVME_H

#include "core/device.h"

/* Base class, subclass and programming interface: PCI_CLASS's three bytes. */
#define NVME_CLASS 0x010802u

/*
 * attach: -E_NOTSUP (no 4 KiB pages, no NVM command set, no memory BAR 0), -E_IO (the controller
 * is gone or fails Identify), -E_TIMEOUT, -E_NOMEM. It takes seconds at worst.
 */
extern const struct device_ops nvme_ops;

/* What attach takes from the arena, at most; bytes. */
size_t nvme_arena_size(void);

#endif
