/*
 * The EFI variables of a guest: what it may see of the machine's own, read once before it starts, and a
 * namespace for all that it sets itself, which ends with it. Nothing a guest does reaches the machine's.
 * Bounded: VARIABLES_MAX variables, VARIABLES_ROOM bytes of data. On the exit path; pure.
 */
#ifndef POSTERN_GUEST_VARIABLES_H
#define POSTERN_GUEST_VARIABLES_H

#include "base/arena.h"
#include "guest/hypercall_abi.h"

#define VARIABLES_MAX	      64u
#define VARIABLES_ROOM	      65536u

/* UEFI specification 2.10, "GetVariable()". */
#define VARIABLE_NON_VOLATILE 0x1u
#define VARIABLE_BOOT	      0x2u
#define VARIABLE_RUNTIME      0x4u
#define VARIABLE_APPEND	      0x40u

struct variable_id {
	uint8_t guid[16];
	uint8_t name[POSTERN_VARIABLE_NAME_MAX]; /* UCS-2 without a NUL; zeros behind it */
	uint32_t name_size;			 /* bytes */
};

struct variable {
	struct variable_id id;
	uint32_t attributes;
	uint32_t at, size; /* of the data */
	bool locked;	   /* the machine's: the guest only reads it */
};

struct variables {
	struct variable *list;
	unsigned count;
	uint8_t *data; /* of all variables, one behind the other in no order, without gaps */
	uint32_t used;
	bool boot_over;
};

/* All memory that it will ever need. -E_NOMEM. */
int variables_init(struct variables *v, struct arena *arena) must_check;

/* Shows a variable of the machine's, read-only. -E_INVAL, -E_NOMEM, -E_EXIST. */
int variables_show(struct variables *v, const struct variable_id *id, uint32_t attributes,
	const void *data, size_t size) must_check;

/* -E_NOENT. The data stays where it is until the next variables_set. */
int variables_get(const struct variables *v, const struct variable_id *id, uint32_t *ret_attributes,
	const void **ret_data, uint32_t *ret_size) must_check;

/*
 * Sets, appends to, or with no data (or no access) deletes a variable of the guest's. -E_DENIED (the
 * machine's), -E_INVAL, -E_NOTSUP (authenticated ones), -E_NOENT (deletes what isn't there), -E_NOMEM.
 */
int variables_set(struct variables *v, const struct variable_id *id, uint32_t attributes,
	const void *data, size_t size) must_check;

/* The one behind id (an empty name: the first one). -E_NOENT at the end, -E_INVAL if id isn't there. */
int variables_next(const struct variables *v, const struct variable_id *id,
	const struct variable_id **ret_next) must_check;

/* Variables for boot services only are hidden from here on, and no more can be made. */
void variables_end_boot(struct variables *v);

uint32_t variables_room(const struct variables *v);

#endif
