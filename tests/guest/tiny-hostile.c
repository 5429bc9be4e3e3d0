/*
 * A guest that does what none should: it touches what isn't there, in every width and form, programs
 * what it sees with garbage, and passes lies. Each phase says its name first, so that the last line
 * tells where a machine died. Whatever comes of an access, the guest has to come through to the end:
 * an answer, an exception that it may handle, but no end of the guest and none of the machine.
 */
#include "tiny.h"

const char tiny_name[] = "tiny-hostile";

static unsigned surprises;

static void expect(bool ok, const char *what, uint64_t value)
{
	if (ok)
		return;
	surprises++;
	if (surprises < 20)
		say("WRONG: %s (%x)", what, value);
}

/* ---- memory that isn't there ---- */

/* What the loader's tables map 1:1, and nobody put there. */
static const uint64_t nowhere[] = {0xa0000, 0xb8000, 0xbffff, 0x90000000, 0xbffffffc, 0xc0000000,
	0xd0000ffd, 0xdffffff9, 0xfec00000, 0xfec00010, 0xfed00000, 0xfed40000, 0xfed90000,
	0xfee00000, 0xfee00020, 0xfee000b0, 0xfee00300, 0xff000000, 0xfffffff0, 0xfffffff8};

static void read_everyhow(uint64_t at)
{
	uint64_t v = 0;

	TRY("movb (%1), %b0", "+a"(v), "d"(at));
	TRY("movw (%1), %w0", "+a"(v), "d"(at));
	TRY("movl (%1), %k0", "+a"(v), "d"(at));
	TRY("movq (%1), %q0", "+a"(v), "d"(at));
	TRY("movzbl (%1), %k0", "+a"(v), "d"(at));
	TRY("movsbq (%1), %q0", "+a"(v), "d"(at));
	TRY("movzwl (%1), %k0", "+a"(v), "d"(at));
	TRY("cmpl %k0, (%1)", "+a"(v), "d"(at), "cc");
	TRY("testl $1, (%1)", "+a"(v), "d"(at), "cc");
	TRY("btl $3, (%1)", "+a"(v), "d"(at), "cc");
}

static void write_everyhow(uint64_t at)
{
	uint64_t v = 0x1122334455667788;

	TRY("movb %b0, (%1)", "+a"(v), "d"(at));
	TRY("movw %w0, (%1)", "+a"(v), "d"(at));
	TRY("movl %k0, (%1)", "+a"(v), "d"(at));
	TRY("movq %q0, (%1)", "+a"(v), "d"(at));
	TRY("movl $-1, (%1)", "+a"(v), "d"(at));
	TRY("addl %k0, (%1)", "+a"(v), "d"(at), "cc");
	TRY("lock orl %k0, (%1)", "+a"(v), "d"(at), "cc");
	TRY("xchgl %k0, (%1)", "+a"(v), "d"(at));
	TRY("lock cmpxchgl %k0, (%1)", "+a"(v), "d"(at), "cc");
	TRY("lock cmpxchg8b (%1)", "+a"(v), "S"(at), "rdx", "rcx", "rbx", "cc");
	TRY("btsl $5, (%1)", "+a"(v), "d"(at), "cc");
	TRY("pushq (%1)\n\taddq $8, %%rsp", "+a"(v), "d"(at), "cc");
	TRY("movnti %q0, (%1)", "+a"(v), "d"(at));
	TRY("clflush (%1)", "+a"(v), "d"(at));
	TRY("prefetcht0 (%1)", "+a"(v), "d"(at));
}

/* Strings with a count that a loop may not follow blindly, in both directions. */
static void strings_everyhow(uint64_t at)
{
	static uint8_t buffer[256];
	uint64_t di, si, cx;

	di = at, cx = 100;
	TRY("rep stosb", "+D"(di)COMMA "+c"(cx), "a"(0x55));
	di = (uint64_t)buffer, si = at, cx = 16;
	TRY("rep movsl", "+D"(di)COMMA "+S"(si)COMMA "+c"(cx), "a"(0));
	di = at, si = (uint64_t)buffer, cx = 16;
	TRY("rep movsq", "+D"(di)COMMA "+S"(si)COMMA "+c"(cx), "a"(0));
	di = at, si = at + 64, cx = 8;
	TRY("rep movsb", "+D"(di)COMMA "+S"(si)COMMA "+c"(cx), "a"(0));
	di = at, si = at + 64, cx = 8;
	TRY("std\n\trep movsb\n\tcld", "+D"(di)COMMA "+S"(si)COMMA "+c"(cx), "a"(0), "cc");
	__asm__ volatile("cld");
	si = at, cx = 4;
	TRY("rep lodsl", "+S"(si)COMMA "+c"(cx), "a"(0));
	di = at, cx = 4;
	TRY("repe scasb", "+D"(di)COMMA "+c"(cx), "a"(0), "cc");
	di = at, cx = 16;
	TRY("rep insb", "+D"(di)COMMA "+c"(cx), "d"(0x80));
	si = at, cx = 16;
	TRY("rep outsb", "+S"(si)COMMA "+c"(cx), "d"(0x80));
}

