/*
 * ACPI's fixed hardware. Nothing of this reaches the real one, so there is nothing to put back.
 * State: the three registers. On the exit path.
 *
 * The rules, by ACPI Specification 6.4, "PM1 Event Grouping" and "PM1 Control Grouping":
 *   +0  PM1_STS  events that have happened: only the power button's ever does. Writing 1s clears
 *   +2  PM1_EN   which of them raise the SCI: the enables of all fixed events are kept as written
 *   +4  PM1_CNT  SLP_EN: the guest powers off, whatever the type, as nothing could wake it.
 *                SCI_EN reads as 1: the machine is always in ACPI mode
 * Any size and offset inside works. The SCI is a level: status and enable have a bit in common.
 */
#include "pio/pm.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"
#include "pio/pio.h"

#define PM1_POWER_BUTTON 0x0100u
/* Timer, global lock, power and sleep button, clock; and the switch for PCI Express' wake event. */
#define PM1_ENABLES	 0x4721u

#define PM1_SCI_EN	 0x0001u
#define PM1_SLP_EN	 0x2000u

/* The three registers in their order, as one. */
#define ALL_STATUS	 BITS(15, 0)
#define ALL_ENABLE	 BITS(31, 16)
#define ALL_CONTROL	 BITS(47, 32)

static void update_line(const struct pm *pm)
{
	vm_set_irq(pm->dev.vm, pm->dev.irq, pm->status & pm->enable);
}

static void write_registers(struct pm *pm, uint64_t value, unsigned offset, unsigned size)
{
	uint64_t old = FIELD_PUT(ALL_ENABLE, pm->enable) | FIELD_PUT(ALL_CONTROL, pm->control);
	/* The status counts as 0 before: what is 1 after was written. */
	uint64_t now = bytes_merge(old, value, offset, size);

	pm->status &= (uint16_t)~FIELD_GET(ALL_STATUS, now);
	pm->enable = (uint16_t)FIELD_GET(ALL_ENABLE, now) & PM1_ENABLES;
	pm->control = (uint16_t)FIELD_GET(ALL_CONTROL, now);
	if (pm->control & PM1_SLP_EN)
		vm_request_stop(pm->dev.vm, STOP_POWEROFF);
	pm->control &= (uint16_t)~PM1_SLP_EN; /* write-only */
	update_line(pm);
}

static enum io_result pm_access(struct device *dev, struct io_access *a)
{
	struct pm *pm = dev->state;
	uint64_t all = FIELD_PUT(ALL_STATUS, pm->status) | FIELD_PUT(ALL_ENABLE, pm->enable) |
		       FIELD_PUT(ALL_CONTROL, pm->control | PM1_SCI_EN);

	if (!range_fits(a->offset, a->size, PM_PORTS))
		return IO_REJECT;
	if (a->write)
		write_registers(pm, a->value, (unsigned)a->offset, a->size);
	else
		a->value = all >> (a->offset * 8) & size_mask(a->size);
	return IO_DONE;
}

void pm_press_power_button(struct pm *pm)
{
	pm->status |= PM1_POWER_BUTTON;
	update_line(pm);
}

/* The hard limit is core's: this is the guest's chance to end in order before it. */
static void pm_tick(void *arg, uint64_t tsc)
{
	struct pm *pm = arg;
	uint64_t limit = pm->dev.vm->time_limit_tsc;

	if (!limit || !pm->grace_tsc || pm->warned || (tsc < limit && limit - tsc > pm->grace_tsc))
		return;
	pm->warned = true;
	log_line("time limit near: the guest's power button is pressed");
	pm_press_power_button(pm);
}

/* A press can wait for the firmware's tick. */
static uint64_t pm_next(void *arg)
{
	(void)arg;
	return VM_NEVER;
}

static int pm_attach(struct device *dev, struct arena *arena)
{
	struct pm *pm = dev->state;
	int err;

	(void)arena;
	pm->region = (struct region){.base = pm->port,
		.len = PM_PORTS,
		.hw = pm->port,
		.dev = dev,
		.handler = pm_access,
		.name = "acpi pm1"};
	err = region_add(&dev->vm->pio, &pm->region);
	return err ? err : vm_add_timer(dev->vm, pm_tick, pm_next, pm);
}

static int pm_quiesce(struct device *dev)
{
	(void)dev;
	return 0;
}

static void pm_detach(struct device *dev)
{
	(void)dev;
}

static const struct device_ops pm_ops = {
	.name = "acpi pm", .attach = pm_attach, .quiesce = pm_quiesce, .detach = pm_detach};

void pm_init(struct pm *pm, struct vm *vm, uint16_t port, uint8_t irq, uint64_t grace_tsc)
{
	*pm = (struct pm){.port = port, .grace_tsc = grace_tsc};
	pio_init_device(&pm->dev, &pm_ops, vm, pm, irq);
}
