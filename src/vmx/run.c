/*
 * Into the guest, and its exits as the contract names them: no reason or qualification leaves this
 * file but for the log. SDM vol. 3C "VM Exits" (325462-084). State: struct vmx. This is the exit
 * path, and each instruction of vmx_run counts.
 */
#include "base/error.h"
#include "base/log.h"
#include "hw/cpu.h"
#include "vmx/state.h"

/*
 * What the reasons mean. Those that aren't here can't come with the controls that are set; so that
 * their zeros say the same, all entries are kept as the difference from that.
 */
#define MORE	     0x80u /* there is more to tell than the kind */
#define UNEXPECTED   (MORE | VMEXIT_REFUSED)
#define KIND(k)	     ((k) ^ UNEXPECTED)
#define KIND_MORE(k) KIND(MORE | (k))
static const uint8_t kind_of[REASON_COUNT] = {
	[REASON_INTERRUPT] = KIND(VMEXIT_INTR),
	[REASON_TRIPLE_FAULT] = KIND(VMEXIT_SHUTDOWN),
	[REASON_INIT] = KIND(VMEXIT_INIT),
	[REASON_WINDOW] = KIND(VMEXIT_WINDOW),
	/* A processor without hardware task switching has no way out of a task gate. */
	[REASON_TASK_SWITCH] = KIND(VMEXIT_SHUTDOWN),
	[REASON_CPUID] = KIND(VMEXIT_CPUID),
	[REASON_GETSEC] = KIND(VMEXIT_UNDEFINED),
	[REASON_HLT] = KIND(VMEXIT_HLT),
	[REASON_INVD] = KIND(VMEXIT_CACHE),
	[REASON_RDPMC] = KIND(VMEXIT_UNDEFINED),
	[REASON_RSM... REASON_VMXON] = KIND(VMEXIT_UNDEFINED),
	[REASON_CR] = KIND_MORE(VMEXIT_CR),
	[REASON_IO] = KIND_MORE(VMEXIT_PIO),
	[REASON_RDMSR] = KIND_MORE(VMEXIT_MSR),
	[REASON_WRMSR] = KIND_MORE(VMEXIT_MSR),
	[REASON_MWAIT] = KIND(VMEXIT_UNDEFINED),
	[REASON_MONITOR] = KIND(VMEXIT_UNDEFINED),
	[REASON_EPT_VIOLATION] = KIND_MORE(VMEXIT_NPF),
	[REASON_INVEPT] = KIND(VMEXIT_UNDEFINED),
	/* The guest had a long turn: see whether an interrupt waits. */
	[REASON_TIMER] = KIND(VMEXIT_INTR),
	[REASON_INVVPID] = KIND(VMEXIT_UNDEFINED),
	[REASON_WBINVD] = KIND(VMEXIT_CACHE),
	[REASON_XSETBV] = KIND(VMEXIT_XSETBV),
	[REASON_VMFUNC] = KIND(VMEXIT_UNDEFINED),
	[REASON_ENCLS] = KIND(VMEXIT_UNDEFINED),
};

static void log_unexpected(const struct vmexit *ret)
{
	if (ret->raw_reason & REASON_ENTRY_FAILED)
		log_line("vmx: entry failed on guest state: reason %lu, qualification 0x%lx",
			ret->raw_reason & ~(uint64_t)REASON_ENTRY_FAILED,
			vmx_read(VMCS_QUALIFICATION));
	else if (ret->raw_reason == REASON_EPT_MISCONFIG)
		log_line("vmx: misconfigured EPT entry for guest address 0x%lx",
			vmx_read(VMCS_GUEST_PHYSICAL));
	else
		log_line("vmx: unexpected exit reason %lu, qualification 0x%lx", ret->raw_reason,
			vmx_read(VMCS_QUALIFICATION));
}

/* SDM vol. 3C "Exit Qualification for I/O Instructions". */
#define IO_SIZE	  0x00000007ull
#define IO_IN	  0x00000008ull
#define IO_STRING 0x00000010ull
#define IO_REP	  0x00000020ull
#define IO_PORT	  0xffff0000ull

static void normalise_io(struct vmexit *ret)
{
	uint64_t q = vmx_read(VMCS_QUALIFICATION);

	ret->raw_info[0] = q;
	ret->u.pio.port = (uint16_t)FIELD_GET(IO_PORT, q);
	ret->u.pio.size = (uint8_t)(FIELD_GET(IO_SIZE, q) + 1);
	ret->u.pio.in = q & IO_IN;
	ret->u.pio.string = q & IO_STRING;
	ret->u.pio.rep = q & IO_REP;
}

