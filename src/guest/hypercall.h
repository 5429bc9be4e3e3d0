/*
 * The guest's calls to Postern: the handler behind the port that hypercall_abi.h describes, which is
 * also the contract. One 32-bit OUT per call; every other access finds nothing there.
 */
#ifndef POSTERN_GUEST_HYPERCALL_H
#define POSTERN_GUEST_HYPERCALL_H

#include "base/log.h"
#include "core/region.h"
#include "core/vm.h"
#include "guest/firmware_calls.h"

/* Lines that a guest may put into the log in all; the rest it may say on its own console. */
#define HYPERCALL_LOG_LINES 64u

struct hypercall {
	struct device dev;
	struct region region;
	unsigned log_lines;
	struct log_limit refused;
	struct firmware_calls *firmware; /* NULL: the guest has no firmware */
};

/* Adds the port to vm->pio; h lives as long as vm. -E_EXIST, -E_NOMEM. */
int hypercall_init(struct hypercall *h, struct vm *vm) must_check;

/* Answers the firmware's calls too; c lives as long as vm. After hypercall_init. */
void hypercall_offer_firmware(struct hypercall *h, struct firmware_calls *c);

#endif
