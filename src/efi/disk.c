/*
 * Disks of the firmware; see disk.h. State is the caller's. Reading and writing run while the guest
 * waits, finding before it starts.
 */
#include "efi/disk.h"
#include "base/mem.h"

#include <efipciio.h>

/* The node's length; the structure's is rounded up. */
#define HARDDRIVE_NODE 42u
_Static_assert(sizeof(HARDDRIVE_DEVICE_PATH) >= HARDDRIVE_NODE, "hard drive node");

static EFI_GUID block_io_guid = EFI_BLOCK_IO_PROTOCOL_GUID;
static EFI_GUID path_guid = EFI_DEVICE_PATH_PROTOCOL_GUID;
static EFI_GUID pci_io_guid = EFI_PCI_IO_PROTOCOL_GUID;

/* ---- while the guest runs ---- */

struct disk_call {
	struct firmware_disk *disk;
	enum { DISK_READ, DISK_WRITE, DISK_FLUSH } kind;
	uint64_t block;
	void *data;
	size_t len;
	EFI_STATUS status;
};

/*
 * The protocol is looked up each time: it goes away with a stick that is pulled, and its handle with
 * it, which the firmware notices here.
 */
static EFI_STATUS perform(const struct disk_call *c)
{
	const struct firmware_disk *d = c->disk;
	EFI_BLOCK_IO_PROTOCOL *io;
	EFI_STATUS status = efi_bs->HandleProtocol(d->handle, &block_io_guid, (void **)&io);

	if (EFI_ERROR(status))
		return EFI_NO_MEDIA;
	if (!io->Media->MediaPresent || io->Media->MediaId != d->media)
		return EFI_MEDIA_CHANGED;
	switch (c->kind) {
	case DISK_READ:
		return io->ReadBlocks(io, d->media, c->block, c->len, c->data);
	case DISK_WRITE:
		return io->WriteBlocks(io, d->media, c->block, c->len, c->data);
	default:
		return io->FlushBlocks(io);
	}
}

static void call(void *arg)
{
	struct disk_call *c = arg;
	EFI_TPL old = efi_bs->RaiseTPL(TPL_CALLBACK);

	c->status = perform(c);
	efi_bs->RestoreTPL(old);
}

/* What the guest knows of a disk isn't true of another medium: that is the end of it. */
static int disk_do(struct disk_call *c)
{
	struct firmware_disk *d = c->disk;

	if (d->gone)
		return -E_NOENT;
	vcpu_call_firmware(d->vcpu, call, c);
	if (c->status == EFI_MEDIA_CHANGED || c->status == EFI_NO_MEDIA) {
		log_line("firmware's disk: the medium is gone (status 0x%lx)", c->status);
		d->gone = true;
		return -E_NOENT;
	}
	return uefi_error(c->status);
}

static int disk_read(void *arg, uint64_t block, void *ret_data, size_t len)
{
	struct disk_call c = {arg, DISK_READ, block, ret_data, len, 0};

	return disk_do(&c);
}

static int disk_write(void *arg, uint64_t block, void *data, size_t len)
{
	struct firmware_disk *d = arg;
	struct disk_call c = {d, DISK_WRITE, block, data, len, 0};

	d->written = true;
	return disk_do(&c);
}

static int disk_flush(void *arg)
{
	struct disk_call c = {arg, DISK_FLUSH, 0, NULL, 0, 0};

	return disk_do(&c);
}

const struct virtio_blk_disk_ops firmware_disk_ops = {disk_read, disk_write, disk_flush};

/* ---- finding one ---- */

/* The function on which a disk hangs; false for one that isn't PCI's, or of another segment. */
static bool disk_function(EFI_HANDLE disk, pci_bdf_t *ret)
{
	UINTN segment, bus, device, function;
	EFI_PCI_IO_PROTOCOL *io;
	EFI_DEVICE_PATH *path;
	EFI_HANDLE handle;

	if (EFI_ERROR(efi_bs->HandleProtocol(disk, &path_guid, (void **)&path)) ||
		EFI_ERROR(efi_bs->LocateDevicePath(&pci_io_guid, &path, &handle)) ||
		EFI_ERROR(efi_bs->HandleProtocol(handle, &pci_io_guid, (void **)&io)) ||
		EFI_ERROR(io->GetLocation(io, &segment, &bus, &device, &function)) || segment)
		return false;
	*ret = PCI_BDF(bus, device, function);
	return true;
}

static bool function_matches(pci_bdf_t bdf, const struct config_match *m)
{
	uint16_t vendor = (uint16_t)hw_pci_read(bdf, PCI_VENDOR_ID, 2);
	uint16_t device = (uint16_t)hw_pci_read(bdf, PCI_DEVICE_ID, 2);
	uint32_t class = hw_pci_read(bdf, PCI_REVISION, 4) >> 8;

	return config_match_device(m, bdf, vendor, device, class);
}

/* Does the path of a partition, which is base and more, belong to the disk at base? */
static bool is_below(const EFI_DEVICE_PATH *base, const EFI_DEVICE_PATH *path)
{
	UINTN len = uefi_path_length(base);

	return len <= uefi_path_length(path) && memcmp(base, path, len) == 0;
}

