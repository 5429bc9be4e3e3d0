/* The registers of a virtio device, with a model that only counts what it is told. */
#include "virtio/transport.h"
#include "base/error.h"
#include "test.h"
#include "virtio/driver.h"

static struct {
	unsigned resets, notified[VIRTIO_QUEUES_MAX], polls;
} told;

static void model_reset(struct virtio *t)
{
	(void)t;
	told.resets++;
}

static void model_notify(struct virtio *t, unsigned n)
{
	(void)t;
	told.notified[n]++;
}

static void model_poll(struct virtio *t)
{
	(void)t;
	told.polls++;
}

static const struct virtio_model model = {.name = "test",
	.id = 42,
	.class = 0x0880,
	.queues = 2,
	.reset = model_reset,
	.notify = model_notify,
	.poll = model_poll};

static struct virtio device, other;

static void show(struct virtio *t)
{
	memset(t, 0, sizeof(*t));
	t->offered = 5;
	t->config_size = 5;
	memcpy(t->config, "hello", 5);
	virtio_init(t, &driver.vm, &model, 10, "test");
	CHECK_EQ(virtio_show(t, &driver.filter), 0);
}

static void start(void)
{
	driver_reset();
	show(&device);
	driver_find(&device);
	memset(&told, 0, sizeof(told));
}

static uint32_t config(pci_bdf_t bdf, unsigned offset)
{
	fake_vm_write(&driver.vm, true, 0xcf8, 4, 0x80000000u | (uint32_t)bdf << 8 | offset);
	return (uint32_t)fake_vm_read(&driver.vm, true, 0xcfc, 4);
}

static uint64_t bar_read(uint64_t at, unsigned size)
{
	return fake_vm_read(&driver.vm, false, driver.bar + at, size);
}

static void its_function(void)
{
	static const struct {
		uint8_t type, len;
		uint32_t offset, length;
	} expected[] = {
		{1, 16, 0, 0x38}, {2, 20, 0x3000, 8}, {3, 16, 0x1000, 1}, {4, 16, 0x2000, 5}};
	unsigned at;

	start();
	CHECK_EQ(config(device.dev.bdf, 0), 0x106a1af4);
	CHECK_EQ(config(device.dev.bdf, 8), 0x08800001);
	CHECK_EQ(config(device.dev.bdf, 0x2c), 0x106a1af4);
	CHECK_EQ(config(device.dev.bdf, 0x3c), 0x010a);
	CHECK(config(device.dev.bdf, 4) & PCI_STATUS_CAPS << 16);
	at = config(device.dev.bdf, 0x34) & 0xff;
	for (unsigned i = 0; i < array_size(expected); i++) {
		uint32_t head = config(device.dev.bdf, at);

		CHECK_EQ(head & 0xff, 9);
		CHECK_EQ(head >> 16, (uint32_t)expected[i].type << 8 | expected[i].len);
		CHECK_EQ(config(device.dev.bdf, at + 8), expected[i].offset);
		CHECK_EQ(config(device.dev.bdf, at + 12), expected[i].length);
		at = head >> 8 & 0xff;
	}
	/* Three vectors, in a BAR of their own. */
	CHECK_EQ(config(device.dev.bdf, at), 0x00020011);
	CHECK_EQ(config(device.dev.bdf, at + 4), 1);
	CHECK_EQ(config(device.dev.bdf, at + 8), 0x801);
}

static void features(void)
{
	start();
	common_set(0, 4, 0);
	CHECK_EQ(common_get(4, 4), 5);
	common_set(0, 4, 1);
	CHECK_EQ(common_get(4, 4), 1);
	common_set(0, 4, 2);
	CHECK_EQ(common_get(4, 4), 0);
	CHECK_EQ(driver_start(1), 15);
	CHECK_EQ(device.accepted, 1 | VIRTIO_F_VERSION_1);
	/* They are fixed now. */
	common_set(8, 4, 0);
	common_set(12, 4, 5);
	CHECK_EQ(common_get(12, 4), 1);
	/* What wasn't offered, and version 1 missing. */
	CHECK_EQ(driver_start(2) & VIRTIO_STATUS_FEATURES_OK, 0);
	CHECK(!virtio_is_ready(&device));
	common_set(0x14, 1, 0);
	common_set(0x14, 1, 3);
	common_set(0x14, 1, 11);
	CHECK_EQ(common_get(0x14, 1), 3);
	common_set(0x14, 1, 15);
	CHECK_EQ(common_get(0x14, 1), 3);
}

