/* The emulated side of a sample; see state.h. */
#include "state.h"
#include "base/bits.h"
#include "fakes/fake_vector.h"
#include "mmio/mmio.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VIEW_PAGES 16u
#define ENTRY_RW   0x67u
#define VIEW_RAM   0x100000ull /* guest-physical, behind the RAM and code windows of a view */

static uint8_t pool[256 * KIB] __attribute__((aligned(4096)));

static bool is_view(const struct layout *l)
{
	return l->dev == FAKE_VIEW;
}

/* Maps the device, RAM and code to the linear addresses that a native process can have. */
static void map_view(struct fake_guest *g, const struct layout *l)
{
	for (unsigned i = 0; i < GEN_WINDOW / PAGE_SIZE; i++) {
		unsigned ram = (unsigned)((l->ram - FAKE_VIEW) / PAGE_SIZE) + i;

		fake_guest_map(g, i, FAKE_DEV + i * PAGE_SIZE, ENTRY_RW);
		fake_guest_map(g, ram, VIEW_RAM + ram * PAGE_SIZE, ENTRY_RW);
	}
	fake_guest_map(g, (unsigned)((l->code - FAKE_VIEW) / PAGE_SIZE),
		VIEW_RAM + (l->code - FAKE_VIEW), ENTRY_RW);
}

void emulated_init(struct fake_guest *g, unsigned bits, const struct layout *l)
{
	struct arena arena;

	fake_guest_init(g, bits == 16 ? FAKE_REAL : bits == 32 ? FAKE_FLAT32 : FAKE_LONG);
	arena_init(&arena, pool, hpa(0), sizeof(pool));
	if (mmio_attach(&g->vm, &arena))
		abort();
	if (is_view(l))
		map_view(g, l);
	else if (region_move(&g->vm.mmio, &g->region, l->dev, true))
		abort();
	g->cpu.reg[VREG_CR4] |= CR4_OSFXSR | CR4_OSXSAVE;
	g->vm.vcpu.fpu.guest_xcr0 = 7;
	fake_vector_avx = true;
	if (bits != 16 && l->gs)
		g->cpu.seg[VSEG_GS].base = GEN_GS;
}

static uint8_t *ram_at(struct fake_guest *g, const struct layout *l, uint64_t linear)
{
	return g->ram + (is_view(l) ? VIEW_RAM + (linear - FAKE_VIEW) : linear);
}

uint8_t *emulated_ram(struct fake_guest *g, const struct layout *l)
{
	return ram_at(g, l, l->ram);
}

void emulated_fill(struct fake_guest *g, const struct layout *l)
{
	uint8_t *ram = emulated_ram(g, l);

	for (unsigned i = 0; i < GEN_WINDOW; i += 8) {
		uint64_t a = rng_next(), b = rng_next();

		memcpy(g->dev + i, &a, 8);
		memcpy(ram + i, &b, 8);
	}
}

struct state state_random(const struct sample *s, const struct layout *l)
{
	struct state st = {.rip = s->bits == 16 ? 0 : l->code};

	memcpy(st.gpr, s->gpr, sizeof(st.gpr));
	for (unsigned i = 0; s->form->flags & FORM_VECTOR && i < sizeof(st.vector) / 8; i++) {
		uint64_t v = rng_next();

		memcpy((uint8_t *)st.vector + i * 8, &v, 8);
	}
	st.rflags = RFLAGS_FIXED | (rng_next() & (ARITH_FLAGS | RFLAGS_DF));
	return st;
}

static void set_equal(
	const struct sample *s, struct state *st, int reg, const uint8_t *operand, unsigned size)
{
	if (reg != s->base && reg != s->index)
		memcpy(&st->gpr[reg], operand, size);
}

void state_make_equal(const struct sample *s, const uint8_t *operand, struct state *st)
{
	unsigned half = s->size == 8 ? 8 : 4;

	if (strncmp(s->form->name, "cmpxchg", 7) || rng_next() & 1)
		return;
	if (!(s->form->flags & FORM_PAIR)) {
		set_equal(s, st, GPR_RAX, operand, s->size);
		return;
	}
	set_equal(s, st, GPR_RAX, operand, half);
	set_equal(s, st, GPR_RDX, operand + half, half);
}

static void load(struct fake_guest *g, const struct layout *l, const struct sample *s,
	const struct state *st)
{
	memcpy(g->vm.vcpu.gpr, st->gpr, sizeof(st->gpr));
	g->cpu.reg[VREG_RSP] = st->gpr[GPR_RSP];
	g->cpu.reg[VREG_RFLAGS] = st->rflags;
	g->cpu.reg[VREG_RIP] = st->rip;
	g->vm.vcpu.event.type = VEVENT_NONE;
	memcpy(fake_vector, st->vector, sizeof(fake_vector));
	memcpy(ram_at(g, l, l->code), s->bytes, sizeof(s->bytes));
	for (unsigned i = 0; s->bits == 16 && i < 6; i++)
		g->cpu.seg[i].base = (uint64_t)s->selector[i] << 4;
	if (s->bits == 16)
		g->cpu.seg[VSEG_CS].base = l->code;
}