/* SDM vol. 3C "Exit Qualification for EPT Violations". */
#define NPF_WRITE	BIT(1)
#define NPF_FETCH	BIT(2)
#define NPF_GLA_VALID	BIT(7)
#define NPF_FINAL	BIT(8) /* the access itself, not the walk to it */
#define NPF_NMI_UNBLOCK BIT(12)

static void normalise_npf(struct vmx *x, struct vmexit *ret)
{
	uint64_t q = vmx_read(VMCS_QUALIFICATION);

	ret->insn_len = 0; /* some CPUs have it in the VMCS; the manual doesn't promise it */
	ret->raw_info[0] = q;
	ret->u.npf.gpa = gpa(vmx_read(VMCS_GUEST_PHYSICAL));
	ret->u.npf.write = q & NPF_WRITE;
	ret->u.npf.fetch = q & NPF_FETCH;
	ret->u.npf.gla_valid = q & NPF_GLA_VALID;
	ret->u.npf.gla = ret->u.npf.gla_valid ? vmx_read(VMCS_GUEST_LINEAR) : 0;
	ret->u.npf.walk = ret->u.npf.gla_valid && !(q & NPF_FINAL);
	/* An IRET from an NMI handler faulted after it had taken the blocking away. */
	if (q & NPF_NMI_UNBLOCK && !(vmx_read(VMCS_VECTORING) & EVENT_VALID))
		vmx_set_interruptibility(x, x->entry.interruptibility | BLOCKING_NMI);
}

/* SDM vol. 3C "Exit Qualification for Control-Register Accesses". */
#define CR_NUMBER      0x00full
#define CR_ACCESS      0x030ull
#define CR_ACCESS_TO   0u
#define CR_ACCESS_FROM 1u
#define CR_GPR	       0xf00ull

/*
 * A write of CR0 or CR4 that changes absorbed bits only: they get their new value in the shadow,
 * and the guest's instruction runs again, this time without an exit. The CPU itself does all else
 * that the write means. To the rest this is an interrupt.
 */
static bool absorb_cr_write(struct vcpu *v, unsigned cr, unsigned gpr)
{
	struct vmx *x = vmx_of(v);
	enum vmx_slot slot = cr == 0 ? SLOT_CR0_SHADOW : SLOT_CR4_SHADOW;
	uint64_t owned = cr == 0 ? CR0_OWNED : CR4_OWNED;
	uint64_t absorbed = cr == 0 ? CR0_ABSORBED : CR4_ABSORBED;
	uint64_t value = vcpu_read_gpr(v, gpr), shadow, changed;

	if (cr != 0 && cr != 4)
		return false;
	shadow = vmx_guest_get(x, slot);
	changed = (value ^ shadow) & owned;
	if (!changed || changed & ~absorbed)
		return false;
	vmx_guest_set(x, slot, field_set(shadow, absorbed, 0) | (value & absorbed));
	vmx_end_shadow(x);
	return true;
}

static int normalise_cr(struct vcpu *v, struct vmexit *ret)
{
	uint64_t q = vmx_read(VMCS_QUALIFICATION);
	unsigned access = (unsigned)FIELD_GET(CR_ACCESS, q);

	ret->raw_info[0] = q;
	/* CLTS and LMSW touch no bit that is owned. */
	if (access > CR_ACCESS_FROM) {
		log_unexpected(ret);
		ret->kind = VMEXIT_REFUSED;
		return -E_ENTRY;
	}
	ret->u.cr.cr = (uint8_t)FIELD_GET(CR_NUMBER, q);
	ret->u.cr.gpr = (uint8_t)FIELD_GET(CR_GPR, q);
	ret->u.cr.write = access == CR_ACCESS_TO;
	if (ret->u.cr.write && absorb_cr_write(v, ret->u.cr.cr, ret->u.cr.gpr))
		ret->kind = VMEXIT_INTR;
	return 0;
}

static void normalise_msr(const struct vcpu *v, struct vmexit *ret, bool write)
{
	ret->u.msr.index = (uint32_t)v->gpr[GPR_RCX];
	ret->u.msr.write = write;
	ret->u.msr.value = write ? v->gpr[GPR_RDX] << 32 | (uint32_t)v->gpr[GPR_RAX] : 0;
}

