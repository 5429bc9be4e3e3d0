/*
 * The local APIC and the IOAPIC as a kernel uses them: xAPIC, x2APIC, priorities, all timer modes against
 * the TSC, the interval timer on an IOAPIC pin, and the drift of a periodic timer over the seconds that
 * drift= on the command line names.
 */
#include "tiny.h"

const char tiny_name[] = "tiny-apic";

#define APIC_BASE      0xfee00000ull
#define IOAPIC_BASE    0xfec00000ull
#define MSR_BASE       0x1bu
#define MSR_DEADLINE   0x6e0u
#define MSR_X2(reg)    (0x800u + (reg) / 16)
#define BASE_X2	       (1ull << 10)

#define REG_VERSION    0x30u
#define REG_TPR	       0x80u
#define REG_EOI	       0xb0u
#define REG_SVR	       0xf0u
#define REG_ESR	       0x280u
#define REG_ICR	       0x300u
#define REG_TIMER      0x320u
#define REG_INITIAL    0x380u
#define REG_CURRENT    0x390u
#define REG_DIVIDE     0x3e0u
#define REG_SELF       0x3f0u

#define ICR_SELF       0x40000u
#define TIMER_PERIODIC 0x20000u
#define TIMER_DEADLINE 0x40000u
#define TIMER_MASKED   0x10000u
#define DIVIDE_BY_1    0xbu

#define VECTOR_TIMER   0x70
#define VECTOR_PIT     0x50
#define VECTOR_LOW     0x41
#define VECTOR_HIGH    0x61

#define CMD_LINE_PTR   0x228u
#define ORDER_MAX      8u
#define LATE_MAX       16u /* ticks that may come together, after a rest that was too long */

static unsigned wrong;
static bool x2;
static uint64_t khz;
static uint32_t clocks = 1, ticks = 1; /* of the timer, and of the TSC, in the same time */

static volatile uint64_t timer_count, timer_last, pit_count;
static volatile uint8_t order[ORDER_MAX];
static volatile unsigned order_count;

static void check(bool ok, const char *what, uint64_t value)
{
	if (ok)
		return;
	say("WRONG: %s: %u", what, value);
	wrong++;
}

static uint64_t rdmsr(uint32_t index)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(index));
	return (uint64_t)hi << 32 | lo;
}

