/*
 * The one page that stays allocated until the host OS takes over: where TR points after VMX was on,
 * for TR can't be set back to 0. Found again by later runs in the same power-on, so that there is
 * only ever one.
 */
#ifndef POSTERN_EFI_RESIDENT_H
#define POSTERN_EFI_RESIDENT_H

/* NULL if out of memory. */
void *resident_page(void);

#endif
