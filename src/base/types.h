/*
 * The vocabulary that every room shares: fixed-width integers, the three address spaces, and
 * the attributes that the compiler enforces. No state; everything here is compile time.
 */
#ifndef POSTERN_BASE_TYPES_H
#define POSTERN_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Guest-physical, host-physical, and I/O virtual (what a device emits on the bus) addresses in
 * bytes. They are structs so that the compiler refuses to mix them.
 */
typedef struct {
	uint64_t v;
} gpa_t;

typedef struct {
	uint64_t v;
} hpa_t;

typedef struct {
	uint64_t v;
} iova_t;

static inline gpa_t gpa(uint64_t v)
{
	return (gpa_t){v};
}

static inline hpa_t hpa(uint64_t v)
{
	return (hpa_t){v};
}

#define PAGE_SHIFT	      12u
#define PAGE_SIZE	      4096ul
#define PAGE_MASK	      (PAGE_SIZE - 1)
#define LARGE_SIZE	      (2ul << 20)

#define KIB		      1024ul
#define MIB		      (1024ul * KIB)
#define GIB		      (1024ul * MIB)

#define must_check	      __attribute__((warn_unused_result))
#define printf_like(f, a)     __attribute__((format(printf, f, a)))
#define array_size(a)	      (sizeof(a) / sizeof((a)[0]))
#define container_of(p, t, m) ((t *)(void *)((char *)(p)-offsetof(t, m)))

#endif
