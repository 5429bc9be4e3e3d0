/*
 * The run loop: one entry, one exit, one switch. Everything that the guest causes comes through
 * here. State is the caller's struct vm. This is the exit path.
 */
#include "core/vm.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/fmt.h"
#include "base/log.h"
#include "core/cpuid.h"
#include "core/cr.h"
#include "core/msr.h"
#include "core/trace.h"
#include "hw/mmio.h"
#include "hw/port.h"
#include "hw/time.h"

const char *vm_stop_name(enum vm_stop_reason reason)
{
	static const char *const names[STOP_REASONS] = {
		[STOP_NONE] = "running",
		[STOP_BOOT] = "asked to boot",
		[STOP_GUEST_FAILED] = "reported a failure",
		[STOP_RESET] = "reset",
		[STOP_POWEROFF] = "power off",
		[STOP_TRIPLE_FAULT] = "triple fault",
		[STOP_TIME_LIMIT] = "time limit",
		[STOP_ENTRY_FAILED] = "entry refused by the processor",
	};

	return reason < STOP_REASONS ? names[reason] : "unknown";
}

int vm_add_device(struct vm *vm, struct device *dev)
{
	if (vm->device_count == VM_DEVICES_MAX)
		return -E_NOMEM;
	vm->device[vm->device_count++] = dev;
	return 0;
}

int vm_add_timer(struct vm *vm, void (*tick)(void *arg, uint64_t tsc), uint64_t (*next)(void *arg),
	void *arg)
{
	if (vm->timer_count == VM_TIMERS_MAX)
		return -E_NOMEM;
	vm->timer[vm->timer_count++] = (struct vm_timer){tick, next, arg};
	return 0;
}

/*
 * The shortest turn: a guest that asks for events faster than they can be told still gets somewhere,
 * and so does the firmware.
 */
#define TURN_MIN_US 20u

static void set_deadline(struct vm *vm, uint64_t now)
{
	uint64_t next = VM_NEVER, soonest = now + hw_us_to_tsc(TURN_MIN_US);

	for (unsigned i = 0; i < vm->timer_count; i++)
		next = min_u64(next, vm->timer[i].next(vm->timer[i].arg));
	vm->vcpu.deadline = max_u64(next, soonest);
}

void vm_timers_changed(struct vm *vm)
{
	set_deadline(vm, hw_tsc());
}

static void run_timers(struct vm *vm, uint64_t now)
{
	for (unsigned i = 0; i < vm->timer_count; i++)
		vm->timer[i].tick(vm->timer[i].arg, now);
	set_deadline(vm, now);
}

void vm_request_stop(struct vm *vm, enum vm_stop_reason reason)
{
	if (vm->stop.reason == STOP_NONE)
		vm->stop.reason = reason;
}

void vm_log_exits(const struct vm *vm)
{
	char line[LOG_LINE_MAX];
	uint64_t total = 0;
	int len = 0;

	for (unsigned i = 0; i < VMEXIT_KINDS; i++) {
		total += vm->exits[i];
		if (vm->exits[i] && len >= 0 && (size_t)len < sizeof(line))
			len += fmt_print(line + len, sizeof(line) - (size_t)len, " %s %lu",
				vmexit_kind_name(i), vm->exits[i]);
	}
	log_line("exits: %lu:%s", total, line);
	log_line("interrupts: %lu; idle %lu ms; unclaimed: %lu ports, %lu memory", vm->interrupts,
		vm->idle_tsc / hw_tsc_khz(), vm->unclaimed_pio, vm->unclaimed_mmio);
}

static void pass_access(const struct region *r, struct io_access *a, bool port)
{
	if (port && a->write)
		hw_port_write((uint16_t)(r->hw + a->offset), a->size, (uint32_t)a->value);
	else if (port)
		a->value = hw_port_read((uint16_t)(r->hw + a->offset), a->size);
	else if (a->write)
		hw_mmio_write(hpa(r->hw + a->offset), a->size, a->value);
	else
		a->value = hw_mmio_read(hpa(r->hw + a->offset), a->size);
}

