/*
 * An EFI program that runs as a guest, calls every service of the guest's firmware and checks what comes
 * back; then the runtime services without boot services, at other addresses and with the old ones
 * unmapped. Says each mistake, and how many there were; ends with ResetSystem.
 */
#include "app/app.h"
#include "base/bits.h"
#include "base/mem.h"
#include "hw/cpu.h"

extern const char child_efi[], child_efi_end[];

static EFI_RUNTIME_SERVICES *rt;
static unsigned wrong;

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			app_say("efi-services: WRONG in line %u: %s", __LINE__, #cond);            \
			wrong++;                                                                   \
		}                                                                                  \
	} while (0)

#define OK(call) CHECK((call) == EFI_SUCCESS)

static EFI_GUID own_guid = {0x11223344, 1, 2, {3, 4, 5, 6, 7, 8, 9, 10}};
static EFI_GUID other_guid = {0x55667788, 1, 2, {3, 4, 5, 6, 7, 8, 9, 10}};
static EFI_GUID global_guid = EFI_GLOBAL_VARIABLE;
static EFI_GUID device_path_guid = DEVICE_PATH_PROTOCOL;

#define BOOT_ONLY    EFI_VARIABLE_BOOTSERVICE_ACCESS
#define BOOT_AND_RUN (EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS)

/* ---- memory ---- */

static union {
	EFI_MEMORY_DESCRIPTOR at[128];
	UINT8 bytes[8192];
} map;
static UINTN map_size, map_key, map_step;

static EFI_STATUS read_map(void)
{
	UINT32 version = 0;

	map_size = sizeof(map);
	return efi_bs->GetMemoryMap(&map_size, map.at, &map_key, &map_step, &version);
}

static EFI_MEMORY_DESCRIPTOR *map_entry(UINTN i)
{
	return (EFI_MEMORY_DESCRIPTOR *)(void *)(map.bytes + i * map_step);
}

static UINT32 type_of(UINT64 address)
{
	OK(read_map());
	for (UINTN i = 0; i < map_size / map_step; i++) {
		const EFI_MEMORY_DESCRIPTOR *d = map_entry(i);

		if (address >= d->PhysicalStart &&
			address - d->PhysicalStart < d->NumberOfPages * PAGE_SIZE)
			return d->Type;
	}
	return EfiMaxMemoryType;
}

static void test_memory(void)
{
	EFI_PHYSICAL_ADDRESS any = 0, low = 0xfffff, same;
	UINTN small = 1;
	void *pool;

	OK(efi_bs->AllocatePages(AllocateAnyPages, EfiLoaderData, 3, &any));
	CHECK(type_of(any) == EfiLoaderData);
	memset((void *)any, 0x5a, 3 * PAGE_SIZE);
	OK(efi_bs->AllocatePages(AllocateMaxAddress, EfiLoaderData, 1, &low));
	CHECK(low < 0x100000);
	same = low;
	CHECK(efi_bs->AllocatePages(AllocateAddress, EfiLoaderData, 1, &same) == EFI_NOT_FOUND);
	OK(efi_bs->FreePages(low, 1));
	OK(efi_bs->AllocatePages(AllocateAddress, EfiRuntimeServicesData, 1, &same));
	CHECK(type_of(low) == EfiRuntimeServicesData);
	OK(efi_bs->FreePages(low, 1));
	CHECK(efi_bs->FreePages(low, 1) == EFI_NOT_FOUND);
	OK(efi_bs->FreePages(any, 3));
	CHECK(type_of(any) == EfiConventionalMemory);
	CHECK(efi_bs->AllocatePages(AllocateAnyPages, EfiLoaderData, 1ull << 40, &any) ==
		EFI_OUT_OF_RESOURCES);
	OK(efi_bs->AllocatePool(EfiBootServicesData, 100000, &pool));
	memset(pool, 1, 100000);
	OK(efi_bs->FreePool(pool));
	CHECK(efi_bs->FreePool(NULL) == EFI_INVALID_PARAMETER);
	CHECK(efi_bs->GetMemoryMap(&small, map.at, &map_key, &map_step, NULL) ==
		EFI_BUFFER_TOO_SMALL);
	CHECK(small > 1);
}

/* ---- events ---- */

static unsigned notified;

static void EFIAPI notify(EFI_EVENT event, void *context)
{
	(void)event;
	notified += *(unsigned *)context;
}

