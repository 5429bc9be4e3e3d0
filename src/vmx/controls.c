/* The choice of controls; see controls.h. No state. Runs before the guest, not on the exit path. */
#include "vmx/controls.h"
#include "base/bits.h"
#include "base/error.h"
#include "vmx/vmcs.h"

#define PIN_NEEDED   (PIN_INTERRUPTS | PIN_NMI | PIN_VIRTUAL_NMI)
#define PIN_OPTIONAL PIN_TIMER
/*
 * Every port exits, so that no bitmap of ports is needed. The window control is needed too, but
 * is off until someone asks for it.
 */
#define PROC_NEEDED                                                                                \
	(PROC_HLT | PROC_MWAIT | PROC_RDPMC | PROC_CR8_LOAD | PROC_CR8_STORE | PROC_IO |           \
		PROC_MSR_BITMAP | PROC_MONITOR | PROC_SECONDARY)
#define PROC_AVAILABLE PROC_WINDOW
/* Old CPUs force exits on CR3; those have no unrestricted guest either. */
#define PROC_UNWANTED                                                                              \
	(PROC_WINDOW | PROC_INVLPG | PROC_RDTSC | PROC_CR3_LOAD | PROC_CR3_STORE | PROC_MOV_DR)
#define PROC2_NEEDED   (PROC2_EPT | PROC2_UNRESTRICTED | PROC2_WBINVD)
/* ENCLS would run natively otherwise, on CPUs that have it. */
#define PROC2_OPTIONAL PROC2_ENCLS
#define EXIT_NEEDED                                                                                \
	(EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_EFER |         \
		EXIT_LOAD_EFER)
#define ENTRY_NEEDED (ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER)

#define EPT_NEEDED   (EPT_CAP_WALK4 | EPT_CAP_WB | EPT_CAP_INVEPT | EPT_CAP_INVEPT_ALL)
#define VPID_NEEDED  (VPID_CAP_INVVPID | VPID_CAP_INVVPID_ALL)

bool vmx_caps_has_true(uint64_t basic)
{
	return basic & VMX_BASIC_TRUE;
}

bool vmx_caps_has_proc2(uint64_t proc)
{
	return (proc >> 32) & PROC_SECONDARY;
}

uint32_t vmx_turn(const struct vmx_caps *caps)
{
	uint64_t units = VMX_TURN_TSC >> (caps->misc & VMX_MISC_TIMER_RATE);

	return units ? (uint32_t)units : 1;
}

struct choice {
	uint64_t cap;
	uint32_t needed, optional, available, unwanted;
	uint32_t *result;
	const char *why;
};

static int choose(const struct choice *c, const char **ret_why)
{
	uint32_t may = (uint32_t)(c->cap >> 32), must = (uint32_t)c->cap;

	if (((c->needed | c->available) & ~may) || (must & c->unwanted)) {
		*ret_why = c->why;
		return -E_NOTSUP;
	}
	*c->result = must | c->needed | (c->optional & may);
	return 0;
}

int vmx_controls_choose(const struct vmx_caps *caps, struct vmx_controls *ret, const char **ret_why)
{
	struct vmx_controls r = {0};
	const struct choice choices[] = {
		{caps->pin, PIN_NEEDED, PIN_OPTIONAL, 0, 0, &r.pin,
			"the CPU's VMX lacks virtual NMIs or interrupt exits"},
		{caps->proc, PROC_NEEDED, 0, PROC_AVAILABLE, PROC_UNWANTED, &r.proc,
			"the CPU's VMX lacks a processor control, or forces exits on CR3"},
		{caps->proc2, PROC2_EPT, 0, 0, 0, &r.proc2,
			"the CPU's VMX has no extended page tables (EPT)"},
		{caps->proc2, PROC2_NEEDED, PROC2_OPTIONAL, 0, 0, &r.proc2,
			"the CPU's VMX has no unrestricted guest"},
		{caps->exit, EXIT_NEEDED, 0, 0, 0, &r.exit,
			"the CPU's VMX can't switch PAT and EFER at exits"},
		{caps->entry, ENTRY_NEEDED, 0, ENTRY_IA32E, 0, &r.entry,
			"the CPU's VMX can't switch PAT and EFER at entries"},
	};

	if (!vmx_caps_has_true(caps->basic)) {
		*ret_why = "the CPU's VMX is too old: it forces exits on CR3";
		return -E_NOTSUP;
	}
	for (size_t i = 0; i < array_size(choices); i++) {
		int err = choose(&choices[i], ret_why);

		if (err)
			return err;
	}
	if ((caps->ept_vpid & EPT_NEEDED) != EPT_NEEDED) {
		*ret_why = "the CPU's EPT lacks 4-level walks, write-back tables or INVEPT";
		return -E_NOTSUP;
	}
	if (((caps->proc2 >> 32) & PROC2_VPID) && (caps->ept_vpid & VPID_NEEDED) == VPID_NEEDED)
		r.proc2 |= PROC2_VPID;
	*ret = r;
	return 0;
}
