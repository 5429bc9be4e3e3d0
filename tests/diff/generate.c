/* Random instructions; see generate.h. */
#include "generate.h"
#include "base/bits.h"

#include <string.h>

/* clang-format off */
#define ONE(op, ext, fl, name)	{{op}, 1, ext, fl, name, 0}
#define TWO(op, ext, fl, name)	{{0x0f, op}, 2, ext, fl, name, 0}
#define BOTH(op, ext, fl, name)	ONE(op, ext, (fl) | FORM_BYTE, name), ONE((op) + 1, ext, fl, name)
#define ALU(op, fl, name)	BOTH(op, -1, fl, name), BOTH((op) + 2, -1, 0, name)
#define IMM(ext, fl, name)                                                                         \
	ONE(0x80, ext, (fl) | FORM_BYTE | FORM_IMM8, name),                                        \
	ONE(0x81, ext, (fl) | FORM_IMMZ, name),                                                    \
	ONE(0x82, ext, (fl) | FORM_BYTE | FORM_IMM8 | FORM_NO64, name),                            \
	ONE(0x83, ext, (fl) | FORM_IMM8, name)
#define SHIFT(ext, name)                                                                           \
	BOTH(0xc0, ext, FORM_IMM8, name), BOTH(0xd0, ext, 0, name), BOTH(0xd2, ext, 0, name)
#define BIT_OP(op, ext, fl, name)                                                                  \
	TWO(op, -1, (fl) | FORM_BITS, name), TWO(0xba, ext, (fl) | FORM_IMM8, name)
#define VECTOR(op, prefix, fl, name)                                                               \
	{{0x0f, op}, 2, -1, FORM_VECTOR | FORM_NP | FORM_MEMORY | (fl), name, prefix}
#define HALF (FORM_SHORT | FORM_HALVES)
#define LINE(op, ext, prefix, name)                                                                \
	{{0x0f, op}, 2, ext, FORM_LINE | FORM_NP | FORM_MEMORY, name, prefix}
#define PREFETCH(op, ext) TWO(op, ext, FORM_LINE | FORM_MEMORY, "prefetch")
#define CC(n)                                                                                      \
	TWO(0x40 + (n), -1, 0, "cmov"), TWO(0x90 + (n), -1, FORM_BYTE, "set")