static void test_events(void)
{
	EFI_EVENT timer, plain, noted;
	static unsigned amount = 3; /* the end of boot services still looks at it */
	UINTN index = 9;
	EFI_TPL before;

	OK(efi_bs->CreateEvent(0, 0, NULL, NULL, &plain));
	CHECK(efi_bs->CheckEvent(plain) == EFI_NOT_READY);
	OK(efi_bs->SignalEvent(plain));
	OK(efi_bs->CheckEvent(plain));
	CHECK(efi_bs->CheckEvent(plain) == EFI_NOT_READY);
	OK(efi_bs->CreateEvent(EVT_TIMER, 0, NULL, NULL, &timer));
	OK(efi_bs->SetTimer(timer, TimerRelative, 20000));
	OK(efi_bs->WaitForEvent(2, (EFI_EVENT[]){plain, timer}, &index));
	CHECK(index == 1);
	OK(efi_bs->CreateEventEx(
		EVT_NOTIFY_SIGNAL, TPL_CALLBACK, notify, &amount, &own_guid, &noted));
	before = efi_bs->RaiseTPL(TPL_NOTIFY);
	CHECK(before == TPL_APPLICATION);
	OK(efi_bs->SignalEvent(noted));
	CHECK(notified == 0);
	efi_bs->RestoreTPL(before);
	CHECK(notified == 3);
	OK(efi_bs->CloseEvent(noted));
	OK(efi_bs->CloseEvent(timer));
	OK(efi_bs->CloseEvent(plain));
	CHECK(efi_bs->CloseEvent(plain) == EFI_INVALID_PARAMETER);
	OK(efi_bs->CreateEvent(
		EVT_SIGNAL_EXIT_BOOT_SERVICES, TPL_CALLBACK, notify, &amount, &noted));
}

/* ---- protocols ---- */

static void test_protocols(void)
{
	EFI_HANDLE handle = NULL, found = NULL, *list;
	UINTN size = sizeof(found), count;
	int interface = 1, second = 2;
	EFI_GUID **guids;
	void *got;

	OK(efi_bs->InstallProtocolInterface(&handle, &own_guid, EFI_NATIVE_INTERFACE, &interface));
	OK(efi_bs->HandleProtocol(handle, &own_guid, &got));
	CHECK(got == &interface);
	CHECK(efi_bs->HandleProtocol(handle, &other_guid, &got) == EFI_UNSUPPORTED);
	CHECK(efi_bs->HandleProtocol(&second, &own_guid, &got) == EFI_INVALID_PARAMETER);
	/* The second of two is there already: neither may be. */
	CHECK(EFI_ERROR(efi_bs->InstallMultipleProtocolInterfaces(
		&handle, &other_guid, &second, &own_guid, &second, NULL)));
	CHECK(efi_bs->HandleProtocol(handle, &other_guid, &got) == EFI_UNSUPPORTED);
	OK(efi_bs->InstallMultipleProtocolInterfaces(&handle, &other_guid, &second, NULL));
	OK(efi_bs->OpenProtocol(
		handle, &other_guid, &got, efi_image, NULL, EFI_OPEN_PROTOCOL_GET_PROTOCOL));
	CHECK(got == &second);
	OK(efi_bs->CloseProtocol(handle, &other_guid, efi_image, NULL));
	OK(efi_bs->LocateHandle(ByProtocol, &own_guid, NULL, &size, &found));
	CHECK(found == handle);
	OK(efi_bs->LocateHandleBuffer(ByProtocol, &own_guid, NULL, &count, &list));
	CHECK(count == 1 && list[0] == handle);
	OK(efi_bs->FreePool(list));
	OK(efi_bs->LocateProtocol(&other_guid, NULL, &got));
	CHECK(got == &second);
	OK(efi_bs->ProtocolsPerHandle(handle, &guids, &count));
	CHECK(count == 2);
	OK(efi_bs->FreePool(guids));
	OK(efi_bs->UninstallMultipleProtocolInterfaces(
		handle, &own_guid, &interface, &other_guid, &second, NULL));
	CHECK(efi_bs->LocateProtocol(&own_guid, NULL, &got) == EFI_NOT_FOUND);
	CHECK(efi_bs->RegisterProtocolNotify(&own_guid, NULL, &got) == EFI_UNSUPPORTED);
	CHECK(efi_bs->RegisterProtocolNotify(&own_guid, NULL, &got) == EFI_UNSUPPORTED);
}

/* ---- images, and what the firmware says about this one ---- */

struct load_file {
	EFI_STATUS(EFIAPI *load)
	(struct load_file *self, EFI_DEVICE_PATH *path, BOOLEAN policy, UINTN *size, void *buffer);
};

