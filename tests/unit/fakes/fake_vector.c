/* Doubles of the vector registers; see fake_vector.h. */
#include "fakes/fake_vector.h"

#include <stdlib.h>
#include <string.h>

uint8_t fake_vector[16][32];
bool fake_vector_avx;

static void need_avx(void)
{
	if (!fake_vector_avx)
		abort();
}

void hw_vector_read128(unsigned n, void *ret_16)
{
	memcpy(ret_16, fake_vector[n & 15], 16);
}

void hw_vector_write128(unsigned n, const void *data_16)
{
	memcpy(fake_vector[n & 15], data_16, 16);
}

void hw_vector_read256(unsigned n, void *ret_32)
{
	need_avx();
	memcpy(ret_32, fake_vector[n & 15], 32);
}

void hw_vector_write128_zero(unsigned n, const void *data_16)
{
	need_avx();
	memcpy(fake_vector[n & 15], data_16, 16);
	memset(fake_vector[n & 15] + 16, 0, 16);
}

void hw_vector_write256(unsigned n, const void *data_32)
{
	need_avx();
	memcpy(fake_vector[n & 15], data_32, 32);
}
