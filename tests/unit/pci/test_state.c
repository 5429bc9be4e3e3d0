/* The inventory of PCI over made-up machines. */
#include "base/error.h"
#include "fakes/fake_pci.h"
#include "pci/state.h"
#include "test.h"

#define NVME PCI_BDF(0, 4, 0)
#define AHCI PCI_BDF(0, 31, 2)

static struct pci_state state;

static void start(void)
{
	fake_pci_q35();
	CHECK_EQ(pci_state_save(&state), 0);
	CHECK_EQ(state.count, fake_pci.count);
	fake_pci.writes = 0;
}

static void touches_nothing_that_is_as_before(void)
{
	start();
	CHECK_EQ(pci_state_compare(&state), 0);
	pci_state_restore(&state);
	CHECK_EQ(fake_pci.writes, 0);
}

static void puts_everything_back(void)
{
	struct fake_function *nvme, *ahci;

	start();
	nvme = fake_pci_find(NVME);
	ahci = fake_pci_find(AHCI);
	hw_pci_write(NVME, PCI_COMMAND, 2, 0x402);
	hw_pci_write(NVME, PCI_BAR0, 4, 0xe0000000);
	hw_pci_write(NVME, PCI_BAR0 + 4, 4, 0);
	hw_pci_write(NVME, PCI_INT_LINE, 1, 5);
	hw_pci_write(NVME, 0x42, 2, 0x8000);
	hw_pci_write(AHCI, 0x84, 4, 0xfee01000);
	hw_pci_write(AHCI, 0x88, 4, 1);
	hw_pci_write(AHCI, 0x8c, 2, 0x41);
	hw_pci_write(AHCI, 0x82, 2, 0x81);
	CHECK_EQ(pci_state_compare(&state), 9);
	fake_pci.writes = 0;
	pci_state_restore(&state);
	CHECK_EQ(pci_state_compare(&state), 0);
	CHECK_EQ(fake_pci_get(nvme, PCI_COMMAND, 2), 6);
	CHECK_EQ(fake_pci_get(ahci, 0x82, 2), 0x80);
	/* Decoding and bus mastering go off first and come on last. */
	CHECK(fake_pci.log[0].bdf == NVME && fake_pci.log[0].offset == PCI_COMMAND);
	CHECK_EQ(fake_pci.log[0].value & 7, 0);
	for (unsigned i = 1; i < fake_pci.writes; i++)
		if (fake_pci.log[i].bdf == NVME && fake_pci.log[i].offset == PCI_COMMAND)
			CHECK(fake_pci.log[i + 1].bdf != NVME);
}

static void command_alone_needs_no_more(void)
{
	start();
	hw_pci_write(NVME, PCI_COMMAND, 2, 0);
	fake_pci.writes = 0;
	pci_state_restore(&state);
	CHECK_EQ(fake_pci.writes, 1);
	CHECK_EQ(pci_state_compare(&state), 0);
}

/* What its mediator switched off stays off, whatever the firmware had. */
static void a_restless_device_gets_no_master(void)
{
	start();
	hw_pci_write(NVME, PCI_COMMAND, 2, 0x2);
	pci_state_stop_master(&state, NVME);
	fake_pci.writes = 0;
	pci_state_restore(&state);
	CHECK_EQ(fake_pci.writes, 0);
	CHECK_EQ(fake_pci_get(fake_pci_find(NVME), PCI_COMMAND, 2), 2);
	CHECK_EQ(pci_state_compare(&state), 0);
}

static void bridges_have_two_bars(void)
{
	fake_pci_q35();
	fake_pci_bridge(PCI_BDF(0, 2, 0), 1, 1);
	CHECK_EQ(pci_state_save(&state), 0);
	hw_pci_write(PCI_BDF(0, 2, 0), PCI_BAR0, 4, 0);
	fake_pci.writes = 0;
	pci_state_restore(&state);
	CHECK_EQ(pci_state_compare(&state), 0);
	for (unsigned i = 0; i < fake_pci.writes; i++)
		CHECK(fake_pci.log[i].offset < 0x18);
}

static void says_when_it_can_not_hold_all(void)
{
	fake_pci_crowd(PCI_FUNCTIONS_MAX + 1);
	CHECK_EQ(pci_state_save(&state), -E_NOMEM);
}

int main(void)
{
	RUN(touches_nothing_that_is_as_before);
	RUN(puts_everything_back);
	RUN(command_alone_needs_no_more);
	RUN(a_restless_device_gets_no_master);
	RUN(bridges_have_two_bars);
	RUN(says_when_it_can_not_hold_all);
	return TEST_RESULT();
}
