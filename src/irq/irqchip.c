/*
 * See irqchip.h. State: struct irqchip. On the exit path.
 *
 * What the PIC asks for goes before the local APIC's own vectors: it is no vector that priorities
 * could hold back. Messages have the form of SDM vol. 3A "Message Signalled Interrupts".
 */
#include "irq/irqchip.h"
#include "base/bits.h"

#define IRQ_TIMER	 0u
#define IRQ_CASCADE	 2u
#define PIN_TIMER	 2u

#define MESSAGE_WINDOW	 BITS(63, 20)
#define MESSAGE_BASE	 0xfee00000ull
#define MESSAGE_DEST	 0x000ff000ull
#define MESSAGE_REMAPPED BIT(4) /* of an IOMMU that the guest hasn't */
#define MESSAGE_LOGICAL	 BIT(2)

#define DATA_VECTOR	 0x000000ffu
#define DATA_DELIVERY	 0x00000700u
#define DATA_LEVEL	 0x00008000u

static void chip_set_line(void *chip, unsigned irq, bool high)
{
	struct irqchip *c = chip;

	if (irq < VPIC_LINES)
		vpic_irqchip.set_line(c->pic, irq, high);
	if (irq == IRQ_TIMER)
		vioapic_set_line(&c->ioapic, PIN_TIMER, high);
	else if (irq != IRQ_CASCADE)
		vioapic_set_line(&c->ioapic, irq, high);
}

static bool pic_is_heard(const struct irqchip *c)
{
	return c->pic->output &&
	       (vlapic_passes_extint(&c->lapic) || vioapic_passes_extint(&c->ioapic));
}

/* Where LINT0 isn't an ExtINT but a vector, the PIC's rising output is its edge. */
static void follow_pic(struct irqchip *c)
{
	c->pic_was = c->pic->output;
	if (c->pic_was)
		vlapic_lint0_edge(&c->lapic);
}

static bool chip_pending(void *chip)
{
	struct irqchip *c = chip;

	if (c->pic->output != c->pic_was)
		follow_pic(c);
	return c->lapic.ready || c->lapic.nmi || pic_is_heard(c);
}

static int chip_acknowledge(void *chip)
{
	struct irqchip *c = chip;
	int vector;

	if (pic_is_heard(c)) {
		c->lapic.extint = false;
		return vpic_irqchip.acknowledge(c->pic);
	}
	vector = vlapic_acknowledge(&c->lapic);
	if (vector >= 0 && vioapic_pin_is_edge(&c->ioapic, PIN_TIMER, (uint8_t)vector) &&
		c->pic->acknowledged)
		c->pic->acknowledged(c->pic->acknowledged_arg, IRQ_TIMER);
	return vector;
}

static bool mode_is_message(unsigned mode)
{
	return mode == APIC_FIXED || mode == APIC_LOWEST || mode == APIC_NMI || mode == APIC_EXTINT;
}

static void chip_message(void *chip, uint64_t address, uint32_t data)
{
	struct irqchip *c = chip;
	unsigned mode = (unsigned)FIELD_GET(DATA_DELIVERY, data);
	bool ours = (address & MESSAGE_WINDOW) == MESSAGE_BASE && !(address & MESSAGE_REMAPPED);
	struct apic_message m = {.dest = (uint8_t)FIELD_GET(MESSAGE_DEST, address),
		.vector = (uint8_t)(data & DATA_VECTOR),
		.mode = (uint8_t)mode,
		.logical = address & MESSAGE_LOGICAL,
		.level = data & DATA_LEVEL};

	if (!ours || !mode_is_message(mode) || !vlapic_receive(&c->lapic, &m))
		log_limited(&c->dropped, "irq: message 0x%x to 0x%llx is for nobody", data,
			(unsigned long long)address);
}

static bool chip_take_nmi(void *chip)
{
	struct irqchip *c = chip;
	bool nmi = c->lapic.nmi;

	c->lapic.nmi = false;
	return nmi;
}

static bool chip_read_msr(void *chip, uint32_t index, uint64_t *ret_value)
{
	return vlapic_read_msr(&((struct irqchip *)chip)->lapic, index, ret_value);
}

static bool chip_write_msr(void *chip, uint32_t index, uint64_t value)
{
	return vlapic_write_msr(&((struct irqchip *)chip)->lapic, index, value);
}

static uint8_t chip_priority(void *chip)
{
	return vlapic_priority(&((struct irqchip *)chip)->lapic);
}

static void chip_set_priority(void *chip, uint8_t cr8)
{
	vlapic_set_priority(&((struct irqchip *)chip)->lapic, cr8);
}

static const struct irqchip_ops joined = {
	.set_line = chip_set_line,
	.pending = chip_pending,
	.acknowledge = chip_acknowledge,
	.message = chip_message,
	.take_nmi = chip_take_nmi,
	.read_msr = chip_read_msr,
	.write_msr = chip_write_msr,
	.priority = chip_priority,
	.set_priority = chip_set_priority,
};

int irqchip_attach(struct irqchip *c, struct vm *vm, struct vpic *pic)
{
	int r;

	*c = (struct irqchip){.pic = pic};
	r = vlapic_attach(&c->lapic, vm);
	if (!r)
		r = vioapic_attach(&c->ioapic, vm, &c->lapic);
	if (r)
		return r;
	vm->irqchip = &joined;
	vm->irqchip_state = c;
	return 0;
}
