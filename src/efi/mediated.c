/* The restricted devices; see mediated.h. State is the caller's. Not on the exit path. */
#include "efi/mediated.h"
#include "base/error.h"
#include "base/fmt.h"
#include "base/log.h"
#include "core/trace.h"
#include "dma/ide.h"
#include "dma/nvme.h"
#include "efi/disk.h"

struct mediator {
	uint16_t class; /* base class and subclass */
	const struct device_ops *ops;
	uint8_t irq;  /* line of the guest's PIC */
	uint8_t pins; /* ISA interrupts of the real device, from irq on; 0: those of PCI */
	bool judges;  /* by dev->policy; else it only reads, whatever part of the disk */
};

/* Lines 14 and 15 are those of the IDE channels on every PC; 11 is free for PCI. */
static const struct mediator mediators[] = {
	{0x0108, &nvme_ops, 11, 0, true}, {0x0101, &ide_ops, 14, 2, false}};

static const struct mediator *find_mediator(uint16_t class)
{
	for (size_t i = 0; i < array_size(mediators); i++)
		if (mediators[i].class == class)
			return &mediators[i];
	return NULL;
}

static const struct config_device *find_section(const struct config *c, const struct pci_seen *fn)
{
	uint16_t vendor = (uint16_t)hw_pci_read(fn->bdf, PCI_VENDOR_ID, 2);
	uint16_t device = (uint16_t)hw_pci_read(fn->bdf, PCI_DEVICE_ID, 2);
	uint32_t class = (uint32_t)fn->class << 8 | fn->prog_if;

	for (unsigned i = 0; i < c->device_count; i++)
		if (config_match_device(&c->device[i].match, fn->bdf, vendor, device, class))
			return &c->device[i];
	return NULL;
}

/* Partitions become blocks while the firmware still has the disk. */
static int find_windows(struct mediated *m, const struct config_device *section, pci_bdf_t bdf)
{
	for (unsigned i = 0; i < section->window.count; i++) {
		const struct config_window *w = &section->window.range[i];
		struct policy_window blocks = w->blocks;

		if (w->kind != WINDOW_BLOCKS && firmware_partition_find(w, bdf, &blocks)) {
			log_alert("device %s: line %u: window: " PCI_BDF_FMT
				  " has no such partition, or several",
				section->name, section->window_line, PCI_BDF_ARGS(bdf));
			return -E_NOENT;
		}
		m->policy.window[m->policy.windows++] = blocks;
		log_line("device %s: blocks %lu to %lu%s", section->name, blocks.first, blocks.last,
			blocks.read_only ? ", read-only" : "");
	}
	return 0;
}

static int choose(void *arg, const struct pci_seen *fn)
{
	struct mediated_set *set = arg;
	const struct config_device *section = find_section(set->config, fn);
	const struct mediator *how = find_mediator(fn->class);
	struct mediated *m;
	int err;

	if (!section || section->mode != DEVICE_RESTRICTED)
		return 0;
	if (!how) {
		log_line("device %s: " PCI_BDF_FMT ": no mediator for class %04x: hidden",
			section->name, PCI_BDF_ARGS(fn->bdf), fn->class);
		return 0;
	}
	if (set->count == MEDIATED_MAX) {
		log_alert(
			"device %s: more than %u restricted devices", section->name, MEDIATED_MAX);
		return -E_NOMEM;
	}
	if (!how->judges && (section->window.count || config_names_policy(section))) {
		log_alert("device %s: %s " PCI_BDF_FMT
			  " has no policies and no windows here, it is read-only",
			section->name, how->ops->name, PCI_BDF_ARGS(fn->bdf));
		return -E_NOTSUP;
	}
	m = &set->item[set->count++];
	m->mediator = how;
	m->policy = config_policy(section);
	err = find_windows(m, section, fn->bdf);
	if (err)
		return err;
	m->dev = (struct device){.ops = how->ops,
		.vm = set->vm,
		.bdf = fn->bdf,
		.mode = section->mode,
		.irq = how->irq,
		.policy = &m->policy};
	fmt_print(m->dev.name, sizeof(m->dev.name), "%s " PCI_BDF_FMT, m->dev.ops->name,
		PCI_BDF_ARGS(fn->bdf));
	log_line("device %s: %s restricted%s", section->name, m->dev.name,
		section->trace ? ", traced" : "");
	return section->trace ? trace_add_device(set->vm, &m->dev) : 0;
}

