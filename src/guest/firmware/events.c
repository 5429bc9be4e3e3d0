/*
 * "Event, Timer, and Task Priority Services". There are no interrupts: timers are looked at when a
 * program waits or asks, and notifications run when it signals or lowers its priority. Runs in the
 * guest.
 */
#include "guest/firmware/firmware.h"

#define EVENTS 32u

struct event {
	bool used, signaled, queued;
	uint32_t type;
	EFI_TPL tpl;
	EFI_EVENT_NOTIFY notify;
	void *context;
	EFI_GUID group;	      /* all zeros: none */
	uint64_t due, period; /* TSC ticks; due 0: no timer */
};

static struct event events[EVENTS];
static EFI_TPL current_tpl = TPL_APPLICATION;

/* "EFI_BOOT_SERVICES.CreateEventEx()" */
static const EFI_GUID exit_group = {
	0x27abf055, 0xb1b8, 0x4c26, {0x80, 0x48, 0x74, 0x8f, 0x37, 0xba, 0xa2, 0xdf}};

static struct event *check(EFI_EVENT event)
{
	for (unsigned i = 0; i < EVENTS; i++)
		if (event == &events[i] && events[i].used)
			return &events[i];
	return NULL;
}

static void dispatch(void)
{
	for (unsigned i = 0; i < EVENTS; i++) {
		struct event *e = &events[i];
		EFI_TPL before = current_tpl;

		if (!e->used || !e->queued || e->tpl <= current_tpl)
			continue;
		e->queued = false;
		current_tpl = e->tpl;
		e->notify(e, e->context);
		current_tpl = before;
	}
}

static void signal(struct event *e)
{
	if (e->signaled)
		return;
	e->signaled = true;
	if (e->type & EVT_NOTIFY_SIGNAL) {
		e->queued = true;
		/* Its notification is what a signal is for; it stays signaled for nobody. */
		e->signaled = false;
	}
}

static void poll_timers(void)
{
	uint64_t now = read_tsc();

	for (unsigned i = 0; i < EVENTS; i++) {
		struct event *e = &events[i];

		if (!e->used || !e->due || now < e->due)
			continue;
		e->due = e->period ? now + e->period : 0;
		signal(e);
	}
	dispatch();
}

static EFI_STATUS create(UINT32 type, EFI_TPL tpl, EFI_EVENT_NOTIFY notify, VOID *context,
	const EFI_GUID *group, EFI_EVENT *ret)
{
	const uint32_t both = EVT_NOTIFY_WAIT | EVT_NOTIFY_SIGNAL;

	if (!ret || (type & both) == both || ((type & both) && !notify))
		return EFI_INVALID_PARAMETER;
	/* Runtime events belong to runtime drivers, and there are none. */
	if (type & EVT_RUNTIME)
		return no_service(POSTERN_NO_CREATE_EVENT);
	for (unsigned i = 0; i < EVENTS; i++) {
		if (events[i].used)
			continue;
		events[i] = (struct event){.used = true,
			.type = type,
			.tpl = tpl,
			.notify = notify,
			.context = context};
		if (group)
			events[i].group = *group;
		*ret = &events[i];
		return EFI_SUCCESS;
	}
	return EFI_OUT_OF_RESOURCES;
}

static EFI_STATUS EFIAPI create_event(
	UINT32 type, EFI_TPL tpl, EFI_EVENT_NOTIFY notify, VOID *context, EFI_EVENT *ret)
{
	const EFI_GUID *group = type == EVT_SIGNAL_EXIT_BOOT_SERVICES ? &exit_group : NULL;

	return create(type, tpl, notify, context, group, ret);
}

static EFI_STATUS EFIAPI create_event_ex(UINT32 type, EFI_TPL tpl, EFI_EVENT_NOTIFY notify,
	const VOID *context, const EFI_GUID *group, EFI_EVENT *ret)
{
	return create(type, tpl, notify, (void *)(uintptr_t)context, group, ret);
}

EFI_EVENT event_create_wait(EFI_EVENT_NOTIFY notify)
{
	EFI_EVENT event;

	return EFI_ERROR(create(EVT_NOTIFY_WAIT, TPL_NOTIFY, notify, NULL, NULL, &event)) ? NULL
											  : event;
}

