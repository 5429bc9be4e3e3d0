/*
 * core: what exits mean. CPUID, MSRs, control registers, exceptions, and the run loop with a back
 * end that plays a script of exits.
 */
#include "base/error.h"
#include "core/cpuid.h"
#include "core/cr.h"
#include "core/msr.h"
#include "core/vm.h"
#include "fakes/fake_hw.h"
#include "fakes/fake_vcpu.h"
#include "hw/time.h"
#include "test.h"

#define SCRIPT_MAX 16u

static struct vm vm;
static struct fake_vcpu cpu;
static struct vcpu_ops ops;

static struct vmexit script[SCRIPT_MAX];
static unsigned script_length, script_at;
static struct vcpu_event injected[SCRIPT_MAX];
static bool asked_window[SCRIPT_MAX];
static int pending_vector, wakes_after;

static int script_run(struct vcpu *v, struct vmexit *ret)
{
	CHECK(script_at < script_length);
	if (script_at >= script_length) {
		vm_request_stop(v->vm, STOP_RESET);
		*ret = (struct vmexit){.kind = VMEXIT_WINDOW};
		return 0;
	}
	injected[script_at] = v->event;
	asked_window[script_at] = v->want_window;
	v->event = (struct vcpu_event){0};
	*ret = script[script_at++];
	return 0;
}

static void script_firmware(struct vcpu *v, void (*call)(void *arg), void *arg)
{
	unsigned waits = fake_hw.waits;

	(void)v;
	call(arg);
	if (fake_hw.waits != waits && wakes_after && !--wakes_after)
		pending_vector = 0x31;
}

static void no_dump(struct vcpu *v)
{
	(void)v;
}

static bool chip_pending(void *chip)
{
	(void)chip;
	return pending_vector != 0;
}

static int chip_acknowledge(void *chip)
{
	int vector = pending_vector;

	(void)chip;
	pending_vector = 0;
	return vector ? vector : -1;
}

static void chip_line(void *chip, unsigned irq, bool high)
{
	(void)chip;
	(void)irq;
	(void)high;
}

static const struct irqchip_ops chip = {
	.set_line = chip_line, .pending = chip_pending, .acknowledge = chip_acknowledge};

static void fresh(void)
{
	fake_hw_reset();
	memset(&vm, 0, sizeof(vm));
	memset(&cpu, 0, sizeof(cpu));
	fake_vcpu_init(&cpu, &vm.vcpu, &vm, FAKE_LONG);
	ops = *vm.vcpu.ops;
	ops.run = script_run;
	ops.in_firmware = script_firmware;
	ops.dump = no_dump;
	vm.vcpu.ops = &ops;
	vm_init(&vm);
	vm.irqchip = &chip;
	cpu.reg[VREG_RFLAGS] = RFLAGS_FIXED | RFLAGS_IF;
	cpu.reg[VREG_RIP] = 0x1000;
	script_length = script_at = 0;
	pending_vector = wakes_after = 0;
}

static struct vmexit exit_of(enum vmexit_kind kind, uint8_t len)
{
	return (struct vmexit){.kind = kind, .insn_len = len, .rip = 0x1000};
}

static void play(const struct vmexit *exits, unsigned n)
{
	memcpy(script, exits, n * sizeof(*exits));
	script_length = n;
	vm_run(&vm);
	CHECK_EQ(script_at, n);
}

static struct cpuid_regs ask(uint32_t leaf, uint32_t subleaf)
{
	struct vmexit e = exit_of(VMEXIT_CPUID, 2);

	vm.vcpu.gpr[GPR_RAX] = 0xffffffff00000000 | leaf;
	vm.vcpu.gpr[GPR_RCX] = subleaf;
	cpuid_exit(&vm, &e);
	CHECK(!(vm.vcpu.gpr[GPR_RAX] >> 32) && !(vm.vcpu.gpr[GPR_RDX] >> 32));
	return (struct cpuid_regs){(uint32_t)vm.vcpu.gpr[GPR_RAX], (uint32_t)vm.vcpu.gpr[GPR_RBX],
		(uint32_t)vm.vcpu.gpr[GPR_RCX], (uint32_t)vm.vcpu.gpr[GPR_RDX]};
}

