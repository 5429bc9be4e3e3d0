/* irq: the virtual local APIC, through its page, its MSRs and its bus, on a clock that the test moves. */
#include "irq/vlapic.h"
#include "fakes/fake_hw.h"
#include "fakes/fake_lines.h"
#include "hw/time.h"
#include "test.h"

#define BASE	   VLAPIC_DEFAULT_BASE
#define ID	   0x20u
#define VERSION	   0x30u
#define TPR	   0x80u
#define PPR	   0xa0u
#define EOI	   0xb0u
#define LDR	   0xd0u
#define DFR	   0xe0u
#define SVR	   0xf0u
#define ISR	   0x100u
#define TMR	   0x180u
#define IRR	   0x200u
#define ESR	   0x280u
#define ICR	   0x300u
#define ICR_HIGH   0x310u
#define LVT_TIMER  0x320u
#define LVT_LINT0  0x350u
#define LVT_ERROR  0x370u
#define INITIAL	   0x380u
#define CURRENT	   0x390u
#define DIVIDE	   0x3e0u
#define X2(reg)	   (0x800u + (reg) / 16)

#define MODE_OFF   (BASE | 0x100)
#define MODE_X1	   (BASE | 0x900)
#define MODE_X2	   (BASE | 0xd00)
#define MODE_NEVER (BASE | 0x500)
#define MASKED	   0x10000u
#define PERIODIC   0x20000u
#define DEADLINE   0x40000u

static struct vm vm;
static struct fake_lines lines;
static struct vlapic l;
static unsigned ends;
static uint8_t end_vector;

static uint64_t access_page(uint64_t at, unsigned size, bool write, uint64_t value)
{
	struct region *r = region_find(&vm.mmio, at);
	struct io_access a = {.size = (uint8_t)size, .write = write, .value = value};

	CHECK(r == &l.page);
	if (!r)
		return 0;
	a.offset = at - r->base;
	CHECK_EQ(r->handler(r->dev, &a), IO_DONE);
	return a.value;
}

static uint32_t get(unsigned reg)
{
	return (uint32_t)access_page(BASE + reg, 4, false, 0);
}

static void put(unsigned reg, uint32_t value)
{
	access_page(BASE + reg, 4, true, value);
}

static bool wrmsr(uint32_t index, uint64_t value)
{
	return vlapic_write_msr(&l, index, value);
}

static bool rdmsr(uint32_t index, uint64_t want)
{
	uint64_t value = 0;
	bool there = vlapic_read_msr(&l, index, &value);

	if (there)
		CHECK_EQ(value, want);
	return there;
}

static bool set_mode(uint64_t mode)
{
	return wrmsr(MSR_APIC_BASE, mode);
}

static void note_end(void *arg, uint8_t vector)
{
	(void)arg;
	ends++;
	end_vector = vector;
}

static void setup(void)
{
	fake_hw_reset();
	hw_time_init(1000000);
	fake_hw.tsc_step = 0;
	fake_hw.tsc = 1ull << 40;
	memset(&vm, 0, sizeof(vm));
	vm.cpuid.basic[0].eax = 0x16;
	vm.vcpu.deadline = VM_NEVER;
	fake_lines_init(&lines, &vm);
	CHECK_EQ(vlapic_attach(&l, &vm), 0);
	ends = 0;
	l.ended = note_end;
}

static void pass(uint64_t ticks)
{
	fake_hw.tsc += ticks;
	vm.timer[0].tick(vm.timer[0].arg, fake_hw.tsc);
}

static bool send(uint8_t vector)
{
	return vlapic_receive(&l, &(struct apic_message){.vector = vector});
}

static bool send_to(uint8_t dest, bool logical, uint8_t vector)
{
	return vlapic_receive(
		&l, &(struct apic_message){.dest = dest, .logical = logical, .vector = vector});
}

static void test_found(void)
{
	setup();
	CHECK(rdmsr(MSR_APIC_BASE, MODE_X1));
	CHECK_EQ(get(ID), 0);
	CHECK_EQ(get(VERSION), 0x01050014);
	CHECK_EQ(get(SVR), 0x1ff);
	CHECK_EQ(get(LVT_LINT0), 0x700);
	CHECK_EQ(get(LVT_TIMER), MASKED);
	CHECK_EQ(get(DFR), 0xffffffff);
	CHECK(vlapic_passes_extint(&l));
	CHECK(!l.ready);
	CHECK_EQ(vlapic_acknowledge(&l), -1);
	CHECK_EQ(vm.vcpu.deadline, VM_NEVER);
	CHECK(vm.cpuid.basic[1].edx & 1u << 9);
	CHECK(vm.cpuid.basic[1].ecx & 1u << 21 && vm.cpuid.basic[1].ecx & 1u << 24);
}

