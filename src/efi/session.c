/*
 * One guest from start to hand-back, as a list of stages that is walked up and down again; see
 * session.h. Owns the one struct session. The exit path runs inside the last stage, in core.
 */
#include "efi/session.h"
#include "base/bits.h"
#include "base/fmt.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/trace.h"
#include "efi/acpi.h"
#include "efi/backed.h"
#include "efi/console.h"
#include "efi/describe.h"
#include "efi/files.h"
#include "efi/framebuffer.h"
#include "efi/guestram.h"
#include "efi/inventory.h"
#include "efi/iommu.h"
#include "efi/mediated.h"
#include "efi/resident.h"
#include "efi/services.h"
#include "efi/stages.h"
#include "efi/ticks.h"
#include "efi/tracefile.h"
#include "efi/vectors.h"
#include "guest/efi.h"
#include "guest/linux.h"
#include "hw/time.h"
#include "vmx/vmx.h"

#define CONFIG_FILE	  "\\EFI\\postern\\postern.conf"

/* Beyond the second-level tables: back ends, shadow queues, caches, the PCI model. */
#define ARENA_EXTRA_PAGES 1024u

struct session {
	const struct config *config;
	const struct boot_origin *origin;
	struct guest_map map;
	struct guest_entry entry;
	struct guest_framebuffer framebuffer;
	bool has_framebuffer;
	bool is_efi; /* the guest is an EFI program: it has a firmware, which makes calls */
	struct firmware_calls firmware_calls;
	struct arena arena;
	size_t arena_pages;
	struct guest_ram ram;
	struct inventory inventory;
	struct drivers drivers;
	struct dmar dmar;
	hpa_t ecam;
	uint64_t ecam_len; /* 0: the firmware names none */
	uint64_t ticks_before, ticks_during;
	uint64_t ended_tsc; /* 0: the guest never ran */

	struct vm vm;
	struct machine machine;
	struct mediated_set mediated;
	struct backed_set backed;
};

static struct session session;

static void complain_of(const struct config_error *e)
{
	char line[LOG_LINE_MAX];

	config_error_print(e, CONFIG_FILE, line, sizeof(line));
	log_alert("%s", line);
}

static void complain(const struct config *c, enum config_key key, const char *text)
{
	struct config_error e;

	config_error_at(c, key, text, &e);
	complain_of(&e);
}

/* ---- processor: which back end the machine has ---- */

static int processor_enter(void *context)
{
	static const struct vcpu_ops *const backends[] = {&vmx_ops, &svm_ops};
	const char *why[array_size(backends)];
	struct session *s = context;

	for (size_t i = 0; i < array_size(backends); i++) {
		int err = backends[i]->probe(&why[i]);

		if (!err) {
			s->vm.vcpu.ops = backends[i];
			/* Only VMX leaves something in the processor that has to point somewhere. */
			if (backends[i] == &vmx_ops)
				vmx_set_resident_page(resident_page());
			log_line("processor: %s", backends[i]->name);
			return 0;
		}
		/* What can be unlocked says all; the other vendor's absence is no news then. */
		if (err == -E_LOCKED) {
			log_alert("processor: %s", why[i]);
			return err;
		}
	}
	log_alert("processor: %s; %s", why[0], why[1]);
	return -E_NOTSUP;
}

/* ---- memory: the guest's, and ours ---- */

static int add_runs(struct session *s, struct guest_range r)
{
	uint64_t at = 0;

	/* Host runs follow one another in guest-physical space; r is the piece to be backed. */
	for (size_t i = 0; i < s->ram.count; at += s->ram.run[i++].len) {
		const struct ram_range *run = &s->ram.run[i];
		uint64_t from = max_u64(r.base, at), to = min_u64(r.base + r.len, at + run->len);
		struct gmem_run g = {gpa(from), hpa(run->start + (from - at)), to - from,
			(uint8_t *)(uintptr_t)(run->start + (from - at))};
		int err = from < to ? gmem_add(&s->vm.gmem, g) : 0;

		if (err)
			return err;
	}
	return 0;
}

/*
 * The arena may be missing: an address of 0 would be the firmware's memory. A device that didn't
 * come to rest keeps all that it knows of, its queues and tables in the arena untouched.
 */
