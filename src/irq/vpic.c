/*
 * Model of an 8259A pair. State: struct vpic. On the exit path: pending is one load, and every
 * change recomputes it.
 *
 * Done: ICW1 to ICW4, all OCW2 and OCW3 commands, polling, AEOI, special mask and special fully
 * nested mode. Not done: 8080 mode, buffered mode, a cascade on another input than 2 (ICW3 is
 * ignored), LTIM (the ELCR decides). An edge stays latched when its line falls again, so that a
 * short pulse isn't lost. A level that goes away before it is acknowledged leaves nothing behind:
 * there are no spurious interrupts.
 *
 * Source: Intel 8259A data sheet (231468-003), "Programming the 8259A"; for the ELCR: Intel
 * 82371SB data sheet (290550), "ELCR1, ELCR2".
 */
#include "irq/vpic.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/fmt.h"

#define MASTER_PORT	 0x20u
#define SLAVE_PORT	 0xa0u
#define ELCR_PORT	 0x4d0u

#define MASTER		 0u
#define SLAVE		 1u
#define CASCADE		 2u /* the master's input behind which the slave is */

/* Timer, keyboard and cascade; clock and coprocessor: always edges. */
#define MASTER_ELCR_MASK 0xf8u
#define SLAVE_ELCR_MASK	 0xdeu

/* Writes to the command port are told apart by bits 4 and 3. */
#define WORD_ICW1	 0x10u
#define WORD_OCW3	 0x08u

#define ICW1_HAS_ICW4	 0x01u
#define ICW1_SINGLE	 0x02u
#define ICW2_BASE	 0xf8u
#define ICW4_AUTO_EOI	 0x02u
#define ICW4_NESTED	 0x10u

#define OCW2_LEVEL	 0x07u
#define OCW2_COMMAND	 0xe0u

#define OCW3_READ_SELECT 0x02u
#define OCW3_READ_ISR	 0x01u
#define OCW3_POLL	 0x04u
#define OCW3_MASK_SELECT 0x40u
#define OCW3_MASK_ON	 0x20u

#define POLL_PENDING	 0x80u

static uint8_t requests(const struct vpic_chip *c)
{
	return (c->line & c->elcr) | (c->irr & (uint8_t)~c->elcr);
}

/* A set of inputs turned so that bit 0 is the one with the highest priority; and back. */
static unsigned by_priority(const struct vpic_chip *c, uint8_t set)
{
	unsigned first = (c->lowest + 1u) & 7;

	return ((unsigned)set << 8 | set) >> first & 0xff;
}

static int input_at(const struct vpic_chip *c, unsigned turned)
{
	return (int)(((unsigned)__builtin_ctz(turned) + c->lowest + 1u) & 7);
}

/* The input with the highest priority in a set, -1 if it is empty. */
static int most_urgent(const struct vpic_chip *c, uint8_t set)
{
	return set ? input_at(c, by_priority(c, set)) : -1;
}

/* The input that the chip would have served now, or -1. */
static int chip_pending(const struct vpic_chip *c, bool is_master)
{
	uint8_t asking = requests(c) & (uint8_t)~c->imr, blocking = c->isr;
	unsigned turned, above;

	if (!asking || c->init_next)
		return -1;
	if (c->special_mask)
		blocking &= (uint8_t)~c->imr;
	if (is_master && c->special_nested)
		blocking &= (uint8_t)~BIT(CASCADE);
	/* Only what is above the most urgent one in service. */
	turned = by_priority(c, blocking);
	above = (turned & -turned) - 1;
	turned = by_priority(c, asking) & above;
	return turned ? input_at(c, turned) : -1;
}

static void update_output(struct vpic *p)
{
	struct vpic_chip *master = &p->chip[MASTER];

	/* The cascade follows the slave: its edge is there as long as the slave asks. */
	master->irr &= (uint8_t)~BIT(CASCADE);
	if (chip_pending(&p->chip[SLAVE], false) >= 0)
		master->irr |= BIT(CASCADE);
	p->output = chip_pending(master, true) >= 0;
}

