/*
 * The recorder; see trace.h. State: struct trace, from the arena. On the exit path of traced
 * devices: bounded by the size of a record, allocates nothing.
 *
 * The ring drops its oldest records: what one traces a device for is usually found at the end. A
 * record that would get too long lacks its last accesses and says so.
 */
#include "core/trace.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/mem.h"
#include "core/cpuid.h"
#include "hw/time.h"

#define PAGES 8u /* translations that are remembered in a record */

struct trace {
	struct trace_header header; /* bytes, records and lost are current */
	exit_handler next[VMEXIT_KINDS];

	uint8_t *ring;
	size_t size, start; /* bytes; the oldest record is at start, header.bytes are used */
	uint64_t number;

	/* The record under way. */
	struct trace_record record;
	uint64_t after[TRACE_REGISTERS];
	struct trace_region region[TRACE_REGIONS];
	const struct region *met[TRACE_REGIONS];
	struct {
		uint64_t linear, physical;
	} page[PAGES];
	unsigned pages; /* of all so far; the latest PAGES are there */
	uint64_t code;	/* linear address of the instruction */
	uint8_t *access;
};
_Static_assert(sizeof(struct trace) + TRACE_ACCESS_BYTES_MAX + PAGE_SIZE <= TRACE_ARENA_EXTRA,
	"TRACE_ARENA_EXTRA");
_Static_assert(TRACE_ACCESS_BYTES_MAX + sizeof(struct trace_record) +
			       TRACE_REGIONS * sizeof(struct trace_region) +
			       TRACE_REGISTERS * sizeof(uint64_t) <=
		       TRACE_RECORD_MAX,
	"TRACE_RECORD_MAX");

int trace_init(struct vm *vm, struct arena *arena, size_t ring_bytes)
{
	struct trace *t;

	if (ring_bytes < TRACE_SIZE_MIN || !is_aligned(ring_bytes, 8))
		return -E_INVAL;
	t = arena_alloc(arena, sizeof(*t), _Alignof(struct trace));
	if (!t)
		return -E_NOMEM;
	t->access = arena_alloc(arena, TRACE_ACCESS_BYTES_MAX, 8);
	t->ring = arena_alloc(arena, ring_bytes, 8);
	if (!t->access || !t->ring)
		return -E_NOMEM;
	t->size = ring_bytes;
	t->header = (struct trace_header){
		.magic = TRACE_MAGIC, .version = TRACE_VERSION, .header_bytes = sizeof(t->header)};
	vm->trace = t;
	return 0;
}

int trace_add_device(struct vm *vm, struct device *dev)
{
	struct trace_device *table = vm->trace->header.device;

	for (unsigned i = 0; i < TRACE_DEVICES; i++) {
		if (table[i].name[0])
			continue;
		_Static_assert(sizeof(table[i].name) == DEVICE_NAME_MAX, "names fit");
		memcpy(table[i].name, dev->name, DEVICE_NAME_MAX);
		table[i].bdf = dev->bdf;
		dev->trace = (uint8_t)(i + 1);
		return 0;
	}
	return -E_NOMEM;
}

/* ---- notes ---- */

/* Where a physical address was found by the latest translation of its page. */
static bool find_linear(const struct trace *t, uint64_t physical, uint64_t *ret)
{
	for (unsigned i = 0; i < min_u64(t->pages, PAGES); i++) {
		unsigned n = (t->pages - 1 - i) % PAGES;

		if (t->page[n].physical != (physical & ~PAGE_MASK))
			continue;
		*ret = t->page[n].linear | (physical & PAGE_MASK);
		return true;
	}
	return false;
}

void trace_note_page(struct vm *vm, uint64_t linear, gpa_t at)
{
	struct trace *t = vm->recording;
	unsigned n = t->pages++ % PAGES;

	t->page[n].linear = linear & ~PAGE_MASK;
	t->page[n].physical = at.v & ~PAGE_MASK;
}

