/*
 * The recorder: turns each exit on a traced device into one record (core/trace_format.h) in a ring
 * in memory, from which the EFI room takes them after the guest. It is in core because what it
 * listens to is: the exit handlers, the guest's page tables, and the accesses to devices.
 *
 * Order of calls: trace_init, trace_add_device for each device, trace_start when the exit handlers
 * are set, and trace_contents after the guest.
 *
 * Everything that runs on the exit path is here as an inline that tests vm->recording, which is
 * NULL but in an exit that is recorded. Code that accesses guest memory on behalf of the guest's CPU
 * calls traced_read and traced_write instead of gmem's functions; devices keep to those.
 */
#ifndef POSTERN_CORE_TRACE_H
#define POSTERN_CORE_TRACE_H

#include "core/trace_format.h"
#include "core/vm.h"

#define TRACE_SIZE_MIN	  (256 * KIB) /* of the ring */
#define TRACE_SIZE_MAX	  (64 * MIB)

/* Bytes that trace_init takes from the arena beside the ring, at most. */
#define TRACE_ARENA_EXTRA (2ul * TRACE_RECORD_MAX)

/* Sets vm->trace. ring_bytes is a multiple of 8, at least TRACE_SIZE_MIN. -E_INVAL, -E_NOMEM. */
int trace_init(struct vm *vm, struct arena *arena, size_t ring_bytes) must_check;

/* Exits on the regions of dev will be recorded, and on its configuration space. -E_NOMEM. */
int trace_add_device(struct vm *vm, struct device *dev) must_check;

/* Steps in front of the handlers of VMEXIT_NPF and VMEXIT_PIO. */
void trace_start(struct vm *vm);

/* The trace as a file: three pieces, the last of which may be empty. Not while the guest runs. */
struct trace_piece {
	const void *data;
	size_t size;
};
#define TRACE_PIECES 3u
void trace_contents(struct vm *vm, struct trace_piece ret[static TRACE_PIECES]);

/* Empties the ring, as if it were just started; numbers go on. */
void trace_forget(struct vm *vm);

/* What there is and what was lost; all zero without a recorder. */
struct trace_counts {
	uint64_t records, bytes, lost;
};
struct trace_counts trace_count(const struct vm *vm);

/*
 * For the regions of configuration space, whose device has TRACE_CLAIM as trace: the access under way
 * is about dev. Exits that no traced device is claimed for leave no record.
 */
#define TRACE_CLAIM 0xffu
void trace_claim_config(struct vm *vm, const struct device *dev, uint32_t offset);

/* The register at a place of a record, from TRACE_RIP to TRACE_EFER. */
static inline enum vcpu_reg trace_vcpu_reg(enum trace_register place)
{
	static const uint8_t regs[] = {
		VREG_RIP, VREG_RFLAGS, VREG_CR0, VREG_CR2, VREG_CR3, VREG_CR4, VREG_EFER};

	return (enum vcpu_reg)regs[place - TRACE_RIP];
}

/* ---- the exit path ---- */

struct trace_io {
	struct region *region; /* or NULL */
	enum trace_access_kind kind;
	bool write;
	uint8_t result;
	gpa_t at; /* address or port */
	const void *data;
	size_t len;
};

void trace_note_memory(struct vm *vm, enum trace_access_kind kind, bool write, gpa_t at,
	const void *data, size_t len, bool failed);
void trace_note_walk(
	struct vm *vm, uint64_t linear, gpa_t at, const uint64_t *entry, size_t len, bool write);
void trace_note_io(struct vm *vm, const struct trace_io *io);
void trace_note_page(struct vm *vm, uint64_t linear, gpa_t at);

static inline bool trace_is_on(const struct vm *vm)
{
	return __builtin_expect(vm->recording != NULL, 0);
}

/* gmem_read and gmem_write for the guest's CPU; kind is TRACE_ACCESS_FETCH or _MEMORY. */
static inline int traced_read(
	struct vm *vm, enum trace_access_kind kind, gpa_t at, void *ret_copy, size_t len)
{
	int err = gmem_read(&vm->gmem, at, ret_copy, len);

	if (trace_is_on(vm))
		trace_note_memory(vm, kind, false, at, ret_copy, len, err);
	return err;
}

static inline int traced_write(struct vm *vm, gpa_t at, const void *data, size_t len)
{
	int err = gmem_write(&vm->gmem, at, data, len);

	if (trace_is_on(vm))
		trace_note_memory(vm, TRACE_ACCESS_MEMORY, true, at, data, len, err);
	return err;
}

/* A linear address was translated, of which the accesses that follow don't know any more. */
static inline void trace_translated(struct vm *vm, uint64_t linear, gpa_t at)
{
	if (trace_is_on(vm))
		trace_note_page(vm, linear, at);
}

#endif