static void memory_leave(void *context)
{
	struct session *s = context;
	uint64_t start = hw_tsc();

	if (mediated_is_restless(&s->mediated)) {
		guest_ram_wipe(&s->ram);
		log_alert("memory: wiped, but not returned: a device may still write to it");
		return;
	}
	if (s->arena.base)
		memset(s->arena.base, 0, s->arena_pages * PAGE_SIZE);
	uefi_free_pages(s->arena.base, s->arena_pages);
	guest_ram_return(&s->ram);
	log_line("memory: wiped and returned in %lu ms", (hw_tsc() - start) / hw_tsc_khz());
}

static int arena_take(struct session *s)
{
	void *base;

	s->arena_pages = slpt_pages_needed(s->config->memory, GMEM_RUNS_MAX) + ARENA_EXTRA_PAGES;
	if (config_wants_trace(s->config))
		s->arena_pages += (s->config->trace_size + TRACE_ARENA_EXTRA) / PAGE_SIZE;
	base = uefi_pages(s->arena_pages);
	if (!base)
		return -E_NOMEM;
	arena_init(&s->arena, base, hpa((uintptr_t)base), s->arena_pages * PAGE_SIZE);
	return 0;
}

static int memory_enter(void *context)
{
	struct session *s = context;
	char text[CONFIG_TEXT_MAX];
	uint64_t free = 0;
	int err = guest_ram_take(&s->ram, s->config->memory, &free);

	if (err) {
		fmt_print(text, sizeof(text), "%s: the firmware has %lu MiB free in all",
			error_string(err), free / MIB);
		complain(s->config, CONFIG_MEMORY, text);
		return err;
	}
	err = arena_take(s);
	if (!err)
		err = guest_map_init(&s->map, s->config->memory);
	for (unsigned i = 0; !err && i < GUEST_RAM_RANGES; i++)
		err = add_runs(s, guest_map_ram(&s->map, i));
	if (err) {
		log_alert("memory: %s", error_string(err));
		memory_leave(s);
		return err;
	}
	log_line("memory: %lu MiB for the guest, runs: %zu", s->config->memory / MIB, s->ram.count);
	return 0;
}

/* ---- guest: its kernel and what it boots with ---- */

static int read_named(const struct session *s, EFI_HANDLE volume, enum config_key key,
	const char *path, struct file *ret_file)
{
	char text[CONFIG_TEXT_MAX];
	int err = path[0] ? file_read(volume, path, ret_file) : 0;

	if (err) {
		fmt_print(text, sizeof(text), "%s: %s", path, error_string(err));
		complain(s->config, key, text);
	}
	return err;
}

/* The bytes of src/guest/firmware, linked in. */
extern const uint8_t guest_firmware[];
extern const uint64_t guest_firmware_len;

static int load_efi(
	struct session *s, const struct guest_linux_params *p, struct guest_error *ret_error)
{
	struct guest_efi_params e = {
		.firmware = guest_firmware,
		.firmware_len = guest_firmware_len,
		.program = *p,
		.path = s->config->kernel,
	};
	int err = guest_load_efi(&s->vm.gmem, &s->map, &e, &s->entry, ret_error);

	if (err)
		return err;
	s->is_efi = true;
	err = services_init(&s->firmware_calls, &s->vm, &s->config->variables, &s->arena);
	if (err) {
		ret_error->part = GUEST_VARIABLES;
		fmt_print(ret_error->text, sizeof(ret_error->text), "%s", error_string(err));
	}
	return err;
}

/* auto: a kernel is started as one, all else that is an EFI program as that. */
static bool starts_as_efi(const struct config *c, const struct file *kernel)
{
	if (c->boot != CONFIG_BOOT_AUTO)
		return c->boot == CONFIG_BOOT_EFI;
	return !guest_is_linux(kernel->data, kernel->size) &&
	       guest_is_efi(kernel->data, kernel->size);
}

static int load(struct session *s, const struct file *kernel, const struct file *initramfs)
{
	static const enum config_key keys[] = {[GUEST_KERNEL] = CONFIG_KERNEL,
		[GUEST_INITRAMFS] = CONFIG_INITRAMFS,
		[GUEST_CMDLINE_TEXT] = CONFIG_CMDLINE,
		[GUEST_MEMORY] = CONFIG_MEMORY,
		[GUEST_DISPLAY] = CONFIG_DISPLAY,
		[GUEST_VARIABLES] = CONFIG_VARIABLE_LIST};
	struct guest_linux_params p = {
		.kernel = kernel->data,
		.kernel_len = kernel->size,
		.initramfs = initramfs->data,
		.initramfs_len = initramfs->size,
		.cmdline = s->config->cmdline,
		.tsc_khz = hw_tsc_khz(),
		.framebuffer = s->has_framebuffer ? &s->framebuffer : NULL,
		.acpi = s->config->acpi,
	};
	struct guest_error e;
	int err = starts_as_efi(s->config, kernel)
			  ? load_efi(s, &p, &e)
			  : guest_load_linux(&s->vm.gmem, &s->map, &p, &s->entry, &e);

	if (err)
		complain(s->config, keys[e.part], e.text);
	return err;
}