static void touch_nowhere(void)
{
	say("memory that isn't there");
	for (unsigned i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		read_everyhow(nowhere[i]);
		write_everyhow(nowhere[i]);
		strings_everyhow(nowhere[i]);
	}
}

/* Code from where nothing is: an exception, whichever. */
static void run_nowhere(void)
{
	uint64_t at = 0xd0000000;

	say("code that isn't there");
	TRY("jmp *%0", "+d"(at), "c"(0));
	at = 0xfee00000;
	TRY("jmp *%0", "+d"(at), "c"(0));
}

/* ---- addresses beyond the end of things, through page tables of our own ---- */

#define PTE_TABLE 0x03ull
#define PTE_LARGE 0x83ull

static uint64_t read_cr3(void)
{
	uint64_t v;

	__asm__ volatile("movq %%cr3, %0" : "=r"(v));
	return v;
}

static void write_cr3(uint64_t v)
{
	__asm__ volatile("movq %0, %%cr3" : : "r"(v) : "memory");
}

/* The linear address whose page-directory entry is ours to set: the 5th GiB. */
#define PLAYGROUND (4ull << 30)
static uint64_t playground[512] __attribute__((aligned(4096)));

static void map_playground(void)
{
	uint64_t *pml4 = (uint64_t *)(read_cr3() & ~0xfffull);
	uint64_t *pdpt = (uint64_t *)(pml4[0] & 0xffffffffff000ull);

	pdpt[4] = (uint64_t)playground + PTE_TABLE;
}

static void touch_far(void)
{
	static const uint64_t far[] = {1ull << 32, 1ull << 36, 1ull << 39, (1ull << 40) - (2 << 20),
		1ull << 45, 1ull << 47, 1ull << 51, 0xfffffffe00000};

	say("memory beyond the end");
	map_playground();
	for (unsigned i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
		playground[0] = far[i] | PTE_LARGE;
		playground[1] = (far[i] + (2 << 20)) | PTE_LARGE;
		write_cr3(read_cr3());
		read_everyhow(PLAYGROUND);
		write_everyhow(PLAYGROUND + 0x1ffffd);
		strings_everyhow(PLAYGROUND + 0x1ffff0);
	}
}

/* ---- ports ---- */

/* Ports whose job it is to end the guest, the call, and the console. */
static bool is_spared(uint32_t port)
{
	return port == 0x60 || port == 0x64 || port == 0x92 || (port >= 0xcf8 && port <= 0xcff) ||
	       (port >= 0x3f0 && port <= 0x3ff) || (port >= 0x504c && port <= 0x5052) ||
	       port == 0x8900 || (port & 0xfffc) == 0x604 || (port & 0xfffc) == 0xb004;
}

static void sweep_ports(void)
{
	say("all ports, read");
	for (uint32_t port = 0; port < 0x10000; port++) {
		TRY("inb %%dx, %%al", "+d"(port), "a"(0));
		if (port % 16 == 13) {
			TRY("inw %%dx, %%ax", "+d"(port), "a"(0));
			TRY("inl %%dx, %%eax", "+d"(port), "a"(0));
		}
	}
	say("ports, written");
	for (uint32_t port = 0; port < 0x10000; port += port < 0x1000 ? 1 : 61) {
		if (is_spared(port) || is_spared(port + 1) || is_spared(port + 3))
			continue;
		TRY("outb %%al, %%dx", "+d"(port), "a"(0xff));
		TRY("outw %%ax, %%dx", "+d"(port), "a"(0x5aa5));
		TRY("outl %%eax, %%dx", "+d"(port), "a"(0));
	}
}

