/*
 * The exit handler for memory-mapped I/O; see mmio.h. State: struct mmio on the vm, from the arena.
 * This is the exit path.
 */
#include "mmio/mmio.h"
#include "base/error.h"
#include "base/bits.h"
#include "base/fmt.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/gva.h"
#include "core/vm.h"
#include "mmio/cache.h"
#include "mmio/emulate.h"

struct mmio {
	struct decode_cache cache;
	struct log_limit unknown, disputed, refused, unclaimed, fetched;
};

/* The instruction at hand: where it is, and as much of it as is fetched. */
struct fetch {
	uint64_t linear;
	enum insn_mode mode;
	bool user;
	struct insn_bytes bytes;
};

#define HEX_MAX (INSN_MAX * 3 + 1)

static void format_bytes(const struct insn_bytes *b, char text[HEX_MAX])
{
	unsigned at = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < b->n; i++)
		at += (unsigned)fmt_print(
			text + at, HEX_MAX - at, i ? " %02x" : "%02x", (unsigned)b->byte[i]);
}

/* The access can't be emulated and the guest can't go on: as if it had triple faulted. */
static void give_up(struct vm *vm, const struct vmexit *e, const char *why)
{
	log_line("mmio: %s outside of memory, address 0x%lx, rip 0x%lx", why, e->u.npf.gpa.v,
		e->rip);
	vm_request_stop(vm, STOP_TRIPLE_FAULT);
}

static void find_mode(struct vm *vm, const struct vmexit *e, struct fetch *f)
{
	struct vcpu *v = &vm->vcpu;
	struct vcpu_segment cs;

	f->user = vcpu_get(v, VREG_CPL) == 3;
	v->ops->get_seg(v, VSEG_CS, &cs);
	if (cs.attributes & SEG_L && vcpu_get(v, VREG_EFER) & EFER_LMA) {
		f->mode = INSN_MODE_64;
		f->linear = e->rip;
		return;
	}
	f->mode = cs.attributes & SEG_DB ? INSN_MODE_32 : INSN_MODE_16;
	f->linear = (cs.base + e->rip) & size_mask(4);
}

static void raise_fault(struct vm *vm, const struct vmexit *e, const struct gva_fault *fault)
{
	if (!fault->vector) {
		give_up(vm, e, "code");
		return;
	}
	if (fault->vector == VECTOR_PF)
		vcpu_set(&vm->vcpu, VREG_CR2, fault->address);
	vcpu_raise_error(&vm->vcpu, fault->vector, fault->error);
}

/* Fetches the bytes that follow, up to the end of their page. */
static int fetch_more(struct vm *vm, struct fetch *f, struct gva_fault *ret_fault)
{
	uint64_t at = f->linear + f->bytes.n;
	unsigned n = (unsigned)min_u64(INSN_MAX - f->bytes.n, PAGE_SIZE - (at & PAGE_MASK));
	int err;

	if (f->mode != INSN_MODE_64)
		at &= size_mask(4);
	err = gva_read(vm, at, f->bytes.byte + f->bytes.n, n, GVA_FETCH, f->user, ret_fault);
	if (!err)
		f->bytes.n += n;
	return err;
}

/*
 * Fetches only as far as the instruction goes: a page behind it need not be there. Falls back from
 * the bytes that the CPU delivered, if it did and they are too few. False: an exception is raised.
 */
static bool fetch_insn(struct vm *vm, const struct vmexit *e, struct fetch *f,
	const struct insn **ret, enum insn_status *ret_status)
{
	struct mmio *m = vm->mmio_state;
	enum insn_status status = INSN_TRUNCATED;

	f->bytes = (struct insn_bytes){.n = (unsigned)min_u64(e->n_insn, INSN_MAX)};
	memcpy(f->bytes.byte, e->insn, f->bytes.n);
	if (f->bytes.n)
		status = decode_cached(&m->cache, f->linear, f->mode, &f->bytes, ret);
	while (status == INSN_TRUNCATED) {
		struct gva_fault fault;

		if (fetch_more(vm, f, &fault)) {
			raise_fault(vm, e, &fault);
			return false;
		}
		status = decode_cached(&m->cache, f->linear, f->mode, &f->bytes, ret);
	}
	*ret_status = status;
	return true;
}

static void log_insn(
	struct log_limit *limit, const struct vmexit *e, const struct fetch *f, const char *what)
{
	char text[HEX_MAX];

