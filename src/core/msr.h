/*
 * The model-specific registers of the guest's CPU: one table, deny by default. An index that isn't
 * in it faults, as on a CPU that lacks it.
 */
#ifndef POSTERN_CORE_MSR_H
#define POSTERN_CORE_MSR_H

#include "base/types.h"

struct vm;
struct vmexit;

/* May the guest use the real register without an exit? For the back ends' bitmaps. */
bool msr_is_direct(uint32_t index);

/* Puts the initial values into vm->msr_shadow. */
void msr_init(struct vm *vm);

/* VMEXIT_MSR: answers or injects #GP. */
void msr_exit(struct vm *vm, const struct vmexit *e);

#endif
