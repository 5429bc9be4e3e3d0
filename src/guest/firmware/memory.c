/*
 * "Memory Allocation Services" over the page map. Pool memory is whole pages: programs that start an
 * operating system ask for little and not for long. Runs in the guest.
 */
#include "base/bits.h"
#include "base/error.h"
#include "base/mem.h"
#include "guest/firmware/firmware.h"

#define POOL_MAGIC   0x6c6f6f70u /* "pool" */
#define ADDRESS_LAST 0xffffffffull

struct pool {
	uint32_t magic, reserved;
	uint64_t pages;
	/* The memory handed out follows, and is aligned to 16. */
};
_Static_assert(sizeof(struct pool) == 16, "pool header");

EFI_STATUS memory_status(int error)
{
	switch (error) {
	case 0:
		return EFI_SUCCESS;
	case -E_NOMEM:
		return EFI_OUT_OF_RESOURCES;
	case -E_NOENT:
		return EFI_NOT_FOUND;
	default:
		return EFI_INVALID_PARAMETER;
	}
}

/* Types that a program may have: not free memory, and none of the reserved ones from 15 on. */
static bool type_is_fit(EFI_MEMORY_TYPE type)
{
	return (unsigned)type < EfiMaxMemoryType && type != EfiConventionalMemory;
}

static EFI_STATUS EFIAPI allocate_pages(
	EFI_ALLOCATE_TYPE how, EFI_MEMORY_TYPE type, UINTN pages, EFI_PHYSICAL_ADDRESS *memory)
{
	uint64_t base = 0;
	int err;

	if (!memory || (!type_is_fit(type) && (uint32_t)type < 0x70000000u))
		return EFI_INVALID_PARAMETER;
	switch (how) {
	case AllocateAnyPages:
	case AllocateMaxAddress:
		err = pages_take(&firmware.pages, pages, PAGE_SIZE,
			how == AllocateMaxAddress ? *memory : ADDRESS_LAST, type, &base);
		break;
	case AllocateAddress:
		base = *memory;
		err = pages_change(&firmware.pages, base, pages, EfiConventionalMemory, type);
		break;
	default:
		return EFI_INVALID_PARAMETER;
	}
	if (err)
		return memory_status(err);
	*memory = base;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI free_pages(EFI_PHYSICAL_ADDRESS memory, UINTN pages)
{
	return memory_status(pages_free(&firmware.pages, memory, pages));
}

static EFI_STATUS EFIAPI allocate_pool(EFI_MEMORY_TYPE type, UINTN size, VOID **ret)
{
	EFI_PHYSICAL_ADDRESS at = 0;
	struct pool *p;
	EFI_STATUS status;
	uint64_t pages;

	if (!ret || size > GUEST_SIZE_MAX)
		return EFI_INVALID_PARAMETER;
	pages = align_up(size + sizeof(*p), PAGE_SIZE) / PAGE_SIZE;
	status = allocate_pages(AllocateAnyPages, type, pages, &at);
	if (EFI_ERROR(status))
		return status;
	p = (struct pool *)at;
	*p = (struct pool){.magic = POOL_MAGIC, .pages = pages};
	*ret = p + 1;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI free_pool(VOID *buffer)
{
	struct pool *p;

	if (!buffer || (uintptr_t)buffer % PAGE_SIZE != sizeof(*p))
		return EFI_INVALID_PARAMETER;
	p = (struct pool *)buffer - 1;
	if (p->magic != POOL_MAGIC)
		return EFI_INVALID_PARAMETER;
	p->magic = 0;
	return free_pages((uintptr_t)p, p->pages);
}

void *memory_pool(EFI_MEMORY_TYPE type, UINTN size)
{
	void *p;

	return EFI_ERROR(allocate_pool(type, size, &p)) ? NULL : memset(p, 0, size);
}

static EFI_MEMORY_DESCRIPTOR describe(const struct page_range *r)
{
	bool runtime = r->type == EfiRuntimeServicesCode || r->type == EfiRuntimeServicesData;

	return (EFI_MEMORY_DESCRIPTOR){
		.Type = r->type,
		.PhysicalStart = r->base,
		.NumberOfPages = r->pages,
		.Attribute = EFI_MEMORY_WB | (runtime ? EFI_MEMORY_RUNTIME : 0),
	};
}

static EFI_STATUS EFIAPI get_memory_map(UINTN *size, EFI_MEMORY_DESCRIPTOR *map, UINTN *key,
	UINTN *descriptor_size, UINT32 *descriptor_version)
{
	UINTN room, needed = firmware.pages.count * sizeof(*map);

	if (!size)
		return EFI_INVALID_PARAMETER;
	room = *size;
	*size = needed;
	if (descriptor_size)
		*descriptor_size = sizeof(*map);
	if (descriptor_version)
		*descriptor_version = EFI_MEMORY_DESCRIPTOR_VERSION;
	if (room < needed)
		return EFI_BUFFER_TOO_SMALL;
	if (!map)
		return EFI_INVALID_PARAMETER;
	for (unsigned i = 0; i < firmware.pages.count; i++)
		map[i] = describe(&firmware.pages.range[i]);
	if (key)
		*key = firmware.pages.key;
	return EFI_SUCCESS;
}

static VOID EFIAPI copy_mem(VOID *to, VOID *from, UINTN len)
{
	memmove(to, from, len);
}

static VOID EFIAPI set_mem(VOID *at, UINTN len, UINT8 value)
{
	memset(at, value, len);
}

void memory_fill_services(EFI_BOOT_SERVICES *bs)
{
	bs->AllocatePages = allocate_pages;
	bs->FreePages = free_pages;
	bs->GetMemoryMap = get_memory_map;
	bs->AllocatePool = allocate_pool;
	bs->FreePool = free_pool;
	bs->CopyMem = copy_mem;
	bs->SetMem = set_mem;
}

static void claim(uint64_t from, uint64_t to, EFI_MEMORY_TYPE type)
{
	uint64_t base = align_down(from, PAGE_SIZE);

	if (to > base &&
		pages_change(&firmware.pages, base, (align_up(to, PAGE_SIZE) - base) / PAGE_SIZE,
			EfiConventionalMemory, type))
		firmware_stop();
}

static void claim_range(struct guest_range r, EFI_MEMORY_TYPE type)
{
	if (r.len)
		claim(r.base, r.base + r.len, type);
}

/*
 * What is there at the start: Postern's structures in low memory, address 0 among them, this firmware,
 * and the files.
 */
void memory_init(void)
{
	const struct firmware_handover *h = &firmware.handover;

	for (unsigned i = 0; i < GUEST_RAM_RANGES; i++)
		if (pages_add(
			    &firmware.pages, h->ram[i].base, h->ram[i].len, EfiConventionalMemory))
			firmware_stop();
	claim(0, GUEST_STACK_TOP, EfiBootServicesData);
	claim((uintptr_t)firmware_start, (uintptr_t)boot_end, EfiBootServicesCode);
	claim((uintptr_t)boot_end, (uintptr_t)runtime_text_end, EfiRuntimeServicesCode);
	claim((uintptr_t)runtime_text_end, (uintptr_t)runtime_data_end, EfiRuntimeServicesData);
	claim((uintptr_t)runtime_data_end, (uintptr_t)firmware_end, EfiBootServicesData);
	claim_range(h->image, EfiBootServicesData);
	claim_range(h->initramfs, EfiBootServicesData);
}
