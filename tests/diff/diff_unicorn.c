/*
 * The emulator against Unicorn, for the modes that a Linux process can't be in: real mode and
 * 32-bit code; and 64-bit code once more. The device is plain memory to Unicorn. What Unicorn 2.0.1 gets
 * wrong is masked; see keep_defined.
 */
#include <unicorn/unicorn.h>

#include "base/bits.h"
#include "state.h"
#include "test.h"

#define SAMPLES_PER_FORM 2000u
#define REPORTS_MAX	 10u

static struct fake_guest g;
static struct sample sample;
static struct layout layout;
static uc_engine *uc;
static unsigned reports, states;

static const int gprs64[] = {UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX,
	UC_X86_REG_RSP, UC_X86_REG_RBP, UC_X86_REG_RSI, UC_X86_REG_RDI, UC_X86_REG_R8,
	UC_X86_REG_R9, UC_X86_REG_R10, UC_X86_REG_R11, UC_X86_REG_R12, UC_X86_REG_R13,
	UC_X86_REG_R14, UC_X86_REG_R15, UC_X86_REG_EFLAGS};
static const int gprs32[] = {UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_EDX, UC_X86_REG_EBX,
	UC_X86_REG_ESP, UC_X86_REG_EBP, UC_X86_REG_ESI, UC_X86_REG_EDI};
static const int segments[] = {
	UC_X86_REG_ES, UC_X86_REG_CS, UC_X86_REG_SS, UC_X86_REG_DS, UC_X86_REG_FS, UC_X86_REG_GS};

static uint8_t window[3][GEN_WINDOW];

static void open_engine(unsigned bits)
{
	static const uc_mode modes[] = {[16] = UC_MODE_16, [32] = UC_MODE_32, [64] = UC_MODE_64};

	layout = (struct layout){
		.dev = bits == 16 ? 0xa0000 : FAKE_DEV, .ram = FAKE_DATA, .code = FAKE_CODE};
	emulated_init(&g, bits, &layout);
	CHECK(!uc_open(UC_ARCH_X86, modes[bits], &uc));
	CHECK(!uc_mem_map(uc, layout.code, GEN_WINDOW, UC_PROT_ALL));
	CHECK(!uc_mem_map(uc, layout.ram, GEN_WINDOW, UC_PROT_ALL));
	CHECK(!uc_mem_map(uc, layout.dev, GEN_WINDOW, UC_PROT_ALL));
}

static void copy_memory(void)
{
	emulated_fill(&g, &layout);
	CHECK(!uc_mem_write(uc, layout.dev, g.dev, GEN_WINDOW));
	CHECK(!uc_mem_write(uc, layout.ram, emulated_ram(&g, &layout), GEN_WINDOW));
}

static bool same_memory(void)
{
	uc_mem_read(uc, layout.dev, window[0], GEN_WINDOW);
	uc_mem_read(uc, layout.ram, window[1], GEN_WINDOW);
	return !memcmp(window[0], g.dev, GEN_WINDOW) &&
	       !memcmp(window[1], emulated_ram(&g, &layout), GEN_WINDOW);
}

/* The low halves of the vector registers: Unicorn lacks the upper ones. */
static void move_vectors(const struct sample *s, struct state *st, bool write)
{
	unsigned n = s->bits == 64 ? 16 : 8;

	for (unsigned i = 0; s->form->flags & FORM_VECTOR && i < n; i++) {
		int reg = UC_X86_REG_XMM0 + (int)i;

		if (write)
			uc_reg_write(uc, reg, st->vector[i]);
		else
			uc_reg_read(uc, reg, st->vector[i]);
	}
}

static bool run_unicorn(const struct sample *s, struct state *st)
{
	unsigned n = s->bits == 64 ? 16 : 8;
	const int *regs = s->bits == 64 ? gprs64 : gprs32;
	uint64_t end = layout.code + s->len;
	uc_err err;

	for (unsigned i = 0; i < n; i++)
		uc_reg_write(uc, regs[i], &st->gpr[i]);
	uc_reg_write(uc, UC_X86_REG_EFLAGS, &st->rflags);
	for (unsigned i = 0; s->bits == 16 && i < 6; i++) {
		uint64_t selector = i == VSEG_CS ? layout.code >> 4 : s->selector[i];

		uc_reg_write(uc, segments[i], &selector);
	}
	move_vectors(s, st, true);
	uc_mem_write(uc, layout.code, s->bytes, sizeof(s->bytes));
	/* The code of the sample before may still be in its cache. */
	uc_ctl_remove_cache(uc, layout.code, layout.code + 16);
	err = uc_emu_start(uc, layout.code, end, 0, 64);
	if (err)
		return false;
	for (unsigned i = 0; i < n; i++)
		uc_reg_read(uc, regs[i], &st->gpr[i]);
	uc_reg_read(uc, UC_X86_REG_EFLAGS, &st->rflags);
	move_vectors(s, st, false);
	return true;
}

