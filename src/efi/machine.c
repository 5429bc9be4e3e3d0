/* The guest's machine; see machine.h. State is the caller's. Not on the exit path. */
#include "efi/machine.h"
#include "base/error.h"
#include "base/log.h"
#include "efi/vectors.h"
#include "mmio/mmio.h"
#include "pio/pio.h"

#define LEGACY_DEVICES 5u

static struct device *legacy_device(struct machine *m, unsigned i)
{
	struct device *const devices[LEGACY_DEVICES] = {
		&m->cmos.dev, &m->keyboard.dev, &m->uart.dev, &m->reset.dev, &m->pm.dev};

	return devices[i];
}

static bool is_absent(const struct machine *m, const struct device *dev)
{
	return m->without_console && (dev == &m->keyboard.dev || dev == &m->uart.dev);
}

void machine_detach(struct machine *m)
{
	host_irq_unroute_all(&m->host_irq);
	while (m->attached) {
		struct device *dev = legacy_device(m, --m->attached);

		if (dev->ops->detach && !is_absent(m, dev))
			dev->ops->detach(dev);
	}
}

static int attach_legacy(struct machine *m, struct vm *vm, struct arena *arena, uint64_t grace_tsc)
{
	cmos_init(&m->cmos, vm);
	i8042_init(&m->keyboard, vm);
	uart_init(&m->uart, vm);
	reset_ports_init(&m->reset, vm);
	pm_init(&m->pm, vm, MACHINE_PM_PORT, MACHINE_SCI, grace_tsc);
	while (m->attached < LEGACY_DEVICES) {
		struct device *dev = legacy_device(m, m->attached++);
		int err;

		if (is_absent(m, dev))
			continue;
		err = dev->ops->attach(dev, arena);
		if (!err)
			err = vm_add_device(vm, dev);
		if (err)
			return err;
	}
	return 0;
}

void machine_set_level(struct machine *m, unsigned irq)
{
	m->levels |= (uint16_t)(1u << irq);
	vpic_set_levels(&m->pic, m->levels);
}

int machine_route_isa(struct machine *m, struct device *dev, unsigned irq)
{
	return host_irq_route_pin(&m->host_irq, dev, &(struct host_irq_pin){.pin = irq});
}

/* Without these two the guest still gets input, at the firmware's ticks. */
static void route_legacy(struct machine *m)
{
	if (m->without_console)
		return;
	if (!machine_route_isa(m, &m->uart.dev, m->uart.dev.irq))
		uart_set_routed(&m->uart, true);
	if (machine_route_isa(m, &m->keyboard.dev, m->keyboard.dev.irq))
		log_line("keyboard: no interrupt: it is read at the firmware's ticks");
}

int machine_attach(struct machine *m, struct vm *vm, struct arena *arena, bool apic, hpa_t ecam,
	uint64_t ecam_len, uint64_t grace_tsc)
{
	int err;

	pio_attach(vm);
	err = mmio_attach(vm, arena);
	if (!err)
		err = vpic_attach(&m->pic, vm);
	if (!err && apic)
		err = irqchip_attach(&m->irqchip, vm, &m->pic);
	if (!err)
		err = vpit_attach(&m->pit, vm);
	if (!err)
		err = host_irq_init(&m->host_irq, &efi_vector_ops, hpa(IOAPIC_DEFAULT_BASE));
	if (!err)
		err = vm_add_timer(vm, host_irq_tick, host_irq_next, &m->host_irq);
	if (!err)
		err = attach_legacy(m, vm, arena, grace_tsc);
	if (!err)
		err = hypercall_init(&m->hypercall, vm);
	if (!err)
		err = pci_filter_init(&m->pci, vm, arena, gpa(ecam.v), ecam_len);
	if (err) {
		log_alert("machine: %s", error_string(err));
		machine_detach(m);
		return err;
	}
	m->pic.acknowledged = vpit_acknowledged;
	m->pic.acknowledged_arg = &m->pit;
	machine_set_level(m, MACHINE_SCI);
	route_legacy(m);
	return 0;
}
