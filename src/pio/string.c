/*
 * INS and OUTS. The exit tells port, size and direction; address size and segment come from the
 * instruction's prefixes, which not every CPU delivers, so they are read from its bytes.
 *
 * Memory is checked before the port is touched, so that a fault never costs a datum: SDM vol. 1
 * "String Operations" wants registers as after the last complete item. Items go in runs that stay
 * within a page; an exit moves at most STRING_ITEMS_MAX, takes little longer than STRING_TIME_US,
 * and then lets the guest run the instruction again, so that interrupts get through. No state. On
 * the exit path.
 */
#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/gva.h"
#include "core/trace.h"
#include "hw/cpu.h"
#include "hw/time.h"
#include "pio/pio.h"

#define STRING_ITEMS_MAX 1024u /* per exit */
/* Some ports wait for their device, for milliseconds: many of those would starve the firmware. */
#define STRING_TIME_US	 500u
#define STRING_RUN_BYTES 512u /* per run: a disk sector */
#define INSN_MAX	 15u
#define NO_FAULT	 0u /* as a vector; #DE can't come from here */

/* What the bytes of the instruction say. */
struct string_insn {
	bool short_address; /* prefix 67h */
	bool has_segment;
	enum vcpu_seg segment;
	uint8_t opcode;
};

struct string_op {
	struct vm *vm;
	uint16_t port;
	uint8_t size;
	bool in, backward;
	bool long_mode, protected_mode, user;
	bool single;	       /* the guest single-steps, and traps after each item */
	unsigned index;	       /* GPR_RSI or GPR_RDI */
	uint64_t address_mask; /* 16, 32 or 64 ones */
	enum vcpu_seg segment;
	struct vcpu_segment seg;
	struct gva_fault fault; /* to be raised; vector NO_FAULT while all is well */
	bool refused;		/* the port's handler wanted #GP, and it was raised */
	uint64_t deadline;	/* TSC; no item begins after it but the exit's first */
};

/* Where a run of items lies: one piece, or two for an item that crosses a page. */
struct string_span {
	gpa_t at[2];
	size_t len[2];
};

static bool parse_segment(uint8_t prefix, enum vcpu_seg *ret)
{
	static const struct {
		uint8_t prefix, segment;
	} table[] = {{0x26, VSEG_ES}, {0x2e, VSEG_CS}, {0x36, VSEG_SS}, {0x3e, VSEG_DS},
		{0x64, VSEG_FS}, {0x65, VSEG_GS}};

	for (size_t i = 0; i < array_size(table); i++) {
		if (table[i].prefix == prefix) {
			*ret = table[i].segment;
			return true;
		}
	}
	return false;
}

/* 0, -E_TRUNCATED if the opcode isn't among the n bytes, -E_INVAL if it isn't INS or OUTS. */
static int insn_parse(const uint8_t *insn, size_t n, bool long_mode, struct string_insn *ret)
{
	struct string_insn s = {0};
	enum vcpu_seg segment;

	for (size_t i = 0; i < n; i++) {
		uint8_t b = insn[i];

		if (b >= 0x6c && b <= 0x6f) {
			s.opcode = b;
			*ret = s;
			return 0;
		}
		if (b == 0x67) {
			s.short_address = true;
		} else if (parse_segment(b, &segment)) {
			/* 64-bit mode ignores all but FS and GS. */
			if (!long_mode || segment == VSEG_FS || segment == VSEG_GS) {
				s.has_segment = true;
				s.segment = segment;
			}
		} else if (b != 0x66 && b != 0xf2 && b != 0xf3 &&
			   !(long_mode && (b & 0xf0) == 0x40)) {
			return -E_INVAL;
		}
	}
	return -E_TRUNCATED;
}

/* Finds the instruction's bytes; on -E_FAULT op->fault is set. */
static int insn_fetch(
	struct string_op *op, const struct vmexit *e, uint64_t cs_base, struct string_insn *ret)
{
	uint8_t bytes[INSN_MAX];
	uint64_t at = op->long_mode ? e->rip : (uint32_t)(cs_base + e->rip);
	size_t have = 0, want = min_u64(INSN_MAX, PAGE_SIZE - (at & PAGE_MASK));
	int r;

	if (e->n_insn && insn_parse(e->insn, min_u64(e->n_insn, INSN_MAX), op->long_mode, ret) == 0)
		return 0;
	if (e->insn_len)
		want = min_u64(e->insn_len, INSN_MAX);
	do {
		/* Reading on into the next page only when this one ends before the opcode. */
		if (gva_read(op->vm, at + have, bytes + have, want - have, GVA_FETCH, op->user,
			    &op->fault))
			return -E_FAULT;
		have = want;
		want = INSN_MAX;
		r = insn_parse(bytes, have, op->long_mode, ret);
	} while (r == -E_TRUNCATED && have < INSN_MAX && !e->insn_len);
	return r;
}