static void queues(void)
{
	start();
	CHECK_EQ(common_get(0x12, 2), 2);
	CHECK_EQ(common_get(0x18, 2), VIRTQ_SIZE_MAX);
	CHECK_EQ(common_get(0x1e, 2), 0);
	driver_start(0);
	common_set(0x16, 2, 1);
	CHECK_EQ(common_get(0x1e, 2), 1);
	CHECK_EQ(common_get(0x1c, 2), 1);
	CHECK_EQ(common_get(0x20, 8), DESC(1));
	CHECK_EQ(common_get(0x28, 4), AVAIL(1));
	CHECK_EQ(common_get(0x30, 4), USED(1));
	/* Fixed until the reset. */
	common_set(0x18, 2, 4);
	common_set(0x20, 4, 0x100);
	CHECK_EQ(common_get(0x18, 2), QUEUE_LEN);
	CHECK_EQ(common_get(0x20, 4), DESC(1));
	/* There are no more than two. */
	common_set(0x16, 2, 2);
	CHECK_EQ(common_get(0x18, 2), 0);
	common_set(0x20, 8, 0x1000);
	common_set(0x1c, 2, 1);
	CHECK_EQ(common_get(0x1c, 2), 0);
	CHECK_EQ(common_get(0x14, 1), 15);
	common_set(0x14, 1, 0);
	common_set(0x16, 2, 1);
	CHECK_EQ(common_get(0x1c, 2), 0);
	CHECK_EQ(common_get(0x20, 8), 0);
	/* A size that can't be needs a reset. */
	common_set(0x18, 2, 3);
	common_set(0x1c, 2, 1);
	CHECK_EQ(common_get(0x14, 1) & VIRTIO_STATUS_NEEDS_RESET, VIRTIO_STATUS_NEEDS_RESET);
	CHECK_EQ(driver_start(0), 15);
}

static void doorbells(void)
{
	start();
	driver_kick(0);
	CHECK_EQ(told.notified[0], 0);
	driver_start(0);
	driver_kick(0);
	driver_kick(1);
	driver_kick(2);
	CHECK_EQ(told.notified[0], 1);
	CHECK_EQ(told.notified[1], 1);
	fake_vm_write(&driver.vm, false, driver.bar + 0x3001, 1, 0);
	fake_vm_write(&driver.vm, false, driver.bar + 0x3000, 8, 0);
	fake_vm_write(&driver.vm, false, driver.bar + 0x3ffc, 4, 0);
	CHECK_EQ(told.notified[0], 1);
	fake_vm_write(&driver.vm, false, driver.bar + 0x3004, 4, 0);
	CHECK_EQ(told.notified[1], 2);
	CHECK_EQ(bar_read(0x3000, 4), 0);
}

static void odd_accesses(void)
{
	start();
	/* Reads of any width are parts of the registers. */
	common_set(0x16, 2, 1);
	CHECK_EQ(bar_read(0x12, 1), 2);
	CHECK_EQ(bar_read(0x10, 8), 0x100000002ffffull);
	CHECK_EQ(bar_read(0x2000, 8), 0x6f6c6c6568);
	CHECK_EQ(bar_read(0x2004, 1), 'o');
	CHECK_EQ(bar_read(0x2005, 1), 0);
	CHECK_EQ(bar_read(0x2ff8, 8), 0);
	CHECK_EQ(bar_read(0x38, 4), 0);
	/* Across a register's border nothing answers. */
	CHECK_EQ(bar_read(0x13, 2), 0xffff);
	CHECK_EQ(bar_read(0x14, 8), ~0ull);
	/* Writes have the width of their field, or no effect. */
	common_set(0x16, 1, 0);
	common_set(0x14, 4, 0);
	common_set(0x18, 4, 0x10008);
	common_set(0x04, 4, 0);
	common_set(0x12, 2, 9);
	common_set(0x22, 2, 0x1234);
	CHECK_EQ(common_get(0x16, 2), 1);
	CHECK_EQ(common_get(0x18, 2), VIRTQ_SIZE_MAX);
	CHECK_EQ(common_get(0x12, 2), 2);
	CHECK_EQ(common_get(0x20, 8), 0);
	fake_vm_write(&driver.vm, false, driver.bar + 0x2000, 4, 0);
	fake_vm_write(&driver.vm, false, driver.bar + 0x1000, 1, 0);
	CHECK_EQ(bar_read(0x2000, 1), 'h');
}

static void interrupts(void)
{
	start();
	driver_start(0);
	virtio_used(&device, 0);
	CHECK(fake_irqchip.line[10]);
	CHECK(config(device.dev.bdf, 4) & 1u << 19);
	CHECK_EQ(bar_read(0x1001, 1), 0);
	CHECK(fake_irqchip.line[10]);
	CHECK_EQ(bar_read(0x1000, 4), 1);
	CHECK(!fake_irqchip.line[10] && !(config(device.dev.bdf, 4) & 1u << 19));
	*avail_word(0, 0) = VIRTQ_AVAIL_NO_INTERRUPT;
	virtio_used(&device, 0);
	CHECK(!fake_irqchip.line[10]);
	/* The guest may switch the pin off; the status stays. */
	virtio_used(&device, 1);
	fake_vm_write(&driver.vm, true, 0xcf8, 4, 0x80000004u | (uint32_t)device.dev.bdf << 8);
	fake_vm_write(&driver.vm, true, 0xcfc, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_OFF);
	device.dev.ops->poll(&device.dev);
	CHECK(!fake_irqchip.line[10]);
	CHECK(config(device.dev.bdf, 4) & 1u << 19);
	fake_vm_write(&driver.vm, true, 0xcfc, 2, PCI_COMMAND_MEMORY);
	device.dev.ops->poll(&device.dev);
	CHECK(fake_irqchip.line[10]);
	common_set(0x14, 1, 0);
	CHECK(!fake_irqchip.line[10]);
}

