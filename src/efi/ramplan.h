/*
 * Which host memory becomes guest memory: a choice among the firmware's free ranges, made to give
 * few, large, 2 MiB aligned runs. Pure, so that it is tested on a host.
 */
#ifndef POSTERN_EFI_RAMPLAN_H
#define POSTERN_EFI_RAMPLAN_H

#include "base/types.h"

struct ram_range {
	uint64_t start, len; /* host-physical bytes, whole pages */
};

/*
 * Picks runs that add up to size bytes, from free ranges (any order) within [low, high), leaving at
 * least reserve bytes of what lies there to the firmware. All runs but the last are multiples of
 * 2 MiB, and so is every start. -E_NOMEM if there isn't enough; -E_RANGE if more than max runs.
 */
int ram_plan(const struct ram_range *free, size_t count, uint64_t low, uint64_t high, uint64_t size,
	uint64_t reserve, struct ram_range *ret_runs, size_t max, size_t *ret_count) must_check;

#endif
