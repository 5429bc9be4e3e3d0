/* The reader of traces; see reader.h. No state. */
#include "reader.h"
#include "base/bits.h"
#include "base/error.h"
#include "core/device.h"
#include "core/vcpu.h"

#include <string.h>

#define ACCESS_MAX 4096u /* bytes of guest memory in one piece */

static int fail(int error, const char **ret_why, const char *why)
{
	*ret_why = why;
	return error;
}

/* ---- the file ---- */

static bool is_name(const char *s, size_t size)
{
	size_t n = strnlen(s, size);

	for (size_t i = 0; i < n; i++) {
		if (s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\')
			return false;
	}
	return n < size;
}

int trace_file_open(const void *data, size_t size, struct trace_file *ret, const char **ret_why)
{
	struct trace_header h;

	if (size < sizeof(h))
		return fail(-E_TRUNCATED, ret_why, "it is too short for a trace");
	memcpy(&h, data, sizeof(h));
	if (h.magic != TRACE_MAGIC)
		return fail(-E_CORRUPT, ret_why, "it isn't a trace");
	if (h.version != TRACE_VERSION || h.header_bytes != sizeof(h))
		return fail(-E_NOTSUP, ret_why, "its version is unknown");
	if (h.vendor >= TRACE_VENDORS || h.physical_bits > 52)
		return fail(-E_CORRUPT, ret_why, "its processor is impossible");
	if (h.bytes > size - sizeof(h))
		return fail(-E_TRUNCATED, ret_why, "records are missing at its end");
	if (h.bytes != size - sizeof(h))
		return fail(-E_CORRUPT, ret_why, "it goes on behind its end");
	for (unsigned i = 0; i < TRACE_DEVICES; i++) {
		if (!is_name(h.device[i].name, sizeof(h.device[i].name)))
			return fail(-E_CORRUPT, ret_why, "a device's name isn't text");
	}
	*ret = (struct trace_file){.header = h, .data = data, .size = size, .at = sizeof(h)};
	return 0;
}

int trace_file_next(struct trace_file *f, struct trace_view *ret, const char **ret_why)
{
	size_t left = f->size - f->at;
	uint32_t length;
	int err;

	if (!left && f->read != f->header.records)
		return fail(-E_CORRUPT, ret_why, "the number of records is wrong");
	if (!left)
		return 0;
	if (left < sizeof(length))
		return fail(-E_TRUNCATED, ret_why, "the last record has no end");
	memcpy(&length, f->data + f->at, sizeof(length));
	if (length > left)
		return fail(-E_TRUNCATED, ret_why, "the last record has no end");
	err = trace_view_parse(&f->header, f->data + f->at, length, ret, ret_why);
	if (err)
		return err;
	f->at += length;
	f->read++;
	return 1;
}

/* ---- a record ---- */

static bool is_size(uint64_t len)
{
	return len == 1 || len == 2 || len == 4 || len == 8;
}

static bool event_ok(const struct trace_event *e)
{
	return e->type <= VEVENT_EXCEPTION && e->has_error <= 1;
}

static bool exit_ok(const struct trace_header *h, const struct trace_record *r)
{
	if (r->kind >= TRACE_KINDS || r->flags & ~TRACE_FLAGS || r->verdict >= TRACE_VERDICTS)
		return false;
	if (r->device >= TRACE_DEVICES || !h->device[r->device].name[0] || r->cpl > 3)
		return false;
	if (r->insn_bytes > TRACE_INSN_MAX || r->insn_given > r->insn_bytes ||
		r->insn_length > TRACE_INSN_MAX || r->insn_source >= TRACE_INSN_SOURCES)
		return false;
	if (r->kind == TRACE_PORTS &&
		(r->gpa > 0xffff || r->port_size > 4 || !is_size(r->port_size)))
		return false;
	return event_ok(&r->before) && event_ok(&r->after) && !(r->changed >> TRACE_REGISTERS);
}

/* The exit's own region is the first. */
static bool regions_ok(const struct trace_view *v)
{
	const struct trace_record *r = &v->record;

	for (unsigned i = 0; i < r->region_count; i++) {
		const struct trace_region *g = &v->region[i];

		if (!g->len || g->base > ~0ull - (g->len - 1))
			return false;
		if (g->device != TRACE_NO_DEVICE && g->device >= TRACE_DEVICES)
			return false;
	}
	if (!r->region_count || r->gpa - v->region[0].base >= v->region[0].len)
		return false;
	return v->region[0].device == (r->flags & TRACE_CONFIG ? TRACE_NO_DEVICE : r->device);
}

static bool access_ok(const struct trace_record *r, const struct trace_access *a)
{
	if (a->flags & ~TRACE_ACCESS_FLAGS || !a->len || a->len > ACCESS_MAX)
		return false;
	if (a->region != TRACE_NO_REGION && a->region >= r->region_count)
		return false;
	switch (a->kind) {
	case TRACE_ACCESS_FETCH:
	case TRACE_ACCESS_MEMORY:
		return a->result <= TRACE_RESULT_ABSENT;
	case TRACE_ACCESS_WALK:
		return a->result <= TRACE_RESULT_ABSENT && (a->len == 4 || a->len == 8);
	case TRACE_ACCESS_DEVICE:
		return a->result <= IO_FAULT && is_size(a->len);
	case TRACE_ACCESS_PORT:
		return a->result <= IO_FAULT && is_size(a->len) && a->len <= 4;
	case TRACE_ACCESS_BLOCK:
		return !a->result && !(a->flags & TRACE_ACCESS_WRITE) &&
		       a->region != TRACE_NO_REGION;
	default:
		return false;
	}
}

static bool accesses_ok(const struct trace_view *v)
{
	const struct trace_record *r = &v->record;
	size_t at = 0;

	for (uint32_t i = 0; i < r->access_count; i++) {
		struct trace_access a;

		if (r->access_bytes - at < sizeof(a))
			return false;
		memcpy(&a, v->accesses + at, sizeof(a));
		at += sizeof(a);
		if (!access_ok(r, &a) || r->access_bytes - at < align_up(a.len, 8))
			return false;
		at += align_up(a.len, 8);
	}
	return at == r->access_bytes;
}

static bool extensions_ok(const uint8_t *data, size_t size)
{
	while (size) {
		struct trace_extension x;

		if (size < sizeof(x))
			return false;
		memcpy(&x, data, sizeof(x));
		if (x.length < sizeof(x) || x.length > size || !is_aligned(x.length, 8))
			return false;
		data += x.length;
		size -= x.length;
	}
	return true;
}

/* Are the parts of a record as long as it says, and all of it? */
static bool lengths_ok(const struct trace_record *r, size_t size)
{
	uint64_t sum = sizeof(*r);

	if (r->length != size || size > TRACE_RECORD_MAX || r->region_count > TRACE_REGIONS)
		return false;
	sum += r->region_count * sizeof(struct trace_region);
	sum += (uint64_t)__builtin_popcount(r->changed) * sizeof(uint64_t);
	sum += (uint64_t)r->access_bytes + r->extension_bytes;
	return sum == size && is_aligned(r->access_bytes | r->extension_bytes, 8);
}

static void take_after(struct trace_view *v, const uint8_t *at)
{
	memcpy(v->after, v->record.reg, sizeof(v->after));
	for (unsigned i = 0; i < TRACE_REGISTERS; i++) {
		if (!(v->record.changed & BIT(i)))
			continue;
		memcpy(&v->after[i], at, sizeof(v->after[i]));
		at += sizeof(v->after[i]);
	}
}

int trace_view_parse(const struct trace_header *h, const void *data, size_t size,
	struct trace_view *ret, const char **ret_why)
{
	struct trace_view v = {.start = data};
	const struct trace_record *r = &v.record;
	const uint8_t *at = v.start + sizeof(*r);

	if (size < sizeof(*r))
		return fail(-E_CORRUPT, ret_why, "a record is too short");
	memcpy(&v.record, data, sizeof(*r));
	if (!lengths_ok(r, size))
		return fail(-E_CORRUPT, ret_why, "a record's lengths contradict each other");
	if (!exit_ok(h, r))
		return fail(-E_CORRUPT, ret_why, "a record's exit is impossible");
	memcpy(v.region, at, r->region_count * sizeof(v.region[0]));
	at += r->region_count * sizeof(v.region[0]);
	v.accesses = at;
	at += r->access_bytes;
	if (!regions_ok(&v))
		return fail(-E_CORRUPT, ret_why, "a record's regions are impossible");
	if (!accesses_ok(&v))
		return fail(-E_CORRUPT, ret_why, "a record's accesses are impossible");
	take_after(&v, at);
	at += (size_t)__builtin_popcount(r->changed) * sizeof(uint64_t);
	if (!extensions_ok(at, r->extension_bytes))
		return fail(-E_CORRUPT, ret_why, "a record's extensions are impossible");
	*ret = v;
	return 0;
}

bool trace_view_next(const struct trace_view *v, size_t *at, struct trace_item *ret)
{
	if (*at >= v->record.access_bytes)
		return false;
	memcpy(&ret->access, v->accesses + *at, sizeof(ret->access));
	ret->data = v->accesses + *at + sizeof(ret->access);
	*at += sizeof(ret->access) + align_up(ret->access.len, 8);
	return true;
}

/* ---- traces as text ---- */

static int digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters; the number of bytes that they stand for, or 0 if they aren't base64. */
static size_t decode_group(const uint8_t *s, uint8_t ret[3])
{
	size_t pad = s[3] != '=' ? 0 : s[2] != '=' ? 1 : 2;
	uint32_t v = 0;

	for (unsigned i = 0; i < 4; i++) {
		int d = i < 4 - pad ? digit(s[i]) : 0;

		if (d < 0)
			return 0;
		v = v << 6 | (uint32_t)d;
	}
	ret[0] = (uint8_t)(v >> 16);
	ret[1] = (uint8_t)(v >> 8);
	ret[2] = (uint8_t)v;
	return 3 - pad;
}

static int decode_line(const uint8_t *line, size_t size, uint8_t *ret, size_t *at)
{
	while (size && (line[size - 1] == '\r' || line[size - 1] == '\n'))
		size--;
	if (size % 4)
		return -E_CORRUPT;
	for (size_t i = 0; i < size; i += 4) {
		uint8_t group[3];
		size_t n = decode_group(line + i, group);

		if (!n || (n < 3 && i + 4 < size))
			return -E_CORRUPT;
		memcpy(ret + *at, group, n);
		*at += n;
	}
	return 0;
}

int trace_text_decode(const void *text, size_t size, uint8_t *ret, size_t *ret_size)
{
	static const char mark[] = TRACE_LINE;
	const uint8_t *s = text, *end = s + size;
	bool found = false;
	size_t n = 0;

	while (s < end) {
		const uint8_t *stop = memchr(s, '\n', (size_t)(end - s));
		const uint8_t *next = stop ? stop + 1 : end;
		const uint8_t *line = memmem(s, (size_t)(next - s), mark, sizeof(mark) - 1);

		if (line) {
			int err;

			line += sizeof(mark) - 1;
			err = decode_line(line, (size_t)(next - line), ret, &n);
			if (err)
				return err;
			found = true;
		}
		s = next;
	}
	if (!found)
		return -E_NOENT;
	*ret_size = n;
	return 0;
}
