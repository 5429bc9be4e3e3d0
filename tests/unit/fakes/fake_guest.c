/* A guest for tests; see fake_guest.h. */
#include "fakes/fake_guest.h"
#include "base/bits.h"

#include <stdlib.h>
#include <string.h>

#define TABLE_PML4 FAKE_TABLES
#define TABLE_PDPT 0x2000u
#define TABLE_PD   0x3000u /* four of them */
#define TABLE_VIEW 0x7000u
#define ENTRY_RW   0x67u /* present, writable, user, accessed, dirty */
#define ENTRY_PS   0x80u

static void put_entry(struct fake_guest *g, uint64_t table, uint64_t index, uint64_t entry)
{
	memcpy(g->ram + table + index * 8, &entry, 8);
}

static void build_tables(struct fake_guest *g)
{
	put_entry(g, TABLE_PML4, 0, TABLE_PDPT | ENTRY_RW);
	for (uint64_t i = 0; i < 4; i++)
		put_entry(g, TABLE_PDPT, i, (TABLE_PD + i * PAGE_SIZE) | ENTRY_RW);
	for (uint64_t i = 0; i < 2048; i++)
		put_entry(g, TABLE_PD, i, i * LARGE_SIZE | ENTRY_RW | ENTRY_PS);
	put_entry(g, TABLE_PD, FAKE_VIEW / LARGE_SIZE, TABLE_VIEW | ENTRY_RW);
}

void fake_guest_map(struct fake_guest *g, unsigned page, uint64_t to, uint64_t bits)
{
	put_entry(g, TABLE_VIEW, page, bits ? to | bits : 0);
}

void fake_guest_lose_view(struct fake_guest *g)
{
	put_entry(g, TABLE_PD, FAKE_VIEW / LARGE_SIZE, 0x90000000 | ENTRY_RW);
}

static enum io_result device_handler(struct device *dev, struct io_access *a)
{
	struct fake_guest *g = container_of(dev->vm, struct fake_guest, vm);
	enum io_result result = g->hook ? g->hook(g, a) : IO_DONE;

	if (result == IO_DONE && a->write)
		memcpy(g->dev + a->offset, &a->value, a->size);
	else if (result == IO_DONE)
		memcpy(&a->value, g->dev + a->offset, a->size);
	if (g->accesses < FAKE_LOG)
		g->log[g->accesses] = *a;
	g->accesses++;
	return result;
}

void fake_guest_init(struct fake_guest *g, enum fake_mode mode)
{
	static struct device dev = {.name = "fake"};
	struct gmem_run run = {gpa(0), hpa(0x10000000), FAKE_RAM_SIZE, g->ram};

	memset(g, 0, sizeof(*g));
	fake_vcpu_init(&g->cpu, &g->vm.vcpu, &g->vm, mode);
	g->cpu.reg[VREG_CR3] = TABLE_PML4;
	build_tables(g);
	dev.vm = &g->vm;
	g->region = (struct region){
		.base = FAKE_DEV, .len = FAKE_DEV_SIZE, .dev = &dev, .handler = device_handler};
	if (gmem_add(&g->vm.gmem, run) || region_add(&g->vm.mmio, &g->region))
		abort();
}

struct vmexit fake_guest_exit(uint64_t rip, uint64_t address, bool write, bool with_gla)
{
	struct vmexit e = {.kind = VMEXIT_NPF, .rip = rip};

	e.u.npf.gpa = gpa(address);
	e.u.npf.gla = with_gla ? address : 0;
	e.u.npf.gla_valid = with_gla;
	e.u.npf.write = write;
	return e;
}
