/*
 * The registers of a virtio device; see transport.h. State: struct virtio. The handler, bar_moved and
 * poll are on the exit path.
 */
#include "virtio/transport.h"
#include "base/error.h"
#include "base/fmt.h"
#include "base/mem.h"
#include "core/interrupt.h"

#define REGISTERS_BAR	  0u
#define MSIX_BAR	  1u
#define BAR_SIZE	  0x4000u
#define AREA		  0x1000u /* each of the four structures has one */
#define COMMON_AREA	  0x0000u
#define ISR_AREA	  0x1000u
#define CONFIG_AREA	  0x2000u
#define NOTIFY_AREA	  0x3000u
#define NOTIFY_MULTIPLIER 4u

static struct virtio *of_device(struct device *dev)
{
	return container_of(dev, struct virtio, dev);
}

bool virtio_is_ready(const struct virtio *t)
{
	return (t->status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET)) ==
	       VIRTIO_STATUS_DRIVER_OK;
}

/* ---- interrupts ---- */

/* With MSI-X there is no ISR status: the vector says what it is. */
static void interrupt(struct virtio *t, uint8_t cause, uint16_t vector)
{
	if (device_interrupt_mode(&t->dev) == INTERRUPT_LINE) {
		t->isr |= cause;
		device_set_line(&t->dev, true);
	} else if (vector != VIRTIO_NO_VECTOR) {
		device_message(&t->dev, vector);
	}
}

void virtio_used(struct virtio *t, unsigned n)
{
	if (virtq_wants_interrupt(&t->queue[n]))
		interrupt(t, VIRTIO_ISR_QUEUE, t->queue_vector[n]);
}

void virtio_check(struct virtio *t)
{
	bool broken = false;

	for (unsigned n = 0; n < t->model->queues; n++)
		broken |= t->queue[n].broken;
	if (!broken || t->status & VIRTIO_STATUS_NEEDS_RESET)
		return;
	t->status |= VIRTIO_STATUS_NEEDS_RESET;
	log_limited(&t->broken_log, "%s: the guest's queue breaks the rules: stopped until a reset",
		t->dev.name);
	interrupt(t, VIRTIO_ISR_CONFIG, t->config_vector);
}

/* ---- the common configuration ---- */

static void device_reset(struct virtio *t)
{
	t->accepted = 0;
	t->device_select = t->driver_select = 0;
	t->queue_select = 0;
	t->status = t->isr = 0;
	t->config_vector = VIRTIO_NO_VECTOR;
	for (unsigned n = 0; n < VIRTIO_QUEUES_MAX; n++) {
		t->queue_vector[n] = VIRTIO_NO_VECTOR;
		virtq_reset(&t->queue[n], &t->dev.vm->gmem);
	}
	t->model->reset(t);
	device_lower(&t->dev);
}

/* Only bits of what was offered, and version 1 among them, or FEATURES_OK doesn't stay. */
static void status_write(struct virtio *t, uint8_t value)
{
	uint8_t kept = t->status & VIRTIO_STATUS_NEEDS_RESET;

	if (!value) {
		device_reset(t);
		return;
	}
	if (value & ~t->status & VIRTIO_STATUS_FEATURES_OK &&
		(t->accepted & ~t->offered || !(t->accepted & VIRTIO_F_VERSION_1)))
		value &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	if (!(value & VIRTIO_STATUS_FEATURES_OK))
		value &= (uint8_t)~VIRTIO_STATUS_DRIVER_OK;
	t->status = value | kept;
}

static void features_write(struct virtio *t, uint32_t value)
{
	if (t->driver_select < 2 && !(t->status & VIRTIO_STATUS_FEATURES_OK))
		t->accepted = bytes_merge(t->accepted, value, t->driver_select * 4, 4);
}

/* The selected queue, or NULL: there is no such queue. */
static struct virtq *selected(struct virtio *t)
{
	return t->queue_select < t->model->queues ? &t->queue[t->queue_select] : NULL;
}

static uint32_t queue_read(const struct virtio *t, const struct virtq *q, uint64_t reg)
{
	if (!q)
		return 0;
	switch (reg) {
	case COMMON_QUEUE_SIZE:
		return q->size | (uint32_t)t->queue_vector[t->queue_select] << 16;
	case COMMON_QUEUE_ENABLE:
		return q->ready | (uint32_t)t->queue_select << 16;
	case COMMON_QUEUE_DESC:
		return (uint32_t)q->desc.v;
	case COMMON_QUEUE_DESC + 4:
		return (uint32_t)(q->desc.v >> 32);
	case COMMON_QUEUE_DRIVER:
		return (uint32_t)q->avail.v;
	case COMMON_QUEUE_DRIVER + 4:
		return (uint32_t)(q->avail.v >> 32);
	case COMMON_QUEUE_DEVICE:
		return (uint32_t)q->used.v;
	case COMMON_QUEUE_DEVICE + 4:
		return (uint32_t)(q->used.v >> 32);
	default:
		return 0;
	}
}

