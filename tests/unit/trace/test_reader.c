/* The reader of traces: what is right, and each way in which a file can be wrong. */
#include "reader.h"
#include "base/error.h"
#include "core/device.h"
#include "describe.h"
#include "sample.h"
#include "test.h"

static struct sample s;
static const char *why;

/* Reads the sample, to its end or the first error. */
static int read_all(size_t size)
{
	struct trace_file f;
	struct trace_view v;
	/* A copy of just this size, so that a read behind its end is caught. */
	uint8_t *copy = malloc(size ? size : 1);
	int result;

	memcpy(copy, &s, size);
	result = trace_file_open(copy, size, &f, &why);
	while (!result && (result = trace_file_next(&f, &v, &why)) > 0) {
		struct trace_item item;

		for (size_t at = 0; trace_view_next(&v, &at, &item);)
			CHECK(item.access.len <= v.record.access_bytes);
		result = 0;
		if (f.at == f.size) {
			result = trace_file_next(&f, &v, &why);
			break;
		}
	}
	free(copy);
	return result;
}

static int read_sample(void)
{
	return read_all(sizeof(s));
}

static void test_good(void)
{
	struct trace_file f;
	struct trace_view v;
	char text[DESCRIBE_MAX];

	sample_fill(&s);
	CHECK_EQ(read_sample(), 0);
	CHECK_EQ(trace_file_open(&s, sizeof(s), &f, &why), 0);
	CHECK_EQ(trace_file_next(&f, &v, &why), 1);
	CHECK_EQ(v.after[TRACE_RIP], s.rip);
	CHECK_EQ(v.after[0], SAMPLE_DEVICE);
	describe_place(&v, text);
	CHECK(!strcmp(text, "mmio +0x8"));
	describe_insn_name(&v, text);
	CHECK(!strcmp(text, "mov"));
	CHECK(describe_is_write(&v) && !strcmp(describe_device(&f.header, &v), "disk 00:01.0"));
	CHECK_EQ(trace_file_next(&f, &v, &why), 0);
}

static void test_every_prefix(void)
{
	sample_fill(&s);
	for (size_t n = 0; n < sizeof(s); n++)
		CHECK_EQ(read_all(n), -E_TRUNCATED);
}

static void test_every_byte(void)
{
	static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};

	for (size_t at = 0; at < sizeof(s); at++) {
		for (size_t i = 0; i < sizeof(values); i++) {
			sample_fill(&s);
			((uint8_t *)&s)[at] = values[i];
			why = NULL;
			CHECK(read_sample() == 0 || why);
		}
	}
}

/* Changes one field, and expects this error. */
#define CHECK_WRONG(field, value, error)                                                           \
	do {                                                                                       \
		sample_fill(&s);                                                                   \
		s.field = value;                                                                   \
		CHECK_EQ(read_sample(), error);                                                    \
	} while (0)

static void test_header(void)
{
	CHECK_WRONG(header.magic, 1, -E_CORRUPT);
	CHECK_WRONG(header.version, TRACE_VERSION + 1, -E_NOTSUP);
	CHECK_WRONG(header.header_bytes, 0, -E_NOTSUP);
	CHECK_WRONG(header.vendor, TRACE_VENDORS, -E_CORRUPT);
	CHECK_WRONG(header.physical_bits, 53, -E_CORRUPT);
	CHECK_WRONG(header.bytes, ~0ull, -E_TRUNCATED);
	CHECK_WRONG(header.bytes, 8, -E_CORRUPT);
	CHECK_WRONG(header.records, 2, -E_CORRUPT);
	CHECK_WRONG(header.records, 0, -E_CORRUPT);
	CHECK_WRONG(header.device[3].name[0], '\n', -E_CORRUPT);
	sample_fill(&s);
	memset(s.header.device[0].name, 'a', sizeof(s.header.device[0].name));
	CHECK_EQ(read_sample(), -E_CORRUPT);
}

