/*
 * Starts Postern ten times in one power-on and compares the machine after each run with the one before
 * the first. The guest is one that asks for the next boot option at once, so that Postern returns.
 * Started by the firmware as \EFI\BOOT\BOOTX64.EFI, beside \EFI\postern.
 */
#include "app/app.h"
#include "base/fmt.h"
#include "inventory/snapshot.h"

#define POSTERN	 "\\EFI\\postern\\postern.efi"
#define RUNS	 10u
#define TICK_MS	 10u
#define WATCH_MS 300u

static EFI_GUID device_path_guid = DEVICE_PATH_PROTOCOL;
static struct snapshot before, after;
static volatile unsigned ticks;

static VOID EFIAPI tick(EFI_EVENT event, VOID *context)
{
	(void)event;
	(void)context;
	ticks++;
}

/* How often a 10-ms event fires in 300 ms: does the firmware's timer still tick, and as fast? */
static unsigned count_ticks(void)
{
	EFI_EVENT event;

	ticks = 0;
	if (EFI_ERROR(efi_bs->CreateEvent(
		    EVT_TIMER | EVT_NOTIFY_SIGNAL, TPL_CALLBACK, tick, NULL, &event)))
		return 0;
	efi_bs->SetTimer(event, TimerPeriodic, TICK_MS * 10000);
	efi_bs->Stall(WATCH_MS * 1000);
	efi_bs->CloseEvent(event);
	return ticks;
}

/* Loads and starts Postern; false if that can't be. Its volume's handle may be another each time. */
static bool run_postern(void)
{
	EFI_HANDLE volume = app_find_volume(POSTERN), loaded;
	EFI_DEVICE_PATH *base, *path;
	EFI_STATUS status;

	if (!volume) {
		app_say("inventory: no volume has " POSTERN);
		return false;
	}
	if (EFI_ERROR(efi_bs->HandleProtocol(volume, &device_path_guid, (void **)&base)))
		return false;
	path = uefi_file_path(base, POSTERN);
	if (!path)
		return false;
	status = efi_bs->LoadImage(FALSE, efi_image, path, NULL, 0, &loaded);
	efi_bs->FreePool(path);
	if (EFI_ERROR(status)) {
		app_say("inventory: LoadImage: %lx", (unsigned long)status);
		return false;
	}
	status = efi_bs->StartImage(loaded, NULL, NULL);
	/* What the boot manager takes as: go on with the next entry. */
	if (status == EFI_NOT_FOUND)
		return true;
	app_say("inventory: StartImage: %lx", (unsigned long)status);
	return false;
}

static bool test_run(unsigned n, unsigned ticks_before)
{
	char prefix[40];
	unsigned differences, now;

	if (!run_postern())
		return false;
	fmt_print(prefix, sizeof(prefix), "inventory: run %u", n);
	snapshot_take(&after);
	differences = snapshot_compare(&before, &after, prefix);
	now = count_ticks();
	app_say("%s: %u ticks in %u ms, before %u", prefix, now, WATCH_MS, ticks_before);
	if (now * 4 < ticks_before * 3 || now * 3 > ticks_before * 4)
		differences++;
	if (differences) {
		app_say("%s: %u differences", prefix, differences);
		return false;
	}
	app_say("%s same", prefix);
	return true;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st);

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st)
{
	unsigned passed = 0, ticks_before;

	app_init(image, st);
	efi_bs->SetWatchdogTimer(0, 0, 0, NULL);
	ticks_before = count_ticks();
	/* Twice: the first time, the firmware may still allocate for what the snapshot asks. */
	snapshot_take(&before);
	snapshot_take(&before);
	app_say("inventory: %u items, %u ticks in %u ms", before.count, ticks_before, WATCH_MS);
	for (unsigned n = 1; n <= RUNS; n++)
		passed += test_run(n, ticks_before);
	app_say("inventory: %u passed, %u failed", passed, RUNS - passed);
	app_power_off();
}
