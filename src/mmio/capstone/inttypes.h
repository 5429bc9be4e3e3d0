/* See stdio.h. */
#ifndef POSTERN_CAPSTONE_INTTYPES_H
#define POSTERN_CAPSTONE_INTTYPES_H

#include <stdint.h>

#define PRId64 "ld"
#define PRIu64 "lu"
#define PRIx64 "lx"

#endif
