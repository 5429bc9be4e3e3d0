/*
 * What the tests against a real CPU and against Unicorn share: the emulated side of a sample, and
 * which flags an instruction leaves undefined.
 */
#ifndef POSTERN_DIFF_STATE_H
#define POSTERN_DIFF_STATE_H

#include "fakes/fake_guest.h"
#include "generate.h"

#define ARITH_FLAGS 0x8d5ull

struct state {
	uint64_t gpr[GPR_COUNT];
	uint64_t rip, rflags;
	uint8_t vector[16][32];
};

/* A guest whose device, RAM window and code are where the layout says. */
void emulated_init(struct fake_guest *g, unsigned bits, const struct layout *layout);

/* Random memory in both windows. */
void emulated_fill(struct fake_guest *g, const struct layout *layout);

/* Host pointers to the windows' bytes. */
uint8_t *emulated_ram(struct fake_guest *g, const struct layout *layout);

/*
 * Runs the sample from a state to its end, exit by exit. False: it raised an exception, stopped, or
 * didn't come to an end.
 */
bool emulated_run(struct fake_guest *g, const struct layout *layout, const struct sample *s,
	struct state *state);

/* A state for a sample: its registers, and random flags. */
struct state state_random(const struct sample *s, const struct layout *layout);

/*
 * Comparisons of random values hardly ever succeed: makes half of those of CMPXCHG and its like
 * equal to the operand's present bytes.
 */
void state_make_equal(const struct sample *s, const uint8_t *operand, struct state *st);

/* Is even the result undefined? SHLD and SHRD of 16 bits by more than that. */
bool is_undefined(const struct sample *s, const struct state *before);

/* The arithmetic flags that the manuals define for a sample in a state. */
uint64_t defined_flags(const struct sample *s, const struct state *before);

/* Prints a sample and where two states differ. */
void state_report(const struct sample *s, const struct state *before, const struct state *want,
	const struct state *got);

#endif
