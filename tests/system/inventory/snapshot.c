/* See snapshot.h. Reads only; what reading would change (status registers) is left out. */
#include "inventory/snapshot.h"
#include "app/app.h"
#include "efi/protocols.h"
#include "hw/cpu.h"
#include "hw/mmio.h"
#include "hw/pci.h"
#include "hw/port.h"

static EFI_GUID timer_guid = EFI_TIMER_ARCH_PROTOCOL_GUID;
static EFI_GUID file_system_guid = SIMPLE_FILE_SYSTEM_PROTOCOL;
static EFI_GUID block_io_guid = BLOCK_IO_PROTOCOL;
static EFI_GUID graphics_guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;

static void add(struct snapshot *s, const char *name, uint32_t index, uint64_t value)
{
	if (s->count == SNAPSHOT_ITEMS) {
		s->overflow = TRUE;
		return;
	}
	s->item[s->count++] = (struct item){name, index, value};
}

/* FNV-1a: whether a table's content has changed. */
static uint64_t hash(const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		h = (h ^ bytes[i]) * 0x100000001b3;
	return h;
}

/* ---- processor ---- */

static uint16_t read_selector(unsigned n)
{
	uint16_t v = 0;

	switch (n) {
	case 0:
		__asm__ volatile("mov %%es, %0" : "=r"(v));
		break;
	case 1:
		__asm__ volatile("mov %%cs, %0" : "=r"(v));
		break;
	case 2:
		__asm__ volatile("mov %%ss, %0" : "=r"(v));
		break;
	case 3:
		__asm__ volatile("mov %%ds, %0" : "=r"(v));
		break;
	case 4:
		__asm__ volatile("mov %%fs, %0" : "=r"(v));
		break;
	default:
		__asm__ volatile("mov %%gs, %0" : "=r"(v));
		break;
	}
	return v;
}

/* TR is left out: VMX can't put a null selector back. */
static void take_cpu(struct snapshot *s)
{
	static const uint32_t msrs[] = {MSR_APIC_BASE, MSR_PAT, MSR_EFER, MSR_STAR, MSR_LSTAR,
		MSR_CSTAR, MSR_SFMASK, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
		MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP};
	struct hw_table gdt = hw_read_gdt(), idt = hw_read_idt();

	add(s, "cr0", 0, hw_read_cr(0));
	add(s, "cr3", 0, hw_read_cr(3));
	add(s, "cr4", 0, hw_read_cr(4));
	add(s, "cr8", 0, hw_read_cr(8));
	for (unsigned i = 0; i < array_size(msrs); i++)
		add(s, "msr", msrs[i], hw_rdmsr(msrs[i]));
	for (unsigned i = 0; i < 4; i++)
		add(s, "dr", i, hw_read_dr(i));
	add(s, "dr", 7, hw_read_dr(7));
	if (hw_read_cr(4) & CR4_OSXSAVE)
		add(s, "xcr0", 0, hw_read_xcr0());
	for (unsigned i = 0; i < 6; i++)
		add(s, "selector", i, read_selector(i));
	add(s, "gdt base", 0, gdt.base);
	add(s, "gdt limit", 0, gdt.limit);
	add(s, "gdt content", 0, hash((const void *)gdt.base, (size_t)gdt.limit + 1));
	add(s, "idt base", 0, idt.base);
	add(s, "idt limit", 0, idt.limit);
	add(s, "idt content", 0, hash((const void *)idt.base, (size_t)idt.limit + 1));
	add(s, "interrupts enabled", 0, hw_irq_enabled());
}

/* ---- interrupt controllers and timers ---- */

static void take_pic(struct snapshot *s)
{
	add(s, "pic mask", 0, hw_port_read(0x21, 1));
	add(s, "pic mask", 1, hw_port_read(0xa1, 1));
	add(s, "elcr", 0, hw_port_read(0x4d0, 1));
	add(s, "elcr", 1, hw_port_read(0x4d1, 1));
}

/* The read-back command latches the status of all three channels: 82C54 data sheet, "Read-Back". */
static void take_pit(struct snapshot *s)
{
	hw_port_write(0x43, 1, 0xee);
	for (unsigned i = 0; i < 3; i++)
		add(s, "pit mode", i, hw_port_read((uint16_t)(0x40 + i), 1) & 0x3f);
	add(s, "port 61", 0, hw_port_read(0x61, 1) & 0x0f);
}

