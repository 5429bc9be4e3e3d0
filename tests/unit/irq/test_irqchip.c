/* irq: the IOAPIC's pins and registers, and PIC, IOAPIC and local APIC joined. */
#include "irq/irqchip.h"
#include "fakes/fake_hw.h"
#include "hw/time.h"
#include "irq/apic.h"
#include "irq/vpit.h"
#include "test.h"

#define APIC_TPR   0x80u
#define APIC_EOI   0xb0u
#define APIC_SVR   0xf0u
#define APIC_LINT0 0x350u

static struct vm vm;
static struct vpic pic;
static struct irqchip chip;
static unsigned acknowledged;

static enum io_result access_at(
	struct region_table *t, uint64_t at, unsigned size, bool write, uint64_t *value)
{
	struct region *r = region_find(t, at);
	struct io_access a = {.size = (uint8_t)size, .write = write, .value = *value};
	enum io_result result;

	if (!r)
		return IO_REJECT;
	a.offset = at - r->base;
	result = r->handler(r->dev, &a);
	*value = a.value;
	return result;
}

static void apic_write(unsigned reg, uint64_t value)
{
	CHECK_EQ(access_at(&vm.mmio, VLAPIC_DEFAULT_BASE + reg, 4, true, &value), IO_DONE);
}

static void window_write(unsigned offset, uint64_t value)
{
	CHECK_EQ(access_at(&vm.mmio, VIOAPIC_BASE + offset, 4, true, &value), IO_DONE);
}

static void io_write(unsigned index, uint32_t value)
{
	window_write(0, index);
	window_write(0x10, value);
}

static uint32_t io_read(unsigned index)
{
	uint64_t value = 0;

	window_write(0, index);
	CHECK_EQ(access_at(&vm.mmio, VIOAPIC_BASE + 0x10, 4, false, &value), IO_DONE);
	return (uint32_t)value;
}

static void set_pin(unsigned pin, uint64_t entry)
{
	io_write(0x11 + 2 * pin, (uint32_t)(entry >> 32));
	io_write(0x10 + 2 * pin, (uint32_t)entry);
}

static void out(uint16_t port, uint64_t value)
{
	CHECK_EQ(access_at(&vm.pio, port, 1, true, &value), IO_DONE);
}

/* As every system does it: vectors 20h and 28h, nothing masked. */
static void start_pic(void)
{
	static const uint8_t words[] = {0x11, 0x20, 0x04, 0x01, 0x11, 0x28, 0x02, 0x01};

	for (unsigned i = 0; i < 8; i++)
		out((uint16_t)((i < 4 ? 0x20 : 0xa0) + (i % 4 ? 1 : 0)), words[i]);
	out(0x21, 0);
	out(0xa1, 0);
}

static void note_acknowledged(void *arg, unsigned irq)
{
	(void)arg;
	acknowledged += irq == 0;
}

static void setup(void)
{
	fake_hw_reset();
	hw_time_init(1000000);
	fake_hw.tsc_step = 0;
	fake_hw.tsc = 1ull << 40;
	memset(&vm, 0, sizeof(vm));
	CHECK_EQ(vpic_attach(&pic, &vm), 0);
	CHECK_EQ(irqchip_attach(&chip, &vm, &pic), 0);
	acknowledged = 0;
	pic.acknowledged = note_acknowledged;
}

static bool pending(void)
{
	return vm.irqchip->pending(vm.irqchip_state);
}

static int acknowledge(void)
{
	return vm.irqchip->acknowledge(vm.irqchip_state);
}

static void end(void)
{
	apic_write(APIC_EOI, 0);
}

static void pulse(unsigned irq)
{
	vm_set_irq(&vm, irq, true);
	vm_set_irq(&vm, irq, false);
}

static void test_registers(void)
{
	uint64_t value = 0;

	setup();
	CHECK_EQ(io_read(1), 0x00170020);
	io_write(0, 0xffffffff);
	CHECK_EQ(io_read(0), 0x0f000000);
	CHECK_EQ(io_read(2), 0x0f000000);
	io_write(1, 0);
	CHECK_EQ(io_read(1), 0x00170020);
	CHECK_EQ(io_read(0x10), 0x10000);
	set_pin(23, ~0ull);
	CHECK_EQ(io_read(0x3e), 0x1afff);
	CHECK_EQ(io_read(0x3f), 0xff000000);
	io_write(0x40, ~0u); /* beyond the last */
	CHECK_EQ(io_read(0x40), 0);
	CHECK_EQ(io_read(0xff), 0);
	/* Pieces and wrong widths. */
	value = 1;
	CHECK_EQ(access_at(&vm.mmio, VIOAPIC_BASE, 1, true, &value), IO_DONE);
	CHECK_EQ(access_at(&vm.mmio, VIOAPIC_BASE + 0x12, 1, false, &value), IO_DONE);
	CHECK_EQ(value, 0x17);
	CHECK_EQ(access_at(&vm.mmio, VIOAPIC_BASE + 0x10, 2, true, &value), IO_REJECT);
	CHECK_EQ(access_at(&vm.mmio, VIOAPIC_BASE + 0x11, 4, true, &value), IO_REJECT);
	CHECK_EQ(access_at(&vm.mmio, VIOAPIC_BASE + 0x20, 4, false, &value), IO_REJECT);
	CHECK_EQ(access_at(&vm.mmio, VIOAPIC_BASE + 0x10, 8, false, &value), IO_DONE);
	CHECK_EQ(value, 0x00170020);
	for (unsigned at = 0; at < 0x1000; at++) {
		value = 0xa5a5a5a5a5a5a5a5;
		access_at(&vm.mmio, VIOAPIC_BASE + at, 4, true, &value);
		access_at(&vm.mmio, VIOAPIC_BASE + at, 1, false, &value);
	}
}

