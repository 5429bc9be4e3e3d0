/* More cases of the back-end test: processor modes, owned control bits, NMIs of the host. */
#include "base/log.h"
#include "base/mem.h"
#include "bench.h"
#include "hw/cpu.h"
#include "hw/mmio.h"

#define CR0_KEPT    (CR0_PG | CR0_WP | CR0_ET | CR0_PE)
#define CR4_MCE	    0x40ull
#define PTE_PRESENT 1u
#define PTE_WRITE   2u
#define PTE_LARGE   0x80u
#define PDPTES	    (GUEST_DATA + 0x100)
#define PAE_MARK    (GUEST_DATA + 0x200)
#define PAE_PD	    (GUEST_DATA + 0x1000)
#define LAPIC_ID    0xfee00020u
#define LAPIC_ICR   0xfee00300u
#define LAPIC_ICR2  0xfee00310u
#define ICR_NMI	    0x4400u /* NMI, assert, physical destination */
#define NMI_VECTOR  2u

static void write_gdt(struct bench *b)
{
	static const uint64_t gdt[] = {
		0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00009b000000ffff};

	for (unsigned i = 0; i < array_size(gdt); i++)
		bench_poke(b, GUEST_DATA + i * 8, 8, gdt[i]);
}

static bool mode_reached(struct bench *b, unsigned mode)
{
	const uint64_t long_mode = mode >= 2 && mode <= 4 ? EFER_LMA : 0;
	struct vcpu *v = &b->vm.vcpu;
	struct vmexit e;

	if (!bench_step(b, VMEXIT_CPUID, RIP_ANY, 2, &e))
		return false;
	bench_check_eq(b, v->gpr[GPR_RAX], mode, "mode");
	bench_check_eq(b, vcpu_get(v, VREG_EFER) & EFER_LMA, long_mode, "EFER.LMA");
	return !b->failed;
}

/* Long mode is switched on and off by the guest's MOV to CR0, without an exit. */
static void modes(struct bench *b)
{
	struct vcpu *v = &b->vm.vcpu;
	struct vmexit e;

	bench_start_real(b, code_modes());
	write_gdt(b);
	if (!mode_reached(b, 1) || !bench_step(b, VMEXIT_MSR, RIP_ANY, 2, &e))
		return;
	vcpu_set(v, VREG_EFER, EFER_LME);
	for (unsigned mode = 2; mode <= 6; mode++)
		if (!mode_reached(b, mode))
			return;
	bench_expect(b, VMEXIT_HLT, RIP_ANY, 1, &e);
	bench_check_eq(b, vcpu_get(v, VREG_EFER), EFER_LME, "EFER");
}

static void pae(struct bench *b)
{
	struct vcpu *v = &b->vm.vcpu;
	struct vmexit e;

	bench_start_real(b, code_pae());
	write_gdt(b);
	bench_poke(b, PDPTES, 8, PAE_PD | PTE_PRESENT);
	bench_poke(b, PDPTES + 8, 8, PAE_PD | PTE_PRESENT);
	bench_poke(b, PAE_PD, 8, PTE_PRESENT | PTE_WRITE | PTE_LARGE);
	bench_poke(b, PAE_MARK, 4, 0x600df00d);
	if (!bench_step(b, VMEXIT_CPUID, RIP_ANY, 2, &e))
		return;
	bench_check_eq(b, v->gpr[GPR_RBX], 0x600df00d, "RBX");
	/* The directory pointers stay in the processor over windows too. */
	vcpu_window(v, false);
	bench_expect(b, VMEXIT_HLT, RIP_ANY, 1, &e);
}

static void owned(struct bench *b)
{
	struct vcpu *v = &b->vm.vcpu;

	bench_start_long(b, code_owned());
	if (!bench_expect_end(b))
		return;
	bench_check_eq(b, v->gpr[GPR_RBX], CR0_KEPT, "CR0 at first");
	bench_check_eq(b, v->gpr[GPR_RSI], CR0_KEPT | CR0_NE, "CR0 with NE");
	bench_check_eq(b, v->gpr[GPR_RDI], CR4_PAE | CR4_MCE, "CR4 with MCE");
	bench_check_eq(b, v->gpr[GPR_R8], CR0_KEPT | CR0_CD, "CR0 with CD");
	bench_check_eq(b, v->gpr[GPR_R9], CR0_KEPT, "CR0 at last");
	bench_check(b, !(hw_read_cr(0) & CR0_CD), "the host's caches are off");
}

