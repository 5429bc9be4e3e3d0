/*
 * The clock of a local APIC's timer, counted from the TSC: one-shot, periodic and TSC-deadline. Pure
 * arithmetic: nothing here knows interrupts, and time is an argument.
 */
#ifndef POSTERN_IRQ_VLAPIC_TIMER_H
#define POSTERN_IRQ_VLAPIC_TIMER_H

#include "base/types.h"

/* As the timer's LVT entry encodes them; the fourth is reserved, and a timer in it stands still. */
enum vlapic_timer_mode {
	VLAPIC_TIMER_ONE_SHOT,
	VLAPIC_TIMER_PERIODIC,
	VLAPIC_TIMER_DEADLINE,
	VLAPIC_TIMER_RESERVED
};

struct vlapic_timer {
	uint32_t clocks, ticks; /* the timer's clock makes so many clocks in so many TSC ticks */
	enum vlapic_timer_mode mode;
	uint8_t divide;	  /* the divide configuration register */
	uint32_t initial; /* the initial count register */
	uint64_t due;	  /* the TSC at which it expires next; VM_NEVER: it stands still */
};

/*
 * After power-on: it stands still. The clock is the crystal's, where CPUID tells how the TSC is made
 * of that (leaf 15h: ticks / clocks), as guests take it from there; else the TSC's.
 */
void vlapic_timer_init(struct vlapic_timer *t, uint32_t clocks, uint32_t ticks);

/* To and from deadlines stops it; between the other two it goes on. */
void vlapic_timer_set_mode(struct vlapic_timer *t, enum vlapic_timer_mode mode);
/* A count that is on its way goes on from where it is, at the new pace. */
void vlapic_timer_set_divide(struct vlapic_timer *t, uint32_t value, uint64_t now);
/* Starts it, or stops it with 0. Only stored in the modes that don't count. */
void vlapic_timer_set_initial(struct vlapic_timer *t, uint32_t value, uint64_t now);
/* 0 stops it. Does nothing in the modes that count. */
void vlapic_timer_set_deadline(struct vlapic_timer *t, uint64_t tsc);

/* What is left of the count, and the deadline that wasn't reached yet, 0 for none. */
uint32_t vlapic_timer_count(const struct vlapic_timer *t, uint64_t now);
uint64_t vlapic_timer_deadline(const struct vlapic_timer *t);

/* How often it has expired since the last call: more than once only if it is periodic. */
uint64_t vlapic_timer_expire(struct vlapic_timer *t, uint64_t now);

#endif