static struct {
	VENDOR_DEVICE_PATH vendor;
	EFI_DEVICE_PATH end;
} __attribute__((packed)) initrd_path = {
	{{MEDIA_DEVICE_PATH, MEDIA_VENDOR_DP, {sizeof(VENDOR_DEVICE_PATH), 0}},
		{0x5568e427, 0x68fc, 0x4f3d, {0xac, 0x74, 0xca, 0x55, 0x52, 0x31, 0xcc, 0x68}}},
	{END_DEVICE_PATH_TYPE, END_ENTIRE_DEVICE_PATH_SUBTYPE, {sizeof(EFI_DEVICE_PATH), 0}}};

static void test_initrd(void)
{
	EFI_GUID guid = {
		0x4006c0c1, 0xfcb3, 0x403e, {0x99, 0x6d, 0x4a, 0x6c, 0x87, 0x24, 0xe0, 0x6d}};
	EFI_DEVICE_PATH *path = (void *)&initrd_path;
	struct load_file *file;
	EFI_HANDLE handle;
	UINTN size = 0;
	uint8_t *data;

	OK(efi_bs->LocateDevicePath(&guid, &path, &handle));
	CHECK(path == &initrd_path.end);
	OK(efi_bs->HandleProtocol(handle, &guid, (void **)&file));
	CHECK(file->load(file, path, FALSE, &size, NULL) == EFI_BUFFER_TOO_SMALL);
	CHECK(size == 5000);
	OK(efi_bs->AllocatePool(EfiLoaderData, size, (void **)&data));
	OK(file->load(file, path, FALSE, &size, data));
	for (UINTN i = 0; i < size; i++) {
		if (data[i] != (uint8_t)(i * 7)) {
			CHECK(data[i] == (uint8_t)(i * 7));
			break;
		}
	}
	OK(efi_bs->FreePool(data));
}

static void test_images(void)
{
	EFI_GUID guid = LOADED_IMAGE_PROTOCOL;
	static const CHAR16 options[] = u"one two";
	EFI_LOADED_IMAGE *loaded;
	EFI_HANDLE child;
	void *path;

	OK(efi_bs->HandleProtocol(efi_image, &guid, (void **)&loaded));
	CHECK(loaded->LoadOptionsSize == sizeof(options));
	CHECK(!memcmp(loaded->LoadOptions, options, sizeof(options)));
	CHECK((uintptr_t)loaded->ImageBase <= (uintptr_t)test_images &&
		(uintptr_t)test_images - (uintptr_t)loaded->ImageBase < loaded->ImageSize);
	OK(efi_bs->HandleProtocol(loaded->DeviceHandle, &device_path_guid, &path));
	CHECK(DevicePathType(loaded->FilePath) == MEDIA_DEVICE_PATH);
	OK(efi_bs->LoadImage(FALSE, efi_image, NULL, (void *)(uintptr_t)child_efi,
		(UINTN)(child_efi_end - child_efi), &child));
	CHECK(efi_bs->StartImage(child, NULL, NULL) == 0x1234);
	CHECK(efi_bs->StartImage(child, NULL, NULL) == EFI_INVALID_PARAMETER);
	CHECK(efi_bs->LoadImage(FALSE, efi_image, NULL, (void *)(uintptr_t)child_efi, 100,
		      &child) == EFI_LOAD_ERROR);
	OK(efi_bs->LoadImage(FALSE, efi_image, NULL, (void *)(uintptr_t)child_efi,
		(UINTN)(child_efi_end - child_efi), &child));
	OK(efi_bs->UnloadImage(child));
	CHECK(efi_bs->LoadImage(FALSE, efi_image, NULL, NULL, 0, &child) == EFI_NOT_FOUND);
}

