/* Probing a machine, and the structures that the processor reads. */
#include "base/error.h"
#include "core/msr.h"
#include "fakes/fake_hw.h"
#include "svm/svm.h"
#include "test.h"

/* A machine. */
static uint32_t max_leaf, svm_edx, extended_ecx, hypervisor;
static uint64_t vm_cr;

static struct cpuid_regs cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs r = {0};

	(void)subleaf;
	if (leaf == 1)
		r.ecx = hypervisor ? 1u << 31 : 0;
	else if (leaf == 0x40000000u)
		r.ebx = hypervisor;
	else if (leaf == 0x80000000u)
		r.eax = max_leaf;
	else if (leaf == 0x80000001u)
		r.ecx = extended_ecx;
	else if (leaf == 0x80000008u)
		r.ebx = 1u << 4;
	else if (leaf == 0x8000000au)
		r.edx = svm_edx;
	return r;
}

static uint64_t rdmsr(uint32_t msr)
{
	CHECK_EQ(msr, 0xc0010114);
	return vm_cr;
}

/* What core would let through, with two that no back end may. */
bool msr_is_direct(uint32_t index)
{
	return index == 0x175 || index == 0xc0000082 || index == 0xc0000102 ||
	       index == 0xc0011fff || index == 0xc0000080 || index == 0x277;
}

static void good_machine(void)
{
	fake_hw_reset();
	fake_hw.cpuid = cpuid;
	fake_hw.rdmsr = rdmsr;
	max_leaf = 0x8000001f;
	extended_ecx = 1u << 2;
	svm_edx = 1;
	hypervisor = 0;
	vm_cr = 0;
}

static int probe(void)
{
	const char *why = NULL;
	int err = svm_probe(&why);

	CHECK(!err == !why);
	return err;
}

static void probes(void)
{
	good_machine();
	CHECK_EQ(probe(), 0);
	extended_ecx = ~(1u << 2);
	CHECK_EQ(probe(), -E_NOTSUP);
	good_machine();
	max_leaf = 0x80000008;
	CHECK_EQ(probe(), -E_NOTSUP);
	good_machine();
	svm_edx = ~1u;
	CHECK_EQ(probe(), -E_NOTSUP);
	good_machine();
	vm_cr = 1 << 4 | 1 << 3;
	CHECK_EQ(probe(), -E_LOCKED);
	/* Off, but we may switch it on; on, and locked so. */
	vm_cr = 1 << 4;
	CHECK_EQ(probe(), 0);
	vm_cr = 1 << 3;
	CHECK_EQ(probe(), 0);
}

#define ARENA_PAGES 16u
static uint8_t memory[ARENA_PAGES * 4096] __attribute__((aligned(4096)));
static const hpa_t memory_at = {0x5000000};
static struct vcpu vcpu;

static int init(size_t pages)
{
	struct arena arena;

	memset(memory, 0, sizeof(memory));
	memset(&vcpu, 0xee, sizeof(vcpu));
	vcpu.backend = NULL;
	arena_init(&arena, memory, memory_at, pages * PAGE_SIZE);
	return svm_init(&vcpu, &arena, hpa(0x6000000));
}

static const uint8_t *at(uint64_t physical)
{
	CHECK(physical >= memory_at.v && physical < memory_at.v + sizeof(memory));
	CHECK(is_aligned(physical, PAGE_SIZE));
	return memory + (physical - memory_at.v);
}

static void too_little_memory(void)
{
	size_t pages = 0;

	good_machine();
	while (pages < ARENA_PAGES && init(pages)) {
		CHECK_EQ(init(pages), -E_NOMEM);
		CHECK(!vcpu.backend);
		pages++;
	}
	/* A page each for the state, VMCB, host VMCB and host save area, and the maps. */
	CHECK_EQ(pages, 4 + IOPM_PAGES + MSRPM_PAGES);
}

