/*
 * Whole exits: instruction, registers, rights of the pages, what the exit reports and how the
 * device answers are all the input's. Nothing may go wrong on our side, and an exception changes nothing.
 */
#include "base/bits.h"
#include "fakes/fake_guest.h"
#include "fakes/fake_vector.h"
#include "fuzz.h"
#include "input.h"
#include "mmio/decode.h"
#include "mmio/emulate.h"
#include "mmio/mmio.h"

static struct fake_guest g;
static uint8_t pool[256 * KIB] __attribute__((aligned(4096)));
static unsigned refuse_from; /* the first access that the device refuses */

/* Addresses at which something happens, and counts. */
static uint64_t take_value(struct input *in)
{
	static const uint64_t values[] = {FAKE_DEV, FAKE_DEV + PAGE_SIZE - 2,
		FAKE_DEV + FAKE_DEV_SIZE - 3, FAKE_DEV - 1, FAKE_DATA, FAKE_DATA + PAGE_SIZE - 1,
		FAKE_VIEW, FAKE_VIEW + PAGE_SIZE - 4, FAKE_VIEW + 2 * PAGE_SIZE - 1, 0, ~0ull, 3,
		1ull << 47, 0xfffffffe, 0xffff, 0xd0000000};
	uint8_t b = take(in);

	return values[b & 15] + (b >> 4);
}

static enum io_result answer(struct fake_guest *guest, struct io_access *a)
{
	MUST(a->size == 1 || a->size == 2 || a->size == 4 || a->size == 8);
	MUST(range_fits(a->offset, a->size, FAKE_DEV_SIZE));
	MUST(!a->write || a->value <= size_mask(a->size));
	return guest->accesses >= refuse_from ? IO_FAULT : IO_DONE;
}

static bool no_interrupt(void *chip)
{
	(void)chip;
	return false;
}

static void make_guest(struct input *in)
{
	static const struct irqchip_ops chip = {.pending = no_interrupt};
	static const uint64_t pages[] = {FAKE_DEV, FAKE_DATA, 0x90000000, FAKE_DEV + PAGE_SIZE};
	struct arena arena;

	fake_guest_init(&g, (enum fake_mode)(take(in) % (FAKE_COMPAT32 + 1)));
	arena_init(&arena, pool, hpa(0), sizeof(pool));
	MUST(!mmio_attach(&g.vm, &arena));
	g.cpu.reg[VREG_CR4] |= CR4_OSFXSR | CR4_OSXSAVE;
	g.vm.vcpu.fpu.guest_xcr0 = 7;
	fake_vector_avx = true;
	g.vm.irqchip = &chip;
	g.hook = answer;
	refuse_from = take(in);
	for (unsigned i = 0; i < 3; i++) {
		uint8_t b = take(in);

		fake_guest_map(
			&g, i, pages[b & 3], (uint64_t)(b >> 2 & 7) | (b & 0x80 ? BIT(51) : 0));
	}
	for (unsigned i = 0; i < 8; i++)
		g.vm.vcpu.gpr[i] = take_value(in);
	g.cpu.reg[VREG_RSP] = take_value(in);
	g.cpu.reg[VREG_RFLAGS] = RFLAGS_FIXED | take(in) | (uint64_t)(take(in) & 0xf) << 8;
	g.cpu.reg[VREG_CPL] = take(in) & 3;
	g.cpu.seg[VSEG_ES].limit >>= take(in) & 31;
	g.cpu.seg[VSEG_DS].attributes ^= take(in) & 15;
}

static struct vmexit make_exit(struct input *in)
{
	uint64_t rip = take(in) & 1 ? FAKE_CODE : FAKE_VIEW + PAGE_SIZE - 5;
	uint64_t at = take_value(in);
	uint8_t flags = take(in);
	struct vmexit e = fake_guest_exit(rip, at, flags & 1, flags & 2);

	if (flags & 4)
		e.u.npf.gla = take_value(in);
	e.u.npf.fetch = flags & 0x10 && flags & 0x20;
	e.u.npf.walk = flags & 0x40 && flags & 0x20;
	e.n_insn = flags & 8 ? (uint8_t)min_u64(in->size, INSN_MAX) : 0;
	for (unsigned i = 0; i < INSN_MAX; i++) {
		e.insn[i] = take(in);
		g.ram[FAKE_CODE + i] = e.insn[i];
		g.ram[FAKE_DATA + PAGE_SIZE - 5 + i] = e.insn[i];
	}
	return e;
}

/* Overwrites entries of the page tables, at every level: what is reserved, loops, leads nowhere. */
static void spoil_tables(struct input *in)
{
	static const uint64_t to[] = {FAKE_DEV, FAKE_DATA, FAKE_TABLES, 0x90000000, BIT(45), 0};
	static const uint64_t entries[] = {FAKE_TABLES, FAKE_TABLES + 0x1000,
		FAKE_TABLES + 0x2000 + FAKE_VIEW / GIB * PAGE_SIZE, FAKE_TABLES + 0x6000,
		FAKE_TABLES + 0x6008, FAKE_TABLES + 0x1008, FAKE_TABLES + 0x1018,
		FAKE_TABLES + 0x2000};

	while (in->size) {
		uint64_t at = entries[take(in) % array_size(entries)], entry = take(in);

		entry |= to[take(in) % array_size(to)];
		entry |= (uint64_t)(take(in) & 0x8f) << 56;
		memcpy(g.ram + at, &entry, 8);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint64_t gpr[GPR_COUNT], rsp, rflags;
	struct vmexit e;

	make_guest(&in);
	e = make_exit(&in);
	spoil_tables(&in);
	memcpy(gpr, g.vm.vcpu.gpr, sizeof(gpr));
	rsp = g.cpu.reg[VREG_RSP];
	rflags = g.cpu.reg[VREG_RFLAGS];
	g.cpu.reg[VREG_RIP] = e.rip;
	g.vm.handler[VMEXIT_NPF](&g.vm, &e);

	MUST(g.cpu.resumed <= 1);
	if (g.cpu.resumed && (rflags & RFLAGS_TF)) {
		/* A single step: it went on, into the debug exception. */
		MUST(g.vm.vcpu.event.type == VEVENT_EXCEPTION);
		MUST(g.vm.vcpu.event.vector == VECTOR_DB && g.vm.stop.reason == STOP_NONE);
	} else {
		/* Either it went on, or there is an exception, or the end. */
		MUST(g.cpu.resumed + (g.vm.vcpu.event.type != VEVENT_NONE) +
				(g.vm.stop.reason != STOP_NONE) ==
			1);
	}
	MUST(g.accesses <= EMULATE_STRING_MAX * 8);
	if (!g.cpu.resumed && !g.accesses) {
		MUST(!memcmp(gpr, g.vm.vcpu.gpr, sizeof(gpr)) && rsp == g.cpu.reg[VREG_RSP]);
		MUST(rflags == g.cpu.reg[VREG_RFLAGS] && g.cpu.reg[VREG_RIP] == e.rip);
	}
	return 0;
}
