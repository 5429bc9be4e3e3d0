/*
 * The firmware's timer as its applications see it; owns one event and its count, and the period that
 * the timer was found with.
 */
#include "efi/ticks.h"
#include "base/bits.h"
#include "base/log.h"
#include "hw/cpu.h"
#include "hw/time.h"

#define STALL_US	   20000u
#define ROUNDS		   3u

#define SHORT_PERIOD_100NS 10000u
#define SHORTEST_100NS	   100u
#define ROUNDS_REST	   5u

static EFI_EVENT event;
static volatile uint64_t count;
static UINT64 found_period; /* 0: the firmware's timer is as found */

static VOID EFIAPI tick(EFI_EVENT e, VOID *context)
{
	(void)e;
	(void)context;
	count++;
}

void ticks_stop(void)
{
	if (event)
		efi_bs->CloseEvent(event);
	event = NULL;
}

int ticks_start(void)
{
	EFI_STATUS status;

	count = 0;
	status = efi_bs->CreateEvent(
		EVT_TIMER | EVT_NOTIFY_SIGNAL, TPL_CALLBACK, tick, NULL, &event);
	if (!EFI_ERROR(status))
		status = efi_bs->SetTimer(event, TimerPeriodic, TICK_PERIOD_100NS);
	else
		event = NULL;
	if (EFI_ERROR(status))
		ticks_stop();
	return uefi_error(status);
}

EFI_TIMER_ARCH_PROTOCOL *ticks_timer(void)
{
	EFI_GUID guid = EFI_TIMER_ARCH_PROTOCOL_GUID;
	EFI_TIMER_ARCH_PROTOCOL *timer;

	return EFI_ERROR(efi_bs->LocateProtocol(&guid, NULL, (void **)&timer)) ? NULL : timer;
}

/* What the processor rests between two of its interrupts, in TSC ticks: the middle one of some. */
static uint64_t measure_period(void)
{
	uint64_t took[ROUNDS_REST] = {0}, last;

	hw_irq_disable();
	hw_wait();
	last = hw_tsc();
	for (unsigned n = 0; n < ROUNDS_REST; n++) {
		uint64_t now;
		unsigned at = n;

		hw_wait();
		now = hw_tsc();
		for (; at && took[at - 1] > now - last; at--)
			took[at] = took[at - 1];
		took[at] = now - last;
		last = now;
	}
	hw_irq_enable();
	return took[ROUNDS_REST / 2];
}

static bool set_period(EFI_TIMER_ARCH_PROTOCOL *timer, UINT64 period)
{
	if (!EFI_ERROR(timer->SetTimerPeriod(timer, period)))
		return true;
	log_line("firmware: its timer doesn't take a period of %lu us", (uint64_t)period / 10);
	return false;
}

/*
 * Its milliseconds need not be ours: a firmware that takes the local APIC's clock for granted may be
 * wrong by far. It stays as wrong as it was, but ticks in time.
 */
uint64_t ticks_shorten(void)
{
	EFI_TIMER_ARCH_PROTOCOL *timer = ticks_timer();
	uint64_t wanted = hw_us_to_tsc(SHORT_PERIOD_100NS / 10), took;
	UINT64 period = 0;

	/* A period of 0 means a timer that is off: it isn't ours to switch on. */
	if (!timer || EFI_ERROR(timer->GetTimerPeriod(timer, &period)) || !period)
		return 0;
	if (period > SHORT_PERIOD_100NS && set_period(timer, SHORT_PERIOD_100NS))
		found_period = period;
	took = measure_period();
	if (!found_period || took < 2 * wanted)
		return took;
	period = max_u64(SHORT_PERIOD_100NS * wanted / took, SHORTEST_100NS);
	return set_period(timer, period) ? measure_period() : took;
}

void ticks_restore(void)
{
	EFI_TIMER_ARCH_PROTOCOL *timer = ticks_timer();

	if (timer && found_period)
		set_period(timer, found_period);
	found_period = 0;
}

uint64_t ticks_count(void)
{
	return count;
}

/* SDM vol. 2A "CPUID", leaf 15H: crystal frequency in ECX, ratio EBX / EAX. */
static uint32_t khz_from_cpuid(void)
{
	struct cpuid_regs r;

	if (hw_cpuid(0, 0).eax < 0x15)
		return 0;
	r = hw_cpuid(0x15, 0);
	if (!r.eax || !r.ebx || !r.ecx)
		return 0;
	return (uint32_t)((uint64_t)r.ecx * r.ebx / r.eax / 1000);
}

/* The shortest of a few rounds: interrupts only ever make one longer. */
uint32_t ticks_measure_tsc_khz(void)
{
	uint64_t best = ~0ull;
	uint32_t khz = khz_from_cpuid();

	if (khz)
		return khz;
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t start = hw_tsc(), took;

		efi_bs->Stall(STALL_US);
		took = hw_tsc() - start;
		if (took < best)
			best = took;
	}
	return (uint32_t)(best * 1000 / STALL_US);
}
