/*
 * Model of an 8254 that counts TSC time. State: struct vpit. On the exit path.
 *
 * Nothing runs in the background: each channel knows when its count was loaded, and everything
 * else (count, output, interrupts due) follows from the TSC, whenever the guest or the machine's
 * tick asks. Simplifications: counting is binary whatever the guest asks for; a new count without
 * a mode word takes effect at once in modes 2 and 3 too.
 *
 * Source: Intel 8254 data sheet (231164-005), "Mode Definitions"; for port 61h: Intel 82371SB data
 * sheet (290550), "NMISC".
 */
#include "irq/vpit.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/fmt.h"
#include "hw/time.h"

#define COUNTER_PORT	    0x40u
#define CONTROL		    3u /* offset of the control word */
#define SPEAKER_PORT	    0x61u
#define IRQ_TIMER	    0u

#define CONTROL_CHANNEL	    0xc0u
#define CONTROL_ACCESS	    0x30u
#define CONTROL_MODE	    0x0eu
#define CONTROL_BCD	    0x01u
#define READ_BACK	    3u /* as a channel number */
#define ACCESS_LATCH	    0u
#define ACCESS_LOW	    1u
#define ACCESS_HIGH	    2u
#define ACCESS_BOTH	    3u

#define READ_BACK_NO_COUNT  0x20u
#define READ_BACK_NO_STATUS 0x10u

#define STATUS_OUT	    0x80u
#define STATUS_NULL	    0x40u

#define SPEAKER_GATE	    0x01u
#define SPEAKER_WRITES	    0x0fu
#define SPEAKER_REFRESH	    0x10u
#define SPEAKER_OUT	    0x20u
#define REFRESH_TICKS	    18u /* about 15 us */

#define SCALE_SHIFT	    40u

static uint64_t tsc_to_ticks(const struct vpit *p, uint64_t tsc)
{
	return (uint64_t)(((unsigned __int128)tsc * p->tick_scale) >> SCALE_SHIFT);
}

/* Rounded up, so that at that time the tick has come; saturates. */
static uint64_t ticks_to_tsc(uint64_t ticks)
{
	uint64_t hz = (uint64_t)hw_tsc_khz() * 1000, whole = ticks / VPIT_HZ;

	if (whole >= ~0ull / hz - 1)
		return ~0ull;
	return whole * hz + (ticks % VPIT_HZ) * hz / VPIT_HZ + 2;
}

/* Input clocks since the count was loaded or triggered. */
static uint64_t elapsed(const struct vpit *p, const struct vpit_channel *c, uint64_t now)
{
	if (!c->running || now < c->start_tsc)
		return c->paused;
	return c->paused + tsc_to_ticks(p, now - c->start_tsc);
}

static uint16_t current_count(const struct vpit *p, const struct vpit_channel *c, uint64_t now)
{
	uint64_t t = elapsed(p, c, now);

	if (c->mode == 2)
		return (uint16_t)(c->reload - t % c->reload);
	if (c->mode == 3)
		return (uint16_t)(c->reload - (2 * t) % c->reload);
	return (uint16_t)(c->reload - t);
}

static bool output(const struct vpit *p, const struct vpit_channel *c, uint64_t now)
{
	uint64_t t = elapsed(p, c, now);

	switch (c->mode) {
	case 0:
		return c->loaded && t >= c->reload;
	case 1:
		return !c->loaded || (!c->running && !c->paused) || t >= c->reload;
	case 2:
		return !c->loaded || !c->running || t % c->reload != c->reload - 1;
	case 3:
		return !c->loaded || !c->running || t % c->reload < (c->reload + 1) / 2;
	default:
		return !c->loaded || t != c->reload;
	}
}

/* Rising edges of the output so far: what an edge-triggered interrupt input sees. */
static uint64_t events(const struct vpit *p, const struct vpit_channel *c, uint64_t now)
{
	uint64_t t = elapsed(p, c, now);

	if (!c->loaded)
		return 0;
	if (c->mode == 2 || c->mode == 3)
		return t / c->reload;
	return t >= c->reload;
}

/* An edge at the interrupt controller; one that is pending already stays one. */
static void pulse(struct vpit *p)
{
	vm_set_irq(p->dev.vm, IRQ_TIMER, false);
	vm_set_irq(p->dev.vm, IRQ_TIMER, true);
}

