/* Probe, enable and disable: the processor afterwards is the one from before, on each way out. */
#include "base/error.h"
#include "fakes/fake_cpu.h"
#include "fakes/fake_hw.h"
#include "fakes/fake_vmx.h"
#include "test.h"
#include "vmx/vmx.h"

#define FEATURE_LOCKED_OFF 1u
#define FEATURE_ON	   5u
#define FEATURE_SGX	   (1u << 18)

static uint8_t memory[32 * PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t resident[PAGE_SIZE] __attribute__((aligned(4096)));
static uint64_t gdt[512], idt[512];
static struct arena arena;
static struct vcpu vcpu;
static bool has_vmx;

static struct cpuid_regs cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs r = {0};

	(void)subleaf;
	if (leaf == 1) {
		r.eax = 0x50654;
		r.ecx = has_vmx ? 1u << 5 : 0;
	}
	return r;
}

/* A machine as a firmware without task register leaves it, all registers different. */
static void machine(void)
{
	fake_cpu_reset();
	fake_vmx_reset();
	fake_vmx_good_caps();
	fake_hw.cpuid = cpuid;
	has_vmx = true;
	for (unsigned i = 0; i < VMX_MSRS; i++)
		fake_cpu_set_msr(vmx_msr_index[i], 0x4000 + i);
	fake_cpu_set_msr(MSR_FEATURE_CONTROL, FEATURE_ON);
	for (unsigned i = 0; i < 512; i++) {
		gdt[i] = i * 0x0101010101;
		idt[i] = i * 0x0202020202;
	}
	fake_cpu.gdt = (struct hw_table){8 * 8 - 1, (uintptr_t)gdt};
	fake_cpu.idt = (struct hw_table){0xfff, (uintptr_t)idt};
	vmx_set_resident_page(resident);
	arena_init(&arena, memory, hpa((uintptr_t)memory), sizeof(memory));
	vcpu = (struct vcpu){.ops = &vmx_ops};
}

static void init(void)
{
	CHECK_EQ(fpu_init(&vcpu.fpu, &arena), 0);
	CHECK_EQ(vmx_ops.init(&vcpu, &arena, hpa(0x1000)), 0);
}

static struct vmx *state(void)
{
	return vcpu.backend;
}

static bool is_like(const struct fake_cpu *before)
{
	struct fake_cpu after = fake_cpu;

	/* Locked for good, and that's no secret. */
	CHECK_EQ(fake_cpu_msr(MSR_FEATURE_CONTROL) & FEATURE_ON, FEATURE_ON);
	for (unsigned i = 0; i < after.msr_count; i++)
		if (after.msr[i].index == MSR_FEATURE_CONTROL)
			after.msr[i].value = before->msr[i].value;
	return !memcmp(&after, before, sizeof(after)) && !fake_vmx.on && !fake_vmx.misuse;
}

static int probe(void)
{
	const char *why = NULL;
	int err = vmx_ops.probe(&why);

	CHECK_EQ(!err, !why);
	return err;
}

static void probing(void)
{
	machine();
	CHECK_EQ(probe(), 0);
	fake_cpu_set_msr(MSR_FEATURE_CONTROL, 0);
	CHECK_EQ(probe(), 0);
	CHECK_EQ(fake_cpu_msr(MSR_FEATURE_CONTROL), 0);
	fake_cpu_set_msr(MSR_FEATURE_CONTROL, FEATURE_LOCKED_OFF);
	CHECK_EQ(probe(), -E_LOCKED);
	fake_cpu_set_msr(MSR_FEATURE_CONTROL, FEATURE_ON);
	fake_cpu.cr[4] |= CR4_VMXE;
	CHECK_EQ(probe(), -E_NOTSUP);
	fake_cpu.cr[4] = CR4_PAE | 1u << 23;
	CHECK_EQ(probe(), -E_NOTSUP);
	fake_cpu.cr[4] = CR4_PAE;
	fake_cpu_set_msr(MSR_VMX_PROC2, 0);
	CHECK_EQ(probe(), -E_NOTSUP);
	fake_vmx_good_caps();
	fake_cpu_set_msr(MSR_VMX_BASIC, 0);
	CHECK_EQ(probe(), -E_NOTSUP);
	has_vmx = false;
	CHECK_EQ(probe(), -E_NOTSUP);
}

static bool bitmap_allows(const uint8_t *bitmap, uint32_t msr)
{
	unsigned at = (msr & 0x1fff) / 8 + (msr >= 0xc0000000 ? 1024 : 0);
	uint8_t bit = (uint8_t)(1u << (msr & 7));

	CHECK_EQ(!(bitmap[at] & bit), !(bitmap[at + 2048] & bit));
	return !(bitmap[at] & bit);
}

