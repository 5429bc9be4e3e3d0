/* irq: the virtual 8259 pair. */
#include "irq/vpic.h"
#include "test.h"

static struct vm vm;
static struct vpic pic;

static void out(uint16_t port, uint8_t value)
{
	struct io_access a = {.size = 1, .write = true, .value = value};
	struct region *r = region_find(&vm.pio, port);

	a.offset = port - r->base;
	CHECK_EQ(r->handler(r->dev, &a), IO_DONE);
}

static uint8_t in(uint16_t port)
{
	struct io_access a = {.size = 1};
	struct region *r = region_find(&vm.pio, port);

	a.offset = port - r->base;
	CHECK_EQ(r->handler(r->dev, &a), IO_DONE);
	return (uint8_t)a.value;
}

static void setup(void)
{
	memset(&vm, 0, sizeof(vm));
	CHECK_EQ(vpic_attach(&pic, &vm), 0);
}

/* As Linux does it: vectors 30h and 38h, all masks open. */
static void linux_init(uint8_t icw4)
{
	setup();
	out(0x20, 0x11);
	out(0x21, 0x30);
	out(0x21, 0x04);
	out(0x21, icw4);
	out(0xa0, 0x11);
	out(0xa1, 0x38);
	out(0xa1, 0x02);
	out(0xa1, icw4);
	out(0x21, 0);
	out(0xa1, 0);
}

static void set_line(unsigned irq, bool high)
{
	vm_set_irq(&vm, irq, high);
}

static void pulse(unsigned irq)
{
	set_line(irq, true);
	set_line(irq, false);
}

static bool pending(void)
{
	return vm.irqchip->pending(vm.irqchip_state);
}

static int ack(void)
{
	return vm.irqchip->acknowledge(vm.irqchip_state);
}

static uint8_t read_isr(uint16_t port)
{
	out(port, 0x0b);
	return in(port);
}

static uint8_t read_irr(uint16_t port)
{
	out(port, 0x0a);
	return in(port);
}

static void power_on_is_masked(void)
{
	setup();
	for (unsigned i = 0; i < 16; i++)
		pulse(i);
	CHECK(!pending());
	CHECK_EQ(ack(), -1);
	CHECK_EQ(in(0x21), 0xff);
	CHECK_EQ(in(0xa1), 0xff);
}

static void masks_read_back(void)
{
	linux_init(0x01);
	out(0x21, 0xfb);
	out(0xa1, 0x5a);
	CHECK_EQ(in(0x21), 0xfb);
	CHECK_EQ(in(0xa1), 0x5a);
}

static void edge_is_latched_until_acknowledged(void)
{
	linux_init(0x01);
	pulse(1);
	CHECK(pending());
	CHECK_EQ(read_irr(0x20), 0x02);
	CHECK_EQ(ack(), 0x31);
	CHECK_EQ(read_irr(0x20), 0x00);
	CHECK_EQ(read_isr(0x20), 0x02);
	CHECK(!pending());
	set_line(1, true);
	CHECK(!pending()); /* in service */
	out(0x20, 0x61);
	CHECK(pending());
	CHECK_EQ(ack(), 0x31);
	out(0x20, 0x61);
	set_line(1, true);
	CHECK(!pending()); /* no new edge */
}

static void level_follows_its_line(void)
{
	linux_init(0x01);
	out(0x4d0, 0xff);
	out(0x4d1, 0xff);
	CHECK_EQ(in(0x4d0), 0xf8);
	CHECK_EQ(in(0x4d1), 0xde);
	set_line(11, true);
	CHECK_EQ(ack(), 0x3b);
	out(0xa0, 0x63);
	out(0x20, 0x62);
	CHECK(pending()); /* still high */
	set_line(11, false);
	CHECK(!pending());
	CHECK_EQ(ack(), -1); /* gone before: nothing, not even a spurious one */
	CHECK_EQ(read_isr(0x20) | read_isr(0xa0), 0);
	vpic_set_levels(&pic, 0x0020);
	CHECK_EQ(in(0x4d0), 0x20);
	CHECK_EQ(in(0x4d1), 0x00);
}

