/* The EFI side of the back-end test: memory, the firmware's timer, COM1, and the table of cases. */
#include <efi.h>

#include "base/error.h"
#include "base/fmt.h"
#include "base/log.h"
#include "bench.h"
#include "hw/cpu.h"
#include "hw/port.h"
#include "vmx/vmx.h"

#define COM1	       0x3f8u
#define COM1_LSR       (COM1 + 5)
#define LSR_EMPTY      0x20u
#define BOCHS_PORT     0x8900u
#define ARENA_PAGES    128u
#define TICK_100NS     100000u /* 10 ms */
#define TICKS_AT_LEAST 5u
#define STALL_US       10000u
#define STALLS_MAX     300u /* Bochs's firmware takes its clock for 20 times as fast as it is */

static const struct vcpu_ops *const back_ends[] = {&vmx_ops, &svm_ops};

static struct bench bench;
static EFI_BOOT_SERVICES *bs;

static void put(char c)
{
	for (unsigned i = 0; i < 100000 && !(hw_port_read(COM1_LSR, 1) & LSR_EMPTY); i++)
		;
	hw_port_write(COM1, 1, (uint8_t)c);
}

static void serial_line(const char *line, bool alert)
{
	(void)alert;
	while (*line)
		put(*line++);
	put('\r');
	put('\n');
}

static EFIAPI void tick(EFI_EVENT event, void *context)
{
	struct bench *b = context;

	(void)event;
	b->ticks++;
	b->at_tick = host_view_take();
}

static void *pages(unsigned n)
{
	EFI_PHYSICAL_ADDRESS at = 0;

	if (bs->AllocatePages(AllocateAnyPages, EfiLoaderData, n, &at))
		return NULL;
	bs->SetMem((void *)at, n * PAGE_SIZE, 0);
	return (void *)at;
}

static const struct vcpu_ops *choose(void)
{
	for (unsigned i = 0; i < array_size(back_ends); i++) {
		const char *why = "";
		int err = back_ends[i]->probe(&why);

		if (!err)
			return back_ends[i];
		log_line("%s: %s (%s)", back_ends[i]->name, why, error_string(err));
	}
	return NULL;
}

static const char *set_up(struct bench *b)
{
	void *arena = pages(ARENA_PAGES);
	EFI_EVENT event;

	vmx_set_resident_page(pages(1));
	b->ops = choose();
	if (!b->ops)
		return "no back end";
	b->ram = pages(GUEST_RAM / PAGE_SIZE);
	b->reset_page = pages(1);
	if (!arena || !b->ram || !b->reset_page)
		return "no memory";
	arena_init(&b->arena, arena, hpa((uintptr_t)arena), ARENA_PAGES * PAGE_SIZE);
	if (bench_init(b))
		return "the VM can't be built";
	if (bs->CreateEvent(EVT_TIMER | EVT_NOTIFY_SIGNAL, TPL_CALLBACK, tick, b, &event) ||
		bs->SetTimer(event, TimerPeriodic, TICK_100NS))
		return "no timer event";
	/* Something to find again; no breakpoint is on. */
	for (unsigned i = 0; i < 4; i++)
		hw_write_dr(i, 0xd0000 + i);
	b->found = host_view_take();
	log_line("backend-test: %s", b->ops->name);
	return NULL;
}

/* The firmware's timer outside of any guest. */
static void check_ticks(struct bench *b, const char *name)
{
	uint64_t from = b->ticks;
	unsigned stalls = 0;

	while (b->ticks - from < TICKS_AT_LEAST && stalls++ < STALLS_MAX)
		bs->Stall(STALL_US);
	b->name = name;
	b->failed = false;
	bench_check(b, b->ticks - from >= TICKS_AT_LEAST, "the firmware's timer doesn't tick");
	log_line("ticks %s: %llu in %u ms", name, (unsigned long long)(b->ticks - from),
		stalls * STALL_US / 1000);
	if (b->failed) {
		b->failed_count++;
		return;
	}
	b->passed_count++;
	log_line("PASS %s", name);
}

/* Bochs ends at these letters, where QEMU has no such port. */
static void switch_off(EFI_SYSTEM_TABLE *st)
{
	for (const char *c = "Shutdown"; *c; c++)
		hw_port_write(BOCHS_PORT, 1, (uint8_t)*c);
	st->RuntimeServices->ResetSystem(EfiResetShutdown, EFI_SUCCESS, 0, NULL);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st);

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st)
{
	struct bench *b = &bench;
	const char *why;

	(void)image;
	bs = st->BootServices;
	log_add_sink(serial_line);
	serial_line("", false);
	why = set_up(b);
	if (why) {
		log_line("FAIL set-up: %s", why);
		b->failed_count++;
	} else {
		check_ticks(b, "ticks-before");
		for (unsigned i = 0; i < bench_case_count; i++)
			bench_run_case(b, &bench_cases[i]);
		for (unsigned i = 0; i < bench_mode_case_count; i++)
			bench_run_case(b, &bench_mode_cases[i]);
		for (unsigned i = 0; i < bench_step_case_count; i++)
			bench_run_case(b, &bench_step_cases[i]);
		check_ticks(b, "ticks-after");
		for (unsigned i = 0; i < 4; i++)
			hw_write_dr(i, 0);
	}
	log_line("backend-test: %u passed, %u failed, %u skipped", b->passed_count, b->failed_count,
		b->skipped_count);
	switch_off(st);
	return EFI_SUCCESS;
}
