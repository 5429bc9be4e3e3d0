/*
 * Model of a local APIC. State: struct vlapic. On the exit path: whether something is to be injected
 * is one load, and every change recomputes it.
 *
 * The guest has one processor, so that every message that matches comes back to it, and one for
 * another vanishes. An accepted vector goes away only by its acknowledge: there are no spurious
 * interrupts. The page doesn't overlay memory: where its base is moved onto memory or another device,
 * that stays what is seen.
 *
 * Odd accesses of the page: a read inside the first four bytes of a register gives that piece of it,
 * elsewhere zeros; a write that isn't 32 bits at a register's start does nothing.
 *
 * Source: SDM vol. 3A "Advanced Programmable Interrupt Controller (APIC)" (325462-084).
 */
#include "irq/vlapic.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/fmt.h"
#include "core/cpuid.h"
#include "hw/time.h"

#define BASE_BSP	 BIT(8)
#define BASE_EXTD	 BIT(10)
#define BASE_ENABLE	 BIT(11)
#define BASE_MODE	 (BASE_ENABLE | BASE_EXTD)
#define BASE_ADDRESS	 BITS(51, 12)

#define MSR_X2APIC	 0x800u

/* Registers by their number: offset / 10h in the page, and MSR 800h + number. */
#define REG_ID		 0x02u
#define REG_VERSION	 0x03u
#define REG_TPR		 0x08u
#define REG_APR		 0x09u
#define REG_PPR		 0x0au
#define REG_EOI		 0x0bu
#define REG_RRD		 0x0cu
#define REG_LDR		 0x0du
#define REG_DFR		 0x0eu
#define REG_SVR		 0x0fu
#define REG_ISR		 0x10u
#define REG_TMR		 0x18u
#define REG_IRR		 0x20u
#define REG_ESR		 0x28u
#define REG_ICR		 0x30u
#define REG_ICR_HIGH	 0x31u
#define REG_LVT		 0x32u
#define REG_INITIAL	 0x38u
#define REG_CURRENT	 0x39u
#define REG_DIVIDE	 0x3eu
#define REG_SELF_IPI	 0x3fu
#define REG_COUNT	 0x40u

/* 14h: integrated; the highest LVT entry; EOI broadcasts can be suppressed. */
#define VERSION		 (0x14u | (VLAPIC_LVTS - 1) << 16 | VERSION_DIRECTED)
#define VERSION_DIRECTED BIT(24)
#define X2APIC_LDR	 1u /* cluster 0, the first of it */

#define SVR_ENABLE	 0x100u
#define SVR_NO_BROADCAST 0x1000u
#define SVR_BITS	 (0xffu | SVR_ENABLE | SVR_NO_BROADCAST)

#define LVT_VECTOR	 0x000000ffu
#define LVT_DELIVERY	 0x00000700u
#define LVT_MASKED	 0x00010000u
#define LVT_TIMER_MODE	 0x00060000u
#define LVT_PIN		 0x0000a000u /* polarity, trigger */

#define ESR_SEND_ILLEGAL BIT(5)
#define ESR_RECV_ILLEGAL BIT(6)
#define ESR_REGISTER	 BIT(7)
#define VECTOR_FIRST	 16u /* those below are the processor's own */

#define ICR_VECTOR	 0x000000ffull
#define ICR_DELIVERY	 0x00000700ull
#define ICR_LOGICAL	 0x00000800ull
#define ICR_ASSERT	 0x00004000ull
#define ICR_LEVEL	 0x00008000ull
#define ICR_SHORTHAND	 0x000c0000ull
#define ICR_LOW		 0x000ccfffull
#define ICR_DEST	 0xff00000000000000ull
#define ICR_X2_BITS	 (0xffffffff00000000ull | ICR_LOW)

#define SHORTHAND_NONE	 0u
#define SHORTHAND_SELF	 1u
#define SHORTHAND_ALL	 2u
#define SHORTHAND_OTHERS 3u

