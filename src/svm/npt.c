/*
 * Entries of the nested page tables. They have the format of ordinary long-mode tables, are walked
 * as user accesses, and their memory types go through the *host's* PAT: AMD64 Architecture
 * Programmer's Manual vol. 2 (24593), "Nested Paging". No state; not on the exit path.
 */
#include "core/slpt.h"
#include "hw/cpu.h"
#include "svm/svm.h"

#define NPT_PRESENT  BIT(0)
#define NPT_WRITE    BIT(1)
#define NPT_USER     BIT(2)
#define NPT_PWT	     BIT(3)
#define NPT_PCD	     BIT(4)
#define NPT_LARGE    BIT(7)
#define NPT_ADDRESS  BITS(51, 12)
#define NPT_NX	     BIT(63)

/*
 * PAT entries in use, those without the PAT bit, whose place differs by page size. 0 and 3 have
 * their power-on types. Entry 1 is WT at power-on, a type that nobody under UEFI uses, and is WC
 * while the back end is enabled.
 */
#define PAT_ENTRY(n) (0xffull << ((n)*8))
#define PAT_WB	     PAT_ENTRY(0)
#define PAT_WC	     PAT_ENTRY(1)
#define PAT_UC	     PAT_ENTRY(3)
#define PAT_TYPE_UC  0u
#define PAT_TYPE_WC  1u
#define PAT_TYPE_WB  6u

uint64_t svm_host_pat(uint64_t found)
{
	return field_set(found, PAT_WC, PAT_TYPE_WC);
}

bool svm_pat_is_usable(uint64_t pat)
{
	return FIELD_GET(PAT_WB, pat) == PAT_TYPE_WB && FIELD_GET(PAT_UC, pat) == PAT_TYPE_UC;
}

static uint64_t npt_table(hpa_t next)
{
	return (next.v & NPT_ADDRESS) | NPT_PRESENT | NPT_WRITE | NPT_USER;
}

static uint64_t memory_type(enum slpt_memtype type)
{
	switch (type) {
	case SLPT_WB:
		return 0;
	case SLPT_WC:
		return NPT_PWT;
	case SLPT_UC:
	default:
		return NPT_PCD | NPT_PWT;
	}
}

/* A page that can be written or executed can be read, too: the format knows nothing less. */
static uint64_t npt_leaf(hpa_t page, unsigned access, enum slpt_memtype type, unsigned level)
{
	uint64_t e = page.v & NPT_ADDRESS;

	if (!(access & SLPT_ALL))
		return 0;
	e |= NPT_PRESENT | NPT_USER | memory_type(type);
	if (access & SLPT_WRITE)
		e |= NPT_WRITE;
	if (!(access & SLPT_EXEC))
		e |= NPT_NX;
	if (level > 1)
		e |= NPT_LARGE;
	return e;
}

static bool npt_is_large(uint64_t entry)
{
	return entry & NPT_LARGE;
}

static hpa_t npt_address(uint64_t entry)
{
	return hpa(entry & NPT_ADDRESS);
}

static unsigned npt_largest(void)
{
	return hw_cpuid(CPUID_FEATURES, 0).edx & CPUID_FEATURES_1G ? 3 : 2;
}

const struct slpt_format svm_slpt = {npt_table, npt_leaf, npt_is_large, npt_address, npt_largest};