const struct form forms[] = {
	ALU(0x00, FORM_LOCK, "add"), ALU(0x08, FORM_LOCK, "or"), ALU(0x10, FORM_LOCK, "adc"),
	ALU(0x18, FORM_LOCK, "sbb"), ALU(0x20, FORM_LOCK, "and"), ALU(0x28, FORM_LOCK, "sub"),
	ALU(0x30, FORM_LOCK, "xor"), ALU(0x38, 0, "cmp"),
	IMM(0, FORM_LOCK, "add"), IMM(1, FORM_LOCK, "or"), IMM(2, FORM_LOCK, "adc"),
	IMM(3, FORM_LOCK, "sbb"), IMM(4, FORM_LOCK, "and"), IMM(5, FORM_LOCK, "sub"),
	IMM(6, FORM_LOCK, "xor"), IMM(7, 0, "cmp"),
	BOTH(0x84, -1, 0, "test"), BOTH(0x86, -1, FORM_LOCK, "xchg"),
	BOTH(0x88, -1, 0, "mov"), BOTH(0x8a, -1, 0, "mov"),
	BOTH(0xa0, -1, FORM_OFFS, "mov"), BOTH(0xa2, -1, FORM_OFFS, "mov"),
	ONE(0xc6, 0, FORM_BYTE | FORM_IMM8, "mov"), ONE(0xc7, 0, FORM_IMMZ, "mov"),
	BOTH(0xa4, -1, FORM_SI | FORM_DI, "movs"), BOTH(0xa6, -1, FORM_SI | FORM_DI, "cmps"),
	BOTH(0xaa, -1, FORM_DI, "stos"), BOTH(0xac, -1, FORM_SI, "lods"),
	BOTH(0xae, -1, FORM_DI, "scas"),
	SHIFT(0, "rol"), SHIFT(1, "ror"), SHIFT(2, "rcl"), SHIFT(3, "rcr"), SHIFT(4, "shl"),
	SHIFT(5, "shr"), SHIFT(6, "shl"), SHIFT(7, "sar"),
	ONE(0xf6, 0, FORM_BYTE | FORM_IMM8, "test"), ONE(0xf7, 0, FORM_IMMZ, "test"),
	ONE(0xf6, 1, FORM_BYTE | FORM_IMM8, "test"), ONE(0xf7, 1, FORM_IMMZ, "test"),
	BOTH(0xf6, 2, FORM_LOCK, "not"), BOTH(0xf6, 3, FORM_LOCK, "neg"),
	BOTH(0xfe, 0, FORM_LOCK, "inc"), BOTH(0xfe, 1, FORM_LOCK, "dec"),
	ONE(0xff, 6, FORM_STACK, "push"), ONE(0x8f, 0, FORM_STACK, "pop"),
	ONE(0x63, -1, FORM_64, "movsx"),
	TWO(0xb6, -1, 0, "movzx"), TWO(0xb7, -1, 0, "movzx"), TWO(0xbe, -1, 0, "movsx"),
	TWO(0xbf, -1, 0, "movsx"),
	TWO(0xa4, -1, FORM_IMM8, "shld"), TWO(0xa5, -1, 0, "shld"),
	TWO(0xac, -1, FORM_IMM8, "shrd"), TWO(0xad, -1, 0, "shrd"),
	BIT_OP(0xa3, 4, 0, "bt"), BIT_OP(0xab, 5, FORM_LOCK, "bts"),
	BIT_OP(0xb3, 6, FORM_LOCK, "btr"), BIT_OP(0xbb, 7, FORM_LOCK, "btc"),
	TWO(0xb0, -1, FORM_LOCK | FORM_BYTE, "cmpxchg"), TWO(0xb1, -1, FORM_LOCK, "cmpxchg"),
	TWO(0xc0, -1, FORM_LOCK | FORM_BYTE, "xadd"), TWO(0xc1, -1, FORM_LOCK, "xadd"),
	TWO(0xc3, -1, FORM_NP | FORM_MEMORY, "movnti"),
	TWO(0xc7, 1, FORM_LOCK | FORM_PAIR | FORM_NOREP | FORM_MEMORY, "cmpxchg8b"),
	CC(0), CC(1), CC(2), CC(3), CC(4), CC(5), CC(6), CC(7), CC(8), CC(9), CC(10), CC(11),
	CC(12), CC(13), CC(14), CC(15),
	{{0x0f, 0x38, 0xf0}, 3, -1, FORM_NOREP | FORM_MEMORY, "movbe", 0},
	{{0x0f, 0x38, 0xf1}, 3, -1, FORM_NOREP | FORM_MEMORY, "movbe", 0},
	{{0x0f, 0x38, 0xf9}, 3, -1, FORM_NP | FORM_MEMORY, "movdiri", 0},
	{{0x0f, 0x38, 0xf8}, 3, -1, FORM_NP | FORM_MEMORY | FORM_DIRECT, "movdir64b", 0x66},
	VECTOR(0x10, 0, 0, "movups"), VECTOR(0x10, 0x66, 0, "movupd"),
	VECTOR(0x11, 0, 0, "movups"), VECTOR(0x11, 0x66, 0, "movupd"),
	VECTOR(0x10, 0xf3, 0, "movss"), VECTOR(0x10, 0xf2, 0, "movsd"),
	VECTOR(0x11, 0xf3, 0, "movss"), VECTOR(0x11, 0xf2, 0, "movsd"),
	VECTOR(0x12, 0, HALF, "movlps"), VECTOR(0x12, 0x66, HALF, "movlpd"),
	VECTOR(0x13, 0, FORM_SHORT, "movlps"), VECTOR(0x13, 0x66, FORM_SHORT, "movlpd"),
	VECTOR(0x16, 0, HALF, "movhps"), VECTOR(0x16, 0x66, HALF, "movhpd"),
	VECTOR(0x17, 0, FORM_SHORT, "movhps"), VECTOR(0x17, 0x66, FORM_SHORT, "movhpd"),
	VECTOR(0x28, 0, FORM_ALIGN, "movaps"), VECTOR(0x28, 0x66, FORM_ALIGN, "movapd"),
	VECTOR(0x29, 0, FORM_ALIGN, "movaps"), VECTOR(0x29, 0x66, FORM_ALIGN, "movapd"),
	VECTOR(0x2b, 0, FORM_ALIGN, "movntps"), VECTOR(0x2b, 0x66, FORM_ALIGN, "movntpd"),
	VECTOR(0x6e, 0x66, FORM_SHORT, "movd"), VECTOR(0x7e, 0x66, FORM_SHORT, "movd"),
	VECTOR(0x7e, 0xf3, FORM_SHORT, "movq"), VECTOR(0xd6, 0x66, FORM_SHORT, "movq"),
	VECTOR(0x6f, 0x66, FORM_ALIGN, "movdqa"), VECTOR(0x6f, 0xf3, 0, "movdqu"),
	VECTOR(0x7f, 0x66, FORM_ALIGN, "movdqa"), VECTOR(0x7f, 0xf3, 0, "movdqu"),
	VECTOR(0xe7, 0x66, FORM_ALIGN, "movntdq"), VECTOR(0xf0, 0xf2, 0, "lddqu"),
	{{0x0f, 0x38, 0x2a}, 3, -1, FORM_VECTOR | FORM_NP | FORM_MEMORY | FORM_ALIGN, "movntdqa", 0x66},
	PREFETCH(0x0d, 0), PREFETCH(0x0d, 1), PREFETCH(0x0d, 2), PREFETCH(0x0d, 3),
	PREFETCH(0x0d, 4), PREFETCH(0x0d, 5), PREFETCH(0x0d, 6), PREFETCH(0x0d, 7),
	PREFETCH(0x18, 0), PREFETCH(0x18, 1), PREFETCH(0x18, 2), PREFETCH(0x18, 3),
	LINE(0xae, 7, 0, "clflush"), LINE(0xae, 7, 0x66, "clflushopt"), LINE(0xae, 6, 0x66, "clwb"),
};
/* clang-format on */
const unsigned form_count = array_size(forms);

