/* What exit.c makes of a VMCB, and of events in both directions. */
#include "svm/svm.h"
#include "test.h"

static struct vmcb vmcb;
static uint64_t gpr[GPR_COUNT];

static struct vmexit normalise(uint64_t code, uint64_t info1, uint64_t info2, uint32_t features)
{
	struct vmexit e;

	vmcb.control.exit_code = code;
	vmcb.control.exit_info1 = info1;
	vmcb.control.exit_info2 = info2;
	memset(&e, 0xee, sizeof(e));
	svm_normalise(&vmcb, gpr, features, &e);
	return e;
}

static void clear(void)
{
	memset(&vmcb, 0, sizeof(vmcb));
	memset(gpr, 0, sizeof(gpr));
	vmcb.save.rip = 0x1000;
}

static void kinds_by_code(void)
{
	static const struct {
		uint64_t code;
		enum vmexit_kind kind;
	} cases[] = {
		{0x08, VMEXIT_CR},
		{0x18, VMEXIT_CR},
		{0x60, VMEXIT_INTR},
		{0x41, VMEXIT_INTR},
		{0x51, VMEXIT_INTR},
		{0x61, VMEXIT_NMI},
		{0x63, VMEXIT_INTR},
		{0x64, VMEXIT_WINDOW},
		{0x72, VMEXIT_CPUID},
		{0x78, VMEXIT_HLT},
		{0x7b, VMEXIT_PIO},
		{0x7c, VMEXIT_MSR},
		{0x400, VMEXIT_NPF},
		{0x8d, VMEXIT_XSETBV},
		{0x76, VMEXIT_CACHE},
		{0x89, VMEXIT_CACHE},
		{0x7f, VMEXIT_SHUTDOWN},
		{0x6f, VMEXIT_UNDEFINED},
		{0x73, VMEXIT_UNDEFINED},
		{0x7a, VMEXIT_UNDEFINED},
		{0x80, VMEXIT_UNDEFINED},
		{0x81, VMEXIT_UNDEFINED},
		{0x82, VMEXIT_UNDEFINED},
		{0x83, VMEXIT_UNDEFINED},
		{0x84, VMEXIT_UNDEFINED},
		{0x85, VMEXIT_UNDEFINED},
		{0x86, VMEXIT_UNDEFINED},
		{0x8a, VMEXIT_UNDEFINED},
		{0x8b, VMEXIT_UNDEFINED},
		{0x87, VMEXIT_UNDEFINED},
		{0x8e, VMEXIT_UNDEFINED},
		{~0ull, VMEXIT_REFUSED},
		{0xffffffff, VMEXIT_REFUSED},
		{0x52, VMEXIT_REFUSED},
	};
	unsigned known = 0;

	clear();
	for (size_t i = 0; i < array_size(cases); i++) {
		struct vmexit e = normalise(cases[i].code, 0x11, 0x22, 0);

		CHECK_EQ(e.kind, cases[i].kind);
		CHECK_EQ(e.rip, 0x1000);
		CHECK_EQ(e.raw_reason, cases[i].code);
		CHECK_EQ(e.raw_info[0], 0x11);
		CHECK_EQ(e.raw_info[1], 0x22);
	}
	for (uint64_t code = 0; code < 0x500; code++)
		known += normalise(code, ~0ull, ~0ull, ~0u).kind != VMEXIT_REFUSED;
	CHECK_EQ(known, 31);
}

static void lengths(void)
{
	struct vmexit e;

	clear();
	vmcb.control.next_rip = 0x1002;
	CHECK_EQ(normalise(EXIT_CPUID, 0, 0, 0).insn_len, 0);
	CHECK_EQ(normalise(EXIT_CPUID, 0, 0, CPUID_SVM_NRIP).insn_len, 2);
	vmcb.control.next_rip = 0x100f;
	CHECK_EQ(normalise(EXIT_CPUID, 0, 0, CPUID_SVM_NRIP).insn_len, 15);
	/* Not filled in, or wrapped around. */
	vmcb.control.next_rip = 0x1010;
	CHECK_EQ(normalise(EXIT_CPUID, 0, 0, CPUID_SVM_NRIP).insn_len, 0);
	vmcb.control.next_rip = 0;
	CHECK_EQ(normalise(EXIT_CPUID, 0, 0, CPUID_SVM_NRIP).insn_len, 0);
	vmcb.save.rip = ~0ull;
	vmcb.control.next_rip = 1;
	CHECK_EQ(normalise(EXIT_CPUID, 0, 0, CPUID_SVM_NRIP).insn_len, 2);
	/* A port access has its own way to tell. */
	vmcb.save.rip = 0x1000;
	vmcb.control.next_rip = 0x1002;
	e = normalise(EXIT_IOIO, 0, 0x1003, CPUID_SVM_NRIP);
	CHECK_EQ(e.insn_len, 3);
	CHECK_EQ(normalise(EXIT_IOIO, 0, 0xfff, 0).insn_len, 0);
	/* The access of a fault isn't done: nothing to skip. */
	CHECK_EQ(normalise(EXIT_NPF, 0, 0, CPUID_SVM_NRIP).insn_len, 0);
}