/* Only what changes owner is direct: in SDM vol. 3C "MSR-Bitmap Address" 1 means an exit. */
static void initial(void)
{
	const uint8_t *bitmap;
	unsigned direct = 0;

	machine();
	init();
	bitmap = (const uint8_t *)(uintptr_t)state()->msr_bitmap.v;
	for (uint32_t i = 0; i < 0x2000; i++)
		direct += bitmap_allows(bitmap, i) + bitmap_allows(bitmap, 0xc0000000 + i);
	CHECK_EQ(direct, 10);
	CHECK(bitmap_allows(bitmap, MSR_LSTAR));
	CHECK(bitmap_allows(bitmap, MSR_SYSENTER_EIP));
	CHECK(!bitmap_allows(bitmap, MSR_EFER));
	CHECK(!bitmap_allows(bitmap, MSR_PAT));
	CHECK(!bitmap_allows(bitmap, MSR_DEBUGCTL));
	CHECK(!bitmap_allows(bitmap, MSR_FEATURE_CONTROL));
	CHECK_EQ(*(uint32_t *)(uintptr_t)state()->vmcs.v, 0x12);
	CHECK_EQ(vcpu.gpr[GPR_RDX], 0x50654);
	CHECK_EQ(fake_vmx.misuse, 0);
}

static void no_room(void)
{
	machine();
	for (size_t pages = 0; pages < 5; pages++) {
		arena_init(&arena, memory, hpa((uintptr_t)memory), pages * PAGE_SIZE);
		CHECK_EQ(vmx_ops.init(&vcpu, &arena, hpa(0x1000)), -E_NOMEM);
		CHECK(!vcpu.backend);
	}
	arena_init(&arena, memory, hpa((uintptr_t)memory), sizeof(memory));
	fake_cpu_set_msr(MSR_VMX_TRUE_PIN, 0);
	CHECK_EQ(vmx_ops.init(&vcpu, &arena, hpa(0x1000)), -E_NOTSUP);
	CHECK(!vcpu.backend);
}

static void enabled(void)
{
	struct fake_cpu before;
	const uint64_t *d;

	machine();
	init();
	before = fake_cpu;
	CHECK_EQ(vmx_ops.enable(&vcpu), 0);
	CHECK(fake_vmx.on && fake_vmx.loaded);
	CHECK_EQ(fake_vmx.invepts, 1);
	CHECK_EQ(fake_vmx.invvpids, 1);
	CHECK(!(fake_cpu.cr[0] & CR0_TS));
	CHECK_EQ(fake_vmx.field[VMCS_HOST_CR4], fake_cpu.cr[4]);
	CHECK_EQ(fake_vmx.field[VMCS_HOST_CS], 0x38);
	CHECK_EQ(fake_vmx.field[VMCS_EPTP], 0x1000 | 6 | 3 << 3);
	/* A copy of the GDT, and behind it a TSS, in the page that stays. */
	CHECK_EQ(fake_vmx.field[VMCS_HOST_GDTR_BASE], (uintptr_t)resident);
	CHECK_EQ(fake_vmx.field[VMCS_HOST_TR], 0x40);
	CHECK_EQ(fake_vmx.selectors.tr, 0x40);
	CHECK(!memcmp(resident, gdt, 64));
	d = (const uint64_t *)(const void *)(resident + 0x40);
	CHECK_EQ(d[0] & 0xffff, 103);
	CHECK_EQ((d[0] >> 40) & 0xff, 0x89);
	CHECK_EQ((d[0] >> 16 & 0xffffff) | (d[0] >> 56) << 24 | d[1] << 32,
		fake_vmx.field[VMCS_HOST_TR_BASE]);
	CHECK_EQ(fake_vmx.field[VMCS_HOST_TR_BASE], (uintptr_t)resident + 4096 - 128);
	/* The exit path's own IDT: the firmware's with another NMI gate. */
	CHECK_EQ(fake_cpu.idt.base, (uintptr_t)state()->idt);
	CHECK(!memcmp(state()->idt, idt, 32));
	CHECK(memcmp(&state()->idt[2], &idt[4], 16));
	CHECK(!memcmp(&state()->idt[3], &idt[6], 4096 - 48));
	vmx_ops.disable(&vcpu);
	CHECK(is_like(&before));
	vmx_ops.disable(&vcpu);
	CHECK(is_like(&before));
}

/* What the guest and the exits leave behind. */
static void spoil(void)
{
	for (unsigned i = 0; i < VMX_SWAPPED; i++)
		fake_cpu_set_msr(vmx_msr_index[i], 0x9000 + i);
	fake_cpu.gdt.limit = fake_cpu.idt.limit = 0xffff;
	fake_cpu.cr[2] = 0x9999;
	for (unsigned i = 0; i < 4; i++)
		fake_cpu.dr[i] = 0x9900 + i;
	fake_cpu.dr[6] = 0x9966;
	fake_cpu.dr[7] = 0x400;
	fake_cpu_set_msr(MSR_DEBUGCTL, 0);
}