static void test_priorities(void)
{
	setup();
	CHECK(send(0x31) && send(0x55) && send(0x52));
	CHECK_EQ(get(IRR + 0x20), 1u << (0x55 - 0x40) | 1u << (0x52 - 0x40));
	CHECK(l.ready);
	CHECK_EQ(vlapic_acknowledge(&l), 0x55);
	CHECK_EQ(get(PPR), 0x50);
	/* 52h is of the same class, 31h of a lower one: both wait. */
	CHECK(!l.ready);
	CHECK_EQ(vlapic_acknowledge(&l), -1);
	CHECK(send(0x61));
	CHECK_EQ(vlapic_acknowledge(&l), 0x61);
	CHECK_EQ(get(ISR + 0x30), 1u << 1);
	put(EOI, 0);
	CHECK_EQ(get(PPR), 0x50);
	CHECK(!l.ready);
	put(EOI, 0);
	CHECK_EQ(vlapic_acknowledge(&l), 0x52);
	put(EOI, 0);
	CHECK_EQ(vlapic_acknowledge(&l), 0x31);
	put(EOI, 0);
	put(EOI, 0);
	CHECK_EQ(get(PPR), 0);
	CHECK_EQ(ends, 0);
}

static void test_task_priority(void)
{
	setup();
	put(TPR, 0x5f);
	CHECK_EQ(vlapic_priority(&l), 5);
	CHECK_EQ(get(PPR), 0x5f);
	CHECK(send(0x5f));
	CHECK(!l.ready);
	vlapic_set_priority(&l, 4);
	CHECK_EQ(get(TPR), 0x40);
	CHECK(l.ready);
	vlapic_set_priority(&l, 15);
	CHECK(send(0xff));
	CHECK(!l.ready);
	vlapic_set_priority(&l, 0);
	CHECK_EQ(vlapic_acknowledge(&l), 0xff);
	put(TPR, 0xf5);
	CHECK_EQ(get(PPR), 0xf5);
	put(TPR, 0x35);
	CHECK_EQ(get(PPR), 0xf0);
}

static void test_level(void)
{
	struct apic_message m = {.vector = 0x44, .level = true};

	setup();
	CHECK(vlapic_receive(&l, &m));
	CHECK_EQ(get(TMR + 0x20), 1u << 4);
	CHECK_EQ(vlapic_acknowledge(&l), 0x44);
	put(EOI, 0);
	CHECK_EQ(ends, 1);
	CHECK_EQ(end_vector, 0x44);
	/* The same vector as an edge: nobody is told. */
	CHECK(send(0x44));
	CHECK_EQ(vlapic_acknowledge(&l), 0x44);
	put(EOI, 0);
	CHECK_EQ(ends, 1);
	put(SVR, 0x11ff);
	CHECK(vlapic_receive(&l, &m));
	CHECK_EQ(vlapic_acknowledge(&l), 0x44);
	put(EOI, 0);
	CHECK_EQ(ends, 1);
}

static void test_destinations(void)
{
	setup();
	CHECK(send_to(0, false, 0x40));
	CHECK(send_to(0xff, false, 0x40));
	CHECK(!send_to(1, false, 0x40));
	CHECK(!send_to(1, true, 0x40)); /* no logical id yet */
	put(LDR, 0x05ffffff);
	CHECK_EQ(get(LDR), 0x05000000);
	CHECK(send_to(0x04, true, 0x40));
	CHECK(!send_to(0x02, true, 0x40));
	CHECK(send_to(0xff, true, 0x40));
	put(DFR, 0);
	CHECK_EQ(get(DFR), 0x0fffffff);
	put(LDR, 0x35000000);
	CHECK(send_to(0x31, true, 0x40));
	CHECK(!send_to(0x41, true, 0x40));
	CHECK(!send_to(0x32, true, 0x40));
	CHECK(set_mode(MODE_X2));
	CHECK(send_to(0x01, true, 0x40));
	CHECK(!send_to(0x02, true, 0x40));
}

