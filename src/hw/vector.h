/*
 * One XMM or YMM register of the processor at a time. Freestanding code of ours never uses them, so
 * they hold the guest's values as long as core/fpu.h says so. Doubles in tests/unit/fakes.
 */
#ifndef POSTERN_HW_VECTOR_H
#define POSTERN_HW_VECTOR_H

/* n is 0 to 15; higher bits are ignored. The memory needs no alignment. */
void hw_vector_read128(unsigned n, void *ret_16);
void hw_vector_write128(unsigned n, const void *data_16); /* as MOVUPS: what is above stays */

/* These need AVX, enabled in CR4 and XCR0. */
void hw_vector_read256(unsigned n, void *ret_32);
void hw_vector_write128_zero(unsigned n, const void *data_16); /* as VMOVUPS: zeroes what is above */
void hw_vector_write256(unsigned n, const void *data_32);

#endif