/* Appends an access and data, or zeros without; what doesn't fit is left out, and all after it. */
static void append(struct trace *t, const struct trace_access *a, const void *data)
{
	size_t at = t->record.access_bytes, padded = align_up(a->len, 8);

	if (t->record.flags & TRACE_CUT ||
		!range_fits(at, sizeof(*a) + padded, TRACE_ACCESS_BYTES_MAX)) {
		t->record.flags |= TRACE_CUT;
		return;
	}
	memcpy(t->access + at, a, sizeof(*a));
	memset(t->access + at + sizeof(*a), 0, padded);
	if (data)
		memcpy(t->access + at + sizeof(*a), data, a->len);
	t->record.access_bytes += (uint32_t)(sizeof(*a) + padded);
	t->record.access_count++;
}

/* Fetched bytes are the instruction's, as far as they continue those that are known. */
static void take_insn(struct trace *t, uint64_t linear, const uint8_t *data, size_t len)
{
	struct trace_record *r = &t->record;
	uint64_t at = linear - t->code;

	if (at > r->insn_bytes || !range_fits(at, len, TRACE_INSN_MAX))
		return;
	memcpy(r->insn + at, data, len);
	r->insn_bytes = (uint8_t)max_u64(r->insn_bytes, at + len);
	r->insn_source = TRACE_INSN_FETCHED;
}

void trace_note_memory(struct vm *vm, enum trace_access_kind kind, bool write, gpa_t at,
	const void *data, size_t len, bool failed)
{
	struct trace *t = vm->recording;
	struct trace_access a = {.kind = (uint8_t)kind,
		.flags = write ? TRACE_ACCESS_WRITE : 0,
		.result = failed ? TRACE_RESULT_ABSENT : 0,
		.region = TRACE_NO_REGION,
		.len = (uint32_t)len,
		.physical = at.v};

	if (find_linear(t, at.v, &a.linear))
		a.flags |= TRACE_ACCESS_LINEAR;
	append(t, &a, failed && !write ? NULL : data);
	if (kind == TRACE_ACCESS_FETCH && !failed && a.flags & TRACE_ACCESS_LINEAR)
		take_insn(t, a.linear, data, len);
}

void trace_note_walk(
	struct vm *vm, uint64_t linear, gpa_t at, const uint64_t *entry, size_t len, bool write)
{
	struct trace_access a = {.kind = TRACE_ACCESS_WALK,
		.flags = TRACE_ACCESS_LINEAR | (write ? TRACE_ACCESS_WRITE : 0),
		.result = entry ? 0 : TRACE_RESULT_ABSENT,
		.region = TRACE_NO_REGION,
		.len = (uint32_t)len,
		.linear = linear,
		.physical = at.v};

	append(vm->recording, &a, entry);
}

static uint8_t device_index(const struct device *dev)
{
	return dev && dev->trace && dev->trace != TRACE_CLAIM ? (uint8_t)(dev->trace - 1)
							      : TRACE_NO_DEVICE;
}

/* The index of a region in the record's list, in which it gets a place if it has none. */
static uint8_t meet_region(struct trace *t, const struct region *r)
{
	struct trace_record *rec = &t->record;
	unsigned n = 0;

	while (n < rec->region_count && t->met[n] != r)
		n++;
	if (n < rec->region_count)
		return (uint8_t)n;
	if (n == TRACE_REGIONS) {
		rec->flags |= TRACE_CUT;
		return TRACE_NO_REGION;
	}
	t->met[n] = r;
	t->region[n] = (struct trace_region){.base = r->base,
		.len = r->len,
		.flags = (r->byte_wide ? TRACE_REGION_BYTE_WIDE : 0) |
			 (r->read_block ? TRACE_REGION_BLOCK : 0),
		.device = device_index(r->dev)};
	rec->region_count++;
	return (uint8_t)n;
}

void trace_note_io(struct vm *vm, const struct trace_io *io)
{
	struct trace *t = vm->recording;
	struct trace_access a = {.kind = (uint8_t)io->kind,
		.flags = io->write ? TRACE_ACCESS_WRITE : 0,
		.result = io->result,
		.region = io->region ? meet_region(t, io->region) : TRACE_NO_REGION,
		.len = (uint32_t)io->len,
		.physical = io->at.v};

	if (io->kind == TRACE_ACCESS_DEVICE && find_linear(t, io->at.v, &a.linear))
		a.flags |= TRACE_ACCESS_LINEAR;
	append(t, &a, io->data);
}

void trace_claim_config(struct vm *vm, const struct device *dev, uint32_t offset)
{
	struct trace_record *r = vm->trace ? &vm->trace->record : NULL;

	if (!r || r->device != TRACE_NO_DEVICE)
		return;
	r->device = device_index(dev);
	r->flags |= TRACE_CONFIG;
	r->config = offset;
}