#define APIC_BASE_ENABLED 0x800u
#define APIC_BASE_X2APIC  0x400u

/* SDM vol. 3A "Local APIC Register Address Map": those that software sets. */
static void take_lapic(struct snapshot *s)
{
	static const uint16_t registers[] = {0x20, 0x80, 0xd0, 0xe0, 0xf0, 0x320, 0x330, 0x340,
		0x350, 0x360, 0x370, 0x380, 0x3e0};
	uint64_t base = hw_rdmsr(MSR_APIC_BASE);

	if (!(base & APIC_BASE_ENABLED) || (base & APIC_BASE_X2APIC))
		return;
	for (unsigned i = 0; i < array_size(registers); i++) {
		uint64_t v = hw_mmio_read(hpa((base & ~PAGE_MASK) + registers[i]), 4);

		/* Delivery status and remote IRR come and go by themselves. */
		if (registers[i] >= 0x320 && registers[i] <= 0x370)
			v &= ~0x5000ull;
		add(s, "lapic", registers[i], v);
	}
}

#define IOAPIC 0xfec00000ull

static uint32_t ioapic_read(uint32_t index)
{
	hw_mmio_write(hpa(IOAPIC), 4, index);
	return (uint32_t)hw_mmio_read(hpa(IOAPIC + 0x10), 4);
}

static void take_ioapic(struct snapshot *s)
{
	uint32_t version = ioapic_read(1), last = version >> 16 & 0xff;

	if (version == 0xffffffff)
		return;
	for (uint32_t i = 0; i <= last && i < 64; i++) {
		add(s, "ioapic low", i, ioapic_read(0x10 + i * 2) & ~0x5000u);
		add(s, "ioapic high", i, ioapic_read(0x11 + i * 2));
	}
}

static void take_timer(struct snapshot *s)
{
	EFI_TIMER_ARCH_PROTOCOL *timer;
	UINT64 period = 0;

	if (EFI_ERROR(efi_bs->LocateProtocol(&timer_guid, NULL, (void **)&timer)))
		return;
	timer->GetTimerPeriod(timer, &period);
	add(s, "timer period", 0, period);
}

/* ---- PCI ---- */

static void take_msi(struct snapshot *s, pci_bdf_t bdf)
{
	unsigned msi = hw_pci_find_cap(bdf, PCI_CAP_MSI), msix = hw_pci_find_cap(bdf, PCI_CAP_MSIX);

	if (msi) {
		add(s, "pci msi control", bdf, hw_pci_read(bdf, msi + 2, 2));
		for (unsigned i = 4; i < 16; i += 4)
			add(s, "pci msi", (uint32_t)bdf << 8 | i, hw_pci_read(bdf, msi + i, 4));
	}
	if (msix)
		add(s, "pci msi-x control", bdf, hw_pci_read(bdf, msix + 2, 2));
}

#define CLASS_IDE    0x0101u
#define BRIDGE_IO    0x1cu
#define STATUS_UPPER 0xffff0000u

static void take_function(struct snapshot *s, pci_bdf_t bdf)
{
	bool bridge = (hw_pci_read(bdf, PCI_HEADER_TYPE, 1) & 0x7f) == PCI_HEADER_BRIDGE;

	add(s, "pci command", bdf, hw_pci_read(bdf, PCI_COMMAND, 2));
	add(s, "pci cache line, latency", bdf, hw_pci_read(bdf, 0x0c, 2));
	add(s, "pci interrupt line", bdf, hw_pci_read(bdf, PCI_INT_LINE, 1));
	for (unsigned reg = PCI_BAR0; reg < 0x28; reg += 4) {
		uint32_t v = hw_pci_read(bdf, reg, 4);

		if (bridge && reg == BRIDGE_IO)
			v &= ~STATUS_UPPER;
		add(s, "pci bar", (uint32_t)bdf << 8 | reg, v);
	}
	add(s, "pci rom", bdf, hw_pci_read(bdf, bridge ? 0x38 : PCI_ROM, 4));
	if (bridge)
		add(s, "pci bridge control", bdf, hw_pci_read(bdf, 0x3e, 2));
	if (hw_pci_read(bdf, 0x0a, 2) == CLASS_IDE) {
		add(s, "pci ide timing", bdf, hw_pci_read(bdf, 0x40, 4));
		add(s, "pci ide control", bdf, hw_pci_read(bdf, 0x48, 4));
	}
	take_msi(s, bdf);
}

