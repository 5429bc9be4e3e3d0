/* Time from the TSC; owns its frequency. */
#include "hw/time.h"
#include "base/error.h"
#include "hw/cpu.h"

static uint32_t khz = 1000000;

void hw_time_init(uint32_t tsc_khz)
{
	if (tsc_khz)
		khz = tsc_khz;
}

uint32_t hw_tsc_khz(void)
{
	return khz;
}

uint64_t hw_us_to_tsc(uint64_t us)
{
	return us > ~0ull / khz ? ~0ull : us * khz / 1000;
}

int hw_poll(bool (*done)(void *arg), void *arg, uint64_t timeout_us)
{
	uint64_t start = hw_tsc(), limit = hw_us_to_tsc(timeout_us);

	do {
		if (done(arg))
			return 0;
		__asm__ volatile("pause");
	} while (hw_tsc() - start < limit);
	return done(arg) ? 0 : -E_TIMEOUT;
}

void hw_delay(uint64_t us)
{
	uint64_t start = hw_tsc(), ticks = hw_us_to_tsc(us);

	while (hw_tsc() - start < ticks)
		__asm__ volatile("pause");
}
