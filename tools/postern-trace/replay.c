/*
 * The replay of a trace; see replay.h. State: struct replay. It brings doubles for gmem and for the
 * hardware, which are chosen at link time: guest memory is what the record's list of accesses says,
 * in its order, and there is no hardware.
 */
#include "replay.h"
#include "base/bits.h"
#include "base/error.h"
#include "core/trace.h"
#include "hw/cpu.h"
#include "hw/time.h"
#include "mmio/mmio.h"
#include "pio/pio.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CPUID_EXT1_1GIB BIT(26)
#define TSC_KHZ		1000000u /* any will do */
#define ARENA_SIZE	(TRACE_SIZE_MIN + TRACE_ARENA_EXTRA + MIB)

struct replay {
	struct vm vm;
	uint64_t reg[VREG_COUNT];
	struct vcpu_segment seg[VSEG_COUNT];
	struct trace_header header; /* of the records that the replay makes */
	struct arena arena;
	void *memory;

	/* The record under way. */
	const struct trace_view *view;
	size_t at;	    /* of the next access */
	uint64_t unclaimed; /* what the guest's counter says when all accesses to nobody are done */
	struct device dev[TRACE_DEVICES];
	struct slot {
		struct replay *replay;
		struct device dev;
		struct region region;
	} slot[TRACE_REGIONS];
};

/* ---- what the guest accesses, from the list ---- */

static bool is_memory(const struct trace_access *a)
{
	return a->kind <= TRACE_ACCESS_MEMORY;
}

/* The next access that somebody has to answer; of what nobody claims there is no double. */
static bool peek(struct replay *r, struct trace_item *ret, size_t *ret_next)
{
	size_t at = r->at;

	while (trace_view_next(r->view, &at, ret)) {
		if (is_memory(&ret->access) || ret->access.region != TRACE_NO_REGION) {
			*ret_next = at;
			return true;
		}
	}
	return false;
}

/* Takes the next access from the list if it is this one. Differences show in the new record. */
static bool take(
	struct replay *r, bool memory, uint64_t at, size_t len, bool write, struct trace_item *ret)
{
	struct trace_item item;
	size_t next;

	if (!peek(r, &item, &next) || is_memory(&item.access) != memory ||
		item.access.kind == TRACE_ACCESS_BLOCK)
		return false;
	if (item.access.physical != at || item.access.len != len ||
		!(item.access.flags & TRACE_ACCESS_WRITE) == write)
		return false;
	r->at = next;
	*ret = item;
	return true;
}

int gmem_read(const struct gmem *m, gpa_t at, void *ret_copy, size_t len)
{
	/* Only the replay has guest memory, and it isn't const. */
	struct replay *r = container_of((void *)(uintptr_t)m, struct replay, vm.gmem);
	struct trace_item item;

	if (!take(r, true, at.v, len, false, &item) || item.access.result)
		return -E_FAULT;
	memcpy(ret_copy, item.data, len);
	return 0;
}

/* Every walk is replayed in full. */
const uint64_t *gmem_watch(const struct gmem *m, gpa_t at)
{
	(void)m;
	(void)at;
	return NULL;
}

int gmem_write(struct gmem *m, gpa_t at, const void *data, size_t len)
{
	struct replay *r = container_of(m, struct replay, vm.gmem);
	struct trace_item item;

	(void)data;
	return take(r, true, at.v, len, true, &item) && !item.access.result ? 0 : -E_FAULT;
}

static enum io_result slot_access(struct device *dev, struct io_access *a)
{
	struct slot *slot = dev->state;
	struct replay *r = slot->replay;
	const struct trace_record *rec = &r->view->record;
	struct trace_item item;

	if (rec->flags & TRACE_CONFIG && slot == &r->slot[0])
		trace_claim_config(&r->vm, &r->dev[rec->device], rec->config);
	if (!take(r, false, slot->region.base + a->offset, a->size, a->write, &item))
		return IO_REJECT;
	if (!a->write)
		memcpy(&a->value, item.data, a->size);
	return item.access.result == IO_PASS ? IO_DONE : (enum io_result)item.access.result;
}

static size_t slot_block(struct device *dev, const struct io_access *a, void *ret, size_t n)
{
	struct slot *slot = dev->state;
	struct replay *r = slot->replay;
	struct trace_item item;
	size_t next;

	if (!peek(r, &item, &next) || item.access.kind != TRACE_ACCESS_BLOCK ||
		item.access.physical != slot->region.base + a->offset ||
		item.access.len > n * a->size || item.access.len % a->size)
		return 0;
	memcpy(ret, item.data, item.access.len);
	r->at = next;
	return item.access.len / a->size;
}