static const uint32_t lvt_bits[VLAPIC_LVTS] = {
	[VLAPIC_LVT_TIMER] = LVT_VECTOR | LVT_MASKED | LVT_TIMER_MODE,
	[VLAPIC_LVT_THERMAL] = LVT_VECTOR | LVT_DELIVERY | LVT_MASKED,
	[VLAPIC_LVT_COUNTERS] = LVT_VECTOR | LVT_DELIVERY | LVT_MASKED,
	[VLAPIC_LVT_LINT0] = LVT_VECTOR | LVT_DELIVERY | LVT_PIN | LVT_MASKED,
	[VLAPIC_LVT_LINT1] = LVT_VECTOR | LVT_DELIVERY | LVT_PIN | LVT_MASKED,
	[VLAPIC_LVT_ERROR] = LVT_VECTOR | LVT_MASKED,
};

bool vlapic_is_on(const struct vlapic *l)
{
	return l->base & BASE_ENABLE;
}

static bool is_x2apic(const struct vlapic *l)
{
	return l->base & BASE_EXTD;
}

/* ---- priorities ---- */

static bool vector_in(const uint32_t *set, unsigned vector)
{
	return set[vector / 32] & BIT(vector % 32);
}

static void vector_put(uint32_t *set, unsigned vector, bool on)
{
	uint32_t bit = (uint32_t)BIT(vector % 32);

	set[vector / 32] = on ? set[vector / 32] | bit : set[vector / 32] & ~bit;
}

static int highest(const uint32_t *set)
{
	for (unsigned i = VLAPIC_WORDS; i-- > 0;)
		if (set[i])
			return (int)(i * 32 + 31 - (unsigned)__builtin_clz(set[i]));
	return -1;
}

/* Classes are the upper four bits. SDM vol. 3A "Task and Processor Priorities". */
static void update(struct vlapic *l)
{
	int served = highest(l->isr), asking = highest(l->irr);

	l->ppr = l->tpr;
	if (served >= 0 && served >> 4 > l->tpr >> 4)
		l->ppr = (uint8_t)served & 0xf0;
	l->ready = vlapic_is_on(l) && asking >= 0 && asking >> 4 > l->ppr >> 4;
}

static void latch(struct vlapic *l, uint8_t vector, bool level)
{
	vector_put(l->irr, vector, true);
	vector_put(l->tmr, vector, level);
	update(l);
}

static void note_error(struct vlapic *l, uint32_t bit)
{
	uint32_t lvt = l->lvt[VLAPIC_LVT_ERROR];

	l->errors |= bit;
	if (!(lvt & LVT_MASKED) && (lvt & LVT_VECTOR) >= VECTOR_FIRST)
		latch(l, (uint8_t)lvt, false);
}

static bool accept(struct vlapic *l, uint8_t vector, bool level)
{
	if (!vlapic_is_on(l) || !(l->svr & SVR_ENABLE))
		return false;
	if (vector < VECTOR_FIRST) {
		note_error(l, ESR_RECV_ILLEGAL);
		return false;
	}
	latch(l, vector, level);
	return true;
}

/* SDM vol. 3A "Logical Destination Mode"; all ones mean everybody. */
static bool matches(const struct vlapic *l, uint8_t dest, bool logical)
{
	uint8_t id = (uint8_t)(l->ldr >> 24);

	if (dest == 0xff || !logical)
		return dest == 0xff || !dest;
	if (is_x2apic(l))
		return dest & X2APIC_LDR;
	if (l->dfr >> 28 == 0xf)
		return dest & id;
	return dest >> 4 == id >> 4 && dest & id & 0xf;
}

static bool deliver(struct vlapic *l, unsigned mode, uint8_t vector, bool level)
{
	switch (mode) {
	case APIC_FIXED:
	case APIC_LOWEST:
		return accept(l, vector, level);
	case APIC_NMI:
		l->nmi = vlapic_is_on(l);
		return l->nmi;
	case APIC_EXTINT:
		l->extint = vlapic_is_on(l);
		return l->extint;
	default:
		return false;
	}
}

bool vlapic_receive(struct vlapic *l, const struct apic_message *m)
{
	return matches(l, m->dest, m->logical) && deliver(l, m->mode, m->vector, m->level);
}

