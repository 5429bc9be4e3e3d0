/* How fast the firmware alone reads its largest disk, for the figures: 64 KiB at a time. */
#include "app/app.h"

#include <efipciio.h>

#define PIECE (64 * KIB)

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st);

static EFI_GUID block_io_guid = EFI_BLOCK_IO_PROTOCOL_GUID;

static UINT64 size_of(const EFI_BLOCK_IO_PROTOCOL *io)
{
	return io->Media->LogicalPartition ? 0 : (io->Media->LastBlock + 1) * io->Media->BlockSize;
}

/* Firmware that starts a program directly hasn't looked for disks. */
static void connect_all(void)
{
	EFI_GUID pci_io_guid = EFI_PCI_IO_PROTOCOL_GUID;
	EFI_HANDLE *handles;
	UINTN count;

	if (uefi_handles(&pci_io_guid, &handles, &count))
		return;
	for (UINTN i = 0; i < count; i++)
		efi_bs->ConnectController(handles[i], NULL, NULL, TRUE);
}

static EFI_BLOCK_IO_PROTOCOL *find_largest(void)
{
	EFI_BLOCK_IO_PROTOCOL *io, *largest = NULL;
	EFI_HANDLE *handles;
	UINTN count;

	if (uefi_handles(&block_io_guid, &handles, &count))
		return NULL;
	for (UINTN i = 0; i < count; i++)
		if (!EFI_ERROR(efi_bs->HandleProtocol(handles[i], &block_io_guid, (void **)&io)) &&
			(!largest || size_of(io) > size_of(largest)))
			largest = io;
	return largest;
}

/* Ends at the first piece that can't be read. The number of bytes. */
static UINT64 read_all(EFI_BLOCK_IO_PROTOCOL *io, void *buffer)
{
	UINT64 done = 0;

	while (done + PIECE <= size_of(io) && !EFI_ERROR(io->ReadBlocks(io, io->Media->MediaId,
						      done / io->Media->BlockSize, PIECE, buffer)))
		done += PIECE;
	return done;
}

/* Counts while the firmware works: its timer, and not a clock that counts whole seconds. */
static VOID EFIAPI tick(EFI_EVENT event, VOID *context)
{
	(void)event;
	++*(volatile UINT64 *)context;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st)
{
	static UINT64 ticks;
	EFI_BLOCK_IO_PROTOCOL *io;
	EFI_EVENT event;
	UINT64 start, bytes;
	void *buffer;

	app_init(image, st);
	connect_all();
	io = find_largest();
	buffer = uefi_pages(PIECE / PAGE_SIZE);
	if (!io || !buffer ||
		EFI_ERROR(efi_bs->CreateEvent(
			EVT_TIMER | EVT_NOTIFY_SIGNAL, TPL_NOTIFY, tick, &ticks, &event)) ||
		EFI_ERROR(efi_bs->SetTimer(event, TimerPeriodic, 100000))) {
		app_say("readspeed: no disk, memory or timer");
		app_power_off();
	}
	start = ticks;
	bytes = read_all(io, buffer);
	app_say("readspeed: %lu KiB in %lu ms", bytes / KIB, (ticks - start) * 10);
	app_power_off();
}