static void take_pci(struct snapshot *s)
{
	for (uint32_t bdf = 0; bdf < 0x10000; bdf++) {
		if (PCI_FN(bdf) && !(hw_pci_read((pci_bdf_t)(bdf & ~7u), PCI_HEADER_TYPE, 1) &
					   PCI_HEADER_MULTI))
			continue;
		if (hw_pci_read((pci_bdf_t)bdf, PCI_VENDOR_ID, 2) != 0xffff)
			take_function(s, (pci_bdf_t)bdf);
	}
}

/* ---- the firmware's own ---- */

static void take_handles(struct snapshot *s, const char *name, EFI_GUID *protocol)
{
	EFI_HANDLE *handles;
	UINTN count = 0;

	if (uefi_handles(protocol, &handles, &count))
		return;
	if (handles)
		efi_bs->FreePool(handles);
	add(s, name, 0, count);
}

static void take_consoles(struct snapshot *s)
{
	EFI_GRAPHICS_OUTPUT_PROTOCOL *graphics;

	add(s, "text mode", 0, (uint64_t)efi_st->ConOut->Mode->Mode);
	if (EFI_ERROR(efi_bs->LocateProtocol(&graphics_guid, NULL, (void **)&graphics)))
		return;
	add(s, "graphics mode", 0, graphics->Mode->Mode);
	add(s, "framebuffer", 0, graphics->Mode->FrameBufferBase);
}

#define MAP_SIZE 65536u

/*
 * Pages by type. Types that the host OS has to keep may not change at all. Those that it gets back are
 * taken together: the firmware moves single pages between its pools and free memory as it likes. The
 * free ones are counted by themselves; see inventory.c.
 */
static void take_memory(struct snapshot *s)
{
	static uint8_t map[MAP_SIZE] __attribute__((aligned(16)));
	UINTN size = sizeof(map), key, step;
	UINT32 version;
	uint64_t pages[EfiMaxMemoryType] = {0}, usable = 0;

	if (EFI_ERROR(efi_bs->GetMemoryMap(&size, (void *)map, &key, &step, &version)))
		return;
	for (UINTN at = 0; at + step <= size; at += step) {
		const EFI_MEMORY_DESCRIPTOR *d = (const void *)(map + at);

		if (d->Type < EfiMaxMemoryType)
			pages[d->Type] += d->NumberOfPages;
	}
	for (uint32_t type = 0; type < EfiMaxMemoryType; type++) {
		if (type == EfiLoaderCode || type == EfiLoaderData || type == EfiBootServicesCode ||
			type == EfiBootServicesData || type == EfiConventionalMemory)
			usable += pages[type];
		else
			add(s, "memory pages of type", type, pages[type]);
	}
	add(s, "memory pages usable", 0, usable);
	s->free_pages = pages[EfiConventionalMemory];
}

void snapshot_take(struct snapshot *s)
{
	s->count = 0;
	s->overflow = FALSE;
	s->free_pages = 0;
	take_memory(s);
	take_cpu(s);
	take_pic(s);
	take_pit(s);
	take_lapic(s);
	take_ioapic(s);
	take_timer(s);
	take_pci(s);
	take_consoles(s);
	take_handles(s, "volumes", &file_system_guid);
	take_handles(s, "block devices", &block_io_guid);
}

unsigned snapshot_compare(
	const struct snapshot *before, const struct snapshot *after, const char *prefix)
{
	unsigned differences = 0;

	if (before->overflow || before->count != after->count) {
		app_say("%s: %u items, before %u", prefix, after->count, before->count);
		return 1;
	}
	for (unsigned i = 0; i < before->count; i++) {
		const struct item *a = &before->item[i], *b = &after->item[i];

		if (a->value == b->value && a->index == b->index)
			continue;
		differences++;
		app_say("%s: %s %x was %lx, is %lx", prefix, a->name, a->index, a->value, b->value);
	}
	return differences;
}