static uint64_t rng_state;

void rng_seed(uint64_t seed)
{
	rng_state = seed;
}

/* splitmix64: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014. */
uint64_t rng_next(void)
{
	uint64_t z = rng_state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static bool one_in(unsigned n)
{
	return rng_next() % n == 0;
}

static void put(struct sample *s, uint64_t value, unsigned size)
{
	/* The longest sample is shorter than the buffer; see sample_make. */
	for (unsigned i = 0; i < size && s->len < sizeof(s->bytes); i++)
		s->bytes[s->len++] = (uint8_t)(value >> i * 8);
}

/* What ModRM and SIB are going to be. */
struct place {
	unsigned address; /* address size in bytes */
	unsigned seg;	  /* override, or 6 */
	int base, index;  /* -1: none */
	unsigned scale;	  /* shift */
	bool rip;
	uint64_t disp;
	unsigned mod, rm, rex;
	bool rex_w;
};

#define NO_SEG 6u

static const uint8_t segment_prefix[6] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};

static void put_prefixes(struct sample *s, struct place *p, const struct layout *l)
{
	uint8_t list[8];
	unsigned n = 0, flags = s->form->flags;

	/* Real mode knows no VEX. */
	s->vex = flags & FORM_VECTOR && s->bits != 16 && one_in(2);
	if (s->form->prefix && !s->vex)
		list[n++] = s->form->prefix;
	if (!(flags & FORM_NP) && one_in(4)) {
		list[n++] = 0x66;
		s->size = s->bits == 16 ? 4 : 2;
	}
	if (one_in(6)) {
		list[n++] = 0x67;
		s->address_size = true;
	}
	if (one_in(4)) {
		unsigned seg = rng_next() % (l->gs || s->bits == 16 ? 6 : 4);

		/* Native code has a use of its own for FS; CS is fixed, and not for writing. */
		if (seg == VSEG_FS && s->bits != 16)
			seg = VSEG_GS;
		if (seg == VSEG_CS && s->bits != 64)
			seg = VSEG_ES;
		list[n++] = segment_prefix[seg];
		p->seg = s->bits == 64 && seg < VSEG_FS ? NO_SEG : seg;
	}
	if (flags & (FORM_SI | FORM_DI) ? !one_in(3)
					: !(flags & (FORM_NP | FORM_NOREP)) && one_in(16)) {
		s->rep = one_in(2);
		s->repne = !s->rep;
		list[n++] = s->rep ? 0xf3 : 0xf2;
	}
	if (flags & FORM_LOCK && s->memory && one_in(4)) {
		list[n++] = 0xf0;
		s->lock = true;
	}
	if (s->bits == 64 && !s->vex && one_in(12)) {
		list[n++] = 0x40 | rng_next() % 16; /* doesn't count, unless it comes last */
		s->stray_rex = true;
	}
	while (n) {
		unsigned pick = rng_next() % n;

		if (n == 1 && (list[pick] & 0xf0) == 0x40) {
			n--;
			continue;
		}
		put(s, list[pick], 1);
		list[pick] = list[--n];
	}
}

