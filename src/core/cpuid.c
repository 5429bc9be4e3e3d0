/*
 * The guest's CPUID; see cpuid.h. What the masks don't name isn't there: no virtualization, a local
 * APIC only where the machine has one, no performance counters, no machine checks, no state that the
 * back ends don't switch. State: vm->cpuid. On the exit path, but for cpuid_init.
 */
#include "core/cpuid.h"
#include "base/bits.h"
#include "base/mem.h"
#include "core/vm.h"

/* Bit numbers of the features that pass. SDM vol. 2A "CPUID"; AMD64 APM vol. 3, appendix E. */
#define LEAF1_ECX                                                                                  \
	(BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23) |    \
		BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30))
#define LEAF1_ECX_OSXSAVE    BIT(27)
#define LEAF1_ECX_HYPERVISOR BIT(31)
#define LEAF1_ECX_X2APIC     BIT(21)
#define LEAF1_ECX_DEADLINE   BIT(24)
#define LEAF1_EDX_APIC	     BIT(9)
#define LEAF6_EAX_ARAT	     BIT(2)
#define LEAF1_EDX                                                                                  \
	(BITS(6, 0) | BIT(8) | BIT(11) | BIT(12) | BIT(13) | BIT(15) | BIT(16) | BIT(17) |         \
		BIT(19) | BITS(26, 23))
#define LEAF7_EBX                                                                                  \
	(BIT(0) | BIT(3) | BIT(5) | BIT(7) | BIT(8) | BIT(9) | BIT(18) | BIT(19) | BIT(20) |       \
		BIT(23) | BIT(24) | BIT(29))
#define LEAF7_ECX	  (BIT(9) | BIT(10))
#define LEAF7_EDX	  BIT(4)
#define EXT1_ECX	  (BIT(0) | BIT(5) | BIT(6) | BIT(7) | BIT(8))
#define EXT1_EDX	  (LEAF1_EDX | BIT(11) | BIT(20) | BIT(22) | BIT(25) | BIT(26) | BIT(29))
#define EXT7_EDX	  BIT(8) /* invariant TSC */

#define XCR0_SHOWN	  7u /* x87, SSE, AVX */
#define XCR0_AVX	  BIT(2)
#define XSAVE_LEGACY_SIZE 576u /* x87 and SSE, and the header */

#define LEAF_CACHE	  0x4u
#define LEAF_POWER	  0x6u
#define LEAF_TOPOLOGY	  0xbu
#define TOPOLOGY_THREADS  0x100u /* in ECX: kind of level */
#define TOPOLOGY_CORES	  0x200u
#define LEAF_XSAVE	  0xdu
#define LEAF_HYPERVISOR	  0x40000000u
#define LEAF_EXTENDED	  0x80000000u
#define LEAF_EXT1	  0x80000001u
#define EXT1_EDX_1GIB	  BIT(26)
#define LEAF_ADDRESS	  0x80000008u
#define PHYS_DEFAULT	  36u /* bits of a physical address if CPUID doesn't say */
#define LEAF_EXT_CACHE	  0x8000001du
#define BASIC_MAX	  0x16u
#define HYPERVISOR_ABI	  1u

static void init_basic(struct cpuid_model *m)
{
	static const uint8_t passed[] = {0x2, 0x15, 0x16};
	uint32_t max = hw_cpuid(0, 0).eax;
	struct cpuid_regs r;

	m->basic[0] = hw_cpuid(0, 0);
	m->basic[0].eax = max < BASIC_MAX ? max : BASIC_MAX;
	r = hw_cpuid(1, 0);
	r.ebx &= 0xffff; /* one logical processor, APIC id 0; brand and CLFLUSH line stay */
	r.ecx = (r.ecx & LEAF1_ECX) | LEAF1_ECX_HYPERVISOR;
	r.edx &= LEAF1_EDX;
	m->basic[1] = r;
	for (size_t i = 0; i < array_size(passed); i++)
		if (passed[i] <= max)
			m->basic[passed[i]] = hw_cpuid(passed[i], 0);
	if (max >= 7) {
		r = hw_cpuid(7, 0);
		m->basic[7] = (struct cpuid_regs){
			0, r.ebx & LEAF7_EBX, r.ecx & LEAF7_ECX, r.edx & LEAF7_EDX};
	}
}