/* UEFI Specification 2.10, "Hard Drive Media Device Path": the last node of a partition. */
static bool get_partition(EFI_HANDLE handle, HARDDRIVE_DEVICE_PATH *ret)
{
	EFI_DEVICE_PATH *path;
	UINTN len;

	if (EFI_ERROR(efi_bs->HandleProtocol(handle, &path_guid, (void **)&path)))
		return false;
	len = uefi_path_length(path);
	if (len < HARDDRIVE_NODE)
		return false;
	memcpy(ret, (const uint8_t *)path + len - HARDDRIVE_NODE, HARDDRIVE_NODE);
	return ret->Header.Type == MEDIA_DEVICE_PATH && ret->Header.SubType == MEDIA_HARDDRIVE_DP &&
	       ret->Header.Length[0] == HARDDRIVE_NODE;
}

static bool has_guid(const HARDDRIVE_DEVICE_PATH *p, const uint8_t guid[static CONFIG_GUID])
{
	return p->SignatureType == SIGNATURE_TYPE_GUID &&
	       memcmp(p->Signature, guid, CONFIG_GUID) == 0;
}

static bool is_partition(EFI_HANDLE handle, const uint8_t guid[static CONFIG_GUID])
{
	HARDDRIVE_DEVICE_PATH node;

	return get_partition(handle, &node) && has_guid(&node, guid);
}

struct search {
	const struct config_match *match;
	EFI_HANDLE *handles; /* all with block I/O */
	UINTN count;
	const EFI_DEVICE_PATH *inside; /* the disk that has this; NULL: go by its controller */
	EFI_HANDLE found;
	unsigned hits;
};

static void visit(struct search *s, EFI_HANDLE handle)
{
	EFI_BLOCK_IO_PROTOCOL *io;
	EFI_DEVICE_PATH *path;
	pci_bdf_t bdf;
	bool hit;

	if (EFI_ERROR(efi_bs->HandleProtocol(handle, &block_io_guid, (void **)&io)) ||
		io->Media->LogicalPartition || !io->Media->MediaPresent)
		return;
	if (EFI_ERROR(efi_bs->HandleProtocol(handle, &path_guid, (void **)&path)))
		return;
	hit = s->inside ? is_below(path, s->inside)
			: disk_function(handle, &bdf) && function_matches(bdf, s->match);
	if (hit) {
		s->found = handle;
		s->hits++;
	}
}

/* Sets inside for a section that speaks of a partition; false: there is no such partition. */
static bool find_partition(struct search *s)
{
	EFI_DEVICE_PATH *path;

	for (UINTN i = 0; i < s->count; i++) {
		if (!is_partition(s->handles[i], s->match->partition) ||
			EFI_ERROR(
				efi_bs->HandleProtocol(s->handles[i], &path_guid, (void **)&path)))
			continue;
		s->inside = path;
		return true;
	}
	return false;
}

static int search_run(struct search *s, const struct boot_origin *origin)
{
	int err = uefi_handles(&block_io_guid, &s->handles, &s->count);

	if (err)
		return err;
	if (s->match->kind == MATCH_BOOT_DISK)
		s->inside = origin->volume;
	if (s->match->kind != MATCH_PARTITION || find_partition(s))
		for (UINTN i = 0; i < s->count; i++)
			visit(s, s->handles[i]);
	if (s->handles)
		efi_bs->FreePool(s->handles);
	if (s->hits == 1)
		return 0;
	return s->hits ? -E_EXIST : -E_NOENT;
}

int firmware_disk_find(struct firmware_disk *d, const struct config_match *m,
	const struct boot_origin *origin, const char **ret_why)
{
	struct search s = {.match = m};
	EFI_BLOCK_IO_PROTOCOL *io;
	int err = search_run(&s, origin);

	if (err) {
		*ret_why = err == -E_EXIST ? "more than one disk; partition:GUID names one"
					   : "the firmware has no such disk";
		return err;
	}
	if (EFI_ERROR(efi_bs->HandleProtocol(s.found, &block_io_guid, (void **)&io)))
		return -E_NOENT;
	*d = (struct firmware_disk){.handle = s.found,
		.media = io->Media->MediaId,
		.block_size = io->Media->BlockSize,
		.blocks = io->Media->LastBlock + 1,
		.read_only = io->Media->ReadOnly};
	d->is_pci = disk_function(s.found, &d->bdf);
	/* Our buffer is a page's begin. */
	if (io->Media->IoAlign > PAGE_SIZE) {
		*ret_why = "its driver wants buffers aligned to more than a page";
		return -E_NOTSUP;
	}
	return 0;
}

int firmware_partition_find(
	const struct config_window *w, pci_bdf_t bdf, struct policy_window *ret_blocks)
{
	struct policy_window found = w->blocks;
	EFI_HANDLE *handles;
	unsigned hits = 0;
	UINTN count;
	int err = uefi_handles(&block_io_guid, &handles, &count);

	if (err)
		return err;
	for (UINTN i = 0; i < count; i++) {
		HARDDRIVE_DEVICE_PATH node;
		pci_bdf_t at;

		if (!get_partition(handles[i], &node) || !disk_function(handles[i], &at) ||
			at != bdf || !node.PartitionSize ||
			node.PartitionStart > UINT64_MAX - node.PartitionSize)
			continue;
		if (w->kind == WINDOW_GUID ? !has_guid(&node, w->partition)
					   : node.PartitionNumber != w->number)
			continue;
		found.first = node.PartitionStart;
		found.last = node.PartitionStart + node.PartitionSize - 1;
		hits++;
	}
	if (handles)
		efi_bs->FreePool(handles);
	if (hits != 1)
		return -E_NOENT;
	*ret_blocks = found;
	return 0;
}
