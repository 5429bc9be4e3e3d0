/* core: translation of guest-virtual addresses, by every kind of paging. */
#include "base/bits.h"
#include "base/error.h"
#include "core/gva.h"
#include "core/vm.h"
#include "fakes/fake_vcpu.h"
#include "test.h"

#define P	BIT(0)
#define W	BIT(1)
#define U	BIT(2)
#define A	BIT(5)
#define D	BIT(6)
#define PS	BIT(7)
#define PAT	BIT(12) /* of a large page */
#define NX	BIT(63)

#define PF_P	0x01u
#define PF_W	0x02u
#define PF_U	0x04u
#define PF_RSVD 0x08u
#define PF_I	0x10u

#define ROOT	0x1000u

static struct vm vm;
static struct fake_vcpu cpu;
static uint8_t ram[64 * PAGE_SIZE];
static gpa_t found;
static struct gva_fault fault;

static void machine(uint64_t cr4, uint64_t efer)
{
	memset(&vm, 0, sizeof(vm));
	memset(ram, 0, sizeof(ram));
	fake_vcpu_init(&cpu, &vm.vcpu, &vm, FAKE_FLAT32);
	CHECK(!gmem_add(&vm.gmem, (struct gmem_run){gpa(0), hpa(0x100000), sizeof(ram), ram}));
	cpu.reg[VREG_CR0] |= CR0_PG;
	cpu.reg[VREG_CR3] = ROOT;
	cpu.reg[VREG_CR4] = cr4;
	cpu.reg[VREG_EFER] = efer;
	vm.cpuid.extended[8].eax = 40;
	vm.cpuid.extended[1].edx = BIT(26);
	found = gpa(0xbad);
}

static void long_mode(void)
{
	machine(CR4_PAE, EFER_LME | EFER_LMA | EFER_NXE);
}

static void put(uint64_t table, uint64_t index, uint64_t entry)
{
	memcpy(ram + table + index * 8, &entry, 8);
}

static void put32(uint64_t table, uint64_t index, uint64_t entry)
{
	memcpy(ram + table + index * 4, &entry, 4);
}

static uint64_t entry_at(uint64_t table, uint64_t index, size_t size)
{
	uint64_t entry = 0;

	memcpy(&entry, ram + table + index * size, size);
	return entry;
}

static int go(uint64_t gva, enum gva_access access, bool user)
{
	memset(&fault, 0xff, sizeof(fault));
	return gva_translate(&vm, gva, access, user, &found, &fault);
}

static void expect_page(uint64_t gva, enum gva_access access, bool user, uint64_t want)
{
	int err = go(gva, access, user);

	CHECK(!err);
	CHECK_EQ(found.v, want);
}

static void expect_fault(uint64_t gva, enum gva_access access, bool user, uint32_t error)
{
	found = gpa(0xbad);
	CHECK(go(gva, access, user) == -E_FAULT);
	CHECK_EQ(fault.vector, VECTOR_PF);
	CHECK_EQ(fault.error, error);
	CHECK_EQ(fault.address, gva);
	CHECK_EQ(found.v, 0xbad);
}

static void without_paging_addresses_are_physical(void)
{
	machine(0, 0);
	cpu.reg[VREG_CR0] = 0;
	expect_page(0x12345678, GVA_WRITE, true, 0x12345678);
	expect_page(0xf00000012345678, GVA_READ, false, 0x12345678);
}

/* gva 0x0000_7f80_8060_4123: one index per level. */
#define GVA4  (255ull << 39 | 2ull << 30 | 3ull << 21 | 4ull << 12 | 0x123)
#define LEAF4 0x4000u

static void map4(uint64_t leaf)
{
	long_mode();
	put(ROOT, 255, 0x2000 | P | W | U);
	put(0x2000, 2, 0x3000 | P | W | U);
	put(0x3000, 3, LEAF4 | P | W | U);
	put(LEAF4, 4, leaf);
}

static void four_levels(void)
{
	map4(0x9000 | P | W | U);
	expect_page(GVA4, GVA_READ, true, 0x9123);
	CHECK_EQ(entry_at(ROOT, 255, 8), 0x2000 | P | W | U | A);
	CHECK_EQ(entry_at(0x3000, 3, 8), LEAF4 | P | W | U | A);
	CHECK_EQ(entry_at(LEAF4, 4, 8), 0x9000 | P | W | U | A);
	expect_page(GVA4, GVA_WRITE, true, 0x9123);
	CHECK_EQ(entry_at(LEAF4, 4, 8), 0x9000 | P | W | U | A | D);
	CHECK_EQ(entry_at(0x3000, 3, 8), LEAF4 | P | W | U | A);
	expect_fault(GVA4 + PAGE_SIZE, GVA_WRITE, true, PF_W | PF_U);
	expect_fault(GVA4 + (1ull << 39) - (1ull << 40), GVA_READ, false, 0);
}