/*
 * Leaves what is defined, and what Unicorn gets right: a successful 32-bit CMPXCHG zeroes
 * RAX[63:32], and LOCK NEG sets some flags from the operand instead of the result. diff/native has both right.
 */
static void keep_defined(const struct sample *s, struct state *st, uint64_t flags)
{
	st->rflags &= flags | RFLAGS_DF;
	if (!strcmp(s->form->name, "neg") && s->lock)
		st->rflags = 0;
	if (!strcmp(s->form->name, "cmpxchg") && s->size == 4)
		st->gpr[GPR_RAX] &= size_mask(4);
	for (unsigned i = 0; s->bits != 64 && i < 8; i++)
		st->gpr[i] &= size_mask(4);
	st->rip = 0;
}

/*
 * Unicorn lets a REX count that isn't right before the opcode, and forgets the immediate of SHLD
 * and SHRD when it computes an address relative to RIP. diff/native has both.
 */
static bool is_misread(const struct sample *s)
{
	bool rip = s->bits == 64 && s->base < 0 && s->index < 0;

	return s->vex || s->stray_rex ||
	       (rip && !strncmp(s->form->name, "sh", 2) && s->form->opcodes == 2);
}

static void one_sample(const struct form *form, unsigned bits)
{
	struct state before, want, got;
	uint8_t operand[16];
	uint64_t flags;

	sample_make(&sample, form, bits, &layout, true);
	before = state_random(&sample, &layout);
	if (is_undefined(&sample, &before) || is_misread(&sample))
		return;
	uc_mem_read(uc, sample.target, operand, sizeof(operand));
	state_make_equal(&sample, operand, &before);
	flags = defined_flags(&sample, &before);
	want = got = before;
	states++;
	if (!run_unicorn(&sample, &want) || !emulated_run(&g, &layout, &sample, &got)) {
		if (++reports < REPORTS_MAX) {
			printf("  not executed:\n");
			state_report(&sample, &before, &want, &got);
		}
		copy_memory();
		return;
	}
	keep_defined(&sample, &want, flags);
	keep_defined(&sample, &got, flags);
	if (memcmp(&want, &got, sizeof(want)) || !same_memory()) {
		if (++reports < REPORTS_MAX) {
			state_report(&sample, &before, &want, &got);
			printf("    memory %s\n", same_memory() ? "agrees" : "differs");
		}
		copy_memory();
	}
}

/* Unicorn lacks VEX, MOVBE, MOVDIRI, MOVDIR64B, CLFLUSHOPT, CLWB, and F6 /1 and F7 /1 as TEST; and SSE in real mode. */
static bool is_lacking(const struct form *f, unsigned bits)
{
	if (f->flags & FORM_VECTOR && bits == 16)
		return true;
	return !strcmp(f->name, "movbe") || !strncmp(f->name, "movdir", 6) ||
	       (f->flags & FORM_LINE && f->prefix) ||
	       (!strcmp(f->name, "test") && f->extension == 1);
}

static void forms_in_mode(unsigned bits)
{
	open_engine(bits);
	copy_memory();
	reports = 0;
	for (unsigned f = 0; f < form_count; f++) {
		if (forms[f].flags & (bits == 64 ? FORM_NO64 : FORM_64))
			continue;
		if (is_lacking(&forms[f], bits))
			continue;
		for (unsigned i = 0; i < SAMPLES_PER_FORM; i++)
			one_sample(&forms[f], bits);
	}
	CHECK_EQ(reports, 0);
	uc_close(uc);
}

static void forms_16(void)
{
	forms_in_mode(16);
}

static void forms_32(void)
{
	forms_in_mode(32);
}

static void forms_64(void)
{
	forms_in_mode(64);
}

int main(void)
{
	rng_seed(3);
	RUN(forms_16);
	RUN(forms_32);
	RUN(forms_64);
	printf("%u states\n", states);
	CHECK(states >= 1000000);
	return TEST_RESULT();
}
