/*
 * Runs the exits of a trace again, through the decoder, the emulator and the port code that the
 * program itself has, for a guest that answers each access as the record says. The recorder listens
 * as it did then; the two records must be the same.
 */
#ifndef POSTERN_TRACE_REPLAY_H
#define POSTERN_TRACE_REPLAY_H

#include "reader.h"

struct replay;

/* A guest with the processor that the header describes. NULL without memory. */
struct replay *replay_create(const struct trace_header *h);
void replay_destroy(struct replay *r);

enum replay_result { REPLAY_SAME, REPLAY_DIFFERENT, REPLAY_INCOMPLETE };

#define REPLAY_TEXT_MAX 256u

/*
 * REPLAY_DIFFERENT says the first difference in text; REPLAY_INCOMPLETE why this record lacks what a
 * replay needs.
 */
enum replay_result replay_run(
	struct replay *r, const struct trace_view *v, char text[static REPLAY_TEXT_MAX]);

#endif