static uint64_t address_mask(const struct string_op *op, uint32_t cs_attributes, bool short_address)
{
	if (op->long_mode)
		return short_address ? size_mask(4) : size_mask(8);
	return !(cs_attributes & SEG_DB) != short_address ? size_mask(2) : size_mask(4);
}

/*
 * Fills in the operation. 0, or a negative error: with op->fault set if the guest's page tables
 * are to blame, else because the bytes are no INS or OUTS any more.
 */
static int string_decode(struct string_op *op, const struct vmexit *e)
{
	struct vcpu *v = &op->vm->vcpu;
	uint64_t rflags = vcpu_get(v, VREG_RFLAGS);
	struct vcpu_segment cs;
	struct string_insn insn;
	int r;

	v->ops->get_seg(v, VSEG_CS, &cs);
	op->long_mode = (cs.attributes & SEG_L) && (vcpu_get(v, VREG_EFER) & EFER_LMA);
	op->protected_mode = (vcpu_get(v, VREG_CR0) & CR0_PE) && !(rflags & RFLAGS_VM);
	op->user = vcpu_get(v, VREG_CPL) == 3;
	op->backward = rflags & RFLAGS_DF;
	op->single = rflags & RFLAGS_TF;
	r = insn_fetch(op, e, cs.base, &insn);
	if (r)
		return r;
	if ((insn.opcode < 0x6e) != op->in)
		return -E_INVAL;
	op->index = op->in ? GPR_RDI : GPR_RSI;
	op->segment = op->in ? VSEG_ES : insn.has_segment ? insn.segment : VSEG_DS;
	op->address_mask = address_mask(op, cs.attributes, insn.short_address);
	v->ops->get_seg(v, op->segment, &op->seg);
	return 0;
}

/* Do the segment's type and limit allow len bytes at offset? SDM vol. 3A "Protection". */
static bool segment_allows(const struct string_op *op, uint64_t offset, uint64_t len)
{
	uint32_t attributes = op->seg.attributes, type = attributes & SEG_TYPE;
	bool code = type & 8, expand_down = !code && (type & 4);
	uint64_t last = offset + len - 1;

	if (op->long_mode)
		return true;
	if (op->protected_mode) {
		if (attributes & SEG_UNUSABLE)
			return false;
		if (op->in ? code || !(type & 2) : code && !(type & 2))
			return false;
	}
	if (op->protected_mode && expand_down)
		return offset > op->seg.limit && last <= size_mask(attributes & SEG_DB ? 4 : 2);
	return last <= op->seg.limit;
}

static uint64_t linear_address(const struct string_op *op, uint64_t offset)
{
	if (!op->long_mode)
		return (uint32_t)(op->seg.base + offset);
	if (op->segment == VSEG_FS || op->segment == VSEG_GS)
		return op->seg.base + offset;
	return offset;
}

/* How many of count items from offset on lie in one page, one segment and without a wrap. */
static size_t run_items(const struct string_op *op, uint64_t offset, uint64_t count)
{
	uint64_t room = PAGE_SIZE - (linear_address(op, offset) & PAGE_MASK), n;

	room = min_u64(min_u64(room, STRING_RUN_BYTES), op->address_mask - offset);
	n = min_u64(count, room / op->size);
	if (op->backward || n < 2 || !segment_allows(op, offset, n * op->size))
		return 1;
	return n;
}

static bool span_translate(
	struct string_op *op, uint64_t linear, size_t len, struct string_span *ret)
{
	enum gva_access access = op->in ? GVA_WRITE : GVA_READ;
	size_t first = min_u64(len, PAGE_SIZE - (linear & PAGE_MASK));

	*ret = (struct string_span){.len = {first, len - first}};
	if (gva_translate(op->vm, linear, access, op->user, &ret->at[0], &op->fault))
		return false;
	return first == len ||
	       !gva_translate(op->vm, linear + first, access, op->user, &ret->at[1], &op->fault);
}

/* Where the guest's page tables point to no memory, reads give all ones and writes vanish. */
static void span_read(struct string_op *op, const struct string_span *s, uint8_t *ret)
{
	for (unsigned i = 0; i < 2 && s->len[i]; i++) {
		if (traced_read(op->vm, TRACE_ACCESS_MEMORY, s->at[i], ret, s->len[i])) {
			memset(ret, 0xff, s->len[i]);
			op->vm->unclaimed_mmio++;
		}
		ret += s->len[i];
	}
}

static void span_write(
	struct string_op *op, const struct string_span *s, const uint8_t *data, size_t len)
{
	for (unsigned i = 0; i < 2 && len; i++) {
		size_t part = min_u64(len, s->len[i]);

		if (traced_write(op->vm, s->at[i], data, part))
			op->vm->unclaimed_mmio++;
		data += part;
		len -= part;
	}
}