static struct fake_cpu in_window;

static void look(void)
{
	in_window = fake_cpu;
}

static void windows(void)
{
	struct fake_cpu before;

	machine();
	init();
	before = fake_cpu;
	CHECK_EQ(vmx_ops.enable(&vcpu), 0);
	spoil();
	fake_hw.window = look;
	vcpu_window(&vcpu, false);
	CHECK_EQ(fake_hw.windows, 1);
	CHECK_EQ(fake_hw.waits, 0);
	/* The firmware's own but for CR0 and CR4, which VMX fixes. */
	CHECK_EQ(in_window.gdt.limit, before.gdt.limit);
	CHECK_EQ(in_window.gdt.base, before.gdt.base);
	CHECK_EQ(in_window.idt.limit, before.idt.limit);
	CHECK_EQ(in_window.idt.base, before.idt.base);
	CHECK(!memcmp(in_window.dr, before.dr, sizeof(before.dr)));
	CHECK(!memcmp(in_window.msr, before.msr, sizeof(before.msr)));
	CHECK_EQ(in_window.cr[2], before.cr[2]);
	/* And the guest's again. */
	CHECK_EQ(fake_cpu.cr[2], 0x9999);
	CHECK_EQ(fake_cpu.dr[3], 0x9903);
	CHECK_EQ(fake_cpu.dr[6], 0x9966);
	CHECK_EQ(fake_cpu.dr[7], 0x400);
	CHECK_EQ(fake_cpu_msr(MSR_STAR), 0x9000 + VMX_STAR);
	CHECK_EQ(fake_cpu_msr(MSR_KERNEL_GS_BASE), 0x9000 + VMX_KERNEL_GS);
	CHECK_EQ(fake_cpu.idt.base, (uintptr_t)state()->idt);
	vcpu_window(&vcpu, true);
	CHECK_EQ(fake_hw.waits, 1);
	fake_hw.window = NULL;
	vmx_ops.disable(&vcpu);
	CHECK(is_like(&before));
	/* The guest's registers outlive it. */
	CHECK_EQ(vmx_ops.get(&vcpu, VREG_STAR), 0x9000 + VMX_STAR);
	CHECK_EQ(vmx_ops.get(&vcpu, VREG_CR2), 0x9999);
	CHECK_EQ(fake_vmx.misuse, 0);
}

static void note_call(void *arg)
{
	*(bool *)arg = fake_hw.irq_enabled;
	look();
}

/* A call has the firmware's world around it, and interrupts. */
static void calls(void)
{
	struct fake_cpu before;
	bool interrupts = false;

	machine();
	init();
	before = fake_cpu;
	CHECK_EQ(vmx_ops.enable(&vcpu), 0);
	spoil();
	vcpu_call_firmware(&vcpu, note_call, &interrupts);
	CHECK(interrupts && !fake_hw.irq_enabled);
	CHECK_EQ(in_window.idt.base, before.idt.base);
	CHECK(!memcmp(in_window.msr, before.msr, sizeof(before.msr)));
	CHECK_EQ(fake_cpu.idt.base, (uintptr_t)state()->idt);
	vmx_ops.disable(&vcpu);
	CHECK(is_like(&before));
}

static void nmis(void)
{
	machine();
	init();
	CHECK_EQ(vmx_ops.enable(&vcpu), 0);
	vcpu_window(&vcpu, false);
	CHECK_EQ(fake_vmx.nmis, 0);
	vmx_nmi_seen = 1;
	state()->nmi_pending = true;
	vcpu_window(&vcpu, false);
	CHECK_EQ(fake_vmx.nmis, 1);
	vcpu_window(&vcpu, false);
	CHECK_EQ(fake_vmx.nmis, 1);
	state()->nmi_pending = true;
	vcpu_window(&vcpu, true);
	CHECK_EQ(fake_vmx.nmis, 2);
	vmx_ops.disable(&vcpu);
}

static void check_failed_enable(int expected)
{
	struct fake_cpu before = fake_cpu;

	CHECK_EQ(vmx_ops.enable(&vcpu), expected);
	vmx_ops.disable(&vcpu);
	CHECK(is_like(&before));
}

