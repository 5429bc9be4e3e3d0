/* The guest's registers, in the VMCS and beside it. */
#include "fakes/fake_cpu.h"
#include "fakes/fake_vmx.h"
#include "test.h"

static struct vmx x;
static struct vcpu vcpu;

static void start(void)
{
	fake_cpu_reset();
	fake_vmx_reset();
	x = (struct vmx){.caps = fake_vmx_good_caps(), .controls.entry = 0x11fb};
	vcpu = (struct vcpu){.backend = &x};
	vmx_guest_reset(&x);
}

static void power_on(void)
{
	struct vcpu_segment s;

	start();
	CHECK_EQ(vmx_get(&vcpu, VREG_RIP), 0xfff0);
	CHECK_EQ(vmx_get(&vcpu, VREG_RFLAGS), 2);
	CHECK_EQ(vmx_get(&vcpu, VREG_CR0), 0x60000010);
	CHECK_EQ(vmx_get(&vcpu, VREG_CR4), 0);
	CHECK_EQ(vmx_get(&vcpu, VREG_EFER), 0);
	CHECK_EQ(vmx_get(&vcpu, VREG_PAT), 0x0007040600070406);
	CHECK_EQ(vmx_get(&vcpu, VREG_DR7), 0x400);
	CHECK_EQ(vmx_get(&vcpu, VREG_CPL), 0);
	CHECK_EQ(vmx_get(&vcpu, VREG_INTR_SHADOW), 0);
	vmx_get_seg(&vcpu, VSEG_CS, &s);
	CHECK_EQ(s.selector, 0xf000);
	CHECK_EQ(s.base, 0xffff0000);
	CHECK_EQ(s.limit, 0xffff);
	CHECK_EQ(s.attributes, 0x9b);
	vmx_get_seg(&vcpu, VSEG_TR, &s);
	CHECK_EQ(s.attributes, 0x8b);
	vmx_get_seg(&vcpu, VSEG_IDTR, &s);
	CHECK_EQ(s.limit, 0xffff);
	CHECK_EQ(fake_vmx.misuse, 0);
}

/* What is set before the VMCS is current is there later, and the other way round. */
static void both_homes(void)
{
	struct vcpu_segment s = {0x18, SEG_P | SEG_S | SEG_DB | SEG_G | 3, 0xffffffff, 0x1000};

	start();
	vmx_set(&vcpu, VREG_RSP, 0x1234);
	vmx_set(&vcpu, VREG_INTR_SHADOW, 1);
	vmx_set_seg(&vcpu, VSEG_FS, &s);
	fake_vmx_make_live(&x);
	CHECK_EQ(fake_vmx.field[VMCS_GUEST_RSP], 0x1234);
	CHECK_EQ(fake_vmx.field[VMCS_GUEST_INTERRUPTIBILITY], BLOCKING_STI);
	CHECK_EQ(fake_vmx.field[VMCS_GUEST_BASE + 2 * VSEG_FS], 0x1000);
	CHECK_EQ(fake_vmx.field[VMCS_GUEST_LINK], ~0ull);
	vmx_set(&vcpu, VREG_RSP, 0x5678);
	vmx_set(&vcpu, VREG_CR3, 0x9000);
	CHECK_EQ(fake_vmx.field[VMCS_GUEST_RSP], 0x5678);
	vmx_guest_from_vmcs(&x);
	fake_vmx.loaded = false;
	CHECK_EQ(vmx_get(&vcpu, VREG_RSP), 0x5678);
	CHECK_EQ(vmx_get(&vcpu, VREG_CR3), 0x9000);
	vmx_dump(&vcpu);
	CHECK_EQ(fake_vmx.misuse, 0);
}