static uint64_t *unclaimed_counter(struct replay *r)
{
	return r->view->record.kind == TRACE_PORTS ? &r->vm.unclaimed_pio : &r->vm.unclaimed_mmio;
}

static void count_unclaimed(struct replay *r)
{
	struct trace_item item;

	r->unclaimed = *unclaimed_counter(r);
	for (size_t at = 0; trace_view_next(r->view, &at, &item);)
		r->unclaimed += !is_memory(&item.access) && item.access.region == TRACE_NO_REGION;
}

/* A string that stopped before its end was interrupted there. */
static bool irq_pending(void *chip)
{
	struct replay *r = chip;
	struct trace_item item;
	size_t next;

	return r->view->record.verdict == TRACE_AGAIN && !peek(r, &item, &next) &&
	       *unclaimed_counter(r) == r->unclaimed;
}

/*
 * Time stands still, but for INS and OUTS that stopped before their end: they ran out of it when no
 * item follows in the record. Each has an access to a region, that of the exit.
 */
static struct replay *running;

uint64_t hw_tsc(void)
{
	struct replay *r = running;
	struct trace_item item;

	if (!r || r->view->record.verdict != TRACE_AGAIN)
		return 0;
	for (size_t at = r->at; trace_view_next(r->view, &at, &item);) {
		if (!is_memory(&item.access) && item.access.region != TRACE_NO_REGION)
			return 0;
	}
	return UINT64_MAX;
}

static void irq_set_line(void *chip, unsigned irq, bool high)
{
	(void)chip;
	(void)irq;
	(void)high;
}

static int irq_acknowledge(void *chip)
{
	(void)chip;
	return -1;
}

static const struct irqchip_ops irqchip = {
	.set_line = irq_set_line, .pending = irq_pending, .acknowledge = irq_acknowledge};

/* ---- the processor ---- */

static struct replay *of_vcpu(struct vcpu *v)
{
	return v->backend;
}

static uint64_t cpu_get(struct vcpu *v, enum vcpu_reg reg)
{
	return of_vcpu(v)->reg[reg];
}

static void cpu_set(struct vcpu *v, enum vcpu_reg reg, uint64_t value)
{
	of_vcpu(v)->reg[reg] = value;
}

static void cpu_get_seg(struct vcpu *v, enum vcpu_seg seg, struct vcpu_segment *ret)
{
	*ret = of_vcpu(v)->seg[seg];
}

static uint64_t cpu_resume_at(struct vcpu *v, uint64_t rip)
{
	uint64_t rflags = cpu_get(v, VREG_RFLAGS);

	cpu_set(v, VREG_RIP, rip);
	cpu_set(v, VREG_RFLAGS, rflags & ~RFLAGS_RF);
	cpu_set(v, VREG_INTR_SHADOW, 0);
	return rflags & RFLAGS_TF ? DR6_BS : 0;
}

static const struct vcpu_ops cpu_ops = {
	.name = "replay",
	.get = cpu_get,
	.set = cpu_set,
	.get_seg = cpu_get_seg,
	.resume_at = cpu_resume_at,
};

static struct vcpu_event to_event(const struct trace_event *e)
{
	return (struct vcpu_event){
		(enum vcpu_event_type)e->type, e->vector, e->has_error, e->error};
}

static void load_cpu(struct replay *r, const struct trace_record *rec)
{
	struct vcpu *v = &r->vm.vcpu;

	for (unsigned i = 0; i < GPR_COUNT; i++)
		vcpu_write_gpr(v, i, rec->reg[i]);
	for (unsigned i = TRACE_RIP; i <= TRACE_EFER; i++)
		r->reg[trace_vcpu_reg((enum trace_register)i)] = rec->reg[i];
	v->fpu.guest_xcr0 = rec->reg[TRACE_XCR0];
	r->reg[VREG_CPL] = rec->cpl;
	r->reg[VREG_INTR_SHADOW] = rec->flags & TRACE_SHADOW ? 1 : 0;
	for (unsigned i = 0; i < TRACE_SEGMENTS; i++) {
		const struct trace_segment *s = &rec->segment[i];

		r->seg[VSEG_ES + i] = (struct vcpu_segment){
			s->selector, s->attributes, s->limit, s->base};
	}
	v->event = to_event(&rec->before);
}

/* ---- the machine ---- */

