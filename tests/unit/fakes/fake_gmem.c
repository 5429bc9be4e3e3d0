/* See fake_gmem.h. Written without a look at core/gmem.c: byte by byte, run by run. */
#include "fakes/fake_gmem.h"
#include "base/bits.h"
#include "base/error.h"

#include <string.h>

#define SPANS_MAX 8192u

struct fake_gmem fake_gmem;

static struct span {
	uint64_t at, len;
} spans[SPANS_MAX];
static unsigned span_count;

void fake_gmem_reset(void)
{
	memset(&fake_gmem, 0, sizeof(fake_gmem));
	span_count = 0;
}

void fake_gmem_forget(void)
{
	span_count = 0;
	fake_gmem.reread = 0;
}

static void note_read(uint64_t at, uint64_t len)
{
	bool again = false;

	for (unsigned i = 0; i < span_count; i++)
		again |= ranges_overlap(spans[i].at, spans[i].len, at, len);
	fake_gmem.reread += again;
	if (span_count < SPANS_MAX)
		spans[span_count++] = (struct span){at, len};
}

static const struct gmem_run *run_of(const struct gmem *m, uint64_t at)
{
	for (unsigned i = 0; i < m->count; i++)
		if (at >= m->run[i].gpa.v && at - m->run[i].gpa.v < m->run[i].len)
			return &m->run[i];
	return NULL;
}

static uint8_t *byte_at(const struct gmem *m, uint64_t at)
{
	const struct gmem_run *r = run_of(m, at);

	return r ? r->va + (at - r->gpa.v) : NULL;
}

static bool all_there(const struct gmem *m, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (at + i < at || !byte_at(m, at + i))
			return false;
	return true;
}

int gmem_add(struct gmem *m, struct gmem_run run)
{
	if (m->count == GMEM_RUNS_MAX)
		return -E_NOMEM;
	m->run[m->count++] = run;
	return 0;
}

int gmem_read(const struct gmem *m, gpa_t at, void *ret_copy, size_t len)
{
	uint8_t *out = ret_copy;

	if (!all_there(m, at.v, len))
		return -E_FAULT;
	note_read(at.v, len);
	fake_gmem.reads++;
	for (size_t i = 0; i < len; i++) {
		uint8_t *b = byte_at(m, at.v + i);

		out[i] = *b;
		if (fake_gmem.hostile)
			*b = (uint8_t) ~*b;
	}
	if (fake_gmem.after_read)
		fake_gmem.after_read(at.v, len);
	return 0;
}

int gmem_write(struct gmem *m, gpa_t at, const void *data, size_t len)
{
	const uint8_t *in = data;

	if (!all_there(m, at.v, len))
		return -E_FAULT;
	for (size_t i = 0; i < len; i++)
		*byte_at(m, at.v + i) = in[i];
	return 0;
}

int gmem_fill(struct gmem *m, gpa_t at, uint8_t value, size_t len)
{
	if (!all_there(m, at.v, len))
		return -E_FAULT;
	for (size_t i = 0; i < len; i++)
		*byte_at(m, at.v + i) = value;
	return 0;
}

int gmem_translate(const struct gmem *m, gpa_t at, uint64_t len, hpa_t *ret_hpa, uint64_t *ret_len)
{
	const struct gmem_run *r = run_of(m, at.v);

	if (!len)
		return -E_INVAL;
	if (!r)
		return -E_FAULT;
	*ret_hpa = hpa(r->hpa.v + (at.v - r->gpa.v));
	*ret_len = min_u64(len, r->len - (at.v - r->gpa.v));
	return 0;
}

uint64_t gmem_size(const struct gmem *m)
{
	uint64_t size = 0;

	for (unsigned i = 0; i < m->count; i++)
		size += m->run[i].len;
	return size;
}

/* Nobody who is tested over this double walks page tables. */
const uint64_t *gmem_watch(const struct gmem *m, gpa_t at)
{
	(void)m;
	(void)at;
	return NULL;
}
