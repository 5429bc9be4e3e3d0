/*
 * The guest's local APIC: one, with id 0, as xAPIC page and as x2APIC registers, its timer included.
 * A model only; the real one stays as the firmware has it.
 */
#ifndef POSTERN_IRQ_VLAPIC_H
#define POSTERN_IRQ_VLAPIC_H

#include "core/vm.h"
#include "irq/vlapic_timer.h"

#define VLAPIC_DEFAULT_BASE 0xfee00000ull
#define VLAPIC_WORDS	    8u /* of 32 vectors each */

/* Expiries of the periodic timer that are told late, one after each acknowledge; more are lost. */
#define VLAPIC_BACKLOG_MAX  16u

enum vlapic_lvt {
	VLAPIC_LVT_TIMER,
	VLAPIC_LVT_THERMAL,
	VLAPIC_LVT_COUNTERS,
	VLAPIC_LVT_LINT0,
	VLAPIC_LVT_LINT1,
	VLAPIC_LVT_ERROR,
	VLAPIC_LVTS
};

/* SDM vol. 3A "Delivery Mode". */
enum apic_delivery {
	APIC_FIXED = 0,
	APIC_LOWEST = 1,
	APIC_SMI = 2,
	APIC_NMI = 4,
	APIC_INIT = 5,
	APIC_STARTUP = 6,
	APIC_EXTINT = 7
};

/* What goes over the bus between interrupt controllers. */
struct apic_message {
	uint8_t dest, vector, mode; /* mode: enum apic_delivery, or a reserved number */
	bool logical, level;
};

struct vlapic {
	struct device dev;
	struct region page;
	uint64_t base; /* IA32_APIC_BASE */
	uint32_t irr[VLAPIC_WORDS], isr[VLAPIC_WORDS], tmr[VLAPIC_WORDS];
	uint32_t lvt[VLAPIC_LVTS];
	uint32_t svr, ldr, dfr;
	uint32_t esr, errors; /* what the guest reads, and what came since it wrote */
	uint64_t icr;
	uint8_t tpr, ppr;
	struct vlapic_timer timer;
	uint64_t backlog;
	uint64_t lost; /* expiries that were never told */
	bool ready;    /* a vector is pending that the priorities let through */
	bool nmi;      /* one was sent and isn't taken yet */
	bool extint;   /* a message asked for a cycle of the PIC */
	/* Called with the vector of a level-triggered interrupt that the guest has ended. */
	void (*ended)(void *arg, uint8_t vector);
	void *ended_arg;
};

/*
 * Adds the page and the timer to the machine. The state is not that after power-on, but what
 * firmware leaves: enabled, with the PIC on LINT0 and NMI on LINT1 ("virtual wire"). -E_NOMEM,
 * -E_EXIST.
 */
int vlapic_attach(struct vlapic *l, struct vm *vm) must_check;

/* On the bus: is it taken? Not by a disabled APIC, another's id, or a mode that means nothing. */
bool vlapic_receive(struct vlapic *l, const struct apic_message *m);

/* The highest pending vector goes into service; -1 if the priorities let none through. */
int vlapic_acknowledge(struct vlapic *l);

/* Does what the PIC asks reach the processor through LINT0? And its rising edge, as an input. */
bool vlapic_passes_extint(const struct vlapic *l);
void vlapic_lint0_edge(struct vlapic *l);

/* The processor's side: MSRs 1Bh, 6E0h, 8xxh (false: #GP), and CR8. */
bool vlapic_read_msr(struct vlapic *l, uint32_t index, uint64_t *ret_value);
bool vlapic_write_msr(struct vlapic *l, uint32_t index, uint64_t value);
uint8_t vlapic_priority(const struct vlapic *l);
void vlapic_set_priority(struct vlapic *l, uint8_t cr8);

/* Is it there at all, by IA32_APIC_BASE? CPUID shows it only then. */
bool vlapic_is_on(const struct vlapic *l);

#endif
