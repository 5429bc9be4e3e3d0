/*
 * The second opinion on an instruction: Capstone decodes it as well, and where the two differ it is
 * not executed, unless the difference is a known defect of Capstone's. Asked once for each
 * instruction that enters the decode cache; that is on the exit path.
 *
 * second_none.c stands in where the program is built without Capstone: it agrees to everything.
 */
#ifndef POSTERN_MMIO_SECOND_H
#define POSTERN_MMIO_SECOND_H

#include "base/arena.h"
#include "mmio/decode.h"

struct second;

/*
 * Capstone's memory is taken from the arena here, all of it: -E_NOMEM if it doesn't fit, -E_IO if
 * Capstone doesn't start. There is one at a time, since Capstone's allocator is a global: opening
 * another is for when the first is no longer used.
 */
int second_open(struct arena *arena, struct second **ret) must_check;

/*
 * Whether Capstone reads the instruction as ours says, or wrongly in a way that is known. bytes has
 * all n that are there, which may be more than ours->length. Bounded: 15 bytes are looked at, once.
 */
bool second_agrees(struct second *s, const uint8_t *bytes, size_t n, enum insn_mode mode,
	const struct insn *ours) must_check;

/* What both said when second_agrees was last called, and what of it differs: for a log line. */
void second_describe(const struct second *s, const struct insn *ours, char *out, size_t size);

/* The name of an instruction, also of those that insn_decode doesn't know; "?" if it is none. */
const char *second_name(struct second *s, const uint8_t *bytes, size_t n, enum insn_mode mode);

/* The known defects of Capstone's: an example of each, and how often it was met. */
struct second_defect {
	const char *what;
	uint8_t bytes[INSN_MAX], n;
	enum insn_mode mode;
};
unsigned second_defect_count(void);
const struct second_defect *second_defect_get(unsigned i);
uint64_t second_defect_hits(const struct second *s, unsigned i);

#endif