/* ---- one exit ---- */

static void read_registers(struct vcpu *v, uint64_t ret[static TRACE_REGISTERS])
{
	for (unsigned i = 0; i < GPR_COUNT; i++)
		ret[i] = vcpu_read_gpr(v, i);
	for (unsigned i = TRACE_RIP; i <= TRACE_EFER; i++)
		ret[i] = vcpu_get(v, trace_vcpu_reg((enum trace_register)i));
	ret[TRACE_XCR0] = fpu_guest_xcr0(&v->fpu);
}

static struct trace_event read_event(const struct vcpu_event *e)
{
	return (struct trace_event){
		(uint8_t)e->type, e->vector, e->has_error, 0, e->has_error ? e->error : 0};
}

static void read_segments(struct vcpu *v, struct trace_record *r)
{
	for (unsigned i = 0; i < TRACE_SEGMENTS; i++) {
		struct vcpu_segment s;

		v->ops->get_seg(v, (enum vcpu_seg)(VSEG_ES + i), &s);
		r->segment[i] = (struct trace_segment){
			s.base, s.limit, s.attributes, s.selector, {0}};
	}
}

static void read_exit(struct trace_record *r, const struct vmexit *e)
{
	r->reason = e->raw_reason;
	r->info[0] = e->raw_info[0];
	r->info[1] = e->raw_info[1];
	r->insn_given = r->insn_bytes = (uint8_t)min_u64(e->n_insn, TRACE_INSN_MAX);
	r->insn_source = r->insn_given ? TRACE_INSN_CPU : TRACE_INSN_NONE;
	memcpy(r->insn, e->insn, r->insn_given);
	r->insn_length = e->insn_len;
	if (e->kind == VMEXIT_NPF) {
		r->kind = TRACE_MMIO;
		r->gpa = e->u.npf.gpa.v;
		r->gla = e->u.npf.gla_valid ? e->u.npf.gla : 0;
		r->flags |= (e->u.npf.write ? TRACE_WRITE : 0) |
			    (e->u.npf.fetch ? TRACE_FETCHING : 0) |
			    (e->u.npf.walk ? TRACE_WALKING : 0) |
			    (e->u.npf.gla_valid ? TRACE_GLA : 0);
		return;
	}
	r->kind = TRACE_PORTS;
	r->gpa = e->u.pio.port;
	r->port_size = e->u.pio.size;
	r->flags |= (e->u.pio.in ? 0 : TRACE_WRITE) | (e->u.pio.string ? TRACE_STRING : 0) |
		    (e->u.pio.rep ? TRACE_REP : 0);
}

static void begin(struct trace *t, struct vcpu *v, const struct vmexit *e, uint8_t device)
{
	struct trace_record *r = &t->record;
	const struct trace_segment *cs = &r->segment[VSEG_CS];

	*r = (struct trace_record){.device = device, .number = t->number};
	t->pages = 0;
	read_exit(r, e);
	read_registers(v, r->reg);
	read_segments(v, r);
	r->before = read_event(&v->event);
	r->cpl = (uint8_t)vcpu_get(v, VREG_CPL);
	if (vcpu_get(v, VREG_INTR_SHADOW))
		r->flags |= TRACE_SHADOW;
	t->code = e->rip;
	if (!(cs->attributes & SEG_L && r->reg[TRACE_EFER] & EFER_LMA))
		t->code = (cs->base + e->rip) & size_mask(4);
	r->tsc = hw_tsc();
}

/* How the exit ended: its number of changed registers, which t->after has. */
static unsigned conclude(struct trace *t, struct vm *vm)
{
	struct trace_record *r = &t->record;
	unsigned changed = 0;

	r->ticks = hw_tsc() - r->tsc;
	r->after = read_event(&vm->vcpu.event);
	read_registers(&vm->vcpu, t->after);
	if (vm->stop.reason != STOP_NONE)
		r->verdict = TRACE_STOPPED;
	else if (r->after.type == VEVENT_EXCEPTION)
		r->verdict = TRACE_EXCEPTION;
	else
		r->verdict = t->after[TRACE_RIP] != r->reg[TRACE_RIP] ? TRACE_DONE : TRACE_AGAIN;
	for (unsigned i = 0; i < TRACE_REGISTERS; i++) {
		if (t->after[i] == r->reg[i])
			continue;
		r->changed |= (uint32_t)BIT(i);
		t->after[changed++] = t->after[i];
	}
	return changed;
}