/* False if the line is like that already. */
static bool chip_set_line(struct vpic_chip *c, unsigned input, bool high)
{
	uint8_t bit = (uint8_t)BIT(input);

	if (high == !!(c->line & bit))
		return false;
	c->line ^= bit;
	if (high)
		c->irr |= bit;
	return true;
}

static void vpic_set_line(void *chip, unsigned irq, bool high)
{
	struct vpic *p = chip;

	if (irq >= VPIC_LINES || irq == CASCADE)
		return;
	if (chip_set_line(&p->chip[irq / 8], irq % 8, high))
		update_output(p);
}

static bool vpic_pending(void *chip)
{
	return ((struct vpic *)chip)->output;
}

static void chip_acknowledge(struct vpic_chip *c, unsigned input)
{
	c->irr &= (uint8_t)~BIT(input);
	if (!c->auto_eoi)
		c->isr |= (uint8_t)BIT(input);
	else if (c->rotate_on_auto_eoi)
		c->lowest = (uint8_t)input;
}

static int vpic_acknowledge(void *chip)
{
	struct vpic *p = chip;
	struct vpic_chip *c = &p->chip[MASTER];
	int input = chip_pending(c, true);
	unsigned n = MASTER;

	if (input < 0)
		return -1;
	chip_acknowledge(c, (unsigned)input);
	if (input == CASCADE) {
		/* update_output keeps this true: the master's input is there as the slave asks. */
		n = SLAVE;
		c = &p->chip[SLAVE];
		input = chip_pending(c, false);
		if (input < 0)
			return -1;
		chip_acknowledge(c, (unsigned)input);
	}
	update_output(p);
	if (p->acknowledged)
		p->acknowledged(p->acknowledged_arg, n * 8 + (unsigned)input);
	return c->base + input;
}

const struct irqchip_ops vpic_irqchip = {
	.set_line = vpic_set_line, .pending = vpic_pending, .acknowledge = vpic_acknowledge};

static void write_icw1(struct vpic_chip *c, uint8_t v)
{
	c->irr = c->isr = c->imr = 0;
	c->lowest = 7;
	c->read_isr = c->poll = c->special_mask = false;
	c->special_nested = c->auto_eoi = c->rotate_on_auto_eoi = false;
	c->init_has_icw4 = v & ICW1_HAS_ICW4;
	c->init_single = v & ICW1_SINGLE;
	c->init_next = 2;
}

/* Rotate, specific and EOI are the three command bits. */
static void write_ocw2(struct vpic_chip *c, uint8_t v)
{
	int input = v & OCW2_LEVEL;

	switch (FIELD_GET(OCW2_COMMAND, v)) {
	case 0:
		c->rotate_on_auto_eoi = false;
		break;
	case 4:
		c->rotate_on_auto_eoi = true;
		break;
	case 1: /* end of the most urgent one in service */
	case 5: /* and it gets the lowest priority */
		input = most_urgent(c, c->special_mask ? c->isr & (uint8_t)~c->imr : c->isr);
		if (input < 0)
			break;
		c->isr &= (uint8_t)~BIT(input);
		if (v & 0x80)
			c->lowest = (uint8_t)input;
		break;
	case 3:
		c->isr &= (uint8_t)~BIT(input);
		break;
	case 7:
		c->isr &= (uint8_t)~BIT(input);
		c->lowest = (uint8_t)input;
		break;
	case 6:
		c->lowest = (uint8_t)input;
		break;
	default:
		break;
	}
}

static void write_ocw3(struct vpic_chip *c, uint8_t v)
{
	c->poll = v & OCW3_POLL;
	if (v & OCW3_READ_SELECT)
		c->read_isr = v & OCW3_READ_ISR;
	if (v & OCW3_MASK_SELECT)
		c->special_mask = v & OCW3_MASK_ON;
}

static void write_command(struct vpic_chip *c, uint8_t v)
{
	if (v & WORD_ICW1)
		write_icw1(c, v);
	else if (v & WORD_OCW3)
		write_ocw3(c, v);
	else
		write_ocw2(c, v);
}