static void note_block(const struct string_op *op, struct region *r, const uint8_t *data, size_t n)
{
	trace_note_io(op->vm, &(struct trace_io){.region = r,
				      .kind = TRACE_ACCESS_BLOCK,
				      .at = gpa(op->port),
				      .data = data,
				      .len = n * op->size});
}

/* What the device itself offers for a whole run, if it does. */
static size_t port_read_block(struct string_op *op, uint8_t *ret, size_t n)
{
	struct region *r = region_find(&op->vm->pio, op->port);
	struct io_access a = {.size = op->size};

	if (n < 2 || !r || !r->read_block || r->byte_wide)
		return 0;
	a.offset = op->port - r->base;
	if (!range_fits(a.offset, a.size, r->len))
		return 0;
	n = min_u64(r->read_block(r->dev, &a, ret, n), n);
	if (n && trace_is_on(op->vm))
		note_block(op, r, ret, n);
	return n;
}

static bool is_late(const struct string_op *op)
{
	return hw_tsc() >= op->deadline;
}

/* Items that the port took or gave; fewer than n if it refused one, or time was up. */
static size_t port_move(struct string_op *op, uint8_t *data, size_t n)
{
	size_t i = op->in ? port_read_block(op, data, n) : 0;

	for (; i < n; i++) {
		struct io_access a = {.size = op->size, .write = !op->in};

		if (i && is_late(op))
			break;
		if (a.write)
			memcpy(&a.value, data + i * op->size, op->size);
		if (!pio_access(op->vm, op->port, &a)) {
			op->refused = true;
			break;
		}
		if (!a.write)
			memcpy(data + i * op->size, &a.value, op->size);
	}
	return i;
}

/* Moves up to count items from the current index on; returns how many, and may set op->fault. */
static size_t string_run(struct string_op *op, uint64_t count)
{
	uint64_t offset = op->vm->vcpu.gpr[op->index] & op->address_mask, linear;
	size_t n = run_items(op, offset, count), done;
	uint8_t data[STRING_RUN_BYTES];
	struct string_span span;

	linear = linear_address(op, offset);
	/* An item across the end of the 32-bit space is the processor's choice: a fault, here. */
	if (!segment_allows(op, offset, n * op->size) ||
		(!op->long_mode && linear + n * op->size - 1 > size_mask(4))) {
		op->fault.vector = op->segment == VSEG_SS ? VECTOR_SS : VECTOR_GP;
		return 0;
	}
	if (!span_translate(op, linear, n * op->size, &span)) {
		if (op->fault.vector == NO_FAULT)
			op->fault.vector = VECTOR_GP;
		return 0;
	}
	if (!op->in)
		span_read(op, &span, data);
	done = port_move(op, data, n);
	if (op->in)
		span_write(op, &span, data, done * op->size);
	return done;
}

/* A register of the instruction's address size: 16 bits merge, 32 bits zero-extend. */
static void set_address_reg(struct string_op *op, unsigned reg, uint64_t value)
{
	uint64_t *r = &op->vm->vcpu.gpr[reg];

	*r = op->address_mask == size_mask(2) ? bytes_merge(*r, value, 0, 2)
					      : value & op->address_mask;
}

static void string_raise(struct string_op *op)
{
	struct vcpu *v = &op->vm->vcpu;

	if (op->fault.vector == VECTOR_PF)
		vcpu_set(v, VREG_CR2, op->fault.address);
	vcpu_raise_error(v, op->fault.vector, op->fault.error);
}

void pio_string(struct vm *vm, const struct vmexit *e)
{
	static struct log_limit limit;
	struct string_op op = {
		.vm = vm, .port = e->u.pio.port, .size = e->u.pio.size, .in = e->u.pio.in};
	struct vcpu *v = &vm->vcpu;
	uint64_t count = 1, budget;

	if (string_decode(&op, e)) {
		if (op.fault.vector != NO_FAULT) {
			string_raise(&op);
			return;
		}
		log_limited(&limit, "pio: no INS or OUTS at rip %llx", (unsigned long long)e->rip);
		vcpu_raise(v, VECTOR_UD);
		return;
	}
	budget = op.single ? 1 : STRING_ITEMS_MAX;
	op.deadline = hw_tsc() + hw_us_to_tsc(STRING_TIME_US);
	if (e->u.pio.rep)
		count = v->gpr[GPR_RCX] & op.address_mask;
	while (count && budget) {
		uint64_t index = v->gpr[op.index];
		size_t done = string_run(&op, min_u64(count, budget));
		uint64_t step = done * op.size;

		set_address_reg(&op, op.index, op.backward ? index - step : index + step);
		count -= done;
		budget -= done;
		if (e->u.pio.rep)
			set_address_reg(&op, GPR_RCX, count);
		if (op.fault.vector != NO_FAULT)
			string_raise(&op);
		if (op.fault.vector != NO_FAULT || op.refused)
			return;
		if (is_late(&op))
			break;
	}
	if (count)
		vcpu_iterate(v, e->rip);
	else
		vcpu_skip(v, e);
}