static void test_rest(void)
{
	EFI_GUID random_guid = EFI_RNG_PROTOCOL_GUID;
	EFI_RNG_PROTOCOL *random;
	UINT8 bytes[37] = {0};
	unsigned set = 0;
	UINT64 one, two;
	UINT32 crc;

	OK(efi_bs->CalculateCrc32((void *)(uintptr_t) "123456789", 9, &crc));
	CHECK(crc == 0xcbf43926);
	efi_bs->SetMem(bytes, sizeof(bytes), 7);
	efi_bs->CopyMem(bytes + 1, bytes, 30);
	CHECK(bytes[36] == 7);
	OK(efi_bs->GetNextMonotonicCount(&one));
	OK(efi_bs->GetNextMonotonicCount(&two));
	CHECK(two > one);
	OK(efi_bs->Stall(1000));
	OK(efi_bs->SetWatchdogTimer(0, 0, 0, NULL));
	OK(efi_bs->InstallConfigurationTable(&own_guid, bytes));
	CHECK(efi_st->ConfigurationTable[efi_st->NumberOfTableEntries - 1].VendorTable == bytes);
	OK(efi_bs->InstallConfigurationTable(&own_guid, NULL));
	CHECK(efi_bs->InstallConfigurationTable(&own_guid, NULL) == EFI_NOT_FOUND);
	OK(efi_bs->LocateProtocol(&random_guid, NULL, (void **)&random));
	memset(bytes, 0, sizeof(bytes));
	OK(random->GetRNG(random, NULL, sizeof(bytes), bytes));
	for (unsigned i = 0; i < sizeof(bytes); i++)
		set += bytes[i] != 0;
	CHECK(set > sizeof(bytes) / 2);
	OK(efi_st->ConOut->OutputString(
		efi_st->ConOut, (CHAR16 *)(uintptr_t)u"efi-services: ConOut\r\n"));
	CHECK(efi_st->ConIn->ReadKeyStroke(efi_st->ConIn, &(EFI_INPUT_KEY){0}) == EFI_NOT_READY);
}

/* ---- runtime services; everything they see lies where it is mapped before and after ---- */

static void test_time(void)
{
	EFI_TIME t = {0};

	OK(rt->GetTime(&t, NULL));
	CHECK(t.Year >= 2020 && t.Year < 2100 && t.Month >= 1 && t.Month <= 12 && t.Hour < 24);
	CHECK(rt->SetTime(&t) == EFI_UNSUPPORTED);
}

static CHAR16 name_secure[] = u"SecureBoot", name_own[] = u"Own", name_boot[] = u"BootOnly";

static unsigned count_variables(void)
{
	CHAR16 name[128] = {0};
	EFI_GUID guid = {0};
	unsigned count = 0;
	UINTN size;

	for (; count < 100; count++) {
		size = sizeof(name);
		if (EFI_ERROR(rt->GetNextVariableName(&size, name, &guid)))
			break;
	}
	CHECK(rt->GetNextVariableName(&size, name, &guid) == EFI_NOT_FOUND);
	return count;
}

static void test_variables(UINT32 attributes)
{
	UINT64 size, left, before, largest;
	UINT8 value[16] = {0};
	UINTN len = sizeof(value);
	UINT32 got = 0;
	unsigned count = count_variables();

	OK(rt->GetVariable(name_secure, &global_guid, &got, &len, value));
	CHECK(len == 1 && (got & EFI_VARIABLE_RUNTIME_ACCESS));
	CHECK(rt->SetVariable(name_secure, &global_guid, got, 1, value) == EFI_WRITE_PROTECTED);
	CHECK(rt->SetVariable(name_secure, &global_guid, 0, 0, NULL) == EFI_WRITE_PROTECTED);
	len = sizeof(value);
	CHECK(rt->GetVariable(name_own, &own_guid, NULL, &len, value) == EFI_NOT_FOUND);
	OK(rt->QueryVariableInfo(attributes, &size, &before, &largest));
	OK(rt->SetVariable(name_own, &own_guid, attributes, 5, (void *)(uintptr_t) "12345"));
	CHECK(count_variables() == count + 1);
	OK(rt->SetVariable(name_own, &own_guid, attributes | EFI_VARIABLE_APPEND_WRITE, 3,
		(void *)(uintptr_t) "678"));
	len = 4;
	CHECK(rt->GetVariable(name_own, &own_guid, NULL, &len, value) == EFI_BUFFER_TOO_SMALL);
	CHECK(len == 8);
	OK(rt->GetVariable(name_own, &own_guid, &got, &len, value));
	CHECK(got == attributes && !memcmp(value, "12345678", 8));
	OK(rt->QueryVariableInfo(attributes, &size, &left, &largest));
	CHECK(before - left == 8);
	OK(rt->SetVariable(name_own, &own_guid, attributes, 0, NULL));
	CHECK(count_variables() == count);
}

/* ---- the runtime services' pages somewhere else ---- */

#define PT_PRESENT 3ull
#define PT_LARGE   0x80ull
#define PT_ADDRESS 0xffffffffff000ull
#define SLOT	   1u /* of the top table: 512 GiB to 1 TiB, where nothing is */
#define VIRTUAL	   (512ull << 30)

