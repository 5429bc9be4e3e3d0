/*
 * What a guest leaves in each page of its memory for others to find. Kept inverted, so that the value
 * itself stands in no program: only where a guest wrote it.
 */
#ifndef POSTERN_TEST_SECRET_H
#define POSTERN_TEST_SECRET_H

#define SECRET_INVERTED 0x5ec2e7a11de57a1eull
#define SECRET_FIRST	0x2000000ull /* guest-physical, above the tiny guest itself */
#define SECRET_LAST	0x3c00000ull

#endif
