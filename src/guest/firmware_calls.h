/*
 * The calls of a guest's firmware: time, reset, variables; hypercall_abi.h is their contract. On the exit
 * path, behind guest/hypercall.c.
 */
#ifndef POSTERN_GUEST_FIRMWARE_CALLS_H
#define POSTERN_GUEST_FIRMWARE_CALLS_H

#include "core/vm.h"
#include "guest/variables.h"

/* UEFI specification 2.10, "GetTime()": EFI_TIME. */
struct guest_time {
	uint16_t year;
	uint8_t month, day, hour, minute, second, pad1;
	uint32_t nanosecond;
	int16_t time_zone;
	uint8_t daylight, pad2;
};
_Static_assert(sizeof(struct guest_time) == 16, "EFI_TIME");

struct firmware_calls {
	struct variables variables;
	/* The machine's time. 0 or -E_...; in the run loop's context, guest not running. */
	int (*get_time)(void *arg, struct guest_time *ret);
	void *arg;
	uint64_t missing; /* services that a program wanted: one bit each */
	uint8_t data[POSTERN_VARIABLE_DATA_MAX];
};

/* One call: 0 or a POSTERN_CALL_E.... */
int firmware_call(struct firmware_calls *c, struct vm *vm, uint32_t function);

#endif
