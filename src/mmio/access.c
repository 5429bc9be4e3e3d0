/*
 * Memory operands; see access.h. State is the caller's. On the exit path.
 *
 * Accesses of 1, 2, 4 or 8 bytes that lie inside one page and one region reach the device as they
 * are, aligned or not. Others are split at pages and regions, and what remains into aligned powers
 * of two, 8 bytes at most, in ascending order, as a bus would see them.
 */
#include "mmio/access.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/mem.h"
#include "core/trace.h"

static int raise(struct emulation *em, const struct gva_fault *f)
{
	struct vcpu *v = &em->vm->vcpu;

	if (!f->vector) {
		em->lost = true;
		return -E_FAULT;
	}
	if (f->vector == VECTOR_PF)
		vcpu_set(v, VREG_CR2, f->address);
	vcpu_raise_error(v, f->vector, f->error);
	return -E_FAULT;
}

static int raise_segment(struct emulation *em, unsigned seg)
{
	vcpu_raise_error(&em->vm->vcpu, seg == VSEG_SS ? VECTOR_SS : VECTOR_GP, 0);
	return -E_FAULT;
}

/* ---- segmentation ---- */

static uint64_t read_base_register(const struct emulation *em, unsigned reg)
{
	uint64_t rip = em->exit->rip + em->insn->length;

	if (reg == INSN_RIP)
		return rip;
	return vcpu_read_gpr(&em->vm->vcpu, reg) + (reg == GPR_RSP ? em->sp_add : 0);
}

uint64_t access_offset(const struct emulation *em)
{
	const struct insn_mem *mem = &em->insn->mem;
	uint64_t offset = mem->disp;

	if (mem->base != INSN_NO_REG)
		offset += read_base_register(em, mem->base);
	if (mem->index != INSN_NO_REG)
		offset += vcpu_read_gpr(&em->vm->vcpu, mem->index) << mem->shift;
	return offset & size_mask(mem->address_size);
}

/* Real mode and virtual-8086 mode know limits, but no types. */
static bool has_types(struct emulation *em)
{
	struct vcpu *v = &em->vm->vcpu;

	return vcpu_get(v, VREG_CR0) & CR0_PE && !(vcpu_get(v, VREG_RFLAGS) & RFLAGS_VM);
}

#define TYPE_CODE	 8u
#define TYPE_EXPAND_DOWN 4u /* of data */
#define TYPE_WRITE	 2u /* of data; of code it is: may be read */

static bool type_allows(const struct vcpu_segment *s, enum gva_access access)
{
	if (s->attributes & SEG_UNUSABLE || !(s->attributes & SEG_P))
		return false;
	if (access == GVA_WRITE)
		return (s->attributes & (TYPE_CODE | TYPE_WRITE)) == TYPE_WRITE;
	return !(s->attributes & TYPE_CODE) || s->attributes & TYPE_WRITE;
}

static bool is_expand_down(const struct vcpu_segment *s)
{
	return (s->attributes & (TYPE_CODE | TYPE_EXPAND_DOWN)) == TYPE_EXPAND_DOWN;
}

/* SDM vol. 3A "Limit Checking": an expand-down segment is what lies above its limit. */
static bool limit_allows(const struct vcpu_segment *s, uint64_t offset, unsigned len)
{
	uint64_t last = offset + len - 1;

	if (!is_expand_down(s))
		return last <= s->limit;
	return offset > s->limit && last <= (s->attributes & SEG_DB ? 0xffffffff : 0xffff);
}

static bool fits_signed(uint64_t v, unsigned bits)
{
	return (uint64_t)((int64_t)(v << (64 - bits)) >> (64 - bits)) == v;
}

static bool is_canonical(struct emulation *em, uint64_t linear)
{
	return fits_signed(linear, 48) ||
	       (vcpu_get(&em->vm->vcpu, VREG_CR4) & CR4_LA57 && fits_signed(linear, 57));
}

static int to_linear64(
	struct emulation *em, unsigned seg, uint64_t offset, unsigned len, uint64_t *ret)
{
	struct vcpu *v = &em->vm->vcpu;

	if (seg >= VSEG_FS) {
		struct vcpu_segment s;

		v->ops->get_seg(v, (enum vcpu_seg)seg, &s);
		offset += s.base;
	}
	if (!is_canonical(em, offset) || !is_canonical(em, offset + len - 1))
		return raise_segment(em, seg);
	*ret = offset;
	return 0;
}

static int to_linear(struct emulation *em, unsigned seg, uint64_t offset, unsigned len,
	enum gva_access access, uint64_t *ret)
{
	struct vcpu *v = &em->vm->vcpu;
	struct vcpu_segment s;

