/* irq: routes of host interrupts: pins, MSI, MSI-X; exact restore, unwinding, owners. */
#include "irq/host.h"
#include "base/bits.h"
#include "base/error.h"
#include "fakes/fake_apic.h"
#include "fakes/fake_hw.h"
#include "hw/time.h"
#include "test.h"

#define TABLE	    0xfeb02000ull
#define TABLE_OFF   0x2000u
#define TABLE_MAX   2048u
#define MSI_CAP	    0x50u
#define MSIX_CAP    0x70u
#define FIRST_TAKEN 3u /* vectors from 80h on that the firmware has */

/* ---- one PCI function with configuration space behind CF8h ---- */

static uint8_t config[256];
static uint32_t config_address, table[TABLE_MAX * 4];
static bool function_masked_on_change;

static uint32_t port_read(uint16_t port, unsigned size)
{
	uint32_t v = 0;

	if (port == 0xcf8)
		return config_address;
	if (port >= 0xcfc && port < 0xd00)
		memcpy(&v, config + (config_address & 0xfc) + (port & 3), size);
	return v;
}

static void port_write(uint16_t port, unsigned size, uint32_t value)
{
	if (port == 0xcf8)
		config_address = value;
	else if (port >= 0xcfc && port < 0xd00)
		memcpy(config + (config_address & 0xfc) + (port & 3), &value, size);
}

static uint64_t mmio_read(uint64_t at, unsigned size)
{
	uint64_t v;

	(void)size;
	if (fake_apic_mmio_read(at, &v))
		return v;
	if (at >= TABLE && at < TABLE + sizeof(table))
		return table[(at - TABLE) / 4];
	return ~0ull;
}

static void mmio_write(uint64_t at, unsigned size, uint64_t value)
{
	(void)size;
	if (fake_apic_mmio_write(at, value))
		return;
	if (at < TABLE || at >= TABLE + sizeof(table))
		return;
	/* The function or the whole capability is off whenever an entry changes. */
	function_masked_on_change &= (config[MSIX_CAP + 3] & 0xc0) != 0x80;
	table[(at - TABLE) / 4] = (uint32_t)value;
}

static void put(unsigned at, uint32_t value, unsigned size)
{
	memcpy(config + at, &value, size);
}

/* ---- the firmware's vectors ---- */

static struct {
	void (*handler)(void *arg);
	void *arg;
} vector[256];
static unsigned claims, releases, first_free;

static int claim(unsigned v, void (*handler)(void *arg), void *arg)
{
	if (v < first_free || vector[v].handler)
		return -E_EXIST;
	vector[v].handler = handler;
	vector[v].arg = arg;
	claims++;
	return 0;
}

static void release(unsigned v)
{
	CHECK(vector[v].handler);
	vector[v].handler = NULL;
	releases++;
}

static const struct host_vector_ops ops = {claim, release};
static struct host_irq h;
static struct device dev, other;