static void fire(struct vlapic *l, enum vlapic_lvt n)
{
	uint32_t lvt = l->lvt[n];
	unsigned mode = n == VLAPIC_LVT_TIMER ? APIC_FIXED : (unsigned)FIELD_GET(LVT_DELIVERY, lvt);

	if (!(lvt & LVT_MASKED))
		deliver(l, mode, (uint8_t)lvt, false);
}

bool vlapic_passes_extint(const struct vlapic *l)
{
	uint32_t lvt = l->lvt[VLAPIC_LVT_LINT0];

	/* Without an APIC the PIC's output is the processor's INTR pin. */
	if (!vlapic_is_on(l))
		return true;
	return l->extint || (!(lvt & LVT_MASKED) && FIELD_GET(LVT_DELIVERY, lvt) == APIC_EXTINT);
}

void vlapic_lint0_edge(struct vlapic *l)
{
	if (FIELD_GET(LVT_DELIVERY, l->lvt[VLAPIC_LVT_LINT0]) != APIC_EXTINT)
		fire(l, VLAPIC_LVT_LINT0);
}

/* ---- acknowledge and end ---- */

int vlapic_acknowledge(struct vlapic *l)
{
	int vector = highest(l->irr);

	if (!l->ready || vector < 0)
		return -1;
	vector_put(l->irr, (unsigned)vector, false);
	vector_put(l->isr, (unsigned)vector, true);
	update(l);
	if (l->backlog && (uint8_t)l->lvt[VLAPIC_LVT_TIMER] == vector) {
		l->backlog--;
		fire(l, VLAPIC_LVT_TIMER);
	}
	return vector;
}

static void end_interrupt(struct vlapic *l)
{
	int vector = highest(l->isr);

	if (vector < 0)
		return;
	vector_put(l->isr, (unsigned)vector, false);
	update(l);
	if (vector_in(l->tmr, (unsigned)vector) && !(l->svr & SVR_NO_BROADCAST) && l->ended)
		l->ended(l->ended_arg, (uint8_t)vector);
}

uint8_t vlapic_priority(const struct vlapic *l)
{
	return l->tpr >> 4;
}

static void set_tpr(struct vlapic *l, uint8_t tpr)
{
	l->tpr = tpr;
	update(l);
}

void vlapic_set_priority(struct vlapic *l, uint8_t cr8)
{
	set_tpr(l, (uint8_t)(cr8 << 4));
}

/* ---- messages of its own ---- */

static bool icr_reaches_self(const struct vlapic *l)
{
	uint32_t wide = (uint32_t)(l->icr >> 32);
	bool logical = l->icr & ICR_LOGICAL;

	switch (FIELD_GET(ICR_SHORTHAND, l->icr)) {
	case SHORTHAND_SELF:
	case SHORTHAND_ALL:
		return true;
	case SHORTHAND_OTHERS:
		return false;
	default:
		break;
	}
	if (!is_x2apic(l))
		return matches(l, (uint8_t)FIELD_GET(ICR_DEST, l->icr), logical);
	if (wide == UINT32_MAX)
		return true;
	return logical ? !(wide >> 16) && wide & X2APIC_LDR : !wide;
}

/* SMI, INIT and start-up change nothing: there is no processor that waits for them. */
static void send(struct vlapic *l)
{
	unsigned mode = (unsigned)FIELD_GET(ICR_DELIVERY, l->icr);
	bool fixed = mode == APIC_FIXED || mode == APIC_LOWEST;
	uint8_t vector = (uint8_t)l->icr;

	if (fixed && vector < VECTOR_FIRST) {
		note_error(l, ESR_SEND_ILLEGAL);
		return;
	}
	if ((fixed || mode == APIC_NMI) && icr_reaches_self(l))
		deliver(l, mode, vector, false);
}

static void send_self(struct vlapic *l, uint8_t vector)
{
	if (vector < VECTOR_FIRST)
		note_error(l, ESR_SEND_ILLEGAL);
	else
		accept(l, vector, false);
}

/* ---- timer ---- */

static void timer_catch_up(struct vlapic *l, uint64_t now)
{
	uint64_t times = vlapic_timer_expire(&l->timer, now), room;

	if (!times || l->lvt[VLAPIC_LVT_TIMER] & LVT_MASKED)
		return;
	room = VLAPIC_BACKLOG_MAX - l->backlog;
	l->backlog += min_u64(times - 1, room);
	l->lost += times - 1 - min_u64(times - 1, room);
	fire(l, VLAPIC_LVT_TIMER);
}

