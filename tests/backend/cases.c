/* The cases of the back-end test, and their table. Each has a guest of its name in guest.S. */
#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "bench.h"
#include "hw/cpu.h"

#define PATTERN 0x1122334455667788ull

static struct vcpu *vcpu(struct bench *b)
{
	return &b->vm.vcpu;
}

/* First in the table: the vCPU is as init left it. */
static void power_on(struct bench *b)
{
	struct vcpu_segment cs;
	struct guest_code code = code_reset();
	struct vmexit e;

	memcpy(b->reset_page + 0xff0, code.start, (size_t)(code.end - code.start));
	b->ops->get_seg(vcpu(b), VSEG_CS, &cs);
	bench_check_eq(b, cs.selector, 0xf000, "CS selector");
	bench_check_eq(b, cs.base, 0xffff0000, "CS base");
	bench_check_eq(b, cs.limit, 0xffff, "CS limit");
	bench_check_eq(b, vcpu_get(vcpu(b), VREG_RFLAGS), 2, "RFLAGS");
	bench_check_eq(b, vcpu_get(vcpu(b), VREG_CPL), 0, "CPL");
	if (bench_step(b, VMEXIT_CPUID, 0xfff0, 2, &e))
		bench_expect(b, VMEXIT_HLT, 0xfff2, 1, &e);
}

static void cpuid(struct bench *b)
{
	struct vcpu *v = vcpu(b);
	struct vmexit e;

	bench_start_real(b, code_cpuid());
	if (!bench_step(b, VMEXIT_CPUID, GUEST_CODE + 12, 2, &e))
		return;
	bench_check_eq(b, v->gpr[GPR_RAX], 1, "RAX");
	bench_check_eq(b, v->gpr[GPR_RCX], 7, "RCX");
	v->gpr[GPR_RBX] = PATTERN;
	if (bench_expect_end(b))
		bench_check_eq(b, v->gpr[GPR_RBX], PATTERN, "RBX");
}

static void check_pio(
	struct bench *b, const struct vmexit *e, uint16_t port, unsigned size, bool in)
{
	bench_check_eq(b, e->u.pio.port, port, "port");
	bench_check_eq(b, e->u.pio.size, size, "size");
	bench_check_eq(b, e->u.pio.in, in, "direction");
}

static void pio(struct bench *b)
{
	static const struct {
		uint16_t port;
		uint8_t size, len;
		bool in;
	} accesses[] = {
		{0x80, 1, 2, false},
		{0x1234, 2, 1, false},
		{0x1234, 4, 2, false},
		{0x81, 1, 2, true},
		{0x1234, 2, 1, true},
		{0x1234, 4, 2, true},
	};
	struct vmexit e;

	bench_start_real(b, code_pio());
	for (unsigned i = 0; i < array_size(accesses); i++) {
		if (!bench_step(b, VMEXIT_PIO, RIP_ANY, accesses[i].len, &e))
			return;
		check_pio(b, &e, accesses[i].port, accesses[i].size, accesses[i].in);
		bench_check(b, !e.u.pio.string && !e.u.pio.rep, "taken for a string instruction");
		bench_check_eq(b, vcpu(b)->gpr[GPR_RAX], 0x11223344, "RAX");
	}
	bench_expect_end(b);
}

static void pio_string(struct bench *b)
{
	static const struct {
		uint8_t size, len;
		bool in, rep;
	} accesses[] = {
		{1, 2, false, true}, {2, 1, true, false}, {4, 3, true, true}, {4, 2, false, false}};
	struct vcpu *v = vcpu(b);
	struct vmexit e;

	bench_start_real(b, code_pio_string());
	for (unsigned i = 0; i < array_size(accesses); i++) {
		if (!bench_step(b, VMEXIT_PIO, RIP_ANY, accesses[i].len, &e))
			return;
		check_pio(b, &e, 0x1234, accesses[i].size, accesses[i].in);
		bench_check(b, e.u.pio.string, "not taken for a string instruction");
		bench_check_eq(b, e.u.pio.rep, accesses[i].rep, "rep");
		bench_check_eq(b, v->gpr[GPR_RCX], 3, "RCX");
		bench_check_eq(b, v->gpr[GPR_RSI], 0x9000, "RSI");
		bench_check_eq(b, v->gpr[GPR_RDI], 0x9100, "RDI");
	}
	bench_expect_end(b);
}

