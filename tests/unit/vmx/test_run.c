/* One turn of the guest: what goes into the entry, and exits as the contract names them. */
#include "base/error.h"
#include "fakes/fake_cpu.h"
#include "fakes/fake_hw.h"
#include "fakes/fake_vmx.h"
#include "test.h"

static struct vmx x;
static struct vcpu vcpu;
static struct vmexit e;
static uint64_t next_reason;

static uint64_t guest(uint64_t *gpr, struct vmx_entry *n)
{
	(void)gpr;
	n->rip = 0x1000;
	n->insn_len = 3;
	return next_reason;
}

static void start(void)
{
	struct vmx_caps caps;
	const char *why;

	fake_cpu_reset();
	fake_vmx_reset();
	caps = fake_vmx_good_caps();
	x = (struct vmx){.caps = caps};
	CHECK_EQ(vmx_controls_choose(&caps, &x.controls, &why), 0);
	vcpu = (struct vcpu){.backend = &x, .deadline = ~0ull};
	vmx_guest_reset(&x);
	fake_vmx_make_live(&x);
	x.inside = true;
	fake_vmx.enter = guest;
}

static int exit_with(uint64_t reason, uint64_t qualification)
{
	next_reason = reason;
	fake_vmx.field[VMCS_QUALIFICATION] = qualification;
	memset(&e, 0xa5, sizeof(e));
	return vmx_run(&vcpu, &e);
}

/* The preemption timer: the turn, or what is left until the deadline, never 0. */
static void deadlines(void)
{
	start();
	fake_hw.tsc_step = 0;
	fake_hw.tsc = 1ull << 40;
	x.caps.misc = (x.caps.misc & ~VMX_MISC_TIMER_RATE) | 5;
	x.controls.pin |= PIN_TIMER;
	x.turn = x.timer = 1u << 19;
	fake_vmx.field[VMCS_TIMER] = 0x123;
	exit_with(52, 0);
	CHECK_EQ(fake_vmx.field[VMCS_TIMER], 0x123);
	vcpu.deadline = fake_hw.tsc + (100 << 5);
	exit_with(52, 0);
	CHECK_EQ(fake_vmx.field[VMCS_TIMER], 101);
	fake_hw.tsc += 60 << 5;
	exit_with(52, 0);
	CHECK_EQ(fake_vmx.field[VMCS_TIMER], 41);
	fake_hw.tsc = vcpu.deadline + 1;
	exit_with(52, 0);
	CHECK_EQ(fake_vmx.field[VMCS_TIMER], 1);
	vcpu.deadline = ~0ull - 1;
	exit_with(52, 0);
	CHECK_EQ(fake_vmx.field[VMCS_TIMER], 1u << 19);
	vcpu.deadline = fake_hw.tsc;
	exit_with(52, 0);
	vcpu.deadline = ~0ull;
	exit_with(52, 0);
	CHECK_EQ(fake_vmx.field[VMCS_TIMER], 1u << 19);
	/* A processor without that timer. */
	x.controls.pin &= ~PIN_TIMER;
	vcpu.deadline = fake_hw.tsc;
	exit_with(52, 0);
	CHECK_EQ(fake_vmx.field[VMCS_TIMER], 1u << 19);
}