static bool load_regions(struct replay *r, const struct trace_view *v)
{
	bool ports = v->record.kind == TRACE_PORTS;

	r->vm.pio = r->vm.mmio = (struct region_table){.count = 0};
	for (unsigned i = 0; i < v->record.region_count; i++) {
		const struct trace_region *from = &v->region[i];
		struct slot *s = &r->slot[i];
		bool config = !i && v->record.flags & TRACE_CONFIG;

		*s = (struct slot){.replay = r};
		s->dev = (struct device){.vm = &r->vm, .state = s};
		s->dev.trace = config ? TRACE_CLAIM
				      : (uint8_t)(from->device + 1); /* NO_DEVICE becomes 0 */
		s->region = (struct region){.base = from->base,
			.len = from->len,
			.dev = &s->dev,
			.handler = slot_access,
			.byte_wide = from->flags & TRACE_REGION_BYTE_WIDE,
			.read_block = from->flags & TRACE_REGION_BLOCK ? slot_block : NULL};
		if (region_add(ports ? &r->vm.pio : &r->vm.mmio, &s->region))
			return false;
	}
	return true;
}

static struct vmexit make_exit(const struct trace_record *rec)
{
	struct vmexit e = {.kind = rec->kind == TRACE_PORTS ? VMEXIT_PIO : VMEXIT_NPF,
		.rip = rec->reg[TRACE_RIP],
		.insn_len = rec->insn_length,
		.n_insn = rec->insn_given,
		.raw_reason = rec->reason,
		.raw_info = {rec->info[0], rec->info[1]}};

	memcpy(e.insn, rec->insn, rec->insn_given);
	if (e.kind == VMEXIT_NPF) {
		e.u.npf.gpa = gpa(rec->gpa);
		e.u.npf.gla = rec->gla;
		e.u.npf.gla_valid = rec->flags & TRACE_GLA;
		e.u.npf.write = rec->flags & TRACE_WRITE;
		e.u.npf.fetch = rec->flags & TRACE_FETCHING;
		e.u.npf.walk = rec->flags & TRACE_WALKING;
	} else {
		e.u.pio.port = (uint16_t)rec->gpa;
		e.u.pio.size = rec->port_size;
		e.u.pio.in = !(rec->flags & TRACE_WRITE);
		e.u.pio.string = rec->flags & TRACE_STRING;
		e.u.pio.rep = rec->flags & TRACE_REP;
	}
	return e;
}

struct replay *replay_create(const struct trace_header *h)
{
	struct replay *r = calloc(1, sizeof(*r));
	struct vm *vm;

	if (!r)
		return NULL;
	r->header = *h;
	r->memory = aligned_alloc(PAGE_SIZE, ARENA_SIZE);
	if (!r->memory)
		goto err_free;
	arena_init(&r->arena, r->memory, hpa(0), ARENA_SIZE);
	vm = &r->vm;
	vm->vcpu.ops = &cpu_ops;
	vm->vcpu.backend = r;
	vm->irqchip = &irqchip;
	vm->irqchip_state = r;
	hw_time_init(TSC_KHZ);
	vm_init(vm);
	vm->cpuid.extended[8].eax = h->physical_bits;
	vm->cpuid.extended[1].edx = h->cpu & TRACE_CPU_1GIB_PAGES ? (uint32_t)CPUID_EXT1_1GIB : 0;
	pio_attach(vm);
	if (mmio_attach(vm, &r->arena) || trace_init(vm, &r->arena, TRACE_SIZE_MIN))
		goto err_free;
	for (unsigned i = 0; i < TRACE_DEVICES; i++) {
		r->dev[i] = (struct device){.vm = vm, .trace = (uint8_t)(i + 1)};
		r->header.device[i].name[0] = '?'; /* any may be in a record */
	}
	trace_start(vm);
	return r;
err_free:
	replay_destroy(r);
	return NULL;
}

void replay_destroy(struct replay *r)
{
	if (r)
		free(r->memory);
	free(r);
}

/* ---- the comparison ---- */

static const char *access_name(const struct trace_access *a)
{
	static const char *const names[] = {"fetch", "walk", "memory", "device", "port", "block"};

	return names[a->kind];
}

static void print_access(char *text, const char *who, const struct trace_item *i)
{
	uint64_t value = 0;
	size_t n = strlen(text);

	memcpy(&value, i->data, min_u64(i->access.len, sizeof(value)));
	snprintf(text + n, REPLAY_TEXT_MAX - n, "%s %s %s 0x%lx + %u = 0x%lx (result %u)", who,
		access_name(&i->access), i->access.flags & TRACE_ACCESS_WRITE ? "write" : "read",
		i->access.physical, i->access.len, value, i->access.result);
}

