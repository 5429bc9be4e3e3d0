/* The commands of postern-trace; see commands.h. No state. */
#include "commands.h"
#include "base/bits.h"
#include "base/error.h"
#include "core/device.h"
#include "core/vcpu.h"
#include "describe.h"
#include "replay.h"

#include <stdlib.h>
#include <string.h>

static bool is_selected(const struct trace_input *in, const struct trace_view *v)
{
	const struct selection *s = &in->select;
	char insn[DESCRIBE_MAX];

	if (v->record.number < s->first || in->chosen >= s->count)
		return false;
	if (s->device && !strstr(describe_device(&in->file.header, v), s->device))
		return false;
	if (s->has_offset && describe_offset(v) != s->offset)
		return false;
	if (s->reads != s->writes && describe_is_write(v) != s->writes)
		return false;
	if (s->insn) {
		describe_insn_name(v, insn);
		return strstr(insn, s->insn) != NULL;
	}
	return true;
}

int trace_input_next(struct trace_input *in, struct trace_view *ret)
{
	const char *why;
	int result;

	while ((result = trace_file_next(&in->file, ret, &why)) > 0) {
		if (!is_selected(in, ret))
			continue;
		in->chosen++;
		return 1;
	}
	if (result < 0)
		fprintf(stderr, "%s: record %lu: %s\n", in->name, in->file.read, why);
	return result < 0 ? -1 : 0;
}

static double to_us(const struct trace_header *h, uint64_t ticks)
{
	return h->tsc_khz ? (double)ticks * 1000 / h->tsc_khz : (double)ticks;
}

/* ---- print ---- */

static void print_data(const struct trace_item *i, FILE *out)
{
	uint64_t value = 0;

	if (i->access.len <= sizeof(value)) {
		memcpy(&value, i->data, i->access.len);
		fprintf(out, "0x%lx", value);
		return;
	}
	for (unsigned k = 0; k < i->access.len; k++)
		fprintf(out, "%02x", i->data[k]);
}

static void print_access(const struct trace_item *i, FILE *out)
{
	static const char *const kinds[TRACE_ACCESS_KINDS] = {
		"fetch", "walk", "memory", "device", "port", "block"};
	static const char *const results[] = {"", " passed", " nobody", " refused"};
	const struct trace_access *a = &i->access;

	fprintf(out, "    %-6s %s 0x%lx", kinds[a->kind],
		a->flags & TRACE_ACCESS_WRITE ? "write" : "read ", a->physical);
	if (a->flags & TRACE_ACCESS_LINEAR)
		fprintf(out, " (linear 0x%lx)", a->linear);
	fprintf(out, " + %u: ", a->len);
	print_data(i, out);
	if (a->kind <= TRACE_ACCESS_MEMORY)
		fprintf(out, "%s\n", a->result ? " absent" : "");
	else
		fprintf(out, "%s\n", results[a->result]);
}

static void print_outcome(const struct trace_view *v, FILE *out)
{
	static const char *const names[TRACE_REGISTERS] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
		"rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags",
		"cr0", "cr2", "cr3", "cr4", "efer", "xcr0"};

	fprintf(out, "    %s", describe_verdict(v->record.verdict));
	if (v->record.after.type == VEVENT_EXCEPTION)
		fprintf(out, " vector %u error 0x%x", v->record.after.vector,
			v->record.after.error);
	for (unsigned i = 0; i < TRACE_REGISTERS; i++) {
		if (v->after[i] != v->record.reg[i])
			fprintf(out, " %s=0x%lx", names[i], v->after[i]);
	}
	fprintf(out, "%s\n", v->record.flags & TRACE_CUT ? " (accesses are missing)" : "");
}

