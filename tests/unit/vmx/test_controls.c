/* The choice of controls on many kinds of CPU. */
#include "base/error.h"
#include "fakes/fake_cpu.h"
#include "fakes/fake_vmx.h"
#include "test.h"

static void everything(void)
{
	struct vmx_caps caps = fake_vmx_good_caps();
	struct vmx_controls c;
	const char *why = NULL;

	CHECK_EQ(vmx_controls_choose(&caps, &c, &why), 0);
	CHECK(!why);
	CHECK_EQ(c.pin, 0x16 | PIN_INTERRUPTS | PIN_NMI | PIN_VIRTUAL_NMI | PIN_TIMER);
	CHECK_EQ(c.proc & 0x04006172u, 0x04006172u);
	CHECK_EQ(c.proc & (PROC_HLT | PROC_IO | PROC_MSR_BITMAP | PROC_SECONDARY),
		PROC_HLT | PROC_IO | PROC_MSR_BITMAP | PROC_SECONDARY);
	CHECK_EQ(c.proc & (PROC_WINDOW | PROC_CR3_LOAD | PROC_CR3_STORE | PROC_RDTSC), 0);
	CHECK_EQ(c.proc2, PROC2_EPT | PROC2_VPID | PROC2_WBINVD | PROC2_UNRESTRICTED | PROC2_ENCLS);
	/* No acknowledge on exit: the firmware's IDT takes the interrupt. */
	CHECK_EQ(c.exit & (1u << 15), 0);
	CHECK_EQ(c.exit & (EXIT_HOST_64 | EXIT_LOAD_EFER), EXIT_HOST_64 | EXIT_LOAD_EFER);
	CHECK_EQ(c.entry & ENTRY_IA32E, 0);
}

static void lacks(struct vmx_caps caps)
{
	struct vmx_controls c = {.pin = 0x5a5a};
	const char *why = NULL;

	CHECK_EQ(vmx_controls_choose(&caps, &c, &why), -E_NOTSUP);
	CHECK(why && *why);
	CHECK_EQ(c.pin, 0x5a5a);
}

/* Each needed control, taken away alone. */
static void needed(void)
{
	static const struct {
		size_t field;
		uint32_t bit;
	} controls[] = {
		{offsetof(struct vmx_caps, pin), PIN_INTERRUPTS},
		{offsetof(struct vmx_caps, pin), PIN_NMI},
		{offsetof(struct vmx_caps, pin), PIN_VIRTUAL_NMI},
		{offsetof(struct vmx_caps, proc), PROC_WINDOW},
		{offsetof(struct vmx_caps, proc), PROC_HLT},
		{offsetof(struct vmx_caps, proc), PROC_CR8_LOAD},
		{offsetof(struct vmx_caps, proc), PROC_IO},
		{offsetof(struct vmx_caps, proc), PROC_MSR_BITMAP},
		{offsetof(struct vmx_caps, proc), PROC_SECONDARY},
		{offsetof(struct vmx_caps, proc2), PROC2_EPT},
		{offsetof(struct vmx_caps, proc2), PROC2_UNRESTRICTED},
		{offsetof(struct vmx_caps, proc2), PROC2_WBINVD},
		{offsetof(struct vmx_caps, exit), EXIT_HOST_64},
		{offsetof(struct vmx_caps, exit), EXIT_LOAD_EFER},
		{offsetof(struct vmx_caps, exit), EXIT_SAVE_PAT},
		{offsetof(struct vmx_caps, entry), ENTRY_IA32E},
		{offsetof(struct vmx_caps, entry), ENTRY_LOAD_EFER},
	};

	for (unsigned i = 0; i < array_size(controls); i++) {
		struct vmx_caps caps = fake_vmx_good_caps();
		uint64_t *cap = (uint64_t *)(void *)((char *)&caps + controls[i].field);

		*cap &= ~((uint64_t)controls[i].bit << 32);
		lacks(caps);
	}
}

static void forced(void)
{
	static const uint32_t bits[] = {PROC_CR3_LOAD, PROC_CR3_STORE, PROC_WINDOW, PROC_RDTSC};

	for (unsigned i = 0; i < array_size(bits); i++) {
		struct vmx_caps caps = fake_vmx_good_caps();

		caps.proc |= bits[i];
		lacks(caps);
	}
}

static void old_cpu(void)
{
	struct vmx_caps caps = fake_vmx_good_caps();

	caps.basic &= ~VMX_BASIC_TRUE;
	lacks(caps);
}

static void ept(void)
{
	static const uint64_t bits[] = {
		EPT_CAP_WALK4, EPT_CAP_WB, EPT_CAP_INVEPT, EPT_CAP_INVEPT_ALL};

	for (unsigned i = 0; i < array_size(bits); i++) {
		struct vmx_caps caps = fake_vmx_good_caps();

		caps.ept_vpid &= ~bits[i];
		lacks(caps);
	}
}

/* Optional ones: the guest runs without. */
static void optional(void)
{
	struct vmx_caps caps = fake_vmx_good_caps();
	struct vmx_controls c;
	const char *why;

	caps.ept_vpid &= ~VPID_CAP_INVVPID_ALL;
	caps.pin &= ~((uint64_t)PIN_TIMER << 32);
	caps.proc2 &= ~((uint64_t)PROC2_ENCLS << 32);
	CHECK_EQ(vmx_controls_choose(&caps, &c, &why), 0);
	CHECK_EQ(c.proc2 & (PROC2_VPID | PROC2_ENCLS), 0);
	CHECK_EQ(c.pin & PIN_TIMER, 0);
	caps = fake_vmx_good_caps();
	caps.proc2 &= ~((uint64_t)PROC2_VPID << 32);
	CHECK_EQ(vmx_controls_choose(&caps, &c, &why), 0);
	CHECK_EQ(c.proc2 & PROC2_VPID, 0);
}

static void turn(void)
{
	struct vmx_caps caps = {.misc = 0};

	CHECK_EQ(vmx_turn(&caps), VMX_TURN_TSC);
	caps.misc = 0xffffffe5;
	CHECK_EQ(vmx_turn(&caps), VMX_TURN_TSC >> 5);
	caps.misc = 31;
	CHECK_EQ(vmx_turn(&caps), 1);
}

static void fixed_bits(void)
{
	CHECK_EQ(vmx_fix(0x11, 0x21, 0xf1), 0x31);
	CHECK_EQ(vmx_fix(0xf00, 0x1, 0xff), 0x1);
}

int main(void)
{
	fake_cpu_reset();
	RUN(everything);
	RUN(needed);
	RUN(forced);
	RUN(old_cpu);
	RUN(ept);
	RUN(optional);
	RUN(turn);
	RUN(fixed_bits);
	return TEST_RESULT();
}