static void faults_leave_no_accessed_bits(void)
{
	map4(0);
	expect_fault(GVA4, GVA_FETCH, false, PF_I);
	CHECK_EQ(entry_at(ROOT, 255, 8), 0x2000 | P | W | U);
	map4(0x9000 | P);
	expect_fault(GVA4, GVA_WRITE, false, PF_P | PF_W);
	CHECK_EQ(entry_at(LEAF4, 4, 8), 0x9000 | P);
}

static void rights_are_those_of_all_levels(void)
{
	map4(0x9000 | P | W | U);
	put(0x2000, 2, 0x3000 | P | U);
	expect_fault(GVA4, GVA_WRITE, true, PF_P | PF_W | PF_U);
	put(0x2000, 2, 0x3000 | P | W);
	expect_fault(GVA4, GVA_READ, true, PF_P | PF_U);
	put(0x2000, 2, 0x3000 | P | W | U | NX);
	expect_fault(GVA4, GVA_FETCH, true, PF_P | PF_U | PF_I);
	expect_page(GVA4, GVA_READ, true, 0x9123);
}

static void supervisor_and_write_protection(void)
{
	map4(0x9000 | P);
	expect_page(GVA4, GVA_READ, false, 0x9123);
	expect_fault(GVA4, GVA_WRITE, false, PF_P | PF_W);
	cpu.reg[VREG_CR0] &= ~CR0_WP;
	expect_page(GVA4, GVA_WRITE, false, 0x9123);
	map4(0x9000 | P | U);
	cpu.reg[VREG_CR0] &= ~CR0_WP;
	expect_fault(GVA4, GVA_WRITE, true, PF_P | PF_W | PF_U);
}

static void smep_and_smap(void)
{
	map4(0x9000 | P | W | U);
	cpu.reg[VREG_CR4] |= CR4_SMEP | CR4_SMAP;
	expect_fault(GVA4, GVA_FETCH, false, PF_P | PF_I);
	expect_page(GVA4, GVA_FETCH, true, 0x9123);
	expect_fault(GVA4, GVA_READ, false, PF_P);
	expect_fault(GVA4, GVA_WRITE, false, PF_P | PF_W);
	cpu.reg[VREG_RFLAGS] |= RFLAGS_AC;
	expect_page(GVA4, GVA_WRITE, false, 0x9123);
	expect_fault(GVA4, GVA_FETCH, false, PF_P | PF_I);
}

static void without_nx_the_bit_is_reserved(void)
{
	map4(0x9000 | P | W | U | NX);
	cpu.reg[VREG_EFER] &= ~EFER_NXE;
	expect_fault(GVA4, GVA_READ, false, PF_P | PF_RSVD);
	put(LEAF4, 4, 0x9000 | P | W | U);
	expect_fault(GVA4 + PAGE_SIZE, GVA_FETCH, true, PF_U);
}

static void reserved_bits(void)
{
	map4(0x9000 | P | W | U | BIT(40));
	expect_fault(GVA4, GVA_WRITE, true, PF_P | PF_RSVD | PF_W | PF_U);
	map4(0x9000 | P | W | U | BIT(39) | BIT(52) | BIT(62));
	expect_page(GVA4, GVA_READ, true, 0x9123 | BIT(39));
	put(ROOT, 255, 0x2000 | P | W | U | PS);
	expect_fault(GVA4, GVA_READ, false, PF_P | PF_RSVD);
	map4(0);
	put(0x3000, 3, P | W | U | PS | BIT(13));
	expect_fault(GVA4, GVA_READ, false, PF_P | PF_RSVD);
	put(0x2000, 2, P | W | U | PS | BIT(29));
	expect_fault(GVA4, GVA_READ, false, PF_P | PF_RSVD);
}

static void large_pages(void)
{
	map4(0);
	put(0x3000, 3, 0x12400000 | P | W | U | PS | PAT);
	expect_page(GVA4, GVA_WRITE, true, 0x12400000 | (GVA4 & (LARGE_SIZE - 1)));
	CHECK_EQ(entry_at(0x3000, 3, 8), 0x12400000 | P | W | U | PS | PAT | A | D);
	put(0x2000, 2, 5 * GIB | P | W | U | PS);
	expect_page(GVA4, GVA_READ, true, 5 * GIB | (GVA4 & (GIB - 1)));
	/* What the model says doesn't change under a guest that runs. */
	memset(vm.gva_slot, 0, sizeof(vm.gva_slot));
	vm.cpuid.extended[1].edx = 0;
	expect_fault(GVA4, GVA_READ, true, PF_P | PF_RSVD | PF_U);
}