/* Four bytes at a multiple of four. */
static uint32_t common_read(struct virtio *t, uint64_t reg)
{
	switch (reg) {
	case COMMON_DEVICE_FEATURE_SELECT:
		return t->device_select;
	case COMMON_DEVICE_FEATURE:
		return t->device_select < 2 ? (uint32_t)(t->offered >> t->device_select * 32) : 0;
	case COMMON_DRIVER_FEATURE_SELECT:
		return t->driver_select;
	case COMMON_DRIVER_FEATURE:
		return t->driver_select < 2 ? (uint32_t)(t->accepted >> t->driver_select * 32) : 0;
	case COMMON_MSIX_CONFIG:
		return t->config_vector | t->model->queues << 16;
	case COMMON_STATUS:
		/* The generation is 0 for ever: no model's configuration changes. */
		return t->status | (uint32_t)t->queue_select << 16;
	default:
		return queue_read(t, selected(t), reg);
	}
}

/* A queue's addresses and size are fixed from its start to the reset. */
static void queue_write(struct virtq *q, const struct io_access *a)
{
	gpa_t *address = a->offset < COMMON_QUEUE_DRIVER   ? &q->desc
			 : a->offset < COMMON_QUEUE_DEVICE ? &q->avail
							   : &q->used;

	if (q->ready)
		return;
	if (a->offset >= COMMON_QUEUE_DESC)
		address->v = bytes_merge(address->v, a->value, a->offset & 4, a->size);
	else if (a->offset == COMMON_QUEUE_SIZE)
		q->size = (uint16_t)a->value;
	else if (a->offset == COMMON_QUEUE_ENABLE && a->value == 1 && virtq_enable(q))
		q->broken = true;
}

/* Fields are written whole; addresses by halves too. */
static bool width_ok(const struct io_access *a)
{
	switch (a->offset) {
	case COMMON_DEVICE_FEATURE_SELECT:
	case COMMON_DRIVER_FEATURE_SELECT:
	case COMMON_DRIVER_FEATURE:
		return a->size == 4;
	case COMMON_STATUS:
		return a->size == 1;
	case COMMON_QUEUE_DESC:
	case COMMON_QUEUE_DRIVER:
	case COMMON_QUEUE_DEVICE:
		return a->size >= 4;
	case COMMON_QUEUE_DESC + 4:
	case COMMON_QUEUE_DRIVER + 4:
	case COMMON_QUEUE_DEVICE + 4:
		return a->size == 4;
	case COMMON_MSIX_CONFIG:
	case COMMON_QUEUE_SELECT:
	case COMMON_QUEUE_SIZE:
	case COMMON_QUEUE_MSIX:
	case COMMON_QUEUE_ENABLE:
		return a->size == 2;
	default:
		return false;
	}
}

/* "MSI-X Vector Configuration": what can't be reads back as no vector. */
static uint16_t vector_or_none(const struct virtio *t, uint64_t vector)
{
	return vector < t->dev.vectors ? (uint16_t)vector : VIRTIO_NO_VECTOR;
}

static enum io_result common_write(struct virtio *t, const struct io_access *a)
{
	struct virtq *q = selected(t);

	if (!width_ok(a))
		return IO_REJECT;
	switch (a->offset) {
	case COMMON_DEVICE_FEATURE_SELECT:
		t->device_select = (uint32_t)a->value;
		break;
	case COMMON_DRIVER_FEATURE_SELECT:
		t->driver_select = (uint32_t)a->value;
		break;
	case COMMON_DRIVER_FEATURE:
		features_write(t, (uint32_t)a->value);
		break;
	case COMMON_STATUS:
		status_write(t, (uint8_t)a->value);
		break;
	case COMMON_MSIX_CONFIG:
		t->config_vector = vector_or_none(t, a->value);
		break;
	case COMMON_QUEUE_SELECT:
		t->queue_select = (uint16_t)a->value;
		break;
	case COMMON_QUEUE_MSIX:
		if (q)
			t->queue_vector[t->queue_select] = vector_or_none(t, a->value);
		break;
	default:
		if (q)
			queue_write(q, a);
		break;
	}
	virtio_check(t);
	return IO_DONE;
}

/* ---- the BAR ---- */

/* Reading clears it: that is how the driver acknowledges the interrupt. */
static uint64_t isr_read(struct virtio *t)
{
	uint8_t isr = t->isr;

	t->isr = 0;
	device_lower(&t->dev);
	return isr;
}

/* Any size that stays inside four bytes; or eight at a multiple of eight. Behind a structure's end: 0. */
static enum io_result area_read(struct virtio *t, uint64_t area, uint64_t at, struct io_access *a)
{
	uint8_t bytes[8] = {0};
	uint64_t v = 0;

	switch (area) {
	case COMMON_AREA:
		v = common_read(t, at & ~3ull);
		if (a->size == 8)
			v |= (uint64_t)common_read(t, at + 4) << 32;
		a->value = v >> (at & 3) * 8 & size_mask(a->size);
		return IO_DONE;
	case ISR_AREA:
		a->value = at ? 0 : isr_read(t);
		return IO_DONE;
	case CONFIG_AREA:
		for (unsigned i = 0; i < a->size && at + i < t->config_size; i++)
			bytes[i] = t->config[at + i];
		memcpy(&a->value, bytes, sizeof(a->value));
		return IO_DONE;
	default:
		a->value = 0;
		return IO_DONE;
	}
}

