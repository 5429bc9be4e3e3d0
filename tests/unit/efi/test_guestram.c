/*
 * efi: guest memory is taken, wiped and given back whole. Over a firmware of the test's own: real
 * firmware may fill what is freed, and would hide a page that wasn't wiped.
 */
#include "base/bits.h"
#include "base/mem.h"
#include "efi/guestram.h"
#include "efi/uefi.h"
#include "test.h"

#include <sys/mman.h>

#define POOL_SIZE  (192 * MIB)
#define HOLE	   (80 * MIB)  /* splits the pool into 80 and 110 MiB */
#define GUEST_SIZE (120 * MIB) /* so that the guest's memory comes in two runs */

static uint8_t *pool;
static uint64_t taken, dirty, refuse_after;
static unsigned allocations;

static EFI_STATUS EFIAPI fake_map(
	UINTN *size, EFI_MEMORY_DESCRIPTOR *map, UINTN *key, UINTN *stride, UINT32 *version)
{
	EFI_MEMORY_DESCRIPTOR *all[] = {map, map + 1, map + 2};

	*stride = sizeof(*map);
	*key = 0;
	*version = 1;
	if (*size < array_size(all) * sizeof(*map)) {
		*size = array_size(all) * sizeof(*map);
		return EFI_BUFFER_TOO_SMALL;
	}
	*size = array_size(all) * sizeof(*map);
	for (size_t i = 0; i < array_size(all); i++)
		memset(all[i], 0, sizeof(*map));
	map[0].Type = EfiConventionalMemory;
	map[0].PhysicalStart = (uintptr_t)pool;
	map[0].NumberOfPages = HOLE / PAGE_SIZE;
	map[1].Type = EfiBootServicesCode;
	map[1].PhysicalStart = (uintptr_t)pool + HOLE;
	map[1].NumberOfPages = LARGE_SIZE / PAGE_SIZE;
	map[2].Type = EfiConventionalMemory;
	map[2].PhysicalStart = (uintptr_t)pool + HOLE + LARGE_SIZE;
	map[2].NumberOfPages = (POOL_SIZE - HOLE - LARGE_SIZE) / PAGE_SIZE;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI fake_pool(EFI_MEMORY_TYPE type, UINTN size, VOID **ret)
{
	(void)type;
	*ret = malloc(size);
	return *ret ? EFI_SUCCESS : EFI_OUT_OF_RESOURCES;
}

static EFI_STATUS EFIAPI fake_free_pool(VOID *p)
{
	free(p);
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI fake_pages(
	EFI_ALLOCATE_TYPE type, EFI_MEMORY_TYPE kind, UINTN pages, EFI_PHYSICAL_ADDRESS *at)
{
	CHECK(type == AllocateAddress && kind == EfiBootServicesData);
	CHECK(is_aligned(*at, LARGE_SIZE));
	if (allocations++ == refuse_after)
		return EFI_NOT_FOUND;
	taken += pages;
	return EFI_SUCCESS;
}

static uint64_t count_dirty(uint64_t at, uint64_t len)
{
	const uint64_t *words = (const uint64_t *)(uintptr_t)at;
	uint64_t count = 0;

	for (uint64_t i = 0; i < len / sizeof(*words); i++)
		count += words[i] != 0;
	return count;
}

static EFI_STATUS EFIAPI fake_free_pages(EFI_PHYSICAL_ADDRESS at, UINTN pages)
{
	dirty += count_dirty(at, pages * PAGE_SIZE);
	taken -= pages;
	return EFI_SUCCESS;
}

static EFI_BOOT_SERVICES services = {.GetMemoryMap = fake_map,
	.AllocatePool = fake_pool,
	.FreePool = fake_free_pool,
	.AllocatePages = fake_pages,
	.FreePages = fake_free_pages};

static void fresh(void)
{
	efi_bs = &services;
	taken = dirty = 0;
	allocations = 0;
	refuse_after = 99;
	memset(pool, 0x5a, POOL_SIZE);
}

static void comes_clean_and_goes_clean(void)
{
	struct guest_ram ram;
	uint64_t free = 0, size = 0;

	fresh();
	CHECK(!guest_ram_take(&ram, GUEST_SIZE, &free));
	for (size_t i = 0; i < ram.count; i++) {
		dirty += count_dirty(ram.run[i].start, ram.run[i].len);
		size += ram.run[i].len;
		memset((void *)(uintptr_t)ram.run[i].start, 0xc3, ram.run[i].len);
	}
	CHECK(ram.count == 2);
	CHECK(dirty == 0 && size == GUEST_SIZE && taken == GUEST_SIZE / PAGE_SIZE);
	CHECK_EQ(free, POOL_SIZE - LARGE_SIZE);
	guest_ram_return(&ram);
	CHECK(dirty == 0 && taken == 0 && ram.count == 0);
	guest_ram_return(&ram);
	CHECK_EQ(taken, 0);
}

static void refusals_give_back_what_was_taken(void)
{
	struct guest_ram ram;
	uint64_t free = 0;

	fresh();
	CHECK(guest_ram_take(&ram, POOL_SIZE, &free) == -E_NOMEM && free == POOL_SIZE - LARGE_SIZE);
	CHECK(allocations == 0 && ram.count == 0);
	fresh();
	/* The firmware gives the first run and not the second. */
	refuse_after = 1;
	CHECK(guest_ram_take(&ram, GUEST_SIZE, &free) == -E_NOENT);
	CHECK(allocations == 2 && taken == 0 && ram.count == 0 && dirty == 0);
}

int main(void)
{
	pool = mmap(NULL, POOL_SIZE + LARGE_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (pool == MAP_FAILED) {
		printf("no memory below 2 GiB for the test\n");
		return EXIT_FAILURE;
	}
	pool = (uint8_t *)align_up((uintptr_t)pool, LARGE_SIZE);
	RUN(comes_clean_and_goes_clean);
	RUN(refusals_give_back_what_was_taken);
	return TEST_RESULT();
}
