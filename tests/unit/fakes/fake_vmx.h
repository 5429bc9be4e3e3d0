/*
 * Doubles of the VMX instructions: a VMCS as an array of fields, and a guest that is a function of
 * the test's. What no program may do (VMREAD without a current VMCS...) counts as misuse.
 */
#ifndef POSTERN_FAKE_VMX_H
#define POSTERN_FAKE_VMX_H

#include "vmx/insn.h"
#include "vmx/state.h"

#define FAKE_FIELDS 0x7000u

struct fake_vmx {
	bool on, loaded;
	uint64_t field[FAKE_FIELDS];
	unsigned writes[FAKE_FIELDS];
	struct vmx_selectors selectors;
	unsigned invepts, invvpids, nmis, misuse;
	bool fail_on, fail_clear, fail_load;
	/* The guest up to its exit: the reason. */
	uint64_t (*enter)(uint64_t *gpr, struct vmx_entry *n);
};

extern struct fake_vmx fake_vmx;

void fake_vmx_reset(void);

/* Capability MSRs of a CPU that can do all that is needed. Sets fake_cpu's MSRs too. */
struct vmx_caps fake_vmx_good_caps(void);

/* A VMCS is current, as between enable and disable, with x's guest in it. */
void fake_vmx_make_live(struct vmx *x);

#endif
