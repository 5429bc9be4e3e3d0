/*
 * The entries of extended page tables: SDM vol. 3C "EPT Paging-Structure Entries" (325462-084).
 * No state. Not on the exit path.
 */
#include "base/bits.h"
#include "hw/cpu.h"
#include "vmx/controls.h"
#include "vmx/vmx.h"

#define EPT_READ    BIT(0)
#define EPT_WRITE   BIT(1)
#define EPT_EXEC    BIT(2)
#define EPT_TYPE    BITS(5, 3)
#define EPT_LARGE   BIT(7)
#define EPT_ADDRESS BITS(51, 12)

#define TYPE_UC	    0u
#define TYPE_WC	    1u
#define TYPE_WB	    6u

static uint64_t ept_table(hpa_t next)
{
	return (next.v & EPT_ADDRESS) | EPT_READ | EPT_WRITE | EPT_EXEC;
}

static uint64_t ept_type(enum slpt_memtype type)
{
	switch (type) {
	case SLPT_WB:
		return TYPE_WB;
	case SLPT_WC:
		return TYPE_WC;
	case SLPT_UC:
	default:
		return TYPE_UC;
	}
}

/*
 * The guest's page attribute table may still narrow the type: WB memory can be mapped UC by it.
 * A writable page is readable too, as the other way round is a misconfiguration.
 */
static uint64_t ept_leaf(hpa_t page, unsigned access, enum slpt_memtype type, unsigned level)
{
	uint64_t e = (page.v & EPT_ADDRESS) | FIELD_PUT(EPT_TYPE, ept_type(type));

	if (access & (SLPT_READ | SLPT_WRITE | SLPT_EXEC))
		e |= EPT_READ;
	if (access & SLPT_WRITE)
		e |= EPT_WRITE;
	if (access & SLPT_EXEC)
		e |= EPT_EXEC;
	if (level > 1)
		e |= EPT_LARGE;
	return e;
}

static bool ept_is_large(uint64_t entry)
{
	return entry & EPT_LARGE;
}

static hpa_t ept_address(uint64_t entry)
{
	return hpa(entry & EPT_ADDRESS);
}

static unsigned ept_largest(void)
{
	uint64_t cap = hw_rdmsr(MSR_VMX_EPT_VPID_CAP);

	if (cap & EPT_CAP_1G && cap & EPT_CAP_2M)
		return 3;
	return cap & EPT_CAP_2M ? 2 : 1;
}

const struct slpt_format vmx_slpt = {
	.table = ept_table,
	.leaf = ept_leaf,
	.is_large = ept_is_large,
	.address = ept_address,
	.largest = ept_largest,
};