static void write_data(struct vpic_chip *c, uint8_t v)
{
	switch (c->init_next) {
	case 2:
		c->base = v & ICW2_BASE;
		c->init_next = !c->init_single ? 3 : c->init_has_icw4 ? 4 : 0;
		break;
	case 3:
		c->init_next = c->init_has_icw4 ? 4 : 0;
		break;
	case 4:
		c->auto_eoi = v & ICW4_AUTO_EOI;
		c->special_nested = v & ICW4_NESTED;
		c->init_next = 0;
		break;
	default:
		c->imr = v;
		break;
	}
}

/* The first read after a poll command acknowledges, whichever port it is. */
static uint8_t read_poll(struct vpic_chip *c, bool is_master)
{
	int input = chip_pending(c, is_master);

	c->poll = false;
	if (input < 0)
		return 0;
	chip_acknowledge(c, (unsigned)input);
	return POLL_PENDING | (uint8_t)input;
}

static enum io_result chip_access(struct device *dev, struct io_access *a, unsigned n)
{
	struct vpic *p = dev->state;
	struct vpic_chip *c = &p->chip[n];

	if (a->size != 1)
		return IO_REJECT;
	if (a->write && a->offset == 0)
		write_command(c, (uint8_t)a->value);
	else if (a->write)
		write_data(c, (uint8_t)a->value);
	else if (c->poll)
		a->value = read_poll(c, n == MASTER);
	else if (a->offset == 0)
		a->value = c->read_isr ? c->isr : requests(c);
	else
		a->value = c->imr;
	update_output(p);
	return IO_DONE;
}

static enum io_result master_access(struct device *dev, struct io_access *a)
{
	return chip_access(dev, a, MASTER);
}

static enum io_result slave_access(struct device *dev, struct io_access *a)
{
	return chip_access(dev, a, SLAVE);
}

static void set_elcr(struct vpic_chip *c, uint8_t elcr)
{
	c->elcr = elcr & c->elcr_mask;
}

static enum io_result elcr_access(struct device *dev, struct io_access *a)
{
	struct vpic *p = dev->state;
	struct vpic_chip *c = &p->chip[a->offset & 1];

	if (a->size != 1)
		return IO_REJECT;
	if (a->write) {
		set_elcr(c, (uint8_t)a->value);
		update_output(p);
	} else {
		a->value = c->elcr;
	}
	return IO_DONE;
}

void vpic_set_levels(struct vpic *p, uint16_t elcr)
{
	set_elcr(&p->chip[MASTER], (uint8_t)elcr);
	set_elcr(&p->chip[SLAVE], (uint8_t)(elcr >> 8));
	update_output(p);
}

int vpic_attach(struct vpic *p, struct vm *vm)
{
	static const struct region ports[] = {
		{.base = MASTER_PORT, .len = 2, .handler = master_access, .name = "pic master"},
		{.base = SLAVE_PORT, .len = 2, .handler = slave_access, .name = "pic slave"},
		{.base = ELCR_PORT, .len = 2, .handler = elcr_access, .name = "pic elcr"},
	};

	*p = (struct vpic){.dev = {.vm = vm, .state = p}};
	fmt_print(p->dev.name, sizeof(p->dev.name), "pic");
	p->chip[MASTER].elcr_mask = MASTER_ELCR_MASK;
	p->chip[SLAVE].elcr_mask = SLAVE_ELCR_MASK;
	for (unsigned i = 0; i < 2; i++) {
		p->chip[i].imr = 0xff;
		p->chip[i].lowest = 7;
		p->chip[i].base = i == MASTER ? 0x08 : 0x70;
	}
	for (size_t i = 0; i < array_size(ports); i++) {
		int r;

		p->region[i] = ports[i];
		p->region[i].dev = &p->dev;
		p->region[i].byte_wide = true;
		r = region_add(&vm->pio, &p->region[i]);
		if (r)
			return r;
	}
	vm->irqchip = &vpic_irqchip;
	vm->irqchip_state = p;
	return 0;
}