	format_bytes(&f->bytes, text);
	log_limited(limit, "mmio: %s: %s (mode %u, rip 0x%lx, address 0x%lx)", what, text,
		16u << f->mode, e->rip, e->u.npf.gpa.v);
}

static void log_disputed(
	struct mmio *m, const struct vmexit *e, const struct fetch *f, const struct insn *ours)
{
	char text[HEX_MAX], readings[LOG_LINE_MAX];

	format_bytes(&f->bytes, text);
	second_describe(m->cache.second, ours, readings, sizeof(readings));
	log_limited(&m->disputed, "mmio: decoders differ: %s (mode %u, rip 0x%lx): %s", text,
		16u << f->mode, e->rip, readings);
}

/* What isn't executed. insn is set only if it is disputed. */
static void refuse_decode(struct vm *vm, const struct vmexit *e, const struct fetch *f,
	enum insn_status status, const struct insn *insn)
{
	struct mmio *m = vm->mmio_state;
	char what[48];

	switch (status) {
	case INSN_TOO_LONG:
		vcpu_raise_error(&vm->vcpu, VECTOR_GP, 0);
		return;
	case INSN_DISPUTED:
		log_disputed(m, e, f, insn);
		break;
	case INSN_INVALID:
		log_insn(&m->unknown, e, f, "invalid instruction");
		break;
	default:
		fmt_print(what, sizeof(what), "unknown instruction %s",
			second_name(m->cache.second, f->bytes.byte, f->bytes.n, f->mode));
		log_insn(&m->unknown, e, f, what);
		break;
	}
	vcpu_raise(&vm->vcpu, VECTOR_UD);
}

static void execute(
	struct vm *vm, const struct vmexit *e, const struct fetch *f, const struct insn *insn)
{
	struct emulation em = {.vm = vm, .exit = e, .insn = insn, .mode = f->mode, .user = f->user};
	struct mmio *m = vm->mmio_state;
	struct vcpu *v = &vm->vcpu;
	uint64_t next = e->rip + insn->length;

	switch (emulate_run(&em)) {
	case EMULATE_DONE:
		vcpu_complete(v, f->mode == INSN_MODE_64 ? next : next & size_mask(4));
		break;
	case EMULATE_AGAIN:
		vcpu_iterate(v, e->rip);
		break;
	case EMULATE_RAISED:
		if (em.lost)
			give_up(vm, e, "page tables");
		break;
	case EMULATE_REFUSED:
		log_insn(&m->refused, e, f, "access is elsewhere");
		vcpu_raise(v, VECTOR_UD);
		break;
	}
}

static void mmio_exit(struct vm *vm, const struct vmexit *e)
{
	struct mmio *m = vm->mmio_state;
	uint64_t unclaimed = vm->unclaimed_mmio;
	const struct insn *insn = NULL;
	enum insn_status status;
	struct fetch f;

	if (e->u.npf.walk || vm->vcpu.event.type != VEVENT_NONE) {
		give_up(vm, e, e->u.npf.walk ? "page tables" : "delivery of an event");
		return;
	}
	if (e->u.npf.fetch) {
		log_limited(
			&m->fetched, "mmio: code outside of memory, address 0x%lx", e->u.npf.gpa.v);
		vcpu_raise(&vm->vcpu, VECTOR_UD);
		return;
	}
	find_mode(vm, e, &f);
	if (!fetch_insn(vm, e, &f, &insn, &status))
		return;
	if (status != INSN_OK) {
		refuse_decode(vm, e, &f, status, insn);
		return;
	}
	execute(vm, e, &f, insn);
	if (vm->unclaimed_mmio != unclaimed)
		log_limited(&m->unclaimed, "mmio: %s at 0x%lx, rip 0x%lx: nobody there",
			e->u.npf.write ? "write" : "read", e->u.npf.gpa.v, e->rip);
}

int mmio_attach(struct vm *vm, struct arena *arena)
{
	struct mmio *m = arena_alloc(arena, sizeof(*m), _Alignof(struct mmio));

	int err;

	if (!m)
		return -E_NOMEM;
	err = second_open(arena, &m->cache.second);
	if (err)
		return err;
	vm->mmio_state = m;
	vm->handler[VMEXIT_NPF] = mmio_exit;
	return 0;
}
