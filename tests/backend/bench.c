/* The bench of the back-end test: one small VM, and the words in which the cases are written. */
#include "bench.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/cpuid.h"
#include "core/cr.h"
#include "core/msr.h"
#include "hw/cpu.h"

/* Far more host interrupts than a case can see: a guest that never exits ends here. */
#define WINDOWS_MAX 1000u

#define ALIAS_PD    (GUEST_GATES + 0x1000u)
#define PTE_PRESENT 1u
#define PTE_WRITE   2u
#define PTE_LARGE   0x80u
#define PTE_RW	    (PTE_PRESENT | PTE_WRITE)

void bench_fail(struct bench *b, const char *why)
{
	if (!b->failed)
		log_line("FAIL %s: %s", b->name, why);
	b->failed = true;
}

void bench_skip(struct bench *b, const char *why)
{
	log_line("SKIP %s: %s", b->name, why);
	b->skipped = true;
}

void bench_check(struct bench *b, bool ok, const char *what)
{
	if (!ok)
		bench_fail(b, what);
}

void bench_check_eq(struct bench *b, uint64_t got, uint64_t expected, const char *what)
{
	if (got == expected)
		return;
	log_line("  %s is %llx, expected %llx", what, (unsigned long long)got,
		(unsigned long long)expected);
	bench_fail(b, what);
}

uint64_t bench_peek(struct bench *b, uint32_t at, unsigned size)
{
	uint64_t v = 0;

	if (gmem_read(&b->vm.gmem, gpa(at), &v, size))
		bench_fail(b, "guest memory can't be read");
	return v;
}

void bench_poke(struct bench *b, uint32_t at, unsigned size, uint64_t value)
{
	if (gmem_write(&b->vm.gmem, gpa(at), &value, size))
		bench_fail(b, "guest memory can't be written");
}

/* Identity for the first GiB, the alias in the second, a directory that isn't there in the third. */
static void write_page_tables(struct bench *b)
{
	uint32_t pdpt = GUEST_PML4 + 0x1000, pd = pdpt + 0x1000;

	bench_poke(b, GUEST_PML4, 8, pdpt | PTE_RW);
	bench_poke(b, pdpt, 8, pd | PTE_RW);
	bench_poke(b, pdpt + 8, 8, ALIAS_PD | PTE_RW);
	bench_poke(b, ALIAS_PD, 8, GUEST_ABSENT | PTE_RW | PTE_LARGE);
	bench_poke(b, pdpt + 16, 8, (GUEST_ABSENT + 0x2000) | PTE_RW);
	for (unsigned i = 0; i < 512; i++)
		bench_poke(b, pd + i * 8, 8, (uint64_t)i * LARGE_SIZE | PTE_RW | PTE_LARGE);
}

static void write_tables(struct bench *b)
{
	static const uint64_t gdt[] = {0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff};

	write_page_tables(b);
	for (unsigned i = 0; i < array_size(gdt); i++)
		bench_poke(b, GUEST_GDT + i * 8, 8, gdt[i]);
	for (unsigned i = 0; i < 64; i++) {
		uint64_t handler = GUEST_GATES + i * 16;

		bench_poke(b, GUEST_IDT + i * 16, 8,
			(handler & 0xffff) | 0x10ull << 16 | 0x8e00ull << 32);
		bench_poke(b, GUEST_IDT + i * 16 + 8, 8, 0);
	}
}

static void load_code(struct bench *b, uint32_t at, struct guest_code code)
{
	if (gmem_write(&b->vm.gmem, gpa(at), code.start, (size_t)(code.end - code.start)))
		bench_fail(b, "no room for the guest's code");
}

static void clear_vcpu(struct bench *b, struct guest_code code)
{
	struct vcpu *v = &b->vm.vcpu;

	if (gmem_fill(&b->vm.gmem, gpa(0), 0, GUEST_READONLY))
		bench_fail(b, "guest memory can't be cleared");
	write_tables(b);
	load_code(b, GUEST_GATES, code_gates());
	load_code(b, GUEST_CODE, code);
	b->end = GUEST_CODE + (uint64_t)(code.end - code.start);
	memset(v->gpr, 0, sizeof(v->gpr));
	v->event = (struct vcpu_event){0};
	v->want_window = false;
	v->deadline = ~0ull;
	vcpu_set(v, VREG_DR7, 0x400);
	vcpu_set(v, VREG_INTR_SHADOW, 0);
}