static void timer_tick(void *arg, uint64_t tsc)
{
	timer_catch_up(arg, tsc);
}

static uint64_t timer_next(void *arg)
{
	const struct vlapic *l = arg;

	return l->lvt[VLAPIC_LVT_TIMER] & LVT_MASKED ? VM_NEVER : l->timer.due;
}

/* After each change: what is due already comes now. */
static void timer_changed(struct vlapic *l, uint64_t now)
{
	timer_catch_up(l, now);
	vm_timers_changed(l->dev.vm);
}

static void set_initial(struct vlapic *l, uint32_t value)
{
	uint64_t now = hw_tsc();

	l->backlog = 0;
	vlapic_timer_set_initial(&l->timer, value, now);
	timer_changed(l, now);
}

static void set_divide(struct vlapic *l, uint32_t value)
{
	uint64_t now = hw_tsc();

	timer_catch_up(l, now);
	vlapic_timer_set_divide(&l->timer, value, now);
	timer_changed(l, now);
}

static void set_deadline(struct vlapic *l, uint64_t value)
{
	l->backlog = 0;
	vlapic_timer_set_deadline(&l->timer, value);
	timer_changed(l, hw_tsc());
}

/* ---- registers ---- */

/* While the APIC is off by its SVR, all entries stay masked. */
static void set_lvt(struct vlapic *l, unsigned n, uint32_t value)
{
	uint64_t now = hw_tsc();

	if (n == VLAPIC_LVT_TIMER)
		timer_catch_up(l, now);
	l->lvt[n] = value & lvt_bits[n];
	if (!(l->svr & SVR_ENABLE))
		l->lvt[n] |= LVT_MASKED;
	if (n != VLAPIC_LVT_TIMER)
		return;
	if (l->lvt[n] & LVT_MASKED)
		l->backlog = 0;
	vlapic_timer_set_mode(&l->timer, FIELD_GET(LVT_TIMER_MODE, l->lvt[n]));
	timer_changed(l, now);
}

static void set_svr(struct vlapic *l, uint32_t value)
{
	l->svr = value & SVR_BITS;
	if (l->svr & SVR_ENABLE)
		return;
	for (unsigned i = 0; i < VLAPIC_LVTS; i++)
		set_lvt(l, i, l->lvt[i] | LVT_MASKED);
}

/* False: there is no such register, or it can't be read. */
static bool read_register(struct vlapic *l, unsigned reg, uint32_t *ret)
{
	if (reg >= REG_ISR && reg < REG_ESR) {
		const uint32_t *set = reg < REG_TMR ? l->isr : reg < REG_IRR ? l->tmr : l->irr;

		*ret = set[reg % VLAPIC_WORDS];
		return true;
	}
	if (reg >= REG_LVT && reg < REG_LVT + VLAPIC_LVTS) {
		*ret = l->lvt[reg - REG_LVT];
		return true;
	}
	switch (reg) {
	case REG_ID:
		*ret = 0;
		return true;
	case REG_VERSION:
		*ret = (uint32_t)VERSION;
		return true;
	case REG_TPR:
		*ret = l->tpr;
		return true;
	case REG_PPR:
		*ret = l->ppr;
		return true;
	case REG_LDR:
		*ret = is_x2apic(l) ? X2APIC_LDR : l->ldr;
		return true;
	case REG_SVR:
		*ret = l->svr;
		return true;
	case REG_ESR:
		*ret = l->esr;
		return true;
	case REG_ICR:
		*ret = (uint32_t)l->icr;
		return true;
	case REG_INITIAL:
		*ret = l->timer.initial;
		return true;
	case REG_CURRENT: {
		uint64_t now = hw_tsc();

		timer_catch_up(l, now);
		*ret = vlapic_timer_count(&l->timer, now);
		return true;
	}
	case REG_DIVIDE:
		*ret = l->timer.divide;
		return true;
	default:
		return false;
	}
}