static void test_modes_of_delivery(void)
{
	struct apic_message m = {.vector = 0x44};

	setup();
	for (m.mode = 0; m.mode < 8; m.mode++) {
		bool taken = vlapic_receive(&l, &m);

		CHECK_EQ(taken, m.mode == APIC_FIXED || m.mode == APIC_LOWEST ||
					m.mode == APIC_NMI || m.mode == APIC_EXTINT);
	}
	CHECK(l.nmi && l.extint);
	put(SVR, 0xff);
	l.nmi = false;
	m.mode = APIC_FIXED;
	CHECK(!vlapic_receive(&l, &m));
	m.mode = APIC_NMI;
	CHECK(vlapic_receive(&l, &m));
	CHECK(set_mode(MODE_OFF));
	CHECK(!l.nmi);
	CHECK(!vlapic_receive(&l, &m));
}

static void test_errors(void)
{
	setup();
	put(LVT_ERROR, 0xe0);
	CHECK(!send(0x0f));
	CHECK_EQ(get(ESR), 0);
	CHECK_EQ(vlapic_acknowledge(&l), 0xe0);
	put(EOI, 0);
	put(ESR, 0);
	CHECK_EQ(get(ESR), 0x40);
	put(ESR, 0);
	CHECK_EQ(get(ESR), 0);
	put(ICR, 0x40003); /* to itself, with a vector of the processor's own */
	put(ESR, 0);
	CHECK_EQ(get(ESR), 0x20);
	CHECK_EQ(get(0x2f0), 0); /* no CMCI */
	put(0x3f0, 0x55);	 /* x2APIC's alone */
	put(ESR, 0);
	CHECK_EQ(get(ESR), 0x80);
	CHECK_EQ(vlapic_acknowledge(&l), 0xe0);
	CHECK_EQ(get(IRR + 0x20), 0);
	/* An error's own vector that is an error tells nobody, and doesn't go round for ever. */
	put(LVT_ERROR, 0x0e);
	CHECK(!send(1));
	put(ESR, 0);
	CHECK_EQ(get(ESR), 0x40);
	/* What can only be read is no error to write. */
	put(PPR, 1);
	put(VERSION, 1);
	put(CURRENT, 1);
	put(ISR, 1);
	put(ESR, 0);
	CHECK_EQ(get(ESR), 0);
}

static void test_off_by_svr(void)
{
	setup();
	put(LVT_TIMER, 0x40);
	CHECK(send(0x41));
	put(SVR, 0xfe);
	CHECK_EQ(get(SVR), 0xfe);
	CHECK_EQ(get(LVT_TIMER), 0x40 | MASKED);
	put(LVT_TIMER, 0x40);
	CHECK_EQ(get(LVT_TIMER), 0x40 | MASKED);
	CHECK(!vlapic_passes_extint(&l));
	CHECK(!send(0x42));
	CHECK_EQ(vlapic_acknowledge(&l), 0x41); /* what was taken before stays */
	put(SVR, 0x1fe);
	put(LVT_TIMER, 0x40);
	CHECK_EQ(get(LVT_TIMER), 0x40);
}

static void test_own_messages(void)
{
	setup();
	put(ICR_HIGH, 0xffffffff);
	CHECK_EQ(get(ICR_HIGH), 0xff000000);
	put(ICR, 0x4044);
	CHECK_EQ(get(ICR), 0x4044);
	CHECK_EQ(vlapic_acknowledge(&l), 0x44);
	put(EOI, 0);
	put(ICR_HIGH, 0x01000000);
	put(ICR, 0x45);
	put(ICR, 0xc0045); /* all but itself */
	CHECK(!l.ready);
	put(ICR, 0x80046); /* all */
	CHECK_EQ(vlapic_acknowledge(&l), 0x46);
	put(EOI, 0);
	put(ICR, 0x40047);
	CHECK_EQ(vlapic_acknowledge(&l), 0x47);
	put(EOI, 0);
	/* INIT, start-up, SMI and reserved ones reach nobody. */
	put(ICR_HIGH, 0);
	for (unsigned mode = 2; mode < 8; mode++)
		if (mode != APIC_NMI)
			put(ICR, mode << 8 | 0x48);
	CHECK(!l.ready && !l.nmi && !l.extint);
	put(ICR, 0x400);
	CHECK(l.nmi);
}