static void init_subleaves(struct cpuid_model *m)
{
	uint32_t max = m->basic[0].eax;

	for (uint32_t i = 0; max >= LEAF_CACHE && i < array_size(m->cache); i++) {
		m->cache[i] = hw_cpuid(LEAF_CACHE, i);
		m->cache[i].eax &= BITS(13, 0); /* one core, one thread share it */
	}
	if (max < LEAF_XSAVE)
		return;
	m->xsave[0] = hw_cpuid(LEAF_XSAVE, 0);
	m->xsave[0].eax &= XCR0_SHOWN;
	m->xsave[0].edx = 0;
	m->xsave[1].eax = hw_cpuid(LEAF_XSAVE, 1).eax & BIT(0); /* XSAVEOPT */
	m->xsave[2] = hw_cpuid(LEAF_XSAVE, 2);
	/* Header and legacy area, and the AVX component where the CPU puts it. */
	m->xsave[0].ecx = XSAVE_LEGACY_SIZE;
	if (m->xsave[0].eax & XCR0_AVX)
		m->xsave[0].ecx = m->xsave[2].ebx + m->xsave[2].eax;
}

static void init_extended(struct cpuid_model *m)
{
	uint32_t max = hw_cpuid(LEAF_EXTENDED, 0).eax;
	struct cpuid_regs *x = m->extended;

	if (max < LEAF_EXTENDED + 8)
		return;
	x[0] = hw_cpuid(LEAF_EXTENDED, 0);
	x[0].eax = (uint32_t)min_u64(max, LEAF_EXT_CACHE);
	x[1] = hw_cpuid(LEAF_EXTENDED + 1, 0);
	x[1].ecx &= EXT1_ECX;
	x[1].edx &= EXT1_EDX;
	for (uint32_t i = 2; i <= 6; i++)
		x[i] = hw_cpuid(LEAF_EXTENDED + i, 0);
	x[7].edx = hw_cpuid(LEAF_EXTENDED + 7, 0).edx & EXT7_EDX;
	x[8].eax = hw_cpuid(LEAF_EXTENDED + 8, 0).eax & 0xffff;
	for (uint32_t i = 0; max >= LEAF_EXT_CACHE && i < array_size(m->extended_cache); i++) {
		m->extended_cache[i] = hw_cpuid(LEAF_EXT_CACHE, i);
		m->extended_cache[i].eax &= BITS(13, 0);
	}
}

void cpuid_init(struct vm *vm)
{
	struct cpuid_model *m = &vm->cpuid;
	char signature[12] = "Postern";

	init_basic(m);
	init_subleaves(m);
	init_extended(m);
	m->hypervisor[0].eax = LEAF_HYPERVISOR + 1;
	memcpy(&m->hypervisor[0].ebx, signature, 4);
	memcpy(&m->hypervisor[0].ecx, signature + 4, 4);
	memcpy(&m->hypervisor[0].edx, signature + 8, 4);
	m->hypervisor[1].eax = HYPERVISOR_ABI;
}

/* SDM vol. 2A "CPUID", leaves 1, 6 and 0BH: one processor with the id 0 on each level. */
void cpuid_show_apic(struct vm *vm, bool on)
{
	struct cpuid_model *m = &vm->cpuid;
	uint32_t max = m->basic[0].eax;

	m->basic[1].ecx |= LEAF1_ECX_X2APIC | LEAF1_ECX_DEADLINE;
	m->basic[1].edx = (uint32_t)field_set(m->basic[1].edx, LEAF1_EDX_APIC, on);
	if (m->extended[0].eax > LEAF_EXTENDED && !memcmp(&m->basic[0].ebx, "Auth", 4))
		m->extended[1].edx = (uint32_t)field_set(m->extended[1].edx, LEAF1_EDX_APIC, on);
	if (max >= LEAF_POWER)
		m->basic[LEAF_POWER].eax |= LEAF6_EAX_ARAT;
	if (max < LEAF_TOPOLOGY)
		return;
	m->topology[0] = (struct cpuid_regs){0, 1, TOPOLOGY_THREADS, 0};
	m->topology[1] = (struct cpuid_regs){0, 1, TOPOLOGY_CORES | 1, 0};
}

