/* Zydis, if it is installed: bench_zydis.c, or bench_zydis_none.c in its place. */
#ifndef POSTERN_BENCH_ZYDIS_H
#define POSTERN_BENCH_ZYDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool zydis_is_there(void);

/* The length of an instruction of 64-bit code, decoded with all operands; 0 if it is none. */
unsigned zydis_decode(const uint8_t *bytes, size_t n);

#endif