	if (em->mode == INSN_MODE_64)
		return to_linear64(em, seg, offset, len, ret);
	v->ops->get_seg(v, (enum vcpu_seg)seg, &s);
	if (has_types(em) && !type_allows(&s, access)) {
		vcpu_raise_error(v, VECTOR_GP, 0);
		return -E_FAULT;
	}
	if (!limit_allows(&s, offset, len))
		return raise_segment(em, seg);
	*ret = (s.base + offset) & size_mask(4);
	return 0;
}

/* ---- paging, and the exit's own idea of the addresses ---- */

/*
 * The CPU has just translated the page that it reported; for an access that needs no more than the
 * reported one its answer is as good as a walk, and free.
 */
static int translate_page(struct emulation *em, uint64_t linear, enum gva_access access, gpa_t *ret)
{
	const struct vmexit *e = em->exit;
	struct gva_fault fault;

	if (e->u.npf.gla_valid && linear >> PAGE_SHIFT == e->u.npf.gla >> PAGE_SHIFT &&
		(access != GVA_WRITE || e->u.npf.write)) {
		*ret = gpa((e->u.npf.gpa.v & ~PAGE_MASK) | (linear & PAGE_MASK));
		trace_translated(em->vm, linear, *ret);
		return 0;
	}
	if (gva_translate(em->vm, linear, access, em->user, ret, &fault))
		return raise(em, &fault);
	return 0;
}

static bool covers_exit(const struct emulation *em, const struct span *s)
{
	const struct vmexit *e = em->exit;
	uint64_t at = e->u.npf.gpa.v;

	if (e->u.npf.gla_valid) {
		uint64_t into = e->u.npf.gla - s->linear;

		if (em->mode != INSN_MODE_64)
			into &= size_mask(4);
		if (into >= s->len)
			return false;
		return at == (into < s->first ? s->at[0].v + into : s->at[1].v + into - s->first);
	}
	return at - s->at[0].v < s->first || at - s->at[1].v < s->len - s->first;
}

int access_resolve(struct emulation *em, unsigned seg, uint64_t offset, unsigned len,
	enum gva_access access, struct span *ret)
{
	struct span s = {.len = len};
	int err = to_linear(em, seg, offset, len, access, &s.linear);

	if (err)
		return err;
	if (em->align && !is_aligned(s.linear, em->align)) {
		vcpu_raise_error(&em->vm->vcpu, VECTOR_GP, 0);
		return -E_FAULT;
	}
	s.first = (unsigned)min_u64(len, PAGE_SIZE - (s.linear & PAGE_MASK));
	err = translate_page(em, s.linear, access, &s.at[0]);
	if (!err && s.first < len) {
		uint64_t second = s.linear + s.first;

		if (em->mode != INSN_MODE_64)
			second &= size_mask(4);
		err = translate_page(em, second, access, &s.at[1]);
	}
	if (err)
		return err;
	em->matched |= covers_exit(em, &s);
	*ret = s;
	return 0;
}

unsigned access_reach(struct emulation *em, const struct span *span, unsigned seg, uint64_t offset,
	bool down, unsigned max)
{
	uint64_t in_page = span->linear & PAGE_MASK, top = size_mask(em->insn->mem.address_size);
	struct vcpu_segment s;

	if (span->first < span->len)
		return 1;
	if (em->mode != INSN_MODE_64) {
		em->vm->vcpu.ops->get_seg(&em->vm->vcpu, (enum vcpu_seg)seg, &s);
		if (is_expand_down(&s))
			return 1;
		top = min_u64(top, s.limit);
	}
	if (down)
		return (unsigned)min_u64(max, min_u64(in_page, offset) / span->len + 1);
	if (top - offset < span->len)
		return 1;
	max = (unsigned)min_u64(max, (PAGE_SIZE - in_page) / span->len);
	return (unsigned)min_u64(max, (top - offset - (span->len - 1)) / span->len + 1);
}

/* ---- devices, guest memory, and nobody ---- */

/* The largest power of two that an address is aligned to and that fits into len; at most 8. */
static unsigned aligned_part(uint64_t at, uint64_t len)
{
	unsigned size = 8;

	while (size > len || !is_aligned(at, size))
		size /= 2;
	return size;
}

static bool is_access_size(uint64_t len)
{
	return len <= 8 && is_aligned(len, len);
}

/* One access to a region, or to nobody (NULL). */
static int device_access(struct emulation *em, struct region *r, uint64_t at, unsigned size,
	bool write, uint64_t *value)
{
	struct io_access a = {
		.offset = r ? at - r->base : at, .size = (uint8_t)size, .write = write};

	if (write)
		a.value = *value & size_mask(size);
	if (!vm_io(em->vm, r, &a, false))
		return -E_FAULT;
	if (!write)
		*value = a.value & size_mask(size);
	return 0;
}

