/* irq: inventory of the real interrupt controllers: saved, put back exactly, compared. */
#include "irq/state.h"
#include "base/log.h"
#include "fakes/fake_apic.h"
#include "fakes/fake_hw.h"
#include "test.h"

static struct irq_state before, after;
static char last_line[LOG_LINE_MAX];

static void sink(const char *line, bool alert)
{
	(void)alert;
	snprintf(last_line, sizeof(last_line), "%s", line);
}

static void setup(bool x2apic)
{
	fake_apic_reset();
	fake_apic.x2apic = x2apic;
	fake_apic.index = 0x17;
	fake_apic.port[0x21] = 0xfb;
	fake_apic.port[0xa1] = 0xff;
	fake_apic.port[0x4d1] = 0x0c;
	for (unsigned i = 0; i < FAKE_IOAPIC_PINS; i++)
		fake_apic.entry[i] = 0x0300000000010000ull | i;
	fake_apic.lapic[LAPIC_LVT_TIMER / 16] = 0x20020;
	fake_apic.lapic[LAPIC_TIMER_INITIAL / 16] = 1000000;
	fake_apic.lapic[LAPIC_SVR / 16] = 0x10f;
	irq_state_save(&before, hpa(FAKE_IOAPIC));
}

static unsigned compare(void)
{
	irq_state_save(&after, hpa(FAKE_IOAPIC));
	return irq_state_compare(&before, &after, "test");
}

static void disturb(void)
{
	fake_apic.port[0x21] = 0;
	fake_apic.port[0xa1] = 1;
	fake_apic.port[0x4d0] = 2;
	fake_apic.port[0x4d1] = 3;
	fake_apic.entry[4] = 0x0500000000000081ull;
	fake_apic.entry[23] ^= IOAPIC_LEVEL;
	fake_apic.lapic[LAPIC_TPR / 16] = 0x20;
	fake_apic.lapic[LAPIC_LVT_TIMER / 16] = 0x10000;
	fake_apic.lapic[LAPIC_LVT_CMCI / 16] = 0x10000;
	fake_apic.lapic[LAPIC_TIMER_DIVIDE / 16] = 3;
	fake_apic.lapic[LAPIC_TIMER_INITIAL / 16] = 5;
}

static void saving_changes_nothing(void)
{
	for (unsigned x2 = 0; x2 < 2; x2++) {
		setup(x2);
		CHECK_EQ(compare(), 0);
		CHECK_EQ(fake_apic.index, 0x17);
		CHECK_EQ(fake_apic.lapic_writes + fake_apic.ioapic_writes, 0);
		for (unsigned i = 0; i < fake_hw.log_count && i < FAKE_LOG_MAX; i++)
			CHECK(!fake_hw.log[i].port || !fake_hw.log[i].write);
	}
}

static void differences_are_counted_and_named(void)
{
	setup(false);
	log_reset();
	log_add_sink(sink);
	disturb();
	CHECK_EQ(compare(), 11);
	setup(false);
	fake_apic.entry[7] = 0;
	CHECK_EQ(compare(), 1);
	CHECK(strstr(last_line, "test: ioapic pin 7 was"));
	log_reset();
}

static void restore_is_exact(void)
{
	for (unsigned x2 = 0; x2 < 2; x2++) {
		setup(x2);
		disturb();
		irq_state_restore(&before);
		CHECK_EQ(compare(), 0);
		CHECK_EQ(fake_apic.port[0x4d1], 0x0c);
		CHECK_EQ(fake_apic.entry[4], 0x0300000000010004ull);
		CHECK_EQ(fake_apic.lapic[LAPIC_LVT_TIMER / 16], 0x20020);
		CHECK_EQ(fake_apic.index, 0x17);
	}
}

static void restore_writes_only_what_differs(void)
{
	setup(false);
	irq_state_restore(&before);
	CHECK_EQ(fake_apic.lapic_writes + fake_apic.ioapic_writes, 0);
	fake_apic.lapic[LAPIC_TPR / 16] = 0x10;
	irq_state_restore(&before);
	CHECK_EQ(fake_apic.lapic_writes, 1); /* above all not the timer's count */
}

static void status_bits_do_not_count(void)
{
	setup(false);
	fake_apic.entry[3] |= IOAPIC_SENDING | IOAPIC_REMOTE_IRR;
	fake_apic.lapic[LAPIC_LVT_LINT0 / 16] |= 0x5000;
	CHECK_EQ(compare(), 0);
	irq_state_restore(&before);
	CHECK_EQ(fake_apic.lapic_writes + fake_apic.ioapic_writes, 0);
}

static void machines_without_parts(void)
{
	setup(false);
	fake_apic.no_ioapic = true;
	fake_apic.no_lapic = true;
	irq_state_save(&before, hpa(FAKE_IOAPIC));
	CHECK(before.ioapic.pins == 0 && !before.has_lapic);
	irq_state_restore(&before);
	CHECK_EQ(compare(), 0);
	/* Few LVT entries: registers that aren't there are never touched. */
	setup(false);
	fake_apic.lapic[0x030 / 16] = 3u << 16;
	irq_state_save(&before, hpa(FAKE_IOAPIC));
	fake_apic.lapic[LAPIC_LVT_CMCI / 16] = 1;
	fake_apic.lapic[LAPIC_LVT_THERMAL / 16] = 1;
	irq_state_restore(&before);
	CHECK_EQ(fake_apic.lapic_writes, 0);
	CHECK_EQ(compare(), 0);
}

int main(void)
{
	RUN(saving_changes_nothing);
	RUN(differences_are_counted_and_named);
	RUN(restore_is_exact);
	RUN(restore_writes_only_what_differs);
	RUN(status_bits_do_not_count);
	RUN(machines_without_parts);
	return TEST_RESULT();
}
