/*
 * Exits on guest-physical addresses that are not mapped: finds the instruction, decodes and
 * executes it, with the guest's devices (struct vm's mmio regions) behind its memory operand.
 *
 * What has no device and no memory behind it reads as all ones and ignores writes. What can't be
 * emulated has a defined answer too:
 * - an instruction that the decoder doesn't know, that the second opinion reads differently, or that
 *   doesn't access what the CPU reported: #UD;
 * - code fetched from there: #UD, which is what the all ones of an empty bus are;
 * - page tables, or the delivery of an event, there: the guest stops as after a triple fault.
 */
#ifndef POSTERN_MMIO_MMIO_H
#define POSTERN_MMIO_MMIO_H

#include "base/arena.h"

struct vm;

/* Installs the handler of VMEXIT_NPF; before the arena is sealed. -E_NOMEM, -E_IO. */
int mmio_attach(struct vm *vm, struct arena *arena) must_check;

#endif