/* Calls the handler, and does what it says but for the exception of IO_FAULT. */
static enum io_result io_perform(struct vm *vm, struct region *r, struct io_access *a, bool port)
{
	enum io_result result = IO_REJECT;

	if (r)
		result = r->handler(r->dev, a);
	else if (port)
		vm->unclaimed_pio++;
	else
		vm->unclaimed_mmio++;
	if (result == IO_PASS)
		pass_access(r, a, port);
	else if (result != IO_DONE && result != IO_FAULT && !a->write)
		a->value = size_mask(a->size);
	return result;
}

/* What a device does in its handler is its own business, and not in the record. */
static enum io_result io_recorded(struct vm *vm, struct region *r, struct io_access *a, bool port)
{
	uint64_t at = r ? r->base + a->offset : a->offset;
	struct trace *recording = vm->recording;
	enum io_result result;

	vm->recording = NULL;
	result = io_perform(vm, r, a, port);
	vm->recording = recording;
	trace_note_io(vm, &(struct trace_io){.region = r,
				  .kind = port ? TRACE_ACCESS_PORT : TRACE_ACCESS_DEVICE,
				  .write = a->write,
				  .result = (uint8_t)result,
				  .at = gpa(at),
				  .data = &a->value,
				  .len = a->size});
	return result;
}

bool vm_io(struct vm *vm, struct region *r, struct io_access *a, bool port)
{
	enum io_result result = trace_is_on(vm) ? io_recorded(vm, r, a, port)
						: io_perform(vm, r, a, port);

	if (result != IO_FAULT)
		return true;
	vcpu_raise_error(&vm->vcpu, VECTOR_GP, 0);
	return false;
}

/* Timers, devices, and the time limit: all that can happen while the guest doesn't run. */
static void poll_all(struct vm *vm)
{
	uint64_t now = hw_tsc();

	run_timers(vm, now);
	for (unsigned i = 0; i < vm->device_count; i++)
		if (vm->device[i]->ops && vm->device[i]->ops->poll)
			vm->device[i]->ops->poll(vm->device[i]);
	if (vm->time_limit_tsc && now >= vm->time_limit_tsc)
		vm_request_stop(vm, STOP_TIME_LIMIT);
}

static void interrupt_exit(struct vm *vm, const struct vmexit *e)
{
	(void)e;
	vcpu_window(&vm->vcpu, false);
	poll_all(vm);
}

/* Where the firmware's tick has no known period: 10 ms. */
#define HOST_PERIOD_US 10000u

/* Would the next tick of the firmware come after the guest's next event? */
static bool sleep_is_too_long(const struct vm *vm)
{
	uint64_t period = vm->host_period_tsc, now = hw_tsc();

	if (!period)
		period = hw_us_to_tsc(HOST_PERIOD_US);
	return vm->vcpu.deadline < now || vm->vcpu.deadline - now < period;
}

static bool any_busy(const struct vm *vm)
{
	for (unsigned i = 0; i < vm->device_count; i++)
		if (vm->device[i]->busy)
			return true;
	return false;
}

/*
 * The guest rests until an interrupt for it is pending: the processor goes to the firmware, whose
 * tick brings it back. The last stretch before an event of the guest's own timers it stays awake.
 * With interrupts off nothing would ever wake it. The trap of a single step wakes it at once.
 */
static void halt_exit(struct vm *vm, const struct vmexit *e)
{
	uint64_t start;

	vcpu_skip(&vm->vcpu, e);
	if (vm->vcpu.event.type != VEVENT_NONE)
		return;
	if (!(vcpu_get(&vm->vcpu, VREG_RFLAGS) & RFLAGS_IF)) {
		vm_request_stop(vm, STOP_POWEROFF);
		return;
	}
	start = hw_tsc();
	poll_all(vm);
	while (!vm->irqchip->pending(vm->irqchip_state) && vm->stop.reason == STOP_NONE) {
		vcpu_window(&vm->vcpu, !any_busy(vm) && !sleep_is_too_long(vm));
		poll_all(vm);
	}
	vm->idle_tsc += hw_tsc() - start;
}