static void set_real_segment(struct vcpu *v, enum vcpu_seg seg, uint32_t attributes)
{
	struct vcpu_segment s = {0, attributes, 0xffff, 0};

	v->ops->set_seg(v, seg, &s);
}

void bench_start_real(struct bench *b, struct guest_code code)
{
	struct vcpu *v = &b->vm.vcpu;

	clear_vcpu(b, code);
	vcpu_set(v, VREG_CR0, CR0_ET);
	vcpu_set(v, VREG_CR3, 0);
	vcpu_set(v, VREG_CR4, 0);
	vcpu_set(v, VREG_EFER, 0);
	for (unsigned seg = VSEG_ES; seg <= VSEG_GS; seg++)
		set_real_segment(v, (enum vcpu_seg)seg, SEG_P | SEG_S | (seg == VSEG_CS ? 11 : 3));
	set_real_segment(v, VSEG_LDTR, SEG_P | 2);
	set_real_segment(v, VSEG_TR, SEG_P | 11);
	set_real_segment(v, VSEG_GDTR, 0);
	set_real_segment(v, VSEG_IDTR, 0);
	vcpu_set(v, VREG_RSP, GUEST_STACK);
	vcpu_set(v, VREG_RFLAGS, RFLAGS_FIXED);
	v->ops->resume_at(v, GUEST_CODE);
}

void bench_start_long(struct bench *b, struct guest_code code)
{
	struct vcpu *v = &b->vm.vcpu;
	struct vcpu_segment idt = {.limit = 64 * 16 - 1, .base = GUEST_IDT};

	clear_vcpu(b, code);
	vcpu_start_long_mode(v, GUEST_CODE, GUEST_STACK, gpa(GUEST_PML4), gpa(GUEST_GDT), 31);
	v->ops->set_seg(v, VSEG_IDTR, &idt);
}

static void print_npf(const struct vmexit *e)
{
	const char *access = e->u.npf.fetch ? "fetch" : e->u.npf.write ? "write" : "read";

	/* A walk sets accessed bits on some CPUs and only reads on others. */
	log_line("exit npf rip=%llx gpa=%llx %s", (unsigned long long)e->rip,
		(unsigned long long)e->u.npf.gpa.v, e->u.npf.walk ? "walk" : access);
}

static void print_exit(const struct vmexit *e)
{
	const char *kind = vmexit_kind_name(e->kind);
	unsigned long long rip = e->rip;

	switch (e->kind) {
	case VMEXIT_PIO:
		log_line("exit pio rip=%llx %s port=%04x size=%u%s%s", rip,
			e->u.pio.in ? "in" : "out", e->u.pio.port, e->u.pio.size,
			e->u.pio.string ? " string" : "", e->u.pio.rep ? " rep" : "");
		break;
	case VMEXIT_NPF:
		print_npf(e);
		break;
	case VMEXIT_MSR:
		if (e->u.msr.write)
			log_line("exit msr rip=%llx write %x value=%llx", rip, e->u.msr.index,
				(unsigned long long)e->u.msr.value);
		else
			log_line("exit msr rip=%llx read %x", rip, e->u.msr.index);
		break;
	case VMEXIT_CR:
		log_line("trap cr rip=%llx %s cr%u gpr=%u", rip, e->u.cr.write ? "write" : "read",
			e->u.cr.cr, e->u.cr.gpr);
		break;
	case VMEXIT_XSETBV:
	case VMEXIT_UNDEFINED:
		log_line("trap %s rip=%llx", kind, rip);
		break;
	case VMEXIT_SHUTDOWN:
		log_line("exit %s", kind);
		break;
	default:
		log_line("exit %s rip=%llx", kind, rip);
		break;
	}
}

