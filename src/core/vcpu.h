/*
 * The contract between a CPU back end (src/vmx, src/svm) and the rest of Postern. Behind it are
 * VMCS and VMCB; in front of it nobody sees a raw exit code, a qualification or a control bit.
 *
 * There is one virtual CPU and it runs on the boot processor. Everything here belongs to that
 * processor and is called with host interrupts off, except where a function says otherwise.
 */
#ifndef POSTERN_CORE_VCPU_H
#define POSTERN_CORE_VCPU_H

#include "base/arena.h"
#include "base/types.h"
#include "core/fpu.h"

struct vm;
struct slpt_format;

/* Numbers of the general registers as instructions encode them. */
enum gpr {
	GPR_RAX,
	GPR_RCX,
	GPR_RDX,
	GPR_RBX,
	GPR_RSP,
	GPR_RBP,
	GPR_RSI,
	GPR_RDI,
	GPR_R8,
	GPR_R9,
	GPR_R10,
	GPR_R11,
	GPR_R12,
	GPR_R13,
	GPR_R14,
	GPR_R15,
	GPR_COUNT,
	GPR_UNKNOWN = 0xff
};

enum vmexit_kind {
	VMEXIT_INTR,	  /* a host interrupt is waiting: give the firmware its window */
	VMEXIT_NMI,	  /* likewise, non-maskable */
	VMEXIT_PIO,	  /* port access: u.pio */
	VMEXIT_NPF,	  /* guest-physical address without a mapping that allows it: u.npf */
	VMEXIT_CPUID,	  /* leaf in RAX, subleaf in RCX */
	VMEXIT_MSR,	  /* RDMSR or WRMSR: u.msr */
	VMEXIT_CR,	  /* MOV to or from a control register: u.cr */
	VMEXIT_HLT,	  /* HLT */
	VMEXIT_XSETBV,	  /* XSETBV: index in RCX, value in RDX:RAX */
	VMEXIT_CACHE,	  /* WBINVD or INVD */
	VMEXIT_UNDEFINED, /* an instruction that the virtual CPU lacks: VMCALL, VMMCALL, MONITOR... */
	VMEXIT_WINDOW,	  /* the guest can take an interrupt now (asked for by want_window) */
	VMEXIT_SHUTDOWN, /* triple fault */
	VMEXIT_INIT,	 /* INIT signal; ignored by the guest's machine */
	VMEXIT_REFUSED,	 /* the processor would not enter the guest, or an exit that can't be */
	VMEXIT_KINDS
};

/* "pio", "npf", ... for logs and statistics; never NULL. */
const char *vmexit_kind_name(enum vmexit_kind kind);

/*
 * One exit, normalised. rip is that of the instruction. insn_len is its length in bytes, or 0
 * where the CPU doesn't tell (then vcpu_skip finds it out); it is meaningless for exits that no
 * instruction caused. insn holds n_insn bytes where the CPU delivers them (SVM decode assists).
 * raw_reason and raw_info are for the log and for traces only.
 */
struct vmexit {
	enum vmexit_kind kind;
	uint8_t insn_len, n_insn, insn[15];
	uint64_t rip, raw_reason, raw_info[2];
	union {
		struct {
			uint16_t port;
			uint8_t size; /* 1, 2 or 4 bytes */
			bool in, string, rep;
		} pio;
		struct {
			gpa_t gpa;    /* the exact address, low 12 bits included */
			uint64_t gla; /* the linear address, if gla_valid */
			bool gla_valid;
			bool write, fetch;
			bool walk; /* the CPU was reading the guest's page tables */
		} npf;
		struct {
			uint32_t index;
			uint64_t value; /* of a write: RDX:RAX */
			bool write;
		} msr;
		struct {
			uint8_t cr, gpr; /* gpr may be GPR_UNKNOWN */
			bool write;
		} cr;
	} u;
};

/* State that is not a general register. */
enum vcpu_reg {
	VREG_RIP,
	VREG_RSP,
	VREG_RFLAGS,
	VREG_CR0, /* what the guest reads; a write is the guest's wish, the back end adds fixed bits */
	VREG_CR2,
	VREG_CR3,
	VREG_CR4,  /* as CR0 */
	VREG_EFER, /* as CR0: SVME is never shown */
	VREG_PAT,
	VREG_DR6,
	VREG_DR7,
	VREG_SYSENTER_CS,
	VREG_SYSENTER_ESP,
	VREG_SYSENTER_EIP,
	VREG_STAR,
	VREG_LSTAR,
	VREG_CSTAR,
	VREG_SFMASK,
	VREG_KERNEL_GS_BASE,
	VREG_CPL,	  /* 0 to 3; read only */
	VREG_INTR_SHADOW, /* 1 right after STI or MOV SS */
	VREG_NMI_BLOCKED, /* 1 in an NMI's handler, if the processor tells; read only */
	VREG_COUNT
};

