/*
 * What the processor's VMX can do, as its capability MSRs tell it, and the controls chosen from
 * that. Pure: no hardware is touched, so that any CPU can be played in a test.
 */
#ifndef POSTERN_VMX_CONTROLS_H
#define POSTERN_VMX_CONTROLS_H

#include "base/types.h"

/* SDM vol. 3D "VMX Capability Reporting Facility". */
#define MSR_VMX_BASIC	     0x480u
#define MSR_VMX_MISC	     0x485u
#define MSR_VMX_CR0_FIXED0   0x486u
#define MSR_VMX_CR0_FIXED1   0x487u
#define MSR_VMX_CR4_FIXED0   0x488u
#define MSR_VMX_CR4_FIXED1   0x489u
#define MSR_VMX_PROC2	     0x48bu
#define MSR_VMX_EPT_VPID_CAP 0x48cu
#define MSR_VMX_TRUE_PIN     0x48du
#define MSR_VMX_TRUE_PROC    0x48eu
#define MSR_VMX_TRUE_EXIT    0x48fu
#define MSR_VMX_TRUE_ENTRY   0x490u

#define VMX_BASIC_REVISION   0x7fffffffull
#define VMX_BASIC_TRUE	     (1ull << 55) /* the TRUE MSRs exist */

#define VMX_MISC_TIMER_RATE  0x1full /* the timer counts TSC bit n */

#define EPT_CAP_WALK4	     (1ull << 6)
#define EPT_CAP_WB	     (1ull << 14)
#define EPT_CAP_2M	     (1ull << 16)
#define EPT_CAP_1G	     (1ull << 17)
#define EPT_CAP_INVEPT	     (1ull << 20)
#define EPT_CAP_INVEPT_ALL   (1ull << 26)
#define VPID_CAP_INVVPID     (1ull << 32)
#define VPID_CAP_INVVPID_ALL (1ull << 42)

/*
 * pin, proc, proc2, exit, entry: a control may be 1 if its bit is set in the upper half, and must
 * be 1 if it is set in the lower half.
 */
struct vmx_caps {
	uint64_t basic, misc, pin, proc, proc2, exit, entry;
	uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	uint64_t ept_vpid;
};

struct vmx_controls {
	uint32_t pin, proc, proc2, exit, entry;
};

/* The MSRs beyond MSR_VMX_BASIC that hold the rest; 0 for those that this CPU hasn't. */
bool vmx_caps_has_true(uint64_t basic);
bool vmx_caps_has_proc2(uint64_t proc);

/*
 * The controls that the back end runs with. -E_NOTSUP, with a sentence for the user in *ret_why,
 * if the CPU lacks one that is needed or forces one that is in the way.
 */
int vmx_controls_choose(
	const struct vmx_caps *caps, struct vmx_controls *ret, const char **ret_why) must_check;

/*
 * The start value of the timer that ends the guest's turn, in its own units. It is there for a
 * guest with interrupts off: a processor ends that one's turn for a host interrupt too, but Bochs
 * 2.7 doesn't if they were off at the entry. Much longer than most turns, so that it costs nothing.
 */
#define VMX_TURN_TSC (1ull << 24)
uint32_t vmx_turn(const struct vmx_caps *caps);

/* A control register with the bits that VMX operation fixes. */
static inline uint64_t vmx_fix(uint64_t cr, uint64_t fixed0, uint64_t fixed1)
{
	return (cr | fixed0) & fixed1;
}

#endif