/* Guest memory is coherent whatever the guest does to its caches: nothing to write back. */
static void cache_exit(struct vm *vm, const struct vmexit *e)
{
	vcpu_skip(&vm->vcpu, e);
}

static void undefined_exit(struct vm *vm, const struct vmexit *e)
{
	(void)e;
	vcpu_raise(&vm->vcpu, VECTOR_UD);
}

/* The loop itself injects what is pending. */
static void window_exit(struct vm *vm, const struct vmexit *e)
{
	(void)vm;
	(void)e;
}

static void shutdown_exit(struct vm *vm, const struct vmexit *e)
{
	(void)e;
	vm_request_stop(vm, STOP_TRIPLE_FAULT);
}

static void refused_exit(struct vm *vm, const struct vmexit *e)
{
	log_line("guest entry refused: reason 0x%lx info 0x%lx 0x%lx", e->raw_reason,
		e->raw_info[0], e->raw_info[1]);
	vm->vcpu.ops->dump(&vm->vcpu);
	vm_request_stop(vm, STOP_ENTRY_FAILED);
}

void vm_init(struct vm *vm)
{
	vm->vcpu.vm = vm;
	vm->vcpu.deadline = VM_NEVER;
	cpuid_init(vm);
	msr_init(vm);
	for (unsigned i = 0; i < VMEXIT_KINDS; i++)
		vm->handler[i] = refused_exit;
	vm->handler[VMEXIT_INTR] = interrupt_exit;
	vm->handler[VMEXIT_NMI] = interrupt_exit;
	vm->handler[VMEXIT_CPUID] = cpuid_exit;
	vm->handler[VMEXIT_MSR] = msr_exit;
	vm->handler[VMEXIT_CR] = cr_exit;
	vm->handler[VMEXIT_HLT] = halt_exit;
	vm->handler[VMEXIT_XSETBV] = xsetbv_exit;
	vm->handler[VMEXIT_CACHE] = cache_exit;
	vm->handler[VMEXIT_UNDEFINED] = undefined_exit;
	vm->handler[VMEXIT_WINDOW] = window_exit;
	vm->handler[VMEXIT_SHUTDOWN] = shutdown_exit;
	vm->handler[VMEXIT_INIT] = window_exit;
}

/* One that is held back waits for the next exit: no window tells when it could go. */
static bool prepare_nmi(struct vm *vm)
{
	struct vcpu *v = &vm->vcpu;

	if (!vm->irqchip->take_nmi || !vcpu_can_nmi(v) || !vm->irqchip->take_nmi(vm->irqchip_state))
		return false;
	v->event = (struct vcpu_event){.type = VEVENT_NMI, .vector = VECTOR_NMI};
	v->want_window = vm->irqchip->pending(vm->irqchip_state);
	return true;
}

/* Puts a pending interrupt into the next entry, or asks to be told when that is possible. */
static void prepare_interrupt(struct vm *vm)
{
	struct vcpu *v = &vm->vcpu;
	int vector;

	v->want_window = false;
	if (!vm->irqchip->pending(vm->irqchip_state) || prepare_nmi(vm))
		return;
	if (!vcpu_can_interrupt(v)) {
		v->want_window = true;
		return;
	}
	vector = vm->irqchip->acknowledge(vm->irqchip_state);
	if (vector < 0)
		return;
	v->event = (struct vcpu_event){.type = VEVENT_INTR, .vector = (uint8_t)vector};
	vm->interrupts++;
	v->want_window = vm->irqchip->pending(vm->irqchip_state);
}

void vm_run(struct vm *vm)
{
	struct vmexit e;

	while (vm->stop.reason == STOP_NONE) {
		if (vm->vcpu.deadline != VM_NEVER && hw_tsc() >= vm->vcpu.deadline)
			run_timers(vm, hw_tsc());
		prepare_interrupt(vm);
		vm->vcpu.ops->run(&vm->vcpu, &e);
		vm->exits[e.kind]++;
		vm->handler[e.kind](vm, &e);
	}
}
