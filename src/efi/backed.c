/* Firmware-backed devices; see backed.h. State is the caller's. Not on the exit path. */
#include "efi/backed.h"
#include "base/fmt.h"
#include "base/log.h"

/* A line that neither the legacy devices nor the restricted ones have. */
#define LINE 10u

/* Passes on what is wrong with a section. */
typedef void (*complainer)(const struct config_error *e);

static int refuse(complainer complain, const struct config_device *section, unsigned line,
	const char *key, const char *text, int err)
{
	struct config_error e;

	config_error_in(section, line, key, text, &e);
	complain(&e);
	return err;
}

/* One disk has one owner. */
static int check_owner(const struct backed_set *set, const struct backed_disk *disk,
	const struct mediated_set *mediated, complainer complain)
{
	char text[CONFIG_TEXT_MAX + 1];

	if (disk->firmware.is_pci && mediated_has(mediated, disk->firmware.bdf)) {
		fmt_print(text, sizeof(text),
			"the guest has this disk's controller, " PCI_BDF_FMT
			", as restricted device: the firmware can't use it too",
			PCI_BDF_ARGS(disk->firmware.bdf));
		return refuse(
			complain, disk->section, disk->section->line, "match", text, -E_EXIST);
	}
	for (unsigned i = 0; i < set->count; i++) {
		if (set->disk[i].firmware.handle != disk->firmware.handle)
			continue;
		fmt_print(text, sizeof(text), "[device %s] is the same disk",
			set->disk[i].section->name);
		return refuse(
			complain, disk->section, disk->section->line, "match", text, -E_EXIST);
	}
	return 0;
}

static int choose(struct backed_set *set, const struct config_device *section,
	const struct boot_origin *origin, const struct mediated_set *mediated, complainer complain)
{
	struct backed_disk *disk = &set->disk[set->count];
	const char *why = "the firmware's disks can't be listed";
	int err;

	if (set->count == BACKED_DISKS)
		return refuse(complain, section, section->line, "mode",
			"more than 4 disks of the firmware", -E_NOMEM);
	disk->section = section;
	err = firmware_disk_find(&disk->firmware, &section->match, origin, &why);
	if (err)
		return refuse(complain, section, section->line, "match", why, err);
	disk->firmware.vcpu = &set->vm->vcpu;
	err = check_owner(set, disk, mediated, complain);
	if (err)
		return err;
	if (section->write && disk->firmware.read_only)
		log_line("device %s: the firmware has this disk as read-only", section->name);
	set->count++;
	return 0;
}

int backed_choose(struct backed_set *set, const struct config *c, struct vm *vm,
	const struct boot_origin *origin, const struct mediated_set *mediated,
	void (*complain)(const struct config_error *e))
{
	int err = 0;

	*set = (struct backed_set){.config = c, .vm = vm};
	for (unsigned i = 0; i < c->device_count && !err; i++)
		if (c->device[i].mode == DEVICE_FIRMWARE)
			err = choose(set, &c->device[i], origin, mediated, complain);
	return err;
}

static struct virtio_blk_disk describe(struct backed_disk *disk)
{
	const struct config_device *section = disk->section;
	struct virtio_blk_disk d = {.ops = &firmware_disk_ops,
		.arg = &disk->firmware,
		.blocks = disk->firmware.blocks,
		.block_size = disk->firmware.block_size,
		.writable = section->write && !disk->firmware.read_only,
		.windows = section->window.count,
		.id = section->name};

	for (unsigned i = 0; i < d.windows; i++)
		d.window[i] = section->window.range[i].blocks;
	return d;
}

static int attach(
	struct backed_set *set, struct backed_disk *disk, struct machine *m, struct arena *arena)
{
	struct virtio_blk_disk d = describe(disk);
	char name[DEVICE_NAME_MAX];
	int err;

	fmt_print(name, sizeof(name), "virtio-blk %s", disk->section->name);
	err = virtio_blk_init(&disk->blk, set->vm, arena, LINE, &d, name);
	if (err)
		return err;
	disk->attached = true;
	err = virtio_show(&disk->blk.virtio, &m->pci);
	if (!err)
		err = vm_add_device(set->vm, &disk->blk.virtio.dev);
	if (!err)
		log_line("device %s: the firmware's, %lu blocks of %u bytes, %s, shown "
			 "at " PCI_BDF_FMT,
			disk->section->name, d.blocks, d.block_size,
			d.writable ? "writable" : "read-only",
			PCI_BDF_ARGS(disk->blk.virtio.dev.bdf));
	return err;
}

static int attach_console(struct backed_set *set, struct machine *m)
{
	uint16_t cols, rows;
	int err = guestcon_take(&set->firmware_console, &set->vm->vcpu, &cols, &rows);

	if (err)
		return err;
	virtio_console_init(
		&set->console, set->vm, LINE, &guestcon_ops, &set->firmware_console, cols, rows);
	set->console_attached = true;
	err = virtio_show(&set->console.virtio, &m->pci);
	if (!err)
		err = vm_add_device(set->vm, &set->console.virtio.dev);
	if (!err)
		log_line("console: the firmware's, %u columns, %u rows", cols, rows);
	return err;
}

int backed_attach(struct backed_set *set, struct machine *m, struct arena *arena,
	void (*complain)(const struct config_error *e))
{
	int err = 0;

	if (set->count || set->config->firmware_console)
		machine_set_level(m, LINE);
	for (unsigned i = 0; i < set->count && !err; i++) {
		const struct config_device *section = set->disk[i].section;

		err = attach(set, &set->disk[i], m, arena);
		if (err == -E_INVAL)
			return refuse(complain, section, section->window_line, "window",
				"not inside the disk", err);
		if (err)
			log_alert("device %s: %s", section->name, error_string(err));
	}
	if (err || !set->config->firmware_console)
		return err;
	err = attach_console(set, m);
	if (err)
		log_alert("console: %s", error_string(err));
	return err;
}

static void detach_console(struct backed_set *set)
{
	struct device *dev = &set->console.virtio.dev;

	guestcon_leave(&set->firmware_console);
	if (!set->console_attached)
		return;
	(void)dev->ops->quiesce(dev);
	dev->ops->detach(dev);
	set->console_attached = false;
	log_line("%s: %lu bytes out, %lu in", dev->name, set->console.bytes_out,
		set->console.bytes_in);
}

void backed_detach(struct backed_set *set, struct drivers *d)
{
	detach_console(set);
	for (unsigned i = set->count; i--;) {
		struct backed_disk *disk = &set->disk[i];
		struct device *dev = &disk->blk.virtio.dev;

		if (!disk->attached)
			continue;
		(void)dev->ops->quiesce(dev);
		dev->ops->detach(dev);
		disk->attached = false;
		log_line("%s: %lu requests: %lu reads, %lu writes, %lu denied, %lu failed",
			dev->name, disk->blk.virtio.requests, disk->blk.reads, disk->blk.writes,
			dev->denied, disk->blk.failed);
		if (disk->firmware.written && drivers_stop(d, disk->firmware.handle))
			log_line("%s: the firmware's file systems on it did not leave", dev->name);
	}
}
