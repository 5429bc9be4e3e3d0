/*
 * CMOS and real-time clock, ports 70h and 71h. State: the guest's index. On the exit path.
 *
 * The rule: the guest may read the clock, and nothing else.
 *   70h       kept in the model, NMI bit included; reads give it back
 *   00,02,04,06-09,32  seconds to year and century: the real registers
 *   0A        status A, real: the guest waits for its update bit itself, one read per exit
 *   0B        status B, real, but without SET and the interrupt enables
 *   0C        status C: 0, since reading it acknowledges the real clock's interrupts
 *   0D        status D, real (is the time valid?)
 *   others    alarms and the firmware's settings: 0
 * All writes to 71h are dropped. The real NMI bit stays as the firmware had it.
 */
#include "pio/cmos.h"
#include "base/error.h"
#include "hw/port.h"
#include "pio/pio.h"

#define CMOS_INDEX_PORT 0x70u
#define CMOS_DATA_PORT	0x71u
#define CMOS_NMI_OFF	0x80u

/* MC146818A data sheet, "Address Map"; the century's place is convention. */
#define CMOS_SECONDS	0x00u
#define CMOS_MINUTES	0x02u
#define CMOS_HOURS	0x04u
#define CMOS_WEEKDAY	0x06u
#define CMOS_YEAR	0x09u
#define CMOS_STATUS_A	0x0au
#define CMOS_STATUS_B	0x0bu
#define CMOS_STATUS_D	0x0du
#define CMOS_CENTURY	0x32u

#define STATUS_B_SET	0x80u
#define STATUS_B_IRQ	0x70u /* periodic, alarm, update-ended */

static bool register_is_readable(unsigned index)
{
	switch (index) {
	case CMOS_SECONDS:
	case CMOS_MINUTES:
	case CMOS_HOURS:
	case CMOS_STATUS_A:
	case CMOS_STATUS_B:
	case CMOS_STATUS_D:
	case CMOS_CENTURY:
		return true;
	default:
		return index >= CMOS_WEEKDAY && index <= CMOS_YEAR;
	}
}

static uint8_t read_register(const struct cmos *c, unsigned index)
{
	uint8_t v;

	if (!register_is_readable(index))
		return 0;
	hw_port_write(CMOS_INDEX_PORT, 1, (c->saved_index & CMOS_NMI_OFF) | index);
	v = (uint8_t)hw_port_read(CMOS_DATA_PORT, 1);
	return index == CMOS_STATUS_B ? v & (uint8_t) ~(STATUS_B_SET | STATUS_B_IRQ) : v;
}

static enum io_result cmos_access(struct device *dev, struct io_access *a)
{
	struct cmos *c = dev->state;

	if (a->size != 1)
		return IO_REJECT;
	if (a->offset == 0) {
		if (a->write)
			c->index = (uint8_t)a->value;
		else
			a->value = c->index;
	} else if (a->write) {
		dev->denied++;
	} else {
		a->value = read_register(c, c->index & (uint8_t)~CMOS_NMI_OFF);
	}
	return IO_DONE;
}

/* Chipsets on which port 70h is write-only give all ones there: then NMIs are on, index 0Dh. */
static int cmos_attach(struct device *dev, struct arena *arena)
{
	struct cmos *c = dev->state;
	uint8_t index = (uint8_t)hw_port_read(CMOS_INDEX_PORT, 1);
	int r;

	(void)arena;
	c->region = (struct region){.base = CMOS_INDEX_PORT,
		.len = 2,
		.hw = CMOS_INDEX_PORT,
		.dev = dev,
		.handler = cmos_access,
		.name = "cmos",
		.byte_wide = true};
	r = region_add(&dev->vm->pio, &c->region);
	if (r)
		return r;
	c->saved_index = index == 0xff ? CMOS_STATUS_D : index;
	c->index = CMOS_STATUS_D;
	c->attached = true;
	return 0;
}

static int cmos_quiesce(struct device *dev)
{
	(void)dev;
	return 0;
}

static void cmos_detach(struct device *dev)
{
	struct cmos *c = dev->state;

	if (c->attached)
		hw_port_write(CMOS_INDEX_PORT, 1, c->saved_index);
	c->attached = false;
}

static const struct device_ops cmos_ops = {
	.name = "cmos", .attach = cmos_attach, .quiesce = cmos_quiesce, .detach = cmos_detach};

void cmos_init(struct cmos *c, struct vm *vm)
{
	*c = (struct cmos){0};
	pio_init_device(&c->dev, &cmos_ops, vm, c, 8);
}
