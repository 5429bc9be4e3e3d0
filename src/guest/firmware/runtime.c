/*
 * "Services - Runtime Services". This file and what it calls are all that is left when an operating
 * system runs. It maps these pages where it likes, so that the code here is position independent and
 * has no state: each service is a call to Postern with what is on the caller's stack. Only
 * SetVirtualAddressMap touches data, in the moment before it is moved. Runs in the guest.
 */
#include "base/mem.h"
#include "guest/firmware/firmware.h"

/* "Time Services": 1 Hz, half a minute of drift in a month at most, seconds aren't set to zero. */
#define TIME_RESOLUTION 1u
#define TIME_ACCURACY	50000000u /* 1e-12 */

uint32_t table_crc32(const void *data, size_t len)
{
	const uint8_t *s = data;
	uint32_t crc = ~0u;

	while (len--) {
		crc ^= *s++;
		for (unsigned i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

void table_seal(EFI_TABLE_HEADER *header)
{
	header->CRC32 = 0;
	header->CRC32 = table_crc32(header, header->HeaderSize);
}

static EFI_STATUS to_status(int32_t result)
{
	switch (result) {
	case 0:
		return EFI_SUCCESS;
	case POSTERN_CALL_ENOENT:
		return EFI_NOT_FOUND;
	case POSTERN_CALL_EIO:
		return EFI_DEVICE_ERROR;
	case POSTERN_CALL_ENOMEM:
		return EFI_OUT_OF_RESOURCES;
	case POSTERN_CALL_EACCES:
		return EFI_WRITE_PROTECTED;
	case POSTERN_CALL_ETOOSMALL:
		return EFI_BUFFER_TOO_SMALL;
	case POSTERN_CALL_ENOSYS:
		return EFI_UNSUPPORTED;
	default:
		return EFI_INVALID_PARAMETER;
	}
}

static EFI_STATUS EFIAPI get_time(EFI_TIME *time, EFI_TIME_CAPABILITIES *capabilities)
{
	if (!time)
		return EFI_INVALID_PARAMETER;
	if (capabilities)
		*capabilities = (EFI_TIME_CAPABILITIES){TIME_RESOLUTION, TIME_ACCURACY, FALSE};
	return to_status(postern_call(POSTERN_CALL_GET_TIME, 0, time, 0));
}

static EFI_STATUS EFIAPI set_time(EFI_TIME *time)
{
	(void)time;
	return no_service(POSTERN_NO_SET_TIME);
}

static EFI_STATUS EFIAPI get_wakeup_time(BOOLEAN *enabled, BOOLEAN *pending, EFI_TIME *time)
{
	(void)enabled;
	(void)pending;
	(void)time;
	return no_service(POSTERN_NO_GET_WAKEUP_TIME);
}

static EFI_STATUS EFIAPI set_wakeup_time(BOOLEAN enable, EFI_TIME *time)
{
	(void)enable;
	(void)time;
	return no_service(POSTERN_NO_SET_WAKEUP_TIME);
}

/* ---- variables ---- */

/* The length of a name in bytes; more than POSTERN_VARIABLE_NAME_MAX if it is longer than that. */
static uint32_t name_size(const CHAR16 *name)
{
	uint32_t n = 0;

	while (n <= POSTERN_VARIABLE_NAME_MAX / sizeof(CHAR16) && name[n])
		n++;
	return n * (uint32_t)sizeof(CHAR16);
}

/* What doesn't fit 32 bits has room for everything. */
static uint32_t room_of(UINTN size)
{
	return size > 0xffffffff ? 0xffffffff : (uint32_t)size;
}

static struct postern_variable variable_of(const CHAR16 *name, const EFI_GUID *guid)
{
	struct postern_variable v = {.name = (uintptr_t)name, .name_size = name_size(name)};

	memcpy(v.guid, guid, sizeof(v.guid));
	return v;
}

static EFI_STATUS EFIAPI get_variable(
	CHAR16 *name, EFI_GUID *guid, UINT32 *attributes, UINTN *size, VOID *data)
{
	struct postern_variable v;
	EFI_STATUS status;

	if (!name || !guid || !size || (*size && !data))
		return EFI_INVALID_PARAMETER;
	v = variable_of(name, guid);
	v.data = (uintptr_t)data;
	v.data_size = room_of(*size);
	status = to_status(postern_call(POSTERN_CALL_GET_VARIABLE, 0, &v, sizeof(v)));
	if (EFI_ERROR(status) && status != EFI_BUFFER_TOO_SMALL)
		return status;
	*size = v.data_size;
	if (attributes)
		*attributes = v.attributes;
	return status;
}

static EFI_STATUS EFIAPI set_variable(
	CHAR16 *name, EFI_GUID *guid, UINT32 attributes, UINTN size, VOID *data)
{
	struct postern_variable v;

	if (!name || !guid || (size && !data))
		return EFI_INVALID_PARAMETER;
	v = variable_of(name, guid);
	v.data = (uintptr_t)data;
	v.data_size = room_of(size);
	v.attributes = attributes;
	return to_status(postern_call(POSTERN_CALL_SET_VARIABLE, 0, &v, sizeof(v)));
}

static EFI_STATUS EFIAPI get_next_variable(UINTN *size, CHAR16 *name, EFI_GUID *guid)
{
	struct postern_variable v;
	EFI_STATUS status;

	if (!size || !name || !guid)
		return EFI_INVALID_PARAMETER;
	v = variable_of(name, guid);
	v.data = (uintptr_t)name;
	v.data_size = room_of(*size);
	status = to_status(postern_call(POSTERN_CALL_NEXT_VARIABLE, 0, &v, sizeof(v)));
	if (!EFI_ERROR(status))
		memcpy(guid, v.guid, sizeof(v.guid));
	if (!EFI_ERROR(status) || status == EFI_BUFFER_TOO_SMALL)
		*size = v.data_size;
	return status;
}

static EFI_STATUS EFIAPI query_variable_info(
	UINT32 attributes, UINT64 *size, UINT64 *left, UINT64 *variable_max)
{
	struct postern_variable_info info = {0};
	EFI_STATUS status;

	(void)attributes;
	if (!size || !left || !variable_max)
		return EFI_INVALID_PARAMETER;
	status = to_status(postern_call(POSTERN_CALL_VARIABLE_INFO, 0, &info, sizeof(info)));
	if (EFI_ERROR(status))
		return status;
	*size = info.size;
	*left = info.left;
	*variable_max = info.variable_max;
	return EFI_SUCCESS;
}

/* ---- the rest ---- */

static EFI_STATUS EFIAPI get_high_monotonic_count(UINT32 *count)
{
	(void)count;
	return no_service(POSTERN_NO_GET_NEXT_HIGH_MONOTONIC_COUNT);
}

/* Returns only if Postern doesn't know the type. */
static EFI_STATUS EFIAPI reset_system(
	EFI_RESET_TYPE type, EFI_STATUS status, UINTN size, CHAR16 *data)
{
	(void)status;
	(void)size;
	(void)data;
	return to_status(postern_call(POSTERN_CALL_RESET, type, NULL, 0));
}

static EFI_STATUS EFIAPI update_capsule(
	EFI_CAPSULE_HEADER **capsules, UINTN count, EFI_PHYSICAL_ADDRESS list)
{
	(void)capsules;
	(void)count;
	(void)list;
	return no_service(POSTERN_NO_UPDATE_CAPSULE);
}

static EFI_STATUS EFIAPI query_capsule(
	EFI_CAPSULE_HEADER **capsules, UINTN count, UINT64 *size_max, EFI_RESET_TYPE *type)
{
	(void)capsules;
	(void)count;
	(void)size_max;
	(void)type;
	return no_service(POSTERN_NO_QUERY_CAPSULE_CAPABILITIES);
}

/* Once per session, and only for the tables here: no program's pointers are converted. */
static EFI_STATUS EFIAPI convert_pointer(UINTN disposition, VOID **address)
{
	(void)disposition;
	(void)address;
	return no_service(POSTERN_NO_CONVERT_POINTER);
}

static EFI_STATUS EFIAPI no_address_map(
	UINTN size, UINTN descriptor_size, UINT32 version, EFI_MEMORY_DESCRIPTOR *map)
{
	(void)size;
	(void)descriptor_size;
	(void)version;
	(void)map;
	return no_service(POSTERN_NO_SET_VIRTUAL_ADDRESS_MAP);
}

struct address_map {
	const uint8_t *at;
	UINTN size, step;
};

/* The virtual address of a pointer; false if no runtime descriptor has it. */
static bool convert(const struct address_map *m, void *pointer)
{
	uint64_t *p = pointer;

	for (UINTN i = 0; m->size - i >= m->step; i += m->step) {
		const EFI_MEMORY_DESCRIPTOR *d = (const void *)(m->at + i);

		if (!(d->Attribute & EFI_MEMORY_RUNTIME) || *p < d->PhysicalStart ||
			(*p - d->PhysicalStart) / PAGE_SIZE >= d->NumberOfPages)
			continue;
		*p += d->VirtualStart - d->PhysicalStart;
		return true;
	}
	return false;
}

/*
 * The tables are changed as a copy, so that a map that lacks something changes nothing. They are the last
 * thing that is written here at the old address.
 */
static EFI_STATUS EFIAPI set_virtual_address_map(
	UINTN size, UINTN descriptor_size, UINT32 version, EFI_MEMORY_DESCRIPTOR *map)
{
	const struct address_map m = {(const uint8_t *)map, size, descriptor_size};
	EFI_RUNTIME_SERVICES services = runtime_tables.services;
	EFI_SYSTEM_TABLE system = runtime_tables.system;
	uint64_t *function = (void *)&services.GetTime;
	uint64_t *end = (void *)(&services + 1);

	if (!map || version != EFI_MEMORY_DESCRIPTOR_VERSION || descriptor_size < sizeof(*map))
		return EFI_INVALID_PARAMETER;
	services.SetVirtualAddressMap = no_address_map;
	for (; function < end; function++)
		if (!convert(&m, function))
			return EFI_NOT_FOUND;
	if (!convert(&m, &system.RuntimeServices) || !convert(&m, &system.FirmwareVendor) ||
		!convert(&m, &system.ConfigurationTable))
		return EFI_NOT_FOUND;
	table_seal(&services.Hdr);
	table_seal(&system.Hdr);
	runtime_tables.services = services;
	runtime_tables.system = system;
	return EFI_SUCCESS;
}

void runtime_fill_services(EFI_RUNTIME_SERVICES *rs)
{
	rs->GetTime = get_time;
	rs->SetTime = set_time;
	rs->GetWakeupTime = get_wakeup_time;
	rs->SetWakeupTime = set_wakeup_time;
	rs->SetVirtualAddressMap = set_virtual_address_map;
	rs->ConvertPointer = convert_pointer;
	rs->GetVariable = get_variable;
	rs->GetNextVariableName = get_next_variable;
	rs->SetVariable = set_variable;
	rs->GetNextHighMonotonicCount = get_high_monotonic_count;
	rs->ResetSystem = reset_system;
	rs->UpdateCapsule = update_capsule;
	rs->QueryCapsuleCapabilities = query_capsule;
	rs->QueryVariableInfo = query_variable_info;
}
