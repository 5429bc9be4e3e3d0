/*
 * From the VMCB after an exit to the contract's struct vmexit, and events in both directions. Pure
 * functions over a VMCB; on the exit path. AMD64 Architecture Programmer's Manual vol. 2 (24593),
 * "#VMEXIT", "Event Injection" and the appendix "SVM Intercept Exit Codes".
 */
#include "base/mem.h"
#include "svm/svm.h"

#define INSN_MAX  15u
#define VECTOR_BP 3u
#define VECTOR_OF 4u

/* The length of the instruction from the address behind it; 0 if that can't be one. */
static uint8_t length_from(uint64_t rip, uint64_t next)
{
	uint64_t len = next - rip;

	return len <= INSN_MAX ? (uint8_t)len : 0;
}

static void normalise_pio(const struct vmcb_control *c, struct vmexit *e)
{
	uint64_t info = c->exit_info1;

	e->kind = VMEXIT_PIO;
	e->insn_len = length_from(e->rip, c->exit_info2);
	e->u.pio.port = (uint16_t)FIELD_GET(IOIO_PORT, info);
	e->u.pio.size = (uint8_t)FIELD_GET(IOIO_SIZE, info);
	e->u.pio.in = info & IOIO_IN;
	e->u.pio.string = info & IOIO_STRING;
	e->u.pio.rep = info & IOIO_REP;
}

/* The processor doesn't give the linear address. No length either: the access isn't done. */
static void normalise_npf(const struct vmcb_control *c, uint32_t features, struct vmexit *e)
{
	e->kind = VMEXIT_NPF;
	e->insn_len = 0;
	e->u.npf.gpa = gpa(c->exit_info2);
	e->u.npf.write = c->exit_info1 & NPF_WRITE;
	e->u.npf.fetch = c->exit_info1 & NPF_FETCH;
	e->u.npf.walk = c->exit_info1 & NPF_WALK;
	if ((features & CPUID_SVM_DECODE) && !e->u.npf.fetch && c->insn_count <= INSN_MAX) {
		e->n_insn = c->insn_count;
		memcpy(e->insn, c->insn, sizeof(e->insn));
	}
}

static void normalise_msr(const struct vmcb_control *c, const uint64_t *gpr, struct vmexit *e)
{
	e->kind = VMEXIT_MSR;
	e->u.msr.index = (uint32_t)gpr[GPR_RCX];
	e->u.msr.write = c->exit_info1 & 1;
	e->u.msr.value = gpr[GPR_RDX] << 32 | (uint32_t)gpr[GPR_RAX];
}

void svm_normalise(const struct vmcb *vmcb, const uint64_t gpr[GPR_COUNT], uint32_t features,
	struct vmexit *ret)
{
	const struct vmcb_control *c = &vmcb->control;

