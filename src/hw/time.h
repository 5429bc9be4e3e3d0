/* Time from the TSC, and the bounded poll that every wait on hardware goes through. */
#ifndef POSTERN_HW_TIME_H
#define POSTERN_HW_TIME_H

#include "base/types.h"

/* Set once at start, from the firmware's idea of time; kHz. */
void hw_time_init(uint32_t tsc_khz);
uint32_t hw_tsc_khz(void);

/* TSC ticks in us microseconds; saturates. */
uint64_t hw_us_to_tsc(uint64_t us);

/*
 * Calls done(arg) until it returns true or timeout_us microseconds have passed. Returns 0 or
 * -E_TIMEOUT; done is called at least once more after the time is up.
 */
int hw_poll(bool (*done)(void *arg), void *arg, uint64_t timeout_us) must_check;

/* Waits for so many microseconds: for the settling times of hardware, never on the exit path. */
void hw_delay(uint64_t us);

#endif