static void give_window(struct bench *b)
{
	vcpu_window(&b->vm.vcpu, false);
	b->windows++;
}

bool bench_next(struct bench *b, struct vmexit *ret)
{
	struct vcpu *v = &b->vm.vcpu;

	for (unsigned i = 0; i < WINDOWS_MAX && !b->failed; i++) {
		int err = v->ops->run(v, ret);

		if (ret->kind == VMEXIT_INTR || ret->kind == VMEXIT_NMI) {
			give_window(b);
			continue;
		}
		print_exit(ret);
		if (err) {
			log_line("  raw %llx %llx %llx", (unsigned long long)ret->raw_reason,
				(unsigned long long)ret->raw_info[0],
				(unsigned long long)ret->raw_info[1]);
			v->ops->dump(v);
			bench_fail(b, "the processor refused the guest");
		} else if (ret->kind == VMEXIT_CR) {
			cr_exit(&b->vm, ret);
		} else if (ret->kind == VMEXIT_XSETBV) {
			xsetbv_exit(&b->vm, ret);
		} else {
			return true;
		}
	}
	bench_fail(b, "the guest doesn't come to the exit");
	return false;
}

bool bench_expect(
	struct bench *b, enum vmexit_kind kind, uint64_t rip, unsigned len, struct vmexit *ret)
{
	if (!bench_next(b, ret))
		return false;
	if (ret->kind != kind) {
		log_line("  raw %llx %llx %llx", (unsigned long long)ret->raw_reason,
			(unsigned long long)ret->raw_info[0], (unsigned long long)ret->raw_info[1]);
		bench_fail(b, "an exit of another kind");
		return false;
	}
	if (rip != RIP_ANY)
		bench_check_eq(b, ret->rip, rip, "rip");
	bench_check_eq(b, vcpu_get(&b->vm.vcpu, VREG_RIP), ret->rip, "vcpu rip");
	if (ret->insn_len && len)
		bench_check_eq(b, ret->insn_len, len, "insn_len");
	return true;
}

bool bench_expect_end(struct bench *b)
{
	struct vmexit e;

	return bench_expect(b, VMEXIT_HLT, b->end - 1, 1, &e);
}

bool bench_step(
	struct bench *b, enum vmexit_kind kind, uint64_t rip, unsigned len, struct vmexit *ret)
{
	if (!bench_expect(b, kind, rip, len, ret))
		return false;
	b->ops->resume_at(&b->vm.vcpu, ret->rip + len);
	return true;
}

bool bench_expect_gate(struct bench *b, uint8_t vector, uint64_t rip, uint64_t error)
{
	const uint64_t *gpr = b->vm.vcpu.gpr;
	struct vmexit e;

	if (!bench_expect(b, VMEXIT_PIO, RIP_ANY, 2, &e))
		return false;
	bench_check_eq(b, e.u.pio.port, EVENT_PORT, "port of the gate");
	log_line("event vector=%llu error=%llx rip=%llx", (unsigned long long)gpr[GPR_RAX],
		(unsigned long long)gpr[GPR_RBX], (unsigned long long)gpr[GPR_RCX]);
	bench_check_eq(b, gpr[GPR_RAX], vector, "vector");
	bench_check_eq(b, gpr[GPR_RBX], error, "error code");
	if (rip != RIP_ANY)
		bench_check_eq(b, gpr[GPR_RCX], rip, "interrupted rip");
	return !b->failed;
}

void bench_leave_gate(struct bench *b, uint64_t resume)
{
	struct vcpu *v = &b->vm.vcpu;

	if (resume)
		bench_poke(b, (uint32_t)vcpu_get(v, VREG_RSP) + 32, 8, resume);
	v->ops->resume_at(v, vcpu_get(v, VREG_RIP) + 2);
}