static void test_transitions(void)
{
	static const uint64_t mode[] = {MODE_OFF, MODE_X1, MODE_X2, MODE_NEVER};
	static const bool valid[3][4] = {
		{true, true, false, false}, {true, true, true, false}, {true, false, true, false}};

	for (unsigned from = 0; from < 3; from++) {
		for (unsigned to = 0; to < 4; to++) {
			setup();
			CHECK(set_mode(mode[from]));
			CHECK_EQ(set_mode(mode[to]), valid[from][to]);
			CHECK(rdmsr(MSR_APIC_BASE, mode[valid[from][to] ? to : from]));
		}
	}
	setup();
	CHECK(!set_mode(MODE_X1 | 1));
	CHECK(!set_mode(MODE_X1 | 0x200));
	CHECK(!set_mode(MODE_X1 | 1ull << 36));
	CHECK(!set_mode(MODE_X1 | 1ull << 63));
	CHECK(set_mode(MODE_X1 & ~0x100ull)); /* which processor it is can't be changed */
	CHECK(rdmsr(MSR_APIC_BASE, MODE_X1));
}

static void test_mode_off(void)
{
	setup();
	CHECK(send(0x41));
	put(TPR, 0x20);
	CHECK(set_mode(MODE_OFF));
	CHECK(!l.ready);
	CHECK(!region_find(&vm.mmio, BASE));
	CHECK(!(vm.cpuid.basic[1].edx & 1u << 9));
	CHECK(vlapic_passes_extint(&l));
	CHECK(!rdmsr(X2(ID), 0));
	CHECK(set_mode(MODE_X1));
	CHECK(!l.ready);
	CHECK_EQ(get(TPR), 0);
	CHECK_EQ(get(SVR), 0xff);
	CHECK_EQ(get(LVT_LINT0), MASKED);
	CHECK(vm.cpuid.basic[1].edx & 1u << 9);
}

/* Elsewhere it answers there; where something else is, that stays, and the APIC is out of reach. */
static void test_move(void)
{
	struct region other = {.base = 0xfec00000, .len = 0x1000};

	setup();
	CHECK_EQ(region_add(&vm.mmio, &other), 0);
	CHECK(set_mode(0x80000900));
	CHECK(!region_find(&vm.mmio, BASE));
	CHECK_EQ(access_page(0x80000030, 4, false, 0), 0x01050014);
	CHECK(set_mode(0xfec00900));
	CHECK(region_find(&vm.mmio, 0xfec00000) == &other);
	CHECK(!region_find(&vm.mmio, 0x80000000));
	CHECK(set_mode(MODE_X1));
	CHECK_EQ(get(VERSION), 0x01050014);
}

static void test_x2apic(void)
{
	setup();
	CHECK(!rdmsr(X2(VERSION), 0));
	CHECK(!wrmsr(X2(TPR), 0));
	CHECK(send(0x41));
	put(TPR, 0x20);
	CHECK(set_mode(MODE_X2));
	CHECK(!region_find(&vm.mmio, BASE));
	CHECK(l.ready);
	CHECK(rdmsr(X2(TPR), 0x20));
	CHECK(rdmsr(X2(ID), 0));
	CHECK(rdmsr(X2(LDR), 1));
	CHECK(rdmsr(X2(IRR) + 2, 2));
	CHECK_EQ(vlapic_acknowledge(&l), 0x41);
	CHECK(!wrmsr(X2(EOI), 1));
	CHECK(wrmsr(X2(EOI), 0));
	CHECK(wrmsr(0x83f, 0x51));
	CHECK_EQ(vlapic_acknowledge(&l), 0x51);
	CHECK(wrmsr(X2(EOI), 0));
	CHECK(wrmsr(X2(ICR), 0x52));
	CHECK_EQ(vlapic_acknowledge(&l), 0x52);
	CHECK(wrmsr(X2(EOI), 0));
	CHECK(wrmsr(X2(ICR), 0x1ull << 32 | 0x53));
	CHECK(!l.ready);
	CHECK(rdmsr(X2(ICR), 0x1ull << 32 | 0x53));
	CHECK(wrmsr(X2(ICR), 0xffffffffull << 32 | 0x53));
	CHECK(wrmsr(X2(ICR), 0x1ull << 32 | 0x854)); /* cluster 0, its first */
	CHECK(wrmsr(X2(ICR), 0x10001ull << 32 | 0x855));
	CHECK_EQ(vlapic_acknowledge(&l), 0x54);
	CHECK_EQ(l.irr[2], 1u << (0x53 - 0x40));
}