static void string_ports(void)
{
	static uint8_t buffer[4096];
	uint64_t at, count;

	say("string instructions on ports");
	at = (uint64_t)buffer, count = sizeof(buffer);
	TRY("rep insb", "+D"(at)COMMA "+c"(count), "d"(0x80));
	expect(count == 0, "rep insb ended early", count);
	at = (uint64_t)buffer, count = sizeof(buffer) / 4;
	TRY("rep outsl", "+S"(at)COMMA "+c"(count), "d"(0x80));
	expect(count == 0, "rep outsl ended early", count);
	/* To addresses that can't be: non-canonical, unmapped. */
	at = 0x8000000000000000, count = 8;
	expect(TRY("rep insb", "+D"(at)COMMA "+c"(count), "d"(0x80)) >= 0, "insb to nowhere", at);
	at = 0x7f0000000000, count = 8;
	expect(TRY("rep outsb", "+S"(at)COMMA "+c"(count), "d"(0x80)) == 14, "outsb without #PF",
		at);
	at = (uint64_t)buffer, count = 1;
	TRY("rep insl", "+D"(at)COMMA "+c"(count), "d"(0xffff));
	TRY("rep insl", "+D"(at)COMMA "+c"(count), "d"(0x1f5));
}

/* ---- PCI ---- */

static void abuse_config_ports(void)
{
	say("configuration ports");
	for (uint32_t bits = 0; bits < 32; bits++) {
		out32(0xcf8, 0x80000000u | 1u << bits);
		for (uint16_t port = 0xcf8; port < 0xd00; port++) {
			TRY("inb %%dx, %%al", "+d"(port), "a"(0));
			TRY("inw %%dx, %%ax", "+d"(port), "a"(0));
			TRY("inl %%dx, %%eax", "+d"(port), "a"(0));
		}
		out8(0xcf8, 0xff);
		out16(0xcfa, 0xffff);
	}
	out32(0xcf8, 0xffffffff);
	out32(0xcfc, 0);
	out32(0xcf8, 0x7fffffff);
	out32(0xcfc, 0);
}

/* Writes all ones, and then garbage, to every register of every function that shows itself. */
static void abuse_functions(void)
{
	unsigned found = 0;

	say("configuration space");
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		uint32_t base = PCI_ADDRESS(0, devfn >> 3, devfn & 7, 0);

		if ((pci_read(base) & 0xffff) == 0xffff)
			continue;
		found++;
		for (uint32_t reg = 0; reg < 256; reg += 4) {
			uint32_t was = pci_read(base + reg);

			pci_write(base + reg, 0xffffffff);
			pci_read(base + reg);
			/* A base address on top of the guest's memory, the framebuffer, another device. */
			pci_write(base + reg, 0x00001000);
			pci_write(base + reg, 0x80000000);
			pci_write(base + reg, 0xfee00004);
			pci_write(base + reg, was);
		}
	}
	say("configuration space: %u functions", (uint64_t)found);
	for (unsigned bus = 1; bus < 256; bus += 51)
		for (unsigned dev = 0; dev < 32; dev++)
			expect(pci_read(PCI_ADDRESS(bus, dev, 0, 0)) == 0xffffffff ||
					pci_read(PCI_ADDRESS(bus, dev, 0, 0)) != 0,
				"vendor id 0", bus << 8 | dev);
}

/*
 * The same space through memory, where OVMF puts it on q35; elsewhere nobody is there. The functions
 * on bus 0 and one on each of a few others, with registers of the extended space.
 */
static void abuse_ecam(void)
{
	static const uint32_t reg[] = {0, 4, 0x10, 0x14, 0x20, 0x3c, 0xfe, 0x100, 0xffd};
	const uint64_t ecam = 0xb0000000;

	say("configuration space in memory");
	for (uint64_t fn = 0; fn < 0x10000; fn += fn < 0x100 ? 8 : 0x1234) {
		for (unsigned i = 0; i < sizeof(reg) / sizeof(reg[0]); i++) {
			read_everyhow(ecam + fn * 4096 + reg[i]);
			write_everyhow(ecam + fn * 4096 + reg[i]);
		}
		strings_everyhow(ecam + fn * 4096 + 0x0d);
	}
}

/* The first function of a class (base class and subclass), or 0. */
static uint32_t find_class(uint32_t class)
{
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		uint32_t base = PCI_ADDRESS(0, devfn >> 3, devfn & 7, 0);

		if ((pci_read(base) & 0xffff) != 0xffff && pci_read(base + 8) >> 16 == class)
			return base;
	}
	return 0;
}