/* DR6 bits that a debug exception reports: B0 to B3, BD, BS. */
#define DR6_CAUSES  0x600full
#define DR6_CLEARED 0x000full
#define VECTOR_AC   17u

/*
 * #DB and #AC exit only because a guest could arrange that their delivery raises them again for
 * ever, with interrupts shut out. It gets them, but after the firmware had its window: so this
 * is an interrupt to the rest. A machine check can't be given to a guest that has none.
 */
static int exception_exit(struct vcpu *v, struct vmexit *ret)
{
	struct vmx *x = vmx_of(v);
	uint64_t info = vmx_read(VMCS_EXIT_EVENT);
	unsigned vector = info & EVENT_VECTOR;
	struct vcpu_event again = {.type = VEVENT_EXCEPTION, .vector = (uint8_t)vector};

	ret->raw_info[0] = info;
	if (FIELD_GET(EVENT_TYPE, info) == EVENT_TYPE_NMI) {
		x->nmi_pending = true;
		ret->kind = VMEXIT_NMI;
		return 0;
	}
	if (vector == VECTOR_DB) {
		uint64_t cause = vmx_read(VMCS_QUALIFICATION);

		hw_write_dr(6, (hw_read_dr(6) & ~DR6_CLEARED) | (cause & DR6_CAUSES));
		vmx_guest_set(x, SLOT_DR7, vmx_guest_get(x, SLOT_DR7) & ~DR7_GD);
		/* INT1 is a trap: its handler returns behind it. */
		if (FIELD_GET(EVENT_TYPE, info) == EVENT_TYPE_ICEBP)
			x->entry.rip = ret->rip + ret->insn_len;
	} else if (vector == VECTOR_AC) {
		again.has_error = true;
		again.error = (uint32_t)vmx_read(VMCS_EXIT_EVENT_ERROR);
	} else {
		log_line("vmx: exception %u in the guest: a machine check of the host?", vector);
		return -E_ENTRY;
	}
	v->event = again;
	ret->kind = VMEXIT_INTR;
	return 0;
}

/*
 * The exit came while an event was delivered: it is due again. A software interrupt is not, since
 * RIP is still that of its instruction. SDM vol. 3C "Information for VM Exits That Occur During
 * Event Delivery".
 */
static void requeue_event(struct vcpu *v)
{
	uint64_t info = vmx_read(VMCS_VECTORING);
	struct vcpu_event e = {.vector = (uint8_t)(info & EVENT_VECTOR)};

	if (!(info & EVENT_VALID))
		return;
	switch (FIELD_GET(EVENT_TYPE, info)) {
	case EVENT_TYPE_INTR:
		e.type = VEVENT_INTR;
		break;
	case EVENT_TYPE_NMI:
		/* Its delivery has begun to block NMIs, and would be blocked by that now. */
		e.type = VEVENT_NMI;
		vmx_set_interruptibility(
			vmx_of(v), vmx_of(v)->entry.interruptibility & ~(uint64_t)BLOCKING_NMI);
		break;
	case EVENT_TYPE_HARD:
		e.type = VEVENT_EXCEPTION;
		break;
	default:
		return;
	}
	if (info & EVENT_HAS_ERROR) {
		e.has_error = true;
		e.error = (uint32_t)vmx_read(VMCS_VECTORING_ERROR);
	}
	v->event = e;
}

/* SDM vol. 3C "VM Instruction Error Numbers". */
static const char *insn_error(uint64_t error)
{
	switch (error) {
	case 4:
		return "VMLAUNCH with a VMCS that isn't clear";
	case 5:
		return "VMRESUME with a VMCS that isn't launched";
	case 7:
		return "invalid control fields";
	case 8:
		return "invalid host state";
	case 26:
		return "events blocked by MOV SS";
	default:
		return "see the manual's table";
	}
}

static void entry_refused(struct vmx *x, struct vmexit *ret)
{
	uint64_t error = vmx_read(VMCS_INSN_ERROR);

	ret->rip = x->entry.rip;
	ret->raw_reason = REASON_ENTRY_FAILED;
	ret->raw_info[0] = error;
	log_line("vmx: the processor refused to enter the guest: error %lu, %s", error,
		insn_error(error));
}