/* The answer as it stands in the model, before what follows the guest's registers; never NULL. */
static inline const struct cpuid_regs *find_leaf(
	const struct cpuid_model *m, uint32_t leaf, uint32_t subleaf)
{
	static const struct cpuid_regs none;

	if (leaf < array_size(m->basic)) {
		if (leaf > m->basic[0].eax)
			return &none;
		if (leaf == LEAF_CACHE)
			return subleaf < array_size(m->cache) ? &m->cache[subleaf] : &none;
		if (leaf == LEAF_TOPOLOGY)
			return subleaf < array_size(m->topology) ? &m->topology[subleaf] : &none;
		if (leaf == LEAF_XSAVE)
			return subleaf < array_size(m->xsave) ? &m->xsave[subleaf] : &none;
		return leaf == 7 && subleaf ? &none : &m->basic[leaf];
	}
	if (leaf - LEAF_HYPERVISOR < array_size(m->hypervisor))
		return &m->hypervisor[leaf - LEAF_HYPERVISOR];
	if (leaf - LEAF_EXTENDED < array_size(m->extended)) {
		if (leaf == LEAF_EXT_CACHE && subleaf < array_size(m->extended_cache))
			return &m->extended_cache[subleaf];
		return &m->extended[leaf - LEAF_EXTENDED];
	}
	return &none;
}

struct cpuid_regs cpuid_answer(const struct vm *vm, uint32_t leaf, uint32_t subleaf)
{
	return *find_leaf(&vm->cpuid, leaf, subleaf);
}

/* Leaf 1 says whether CR4.OSXSAVE is set, leaf Dh how large the area is for what XCR0 has now. */
static __attribute__((noinline)) void follow_guest(struct vcpu *v, uint32_t leaf)
{
	if (leaf == 1 && vcpu_get(v, VREG_CR4) & CR4_OSXSAVE)
		v->gpr[GPR_RCX] |= LEAF1_ECX_OSXSAVE;
	if (leaf == LEAF_XSAVE)
		v->gpr[GPR_RBX] = fpu_guest_xcr0(&v->fpu) & XCR0_AVX ? v->vm->cpuid.xsave[0].ecx
								     : XSAVE_LEGACY_SIZE;
}

unsigned cpuid_physical_bits(const struct vm *vm)
{
	unsigned bits = cpuid_answer(vm, LEAF_ADDRESS, 0).eax & 0xff;

	return bits ? bits : PHYS_DEFAULT;
}

bool cpuid_has_1gib_pages(const struct vm *vm)
{
	return cpuid_answer(vm, LEAF_EXT1, 0).edx & EXT1_EDX_1GIB;
}

void cpuid_exit(struct vm *vm, const struct vmexit *e)
{
	struct vcpu *v = &vm->vcpu;
	uint32_t leaf = (uint32_t)v->gpr[GPR_RAX], subleaf = (uint32_t)v->gpr[GPR_RCX];
	const struct cpuid_regs *r = find_leaf(&vm->cpuid, leaf, subleaf);

	v->gpr[GPR_RAX] = r->eax;
	v->gpr[GPR_RBX] = r->ebx;
	v->gpr[GPR_RCX] = r->ecx;
	v->gpr[GPR_RDX] = r->edx;
	if (leaf == 1 || (leaf == LEAF_XSAVE && !subleaf))
		follow_guest(v, leaf);
	vcpu_skip(v, e);
}