/* len bytes of one region, or of nobody. */
static int device_move(struct emulation *em, struct region *r, uint64_t at, uint8_t *data,
	uint64_t len, bool write)
{
	uint64_t done = 0;

	while (done < len) {
		bool whole = !done && is_access_size(len);
		unsigned size = whole ? (unsigned)len : aligned_part(at + done, len - done);
		uint64_t value = 0;
		int err;

		if (write)
			memcpy(&value, data + done, size);
		err = device_access(em, r, at + done, size, write, &value);
		if (err)
			return err;
		if (!write)
			memcpy(data + done, &value, size);
		done += size;
	}
	return 0;
}

/* How many of len bytes from an address on are in the same region, or in none. */
static uint64_t same_region(
	const struct region_table *t, const struct region *r, uint64_t at, uint64_t len)
{
	if (r)
		return min_u64(len, r->len - (at - r->base));
	return region_overlaps(t, at, len, NULL) ? 1 : len;
}

/* len bytes inside one page. */
static int page_move(struct emulation *em, gpa_t at, uint8_t *data, uint64_t len, bool write)
{
	struct region_table *t = &em->vm->mmio;

	while (len) {
		struct region *r = region_find(t, at.v);
		uint64_t n = same_region(t, r, at.v, len);
		bool memory = !r &&
			      !(write ? traced_write(em->vm, at, data, n)
				      : traced_read(em->vm, TRACE_ACCESS_MEMORY, at, data, n));
		int err = memory ? 0 : device_move(em, r, at.v, data, n, write);

		if (err)
			return err;
		at.v += n;
		data += n;
		len -= n;
	}
	return 0;
}

static int span_move(struct emulation *em, const struct span *s, uint8_t *data, bool write)
{
	int err = page_move(em, s->at[0], data, s->first, write);

	if (!err && s->first < s->len)
		err = page_move(em, s->at[1], data + s->first, s->len - s->first, write);
	return err;
}

int access_read(struct emulation *em, const struct span *s, void *ret_data)
{
	uint8_t data[SPAN_MAX];
	int err = span_move(em, s, data, false);

	if (!err)
		memcpy(ret_data, data, s->len);
	return err;
}

int access_write(struct emulation *em, const struct span *s, const void *data)
{
	uint8_t copy[SPAN_MAX];

	memcpy(copy, data, s->len);
	return span_move(em, s, copy, true);
}

void access_settle(struct emulation *em, struct span *s, bool down, unsigned count)
{
	uint64_t bytes = (uint64_t)count * s->len, low = s->at[0].v;
	struct region *r;
	uint8_t probe;

	if (s->first < s->len)
		return;
	if (down)
		low -= bytes - s->len;
	r = region_find(&em->vm->mmio, low);
	if (r && range_fits(low - r->base, bytes, r->len)) {
		s->place = PLACE_REGION;
		s->region = r;
	} else if (!region_overlaps(&em->vm->mmio, low, bytes, NULL) &&
		   !traced_read(em->vm, TRACE_ACCESS_MEMORY, gpa(low), &probe, 1)) {
		s->place = PLACE_MEMORY; /* whole pages are memory, or not */
	}
}

/* The region that a value lies in as a whole: the way of nearly every access. */
static struct region *whole_region(const struct emulation *em, const struct span *s)
{
	struct region *r = region_find(&em->vm->mmio, s->at[0].v);

	if (!r || s->first < s->len || !range_fits(s->at[0].v - r->base, s->len, r->len))
		return NULL;
	return r;
}

int access_read_value(struct emulation *em, const struct span *s, uint64_t *ret)
{
	struct region *r = s->place == PLACE_UNKNOWN ? whole_region(em, s) : s->region;
	uint64_t value = 0;
	int err;

	if (r)
		return device_access(em, r, s->at[0].v, s->len, false, ret);
	if (s->place == PLACE_MEMORY)
		err = traced_read(em->vm, TRACE_ACCESS_MEMORY, s->at[0], &value, s->len);
	else
		err = access_read(em, s, &value);
	if (!err)
		*ret = value;
	return err;
}

int access_write_value(struct emulation *em, const struct span *s, uint64_t value)
{
	struct region *r = s->place == PLACE_UNKNOWN ? whole_region(em, s) : s->region;

	if (r)
		return device_access(em, r, s->at[0].v, s->len, true, &value);
	if (s->place == PLACE_MEMORY)
		return traced_write(em->vm, s->at[0], &value, s->len);
	return access_write(em, s, &value);
}