static uint8_t plain_result(const struct trace_access *a)
{
	return !is_memory(a) && a->result == IO_PASS ? IO_DONE : a->result;
}

static bool same_access(const struct trace_item *a, const struct trace_item *b)
{
	struct trace_access x = a->access, y = b->access;

	x.result = plain_result(&x);
	y.result = plain_result(&y);
	return !memcmp(&x, &y, sizeof(x)) && !memcmp(a->data, b->data, x.len);
}

/* a is the recorded one, b the new one. */
static bool same_accesses(const struct trace_view *a, const struct trace_view *b, char *text)
{
	size_t at_a = 0, at_b = 0;

	for (unsigned n = 0;; n++) {
		struct trace_item x, y;
		bool more_a = trace_view_next(a, &at_a, &x), more_b = trace_view_next(b, &at_b, &y);

		if (!more_a && !more_b)
			return true;
		if (more_a && more_b && same_access(&x, &y))
			continue;
		snprintf(text, REPLAY_TEXT_MAX, "access %u: ", n);
		if (more_a)
			print_access(text, "recorded", &x);
		if (more_a && more_b)
			snprintf(text + strlen(text), REPLAY_TEXT_MAX - strlen(text), ", ");
		if (more_b)
			print_access(text, "replayed", &y);
		return false;
	}
}

static bool same_outcome(const struct trace_view *a, const struct trace_view *b, char *text)
{
	const struct trace_record *x = &a->record, *y = &b->record;

	for (unsigned i = 0; i < TRACE_REGISTERS; i++) {
		if (a->after[i] == b->after[i])
			continue;
		snprintf(text, REPLAY_TEXT_MAX,
			"register %u afterwards: recorded 0x%lx, replayed 0x%lx", i, a->after[i],
			b->after[i]);
		return false;
	}
	if (memcmp(&x->after, &y->after, sizeof(x->after))) {
		snprintf(text, REPLAY_TEXT_MAX,
			"event afterwards: recorded type %u vector %u error 0x%x, "
			"replayed type %u vector %u error 0x%x",
			x->after.type, x->after.vector, x->after.error, y->after.type,
			y->after.vector, y->after.error);
		return false;
	}
	if (x->verdict != y->verdict || x->device != y->device) {
		snprintf(text, REPLAY_TEXT_MAX,
			"verdict: recorded %u of device %u, replayed %u of device %u", x->verdict,
			x->device, y->verdict, y->device);
		return false;
	}
	if (x->insn_bytes != y->insn_bytes || memcmp(x->insn, y->insn, x->insn_bytes)) {
		snprintf(text, REPLAY_TEXT_MAX, "the instruction's bytes differ");
		return false;
	}
	return true;
}

static enum replay_result compare(struct replay *r, const struct trace_view *v, char *text)
{
	struct trace_piece piece[TRACE_PIECES];
	struct trace_view again;
	const char *why = "the replay made no record";

	trace_contents(&r->vm, piece);
	if (!piece[1].size ||
		trace_view_parse(&r->header, piece[1].data, piece[1].size, &again, &why)) {
		snprintf(text, REPLAY_TEXT_MAX, "%s", why);
		return REPLAY_DIFFERENT;
	}
	return same_accesses(v, &again, text) && same_outcome(v, &again, text) ? REPLAY_SAME
									       : REPLAY_DIFFERENT;
}

enum replay_result replay_run(
	struct replay *r, const struct trace_view *v, char text[static REPLAY_TEXT_MAX])
{
	struct vmexit e = make_exit(&v->record);

	if (v->record.flags & TRACE_CUT) {
		snprintf(text, REPLAY_TEXT_MAX, "too many accesses: the rest is missing");
		return REPLAY_INCOMPLETE;
	}
	if (!load_regions(r, v)) {
		snprintf(text, REPLAY_TEXT_MAX, "regions moved meanwhile");
		return REPLAY_INCOMPLETE;
	}
	r->view = v;
	r->at = 0;
	r->vm.stop = (struct vm_stop){0};
	count_unclaimed(r);
	load_cpu(r, &v->record);
	trace_forget(&r->vm);
	running = r;
	r->vm.handler[e.kind](&r->vm, &e);
	running = NULL;
	return compare(r, v, text);
}
