/*
 * The firmware's turns on the processor while a guest exists: its interrupts, its rest, and calls of
 * its services. No state. On the exit path.
 */
#include "core/vcpu.h"
#include "hw/cpu.h"

static void take_interrupts(void *arg)
{
	(void)arg;
	hw_interrupt_window();
}

static void rest(void *arg)
{
	(void)arg;
	hw_wait();
}

void vcpu_window(struct vcpu *v, bool halt)
{
	v->ops->in_firmware(v, halt ? rest : take_interrupts, NULL);
}

struct firmware_call {
	void (*call)(void *arg);
	void *arg;
};

static void call_with_interrupts(void *arg)
{
	const struct firmware_call *c = arg;

	hw_irq_enable();
	c->call(c->arg);
	hw_irq_disable();
}

void vcpu_call_firmware(struct vcpu *v, void (*call)(void *arg), void *arg)
{
	struct firmware_call c = {call, arg};

	v->ops->in_firmware(v, call_with_interrupts, &c);
}