static bool is_byte(const struct sample *s)
{
	return s->form->flags & FORM_BYTE;
}

static void pick_operands(struct sample *s, struct place *p)
{
	unsigned regs = s->bits == 64 ? 16 : 8;

	p->mod = s->memory ? rng_next() % 3 : 3;
	p->base = (int)(rng_next() % regs);
	p->index = one_in(2) ? (int)(rng_next() % regs) : -1;
	p->scale = rng_next() % 4;
	p->disp = p->mod == 1	? (uint64_t)(int8_t)rng_next()
		  : p->mod == 2 ? (uint64_t)(int32_t)rng_next()
				: 0;
	if (p->index == GPR_RSP || p->index == p->base)
		p->index = -1;
	/* Base 5 (and r13) with mod 0 means none: a displacement alone, or with an index. */
	if (p->mod == 0 && (p->base & 7) == GPR_RBP)
		p->base = -1;
	if (p->base < 0)
		p->disp = (uint64_t)(int32_t)rng_next();
	if (p->base < 0 && p->index < 0 && s->bits == 64)
		p->rip = one_in(2);
}

/* BX or BP with SI or DI, or one of them, or a displacement alone. */
static void pick_operands16(struct sample *s, struct place *p)
{
	static const int8_t base[8] = {3, 3, 5, 5, 6, 7, 5, 3},
			    index[8] = {6, 7, 6, 7, -1, -1, -1, -1};

	p->mod = s->memory ? rng_next() % 3 : 3;
	p->rm = rng_next() % 8;
	p->base = base[p->rm];
	p->index = index[p->rm];
	p->scale = 0;
	p->disp = p->mod == 1 ? (uint64_t)(int8_t)rng_next() : p->mod ? rng_next() & 0xffff : 0;
	if (p->mod == 0 && p->rm == 6)
		p->base = -1;
}

static unsigned default_segment(const struct place *p)
{
	if (p->seg != NO_SEG)
		return p->seg;
	return p->base == GPR_RSP || p->base == GPR_RBP ? VSEG_SS : VSEG_DS;
}

/* The offset in a segment that leads to a linear address; real mode gets a suitable selector. */
static uint64_t offset_in(struct sample *s, unsigned seg, uint64_t linear)
{
	if (s->bits != 16)
		return linear - (seg == VSEG_GS ? GEN_GS : 0);
	s->selector[seg] = (uint16_t)((linear >> 4) - 0x20 - rng_next() % 0x400);
	return linear - ((uint64_t)s->selector[seg] << 4);
}

/* Puts a value of the address size into a register, with garbage above. */
static void set_address(struct sample *s, const struct place *p, int reg, uint64_t value)
{
	s->gpr[reg] = bytes_merge(rng_next(), value, 0, p->address);
	if (s->bits != 64)
		s->gpr[reg] &= size_mask(4);
}

