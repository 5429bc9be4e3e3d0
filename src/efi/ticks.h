/* Proof that the firmware's timer lives: a periodic event of its own, counted. */
#ifndef POSTERN_EFI_TICKS_H
#define POSTERN_EFI_TICKS_H

#include "efi/uefi.h"

#define TICK_PERIOD_100NS 100000u /* 10 ms */

int ticks_start(void) must_check;
void ticks_stop(void);
uint64_t ticks_count(void);

/* kHz of the TSC: from CPUID.15h if it tells, else measured against the firmware's Stall(). */
uint32_t ticks_measure_tsc_khz(void);

#endif