/* ---- the ring ---- */

/* Appends bytes, for which there is room. */
static void ring_put(struct trace *t, const void *data, size_t len)
{
	size_t at = (t->start + t->header.bytes) % t->size, first = min_u64(len, t->size - at);

	memcpy(t->ring + at, data, first);
	memcpy(t->ring, (const uint8_t *)data + first, len - first);
	t->header.bytes += len;
}

/* A record's length is a multiple of 8, and so are ring and start: it never wraps inside. */
static void ring_drop_oldest(struct trace *t)
{
	uint32_t length;

	memcpy(&length, t->ring + t->start, sizeof(length));
	t->start = (t->start + length) % t->size;
	t->header.bytes -= length;
	t->header.records--;
	t->header.lost++;
}

static void commit(struct trace *t, unsigned changed)
{
	struct trace_record *r = &t->record;
	size_t regions = r->region_count * sizeof(t->region[0]);

	r->length = (uint32_t)(sizeof(*r) + regions + r->access_bytes + changed * sizeof(uint64_t));
	while (t->size - t->header.bytes < r->length)
		ring_drop_oldest(t);
	ring_put(t, r, sizeof(*r));
	ring_put(t, t->region, regions);
	ring_put(t, t->access, r->access_bytes);
	ring_put(t, t->after, changed * sizeof(uint64_t));
	t->header.records++;
	t->number++;
}

static void traced_exit(struct vm *vm, const struct vmexit *e)
{
	struct trace *t = vm->trace;
	bool ports = e->kind == VMEXIT_PIO;
	const struct region *r = region_find(
		ports ? &vm->pio : &vm->mmio, ports ? e->u.pio.port : e->u.npf.gpa.v);
	unsigned changed;

	if (!r || !r->dev || !r->dev->trace) {
		t->next[e->kind](vm, e);
		return;
	}
	begin(t, &vm->vcpu, e, device_index(r->dev));
	meet_region(t, r);
	vm->recording = t;
	t->next[e->kind](vm, e);
	vm->recording = NULL;
	changed = conclude(t, vm);
	if (t->record.device != TRACE_NO_DEVICE)
		commit(t, changed);
}

/* ---- before and after the guest ---- */

void trace_start(struct vm *vm)
{
	static const enum vmexit_kind kinds[] = {VMEXIT_NPF, VMEXIT_PIO};
	struct trace *t = vm->trace;
	struct trace_header *h = &t->header;
	const char *name = vm->vcpu.ops->name;

	h->tsc_khz = hw_tsc_khz();
	h->vendor = strcmp(name, "vmx") == 0   ? TRACE_VENDOR_VMX
		    : strcmp(name, "svm") == 0 ? TRACE_VENDOR_SVM
					       : TRACE_VENDOR_NONE;
	h->physical_bits = (uint8_t)cpuid_physical_bits(vm);
	h->cpu = cpuid_has_1gib_pages(vm) ? TRACE_CPU_1GIB_PAGES : 0;
	for (size_t i = 0; i < array_size(kinds); i++) {
		t->next[kinds[i]] = vm->handler[kinds[i]];
		vm->handler[kinds[i]] = traced_exit;
	}
}

void trace_contents(struct vm *vm, struct trace_piece ret[static TRACE_PIECES])
{
	const struct trace *t = vm->trace;
	size_t first = min_u64(t->header.bytes, t->size - t->start);

	ret[0] = (struct trace_piece){&t->header, sizeof(t->header)};
	ret[1] = (struct trace_piece){t->ring + t->start, first};
	ret[2] = (struct trace_piece){t->ring, t->header.bytes - first};
}

void trace_forget(struct vm *vm)
{
	struct trace *t = vm->trace;

	t->start = 0;
	t->header.records = t->header.bytes = t->header.lost = 0;
}

struct trace_counts trace_count(const struct vm *vm)
{
	const struct trace_header *h = vm->trace ? &vm->trace->header : NULL;

	return h ? (struct trace_counts){h->records, h->bytes, h->lost} : (struct trace_counts){0};
}