static EFI_STATUS EFIAPI set_timer(EFI_EVENT event, EFI_TIMER_DELAY how, UINT64 time)
{
	struct event *e = check(event);
	uint64_t ticks;

	if (!e || !(e->type & EVT_TIMER) || how >= TimerTypeMax)
		return EFI_INVALID_PARAMETER;
	/* In units of 100 ns; saturates at what 64 bits of TSC take. */
	ticks = __builtin_mul_overflow(time, (uint64_t)firmware.handover.tsc_khz, &ticks)
			? ~0ull / 2
			: time * firmware.handover.tsc_khz / 10000;
	e->due = how == TimerCancel ? 0 : read_tsc() + ticks;
	e->period = how == TimerPeriodic ? (ticks ? ticks : 1) : 0;
	return EFI_SUCCESS;
}

static void signal_group(const EFI_GUID *group)
{
	for (unsigned i = 0; i < EVENTS; i++)
		if (events[i].used && guid_is(&events[i].group, group))
			signal(&events[i]);
	dispatch();
}

static EFI_STATUS EFIAPI signal_event(EFI_EVENT event)
{
	static const EFI_GUID none;
	struct event *e = check(event);

	if (!e)
		return EFI_INVALID_PARAMETER;
	if (!guid_is(&e->group, &none)) {
		signal_group(&e->group);
		return EFI_SUCCESS;
	}
	signal(e);
	dispatch();
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI check_event(EFI_EVENT event)
{
	struct event *e = check(event);

	if (!e || (e->type & EVT_NOTIFY_SIGNAL))
		return EFI_INVALID_PARAMETER;
	poll_timers();
	if (!e->signaled && (e->type & EVT_NOTIFY_WAIT))
		e->notify(e, e->context);
	if (!e->signaled)
		return EFI_NOT_READY;
	e->signaled = false;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI wait_for_event(UINTN count, EFI_EVENT *list, UINTN *index)
{
	if (!count || !list || !index)
		return EFI_INVALID_PARAMETER;
	if (current_tpl != TPL_APPLICATION)
		return EFI_UNSUPPORTED;
	for (;;) {
		for (UINTN i = 0; i < count; i++) {
			EFI_STATUS status = check_event(list[i]);

			if (status == EFI_NOT_READY)
				continue;
			*index = i;
			return status;
		}
		__asm__ volatile("pause");
	}
}

static EFI_STATUS EFIAPI close_event(EFI_EVENT event)
{
	struct event *e = check(event);

	if (!e)
		return EFI_INVALID_PARAMETER;
	e->used = false;
	return EFI_SUCCESS;
}

static EFI_TPL EFIAPI raise_tpl(EFI_TPL tpl)
{
	EFI_TPL before = current_tpl;

	if (tpl > current_tpl)
		current_tpl = tpl;
	return before;
}

static VOID EFIAPI restore_tpl(EFI_TPL tpl)
{
	current_tpl = tpl;
	dispatch();
}

static EFI_STATUS EFIAPI stall(UINTN us)
{
	uint64_t start = read_tsc(), ticks;

	if (__builtin_mul_overflow(us, (uint64_t)firmware.handover.tsc_khz, &ticks))
		ticks = ~0ull;
	ticks /= 1000;
	while (read_tsc() - start < ticks)
		__asm__ volatile("pause");
	return EFI_SUCCESS;
}

void events_signal_exit(void)
{
	current_tpl = TPL_APPLICATION;
	signal_group(&exit_group);
}

void events_fill_services(EFI_BOOT_SERVICES *bs)
{
	bs->RaiseTPL = raise_tpl;
	bs->RestoreTPL = restore_tpl;
	bs->CreateEvent = create_event;
	bs->CreateEventEx = create_event_ex;
	bs->SetTimer = set_timer;
	bs->WaitForEvent = wait_for_event;
	bs->SignalEvent = signal_event;
	bs->CloseEvent = close_event;
	bs->CheckEvent = check_event;
	bs->Stall = stall;
}