/*
 * Register values for the operand to be at the target, which a bit number moves it to. False: this
 * place can't reach it.
 */
static bool solve(struct sample *s, struct place *p, uint64_t move, uint64_t next_rip)
{
	uint64_t mask = size_mask(p->address);
	uint64_t want = offset_in(s, default_segment(p), s->target) - move;

	/* Whether a moved address wraps at 64 KiB is a matter of opinion. */
	if (s->bits == 16 && want > 0xffff)
		return false;
	want -= p->disp;
	if (p->rip) {
		p->disp = want + p->disp - next_rip;
		return p->address < 8 || p->disp == (uint64_t)(int32_t)p->disp;
	}
	if (p->base >= 0) {
		if (p->index >= 0)
			want -= s->gpr[p->index] << p->scale;
		set_address(s, p, p->base, want);
		return true;
	}
	if (p->index >= 0) {
		p->disp += want & ((1u << p->scale) - 1);
		want &= mask & ~(uint64_t)((1u << p->scale) - 1);
		set_address(s, p, p->index, want >> p->scale);
		return true;
	}
	want += p->disp;
	p->disp = want;
	return p->address < 8 || want == (uint64_t)(int32_t)want;
}

static void put_modrm(struct sample *s, const struct place *p, unsigned reg)
{
	unsigned rm = p->mod == 3 || p->index < 0 ? (unsigned)p->base & 7 : 4;
	bool sib = p->mod < 3 && (p->index >= 0 || (p->base & 7) == GPR_RSP);

	if (p->address == 2 && p->mod < 3) {
		put(s, p->mod << 6 | (reg & 7) << 3 | p->rm, 1);
		put(s, p->disp, p->mod == 1 ? 1 : p->mod == 2 || p->base < 0 ? 2 : 0);
		return;
	}
	if (p->mod < 3 && p->base < 0) {
		/* In 64-bit mode the short form is relative to RIP. */
		sib = p->index >= 0 || (s->bits == 64 && !p->rip);
		put(s, (reg & 7) << 3 | (sib ? 4 : 5), 1);
		if (sib)
			put(s, p->scale << 6 | (p->index < 0 ? 4 : (p->index & 7)) << 3 | 5, 1);
		put(s, p->disp, 4);
		return;
	}
	put(s, p->mod << 6 | (reg & 7) << 3 | (sib ? 4 : rm), 1);
	if (sib)
		put(s, p->scale << 6 | (p->index < 0 ? 4 : (p->index & 7)) << 3 | (p->base & 7), 1);
	put(s, p->disp, p->mod == 1 ? 1 : p->mod == 2 ? 4 : 0);
}

static unsigned imm_size(const struct sample *s)
{
	if (s->form->flags & FORM_IMM8)
		return 1;
	return s->form->flags & FORM_IMMZ ? (s->size == 2 ? 2 : 4) : 0;
}

/* A place of up to 32 bytes in a window, often across a page; aligned for pairs. */
static uint64_t pick_target(const struct sample *s, uint64_t window)
{
	uint64_t at = one_in(4) ? PAGE_SIZE * (1 + rng_next() % 3) - rng_next() % 16
				: rng_next() % (GEN_WINDOW - 32);

	if (s->form->flags & FORM_PAIR)
		at &= ~15ull;
	if (s->form->flags & FORM_ALIGN)
		at &= ~31ull;
	if (s->form->flags & FORM_DIRECT)
		at = min_u64(at, GEN_WINDOW - 64);
	return window + at;
}

/* The opcode of a form without ModRM, and a REX of which only W means something. */
static void put_plain_opcode(struct sample *s)
{
	if (s->bits == 64 && one_in(3)) {
		put(s, 0x40 | rng_next() % 16, 1);
		if (s->bytes[s->len - 1] & 8 && !is_byte(s))
			s->size = 8;
	}
	put(s, s->form->opcode[0], 1);
}