bool emulated_run(
	struct fake_guest *g, const struct layout *l, const struct sample *s, struct state *st)
{
	bool string = s->form->flags & (FORM_SI | FORM_DI);
	unsigned index = s->si_is_dev ? GPR_RSI : GPR_RDI;
	uint64_t end = st->rip + s->len;

	load(g, l, s, st);
	for (unsigned i = 0; i < 64 && g->cpu.reg[VREG_RIP] != end; i++) {
		int16_t moved = (int16_t)(g->vm.vcpu.gpr[index] - st->gpr[index]);
		uint64_t linear = s->target + (string ? (uint64_t)moved : 0);
		uint64_t offset = linear - l->dev;
		struct vmexit e = fake_guest_exit(g->cpu.reg[VREG_RIP], linear, true, i % 2);

		e.u.npf.gpa = gpa((is_view(l) ? FAKE_DEV : l->dev) + offset);
		e.u.npf.write = rng_next() & 1;
		g->vm.handler[VMEXIT_NPF](&g->vm, &e);
		if (g->vm.vcpu.event.type != VEVENT_NONE || g->vm.stop.reason != STOP_NONE)
			return false;
	}
	memcpy(st->gpr, g->vm.vcpu.gpr, sizeof(st->gpr));
	st->gpr[GPR_RSP] = g->cpu.reg[VREG_RSP];
	st->rflags = g->cpu.reg[VREG_RFLAGS];
	st->rip = g->cpu.reg[VREG_RIP];
	memcpy(st->vector, fake_vector, sizeof(fake_vector));
	return st->rip == end;
}

/* The count of a shift as the CPU takes it. */
static unsigned shift_count(const struct sample *s, const struct state *before)
{
	uint8_t op = s->form->opcode[s->form->opcodes - 1];
	unsigned mask = s->size == 8 ? 63 : 31;

	if (s->form->flags & FORM_IMM8)
		return s->bytes[s->len - 1] & mask;
	if (op == 0xd0 || op == 0xd1)
		return 1;
	return before->gpr[GPR_RCX] & mask;
}

static bool is_one_of(const char *name, const char *list)
{
	const char *at = strstr(list, name);
	size_t n = strlen(name);

	return at && (at == list || at[-1] == ' ') && (at[n] == ' ' || !at[n]);
}

bool is_undefined(const struct sample *s, const struct state *before)
{
	return is_one_of(s->form->name, "shld shrd") && shift_count(s, before) > s->size * 8;
}

#define CF 0x001ull
#define PF 0x004ull
#define AF 0x010ull
#define SF 0x080ull
#define OF 0x800ull

uint64_t defined_flags(const struct sample *s, const struct state *before)
{
	const char *name = s->form->name;
	unsigned bits = s->size * 8, count;

	if (is_one_of(name, "and or xor test"))
		return ARITH_FLAGS & ~AF;
	if (is_one_of(name, "bt bts btr btc"))
		return ARITH_FLAGS & ~(OF | SF | AF | PF);
	if (!is_one_of(name, "rol ror rcl rcr shl shr sar shld shrd"))
		return ARITH_FLAGS;
	count = shift_count(s, before);
	if (!count)
		return ARITH_FLAGS;
	return ARITH_FLAGS & ~(count == 1 ? 0 : OF) &
	       ~(is_one_of(name, "rol ror rcl rcr") ? 0 : AF) &
	       ~(is_one_of(name, "shl shr") && count >= bits ? CF : 0);
}

static void report_value(const char *name, uint64_t before, uint64_t want, uint64_t got)
{
	if (want != got)
		printf("    %s: before %" PRIx64 ", want %" PRIx64 ", got %" PRIx64 "\n", name,
			before, want, got);
}

void state_report(const struct sample *s, const struct state *before, const struct state *want,
	const struct state *got)
{
	static const char *const names[GPR_COUNT] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
		"rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};

	printf("  %s, %u bits:", s->form->name, s->bits);
	for (unsigned i = 0; i < s->len; i++)
		printf(" %02x", s->bytes[i]);
	printf(", operand at %" PRIx64 "\n", s->target);
	for (unsigned i = 0; i < GPR_COUNT; i++)
		report_value(names[i], before->gpr[i], want->gpr[i], got->gpr[i]);
	for (unsigned i = 0; i < 16; i++)
		if (memcmp(want->vector[i], got->vector[i], 32))
			printf("    vector %u\n", i);
	report_value("rip", before->rip, want->rip, got->rip);
	report_value("rflags", before->rflags, want->rflags, got->rflags);
}
