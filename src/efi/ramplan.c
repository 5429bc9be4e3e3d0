/* The choice of guest memory; see ramplan.h. No state. */
#include "efi/ramplan.h"
#include "base/bits.h"
#include "base/error.h"

/* The part of a range that is inside the window and made of whole large pages. */
static struct ram_range usable(struct ram_range r, uint64_t low, uint64_t high)
{
	uint64_t start = align_up(max_u64(r.start, low), LARGE_SIZE);
	uint64_t end = r.len > ~0ull - r.start ? ~0ull : r.start + r.len;

	end = align_down(min_u64(end, high), LARGE_SIZE);
	return (struct ram_range){start, end > start ? end - start : 0};
}

/* The largest usable range whose start isn't among those taken; len 0 if there is none. */
static struct ram_range largest(const struct ram_range *free, size_t count, uint64_t low,
	uint64_t high, const struct ram_range *taken, size_t taken_count)
{
	struct ram_range best = {0, 0};

	for (size_t i = 0; i < count; i++) {
		struct ram_range r = usable(free[i], low, high);
		bool used = false;

		for (size_t k = 0; k < taken_count; k++)
			used |= taken[k].start == r.start;
		if (!used && r.len > best.len)
			best = r;
	}
	return best;
}

int ram_plan(const struct ram_range *free, size_t count, uint64_t low, uint64_t high, uint64_t size,
	uint64_t reserve, struct ram_range *ret_runs, size_t max, size_t *ret_count)
{
	uint64_t total = 0;
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		total += usable(free[i], low, high).len;
	if (total < size || total - size < reserve)
		return -E_NOMEM;
	while (size) {
		struct ram_range r = largest(free, count, low, high, ret_runs, n);

		if (!r.len)
			return -E_NOMEM;
		if (n == max)
			return -E_RANGE;
		r.len = min_u64(r.len, size);
		size -= r.len;
		ret_runs[n++] = r;
	}
	*ret_count = n;
	return 0;
}