static void kinds(void)
{
	static const struct {
		uint64_t reason;
		enum vmexit_kind kind;
	} simple[] = {
		{1, VMEXIT_INTR},
		{2, VMEXIT_SHUTDOWN},
		{3, VMEXIT_INIT},
		{7, VMEXIT_WINDOW},
		{9, VMEXIT_SHUTDOWN},
		{10, VMEXIT_CPUID},
		{11, VMEXIT_UNDEFINED},
		{12, VMEXIT_HLT},
		{13, VMEXIT_CACHE},
		{15, VMEXIT_UNDEFINED},
		{17, VMEXIT_UNDEFINED},
		{18, VMEXIT_UNDEFINED},
		{19, VMEXIT_UNDEFINED},
		{27, VMEXIT_UNDEFINED},
		{36, VMEXIT_UNDEFINED},
		{39, VMEXIT_UNDEFINED},
		{50, VMEXIT_UNDEFINED},
		{52, VMEXIT_INTR},
		{53, VMEXIT_UNDEFINED},
		{54, VMEXIT_CACHE},
		{55, VMEXIT_XSETBV},
		{59, VMEXIT_UNDEFINED},
		{60, VMEXIT_UNDEFINED},
	};

	start();
	for (unsigned i = 0; i < array_size(simple); i++) {
		CHECK_EQ(exit_with(simple[i].reason, 0), 0);
		CHECK_EQ(e.kind, simple[i].kind);
		CHECK_EQ(e.raw_reason, simple[i].reason);
		CHECK_EQ(e.rip, 0x1000);
		CHECK_EQ(e.insn_len, 3);
		CHECK_EQ(e.n_insn, 0);
		CHECK_EQ(e.raw_info[0] | e.raw_info[1], 0);
		CHECK_EQ(vmx_get(&vcpu, VREG_RIP), 0x1000);
	}
	CHECK_EQ(fake_vmx.misuse, 0);
}

/* Reasons whose controls are off, unknown ones, and failed entries: the guest's end, not ours. */
static void unexpected(void)
{
	static const uint64_t reasons[] = {4, 5, 6, 8, 14, 16, 29, 37, 40, 41, 43, 44, 45, 46, 47,
		49, 51, 56, 57, 58, 61, 62, 63, 64, 70, 0xffff, 0x80000021, 0x80000022, 0xffffffff,
		0x100000000};

	start();
	for (unsigned i = 0; i < array_size(reasons); i++) {
		CHECK_EQ(exit_with(reasons[i], 0), -E_ENTRY);
		CHECK_EQ(e.kind, VMEXIT_REFUSED);
		CHECK_EQ(e.raw_reason, reasons[i]);
		CHECK_EQ(vcpu.event.type, VEVENT_NONE);
	}
}

static void refused(void)
{
	start();
	x.entry.rip = 0x4444;
	fake_vmx.enter = NULL;
	fake_vmx.field[VMCS_INSN_ERROR] = 7;
	CHECK_EQ(exit_with(0, 0), -E_ENTRY);
	CHECK_EQ(e.kind, VMEXIT_REFUSED);
	CHECK_EQ(e.raw_info[0], 7);
	CHECK_EQ(e.rip, 0x4444);
}

/* SDM vol. 3C "Exit Qualification for I/O Instructions". */
static void pio(void)
{
	start();
	CHECK_EQ(exit_with(30, 0x03f80000), 0);
	CHECK_EQ(e.kind, VMEXIT_PIO);
	CHECK_EQ(e.u.pio.port, 0x3f8);
	CHECK_EQ(e.u.pio.size, 1);
	CHECK(!e.u.pio.in && !e.u.pio.string && !e.u.pio.rep);
	CHECK_EQ(exit_with(30, 0x0cfc0000 | 3 | 8), 0);
	CHECK_EQ(e.u.pio.port, 0xcfc);
	CHECK_EQ(e.u.pio.size, 4);
	CHECK(e.u.pio.in && !e.u.pio.string && !e.u.pio.rep);
	CHECK_EQ(exit_with(30, 0xffff0000 | 1 | 16 | 32 | 64), 0);
	CHECK_EQ(e.u.pio.port, 0xffff);
	CHECK_EQ(e.u.pio.size, 2);
	CHECK(!e.u.pio.in && e.u.pio.string && e.u.pio.rep);
	CHECK_EQ(e.insn_len, 3);
}

