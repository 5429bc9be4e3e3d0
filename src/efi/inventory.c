/* The inventory; see inventory.h. State is the caller's. Not on the exit path. */
#include "efi/inventory.h"
#include "base/log.h"
#include "efi/ticks.h"
#include "hw/cpu.h"

static uint64_t timer_period(void)
{
	EFI_TIMER_ARCH_PROTOCOL *timer = ticks_timer();
	UINT64 period;

	return timer && !EFI_ERROR(timer->GetTimerPeriod(timer, &period)) ? period : 0;
}

static EFI_GRAPHICS_OUTPUT_PROTOCOL *find_graphics(void)
{
	EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
	EFI_GRAPHICS_OUTPUT_PROTOCOL *gop;

	return EFI_ERROR(efi_bs->LocateProtocol(&guid, NULL, (void **)&gop)) ? NULL : gop;
}

static void cpu_state_take(struct cpu_state *c)
{
	static const unsigned debug[] = {0, 1, 2, 3, 6, 7};

	c->cr0 = hw_read_cr(0);
	c->cr3 = hw_read_cr(3);
	c->cr4 = hw_read_cr(4);
	c->efer = hw_rdmsr(MSR_EFER);
	c->pat = hw_rdmsr(MSR_PAT);
	c->star = hw_rdmsr(MSR_STAR);
	c->lstar = hw_rdmsr(MSR_LSTAR);
	c->cstar = hw_rdmsr(MSR_CSTAR);
	c->sfmask = hw_rdmsr(MSR_SFMASK);
	c->fs_base = hw_rdmsr(MSR_FS_BASE);
	c->gs_base = hw_rdmsr(MSR_GS_BASE);
	c->kernel_gs_base = hw_rdmsr(MSR_KERNEL_GS_BASE);
	c->sysenter_cs = hw_rdmsr(MSR_SYSENTER_CS);
	c->sysenter_esp = hw_rdmsr(MSR_SYSENTER_ESP);
	c->sysenter_eip = hw_rdmsr(MSR_SYSENTER_EIP);
	for (size_t i = 0; i < array_size(debug); i++)
		c->dr[debug[i]] = hw_read_dr(debug[i]);
	c->gdt = hw_read_gdt();
	c->idt = hw_read_idt();
}

int inventory_take(struct inventory *i)
{
	EFI_GRAPHICS_OUTPUT_PROTOCOL *gop = find_graphics();
	int err;

	i->taken = false;
	cpu_state_take(&i->cpu);
	irq_state_save(&i->irq, hpa(IOAPIC_DEFAULT_BASE));
	err = pci_state_save(&i->pci);
	if (err)
		return err;
	i->timer_period = timer_period();
	i->graphics_mode = gop ? gop->Mode->Mode : 0;
	i->taken = true;
	return 0;
}

void inventory_restore(const struct inventory *i)
{
	EFI_GRAPHICS_OUTPUT_PROTOCOL *gop = find_graphics();
	EFI_TIMER_ARCH_PROTOCOL *timer = ticks_timer();

	if (!i->taken)
		return;
	pci_state_restore(&i->pci);
	hw_irq_disable();
	irq_state_restore(&i->irq);
	hw_irq_enable();
	if (timer && i->timer_period && timer_period() != i->timer_period)
		timer->SetTimerPeriod(timer, i->timer_period);
	/* Setting the same mode again clears what the guest drew. */
	if (gop)
		gop->SetMode(gop, i->graphics_mode);
}

struct named_register {
	const char *name;
	size_t offset;
};

#define REGISTER(field)                                                                            \
	{                                                                                          \
#field, offsetof(struct cpu_state, field)                                          \
	}

static unsigned cpu_state_compare(const struct cpu_state *then)
{
	static const struct named_register registers[] = {REGISTER(cr0), REGISTER(cr3),
		REGISTER(cr4), REGISTER(efer), REGISTER(pat), REGISTER(star), REGISTER(lstar),
		REGISTER(cstar), REGISTER(sfmask), REGISTER(fs_base), REGISTER(gs_base),
		REGISTER(kernel_gs_base), REGISTER(sysenter_cs), REGISTER(sysenter_esp),
		REGISTER(sysenter_eip), REGISTER(dr[0]), REGISTER(dr[1]), REGISTER(dr[2]),
		REGISTER(dr[3]), REGISTER(dr[6]), REGISTER(dr[7])};
	struct cpu_state now = {0};
	unsigned differences = 0;

	cpu_state_take(&now);
	for (size_t i = 0; i < array_size(registers); i++) {
		size_t at = registers[i].offset;
		uint64_t was = *(const uint64_t *)(const void *)((const uint8_t *)then + at);
		uint64_t is = *(const uint64_t *)(const void *)((const uint8_t *)&now + at);

		if (was == is)
			continue;
		log_line("inventory: %s was 0x%lx, is 0x%lx", registers[i].name, was, is);
		differences++;
	}
	if (now.gdt.base != then->gdt.base || now.gdt.limit != then->gdt.limit) {
		log_line("inventory: gdt was 0x%lx, is 0x%lx", then->gdt.base, now.gdt.base);
		differences++;
	}
	if (now.idt.base != then->idt.base || now.idt.limit != then->idt.limit) {
		log_line("inventory: idt was 0x%lx, is 0x%lx", then->idt.base, now.idt.base);
		differences++;
	}
	return differences;
}

unsigned inventory_compare(const struct inventory *i)
{
	static struct irq_state now;
	unsigned differences;

	if (!i->taken)
		return 0;
	irq_state_save(&now, hpa(IOAPIC_DEFAULT_BASE));
	differences = cpu_state_compare(&i->cpu) + pci_state_compare(&i->pci) +
		      irq_state_compare(&i->irq, &now, "inventory");
	if (timer_period() != i->timer_period) {
		log_line(
			"inventory: timer period was %lu, is %lu", i->timer_period, timer_period());
		differences++;
	}
	return differences;
}
