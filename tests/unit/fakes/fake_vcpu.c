/* A virtual CPU for tests; see fake_vcpu.h. */
#include "fakes/fake_vcpu.h"
#include "hw/cpu.h"

#include <string.h>

static struct fake_vcpu *fake_of(struct vcpu *v)
{
	return v->backend;
}

static uint64_t fake_get(struct vcpu *v, enum vcpu_reg reg)
{
	return fake_of(v)->reg[reg];
}

static void fake_set(struct vcpu *v, enum vcpu_reg reg, uint64_t value)
{
	fake_of(v)->reg[reg] = value;
}

static void fake_get_seg(struct vcpu *v, enum vcpu_seg seg, struct vcpu_segment *ret)
{
	*ret = fake_of(v)->seg[seg];
}

static void fake_set_seg(struct vcpu *v, enum vcpu_seg seg, const struct vcpu_segment *s)
{
	fake_of(v)->seg[seg] = *s;
}

static uint64_t fake_resume_at(struct vcpu *v, uint64_t rip)
{
	struct fake_vcpu *f = fake_of(v);

	f->reg[VREG_RIP] = rip;
	f->reg[VREG_INTR_SHADOW] = 0;
	f->reg[VREG_RFLAGS] &= ~RFLAGS_RF;
	f->resumed++;
	return f->reg[VREG_RFLAGS] & RFLAGS_TF ? DR6_BS : 0;
}

static const struct vcpu_ops fake_ops = {
	.name = "fake",
	.get = fake_get,
	.set = fake_set,
	.get_seg = fake_get_seg,
	.set_seg = fake_set_seg,
	.resume_at = fake_resume_at,
};

#define DATA_TYPE 3u  /* writable, accessed */
#define CODE_TYPE 11u /* readable, accessed */

static void set_segments(struct fake_vcpu *f, enum fake_mode mode)
{
	bool real = mode == FAKE_REAL, wide = mode == FAKE_FLAT32 || mode == FAKE_COMPAT32;
	uint32_t flat = real ? 0 : SEG_G, size = wide ? SEG_DB : mode == FAKE_LONG ? SEG_L : 0;
	uint32_t limit = real ? 0xffff : 0xffffffff;

	for (unsigned i = VSEG_ES; i <= VSEG_GS; i++)
		f->seg[i] = (struct vcpu_segment){
			0x18, SEG_P | SEG_S | DATA_TYPE | flat | (wide ? SEG_DB : 0), limit, 0};
	f->seg[VSEG_CS] = (struct vcpu_segment){
		0x10, SEG_P | SEG_S | CODE_TYPE | flat | size, limit, 0};
}

void fake_vcpu_init(struct fake_vcpu *f, struct vcpu *v, struct vm *vm, enum fake_mode mode)
{
	memset(f, 0, sizeof(*f));
	memset(v, 0, sizeof(*v));
	v->ops = &fake_ops;
	v->vm = vm;
	v->backend = f;
	f->reg[VREG_RFLAGS] = RFLAGS_FIXED;
	f->reg[VREG_CR0] = CR0_ET;
	set_segments(f, mode);
	if (mode == FAKE_REAL)
		return;
	f->reg[VREG_CR0] |= CR0_PE | CR0_WP;
	if (mode == FAKE_LONG || mode == FAKE_COMPAT32) {
		f->reg[VREG_CR0] |= CR0_PG;
		f->reg[VREG_CR4] = CR4_PAE;
		f->reg[VREG_EFER] = EFER_LME | EFER_LMA | EFER_NXE;
	}
}
