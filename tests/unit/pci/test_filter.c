/* The PCI configuration filter, over a q35 and an i440fx that are made up. */
#include "base/error.h"
#include "core/interrupt.h"
#include "fakes/fake_hw.h"
#include "fakes/fake_pci.h"
#include "fakes/fake_vm.h"
#include "pci/caps.h"
#include "pci/filter.h"
#include "test.h"

#define ECAM 0xb0000000ull

static struct vm vm;
static struct pci_filter filter;
static struct arena arena;
static _Alignas(4096) uint8_t memory[256 * 1024];

static struct {
	unsigned calls, bar;
	uint64_t base;
	bool enabled;
	int refuse;
} moved;

static int bar_moved(struct device *dev, unsigned bar, uint64_t base, bool enabled)
{
	(void)dev;
	moved.calls++;
	if (enabled && moved.refuse)
		return moved.refuse;
	moved.bar = bar;
	moved.base = base;
	moved.enabled = enabled;
	return 0;
}

static const struct device_ops ops = {.name = "test", .bar_moved = bar_moved};
static struct device device;

static struct device *make_device(pci_bdf_t bdf, uint8_t irq)
{
	memset(&moved, 0, sizeof(moved));
	device = (struct device){.ops = &ops, .vm = &vm, .name = "test", .bdf = bdf, .irq = irq};
	return &device;
}

static void start(uint64_t ecam_len)
{
	fake_hw_reset();
	fake_vm_init(&vm);
	arena_init(&arena, memory, hpa(0x100000), sizeof(memory));
	CHECK_EQ(pci_filter_init(&filter, &vm, &arena, gpa(ECAM), ecam_len), 0);
}

static void start_nvme(void)
{
	fake_pci_q35();
	start(256 * MIB);
	CHECK_EQ(pci_filter_add(&filter, make_device(PCI_BDF(0, 4, 0), 11)), 0);
	fake_pci.writes = 0;
}

static void start_ide(void)
{
	fake_pci_i440fx();
	start(0);
	CHECK_EQ(pci_filter_add(&filter, make_device(PCI_BDF(0, 1, 1), 14)), 0);
	fake_pci.writes = 0;
}

static uint64_t in(uint16_t port, unsigned size)
{
	return fake_vm_read(&vm, true, port, size);
}

static void out(uint16_t port, unsigned size, uint32_t value)
{
	fake_vm_write(&vm, true, port, size, value);
}

static uint64_t config(pci_bdf_t bdf, unsigned offset, unsigned size)
{
	out(0xcf8, 4, 0x80000000u | (uint32_t)bdf << 8 | (offset & 0xfc));
	return in((uint16_t)(0xcfc + (offset & 3)), size);
}

static void set_config(pci_bdf_t bdf, unsigned offset, unsigned size, uint32_t value)
{
	out(0xcf8, 4, 0x80000000u | (uint32_t)bdf << 8 | (offset & 0xfc));
	out((uint16_t)(0xcfc + (offset & 3)), size, value);
}

static void hides_what_is_not_named(void)
{
	start_nvme();
	CHECK_EQ(config(PCI_BDF(0, 1, 0), 0, 4), 0xffffffff);  /* display */
	CHECK_EQ(config(PCI_BDF(0, 31, 2), 0, 4), 0xffffffff); /* AHCI */
	CHECK_EQ(config(PCI_BDF(0, 31, 3), 0, 2), 0xffff);
	CHECK_EQ(config(PCI_BDF(0, 7, 0), 0, 4), 0xffffffff);
	CHECK_EQ(config(PCI_BDF(3, 4, 0), 0, 4), 0xffffffff);
	CHECK_EQ(config(PCI_BDF(255, 31, 7), 0xfc, 1), 0xff);
	set_config(PCI_BDF(0, 1, 0), PCI_COMMAND, 2, 0);
	set_config(PCI_BDF(255, 31, 7), 0xfc, 4, 0);
	CHECK_EQ(fake_pci.writes, 0);
}

static void reduces_host_and_isa_bridge(void)
{
	start_nvme();
	CHECK_EQ(config(0, 0, 4), 0x29c08086);
	CHECK_EQ(config(0, 8, 4), 0x06000002);
	CHECK_EQ(config(PCI_BDF(0, 31, 0), 0, 4), 0x29188086);
	CHECK_EQ(config(PCI_BDF(0, 31, 0), PCI_HEADER_TYPE, 1), 0); /* 1f.2 is hidden */
	for (unsigned at = PCI_BAR0; at < 256; at += 4)
		if (at != 0x2c)
			CHECK_EQ(config(PCI_BDF(0, 31, 0), at, 4), 0);
	for (unsigned at = 0; at < 256; at += 4) {
		uint64_t before = config(0, at, 4);

		set_config(0, at, 4, ~0u);
		CHECK_EQ(config(0, at, 4), before);
		set_config(0, at, 4, 0);
		CHECK_EQ(config(0, at, 4), before);
	}
	CHECK_EQ(fake_pci.writes, 0);
}

