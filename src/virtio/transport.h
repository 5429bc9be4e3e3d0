/*
 * Virtio over PCI, version 1 only: the registers that every virtio device has, in one BAR of a function
 * that exists in the guest's machine alone. A model (blk.h, console.h) stands behind it.
 *
 *   0000h common configuration    1000h ISR status    2000h the model's configuration
 *   3000h doorbells, 4 bytes for each queue
 *
 * There is no window in configuration space (VIRTIO_PCI_CAP_PCI_CFG): firmware that can't reach memory
 * would need it, and no guest of ours is that. Interrupts are MSI-X's, with a
 * vector for each queue and one for changes of the configuration, or the pin's.
 */
#ifndef POSTERN_VIRTIO_TRANSPORT_H
#define POSTERN_VIRTIO_TRANSPORT_H

#include "core/vm.h"
#include "pci/filter.h"
#include "virtio/queue.h"

#define VIRTIO_QUEUES_MAX 2u
#define VIRTIO_CONFIG_MAX 64u

struct virtio;

/* What kind of device it is; constant. */
struct virtio_model {
	const char *name;
	uint16_t id;	/* VIRTIO_ID_... */
	uint16_t class; /* of PCI: base class and subclass */
	unsigned queues;
	/* Forgets what is in flight: the guest has reset the device. */
	void (*reset)(struct virtio *t);
	/* The driver is ready and queue n may have work. Bounded; the rest follows in poll. */
	void (*notify)(struct virtio *t, unsigned n);
	/* As device_ops.poll; only while the driver is ready. */
	void (*poll)(struct virtio *t);
};

struct virtio {
	struct device dev;
	const struct virtio_model *model;
	struct region region;

	uint64_t offered; /* features */
	uint8_t config[VIRTIO_CONFIG_MAX];
	size_t config_size;

	/* The guest's registers. */
	uint64_t accepted;
	uint32_t device_select, driver_select;
	uint16_t queue_select;
	uint8_t status, isr;
	uint16_t config_vector, queue_vector[VIRTIO_QUEUES_MAX]; /* of MSI-X */
	struct virtq queue[VIRTIO_QUEUES_MAX];

	uint64_t requests;
	struct log_limit broken_log;
};

/*
 * Fills in dev and the registers; offered and config are the model's to set before. Order of calls:
 *
 *	virtio_init, virtio_show, vm_add_device; after the guest dev.ops->quiesce and detach.
 *
 * name is for the log and for traces.
 */
void virtio_init(struct virtio *t, struct vm *vm, const struct virtio_model *model, uint8_t irq,
	const char *name);

/* Shows it to the guest. The errors of pci_filter_invent. */
int virtio_show(struct virtio *t, struct pci_filter *filter) must_check;

/* Has the driver said that it is ready, and nothing gone wrong since? */
bool virtio_is_ready(const struct virtio *t);

/* After pushing to queue n: tells the driver, if it wants to know. */
void virtio_used(struct virtio *t, unsigned n);

/*
 * After each turn of a model: a queue of a driver that broke the rules stops the device until it is
 * reset.
 */
void virtio_check(struct virtio *t);

#endif