/* Raises what has become due. The first goes out now, the others wait for its acknowledge. */
static void update(struct vpit *p, uint64_t now)
{
	uint64_t due = events(p, &p->channel[0], now), missed;

	if (due <= p->told)
		return;
	missed = due - p->told - 1;
	p->told = due;
	if (missed > VPIT_BACKLOG_MAX - p->backlog) {
		p->lost += missed - (VPIT_BACKLOG_MAX - p->backlog);
		missed = VPIT_BACKLOG_MAX - p->backlog;
	}
	p->backlog += (unsigned)missed;
	pulse(p);
}

void vpit_acknowledged(void *pit, unsigned irq)
{
	struct vpit *p = pit;

	if (irq != IRQ_TIMER || !p->backlog)
		return;
	p->backlog--;
	pulse(p);
}

static void tick(void *arg, uint64_t tsc)
{
	update(arg, tsc);
}

static uint64_t next(void *arg)
{
	return vpit_next_deadline(arg);
}

uint64_t vpit_next_deadline(const struct vpit *p)
{
	const struct vpit_channel *c = &p->channel[0];
	bool periodic = c->mode == 2 || c->mode == 3;
	uint64_t wait;

	if (!c->loaded || !c->running || (!periodic && p->told))
		return VM_NEVER;
	wait = ticks_to_tsc((p->told + 1) * c->reload);
	return wait > VM_NEVER - c->start_tsc ? VM_NEVER : c->start_tsc + wait;
}

/* Counting begins anew: what was due under the old count is forgotten. */
static void restart(struct vpit *p, struct vpit_channel *c, bool running, uint64_t now)
{
	c->start_tsc = now;
	c->paused = 0;
	c->running = running;
	if (c == &p->channel[0]) {
		p->told = 0;
		p->backlog = 0;
	}
}

static void load(struct vpit *p, struct vpit_channel *c, uint16_t count, uint64_t now)
{
	bool by_trigger = c->mode == 1 || c->mode == 5;

	c->reload = count ? count : 65536;
	c->loaded = true;
	restart(p, c, c->gate && !by_trigger, now);
}

static void write_counter(struct vpit *p, struct vpit_channel *c, uint8_t v, uint64_t now)
{
	switch (c->access) {
	case ACCESS_LOW:
		load(p, c, v, now);
		break;
	case ACCESS_HIGH:
		load(p, c, (uint16_t)(v << 8), now);
		break;
	default:
		if (!c->write_high) {
			c->write_low = v;
			/* Between the two bytes mode 0 stands still. */
			if (c->mode == 0)
				c->loaded = c->running = false;
		} else {
			load(p, c, (uint16_t)(v << 8 | c->write_low), now);
		}
		c->write_high = !c->write_high;
		break;
	}
}

static void latch_count(struct vpit *p, struct vpit_channel *c, uint64_t now)
{
	if (c->latch_left)
		return;
	c->latch = current_count(p, c, now);
	c->latch_left = c->access == ACCESS_BOTH ? 2 : 1;
}

static void latch_status(struct vpit *p, struct vpit_channel *c, uint64_t now)
{
	if (c->status_latched)
		return;
	c->status_latched = true;
	c->status = (uint8_t)(FIELD_PUT(CONTROL_ACCESS, c->access) |
			      FIELD_PUT(CONTROL_MODE, c->mode) | (c->bcd_asked ? CONTROL_BCD : 0));
	if (output(p, c, now))
		c->status |= STATUS_OUT;
	if (!c->loaded)
		c->status |= STATUS_NULL;
}

static uint8_t read_counter(struct vpit *p, struct vpit_channel *c, uint64_t now)
{
	uint16_t count = c->latch_left ? c->latch : current_count(p, c, now);
	bool high = c->access == ACCESS_HIGH;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	if (c->access == ACCESS_BOTH) {
		high = c->read_high;
		c->read_high = !c->read_high;
	}
	if (c->latch_left)
		c->latch_left--;
	return (uint8_t)(high ? count >> 8 : count);
}

static void set_mode(struct vpit *p, struct vpit_channel *c, uint8_t v, uint64_t now)
{
	unsigned mode = (unsigned)FIELD_GET(CONTROL_MODE, v);

	c->mode = (uint8_t)(mode > 5 ? mode & 3 : mode);
	c->access = FIELD_GET(CONTROL_ACCESS, v);
	c->bcd_asked = v & CONTROL_BCD;
	c->write_high = c->read_high = false;
	c->latch_left = 0;
	c->status_latched = false;
	c->loaded = false;
	restart(p, c, false, now);
}