/* The value is the queue's number; so is the address. */
static enum io_result notify_write(struct virtio *t, uint64_t at, const struct io_access *a)
{
	uint64_t n = at / NOTIFY_MULTIPLIER;

	if (at % NOTIFY_MULTIPLIER || a->size > NOTIFY_MULTIPLIER || n >= t->model->queues)
		return IO_REJECT;
	if (virtio_is_ready(t) && t->queue[n].ready)
		t->model->notify(t, (unsigned)n);
	virtio_check(t);
	return IO_DONE;
}

static enum io_result virtio_mmio(struct device *dev, struct io_access *a)
{
	struct virtio *t = of_device(dev);
	uint64_t area = a->offset & ~(uint64_t)(AREA - 1), at = a->offset & (AREA - 1);

	if ((at & 3) + a->size > 4 && (a->size != 8 || at & 7))
		return IO_REJECT;
	if (!a->write)
		return area_read(t, area, at, a);
	if (area == NOTIFY_AREA)
		return notify_write(t, at, a);
	if (area != COMMON_AREA)
		return IO_REJECT;
	return common_write(t, a);
}

/* ---- the device contract ---- */

static int virtio_bar_moved(struct device *dev, unsigned bar, uint64_t base, bool enabled)
{
	if (bar != REGISTERS_BAR)
		return 0;
	return region_move(&dev->vm->mmio, &of_device(dev)->region, base, enabled);
}

static void virtio_poll(struct device *dev)
{
	struct virtio *t = of_device(dev);

	if (!virtio_is_ready(t))
		return;
	t->model->poll(t);
	virtio_check(t);
}

static int virtio_quiesce(struct device *dev)
{
	device_reset(of_device(dev));
	return 0;
}

static void virtio_detach(struct device *dev)
{
	region_remove(&dev->vm->mmio, &of_device(dev)->region);
}

static const struct device_ops virtio_ops = {
	.name = "virtio",
	.quiesce = virtio_quiesce,
	.detach = virtio_detach,
	.poll = virtio_poll,
	.bar_moved = virtio_bar_moved,
};

void virtio_init(struct virtio *t, struct vm *vm, const struct virtio_model *model, uint8_t irq,
	const char *name)
{
	t->dev = (struct device){.ops = &virtio_ops,
		.vm = vm,
		.mode = DEVICE_FIRMWARE,
		.irq = irq,
		.vectors = (uint16_t)(model->queues + 1)};
	fmt_print(t->dev.name, sizeof(t->dev.name), "%s", name);
	t->model = model;
	t->offered |= VIRTIO_F_VERSION_1;
	t->region = (struct region){
		.len = BAR_SIZE, .dev = &t->dev, .handler = virtio_mmio, .name = model->name};
	device_reset(t);
}

static struct virtio_pci_cap capability(uint8_t type, uint32_t offset, size_t length)
{
	struct virtio_pci_cap cap = {.vendor = PCI_CAP_VENDOR,
		.len = VIRTIO_PCI_CAP_LEN,
		.type = type,
		.offset = offset,
		.length = (uint32_t)length};

	if (type == VIRTIO_CAP_NOTIFY) {
		cap.len = sizeof(cap);
		cap.notify_multiplier = NOTIFY_MULTIPLIER;
	}
	return cap;
}

int virtio_show(struct virtio *t, struct pci_filter *filter)
{
	const struct virtio_pci_cap cap[] = {
		capability(VIRTIO_CAP_COMMON, COMMON_AREA, COMMON_SIZE),
		capability(VIRTIO_CAP_NOTIFY, NOTIFY_AREA, NOTIFY_MULTIPLIER * t->model->queues),
		capability(VIRTIO_CAP_ISR, ISR_AREA, 1),
		capability(VIRTIO_CAP_DEVICE, CONFIG_AREA, t->config_size),
	};
	struct pci_virtual_cap caps[array_size(cap)];
	struct pci_virtual v = {.vendor = VIRTIO_PCI_VENDOR,
		.device = VIRTIO_PCI_DEVICE + t->model->id,
		.subsystem_vendor = VIRTIO_PCI_VENDOR,
		.subsystem = VIRTIO_PCI_DEVICE + t->model->id,
		.class = t->model->class,
		.revision = VIRTIO_PCI_REVISION,
		.bar_size = {[REGISTERS_BAR] = BAR_SIZE, [MSIX_BAR] = PAGE_SIZE},
		.msix_bar = MSIX_BAR,
		.cap = caps,
		.caps = array_size(caps)};

	for (unsigned i = 0; i < array_size(cap); i++)
		caps[i] = (struct pci_virtual_cap){&cap[i], cap[i].len};
	return pci_filter_invent(filter, &t->dev, &v);
}