static void long_entry(struct bench *b)
{
	const uint64_t *gpr = vcpu(b)->gpr;

	bench_start_long(b, code_long_entry());
	if (!bench_expect_end(b))
		return;
	bench_check_eq(b, gpr[GPR_RAX], 0x10, "CS");
	bench_check_eq(b, gpr[GPR_RBX], 0x18, "SS");
	bench_check_eq(b, gpr[GPR_RCX], CR0_PG | CR0_WP | CR0_ET | CR0_PE, "CR0");
	bench_check_eq(b, gpr[GPR_RDX], CR4_PAE, "CR4");
	bench_check_eq(b, gpr[GPR_RSI], GUEST_PML4, "CR3");
	bench_check_eq(b, gpr[GPR_RDI], RFLAGS_FIXED, "RFLAGS");
	bench_check_eq(b, gpr[GPR_R8], GUEST_STACK, "RSP");
	bench_check_eq(b, gpr[GPR_R10], 0x123456789abcdef0, "a 64-bit immediate");
}

static void gprs(struct bench *b)
{
	struct vcpu *v = vcpu(b);
	struct vmexit e;

	bench_start_long(b, code_gprs());
	for (unsigned i = 0; i < GPR_COUNT; i++)
		vcpu_write_gpr(v, i, PATTERN * (i + 1));
	if (!bench_step(b, VMEXIT_CPUID, GUEST_CODE, 2, &e))
		return;
	for (unsigned i = 0; i < GPR_COUNT; i++) {
		bench_check_eq(b, vcpu_read_gpr(v, i), PATTERN * (i + 1), "a register out");
		vcpu_write_gpr(v, i, ~PATTERN * (i + 1));
	}
	if (!bench_expect_end(b))
		return;
	for (unsigned i = 0; i < GPR_COUNT; i++)
		bench_check_eq(b, bench_peek(b, GUEST_DATA + i * 8, 8), ~PATTERN * (i + 1),
			"a register in");
}

static bool msr_read(struct bench *b, uint32_t index, uint64_t value)
{
	struct vmexit e;

	if (!bench_step(b, VMEXIT_MSR, RIP_ANY, 2, &e))
		return false;
	bench_check_eq(b, e.u.msr.index, index, "index");
	bench_check(b, !e.u.msr.write, "a read taken for a write");
	vcpu_set_edx_eax(vcpu(b), value);
	return true;
}

static bool msr_write(struct bench *b, uint32_t index, uint64_t value)
{
	struct vmexit e;

	if (!bench_step(b, VMEXIT_MSR, RIP_ANY, 2, &e))
		return false;
	bench_check_eq(b, e.u.msr.index, index, "index");
	bench_check(b, e.u.msr.write, "a write taken for a read");
	bench_check_eq(b, e.u.msr.value, value, "value");
	return true;
}

static void msr(struct bench *b)
{
	struct vcpu *v = vcpu(b);
	const uint64_t efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;

	bench_start_long(b, code_msr());
	bench_check_eq(b, vcpu_get(v, VREG_EFER), EFER_LME | EFER_LMA, "EFER at first");
	if (!msr_read(b, MSR_EFER, efer) || !msr_write(b, MSR_EFER, efer))
		return;
	vcpu_set(v, VREG_EFER, efer);
	bench_check_eq(b, vcpu_get(v, VREG_EFER), efer, "EFER");
	if (!msr_read(b, MSR_PAT, PATTERN) || !msr_write(b, MSR_PAT, PATTERN) ||
		!msr_read(b, 0x12345, 0xabcd00001234) || !msr_write(b, MSR_TSC, 0xabcd00001234))
		return;
	bench_expect_end(b);
}