int command_print(struct trace_input *in, FILE *out)
{
	const struct trace_header *h = &in->file.header;
	char place[DESCRIBE_MAX], insn[DESCRIBE_MAX];
	uint64_t start = 0;
	struct trace_view v;
	int result;

	fprintf(out, "# %s, %u kHz, %lu records, %lu older ones lost\n", describe_vendor(h->vendor),
		h->tsc_khz, h->records, h->lost);
	while ((result = trace_input_next(in, &v)) > 0) {
		struct trace_item item;
		size_t at = 0;

		if (in->chosen == 1)
			start = v.record.tsc;
		describe_place(&v, place);
		describe_insn(&v, insn);
		fprintf(out, "%lu %.1f us: %s %s %s: 0x%lx: %s\n", v.record.number,
			to_us(h, v.record.tsc - start), describe_device(h, &v), place,
			describe_is_write(&v) ? "write" : "read", v.record.reg[TRACE_RIP], insn);
		while (trace_view_next(&v, &at, &item))
			print_access(&item, out);
		print_outcome(&v, out);
	}
	return result < 0;
}

/* ---- replay ---- */

int command_replay(struct trace_input *in, FILE *out)
{
	struct replay *r = replay_create(&in->file.header);
	uint64_t count[REPLAY_INCOMPLETE + 1] = {0};
	char text[REPLAY_TEXT_MAX];
	struct trace_view v;
	int result;

	if (!r) {
		fprintf(stderr, "%s: out of memory\n", in->name);
		return 1;
	}
	while ((result = trace_input_next(in, &v)) > 0) {
		enum replay_result got = replay_run(r, &v, text);

		count[got]++;
		if (got != REPLAY_SAME)
			fprintf(out, "record %lu: %s: %s\n", v.record.number,
				got == REPLAY_DIFFERENT ? "differs" : "not replayed", text);
	}
	replay_destroy(r);
	fprintf(out, "%lu the same, %lu different, %lu not replayed\n", count[REPLAY_SAME],
		count[REPLAY_DIFFERENT], count[REPLAY_INCOMPLETE]);
	return result < 0 || count[REPLAY_DIFFERENT] != 0;
}

/* ---- stats ---- */

struct counter {
	char name[3 * DESCRIBE_MAX];
	uint64_t count, ticks;
};

struct counters {
	struct counter *item;
	size_t count, room;
};

static bool count_up(struct counters *c, const char *name, uint64_t ticks)
{
	size_t i = 0;

	while (i < c->count && strcmp(c->item[i].name, name))
		i++;
	if (i == c->room) {
		size_t room = c->room ? c->room * 2 : 64;
		struct counter *more = realloc(c->item, room * sizeof(*more));

		if (!more)
			return false;
		c->item = more;
		c->room = room;
	}
	if (i == c->count) {
		c->item[i] = (struct counter){.count = 0};
		snprintf(c->item[i].name, sizeof(c->item[i].name), "%s", name);
		c->count++;
	}
	c->item[i].count++;
	c->item[i].ticks += ticks;
	return true;
}