static void test_edge(void)
{
	setup();
	pulse(5); /* masked: lost */
	set_pin(5, 0x45);
	CHECK(!pending());
	vm_set_irq(&vm, 5, true);
	CHECK(pending());
	CHECK_EQ(acknowledge(), 0x45);
	end();
	vm_set_irq(&vm, 5, true); /* no new edge */
	CHECK(!pending());
	vm_set_irq(&vm, 5, false);
	vm_set_irq(&vm, 5, true);
	CHECK_EQ(acknowledge(), 0x45);
	end();
	vm_set_irq(&vm, 24, true);
	vm_set_irq(&vm, ~0u, true);
	CHECK(!pending());
}

static void test_level(void)
{
	setup();
	vm_set_irq(&vm, 11, true);
	set_pin(11, IOAPIC_LEVEL | IOAPIC_LOW | 0x4b);
	CHECK_EQ(io_read(0x26), 0xe04b); /* Remote IRR */
	CHECK_EQ(acknowledge(), 0x4b);
	CHECK(!pending());
	end(); /* still there: again */
	CHECK_EQ(acknowledge(), 0x4b);
	vm_set_irq(&vm, 11, false);
	end();
	CHECK(!pending());
	CHECK_EQ(io_read(0x26), 0xa04b);
	/* Masked while it is served: after the end only its unmasking brings it again. */
	vm_set_irq(&vm, 11, true);
	CHECK_EQ(acknowledge(), 0x4b);
	set_pin(11, IOAPIC_MASKED | IOAPIC_LEVEL | 0x4b);
	end();
	CHECK(!pending());
	set_pin(11, IOAPIC_LEVEL | 0x4b);
	CHECK_EQ(acknowledge(), 0x4b);
	/* Turned into an edge it forgets that it was told. */
	set_pin(11, 0x4b);
	CHECK_EQ(io_read(0x26), 0x4b);
}

/* The guest asks for no broadcasts, and ends at the IOAPIC itself. */
static void test_directed_end(void)
{
	setup();
	apic_write(APIC_SVR, 0x11ff);
	set_pin(11, IOAPIC_LEVEL | 0x4b);
	vm_set_irq(&vm, 11, true);
	CHECK_EQ(acknowledge(), 0x4b);
	end();
	CHECK(!pending());
	window_write(0x40, 0x4a);
	CHECK(!pending());
	window_write(0x40, 0x4b);
	CHECK_EQ(acknowledge(), 0x4b);
}

/* A level for nobody isn't told, and no Remote IRR keeps it from being told later. */
static void test_untaken_level(void)
{
	setup();
	set_pin(11, 1ull << 56 | IOAPIC_LEVEL | 0x4b);
	vm_set_irq(&vm, 11, true);
	CHECK(!pending());
	CHECK(!(io_read(0x26) & IOAPIC_REMOTE_IRR));
	set_pin(11, IOAPIC_LEVEL | 0x4b);
	CHECK_EQ(acknowledge(), 0x4b);
}

static void test_timer_pin(void)
{
	setup();
	set_pin(0, 0x40);
	set_pin(2, 0x42);
	pulse(0);
	CHECK_EQ(acknowledge(), 0x42);
	CHECK_EQ(acknowledged, 1);
	end();
	pulse(2);
	CHECK(!pending());
	set_pin(5, 0x45);
	pulse(5);
	CHECK_EQ(acknowledge(), 0x45);
	CHECK_EQ(acknowledged, 1);
}

/* The PIC alone, as for a kernel that knows no APIC. */
static void test_virtual_wire(void)
{
	setup();
	start_pic();
	pulse(1);
	CHECK(pending());
	CHECK_EQ(acknowledge(), 0x21);
	CHECK(!pending());
	out(0x20, 0x20);
	vm_set_irq(&vm, 12, true);
	CHECK_EQ(acknowledge(), 0x2c);
	out(0xa0, 0x20);
	out(0x20, 0x20);
	pulse(0);
	CHECK_EQ(acknowledge(), 0x20);
	CHECK_EQ(acknowledged, 1);
	out(0x20, 0x20);
	/* What is higher in the local APIC waits until the PIC was served, and isn't lost. */
	vm_send_message(&vm, 0xfee00000, 0x99);
	pulse(1);
	CHECK_EQ(acknowledge(), 0x21);
	CHECK_EQ(acknowledge(), 0x99);
	out(0x20, 0x20);
	apic_write(APIC_LINT0, 0x10700);
	pulse(1);
	CHECK(!pending());
	set_pin(0, 0x700); /* the other way for the PIC: pin 0 */
	CHECK_EQ(acknowledge(), 0x21);
	set_pin(0, 0x10700);
	out(0x20, 0x20);
	pulse(1);
	CHECK(!pending());
	/* Without a local APIC the PIC is the processor's own. */
	CHECK(vm.irqchip->write_msr(vm.irqchip_state, 0x1b, 0xfee00100));
	CHECK_EQ(acknowledge(), 0x21);
}