static void set_config(unsigned at, unsigned size, uint32_t value)
{
	fake_vm_write(&driver.vm, true, 0xcf8, 4,
		0x80000000u | (uint32_t)device.dev.bdf << 8 | (at & 0xfc));
	fake_vm_write(&driver.vm, true, (uint16_t)(0xcfc + (at & 3)), size, value);
}

static void messages(void)
{
	unsigned at;
	uint64_t table;

	start();
	driver_start(0);
	at = config(device.dev.bdf, 0x34) & 0xff;
	while (config(device.dev.bdf, at) >> 8 & 0xff)
		at = config(device.dev.bdf, at) >> 8 & 0xff;
	table = config(device.dev.bdf, 0x14) & ~0xfull;
	set_config(4, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	for (unsigned n = 0; n < 3; n++) {
		fake_vm_write(&driver.vm, false, table + 16 * n, 8, 0xfee00000);
		fake_vm_write(&driver.vm, false, table + 16 * n + 8, 8, 0x40 + n);
	}
	/* Without a vector a queue says nothing, and a vector that isn't there isn't taken. */
	CHECK_EQ(common_get(0x10, 2), 0xffff);
	CHECK_EQ(common_get(0x1a, 2), 0xffff);
	set_config(at + 2, 2, 0x8000);
	virtio_used(&device, 0);
	CHECK_EQ(fake_irqchip.messages, 0);
	common_set(0x1a, 2, 3);
	CHECK_EQ(common_get(0x1a, 2), 0xffff);
	common_set(0x10, 2, 0);
	common_set(0x16, 2, 0);
	common_set(0x1a, 2, 1);
	common_set(0x16, 2, 1);
	common_set(0x1a, 2, 2);
	CHECK_EQ(common_get(0x1a, 2), 2);
	virtio_used(&device, 1);
	virtio_used(&device, 0);
	CHECK_EQ(fake_irqchip.messages, 2);
	CHECK_EQ(fake_irqchip.message[0].data, 0x42);
	CHECK_EQ(fake_irqchip.message[1].data, 0x41);
	device.queue[0].broken = true;
	virtio_check(&device);
	CHECK_EQ(fake_irqchip.message[2].data, 0x40);
	CHECK(!fake_irqchip.line[10]);
	CHECK_EQ(bar_read(0x1000, 1), 0);
	/* A reset takes the vectors away. */
	common_set(0x14, 1, 0);
	CHECK_EQ(common_get(0x10, 2), 0xffff);
	driver_start(0);
	virtio_used(&device, 0);
	CHECK_EQ(fake_irqchip.messages, 3);
}

/* One line, two devices: it falls when both are content. */
static void a_shared_line(void)
{
	uint64_t first;

	start();
	driver_start(0);
	first = driver.bar;
	show(&other);
	CHECK(other.dev.bdf != device.dev.bdf);
	driver_find(&other);
	CHECK(driver.bar != first);
	memset(driver.avail, 0, sizeof(driver.avail));
	driver_start(0);
	virtio_used(&device, 0);
	virtio_used(&other, 0);
	CHECK_EQ(bar_read(0x1000, 1), 1);
	CHECK(fake_irqchip.line[10]);
	CHECK_EQ(fake_vm_read(&driver.vm, false, first + 0x1000, 1), 1);
	CHECK(!fake_irqchip.line[10]);
}

static void polls(void)
{
	start();
	device.dev.ops->poll(&device.dev);
	CHECK_EQ(told.polls, 0);
	driver_start(0);
	device.dev.ops->poll(&device.dev);
	CHECK_EQ(told.polls, 1);
	device.queue[0].broken = true;
	device.dev.ops->poll(&device.dev);
	CHECK_EQ(told.polls, 2);
	CHECK(fake_irqchip.line[10]);
	CHECK_EQ(bar_read(0x1000, 1), VIRTIO_ISR_CONFIG);
	device.dev.ops->poll(&device.dev);
	driver_kick(0);
	CHECK_EQ(told.polls, 2);
	CHECK_EQ(told.notified[0], 0);
}

static void its_end(void)
{
	start();
	driver_start(0);
	virtio_used(&device, 0);
	told.resets = 0;
	CHECK_EQ(device.dev.ops->quiesce(&device.dev), 0);
	CHECK(told.resets == 1 && !fake_irqchip.line[10]);
	device.dev.ops->detach(&device.dev);
	CHECK_EQ(bar_read(0x12, 2), 0xffff);
}

int main(void)
{
	RUN(its_function);
	RUN(features);
	RUN(queues);
	RUN(doorbells);
	RUN(odd_accesses);
	RUN(interrupts);
	RUN(messages);
	RUN(a_shared_line);
	RUN(polls);
	RUN(its_end);
	return TEST_RESULT();
}
