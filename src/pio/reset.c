/*
 * Reset, power and debug ports. Nothing of this reaches the hardware, so there is nothing to put
 * back. State: what the guest wrote. On the exit path. CF9h is the PCI filter's.
 * ACPI's registers are pm.c's.
 *
 * The rules:
 *   80h        POST codes: dropped; reads give 0
 *   92h        fast reset, 0 to 1 of bit 0: the guest resets. A20 is always on
 *   B2h, B3h   SMI command and data: dropped; read as all ones
 *   8900h      the word by which Bochs switches off: the guest powers off
 */
#include "pio/reset.h"
#include "base/bits.h"
#include "base/error.h"
#include "pio/pio.h"

#define POST_PORT  0x80u
#define FAST_PORT  0x92u
#define SMI_PORT   0xb2u
#define BOCHS_PORT 0x8900u

#define FAST_RESET 0x01u
#define FAST_A20   0x02u

static enum io_result post_access(struct device *dev, struct io_access *a)
{
	(void)dev;
	if (!a->write)
		a->value = 0;
	return IO_DONE;
}

static enum io_result fast_access(struct device *dev, struct io_access *a)
{
	struct reset_ports *p = dev->state;

	if (!a->write) {
		a->value = p->port92 | FAST_A20;
		return IO_DONE;
	}
	if ((a->value & FAST_RESET) && !(p->port92 & FAST_RESET))
		vm_request_stop(dev->vm, STOP_RESET);
	p->port92 = (uint8_t)a->value;
	return IO_DONE;
}

static enum io_result smi_access(struct device *dev, struct io_access *a)
{
	if (a->write)
		dev->denied++;
	else
		a->value = 0xff;
	return IO_DONE;
}

static enum io_result bochs_access(struct device *dev, struct io_access *a)
{
	static const char word[] = "Shutdown";
	struct reset_ports *p = dev->state;

	if (!a->write) {
		a->value = 0xff;
		return IO_DONE;
	}
	if (a->value == (uint8_t)word[p->bochs_seen])
		p->bochs_seen++;
	else
		p->bochs_seen = a->value == (uint8_t)word[0];
	if (p->bochs_seen == sizeof(word) - 1) {
		p->bochs_seen = 0;
		vm_request_stop(dev->vm, STOP_POWEROFF);
	}
	return IO_DONE;
}

static int reset_attach(struct device *dev, struct arena *arena)
{
	struct reset_ports *p = dev->state;
	const struct region regions[RESET_REGIONS] = {
		{.base = POST_PORT, .len = 1, .handler = post_access, .name = "post"},
		{.base = FAST_PORT, .len = 1, .handler = fast_access, .name = "port 92"},
		{.base = SMI_PORT, .len = 2, .handler = smi_access, .name = "smi"},
		{.base = BOCHS_PORT, .len = 1, .handler = bochs_access, .name = "bochs shutdown"},
	};

	(void)arena;
	for (unsigned i = 0; i < RESET_REGIONS; i++) {
		int r;

		p->region[i] = regions[i];
		p->region[i].hw = regions[i].base;
		p->region[i].dev = dev;
		p->region[i].byte_wide = true;
		r = region_add(&dev->vm->pio, &p->region[i]);
		if (r)
			return r;
	}
	return 0;
}

static int reset_quiesce(struct device *dev)
{
	(void)dev;
	return 0;
}

static void reset_detach(struct device *dev)
{
	(void)dev;
}

static const struct device_ops reset_ops = {.name = "reset ports",
	.attach = reset_attach,
	.quiesce = reset_quiesce,
	.detach = reset_detach};

void reset_ports_init(struct reset_ports *p, struct vm *vm)
{
	*p = (struct reset_ports){0};
	pio_init_device(&p->dev, &reset_ops, vm, p, 0);
}