int mediated_choose(struct mediated_set *set, const struct config *c, struct vm *vm)
{
	*set = (struct mediated_set){.config = c, .vm = vm};
	return pci_scan(choose, set);
}

bool mediated_has(const struct mediated_set *set, pci_bdf_t bdf)
{
	for (unsigned i = 0; i < set->count; i++)
		if (set->item[i].dev.bdf == bdf)
			return true;
	return false;
}

int mediated_stop_drivers(struct mediated_set *set, struct drivers *d)
{
	for (unsigned i = 0; i < set->count; i++) {
		const struct device *dev = &set->item[i].dev;
		EFI_HANDLE handle;
		int err = drivers_find_pci(dev->bdf, &handle);

		if (!err)
			err = drivers_stop(d, handle);
		if (err) {
			log_alert("%s: the firmware's driver does not leave: %s", dev->name,
				error_string(err));
			return err;
		}
	}
	return 0;
}

/* By message if it can, else by its pin. Without both, it is polled at the firmware's ticks. */
static int route_pci(struct mediated *m, struct machine *machine)
{
	int err = host_irq_route_msi(&machine->host_irq, &m->dev);

	if (err != -E_NOTSUP)
		return err;
	err = host_irq_route_intx(&machine->host_irq, &m->dev);
	if (err)
		log_line("%s: no interrupt (%s): it is polled at the firmware's ticks", m->dev.name,
			error_string(err));
	return 0;
}

static int route(struct mediated *m, struct machine *machine)
{
	int err = 0;

	if (!m->mediator->pins) {
		machine_set_level(machine, m->dev.irq);
		return route_pci(m, machine);
	}
	for (unsigned i = 0; !err && i < m->mediator->pins; i++)
		err = machine_route_isa(machine, &m->dev, m->dev.irq + i);
	return err;
}

static int attach(struct mediated *m, struct machine *machine, struct vm *vm, struct arena *arena)
{
	int err = m->dev.ops->attach(&m->dev, arena);

	m->attached = true;
	if (!err)
		err = pci_filter_add(&machine->pci, &m->dev);
	if (!err)
		err = vm_add_device(vm, &m->dev);
	if (!err)
		err = route(m, machine);
	if (err)
		log_alert("%s: %s", m->dev.name, error_string(err));
	return err;
}

int mediated_attach(struct mediated_set *set, struct machine *m, struct arena *arena)
{
	int err = 0;

	for (unsigned i = 0; !err && i < set->count; i++)
		err = attach(&set->item[i], m, set->vm, arena);
	if (err)
		mediated_detach(set, m);
	return err;
}

void mediated_detach(struct mediated_set *set, struct machine *m)
{
	for (unsigned i = set->count; i--;) {
		struct mediated *item = &set->item[i];

		if (!item->attached)
			continue;
		if (item->dev.ops->quiesce(&item->dev)) {
			item->dev.restless = true;
			log_alert("%s: did not come to rest in time", item->dev.name);
		}
		host_irq_unroute(&m->host_irq, &item->dev);
		item->dev.ops->detach(&item->dev);
		item->attached = false;
		if (item->dev.denied)
			log_line("%s: %lu requests denied", item->dev.name, item->dev.denied);
	}
}

bool mediated_is_restless(const struct mediated_set *set)
{
	bool restless = false;

	for (unsigned i = 0; i < set->count; i++)
		restless |= set->item[i].dev.restless;
	return restless;
}
