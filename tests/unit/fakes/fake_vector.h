/* The vector registers of a processor. Without AVX, reading or writing more than 16 bytes aborts. */
#ifndef POSTERN_FAKE_VECTOR_H
#define POSTERN_FAKE_VECTOR_H

#include "hw/vector.h"

#include <stdbool.h>
#include <stdint.h>

extern uint8_t fake_vector[16][32];
extern bool fake_vector_avx;

#endif