static void cpuid_hides_the_host(void)
{
	struct cpuid_regs r;

	fresh();
	r = ask(1, 0);
	CHECK(!(r.ecx & (1u << 5)) && !(r.ecx & (1u << 3)) && !(r.ecx & (1u << 21)));
	CHECK(!(r.edx & (1u << 9)) && !(r.edx & (1u << 7)));
	CHECK(r.ecx & (1u << 31));
	CHECK(!(ask(0x80000001, 0).ecx & (1u << 2)));
	CHECK(!(ask(0xa, 0).eax | ask(0xb, 1).ecx | ask(0x12, 0).eax | ask(0x14, 0).ebx));
	CHECK_EQ(ask(0x40000000, 0).ebx, 0x74736f50);
	CHECK_EQ(ask(0x40000001, 0).eax, 1);
	r = ask(0x40000002, 0);
	CHECK(!(r.eax | r.ebx | r.ecx | r.edx));
	r = ask(0xffffffff, 7);
	CHECK(!(r.eax | r.ebx | r.ecx | r.edx));
	CHECK_EQ(cpu.reg[VREG_RIP], 0x1002);
}

static struct cpuid_regs cpuid_all_bits(uint32_t leaf, uint32_t subleaf)
{
	(void)leaf;
	(void)subleaf;
	return (struct cpuid_regs){~0u, ~0u, ~0u, ~0u};
}

static bool is_zero(struct cpuid_regs r)
{
	return !(r.eax | r.ebx | r.ecx | r.edx);
}

