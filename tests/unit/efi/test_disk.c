/*
 * efi: disks of the firmware are found as a section means them, and used while they are there. Over a
 * firmware of the test's own: two controllers, three disks, partitions on two of them.
 */
#include "base/bits.h"
#include "base/mem.h"
#include "efi/disk.h"
#include "fakes/fake_hw.h"
#include "fakes/fake_pci.h"
#include "fakes/fake_vcpu.h"
#include "test.h"

#include <efipciio.h>

#define PATH_MAX_BYTES 96u
#define BLOCKS	       64u

enum { AHCI, NVME, DISK_A, DISK_B, PART_A1, PART_A2, DISK_C, PART_C1, HANDLES };

struct object {
	uint8_t path[PATH_MAX_BYTES];
	EFI_PCI_IO_PROTOCOL pci;
	EFI_BLOCK_IO_PROTOCOL block;
	EFI_BLOCK_IO_MEDIA media;
	pci_bdf_t bdf;
	bool is_pci, is_block, pulled;
};

static struct object object[HANDLES];
static EFI_BOOT_SERVICES services;
static EFI_SYSTEM_TABLE table = {.BootServices = &services};
static struct vm vm;
static struct fake_vcpu cpu;
static struct vcpu_ops cpu_ops;
static EFI_TPL tpl = TPL_APPLICATION;
static EFI_STATUS answer;
static unsigned reads, writes, flushes;
static UINT64 last_block;
static UINTN last_size;

/* ---- the firmware ---- */

static struct object *of_handle(EFI_HANDLE h)
{
	struct object *o = h;

	return o >= object && o < object + HANDLES && !o->pulled ? o : NULL;
}