enum vcpu_seg {
	VSEG_ES,
	VSEG_CS,
	VSEG_SS,
	VSEG_DS,
	VSEG_FS,
	VSEG_GS,
	VSEG_LDTR,
	VSEG_TR,
	VSEG_GDTR, /* base and limit only */
	VSEG_IDTR, /* base and limit only */
	VSEG_COUNT
};

/*
 * Attributes in the layout of the VMCS access rights, which is that of a descriptor's bytes 5
 * and 6: SDM vol. 3C "Guest Register State" (325462-084).
 */
#define SEG_TYPE     0x000fu
#define SEG_S	     0x0010u
#define SEG_DPL	     0x0060u
#define SEG_P	     0x0080u
#define SEG_AVL	     0x1000u
#define SEG_L	     0x2000u
#define SEG_DB	     0x4000u
#define SEG_G	     0x8000u
#define SEG_UNUSABLE 0x10000u

struct vcpu_segment {
	uint16_t selector;
	uint32_t attributes;
	uint32_t limit; /* in bytes, granularity already applied */
	uint64_t base;
};

enum vcpu_event_type { VEVENT_NONE, VEVENT_INTR, VEVENT_NMI, VEVENT_EXCEPTION };

/* Exceptions that Postern injects. SDM vol. 3A "Protected-Mode Exceptions and Interrupts". */
enum {
	VECTOR_DB = 1,
	VECTOR_NMI = 2,
	VECTOR_UD = 6,
	VECTOR_NM = 7,
	VECTOR_DF = 8,
	VECTOR_SS = 12,
	VECTOR_GP = 13,
	VECTOR_PF = 14
};

struct vcpu_event {
	enum vcpu_event_type type;
	uint8_t vector;
	bool has_error;
	uint32_t error;
};

struct vcpu {
	/* All but RSP, which the back end keeps (VREG_RSP). First, for the entry code. */
	uint64_t gpr[GPR_COUNT];
	const struct vcpu_ops *ops;
	struct vm *vm;
	void *backend; /* the back end's own state, from the arena */
	struct fpu fpu;

	/*
	 * Injected at the next entry, then cleared by the back end. If an exit interrupts the
	 * delivery of an event, the back end puts it here again. A trap behind an emulated
	 * instruction is here too, and so comes before any interrupt.
	 */
	struct vcpu_event event;
	/* Ask for VMEXIT_WINDOW as soon as the guest can take an external interrupt. */
	bool want_window;
	/*
	 * The TSC at which the guest's turn has to end, all ones for no such time. A back end that
	 * can't do that lets it end at the next host interrupt.
	 */
	uint64_t deadline;
};

struct vcpu_ops {
	const char *name; /* "vmx" or "svm" */
	const struct slpt_format *slpt;

	/*
	 * Can this machine do it? 0, -E_NOTSUP, or -E_LOCKED (the firmware switched it off), with
	 * a sentence for the user in *ret_why. Changes nothing.
	 */
	int (*probe)(const char **ret_why);
	/*
	 * Builds all control structures from the arena, for the second-level tables at slpt_root,
	 * with a vCPU in its power-on state. Touches no processor state. -E_NOMEM, -E_NOTSUP.
	 */
	int (*init)(struct vcpu *v, struct arena *arena, hpa_t slpt_root);
	/*
	 * Turns the processor's virtualization on and loads what run needs; disable undoes it
	 * completely, and is right after a failed enable too. Between the two the caller may run
	 * firmware code only inside in_firmware. -E_NOTSUP, -E_LOCKED, -E_ENTRY.
	 */
	int (*enable)(struct vcpu *v);
	void (*disable)(struct vcpu *v);
	/* Runs the guest up to its next exit. 0, or -E_ENTRY with kind VMEXIT_REFUSED. */
	int (*run)(struct vcpu *v, struct vmexit *ret);
	/*
	 * Runs call(arg) in firmware context: its descriptor tables, vector registers and MSRs.
	 * Interrupts are off at the call and at its return; what is switched on between goes
	 * through the firmware's own IDT. vcpu_window and vcpu_call_firmware are made of it.
	 */
	void (*in_firmware)(struct vcpu *v, void (*call)(void *arg), void *arg);