/* ---- the disks ---- */

static volatile uint32_t *nvme;
static uint8_t nvme_queues[4][4096] __attribute__((aligned(4096)));

static void nvme_register(uint32_t offset, uint32_t value)
{
	volatile uint32_t *at = nvme + offset / 4;

	TRY("movl %k1, (%0)", "+d"(at), "a"(value));
}

static uint32_t nvme_read(uint32_t offset)
{
	volatile uint32_t *at = nvme + offset / 4;
	uint32_t value = 0xffffffff;

	TRY("movl (%1), %k0", "+a"(value), "d"(at));
	return value;
}

#define NVME_CC	  0x14u
#define NVME_CSTS 0x1cu
#define NVME_AQA  0x24u
#define NVME_ASQ  0x28u
#define NVME_ACQ  0x30u
#define NVME_BELL 0x1000u

static void nvme_start(uint64_t sq, uint64_t cq, uint32_t aqa)
{
	nvme_register(NVME_CC, 0);
	for (unsigned i = 0; i < 1000 && nvme_read(NVME_CSTS) & 1; i++)
		;
	nvme_register(NVME_AQA, aqa);
	nvme_register(NVME_ASQ, (uint32_t)sq);
	nvme_register(NVME_ASQ + 4, (uint32_t)(sq >> 32));
	nvme_register(NVME_ACQ, (uint32_t)cq);
	nvme_register(NVME_ACQ + 4, (uint32_t)(cq >> 32));
	nvme_register(NVME_CC, 0x00460001);
	for (unsigned i = 0; i < 1000 && !(nvme_read(NVME_CSTS) & 1); i++)
		;
}

/* Where the guest can reach a device's registers, whose base address may lie beyond its page tables. */
static volatile uint32_t *map_registers(uint64_t base)
{
	if (base < 1ull << 32)
		return (volatile uint32_t *)base;
	map_playground();
	playground[0] = (base & ~0x1fffffull) | PTE_LARGE;
	write_cr3(read_cr3());
	return (volatile uint32_t *)(PLAYGROUND + (base & 0x1fffff));
}

static void abuse_nvme(void)
{
	uint32_t base = find_class(0x0108);
	uint32_t random = 12345;
	uint64_t bar;

	if (!base)
		return;
	bar = (pci_read(base + 0x10) & ~0xfu) | (uint64_t)pci_read(base + 0x14) << 32;
	say("NVMe at %x", bar);
	expect(bar != 0, "NVMe without a base address", 0);
	if (!bar)
		return;
	pci_write(base + 4, 6);
	nvme = map_registers(bar);
	expect(nvme_read(0x08) != 0xffffffff, "NVMe's version", nvme_read(0x08));
	for (uint32_t reg = 0; reg < 0x40; reg += 4) {
		nvme_register(reg, 0xffffffff);
		nvme_read(reg);
	}
	read_everyhow((uint64_t)nvme + 1);
	write_everyhow((uint64_t)nvme + 3);
	strings_everyhow((uint64_t)nvme + NVME_BELL - 5);
	/* Queues where nothing is, then real ones with garbage in them. */
	nvme_start(0xc0000000, 1ull << 50, 0x0fff0fff);
	nvme_register(NVME_BELL, 0x7fff);
	nvme_start((uint64_t)nvme_queues[0], (uint64_t)nvme_queues[1], 0x003f003f);
	for (unsigned round = 0; round < 64; round++) {
		for (unsigned i = 0; i < 4096; i++) {
			random = random * 1103515245 + 12345;
			nvme_queues[0][i] = (uint8_t)(random >> 16);
		}
		/* Opcodes that mean something: queues, identify, features, and what doesn't exist. */
		for (unsigned i = 0; i < 64; i++)
			nvme_queues[0][i * 64] = (uint8_t)(round < 32 ? i % 16 : round * 4 + i);
		nvme_register(NVME_BELL, round % 64);
		nvme_register(NVME_BELL + 4, random);
		for (uint32_t bell = 8; bell < 0x100; bell += 4)
			nvme_register(NVME_BELL + bell, random ^ bell);
	}
	nvme_register(NVME_CC, 0);
	for (unsigned i = 0; i < 1000 && nvme_read(NVME_CSTS) & 1; i++)
		;
}

