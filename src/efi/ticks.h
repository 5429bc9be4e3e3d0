/* Proof that the firmware's timer lives: a periodic event of its own, counted. */
#ifndef POSTERN_EFI_TICKS_H
#define POSTERN_EFI_TICKS_H

#include "efi/protocols.h"
#include "efi/uefi.h"

#define TICK_PERIOD_100NS 100000u /* 10 ms */

int ticks_start(void) must_check;
void ticks_stop(void);
uint64_t ticks_count(void);

/* The firmware's own timer; NULL if it doesn't show it. */
EFI_TIMER_ARCH_PROTOCOL *ticks_timer(void);

/*
 * While the guest runs the firmware ticks every millisecond, so that the guest's timers are told in
 * time where nothing else ends its turn; then with the period as found again. Returns the period in
 * TSC ticks, as measured; 0 if there is none. Firmware context, interrupts on. The firmware itself
 * changes its timer, and so goes on to count the time that it believes in at each tick.
 */
uint64_t ticks_shorten(void);
void ticks_restore(void);

/* kHz of the TSC: from CPUID.15h if it tells, else measured against the firmware's Stall(). */
uint32_t ticks_measure_tsc_khz(void);

#endif
