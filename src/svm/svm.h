/* Inside the SVM back end: its state, and what its files offer one another. */
#ifndef POSTERN_SVM_SVM_H
#define POSTERN_SVM_SVM_H

#include "core/vcpu.h"
#include "svm/vmcb.h"

/* What of the host enable changes or the guest can change, as it was found. */
struct svm_host {
	uint64_t cr0, cr2, cr4, efer, pat, vm_cr, hsave;
	uint64_t dr[4], dr6, dr7;
};

struct svm {
	struct vmcb *vmcb;
	/* Where VMSAVE and VMLOAD keep the host's FS, GS, TR, LDTR and system-call registers. */
	struct vmcb *host_vmcb;
	hpa_t vmcb_at, host_vmcb_at, hsave_at;
	uint32_t features;   /* CPUID Fn8000_000A EDX */
	bool shadow_is_kept; /* VMRUN restores the interrupt shadow; an emulator doesn't */

	/*
	 * The processor holds the guest's part of what VMLOAD loads, its debug registers and its
	 * vector registers; if not, it holds the host's. While it holds the guest's, the VMCB's
	 * copy of the VMLOAD part is current only if guest_saved.
	 */
	bool guest_loaded, guest_saved;
	uint64_t guest_dr[4];

	bool enabled;
	struct svm_host host;
};

static inline struct svm *svm_of(struct vcpu *v)
{
	return v->backend;
}

/* setup.c */
int svm_probe(const char **ret_why) must_check;
int svm_init(struct vcpu *v, struct arena *arena, hpa_t slpt_root) must_check;

/* exit.c: what the VMCB says, in the contract's words. gpr: those of the exit, RAX included. */
void svm_normalise(
	const struct vmcb *c, const uint64_t gpr[GPR_COUNT], uint32_t features, struct vmexit *ret);
/* The event to inject again, or VEVENT_NONE. */
struct vcpu_event svm_interrupted_event(const struct vmcb *c);
/* EVENTINJ for an event; 0 for VEVENT_NONE. */
uint64_t svm_event_field(const struct vcpu_event *e);

/* npt.c */
extern const struct slpt_format svm_slpt;
/* The host's PAT with the entry that SLPT_WC uses. */
uint64_t svm_host_pat(uint64_t found);
/* Does this PAT mean what the formats' entries say? */
bool svm_pat_is_usable(uint64_t pat);

/* state.c */
uint64_t svm_get(struct vcpu *v, enum vcpu_reg reg);
void svm_set(struct vcpu *v, enum vcpu_reg reg, uint64_t value);
void svm_get_seg(struct vcpu *v, enum vcpu_seg seg, struct vcpu_segment *ret);
void svm_set_seg(struct vcpu *v, enum vcpu_seg seg, const struct vcpu_segment *s);
uint64_t svm_resume_at(struct vcpu *v, uint64_t rip);
void svm_flush(struct vcpu *v);
void svm_dump(struct vcpu *v);

/* run.c: brings the VMCB's copy of the VMLOAD part up to date; and loads a changed one. */
void svm_pull(struct svm *s);
void svm_push(struct svm *s);

/*
 * entry.S: loads the guest's general registers from gpr, all but RAX and RSP, which are in the
 * VMCB, runs it up to its next exit, and stores them there again. GIF is 0 before and after;
 * interrupts of the host are off in RFLAGS but end the guest.
 */
void svm_enter(uint64_t gpr[GPR_COUNT], uint64_t vmcb);

#endif
