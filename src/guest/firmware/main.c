/* The guest's firmware from its start to the program's end; see firmware.h. Runs in the guest. */
#include "base/fmt.h"
#include "base/mem.h"
#include "guest/firmware/firmware.h"

struct firmware firmware;
struct runtime_tables runtime_tables __attribute__((section(".runtime.data"), aligned(4096)));

void firmware_main(const struct firmware_handover *handover);
_Noreturn void firmware_exception(uint64_t vector, uint64_t error, uint64_t rip);
extern const char exception_stubs[];

void firmware_log(const char *format, ...)
{
	char line[POSTERN_LOG_LINE_MAX];
	va_list args;

	va_start(args, format);
	fmt_vprint(line, sizeof(line), format, args);
	va_end(args);
	postern_call(POSTERN_CALL_LOG, 0, line, strlen(line));
}

void firmware_stop(void)
{
	postern_call(POSTERN_CALL_FAIL, POSTERN_FAIL_OTHER, NULL, 0);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void firmware_exception(uint64_t vector, uint64_t error, uint64_t rip)
{
	firmware_log("firmware: exception %lu, error 0x%lx, at 0x%lx", vector, error, rip);
	firmware_stop();
}

/* SDM vol. 3A "64-Bit Mode IDT": interrupt gates, in the loader's code segment. */
#define VECTORS	     32u
#define STUB_SIZE    16u
#define GATE_PRESENT 0x8eu
#define CODE_SEGMENT 0x10u

static struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
} idt[VECTORS];
_Static_assert(sizeof(struct gate) == 16, "gate");

static void catch_exceptions(void)
{
	struct {
		uint16_t limit;
		const void *base;
	} __attribute__((packed)) table = {sizeof(idt) - 1, idt};

	for (unsigned i = 0; i < VECTORS; i++) {
		uint64_t stub = (uintptr_t)(exception_stubs + (size_t)i * STUB_SIZE);

		idt[i] = (struct gate){.offset_low = (uint16_t)stub,
			.selector = CODE_SEGMENT,
			.type = GATE_PRESENT,
			.offset_middle = (uint16_t)(stub >> 16),
			.offset_high = (uint32_t)(stub >> 32)};
	}
	__asm__ volatile("lidt %0" : : "m"(table));
}

static EFI_TABLE_HEADER header(UINT64 signature, UINT32 size)
{
	return (EFI_TABLE_HEADER){
		.Signature = signature, .Revision = FIRMWARE_REVISION, .HeaderSize = size};
}

static void offer_table(EFI_GUID guid, uint64_t table)
{
	if (table && EFI_ERROR(firmware.boot.InstallConfigurationTable(&guid, (void *)table)))
		firmware_stop();
}

/* "EFI_RT_PROPERTIES_TABLE": what is there after ExitBootServices. */
#define RT_GET_TIME	       0x0001u
#define RT_GET_VARIABLE	       0x0010u
#define RT_GET_NEXT_VARIABLE   0x0020u
#define RT_SET_VARIABLE	       0x0040u
#define RT_SET_VIRTUAL_MAP     0x0080u
#define RT_RESET_SYSTEM	       0x0400u
#define RT_QUERY_VARIABLE_INFO 0x2000u

static void make_runtime(void)
{
	static const CHAR16 vendor[8] = u"Postern";
	struct runtime_tables *t = &runtime_tables;

	memcpy(t->vendor, vendor, sizeof(vendor));
	t->services.Hdr = header(EFI_RUNTIME_SERVICES_SIGNATURE, sizeof(t->services));
	runtime_fill_services(&t->services);
	table_seal(&t->services.Hdr);
	t->properties.version = 1;
	t->properties.length = sizeof(t->properties);
	t->properties.supported = RT_GET_TIME | RT_GET_VARIABLE | RT_GET_NEXT_VARIABLE |
				  RT_SET_VARIABLE | RT_SET_VIRTUAL_MAP | RT_RESET_SYSTEM |
				  RT_QUERY_VARIABLE_INFO;
	t->system = (EFI_SYSTEM_TABLE){
		.Hdr = header(EFI_SYSTEM_TABLE_SIGNATURE, sizeof(t->system)),
		.FirmwareVendor = t->vendor,
		.FirmwareRevision = 1,
		.RuntimeServices = &t->services,
		.BootServices = &firmware.boot,
		.ConfigurationTable = t->table,
	};
}

static void make_boot(void)
{
	EFI_BOOT_SERVICES *bs = &firmware.boot;

	bs->Hdr = header(EFI_BOOT_SERVICES_SIGNATURE, sizeof(*bs));
	memory_fill_services(bs);
	events_fill_services(bs);
	protocols_fill_services(bs);
	images_fill_services(bs);
	table_seal(&bs->Hdr);
}

static void offer_tables(void)
{
	const EFI_GUID acpi = {
		0x8868e871, 0xe4f1, 0x11d3, {0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81}};
	const EFI_GUID smbios3 = {
		0xf2fd1544, 0x9794, 0x4a2c, {0x99, 0x2e, 0xe5, 0xbb, 0xcf, 0x20, 0xe3, 0x94}};
	const EFI_GUID properties = {
		0xeb66918a, 0x7eef, 0x402a, {0x84, 0x2e, 0x93, 0x1d, 0x21, 0xc3, 0x8a, 0xe9}};

	offer_table(acpi, firmware.handover.rsdp);
	offer_table(smbios3, firmware.handover.smbios);
	offer_table(properties, (uintptr_t)&runtime_tables.properties);
}

void firmware_main(const struct firmware_handover *handover)
{
	EFI_HANDLE volume;
	EFI_STATUS status;

	catch_exceptions();
	firmware.handover = *handover;
	if (firmware.handover.magic != FIRMWARE_MAGIC)
		firmware_stop();
	memory_init();
	make_runtime();
	make_boot();
	offer_tables();
	console_init(&runtime_tables.system);
	volume = devices_init();
	table_seal(&runtime_tables.system.Hdr);
	status = image_run_first(volume);
	/* Nobody has asked for the hand-back: there is no boot option here to go on with. */
	firmware_log("firmware: the program returned 0x%lx", (unsigned long)status);
	firmware_stop();
}