static void every_register(void)
{
	static const enum vcpu_reg plain[] = {VREG_RIP, VREG_RSP, VREG_CR2, VREG_CR3, VREG_PAT,
		VREG_SYSENTER_CS, VREG_SYSENTER_ESP, VREG_SYSENTER_EIP, VREG_STAR, VREG_LSTAR,
		VREG_CSTAR, VREG_SFMASK, VREG_KERNEL_GS_BASE};

	for (unsigned live = 0; live < 2; live++) {
		start();
		if (live)
			fake_vmx_make_live(&x);
		x.inside = live;
		for (unsigned i = 0; i < array_size(plain); i++)
			vmx_set(&vcpu, plain[i], 0x1000 + i);
		for (unsigned i = 0; i < array_size(plain); i++)
			CHECK_EQ(vmx_get(&vcpu, plain[i]), 0x1000 + i);
		/* The processor has the guest's values only while they are loaded. */
		CHECK_EQ(fake_cpu_msr(MSR_STAR), live ? 0x1008 : 0);
		CHECK_EQ(fake_cpu.cr[2], live ? 0x1002 : 0xc0002);
		CHECK_EQ(fake_vmx.misuse, 0);
	}
	vmx_set(&vcpu, VREG_CPL, 3);
	CHECK_EQ(vmx_get(&vcpu, VREG_CPL), 0);
	CHECK_EQ(vmx_get(&vcpu, VREG_COUNT), 0);
}

static void check_long_mode(bool on)
{
	CHECK_EQ(vmx_get(&vcpu, VREG_EFER) & EFER_LMA, on ? EFER_LMA : 0);
	CHECK_EQ(x.soft[SLOT_ENTRY_CONTROLS], on ? 0x11fb | ENTRY_IA32E : 0x11fb);
}

