/*
 * The two owners of the vector registers. Freestanding code of ours never touches them, so they
 * hold the guest's values all the time, and are swapped only around the firmware's window.
 */
#ifndef POSTERN_CORE_FPU_H
#define POSTERN_CORE_FPU_H

#include "base/arena.h"

struct fpu {
	void *host_area, *guest_area; /* XSAVE areas of all components the CPU has */
	uint64_t supported;	      /* XCR0 bits of the CPU; 0: no XSAVE, FXSAVE is used */
	uint64_t host_xcr0, guest_xcr0;
	bool guest_loaded;
};

/* Sizes the areas from CPUID.0Dh. -E_NOMEM. */
int fpu_init(struct fpu *f, struct arena *arena) must_check;

/*
 * Both swap the whole state, XCR0 included, and do nothing when it is there already. The caller
 * has set CR4.OSFXSR, and CR4.OSXSAVE if the CPU has XSAVE, and cleared CR0.TS and EM.
 */
void fpu_load_guest(struct fpu *f);
void fpu_load_host(struct fpu *f);

/* The guest's XCR0, wherever it is now; guest code can change it without an exit on some CPUs. */
uint64_t fpu_guest_xcr0(const struct fpu *f);
void fpu_set_guest_xcr0(struct fpu *f, uint64_t value);

/*
 * One vector register of the guest, whose state must be loaded: the low size bytes, 16 or 32. With
 * zero_above a write zeroes the rest of the register, as VEX does, and without it leaves it alone, as
 * SSE does. Both zero_above and 32 bytes are for guests that have AVX enabled.
 */
void fpu_read_vector(unsigned n, unsigned size, void *ret);
void fpu_write_vector(unsigned n, unsigned size, bool zero_above, const void *data);

#endif