/* A string's count and place, so that it stays in its window whichever way it goes. */
static bool make_string(struct sample *s, struct place *p, const struct layout *l)
{
	uint64_t middle = rng_next() % 0x1000 + 0x1800, other = rng_next() % 0x1000 + 0x1800;
	bool both = s->form->flags & FORM_SI && s->form->flags & FORM_DI;
	uint64_t dev = l->dev + middle, ram = l->ram + other;

	/* One selector can't lead to both windows. */
	if (both && s->bits == 16 && p->seg == VSEG_ES)
		return false;
	s->si_is_dev = both ? one_in(2) : s->form->flags & FORM_SI;
	s->target = dev;
	put_plain_opcode(s);
	if (s->form->flags & FORM_SI)
		set_address(s, p, GPR_RSI,
			offset_in(
				s, p->seg == NO_SEG ? VSEG_DS : p->seg, s->si_is_dev ? dev : ram));
	if (s->form->flags & FORM_DI)
		set_address(s, p, GPR_RDI, offset_in(s, VSEG_ES, s->si_is_dev ? ram : dev));
	set_address(s, p, GPR_RCX, rng_next() % 20);
	return true;
}

static void make_offset(struct sample *s, struct place *p, const struct layout *l)
{
	s->target = pick_target(s, l->dev);
	put_plain_opcode(s);
	put(s, offset_in(s, p->seg == NO_SEG ? VSEG_DS : p->seg, s->target), p->address);
}

/* How far the bit number in a register moves the address. */
static uint64_t bits_move(const struct sample *s, unsigned reg)
{
	unsigned unused = 64 - s->size * 8;
	int64_t number = (int64_t)(s->gpr[reg] << unused) >> unused;
	int64_t words = number >> (s->size == 8 ? 6 : s->size == 4 ? 5 : 4);

	return (uint64_t)(words * s->size);
}

static void make_stack(struct sample *s, const struct layout *l)
{
	uint64_t at = l->ram + rng_next() % 0x1000 + 0x1000;

	s->gpr[GPR_RSP] = s->bits == 16 ? offset_in(s, VSEG_SS, at) : at;
	if (s->bits == 64 && s->size != 2)
		s->size = 8;
}

static unsigned rex_bits(const struct place *p, unsigned reg)
{
	unsigned rex = (reg & 8) >> 1 | (p->rex_w ? 8 : 0);

	if (p->index >= 0)
		rex |= (p->index & 8) >> 2;
	if (p->base >= 0)
		rex |= (p->base & 8) >> 3;
	return rex || one_in(4) ? rex | 0x40 : 0;
}

/* VEX of two bytes where that says it all, and sometimes of three all the same; and the opcode. */
static void put_vex(struct sample *s, unsigned rex, bool halves)
{
	static const uint8_t prefixes[4] = {0, 0x66, 0xf3, 0xf2};
	unsigned pp = 0, map = s->form->opcodes - 1u, vvvv = 15, wide = rex & 8 ? 0x80 : 0;

	while (prefixes[pp] != s->form->prefix)
		pp++;
	if (halves)
		vvvv = s->bits == 64 ? rng_next() % 16 : 8 + rng_next() % 8;
	s->vex_256 = !(s->form->flags & FORM_SHORT) && one_in(2);
	if (map == 1 && !(rex & 11) && one_in(2)) {
		put(s, 0xc5, 1);
		put(s, (rex & 4 ? 0 : 0x80) | vvvv << 3 | (s->vex_256 ? 4 : 0) | pp, 1);
	} else {
		put(s, 0xc4, 1);
		put(s, ((~rex & 7) << 5) | map, 1);
		put(s, wide | vvvv << 3 | (s->vex_256 ? 4 : 0) | pp, 1);
	}
	put(s, s->form->opcode[s->form->opcodes - 1], 1);
}

/* Prefix REX, or VEX instead, and the opcode. */
static void put_opcode(struct sample *s, const struct place *p, unsigned reg)
{
	unsigned rex = s->bits == 64 ? rex_bits(p, reg) : 0;

	if (s->vex) {
		put_vex(s, rex, s->form->flags & FORM_HALVES);
		return;
	}
	put(s, rex, rex ? 1 : 0);
	for (unsigned i = 0; i < s->form->opcodes; i++)
		put(s, s->form->opcode[i], 1);
}

