/*
 * The Intel back end: VMX with EPT and unrestricted guest. Everything else is behind vmx_ops in
 * core/vcpu.h.
 */
#ifndef POSTERN_VMX_VMX_H
#define POSTERN_VMX_VMX_H

#include "core/slpt.h"
#include "core/vcpu.h"

/*
 * Names a zeroed page of 4 KiB that stays for as long as the machine is on, before the first
 * enable. A processor in VMX operation needs a task register, the firmware often has none, and
 * once loaded it can't be empty again: it goes on pointing into this page after disable.
 */
void vmx_set_resident_page(void *page);

/* Second-level tables as EPT has them. */
extern const struct slpt_format vmx_slpt;

#endif