static void control(void)
{
	const struct svm *s;
	const struct vmcb_control *c;

	good_machine();
	CHECK_EQ(init(ARENA_PAGES), 0);
	s = vcpu.backend;
	c = &s->vmcb->control;
	CHECK_EQ(c->nested_cr3, 0x6000000);
	CHECK_EQ(c->nested, 1);
	CHECK_EQ(c->asid, 1);
	/* INTR NMI INIT RDPMC CPUID RSM INVD HLT INVLPGA IOIO MSR SHUTDOWN; no SMI, no VINTR yet. */
	CHECK_EQ(c->intercept1, 0x9d4c800b);
	/* VMRUN to SKINIT, RDTSCP, WBINVD, MONITOR, MWAIT, XSETBV, RDPRU. */
	CHECK_EQ(c->intercept2, 0x6eff);
	CHECK_EQ(c->intercept_cr, 1u << 8 | 1u << 24);
	CHECK_EQ(c->intercept_exception, 1u << 1 | 1u << 17 | 1u << 18);
	CHECK(at(s->vmcb_at.v) == (const uint8_t *)s->vmcb);
	CHECK(at(s->host_vmcb_at.v) == (const uint8_t *)s->host_vmcb);
	CHECK(at(s->hsave_at.v) != NULL && s->hsave_at.v != s->vmcb_at.v);
	for (unsigned i = 0; i < IOPM_PAGES * PAGE_SIZE; i++)
		CHECK_EQ(at(c->iopm)[i], 0xff);
}

static bool map_exits(const uint8_t *map, uint32_t index, bool write)
{
	uint32_t n = index < 0x2000	  ? index
		     : index < 0xc0010000 ? index - 0xc0000000 + 0x2000
					  : index - 0xc0010000 + 0x4000;

	return map[n * 2 / 8] >> (n * 2 % 8 + write) & 1;
}

static void msr_map(void)
{
	static const uint32_t passed[] = {0x175, 0xc0000082, 0xc0000102, 0xc0011fff};
	static const uint32_t kept[] = {0x277, 0xc0000080, 0x174, 0x176, 0xc0000081, 0xc0000083,
		0xc0010114, 0xc0010117, 0, 0x1fff, 0xc0001fff, 0xc0010000};
	const uint8_t *map;
	unsigned zeros = 0;

	good_machine();
	CHECK_EQ(init(ARENA_PAGES), 0);
	map = at(((struct svm *)vcpu.backend)->vmcb->control.msrpm);
	for (size_t i = 0; i < array_size(passed); i++)
		CHECK(!map_exits(map, passed[i], false) && !map_exits(map, passed[i], true));
	for (size_t i = 0; i < array_size(kept); i++)
		CHECK(map_exits(map, kept[i], false) && map_exits(map, kept[i], true));
	for (unsigned i = 0; i < MSRPM_PAGES * PAGE_SIZE; i++)
		zeros += 8 - (unsigned)__builtin_popcount(map[i]);
	CHECK_EQ(zeros, 2 * array_size(passed));
}

static void power_on_state(void)
{
	const struct vmcb_save *g;

	good_machine();
	CHECK_EQ(init(ARENA_PAGES), 0);
	g = &((struct svm *)vcpu.backend)->vmcb->save;
	CHECK_EQ(g->cs.selector, 0xf000);
	CHECK_EQ(g->cs.base + g->rip, 0xfffffff0);
	CHECK_EQ(g->cr0, 0x60000010);
	CHECK_EQ(g->rflags, 2);
	CHECK_EQ(g->efer, 1u << 12);
	CHECK_EQ(g->dr6, 0xffff0ff0);
	CHECK_EQ(g->dr7, 0x400);
	CHECK_EQ(g->pat, 0x0007040600070406);
	for (unsigned i = 0; i < GPR_COUNT; i++)
		CHECK_EQ(vcpu.gpr[i], 0);
}

static void emulators(void)
{
	good_machine();
	CHECK_EQ(init(ARENA_PAGES), 0);
	CHECK(((struct svm *)vcpu.backend)->shadow_is_kept);
	hypervisor = 0x4b4d564b; /* "KVMK" */
	CHECK_EQ(init(ARENA_PAGES), 0);
	CHECK(((struct svm *)vcpu.backend)->shadow_is_kept);
	hypervisor = 0x54474354; /* "TCGT" */
	CHECK_EQ(init(ARENA_PAGES), 0);
	CHECK(!((struct svm *)vcpu.backend)->shadow_is_kept);
}

int main(void)
{
	RUN(probes);
	RUN(too_little_memory);
	RUN(control);
	RUN(msr_map);
	RUN(power_on_state);
	RUN(emulators);
	return TEST_RESULT();
}
