/* The replay of traces: the same is the same, and each kind of difference is found. */
#include "replay.h"
#include "core/device.h"
#include "core/vcpu.h"
#include "sample.h"
#include "test.h"

static struct sample s;
static char text[REPLAY_TEXT_MAX];

static enum replay_result run(void)
{
	struct replay *r = replay_create(&s.header);
	enum replay_result result = REPLAY_INCOMPLETE;
	const char *why = "";
	struct trace_view v;

	text[0] = '\0';
	CHECK(r != NULL);
	CHECK_EQ(trace_view_parse(&s.header, &s.record, s.record.length, &v, &why), 0);
	if (r)
		result = replay_run(r, &v, text);
	replay_destroy(r);
	return result;
}

static void test_same(void)
{
	sample_fill(&s);
	CHECK_EQ(run(), REPLAY_SAME);
	CHECK(!text[0]);
}

/* A record doesn't depend on those before it. */
static void test_again(void)
{
	struct replay *r;
	const char *why = "";
	struct trace_view v;

	sample_fill(&s);
	r = replay_create(&s.header);
	for (unsigned i = 0; r && i < 1000; i++) {
		bool right = i % 2;

		s.access[1].data[0] = right ? 0x44 : 0x45;
		CHECK_EQ(trace_view_parse(&s.header, &s.record, s.record.length, &v, &why), 0);
		CHECK_EQ(replay_run(r, &v, text), right ? REPLAY_SAME : REPLAY_DIFFERENT);
	}
	replay_destroy(r);
}

#define CHECK_DIFFERENT(change, message)                                                           \
	do {                                                                                       \
		sample_fill(&s);                                                                   \
		change;                                                                            \
		CHECK_EQ(run(), REPLAY_DIFFERENT);                                                 \
		CHECK(strstr(text, message) != NULL);                                              \
	} while (0)

static void test_accesses(void)
{
	CHECK_DIFFERENT(s.access[1].data[1] = 0, "access 1: recorded device write");
	CHECK_DIFFERENT(s.access[1].access.physical++, "access 1: recorded device write");
	CHECK_DIFFERENT(s.access[1].access.len = 2, "replayed device write 0xfe000008 + 4");
	CHECK_DIFFERENT(s.access[1].access.flags = TRACE_ACCESS_LINEAR, "recorded device read");
	CHECK_DIFFERENT(s.access[1].access.result = IO_FAULT, "register 16 afterwards");
	CHECK_DIFFERENT(s.access[0].access.physical--, "access 0: recorded fetch");
	CHECK_DIFFERENT(
		s.access[0].access.result = TRACE_RESULT_ABSENT, "access 0: recorded fetch");
	CHECK_DIFFERENT(s.access[0].data[2] = 9, "access 1");
}

static void swap_accesses(void)
{
	uint8_t keep[sizeof(s.access[0])];

	memcpy(keep, &s.access[0], sizeof(keep));
	memcpy(&s.access[0], &s.access[1], sizeof(keep));
	memcpy(&s.access[1], keep, sizeof(keep));
}

/* Leaves only the first access: one less than the emulator makes. */
static void cut_accesses(void)
{
	uint32_t size = sizeof(s.access[0]);

	memcpy(&s.access[1], &s.rip, sizeof(s.rip));
	s.record.length -= size;
	s.record.access_bytes -= size;
	s.record.access_count--;
}

static void test_order(void)
{
	CHECK_DIFFERENT(swap_accesses(), "access 0: recorded device write");
	CHECK_DIFFERENT(cut_accesses(), "access 1: replayed device write");
	/* One more than it makes: the instruction is another one, that doesn't access memory. */
	CHECK_DIFFERENT(memcpy(s.access[0].data, "\x0f\x0b\x90", 3), "access 1: recorded device");
}

static void test_outcome(void)
{
	CHECK_DIFFERENT(s.rip++, "register 16 afterwards");
	CHECK_DIFFERENT(s.record.after.type = VEVENT_EXCEPTION, "event afterwards");
	CHECK_DIFFERENT(s.record.verdict = TRACE_AGAIN, "verdict");
	CHECK_DIFFERENT(s.record.insn[0] = 0x88, "bytes differ");
}

static void test_incomplete(void)
{
	sample_fill(&s);
	s.record.flags |= TRACE_CUT;
	CHECK_EQ(run(), REPLAY_INCOMPLETE);
}

int main(void)
{
	RUN(test_same);
	RUN(test_again);
	RUN(test_accesses);
	RUN(test_order);
	RUN(test_outcome);
	RUN(test_incomplete);
	return TEST_RESULT();
}