static void write_control(struct vpit *p, uint8_t v, uint64_t now)
{
	unsigned n = (unsigned)FIELD_GET(CONTROL_CHANNEL, v);

	if (n == READ_BACK) {
		for (unsigned i = 0; i < VPIT_CHANNELS; i++) {
			if (!(v & (2u << i)))
				continue;
			if (!(v & READ_BACK_NO_COUNT))
				latch_count(p, &p->channel[i], now);
			if (!(v & READ_BACK_NO_STATUS))
				latch_status(p, &p->channel[i], now);
		}
	} else if (FIELD_GET(CONTROL_ACCESS, v) == ACCESS_LATCH) {
		latch_count(p, &p->channel[n], now);
	} else {
		set_mode(p, &p->channel[n], v, now);
	}
}

static enum io_result counter_access(struct device *dev, struct io_access *a)
{
	struct vpit *p = dev->state;
	uint64_t now = hw_tsc();

	if (a->size != 1 || a->offset > CONTROL)
		return IO_REJECT;
	update(p, now);
	if (a->write && a->offset == CONTROL)
		write_control(p, (uint8_t)a->value, now);
	else if (a->write)
		write_counter(p, &p->channel[a->offset], (uint8_t)a->value, now);
	else if (a->offset == CONTROL)
		return IO_REJECT;
	else
		a->value = read_counter(p, &p->channel[a->offset], now);
	vm_timers_changed(p->dev.vm);
	return IO_DONE;
}

/* Modes 0 and 4 pause without the gate, 2 and 3 start over with it, 1 and 5 are started by it. */
static void set_gate(struct vpit *p, struct vpit_channel *c, bool gate, uint64_t now)
{
	if (gate == c->gate)
		return;
	c->gate = gate;
	if (!c->loaded)
		return;
	if (c->mode == 0 || c->mode == 4) {
		c->paused = elapsed(p, c, now);
		c->start_tsc = now;
		c->running = gate;
	} else if (gate) {
		restart(p, c, true, now);
	} else if (c->mode == 2 || c->mode == 3) {
		c->paused = 0;
		c->running = false;
	}
}

static enum io_result speaker_access(struct device *dev, struct io_access *a)
{
	struct vpit *p = dev->state;
	uint64_t now = hw_tsc();

	if (a->size != 1)
		return IO_REJECT;
	if (a->write) {
		p->speaker = a->value & SPEAKER_WRITES;
		set_gate(p, &p->channel[2], p->speaker & SPEAKER_GATE, now);
		return IO_DONE;
	}
	a->value = p->speaker;
	if ((tsc_to_ticks(p, now) / REFRESH_TICKS) & 1)
		a->value |= SPEAKER_REFRESH;
	if (output(p, &p->channel[2], now))
		a->value |= SPEAKER_OUT;
	return IO_DONE;
}

int vpit_attach(struct vpit *p, struct vm *vm)
{
	int r;

	*p = (struct vpit){.dev = {.vm = vm, .state = p}};
	fmt_print(p->dev.name, sizeof(p->dev.name), "pit");
	p->tick_scale = ((uint64_t)VPIT_HZ << SCALE_SHIFT) / ((uint64_t)hw_tsc_khz() * 1000);
	for (unsigned i = 0; i < VPIT_CHANNELS; i++) {
		p->channel[i].reload = 65536;
		p->channel[i].access = ACCESS_BOTH;
		p->channel[i].mode = 3;
		p->channel[i].gate = i != 2;
	}
	p->counters = (struct region){.base = COUNTER_PORT,
		.len = 4,
		.dev = &p->dev,
		.handler = counter_access,
		.name = "pit",
		.byte_wide = true};
	p->port61 = (struct region){.base = SPEAKER_PORT,
		.len = 1,
		.dev = &p->dev,
		.handler = speaker_access,
		.name = "port 61",
		.byte_wide = true};
	r = region_add(&vm->pio, &p->counters);
	if (!r)
		r = region_add(&vm->pio, &p->port61);
	if (!r)
		r = vm_add_timer(vm, tick, next, p);
	return r;
}
