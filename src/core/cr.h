/* Control registers and XSETBV: what the guest may set, by the CPU that its CPUID describes. */
#ifndef POSTERN_CORE_CR_H
#define POSTERN_CORE_CR_H

struct vm;
struct vmexit;

/* VMEXIT_CR and VMEXIT_XSETBV. */
void cr_exit(struct vm *vm, const struct vmexit *e);
void xsetbv_exit(struct vm *vm, const struct vmexit *e);

#endif