	*ret = (struct vmexit){
		.kind = VMEXIT_REFUSED,
		.rip = vmcb->save.rip,
		.raw_reason = c->exit_code,
		.raw_info = {c->exit_info1, c->exit_info2},
	};
	if (features & CPUID_SVM_NRIP)
		ret->insn_len = length_from(ret->rip, c->next_rip);
	switch (c->exit_code) {
	case EXIT_INTR:
	/* An INIT waits until GIF is set and then does what it would have done without a guest. */
	case EXIT_INIT:
	/* Only intercepted to let interrupts in between two of them: svm_interrupted_event. */
	case EXIT_DB:
	case EXIT_AC:
		ret->kind = VMEXIT_INTR;
		break;
	case EXIT_NMI:
		ret->kind = VMEXIT_NMI;
		break;
	case EXIT_VINTR:
		ret->kind = VMEXIT_WINDOW;
		break;
	case EXIT_CPUID:
		ret->kind = VMEXIT_CPUID;
		break;
	case EXIT_HLT:
		ret->kind = VMEXIT_HLT;
		break;
	case EXIT_IOIO:
		normalise_pio(c, ret);
		break;
	case EXIT_READ_CR8:
	case EXIT_WRITE_CR8:
		ret->kind = VMEXIT_CR;
		ret->u.cr.cr = 8;
		ret->u.cr.gpr = GPR_UNKNOWN;
		ret->u.cr.write = c->exit_code == EXIT_WRITE_CR8;
		break;
	case EXIT_MSR:
		normalise_msr(c, gpr, ret);
		break;
	case EXIT_NPF:
		normalise_npf(c, features, ret);
		break;
	case EXIT_XSETBV:
		ret->kind = VMEXIT_XSETBV;
		break;
	case EXIT_INVD:
	case EXIT_WBINVD:
		ret->kind = VMEXIT_CACHE;
		break;
	case EXIT_SHUTDOWN:
		ret->kind = VMEXIT_SHUTDOWN;
		break;
	case EXIT_RDPMC:
	case EXIT_RSM:
	case EXIT_INVLPGA:
	case EXIT_VMRUN:
	case EXIT_VMMCALL:
	case EXIT_VMLOAD:
	case EXIT_VMSAVE:
	case EXIT_STGI:
	case EXIT_CLGI:
	case EXIT_SKINIT:
	case EXIT_MONITOR:
	case EXIT_MWAIT:
	case EXIT_RDPRU:
	case EXIT_RDTSCP:
		ret->kind = VMEXIT_UNDEFINED;
		break;
	default:
		break;
	}
}

/*
 * What the processor was delivering when the exit came. INT n, INT3 and INTO are left out: the
 * guest's RIP is still at them, and they will run again.
 *
 * An intercepted #DB or #AC comes first, in the place of an event whose delivery raised it.
 */
struct vcpu_event svm_interrupted_event(const struct vmcb *vmcb)
{
	const struct vmcb_control *c = &vmcb->control;
	uint64_t info = c->exit_interrupt_info;
	struct vcpu_event e = {.vector = (uint8_t)FIELD_GET(EVENT_VECTOR, info)};

	if (c->exit_code == EXIT_DB)
		return (struct vcpu_event){VEVENT_EXCEPTION, VECTOR_DB, false, 0};
	if (c->exit_code == EXIT_AC)
		return (struct vcpu_event){VEVENT_EXCEPTION, VECTOR_AC, true, 0};
	if (!(info & EVENT_VALID))
		return (struct vcpu_event){0};
	switch (FIELD_GET(EVENT_TYPE, info)) {
	case EVENT_INTR:
		e.type = VEVENT_INTR;
		return e;
	case EVENT_NMI:
		e.type = VEVENT_NMI;
		return e;
	case EVENT_EXCEPTION:
		if (e.vector == VECTOR_BP || e.vector == VECTOR_OF)
			return (struct vcpu_event){0};
		e.type = VEVENT_EXCEPTION;
		e.has_error = info & EVENT_HAS_ERROR;
		e.error = e.has_error ? (uint32_t)FIELD_GET(EVENT_ERROR_CODE, info) : 0;
		return e;
	default:
		return (struct vcpu_event){0};
	}
}

uint64_t svm_event_field(const struct vcpu_event *e)
{
	uint64_t field = EVENT_VALID | FIELD_PUT(EVENT_VECTOR, e->vector);

	switch (e->type) {
	case VEVENT_INTR:
		return field | FIELD_PUT(EVENT_TYPE, EVENT_INTR);
	case VEVENT_NMI:
		return field | FIELD_PUT(EVENT_TYPE, EVENT_NMI);
	case VEVENT_EXCEPTION:
		field |= FIELD_PUT(EVENT_TYPE, EVENT_EXCEPTION);
		if (e->has_error)
			field |= EVENT_HAS_ERROR | FIELD_PUT(EVENT_ERROR_CODE, e->error);
		return field;
	case VEVENT_NONE:
	default:
		return 0;
	}
}