static int by_count(const void *a, const void *b)
{
	const struct counter *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void print_counters(
	const struct trace_header *h, const char *title, struct counters *c, FILE *out)
{
	if (c->count)
		qsort(c->item, c->count, sizeof(c->item[0]), by_count);
	fprintf(out, "%s\n", title);
	for (size_t i = 0; i < c->count; i++)
		fprintf(out, "  %8lu  %10.1f us each  %s\n", c->item[i].count,
			to_us(h, c->item[i].ticks) / (double)c->item[i].count, c->item[i].name);
	free(c->item);
}

int command_stats(struct trace_input *in, FILE *out)
{
	const struct trace_header *h = &in->file.header;
	struct counters devices = {0}, places = {0}, insns = {0};
	struct trace_view v;
	bool enough = true;
	int result;

	while (enough && (result = trace_input_next(in, &v)) > 0) {
		const char *device = describe_device(h, &v);
		const char *direction = describe_is_write(&v) ? "write" : "read";
		char part[DESCRIBE_MAX], name[3 * DESCRIBE_MAX];

		enough = count_up(&devices, device, v.record.ticks);
		describe_place(&v, part);
		snprintf(name, sizeof(name), "%s %s %s", device, part, direction);
		enough = enough && count_up(&places, name, v.record.ticks);
		describe_insn_name(&v, part);
		snprintf(name, sizeof(name), "%s %s", part, direction);
		enough = enough && count_up(&insns, name, v.record.ticks);
	}
	fprintf(out, "%lu records of %lu; %lu older ones lost\n", in->chosen, h->records, h->lost);
	print_counters(h, "by device", &devices, out);
	print_counters(h, "by place", &places, out);
	print_counters(h, "by instruction", &insns, out);
	if (!enough)
		fprintf(stderr, "%s: out of memory\n", in->name);
	return !enough || result < 0;
}

/* ---- filter ---- */

int command_filter(struct trace_input *in, FILE *out)
{
	struct trace_header h = in->file.header;
	struct trace_view v;
	int result;

	h.records = h.bytes = 0;
	fwrite(&h, sizeof(h), 1, out);
	while ((result = trace_input_next(in, &v)) > 0) {
		h.records++;
		h.bytes += v.record.length;
		fwrite(v.start, v.record.length, 1, out);
	}
	if (fseek(out, 0, SEEK_SET) || fwrite(&h, sizeof(h), 1, out) != 1) {
		fprintf(stderr, "filter: the output must be a file\n");
		return 1;
	}
	return result < 0;
}

/* ---- export ---- */

/* Text inside a JSON string. What comes here is printable ASCII. */
static void print_json(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putc('\\', out);
		putc(*text, out);
	}
}

static void export_device(FILE *out, unsigned thread, const char *name)
{
	fprintf(out,
		"{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":1,\"tid\":%u,"
		"\"args\":{\"name\":\"",
		thread);
	print_json(out, name);
	fprintf(out, "\"}}");
}

/* The value that the device gave or got, if the exit was one access to it. */
static void export_value(FILE *out, const struct trace_view *v)
{
	struct trace_item item;
	size_t at = 0;

	while (trace_view_next(v, &at, &item)) {
		if (item.access.kind != TRACE_ACCESS_DEVICE &&
			item.access.kind != TRACE_ACCESS_PORT)
			continue;
		fprintf(out, ",\"value\":\"");
		print_data(&item, out);
		fprintf(out, "\"");
		return;
	}
}

/* The trace event format of Chrome's viewer, which Perfetto reads too: complete events, in us. */
int command_export(struct trace_input *in, FILE *out)
{
	const struct trace_header *h = &in->file.header;
	char place[DESCRIBE_MAX], insn[DESCRIBE_MAX];
	const char *comma = "";
	uint64_t start = 0;
	struct trace_view v;
	int result;

	fprintf(out, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
	for (unsigned i = 0; i < TRACE_DEVICES; i++) {
		if (!h->device[i].name[0])
			continue;
		fprintf(out, "%s", comma);
		export_device(out, i, h->device[i].name);
		comma = ",\n";
	}
	while ((result = trace_input_next(in, &v)) > 0) {
		if (in->chosen == 1)
			start = v.record.tsc;
		describe_place(&v, place);
		describe_insn(&v, insn);
		fprintf(out,
			"%s{\"ph\":\"X\",\"pid\":1,\"tid\":%u,\"ts\":%.3f,\"dur\":%.3f,"
			"\"cat\":\"%s\",\"name\":\"%s %s\",\"args\":{\"number\":%lu,"
			"\"rip\":\"0x%lx\",\"insn\":\"",
			comma, v.record.device, to_us(h, v.record.tsc - start),
			to_us(h, v.record.ticks), describe_is_write(&v) ? "write" : "read", place,
			describe_is_write(&v) ? "write" : "read", v.record.number,
			v.record.reg[TRACE_RIP]);
		print_json(out, insn);
		fprintf(out, "\",\"verdict\":\"%s\"", describe_verdict(v.record.verdict));
		export_value(out, &v);
		fprintf(out, "}}");
		comma = ",\n";
	}
	fprintf(out, "\n]}\n");
	return result < 0;
}
