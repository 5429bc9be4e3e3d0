/* Entries of extended page tables, bit for bit. SDM vol. 3C "EPT Paging-Structure Entries". */
#include "fakes/fake_cpu.h"
#include "test.h"
#include "vmx/controls.h"
#include "vmx/vmx.h"

static void leaves(void)
{
	const struct slpt_format *f = &vmx_slpt;

	CHECK_EQ(f->leaf(hpa(0x1234000), SLPT_ALL, SLPT_WB, 1), 0x1234037);
	CHECK_EQ(f->leaf(hpa(0x1200000), SLPT_ALL, SLPT_WB, 2), 0x12000b7);
	CHECK_EQ(f->leaf(hpa(0x40000000), SLPT_READ | SLPT_WRITE, SLPT_UC, 3), 0x40000083);
	CHECK_EQ(f->leaf(hpa(0xc0000000), SLPT_READ | SLPT_WRITE, SLPT_WC, 1), 0xc000000b);
	CHECK_EQ(f->leaf(hpa(0x5000), SLPT_READ, SLPT_WB, 1), 0x5031);
}

/* Writable and not readable, or executable alone, would be a misconfiguration on some CPUs. */
static void readable(void)
{
	const struct slpt_format *f = &vmx_slpt;

	CHECK_EQ(f->leaf(hpa(0x5000), SLPT_WRITE, SLPT_UC, 1), 0x5003);
	CHECK_EQ(f->leaf(hpa(0x5000), SLPT_EXEC, SLPT_UC, 1), 0x5005);
	/* No access: not present, and all zero but for the address, which no leaf of ours uses. */
	CHECK_EQ(f->leaf(hpa(0x5000), 0, SLPT_UC, 1) & 7, 0);
}

static void tables(void)
{
	const struct slpt_format *f = &vmx_slpt;

	CHECK_EQ(f->table(hpa(0x7fff000)), 0x7fff007);
	CHECK(!f->is_large(f->table(hpa(0x7fff000))));
	CHECK(f->is_large(f->leaf(hpa(0x200000), SLPT_ALL, SLPT_WB, 2)));
	CHECK_EQ(f->address(0x8000000012345fff).v, 0x12345000);
	CHECK_EQ(
		f->address(f->leaf(hpa(0xffffffffff000), SLPT_ALL, SLPT_WB, 1)).v, 0xffffffffff000);
}

static void page_sizes(void)
{
	fake_cpu_set_msr(MSR_VMX_EPT_VPID_CAP, EPT_CAP_2M | EPT_CAP_1G);
	CHECK_EQ(vmx_slpt.largest(), 3);
	fake_cpu_set_msr(MSR_VMX_EPT_VPID_CAP, EPT_CAP_2M);
	CHECK_EQ(vmx_slpt.largest(), 2);
	fake_cpu_set_msr(MSR_VMX_EPT_VPID_CAP, EPT_CAP_1G);
	CHECK_EQ(vmx_slpt.largest(), 1);
	fake_cpu_set_msr(MSR_VMX_EPT_VPID_CAP, 0);
	CHECK_EQ(vmx_slpt.largest(), 1);
}

int main(void)
{
	fake_cpu_reset();
	RUN(leaves);
	RUN(readable);
	RUN(tables);
	RUN(page_sizes);
	return TEST_RESULT();
}