static void long_mode(void)
{
	start();
	vmx_set(&vcpu, VREG_CR4, CR4_PAE);
	vmx_set(&vcpu, VREG_EFER, EFER_LME | EFER_LMA);
	check_long_mode(false);
	vmx_set(&vcpu, VREG_CR0, CR0_PG | CR0_PE);
	check_long_mode(true);
	vmx_set(&vcpu, VREG_EFER, EFER_LME | EFER_SCE);
	check_long_mode(true);
	vmx_set(&vcpu, VREG_CR0, CR0_PE);
	check_long_mode(false);
	vmx_set(&vcpu, VREG_CR0, CR0_PG | CR0_PE);
	vmx_set(&vcpu, VREG_EFER, 0);
	check_long_mode(false);
	/* SVME and whatever else a CPU may refuse at the entry. */
	vmx_set(&vcpu, VREG_EFER, ~0ull);
	CHECK_EQ(vmx_get(&vcpu, VREG_EFER), EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
}

static void owned_bits(void)
{
	start();
	vmx_set(&vcpu, VREG_CR0, CR0_CD | CR0_NW | CR0_PE);
	CHECK_EQ(vmx_get(&vcpu, VREG_CR0), CR0_CD | CR0_NW | CR0_PE);
	CHECK_EQ(x.soft[SLOT_CR0], CR0_NE | CR0_PE);
	vmx_set(&vcpu, VREG_CR4, CR4_PAE);
	CHECK_EQ(vmx_get(&vcpu, VREG_CR4), CR4_PAE);
	CHECK_EQ(x.soft[SLOT_CR4], CR4_PAE | CR4_VMXE | CR4_MCE);
	/* The guest changed bits of its own meanwhile. */
	x.soft[SLOT_CR0] |= CR0_TS;
	x.soft[SLOT_CR4] |= CR4_PSE;
	CHECK_EQ(vmx_get(&vcpu, VREG_CR0), CR0_CD | CR0_NW | CR0_PE | CR0_TS);
	CHECK_EQ(vmx_get(&vcpu, VREG_CR4), CR4_PAE | CR4_PSE);
	/* Nothing that the CPU lacks reaches it. */
	vmx_set(&vcpu, VREG_CR4, ~0ull);
	CHECK_EQ(x.soft[SLOT_CR4], x.caps.cr4_fixed1);
	vmx_set(&vcpu, VREG_CR0, ~0ull);
	CHECK_EQ(x.soft[SLOT_CR0], 0xffffffff & ~(CR0_CD | CR0_NW));
}

static void entry_checks(void)
{
	start();
	vmx_set(&vcpu, VREG_RFLAGS, ~0ull);
	CHECK_EQ(vmx_get(&vcpu, VREG_RFLAGS), 0x3f7fd7);
	vmx_set(&vcpu, VREG_DR7, 0xffffffffffffffff);
	CHECK_EQ(vmx_get(&vcpu, VREG_DR7), 0xffff27ff);
}

static uint32_t rights(enum vcpu_seg seg, uint32_t attributes, uint32_t limit)
{
	struct vcpu_segment s = {0x10, attributes, limit, 0}, r;

	vmx_set_seg(&vcpu, seg, &s);
	vmx_get_seg(&vcpu, seg, &r);
	CHECK_EQ(r.selector, 0x10);
	CHECK_EQ(r.limit, limit);
	return r.attributes;
}

/* SDM vol. 3C "Checks on Guest Segment Registers". */
static void segments(void)
{
	struct vcpu_segment gdt = {.limit = 0x1ffff, .base = 0xabc000}, r;

	start();
	CHECK_EQ(rights(VSEG_DS, SEG_P | SEG_S | 2, 0xffff), SEG_P | SEG_S | 3);
	CHECK_EQ(rights(VSEG_TR, SEG_P | 9, 0x67), SEG_P | 11);
	CHECK_EQ(rights(VSEG_LDTR, SEG_P | 2, 0x67), SEG_P | 2);
	CHECK_EQ(rights(VSEG_CS, SEG_P | SEG_S | 11, 0xffffffff), SEG_P | SEG_S | SEG_G | 11);
	CHECK_EQ(rights(VSEG_CS, SEG_P | SEG_S | SEG_G | 11, 0xffff0), SEG_P | SEG_S | 11);
	CHECK_EQ(rights(VSEG_CS, SEG_P | SEG_S | SEG_G | 11, 0xffff), SEG_P | SEG_S | SEG_G | 11);
	CHECK_EQ(rights(VSEG_ES, SEG_UNUSABLE | 0xfe00000, 0), SEG_UNUSABLE);
	vmx_set_seg(&vcpu, VSEG_GDTR, &gdt);
	vmx_get_seg(&vcpu, VSEG_GDTR, &r);
	CHECK_EQ(r.base, 0xabc000);
	CHECK_EQ(r.limit, 0xffff);
	CHECK_EQ(r.attributes, 0);
	x.soft[SLOT_SEGMENTS + 4 * VSEG_SS + 2] = 0xf3;
	CHECK_EQ(vmx_get(&vcpu, VREG_CPL), 3);
}

/* By hand, a control register changes what is cached of the guest's own tables. */
static void tlb(void)
{
	static const enum vcpu_reg regs[] = {VREG_CR0, VREG_CR3, VREG_CR4, VREG_EFER};

	start();
	for (unsigned i = 0; i < array_size(regs); i++)
		vmx_set(&vcpu, regs[i], 0);
	CHECK_EQ(fake_vmx.invvpids, 0);
	fake_vmx_make_live(&x);
	for (unsigned i = 0; i < array_size(regs); i++)
		vmx_set(&vcpu, regs[i], 0);
	CHECK_EQ(fake_vmx.invvpids, 0);
	x.controls.proc2 = PROC2_VPID;
	for (unsigned i = 0; i < array_size(regs); i++) {
		vmx_set(&vcpu, regs[i], 0);
		CHECK_EQ(fake_vmx.invvpids, i + 1);
	}
	CHECK_EQ(fake_vmx.misuse, 0);
}

static void shadow(void)
{
	start();
	fake_vmx_make_live(&x);
	x.entry.interruptibility = BLOCKING_MOV_SS | BLOCKING_NMI;
	CHECK_EQ(vmx_get(&vcpu, VREG_INTR_SHADOW), 1);
	vmx_resume_at(&vcpu, 0x7777);
	CHECK_EQ(vmx_get(&vcpu, VREG_RIP), 0x7777);
	CHECK_EQ(vmx_get(&vcpu, VREG_INTR_SHADOW), 0);
	CHECK_EQ(fake_vmx.field[VMCS_GUEST_INTERRUPTIBILITY], BLOCKING_NMI);
	/* The usual case costs no write. */
	CHECK_EQ(fake_vmx.writes[VMCS_GUEST_INTERRUPTIBILITY], 1);
	vmx_resume_at(&vcpu, 0x7779);
	CHECK_EQ(fake_vmx.writes[VMCS_GUEST_INTERRUPTIBILITY], 1);
}

int main(void)
{
	RUN(power_on);
	RUN(both_homes);
	RUN(every_register);
	RUN(long_mode);
	RUN(owned_bits);
	RUN(entry_checks);
	RUN(segments);
	RUN(tlb);
	RUN(shadow);
	return TEST_RESULT();
}