/* Every command with garbage in the registers, PIO and DMA, with a table that points nowhere. */
static void abuse_ide(void)
{
	static uint32_t prd[4]
		__attribute__((aligned(16))) = {0xfffffffe, 0, 0x00000000, 0x80000000};
	uint32_t base = find_class(0x0101);
	uint16_t master;

	if (!base)
		return;
	master = (uint16_t)(pci_read(base + 0x20) & 0xfffc);
	say("IDE, bus master at %x", (uint64_t)master);
	pci_write(base + 4, 5);
	for (unsigned command = 0; command < 256; command++) {
		for (uint16_t port = 0x1f2; port < 0x1f7; port++)
			out8(port, (uint8_t)(command * 7 + port));
		out8(0x1f6, command & 1 ? 0xe0 : 0xff);
		if (master) {
			out32((uint16_t)(master + 4),
				command & 2 ? (uint32_t)(uint64_t)prd : 0xfffffffc);
			out8((uint16_t)(master + 2), 0xff);
			out8(master, command & 4 ? 9 : 1);
		}
		out8(0x1f7, (uint8_t)command);
		for (unsigned i = 0; i < 300; i++)
			in16(0x1f0);
		for (unsigned i = 0; i < 20; i++)
			out16(0x1f0, 0x1234);
		in8(0x1f7);
		in8(0x3f6);
		if (master)
			out8(master, 0);
		out8(0x3f6, command % 16 ? 0 : 4);
	}
	out8(0x3f6, 0);
}

/* ---- processor ---- */

static bool is_msr_spared(uint32_t index)
{
	/* FS.base and GS.base are free to the guest; the time-stamp counter is how loops end. */
	return index == 0x10;
}

static void sweep_msrs(uint32_t first, uint32_t count)
{
	unsigned readable = 0, writable = 0;

	for (uint32_t index = first; index < first + count; index++) {
		uint32_t lo = 0, hi = 0;
		bool ok = TRY("rdmsr", "+a"(lo)COMMA "+d"(hi), "c"(index)) < 0;

		readable += ok;
		if (is_msr_spared(index))
			continue;
		TRY("wrmsr", "+a"(hi)COMMA "+d"(lo), "c"(index));
		TRY("wrmsr", "+a"(lo)COMMA "+d"(lo), "c"(~index));
		__asm__ volatile("" : : : "memory");
		uint32_t ones = 0xffffffff, ones_hi = 0xffffffff;

		writable += TRY("wrmsr", "+a"(ones)COMMA "+d"(ones_hi), "c"(index)) < 0;
		if (ok)
			TRY("wrmsr", "+a"(lo)COMMA "+d"(hi), "c"(index));
	}
	say("MSRs from %x: %u readable, %u take all ones", (uint64_t)first, (uint64_t)readable,
		(uint64_t)writable);
}

static void check_msrs(void)
{
	uint32_t lo = 0, hi = 0;

	say("MSRs");
	sweep_msrs(0, 0x2000);
	sweep_msrs(0x40000000, 0x200);
	sweep_msrs(0xc0000000, 0x2000);
	sweep_msrs(0xc0010000, 0x2000);
	/* VM_HSAVE_PA, VM_CR, FEATURE_CONTROL's locks: what a guest must not get at. */
	expect(TRY("wrmsr", "+a"(lo)COMMA "+d"(hi), "c"(0xc0010117)) == 13, "VM_HSAVE_PA", 0);
	/* EFER.SVME. */
	TRY("rdmsr", "+a"(lo)COMMA "+d"(hi), "c"(0xc0000080));
	expect(!(lo & 0x1000), "EFER.SVME is visible", lo);
	lo |= 0x1000;
	expect(TRY("wrmsr", "+a"(lo)COMMA "+d"(hi), "c"(0xc0000080)) == 13, "EFER.SVME", lo);
}