/* LINT0 as a vector: what Linux tries when no other way brings it the timer. */
static void test_lint0_fixed(void)
{
	setup();
	start_pic();
	apic_write(APIC_LINT0, 0x31);
	pulse(0);
	CHECK(pending());
	CHECK_EQ(acknowledge(), 0x31);
	CHECK(!pending());
	end();
	CHECK(!pending()); /* the PIC still asks: that is no new edge */
	CHECK_EQ(vpic_irqchip.acknowledge(&pic), 0x20);
	CHECK(!pending());
	out(0x20, 0x20);
	pulse(0);
	CHECK(pending());
}

static void test_messages(void)
{
	static const struct {
		uint64_t address;
		uint32_t data;
	} nobody[] = {
		{0xfee01000, 0x41},			       /* another processor's */
		{0xfee00010, 0x41},			       /* remapped */
		{0x1fee00000, 0x41},			       /* beyond 4 GiB */
		{0xfed00000, 0x41},			       /* not the window */
		{0, 0x41}, {~0ull, ~0u}, {0xfee00000, 0x0241}, /* SMI */
		{0xfee00000, 0x0341},			       /* reserved */
		{0xfee00000, 0x0541},			       /* INIT */
		{0xfee00000, 0x0641},			       /* start-up */
		{0xfee00000, 0x000f},			       /* no vector */
		{0xfee00004, 0x0041},			       /* logical, and it has no such id */
	};

	setup();
	for (size_t i = 0; i < sizeof(nobody) / sizeof(*nobody); i++) {
		vm_send_message(&vm, nobody[i].address, nobody[i].data);
		CHECK(!pending());
		CHECK_EQ(chip.dropped.seen, i + 1);
	}
	vm_send_message(&vm, 0xfee00000, 0x41);
	vm_send_message(&vm, 0xfeeff000, 0x0142);
	CHECK_EQ(acknowledge(), 0x42);
	end();
	CHECK_EQ(acknowledge(), 0x41);
	end();
	vm_send_message(&vm, 0xfee00000, 0x0400);
	CHECK(pending());
	CHECK(vm.irqchip->take_nmi(vm.irqchip_state));
	CHECK(!vm.irqchip->take_nmi(vm.irqchip_state));
	CHECK(!pending());
	/* ExtINT: one cycle of the PIC, if that has something. */
	apic_write(APIC_LINT0, 0x10000);
	start_pic();
	vm_send_message(&vm, 0xfee00000, 0x0700);
	CHECK(!pending());
	pulse(1);
	CHECK_EQ(acknowledge(), 0x21);
	out(0x20, 0x20);
	pulse(1);
	CHECK(!pending());
}

/* Masked by priority nothing is pending: nobody asks the processor for a window then. */
static void test_held_back(void)
{
	setup();
	vm.irqchip->set_priority(vm.irqchip_state, 5);
	vm_send_message(&vm, 0xfee00000, 0x51);
	CHECK(!pending());
	CHECK_EQ(vm.irqchip->priority(vm.irqchip_state), 5);
	vm.irqchip->set_priority(vm.irqchip_state, 4);
	CHECK(pending());
}

/* The interval timer's periods through pin 2, those that were missed too. */
static void test_pit(void)
{
	static struct vpit pit;
	unsigned told = 0;

	setup();
	CHECK_EQ(vpit_attach(&pit, &vm), 0);
	pic.acknowledged = vpit_acknowledged;
	pic.acknowledged_arg = &pit;
	set_pin(2, 0x42);
	out(0x43, 0x34);
	out(0x40, 0x9c);
	out(0x40, 0x2e); /* 11932: 10 ms */
	CHECK(vm.vcpu.deadline - fake_hw.tsc > 9900000);
	CHECK(vm.vcpu.deadline - fake_hw.tsc < 10100000);
	fake_hw.tsc += 105000000;
	for (unsigned i = 0; i < vm.timer_count; i++)
		vm.timer[i].tick(vm.timer[i].arg, fake_hw.tsc);
	for (; pending(); told++) {
		CHECK_EQ(acknowledge(), 0x42);
		end();
	}
	CHECK_EQ(told, 10);
}

int main(void)
{
	RUN(test_registers);
	RUN(test_edge);
	RUN(test_level);
	RUN(test_directed_end);
	RUN(test_untaken_level);
	RUN(test_timer_pin);
	RUN(test_virtual_wire);
	RUN(test_lint0_fixed);
	RUN(test_messages);
	RUN(test_held_back);
	RUN(test_pit);
	return TEST_RESULT();
}