static uint64_t tables[4][512] __attribute__((aligned(4096)));

static uint64_t *table_of(uint64_t entry)
{
	return (uint64_t *)(entry & PT_ADDRESS);
}

/* The first 2 MiB in pages of 4 KiB, so that single ones can be taken away. */
static uint64_t *split_first(void)
{
	uint64_t *pdpt = table_of(table_of(hw_read_cr(3))[0]), *pd = table_of(pdpt[0]);

	for (unsigned i = 0; i < 512; i++)
		tables[3][i] = i * PAGE_SIZE | PT_PRESENT;
	CHECK(pd[0] & PT_LARGE);
	pd[0] = (uintptr_t)tables[3] | PT_PRESENT;
	return tables[3];
}

/* Each runtime page at twice its distance, so that code and data are no longer as far apart. */
static void move_runtime(void)
{
	uint64_t *first = split_first(), *top = table_of(hw_read_cr(3));

	top[SLOT] = (uintptr_t)tables[0] | PT_PRESENT;
	tables[0][0] = (uintptr_t)tables[1] | PT_PRESENT;
	tables[1][0] = (uintptr_t)tables[2] | PT_PRESENT;
	for (UINTN i = 0; i < map_size / map_step; i++) {
		EFI_MEMORY_DESCRIPTOR *d = map_entry(i);

		if (!(d->Attribute & EFI_MEMORY_RUNTIME))
			continue;
		d->VirtualStart = VIRTUAL + 16 * PAGE_SIZE * (i + 1);
		CHECK(d->NumberOfPages <= 16 && i < 31);
		for (UINTN n = 0; n < d->NumberOfPages; n++)
			tables[2][16 * (i + 1) + n] = (d->PhysicalStart + n * PAGE_SIZE) |
						      PT_PRESENT;
	}
	hw_write_cr(3, hw_read_cr(3));
	OK(rt->SetVirtualAddressMap(map_size, map_step, EFI_MEMORY_DESCRIPTOR_VERSION, map.at));
	rt = efi_st->RuntimeServices;
	efi_st = NULL;
	for (UINTN i = 0; i < map_size / map_step; i++) {
		const EFI_MEMORY_DESCRIPTOR *d = map_entry(i);

		for (UINTN n = 0; n < d->NumberOfPages && (d->Attribute & EFI_MEMORY_RUNTIME); n++)
			first[d->PhysicalStart / PAGE_SIZE + n] = 0;
	}
	hw_write_cr(3, hw_read_cr(3));
	CHECK((uintptr_t)rt >= VIRTUAL && (uintptr_t)rt->GetTime >= VIRTUAL);
}

static void test_after_boot(void)
{
	UINT8 value[16];
	UINTN len = sizeof(value);

	notified = 0;
	OK(rt->SetVariable(name_boot, &own_guid, BOOT_ONLY, 1, value));
	OK(read_map());
	CHECK(efi_bs->ExitBootServices(efi_image, map_key + 1) == EFI_INVALID_PARAMETER);
	OK(efi_bs->ExitBootServices(efi_image, map_key));
	CHECK(notified == 3);
	CHECK(!efi_st->BootServices && !efi_st->ConOut);
	CHECK(rt->GetVariable(name_boot, &own_guid, NULL, &len, value) == EFI_NOT_FOUND);
	CHECK(rt->SetVariable(name_boot, &own_guid, BOOT_ONLY, 1, value) == EFI_INVALID_PARAMETER);
	test_variables(BOOT_AND_RUN);
	move_runtime();
	test_time();
	test_variables(BOOT_AND_RUN | EFI_VARIABLE_NON_VOLATILE);
	CHECK(rt->SetVirtualAddressMap(map_size, map_step, EFI_MEMORY_DESCRIPTOR_VERSION, map.at) ==
		EFI_UNSUPPORTED);
	CHECK(rt->ResetSystem(17, EFI_SUCCESS, 0, NULL) == EFI_INVALID_PARAMETER);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st);

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st)
{
	app_init(image, st);
	rt = st->RuntimeServices;
	app_say("efi-services: started");
	test_memory();
	test_events();
	test_protocols();
	test_images();
	test_initrd();
	test_rest();
	test_time();
	test_variables(BOOT_ONLY);
	test_after_boot();
	app_say("efi-services: %u wrong", wrong);
	rt->ResetSystem(EfiResetShutdown, EFI_SUCCESS, 0, NULL);
	app_say("efi-services: still here");
	return EFI_SUCCESS;
}
