/*
 * Cases of the back-end test with the exit handlers of core, mmio and pio: debug traps of the
 * instructions that they emulate arrive as those of instructions that the CPU executes.
 */
#include "bench.h"
#include "base/bits.h"
#include "base/log.h"
#include "hw/cpu.h"
#include "mmio/mmio.h"
#include "pio/pio.h"

#define PORT	  0x80u
#define EXITS_MAX 16u /* between two traps */
#define SAVED_RF  48u /* offset of RFLAGS from RSP at the gate's OUT */
#define DR6_CLEAR 0xffff0ff0ull

static struct {
	struct device dev;
	struct region mmio, port;
	unsigned reads, writes;
} model;

static enum io_result count_access(struct device *dev, struct io_access *a)
{
	(void)dev;
	if (a->write)
		model.writes++;
	else
		model.reads++;
	if (!a->write)
		a->value = 0;
	return IO_DONE;
}

static bool none_pending(void *chip)
{
	(void)chip;
	return false;
}

/* The handlers of the real thing; once, since the arena gives nothing back. */
static bool attach(struct bench *b)
{
	static const struct irqchip_ops idle = {.pending = none_pending};
	struct vm *vm = &b->vm;

	vm_init(vm);
	vm->irqchip = &idle;
	vm->stop.reason = STOP_NONE;
	pio_attach(vm);
	model.dev.vm = vm;
	model.mmio = (struct region){
		.base = GUEST_ABSENT, .len = PAGE_SIZE, .dev = &model.dev, .handler = count_access};
	model.port = (struct region){
		.base = PORT, .len = 1, .dev = &model.dev, .handler = count_access};
	if (!mmio_attach(vm, &b->arena) && !region_add(&vm->mmio, &model.mmio) &&
		!region_add(&vm->pio, &model.port))
		return true;
	bench_fail(b, "the handlers can't be attached");
	return false;
}

/* Runs up to the gate's OUT, or to the guest's end, with *ret_end set. False after a failure. */
static bool run_handled(struct bench *b, bool *ret_end)
{
	struct vm *vm = &b->vm;
	struct vmexit e;

	for (unsigned i = 0; i < EXITS_MAX; i++) {
		if (!bench_next(b, &e))
			return false;
		*ret_end = e.kind == VMEXIT_HLT && e.rip == b->end - 1;
		if (*ret_end || (e.kind == VMEXIT_PIO && e.u.pio.port == EVENT_PORT))
			return true;
		vm->handler[e.kind](vm, &e);
		if (vm->stop.reason != STOP_NONE) {
			bench_fail(b, vm_stop_name(vm->stop.reason));
			return false;
		}
	}
	bench_fail(b, "the trap doesn't come");
	return false;
}

/* The gate's report of one trap, which must be that of row t or, where rows are optional, a later. */
static const struct step_trap *check_trap(struct bench *b, const struct step_trap *t)
{
	struct vcpu *v = &b->vm.vcpu;
	uint64_t offset = v->gpr[GPR_RCX] - GUEST_CODE;
	uint32_t flags_at = (uint32_t)vcpu_get(v, VREG_RSP) + SAVED_RF;
	bool rf = bench_peek(b, flags_at, 8) & RFLAGS_RF;

	while (t->flags & TRAP_OPTIONAL && t->at != offset)
		t++;
	bench_check_eq(b, v->gpr[GPR_RAX], VECTOR_DB, "vector");
	bench_check_eq(b, offset, t->at, "offset of the trap");
	bench_check_eq(b, v->gpr[GPR_RDX], DR6_CLEAR | DR6_BS, "DR6 in the gate");
	bench_check_eq(b, vcpu_get(v, VREG_DR6), DR6_CLEAR | DR6_BS, "vcpu DR6");
	if (!(t->flags & TRAP_NATIVE))
		bench_check_eq(b, rf, t->flags & TRAP_ITERATION, "saved RF");
	vcpu_set(v, VREG_DR6, DR6_CLEAR);
	bench_leave_gate(b, 0);
	return t + 1;
}

static void steps(struct bench *b)
{
	const struct step_trap *t = guest_step_traps;
	struct vcpu *v = &b->vm.vcpu;
	bool end = false;

	bench_start_long(b, code_steps());
	if (!attach(b))
		return;
	v->gpr[GPR_RCX] = 2;
	v->gpr[GPR_RSI] = GUEST_DATA;
	v->gpr[GPR_RDI] = GUEST_DATA + 0x100;
	v->gpr[GPR_R8] = GUEST_ALIAS;
	vcpu_set(v, VREG_DR6, DR6_CLEAR);
	model.reads = model.writes = 0;
	while (run_handled(b, &end) && !end && t < guest_step_traps_end && !b->failed)
		t = check_trap(b, t);
	bench_check(b, end && t == guest_step_traps_end, "a trap is missing, or there is one more");
	bench_check_eq(b, model.reads, 5, "reads of the device");
	bench_check_eq(b, model.writes, 5, "writes of the device");
}

const struct bench_case bench_step_cases[] = {
	{"step-emulated", steps},
};
const unsigned bench_step_case_count = array_size(bench_step_cases);
