/*
 * The only way to guest memory. It is a sorted list of runs: pieces of guest-physical space with
 * the host memory behind them. Every access is checked against it and copies; nobody keeps a
 * pointer. A caller that validates what it read works on its copy: it never reads twice.
 */
#ifndef POSTERN_CORE_GMEM_H
#define POSTERN_CORE_GMEM_H

#include "base/types.h"

struct gmem_run {
	gpa_t gpa;
	hpa_t hpa;
	uint64_t len; /* bytes, whole pages */
	uint8_t *va;  /* where the host sees it; the firmware maps all memory 1:1 */
};

#define GMEM_RUNS_MAX 128u

struct gmem {
	struct gmem_run run[GMEM_RUNS_MAX]; /* sorted by gpa, no overlap */
	unsigned count;
};

/* Appends a run above all others. -E_INVAL, -E_EXIST (overlap or order), -E_NOMEM. */
int gmem_add(struct gmem *m, struct gmem_run run) must_check;

/*
 * Copy between guest memory and a buffer of ours; may cross runs. -E_FAULT if a byte of the range
 * isn't guest memory; then nothing was copied.
 */
int gmem_read(const struct gmem *m, gpa_t at, void *ret_copy, size_t len) must_check;
int gmem_write(struct gmem *m, gpa_t at, const void *data, size_t len) must_check;
int gmem_fill(struct gmem *m, gpa_t at, uint8_t value, size_t len) must_check;

/*
 * For DMA: the host address behind a guest address, and in *ret_len how many bytes from there on
 * are contiguous in host memory, at most len. -E_FAULT, or -E_INVAL for a length of 0.
 */
int gmem_translate(
	const struct gmem *m, gpa_t at, uint64_t len, hpa_t *ret_hpa, uint64_t *ret_len) must_check;

/* Bytes of guest memory in all. */
uint64_t gmem_size(const struct gmem *m);

/*
 * Where the host sees an aligned quad word of guest memory, or NULL. For comparing it with what it was
 * when it was read and checked; the pointer stays good, as the guest's memory never moves.
 */
const uint64_t *gmem_watch(const struct gmem *m, gpa_t at);

#endif