/* On a CPU that has everything, and at indexes that no CPU has, only what the table names shows. */
static void cpuid_shows_only_its_table(void)
{
	static const uint32_t first[] = {
		0, 0x40000000, 0x80000000, 0x80860000, 0xc0000000, 0xffffff00};
	unsigned shown = 0;

	fresh();
	fake_hw.cpuid = cpuid_all_bits;
	cpuid_init(&vm);
	for (unsigned i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		for (uint32_t leaf = first[i]; leaf - first[i] < 0x100; leaf++)
			for (uint32_t sub = 0; sub < 64; sub++)
				shown += !is_zero(cpuid_answer(&vm, leaf, sub)) &&
					 (!sub || leaf == 4 || leaf == 7 || leaf == 0xd);
	CHECK_EQ(shown, 5 + 3 + 6 + 2 + 9);
	CHECK_EQ(ask(0, 0).eax, 0x16);
	CHECK_EQ(ask(0x80000000, 0).eax, 0x80000008);
	CHECK_EQ(ask(1, 0).ebx, 0xffff);
	CHECK_EQ(ask(1, 0).ecx, 0xf6d83203);
	CHECK_EQ(ask(1, 0).edx, 0x078bb97f);
	CHECK_EQ(ask(7, 0).ebx, 0x219c03a9);
	CHECK(ask(7, 0).ecx == 0x600 && ask(7, 0).edx == 0x410 && !ask(7, 0).eax);
	CHECK_EQ(ask(0x80000001, 0).ecx, 0x1e1);
	CHECK_EQ(ask(0x80000001, 0).edx, 0x25d3b97f);
	CHECK(ask(0x80000007, 0).edx == 0x100 && !ask(0x80000008, 0).ecx);
	CHECK(is_zero(ask(5, 0)) && is_zero(ask(6, 0)) && is_zero(ask(0xb, 0)));
	CHECK(is_zero(ask(0x8000000a, 0)) && is_zero(ask(0x8000001d, 0)) &&
		is_zero(ask(4, 0xffffffff)));
	CHECK(ask(0x40000000, 0).eax == 0x40000001 && ask(0x40000000, 0).ecx == 0x006e7265);
}

/* An old CPU, whose answer beyond its highest leaf is noise. */
static struct cpuid_regs cpuid_old(uint32_t leaf, uint32_t subleaf)
{
	(void)subleaf;
	if (leaf == 0)
		return (struct cpuid_regs){1, 0, 0, 0};
	if (leaf == 0x80000000)
		return (struct cpuid_regs){0x80000001, 0, 0, 0};
	return (struct cpuid_regs){~0u, ~0u, ~0u, ~0u};
}

static void cpuid_shows_no_noise(void)
{
	fresh();
	fake_hw.cpuid = cpuid_old;
	cpuid_init(&vm);
	CHECK(is_zero(ask(7, 0)) && is_zero(ask(4, 0)) && is_zero(ask(0x15, 0)));
	CHECK(is_zero(ask(0x80000002, 0)) && is_zero(ask(0x80000008, 0)) && !is_zero(ask(1, 0)));
}

static void cpuid_follows_the_guest(void)
{
	fresh();
	CHECK(!(ask(1, 0).ecx & (1u << 27)));
	cpu.reg[VREG_CR4] |= CR4_OSXSAVE;
	CHECK(ask(1, 0).ecx & (1u << 27));
	CHECK(!(ask(0xd, 0).eax & ~7u) && !ask(0xd, 63).eax);
	CHECK_EQ(ask(0xd, 0).ebx, 576);
	vm.vcpu.fpu.guest_xcr0 = 7;
	if (ask(0xd, 0).eax & 4)
		CHECK(ask(0xd, 0).ebx > 576);
}

static bool msr(bool write, uint32_t index, uint64_t value)
{
	struct vmexit e = exit_of(VMEXIT_MSR, 2);

	e.u.msr.index = index;
	e.u.msr.value = value;
	e.u.msr.write = write;
	cpu.reg[VREG_RIP] = 0x1000;
	vm.vcpu.event = (struct vcpu_event){0};
	vm.vcpu.gpr[GPR_RAX] = vm.vcpu.gpr[GPR_RDX] = ~0ull;
	msr_exit(&vm, &e);
	if (vm.vcpu.event.type == VEVENT_NONE) {
		CHECK_EQ(cpu.reg[VREG_RIP], 0x1002);
		return true;
	}
	CHECK(vm.vcpu.event.vector == VECTOR_GP && vm.vcpu.event.has_error &&
		cpu.reg[VREG_RIP] == 0x1000);
	return false;
}

static uint64_t msr_result(void)
{
	return vm.vcpu.gpr[GPR_RDX] << 32 | vm.vcpu.gpr[GPR_RAX];
}

static void msrs_deny_by_default(void)
{
	unsigned answered = 0;

	fresh();
	for (uint32_t i = 0; i < 0x2000; i++)
		answered += msr(false, i, 0) + msr(false, 0xc0000000 + i, 0);
	CHECK_EQ(answered, 11);
	answered = 0;
	for (uint32_t i = 0; i < 0x2000; i++)
		answered += msr(false, 0xc0010000 + i, 0) + msr(false, 0x40000000 + i, 0) +
			    msr(false, 0xffffe000 + i, 0) + msr(true, 0x4b564d00 + i, 0);
	CHECK_EQ(answered, 4);
	for (uint32_t bit = 1u << 13; bit; bit <<= 1)
		CHECK(!msr(false, bit, 0) && !msr(true, bit | 0x10, 0) &&
			!msr(false, bit | 0x277, 0));
	CHECK(!msr(true, 0x1b, 0) && !msr(true, 0x79, 0) && !msr(false, 0x570, 0));
	CHECK(msr_is_direct(MSR_LSTAR) && !msr_is_direct(MSR_EFER) && !msr_is_direct(0x79));
}

static void msrs_shadow_and_check(void)
{
	fresh();
	CHECK(msr(false, 0x2ff, 0) && msr_result() == 0x806);
	CHECK(msr(true, 0x2ff, 0x1234) && msr(false, 0x2ff, 0) && msr_result() == 0x1234);
	CHECK(msr(true, 0x3a, 0xff) && msr(false, 0x3a, 0) && msr_result() == 1);
	CHECK(!msr(true, MSR_PAT, 0x0202020202020202) && msr(true, MSR_PAT, 0x0007040600070406));
	CHECK_EQ(cpu.reg[VREG_PAT], 0x0007040600070406);
	cpu.reg[VREG_EFER] = EFER_LME | EFER_LMA;
	cpu.reg[VREG_CR0] = CR0_PG | CR0_PE;
	CHECK(!msr(true, MSR_EFER, 0)); /* LME under paging */
	CHECK(!msr(true, MSR_EFER, EFER_LME | EFER_SVME));
	CHECK(msr(true, MSR_EFER, EFER_LME | EFER_NXE));
	CHECK_EQ(cpu.reg[VREG_EFER], EFER_LME | EFER_LMA | EFER_NXE);
	fake_hw.tsc = 41;
	fake_hw.tsc_step = 1;
	CHECK(msr(false, MSR_TSC, 0) && msr_result() == 42 && msr(true, MSR_TSC, 0));
}

static bool mov_to_cr(uint8_t n, uint64_t value)
{
	struct vmexit e = exit_of(VMEXIT_CR, 3);

	e.u.cr.cr = n;
	e.u.cr.gpr = GPR_R9;
	e.u.cr.write = true;
	vm.vcpu.gpr[GPR_R9] = value;
	vm.vcpu.event = (struct vcpu_event){0};
	cr_exit(&vm, &e);
	return vm.vcpu.event.type == VEVENT_NONE;
}

static void control_registers_are_checked(void)
{
	struct vmexit read = exit_of(VMEXIT_CR, 3);

	fresh();
	cpu.reg[VREG_CR0] = CR0_PE | CR0_PG;
	cpu.reg[VREG_CR4] = CR4_PAE;
	cpu.reg[VREG_EFER] = EFER_LME | EFER_LMA;
	CHECK(!mov_to_cr(0, CR0_PG) && !mov_to_cr(0, CR0_PE | CR0_NW) && !mov_to_cr(0, 1ull << 40));
	CHECK(!mov_to_cr(4, 0) && !mov_to_cr(4, CR4_PAE | CR4_VMXE) && !mov_to_cr(4, ~0ull));
	CHECK(!mov_to_cr(4, CR4_PAE | CR4_LA57) && !mov_to_cr(3, 0));
	CHECK(!mov_to_cr(0, CR0_PE)); /* in 64-bit code */
	cpu.seg[VSEG_CS].attributes &= ~SEG_L;
	CHECK(mov_to_cr(0, CR0_PE) && !(cpu.reg[VREG_EFER] & EFER_LMA));
	cpu.reg[VREG_CR4] = 0;
	CHECK(!mov_to_cr(0, CR0_PE | CR0_PG)); /* LME without PAE */
	cpu.reg[VREG_CR4] = CR4_PAE;
	cpu.seg[VSEG_CS].attributes |= SEG_L;
	CHECK(!mov_to_cr(0, CR0_PE | CR0_PG)); /* code that would change its meaning */
	cpu.seg[VSEG_CS].attributes &= ~SEG_L;
	cpu.seg[VSEG_TR].attributes = SEG_P | 3;
	CHECK(!mov_to_cr(0, CR0_PE | CR0_PG)); /* with a 16-bit TSS */
	cpu.seg[VSEG_TR].attributes = SEG_P | 11;
	CHECK(mov_to_cr(4, CR4_PAE) && mov_to_cr(0, CR0_PE | CR0_PG));
	CHECK(cpu.reg[VREG_EFER] & EFER_LMA);
	CHECK(mov_to_cr(8, 0xf) && !mov_to_cr(8, 0x10));
	read.u.cr.cr = 8;
	read.u.cr.gpr = GPR_RSP;
	cr_exit(&vm, &read);
	CHECK_EQ(cpu.reg[VREG_RSP], 0xf);
}

static uint64_t behind(uint64_t rip, enum fake_mode mode)
{
	struct vmexit e = {.kind = VMEXIT_CPUID, .insn_len = 2, .rip = rip};

	fake_vcpu_init(&cpu, &vm.vcpu, &vm, mode);
	vcpu_skip(&vm.vcpu, &e);
	return cpu.reg[VREG_RIP];
}

static void eip_wraps_and_rip_does_not(void)
{
	fresh();
	CHECK_EQ(behind(0xfffffffe, FAKE_FLAT32), 0);
	CHECK_EQ(behind(0xffffffff, FAKE_COMPAT32), 1);
	CHECK_EQ(behind(0xfffffffe, FAKE_LONG), 0x100000000);
	CHECK_EQ(behind(0x7fffffffffff, FAKE_LONG), 0x800000000001);
	CHECK_EQ(behind(0x1000, FAKE_FLAT32), 0x1002);
}

static bool xsetbv(uint32_t index, uint64_t value)
{
	struct vmexit e = exit_of(VMEXIT_XSETBV, 3);

	vm.vcpu.gpr[GPR_RCX] = index;
	vm.vcpu.gpr[GPR_RAX] = (uint32_t)value;
	vm.vcpu.gpr[GPR_RDX] = value >> 32;
	vm.vcpu.event = (struct vcpu_event){0};
	xsetbv_exit(&vm, &e);
	return vm.vcpu.event.type == VEVENT_NONE;
}

static void xcr0_is_checked(void)
{
	fresh();
	vm.cpuid.xsave[0].eax = 7;
	CHECK(xsetbv(0, 3) && vm.vcpu.fpu.guest_xcr0 == 3 && xsetbv(0, 7));
	CHECK(!xsetbv(1, 3) && !xsetbv(0, 0) && !xsetbv(0, 5) && !xsetbv(0, 1ull << 62 | 1));
	CHECK(!xsetbv(0, 0x203) && vm.vcpu.fpu.guest_xcr0 == 7);
	cpu.reg[VREG_CPL] = 3;
	CHECK(!xsetbv(0, 3));
}

static uint8_t second_of(uint8_t first, uint8_t second)
{
	vm.vcpu.event = (struct vcpu_event){VEVENT_EXCEPTION, first, false, 0};
	vcpu_raise_error(&vm.vcpu, second, 0);
	return vm.vcpu.event.vector;
}

static void exceptions_combine(void)
{
	fresh();
	CHECK_EQ(second_of(VECTOR_GP, VECTOR_GP), VECTOR_DF);
	CHECK_EQ(second_of(VECTOR_PF, VECTOR_PF), VECTOR_DF);
	CHECK_EQ(second_of(VECTOR_PF, VECTOR_SS), VECTOR_DF);
	CHECK_EQ(second_of(VECTOR_GP, VECTOR_PF), VECTOR_PF);
	CHECK_EQ(second_of(VECTOR_UD, VECTOR_GP), VECTOR_GP);
	CHECK_EQ(vm.stop.reason, STOP_NONE);
	second_of(VECTOR_DF, VECTOR_PF);
	CHECK_EQ(vm.stop.reason, STOP_TRIPLE_FAULT);
}

static void loop_injects_when_it_can(void)
{
	const struct vmexit exits[] = {
		exit_of(VMEXIT_INTR, 0), exit_of(VMEXIT_WINDOW, 0), exit_of(VMEXIT_SHUTDOWN, 0)};

	fresh();
	pending_vector = 0x30;
	cpu.reg[VREG_INTR_SHADOW] = 1;
	memcpy(script, exits, sizeof(exits));
	script_length = 3;
	vm_run(&vm);
	/* The shadow lasts: the loop only asks, in every turn. */
	CHECK(asked_window[0] && asked_window[1] && injected[0].type == VEVENT_NONE);
	CHECK(fake_hw.windows == 1 && vm.stop.reason == STOP_TRIPLE_FAULT && vm.interrupts == 0);

	fresh();
	pending_vector = 0x30;
	play(exits, 3);
	CHECK(injected[0].type == VEVENT_INTR && injected[0].vector == 0x30 && !asked_window[0]);
	CHECK(injected[1].type == VEVENT_NONE && vm.interrupts == 1);
	CHECK(vm.exits[VMEXIT_INTR] == 1 && vm.exits[VMEXIT_SHUTDOWN] == 1);
}

static void halt_waits_for_an_interrupt(void)
{
	const struct vmexit exits[] = {exit_of(VMEXIT_HLT, 1), exit_of(VMEXIT_SHUTDOWN, 0)};

	fresh();
	wakes_after = 3;
	play(exits, 2);
	CHECK(fake_hw.waits == 3 && injected[1].vector == 0x31 && cpu.reg[VREG_RIP] == 0x1001);
	CHECK(vm.idle_tsc > 0);
}

static void halt_for_ever_is_power_off(void)
{
	const struct vmexit exits[] = {exit_of(VMEXIT_HLT, 1)};

	fresh();
	cpu.reg[VREG_RFLAGS] = RFLAGS_FIXED;
	play(exits, 1);
	CHECK(vm.stop.reason == STOP_POWEROFF && fake_hw.waits == 0);
}

static void time_limit_ends_a_halted_guest(void)
{
	const struct vmexit exits[] = {exit_of(VMEXIT_HLT, 1)};

	fresh();
	vm.time_limit_tsc = fake_hw.tsc + 10 * fake_hw.tsc_step;
	play(exits, 1);
	CHECK_EQ(vm.stop.reason, STOP_TIME_LIMIT);
}

static void unknown_and_refused(void)
{
	const struct vmexit exits[] = {
		exit_of(VMEXIT_UNDEFINED, 3), exit_of(VMEXIT_CACHE, 2), exit_of(VMEXIT_REFUSED, 0)};

	fresh();
	play(exits, 3);
	CHECK(injected[1].type == VEVENT_EXCEPTION && injected[1].vector == VECTOR_UD);
	CHECK_EQ(cpu.reg[VREG_RIP], 0x1002);
	CHECK_EQ(vm.stop.reason, STOP_ENTRY_FAILED);
	vm_request_stop(&vm, STOP_RESET);
	CHECK_EQ(vm.stop.reason, STOP_ENTRY_FAILED);
}

static uint8_t code[2 * PAGE_SIZE];

static unsigned length_at(uint64_t rip, const char *bytes, size_t n)
{
	memcpy(code + rip, bytes, n);
	return vcpu_find_length(&vm.vcpu, rip);
}

static void lengths_are_found(void)
{
	fresh();
	fake_vcpu_init(&cpu, &vm.vcpu, &vm, FAKE_REAL);
	CHECK(!gmem_add(&vm.gmem, (struct gmem_run){gpa(0), hpa(0x100000), sizeof(code), code}));
	CHECK_EQ(length_at(0x100, "\xf4", 1), 1);
	CHECK_EQ(length_at(0x100, "\x0f\xa2", 2), 2);
	CHECK_EQ(length_at(0x100, "\x66\x0f\x32", 3), 3);
	CHECK_EQ(length_at(0x100, "\x0f\x20\xc0", 3), 3);
	CHECK_EQ(length_at(0x100, "\x2e\xe4\x60", 3), 3);
	CHECK_EQ(length_at(0x100, "\xf3\x6c", 2), 2);
	/* REX is a prefix in 64-bit code only. */
	CHECK_EQ(length_at(0x100, "\x48\x0f\x22\xd8", 4), 1);
	CHECK_EQ(length_at(
			 0x100, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66", 15),
		0);
	/* Across a page, and at the end of memory. */
	CHECK_EQ(length_at(PAGE_SIZE - 1, "\x0f\xa2", 2), 2);
	CHECK_EQ(length_at(PAGE_SIZE - 1, "\xf4", 1), 1);
	CHECK_EQ(length_at(2 * PAGE_SIZE - 1, "\xf4", 1), 1);
	CHECK_EQ(length_at(2 * PAGE_SIZE - 1, "\x0f", 1), 0);
	CHECK_EQ(vcpu_find_length(&vm.vcpu, 0x5000), 0);
	cpu.seg[VSEG_CS].base = 0x1000;
	memcpy(code + 0x1100, "\x66\x0f\xa2", 3);
	CHECK_EQ(vcpu_find_length(&vm.vcpu, 0x100), 3);
}

/* SVM without decode assists: the register of MOV CR8 is in the guest's memory. */
static void cr8_register_is_found(void)
{
	struct vmexit e = exit_of(VMEXIT_CR, 0);

	fresh();
	fake_vcpu_init(&cpu, &vm.vcpu, &vm, FAKE_REAL);
	CHECK(!gmem_add(&vm.gmem, (struct gmem_run){gpa(0), hpa(0x100000), sizeof(code), code}));
	e.rip = 0x100;
	e.u.cr.cr = 8;
	e.u.cr.gpr = GPR_UNKNOWN;
	e.u.cr.write = true;
	memcpy(code + 0x100, "\xf0\x0f\x22\xc3", 4);
	vm.vcpu.gpr[GPR_RBX] = 7;
	cr_exit(&vm, &e);
	CHECK_EQ(vm.cr8, 7);
	CHECK_EQ(cpu.reg[VREG_RIP], 0x104);
	memcpy(code + 0x100, "\x0f\x20\xc6", 3);
	e.u.cr.write = false;
	cr_exit(&vm, &e);
	CHECK_EQ(vm.vcpu.gpr[GPR_RSI], 7);
	CHECK_EQ(cpu.reg[VREG_RIP], 0x103);
	/* Not there any more, or no such instruction any more: nothing happens. */
	e.rip = 0x5000;
	cr_exit(&vm, &e);
	memcpy(code + 0x100, "\x0f\xa2", 2);
	e.rip = 0x100;
	cr_exit(&vm, &e);
	CHECK_EQ(cpu.reg[VREG_RIP], 0x103);
	CHECK_EQ(vm.vcpu.event.type, VEVENT_NONE);
}

/* ---- a controller with a local APIC, and timers ---- */

static uint64_t lapic_value, lapic_refuses;
static uint8_t lapic_priority;
static bool lapic_nmi;

static bool lapic_read(void *state, uint32_t index, uint64_t *ret_value)
{
	(void)state;
	*ret_value = lapic_value;
	return index != lapic_refuses;
}

static bool lapic_write(void *state, uint32_t index, uint64_t value)
{
	(void)state;
	lapic_value = value;
	return index != lapic_refuses;
}

static uint8_t lapic_get_priority(void *state)
{
	(void)state;
	return lapic_priority;
}

static void lapic_set_priority(void *state, uint8_t cr8)
{
	(void)state;
	lapic_priority = cr8;
}

static bool lapic_pending(void *state)
{
	return lapic_nmi || chip_pending(state);
}

static bool lapic_take_nmi(void *state)
{
	bool nmi = lapic_nmi;

	(void)state;
	lapic_nmi = false;
	return nmi;
}

static const struct irqchip_ops lapic_chip = {.set_line = chip_line,
	.pending = lapic_pending,
	.acknowledge = chip_acknowledge,
	.read_msr = lapic_read,
	.write_msr = lapic_write,
	.priority = lapic_get_priority,
	.set_priority = lapic_set_priority,
	.take_nmi = lapic_take_nmi};

static void lapic_is_reached(void)
{
	static const uint32_t all[] = {MSR_APIC_BASE, MSR_TSC_DEADLINE, 0x800, 0x8ff};

	fresh();
	for (unsigned i = 0; i < 4; i++)
		CHECK(!msr(false, all[i], 0) && !msr(true, all[i], 0));
	vm.irqchip = &lapic_chip;
	lapic_refuses = 0x802;
	for (unsigned i = 0; i < 4; i++) {
		CHECK(msr(true, all[i], 0x1200000034u + i));
		CHECK(msr(false, all[i], 0) && msr_result() == 0x1200000034u + i);
	}
	CHECK(!msr(true, 0x802, 0) && !msr(false, 0x802, 0) && !msr(false, 0x900, 0));
	CHECK(mov_to_cr(8, 9) && lapic_priority == 9 && vm.cr8 == 0);
	CHECK(!mov_to_cr(8, 16) && lapic_priority == 9);
}

static void nmi_waits_for_its_turn(void)
{
	const struct vmexit exits[] = {
		exit_of(VMEXIT_WINDOW, 0), exit_of(VMEXIT_WINDOW, 0), exit_of(VMEXIT_SHUTDOWN, 0)};

	fresh();
	vm.irqchip = &lapic_chip;
	lapic_nmi = true;
	pending_vector = 0x30;
	play(exits, 3);
	CHECK(injected[0].type == VEVENT_NMI && injected[0].vector == 2 && asked_window[0]);
	CHECK(injected[1].type == VEVENT_INTR && injected[1].vector == 0x30);
	fresh();
	vm.irqchip = &lapic_chip;
	lapic_nmi = true;
	cpu.reg[VREG_NMI_BLOCKED] = 1;
	play(exits, 3);
	CHECK(injected[0].type == VEVENT_NONE && injected[2].type == VEVENT_NONE && lapic_nmi);
	lapic_nmi = false;
}

static uint64_t event_at;
static unsigned timer_ticks;

static void timer_tick(void *arg, uint64_t tsc)
{
	(void)arg;
	if (tsc < event_at)
		return;
	event_at = VM_NEVER;
	timer_ticks++;
	pending_vector = 0x70;
}

static uint64_t timer_next(void *arg)
{
	(void)arg;
	return event_at;
}

static void fresh_with_timer(uint64_t in)
{
	fresh();
	fake_hw.tsc = 1ull << 40;
	timer_ticks = 0;
	event_at = fake_hw.tsc + in;
	CHECK_EQ(vm_add_timer(&vm, timer_tick, timer_next, NULL), 0);
	CHECK_EQ(vm.vcpu.deadline, VM_NEVER);
	vm_timers_changed(&vm);
}

static void turns_end_at_deadlines(void)
{
	const struct vmexit exits[] = {exit_of(VMEXIT_WINDOW, 0), exit_of(VMEXIT_SHUTDOWN, 0)};

	fake_hw_reset();
	fresh_with_timer(hw_us_to_tsc(50000));
	CHECK_EQ(vm.vcpu.deadline, event_at);
	/* It has come while something else was done: told before the next entry. */
	fake_hw.tsc = event_at;
	play(exits, 2);
	CHECK(timer_ticks == 1 && injected[0].vector == 0x70);
	CHECK_EQ(vm.vcpu.deadline, VM_NEVER);
	/* Too soon: the guest gets its shortest turn. */
	fresh_with_timer(0);
	CHECK(vm.vcpu.deadline >= event_at + hw_us_to_tsc(20));
	for (unsigned i = 1; i < VM_TIMERS_MAX; i++)
		CHECK_EQ(vm_add_timer(&vm, timer_tick, timer_next, NULL), 0);
	CHECK_EQ(vm_add_timer(&vm, timer_tick, timer_next, NULL), -E_NOMEM);
}

/* It sleeps as long as the firmware's tick comes before the event, and then stays awake. */
static void halt_does_not_oversleep(void)
{
	const struct vmexit exits[] = {exit_of(VMEXIT_HLT, 1), exit_of(VMEXIT_SHUTDOWN, 0)};

	fresh_with_timer(hw_us_to_tsc(500));
	vm.host_period_tsc = hw_us_to_tsc(1000);
	fake_hw.tsc_step = hw_us_to_tsc(10);
	play(exits, 2);
	CHECK(!fake_hw.waits && timer_ticks == 1 && injected[1].vector == 0x70);
	fresh_with_timer(hw_us_to_tsc(1500));
	vm.host_period_tsc = hw_us_to_tsc(1000);
	fake_hw.tsc_step = hw_us_to_tsc(10);
	play(exits, 2);
	CHECK(fake_hw.waits && fake_hw.windows && timer_ticks == 1);
	/* A firmware that tells no period: as if it were 10 ms. */
	fresh_with_timer(hw_us_to_tsc(9000));
	fake_hw.tsc_step = hw_us_to_tsc(100);
	play(exits, 2);
	CHECK(!fake_hw.waits && timer_ticks == 1);
}

static void names_exist(void)
{
	for (unsigned i = 0; i < VMEXIT_KINDS; i++)
		CHECK(vmexit_kind_name(i) != NULL);
	for (unsigned i = 0; i < STOP_REASONS; i++)
		CHECK(vm_stop_name(i) != NULL);
}

int main(void)
{
	RUN(cpuid_hides_the_host);
	RUN(cpuid_shows_only_its_table);
	RUN(cpuid_shows_no_noise);
	RUN(cpuid_follows_the_guest);
	RUN(msrs_deny_by_default);
	RUN(msrs_shadow_and_check);
	RUN(control_registers_are_checked);
	RUN(eip_wraps_and_rip_does_not);
	RUN(xcr0_is_checked);
	RUN(exceptions_combine);
	RUN(loop_injects_when_it_can);
	RUN(halt_waits_for_an_interrupt);
	RUN(halt_for_ever_is_power_off);
	RUN(time_limit_ends_a_halted_guest);
	RUN(unknown_and_refused);
	RUN(lengths_are_found);
	RUN(cr8_register_is_found);
	RUN(lapic_is_reached);
	RUN(nmi_waits_for_its_turn);
	RUN(turns_end_at_deadlines);
	RUN(halt_does_not_oversleep);
	RUN(names_exist);
	return TEST_RESULT();
}
