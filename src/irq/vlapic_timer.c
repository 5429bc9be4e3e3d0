/*
 * See vlapic_timer.h. State: struct vlapic_timer. On the exit path.
 *
 * Source: SDM vol. 3A "APIC Timer", "TSC-Deadline Mode".
 */
#include "irq/vlapic_timer.h"
#include "base/bits.h"
#include "core/vm.h"

#define DIVIDE_BITS 0x0bu

/* So that no product below leaves 64 bits: 32 of the count, 7 of the divisor, 16 and 8 of these. */
#define CLOCKS_MAX  0xffu
#define TICKS_MAX   0xffffu

static bool counts(const struct vlapic_timer *t)
{
	return t->mode == VLAPIC_TIMER_ONE_SHOT || t->mode == VLAPIC_TIMER_PERIODIC;
}

/* Bits 3, 1 and 0: 2, 4, 8... 128, and 1 for 111b. */
static unsigned divisor_shift(const struct vlapic_timer *t)
{
	unsigned code = (t->divide & 3u) | (t->divide & 8u) >> 1;

	return (code + 1) & 7;
}

static uint64_t duration(const struct vlapic_timer *t, uint32_t count)
{
	return max_u64(((uint64_t)count << divisor_shift(t)) * t->ticks / t->clocks, 1);
}

void vlapic_timer_init(struct vlapic_timer *t, uint32_t clocks, uint32_t ticks)
{
	bool usable = clocks && clocks <= CLOCKS_MAX && ticks >= clocks && ticks <= TICKS_MAX;

	*t = (struct vlapic_timer){
		.clocks = usable ? clocks : 1, .ticks = usable ? ticks : 1, .due = VM_NEVER};
}

void vlapic_timer_set_mode(struct vlapic_timer *t, enum vlapic_timer_mode mode)
{
	bool counted = counts(t);

	t->mode = mode;
	if (counted && counts(t))
		return;
	if (counted || mode != VLAPIC_TIMER_DEADLINE)
		t->due = VM_NEVER;
}

void vlapic_timer_set_divide(struct vlapic_timer *t, uint32_t value, uint64_t now)
{
	uint32_t left = vlapic_timer_count(t, now);

	t->divide = value & DIVIDE_BITS;
	if (left)
		t->due = now + duration(t, left);
}

void vlapic_timer_set_initial(struct vlapic_timer *t, uint32_t value, uint64_t now)
{
	if (!counts(t))
		return;
	t->initial = value;
	t->due = value ? now + duration(t, value) : VM_NEVER;
}

void vlapic_timer_set_deadline(struct vlapic_timer *t, uint64_t tsc)
{
	if (t->mode == VLAPIC_TIMER_DEADLINE)
		t->due = tsc ? tsc : VM_NEVER;
}

uint32_t vlapic_timer_count(const struct vlapic_timer *t, uint64_t now)
{
	if (!counts(t) || t->due == VM_NEVER || now >= t->due)
		return 0;
	/* Less than 2^55 ticks are left; rounded up, as a count is 0 only when it is over. */
	return (uint32_t)(((t->due - now) * t->clocks / t->ticks >> divisor_shift(t)) + 1);
}

uint64_t vlapic_timer_deadline(const struct vlapic_timer *t)
{
	return t->mode == VLAPIC_TIMER_DEADLINE && t->due != VM_NEVER ? t->due : 0;
}

uint64_t vlapic_timer_expire(struct vlapic_timer *t, uint64_t now)
{
	uint64_t period, times;

	if (t->due == VM_NEVER || now < t->due)
		return 0;
	if (t->mode != VLAPIC_TIMER_PERIODIC) {
		t->due = VM_NEVER;
		return 1;
	}
	period = duration(t, t->initial);
	times = (now - t->due) / period + 1;
	t->due += times * period;
	return times;
}
