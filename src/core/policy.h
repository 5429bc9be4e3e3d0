/*
 * What a guest may do with a restricted disk: commands by name, ranges of blocks with rights of
 * their own, limits. One vocabulary for all controllers; what a command is there, each of them says.
 * A policy only narrows: what a controller's model doesn't understand is refused whatever stands here.
 *
 * Pure, no state. Judging is on the exit path, looking names up isn't.
 */
#ifndef POSTERN_CORE_POLICY_H
#define POSTERN_CORE_POLICY_H

#include "base/types.h"

enum policy_command {
	POLICY_IDENTIFY,
	POLICY_READ,
	POLICY_WRITE,
	POLICY_FLUSH,
	POLICY_COMPARE,
	POLICY_WRITE_ZEROES,
	POLICY_ERROR_LOG,
	POLICY_SMART_LOG,
	POLICY_FIRMWARE_LOG,
	POLICY_SECURITY_SEND,
	POLICY_SECURITY_RECEIVE,
	POLICY_GET_FEATURES,
	POLICY_SET_ARBITRATION,
	POLICY_SET_TEMPERATURE,
	POLICY_SET_COALESCING,
	POLICY_SET_VECTOR,
	POLICY_SET_ATOMICITY,
	POLICY_SET_EVENTS,
	POLICY_COMMANDS
};
_Static_assert(POLICY_COMMANDS <= 64, "a bit for each command");

#define POLICY_WINDOWS	4u
#define POLICY_QUEUES	4u
#define POLICY_TRANSFER (128 * KIB)

/* Blocks of a disk, both ends included. */
struct policy_window {
	uint64_t first, last;
	bool read_only;
};

struct policy {
	uint64_t allowed; /* a bit for each enum policy_command */
	struct policy_window window[POLICY_WINDOWS];
	unsigned windows; /* 0: the whole disk */
	uint32_t
		transfer; /* bytes of one command at most: a power of two, 4096 to POLICY_TRANSFER */
	uint16_t queues;  /* I/O queues at most, 1 to POLICY_QUEUES */
};

/* What a device has whose section names no policy: it can be read, and nothing changes. */
extern const struct policy policy_read_only;

static inline bool policy_allows(const struct policy *p, enum policy_command c)
{
	return p->allowed >> c & 1;
}

enum policy_reach {
	POLICY_INSIDE,
	POLICY_OUTSIDE,	     /* not wholly in one window */
	POLICY_NOT_WRITABLE, /* in one that is for reading */
};

/* count blocks from first on, in one of n windows; without windows all is inside. */
enum policy_reach policy_reach(
	const struct policy_window *window, unsigned n, uint64_t first, uint64_t count, bool write);

/* "read", "set-features:events", ...; never NULL. */
const char *policy_command_name(enum policy_command c);

/*
 * The bits of a name of len bytes: one command, or all of a family ("set-features"). 0: no such
 * name. A profile: read-only, unlock, full.
 */
uint64_t policy_find_command(const char *name, size_t len);
uint64_t policy_find_profile(const char *name);

#endif
