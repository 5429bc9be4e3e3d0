/* A double of hw/pci.h; see fake_pci.h. */
#include "fakes/fake_pci.h"

#include <string.h>

struct fake_pci fake_pci;

void fake_pci_reset(void)
{
	memset(&fake_pci, 0, sizeof(fake_pci));
}

struct fake_function *fake_pci_find(pci_bdf_t bdf)
{
	for (unsigned i = 0; i < fake_pci.count; i++)
		if (fake_pci.fn[i].bdf == bdf)
			return &fake_pci.fn[i];
	return NULL;
}

uint32_t fake_pci_get(const struct fake_function *fn, unsigned offset, unsigned size)
{
	uint32_t v = 0;

	memcpy(&v, fn->config + offset, size);
	return v;
}

void fake_pci_set(struct fake_function *fn, unsigned offset, unsigned size, uint32_t value)
{
	memcpy(fn->config + offset, &value, size);
}

static void set_writable(struct fake_function *fn, unsigned offset, unsigned size, uint32_t mask)
{
	memcpy(fn->writable + offset, &mask, size);
}

struct fake_function *fake_pci_add(pci_bdf_t bdf, uint32_t vendor_device, uint32_t class)
{
	struct fake_function *fn = &fake_pci.fn[fake_pci.count++];

	memset(fn, 0, sizeof(*fn));
	fn->bdf = bdf;
	fake_pci_set(fn, PCI_VENDOR_ID, 4, vendor_device);
	fake_pci_set(fn, PCI_REVISION, 4, class << 8 | 2);
	fake_pci_set(fn, PCI_STATUS, 2, 0x0280);
	fake_pci_set(fn, 0x2c, 4, 0x11001af4);
	set_writable(fn, PCI_COMMAND, 2, 0x0547);
	set_writable(fn, PCI_INT_LINE, 1, 0xff);
	set_writable(fn, 0x0c, 2, 0xffff);
	return fn;
}

void fake_pci_multi(struct fake_function *fn)
{
	fn->config[PCI_HEADER_TYPE] |= PCI_HEADER_MULTI;
}

void fake_pci_bar_io(struct fake_function *fn, unsigned n, uint32_t base, uint32_t size)
{
	fake_pci_set(fn, PCI_BAR0 + 4 * n, 4, base | 1);
	set_writable(fn, PCI_BAR0 + 4 * n, 4, ~(size - 1));
}

void fake_pci_bar_mem(struct fake_function *fn, unsigned n, uint64_t base, uint64_t size, bool wide)
{
	fake_pci_set(fn, PCI_BAR0 + 4 * n, 4, (uint32_t)base | (wide ? 4 : 0));
	set_writable(fn, PCI_BAR0 + 4 * n, 4, (uint32_t) ~(size - 1));
	if (!wide)
		return;
	fake_pci_set(fn, PCI_BAR0 + 4 * n + 4, 4, (uint32_t)(base >> 32));
	set_writable(fn, PCI_BAR0 + 4 * n + 4, 4, (uint32_t)(~(size - 1) >> 32));
}

void fake_pci_cap(struct fake_function *fn, uint8_t id, uint8_t at)
{
	fn->config[at] = id;
	fn->config[at + 1] = 0;
	fn->config[fn->last_cap ? fn->last_cap + 1u : PCI_CAP_PTR] = at;
	fn->config[PCI_STATUS] |= PCI_STATUS_CAPS;
	fn->last_cap = at;
	memset(fn->writable + at + 2, 0xff, 14);
}

struct fake_function *fake_pci_bridge(pci_bdf_t bdf, uint8_t secondary, uint8_t subordinate)
{
	struct fake_function *fn = fake_pci_add(bdf, 0x000c1b36, 0x060400);

	fn->config[PCI_HEADER_TYPE] |= 1;
	fn->config[0x18] = (uint8_t)(bdf >> 8);
	fn->config[0x19] = secondary;
	fn->config[0x1a] = subordinate;
	fake_pci_set(fn, 0x1c, 4, 0x22a0c1c1);
	fake_pci_set(fn, 0x20, 4, 0xfea0fe80);
	fake_pci_set(fn, 0x24, 4, 0xfe71fe71);
	fake_pci_set(fn, 0x3c, 4, 0x0003010b);
	fake_pci_set(fn, PCI_COMMAND, 2, 7);
	fake_pci_bar_mem(fn, 0, 0xfebf0000, 0x1000, false);
	return fn;
}

static bool size_ok(unsigned offset, unsigned size)
{
	return (size == 1 || size == 2 || size == 4) && offset % size == 0 && offset < 256;
}

uint32_t hw_pci_read(pci_bdf_t bdf, unsigned offset, unsigned size)
{
	struct fake_function *fn = fake_pci_find(bdf);

	fake_pci.reads++;
	if (!fn || !size_ok(offset, size))
		return (uint32_t)((1ull << size * 8) - 1);
	return fake_pci_get(fn, offset, size);
}