static void npf(void)
{
	start();
	fake_vmx.field[VMCS_GUEST_PHYSICAL] = 0xfebf1234;
	fake_vmx.field[VMCS_GUEST_LINEAR] = 0xffff888012345234;
	CHECK_EQ(exit_with(48, 0x181), 0);
	CHECK_EQ(e.kind, VMEXIT_NPF);
	CHECK_EQ(e.u.npf.gpa.v, 0xfebf1234);
	CHECK_EQ(e.u.npf.gla, 0xffff888012345234);
	CHECK(e.u.npf.gla_valid && !e.u.npf.write && !e.u.npf.fetch && !e.u.npf.walk);
	CHECK_EQ(e.insn_len, 0);
	CHECK_EQ(exit_with(48, 0x182), 0);
	CHECK(e.u.npf.write && !e.u.npf.fetch);
	CHECK_EQ(exit_with(48, 0x184), 0);
	CHECK(e.u.npf.fetch && !e.u.npf.write);
	CHECK_EQ(exit_with(48, 0x081), 0);
	CHECK(e.u.npf.walk && e.u.npf.gla_valid);
	/* Without a linear address: a page-directory pointer, say. */
	CHECK_EQ(exit_with(48, 0x101), 0);
	CHECK(!e.u.npf.gla_valid && !e.u.npf.walk);
	CHECK_EQ(e.u.npf.gla, 0);
}

static void nmi_unblocked(void)
{
	start();
	CHECK_EQ(exit_with(48, 0x1181), 0);
	CHECK_EQ(fake_vmx.field[VMCS_GUEST_INTERRUPTIBILITY], BLOCKING_NMI);
	start();
	fake_vmx.field[VMCS_VECTORING] = 0x80000021;
	CHECK_EQ(exit_with(48, 0x1181), 0);
	CHECK_EQ(fake_vmx.field[VMCS_GUEST_INTERRUPTIBILITY], 0);
}

static void msr(void)
{
	start();
	vcpu.gpr[GPR_RCX] = 0xffffffffc0000080;
	vcpu.gpr[GPR_RAX] = 0xdeadbeef00000d01;
	vcpu.gpr[GPR_RDX] = 0x5555555500000007;
	CHECK_EQ(exit_with(31, 0), 0);
	CHECK_EQ(e.kind, VMEXIT_MSR);
	CHECK_EQ(e.u.msr.index, 0xc0000080);
	CHECK(!e.u.msr.write);
	CHECK_EQ(exit_with(32, 0), 0);
	CHECK(e.u.msr.write);
	CHECK_EQ(e.u.msr.value, 0x0000000700000d01);
}

static void cr(void)
{
	start();
	CHECK_EQ(exit_with(28, 8 | 5 << 8), 0);
	CHECK_EQ(e.kind, VMEXIT_CR);
	CHECK_EQ(e.u.cr.cr, 8);
	CHECK_EQ(e.u.cr.gpr, 5);
	CHECK(e.u.cr.write);
	CHECK_EQ(exit_with(28, 8 | 1 << 4 | 15 << 8), 0);
	CHECK(!e.u.cr.write);
	CHECK_EQ(e.u.cr.gpr, 15);
	/* CLTS and LMSW. */
	CHECK_EQ(exit_with(28, 2 << 4), -E_ENTRY);
	CHECK_EQ(e.kind, VMEXIT_REFUSED);
	CHECK_EQ(exit_with(28, 3 << 4 | 0xffff0000), -E_ENTRY);
}

