/* Access to guest memory; see gmem.h. State is the caller's. On the exit path. */
#include "core/gmem.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/mem.h"

int gmem_add(struct gmem *m, struct gmem_run run)
{
	const struct gmem_run *last = m->count ? &m->run[m->count - 1] : NULL;

	if (!run.len || !is_aligned(run.gpa.v | run.hpa.v | run.len, PAGE_SIZE))
		return -E_INVAL;
	if (run.gpa.v > ~0ull - run.len || run.hpa.v > ~0ull - run.len)
		return -E_INVAL;
	if (last && run.gpa.v < last->gpa.v + last->len)
		return -E_EXIST;
	if (m->count == GMEM_RUNS_MAX)
		return -E_NOMEM;
	m->run[m->count++] = run;
	return 0;
}

/* The run that holds an address, or NULL. */
static const struct gmem_run *find_run(const struct gmem *m, uint64_t at)
{
	unsigned lo = 0, hi = m->count;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (m->run[mid].gpa.v <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo || at - m->run[lo - 1].gpa.v >= m->run[lo - 1].len)
		return NULL;
	return &m->run[lo - 1];
}

/* Where the host sees an address, and how many of len bytes follow in the same run. */
struct bytes {
	uint8_t *va;
	uint64_t len;
};

static struct bytes find_bytes(const struct gmem *m, uint64_t at, uint64_t len)
{
	const struct gmem_run *r = find_run(m, at);
	uint64_t off;

	if (!r)
		return (struct bytes){NULL, 0};
	off = at - r->gpa.v;
	return (struct bytes){r->va + off, min_u64(len, r->len - off)};
}

static bool range_is_memory(const struct gmem *m, uint64_t at, uint64_t len)
{
	if (len && at > ~0ull - (len - 1))
		return false;
	while (len) {
		struct bytes b = find_bytes(m, at, len);

		if (!b.len)
			return false;
		at += b.len;
		len -= b.len;
	}
	return true;
}

int gmem_read(const struct gmem *m, gpa_t at, void *ret_copy, size_t len)
{
	struct bytes whole = find_bytes(m, at.v, len);
	uint8_t *out = ret_copy;
	uint64_t a = at.v;

	/* The usual case, page-table entries above all, is one piece. */
	if (whole.len == len && len) {
		if (len == 8)
			__builtin_memcpy(out, whole.va, 8);
		else
			memcpy(out, whole.va, len);
		return 0;
	}
	if (!range_is_memory(m, a, len))
		return -E_FAULT;
	while (len) {
		struct bytes b = find_bytes(m, a, len);

		memcpy(out, b.va, b.len);
		a += b.len;
		out += b.len;
		len -= b.len;
	}
	return 0;
}

int gmem_write(struct gmem *m, gpa_t at, const void *data, size_t len)
{
	const uint8_t *in = data;
	uint64_t a = at.v;

	if (!range_is_memory(m, a, len))
		return -E_FAULT;
	while (len) {
		struct bytes b = find_bytes(m, a, len);

		memcpy(b.va, in, b.len);
		a += b.len;
		in += b.len;
		len -= b.len;
	}
	return 0;
}

int gmem_fill(struct gmem *m, gpa_t at, uint8_t value, size_t len)
{
	uint64_t a = at.v;

	if (!range_is_memory(m, a, len))
		return -E_FAULT;
	while (len) {
		struct bytes b = find_bytes(m, a, len);

		memset(b.va, value, b.len);
		a += b.len;
		len -= b.len;
	}
	return 0;
}

int gmem_translate(const struct gmem *m, gpa_t at, uint64_t len, hpa_t *ret_hpa, uint64_t *ret_len)
{
	const struct gmem_run *r;
	uint64_t off, got;

	if (!len)
		return -E_INVAL;
	r = find_run(m, at.v);
	if (!r)
		return -E_FAULT;
	off = at.v - r->gpa.v;
	got = r->len - off;
	/* Neighbouring runs may continue in host memory as well. */
	for (const struct gmem_run *next = r + 1; got < len && next < m->run + m->count; next++) {
		if (next->gpa.v != next[-1].gpa.v + next[-1].len ||
			next->hpa.v != next[-1].hpa.v + next[-1].len)
			break;
		got += next->len;
	}
	*ret_hpa = hpa(r->hpa.v + off);
	*ret_len = min_u64(len, got);
	return 0;
}

uint64_t gmem_size(const struct gmem *m)
{
	uint64_t size = 0;

	for (unsigned i = 0; i < m->count; i++)
		size += m->run[i].len;
	return size;
}

const uint64_t *gmem_watch(const struct gmem *m, gpa_t at)
{
	struct bytes b = find_bytes(m, at.v, 8);

	return b.len == 8 ? (const uint64_t *)(const void *)b.va : NULL;
}