static void check_cpuid(void)
{
	struct cpuid r;

	say("CPUID");
	for (uint32_t subleaf = 0; subleaf < 40; subleaf++) {
		for (uint32_t leaf = 0; leaf < 0x30; leaf++) {
			cpuid(leaf, subleaf);
			cpuid(0x80000000 + leaf, subleaf);
			cpuid(0x40000000 + leaf, subleaf);
			cpuid(leaf * 0x10000001, ~subleaf);
		}
	}
	r = cpuid(1, 0);
	expect(r.ecx >> 31, "no hypervisor bit", r.ecx);
	expect(!(r.ecx & 1u << 5), "VMX is visible", r.ecx);
	r = cpuid(0x80000001, 0);
	expect(!(r.ecx & 1u << 2), "SVM is visible", r.ecx);
	r = cpuid(0x8000000a, 0);
	expect(!r.eax && !r.ebx && !r.edx, "SVM's leaf is visible", r.eax);
	r = cpuid(POSTERN_CPUID_SIGNATURE, 0);
	expect(r.ebx == POSTERN_SIGNATURE_EBX && r.ecx == POSTERN_SIGNATURE_ECX &&
			r.edx == POSTERN_SIGNATURE_EDX && r.eax >= POSTERN_CPUID_ABI,
		"signature", r.ebx);
	expect(cpuid(POSTERN_CPUID_ABI, 0).eax == POSTERN_ABI_VERSION, "ABI version", 0);
}

/* Instructions that belong to a hypervisor, or that a CPU refuses with these operands. */
static void run_privileged(void)
{
	uint64_t zero = 0, page = (uint64_t)nvme_queues[2];

	say("privileged instructions");
	expect(TRY("vmcall", "+a"(zero), "d"(0)) == 6, "VMCALL", 0);
	expect(TRY("vmmcall", "+a"(zero), "d"(0)) == 6, "VMMCALL", 0);
	expect(TRY("vmrun", "+a"(page), "d"(0)) >= 0, "VMRUN", 0);
	expect(TRY("vmload", "+a"(page), "d"(0)) >= 0, "VMLOAD", 0);
	expect(TRY("vmsave", "+a"(page), "d"(0)) >= 0, "VMSAVE", 0);
	expect(TRY("stgi", "+a"(zero), "d"(0)) >= 0, "STGI", 0);
	expect(TRY("clgi", "+a"(zero), "d"(0)) >= 0, "CLGI", 0);
	expect(TRY("skinit", "+a"(zero), "d"(0)) >= 0, "SKINIT", 0);
	expect(TRY("invlpga", "+a"(zero), "c"(0)) >= 0, "INVLPGA", 0);
	expect(TRY("vmxoff", "+a"(zero), "d"(0)) >= 0, "VMXOFF", 0);
	expect(TRY("vmxon (%1)", "+a"(zero), "d"(&page)) >= 0, "VMXON", 0);
	expect(TRY("vmptrld (%1)", "+a"(zero), "d"(&page)) >= 0, "VMPTRLD", 0);
	expect(TRY("vmlaunch", "+a"(zero), "d"(0)) >= 0, "VMLAUNCH", 0);
	zero = 0;
	TRY("monitor", "+a"(zero), "c"(0)COMMA "d"(0));
	TRY("rdpmc", "+a"(zero), "c"(0xffffffff), "rdx");
	TRY("rdtscp", "+a"(zero), "i"(0), "rcx", "rdx");
	TRY("wbinvd", "+a"(zero), "d"(0));
	TRY("invd", "+a"(zero), "d"(0));
	TRY("invlpg (%1)", "+a"(zero), "d"(0x123456789));
	TRY("xgetbv", "+a"(zero), "c"(0), "rdx");
	zero = 0xffffffff;
	expect(TRY("xsetbv", "+a"(zero), "c"(0)COMMA "d"(0xffffffff)) >= 0, "XSETBV, all ones", 0);
	TRY("xsetbv", "+a"(zero), "c"(5)COMMA "d"(0));
	TRY("ltr %w0", "+a"(zero), "d"(0));
	TRY("lldt %w0", "+a"(zero), "d"(0));
	TRY("int3", "+a"(zero), "d"(0));
	TRY("int $0x42", "+a"(zero), "d"(0));
	TRY("ud2", "+a"(zero), "d"(0));
}

/*
 * CR4 bits that may come and go in long mode on this CPU: SDM vol. 3A "Control Registers". The others,
 * and reserved bits of CR3, are #GP on a real CPU and the end of this guest on QEMU 7.2, which reports
 * them as an exit with code -1, like an entry that failed.
 */