/* The registers that both ways reach; false: there is no such register, or it can't be written. */
static bool write_register(struct vlapic *l, unsigned reg, uint32_t value)
{
	if (reg >= REG_LVT && reg < REG_LVT + VLAPIC_LVTS) {
		set_lvt(l, reg - REG_LVT, value);
		return true;
	}
	switch (reg) {
	case REG_TPR:
		set_tpr(l, (uint8_t)value);
		return true;
	case REG_EOI:
		end_interrupt(l);
		return true;
	case REG_SVR:
		set_svr(l, value);
		return true;
	case REG_ESR:
		l->esr = l->errors;
		l->errors = 0;
		return true;
	case REG_INITIAL:
		set_initial(l, value);
		return true;
	case REG_DIVIDE:
		set_divide(l, value);
		return true;
	default:
		return false;
	}
}

/* ---- the page ---- */

static uint32_t page_read(struct vlapic *l, unsigned reg)
{
	uint32_t value;

	switch (reg) {
	case REG_APR: /* of processors before this kind */
	case REG_RRD:
	case REG_EOI:
		return 0;
	case REG_DFR:
		return l->dfr;
	case REG_ICR_HIGH:
		return (uint32_t)(l->icr >> 32);
	default:
		break;
	}
	if (read_register(l, reg, &value))
		return value;
	note_error(l, ESR_REGISTER);
	return 0;
}

/* Writes of registers that are only to be read, the id too, do nothing. */
static void page_write(struct vlapic *l, unsigned reg, uint32_t value)
{
	uint32_t old;

	switch (reg) {
	case REG_LDR:
		l->ldr = value & 0xff000000;
		return;
	case REG_DFR:
		l->dfr = value | 0x0fffffff;
		return;
	case REG_ICR:
		l->icr = (l->icr & ICR_DEST) | (value & ICR_LOW);
		send(l);
		return;
	case REG_ICR_HIGH:
		l->icr = ((uint64_t)value << 32 & ICR_DEST) | (l->icr & ICR_LOW);
		return;
	default:
		break;
	}
	if (!write_register(l, reg, value) && !read_register(l, reg, &old))
		note_error(l, ESR_REGISTER);
}

static enum io_result page_access(struct device *dev, struct io_access *a)
{
	struct vlapic *l = dev->state;
	unsigned reg = (unsigned)(a->offset / 16), at = (unsigned)(a->offset % 16);

	if (a->write) {
		if (a->size == 4 && !at)
			page_write(l, reg, (uint32_t)a->value);
		return IO_DONE;
	}
	a->value = 0;
	if (at < 4)
		a->value = ((uint64_t)page_read(l, reg) >> 8 * at) & size_mask(a->size);
	return IO_DONE;
}

/* ---- the MSRs ---- */

static bool x2_read(struct vlapic *l, unsigned reg, uint64_t *ret_value)
{
	uint32_t value;

	if (reg == REG_ICR) {
		*ret_value = l->icr;
		return true;
	}
	if (!read_register(l, reg, &value))
		return false;
	*ret_value = value;
	return true;
}

/* Bits that may be set in a write, for the registers that have reserved ones. */
static uint64_t x2_bits(unsigned reg)
{
	if (reg >= REG_LVT && reg < REG_LVT + VLAPIC_LVTS)
		return lvt_bits[reg - REG_LVT];
	switch (reg) {
	case REG_TPR:
	case REG_SELF_IPI:
		return 0xff;
	case REG_EOI:
	case REG_ESR:
		return 0;
	case REG_SVR:
		return SVR_BITS;
	case REG_ICR:
		return ICR_X2_BITS;
	case REG_DIVIDE:
		return 0xb;
	default:
		return UINT32_MAX;
	}
}

static bool x2_write(struct vlapic *l, unsigned reg, uint64_t value)
{
	if (value & ~x2_bits(reg))
		return false;
	switch (reg) {
	case REG_ICR:
		l->icr = value;
		send(l);
		return true;
	case REG_SELF_IPI:
		send_self(l, (uint8_t)value);
		return true;
	default:
		return write_register(l, reg, (uint32_t)value);
	}
}