/* Registers that don't exist there, that can't be read or written, and reserved bits. */
static void test_x2apic_faults(void)
{
	static const uint16_t no_read[] = {0x800, 0x801, 0x804, 0x809, 0x80b, 0x80c, 0x80e, 0x829,
		0x82f, 0x831, 0x83a, 0x83f, 0x840, 0x8ff};
	static const uint16_t no_write[] = {0x800, 0x802, 0x803, 0x809, 0x80a, 0x80c, 0x80d, 0x80e,
		0x810, 0x818, 0x820, 0x827, 0x82f, 0x831, 0x839, 0x83a, 0x840, 0x8ff};

	setup();
	CHECK(set_mode(MODE_X2));
	for (size_t i = 0; i < sizeof(no_read) / sizeof(*no_read); i++)
		CHECK(!rdmsr(no_read[i], 0));
	for (size_t i = 0; i < sizeof(no_write) / sizeof(*no_write); i++)
		CHECK(!wrmsr(no_write[i], 0));
	CHECK(!wrmsr(X2(TPR), 0x100));
	CHECK(!wrmsr(X2(SVR), 0x200));
	CHECK(!wrmsr(X2(ESR), 1));
	CHECK(!wrmsr(X2(LVT_TIMER), 0x100));
	CHECK(!wrmsr(X2(LVT_LINT0), 0x1000));
	CHECK(!wrmsr(X2(ICR), 0x1000));
	CHECK(!wrmsr(X2(DIVIDE), 4));
	CHECK(!wrmsr(X2(INITIAL), 1ull << 32));
	CHECK(!wrmsr(0x83f, 0x100));
	CHECK(wrmsr(X2(ESR), 0));
	for (uint32_t index = 0x800; index < 0x900; index++) {
		wrmsr(index, ~0ull);
		wrmsr(index, 0x5a5a5a5a);
	}
}

static void test_timer(void)
{
	setup();
	put(DIVIDE, 0xb);
	put(LVT_TIMER, 0x60);
	put(INITIAL, 100000);
	CHECK_EQ(vm.vcpu.deadline, fake_hw.tsc + 100000);
	pass(50000);
	CHECK(!l.ready);
	CHECK_EQ(get(CURRENT), 50001);
	pass(50000);
	CHECK_EQ(vlapic_acknowledge(&l), 0x60);
	put(EOI, 0);
	CHECK_EQ(get(CURRENT), 0);
	pass(1000000);
	CHECK(!l.ready);
	/* Masked it counts all the same, and tells nobody, now or later. */
	put(LVT_TIMER, 0x60 | MASKED);
	put(INITIAL, 100000);
	CHECK_EQ(vm.vcpu.deadline, VM_NEVER);
	CHECK_EQ(get(CURRENT), 100001);
	pass(200000);
	put(LVT_TIMER, 0x60);
	CHECK(!l.ready);
}

static void test_timer_periodic(void)
{
	unsigned told = 0;

	setup();
	put(DIVIDE, 0xb);
	put(LVT_TIMER, 0x60 | PERIODIC);
	put(INITIAL, 100000);
	for (unsigned i = 0; i < 1000; i++) {
		pass(37000);
		while (vlapic_acknowledge(&l) == 0x60) {
			put(EOI, 0);
			told++;
		}
	}
	CHECK_EQ(told, 370);
	/* Away for long: some of what was missed follows, one after each acknowledge. */
	pass(100000ull * 1000);
	for (told = 0; vlapic_acknowledge(&l) == 0x60; told++)
		put(EOI, 0);
	CHECK_EQ(told, 1 + VLAPIC_BACKLOG_MAX);
	CHECK_EQ(l.lost, 1000 - 1 - VLAPIC_BACKLOG_MAX);
	put(INITIAL, 1); /* as fast as it can: bounded work, and a turn that isn't empty */
	pass(1ull << 40);
	vm_timers_changed(&vm);
	CHECK_EQ(vm.vcpu.deadline, fake_hw.tsc + 20000);
	CHECK_EQ(l.backlog, VLAPIC_BACKLOG_MAX);
	put(INITIAL, 0);
	CHECK_EQ(l.backlog, 0);
}