static void wrmsr(uint32_t index, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

static uint32_t apic_read(uint32_t reg)
{
	return x2 ? (uint32_t)rdmsr(MSR_X2(reg)) : *(volatile uint32_t *)(APIC_BASE + reg);
}

static void apic_write(uint32_t reg, uint32_t value)
{
	if (x2)
		wrmsr(MSR_X2(reg), value);
	else
		*(volatile uint32_t *)(APIC_BASE + reg) = value;
}

static void ioapic_write(uint32_t index, uint32_t value)
{
	*(volatile uint32_t *)IOAPIC_BASE = index;
	*(volatile uint32_t *)(IOAPIC_BASE + 0x10) = value;
}

static void irq_on(void)
{
	__asm__ volatile("sti; nop" : : : "memory");
}

static void irq_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/* ---- handlers ---- */

static void note_order(uint8_t vector)
{
	if (order_count < ORDER_MAX)
		order[order_count++] = vector;
	apic_write(REG_EOI, 0);
}

static void take_low(void)
{
	note_order(VECTOR_LOW);
}

static void take_high(void)
{
	note_order(VECTOR_HIGH);
}

static void take_timer(void)
{
	timer_count++;
	timer_last = tsc();
	apic_write(REG_EOI, 0);
}

static void take_pit(void)
{
	pit_count++;
	apic_write(REG_EOI, 0);
}

/* ---- what the guest knows of time ---- */

/* The number behind a name on the command line, 0 if it isn't there. */
static uint64_t option(const uint8_t *boot_params, const char *name)
{
	const char *line = (const char *)(uint64_t) *
			   (const uint32_t *)(boot_params + CMD_LINE_PTR);

	for (; *line; line++) {
		uint64_t value = 0;
		unsigned n = 0;

		while (name[n] && line[n] == name[n])
			n++;
		if (name[n])
			continue;
		for (; line[n] >= '0' && line[n] <= '9'; n++)
			value = value * 10 + (uint64_t)(line[n] - '0');
		return value;
	}
	return 0;
}

/* A timer with a crystal of its own is told of by leaf 15h; else it runs as the TSC does. */
static void find_clock(void)
{
	struct cpuid r = cpuid(0, 0);

	if (r.eax < 0x15)
		return;
	r = cpuid(0x15, 0);
	if (r.eax && r.ebx) {
		clocks = r.eax;
		ticks = r.ebx;
	}
}

static uint32_t ms_to_count(uint64_t ms)
{
	return (uint32_t)(khz * ms * clocks / ticks);
}

/* ---- tests ---- */

static void test_found(void)
{
	struct cpuid r = cpuid(1, 0);

	check(r.edx & 1u << 9, "no APIC", r.edx);
	check(r.ecx & 1u << 21, "no x2APIC", r.ecx);
	check(r.ecx & 1u << 24, "no TSC deadline", r.ecx);
	check((apic_read(REG_VERSION) & 0xff) == 0x14, "version", apic_read(REG_VERSION));
	apic_write(REG_SVR, 0x1ff);
}

static void send_both(void)
{
	order_count = 0;
	irq_off();
	if (x2) {
		apic_write(REG_SELF, VECTOR_LOW);
		apic_write(REG_SELF, VECTOR_HIGH);
	} else {
		apic_write(REG_ICR, ICR_SELF | VECTOR_LOW);
		apic_write(REG_ICR, ICR_SELF | VECTOR_HIGH);
	}
}

static void test_priorities(void)
{
	send_both();
	irq_on();
	check(order_count == 2, "messages to itself", order_count);
	check(order[0] == VECTOR_HIGH && order[1] == VECTOR_LOW, "their order", order[0]);
	send_both();
	__asm__ volatile("movq %0, %%cr8" : : "r"((uint64_t)VECTOR_LOW >> 4));
	check(apic_read(REG_TPR) == (VECTOR_LOW & 0xf0), "TPR after CR8", apic_read(REG_TPR));
	irq_on();
	check(order_count == 1 && order[0] == VECTOR_HIGH, "past the TPR", order_count);
	apic_write(REG_TPR, 0);
	irq_on();
	check(order_count == 2 && order[1] == VECTOR_LOW, "after the TPR", order_count);
	irq_off();
}

static void test_errors(void)
{
	apic_write(REG_ESR, 0);
	if (x2)
		apic_write(REG_SELF, 5);
	else
		apic_write(REG_ICR, ICR_SELF | 5);
	apic_write(REG_ESR, 0);
	check(apic_read(REG_ESR) == 0x20, "error register", apic_read(REG_ESR));
}

/* Waits with interrupts on, resting or not, until so many have come or so many ms have passed. */
static void await(volatile uint64_t *count, uint64_t n, uint64_t ms, bool rest)
{
	uint64_t start = tsc();

	for (;;) {
		irq_off();
		if (*count >= n || tsc() - start > ms * khz)
			return;
		if (rest)
			__asm__ volatile("sti; hlt" : : : "memory");
		else
			irq_on();
	}
}

/* Not before its time, and soon after it. Emulators on a busy machine may stand still for a while. */
static void check_once(const char *what, uint64_t due)
{
	check(timer_count == 1, what, timer_count);
	check(timer_last >= due, "early by us", (due - timer_last) * 1000 / khz);
	say("%s: late by %u us", what, (timer_last - due) * 1000 / khz);
	check(timer_last - due < 100 * khz, "late by us", (timer_last - due) * 1000 / khz);
}

static void test_one_shot(bool rest)
{
	uint64_t start;

	timer_count = 0;
	apic_write(REG_DIVIDE, DIVIDE_BY_1);
	apic_write(REG_TIMER, VECTOR_TIMER);
	start = tsc();
	apic_write(REG_INITIAL, ms_to_count(7));
	check(apic_read(REG_CURRENT) <= ms_to_count(7), "current", apic_read(REG_CURRENT));
	await(&timer_count, 1, 1000, rest);
	await(&timer_count, 2, 30, false);
	check_once(rest ? "one-shot, resting" : "one-shot", start + 7 * khz - khz / 1000);
}

static void test_deadline(bool rest)
{
	uint64_t due;

	timer_count = 0;
	apic_write(REG_TIMER, TIMER_DEADLINE | VECTOR_TIMER);
	due = tsc() + 7 * khz;
	wrmsr(MSR_DEADLINE, due);
	check(rdmsr(MSR_DEADLINE) == due, "deadline", rdmsr(MSR_DEADLINE));
	await(&timer_count, 1, 1000, rest);
	check(!rdmsr(MSR_DEADLINE), "deadline after it", rdmsr(MSR_DEADLINE));
	await(&timer_count, 2, 30, false);
	check_once(rest ? "deadline, resting" : "deadline", due);
}

/* Time as a kernel counts it that counts its ticks, against the TSC; in 1/10000. */
static void test_drift(uint64_t seconds)
{
	uint64_t n = seconds * 250, start, took, want;

	timer_count = 0;
	apic_write(REG_DIVIDE, DIVIDE_BY_1);
	apic_write(REG_TIMER, TIMER_PERIODIC | VECTOR_TIMER);
	start = tsc();
	apic_write(REG_INITIAL, ms_to_count(4));
	await(&timer_count, n, seconds * 2000, true);
	took = timer_last - start;
	apic_write(REG_TIMER, TIMER_MASKED | VECTOR_TIMER);
	apic_write(REG_INITIAL, 0);
	check(timer_count >= n && timer_count <= n + LATE_MAX, "periodic", timer_count);
	want = timer_count * 4 * khz;
	say("drift: %u ticks in %u us, wanted %u us", (uint64_t)timer_count, took * 1000 / khz,
		want * 1000 / khz);
	check(took > want - want / 100 && took < want + want / 100, "drift", took * 10000 / want);
}

#define PIT_HZ 1193182u

static void test_pit(void)
{
	uint64_t start, took;

	pit_count = 0;
	ioapic_write(0x10 + 2 * 2 + 1, 0);
	ioapic_write(0x10 + 2 * 2, VECTOR_PIT);
	out8(0x43, 0x34);
	out8(0x40, (PIT_HZ / 200) & 0xff);
	out8(0x40, (PIT_HZ / 200) >> 8);
	start = tsc();
	await(&pit_count, 100, 2000, true);
	took = (tsc() - start) / khz;
	ioapic_write(0x10 + 2 * 2, 1u << 16);
	out8(0x43, 0x30);
	check(pit_count >= 100 && pit_count <= 100 + LATE_MAX, "interval timer", pit_count);
	check(took >= 495 && took < 600, "interval timer, ms", took);
}

static void test_all(void)
{
	test_priorities();
	test_errors();
	test_one_shot(false);
	test_one_shot(true);
	test_deadline(false);
	test_deadline(true);
	test_pit();
}

void tiny_main(const uint8_t *boot_params)
{
	uint32_t eax = 0;
	uint64_t seconds = option(boot_params, "drift=");

	khz = option(boot_params, "tsc_early_khz=");
	find_clock();
	out8(0x21, 0xff);
	out8(0xa1, 0xff);
	on_interrupt(VECTOR_LOW, take_low);
	on_interrupt(VECTOR_HIGH, take_high);
	on_interrupt(VECTOR_TIMER, take_timer);
	on_interrupt(VECTOR_PIT, take_pit);
	test_found();
	test_all();
	check(TRY("rdmsr", "=a"(eax), "c"(MSR_X2(REG_VERSION)), "rdx") == 13, "x2APIC yet", eax);
	wrmsr(MSR_BASE, rdmsr(MSR_BASE) | BASE_X2);
	x2 = true;
	test_all();
	test_drift(seconds ? seconds : 2);
	say("%u wrong", (uint64_t)wrong);
}
