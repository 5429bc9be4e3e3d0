/* Inventory of the real interrupt controllers; see state.h. Never runs on the exit path. */
#include "irq/state.h"
#include "base/bits.h"
#include "base/fmt.h"
#include "base/log.h"
#include "hw/cpu.h"
#include "hw/port.h"

#define ELCR_PORT	0x4d0u

#define LAPIC_VERSION	0x030u
#define VERSION_MAX_LVT 0x00ff0000u
#define LVT_READ_ONLY	0x00005000u /* delivery status, remote IRR */

static const uint16_t pic_port[2] = {0x21, 0xa1};

/* In the order of writing: a timer starts with its initial count. */
static const struct {
	uint16_t reg;
	uint8_t min_max_lvt; /* there if the version register names this many LVT entries */
	bool is_lvt;
	const char *name;
} lapic_regs[IRQ_STATE_LAPIC_REGS] = {
	{LAPIC_SVR, 0, false, "lapic svr"}, /* first: while it is off, LVT entries stay masked */
	{LAPIC_TPR, 0, false, "lapic tpr"},
	{LAPIC_LVT_CMCI, 6, true, "lapic cmci"},
	{LAPIC_LVT_THERMAL, 5, true, "lapic thermal"},
	{LAPIC_LVT_COUNTERS, 4, true, "lapic counters"},
	{LAPIC_LVT_LINT0, 0, true, "lapic lint0"},
	{LAPIC_LVT_LINT1, 0, true, "lapic lint1"},
	{LAPIC_LVT_ERROR, 0, true, "lapic error"},
	{LAPIC_LVT_TIMER, 0, true, "lapic timer"},
	{LAPIC_TIMER_DIVIDE, 0, false, "lapic timer divide"},
	{LAPIC_TIMER_INITIAL, 0, false, "lapic timer count"},
};

static bool register_exists(const struct lapic *l, unsigned i)
{
	return FIELD_GET(VERSION_MAX_LVT, lapic_read(l, LAPIC_VERSION)) >=
	       lapic_regs[i].min_max_lvt;
}

static uint32_t comparable_lapic(unsigned i, uint32_t value)
{
	return lapic_regs[i].is_lvt ? value & ~LVT_READ_ONLY : value;
}

static uint64_t comparable_entry(uint64_t entry)
{
	return entry & ~(IOAPIC_SENDING | IOAPIC_REMOTE_IRR);
}

void irq_state_save(struct irq_state *s, hpa_t ioapic)
{
	*s = (struct irq_state){0};
	for (unsigned i = 0; i < 2; i++) {
		s->pic_mask[i] = (uint8_t)hw_port_read(pic_port[i], 1);
		s->elcr[i] = (uint8_t)hw_port_read((uint16_t)(ELCR_PORT + i), 1);
	}
	if (ioapic_open(&s->ioapic, ioapic) == 0)
		for (unsigned i = 0; i < s->ioapic.pins; i++)
			s->entry[i] = ioapic_read(&s->ioapic, i);
	s->apic_base = hw_rdmsr(MSR_APIC_BASE);
	s->has_lapic = lapic_open(&s->lapic) == 0;
	if (!s->has_lapic)
		return;
	for (unsigned i = 0; i < IRQ_STATE_LAPIC_REGS; i++)
		if (register_exists(&s->lapic, i))
			s->lapic_reg[i] = lapic_read(&s->lapic, lapic_regs[i].reg);
}

static void restore_port(uint16_t port, uint8_t value)
{
	if ((uint8_t)hw_port_read(port, 1) != value)
		hw_port_write(port, 1, value);
}

static void restore_lapic(const struct irq_state *s, unsigned i)
{
	uint32_t now;

	if (!register_exists(&s->lapic, i))
		return;
	now = lapic_read(&s->lapic, lapic_regs[i].reg);
	if (comparable_lapic(i, now) != comparable_lapic(i, s->lapic_reg[i]))
		lapic_write(&s->lapic, lapic_regs[i].reg, s->lapic_reg[i]);
}

void irq_state_restore(const struct irq_state *s)
{
	for (unsigned i = 0; i < 2; i++) {
		restore_port(pic_port[i], s->pic_mask[i]);
		restore_port((uint16_t)(ELCR_PORT + i), s->elcr[i]);
	}
	for (unsigned i = 0; i < s->ioapic.pins; i++) {
		uint64_t now = ioapic_read(&s->ioapic, i);

		if (comparable_entry(now) != comparable_entry(s->entry[i]))
			ioapic_write(&s->ioapic, i, s->entry[i]);
	}
	if (hw_rdmsr(MSR_APIC_BASE) != s->apic_base)
		log_line("irq: the local apic's base has changed and stays so");
	else if (s->has_lapic)
		for (unsigned i = 0; i < IRQ_STATE_LAPIC_REGS; i++)
			restore_lapic(s, i);
}

static unsigned differs(const char *what, const char *name, uint64_t before, uint64_t after)
{
	if (before == after)
		return 0;
	log_line("%s: %s was %llx, is %llx", what, name, (unsigned long long)before,
		(unsigned long long)after);
	return 1;
}

unsigned irq_state_compare(
	const struct irq_state *before, const struct irq_state *after, const char *what)
{
	unsigned n = 0, pins = (unsigned)min_u64(before->ioapic.pins, after->ioapic.pins);

	n += differs(what, "pic master mask", before->pic_mask[0], after->pic_mask[0]);
	n += differs(what, "pic slave mask", before->pic_mask[1], after->pic_mask[1]);
	n += differs(what, "elcr 4d0", before->elcr[0], after->elcr[0]);
	n += differs(what, "elcr 4d1", before->elcr[1], after->elcr[1]);
	n += differs(what, "ioapic pins", before->ioapic.pins, after->ioapic.pins);
	for (unsigned i = 0; i < pins; i++) {
		char name[16];

		fmt_print(name, sizeof(name), "ioapic pin %u", i);
		n += differs(what, name, comparable_entry(before->entry[i]),
			comparable_entry(after->entry[i]));
	}
	n += differs(what, "apic base", before->apic_base, after->apic_base);
	for (unsigned i = 0; i < IRQ_STATE_LAPIC_REGS; i++)
		n += differs(what, lapic_regs[i].name, comparable_lapic(i, before->lapic_reg[i]),
			comparable_lapic(i, after->lapic_reg[i]));
	return n;
}