static void not_canonical(void)
{
	map4(0);
	CHECK(go(1ull << 47, GVA_READ, false) == -E_FAULT);
	CHECK(fault.vector == VECTOR_GP && fault.error == 0);
	expect_fault(0xffff800000000000, GVA_READ, false, 0);
	cpu.reg[VREG_CR4] |= CR4_LA57;
	expect_fault(1ull << 47, GVA_READ, false, 0);
	CHECK(go(1ull << 56, GVA_READ, false) == -E_FAULT && fault.vector == VECTOR_GP);
}

static void five_levels(void)
{
	map4(0x9000 | P | W | U);
	cpu.reg[VREG_CR4] |= CR4_LA57;
	cpu.reg[VREG_CR3] = 0x6000;
	put(0x6000, 7, ROOT | P | W | U);
	expect_page(7ull << 48 | GVA4, GVA_READ, true, 0x9123);
	CHECK_EQ(entry_at(0x6000, 7, 8), ROOT | P | W | U | A);
	put(0x6000, 7, ROOT | P | W | U | PS);
	expect_fault(7ull << 48 | GVA4, GVA_READ, true, PF_P | PF_RSVD | PF_U);
}

#define GVA3 (3ull << 30 | 5ull << 21 | 6ull << 12 | 0x456)

static void map3(uint64_t root, uint64_t leaf)
{
	machine(CR4_PAE, EFER_NXE);
	cpu.reg[VREG_CR3] = 0x5020;
	put(0x5020, 3, root);
	put(0x2000, 5, 0x3000 | P | W | U);
	put(0x3000, 6, leaf);
}

static void pae(void)
{
	map3(0x2000 | P, 0x9000 | P | W | U);
	expect_page(GVA3, GVA_WRITE, true, 0x9456);
	expect_page(1ull << 32 | GVA3, GVA_WRITE, true, 0x9456);
	CHECK_EQ(entry_at(0x5020, 3, 8), 0x2000 | P);
	CHECK_EQ(entry_at(0x3000, 6, 8), 0x9000 | P | W | U | A | D);
	map3(0x2000 | P | BIT(5), 0x9000 | P);
	expect_fault(GVA3, GVA_READ, false, PF_P | PF_RSVD);
	map3(0x2000 | P, 0x9000 | P | BIT(52));
	expect_fault(GVA3, GVA_READ, false, PF_P | PF_RSVD);
	map3(0x2000 | P, 0);
	put(0x2000, 5, 0x600000 | P | PS);
	expect_page(GVA3, GVA_READ, false, 0x600000 | (GVA3 & (LARGE_SIZE - 1)));
}

#define GVA2 (700ull << 22 | 9ull << 12 | 0x789)

static void two_levels(void)
{
	machine(0, 0);
	put32(ROOT, 700, 0x2000 | P | W | U | PS); /* PS means nothing without CR4.PSE */
	put32(0x2000, 9, 0xfffff000 | P | W | U);
	expect_page(GVA2, GVA_WRITE, true, 0xfffff789);
	CHECK_EQ(entry_at(ROOT, 700, 4), 0x2000 | P | W | U | PS | A);
	CHECK_EQ(entry_at(0x2000, 9, 4), 0xfffff000 | P | W | U | A | D);
	expect_fault(GVA2 + PAGE_SIZE, GVA_FETCH, true, PF_U);
}

static void pages_of_4_mib(void)
{
	machine(CR4_PSE, 0);
	put32(ROOT, 700, 0x12400000 | P | W | U | PS | PAT | 0xabu << 13);
	expect_page(GVA2, GVA_WRITE, true, 0xab12400000 | (GVA2 & BITS(21, 0)));
	CHECK(entry_at(ROOT, 700, 4) & D);
	vm.cpuid.extended[8].eax = 39;
	expect_fault(GVA2, GVA_READ, true, PF_P | PF_RSVD | PF_U);
	put32(ROOT, 700, 0x12400000 | P | W | U | PS | BIT(21));
	expect_fault(GVA2, GVA_READ, true, PF_P | PF_RSVD | PF_U);
}