static void ports(void)
{
	struct vmexit e;

	clear();
	e = normalise(EXIT_IOIO, 0x12340000 | 1 << 4 | 1, 0x1002, 0);
	CHECK_EQ(e.u.pio.port, 0x1234);
	CHECK_EQ(e.u.pio.size, 1);
	CHECK(e.u.pio.in && !e.u.pio.string && !e.u.pio.rep);
	e = normalise(EXIT_IOIO, 0xffff0000 | 1 << 6 | 1 << 3 | 1 << 2, 0x1002, 0);
	CHECK_EQ(e.u.pio.port, 0xffff);
	CHECK_EQ(e.u.pio.size, 4);
	CHECK(!e.u.pio.in && e.u.pio.string && e.u.pio.rep);
	e = normalise(EXIT_IOIO, 1 << 5 | 1 << 2, 0x1002, 0);
	CHECK_EQ(e.u.pio.size, 2);
	CHECK(e.u.pio.string && !e.u.pio.rep);
}

static void faults(void)
{
	struct vmexit e;

	clear();
	e = normalise(EXIT_NPF, 1ull << 32 | 6, 0x123456789, 0);
	CHECK_EQ(e.u.npf.gpa.v, 0x123456789);
	CHECK(e.u.npf.write && !e.u.npf.fetch && !e.u.npf.walk && !e.u.npf.gla_valid);
	e = normalise(EXIT_NPF, 1ull << 32 | 0x14, 0x1000, 0);
	CHECK(!e.u.npf.write && e.u.npf.fetch && !e.u.npf.walk);
	e = normalise(EXIT_NPF, 1ull << 33 | 4, 0x1000, 0);
	CHECK(!e.u.npf.write && !e.u.npf.fetch && e.u.npf.walk);
}

static void task_priority(void)
{
	struct vmexit e;

	clear();
	e = normalise(EXIT_WRITE_CR8, 0, 0, 0);
	CHECK_EQ(e.kind, VMEXIT_CR);
	CHECK(e.u.cr.cr == 8 && e.u.cr.gpr == GPR_UNKNOWN && e.u.cr.write);
	e = normalise(EXIT_READ_CR8, 0, 0, 0);
	CHECK(e.u.cr.cr == 8 && e.u.cr.gpr == GPR_UNKNOWN && !e.u.cr.write);
}

static void instruction_bytes(void)
{
	struct vmexit e;

	clear();
	vmcb.control.insn_count = 15;
	for (unsigned i = 0; i < 15; i++)
		vmcb.control.insn[i] = (uint8_t)(0xa0 + i);
	CHECK_EQ(normalise(EXIT_NPF, 4, 0, 0).n_insn, 0);
	e = normalise(EXIT_NPF, 4, 0, CPUID_SVM_DECODE);
	CHECK_EQ(e.n_insn, 15);
	CHECK(!memcmp(e.insn, vmcb.control.insn, 15));
	/* Not for a fetch, and never more than there is room for. */
	CHECK_EQ(normalise(EXIT_NPF, 0x14, 0, CPUID_SVM_DECODE).n_insn, 0);
	vmcb.control.insn_count = 16;
	CHECK_EQ(normalise(EXIT_NPF, 4, 0, CPUID_SVM_DECODE).n_insn, 0);
	vmcb.control.insn_count = 0;
	CHECK_EQ(normalise(EXIT_NPF, 4, 0, CPUID_SVM_DECODE).n_insn, 0);
}