static void unwinding(void)
{
	struct fake_cpu before;

	machine();
	init();
	fake_vmx.fail_on = true;
	check_failed_enable(-E_ENTRY);
	fake_vmx.fail_on = false;
	fake_vmx.fail_clear = true;
	check_failed_enable(-E_ENTRY);
	fake_vmx.fail_clear = false;
	fake_vmx.fail_load = true;
	check_failed_enable(-E_ENTRY);
	fake_vmx.fail_load = false;
	vmx_set_resident_page(NULL);
	fake_vmx.selectors.tr = 0;
	check_failed_enable(-E_NOTSUP);
	vmx_set_resident_page(resident);
	fake_cpu.gdt.limit = 0xfff;
	check_failed_enable(-E_NOTSUP);
	fake_cpu.gdt.limit = 63;
	check_failed_enable(0);
	before = fake_cpu;
	fake_cpu_set_msr(MSR_FEATURE_CONTROL, FEATURE_LOCKED_OFF);
	CHECK_EQ(vmx_ops.enable(&vcpu), -E_LOCKED);
	vmx_ops.disable(&vcpu);
	CHECK_EQ(fake_cpu.cr[4], before.cr[4]);
	CHECK(!fake_vmx.on);
}

static void feature_control(void)
{
	machine();
	init();
	fake_cpu_set_msr(MSR_FEATURE_CONTROL, FEATURE_SGX);
	CHECK_EQ(vmx_ops.enable(&vcpu), 0);
	CHECK_EQ(fake_cpu_msr(MSR_FEATURE_CONTROL), FEATURE_SGX | FEATURE_ON);
	vmx_ops.disable(&vcpu);
}

/* A task register of the firmware's is used, if its own table describes it. */
static void task_register(void)
{
	machine();
	init();
	gdt[6] = 0x12008b3456780067;
	gdt[7] = 0x1;
	fake_vmx.selectors.tr = 0x30;
	CHECK_EQ(vmx_ops.enable(&vcpu), 0);
	CHECK_EQ(fake_vmx.field[VMCS_HOST_TR], 0x30);
	CHECK_EQ(fake_vmx.field[VMCS_HOST_TR_BASE], 0x112345678);
	CHECK_EQ(fake_vmx.field[VMCS_HOST_GDTR_BASE], (uintptr_t)gdt);
	CHECK_EQ(fake_vmx.selectors.tr, 0x30);
	vmx_ops.disable(&vcpu);
	/* Not a busy TSS; its upper half beyond the limit; in no table: left by an earlier guest. */
	gdt[6] = 0x1200893456780067;
	CHECK_EQ(vmx_ops.enable(&vcpu), 0);
	CHECK_EQ(fake_vmx.field[VMCS_HOST_TR], 0x40);
	vmx_ops.disable(&vcpu);
	gdt[6] = 0x12008b3456780067;
	fake_cpu.gdt.limit = 0x37;
	fake_vmx.selectors.tr = 0x30;
	CHECK_EQ(vmx_ops.enable(&vcpu), 0);
	CHECK_EQ(fake_vmx.field[VMCS_HOST_TR], 0x38);
	vmx_ops.disable(&vcpu);
	CHECK_EQ(fake_vmx.selectors.tr, 0x38);
	CHECK_EQ(vmx_ops.enable(&vcpu), 0);
	CHECK_EQ(fake_vmx.field[VMCS_HOST_TR], 0x38);
	vmx_ops.disable(&vcpu);
	CHECK_EQ(fake_vmx.misuse, 0);
}

/* The guest goes on where it was after disable and enable. */
static void twice(void)
{
	machine();
	init();
	CHECK_EQ(vmx_ops.enable(&vcpu), 0);
	vmx_ops.set(&vcpu, VREG_CR3, 0x7000);
	vmx_ops.resume_at(&vcpu, 0x7777);
	state()->entry.host_rsp = 0x1234;
	state()->entry.launched = 1;
	state()->window_armed = true;
	vmx_ops.disable(&vcpu);
	memset(fake_vmx.field, 0, sizeof(fake_vmx.field));
	CHECK_EQ(vmx_ops.enable(&vcpu), 0);
	CHECK_EQ(vmx_ops.get(&vcpu, VREG_CR3), 0x7000);
	CHECK_EQ(vmx_ops.get(&vcpu, VREG_RIP), 0x7777);
	CHECK_EQ(state()->entry.host_rsp, 0);
	CHECK_EQ(state()->entry.launched, 0);
	CHECK(!state()->window_armed);
	vmx_ops.disable(&vcpu);
	vmx_ops.flush(&vcpu);
	CHECK_EQ(fake_vmx.misuse, 0);
}

int main(void)
{
	RUN(probing);
	RUN(initial);
	RUN(no_room);
	RUN(enabled);
	RUN(windows);
	RUN(calls);
	RUN(nmis);
	RUN(unwinding);
	RUN(feature_control);
	RUN(task_register);
	RUN(twice);
	return TEST_RESULT();
}
