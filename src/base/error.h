/*
 * Error codes. A function that can fail returns 0 or one of these negated, and leaves its ret_*
 * outputs untouched on failure.
 */
#ifndef POSTERN_BASE_ERROR_H
#define POSTERN_BASE_ERROR_H

enum error {
	E_INVAL = 1, /* a value that can't be right */
	E_RANGE,     /* an address, index or length outside its space */
	E_NOMEM,     /* out of memory or of a fixed-size table */
	E_NOENT,     /* no such file, device, key */
	E_EXIST,     /* overlaps or repeats something that is there */
	E_NOTSUP,    /* the machine or this build can't */
	E_LOCKED,    /* the firmware locked a feature off */
	E_TIMEOUT,   /* a bounded wait ran out */
	E_IO,	     /* the device or the file system failed */
	E_DENIED,    /* policy says no */
	E_FAULT,     /* a guest address that isn't mapped */
	E_TRUNCATED, /* input ends too early */
	E_CORRUPT,   /* input contradicts itself */
	E_ENTRY,     /* the processor refused to enter the guest */
	E_COUNT
};

/* A short lower-case phrase for a negative or positive code; never NULL. */
const char *error_string(int error);

#endif