/* NE and MCE mean nothing in the virtual machine: the write is run again with a new shadow. */
static void absorbed(void)
{
	start();
	vmx_set(&vcpu, VREG_CR0, CR0_PE);
	vcpu.gpr[GPR_RBX] = CR0_PE | CR0_NE | CR0_PG;
	CHECK_EQ(exit_with(28, 0 | GPR_RBX << 8), 0);
	CHECK_EQ(e.kind, VMEXIT_INTR);
	CHECK_EQ(fake_vmx.field[VMCS_CR0_SHADOW], CR0_PE | CR0_NE);
	CHECK_EQ(fake_vmx.field[VMCS_GUEST_CR0], CR0_PE | CR0_NE);
	CHECK_EQ(vmx_get(&vcpu, VREG_RIP), 0x1000);
	/* With CD in the same write, core decides; the shadow waits for it. */
	vcpu.gpr[GPR_RBX] = CR0_PE | CR0_CD;
	CHECK_EQ(exit_with(28, 0 | GPR_RBX << 8), 0);
	CHECK_EQ(e.kind, VMEXIT_CR);
	CHECK_EQ(fake_vmx.field[VMCS_CR0_SHADOW], CR0_PE | CR0_NE);
	/* From RSP, which isn't among the registers. */
	vcpu.ops = &vmx_ops;
	fake_vmx.field[VMCS_GUEST_RSP] = CR4_MCE;
	CHECK_EQ(exit_with(28, 4 | GPR_RSP << 8), 0);
	CHECK_EQ(e.kind, VMEXIT_INTR);
	CHECK_EQ(fake_vmx.field[VMCS_CR4_SHADOW], CR4_MCE);
	fake_vmx.field[VMCS_GUEST_RSP] = CR4_VMXE;
	CHECK_EQ(exit_with(28, 4 | GPR_RSP << 8), 0);
	CHECK_EQ(e.kind, VMEXIT_CR);
}

static int exception(uint32_t info, uint64_t qualification)
{
	fake_vmx.field[VMCS_EXIT_EVENT] = info;
	return exit_with(0, qualification);
}

static void exceptions(void)
{
	start();
	CHECK_EQ(exception(0x80000202, 0), 0);
	CHECK_EQ(e.kind, VMEXIT_NMI);
	CHECK(x.nmi_pending);
	CHECK_EQ(vcpu.event.type, VEVENT_NONE);
	/* Single step: DR6.BS, and DR7.GD goes. */
	fake_cpu.dr[6] = 0xffff0ff2;
	fake_vmx.field[VMCS_GUEST_DR7] = 0x2401;
	CHECK_EQ(exception(0x80000301, 0x4000), 0);
	CHECK_EQ(e.kind, VMEXIT_INTR);
	CHECK_EQ(vcpu.event.type, VEVENT_EXCEPTION);
	CHECK_EQ(vcpu.event.vector, 1);
	CHECK(!vcpu.event.has_error);
	CHECK_EQ(fake_cpu.dr[6], 0xffff4ff0);
	CHECK_EQ(fake_vmx.field[VMCS_GUEST_DR7], 0x401);
	CHECK_EQ(vmx_get(&vcpu, VREG_RIP), 0x1000);
	/* INT1 leaves RIP behind it. */
	vcpu.event.type = VEVENT_NONE;
	CHECK_EQ(exception(0x80000501, 0), 0);
	CHECK_EQ(vmx_get(&vcpu, VREG_RIP), 0x1003);
	vcpu.event.type = VEVENT_NONE;
	fake_vmx.field[VMCS_EXIT_EVENT_ERROR] = 0;
	CHECK_EQ(exception(0x80000b11, 0), 0);
	CHECK_EQ(vcpu.event.vector, 17);
	CHECK(vcpu.event.has_error);
	vcpu.event.type = VEVENT_NONE;
	CHECK_EQ(exception(0x80000312, 0), -E_ENTRY);
	CHECK_EQ(e.kind, VMEXIT_REFUSED);
	CHECK_EQ(vcpu.event.type, VEVENT_NONE);
}

static void vectoring(void)
{
	static const struct {
		uint32_t info;
		enum vcpu_event_type type;
		bool has_error;
	} events[] = {
		{0x00000321, VEVENT_NONE, false}, /* not valid */
		{0x80000031, VEVENT_INTR, false}, {0x80000202, VEVENT_NMI, false},
		{0x80000b0e, VEVENT_EXCEPTION, true}, {0x80000306, VEVENT_EXCEPTION, false},
		{0x80000480, VEVENT_NONE, false}, /* INT n runs again by itself */
		{0x80000603, VEVENT_NONE, false}, /* so does INT3 */
	};

	for (unsigned i = 0; i < array_size(events); i++) {
		start();
		fake_vmx.field[VMCS_VECTORING] = events[i].info;
		fake_vmx.field[VMCS_VECTORING_ERROR] = 2;
		vmx_set_interruptibility(&x, BLOCKING_NMI);
		CHECK_EQ(exit_with(48, 0x181), 0);
		CHECK_EQ(vcpu.event.type, events[i].type);
		CHECK_EQ(fake_vmx.field[VMCS_GUEST_INTERRUPTIBILITY],
			events[i].type == VEVENT_NMI ? 0 : BLOCKING_NMI);
		if (vcpu.event.type == VEVENT_NONE)
			continue;
		CHECK_EQ(vcpu.event.vector, events[i].info & 0xff);
		CHECK_EQ(vcpu.event.has_error, events[i].has_error);
		CHECK_EQ(vcpu.event.error, events[i].has_error ? 2 : 0);
	}
}

