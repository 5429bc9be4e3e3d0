/*
 * Memory operands of the instruction being emulated: from segment and offset to a linear address,
 * through the guest's page tables, to a device, guest memory, or nobody. On the exit path.
 *
 * Everything here raises the exception that is due itself, and then returns -E_FAULT; the caller
 * changes nothing before an access that can fail.
 */
#ifndef POSTERN_MMIO_ACCESS_H
#define POSTERN_MMIO_ACCESS_H

#include "core/gva.h"
#include "core/vm.h"
#include "mmio/decode.h"

/* One instruction under emulation. */
struct emulation {
	struct vm *vm;
	const struct vmexit *exit;
	const struct insn *insn;
	enum insn_mode mode;
	bool user;	 /* CPL 3 */
	bool matched;	 /* an operand is where the exit says that the CPU was */
	bool lost;	 /* the guest's page tables led out of its memory */
	unsigned align;	 /* operands of MOVAPS and its like must be aligned to that; 0: need not */
	uint64_t sp_add; /* what POP has added to RSP before its operand is computed */
};

#define SPAN_MAX 64u /* bytes */

/* What is known to be at a span: nothing yet, one region, or guest memory and no region. */
enum span_place { PLACE_UNKNOWN, PLACE_REGION, PLACE_MEMORY };

/* A memory operand, translated: where its bytes are on the first page, and on the second. */
struct span {
	uint64_t linear;
	gpa_t at[2];
	unsigned len, first; /* bytes in all and on the first page */
	enum span_place place;
	struct region *region;
};

/* The offset of the instruction's ModRM or absolute operand, cut to the address size. */
uint64_t access_offset(const struct emulation *em);

/*
 * Translates len bytes (up to SPAN_MAX) at seg:offset, and holds them against the exit: if they
 * are what the CPU tried to access, em->matched is set. -E_FAULT: an exception is raised.
 */
int access_resolve(struct emulation *em, unsigned seg, uint64_t offset, unsigned len,
	enum gva_access access, struct span *ret) must_check;

/*
 * The number of elements of a string, up to max, that lie in the page of the first one, inside the
 * segment and below the wrap of the address size, going up or down from seg:offset. At least 1.
 */
unsigned access_reach(struct emulation *em, const struct span *span, unsigned seg, uint64_t offset,
	bool down, unsigned max);

/* Finds out the place of count elements at once, from the span on; see access_reach. */
void access_settle(struct emulation *em, struct span *s, bool down, unsigned count);

/* Goes to the next element, up or down, inside the reach. */
static inline void span_step(struct span *s, bool down)
{
	s->at[0].v += down ? -(uint64_t)s->len : s->len;
}

/* Moves len bytes between the operand and a buffer. */
int access_read(struct emulation *em, const struct span *s, void *ret_data) must_check;
int access_write(struct emulation *em, const struct span *s, const void *data) must_check;

/* The same for operands of 1, 2, 4 or 8 bytes. */
int access_read_value(struct emulation *em, const struct span *s, uint64_t *ret) must_check;
int access_write_value(struct emulation *em, const struct span *s, uint64_t value) must_check;

#endif