static void direct(struct bench *b)
{
	struct vcpu *v = vcpu(b);
	struct vcpu_segment gs, fs;
	struct vmexit e;

	bench_start_long(b, code_direct());
	if (!bench_step(b, VMEXIT_HLT, RIP_ANY, 1, &e))
		return;
	vcpu_window(v, false);
	bench_check_eq(b, vcpu_get(v, VREG_LSTAR), 0xffff800089abcdef, "LSTAR out");
	b->ops->get_seg(v, VSEG_GS, &gs);
	bench_check_eq(b, gs.base, 0x500012340, "GS base out");
	b->ops->get_seg(v, VSEG_FS, &fs);
	fs.base = 0x600000001;
	b->ops->set_seg(v, VSEG_FS, &fs);
	/* Once with a window between the exit and the next entry, once without. */
	if (!bench_step(b, VMEXIT_CPUID, RIP_ANY, 2, &e))
		return;
	bench_check_eq(b, v->gpr[GPR_RSI] << 32 | v->gpr[GPR_RBX], 0x600000001, "FS base in");
	vcpu_set(v, VREG_LSTAR, 0x7fff12345678);
	if (!bench_expect_end(b))
		return;
	bench_check_eq(b, v->gpr[GPR_RDX] << 32 | v->gpr[GPR_RAX], 0x7fff12345678, "LSTAR in");
	b->ops->get_seg(v, VSEG_GS, &gs);
	bench_check_eq(b, gs.selector, 0x18, "GS selector");
	bench_check_eq(b, gs.base, 0, "GS base after a load");
}

static void cr(struct bench *b)
{
	struct vcpu *v = vcpu(b);
	const uint64_t cr0 = CR0_PG | CR0_WP | CR0_ET | CR0_PE;

	bench_start_long(b, code_cr());
	if (!bench_expect_end(b))
		return;
	bench_check_eq(b, v->gpr[GPR_RBX], cr0 | CR0_MP | CR0_TS, "CR0 as the guest reads it");
	bench_check_eq(b, v->gpr[GPR_RSI], cr0 | CR0_MP, "CR0 after CLTS");
	bench_check_eq(b, v->gpr[GPR_RDI], CR4_PAE | 0x680, "CR4 as the guest reads it");
	bench_check_eq(b, v->gpr[GPR_R8], 5, "CR8");
	bench_check_eq(b, vcpu_get(v, VREG_CR0), cr0 | CR0_MP, "vcpu CR0");
	bench_check_eq(b, vcpu_get(v, VREG_CR3), GUEST_PML4, "vcpu CR3");
	bench_check_eq(b, vcpu_get(v, VREG_CR4), CR4_PAE | 0x680, "vcpu CR4");
}

/* One access without a mapping; the guest goes on len bytes later, or at the address in R12. */
static bool npf_exit(struct bench *b, uint64_t at, bool write, bool fetch, unsigned len)
{
	struct vcpu *v = vcpu(b);
	struct vmexit e;

	if (!bench_expect(b, VMEXIT_NPF, RIP_ANY, 0, &e))
		return false;
	bench_check_eq(b, e.u.npf.gpa.v, at, "gpa");
	bench_check_eq(b, e.u.npf.fetch, fetch, "fetch");
	bench_check_eq(b, e.u.npf.walk, false, "walk");
	bench_check_eq(b, e.u.npf.write, write, "write");
	if (e.u.npf.gla_valid && at >= GUEST_ABSENT)
		bench_check_eq(b, e.u.npf.gla, at - GUEST_ABSENT + GUEST_ALIAS, "gla");
	v->ops->resume_at(v, fetch ? v->gpr[GPR_R12] : e.rip + len);
	return true;
}