static int guest_enter(void *context)
{
	struct session *s = context;
	struct file kernel = {0}, initramfs = {0};
	EFI_HANDLE volume;
	int err = boot_origin_volume(s->origin, &volume);

	if (err)
		log_alert("guest: the volume that Postern came from is gone");
	s->has_framebuffer = s->config->framebuffer && !framebuffer_find(&s->framebuffer);
	if (!err)
		err = read_named(s, volume, CONFIG_KERNEL, s->config->kernel, &kernel);
	if (!err)
		err = read_named(s, volume, CONFIG_INITRAMFS, s->config->initramfs, &initramfs);
	if (!err)
		err = load(s, &kernel, &initramfs);
	file_free(&initramfs);
	file_free(&kernel);
	return err;
}

/* ---- trace: room for it before the devices are chosen, and its file when the disk is back ---- */

static int trace_enter(void *context)
{
	struct session *s = context;

	if (!config_wants_trace(s->config))
		return 0;
	return trace_init(&s->vm, &s->arena, s->config->trace_size);
}

static void trace_leave(void *context)
{
	struct session *s = context;

	trace_file_save(&s->vm, s->config, s->origin);
}

/* ---- drivers: the firmware's leave what the guest gets ---- */

static void stop_pnp_driver(struct session *s, uint32_t hid, const char *name)
{
	EFI_HANDLE handle;

	if (!drivers_find_pnp(hid, 0, &handle) && drivers_stop(&s->drivers, handle))
		log_line("%s: the firmware's driver stays, and takes input from the guest", name);
}

static void drivers_leave(void *context)
{
	struct session *s = context;
	uint64_t start = hw_tsc();

	drivers_restart(&s->drivers);
	log_line("firmware: its drivers are back after %lu ms", (hw_tsc() - start) / hw_tsc_khz());
}

static int drivers_enter(void *context)
{
	struct session *s = context;
	int err = mediated_choose(&s->mediated, s->config, &s->vm);

	if (!err)
		err = backed_choose(
			&s->backed, s->config, &s->vm, s->origin, &s->mediated, complain_of);
	if (!err && !s->mediated.count && !s->backed.count)
		log_line("devices: none matches the configuration; the guest gets no disk");
	if (!err)
		err = mediated_stop_drivers(&s->mediated, &s->drivers);
	if (err) {
		drivers_leave(s);
		return err;
	}
	if (s->config->firmware_console)
		return 0;
	stop_pnp_driver(s, PNP_SERIAL, "serial port");
	stop_pnp_driver(s, PNP_KEYBOARD, "keyboard");
	return 0;
}

/*
 * ---- inventory: what must be as before in the end; taken when the firmware's drivers have left,
 * which is how they expect their devices when they come back ----
 */

static int inventory_enter(void *context)
{
	struct session *s = context;
	int err = inventory_take(&s->inventory);

	if (err)
		log_alert("inventory: %s", error_string(err));
	return err;
}

static void inventory_leave(void *context)
{
	struct session *s = context;
	unsigned differences;

	inventory_restore(&s->inventory);
	differences = inventory_compare(&s->inventory);
	log_line("inventory: %s (%u differences)", differences ? "not as found" : "as found",
		differences);
}

/* ---- machine: the virtual parts, and devices: the restricted ones ---- */

static int machine_enter(void *context)
{
	struct session *s = context;
	const struct config *c = s->config;
	/* Of a short limit the guest gets at least half undisturbed. */
	uint64_t grace_us = min_u64(c->time_limit_grace * 1000000ull, c->time_limit * 500000ull);
	int err;

	vm_init(&s->vm);
	s->machine.without_console = s->config->firmware_console;
	err = machine_attach(&s->machine, &s->vm, &s->arena, s->config->apic, s->ecam, s->ecam_len,
		hw_us_to_tsc(grace_us));
	if (!err && s->is_efi)
		hypercall_offer_firmware(&s->machine.hypercall, &s->firmware_calls);
	if (!err && s->vm.trace)
		trace_start(&s->vm);
	return err;
}