static void shows_identity(void)
{
	start_nvme();
	CHECK_EQ(config(PCI_BDF(0, 4, 0), 0, 4), 0x00101b36);
	CHECK_EQ(config(PCI_BDF(0, 4, 0), 8, 4), 0x01080202);
	CHECK_EQ(config(PCI_BDF(0, 4, 0), 9, 1), 0x02);
	CHECK_EQ(config(PCI_BDF(0, 4, 0), 10, 2), 0x0108);
	CHECK_EQ(config(PCI_BDF(0, 4, 0), 0x2c, 4), 0x11001af4);
	CHECK_EQ(config(PCI_BDF(0, 4, 0), PCI_HEADER_TYPE, 1), 0);
	CHECK_EQ(config(PCI_BDF(0, 4, 0), PCI_ROM, 4), 0);
	/* No capabilities, and nothing of theirs in the space behind the header. */
	CHECK_EQ(config(PCI_BDF(0, 4, 0), PCI_STATUS, 2) & PCI_STATUS_CAPS, 0);
	CHECK_EQ(config(PCI_BDF(0, 4, 0), PCI_CAP_PTR, 1), 0);
	for (unsigned at = 0x40; at < 256; at += 4)
		CHECK_EQ(config(PCI_BDF(0, 4, 0), at, 4), 0);
	/* The line is the guest's, and its to write. */
	CHECK_EQ(config(PCI_BDF(0, 4, 0), PCI_INT_LINE, 2), 0x010b);
	set_config(PCI_BDF(0, 4, 0), PCI_INT_LINE, 2, 0x0405);
	CHECK_EQ(config(PCI_BDF(0, 4, 0), PCI_INT_LINE, 2), 0x0105);
	CHECK_EQ(fake_pci.writes, 0);
}

static void models_command_and_status(void)
{
	pci_bdf_t nvme = PCI_BDF(0, 4, 0);

	start_nvme();
	CHECK_EQ(config(nvme, PCI_COMMAND, 2), 0);
	set_config(nvme, PCI_COMMAND, 2, 0xffff);
	CHECK_EQ(config(nvme, PCI_COMMAND, 2), 0x0407);
	set_config(nvme, PCI_COMMAND + 1, 1, 0);
	CHECK_EQ(config(nvme, PCI_COMMAND, 2), 0x0007);
	CHECK_EQ(fake_pci.writes, 0);
	CHECK_EQ(fake_pci_get(fake_pci_find(nvme), PCI_COMMAND, 2), 6);
	/* Status: timing is constant, INTx the model's, errors stay the host's, nothing clears. */
	CHECK_EQ(config(nvme, PCI_STATUS, 2), 0x0280);
	fake_pci_set(fake_pci_find(nvme), PCI_STATUS, 2, 0xf298);
	device_set_line(&device, true);
	CHECK_EQ(config(nvme, PCI_STATUS, 2), 0x0288);
	CHECK_EQ(config(nvme, PCI_STATUS, 1), 0x88);
	CHECK_EQ(config(nvme, PCI_STATUS + 1, 1), 0x02);
	CHECK_EQ(config(nvme, PCI_COMMAND, 4), 0x02880007);
	CHECK_EQ(config(nvme, PCI_COMMAND + 1, 2), 0x8800);
	set_config(nvme, PCI_STATUS, 2, 0xffff);
	CHECK_EQ(fake_pci_get(fake_pci_find(nvme), PCI_STATUS, 2), 0xf298);
	device_set_line(&device, false);
	fake_pci.reads = 0;
	CHECK_EQ(config(nvme, PCI_STATUS, 2), 0x0280);
	CHECK_EQ(fake_pci.reads, 0);
}

