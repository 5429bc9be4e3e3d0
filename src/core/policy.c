/* What a guest may do with a disk; see policy.h. No state. */
#include "core/policy.h"
#include "base/bits.h"
#include "base/mem.h"

static const char *const names[POLICY_COMMANDS] = {
	[POLICY_IDENTIFY] = "identify",
	[POLICY_READ] = "read",
	[POLICY_WRITE] = "write",
	[POLICY_FLUSH] = "flush",
	[POLICY_COMPARE] = "compare",
	[POLICY_WRITE_ZEROES] = "write-zeroes",
	[POLICY_ERROR_LOG] = "error-log",
	[POLICY_SMART_LOG] = "smart-log",
	[POLICY_FIRMWARE_LOG] = "firmware-log",
	[POLICY_SECURITY_SEND] = "security-send",
	[POLICY_SECURITY_RECEIVE] = "security-receive",
	[POLICY_GET_FEATURES] = "get-features",
	[POLICY_SET_ARBITRATION] = "set-features:arbitration",
	[POLICY_SET_TEMPERATURE] = "set-features:temperature",
	[POLICY_SET_COALESCING] = "set-features:coalescing",
	[POLICY_SET_VECTOR] = "set-features:vector",
	[POLICY_SET_ATOMICITY] = "set-features:atomicity",
	[POLICY_SET_EVENTS] = "set-features:events",
};

/* What drivers want to know and to set before they read; none of it outlives a reset. */
#define DRIVING                                                                                    \
	(BIT(POLICY_IDENTIFY) | BIT(POLICY_READ) | BIT(POLICY_GET_FEATURES) |                      \
		BIT(POLICY_SET_ARBITRATION) | BIT(POLICY_SET_COALESCING) | BIT(POLICY_SET_VECTOR))
#define READ_ONLY                                                                                  \
	(DRIVING | BIT(POLICY_FLUSH) | BIT(POLICY_ERROR_LOG) | BIT(POLICY_SMART_LOG) |             \
		BIT(POLICY_FIRMWARE_LOG) | BIT(POLICY_SET_TEMPERATURE) |                           \
		BIT(POLICY_SET_ATOMICITY) | BIT(POLICY_SET_EVENTS))
#define UNLOCK (DRIVING | BIT(POLICY_SECURITY_SEND) | BIT(POLICY_SECURITY_RECEIVE))
#define FULL   (BIT(POLICY_COMMANDS) - 1)

const struct policy policy_read_only = {
	.allowed = READ_ONLY, .transfer = POLICY_TRANSFER, .queues = POLICY_QUEUES};

static const struct {
	const char *name;
	uint64_t allowed;
} profiles[] = {{"read-only", READ_ONLY}, {"unlock", UNLOCK}, {"full", FULL}};

enum policy_reach policy_reach(
	const struct policy_window *window, unsigned n, uint64_t first, uint64_t count, bool write)
{
	enum policy_reach found = n ? POLICY_OUTSIDE : POLICY_INSIDE;

	for (unsigned i = 0; i < n && found != POLICY_INSIDE; i++) {
		const struct policy_window *w = &window[i];

		if (first < w->first || first > w->last || count - 1 > w->last - first)
			continue;
		found = write && w->read_only ? POLICY_NOT_WRITABLE : POLICY_INSIDE;
	}
	return found;
}

const char *policy_command_name(enum policy_command c)
{
	return c < POLICY_COMMANDS ? names[c] : "?";
}

/* A family's name is what stands before the colon. */
uint64_t policy_find_command(const char *name, size_t len)
{
	uint64_t found = 0;

	for (unsigned i = 0; i < POLICY_COMMANDS && len; i++) {
		if (strncmp(names[i], name, len) != 0)
			continue;
		if (!names[i][len] || names[i][len] == ':')
			found |= BIT(i);
	}
	return found;
}

uint64_t policy_find_profile(const char *name)
{
	for (unsigned i = 0; i < array_size(profiles); i++)
		if (strcmp(profiles[i].name, name) == 0)
			return profiles[i].allowed;
	return 0;
}
