/* The guest's memory; see guestram.h. State is the caller's. Not on the exit path. */
#include "efi/guestram.h"
#include "base/mem.h"
#include "efi/uefi.h"

#define FREE_RANGES_MAX	 256u
#define RAM_LOW		 (1 * MIB)
#define RAM_HIGH	 (4 * GIB)
/* The firmware's drivers come back, and the host's loader and kernel must fit, before memory is returned. */
#define FIRMWARE_RESERVE (64 * MIB)

struct memory_map {
	uint8_t *data;
	UINTN size, stride;
};

static int memory_map_get(struct memory_map *ret_map)
{
	struct memory_map m = {0};
	UINTN key;
	UINT32 version;
	EFI_STATUS status;

	/* Allocating the buffer may split a range: leave room, and try again a few times. */
	for (unsigned tries = 0; tries < 4; tries++) {
		status = efi_bs->GetMemoryMap(&m.size, (void *)m.data, &key, &m.stride, &version);
		if (status != EFI_BUFFER_TOO_SMALL)
			break;
		if (m.data)
			efi_bs->FreePool(m.data);
		m.data = NULL;
		m.size += 8 * m.stride;
		status = efi_bs->AllocatePool(EfiBootServicesData, m.size, (void **)&m.data);
		if (EFI_ERROR(status))
			break;
	}
	if (!EFI_ERROR(status)) {
		*ret_map = m;
	} else if (m.data) {
		efi_bs->FreePool(m.data);
	}
	return uefi_error(status);
}

static int free_ranges(struct ram_range *ret, size_t max, size_t *ret_count)
{
	struct memory_map m = {0};
	size_t n = 0;
	int err = memory_map_get(&m);

	if (err)
		return err;
	for (UINTN at = 0; at + m.stride <= m.size && n < max; at += m.stride) {
		const EFI_MEMORY_DESCRIPTOR *d = (const void *)(m.data + at);

		if (d->Type == EfiConventionalMemory)
			ret[n++] = (struct ram_range){
				d->PhysicalStart, d->NumberOfPages * PAGE_SIZE};
	}
	efi_bs->FreePool(m.data);
	*ret_count = n;
	return 0;
}

static int take_run(struct guest_ram *ram, struct ram_range r)
{
	EFI_PHYSICAL_ADDRESS at = r.start;
	EFI_STATUS status = efi_bs->AllocatePages(
		AllocateAddress, EfiBootServicesData, r.len / PAGE_SIZE, &at);

	if (EFI_ERROR(status))
		return uefi_error(status);
	memset((void *)(uintptr_t)r.start, 0, r.len);
	ram->run[ram->count++] = r;
	return 0;
}

int guest_ram_take(struct guest_ram *ram, uint64_t size, uint64_t *ret_free)
{
	static struct ram_range ranges[FREE_RANGES_MAX];
	struct ram_range plan[GMEM_RUNS_MAX];
	size_t count, planned = 0;
	int err;

	ram->count = 0;
	err = free_ranges(ranges, FREE_RANGES_MAX, &count);
	if (err)
		return err;
	*ret_free = 0;
	for (size_t i = 0; i < count; i++)
		*ret_free += ranges[i].len;
	err = ram_plan(ranges, count, RAM_LOW, RAM_HIGH, size, FIRMWARE_RESERVE, plan,
		GMEM_RUNS_MAX, &planned);
	for (size_t i = 0; !err && i < planned; i++)
		err = take_run(ram, plan[i]);
	if (err)
		guest_ram_return(ram);
	return err;
}

void guest_ram_wipe(const struct guest_ram *ram)
{
	for (size_t i = 0; i < ram->count; i++)
		memset((void *)(uintptr_t)ram->run[i].start, 0, ram->run[i].len);
}

void guest_ram_return(struct guest_ram *ram)
{
	guest_ram_wipe(ram);
	while (ram->count) {
		struct ram_range r = ram->run[--ram->count];

		efi_bs->FreePages(r.start, r.len / PAGE_SIZE);
	}
}
