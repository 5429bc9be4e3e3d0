/* The commands of postern-trace: each goes through a trace once. */
#ifndef POSTERN_TRACE_COMMANDS_H
#define POSTERN_TRACE_COMMANDS_H

#include "reader.h"

#include <stdio.h>

/* Which records a command is about. */
struct selection {
	const char *device, *insn; /* parts of names, or NULL */
	bool has_offset, reads, writes;
	uint64_t offset;
	uint64_t first, count; /* numbers of records; count of those that fit */
};

struct trace_input {
	struct trace_file file;
	const char *name; /* for messages */
	struct selection select;
	uint64_t chosen; /* so far */
};

/*
 * The next record that is selected: 1, 0 at the end, or -1 with a message written for a trace that
 * is broken.
 */
int trace_input_next(struct trace_input *in, struct trace_view *ret);

/* Each returns an exit status: 0 for success, 1 if the trace is broken or a replay differs. */
int command_print(struct trace_input *in, FILE *out);
int command_replay(struct trace_input *in, FILE *out);
int command_stats(struct trace_input *in, FILE *out);
int command_filter(struct trace_input *in, FILE *out);
int command_export(struct trace_input *in, FILE *out);

#endif