static void test_timer_deadline(void)
{
	setup();
	CHECK(wrmsr(MSR_TSC_DEADLINE, fake_hw.tsc + 1000));
	CHECK(rdmsr(MSR_TSC_DEADLINE, 0));
	put(LVT_TIMER, 0x60 | DEADLINE);
	CHECK(wrmsr(MSR_TSC_DEADLINE, fake_hw.tsc + 50000));
	CHECK(rdmsr(MSR_TSC_DEADLINE, fake_hw.tsc + 50000));
	CHECK_EQ(vm.vcpu.deadline, fake_hw.tsc + 50000);
	put(INITIAL, 5);
	CHECK_EQ(get(CURRENT), 0);
	pass(49999);
	CHECK(!l.ready);
	pass(1);
	CHECK(rdmsr(MSR_TSC_DEADLINE, 0));
	CHECK_EQ(vlapic_acknowledge(&l), 0x60);
	put(EOI, 0);
	/* In the past: at once, without a tick. */
	CHECK(wrmsr(MSR_TSC_DEADLINE, 1));
	CHECK(l.ready);
	CHECK(set_mode(MODE_X2));
	CHECK(wrmsr(MSR_TSC_DEADLINE, ~0ull - 1));
	CHECK(wrmsr(MSR_TSC_DEADLINE, 0));
	CHECK_EQ(vm.vcpu.deadline, VM_NEVER);
}

static void test_lint0(void)
{
	setup();
	vlapic_lint0_edge(&l);
	CHECK(!l.ready && !l.extint);
	put(LVT_LINT0, 0x31);
	CHECK(!vlapic_passes_extint(&l));
	vlapic_lint0_edge(&l);
	CHECK_EQ(vlapic_acknowledge(&l), 0x31);
	put(LVT_LINT0, 0x31 | MASKED);
	put(EOI, 0);
	vlapic_lint0_edge(&l);
	CHECK(!l.ready);
	put(LVT_LINT0, 0xffffffff);
	CHECK_EQ(get(LVT_LINT0), 0x1a7ff);
}

/* Widths and places that no driver uses: none does harm, and all have an answer. */
static void test_odd_accesses(void)
{
	static const uint8_t sizes[] = {1, 2, 4, 8};

	setup();
	CHECK_EQ(access_page(BASE + VERSION + 2, 2, false, 0), 0x0105);
	CHECK_EQ(access_page(BASE + VERSION, 8, false, 0), 0x01050014);
	CHECK_EQ(access_page(BASE + VERSION + 4, 4, false, 0), 0);
	access_page(BASE + TPR, 1, true, 0x55);
	access_page(BASE + TPR, 2, true, 0x55);
	access_page(BASE + TPR, 8, true, 0x55);
	access_page(BASE + TPR + 1, 4, true, 0x55);
	CHECK_EQ(get(TPR), 0);
	for (unsigned at = 0; at < 0x1000; at++) {
		for (unsigned i = 0; i < 4; i++) {
			if (at + sizes[i] > 0x1000)
				continue;
			access_page(BASE + at, sizes[i], true, 0xa5a5a5a5a5a5a5a5);
			access_page(BASE + at, sizes[i], false, 0);
		}
	}
}

static void test_no_room(void)
{
	struct region other = {.base = BASE + 0x10, .len = 1};

	setup();
	memset(&vm.mmio, 0, sizeof(vm.mmio));
	vm.cpuid.basic[1].edx = 0;
	CHECK_EQ(region_add(&vm.mmio, &other), 0);
	CHECK(vlapic_attach(&l, &vm) != 0);
	CHECK(!vm.cpuid.basic[1].edx);
}

int main(void)
{
	RUN(test_found);
	RUN(test_priorities);
	RUN(test_task_priority);
	RUN(test_level);
	RUN(test_destinations);
	RUN(test_modes_of_delivery);
	RUN(test_errors);
	RUN(test_off_by_svr);
	RUN(test_own_messages);
	RUN(test_transitions);
	RUN(test_mode_off);
	RUN(test_move);
	RUN(test_x2apic);
	RUN(test_x2apic_faults);
	RUN(test_timer);
	RUN(test_timer_periodic);
	RUN(test_timer_deadline);
	RUN(test_lint0);
	RUN(test_odd_accesses);
	RUN(test_no_room);
	return TEST_RESULT();
}