static void sizes_and_moves_a_wide_bar(void)
{
	pci_bdf_t nvme = PCI_BDF(0, 4, 0);

	start_nvme();
	CHECK_EQ(fake_pci.sized_live, 0);
	CHECK_EQ(fake_pci_get(fake_pci_find(nvme), PCI_COMMAND, 2), 6);
	CHECK_EQ(fake_pci_get(fake_pci_find(nvme), PCI_BAR0, 4), 4);
	CHECK_EQ(fake_pci_get(fake_pci_find(nvme), PCI_BAR0 + 4, 4), 8);
	CHECK_EQ(config(nvme, PCI_BAR0, 4), 4);
	CHECK_EQ(config(nvme, PCI_BAR0 + 4, 4), 8);
	set_config(nvme, PCI_BAR0, 4, ~0u);
	set_config(nvme, PCI_BAR0 + 4, 4, ~0u);
	CHECK_EQ(config(nvme, PCI_BAR0, 4), 0xffffc004);
	CHECK_EQ(config(nvme, PCI_BAR0 + 4, 4), 0xffffffff);
	CHECK_EQ(moved.calls, 0);
	set_config(nvme, PCI_BAR0, 4, 0xe0000000);
	set_config(nvme, PCI_BAR0 + 4, 4, 0);
	set_config(nvme, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	CHECK(moved.calls == 1 && moved.enabled && moved.base == 0xe0000000 && moved.bar == 0);
	set_config(nvme, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	CHECK_EQ(moved.calls, 1);
	/* Byte by byte, with decoding on: each write moves it. */
	set_config(nvme, PCI_BAR0 + 3, 1, 0xd0);
	CHECK(moved.calls == 2 && moved.base == 0xd0000000);
	set_config(nvme, PCI_COMMAND, 2, 0);
	CHECK(moved.calls == 3 && !moved.enabled);
	for (unsigned n = 2; n < PCI_BAR_COUNT; n++) {
		set_config(nvme, PCI_BAR0 + 4 * n, 4, ~0u);
		CHECK_EQ(config(nvme, PCI_BAR0 + 4 * n, 4), 0);
	}
	CHECK_EQ(fake_pci.writes, 0);
}

static void does_not_decode_where_it_must_not(void)
{
	pci_bdf_t nvme = PCI_BDF(0, 4, 0);

	start_nvme();
	CHECK_EQ(gmem_add(&vm.gmem, (struct gmem_run){gpa(0), hpa(0x1000000), 512 * MIB, memory}),
		0);
	set_config(nvme, PCI_BAR0 + 4, 4, 0);
	set_config(nvme, PCI_BAR0, 4, 0xe0000000);
	set_config(nvme, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	CHECK(moved.enabled && moved.base == 0xe0000000);
	/* Into memory: off, and not still at the old place. */
	set_config(nvme, PCI_BAR0, 4, 0x1fffc000);
	CHECK(!moved.enabled);
	set_config(nvme, PCI_BAR0, 4, 0x20000000);
	CHECK(moved.enabled && moved.base == 0x20000000);
	/* The last place of the address space would wrap. */
	set_config(nvme, PCI_BAR0 + 4, 4, ~0u);
	set_config(nvme, PCI_BAR0, 4, ~0u);
	CHECK(!moved.enabled);
	set_config(nvme, PCI_BAR0 + 4, 4, 0);
	set_config(nvme, PCI_BAR0, 4, 0xe0000000);
	CHECK(moved.enabled);
	/* The device refuses: off as well, and it gets another chance at the next place. */
	moved.refuse = -E_EXIST;
	set_config(nvme, PCI_BAR0, 4, 0xd0000000);
	CHECK(!moved.enabled);
	CHECK_EQ(config(nvme, PCI_BAR0, 4), 0xd0000004);
	moved.refuse = 0;
	set_config(nvme, PCI_BAR0, 4, 0xc0000000);
	CHECK(moved.enabled && moved.base == 0xc0000000);
}

static void bounds_work_of_a_busy_guest(void)
{
	start_nvme();
	for (unsigned i = 0; i < 100000; i++)
		set_config(PCI_BDF(0, 4, 0), (i * 7) & 0xff, 1, i * 2654435761u >> 13);
	CHECK_EQ(fake_pci.writes, 0);
	CHECK(moved.calls < 200000);
}

static void ide_in_compatibility_mode(void)
{
	pci_bdf_t ide = PCI_BDF(0, 1, 1);

	start_ide();
	CHECK_EQ(config(PCI_BDF(0, 1, 0), PCI_HEADER_TYPE, 1), PCI_HEADER_MULTI);
	CHECK_EQ(config(PCI_BDF(0, 1, 3), 0, 4), 0xffffffff);
	CHECK_EQ(config(ide, 8, 4), 0x01018002);
	CHECK_EQ(config(ide, PCI_INT_LINE, 2), 0x000e);
	for (unsigned n = 0; n < PCI_BAR_COUNT; n++) {
		set_config(ide, PCI_BAR0 + 4 * n, 4, ~0u);
		CHECK_EQ(config(ide, PCI_BAR0 + 4 * n, 4), n == 4 ? 0xfff1 : 0);
	}
	set_config(ide, PCI_BAR0 + 16, 4, 0xd001);
	CHECK_EQ(moved.calls, 0);
	set_config(ide, PCI_COMMAND, 2, PCI_COMMAND_IO);
	CHECK(moved.enabled && moved.bar == 4 && moved.base == 0xd000);
	/* The channels' enable bits are shown, and not the guest's. */
	CHECK_EQ(config(ide, 0x40, 4), 0x80008000);
	set_config(ide, 0x40, 4, 0);
	CHECK_EQ(config(ide, 0x40, 4), 0x80008000);
	CHECK_EQ(fake_pci.writes, 0);
}

static void io_bar_outside_of_port_space(void)
{
	fake_pci_q35();
	start(0);
	CHECK_EQ(pci_filter_add(&filter, make_device(PCI_BDF(0, 31, 2), 10)), 0);
	set_config(PCI_BDF(0, 31, 2), PCI_BAR0 + 16, 4, ~0u);
	CHECK_EQ(config(PCI_BDF(0, 31, 2), PCI_BAR0 + 16, 4), 0xffffffe1);
	set_config(PCI_BDF(0, 31, 2), PCI_COMMAND, 2, PCI_COMMAND_IO);
	CHECK_EQ(moved.calls, 0);
	set_config(PCI_BDF(0, 31, 2), PCI_BAR0 + 16, 4, 0xffe0);
	CHECK(moved.enabled && moved.base == 0xffe0);
	/* 1f.2 is visible: the ISA bridge at 1f.0 says that there are more functions. */
	CHECK_EQ(config(PCI_BDF(0, 31, 0), PCI_HEADER_TYPE, 1), PCI_HEADER_MULTI);
}

static void answers_odd_port_accesses(void)
{
	pci_bdf_t nvme = PCI_BDF(0, 4, 0);

	start_nvme();
	out(0xcf8, 4, 0xffffffff);
	CHECK_EQ(in(0xcf8, 4), 0x8ffffffc);
	/* The extended space isn't the first 256 bytes once more. */
	out(0xcf8, 4, 0x81002000);
	CHECK_EQ(in(0xcfc, 4), 0xffffffff);
	out(0xcf8, 4, 0x81002004);
	out(0xcfc, 2, 7);
	CHECK_EQ(config(nvme, PCI_COMMAND, 2), 0);
	/* Bytes and words of the address register are nobody's. */
	out(0xcf8, 4, 0x80002000);
	out(0xcf8, 1, 0xff);
	out(0xcfa, 2, 0xffff);
	out(0xcf8, 2, 0xffff);
	out(0xcfb, 1, 1);
	CHECK_EQ(in(0xcf8, 4), 0x80002000);
	CHECK_EQ(in(0xcf8, 1), 0xff);
	CHECK_EQ(in(0xcf8, 2), 0xffff);
	CHECK_EQ(in(0xcfb, 1), 0xff);
	/* Inside its dword any access is good, across it none; also across the two registers. */
	CHECK_EQ(in(0xcfc, 4), 0x00101b36);
	CHECK_EQ(in(0xcfd, 2), 0x101b);
	CHECK_EQ(in(0xcff, 1), 0x00);
	CHECK_EQ(in(0xcff, 2), 0xffff);
	CHECK_EQ(in(0xcfe, 4), 0xffffffff);
	CHECK_EQ(in(0xcfa, 4), 0xffffffff);
	/* Without the enable bit the data port is nobody's. */
	out(0xcf8, 4, 0x00002000);
	CHECK_EQ(in(0xcfc, 4), 0xffffffff);
	out(0xcf8, 4, 0x00002004);
	out(0xcfc, 2, 7);
	CHECK_EQ(config(nvme, PCI_COMMAND, 2), 0);
	CHECK_EQ(vm.stop.reason, STOP_NONE);
}

static void reset_control(void)
{
	start_nvme();
	CHECK_EQ(in(0xcf9, 1), 0);
	out(0xcf9, 1, 0xf2);
	CHECK_EQ(in(0xcf9, 1), 2);
	CHECK_EQ(vm.stop.reason, STOP_NONE);
	out(0xcf9, 2, 0x06);
	out(0xcf8, 2, 0x0600);
	CHECK_EQ(vm.stop.reason, STOP_NONE);
	out(0xcf9, 1, 6);
	CHECK_EQ(vm.stop.reason, STOP_RESET);
	/* It takes an edge. */
	vm.stop.reason = STOP_NONE;
	out(0xcf9, 1, 6);
	CHECK_EQ(vm.stop.reason, STOP_NONE);
	out(0xcf9, 1, 0);
	out(0xcf9, 1, 0x0e);
	CHECK_EQ(vm.stop.reason, STOP_RESET);
	/* Never on the real machine. */
	CHECK_EQ(fake_hw.log_count, 0);
}

static uint64_t ecam(pci_bdf_t bdf, unsigned offset, unsigned size)
{
	return fake_vm_read(&vm, false, ECAM + ((uint64_t)bdf << 12) + offset, size);
}

static void ecam_is_the_same_model(void)
{
	pci_bdf_t nvme = PCI_BDF(0, 4, 0);

	start_nvme();
	CHECK_EQ(ecam(nvme, 0, 4), 0x00101b36);
	CHECK_EQ(ecam(nvme, 1, 2), 0x101b);
	CHECK_EQ(ecam(nvme, 3, 2), 0xffff);
	CHECK_EQ(ecam(nvme, 0, 8), ~0ull);
	CHECK_EQ(ecam(nvme, 2, 4), 0xffffffff);
	CHECK_EQ(ecam(nvme, 256, 4), 0xffffffff);
	CHECK_EQ(ecam(nvme, 0xffc, 4), 0xffffffff);
	CHECK_EQ(ecam(PCI_BDF(0, 1, 0), 0, 4), 0xffffffff);
	CHECK_EQ(ecam(PCI_BDF(255, 31, 7), 0xfff, 1), 0xff);
	fake_vm_write(&vm, false, ECAM + (nvme << 12) + 4, 2, 7);
	CHECK_EQ(config(nvme, PCI_COMMAND, 2), 7);
	fake_vm_write(&vm, false, ECAM + (nvme << 12) + 3, 2, 0xffff);
	fake_vm_write(&vm, false, ECAM + (nvme << 12) + 0x10, 8, ~0ull);
	CHECK_EQ(config(nvme, PCI_BAR0, 4), 4);
	CHECK_EQ(fake_pci.writes, 0);
	/* Without a window there is none. */
	start_ide();
	CHECK_EQ(vm.mmio.count, 0);
}

static void shows_the_way_to_a_device_behind_bridges(void)
{
	struct fake_function *fn;

	fake_pci_q35();
	fn = fake_pci_bridge(PCI_BDF(0, 2, 0), 1, 2);
	fake_pci_multi(fn);
	fake_pci_bridge(PCI_BDF(0, 2, 1), 5, 5);
	fake_pci_bridge(PCI_BDF(1, 0, 0), 2, 2);
	fake_pci_bridge(PCI_BDF(0, 3, 0), 6, 6);
	fn = fake_pci_add(PCI_BDF(2, 0, 0), 0x12345678, 0x020000);
	fake_pci_multi(fn);
	fn = fake_pci_add(PCI_BDF(2, 0, 3), 0x00101b36, 0x010802);
	fake_pci_bar_mem(fn, 0, 0xfe800000, 16384, true);
	start(0);
	CHECK_EQ(pci_filter_last_bus(&filter), 0);
	CHECK_EQ(pci_filter_add(&filter, make_device(PCI_BDF(2, 0, 3), 11)), 0);
	CHECK_EQ(config(PCI_BDF(2, 0, 3), 0, 4), 0x00101b36);
	/* A function 0 that is no more than a place. */
	CHECK_EQ(config(PCI_BDF(2, 0, 0), 0, 4), 0xfffe5678);
	CHECK_EQ(config(PCI_BDF(2, 0, 0), 8, 4), 0xff000000);
	CHECK_EQ(config(PCI_BDF(2, 0, 0), 0x0c, 4), 0x00800000);
	/* Both bridges, with buses and windows, without BARs, and read-only. */
	CHECK_EQ(config(PCI_BDF(0, 2, 0), 0x18, 3 + 1), 0x00020100);
	CHECK_EQ(config(PCI_BDF(1, 0, 0), 0x18, 4), 0x00020201);
	CHECK_EQ(config(PCI_BDF(0, 2, 0), 0x1c, 4), 0x0000c1c1);
	CHECK_EQ(config(PCI_BDF(0, 2, 0), 0x20, 4), 0xfea0fe80);
	CHECK_EQ(config(PCI_BDF(0, 2, 0), 0x24, 4), 0xfe71fe71);
	CHECK_EQ(config(PCI_BDF(0, 2, 0), 0x3c, 4), 0x00030000);
	CHECK_EQ(config(PCI_BDF(0, 2, 0), PCI_COMMAND, 2), 7);
	CHECK_EQ(config(PCI_BDF(0, 2, 0), PCI_BAR0, 4), 0);
	CHECK_EQ(config(PCI_BDF(0, 2, 0), PCI_HEADER_TYPE, 1), 1);
	fake_pci.writes = 0;
	set_config(PCI_BDF(0, 2, 0), 0x18, 4, ~0u);
	set_config(PCI_BDF(0, 2, 0), 0x1c, 4, 0xe0f0);
	CHECK_EQ(config(PCI_BDF(0, 2, 0), 0x18, 4), 0x00020100);
	CHECK_EQ(config(PCI_BDF(0, 2, 0), 0x1c, 2), 0xc1c1);
	CHECK_EQ(fake_pci.writes, 0);
	CHECK_EQ(pci_filter_last_bus(&filter), 2);
	/* Not the bridges that lead elsewhere. */
	CHECK_EQ(config(PCI_BDF(0, 2, 1), 0, 4), 0xffffffff);
	CHECK_EQ(config(PCI_BDF(0, 3, 0), 0, 4), 0xffffffff);
	/* The placeholder gives way to the function itself. */
	CHECK_EQ(pci_filter_add(&filter, make_device(PCI_BDF(2, 0, 0), 11)), 0);
	CHECK_EQ(config(PCI_BDF(2, 0, 0), 0, 4), 0x12345678);
	CHECK_EQ(config(PCI_BDF(2, 0, 0), PCI_HEADER_TYPE, 1), PCI_HEADER_MULTI);
}

static void survives_looped_buses(void)
{
	fake_pci_reset();
	fake_pci_bridge(PCI_BDF(0, 0, 0), 0, 0);
	fake_pci_bridge(PCI_BDF(0, 1, 0), 1, 1);
	fake_pci_bridge(PCI_BDF(0, 2, 0), 1, 1);
	fake_pci_bridge(PCI_BDF(1, 0, 0), 1, 1);
	fake_pci_bridge(PCI_BDF(1, 1, 0), 0, 255);
	start(0);
	CHECK_EQ(filter.topology.count, 5);
	CHECK_EQ(pci_filter_add(&filter, make_device(PCI_BDF(1, 0, 0), 11)), -E_NOTSUP);
}

static void refuses_what_it_can_not_show(void)
{
	static const struct device_ops no_bars = {.name = "no bars"};
	struct device *dev;

	start_nvme();
	CHECK_EQ(pci_filter_add(&filter, make_device(PCI_BDF(0, 9, 0), 11)), -E_NOENT);
	CHECK_EQ(pci_filter_add(&filter, make_device(PCI_BDF(0, 4, 0), 11)), -E_EXIST);
	CHECK_EQ(pci_filter_add(&filter, make_device(PCI_BDF(0, 31, 0), 11)), -E_EXIST);
	dev = make_device(PCI_BDF(0, 1, 0), 11);
	dev->ops = &no_bars;
	CHECK_EQ(pci_filter_add(&filter, dev), -E_INVAL);
	CHECK_EQ(config(PCI_BDF(0, 1, 0), 0, 4), 0xffffffff);
}

static void runs_out_of_room(void)
{
	unsigned shown = 0;
	int err = 0;

	fake_pci_q35();
	for (unsigned dev = 5; dev < 31; dev++)
		for (unsigned n = 0; n < 8; n++)
			fake_pci_multi(fake_pci_add(PCI_BDF(0, dev, n), 0x12345678, 0x020000));
	start(0);
	for (unsigned i = 0; i < 64 && !err; i++, shown += !err)
		err = pci_filter_add(&filter, make_device(PCI_BDF(0, 5 + i / 8, i % 8), 11));
	CHECK_EQ(err, -E_NOMEM);
	CHECK_EQ(shown, PCI_SHOWN_MAX - 2);

	fake_pci_crowd(PCI_FUNCTIONS_MAX + 1);
	fake_vm_init(&vm);
	arena_init(&arena, memory, hpa(0x100000), sizeof(memory));
	CHECK_EQ(pci_filter_init(&filter, &vm, &arena, gpa(0), 0), -E_NOMEM);
	CHECK_EQ(vm.pio.count, 0);
	arena_seal(&arena);
	CHECK_EQ(pci_filter_init(&filter, &vm, &arena, gpa(0), 0), -E_NOMEM);
}

static void regions_that_do_not_fit_leave_nothing(void)
{
	struct region block = {.base = ECAM + 4096, .len = 1};

	fake_pci_q35();
	fake_vm_init(&vm);
	arena_init(&arena, memory, hpa(0x100000), sizeof(memory));
	CHECK_EQ(region_add(&vm.mmio, &block), 0);
	CHECK_EQ(pci_filter_init(&filter, &vm, &arena, gpa(ECAM), 256 * MIB), -E_EXIST);
	CHECK_EQ(vm.pio.count, 0);
	CHECK_EQ(vm.mmio.count, 1);
}

static void capabilities_follow_their_rules(void)
{
	static const struct pci_cap_rule rules[] = {
		{PCI_CAP_MSIX, 12}, {1, 8}, {PCI_CAP_MSI, 200}, {0, 0}};
	uint8_t space[256] = {0};
	struct fake_function *fn;

	fake_pci_q35();
	fn = fake_pci_find(PCI_BDF(0, 4, 0));
	fake_pci_set(fn, 0x42, 4, 0x11223344);
	CHECK_EQ(pci_caps_show(rules, fn->bdf, space), 0x40);
	CHECK(space[0x40] == PCI_CAP_MSIX && space[0x41] == 0x60);
	CHECK(space[0x42] == 0x44 && space[0x45] == 0x11);
	CHECK(space[0x60] == 1 && space[0x61] == 0);
	CHECK(space[0x80] == 0);
	/* A list that bites its tail, and a capability that would leave the space. */
	fn->config[0x61] = 0x40;
	CHECK_EQ(pci_caps_show(rules, fn->bdf, space), 0x40);
	fake_pci_cap(fn, PCI_CAP_MSI, 0xf0);
	fn->config[0x61] = 0xf0;
	memset(space, 0, sizeof(space));
	CHECK_EQ(pci_caps_show(rules, fn->bdf, space), 0x40);
	CHECK(space[0xf0] == 0);
	CHECK_EQ(pci_caps_show(rules, PCI_BDF(0, 1, 0), space), 0);
}

/* ---- functions that the real machine lacks ---- */

static const uint8_t a_cap[] = {9, 0xff, 1, 2, 3}, b_cap[] = {0x11, 0xff, 4, 5};
static const struct pci_virtual_cap caps[] = {{a_cap, sizeof(a_cap)}, {b_cap, sizeof(b_cap)}};
static const struct pci_virtual invention = {.vendor = 0x1af4,
	.device = 0x1042,
	.subsystem_vendor = 0x1234,
	.subsystem = 0x5678,
	.class = 0x0180,
	.revision = 1,
	.bar_size = {0x4000, 0, 0x1000},
	.cap = caps,
	.caps = 2};

static void check_invented(void)
{
	CHECK_EQ(config(device.bdf, 0, 4), 0x10421af4);
	CHECK_EQ(config(device.bdf, 8, 4), 0x01800001);
	CHECK_EQ(config(device.bdf, 0x0c, 4), 0);
	CHECK_EQ(config(device.bdf, 0x2c, 4), 0x56781234);
	CHECK_EQ(config(device.bdf, 0x34, 1), 0x40);
	CHECK_EQ(config(device.bdf, 0x40, 4), 0x02014809);
	CHECK_EQ(config(device.bdf, 0x48, 4), 0x05040011);
	CHECK_EQ(config(device.bdf, 6, 2), PCI_STATUS_CAPS);
	CHECK_EQ(config(device.bdf, 0x3c, 2), 0x010a);
}

static void invented_functions(void)
{
	fake_pci_q35();
	start(256 * MIB);
	make_device(0xffff, 10);
	fake_pci.writes = 0;
	CHECK_EQ(pci_filter_invent(&filter, &device, &invention), 0);
	/* 1f is the LPC bridge's and the disk controller's. */
	CHECK_EQ(device.bdf, PCI_BDF(0, 0x1e, 0));
	check_invented();
	CHECK_EQ(config(device.bdf, 0x10, 4), 0xfebfc000);
	CHECK_EQ(config(device.bdf, 0x14, 4), 0);
	CHECK_EQ(config(device.bdf, 0x18, 4), 0xfebfb000);
	CHECK_EQ(moved.calls, 0);
	set_config(device.bdf, 0x10, 4, ~0u);
	CHECK_EQ(config(device.bdf, 0x10, 4), 0xffffc000);
	set_config(device.bdf, 0x10, 4, 0xc0000000);
	set_config(device.bdf, 4, 2, PCI_COMMAND_MEMORY);
	CHECK_EQ(moved.calls, 2);
	CHECK(pci_filter_find(&filter, device.bdf)->window[0].decoded);
	CHECK_EQ(pci_filter_find(&filter, device.bdf)->window[0].base, 0xc0000000);
	set_config(device.bdf, 0, 4, 0);
	set_config(device.bdf, 0x40, 4, 0);
	CHECK_EQ(config(device.bdf, 0, 4), 0x10421af4);
	CHECK_EQ(config(device.bdf, 0x40, 4), 0x02014809);
	CHECK_EQ(fake_pci.writes, 0);
}

/* Where something is already: regions, what is reserved, memory, BARs of what is shown. */
static void invented_addresses(void)
{
	static struct region other = {.base = 0xfebf8000, .len = 0x1000};
	static struct device real;

	fake_pci_q35();
	fake_pci_bar_mem(fake_pci_find(PCI_BDF(0, 4, 0)), 0, 0xfebf4000, 0x4000, false);
	start(256 * MIB);
	other.enabled = false;
	CHECK_EQ(region_add(&vm.mmio, &other), 0);
	CHECK_EQ(pci_filter_reserve(&filter, 0xfebfe000, 0x1000), 0);
	real = *make_device(PCI_BDF(0, 4, 0), 11);
	CHECK_EQ(pci_filter_add(&filter, &real), 0);
	make_device(0xffff, 10);
	CHECK_EQ(pci_filter_invent(&filter, &device, &invention), 0);
	CHECK_EQ(config(device.bdf, 0x10, 4), 0xfebf0000);
	CHECK_EQ(config(device.bdf, 0x18, 4), 0xfebef000);
	for (unsigned i = 1; i < PCI_RESERVED_MAX; i++)
		CHECK_EQ(pci_filter_reserve(&filter, 0x80000000, 0x70000000), 0);
	CHECK_EQ(pci_filter_reserve(&filter, 0, 1), -E_NOMEM);
}

static void inventions_that_cannot_be(void)
{
	struct pci_virtual v = invention;
	struct pci_virtual_cap large = {a_cap, 1};

	fake_pci_q35();
	start(0);
	make_device(0xffff, 10);
	v.bar_size[0] = 0x800;
	CHECK_EQ(pci_filter_invent(&filter, &device, &v), -E_INVAL);
	v.bar_size[0] = 0x3000;
	CHECK_EQ(pci_filter_invent(&filter, &device, &v), -E_INVAL);
	v.bar_size[0] = 0x80000000;
	CHECK_EQ(pci_filter_invent(&filter, &device, &v), -E_NOMEM);
	v.bar_size[0] = 0x1000;
	v.cap = &large;
	v.caps = 1;
	CHECK_EQ(pci_filter_invent(&filter, &device, &v), -E_INVAL);
	device.ops = NULL;
	CHECK_EQ(pci_filter_invent(&filter, &device, &invention), -E_INVAL);
}

static void inventions_without_end(void)
{
	static struct device many[PCI_SHOWN_MAX];
	unsigned n = 0;
	int err = 0;

	fake_pci_q35();
	start(0);
	for (; n < PCI_SHOWN_MAX && !err; n++) {
		many[n] = *make_device(0xffff, 10);
		err = pci_filter_invent(&filter, &many[n], &invention);
	}
	CHECK_EQ(err, -E_NOMEM);
	CHECK(n > 20);
	CHECK_EQ(many[0].bdf, PCI_BDF(0, 0x1e, 0));
	CHECK_EQ(many[1].bdf, PCI_BDF(0, 0x1d, 0));
}

int main(void)
{
	RUN(hides_what_is_not_named);
	RUN(reduces_host_and_isa_bridge);
	RUN(shows_identity);
	RUN(models_command_and_status);
	RUN(sizes_and_moves_a_wide_bar);
	RUN(does_not_decode_where_it_must_not);
	RUN(bounds_work_of_a_busy_guest);
	RUN(ide_in_compatibility_mode);
	RUN(io_bar_outside_of_port_space);
	RUN(answers_odd_port_accesses);
	RUN(reset_control);
	RUN(ecam_is_the_same_model);
	RUN(shows_the_way_to_a_device_behind_bridges);
	RUN(survives_looped_buses);
	RUN(refuses_what_it_can_not_show);
	RUN(runs_out_of_room);
	RUN(regions_that_do_not_fit_leave_nothing);
	RUN(capabilities_follow_their_rules);
	RUN(invented_functions);
	RUN(invented_addresses);
	RUN(inventions_that_cannot_be);
	RUN(inventions_without_end);
	return TEST_RESULT();
}