static void npf(struct bench *b)
{
	struct vcpu *v = vcpu(b);
	struct vmexit e;

	bench_start_long(b, code_npf());
	v->gpr[GPR_RBX] = GUEST_ALIAS;
	v->gpr[GPR_RSI] = GUEST_ALIAS + 0x1234;
	v->gpr[GPR_RDI] = GUEST_NOEXEC + 0x10;
	v->gpr[GPR_R8] = GUEST_BADWALK + 0x18;
	if (!npf_exit(b, GUEST_ABSENT + 0x10, false, false, 3) ||
		!npf_exit(b, GUEST_ABSENT + 0x123, true, false, 6) ||
		!npf_exit(b, GUEST_READONLY + 0x11, true, false, 8) ||
		!npf_exit(b, GUEST_ABSENT + 0x1234, false, true, 0) ||
		!npf_exit(b, GUEST_NOEXEC + 0x10, false, true, 0))
		return;
	if (!bench_expect(b, VMEXIT_NPF, RIP_ANY, 0, &e))
		return;
	bench_check(b, e.u.npf.walk, "a walk isn't told");
	bench_check_eq(b, e.u.npf.gpa.v, GUEST_ABSENT + 0x2000, "gpa of the walk");
	v->ops->resume_at(v, e.rip + 3);
	/* A read-modify-write may be told as either. */
	if (!bench_expect(b, VMEXIT_NPF, RIP_ANY, 0, &e))
		return;
	bench_check_eq(b, e.u.npf.gpa.v, GUEST_ABSENT + 0x20, "gpa of the locked access");
	v->ops->resume_at(v, e.rip + 4);
	if (!npf_exit(b, GUEST_ABSENT, false, false, 2))
		return;
	bench_check_eq(b, v->gpr[GPR_RCX], 2, "RCX");
	bench_expect_end(b);
}

static void exceptions(struct bench *b)
{
	struct vcpu *v = vcpu(b);
	struct vmexit e;

	bench_start_long(b, code_events());
	if (!bench_expect(b, VMEXIT_CPUID, GUEST_CODE, 2, &e))
		return;
	vcpu_raise(v, VECTOR_UD);
	if (!bench_expect_gate(b, VECTOR_UD, GUEST_CODE, 0))
		return;
	bench_leave_gate(b, GUEST_CODE + 2);
	if (!bench_expect(b, VMEXIT_CPUID, GUEST_CODE + 2, 2, &e))
		return;
	vcpu_raise_error(v, VECTOR_GP, 0x1238);
	if (!bench_expect_gate(b, VECTOR_GP, GUEST_CODE + 2, 0x1238))
		return;
	bench_leave_gate(b, GUEST_CODE + 4);
	if (!bench_expect(b, VMEXIT_CPUID, GUEST_CODE + 4, 2, &e))
		return;
	vcpu_set(v, VREG_CR2, PATTERN);
	vcpu_raise_error(v, VECTOR_PF, 2);
	if (!bench_expect_gate(b, VECTOR_PF, GUEST_CODE + 4, 2))
		return;
	bench_check_eq(b, vcpu_get(v, VREG_CR2), PATTERN, "CR2");
	bench_leave_gate(b, GUEST_CODE + 6);
	bench_expect_end(b);
}

static void nmi(struct bench *b)
{
	struct vmexit e;

	bench_start_long(b, code_events());
	if (!bench_expect(b, VMEXIT_CPUID, GUEST_CODE, 2, &e))
		return;
	vcpu(b)->event = (struct vcpu_event){.type = VEVENT_NMI, .vector = 2};
	if (!bench_expect_gate(b, 2, GUEST_CODE, 0))
		return;
	bench_leave_gate(b, b->end - 1);
	bench_expect_end(b);
}