volatile uint32_t bench_nmi_count;

/* An NMI outside the guest waits for the firmware's window, and comes once. */
static void nmi_of_host(struct bench *b)
{
	struct vcpu *v = &b->vm.vcpu;
	struct vmexit e;

	bench_start_long(b, code_events());
	bench_nmi_count = 0;
	hw_mmio_write(hpa(LAPIC_ICR2), 4, hw_mmio_read(hpa(LAPIC_ID), 4));
	hw_mmio_write(hpa(LAPIC_ICR), 4, ICR_NMI);
	if (!bench_step(b, VMEXIT_CPUID, GUEST_CODE, 2, &e))
		return;
	if (!b->windows)
		bench_check_eq(b, bench_nmi_count, 0, "NMIs outside a window");
	vcpu_window(v, false);
	bench_check_eq(b, bench_nmi_count, 1, "NMIs after a window");
	vcpu_window(v, false);
	bench_check_eq(b, bench_nmi_count, 1, "NMIs after another window");
}

/* With a handler of ours in the firmware's table, which outlives the case's enable. */
static void nmi(struct bench *b)
{
	uint64_t handler = (uintptr_t)bench_nmi_handler, saved[2];
	uint8_t *gate;

	b->ops->disable(&b->vm.vcpu);
	gate = (uint8_t *)(uintptr_t)hw_read_idt().base + NMI_VECTOR * sizeof(saved);
	memcpy(saved, gate, sizeof(saved));
	memcpy(gate, &handler, 2);
	memcpy(gate + 6, (uint8_t *)&handler + 2, 6);
	if (b->ops->enable(&b->vm.vcpu))
		bench_fail(b, "a second enable fails");
	else
		nmi_of_host(b);
	b->ops->disable(&b->vm.vcpu);
	memcpy(gate, saved, sizeof(saved));
}

static void print_cost(struct bench *b, const char *what)
{
	const uint64_t *gpr = b->vm.vcpu.gpr;

	log_line("cost %s: cpuid %lu out %lu ticks", what, gpr[GPR_R12] - gpr[GPR_R13],
		gpr[GPR_R14] - gpr[GPR_R13]);
}

static bool none_pending(void *chip)
{
	(void)chip;
	return false;
}

static void skip(struct vm *vm, const struct vmexit *e)
{
	vcpu_skip(&vm->vcpu, e);
}

static void stop(struct vm *vm, const struct vmexit *e)
{
	(void)e;
	vm_request_stop(vm, STOP_POWEROFF);
}

/*
 * From exit to entry, by the guest's TSC: with nothing in between, and by the run loop of core.
 * Bochs with its clock unsynchronized counts instructions there.
 */
static void cost(struct bench *b)
{
	static const struct irqchip_ops idle = {.pending = none_pending};
	struct vcpu *v = &b->vm.vcpu;
	struct vmexit e;

	bench_start_long(b, code_cost());
	for (;;) {
		if (v->ops->run(v, &e)) {
			bench_fail(b, "the processor refused the guest");
			return;
		}
		if (e.kind == VMEXIT_HLT)
			break;
		if (e.kind == VMEXIT_INTR)
			vcpu_window(v, false);
		else
			v->ops->resume_at(v, e.rip + 2);
	}
	print_cost(b, "empty");
	bench_start_long(b, code_cost());
	vm_init(&b->vm);
	b->vm.irqchip = &idle;
	b->vm.handler[VMEXIT_PIO] = skip;
	b->vm.handler[VMEXIT_HLT] = stop;
	b->vm.stop.reason = STOP_NONE;
	vm_run(&b->vm);
	print_cost(b, "core");
	bench_check_eq(b, b->vm.stop.reason, STOP_POWEROFF, "end");
}

const struct bench_case bench_mode_cases[] = {
	{"modes", modes},
	{"pae", pae},
	{"owned-bits", owned},
	{"nmi-of-host", nmi},
	{"cost", cost},
};
const unsigned bench_mode_case_count = array_size(bench_mode_cases);