static void machine_leave(void *context)
{
	struct session *s = context;

	machine_detach(&s->machine);
}

/* A device that goes on regardless must not get back the bus mastering that it was found with. */
static void keep_restless(struct session *s)
{
	for (unsigned i = 0; i < s->mediated.count; i++)
		if (s->mediated.item[i].dev.restless)
			pci_state_stop_master(&s->inventory.pci, s->mediated.item[i].dev.bdf);
}

static void devices_leave(void *context)
{
	struct session *s = context;

	backed_detach(&s->backed, &s->drivers);
	mediated_detach(&s->mediated, &s->machine);
	keep_restless(s);
}

static int devices_enter(void *context)
{
	struct session *s = context;
	int err = mediated_attach(&s->mediated, &s->machine, &s->arena);

	if (!err && s->has_framebuffer)
		err = pci_filter_reserve(&s->machine.pci, s->framebuffer.base, s->framebuffer.size);
	if (!err)
		err = backed_attach(&s->backed, &s->machine, &s->arena, complain_of);
	if (err)
		devices_leave(s);
	return err;
}

/* ---- tables: the guest's address space, and its CPU ---- */

/* The pages of the framebuffer; empty if the guest has none. */
static struct ram_range framebuffer_pages(const struct session *s)
{
	uint64_t base = align_down(s->framebuffer.base, PAGE_SIZE);
	uint64_t end = align_up(s->framebuffer.base + s->framebuffer.size, PAGE_SIZE);

	return (struct ram_range){base, s->has_framebuffer ? end - base : 0};
}

static int map_framebuffer(struct session *s)
{
	struct ram_range fb = framebuffer_pages(s);

	if (!fb.len)
		return 0;
	return slpt_map(
		&s->vm.slpt, gpa(fb.start), hpa(fb.start), fb.len, SLPT_READ | SLPT_WRITE, SLPT_WC);
}

struct table_check {
	const struct session *session;
	uint64_t bytes;
};

/* Is a mapped page one that the firmware lent us for the guest, or the framebuffer's? */
static int check_page(void *arg, gpa_t at, hpa_t to, uint64_t len, uint64_t entry)
{
	struct table_check *c = arg;
	struct ram_range fb = framebuffer_pages(c->session);
	bool lent = to.v >= fb.start && range_fits(to.v - fb.start, len, fb.len);

	(void)entry;
	for (size_t i = 0; !lent && i < c->session->ram.count; i++) {
		const struct ram_range *run = &c->session->ram.run[i];

		lent = to.v >= run->start && range_fits(to.v - run->start, len, run->len);
	}
	c->bytes += len;
	if (lent)
		return 0;
	log_alert(
		"tables: guest address 0x%lx leads to 0x%lx, which isn't the guest's", at.v, to.v);
	return -E_DENIED;
}

/*
 * Reads the finished tables once more, from the root, against what the firmware gave: a mistake in
 * building them would give the guest the machine. No guest runs on tables that fail.
 */
static int check_tables(const struct session *s)
{
	struct table_check c = {.session = s};
	int err = slpt_visit(&s->vm.slpt, check_page, &c);

	if (!err && c.bytes != gmem_size(&s->vm.gmem) + framebuffer_pages(s).len)
		err = -E_CORRUPT;
	return err;
}

static int tables_enter(void *context)
{
	struct session *s = context;
	struct vcpu *v = &s->vm.vcpu;
	int err = slpt_init(&s->vm.slpt, v->ops->slpt, &s->arena);

	if (!err && s->config->acpi)
		err = describe_guest(&s->vm, &s->machine, &s->map, &s->arena);
	for (unsigned i = 0; !err && i < s->vm.gmem.count; i++) {
		const struct gmem_run *r = &s->vm.gmem.run[i];

		err = slpt_map(&s->vm.slpt, r->gpa, r->hpa, r->len, SLPT_ALL, SLPT_WB);
	}
	if (!err)
		err = map_framebuffer(s);
	if (!err)
		err = check_tables(s);
	if (!err)
		err = fpu_init(&v->fpu, &s->arena);
	if (!err)
		err = v->ops->init(v, &s->arena, arena_hpa(&s->arena, s->vm.slpt.root));
	if (err) {
		log_alert("tables: %s", error_string(err));
		return err;
	}
	arena_seal(&s->arena);
	log_line("tables: %lu large and %lu small pages, all the guest's; %zu KiB of ours",
		s->vm.slpt.mapped[2], s->vm.slpt.mapped[1], (size_t)(s->arena.used / KIB));
	return 0;
}

