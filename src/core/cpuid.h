/* The CPUID leaves of the guest's CPU: one table of what passes from the host's. */
#ifndef POSTERN_CORE_CPUID_H
#define POSTERN_CORE_CPUID_H

#include "hw/cpu.h"

struct vm;
struct vmexit;

/* Reads the host's leaves once, so that the exit path only looks up. */
void cpuid_init(struct vm *vm);

/* What the guest sees for a leaf. */
struct cpuid_regs cpuid_answer(const struct vm *vm, uint32_t leaf, uint32_t subleaf);

/* What that means for page tables: bits of a guest-physical address, and pages of 1 GiB. */
unsigned cpuid_physical_bits(const struct vm *vm);
bool cpuid_has_1gib_pages(const struct vm *vm);

/*
 * With a local APIC: its feature bits, its timer that never stops, and the topology of one processor.
 * Switched off again by IA32_APIC_BASE only the bit of leaf 1 goes away.
 */
void cpuid_show_apic(struct vm *vm, bool on);

/* VMEXIT_CPUID. */
void cpuid_exit(struct vm *vm, const struct vmexit *e);

#endif
