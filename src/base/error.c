/* Names of the error codes. Not on the exit path. */
#include "base/error.h"
#include "base/types.h"

static const char *const error_names[E_COUNT] = {
	[0] = "success",
	[E_INVAL] = "invalid value",
	[E_RANGE] = "out of range",
	[E_NOMEM] = "out of memory",
	[E_NOENT] = "not found",
	[E_EXIST] = "already there",
	[E_NOTSUP] = "not supported by this machine",
	[E_LOCKED] = "locked by the firmware",
	[E_TIMEOUT] = "timed out",
	[E_IO] = "input/output error",
	[E_DENIED] = "denied by policy",
	[E_FAULT] = "bad guest address",
	[E_TRUNCATED] = "truncated",
	[E_CORRUPT] = "malformed",
	[E_ENTRY] = "guest entry refused by the processor",
};

const char *error_string(int error)
{
	if (error < 0)
		error = -error;
	return error < E_COUNT ? error_names[error] : "unknown error";
}