/* ---- virtualization: the processor changes hands ---- */

static void virtualization_leave(void *context)
{
	struct session *s = context;

	s->vm.vcpu.ops->disable(&s->vm.vcpu);
	hw_irq_enable();
	ticks_restore();
	console_pause(false);
}

static int virtualization_enter(void *context)
{
	struct session *s = context;
	struct vcpu *v = &s->vm.vcpu;
	int err;

	console_pause(true);
	s->vm.host_period_tsc = ticks_shorten();
	hw_irq_disable();
	err = v->ops->enable(v);
	if (err) {
		virtualization_leave(s);
		log_alert("virtualization: %s", error_string(err));
	}
	return err;
}

/* ---- run ---- */

static int run_enter(void *context)
{
	struct session *s = context;
	struct vm *vm = &s->vm;
	uint64_t limit = s->config->time_limit;

	vcpu_start_long_mode(&vm->vcpu, s->entry.rip, s->entry.rsp, s->entry.cr3, s->entry.gdt,
		s->entry.gdt_limit);
	vm->vcpu.gpr[GPR_RSI] = s->entry.rsi;
	log_line("entering the guest %lu ms after power-on", hw_tsc() / hw_tsc_khz());
	if (limit)
		vm->time_limit_tsc = hw_tsc() + hw_us_to_tsc(limit * 1000000);
	s->ticks_before = ticks_count();
	vm_run(vm);
	s->ticks_during = ticks_count() - s->ticks_before;
	s->ended_tsc = hw_tsc();
	log_line("guest ended: %s", vm_stop_name(vm->stop.reason));
	vm_log_exits(vm);
	return 0;
}

static const struct stage stages[] = {
	{"processor", processor_enter, NULL},
	{"memory", memory_enter, memory_leave},
	{"guest", guest_enter, NULL},
	{"trace", trace_enter, trace_leave},
	{"drivers", drivers_enter, drivers_leave},
	{"inventory", inventory_enter, inventory_leave},
	{"machine", machine_enter, machine_leave},
	{"devices", devices_enter, devices_leave},
	{"tables", tables_enter, NULL},
	{"virtualization", virtualization_enter, virtualization_leave},
	{"run", run_enter, NULL},
};

/* What a later stage needs before the first; of it only the ticks have to be stopped. */
static int session_prepare(struct session *s, const struct config *c, const struct boot_origin *o)
{
	int err;

	memset(s, 0, sizeof(*s));
	s->config = c;
	s->origin = o;
	if (c->rehearse[0] && !stages_has(stages, array_size(stages), c->rehearse)) {
		complain(c, CONFIG_REHEARSE, "no such stage");
		return -E_INVAL;
	}
	if (acpi_find_ecam(&s->ecam, &s->ecam_len))
		s->ecam_len = 0;
	hw_pci_set_ecam(s->ecam, s->ecam_len);
	iommu_describe(&s->dmar);
	err = vectors_init();
	if (!err)
		err = ticks_start();
	if (err)
		log_alert("firmware: no interrupts or no timer to be had: %s", error_string(err));
	return err;
}

int session_run(const struct config *c, const struct boot_origin *o, struct vm_stop *ret_stop)
{
	struct session *s = &session;
	const char *failed = NULL;
	uint64_t ended, now;
	int err = session_prepare(s, c, o);

	if (err)
		return err;
	err = stages_run(stages, array_size(stages), c->rehearse, s, &failed);
	if (err)
		log_line("stage %s failed: %s", failed, error_string(err));
	ended = ticks_count();
	log_line("firmware ticks: %lu before, %lu during, %lu after", s->ticks_before,
		s->ticks_during, ended - s->ticks_before - s->ticks_during);
	ticks_stop();
	now = hw_tsc();
	log_line("handed back: %lu ms after power-on, %lu ms after the guest's end",
		now / hw_tsc_khz(), s->ended_tsc ? (now - s->ended_tsc) / hw_tsc_khz() : 0);
	*ret_stop = s->vm.stop;
	if (c->rehearse[0])
		ret_stop->reason = STOP_BOOT;
	/* The guest's last registers go the way of its memory: they may hold a piece of a key. */
	memset(s, 0, sizeof(*s));
	return err;
}
