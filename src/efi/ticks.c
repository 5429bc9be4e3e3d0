/* The firmware's timer as its applications see it; owns one event and its count. */
#include "efi/ticks.h"
#include "hw/cpu.h"

#define STALL_US 20000u
#define ROUNDS	 3u

static EFI_EVENT event;
static volatile uint64_t count;

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
