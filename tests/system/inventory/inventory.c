/*
 * Starts Postern ten times in one power-on and compares the machine after each run with the one before
 * the first. The guest is one that asks for the next boot option at once, so that Postern returns.
 * Started by the firmware as \EFI\BOOT\BOOTX64.EFI, beside \EFI\postern.
 *
 * Free memory needs a control: EDK2 itself loses a few hundred bytes of pool each time when the drivers
 * of the serial port and the keyboard are stopped and started again. So that is done as often without
 * Postern, and Postern may lose as much as that and no more.
 */
#include "app/app.h"
#include "base/fmt.h"
#include "efi/drivers.h"
#include "inventory/snapshot.h"

#define POSTERN	     "\\EFI\\postern\\postern.efi"
#define RUNS	     10u
#define TICK_MS	     10u
#define TICKS	     20u

/* Under Bochs the two clocks don't agree: a tick is some hundred of these milliseconds. */
#define TICKS_MS_MAX 20000u

static struct snapshot before, after;
static volatile unsigned ticks;

static VOID EFIAPI tick(EFI_EVENT event, VOID *context)
{
	(void)event;
	(void)context;
	ticks++;
}

/*
 * How long the firmware's 10-ms event takes to fire TICKS times, in the firmware's other clock, that of
 * Stall(): does its timer still tick, and as fast? 0 if it doesn't.
 */
static unsigned measure_ticks(void)
{
	unsigned ms = 0;
	EFI_EVENT event;

	if (EFI_ERROR(efi_bs->CreateEvent(
		    EVT_TIMER | EVT_NOTIFY_SIGNAL, TPL_CALLBACK, tick, NULL, &event)))
		return 0;
	ticks = 0;
	efi_bs->SetTimer(event, TimerPeriodic, TICK_MS * 10000);
	for (; ticks < TICKS && ms < TICKS_MS_MAX; ms++)
		efi_bs->Stall(1000);
	efi_bs->CloseEvent(event);
	return ticks < TICKS ? 0 : ms;
}

/* Starts Postern; false if it couldn't, or returned what a guest's "next" doesn't. */
static bool run_postern(void)
{
	EFI_STATUS status = app_start("\\EFI\\postern\\postern.efi");

	/* What the boot manager takes as: go on with the next entry. */
	if (status == EFI_NOT_FOUND)
		return true;
	app_say("inventory: Postern returned %lx", (unsigned long)status);
	return false;
}

static bool test_run(unsigned n, unsigned ms_before)
{
	char prefix[40];
	unsigned differences, ms;

	if (!run_postern())
		return false;
	fmt_print(prefix, sizeof(prefix), "inventory: run %u", n);
	snapshot_take(&after);
	differences = snapshot_compare(&before, &after, prefix);
	ms = measure_ticks();
	app_say("%s: %u ticks in %u ms, before in %u", prefix, TICKS, ms, ms_before);
	/* Other tests run beside this one, so that time isn't exact. */
	if (ms * 2 < ms_before || ms > ms_before * 2)
		differences++;
	if (differences) {
		app_say("%s: %u differences", prefix, differences);
		return false;
	}
	app_say("%s same", prefix);
	return true;
}

/* The pages that the firmware loses when its drivers stop and start, as often as Postern runs. */
static uint64_t measure_loss(void)
{
	static const uint32_t ids[] = {PNP_SERIAL, PNP_KEYBOARD};
	uint64_t first = 0;

	for (unsigned n = 1; n <= RUNS; n++) {
		struct drivers stopped = {0};
		EFI_HANDLE handle;

		for (unsigned i = 0; i < array_size(ids); i++) {
			if (!drivers_find_pnp(ids[i], 0, &handle) && drivers_stop(&stopped, handle))
				app_say("inventory: a driver of the firmware doesn't stop");
		}
		drivers_restart(&stopped);
		snapshot_take(&after);
		/* The first time, it may allocate what it then keeps. */
		if (n == 1)
			first = after.free_pages;
	}
	return first > after.free_pages ? first - after.free_pages : 0;
}

/* Free memory after the first run and after the last: what is lost is lost in each of them. */
static bool test_loss(uint64_t first, uint64_t last, uint64_t control)
{
	uint64_t lost = first > last ? first - last : 0;

	app_say("inventory: %lu pages lost in %u runs, %lu in as many without Postern", lost,
		RUNS - 1, control);
	return lost <= control + 1;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st);

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st)
{
	unsigned passed = 0, ms_before;
	uint64_t control, first = 0;

	app_init(image, st);
	efi_bs->SetWatchdogTimer(0, 0, 0, NULL);
	ms_before = measure_ticks();
	control = measure_loss();
	snapshot_take(&before);
	app_say("inventory: %u items, %u ticks in %u ms", before.count, TICKS, ms_before);
	for (unsigned n = 1; n <= RUNS; n++) {
		passed += test_run(n, ms_before);
		if (n == 1)
			first = after.free_pages;
	}
	passed += test_loss(first, after.free_pages, control);
	app_say("inventory: %u passed, %u failed", passed, RUNS + 1 - passed);
	app_power_off();
}