/* A translation that was found before holds only while all that it came from is unchanged. */
static void tables_and_registers_change(void)
{
	uint64_t cr3;

	map4(0x5000 | P | W | U);
	expect_page(GVA4, GVA_READ, false, 0x5123);
	put(LEAF4, 4, 0x6000 | P | W | U);
	expect_page(GVA4, GVA_READ, false, 0x6123);
	/* An accessed bit that the guest took away comes back. */
	put(LEAF4, 4, 0x6000 | P | W | U);
	expect_page(GVA4, GVA_READ, false, 0x6123);
	CHECK(entry_at(0x4000, 4, 8) & A);
	expect_page(GVA4, GVA_WRITE, false, 0x6123);
	CHECK(entry_at(0x4000, 4, 8) & D);
	/* Rights are those of now, and of who asks. */
	expect_page(GVA4, GVA_READ, true, 0x6123);
	put(LEAF4, 4, 0x6000 | P | A | D);
	expect_fault(GVA4, GVA_READ, true, PF_P | PF_U);
	expect_fault(GVA4, GVA_WRITE, false, PF_P | PF_W);
	cpu.reg[VREG_CR0] &= ~CR0_WP;
	expect_page(GVA4, GVA_WRITE, false, 0x6123);
	cpu.reg[VREG_CR0] |= CR0_WP;
	expect_fault(GVA4, GVA_WRITE, false, PF_P | PF_W);
	put(LEAF4, 4, 0x6000 | P | U);
	expect_page(GVA4, GVA_READ, false, 0x6123);
	cpu.reg[VREG_CR4] |= CR4_SMAP;
	expect_fault(GVA4, GVA_READ, false, PF_P);
	cpu.reg[VREG_RFLAGS] |= RFLAGS_AC;
	expect_page(GVA4, GVA_READ, false, 0x6123);
	cpu.reg[VREG_RFLAGS] &= ~RFLAGS_AC;
	expect_fault(GVA4, GVA_READ, false, PF_P);
	cr3 = cpu.reg[VREG_CR3];
	cpu.reg[VREG_CR4] &= ~CR4_SMAP;
	expect_page(GVA4, GVA_READ, false, 0x6123);
	cpu.reg[VREG_CR3] = 0x30000;
	expect_fault(GVA4, GVA_READ, false, 0);
	cpu.reg[VREG_CR3] = cr3;
	cpu.reg[VREG_EFER] &= ~EFER_NXE;
	put(LEAF4, 4, 0x6000 | P | U | NX);
	expect_fault(GVA4, GVA_READ, false, PF_P | PF_RSVD);
	cpu.reg[VREG_CR0] &= ~CR0_PG;
	expect_page(GVA4, GVA_READ, false, GVA4 & 0xffffffff);
}

static void tables_outside_of_memory(void)
{
	map4(0x9000 | P | W | U);
	put(0x2000, 2, 0x80000000 | P | W | U);
	CHECK(go(GVA4, GVA_READ, false) == -E_FAULT && fault.vector == 0);
	cpu.reg[VREG_CR3] = BITS(39, 12);
	CHECK(go(GVA4, GVA_READ, false) == -E_FAULT && fault.vector == 0);
}

static void copies_go_page_by_page(void)
{
	uint8_t buffer[8] = {0};

	map4(0x9000 | P | W | U);
	put(LEAF4, 5, 0x7000 | P | W | U);
	put(LEAF4, 6, 0x7f000000 | P | W | U);
	memcpy(ram + 0x9ffc, "abcd", 4);
	memcpy(ram + 0x7000, "efgh", 4);
	CHECK(!gva_read(&vm, (GVA4 & ~PAGE_MASK) + 0xffc, buffer, 8, GVA_READ, true, &fault));
	CHECK(!memcmp(buffer, "abcdefgh", 8));
	CHECK(!gva_write(&vm, (GVA4 & ~PAGE_MASK) + 0xffe, "WXYZ", 4, true, &fault));
	CHECK(!memcmp(ram + 0x9ffe, "WX", 2) && !memcmp(ram + 0x7000, "YZgh", 4));
	/* The third page is a device's, the fourth isn't mapped. */
	CHECK(gva_read(&vm, (GVA4 & ~PAGE_MASK) + 0x2000, buffer, 1, GVA_READ, true, &fault));
	CHECK_EQ(fault.vector, 0);
	CHECK(gva_write(&vm, (GVA4 & ~PAGE_MASK) + 0x2fff, "ab", 2, true, &fault));
	CHECK_EQ(fault.vector, 0);
	CHECK(gva_write(&vm, (GVA4 & ~PAGE_MASK) + 0x3000, "ab", 2, true, &fault));
	CHECK(fault.vector == VECTOR_PF && fault.error == (PF_W | PF_U));
	CHECK_EQ(fault.address, (GVA4 & ~PAGE_MASK) + 0x3000);
	CHECK(!gva_read(&vm, 0, buffer, 0, GVA_READ, true, &fault));
}

int main(void)
{
	RUN(without_paging_addresses_are_physical);
	RUN(four_levels);
	RUN(faults_leave_no_accessed_bits);
	RUN(rights_are_those_of_all_levels);
	RUN(supervisor_and_write_protection);
	RUN(smep_and_smap);
	RUN(without_nx_the_bit_is_reserved);
	RUN(reserved_bits);
	RUN(large_pages);
	RUN(not_canonical);
	RUN(five_levels);
	RUN(pae);
	RUN(two_levels);
	RUN(pages_of_4_mib);
	RUN(tables_and_registers_change);
	RUN(tables_outside_of_memory);
	RUN(copies_go_page_by_page);
	return TEST_RESULT();
}