static void priorities_and_nesting(void)
{
	linux_init(0x01);
	pulse(6);
	pulse(3);
	CHECK_EQ(ack(), 0x33);
	CHECK(!pending()); /* 6 waits for 3 */
	pulse(1);
	CHECK_EQ(ack(), 0x31);
	CHECK_EQ(read_isr(0x20), 0x0a);
	out(0x20, 0x20); /* ends 1, the more urgent */
	CHECK_EQ(read_isr(0x20), 0x08);
	out(0x20, 0x20);
	CHECK_EQ(ack(), 0x36);
	out(0x20, 0x20);
	out(0x20, 0x20); /* nothing in service: no harm */
	CHECK(!pending());
}

static void slave_behind_the_cascade(void)
{
	linux_init(0x01);
	pulse(15);
	pulse(8);
	pulse(3);
	CHECK_EQ(ack(), 0x38); /* before 3: the cascade is input 2 */
	CHECK_EQ(read_isr(0x20), 0x04);
	CHECK_EQ(read_isr(0xa0), 0x01);
	CHECK(!pending());
	out(0xa0, 0x60);
	CHECK(!pending()); /* the master's input 2 is in service */
	out(0x20, 0x62);
	CHECK_EQ(ack(), 0x3f);
	out(0xa0, 0x67);
	out(0x20, 0x62);
	CHECK_EQ(ack(), 0x33);
	out(0x21, 0x04);
	pulse(9);
	CHECK(!pending()); /* cascade masked, 3 in service */
	set_line(2, true);
	CHECK_EQ(read_irr(0x20) & 4, 4);
}

static void special_fully_nested(void)
{
	linux_init(0x11);
	pulse(12);
	CHECK_EQ(ack(), 0x3c);
	pulse(14);
	CHECK(!pending());
	pulse(9);
	CHECK_EQ(ack(), 0x39); /* more urgent within the slave */
}

static void rotation(void)
{
	linux_init(0x01);
	pulse(4);
	CHECK_EQ(ack(), 0x34);
	out(0x20, 0xa0); /* end, and 4 becomes the least urgent */
	pulse(4);
	pulse(5);
	CHECK_EQ(ack(), 0x35);
	out(0x20, 0xe5); /* specific */
	CHECK_EQ(ack(), 0x34);
	out(0x20, 0x64);
	out(0x20, 0xc7); /* back to the order of the power-on */
	pulse(7);
	pulse(0);
	CHECK_EQ(ack(), 0x30);
}

static void automatic_end(void)
{
	linux_init(0x03);
	pulse(3);
	CHECK_EQ(ack(), 0x33);
	CHECK_EQ(read_isr(0x20), 0);
	pulse(3);
	CHECK(pending());
	CHECK_EQ(ack(), 0x33);
	out(0x20, 0x80); /* with rotation */
	pulse(3);
	CHECK_EQ(ack(), 0x33);
	pulse(3);
	pulse(4);
	CHECK_EQ(ack(), 0x34);
	out(0x20, 0x00);
	CHECK_EQ(ack(), 0x33);
}

static void special_mask_mode(void)
{
	linux_init(0x01);
	pulse(1);
	CHECK_EQ(ack(), 0x31);
	out(0x21, 0x02);
	pulse(5);
	CHECK(!pending());
	out(0x20, 0x68);
	CHECK(pending()); /* what is masked no longer blocks */
	CHECK_EQ(ack(), 0x35);
	out(0x20, 0x20);
	CHECK_EQ(read_isr(0x20), 0x02); /* the end goes to 5, 1 is masked */
	out(0x20, 0x48);
	pulse(5);
	CHECK(!pending());
}

static void polling(void)
{
	linux_init(0x01);
	out(0x20, 0x0c);
	CHECK_EQ(in(0x20), 0x00);
	pulse(4);
	out(0x20, 0x0c);
	CHECK_EQ(in(0x20), 0x84);
	CHECK_EQ(read_isr(0x20), 0x10);
	CHECK(!pending());
	pulse(13);
	out(0x20, 0x0c);
	CHECK_EQ(in(0x21), 0x82);
	out(0xa0, 0x0c);
	CHECK_EQ(in(0xa0), 0x85);
	CHECK_EQ(in(0xa1), 0x00);
}