	uint64_t (*get)(struct vcpu *v, enum vcpu_reg reg);
	void (*set)(struct vcpu *v, enum vcpu_reg reg, uint64_t value);
	void (*get_seg)(struct vcpu *v, enum vcpu_seg seg, struct vcpu_segment *ret);
	void (*set_seg)(struct vcpu *v, enum vcpu_seg seg, const struct vcpu_segment *s);
	/*
	 * Goes on at rip after an instruction that was emulated: the interrupt shadow and RFLAGS.RF
	 * are gone. Returns the debug traps that are due there, as bits of DR6, and forgets them:
	 * BS if the guest single-steps, and what a MOV SS before had held back; nearly always 0.
	 * Handlers use vcpu_skip and vcpu_complete, which raise them.
	 */
	uint64_t (*resume_at)(struct vcpu *v, uint64_t rip);
	/* Forgets cached second-level translations after an unmap or a narrowing. */
	void (*flush)(struct vcpu *v);
	/* Logs the whole state of the guest and its control structure. */
	void (*dump)(struct vcpu *v);
};

extern const struct vcpu_ops vmx_ops, svm_ops;

/* ---- what core offers to everyone, on top of the operations ---- */

static inline uint64_t vcpu_get(struct vcpu *v, enum vcpu_reg reg)
{
	return v->ops->get(v, reg);
}

static inline void vcpu_set(struct vcpu *v, enum vcpu_reg reg, uint64_t value)
{
	v->ops->set(v, reg, value);
}

uint64_t vcpu_read_gpr(struct vcpu *v, unsigned n);
void vcpu_write_gpr(struct vcpu *v, unsigned n, uint64_t value);

/* RAX or RDX:RAX as 32-bit results, upper halves zeroed. */
void vcpu_set_edx_eax(struct vcpu *v, uint64_t value);

/* The length of the intercepted instruction at rip, for vcpu_skip; 0 if it can't be read. */
unsigned vcpu_find_length(struct vcpu *v, uint64_t rip);

/*
 * The general register of the MOV to or from a control register at rip, and its length, for CPUs
 * that don't tell. False if the bytes can't be read any more.
 */
bool vcpu_find_cr_gpr(struct vcpu *v, uint64_t rip, uint8_t *ret_gpr, uint8_t *ret_length);

/* An instruction pointer that has passed a multiple of 4 GiB, as the guest's mode has it. */
uint64_t vcpu_wrap_rip(struct vcpu *v, uint64_t rip);

/* #DB for traps behind an instruction; causes are bits of DR6, some of which must be set. */
void vcpu_trap(struct vcpu *v, uint64_t causes);

/* Ends an emulated instruction: the guest goes on at rip, and a single step traps there. */
static inline void vcpu_complete(struct vcpu *v, uint64_t rip)
{
	uint64_t causes = v->ops->resume_at(v, rip);

	if (__builtin_expect(causes != 0, 0))
		vcpu_trap(v, causes);
}

/*
 * Ends some iterations of a repeated string instruction at rip, which has others left. A guest that
 * single-steps must have done one.
 */
void vcpu_iterate(struct vcpu *v, uint64_t rip);

/* Ends an emulated instruction: vcpu_complete right behind it. */
static inline void vcpu_skip(struct vcpu *v, const struct vmexit *e)
{
	unsigned len = e->insn_len ? e->insn_len : vcpu_find_length(v, e->rip);
	uint64_t next = e->rip + len;

	if (__builtin_expect((next ^ e->rip) >> 32 != 0, 0))
		next = vcpu_wrap_rip(v, next);
	vcpu_complete(v, next);
}

/*
 * Raises an exception at the current instruction, by the rules for a second one during delivery:
 * contributory ones make #DF, anything during #DF shuts the guest down.
 * SDM vol. 3A "Interrupt 8 - Double Fault Exception (#DF)".
 */
void vcpu_raise(struct vcpu *v, uint8_t vector);
void vcpu_raise_error(struct vcpu *v, uint8_t vector, uint32_t error);

/*
 * The firmware takes the interrupts that are pending; with halt the processor rests in its context
 * until one comes.
 */
void vcpu_window(struct vcpu *v, bool halt);

/* Runs call(arg) as firmware code runs: in its context, with interrupts on. */
void vcpu_call_firmware(struct vcpu *v, void (*call)(void *arg), void *arg);

/* Could an external interrupt be injected at the next entry? */
bool vcpu_can_interrupt(struct vcpu *v);
/* And an NMI? */
bool vcpu_can_nmi(struct vcpu *v);

/*
 * The state in which a boot protocol's 64-bit entry finds the CPU: long mode with paging, flat
 * segments, interrupts off. gdt is the guest address of a table whose entries 2 and 3 are the
 * 64-bit code and the data segment.
 */
void vcpu_start_long_mode(
	struct vcpu *v, uint64_t rip, uint64_t rsp, gpa_t cr3, gpa_t gdt, uint16_t gdt_limit);

#endif