static void test_record(void)
{
	CHECK_WRONG(record.length, ~0u, -E_TRUNCATED);
	CHECK_WRONG(record.length, 0, -E_CORRUPT);
	CHECK_WRONG(record.length, s.record.length - 8, -E_CORRUPT);
	CHECK_WRONG(record.kind, TRACE_KINDS, -E_CORRUPT);
	CHECK_WRONG(record.kind, TRACE_PORTS, -E_CORRUPT);
	CHECK_WRONG(record.device, 1, -E_CORRUPT);
	CHECK_WRONG(record.device, TRACE_DEVICES, -E_CORRUPT);
	CHECK_WRONG(record.flags, TRACE_FLAGS + 1, -E_CORRUPT);
	CHECK_WRONG(record.flags, TRACE_CONFIG, -E_CORRUPT);
	CHECK_WRONG(record.verdict, TRACE_VERDICTS, -E_CORRUPT);
	CHECK_WRONG(record.insn_bytes, 16, -E_CORRUPT);
	CHECK_WRONG(record.insn_given, 4, -E_CORRUPT);
	CHECK_WRONG(record.insn_length, 16, -E_CORRUPT);
	CHECK_WRONG(record.insn_source, TRACE_INSN_SOURCES, -E_CORRUPT);
	CHECK_WRONG(record.cpl, 4, -E_CORRUPT);
	CHECK_WRONG(record.before.type, 4, -E_CORRUPT);
	CHECK_WRONG(record.after.has_error, 2, -E_CORRUPT);
	CHECK_WRONG(record.changed, 3, -E_CORRUPT);
	CHECK_WRONG(record.changed, 1u << TRACE_REGISTERS, -E_CORRUPT);
	CHECK_WRONG(record.gpa, SAMPLE_DEVICE - 1, -E_CORRUPT);
	CHECK_WRONG(record.region_count, 0, -E_CORRUPT);
	CHECK_WRONG(record.region_count, TRACE_REGIONS + 1, -E_CORRUPT);
	CHECK_WRONG(record.access_bytes, ~7u, -E_CORRUPT);
	CHECK_WRONG(record.extension_bytes, 8, -E_CORRUPT);
	CHECK_WRONG(region.len, 0, -E_CORRUPT);
	CHECK_WRONG(region.len, ~0ull, -E_CORRUPT);
	CHECK_WRONG(region.device, 1, -E_CORRUPT);
	CHECK_WRONG(region.device, TRACE_NO_DEVICE, -E_CORRUPT);
}

static void test_accesses(void)
{
	CHECK_WRONG(record.access_count, 1, -E_CORRUPT);
	CHECK_WRONG(record.access_count, 3, -E_CORRUPT);
	CHECK_WRONG(record.access_count, ~0u, -E_CORRUPT);
	CHECK_WRONG(access[0].access.kind, TRACE_ACCESS_KINDS, -E_CORRUPT);
	CHECK_WRONG(access[0].access.kind, TRACE_ACCESS_WALK, -E_CORRUPT);
	CHECK_WRONG(access[0].access.flags, 4, -E_CORRUPT);
	CHECK_WRONG(access[0].access.result, 2, -E_CORRUPT);
	CHECK_WRONG(access[0].access.len, 0, -E_CORRUPT);
	CHECK_WRONG(access[0].access.len, 100, -E_CORRUPT);
	CHECK_WRONG(access[1].access.len, ~0u, -E_CORRUPT);
	CHECK_WRONG(access[1].access.len, 3, -E_CORRUPT);
	CHECK_WRONG(access[1].access.region, 1, -E_CORRUPT);
	CHECK_WRONG(access[1].access.result, IO_FAULT + 1, -E_CORRUPT);
	CHECK_WRONG(access[1].access.kind, TRACE_ACCESS_BLOCK, -E_CORRUPT);
}

/* Extensions that nobody knows are skipped, and have to be whole. */
static void test_extensions(void)
{
	struct {
		struct sample s;
		struct trace_extension x[2];
	} big;
	struct trace_file f;
	struct trace_view v;

	sample_fill(&big.s);
	big.s.header.bytes += sizeof(big.x);
	big.s.record.length += sizeof(big.x);
	big.s.record.extension_bytes = sizeof(big.x);
	big.x[0] = big.x[1] = (struct trace_extension){77, 1, sizeof(big.x[0])};
	CHECK_EQ(trace_file_open(&big, sizeof(big), &f, &why), 0);
	CHECK_EQ(trace_file_next(&f, &v, &why), 1);
	CHECK_EQ(v.after[TRACE_RIP], big.s.rip);
	big.x[1].length = 16;
	CHECK_EQ(trace_file_open(&big, sizeof(big), &f, &why), 0);
	CHECK_EQ(trace_file_next(&f, &v, &why), -E_CORRUPT);
	big.x[0].length = 0;
	CHECK_EQ(trace_file_open(&big, sizeof(big), &f, &why), 0);
	CHECK_EQ(trace_file_next(&f, &v, &why), -E_CORRUPT);
}

static void check_text(const char *text, int result, const char *data)
{
	uint8_t got[100];
	size_t size = 0;

	CHECK_EQ(trace_text_decode(text, strlen(text), got, &size), result);
	if (!result)
		CHECK(size == strlen(data) && !memcmp(got, data, size));
}

static void test_text(void)
{
	check_text("", -E_NOENT, "");
	check_text("some log\nwith lines\n", -E_NOENT, "");
	check_text("log\r\npostern-trace:Zm9v\r\nlog\npostern-trace:YmFy\n", 0, "foobar");
	check_text("[    1.2] postern-trace:Zm8=", 0, "fo");
	check_text("postern-trace:Zg==\n", 0, "f");
	check_text("postern-trace:\n", 0, "");
	check_text("postern-trace:Zm9", -E_CORRUPT, "");
	check_text("postern-trace:Zm9v Zm9", -E_CORRUPT, "");
	check_text("postern-trace:Zg==Zg==", -E_CORRUPT, "");
	check_text("postern-trace:=m9v", -E_CORRUPT, "");
}

int main(void)
{
	RUN(test_good);
	RUN(test_every_prefix);
	RUN(test_every_byte);
	RUN(test_header);
	RUN(test_record);
	RUN(test_accesses);
	RUN(test_extensions);
	RUN(test_text);
	return TEST_RESULT();
}