static void msrs(void)
{
	struct vmexit e;

	clear();
	gpr[GPR_RAX] = 0xffffffff11223344;
	gpr[GPR_RDX] = 0xffffffff55667788;
	gpr[GPR_RCX] = 0xffffffffc0000080;
	e = normalise(EXIT_MSR, 1, 0, 0);
	CHECK(e.u.msr.write);
	CHECK_EQ(e.u.msr.index, 0xc0000080);
	CHECK_EQ(e.u.msr.value, 0x5566778811223344);
	CHECK(!normalise(EXIT_MSR, 0, 0, 0).u.msr.write);
}

static struct vcpu_event interrupted(uint64_t code, uint64_t info)
{
	vmcb.control.exit_code = code;
	vmcb.control.exit_interrupt_info = info;
	return svm_interrupted_event(&vmcb);
}

static void interrupted_events(void)
{
	struct vcpu_event e;

	clear();
	CHECK_EQ(interrupted(EXIT_NPF, 0x7fffffff).type, VEVENT_NONE);
	e = interrupted(EXIT_NPF, 0x80000000 | 0x22);
	CHECK(e.type == VEVENT_INTR && e.vector == 0x22 && !e.has_error);
	e = interrupted(EXIT_NPF, 0x80000000 | 2 << 8 | 2);
	CHECK(e.type == VEVENT_NMI && e.vector == 2);
	e = interrupted(EXIT_NPF, 0x1238ull << 32 | 0x80000000 | 1 << 11 | 3 << 8 | 13);
	CHECK(e.type == VEVENT_EXCEPTION && e.vector == 13 && e.has_error && e.error == 0x1238);
	e = interrupted(EXIT_NPF, 0x1238ull << 32 | 0x80000000 | 3 << 8 | 6);
	CHECK(e.type == VEVENT_EXCEPTION && e.vector == 6 && !e.has_error && !e.error);
	/* What runs again by itself: INT n, INT3, INTO; and a type that doesn't exist. */
	CHECK_EQ(interrupted(EXIT_NPF, 0x80000000 | 4 << 8 | 0x80).type, VEVENT_NONE);
	CHECK_EQ(interrupted(EXIT_NPF, 0x80000000 | 3 << 8 | 3).type, VEVENT_NONE);
	CHECK_EQ(interrupted(EXIT_NPF, 0x80000000 | 3 << 8 | 4).type, VEVENT_NONE);
	CHECK_EQ(interrupted(EXIT_NPF, 0x80000000 | 7 << 8 | 4).type, VEVENT_NONE);
	/* An intercepted trap takes the place of what it interrupted. */
	e = interrupted(EXIT_DB, 0x80000000 | 0x22);
	CHECK(e.type == VEVENT_EXCEPTION && e.vector == 1 && !e.has_error);
	e = interrupted(EXIT_AC, 0);
	CHECK(e.type == VEVENT_EXCEPTION && e.vector == 17 && e.has_error && !e.error);
}

static void injected_events(void)
{
	static const struct vcpu_event events[] = {
		{VEVENT_INTR, 0x22, false, 0},
		{VEVENT_NMI, 2, false, 0},
		{VEVENT_EXCEPTION, 6, false, 0},
		{VEVENT_EXCEPTION, 13, true, 0xfffffffe},
	};
	const struct vcpu_event none = {0};

	clear();
	CHECK_EQ(svm_event_field(&none), 0);
	CHECK_EQ(svm_event_field(&events[0]), 0x80000022);
	CHECK_EQ(svm_event_field(&events[3]), 0xfffffffe80000b0d);
	/* Both directions have one format: an event comes back as it went. */
	for (size_t i = 0; i < array_size(events); i++) {
		struct vcpu_event e = interrupted(EXIT_NPF, svm_event_field(&events[i]));

		CHECK(e.type == events[i].type && e.vector == events[i].vector);
		CHECK(e.has_error == events[i].has_error && e.error == events[i].error);
	}
}

int main(void)
{
	RUN(kinds_by_code);
	RUN(lengths);
	RUN(ports);
	RUN(faults);
	RUN(task_priority);
	RUN(instruction_bytes);
	RUN(msrs);
	RUN(interrupted_events);
	RUN(injected_events);
	return TEST_RESULT();
}