static EFI_STATUS EFIAPI find_protocol(EFI_HANDLE h, EFI_GUID *guid, VOID **ret)
{
	EFI_GUID block = EFI_BLOCK_IO_PROTOCOL_GUID, pci = EFI_PCI_IO_PROTOCOL_GUID;
	EFI_GUID path = EFI_DEVICE_PATH_PROTOCOL_GUID;
	struct object *o = of_handle(h);

	if (!o)
		return EFI_INVALID_PARAMETER;
	if (memcmp(guid, &block, sizeof(block)) == 0 && o->is_block)
		*ret = &o->block;
	else if (memcmp(guid, &pci, sizeof(pci)) == 0 && o->is_pci)
		*ret = &o->pci;
	else if (memcmp(guid, &path, sizeof(path)) == 0)
		*ret = o->path;
	else
		return EFI_UNSUPPORTED;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI list_handles(
	EFI_LOCATE_SEARCH_TYPE how, EFI_GUID *guid, VOID *key, UINTN *count, EFI_HANDLE **ret)
{
	VOID *found;

	(void)key;
	CHECK(how == ByProtocol);
	*ret = calloc(HANDLES, sizeof(**ret));
	*count = 0;
	for (unsigned i = 0; i < HANDLES; i++)
		if (!EFI_ERROR(find_protocol(&object[i], guid, &found)))
			(*ret)[(*count)++] = &object[i];
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI free_pool(VOID *p)
{
	free(p);
	return EFI_SUCCESS;
}

/* The deepest handle on the way to a path. */
static EFI_STATUS EFIAPI locate_path(EFI_GUID *guid, EFI_DEVICE_PATH **path, EFI_HANDLE *ret)
{
	UINTN best = 0;
	VOID *found;

	for (unsigned i = 0; i < HANDLES; i++) {
		UINTN len = uefi_path_length((EFI_DEVICE_PATH *)(void *)object[i].path);

		if (len <= best || memcmp(object[i].path, *path, len) != 0 ||
			EFI_ERROR(find_protocol(&object[i], guid, &found)))
			continue;
		best = len;
		*ret = &object[i];
	}
	return best ? EFI_SUCCESS : EFI_NOT_FOUND;
}

static EFI_TPL EFIAPI raise_tpl(EFI_TPL to)
{
	EFI_TPL old = tpl;

	CHECK(to >= old);
	tpl = to;
	return old;
}

static VOID EFIAPI restore_tpl(EFI_TPL to)
{
	tpl = to;
}

static EFI_STATUS EFIAPI get_location(
	EFI_PCI_IO_PROTOCOL *io, UINTN *segment, UINTN *bus, UINTN *device, UINTN *function)
{
	const struct object *o = container_of(io, struct object, pci);

	*segment = 0;
	*bus = PCI_BUS(o->bdf);
	*device = PCI_DEV(o->bdf);
	*function = PCI_FN(o->bdf);
	return EFI_SUCCESS;
}

/* Calls come in firmware context, at the level at which no driver interferes. */
static EFI_STATUS note(const EFI_BLOCK_IO_PROTOCOL *io, UINT32 media)
{
	CHECK(tpl == TPL_CALLBACK && fake_hw.irq_enabled);
	CHECK_EQ(media, io->Media->MediaId);
	return answer;
}

static EFI_STATUS EFIAPI block_read(
	EFI_BLOCK_IO_PROTOCOL *io, UINT32 media, EFI_LBA block, UINTN size, VOID *data)
{
	reads++;
	last_block = block;
	last_size = size;
	memset(data, 0x5a, size);
	return note(io, media);
}

static EFI_STATUS EFIAPI block_write(
	EFI_BLOCK_IO_PROTOCOL *io, UINT32 media, EFI_LBA block, UINTN size, VOID *data)
{
	(void)data;
	writes++;
	last_block = block;
	last_size = size;
	return note(io, media);
}

static EFI_STATUS EFIAPI block_flush(EFI_BLOCK_IO_PROTOCOL *io)
{
	flushes++;
	return note(io, io->Media->MediaId);
}

static void in_firmware(struct vcpu *v, void (*call)(void *arg), void *arg)
{
	CHECK(v == &vm.vcpu);
	call(arg);
}

/* ---- its devices ---- */

static void add_node(struct object *o, uint8_t type, uint8_t subtype, const void *data, uint8_t len)
{
	UINTN at = uefi_path_length((EFI_DEVICE_PATH *)(void *)o->path);
	const uint8_t head[] = {type, subtype, (uint8_t)(len + 4), 0}, end[] = {0x7f, 0xff, 4, 0};

	memcpy(o->path + at, head, sizeof(head));
	memcpy(o->path + at + 4, data, len);
	memcpy(o->path + at + 4 + len, end, sizeof(end));
}

static void make(unsigned n, const struct object *parent)
{
	static const uint8_t end[] = {0x7f, 0xff, 4, 0};

	memset(&object[n], 0, sizeof(object[n]));
	memcpy(object[n].path, end, sizeof(end));
	if (parent)
		memcpy(object[n].path, parent->path, sizeof(parent->path));
}

static void make_controller(unsigned n, pci_bdf_t bdf)
{
	const uint8_t place[] = {(uint8_t)PCI_FN(bdf), (uint8_t)PCI_DEV(bdf)};

	make(n, NULL);
	add_node(&object[n], HARDWARE_DEVICE_PATH, HW_PCI_DP, place, sizeof(place));
	object[n].is_pci = true;
	object[n].bdf = bdf;
	object[n].pci.GetLocation = get_location;
}

static void make_block(unsigned n, bool partition)
{
	object[n].is_block = true;
	object[n].media = (EFI_BLOCK_IO_MEDIA){.MediaId = 7,
		.MediaPresent = TRUE,
		.LogicalPartition = partition,
		.BlockSize = 512,
		.IoAlign = 4,
		.LastBlock = BLOCKS - 1};
	object[n].block = (EFI_BLOCK_IO_PROTOCOL){.Media = &object[n].media,
		.ReadBlocks = block_read,
		.WriteBlocks = block_write,
		.FlushBlocks = block_flush};
}

static void make_disk(unsigned n, unsigned controller, uint8_t port)
{
	const uint8_t where[] = {port, 0, 0xff, 0xff, 0, 0};

	make(n, &object[controller]);
	add_node(&object[n], MESSAGING_DEVICE_PATH, 18, where, sizeof(where));
	make_block(n, false);
}

/* Its GUID is the byte id, sixteen times. */
static void make_partition(unsigned n, unsigned disk, uint8_t id)
{
	uint8_t node[38] = {0};

	memset(node + 20, id, 16);
	node[36] = MBR_TYPE_EFI_PARTITION_TABLE_HEADER;
	node[37] = SIGNATURE_TYPE_GUID;
	make(n, &object[disk]);
	add_node(&object[n], MEDIA_DEVICE_PATH, MEDIA_HARDDRIVE_DP, node, sizeof(node));
	make_block(n, true);
}

static void start(void)
{
	fake_hw_reset();
	fake_pci_q35();
	fake_vcpu_init(&cpu, &vm.vcpu, &vm, FAKE_LONG);
	cpu_ops = *vm.vcpu.ops;
	cpu_ops.in_firmware = in_firmware;
	vm.vcpu.ops = &cpu_ops;
	services = (EFI_BOOT_SERVICES){.HandleProtocol = find_protocol,
		.LocateHandleBuffer = list_handles,
		.FreePool = free_pool,
		.LocateDevicePath = locate_path,
		.RaiseTPL = raise_tpl,
		.RestoreTPL = restore_tpl};
	uefi_init(NULL, &table);
	make_controller(AHCI, PCI_BDF(0, 31, 2));
	make_controller(NVME, PCI_BDF(0, 4, 0));
	make_disk(DISK_A, AHCI, 0);
	make_disk(DISK_B, AHCI, 1);
	make_partition(PART_A1, DISK_A, 0xa1);
	make_partition(PART_A2, DISK_A, 0xa2);
	make_disk(DISK_C, NVME, 0);
	make_partition(PART_C1, DISK_C, 0xc1);
	answer = EFI_SUCCESS;
	reads = writes = flushes = 0;
}

/* ---- finding ---- */

static int find(struct firmware_disk *d, struct config_match m, unsigned origin)
{
	struct boot_origin o = {.volume = (EFI_DEVICE_PATH *)(void *)object[origin].path};
	const char *why = NULL;
	int err = firmware_disk_find(d, &m, &o, &why);

	CHECK(!err || why);
	return err;
}

static struct config_match partition(uint8_t id)
{
	struct config_match m = {.kind = MATCH_PARTITION};

	memset(m.partition, id, sizeof(m.partition));
	return m;
}

static void the_disk_of_a_partition(void)
{
	struct firmware_disk d;

	start();
	CHECK_EQ(find(&d, (struct config_match){.kind = MATCH_BOOT_DISK}, PART_A1), 0);
	CHECK(d.handle == &object[DISK_A] && d.is_pci && d.bdf == PCI_BDF(0, 31, 2));
	CHECK(d.blocks == BLOCKS && d.block_size == 512 && d.media == 7 && !d.read_only);
	CHECK_EQ(find(&d, (struct config_match){.kind = MATCH_BOOT_DISK}, DISK_C), 0);
	CHECK(d.handle == &object[DISK_C]);
	CHECK_EQ(find(&d, partition(0xa2), PART_C1), 0);
	CHECK(d.handle == &object[DISK_A]);
	CHECK_EQ(find(&d, partition(0xc1), PART_A1), 0);
	CHECK(d.handle == &object[DISK_C] && d.bdf == PCI_BDF(0, 4, 0));
	CHECK_EQ(find(&d, partition(0xdd), PART_A1), -E_NOENT);
	/* An MBR's signature isn't a GUID. */
	object[PART_C1].path[uefi_path_length((EFI_DEVICE_PATH *)(void *)object[PART_C1].path) -
			     1] = SIGNATURE_TYPE_MBR;
	CHECK_EQ(find(&d, partition(0xc1), PART_A1), -E_NOENT);
}

static void the_disk_of_a_controller(void)
{
	struct firmware_disk d;

	start();
	CHECK_EQ(find(&d, (struct config_match){.kind = MATCH_PCI, .bdf = PCI_BDF(0, 4, 0)},
			 PART_A1),
		0);
	CHECK(d.handle == &object[DISK_C]);
	CHECK_EQ(find(&d,
			 (struct config_match){.kind = MATCH_CLASS,
				 .class_code = 0x010800,
				 .class_mask = 0xffff00},
			 PART_A1),
		0);
	CHECK(d.handle == &object[DISK_C]);
	CHECK_EQ(find(&d, (struct config_match){.kind = MATCH_PCI, .bdf = PCI_BDF(0, 31, 2)},
			 PART_A1),
		-E_EXIST);
	object[DISK_B].media.MediaPresent = FALSE;
	CHECK_EQ(find(&d, (struct config_match){.kind = MATCH_PCI, .bdf = PCI_BDF(0, 31, 2)},
			 PART_A1),
		0);
	CHECK(d.handle == &object[DISK_A]);
	CHECK_EQ(find(&d, (struct config_match){.kind = MATCH_PCI, .bdf = PCI_BDF(0, 9, 0)},
			 PART_A1),
		-E_NOENT);
}

static void disks_that_do_not_do(void)
{
	struct firmware_disk d;

	start();
	object[DISK_C].media.IoAlign = 8192;
	CHECK_EQ(find(&d, partition(0xc1), PART_A1), -E_NOTSUP);
	object[DISK_C].media.IoAlign = 4096;
	object[DISK_C].media.ReadOnly = TRUE;
	CHECK_EQ(find(&d, partition(0xc1), PART_A1), 0);
	CHECK(d.read_only);
	object[DISK_C].media.MediaPresent = FALSE;
	CHECK_EQ(find(&d, partition(0xc1), PART_A1), -E_NOENT);
	/* One that isn't on PCI. */
	object[NVME].is_pci = false;
	object[DISK_C].media.MediaPresent = TRUE;
	CHECK_EQ(find(&d, partition(0xc1), PART_A1), 0);
	CHECK(!d.is_pci);
}

/* ---- using ---- */

static struct firmware_disk disk;
static uint8_t data[1024];

static void open_disk(void)
{
	start();
	CHECK_EQ(find(&disk, partition(0xc1), PART_A1), 0);
	disk.vcpu = &vm.vcpu;
}

static void reads_and_writes(void)
{
	open_disk();
	CHECK_EQ(firmware_disk_ops.read(&disk, 3, data, sizeof(data)), 0);
	CHECK(reads == 1 && last_block == 3 && last_size == sizeof(data) && data[1023] == 0x5a);
	CHECK(!disk.written);
	CHECK_EQ(firmware_disk_ops.write(&disk, 4, data, 512), 0);
	CHECK(writes == 1 && last_block == 4 && last_size == 512 && disk.written);
	CHECK_EQ(firmware_disk_ops.flush(&disk), 0);
	CHECK_EQ(flushes, 1);
	CHECK(tpl == TPL_APPLICATION && !fake_hw.irq_enabled);
}

static void errors_pass(void)
{
	open_disk();
	answer = EFI_DEVICE_ERROR;
	CHECK_EQ(firmware_disk_ops.read(&disk, 3, data, 512), -E_IO);
	answer = EFI_WRITE_PROTECTED;
	CHECK_EQ(firmware_disk_ops.write(&disk, 3, data, 512), -E_IO);
	answer = EFI_SUCCESS;
	CHECK_EQ(firmware_disk_ops.read(&disk, 3, data, 512), 0);
}

/* After another medium was in it, the disk stays away, even if the first one comes back. */
static void check_gone(void)
{
	unsigned before = reads;

	CHECK_EQ(firmware_disk_ops.read(&disk, 3, data, 512), -E_NOENT);
	CHECK(disk.gone);
	object[DISK_C].pulled = false;
	object[DISK_C].media.MediaId = 7;
	object[DISK_C].media.MediaPresent = TRUE;
	answer = EFI_SUCCESS;
	CHECK_EQ(firmware_disk_ops.read(&disk, 3, data, 512), -E_NOENT);
	CHECK_EQ(firmware_disk_ops.write(&disk, 3, data, 512), -E_NOENT);
	CHECK_EQ(firmware_disk_ops.flush(&disk), -E_NOENT);
	CHECK(reads <= before + 1 && !writes && !flushes);
}

static void media_that_change(void)
{
	open_disk();
	object[DISK_C].media.MediaId = 8;
	check_gone();
	open_disk();
	object[DISK_C].media.MediaPresent = FALSE;
	check_gone();
	open_disk();
	object[DISK_C].pulled = true;
	check_gone();
	open_disk();
	answer = EFI_MEDIA_CHANGED;
	check_gone();
	open_disk();
	answer = EFI_NO_MEDIA;
	check_gone();
}

int main(void)
{
	RUN(the_disk_of_a_partition);
	RUN(the_disk_of_a_controller);
	RUN(disks_that_do_not_do);
	RUN(reads_and_writes);
	RUN(errors_pass);
	RUN(media_that_change);
	return TEST_RESULT();
}
