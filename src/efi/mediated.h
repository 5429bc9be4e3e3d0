/*
 * The restricted devices: which functions of the machine the configuration means, their way from
 * the firmware's driver to the guest, and back.
 */
#ifndef POSTERN_EFI_MEDIATED_H
#define POSTERN_EFI_MEDIATED_H

#include "efi/config.h"
#include "efi/drivers.h"
#include "efi/machine.h"

#define MEDIATED_MAX 4u

struct mediated {
	struct device dev;
	const struct mediator *mediator; /* how its class is mediated */
	struct policy policy;
	bool attached;
};

struct mediated_set {
	const struct config *config;
	struct vm *vm;
	struct mediated item[MEDIATED_MAX];
	unsigned count;
};

/* Matches the functions of the real bus against the configuration. -E_NOMEM. */
int mediated_choose(struct mediated_set *set, const struct config *c, struct vm *vm) must_check;

/* Is this function one of them? */
bool mediated_has(const struct mediated_set *set, pci_bdf_t bdf);

/* Stops the firmware's drivers on them; what was stopped is in d on an error too. */
int mediated_stop_drivers(struct mediated_set *set, struct drivers *d) must_check;

/* Attaches mediators, shows them in the filter, routes their interrupts. Undone on an error. */
int mediated_attach(struct mediated_set *set, struct machine *m, struct arena *arena) must_check;
void mediated_detach(struct mediated_set *set, struct machine *m);

/* Is one of them restless? Then neither guest memory nor the arena may go back to the firmware. */
bool mediated_is_restless(const struct mediated_set *set);

#endif