static void note_live_sizing(const struct fake_function *fn, unsigned offset, uint32_t value)
{
	uint32_t on = fn->config[PCI_COMMAND] & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY);

	if (offset >= PCI_BAR0 && offset < PCI_BAR0 + 24 && value == ~0u && on)
		fake_pci.sized_live++;
}

void hw_pci_write(pci_bdf_t bdf, unsigned offset, unsigned size, uint32_t value)
{
	struct fake_function *fn = fake_pci_find(bdf);

	if (fake_pci.writes < FAKE_PCI_WRITES)
		fake_pci.log[fake_pci.writes] = (struct fake_pci_write){bdf, offset, size, value};
	fake_pci.writes++;
	if (!fn || !size_ok(offset, size))
		return;
	note_live_sizing(fn, offset, value);
	for (unsigned i = 0; i < size; i++) {
		uint8_t mask = fn->writable[offset + i], byte = (uint8_t)(value >> 8 * i);

		fn->config[offset + i] = (uint8_t)((fn->config[offset + i] & ~mask) |
						   (byte & mask));
	}
}

unsigned hw_pci_find_cap(pci_bdf_t bdf, uint8_t id)
{
	const struct fake_function *fn = fake_pci_find(bdf);
	unsigned at = fn && (fn->config[PCI_STATUS] & PCI_STATUS_CAPS)
			      ? fn->config[PCI_CAP_PTR] & 0xfcu
			      : 0;

	for (unsigned n = 0; at >= 0x40 && n < 48; n++, at = fn->config[at + 1] & 0xfcu)
		if (fn->config[at] == id)
			return at;
	return 0;
}

void fake_pci_q35(void)
{
	struct fake_function *fn;

	fake_pci_reset();
	fake_pci_add(PCI_BDF(0, 0, 0), 0x29c08086, 0x060000);
	fn = fake_pci_add(PCI_BDF(0, 1, 0), 0x11111234, 0x030000);
	fake_pci_bar_mem(fn, 0, 0xfd000000, 16 << 20, false);
	fake_pci_bar_mem(fn, 2, 0xfebf4000, 4096, false);
	fake_pci_set(fn, PCI_COMMAND, 2, 7);
	fn = fake_pci_add(PCI_BDF(0, 4, 0), 0x00101b36, 0x010802);
	fake_pci_bar_mem(fn, 0, 0x800000000, 16384, true);
	fake_pci_set(fn, PCI_COMMAND, 2, 6);
	fake_pci_set(fn, PCI_INT_LINE, 2, 0x010a);
	fake_pci_cap(fn, PCI_CAP_MSIX, 0x40);
	fake_pci_set(fn, 0x42, 2, 64);
	fake_pci_set(fn, 0x44, 4, 0x2000);
	fake_pci_set(fn, 0x48, 4, 0x3000);
	fake_pci_cap(fn, PCI_CAP_EXPRESS, 0x80);
	fake_pci_cap(fn, 1, 0x60);
	fn = fake_pci_add(PCI_BDF(0, 31, 0), 0x29188086, 0x060100);
	fake_pci_multi(fn);
	fn = fake_pci_add(PCI_BDF(0, 31, 2), 0x29228086, 0x010601);
	fake_pci_bar_io(fn, 4, 0xc040, 32);
	fake_pci_bar_mem(fn, 5, 0xfebf5000, 4096, false);
	fake_pci_cap(fn, PCI_CAP_MSI, 0x80);
	fake_pci_set(fn, 0x82, 2, 0x0080);
	fake_pci_add(PCI_BDF(0, 31, 3), 0x29308086, 0x0c0500);
}

void fake_pci_i440fx(void)
{
	struct fake_function *fn;

	fake_pci_reset();
	fake_pci_add(PCI_BDF(0, 0, 0), 0x12378086, 0x060000);
	fn = fake_pci_add(PCI_BDF(0, 1, 0), 0x70008086, 0x060100);
	fake_pci_multi(fn);
	fn = fake_pci_add(PCI_BDF(0, 1, 1), 0x70108086, 0x010180);
	fake_pci_bar_io(fn, 4, 0xc000, 16);
	set_writable(fn, PCI_BAR0 + 16, 4, 0xfff0);
	fake_pci_set(fn, PCI_COMMAND, 2, 5);
	fake_pci_set(fn, 0x40, 4, 0x80008000);
	fn = fake_pci_add(PCI_BDF(0, 1, 3), 0x71138086, 0x068000);
	fake_pci_add(PCI_BDF(0, 2, 0), 0x11111234, 0x030000);
}

void fake_pci_crowd(unsigned functions)
{
	fake_pci_reset();
	for (unsigned i = 0; i < functions; i++) {
		if (i % 256 == 0)
			fake_pci_bridge(PCI_BDF(0, 0, i / 256), (uint8_t)(i / 256 + 1), 9);
		fake_pci_multi(fake_pci_add((pci_bdf_t)(256 + i), 0x12345678, 0x020000));
	}
	fake_pci_multi(fake_pci_find(0));
}
