/* The guest's page tables and GDT at its start; see entry.h. No state. Runs before the guest only. */
#include "guest/entry.h"

/* SDM vol. 3A "4-Level Paging": present, writable, accessed, dirty, 2-MiB page. */
#define PT_TABLE 0x23ull
#define PT_LARGE 0xe3ull
#define PT_SLOTS 512u
#define PD_COUNT 4u /* 1 GiB each: all of the 32-bit space, so devices and framebuffer too */

/* PML4, page-directory-pointer table, PD_COUNT page directories: one page each, in this order. */
static int put_page_tables(struct gmem *m)
{
	uint64_t table[PT_SLOTS] = {GUEST_PAGE_TABLES + PAGE_SIZE + PT_TABLE};
	int err = gmem_write(m, gpa(GUEST_PAGE_TABLES), table, sizeof(table));

	for (unsigned i = 0; i < PD_COUNT; i++)
		table[i] = GUEST_PAGE_TABLES + (2 + i) * PAGE_SIZE + PT_TABLE;
	if (!err)
		err = gmem_write(m, gpa(GUEST_PAGE_TABLES + PAGE_SIZE), table, sizeof(table));
	for (unsigned i = 0; i < PD_COUNT && !err; i++) {
		for (unsigned n = 0; n < PT_SLOTS; n++)
			table[n] = i * GIB + n * LARGE_SIZE + PT_LARGE;
		err = gmem_write(
			m, gpa(GUEST_PAGE_TABLES + (2 + i) * PAGE_SIZE), table, sizeof(table));
	}
	return err;
}
_Static_assert(GUEST_PAGE_TABLES + (2 + PD_COUNT) * PAGE_SIZE < GUEST_STACK_TOP, "low memory");

/* Entry 2 is the code segment, entry 3 the data segment, as Linux's protocol demands. */
static const uint64_t gdt[] = {0, 0, 0x00af9b000000ffffull, 0x00cf93000000ffffull};

int guest_entry_put(struct gmem *m, uint64_t rip, uint64_t rsi, struct guest_entry *ret_entry)
{
	int err = put_page_tables(m);

	if (!err)
		err = gmem_write(m, gpa(GUEST_GDT), gdt, sizeof(gdt));
	if (err)
		return err;
	*ret_entry = (struct guest_entry){
		.rip = rip,
		.rsp = GUEST_STACK_TOP,
		.rsi = rsi,
		.cr3 = gpa(GUEST_PAGE_TABLES),
		.gdt = gpa(GUEST_GDT),
		.gdt_limit = sizeof(gdt) - 1,
	};
	return 0;
}
