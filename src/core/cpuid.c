/*
 * The guest's CPUID; see cpuid.h. One table says what it is made of, and what isn't named in
 * it isn't there; a machine with a local APIC adds that. State: vm->cpuid. On the exit path, but for
 * cpuid_init and cpuid_show_apic.
 */
#include "core/cpuid.h"
#include "base/bits.h"
#include "base/mem.h"
#include "core/vm.h"

#define LEAF1_ECX_OSXSAVE    BIT(27)
#define LEAF1_ECX_HYPERVISOR BIT(31)
#define LEAF1_ECX_X2APIC     BIT(21)
#define LEAF1_ECX_DEADLINE   BIT(24)
#define LEAF1_EDX_APIC	     BIT(9)
#define LEAF6_EAX_ARAT	     BIT(2)
#define EXT1_EDX_1GIB	     BIT(26)
#define XCR0_SHOWN	     7u /* x87, SSE, AVX */
#define XCR0_AVX	     BIT(2)
#define XSAVE_LEGACY_SIZE    576u /* x87 and SSE, and the header */

#define LEAF_CACHE	     0x4u
#define LEAF_XSAVE	     0xdu
#define LEAF_HYPERVISOR	     0x40000000u
#define LEAF_EXTENDED	     0x80000000u
#define LEAF_EXT1	     0x80000001u
#define LEAF_ADDRESS	     0x80000008u
#define PHYS_DEFAULT	     36u /* bits of a physical address if CPUID doesn't say */
#define BASIC_MAX	     0x16u
#define EXTENDED_MAX	     0x80000008u
#define HYPERVISOR_ABI	     1u
#define ALL		     (~0u)

#define LEAF_POWER	     0x6u
#define LEAF_TOPOLOGY	     0xbu
#define TOPOLOGY_THREADS     0x100u /* in ECX: kind of level */
#define TOPOLOGY_CORES	     0x200u

/*
 * Features that both kinds of leaf name, leaf 1 and 8000_0001h: FPU, VME, DE, PSE, TSC, MSR, PAE, CX8,
 * MTRR, PGE, CMOV, PAT, PSE36, MMX, FXSR. Not MCE and MCA: machine checks are the host's.
 */
#define COMMON_EDX                                                                                 \
	(BITS(6, 0) | BIT(8) | BIT(12) | BIT(13) | BIT(15) | BIT(16) | BIT(17) | BIT(23) | BIT(24))

/*
 * The guest's CPU: what passes from the host's, per register; and what is set whatever the host has.
 * A leaf or subleaf that isn't here reads as zeros. Among those: 3 (serial number), 5 and Ah (MONITOR
 * and counters exit as undefined instructions), 6 and 9 (power and heat are the host's), Bh (but for
 * a local APIC's), 10h, 12h and 14h (resources, SGX, processor trace), 8000_000Ah (SVM), 8000_001Dh
 * and 1Eh (topology of the host's cores). SDM vol. 2A "CPUID"; AMD64 APM vol. 3, appendix E.
 */