/* All but the id as after power-on. */
static void reset(struct vlapic *l)
{
	for (unsigned i = 0; i < VLAPIC_WORDS; i++)
		l->irr[i] = l->isr[i] = l->tmr[i] = 0;
	for (unsigned i = 0; i < VLAPIC_LVTS; i++)
		l->lvt[i] = LVT_MASKED;
	l->svr = 0xff;
	l->dfr = UINT32_MAX;
	l->ldr = l->esr = l->errors = 0;
	l->icr = 0;
	l->tpr = 0;
	l->backlog = 0;
	l->nmi = l->extint = false;
	vlapic_timer_init(&l->timer, l->timer.clocks, l->timer.ticks);
	update(l);
}

/* SDM vol. 3A "x2APIC State Transitions": no way from x2APIC to xAPIC but through off. */
static bool transition_is_valid(uint64_t from, uint64_t to)
{
	from &= BASE_MODE;
	to &= BASE_MODE;
	if (to == BASE_EXTD)
		return false;
	return from == to || !to || (!from && to == BASE_ENABLE) ||
	       (from == BASE_ENABLE && to == BASE_MODE);
}

static bool set_base(struct vlapic *l, uint64_t value)
{
	struct vm *vm = l->dev.vm;
	uint64_t address = BASE_ADDRESS & (BIT(cpuid_physical_bits(vm)) - 1), old = l->base;
	bool page = (value & BASE_MODE) == BASE_ENABLE;

	if (value & ~(BASE_MODE | BASE_BSP | address) || !transition_is_valid(old, value))
		return false;
	l->base = value | BASE_BSP;
	if (!vlapic_is_on(l))
		reset(l);
	else if (is_x2apic(l) && !(old & BASE_EXTD))
		l->icr &= ICR_LOW;
	if (region_move(&vm->mmio, &l->page, value & address, page))
		region_remove(&vm->mmio, &l->page);
	cpuid_show_apic(vm, vlapic_is_on(l));
	vm_timers_changed(vm);
	return true;
}

bool vlapic_read_msr(struct vlapic *l, uint32_t index, uint64_t *ret_value)
{
	if (index == MSR_APIC_BASE) {
		*ret_value = l->base;
		return true;
	}
	if (index == MSR_TSC_DEADLINE) {
		timer_catch_up(l, hw_tsc());
		*ret_value = vlapic_timer_deadline(&l->timer);
		return true;
	}
	return is_x2apic(l) && index - MSR_X2APIC < REG_COUNT &&
	       x2_read(l, index - MSR_X2APIC, ret_value);
}

bool vlapic_write_msr(struct vlapic *l, uint32_t index, uint64_t value)
{
	if (index == MSR_APIC_BASE)
		return set_base(l, value);
	if (index == MSR_TSC_DEADLINE) {
		set_deadline(l, value);
		return true;
	}
	return is_x2apic(l) && index - MSR_X2APIC < REG_COUNT &&
	       x2_write(l, index - MSR_X2APIC, value);
}

int vlapic_attach(struct vlapic *l, struct vm *vm)
{
	struct cpuid_regs clock = cpuid_answer(vm, 0x15, 0);
	int r;

	*l = (struct vlapic){.dev = {.vm = vm, .state = l},
		.base = VLAPIC_DEFAULT_BASE | BASE_BSP | BASE_ENABLE};
	fmt_print(l->dev.name, sizeof(l->dev.name), "lapic");
	vlapic_timer_init(&l->timer, clock.eax, clock.ebx);
	reset(l);
	l->svr |= SVR_ENABLE;
	l->lvt[VLAPIC_LVT_LINT0] = (uint32_t)FIELD_PUT(LVT_DELIVERY, APIC_EXTINT);
	l->lvt[VLAPIC_LVT_LINT1] = (uint32_t)FIELD_PUT(LVT_DELIVERY, APIC_NMI);
	l->page = (struct region){.base = VLAPIC_DEFAULT_BASE,
		.len = PAGE_SIZE,
		.dev = &l->dev,
		.handler = page_access,
		.name = "lapic"};
	r = region_add(&vm->mmio, &l->page);
	if (!r)
		r = vm_add_timer(vm, timer_tick, timer_next, l);
	if (!r)
		cpuid_show_apic(vm, true);
	return r;
}
