/*
 * The virtual machine: everything that an exit can touch hangs on this struct, and the loop that
 * runs it. One instance, owned by the EFI room.
 */
#ifndef POSTERN_CORE_VM_H
#define POSTERN_CORE_VM_H

#include "core/device.h"
#include "core/gmem.h"
#include "core/gva.h"
#include "core/region.h"
#include "core/slpt.h"
#include "core/vcpu.h"
#include "hw/cpu.h"

/* Why the guest ended; each maps to an action in the configuration. */
enum vm_stop_reason {
	STOP_NONE,
	STOP_BOOT,	   /* the guest asked for the hand-back with a target */
	STOP_GUEST_FAILED, /* the guest asked for it with a failure */
	STOP_RESET,	   /* reset through a port */
	STOP_POWEROFF,	   /* power off, or halted with interrupts off */
	STOP_TRIPLE_FAULT,
	STOP_TIME_LIMIT,
	STOP_ENTRY_FAILED, /* the processor refused the guest: a defect of ours */
	STOP_REASONS
};

/* "guest reset", ...; never NULL. */
const char *vm_stop_name(enum vm_stop_reason reason);

enum boot_target { BOOT_DEFAULT, BOOT_PATH, BOOT_NEXT };

#define BOOT_PATH_MAX 512u

struct vm_stop {
	enum vm_stop_reason reason;
	enum boot_target target;
	char path[BOOT_PATH_MAX + 1]; /* UTF-8, for BOOT_PATH */
	uint32_t code;		      /* of STOP_GUEST_FAILED */
};

/* The guest's interrupt controller, as devices and the run loop see it. */
struct irqchip_ops {
	void (*set_line)(void *chip, unsigned irq, bool high);
	bool (*pending)(void *chip);
	/* Acknowledges the highest pending interrupt: its vector, or -1 if there is none. */
	int (*acknowledge)(void *chip);
	/* A message-signalled interrupt: a write of data to address. NULL if only lines exist. */
	void (*message)(void *chip, uint64_t address, uint32_t data);
	/*
	 * The local APIC, as its processor reaches it; all NULL in a machine without one. MSRs 1Bh,
	 * 6E0h and 800h to 8FFh (false: #GP), the priority that is CR8, and an NMI: was one pending?
	 */
	bool (*read_msr)(void *chip, uint32_t index, uint64_t *ret_value);
	bool (*write_msr)(void *chip, uint32_t index, uint64_t value);
	uint8_t (*priority)(void *chip);
	void (*set_priority)(void *chip, uint8_t cr8);
	bool (*take_nmi)(void *chip);
};

struct trace;

typedef void (*exit_handler)(struct vm *vm, const struct vmexit *e);

#define VM_DEVICES_MAX 16u
#define VM_TIMERS_MAX  8u
#define MSR_SHADOWS    16u

/*
 * Timers of the virtual machine. tick is called with the TSC after each firmware window and as soon
 * as what next told has come: the TSC of the next event, VM_NEVER if there is none.
 */
#define VM_NEVER       (~0ull)
struct vm_timer {
	void (*tick)(void *arg, uint64_t tsc);
	uint64_t (*next)(void *arg);
	void *arg;
};

/* What the guest's CPUID answers, filled once by core/cpuid.c so that an exit only looks up. */
struct cpuid_model {
	struct cpuid_regs basic[0x20];	  /* leaves 0 to 1Fh */
	struct cpuid_regs extended[0x20]; /* leaves 8000_0000h to 8000_001Fh */
	struct cpuid_regs hypervisor[2];  /* leaves 4000_0000h and 4000_0001h */
	struct cpuid_regs cache[8];	  /* subleaves of leaf 4 */
	struct cpuid_regs xsave[3];	  /* subleaves of leaf Dh */
	struct cpuid_regs topology[2];	  /* subleaves of leaf Bh */
};

struct vm {
	struct vcpu vcpu;
	struct gmem gmem;
	struct slpt slpt;
	struct region_table pio, mmio;
	const struct irqchip_ops *irqchip;
	void *irqchip_state;
	struct device *device[VM_DEVICES_MAX];
	unsigned device_count;
	struct vm_timer timer[VM_TIMERS_MAX];
	unsigned timer_count;
	exit_handler handler[VMEXIT_KINDS];
	struct gva_slot gva_slot[GVA_SLOTS];
	void *mmio_state;	 /* the mmio room's, behind handler[VMEXIT_NPF] */
	struct trace *trace;	 /* the recorder, if there is one */
	struct trace *recording; /* the same in an exit that is being recorded, else NULL */
	struct vm_stop stop;
	uint64_t time_limit_tsc; /* absolute, 0 for none */

	struct cpuid_model cpuid;
	uint64_t msr_shadow[MSR_SHADOWS]; /* values behind core/msr.c's table */
	uint8_t cr8;			  /* in a machine without a local APIC */
	uint64_t host_period_tsc;	  /* of the firmware's tick; 0 if that isn't known */

	/* Statistics. */
	uint64_t exits[VMEXIT_KINDS];
	uint64_t interrupts; /* injected into the guest */
	uint64_t idle_tsc;   /* spent in the firmware's HLT on the guest's behalf */
	uint64_t unclaimed_pio, unclaimed_mmio;
};

/*
 * Fills in core's own handlers; the pio and mmio rooms add theirs (handler[VMEXIT_PIO] and
 * handler[VMEXIT_NPF]).
 */
void vm_init(struct vm *vm);

int vm_add_device(struct vm *vm, struct device *dev) must_check;
int vm_add_timer(struct vm *vm, void (*tick)(void *arg, uint64_t tsc), uint64_t (*next)(void *arg),
	void *arg) must_check;

/* To be called by a timer's owner when its next event has changed outside of its tick. */
void vm_timers_changed(struct vm *vm);

static inline void vm_set_irq(struct vm *vm, unsigned irq, bool high)
{
	vm->irqchip->set_line(vm->irqchip_state, irq, high);
}

/*
 * A message-signalled interrupt of a guest's device, address and data as the guest programmed them.
 * Without a controller that takes messages it goes nowhere, as on the real bus.
 */
static inline void vm_send_message(struct vm *vm, uint64_t address, uint32_t data)
{
	if (vm->irqchip->message)
		vm->irqchip->message(vm->irqchip_state, address, data);
}

/* Two lines for the log: exits by kind, and interrupts, idle time and what nobody claimed. */
void vm_log_exits(const struct vm *vm);

/* Ends the run loop after the current exit; the first reason wins. */
void vm_request_stop(struct vm *vm, enum vm_stop_reason reason);

/*
 * One access by the guest to a region, or to nothing (r NULL): calls the handler, does what it
 * says on the real hardware, counts. False: #GP was raised; the instruction must not complete.
 */
bool vm_io(struct vm *vm, struct region *r, struct io_access *a, bool port);

/* Runs the guest until something requests a stop. Host interrupts are off inside, but in windows. */
void vm_run(struct vm *vm);

#endif