static void setup(void)
{
	fake_apic_reset();
	fake_hw.mmio_read = mmio_read;
	fake_hw.mmio_write = mmio_write;
	fake_hw.port_read = port_read;
	fake_hw.port_write = port_write;
	memset(config, 0, sizeof(config));
	memset(table, 0, sizeof(table));
	memset(vector, 0, sizeof(vector));
	claims = releases = 0;
	first_free = HOST_IRQ_VECTOR_FIRST + FIRST_TAKEN;
	function_masked_on_change = true;
	dev = (struct device){.name = "dev", .bdf = PCI_BDF(0, 4, 0)};
	other = (struct device){.name = "other"};
	put(PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	put(PCI_STATUS, PCI_STATUS_CAPS, 2);
	CHECK_EQ(host_irq_init(&h, &ops, hpa(FAKE_IOAPIC)), 0);
}

static void add_msi(uint16_t control)
{
	put(PCI_CAP_PTR, MSI_CAP, 1);
	put(MSI_CAP, PCI_CAP_MSI, 2);
	put(MSI_CAP + 2, control, 2);
	for (unsigned i = 4; i < 0x18; i++)
		config[MSI_CAP + i] = (uint8_t)(0xa0 + i);
}

static void add_msix(unsigned entries, uint16_t control)
{
	put(PCI_CAP_PTR, MSIX_CAP, 1);
	put(MSIX_CAP, PCI_CAP_MSIX, 2);
	put(MSIX_CAP + 2, control | (entries - 1), 2);
	put(MSIX_CAP + 4, TABLE_OFF | 2, 4);
	put(PCI_BAR0 + 8, (uint32_t)(TABLE - TABLE_OFF) | 4, 4);
	for (unsigned i = 0; i < entries; i++) {
		table[4 * i] = 0x1000 + i;
		table[4 * i + 2] = 0x2000 + i;
		table[4 * i + 3] = i % 3 != 0; /* some unmasked */
	}
}

/* An interrupt on a vector, as the processor would deliver it. */
static void fire(unsigned v)
{
	CHECK(vector[v].handler);
	if (vector[v].handler)
		vector[v].handler(vector[v].arg);
}

static void isa_pin(void)
{
	const struct host_irq_pin pin = {.pin = 4};
	uint64_t saved;

	setup();
	fake_apic.entry[4] = saved = 0x0700000000010e55ull;
	CHECK_EQ(host_irq_route_pin(&h, &dev, &pin), 0);
	CHECK_EQ(fake_apic.entry[4], 0x0300000000000083ull);
	fire(0x83);
	CHECK(dev.irq_fired);
	CHECK_EQ(fake_apic.eois, 1);
	CHECK_EQ(h.route[0].fired, 1);
	CHECK_EQ(fake_apic.entry[4], 0x0300000000000083ull);
	host_irq_rearm(&h, &dev);
	host_irq_unroute(&h, &other);
	CHECK_EQ(releases, 0);
	host_irq_unroute(&h, &dev);
	CHECK_EQ(fake_apic.entry[4], saved);
	CHECK_EQ(releases, 1);
	host_irq_unroute(&h, &dev);
	CHECK_EQ(releases, 1);
	CHECK(!fake_apic.unmasked_halfway);
}

static void a_device_may_have_two(void)
{
	struct host_irq_pin pin = {.pin = 14};

	setup();
	CHECK_EQ(host_irq_route_pin(&h, &dev, &pin), 0);
	pin.pin = 15;
	CHECK_EQ(host_irq_route_pin(&h, &dev, &pin), 0);
	pin.pin = 3;
	CHECK_EQ(host_irq_route_pin(&h, &other, &pin), 0);
	fire(0x84);
	CHECK(dev.irq_fired && !other.irq_fired);
	host_irq_unroute(&h, &dev);
	CHECK_EQ(fake_apic.entry[14], IOAPIC_MASKED);
	CHECK_EQ(fake_apic.entry[15], IOAPIC_MASKED);
	CHECK_EQ(fake_apic.entry[3], 0x0300000000000085ull);
	CHECK_EQ(releases, 2);
}

static void level_pin_is_held_until_rearmed(void)
{
	const struct host_irq_pin pin = {.pin = 19, .level = true, .active_low = true};

	setup();
	CHECK_EQ(host_irq_route_pin(&h, &dev, &pin), 0);
	CHECK_EQ(fake_apic.entry[19], 0x030000000000a083ull);
	fire(0x83);
	CHECK(fake_apic.entry[19] & IOAPIC_MASKED);
	CHECK(h.route[0].held);
	host_irq_rearm(&h, &other);
	CHECK(fake_apic.entry[19] & IOAPIC_MASKED);
	host_irq_rearm(&h, &dev);
	CHECK_EQ(fake_apic.entry[19], 0x030000000000a083ull);
	host_irq_unroute_all(&h);
	CHECK_EQ(fake_apic.entry[19], IOAPIC_MASKED);
}

static void firmware_keeps_what_it_uses(void)
{
	struct host_irq_pin pin = {.pin = 2};

	setup();
	fake_apic.entry[2] = 0x20;
	CHECK_EQ(host_irq_route_pin(&h, &dev, &pin), -E_EXIST);
	pin.pin = FAKE_IOAPIC_PINS;
	CHECK_EQ(host_irq_route_pin(&h, &dev, &pin), -E_RANGE);
	pin.pin = ~0u;
	CHECK_EQ(host_irq_route_pin(&h, &dev, &pin), -E_RANGE);
	pin.pin = 5;
	first_free = 256;
	CHECK_EQ(host_irq_route_pin(&h, &dev, &pin), -E_NOMEM);
	add_msi(0);
	CHECK_EQ(host_irq_route_msi(&h, &dev), -E_NOMEM);
	CHECK_EQ(fake_apic.ioapic_writes, 0);
	CHECK_EQ(fake_apic.entry[2], 0x20);
	CHECK_EQ(claims, 0);
}

static void routes_run_out(void)
{
	static struct device many[HOST_IRQ_ROUTES + 1];
	struct host_irq_pin pin;

	setup();
	for (unsigned i = 0; i <= HOST_IRQ_ROUTES; i++) {
		pin = (struct host_irq_pin){.pin = i};
		CHECK_EQ(host_irq_route_pin(&h, &many[i], &pin),
			i < HOST_IRQ_ROUTES ? 0 : (uint64_t)-E_NOMEM);
	}
	host_irq_unroute_all(&h);
	CHECK_EQ(claims, HOST_IRQ_ROUTES);
	CHECK_EQ(releases, HOST_IRQ_ROUTES);
	for (unsigned i = 0; i < FAKE_IOAPIC_PINS; i++)
		CHECK_EQ(fake_apic.entry[i], IOAPIC_MASKED);
	pin = (struct host_irq_pin){.pin = 1};
	CHECK_EQ(host_irq_route_pin(&h, &dev, &pin), 0);
}

static void check_msi(uint16_t control, unsigned data_at, unsigned mask_at)
{
	uint8_t before[256];
	uint32_t low, mask = 0;
	uint16_t data;

	setup();
	add_msi(control);
	memcpy(before, config, sizeof(before));
	CHECK_EQ(host_irq_route_msi(&h, &dev), 0);
	memcpy(&low, config + MSI_CAP + 4, 4);
	memcpy(&data, config + MSI_CAP + data_at, 2);
	CHECK_EQ(low, 0xfee03000);
	CHECK_EQ(data, 0x83);
	if (mask_at) {
		memcpy(&mask, config + MSI_CAP + mask_at, 4);
		CHECK_EQ(mask, 0);
	}
	CHECK_EQ(config[MSI_CAP + 2], ((control & 0x8e) | 1));
	fire(0x83);
	CHECK(dev.irq_fired);
	host_irq_unroute(&h, &dev);
	CHECK(!memcmp(before, config, sizeof(before)));
}

static void msi_in_its_four_shapes(void)
{
	check_msi(0x0000, 0x08, 0);
	check_msi(0x0080, 0x0c, 0);
	check_msi(0x0106, 0x08, 0x0c);
	check_msi(0x0180, 0x0c, 0x10);
	check_msi(0x01b1, 0x0c, 0x10); /* the firmware had it on, with eight messages */
}

static void check_msix(unsigned entries, uint16_t control)
{
	static uint32_t before[TABLE_MAX * 4];
	uint8_t before_config[256];

	setup();
	add_msix(entries, control);
	memcpy(before, table, sizeof(before));
	memcpy(before_config, config, sizeof(before_config));
	CHECK_EQ(host_irq_route_msi(&h, &dev), 0);
	CHECK_EQ(table[0], 0xfee03000);
	CHECK_EQ(table[1], 0);
	CHECK_EQ(table[2], 0x83);
	CHECK_EQ(table[3], 0);
	for (unsigned i = 1; i < entries; i++)
		CHECK_EQ(table[4 * i + 3], 1);
	CHECK_EQ(config[MSIX_CAP + 3] & 0xc0, 0x80);
	CHECK(function_masked_on_change);
	fire(0x83);
	CHECK(dev.irq_fired);
	host_irq_unroute(&h, &dev);
	CHECK(!memcmp(before, table, sizeof(before)));
	CHECK(!memcmp(before_config, config, sizeof(before_config)));
	CHECK(function_masked_on_change);
}

static void msix_of_all_sizes(void)
{
	check_msix(1, 0);
	check_msix(65, 0);
	check_msix(TABLE_MAX, 0);
	check_msix(8, 0xc000);
}

static void msix_is_preferred_and_needs_its_table(void)
{
	setup();
	add_msix(4, 0);
	config[MSIX_CAP + 1] = MSI_CAP;
	put(MSI_CAP, PCI_CAP_MSI, 2);
	CHECK_EQ(host_irq_route_msi(&h, &dev), 0);
	CHECK_EQ(h.route[0].kind, HOST_IRQ_MSIX);
	host_irq_unroute(&h, &dev);
	put(PCI_COMMAND, 0, 2); /* memory isn't decoded */
	CHECK_EQ(host_irq_route_msi(&h, &dev), -E_IO);
	put(PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	put(PCI_BAR0 + 8, 0xc001, 4); /* ports */
	CHECK_EQ(host_irq_route_msi(&h, &dev), -E_IO);
	put(PCI_BAR0 + 8, 0, 4);
	CHECK_EQ(host_irq_route_msi(&h, &dev), -E_IO);
	put(MSIX_CAP + 4, 7, 4); /* no such BAR */
	CHECK_EQ(host_irq_route_msi(&h, &dev), -E_IO);
	put(MSIX_CAP + 4, 5, 4); /* 64 bits in the last one */
	put(PCI_BAR0 + 20, 0xfeb00004, 4);
	CHECK_EQ(host_irq_route_msi(&h, &dev), -E_IO);
	put(MSIX_CAP + 4, TABLE_OFF, 4); /* wraps */
	put(PCI_BAR0, 0xfffff004, 4);
	put(PCI_BAR0 + 4, 0xffffffff, 4);
	CHECK_EQ(host_irq_route_msi(&h, &dev), -E_IO);
	CHECK_EQ(claims, releases);
	setup();
	CHECK_EQ(host_irq_route_msi(&h, &dev), -E_NOTSUP);
}

/* ---- an interrupt on its way when the route ends ---- */

static void take_pending(void)
{
	fake_apic.lapic[(LAPIC_IRR + 0x40) / 16] = 0;
	fire(0x83);
}

static void late_interrupt_is_still_ours(void)
{
	const struct host_irq_pin pin = {.pin = 4};

	setup();
	CHECK_EQ(host_irq_route_pin(&h, &dev, &pin), 0);
	fake_apic.lapic[(LAPIC_IRR + 0x40) / 16] = 1u << 3;
	fake_hw.window = take_pending;
	host_irq_unroute(&h, &dev);
	CHECK_EQ(fake_apic.eois, 1);
	/* One that never comes doesn't hang. */
	CHECK_EQ(host_irq_route_pin(&h, &dev, &pin), 0);
	fake_apic.lapic[(LAPIC_IRR + 0x40) / 16] = 1u << 3;
	fake_hw.window = NULL;
	host_irq_unroute(&h, &dev);
	CHECK_EQ(fake_apic.entry[4], IOAPIC_MASKED);
}

static void x2apic_and_machines_without(void)
{
	const struct host_irq_pin pin = {.pin = 4};

	setup();
	fake_apic.x2apic = true;
	CHECK_EQ(host_irq_init(&h, &ops, hpa(FAKE_IOAPIC)), 0);
	CHECK_EQ(host_irq_route_pin(&h, &dev, &pin), 0);
	CHECK_EQ(fake_apic.entry[4], 0x0300000000000083ull);
	fire(0x83);
	CHECK_EQ(fake_apic.eois, 1);
	host_irq_unroute_all(&h);
	fake_apic.no_ioapic = true;
	CHECK_EQ(host_irq_init(&h, &ops, hpa(FAKE_IOAPIC)), 0);
	CHECK_EQ(host_irq_route_pin(&h, &dev, &pin), -E_RANGE);
	fake_apic.no_lapic = true;
	CHECK_EQ(host_irq_init(&h, &ops, hpa(FAKE_IOAPIC)), -E_NOTSUP);
}

static void storm(void)
{
	const struct host_irq_pin pin = {.pin = 4};

	setup();
	CHECK_EQ(host_irq_route_pin(&h, &dev, &pin), 0);
	for (unsigned i = 0; i < 100000; i++)
		fire(0x83);
	CHECK_EQ(fake_apic.eois, 100000);
	CHECK_EQ(h.route[0].fired, 100000);
	host_irq_unroute_all(&h);
	CHECK_EQ(fake_apic.entry[4], IOAPIC_MASKED);
}

static uint16_t control_of(unsigned cap)
{
	return (uint16_t)(config[cap + 2] | config[cap + 3] << 8);
}

static void fire_often(unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		fire(0x83);
}

/* One storm: let through, masked, polled and let through again a period later. */
static void check_throttle(bool (*is_open)(void))
{
	const uint64_t period = hw_us_to_tsc(HOST_IRQ_PERIOD_US), start = 1ull << 40;

	host_irq_tick(&h, start);
	CHECK(host_irq_next(&h) == ~0ull);
	fire_often(HOST_IRQ_BURST);
	host_irq_tick(&h, start + 1);
	CHECK(is_open());
	fire_often(1);
	host_irq_tick(&h, start + 2);
	CHECK(!is_open());
	CHECK_EQ(host_irq_next(&h), start + period);
	dev.irq_fired = false;
	host_irq_rearm(&h, &dev);
	host_irq_tick(&h, start + period - 1);
	CHECK(!is_open() && !dev.irq_fired);
	host_irq_tick(&h, start + period);
	CHECK(is_open() && dev.irq_fired);
	CHECK(host_irq_next(&h) == ~0ull);
	/* As many in each period are no storm; and one that isn't over at the end is no trouble. */
	fire_often(HOST_IRQ_BURST);
	host_irq_tick(&h, start + 2 * period);
	fire_often(HOST_IRQ_BURST);
	host_irq_tick(&h, start + 2 * period + 1);
	CHECK(is_open());
	fire_often(1);
	host_irq_tick(&h, start + 2 * period + 2);
	CHECK(!is_open());
	CHECK_EQ(h.storms.seen, 2);
}

static bool pin_is_open(void)
{
	return !(fake_apic.entry[4] & IOAPIC_MASKED);
}

static bool msi_is_open(void)
{
	return control_of(MSI_CAP) & 1;
}

static bool msix_is_open(void)
{
	return control_of(MSIX_CAP) >> 14 == 2;
}

static void storms_are_throttled(void)
{
	const struct host_irq_pin pin = {.pin = 4};

	setup();
	CHECK_EQ(host_irq_route_pin(&h, &dev, &pin), 0);
	check_throttle(pin_is_open);
	host_irq_unroute_all(&h);
	CHECK_EQ(fake_apic.entry[4], IOAPIC_MASKED);
	setup();
	add_msi(0x80);
	CHECK_EQ(host_irq_route_msi(&h, &dev), 0);
	check_throttle(msi_is_open);
	host_irq_unroute_all(&h);
	CHECK_EQ(control_of(MSI_CAP), 0x80);
	setup();
	add_msix(4, 0);
	CHECK_EQ(host_irq_route_msi(&h, &dev), 0);
	check_throttle(msix_is_open);
	host_irq_unroute_all(&h);
	CHECK_EQ(control_of(MSIX_CAP), 3);
}

/* A level that is held stays so when its storm is over; one that was acknowledged comes back. */
static void throttled_level(void)
{
	const struct host_irq_pin pin = {.pin = 4, .level = true};
	const uint64_t start = 1ull << 40;

	setup();
	CHECK_EQ(host_irq_route_pin(&h, &dev, &pin), 0);
	host_irq_tick(&h, start);
	fire_often(HOST_IRQ_BURST + 1);
	host_irq_tick(&h, start + 1);
	host_irq_tick(&h, start + hw_us_to_tsc(HOST_IRQ_PERIOD_US));
	CHECK(!pin_is_open());
	host_irq_rearm(&h, &dev);
	CHECK(pin_is_open());
}

/* ---- a PCI function's pin ---- */

static uint32_t command(void)
{
	return (uint32_t)config[PCI_COMMAND] | (uint32_t)config[PCI_COMMAND + 1] << 8;
}

static bool pin10_is_open(void)
{
	return !(fake_apic.entry[10] & IOAPIC_MASKED);
}

static void add_pin(uint8_t line, uint8_t pin)
{
	put(PCI_INT_LINE, line, 1);
	put(PCI_INT_PIN, pin, 1);
	put(PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_OFF, 2);
}

static void pci_pin(void)
{
	const uint64_t look = hw_us_to_tsc(HOST_IRQ_LOOK_US), start = 1ull << 40;

	setup();
	add_pin(10, 1);
	fake_apic.entry[10] = 0x0700000000010e55ull;
	CHECK_EQ(host_irq_route_intx(&h, &dev), 0);
	CHECK_EQ(fake_apic.entry[10], 0x030000000000a083ull);
	CHECK_EQ(command(), PCI_COMMAND_MEMORY);
	host_irq_tick(&h, start);
	CHECK(host_irq_next(&h) == ~0ull);
	/* Held as long as the function says that it's it. */
	put(PCI_STATUS, PCI_STATUS_CAPS | 8, 2);
	fire(0x83);
	CHECK(dev.irq_fired && !pin10_is_open());
	host_irq_tick(&h, start + 1);
	CHECK(!pin10_is_open());
	CHECK_EQ(host_irq_next(&h), start + 1 + look);
	put(PCI_STATUS, PCI_STATUS_CAPS, 2);
	host_irq_tick(&h, start + look);
	CHECK(!pin10_is_open());
	host_irq_tick(&h, start + 1 + look);
	CHECK(pin10_is_open());
	CHECK(host_irq_next(&h) == ~0ull);
	host_irq_unroute(&h, &dev);
	CHECK_EQ(fake_apic.entry[10], 0x0700000000010e55ull);
	CHECK_EQ(command(), PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_OFF);
	/* One that was on, and is still held, goes back the same way. */
	add_pin(10, 4);
	put(PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	CHECK_EQ(host_irq_route_intx(&h, &dev), 0);
	fire(0x83);
	host_irq_unroute(&h, &dev);
	CHECK_EQ(fake_apic.entry[10], 0x0700000000010e55ull);
	CHECK_EQ(command(), PCI_COMMAND_MEMORY);
	CHECK_EQ(claims, releases);
}

/* Another device on the same input: it fires though ours is content, and ends as a storm. */
static void pci_pin_is_shared(void)
{
	const uint64_t start = 1ull << 40;
	unsigned turns = 0;

	setup();
	add_pin(10, 1);
	CHECK_EQ(host_irq_route_intx(&h, &dev), 0);
	host_irq_tick(&h, start);
	while (pin10_is_open() && turns < 2 * HOST_IRQ_BURST) {
		fire(0x83);
		host_irq_tick(&h, start + ++turns);
	}
	CHECK_EQ(turns, HOST_IRQ_BURST + 1);
	host_irq_tick(&h, start + hw_us_to_tsc(HOST_IRQ_PERIOD_US));
	CHECK(pin10_is_open());
	host_irq_unroute_all(&h);
	CHECK_EQ(fake_apic.entry[10], IOAPIC_MASKED);
}

static void pci_pins_that_nobody_knows(void)
{
	static const uint8_t nowhere[] = {0, 1, 2, 8, 13, 16, 0x7f, 0xff};

	setup();
	for (unsigned i = 0; i < sizeof(nowhere); i++) {
		add_pin(nowhere[i], 1);
		CHECK_EQ(host_irq_route_intx(&h, &dev), -E_NOENT);
	}
	add_pin(10, 0);
	CHECK_EQ(host_irq_route_intx(&h, &dev), -E_NOTSUP);
	add_pin(10, 1);
	fake_apic.entry[10] = 0x20;
	CHECK_EQ(host_irq_route_intx(&h, &dev), -E_EXIST);
	CHECK_EQ(fake_apic.entry[10], 0x20);
	fake_apic.entry[10] = IOAPIC_MASKED;
	first_free = 256;
	CHECK_EQ(host_irq_route_intx(&h, &dev), -E_NOMEM);
	CHECK_EQ(command(), PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_OFF);
	CHECK_EQ(claims, 0);
	CHECK_EQ(fake_apic.ioapic_writes, 0);
}

int main(void)
{
	RUN(isa_pin);
	RUN(pci_pin);
	RUN(pci_pin_is_shared);
	RUN(pci_pins_that_nobody_knows);
	RUN(a_device_may_have_two);
	RUN(level_pin_is_held_until_rearmed);
	RUN(firmware_keeps_what_it_uses);
	RUN(routes_run_out);
	RUN(msi_in_its_four_shapes);
	RUN(msix_of_all_sizes);
	RUN(msix_is_preferred_and_needs_its_table);
	RUN(late_interrupt_is_still_ours);
	RUN(x2apic_and_machines_without);
	RUN(storm);
	RUN(storms_are_throttled);
	RUN(throttled_level);
	return TEST_RESULT();
}