static unsigned acknowledged_irq, acknowledged_count;

static void note(void *arg, unsigned irq)
{
	CHECK(arg == &pic);
	acknowledged_irq = irq;
	acknowledged_count++;
	if (acknowledged_count == 1)
		pulse(irq);
}

static void acknowledge_may_raise_again(void)
{
	linux_init(0x01);
	acknowledged_count = 0;
	pic.acknowledged = note;
	pic.acknowledged_arg = &pic;
	pulse(0);
	CHECK_EQ(ack(), 0x30);
	CHECK(!pending());
	out(0x20, 0x60);
	CHECK_EQ(ack(), 0x30);
	out(0x20, 0x60);
	CHECK(!pending());
	pulse(10);
	CHECK_EQ(ack(), 0x3a);
	CHECK_EQ(acknowledged_irq, 10);
}

static void initialization_words(void)
{
	linux_init(0x01);
	pulse(0);
	out(0x20, 0x11);
	CHECK(!pending());
	out(0x21, 0x57); /* low bits don't count */
	pulse(0);
	CHECK(!pending()); /* not before the last word */
	out(0x21, 0x04);
	out(0x21, 0x01);
	CHECK_EQ(in(0x21), 0x00);
	CHECK_EQ(ack(), 0x50);
	/* Without ICW4, and a single one without ICW3. */
	out(0x20, 0x10);
	out(0x21, 0x60);
	out(0x21, 0x04);
	out(0x21, 0xaa);
	CHECK_EQ(in(0x21), 0xaa);
	out(0x20, 0x12);
	out(0x21, 0x60);
	out(0x21, 0xab);
	CHECK_EQ(in(0x21), 0xab);
}

/* Whatever the guest writes: bounded, no bad vector, and the output agrees with acknowledge. */
static void random_writes(void)
{
	static const uint16_t ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1};
	uint32_t seed = 1;

	setup();
	for (unsigned i = 0; i < 200000; i++) {
		seed = seed * 1664525u + 1013904223u;
		switch (seed >> 30) {
		case 0:
			set_line((seed >> 8) % 20, seed & 0x800000);
			break;
		case 1:
			in(ports[(seed >> 8) % array_size(ports)]);
			break;
		case 2:
			out(ports[(seed >> 8) % array_size(ports)], (uint8_t)(seed >> 16));
			break;
		default: {
			bool was = pending();
			int vector = ack();

			CHECK(was ? vector >= 0 && vector < 256 : vector == -1);
			break;
		}
		}
	}
}

static void odd_sizes_are_rejected(void)
{
	struct io_access a = {.size = 2};

	setup();
	for (unsigned i = 0; i < vm.pio.count; i++) {
		CHECK_EQ(vm.pio.slot[i]->handler(vm.pio.slot[i]->dev, &a), IO_REJECT);
		CHECK(vm.pio.slot[i]->byte_wide);
	}
}

static void attach_fails_where_something_is(void)
{
	struct vpic second;

	setup();
	CHECK(vpic_attach(&second, &vm) < 0);
	CHECK(vm.irqchip_state == &pic);
}

int main(void)
{
	RUN(power_on_is_masked);
	RUN(masks_read_back);
	RUN(edge_is_latched_until_acknowledged);
	RUN(level_follows_its_line);
	RUN(priorities_and_nesting);
	RUN(slave_behind_the_cascade);
	RUN(special_fully_nested);
	RUN(rotation);
	RUN(automatic_end);
	RUN(special_mask_mode);
	RUN(polling);
	RUN(acknowledge_may_raise_again);
	RUN(initialization_words);
	RUN(random_writes);
	RUN(odd_sizes_are_rejected);
	RUN(attach_fails_where_something_is);
	return TEST_RESULT();
}
