/*
 * Describes the guest's machine for its ACPI tables; see describe.h. All of it comes from the PCI
 * filter, which hidden functions never enter, and from the virtual parts. No state. Not on the exit path.
 */
#include "efi/describe.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"
#include "guest/acpi.h"

/* Below the IOAPIC: the end of what PCI may have under 4 GiB. */
#define PCI_END	    0xfec00000ull
#define RESET_PORT  0xcf9u /* the PCI filter's */
#define RESET_VALUE 0x06u

static int add_route(
	struct guest_acpi *g, const struct pci_filter *f, const struct pci_function *fn)
{
	uint32_t line = fn->reg[PCI_INT_LINE / 4];
	unsigned pin = line >> 8 & 0xff, device;
	int err;

	if (!fn->dev || !pin)
		return 0;
	err = pci_filter_root_pin(f, fn->bdf, pin - 1, &device, &pin);
	if (err)
		return err;
	return guest_acpi_add_route(g, (uint8_t)device, (uint8_t)pin, fn->dev->irq);
}

/* The window below 4 GiB holds all other BARs. */
static int add_high_bars(struct guest_acpi *g, const struct pci_function *fn)
{
	int err = 0;

	for (unsigned n = 0; n < PCI_BAR_COUNT && !err; n++) {
		const struct pci_bar *bar = &fn->window[n].bar;

		if (bar->size && !bar->io && bar->base >= 4 * GIB)
			err = guest_acpi_add_window(g, bar->base, bar->size);
	}
	return err;
}

static int add_functions(struct guest_acpi *g, const struct pci_filter *f)
{
	int err = 0;

	for (unsigned i = 0; i < f->shown_count && !err; i++) {
		err = add_high_bars(g, &f->shown[i]);
		if (!err)
			err = add_route(g, f, &f->shown[i]);
	}
	return err;
}

static int add_windows(
	struct guest_acpi *g, const struct pci_filter *f, const struct guest_map *map)
{
	int err = guest_acpi_add_window(g, map->size, PCI_END - map->size);

	if (!err && f->ecam.len && range_fits(f->ecam.base, f->ecam.len, 4 * GIB)) {
		g->ecam_base = f->ecam.base;
		g->last_bus = (uint8_t)min_u64(g->last_bus, f->ecam.len / MIB - 1);
		err = guest_acpi_cut_windows(g, f->ecam.base, f->ecam.len);
	}
	for (unsigned i = 0; i < map->window_count && !err; i++)
		err = guest_acpi_cut_windows(g, map->window[i].base, map->window[i].len);
	return err;
}

int describe_guest(
	struct vm *vm, const struct machine *m, const struct guest_map *map, struct arena *arena)
{
	/* Linux asks 32 addresses of each bus up to the last one, and each of them takes two exits. */
	struct guest_acpi g = {.last_bus = pci_filter_last_bus(&m->pci),
		.pic = true,
		.pit = true,
		.rtc = true,
		.keyboard = m->keyboard.present,
		.uart = m->uart.present,
		.pm_port = MACHINE_PM_PORT,
		.sci = MACHINE_SCI,
		.s5_type = PM_S5_TYPE,
		.reset_port = RESET_PORT,
		.reset_value = RESET_VALUE,
		.msi = vm->irqchip->message,
		.apic = m->irqchip.pic,
		.lapic_base = (uint32_t)VLAPIC_DEFAULT_BASE,
		.ioapic_base = (uint32_t)VIOAPIC_BASE,
		.ioapic_id = m->irqchip.ioapic.id,
		.override = {{0, 2, false, false}, {MACHINE_SCI, MACHINE_SCI, true, false}},
		.override_count = 2};
	uint8_t *tables = arena_alloc(arena, GUEST_ACPI_SIZE, 64);
	int err = tables ? add_windows(&g, &m->pci, map) : -E_NOMEM;

	if (!err)
		err = add_functions(&g, &m->pci);
	if (!err)
		err = guest_acpi_build(&g, tables);
	if (!err)
		err = gmem_write(&vm->gmem, gpa(GUEST_ACPI_BASE), tables, GUEST_ACPI_SIZE);
	if (err)
		log_alert("acpi: no tables for the guest: %s", error_string(err));
	return err;
}