/* Through the table of real mode: the gate returns to the HLT. */
static void real_interrupt(struct bench *b)
{
	struct vcpu *v = vcpu(b);
	struct vmexit e;

	bench_start_real(b, code_real_event());
	bench_poke(b, 0x21 * 4, 4, GUEST_CODE + 3);
	if (!bench_step(b, VMEXIT_CPUID, GUEST_CODE, 2, &e))
		return;
	vcpu_set(v, VREG_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	v->event = (struct vcpu_event){.type = VEVENT_INTR, .vector = 0x21};
	if (!bench_step(b, VMEXIT_PIO, GUEST_CODE + 3, 2, &e))
		return;
	bench_check_eq(b, vcpu_get(v, VREG_RSP), GUEST_STACK - 6, "RSP in the gate");
	bench_expect(b, VMEXIT_HLT, GUEST_CODE + 2, 1, &e);
}

static void interrupt(struct bench *b)
{
	struct vcpu *v = vcpu(b);
	const uint64_t cpuid_at = GUEST_CODE + 9;
	struct vmexit e;

	bench_start_long(b, code_interrupt());
	if (!bench_step(b, VMEXIT_CPUID, cpuid_at, 2, &e))
		return;
	bench_check(b, !vcpu_can_interrupt(v), "interruptible with IF clear");
	v->want_window = true;
	/* STI covers one instruction. */
	if (!bench_expect(b, VMEXIT_WINDOW, cpuid_at + 4, 0, &e))
		return;
	bench_check(b, vcpu_can_interrupt(v), "not interruptible in the window");
	v->want_window = false;
	v->event = (struct vcpu_event){.type = VEVENT_INTR, .vector = 0x21};
	if (!bench_expect_gate(b, 0x21, cpuid_at + 4, 0))
		return;
	bench_check(b, v->event.type == VEVENT_NONE, "the event is still there");
	bench_check(b, !vcpu_can_interrupt(v), "interruptible in the gate");
	bench_leave_gate(b, 0);
	bench_expect_end(b);
}

static void shadow(struct bench *b)
{
	struct vcpu *v = vcpu(b);
	struct vmexit e;

	bench_start_long(b, code_shadow());
	if (!bench_expect(b, VMEXIT_CPUID, GUEST_CODE + 1, 2, &e))
		return;
	bench_check_eq(b, vcpu_get(v, VREG_INTR_SHADOW), 1, "shadow after STI");
	bench_check(b, !vcpu_can_interrupt(v), "interruptible in the shadow");
	v->ops->resume_at(v, e.rip + 2);
	bench_check_eq(b, vcpu_get(v, VREG_INTR_SHADOW), 0, "shadow after emulation");
	bench_check(b, vcpu_can_interrupt(v), "not interruptible after emulation");
	if (!bench_step(b, VMEXIT_CPUID, RIP_ANY, 2, &e))
		return;
	if (!bench_step(b, VMEXIT_CPUID, RIP_ANY, 2, &e))
		return;
	/* STI; HLT: the halt comes first, then the window. */
	v->want_window = true;
	if (!bench_expect(b, VMEXIT_HLT, b->end - 3, 1, &e))
		return;
	bench_check_eq(b, vcpu_get(v, VREG_INTR_SHADOW), 1, "shadow at STI; HLT");
	/* The same when the guest was left between the two. */
	if (!bench_step(b, VMEXIT_HLT, b->end - 3, 1, &e))
		return;
	if (!bench_expect(b, VMEXIT_WINDOW, b->end - 2, 0, &e))
		return;
	v->want_window = false;
	bench_expect_end(b);
}

/* Delivery through a table that isn't mapped: the event is there again, and comes once it is. */
static void redeliver(struct bench *b, uint32_t hole, struct vcpu_event event)
{
	struct vcpu *v = vcpu(b);
	struct vcpu_segment idt = {.limit = 64 * 16 - 1, .base = hole};
	struct vmexit e;
	int err;

	bench_start_long(b, code_events());
	memcpy(b->ram + hole, b->ram + GUEST_IDT, PAGE_SIZE);
	v->ops->set_seg(v, VSEG_IDTR, &idt);
	if (!bench_expect(b, VMEXIT_CPUID, GUEST_CODE, 2, &e))
		return;
	/* Only where the guest can take it: VMX refuses an interrupt that IF shuts out. */
	if (event.type == VEVENT_INTR)
		vcpu_set(v, VREG_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	v->event = event;
	if (!bench_expect(b, VMEXIT_NPF, RIP_ANY, 0, &e))
		return;
	bench_check_eq(b, align_down(e.u.npf.gpa.v, PAGE_SIZE), hole, "gpa");
	bench_check_eq(b, v->event.type, event.type, "type of the event");
	bench_check_eq(b, v->event.vector, event.vector, "vector of the event");
	bench_check_eq(b, v->event.has_error, event.has_error, "has_error of the event");
	bench_check_eq(b, v->event.error, event.error, "error of the event");
	err = slpt_map(&b->vm.slpt, gpa(hole), hpa((uintptr_t)b->ram + hole), PAGE_SIZE, SLPT_ALL,
		SLPT_WB);
	bench_check(b, !err, "the hole can't be mapped");
	v->ops->flush(v);
	if (!bench_expect_gate(b, event.vector, GUEST_CODE, event.error))
		return;
	bench_leave_gate(b, b->end - 1);
	bench_expect_end(b);
}

/* INT n isn't injected again, as it runs again. */
static void redeliver_software(struct bench *b)
{
	const uint32_t hole = GUEST_HOLES + 2 * PAGE_SIZE;
	struct vcpu *v = vcpu(b);
	struct vcpu_segment idt = {.limit = 64 * 16 - 1, .base = hole};
	struct vmexit e;
	int err;

	bench_start_long(b, code_software());
	memcpy(b->ram + hole, b->ram + GUEST_IDT, PAGE_SIZE);
	v->ops->set_seg(v, VSEG_IDTR, &idt);
	if (!bench_expect(b, VMEXIT_NPF, GUEST_CODE, 0, &e))
		return;
	bench_check_eq(b, v->event.type, VEVENT_NONE, "type of the event");
	err = slpt_map(&b->vm.slpt, gpa(hole), hpa((uintptr_t)b->ram + hole), PAGE_SIZE, SLPT_ALL,
		SLPT_WB);
	bench_check(b, !err, "the hole can't be mapped");
	v->ops->flush(v);
	if (!bench_expect_gate(b, 0x30, GUEST_CODE + 2, 0))
		return;
	bench_leave_gate(b, 0);
	bench_expect_end(b);
}

static void redeliver_interrupt(struct bench *b)
{
	redeliver(b, GUEST_HOLES, (struct vcpu_event){.type = VEVENT_INTR, .vector = 0x22});
}

static void redeliver_exception(struct bench *b)
{
	redeliver(b, GUEST_HOLES + PAGE_SIZE,
		(struct vcpu_event){VEVENT_EXCEPTION, VECTOR_GP, true, 0x4560});
}

static void shutdown(struct bench *b)
{
	struct vcpu_segment none = {0};
	struct vmexit e;

	bench_start_long(b, code_shutdown());
	b->ops->set_seg(vcpu(b), VSEG_IDTR, &none);
	bench_next(b, &e);
	if (!b->failed && e.kind != VMEXIT_SHUTDOWN)
		bench_fail(b, "an exit of another kind");
}

static void cache(struct bench *b)
{
	struct vmexit e;

	bench_start_long(b, code_cache());
	if (bench_step(b, VMEXIT_CACHE, GUEST_CODE, 2, &e) &&
		bench_step(b, VMEXIT_CACHE, GUEST_CODE + 2, 2, &e))
		bench_expect_end(b);
}

/* Whether the CPU raises #UD itself or leaves it to us: the guest sees no difference. */
static void undefined(struct bench *b)
{
	struct vcpu *v = vcpu(b);
	struct vmexit e;

	bench_start_long(b, code_undefined());
	for (uint64_t at = GUEST_CODE; at < b->end; at += 8) {
		v->gpr[GPR_RAX] = v->gpr[GPR_RCX] = v->gpr[GPR_RDX] = 0;
		v->ops->resume_at(v, at);
		if (!bench_next(b, &e))
			return;
		if (e.kind == VMEXIT_UNDEFINED) {
			bench_check_eq(b, e.rip, at, "rip");
			vcpu_raise(v, VECTOR_UD);
			if (!bench_next(b, &e))
				return;
		}
		bench_check(b, e.kind == VMEXIT_PIO && e.u.pio.port == EVENT_PORT,
			"an instruction that isn't undefined");
		bench_check_eq(b, v->gpr[GPR_RAX], VECTOR_UD, "vector");
		bench_check_eq(b, v->gpr[GPR_RCX], at, "rip of #UD");
		vcpu_set(v, VREG_RSP, GUEST_STACK);
	}
}

/* The firmware's own view in the windows of this case. */
static void check_tick(struct bench *b)
{
	const struct host_view *now = &b->at_tick, *found = &b->found;

	for (unsigned i = 0; i < array_size(now->dr); i++)
		bench_check_eq(b, now->dr[i], found->dr[i], "DR0 to DR3 in a window");
	bench_check_eq(b, now->dr7, found->dr7, "DR7 in a window");
	bench_check_eq(b, now->xcr0, found->xcr0, "XCR0 in a window");
	bench_check_eq(b, now->fs_base, found->fs_base, "FS base in a window");
	bench_check_eq(b, now->gs_base, found->gs_base, "GS base in a window");
	bench_check_eq(b, now->star, found->star, "STAR in a window");
	bench_check_eq(b, now->lstar, found->lstar, "LSTAR in a window");
}

#define VECTOR_BYTES 32u
#define VECTOR_AREA  (16u * VECTOR_BYTES)
#define CPUID_AVX    (BIT(28) | BIT(26)) /* leaf 1 ECX, with XSAVE */
#define XCR0_AVX     7u
#define MXCSR	     0x7f80u /* rounds to zero */
#define FCW	     0x0f7fu

/* All vector registers, while the firmware's interrupts come and go; the host's: bench_run_case. */
static void vectors(struct bench *b)
{
	bool avx = (hw_cpuid(1, 0).ecx & CPUID_AVX) == CPUID_AVX;
	unsigned bytes = avx ? VECTOR_BYTES : 16;

	bench_start_long(b, code_vectors());
	vcpu(b)->gpr[GPR_R15] = avx ? XCR0_AVX : 0;
	for (unsigned i = 0; i < VECTOR_AREA; i += 8)
		bench_poke(b, GUEST_DATA + i, 8, PATTERN + i);
	bench_poke(b, GUEST_DATA + 0x200, 4, MXCSR);
	bench_poke(b, GUEST_DATA + 0x204, 2, FCW);
	if (!bench_pass_windows(b, 20) || !bench_expect_end(b))
		return;
	for (unsigned i = 0; i < VECTOR_AREA; i += 8)
		if (i % VECTOR_BYTES < bytes)
			bench_check_eq(b, bench_peek(b, GUEST_DATA + 0x400 + i, 8), PATTERN + i,
				"a vector register");
	bench_check_eq(b, bench_peek(b, GUEST_DATA + 0x600, 4), MXCSR, "MXCSR");
	bench_check_eq(b, bench_peek(b, GUEST_DATA + 0x604, 2), FCW, "FCW");
	if (avx)
		bench_check_eq(b, fpu_guest_xcr0(&vcpu(b)->fpu), XCR0_AVX, "XCR0");
	check_tick(b);
}

static void debug(struct bench *b)
{
	const struct vcpu_segment data = {
		0x18, SEG_P | SEG_S | SEG_DB | SEG_G | 3, ~0u, 0x12345000};
	struct vcpu *v = vcpu(b);

	bench_start_long(b, code_debug());
	v->gpr[GPR_RAX] = 0x100000;
	v->gpr[GPR_RBX] = 0x100001;
	v->gpr[GPR_RCX] = 0x100002;
	v->gpr[GPR_RDX] = 0x100003;
	/* Something of the guest's that windows mustn't show. */
	b->ops->set_seg(v, VSEG_FS, &data);
	b->ops->set_seg(v, VSEG_GS, &data);
	vcpu_set(v, VREG_STAR, 0x0023001000000000);
	vcpu_set(v, VREG_LSTAR, 0xffff800000001000);
	if (!bench_pass_windows(b, 10) || !bench_expect_end(b))
		return;
	bench_check_eq(b, v->gpr[GPR_RAX], 0x100000, "DR0");
	bench_check_eq(b, v->gpr[GPR_RBX], 0x100001, "DR1");
	bench_check_eq(b, v->gpr[GPR_RCX], 0x100002, "DR2");
	bench_check_eq(b, v->gpr[GPR_RDX], 0x100003, "DR3");
	bench_check_eq(b, v->gpr[GPR_RSI], 0x401, "DR7");
	bench_check_eq(b, vcpu_get(v, VREG_DR7), 0x401, "vcpu DR7");
	check_tick(b);
}

/* A single step's trap arrives, and no host interrupt is lost over it. */
static void step(struct bench *b)
{
	struct vcpu *v = vcpu(b);
	uint32_t flags_at;

	bench_start_long(b, code_step());
	if (!bench_expect_gate(b, VECTOR_DB, GUEST_CODE + 10, 0))
		return;
	bench_check(b, v->gpr[GPR_RDX] & BIT(14), "DR6 doesn't tell a single step");
	flags_at = (uint32_t)vcpu_get(v, VREG_RSP) + 48;
	bench_poke(b, flags_at, 8, bench_peek(b, flags_at, 8) & ~RFLAGS_TF);
	bench_leave_gate(b, 0);
	bench_expect_end(b);
}

#define SPIN_WINDOWS 40u

/* Interrupts of the host end a guest that would never exit; the firmware takes them. */
static void ticks(struct bench *b)
{
	uint64_t from = b->ticks;

	bench_start_long(b, code_spin());
	if (!bench_pass_windows(b, SPIN_WINDOWS))
		return;
	log_line("ticks during: %llu in %u windows", (unsigned long long)(b->ticks - from),
		SPIN_WINDOWS);
	bench_check(b, b->ticks - from >= SPIN_WINDOWS / 2, "the firmware's timer doesn't tick");
	check_tick(b);
	bench_expect_end(b);
}

static void halt(struct bench *b)
{
	uint64_t from = b->ticks;

	bench_start_long(b, code_events());
	for (unsigned i = 0; i < 10; i++)
		vcpu_window(vcpu(b), true);
	bench_check(b, b->ticks - from >= 5, "the firmware's HLT doesn't wake");
}

static void cycles(struct bench *b)
{
	struct vcpu *v = vcpu(b);
	struct vmexit e;

	for (unsigned i = 0; i < 10 && !b->failed; i++) {
		b->ops->disable(v);
		hw_interrupt_window();
		if (b->ops->enable(v)) {
			bench_fail(b, "enable fails the second time");
			return;
		}
		bench_start_real(b, code_cpuid());
		if (!bench_step(b, VMEXIT_CPUID, GUEST_CODE + 12, 2, &e))
			return;
		vcpu_window(v, false);
		bench_expect_end(b);
	}
}

const struct bench_case bench_cases[] = {
	{"power-on", power_on},
	{"cpuid", cpuid},
	{"pio", pio},
	{"pio-string", pio_string},
	{"long-entry", long_entry},
	{"gprs", gprs},
	{"msr", msr},
	{"direct-msr", direct},
	{"cr", cr},
	{"npf", npf},
	{"exceptions", exceptions},
	{"nmi", nmi},
	{"real-interrupt", real_interrupt},
	{"interrupt", interrupt},
	{"shadow", shadow},
	{"redeliver-interrupt", redeliver_interrupt},
	{"redeliver-exception", redeliver_exception},
	{"redeliver-software", redeliver_software},
	{"shutdown", shutdown},
	{"cache", cache},
	{"undefined", undefined},
	{"vectors", vectors},
	{"debug-registers", debug},
	{"single-step", step},
	{"ticks-during", ticks},
	{"halt", halt},
	{"cycles", cycles},
};
const unsigned bench_case_count = array_size(bench_cases);
