/*
 * The back-end contract test: an EFI application that runs tiny guests through core/vcpu.h, on
 * whichever back end the machine has, inside the real firmware.
 *
 * On COM1, "PASS name", "FAIL name: why" or "SKIP name: why" per case, and a line "exit KIND ..."
 * for each exit, in words that don't depend on the back end. Exits that only one kind of CPU has
 * (control registers, instructions that the other vendor's CPU lacks) are lines "trap KIND ...";
 * those for host interrupts are only counted. The last line is "backend-test: N passed, N failed,
 * N skipped"; then the machine is switched off.
 */
#ifndef POSTERN_TESTS_BACKEND_BENCH_H
#define POSTERN_TESTS_BACKEND_BENCH_H

#include "core/vm.h"

/* The guest's memory: identity mapped by its page tables, and an alias at 1 GiB. */
#define GUEST_RAM      0x40000u
#define GUEST_PML4     0x1000u
#define GUEST_GDT      0x4000u
#define GUEST_IDT      0x5000u
#define GUEST_GATES    0x6000u
#define GUEST_STACK    0xf000u
#define GUEST_CODE     0x8000u
#define GUEST_DATA     0x10000u
#define GUEST_FLAG     0x10f00u
#define GUEST_READONLY 0x20000u
#define GUEST_NOEXEC   0x21000u
#define GUEST_HOLES    0x30000u	   /* three pages that aren't mapped at first */
#define GUEST_ALIAS    0x40000000u /* linear, of GUEST_ABSENT */
#define GUEST_ABSENT   0x10000000u /* physical, never mapped */
#define GUEST_BADWALK  0x80000000u /* linear; its page directory is at GUEST_ABSENT + 2000h */
#define GUEST_RESET    0xfffff000u /* physical, the page of the reset vector */
#define EVENT_PORT     0xe0u	   /* the guest's gates report events here */

struct guest_code {
	const uint8_t *start, *end;
};

#define GUEST(name)                                                                                \
	extern const uint8_t guest_##name[], guest_##name##_end[];                                 \
	static inline struct guest_code code_##name(void)                                          \
	{                                                                                          \
		return (struct guest_code){guest_##name, guest_##name##_end};                      \
	}

GUEST(gates)
GUEST(reset)
GUEST(cpuid)
GUEST(pio)
GUEST(pio_string)
GUEST(long_entry)
GUEST(gprs)
GUEST(msr)
GUEST(direct)
GUEST(cr)
GUEST(npf)
GUEST(events)
GUEST(interrupt)
GUEST(shadow)
GUEST(software)
GUEST(real_event)
GUEST(shutdown)
GUEST(cache)
GUEST(undefined)
GUEST(vectors)
GUEST(debug)
GUEST(step)
GUEST(steps)
GUEST(spin)
GUEST(modes)
GUEST(owned)
GUEST(pae)
GUEST(cost)

/*
 * The traps that the guest "steps" meets, by their offset in it. RFLAGS.RF is set in what the gate
 * saves if the trap interrupts a repeated string instruction that we emulate, and clear otherwise;
 * of one that the CPU executes, it is the CPU's business, and not all emulators know what MOV SS
 * holds back.
 */
#define TRAP_ITERATION 1u
#define TRAP_NATIVE    2u
#define TRAP_OPTIONAL  4u
struct step_trap {
	uint16_t at, flags;
};
extern const struct step_trap guest_step_traps[], guest_step_traps_end[];

void bench_load_vectors(const void *from);
void bench_store_vectors(void *to);

/* Everything of the host that must be as before after disable. */
#define HOST_VALUES 80u
#define HOST_XMM    20u /* XMM6 to XMM15, in quadwords */
struct host_state {
	uint64_t value[HOST_VALUES];
	const char *name[HOST_VALUES];
	unsigned count;
};

/* What firmware code could see of a guest in a window. */
struct host_view {
	uint64_t dr[4], dr7, xcr0, fs_base, gs_base, star, lstar;
};

struct bench {
	struct vm vm;
	struct arena arena;
	const struct vcpu_ops *ops;
	uint8_t *ram, *reset_page;
	uint64_t end;	  /* of the guest's code */
	const char *name; /* of the case */
	bool failed, skipped;
	uint64_t windows; /* in this case */
	unsigned passed_count, failed_count, skipped_count;
	/* Counted by an event of the firmware's timer. */
	volatile uint64_t ticks;
	struct host_view found, at_tick; /* before all guests, and at the last tick */
};

struct bench_case {
	const char *name;
	void (*run)(struct bench *b);
};

extern const struct bench_case bench_cases[];
extern const unsigned bench_case_count;
/* cases_modes.c: how the processor is switched about, by the guest and around it. */
extern const struct bench_case bench_mode_cases[];
extern const unsigned bench_mode_case_count;
/* cases_step.c: a single step through instructions that core, mmio and pio emulate. */
extern const struct bench_case bench_step_cases[];
extern const unsigned bench_step_case_count;

/* Takes the place of the firmware's NMI handler: counts in bench_nmi_count. */
void bench_nmi_handler(void);
extern volatile uint32_t bench_nmi_count;

/* host.c */
void host_state_take(struct host_state *h, bool svm);
/* Prints each difference; true if there is none. */
bool host_state_compare(const struct host_state *before, const struct host_state *after);

struct host_view host_view_take(void);

/* bench.c */
int bench_init(struct bench *b);
/* Runs one case between enable and disable, and prints its verdict. */
void bench_run_case(struct bench *b, const struct bench_case *c);

/* Marks the case as failed, with the first reason, or as skipped. */
void bench_fail(struct bench *b, const char *why);
void bench_skip(struct bench *b, const char *why);
void bench_check(struct bench *b, bool ok, const char *what);
void bench_check_eq(struct bench *b, uint64_t got, uint64_t expected, const char *what);

/* Puts the vCPU at the start of a guest, in real mode or in long mode with all tables. */
void bench_start_real(struct bench *b, struct guest_code code);
void bench_start_long(struct bench *b, struct guest_code code);

/*
 * Runs up to the next exit that isn't the host's interrupt, and prints it. Control registers and
 * XSETBV are answered by core. False after a failure: no such exit came, or another kind.
 */
bool bench_next(struct bench *b, struct vmexit *ret);
/*
 * The same, and the exit must be of this kind, at this address if it isn't RIP_ANY, and of an
 * instruction of this length, if the back end knows one.
 */
#define RIP_ANY ~0ull
bool bench_expect(
	struct bench *b, enum vmexit_kind kind, uint64_t rip, unsigned len, struct vmexit *ret);
/* The HLT that is the last byte of the guest. */
bool bench_expect_end(struct bench *b);
/* bench_expect, then goes on behind the instruction. */
bool bench_step(
	struct bench *b, enum vmexit_kind kind, uint64_t rip, unsigned len, struct vmexit *ret);
/* Runs up to the gate's report of an event; the gate's OUT is still to be skipped. */
bool bench_expect_gate(struct bench *b, uint8_t vector, uint64_t rip, uint64_t error);
/* Ends the gate; with resume not 0 the interrupted code goes on there. */
void bench_leave_gate(struct bench *b, uint64_t resume);
/* Runs a guest that waits for the flag until n windows have passed, then sets it. */
bool bench_pass_windows(struct bench *b, unsigned n);

uint64_t bench_peek(struct bench *b, uint32_t at, unsigned size);
void bench_poke(struct bench *b, uint32_t at, unsigned size, uint64_t value);

#endif