static void inject(struct vcpu_event event, uint32_t info)
{
	vcpu.event = event;
	CHECK_EQ(exit_with(10, 0), 0);
	CHECK_EQ(fake_vmx.field[VMCS_ENTRY_EVENT], info);
	CHECK_EQ(vcpu.event.type, VEVENT_NONE);
}

static void injection(void)
{
	start();
	inject((struct vcpu_event){VEVENT_INTR, 0x30, false, 0}, 0x80000030);
	inject((struct vcpu_event){VEVENT_NMI, 2, false, 0}, 0x80000202);
	inject((struct vcpu_event){VEVENT_EXCEPTION, 6, false, 0}, 0x80000306);
	/* Error codes are for protected mode. */
	inject((struct vcpu_event){VEVENT_EXCEPTION, 13, true, 0x1238}, 0x8000030d);
	CHECK_EQ(fake_vmx.writes[VMCS_ENTRY_EVENT_ERROR], 0);
	vmx_set(&vcpu, VREG_CR0, CR0_PE);
	inject((struct vcpu_event){VEVENT_EXCEPTION, 14, true, 0xffff8007}, 0x80000b0e);
	CHECK_EQ(fake_vmx.field[VMCS_ENTRY_EVENT_ERROR], 7);
	/* Whatever the instruction at RIP was: its shadow is over. */
	vmx_set_interruptibility(&x, BLOCKING_MOV_SS | BLOCKING_NMI);
	vcpu.event = (struct vcpu_event){VEVENT_EXCEPTION, 6, false, 0};
	CHECK_EQ(exit_with(10, 0), 0);
	CHECK_EQ(fake_vmx.field[VMCS_GUEST_INTERRUPTIBILITY], BLOCKING_NMI);
	/* Nothing to inject: nothing written. */
	CHECK_EQ(fake_vmx.writes[VMCS_ENTRY_EVENT], 6);
	CHECK_EQ(exit_with(10, 0), 0);
	CHECK_EQ(fake_vmx.writes[VMCS_ENTRY_EVENT], 6);
}

static void window(void)
{
	start();
	CHECK_EQ(exit_with(10, 0), 0);
	CHECK_EQ(fake_vmx.writes[VMCS_PROC_CONTROLS], 0);
	vcpu.want_window = true;
	CHECK_EQ(exit_with(10, 0), 0);
	CHECK_EQ(fake_vmx.field[VMCS_PROC_CONTROLS], x.controls.proc | PROC_WINDOW);
	CHECK_EQ(exit_with(7, 0), 0);
	CHECK_EQ(fake_vmx.writes[VMCS_PROC_CONTROLS], 1);
	vcpu.want_window = false;
	CHECK_EQ(exit_with(10, 0), 0);
	CHECK_EQ(fake_vmx.field[VMCS_PROC_CONTROLS], x.controls.proc);
	CHECK_EQ(fake_vmx.writes[VMCS_PROC_CONTROLS], 2);
}

int main(void)
{
	RUN(deadlines);
	RUN(kinds);
	RUN(unexpected);
	RUN(refused);
	RUN(pio);
	RUN(npf);
	RUN(nmi_unblocked);
	RUN(msr);
	RUN(cr);
	RUN(absorbed);
	RUN(exceptions);
	RUN(vectoring);
	RUN(injection);
	RUN(window);
	return TEST_RESULT();
}
