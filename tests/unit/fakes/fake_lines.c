/* See fake_lines.h. */
#include "fakes/fake_lines.h"

static void set_line(void *chip, unsigned irq, bool high)
{
	struct fake_lines *l = chip;

	if (irq >= array_size(l->line))
		return;
	l->raised[irq] += high && !l->line[irq];
	l->line[irq] = high;
}

static bool pending(void *chip)
{
	(void)chip;
	return false;
}

static int acknowledge(void *chip)
{
	(void)chip;
	return -1;
}

static void message(void *chip, uint64_t address, uint32_t data)
{
	struct fake_lines *l = chip;

	if (l->messages < array_size(l->message)) {
		l->message[l->messages].address = address;
		l->message[l->messages].data = data;
	}
	l->messages++;
}

static const struct irqchip_ops ops = {
	.set_line = set_line, .pending = pending, .acknowledge = acknowledge, .message = message};

void fake_lines_init(struct fake_lines *l, struct vm *vm)
{
	*l = (struct fake_lines){0};
	vm->irqchip = &ops;
	vm->irqchip_state = l;
}
