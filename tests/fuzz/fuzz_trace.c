/*
 * Traces, as anyone could have written them: through the reader, in words, and where they are right
 * through the replay, which takes every field of a record for the guest's.
 */
#include "describe.h"
#include "fuzz.h"
#include "reader.h"
#include "replay.h"

#define RECORDS_MAX 64u /* a replay of more finds nothing new */

static void check_view(const struct trace_header *h, const struct trace_view *v)
{
	char text[DESCRIBE_MAX];
	struct trace_item item;
	uint32_t n = 0;

	for (size_t at = 0; trace_view_next(v, &at, &item); n++) {
		MUST(item.data >= v->start);
		MUST(item.data + item.access.len <= v->start + v->record.length);
	}
	MUST(n == v->record.access_count);
	MUST(*describe_device(h, v));
	describe_place(v, text);
	describe_insn_name(v, text);
	describe_insn(v, text);
}

/* A replay for that processor; it takes long to make, and most files are about the same one. */
static struct replay *get_replay(const struct trace_header *h)
{
	static struct replay *replay;
	static struct trace_header last;

	if (replay && last.physical_bits == h->physical_bits && last.cpu == h->cpu)
		return replay;
	replay_destroy(replay);
	replay = replay_create(h);
	last = *h;
	MUST(replay);
	return replay;
}

static void check_file(const uint8_t *data, size_t size)
{
	struct trace_file f;
	struct trace_view v;
	struct replay *replay;
	const char *why = NULL;
	int result;

	if (trace_file_open(data, size, &f, &why)) {
		MUST(why);
		return;
	}
	replay = get_replay(&f.header);
	while ((result = trace_file_next(&f, &v, &why)) > 0 && f.read < RECORDS_MAX) {
		char text[REPLAY_TEXT_MAX] = "";

		check_view(&f.header, &v);
		if (replay_run(replay, &v, text) != REPLAY_SAME)
			MUST(memchr(text, '\0', sizeof(text)) && text[0]);
	}
	MUST(result >= 0 || why);
}

/* Hardly a change of a file's size would get past the header: this one says what there is. */
static void check_sized(const uint8_t *data, size_t size)
{
	struct trace_header h;
	uint8_t *copy;

	if (size < sizeof(h))
		return;
	memcpy(&h, data, sizeof(h));
	h.bytes = size - sizeof(h);
	copy = malloc(size);
	if (!copy)
		abort();
	memcpy(copy, data, size);
	memcpy(copy, &h, sizeof(h));
	check_file(copy, size);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *text = malloc(size ? size : 1);
	size_t length = 0;

	if (!text)
		abort();
	check_file(data, size);
	check_sized(data, size);
	if (!trace_text_decode(data, size, text, &length)) {
		MUST(length <= size);
		check_file(text, length);
	}
	free(text);
	return 0;
}
