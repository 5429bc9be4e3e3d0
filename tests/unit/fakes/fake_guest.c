/* See fake_guest.h. */
#include "fakes/fake_guest.h"

#include <string.h>

#define PML4 0x10000u
#define PDPT 0x11000u
#define PD   0x12000u

static struct fake_guest *owner(struct vcpu *v)
{
	return container_of(v->vm, struct fake_guest, vm);
}

static uint64_t get(struct vcpu *v, enum vcpu_reg reg)
{
	return owner(v)->reg[reg];
}

static void set(struct vcpu *v, enum vcpu_reg reg, uint64_t value)
{
	owner(v)->reg[reg] = value;
}

static void get_seg(struct vcpu *v, enum vcpu_seg seg, struct vcpu_segment *ret)
{
	*ret = owner(v)->seg[seg];
}

static void set_seg(struct vcpu *v, enum vcpu_seg seg, const struct vcpu_segment *s)
{
	owner(v)->seg[seg] = *s;
}

static void resume_at(struct vcpu *v, uint64_t rip)
{
	owner(v)->reg[VREG_RIP] = rip;
}

static const struct vcpu_ops ops = {.name = "fake", .get = get, .set = set, .get_seg = get_seg,
	.set_seg = set_seg, .resume_at = resume_at};

static void set_line(void *chip, unsigned irq, bool high)
{
	struct fake_guest *g = chip;

	if (irq >= 16)
		return;
	g->raised[irq] += high && !g->line[irq];
	g->line[irq] = high;
}

static bool pending(void *chip)
{
	(void)chip;
	return false;
}

static int acknowledge(void *chip)
{
	(void)chip;
	return -1;
}

static const struct irqchip_ops irqchip = {set_line, pending, acknowledge};

static void put_entry(struct fake_guest *g, unsigned table, unsigned index, uint64_t entry)
{
	memcpy(g->memory + table + index * 8, &entry, sizeof(entry));
}

void fake_guest_map(struct fake_guest *g, unsigned page, unsigned flags)
{
	put_entry(g, FAKE_GUEST_PT, page, flags ? (uint64_t)page << PAGE_SHIFT | flags : 0);
}

static void set_segments(struct fake_guest *g, uint32_t code, uint32_t data, uint32_t limit)
{
	for (unsigned i = 0; i < VSEG_COUNT; i++)
		g->seg[i] = (struct vcpu_segment){.attributes = i == VSEG_CS ? code : data,
			.limit = limit};
}

void fake_guest_init(struct fake_guest *g)
{
	memset(g, 0, sizeof(*g));
	g->vm.vcpu.vm = &g->vm;
	g->vm.vcpu.ops = &ops;
	g->vm.irqchip = &irqchip;
	g->vm.irqchip_state = g;
	g->vm.gmem.run[0] =
		(struct gmem_run){gpa(0), hpa(0x1000000), FAKE_GUEST_MEMORY, g->memory};
	g->vm.gmem.count = 1;
	put_entry(g, PML4, 0, PDPT | 7);
	put_entry(g, PDPT, 0, PD | 7);
	put_entry(g, PD, 0, FAKE_GUEST_PT | 7);
	for (unsigned i = 0; i < FAKE_GUEST_MEMORY >> PAGE_SHIFT; i++)
		fake_guest_map(g, i, 7);
	set_segments(g, SEG_P | SEG_S | SEG_L | SEG_G | 11, SEG_P | SEG_S | SEG_DB | SEG_G | 3,
		0xffffffff);
	g->reg[VREG_CR0] = CR0_PE | CR0_ET | CR0_WP | CR0_PG;
	g->reg[VREG_CR3] = PML4;
	g->reg[VREG_CR4] = CR4_PAE;
	g->reg[VREG_EFER] = EFER_LME | EFER_LMA;
	g->reg[VREG_RFLAGS] = RFLAGS_FIXED;
	g->reg[VREG_RIP] = 0x1000;
}

void fake_guest_protected(struct fake_guest *g, bool wide)
{
	uint32_t db = wide ? SEG_DB : 0;

	set_segments(g, SEG_P | SEG_S | db | 11, SEG_P | SEG_S | db | 3, wide ? 0xffffffff : 0xffff);
	g->reg[VREG_CR0] = CR0_PE | CR0_ET;
	g->reg[VREG_CR4] = 0;
	g->reg[VREG_EFER] = 0;
}

void fake_guest_real(struct fake_guest *g)
{
	fake_guest_protected(g, false);
	g->reg[VREG_CR0] = CR0_ET;
}