/*
 * The rest of an exit that isn't told by its kind. It and prepare_entry are kept out of vmx_run,
 * which would save more registers for them.
 */
static __attribute__((noinline)) int tell_more(struct vcpu *v, struct vmexit *ret)
{
	struct vmx *x = vmx_of(v);

	switch (ret->raw_reason) {
	case REASON_EPT_VIOLATION:
		normalise_npf(x, ret);
		requeue_event(v);
		return 0;
	case REASON_RDMSR:
	case REASON_WRMSR:
		normalise_msr(v, ret, ret->raw_reason == REASON_WRMSR);
		return 0;
	case REASON_CR:
		return normalise_cr(v, ret);
	case REASON_EXCEPTION:
		return exception_exit(v, ret);
	case VMX_ENTRY_REFUSED:
		entry_refused(x, ret);
		return -E_ENTRY;
	default:
		log_unexpected(ret);
		return -E_ENTRY;
	}
}

/*
 * SDM vol. 3C "VM-Entry Controls for Event Injection". The event ends an interrupt shadow, as it
 * would by itself. A shadow that stayed would have to fit RFLAGS.TF and the pending debug
 * exceptions, or the entry fails.
 */
static void inject(struct vcpu *v)
{
	static const uint8_t types[] = {
		[VEVENT_INTR] = EVENT_TYPE_INTR,
		[VEVENT_NMI] = EVENT_TYPE_NMI,
		[VEVENT_EXCEPTION] = EVENT_TYPE_HARD,
	};
	struct vcpu_event e = v->event;
	uint64_t info = EVENT_VALID | FIELD_PUT(EVENT_TYPE, types[e.type]) | e.vector;

	/* Real mode has no error codes, and an entry that asks for one fails. */
	if (e.has_error && vmx_read(VMCS_GUEST_CR0) & CR0_PE) {
		info |= EVENT_HAS_ERROR;
		vmx_write(VMCS_ENTRY_EVENT_ERROR, e.error & EVENT_ERROR_BITS);
	}
	vmx_write(VMCS_ENTRY_EVENT, info);
	vmx_end_shadow(vmx_of(v));
	v->event.type = VEVENT_NONE;
}

static __attribute__((noinline)) void prepare_entry(struct vcpu *v)
{
	struct vmx *x = vmx_of(v);

	if (v->event.type != VEVENT_NONE)
		inject(v);
	if (v->want_window != x->window_armed) {
		x->window_armed = v->want_window;
		vmx_write(
			VMCS_PROC_CONTROLS, x->controls.proc | (v->want_window ? PROC_WINDOW : 0));
	}
}

/*
 * The timer counts from the entry on. Rounded up, so that at its exit the time has come; an entry
 * with 0 would end before the guest's first instruction.
 */
static __attribute__((noinline)) void arm_timer(struct vcpu *v)
{
	struct vmx *x = vmx_of(v);
	uint64_t now = hw_tsc(), units = x->turn;

	if (!(x->controls.pin & PIN_TIMER))
		return;
	if (v->deadline != ~0ull) {
		uint64_t left = v->deadline > now ? v->deadline - now : 0;

		units = min_u64(units, (left >> (x->caps.misc & VMX_MISC_TIMER_RATE)) + 1);
	}
	if (units == x->timer)
		return;
	x->timer = (uint32_t)units;
	vmx_write(VMCS_TIMER, units);
}

int vmx_run(struct vcpu *v, struct vmexit *ret)
{
	struct vmx *x = vmx_of(v);
	unsigned kind = UNEXPECTED;
	uint64_t reason;

	if (v->event.type != VEVENT_NONE || v->want_window != x->window_armed)
		prepare_entry(v);
	if (v->deadline != ~0ull || x->timer != x->turn)
		arm_timer(v);
	reason = vmx_enter(v->gpr, &x->entry);
	if (reason < REASON_COUNT)
		kind ^= kind_of[reason];
	ret->insn_len = (uint8_t)x->entry.insn_len;
	ret->n_insn = 0;
	ret->rip = x->entry.rip;
	ret->raw_reason = reason;
	ret->raw_info[0] = ret->raw_info[1] = 0;
	ret->kind = (enum vmexit_kind)(kind & ~MORE);
	if (!(kind & MORE))
		return 0;
	if (reason != REASON_IO)
		return tell_more(v, ret);
	normalise_io(ret);
	return 0;
}
