/*
 * Reads traces (core/trace_format.h), from wherever they come: every length and every value with a
 * bounded range is checked before it is handed out. Pure; the bytes stay the caller's and must
 * outlive what points into them.
 */
#ifndef POSTERN_TRACE_READER_H
#define POSTERN_TRACE_READER_H

#include "core/trace_format.h"

struct trace_file {
	struct trace_header header;
	const uint8_t *data;
	size_t size, at; /* at: of the next record */
	uint64_t read;	 /* records so far */
};

/* A record, whole and checked. */
struct trace_view {
	struct trace_record record;
	struct trace_region region[TRACE_REGIONS];
	uint64_t after[TRACE_REGISTERS]; /* all of them, changed or not */
	const uint8_t *start;		 /* record.length bytes */
	const uint8_t *accesses;	 /* record.access_bytes of them */
};

struct trace_item {
	struct trace_access access;
	const uint8_t *data; /* access.len bytes */
};

/* 0, or -E_TRUNCATED, -E_NOTSUP (another version), -E_CORRUPT with a sentence in *ret_why. */
int trace_file_open(
	const void *data, size_t size, struct trace_file *ret, const char **ret_why) must_check;

/* 1 with the next record in *ret, 0 at the end, or the errors of trace_file_open. */
int trace_file_next(struct trace_file *f, struct trace_view *ret, const char **ret_why) must_check;

/* One record by itself; the same errors, or 0. */
int trace_view_parse(const struct trace_header *h, const void *data, size_t size,
	struct trace_view *ret, const char **ret_why) must_check;

/* The access at *at, which starts with 0 and moves on. False at the end. */
bool trace_view_next(const struct trace_view *v, size_t *at, struct trace_item *ret);

/*
 * The trace in a log with lines of base64 behind TRACE_LINE: decodes size bytes of text to ret, which
 * may be the text itself, and gives the number of bytes. -E_NOENT if there is no such line,
 * -E_CORRUPT if one isn't base64.
 */
int trace_text_decode(const void *text, size_t size, uint8_t *ret, size_t *ret_size) must_check;

#endif