bool bench_pass_windows(struct bench *b, unsigned n)
{
	struct vmexit e;

	for (unsigned i = 0; b->windows < n; i++) {
		if (i == WINDOWS_MAX) {
			bench_fail(b, "no host interrupt ends the guest");
			return false;
		}
		if (b->ops->run(&b->vm.vcpu, &e) || e.kind != VMEXIT_INTR) {
			/* Set-up of the guest: core answers, as in bench_next. */
			if (e.kind == VMEXIT_CR) {
				cr_exit(&b->vm, &e);
				continue;
			}
			if (e.kind == VMEXIT_XSETBV) {
				xsetbv_exit(&b->vm, &e);
				continue;
			}
			print_exit(&e);
			bench_fail(b, "an exit of another kind while waiting");
			return false;
		}
		give_window(b);
	}
	bench_poke(b, GUEST_FLAG, 1, 1);
	return true;
}

static int map_ram(struct bench *b)
{
	static const struct {
		uint32_t at, len;
		unsigned access;
	} parts[] = {
		{0, GUEST_READONLY, SLPT_ALL},
		{GUEST_READONLY, PAGE_SIZE, SLPT_READ | SLPT_EXEC},
		{GUEST_NOEXEC, PAGE_SIZE, SLPT_READ | SLPT_WRITE},
		{GUEST_NOEXEC + PAGE_SIZE, GUEST_HOLES - GUEST_NOEXEC - PAGE_SIZE, SLPT_ALL},
		{GUEST_HOLES + 3 * PAGE_SIZE, GUEST_RAM - GUEST_HOLES - 3 * PAGE_SIZE, SLPT_ALL},
	};
	struct slpt *t = &b->vm.slpt;
	int err = slpt_init(t, b->ops->slpt, &b->arena);

	for (unsigned i = 0; i < array_size(parts) && !err; i++)
		err = slpt_map(t, gpa(parts[i].at), hpa((uintptr_t)b->ram + parts[i].at),
			parts[i].len, parts[i].access, SLPT_WB);
	if (!err)
		err = slpt_map(t, gpa(GUEST_RESET), hpa((uintptr_t)b->reset_page), PAGE_SIZE,
			SLPT_ALL, SLPT_WB);
	return err;
}

int bench_init(struct bench *b)
{
	struct vm *vm = &b->vm;
	struct gmem_run run = {gpa(0), hpa((uintptr_t)b->ram), GUEST_RAM, b->ram};
	int err = gmem_add(&vm->gmem, run);

	vm->vcpu.ops = b->ops;
	vm->vcpu.vm = vm;
	if (!err)
		err = map_ram(b);
	if (!err)
		err = fpu_init(&vm->vcpu.fpu, &b->arena);
	if (!err)
		err = b->ops->init(&vm->vcpu, &b->arena, arena_hpa(&b->arena, vm->slpt.root));
	if (err)
		return err;
	vm->vcpu.deadline = ~0ull;
	cpuid_init(vm);
	msr_init(vm);
	return 0;
}

void bench_run_case(struct bench *b, const struct bench_case *c)
{
	static struct host_state before, after;
	uint64_t own[HOST_XMM], pattern[HOST_XMM];
	bool svm = !strcmp(b->ops->name, "svm");
	int err;

	b->name = c->name;
	b->failed = b->skipped = false;
	b->windows = 0;
	log_line("case %s", c->name);
	for (unsigned i = 0; i < HOST_XMM; i++)
		pattern[i] = 0xa5a5000000000000 + i;
	hw_irq_disable();
	bench_store_vectors(own);
	bench_load_vectors(pattern);
	host_state_take(&before, svm);
	err = b->ops->enable(&b->vm.vcpu);
	if (err)
		bench_fail(b, error_string(err));
	else
		c->run(b);
	b->ops->disable(&b->vm.vcpu);
	host_state_take(&after, svm);
	bench_load_vectors(own);
	hw_irq_enable();
	bench_check(b, host_state_compare(&before, &after), "the host's state has changed");
	if (b->failed)
		b->failed_count++;
	else if (b->skipped)
		b->skipped_count++;
	else
		b->passed_count++;
	if (!b->failed && !b->skipped)
		log_line("PASS %s", c->name);
}