static const struct leaf {
	uint32_t leaf, subleaf;
	struct cpuid_regs pass, set;
} leaves[] = {
	/* Vendor; the highest leaf is cut to BASIC_MAX. */
	{0, 0, {ALL, ALL, ALL, ALL}, {0}},
	/*
	 * Family, model and stepping, since kernels look for errata by them; brand and CLFLUSH line, but
	 * neither count nor APIC id: one processor, id 0. SSE3, PCLMUL, SSSE3, FMA, CX16, SSE4.1, SSE4.2,
	 * MOVBE, POPCNT, AES, XSAVE, AVX, F16C, RDRAND; SEP, CLFSH, SSE, SSE2. No VMX, SMX, MONITOR,
	 * thermal bits, debug store; no PCID (INVPCID would need a control of VMX).
	 */
	{1, 0,
		{ALL, 0xffff,
			BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(19) | BIT(20) | BIT(22) |
				BIT(23) | BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30),
			COMMON_EDX | BIT(11) | BIT(19) | BIT(25) | BIT(26)},
		{0, 0, LEAF1_ECX_HYPERVISOR, 0}},
	/* Caches and TLBs: of use to the guest, and no secret. In leaf 4 one core shares each. */
	{2, 0, {ALL, ALL, ALL, ALL}, {0}},
	{4, 0, {BITS(13, 0), ALL, ALL, ALL}, {0}},
	{4, 1, {BITS(13, 0), ALL, ALL, ALL}, {0}},
	{4, 2, {BITS(13, 0), ALL, ALL, ALL}, {0}},
	{4, 3, {BITS(13, 0), ALL, ALL, ALL}, {0}},
	{4, 4, {BITS(13, 0), ALL, ALL, ALL}, {0}},
	/*
	 * FSGSBASE, BMI1, AVX2, SMEP, BMI2, ERMS, RDSEED, ADX, SMAP, CLFLUSHOPT, CLWB, SHA; VAES,
	 * VPCLMUL; FSRM, and MD_CLEAR, which is an instruction's side effect. Nothing that wants an MSR or
	 * state of its own: IBRS, STIBP, SSBD, ARCH_CAPABILITIES, TSC_ADJUST, AVX-512, AMX, PKU, CET. A
	 * guest that asks about mitigations has to take those that need code only.
	 */
	{7, 0,
		{0,
			BIT(0) | BIT(3) | BIT(5) | BIT(7) | BIT(8) | BIT(9) | BIT(18) | BIT(19) |
				BIT(20) | BIT(23) | BIT(24) | BIT(29),
			BIT(9) | BIT(10), BIT(4) | BIT(10)},
		{0}},
	/* x87, SSE, AVX, and XSAVEOPT; sizes are computed, no supervisor state. */
	{LEAF_XSAVE, 0, {XCR0_SHOWN, 0, 0, 0}, {0}},
	{LEAF_XSAVE, 1, {BIT(0), 0, 0, 0}, {0}},
	{LEAF_XSAVE, 2, {ALL, ALL, BITS(1, 0), 0}, {0}},
	/* Frequencies of TSC and core: the guest can measure them anyway. */
	{0x15, 0, {ALL, ALL, ALL, 0}, {0}},
	{0x16, 0, {0xffff, 0xffff, 0xffff, 0}, {0}},

	{LEAF_HYPERVISOR, 0, {0}, {LEAF_HYPERVISOR + 1, 0x74736f50, 0x006e7265, 0}}, /* "Postern" */
	{LEAF_HYPERVISOR + 1, 0, {0}, {HYPERVISOR_ABI, 0, 0, 0}},

	/* Vendor once more; the highest leaf is cut to EXTENDED_MAX. */
	{LEAF_EXTENDED, 0, {ALL, ALL, ALL, ALL}, {0}},
	/*
	 * LAHF, ABM, SSE4A, misaligned SSE, PREFETCHW; SYSCALL, NX, MMX extensions, 1-GiB pages, LM. Not
	 * RDTSCP, which would read the host's TSC_AUX; no SVM, TOPOEXT, counters, OSVW, FFXSR.
	 */
	{LEAF_EXT1, 0,
		{ALL, 0, BIT(0) | BIT(5) | BIT(6) | BIT(7) | BIT(8),
			COMMON_EDX | BIT(11) | BIT(20) | BIT(22) | EXT1_EDX_1GIB | BIT(29)},
		{0}},
	/* Brand string, then caches and TLBs. */
	{LEAF_EXTENDED + 2, 0, {ALL, ALL, ALL, ALL}, {0}},
	{LEAF_EXTENDED + 3, 0, {ALL, ALL, ALL, ALL}, {0}},
	{LEAF_EXTENDED + 4, 0, {ALL, ALL, ALL, ALL}, {0}},
	{LEAF_EXTENDED + 5, 0, {ALL, ALL, ALL, ALL}, {0}},
	{LEAF_EXTENDED + 6, 0, {ALL, ALL, ALL, ALL}, {0}},
	/* The TSC runs always at one rate; no power, no machine checks. */
	{LEAF_EXTENDED + 7, 0, {0, 0, 0, BIT(8)}, {0}},
	/* Sizes of addresses, but not the number of cores; SSB_NO and BTC_NO tell what is no trouble. */
	{LEAF_ADDRESS, 0, {0xffff, BIT(26) | BIT(29), 0, 0}, {0}},
};

/* Where the model keeps it; NULL if it has no place, and then reads as zeros. */
static struct cpuid_regs *slot(struct cpuid_model *m, uint32_t leaf, uint32_t subleaf)
{
	if (leaf == LEAF_CACHE)
		return subleaf < array_size(m->cache) ? &m->cache[subleaf] : NULL;
	if (leaf == LEAF_XSAVE)
		return subleaf < array_size(m->xsave) ? &m->xsave[subleaf] : NULL;
	if (subleaf)
		return NULL;
	if (leaf < array_size(m->basic))
		return &m->basic[leaf];
	if (leaf - LEAF_HYPERVISOR < array_size(m->hypervisor))
		return &m->hypervisor[leaf - LEAF_HYPERVISOR];
	if (leaf - LEAF_EXTENDED < array_size(m->extended))
		return &m->extended[leaf - LEAF_EXTENDED];
	return NULL;
}

/* A leaf above the host's highest would read as that one: its values aren't what the row means. */
static struct cpuid_regs host_leaf(const struct leaf *row)
{
	uint32_t highest = hw_cpuid(row->leaf & LEAF_EXTENDED, 0).eax;

	if ((row->leaf & ~0xffffu) == LEAF_HYPERVISOR || row->leaf > highest)
		return (struct cpuid_regs){0};
	return hw_cpuid(row->leaf, row->subleaf);
}

void cpuid_init(struct vm *vm)
{
	struct cpuid_model *m = &vm->cpuid;

	memset(m, 0, sizeof(*m));
	for (size_t i = 0; i < array_size(leaves); i++) {
		const struct leaf *row = &leaves[i];
		const struct cpuid_regs *p = &row->pass, *s = &row->set;
		struct cpuid_regs host = host_leaf(row), *to = slot(m, row->leaf, row->subleaf);

		if (to)
			*to = (struct cpuid_regs){(host.eax & p->eax) | s->eax,
				(host.ebx & p->ebx) | s->ebx, (host.ecx & p->ecx) | s->ecx,
				(host.edx & p->edx) | s->edx};
	}
	m->basic[0].eax = (uint32_t)min_u64(m->basic[0].eax, BASIC_MAX);
	m->extended[0].eax = (uint32_t)min_u64(m->extended[0].eax, EXTENDED_MAX);
	/* Header and legacy area, and the AVX component where the CPU puts it. */
	if (m->basic[0].eax >= LEAF_XSAVE)
		m->xsave[0].ecx = XSAVE_LEGACY_SIZE;
	if (m->xsave[0].eax & XCR0_AVX)
		m->xsave[0].ecx = m->xsave[2].ebx + m->xsave[2].eax;
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
	if (leaf - LEAF_EXTENDED < array_size(m->extended))
		return &m->extended[leaf - LEAF_EXTENDED];
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