static bool make_modrm(struct sample *s, struct place *p, const struct layout *l)
{
	unsigned regs = s->bits == 64 ? 16 : 8, flags = s->form->flags, rm_len;
	unsigned reg = s->form->extension >= 0 ? (unsigned)s->form->extension : rng_next() % regs;
	uint64_t move = 0;

	if (p->address == 2)
		pick_operands16(s, p);
	else
		pick_operands(s, p);
	if (p->mod == 3) {
		p->index = -1;
		p->base = (int)(rng_next() % regs);
		p->rip = false;
	}
	p->rex_w = s->bits == 64 && one_in(3);
	if (p->rex_w && !is_byte(s))
		s->size = 8;
	if (flags & FORM_STACK)
		make_stack(s, l);
	s->target = pick_target(s, l->dev);
	/* The registers that the address needs are not free, nor is the stack's. */
	if (flags & FORM_BITS && ((int)reg == p->base || (int)reg == p->index))
		return false;
	if (flags & FORM_STACK && p->mod < 3 && (p->base == GPR_RSP || p->index == GPR_RSP))
		return false;
	if (flags & FORM_STACK && s->bits == 16 && default_segment(p) == VSEG_SS)
		return false;
	if (flags & FORM_BITS && s->memory) {
		s->gpr[reg] = bytes_merge(rng_next(), rng_next() % 0x8000 - 0x4000, 0, s->size);
		if (s->bits != 64)
			s->gpr[reg] &= size_mask(4);
		move = bits_move(s, reg);
	}
	/* To the other window, in ES. */
	if (flags & FORM_DIRECT) {
		uint64_t at = l->ram + (rng_next() % (GEN_WINDOW - 64) & ~63ull);

		if (p->seg == VSEG_ES || (int)reg == p->base || (int)reg == p->index)
			return false;
		set_address(s, p, (int)reg, offset_in(s, VSEG_ES, at));
	}
	put_opcode(s, p, reg);
	rm_len = 5; /* of the form that is relative to RIP */
	if (s->memory && !solve(s, p, move, l->code + s->len + rm_len + imm_size(s)))
		return false;
	s->base = p->base;
	s->index = p->index;
	put_modrm(s, p, reg);
	put(s, rng_next(), imm_size(s));
	return s->len <= 15;
}

static bool try_make(struct sample *s, const struct layout *l)
{
	struct place p = {.seg = NO_SEG, .base = -1, .index = -1};
	bool made = true;

	for (unsigned i = 0; i < GPR_COUNT; i++)
		s->gpr[i] = rng_next() & size_mask(s->bits == 64 ? 8 : 4);
	for (unsigned i = 0; i < 6; i++)
		s->selector[i] = (uint16_t)rng_next();
	s->size = s->bits == 16 ? 2 : 4;
	put_prefixes(s, &p, l);
	if (is_byte(s))
		s->size = 1;
	p.address = s->bits == 64 ? (s->address_size ? 4 : 8)
				  : ((s->bits == 32) != s->address_size ? 4 : 2);
	if (s->form->flags & (FORM_SI | FORM_DI))
		made = make_string(s, &p, l);
	else if (s->form->flags & FORM_OFFS)
		make_offset(s, &p, l);
	else
		made = make_modrm(s, &p, l);
	/* 16-bit addresses in 32-bit code reach no window. */
	return made && (s->bits != 32 || p.address == 4 || !s->memory || l->dev < 0x10000);
}

void sample_make(struct sample *s, const struct form *form, unsigned bits,
	const struct layout *layout, bool need_memory)
{
	do {
		memset(s, 0, sizeof(*s));
		s->form = form;
		s->bits = bits;
		s->memory = need_memory ||
			    form->flags & (FORM_MEMORY | FORM_OFFS | FORM_SI | FORM_DI) ||
			    !one_in(8);
	} while (!try_make(s, layout));
}