static uint64_t cr4_changeable(void)
{
	struct cpuid one = cpuid(1, 0), seven = cpuid(7, 0);
	uint64_t bits = 0x7df; /* VME to OSXMMEXCPT but PAE */

	bits |= seven.ecx & 1u << 2 ? 1ull << 11 : 0;  /* UMIP */
	bits |= seven.ebx & 1u << 0 ? 1ull << 16 : 0;  /* FSGSBASE */
	bits |= one.ecx & 1u << 17 ? 1ull << 17 : 0;   /* PCIDE */
	bits |= one.ecx & 1u << 26 ? 1ull << 18 : 0;   /* OSXSAVE */
	bits |= seven.ebx & 1u << 7 ? 1ull << 20 : 0;  /* SMEP */
	bits |= seven.ebx & 1u << 20 ? 1ull << 21 : 0; /* SMAP */
	bits |= seven.ecx & 1u << 3 ? 1ull << 22 : 0;  /* PKE */
	return bits;
}

/* Control registers: each bit there and back, and what they can't hold. */
static void write_control_registers(void)
{
	uint64_t cr0, cr4, v, changeable = cr4_changeable();

	say("control registers");
	__asm__ volatile("movq %%cr0, %0; movq %%cr4, %1" : "=r"(cr0), "=r"(cr4));
	for (unsigned bit = 0; bit < 64; bit++) {
		v = cr4 ^ 1ull << bit;
		if ((changeable >> bit & 1) && TRY("movq %0, %%cr4", "+a"(v), "d"(0)) < 0)
			__asm__ volatile("movq %0, %%cr4" : : "r"(cr4));
		v = cr0 ^ 1ull << bit;
		/* Neither PE nor PG, and NW never without CD. */
		if (bit != 0 && bit < 31 && bit != 29 && TRY("movq %0, %%cr0", "+a"(v), "d"(0)) < 0)
			__asm__ volatile("movq %0, %%cr0" : : "r"(cr0));
	}
	__asm__ volatile("movq %%cr4, %0" : "=r"(v));
	expect(v == cr4, "CR4 has changed", v);
	v = 0xf;
	TRY("movq %0, %%cr8", "+a"(v), "d"(0));
	v = 0;
	TRY("movq %0, %%cr8", "+a"(v), "d"(0));
	v = 0xffffffffffffffff;
	TRY("movq %0, %%dr6", "+a"(v), "d"(0));
	v = 0x400;
	TRY("movq %0, %%dr7", "+a"(v), "d"(0));
}

/* ---- the calls ---- */

static void lie_in_calls(void)
{
	static const uint64_t lies[] = {0, 1, 0xa0000, 0xfffffff, 0xc0000000, PLAYGROUND,
		1ull << 47, 0x8000000000000000, ~0ull - 3, ~0ull};
	static const char path[] = "EFI without a backslash";

	say("calls");
	for (uint32_t function = POSTERN_CALL_EXITS + 1; function < 40; function++)
		expect(hypercall(function, ~0ull, (void *)~0ull, ~0ull) == POSTERN_CALL_ENOSYS,
			"unknown function", function);
	expect(hypercall(POSTERN_CALL_BOOT, 17, NULL, 0) == POSTERN_CALL_EINVAL, "target 17", 17);
	expect(hypercall(POSTERN_CALL_FAIL, 17, NULL, 0) == POSTERN_CALL_EINVAL, "failure 17", 17);
	expect(hypercall(POSTERN_CALL_BOOT, POSTERN_BOOT_PATH, path, sizeof(path) - 1) ==
			POSTERN_CALL_EINVAL,
		"path without a backslash", 0);
	for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		const void *lie = (const void *)lies[i];

		expect(hypercall(POSTERN_CALL_BOOT, POSTERN_BOOT_PATH, lie, 100) < 0, "path",
			lies[i]);
		expect(hypercall(POSTERN_CALL_BOOT, POSTERN_BOOT_PATH, path, ~0ull - lies[i]) < 0,
			"length", lies[i]);
		hypercall(POSTERN_CALL_LOG, 0, lie, 200);
	}
	out8(POSTERN_CALL_PORT, POSTERN_CALL_BOOT);
	out16(POSTERN_CALL_PORT, POSTERN_CALL_BOOT);
	in32(POSTERN_CALL_PORT);
}

void tiny_main(const uint8_t *boot_params)
{
	(void)boot_params;
	check_cpuid();
	run_privileged();
	write_control_registers();
	check_msrs();
	lie_in_calls();
	touch_nowhere();
	run_nowhere();
	touch_far();
	sweep_ports();
	string_ports();
	abuse_config_ports();
	abuse_ide();
	abuse_nvme();
	abuse_functions();
	abuse_ecam();
	say("%u exceptions, %u surprises", fault_count, (uint64_t)surprises);
	say("alive");
}
