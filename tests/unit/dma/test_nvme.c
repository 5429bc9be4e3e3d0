/* The restricted NVMe controller in conversation with a driver, over a controller double. */
#include "base/error.h"
#include "core/interrupt.h"
#include "fakes/fake_hw.h"
#include "fakes/fake_nvme.h"
#include "fakes/fake_pci.h"
#include "fakes/fake_vm.h"
#include "nvme_driver.h"
#include "test.h"

#define DNR NVME_SC_DNR

static void ready(void)
{
	driver_reset();
	CHECK_EQ(driver_attach(), 0);
	CHECK(driver_enable());
}

static void ready_io(uint32_t entries)
{
	ready();
	CHECK_EQ(driver_create_pair(1, entries), 0);
}

static void check_clean(void)
{
	CHECK_EQ(fake_nvme.bad_dma, 0);
	CHECK_EQ(fake_nvme.bad_protocol, 0);
}

static uint32_t command_register(void)
{
	return fake_pci_get(fake_pci_find(FAKE_NVME_BDF), PCI_COMMAND, 2);
}

/* ---- attach and hand-back ---- */

static void attach_takes_the_controller_over(void)
{
	driver_reset();
	CHECK_EQ(driver_attach(), 0);
	CHECK_EQ(fake_nvme.cc & CC_EN, 0);
	CHECK_EQ(fake_nvme.csts, 0);
	CHECK(command_register() & PCI_COMMAND_MASTER);
	CHECK(command_register() & PCI_COMMAND_INTX_OFF);
	CHECK_EQ(driver_state()->view.ns_count, 1);
	CHECK_EQ(driver_state()->ns[0].blocks, 8192);
	CHECK_EQ(driver_state()->ns[0].block_shift, 9);
	CHECK_EQ(driver_state()->view.max_transfer, 128 * 1024);
	check_clean();
}

static void hand_back_restores(void)
{
	uint32_t command;

	driver_reset();
	command = command_register();
	CHECK_EQ(driver_attach(), 0);
	CHECK(driver_enable());
	CHECK_EQ(nvme_ops.quiesce(&driver.dev), 0);
	CHECK_EQ(fake_nvme.csts & CSTS_RDY, 0);
	CHECK_EQ(command_register() & PCI_COMMAND_MASTER, 0);
	nvme_ops.detach(&driver.dev);
	CHECK_EQ(command_register(), command);
	CHECK_EQ(fake_nvme.aqa, 0x00010001);
	CHECK_EQ(fake_nvme.asq, 0x7f000000);
	CHECK_EQ(fake_nvme.acq, 0x7f001000);
	CHECK_EQ(driver.vm.mmio.count, 0);
	CHECK(!driver.dev.state);
	/* Harmless once more, and a poll that comes late. */
	CHECK_EQ(nvme_ops.quiesce(&driver.dev), 0);
	nvme_ops.detach(&driver.dev);
	nvme_ops.poll(&driver.dev);
	check_clean();
}

static void attach_fails(int err)
{
	uint32_t command = command_register();

	/* What was never seen to stop gets no bus mastering. */
	if (fake_nvme.gone)
		command &= ~PCI_COMMAND_MASTER;
	CHECK_EQ(driver_attach(), err);
	CHECK(!driver.dev.state);
	CHECK_EQ(fake_nvme.cc & CC_EN, fake_nvme.gone ? CC_EN : 0);
	CHECK_EQ(command_register(), command);
	CHECK_EQ(nvme_ops.quiesce(&driver.dev), 0);
	nvme_ops.detach(&driver.dev);
}

static void attach_unwinds(void)
{
	driver_reset();
	fake_nvme.cap |= 1ull << 48; /* 8 KiB pages at least */
	attach_fails(-E_NOTSUP);
	driver_reset();
	fake_nvme.cap &= ~CAP_CSS_NVM;
	attach_fails(-E_NOTSUP);
	driver_reset();
	fake_nvme.cap &= ~CAP_MQES;
	attach_fails(-E_NOTSUP);
	driver_reset();
	fake_nvme.gone = true;
	attach_fails(-E_IO);
	driver_reset();
	fake_pci_set(fake_pci_find(FAKE_NVME_BDF), PCI_BAR0, 4, 0xc001);
	CHECK_EQ(driver_attach(), -E_NOTSUP);
	CHECK_EQ(fake_hw.log_count, 0);
	driver_reset();
	fake_nvme.fail_opcode = NVME_IDENTIFY;
	fake_nvme.fail_status = NVME_SC_FIELD;
	attach_fails(-E_IO);
	driver_reset();
	fake_nvme.hold = true;
	attach_fails(-E_TIMEOUT);
	driver_reset();
	fake_nvme.never_ready = true;
	attach_fails(-E_TIMEOUT);
	/* Every possible shortage of memory. */
	for (size_t size = 0; size + PAGE_SIZE < nvme_arena_size() * 9 / 10;
		size += 4 * PAGE_SIZE) {
		driver_reset();
		driver.arena.size = size;
		CHECK_EQ(driver_attach(), -E_NOMEM);
		CHECK(!driver.dev.state);
	}
}

static void a_controller_that_wont_stop_gets_no_bus(void)
{
	driver_reset();
	fake_nvme.never_stops = true;
	CHECK_EQ(driver_attach(), -E_TIMEOUT);
	CHECK_EQ(command_register() & PCI_COMMAND_MASTER, 0);
	CHECK(driver.dev.restless);

	ready();
	fake_nvme.never_stops = true;
	CHECK_EQ(nvme_ops.quiesce(&driver.dev), -E_TIMEOUT);
	CHECK_EQ(command_register() & PCI_COMMAND_MASTER, 0);
	nvme_ops.detach(&driver.dev);
	CHECK_EQ(command_register() & PCI_COMMAND_MASTER, 0);
}

#define CC_OFF 0x00460000u
#define CC_ON  0x00460001u

/* The real controller is never disabled before it is ready, whatever the guest does to its own. */
static void a_start_is_not_cut_short(void)
{
	ready();
	CHECK(driver_disable());
	fake_nvme.slow_reads = 20;
	driver_write(NVME_CC, 4, CC_ON);
	driver_write(NVME_CC, 4, CC_OFF);
	CHECK(fake_nvme.cc & CC_EN);
	CHECK(driver_read(NVME_CSTS, 4) & CSTS_RDY);
	/* Too early: undefined on any controller, and no way on but another reset. */
	driver_write(NVME_CC, 4, CC_ON);
	CHECK(driver_read(NVME_CSTS, 4) & CSTS_CFS);
	CHECK(driver_disable());
	CHECK(!(fake_nvme.cc & CC_EN));
	CHECK(driver_enable());
	CHECK(driver_disable());
	driver_write(NVME_CC, 4, CC_ON);
	CHECK_EQ(nvme_ops.quiesce(&driver.dev), 0);
	CHECK(!(fake_nvme.cc & CC_EN) && !(fake_nvme.csts & CSTS_RDY));
	nvme_ops.detach(&driver.dev);
	check_clean();
}

static void waits_are_as_long_as_the_controller_says(void)
{
	driver_reset();
	fake_nvme.slow_reads = 2000;
	fake_hw.tsc_step = 100000; /* 0.1 ms a step: 0.2 s of 7.5 */
	CHECK_EQ(driver_attach(), 0);
	fake_nvme.slow_reads = 5;
	CHECK(driver_enable());
	CHECK(driver_disable());
	check_clean();
}

static void newer_controllers_say_it_elsewhere(void)
{
	driver_reset();
	fake_nvme.cap |= CAP_CRMS;
	fake_nvme.crto = 0x00010014; /* 10 s */
	fake_nvme.slow_reads = 9500;
	fake_hw.tsc_step = 1000000;
	CHECK_EQ(driver_attach(), 0);
	CHECK_EQ(driver_read(NVME_CAP + 3, 1), 20);
	driver_reset();
	fake_nvme.cap |= CAP_CRMS;
	fake_nvme.crto = 2000;
	CHECK_EQ(driver_attach(), 0);
	CHECK_EQ(driver_read(NVME_CAP, 8) & CAP_CRMS, 0);
	CHECK_EQ(driver_read(NVME_CAP + 3, 1), 255);
}

static void namespaces_are_found(void)
{
	driver_reset();
	fake_nvme.ns_count = FAKE_NVME_NAMESPACES;
	for (uint32_t i = 0; i < FAKE_NVME_NAMESPACES; i++) {
		fake_nvme.ns[i].id = 10 * i + 1;
		fake_nvme.ns[i].shift = 12;
		fake_nvme.ns[i].blocks = 100 + i;
	}
	fake_nvme.ns[1].shift = 40; /* nonsense */
	fake_nvme.ns[2].metadata = 8;
	CHECK_EQ(driver_attach(), 0);
	CHECK_EQ(driver_state()->view.ns_count, NVME_NAMESPACES_MAX - 1);
	CHECK_EQ(driver_state()->ns[1].id, 21);
	CHECK_EQ(driver_state()->ns[1].metadata, 8);

	/* Before version 1.1 they are simply numbered. */
	driver_reset();
	fake_nvme.version = NVME_VS_MAKE(1, 0);
	fake_nvme.ns_count = 2;
	fake_nvme.ns[1].id = 2;
	fake_nvme.ns[1].shift = 12;
	fake_nvme.ns[1].blocks = 7;
	CHECK_EQ(driver_attach(), 0);
	CHECK_EQ(driver_state()->view.ns_count, 2);
	CHECK_EQ(driver_state()->ns[1].blocks, 7);
	check_clean();
}

/* ---- registers ---- */

static void registers_are_modelled(void)
{
	ready();
	CHECK_EQ(driver_read(NVME_CAP, 8), 15ull << 24 | 1ull << 37 | CAP_CQR | 255);
	CHECK_EQ(driver_read(NVME_CAP + 4, 4), 0x20);
	CHECK_EQ(driver_read(NVME_CAP + 3, 1), 15);
	CHECK_EQ(driver_read(NVME_VS, 4), 0x00010400);
	CHECK_EQ(driver_read(NVME_CC, 4), 0x00460001);
	CHECK_EQ(driver_read(NVME_CSTS, 4), CSTS_RDY);
	CHECK_EQ(driver_read(NVME_CSTS, 1), CSTS_RDY);
	CHECK_EQ(driver_read(NVME_AQA, 4), 0x000f000f);
	CHECK_EQ(driver_read(NVME_ASQ, 8), driver_sq_base(0));
	CHECK_EQ(driver_read(NVME_ACQ, 8), driver_cq_base(0));
	/* NSSR, CMBLOC, CMBSZ, BPINFO, CMBMSC, PMRCAP, and doorbells. */
	CHECK_EQ(driver_read(0x20, 4), 0);
	CHECK_EQ(driver_read(0x38, 8), 0);
	CHECK_EQ(driver_read(0x40, 8), 0);
	CHECK_EQ(driver_read(0x50, 8), 0);
	CHECK_EQ(driver_read(0xe00, 4), 0);
	CHECK_EQ(driver_read(0x1000, 4), 0);
	/* Fixed while enabled. */
	driver_write(NVME_AQA, 4, 0x00010001);
	driver_write(NVME_ASQ, 8, 0);
	driver_write(NVME_ACQ, 8, 0);
	driver_write(NVME_CC, 4, 0x00463a71);
	CHECK_EQ(driver_read(NVME_AQA, 4), 0x000f000f);
	CHECK_EQ(driver_read(NVME_ASQ, 8), driver_sq_base(0));
	CHECK_EQ(driver_read(NVME_ACQ, 8), driver_cq_base(0));
	CHECK_EQ(driver_read(NVME_CC, 4), 0x00460001);
	/* A subsystem reset is none. */
	driver_write(0x20, 4, 0x4e564d65);
	CHECK_EQ(driver_read(NVME_CSTS, 4), CSTS_RDY);
	check_clean();
}

static void odd_accesses_have_an_answer(void)
{
	ready();
	CHECK_EQ(driver_read(NVME_CAP + 5, 4), 0xffffffff);
	CHECK_EQ(driver_read(NVME_CAP + 6, 2), 0);
	driver_write(NVME_CC, 1, 0);
	driver_write(NVME_CC, 2, 0);
	driver_write(NVME_CC + 2, 4, 0);
	driver_write(NVME_INTMC, 8, 0x00460000ull << 32 | 1);
	CHECK_EQ(driver_read(NVME_CC, 4), 0x00460000);
	driver_write(0x1000, 8, 1);
	driver_write(0x1000, 2, 1);
	driver_write(0x1001, 1, 1);
	CHECK_EQ(driver_state()->stats.bad_accesses, 7);
	check_clean();
}

static void the_region_follows_the_bar(void)
{
	ready();
	CHECK_EQ(nvme_ops.bar_moved(&driver.dev, 0, 0x123400000000, true), 0);
	CHECK_EQ(driver_read(NVME_VS, 4), 0xffffffff);
	CHECK_EQ(fake_vm_read(&driver.vm, false, 0x123400000008, 4), 0x00010400);
	CHECK_EQ(nvme_ops.bar_moved(&driver.dev, 0, 0x123400000000, false), 0);
	CHECK_EQ(fake_vm_read(&driver.vm, false, 0x123400000008, 4), 0xffffffff);
	CHECK_EQ(nvme_ops.bar_moved(&driver.dev, 4, 0x1000, true), 0);
	CHECK_EQ(nvme_ops.bar_moved(&driver.dev, 0, ~0xfffull, true), -E_INVAL);
	CHECK_EQ(driver.vm.mmio.count, 0);
}

static void enabling_nonsense_fails_the_controller(void)
{
	static const struct {
		uint32_t aqa, cc;
		uint64_t asq, acq;
	} bad[] = {
		{0x000f0000, 0x00460001, 0x10000, 0x20000},
		{0x0000000f, 0x00460001, 0x10000, 0x20000},
		{0x000f000f, 0x00460001, DRIVER_HOLE, 0x20000},
		{0x000f000f, 0x00460001, 0x10000, DRIVER_HOLE},
		{0x0fff0fff, 0x00460001, DRIVER_HOLE - 0x1000, 0x20000},
		{0x0fff0fff, 0x00460001, 0x10000, DRIVER_HIGH_END - 0x1000},
		{0x000f000f, 0x00460001, ~0ull, 0x20000},
		{0x000f000f, 0x00460011, 0x10000, 0x20000},
		{0x000f000f, 0x00460081, 0x10000, 0x20000},
		{0x000f000f, 0x00460801, 0x10000, 0x20000},
	};
	unsigned enables;

	driver_reset();
	CHECK_EQ(driver_attach(), 0);
	enables = fake_nvme.enables;
	for (unsigned i = 0; i < array_size(bad); i++) {
		driver_write(NVME_AQA, 4, bad[i].aqa);
		driver_write(NVME_ASQ, 8, bad[i].asq);
		driver_write(NVME_ACQ, 8, bad[i].acq);
		driver_write(NVME_CC, 4, bad[i].cc);
		CHECK_EQ(driver_read(NVME_CSTS, 4), CSTS_CFS);
		driver_doorbell(0, false, 1);
		driver_write(NVME_CC, 4, 0);
		CHECK_EQ(driver_read(NVME_CSTS, 4), 0);
	}
	CHECK_EQ(fake_nvme.enables, enables);
	CHECK(driver_enable());
	check_clean();
}

static void enabling_too_early_fails_the_controller(void)
{
	ready();
	fake_nvme.slow_reads = 3;
	driver_write(NVME_CC, 4, 0x00460000);
	driver_write(NVME_CC, 4, 0x00460001);
	CHECK(driver_read(NVME_CSTS, 4) & CSTS_CFS);
	CHECK(driver_disable());
	CHECK(driver_enable());
	check_clean();
}

static void shutdown_stays_here(void)
{
	ready();
	driver_write(NVME_CC, 4, 0x00464001);
	CHECK_EQ(driver_read(NVME_CSTS, 4), CSTS_RDY | CSTS_SHST_DONE);
	CHECK(!(fake_nvme.cc & CC_SHN));
	CHECK_EQ(driver_command(0, driver_identify_command(1, 0, DRIVER_DATA), NULL), 0xffff);
	CHECK(driver_disable());
	CHECK_EQ(driver_read(NVME_CSTS, 4), 0);
	CHECK(driver_enable());
	CHECK_EQ(driver_command(0, driver_identify_command(1, 0, DRIVER_DATA), NULL), 0);
	check_clean();
}

static void a_vanished_controller_reads_all_ones(void)
{
	driver_reset();
	CHECK_EQ(driver_attach(), 0);
	fake_nvme.gone = true;
	driver_enable();
	CHECK_EQ(driver_read(NVME_CSTS, 4), 0xffffffff);
	driver_doorbell(0, false, 1);
	CHECK_EQ(driver_state()->stats.bad_doorbells, 1);

	ready_io(16);
	fake_nvme.gone = true;
	CHECK_EQ(driver_read(NVME_CSTS, 4), 0xffffffff);
	CHECK_EQ(nvme_ops.quiesce(&driver.dev), -E_TIMEOUT);
	nvme_ops.detach(&driver.dev);
	CHECK_EQ(command_register() & PCI_COMMAND_MASTER, 0);
}

/* ---- admin commands ---- */

static void identify_is_filtered(void)
{
	uint8_t *page = driver_memory(DRIVER_DATA);

	ready();
	CHECK_EQ(driver_command(0, driver_identify_command(1, 0, DRIVER_DATA), NULL), 0);
	CHECK_EQ(memcmp(page + IDC_SERIAL, "serial   ", 9), 0);
	CHECK_EQ(page[IDC_MDTS], 5);
	CHECK_EQ(page[IDC_AERL], 3);
	CHECK_EQ(page[256], 0); /* OACS */
	CHECK_EQ(page[IDC_LPA], 0);
	CHECK_EQ(page[272], 0); /* HMPRE */
	CHECK_EQ(page[IDC_SQES], 0x66);
	CHECK_EQ(page[IDC_CQES], 0x44);
	CHECK_EQ(page[IDC_ONCS], 0);
	CHECK_EQ(page[536], 0); /* SGLS */
	CHECK_EQ(page[4095], 0);
	/* The controller itself never saw the guest's buffer. */
	CHECK(fake_nvme.history[fake_nvme.history_count - 1].sqe.prp1 >= 0x40000000);

	/* A buffer that begins inside a page, and ends in another run of memory. */
	CHECK_EQ(driver_command(0,
			 (struct nvme_sqe){.opcode = NVME_IDENTIFY,
				 .nsid = 1,
				 .prp1 = DRIVER_DATA - 0x1000 + 0xff8,
				 .prp2 = DRIVER_HIGH},
			 NULL),
		0);
	CHECK_EQ(*driver_memory(DRIVER_DATA - 7), 8192 >> 8);
	CHECK_EQ(driver_memory(DRIVER_HIGH)[IDN_FLBAS - 8], 0x22);
	CHECK_EQ(driver_memory(DRIVER_HIGH)[4095 - 8], 0);
	CHECK_EQ(driver_memory(DRIVER_HIGH)[4096 - 8], 0xa5);
	check_clean();
}

static void identify_knows_its_structures(void)
{
	uint8_t *page = driver_memory(DRIVER_DATA);

	ready();
	fake_nvme.ns_count = 2; /* appears later: unknown, so not there */
	fake_nvme.ns[1].id = 2;
	fake_nvme.ns[1].shift = 9;
	fake_nvme.ns[1].blocks = 1;
	CHECK_EQ(driver_command(0, driver_identify_command(2, 0, DRIVER_DATA), NULL), 0);
	CHECK_EQ(page[0], 1);
	CHECK_EQ(page[4], 0);
	CHECK_EQ(driver_command(0, driver_identify_command(3, 1, DRIVER_DATA), NULL), 0);
	CHECK_EQ(page[0], 0x5d);
	CHECK_EQ(driver_command(0, driver_identify_command(6, 0, DRIVER_DATA), NULL), 0);
	CHECK_EQ(page[15], 0xcc);
	CHECK_EQ(page[16], 0);
	CHECK_EQ(driver_command(0, driver_identify_command(0, 2, DRIVER_DATA), NULL),
		NVME_SC_NAMESPACE | DNR);
	CHECK_EQ(driver_command(0, driver_identify_command(0, ~0u, DRIVER_DATA), NULL),
		NVME_SC_NAMESPACE | DNR);
	CHECK_EQ(driver_command(0, driver_identify_command(5, 1, DRIVER_DATA), NULL),
		NVME_SC_FIELD | DNR);
	CHECK_EQ(driver_command(0, driver_identify_command(1, 0, DRIVER_HOLE), NULL),
		NVME_SC_TRANSFER | DNR);
	fake_nvme.fail_opcode = NVME_IDENTIFY;
	fake_nvme.fail_status = NVME_SC_NAMESPACE;
	memset(page, 0x11, 4096);
	CHECK_EQ(driver_command(0, driver_identify_command(1, 0, DRIVER_DATA), NULL),
		NVME_SC_NAMESPACE);
	CHECK_EQ(page[0], 0x11);
	check_clean();
}

static void bounced_pages_hold_nothing_old(void)
{
	struct nvme_sqe log = {.opcode = NVME_GET_LOG_PAGE,
		.prp1 = DRIVER_DATA,
		.prp2 = DRIVER_LISTS,
		.cdw10 = LOG_ERRORS | (3 * 1024 - 1) << 16};
	uint64_t pages[2] = {DRIVER_DATA + 0x1000, DRIVER_DATA + 0x2000};

	ready();
	memcpy(driver_memory(DRIVER_LISTS), pages, sizeof(pages));
	CHECK_EQ(driver_command(0, log, NULL), 0);
	/* The next command uses the area that held host addresses. */
	fake_nvme.no_data = true;
	CHECK_EQ(driver_command(0, driver_identify_command(3, 1, DRIVER_DATA), NULL), 0);
	for (unsigned i = 0; i < 4096; i++)
		CHECK(!driver_memory(DRIVER_DATA)[i]);
	check_clean();
}

static void other_admin_commands_are_refused(void)
{
	ready();
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		struct nvme_sqe c = {.opcode = (uint8_t)opcode,
			.prp1 = DRIVER_DATA,
			.cdw10 = opcode == NVME_ABORT ? 0xffff0000 : 0,
			.cdw11 = 1};
		unsigned before = fake_nvme.history_count;
		uint16_t status;

		if (opcode <= NVME_ASYNC_EVENT && 0x1777 >> opcode & 1)
			continue;
		status = driver_command(0, c, NULL);
		CHECK_EQ(status, NVME_SC_OPCODE | DNR);
		CHECK_EQ(fake_nvme.history_count, before);
	}
	CHECK_EQ(driver.dev.denied, 256 - 10);
	check_clean();
}

static void features_are_limited(void)
{
	struct nvme_sqe set = {.opcode = NVME_SET_FEATURES, .cdw10 = FEATURE_QUEUES};
	struct nvme_sqe get = {.opcode = NVME_GET_FEATURES, .cdw10 = FEATURE_QUEUES};
	uint32_t result = 0;

	ready();
	set.cdw11 = 0x00630063;
	CHECK_EQ(driver_command(0, set, &result), 0);
	CHECK_EQ(result, 0x00030003);
	CHECK_EQ(fake_nvme.history[fake_nvme.history_count - 1].sqe.cdw11, 0x00030003);
	CHECK_EQ(driver_command(0, get, &result), 0);
	CHECK_EQ(result, 0x00030003);
	fake_nvme.queues_granted = 0;
	set.cdw11 = 0;
	CHECK_EQ(driver_command(0, set, &result), 0);
	CHECK_EQ(result, 0);
	set.cdw11 = 0x0000ffff;
	CHECK_EQ(driver_command(0, set, NULL), NVME_SC_FIELD | DNR);
	set = (struct nvme_sqe){.opcode = NVME_SET_FEATURES, .cdw10 = FEATURE_EVENTS, .cdw11 = ~0u};
	CHECK_EQ(driver_command(0, set, NULL), 0);
	CHECK_EQ(fake_nvme.history[fake_nvme.history_count - 1].sqe.cdw11, 0xff);
	set.cdw10 = FEATURE_HOST_MEM;
	CHECK_EQ(driver_command(0, set, NULL), NVME_SC_FIELD | DNR);
	set.cdw10 = 0x06; /* volatile write cache */
	CHECK_EQ(driver_command(0, set, NULL), NVME_SC_FIELD | DNR);
	get.cdw10 = 0x06;
	CHECK_EQ(driver_command(0, get, NULL), 0);
	set.cdw10 = 0x04 | FEATURE_SAVE;
	CHECK_EQ(driver_command(0, set, NULL), NVME_SC_NOT_SAVEABLE | DNR);
	check_clean();
}

static void queue_creation_is_checked(void)
{
	static const struct {
		struct nvme_sqe c;
		uint16_t status;
	} bad[] = {
		{{.prp1 = 0x20000, .cdw10 = 0x000f0000, .cdw11 = 1}, NVME_SC_QUEUE_ID},
		{{.prp1 = 0x20000, .cdw10 = 0x000f0005, .cdw11 = 1}, NVME_SC_QUEUE_ID},
		{{.prp1 = 0x20000, .cdw10 = 0x000fffff, .cdw11 = 1}, NVME_SC_QUEUE_ID},
		{{.prp1 = 0x20000, .cdw10 = 0x00000001, .cdw11 = 1}, NVME_SC_QUEUE_SIZE},
		{{.prp1 = 0x20000, .cdw10 = 0x01000001, .cdw11 = 1}, NVME_SC_QUEUE_SIZE},
		{{.prp1 = 0x20000, .cdw10 = 0xffff0001, .cdw11 = 1}, NVME_SC_QUEUE_SIZE},
		{{.prp1 = 0x20000, .cdw10 = 0x000f0001, .cdw11 = 0}, NVME_SC_FIELD},
		{{.prp1 = 0x20800, .cdw10 = 0x000f0001, .cdw11 = 1}, NVME_SC_PRP_OFFSET},
		{{.prp1 = DRIVER_HOLE, .cdw10 = 0x000f0001, .cdw11 = 1}, NVME_SC_TRANSFER},
		{{.prp1 = ~0xfffull, .cdw10 = 0x00ff0001, .cdw11 = 1}, NVME_SC_TRANSFER},
		{{.flags = 0x40, .prp1 = 0x20000, .cdw10 = 0x000f0001, .cdw11 = 1}, NVME_SC_FIELD},
	};
	struct nvme_sqe c;
	unsigned before;

	ready();
	before = fake_nvme.history_count;
	for (unsigned i = 0; i < array_size(bad); i++) {
		c = bad[i].c;
		c.opcode = NVME_CREATE_CQ;
		CHECK_EQ(driver_command(0, c, NULL), bad[i].status | DNR);
	}
	c = (struct nvme_sqe){
		.opcode = NVME_CREATE_CQ, .prp1 = 0x20000, .cdw10 = 0x000f0001, .cdw11 = 0x50001};
	CHECK_EQ(driver_command(0, c, NULL), NVME_SC_VECTOR | DNR);
	c.cdw11 = 0xffff0001;
	CHECK_EQ(driver_command(0, c, NULL), NVME_SC_VECTOR | DNR);
	/* What is left of them is said when the function is shown. */
	driver.dev.vectors = 0;
	c.cdw11 = 0x10001;
	CHECK_EQ(driver_command(0, c, NULL), NVME_SC_VECTOR | DNR);
	CHECK_EQ(fake_nvme.history_count, before);
	CHECK_EQ(driver_create_pair(2, 16), 0);
	before = fake_nvme.history_count;
	for (unsigned i = 0; i < array_size(bad); i++) {
		c = bad[i].c;
		c.opcode = NVME_CREATE_SQ;
		c.cdw11 |= 2 << 16;
		CHECK_EQ(driver_command(0, c, NULL), bad[i].status | DNR);
	}
	c = (struct nvme_sqe){
		.opcode = NVME_CREATE_SQ, .prp1 = 0x20000, .cdw10 = 0x000f0001, .cdw11 = 0x10001};
	CHECK_EQ(driver_command(0, c, NULL), NVME_SC_CQ_INVALID | DNR);
	c.cdw11 = 1;
	CHECK_EQ(driver_command(0, c, NULL), NVME_SC_CQ_INVALID | DNR);
	c.cdw11 = 0xffff0001;
	CHECK_EQ(driver_command(0, c, NULL), NVME_SC_CQ_INVALID | DNR);
	c.cdw10 = 0x000f0002;
	c.cdw11 = 0x20001;
	CHECK_EQ(driver_command(0, c, NULL), NVME_SC_QUEUE_ID | DNR);
	CHECK_EQ(fake_nvme.history_count, before);
	check_clean();
}

static void entry_sizes_are_checked(void)
{
	ready();
	driver_write(NVME_CC, 4, 0x00470001);
	CHECK_EQ(driver_create_pair(1, 16), NVME_SC_FIELD | DNR);
	driver_write(NVME_CC, 4, 0x00560001);
	CHECK_EQ(driver_create_pair(2, 16), NVME_SC_FIELD | DNR);
	driver_write(NVME_CC, 4, 0x00460001);
	CHECK_EQ(driver_create_pair(2, 16), 0);
}

static void a_failed_creation_leaves_nothing(void)
{
	ready();
	fake_nvme.fail_opcode = NVME_CREATE_CQ;
	fake_nvme.fail_status = NVME_SC_QUEUE_ID;
	CHECK_EQ(driver_create_pair(1, 16), NVME_SC_QUEUE_ID);
	fake_nvme.fail_opcode = NVME_CREATE_SQ;
	CHECK_EQ(driver_create_pair(1, 16), NVME_SC_QUEUE_ID);
	driver_doorbell(1, false, 1);
	CHECK_EQ(driver_state()->stats.bad_doorbells, 1);
	fake_nvme.fail_opcode = 0xffff;
	CHECK_EQ(driver_create_pair(1, 16), NVME_SC_QUEUE_ID | DNR); /* its CQ is there */
	CHECK_EQ(driver_create_pair(2, 16), 0);
	check_clean();
}

static struct nvme_sqe delete_command(uint8_t opcode, uint32_t id)
{
	return (struct nvme_sqe){.opcode = opcode, .cdw10 = id};
}

static void queues_can_be_deleted(void)
{
	ready_io(16);
	CHECK_EQ(driver_command(0, delete_command(NVME_DELETE_CQ, 1), NULL),
		NVME_SC_QUEUE_DELETION | DNR);
	CHECK_EQ(
		driver_command(0, delete_command(NVME_DELETE_SQ, 0), NULL), NVME_SC_QUEUE_ID | DNR);
	CHECK_EQ(
		driver_command(0, delete_command(NVME_DELETE_SQ, 2), NULL), NVME_SC_QUEUE_ID | DNR);
	CHECK_EQ(
		driver_command(0, delete_command(NVME_DELETE_SQ, 9), NULL), NVME_SC_QUEUE_ID | DNR);
	CHECK_EQ(
		driver_command(0, delete_command(NVME_DELETE_CQ, 0), NULL), NVME_SC_QUEUE_ID | DNR);
	CHECK_EQ(
		driver_command(0, delete_command(NVME_DELETE_CQ, 9), NULL), NVME_SC_QUEUE_ID | DNR);
	fake_nvme.fail_opcode = NVME_DELETE_SQ;
	fake_nvme.fail_status = NVME_SC_FIELD;
	CHECK_EQ(driver_command(0, delete_command(NVME_DELETE_SQ, 1), NULL), NVME_SC_FIELD);
	fake_nvme.fail_opcode = 0xffff;
	/* Still there, and works. */
	CHECK_EQ(driver_command(1, driver_read_command(0, 1, DRIVER_DATA, 0), NULL), 0);
	for (unsigned i = 0; i < 300; i++) {
		CHECK_EQ(driver_command(0, delete_command(NVME_DELETE_SQ, 1), NULL), 0);
		CHECK_EQ(driver_command(0, delete_command(NVME_DELETE_CQ, 1), NULL), 0);
		CHECK_EQ(driver_create_pair(1, 2 + i % 255), 0);
		CHECK_EQ(driver_command(1, driver_read_command(i, 1, DRIVER_DATA, 0), NULL), 0);
		CHECK(driver_holds(DRIVER_DATA, i * 512, 512));
	}
	check_clean();
}

static void deletion_with_commands_in_flight(bool silent)
{
	struct nvme_cqe cqe;
	unsigned aborted = 0;

	ready_io(16);
	fake_nvme.hold = true;
	fake_nvme.silent_deletion = silent;
	for (unsigned i = 0; i < 5; i++)
		driver_submit(1, driver_read_command(i, 1, DRIVER_DATA, 0));
	driver_ring(1);
	driver_submit(0, delete_command(NVME_DELETE_SQ, 1));
	driver_ring(0);
	/* Not fetched any more. */
	driver_submit(1, driver_read_command(9, 1, DRIVER_DATA, 0));
	driver_ring(1);
	CHECK_EQ(fake_nvme.pending_count, 6);
	fake_nvme_run_one(5);
	nvme_ops.poll(&driver.dev);
	CHECK(driver_reap(0, &cqe));
	CHECK_EQ(cqe.status >> 1, 0);
	driver_acknowledge(0);
	while (driver_reap(1, &cqe)) {
		CHECK_EQ(cqe.status >> 1, NVME_SC(0, 0x08));
		aborted++;
	}
	CHECK_EQ(aborted, silent ? 0 : 5);
	driver_acknowledge(1);
	fake_nvme.hold = false;
	CHECK_EQ(driver_command(0, delete_command(NVME_DELETE_CQ, 1), NULL), 0);
	CHECK_EQ(driver_create_pair(1, 16), 0);
	for (unsigned i = 0; i < 40; i++)
		CHECK_EQ(driver_command(1, driver_read_command(i, 1, DRIVER_DATA, 0), NULL), 0);
	check_clean();
}

static void deletion_aborts_what_is_in_flight(void)
{
	deletion_with_commands_in_flight(false);
}

static void deletion_may_be_silent(void)
{
	deletion_with_commands_in_flight(true);
}

/* A completion from before the deletion can't complete a command of the queue's next life. */
static void late_completions_find_no_slot(void)
{
	struct nvme_cqe cqe;

	ready_io(2);
	fake_nvme.hold = true;
	for (unsigned i = 0; i < 2; i++) {
		driver_submit(1, driver_read_command(i, 1, DRIVER_DATA, 0));
		driver_ring(1);
	}
	fake_nvme_run(); /* two completions, and the guest's queue holds one */
	nvme_ops.poll(&driver.dev);
	fake_nvme.hold = false;
	CHECK_EQ(driver_command(0, delete_command(NVME_DELETE_SQ, 1), NULL), 0);
	CHECK_EQ(driver_command(0,
			 (struct nvme_sqe){.opcode = NVME_CREATE_SQ,
				 .prp1 = driver_sq_base(1),
				 .cdw10 = 0x00010001,
				 .cdw11 = 0x00010001},
			 NULL),
		0);
	driver.q[1].tail = 0;
	fake_nvme.hold = true;
	driver_submit(1, driver_read_command(5, 1, DRIVER_DATA, 0));
	CHECK(driver_reap(1, &cqe));
	driver_acknowledge(1);
	driver_ring(1);
	nvme_ops.poll(&driver.dev);
	CHECK(!driver_reap(1, &cqe));
	CHECK_EQ(driver_state()->stats.strays, 1);
	fake_nvme_run();
	nvme_ops.poll(&driver.dev);
	CHECK(driver_reap(1, &cqe));
	check_clean();
}

static void events_are_limited_and_delivered(void)
{
	struct nvme_sqe event = {.opcode = NVME_ASYNC_EVENT};
	struct nvme_cqe cqe;
	uint16_t first;

	ready();
	first = driver_submit(0, event);
	for (unsigned i = 0; i < 4; i++)
		driver_submit(0, event);
	driver_ring(0);
	CHECK(driver_reap(0, &cqe));
	CHECK_EQ(cqe.status >> 1, NVME_SC_EVENT_LIMIT | DNR);
	CHECK(!driver_reap(0, &cqe));
	CHECK(fake_nvme_event(0x00020101));
	nvme_ops.poll(&driver.dev);
	CHECK(driver_reap(0, &cqe));
	CHECK_EQ(cqe.cid, first);
	CHECK_EQ(cqe.result, 0x00020101);
	driver_acknowledge(0);
	driver_submit(0, event);
	driver_ring(0);
	CHECK(!driver_reap(0, &cqe));
	CHECK_EQ(fake_nvme.pending_count, 4);
	check_clean();
}

static void aborts_are_translated(void)
{
	struct nvme_sqe c = {.opcode = NVME_ABORT};
	struct nvme_cqe cqe;
	uint32_t result;
	uint16_t cid;

	ready_io(16);
	fake_nvme.hold = true;
	driver.next_cid = 0x7777;
	driver_submit(1, driver_read_command(0, 1, DRIVER_DATA, 0));
	cid = driver_submit(1, driver_read_command(1, 1, DRIVER_DATA, 0));
	driver_ring(1);
	c.cdw10 = (uint32_t)cid << 16 | 1;
	driver_submit(0, c);
	driver_ring(0);
	CHECK_EQ(fake_nvme.pending_count, 3);
	fake_nvme_run_one(2);
	nvme_ops.poll(&driver.dev);
	CHECK(driver_reap(0, &cqe));
	CHECK_EQ(cqe.result, 0);
	CHECK(driver_reap(1, &cqe));
	CHECK_EQ(cqe.cid, cid);
	CHECK_EQ(cqe.status >> 1, NVME_SC(0, 0x07));
	driver_acknowledge(0);
	driver_acknowledge(1);
	/* Unknown by now: not aborted, which is no error and no command for the controller. */
	CHECK_EQ(driver_command(0, c, &result), 0);
	CHECK_EQ(result, 1);
	c.cdw10 = (uint32_t)driver.next_cid << 16; /* itself */
	CHECK_EQ(driver_command(0, c, &result), 0);
	CHECK_EQ(result, 1);
	c.cdw10 = 7;
	CHECK_EQ(driver_command(0, c, NULL), NVME_SC_FIELD | DNR);
	CHECK_EQ(fake_nvme.pending_count, 1);
	check_clean();
}

/* ---- I/O ---- */

static void reads_arrive(void)
{
	uint64_t list[31];
	struct nvme_sqe c;

	ready_io(16);
	CHECK_EQ(driver_command(1, driver_read_command(0, 1, DRIVER_DATA, 0), NULL), 0);
	CHECK(driver_holds(DRIVER_DATA, 0, 512));
	/* Two pages: the one before and the one behind a seam in host memory. */
	CHECK_EQ(driver_command(
			 1, driver_read_command(3, 16, DRIVER_DATA - 0x1000, DRIVER_DATA), NULL),
		0);
	CHECK(driver_holds(DRIVER_DATA - 0x1000, 3 * 512, 8192));
	/* The largest, page by page backwards through another run. */
	for (unsigned i = 0; i < 31; i++)
		list[i] = DRIVER_HIGH_END - 0x1000 * (i + 1);
	memcpy(driver_memory(DRIVER_LISTS), list, sizeof(list));
	CHECK_EQ(driver_command(1, driver_read_command(100, 256, DRIVER_DATA, DRIVER_LISTS), NULL),
		0);
	CHECK(driver_holds(DRIVER_DATA, 100 * 512, 4096));
	for (unsigned i = 0; i < 31; i++)
		CHECK(driver_holds(list[i], 100 * 512 + (i + 1) * 4096, 4096));
	c = driver_read_command(8191, 1, DRIVER_DATA, 0);
	CHECK_EQ(driver_command(1, c, NULL), 0);
	c = driver_read_command(8191, 2, DRIVER_DATA, 0);
	CHECK_EQ(driver_command(1, c, NULL), NVME_SC_LBA_RANGE | DNR);
	check_clean();
}

static void writes_are_refused(void)
{
	struct nvme_sqe c = driver_read_command(0, 1, DRIVER_DATA, 0);

	ready_io(16);
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		uint16_t want = NVME_SC_OPCODE | DNR;

		if (opcode == NVME_READ || opcode == NVME_FLUSH)
			continue;
		if (opcode == NVME_WRITE)
			want = NVME_SC_READ_ONLY | DNR;
		c.opcode = (uint8_t)opcode;
		CHECK_EQ(driver_command(1, c, NULL), want);
	}
	CHECK_EQ(driver.dev.denied, 254);
	c.opcode = NVME_FLUSH;
	CHECK_EQ(driver_command(1, c, NULL), 0);
	check_clean();
}

/* Refused commands complete between those that the controller has, with one doorbell for all. */
static void a_mixed_batch_completes(void)
{
	struct nvme_sqe bad = {.opcode = NVME_WRITE, .nsid = 1, .prp1 = DRIVER_DATA};
	struct nvme_cqe cqe;
	uint16_t cid[6];
	unsigned doorbells = 0;

	ready_io(16);
	fake_nvme.hold = true;
	for (unsigned i = 0; i < 6; i++)
		cid[i] = driver_submit(
			1, i & 1 ? bad : driver_read_command(i, 1, DRIVER_DATA + i * 512, 0));
	fake_hw.log_count = 0;
	driver_ring(1);
	for (unsigned i = 0; i < fake_hw.log_count; i++)
		doorbells += fake_hw.log[i].write && fake_hw.log[i].at == FAKE_NVME_BAR + 0x1008;
	CHECK_EQ(doorbells, 1);
	for (unsigned i = 1; i < 6; i += 2) {
		CHECK(driver_reap(1, &cqe));
		CHECK_EQ(cqe.cid, cid[i]);
		CHECK_EQ(cqe.status >> 1, NVME_SC_READ_ONLY | DNR);
		CHECK_EQ(cqe.sq_id, 1);
		CHECK_EQ(cqe.sq_head, i + 1);
	}
	CHECK(!driver_reap(1, &cqe));
	/* Out of order. */
	fake_nvme_run_one(2);
	fake_nvme_run_one(0);
	fake_nvme_run();
	nvme_ops.poll(&driver.dev);
	CHECK(driver_reap(1, &cqe) && cqe.cid == cid[4]);
	CHECK(driver_reap(1, &cqe) && cqe.cid == cid[0]);
	CHECK(driver_reap(1, &cqe) && cqe.cid == cid[2]);
	CHECK_EQ(cqe.sq_head, 6);
	CHECK(driver_holds(DRIVER_DATA + 4 * 512, 4 * 512, 512));
	check_clean();
}

static void rings_wrap_and_phases_flip(void)
{
	ready_io(5);
	for (unsigned i = 0; i < 1000; i++) {
		if (i % 3 == 2) {
			CHECK_EQ(driver_command(1, (struct nvme_sqe){.opcode = 0x99}, NULL),
				NVME_SC_OPCODE | DNR);
			continue;
		}
		CHECK_EQ(driver_command(1, driver_read_command(i, 1, DRIVER_DATA, 0), NULL), 0);
		CHECK(driver_holds(DRIVER_DATA, i * 512, 512));
	}
	check_clean();
}

static void several_queues_work_side_by_side(void)
{
	struct nvme_cqe cqe;

	ready();
	for (unsigned q = 1; q <= NVME_IO_QUEUES; q++)
		CHECK_EQ(driver_create_pair(q, 64), 0);
	CHECK_EQ(driver_create_pair(NVME_IO_QUEUES + 1, 64), NVME_SC_QUEUE_ID | DNR);
	fake_nvme.hold = true;
	for (unsigned q = 1; q <= NVME_IO_QUEUES; q++) {
		for (unsigned i = 0; i < 60; i++)
			driver_submit(q, driver_read_command(q * 64 + i, 1,
						 DRIVER_DATA + (q * 64 + i) * 512, 0));
		driver_ring(q);
	}
	fake_nvme_run();
	nvme_ops.poll(&driver.dev);
	for (unsigned q = 1; q <= NVME_IO_QUEUES; q++) {
		for (unsigned i = 0; i < 60; i++)
			CHECK(driver_reap(q, &cqe) && cqe.sq_id == q && !(cqe.status >> 1));
		CHECK(!driver_reap(q, &cqe));
	}
	CHECK(driver_holds(DRIVER_DATA + 64 * 512, 64 * 512, 60 * 512));
	check_clean();
}

/* Two submission queues on one completion queue. */
static void queues_may_share_completions(void)
{
	struct nvme_sqe sq = {.opcode = NVME_CREATE_SQ,
		.prp1 = driver_sq_base(2),
		.cdw10 = 0x000f0002,
		.cdw11 = 0x00010001};
	struct nvme_cqe cqe;

	ready_io(16);
	CHECK_EQ(driver_command(0, sq, NULL), 0);
	driver.q[2] = (struct driver_queue){.entries = 16};
	driver_submit(2, driver_read_command(4, 1, DRIVER_DATA, 0));
	driver_ring(2);
	nvme_ops.poll(&driver.dev);
	CHECK(driver_reap(1, &cqe));
	CHECK_EQ(cqe.sq_id, 2);
	CHECK_EQ(cqe.sq_head, 1);
	driver_acknowledge(1);
	CHECK_EQ(driver_command(0, delete_command(NVME_DELETE_SQ, 1), NULL), 0);
	CHECK_EQ(driver_command(0, delete_command(NVME_DELETE_CQ, 1), NULL),
		NVME_SC_QUEUE_DELETION | DNR);
	CHECK_EQ(driver_command(0, delete_command(NVME_DELETE_SQ, 2), NULL), 0);
	CHECK_EQ(driver_command(0, delete_command(NVME_DELETE_CQ, 1), NULL), 0);
	check_clean();
}

/* While the guest's queue is full, completions and new commands wait; none is lost. */
static void a_full_completion_queue_holds_everything(void)
{
	struct nvme_sqe cq = {.opcode = NVME_CREATE_CQ,
		.prp1 = driver_cq_base(1),
		.cdw10 = 0x00030001,
		.cdw11 = QUEUE_CONTIGUOUS | QUEUE_IRQ};
	struct nvme_sqe sq = {.opcode = NVME_CREATE_SQ,
		.prp1 = driver_sq_base(1),
		.cdw10 = 0x003f0001,
		.cdw11 = 0x00010001};
	struct nvme_cqe cqe;
	unsigned seen = 0;

	ready();
	memset(driver_memory(driver_cq_base(1)), 0, 4096);
	driver.q[1] = (struct driver_queue){.entries = 64, .phase = true};
	CHECK_EQ(driver_command(0, cq, NULL), 0);
	CHECK_EQ(driver_command(0, sq, NULL), 0);
	for (unsigned i = 0; i < 50; i++)
		driver_submit(1, i & 1 ? (struct nvme_sqe){.opcode = 0x77}
				       : driver_read_command(i, 1, DRIVER_DATA, 0));
	driver_ring(1);
	driver.q[1].entries = 4; /* for the completion side */
	for (unsigned round = 0; round < 100 && seen < 50; round++) {
		unsigned got = 0;

		nvme_ops.poll(&driver.dev);
		while (got < 3 && driver_reap(1, &cqe))
			got++;
		CHECK(got <= 3);
		CHECK(fake_irqchip.line[11]);
		seen += got;
		driver_acknowledge(1);
	}
	CHECK_EQ(seen, 50);
	CHECK(!fake_irqchip.line[11]);
	CHECK_EQ(driver_state()->stats.refused, 25);
	check_clean();
}

/* More commands in flight than the shadow has slots: a guest need not wait for completions. */
static void slots_run_out_and_come_back(void)
{
	struct nvme_cqe cqe;
	unsigned submitted = 0, done = 0;

	ready_io(256);
	fake_nvme.hold = true;
	while (submitted < 300) {
		driver_submit(1, driver_read_command(submitted, 1, DRIVER_DATA, 0));
		submitted++;
		if (submitted % 150 == 0)
			driver_ring(1);
	}
	CHECK_EQ(fake_nvme.pending_count, 255);
	for (unsigned i = 0; i < 10 && done < 300; i++) {
		fake_nvme_run();
		nvme_ops.poll(&driver.dev);
		while (driver_reap(1, &cqe))
			done++;
		driver_acknowledge(1);
	}
	CHECK_EQ(done, 300);
	check_clean();
}

static void doorbell_abuse_is_ignored(void)
{
	struct nvme_cqe cqe;

	ready_io(16);
	fake_nvme.hold = true;
	driver_doorbell(1, false, 16);
	driver_doorbell(1, false, 0xffffffff);
	driver_doorbell(1, false, 0x10001);
	driver_doorbell(1, true, 1); /* nothing to read there */
	driver_doorbell(1, true, 16);
	driver_doorbell(2, false, 1);
	driver_doorbell(2, true, 1);
	driver_doorbell(31, true, 1);
	driver_write(0x1002, 4, 1);
	CHECK_EQ(driver_state()->stats.bad_doorbells, 8);
	CHECK_EQ(fake_nvme.pending_count, 0);
	/* A tail can't go back behind what was announced, but on over the end. */
	fake_nvme.hold = false;
	driver_submit(1, driver_read_command(0, 1, DRIVER_DATA, 0));
	driver_ring(1);
	nvme_ops.poll(&driver.dev);
	CHECK(driver_reap(1, &cqe));
	driver_acknowledge(1);
	CHECK_EQ(driver_state()->stats.bad_doorbells, 8);
	/* Fifteen entries of what happens to be in memory: each is judged. */
	driver_doorbell(1, false, 0);
	nvme_ops.poll(&driver.dev);
	check_clean();
}

static void doorbells_before_ready_are_ignored(void)
{
	driver_reset();
	CHECK_EQ(driver_attach(), 0);
	driver_doorbell(0, false, 1);
	fake_nvme.slow_reads = 3;
	driver_write(NVME_AQA, 4, 0x000f000f);
	driver_write(NVME_ASQ, 8, driver_sq_base(0));
	driver_write(NVME_ACQ, 8, driver_cq_base(0));
	driver_write(NVME_CC, 4, 0x00460001);
	driver_doorbell(0, false, 1);
	CHECK_EQ(driver_state()->stats.bad_doorbells, 2);
	check_clean();
}

/* ---- interrupts ---- */

static void the_line_follows_unread_entries(void)
{
	struct nvme_cqe cqe;

	ready_io(16);
	CHECK(!fake_irqchip.line[11]);
	for (unsigned i = 0; i < 2; i++)
		driver_submit(1, driver_read_command(i, 1, DRIVER_DATA, 0));
	driver_ring(1);
	CHECK(!fake_irqchip.line[11]);
	driver.dev.irq_fired = true;
	nvme_ops.poll(&driver.dev);
	CHECK(!driver.dev.irq_fired);
	CHECK(fake_irqchip.line[11]);
	CHECK(driver_reap(1, &cqe));
	driver_acknowledge(1);
	CHECK(fake_irqchip.line[11]);
	driver_write(NVME_INTMS, 4, 1);
	CHECK(!fake_irqchip.line[11]);
	CHECK_EQ(driver_read(NVME_INTMS, 4), 1);
	CHECK_EQ(driver_read(NVME_INTMC, 4), 1);
	driver_write(NVME_INTMC, 4, 1);
	CHECK(fake_irqchip.line[11]);
	CHECK(driver_reap(1, &cqe));
	driver_acknowledge(1);
	CHECK(!fake_irqchip.line[11]);
	/* The admin queue interrupts too, and a reset lowers the line. */
	driver_submit(0, driver_identify_command(1, 0, DRIVER_DATA));
	driver_ring(0);
	nvme_ops.poll(&driver.dev);
	CHECK(fake_irqchip.line[11]);
	driver_write(NVME_INTMS, 4, 2);
	driver_write(NVME_CC, 4, 0x00460000);
	CHECK(!fake_irqchip.line[11]);
	CHECK_EQ(driver_read(NVME_INTMS, 4), 0);
}

static void a_polled_queue_never_interrupts(void)
{
	struct nvme_sqe cq = {.opcode = NVME_CREATE_CQ,
		.prp1 = driver_cq_base(1),
		.cdw10 = 0x000f0001,
		.cdw11 = QUEUE_CONTIGUOUS};
	struct nvme_sqe sq = {.opcode = NVME_CREATE_SQ,
		.prp1 = driver_sq_base(1),
		.cdw10 = 0x000f0001,
		.cdw11 = 0x00010001};
	struct nvme_cqe cqe;

	ready();
	memset(driver_memory(driver_cq_base(1)), 0, 4096);
	driver.q[1] = (struct driver_queue){.entries = 16, .phase = true};
	CHECK_EQ(driver_command(0, cq, NULL), 0);
	CHECK_EQ(driver_command(0, sq, NULL), 0);
	driver_submit(1, driver_read_command(0, 1, DRIVER_DATA, 0));
	driver_ring(1);
	nvme_ops.poll(&driver.dev);
	CHECK(!fake_irqchip.line[11]);
	CHECK(driver_reap(1, &cqe));
}

/* The guest's side of messages: the mode that it chose, and what it got. */
static struct {
	enum interrupt_mode mode;
	unsigned sent[32];
	bool line;
} attention;

static enum interrupt_mode attention_mode(const struct device *dev)
{
	(void)dev;
	return attention.mode;
}

static void attention_message(struct device *dev, unsigned n)
{
	(void)dev;
	CHECK(n < 32);
	attention.sent[n % 32]++;
}

static void attention_line(struct device *dev, bool high)
{
	(void)dev;
	attention.line = high;
}

/* Queues 1 to 4, each with its own vector. */
static void ready_messages(enum interrupt_mode mode)
{
	static const struct interrupt_ops ops = {attention_mode, attention_message, attention_line};

	driver_reset();
	memset(&attention, 0, sizeof(attention));
	attention.mode = mode;
	driver.dev.interrupt = &ops;
	CHECK_EQ(driver_attach(), 0);
	CHECK_EQ(driver.dev.vectors, 5);
	CHECK(driver_enable());
	for (unsigned q = 1; q <= 4; q++)
		CHECK_EQ(driver_create_pair_vector(q, 16, q), 0);
	memset(attention.sent, 0, sizeof(attention.sent));
}

static void read_on(unsigned queue)
{
	driver_submit(queue, driver_read_command(queue, 1, DRIVER_DATA, 0));
	driver_ring(queue);
	nvme_ops.poll(&driver.dev);
}

static void each_queue_has_its_vector(void)
{
	struct nvme_cqe cqe;

	ready_messages(INTERRUPT_MSIX);
	for (unsigned q = 1; q <= 4; q++) {
		read_on(q);
		for (unsigned v = 0; v < 32; v++)
			CHECK_EQ(attention.sent[v], v >= 1 && v <= q);
	}
	/* Nothing new, nothing said, however often one looks. */
	nvme_ops.poll(&driver.dev);
	CHECK_EQ(attention.sent[3], 1);
	/* The admin queue has vector 0; a refused command interrupts as well. */
	driver_submit(0, driver_identify_command(1, 0, DRIVER_DATA));
	driver_ring(0);
	nvme_ops.poll(&driver.dev);
	CHECK_EQ(attention.sent[0], 1);
	driver_submit(2, (struct nvme_sqe){.opcode = NVME_WRITE, .nsid = 1});
	driver_ring(2);
	CHECK_EQ(attention.sent[2], 2);
	CHECK(driver_reap(2, &cqe));
	driver_acknowledge(2);
	CHECK_EQ(attention.sent[2], 2);
	/* The shadow's own vector stays the host's. */
	check_clean();
}

static void the_mask_register_is_not_for_msix(void)
{
	ready_messages(INTERRUPT_MSIX);
	driver_write(NVME_INTMS, 4, ~0u);
	read_on(1);
	CHECK_EQ(attention.sent[1], 1);
	driver_write(NVME_INTMC, 4, ~0u);
	CHECK_EQ(attention.sent[2], 0);
}

static void the_mask_register_is_for_msi(void)
{
	struct nvme_cqe cqe;

	ready_messages(INTERRUPT_MSI);
	driver_write(NVME_INTMS, 4, 1 << 1);
	read_on(1);
	read_on(2);
	CHECK_EQ(attention.sent[1], 0);
	CHECK_EQ(attention.sent[2], 1);
	driver_write(NVME_INTMC, 4, 1 << 1);
	CHECK_EQ(attention.sent[1], 1);
	/* Unmasked with something left to read: said again. With nothing left: not. */
	driver_write(NVME_INTMS, 4, 1 << 1);
	driver_write(NVME_INTMC, 4, 1 << 1);
	CHECK_EQ(attention.sent[1], 2);
	driver_write(NVME_INTMS, 4, 1 << 1);
	CHECK(driver_reap(1, &cqe));
	driver_acknowledge(1);
	driver_write(NVME_INTMC, 4, 1 << 1);
	CHECK_EQ(attention.sent[1], 2);
	/* A reset forgets what wasn't said. */
	driver_write(NVME_INTMS, 4, ~0u);
	read_on(3);
	CHECK(driver_disable());
	CHECK(driver_enable());
	nvme_ops.poll(&driver.dev);
	CHECK_EQ(attention.sent[3], 0);
}

static void the_line_is_kept_in_every_mode(void)
{
	struct nvme_cqe cqe;

	ready_messages(INTERRUPT_LINE);
	read_on(4);
	CHECK(attention.line);
	for (unsigned v = 0; v < 32; v++)
		CHECK_EQ(attention.sent[v], 0);
	attention.mode = INTERRUPT_MSIX;
	CHECK(driver_reap(4, &cqe));
	driver_acknowledge(4);
	CHECK(!attention.line);
}

static void the_region_ends_where_msix_begins(void)
{
	struct fake_function *fn;

	driver_reset();
	CHECK_EQ(driver_attach(), 0);
	CHECK_EQ(driver_state()->region.len, 0x2000);
	driver_reset();
	fn = fake_pci_find(FAKE_NVME_BDF);
	fake_pci_set(fn, 0x44, 4, 0x1400);
	fake_pci_set(fn, 0x48, 4, 0x1200);
	CHECK_EQ(driver_attach(), 0);
	CHECK_EQ(driver_state()->region.len, 0x1200);
	driver_reset();
	fake_pci_set(fn, 0x44, 4, 0x1004); /* in another BAR */
	fake_pci_set(fn, 0x48, 4, 0x1010); /* impossible: among the doorbells */
	CHECK_EQ(driver_attach(), 0);
	CHECK_EQ(driver_state()->region.len, 0x1028);
}

/* ---- resets and strange completions ---- */

/* Can't happen while guest memory is what it was at the check; if it did, the guest would see CFS. */
static void rings_that_vanish_fail_the_controller(void)
{
	struct gmem saved;

	for (unsigned posting = 0; posting < 2; posting++) {
		ready_io(16);
		fake_nvme.hold = true;
		saved = driver.vm.gmem;
		driver_submit(1, driver_read_command(0, 1, DRIVER_DATA, 0));
		if (posting)
			driver_ring(1);
		driver.vm.gmem.count = 0;
		fake_nvme_run();
		if (posting)
			nvme_ops.poll(&driver.dev);
		else
			driver_ring(1);
		driver.vm.gmem = saved;
		CHECK_EQ(driver_read(NVME_CSTS, 4), CSTS_CFS);
		CHECK_EQ(fake_nvme.cc & CC_EN, 0);
		fake_nvme.hold = false;
		CHECK(driver_disable());
		CHECK(driver_enable());
		CHECK_EQ(driver_create_pair(1, 16), 0);
		check_clean();
	}
}

static void reset_with_commands_in_flight(void)
{
	struct nvme_cqe cqe;

	ready_io(16);
	fake_nvme.hold = true;
	for (unsigned i = 0; i < 10; i++)
		driver_submit(1, driver_read_command(i, 1, DRIVER_DATA, 0));
	driver_ring(1);
	CHECK_EQ(fake_nvme.pending_count, 10);
	CHECK(driver_disable());
	driver_ring(1);
	nvme_ops.poll(&driver.dev);
	CHECK(!driver_reap(1, &cqe));
	CHECK(!fake_irqchip.line[11]);
	fake_nvme.hold = false;
	CHECK(driver_enable());
	driver_doorbell(1, false, 3); /* that queue is gone */
	CHECK_EQ(driver_create_pair(1, 16), 0);
	for (unsigned i = 0; i < 40; i++)
		CHECK_EQ(driver_command(1, driver_read_command(i, 1, DRIVER_DATA, 0), NULL), 0);
	check_clean();
}

static void quiesce_with_commands_in_flight(void)
{
	ready_io(16);
	fake_nvme.hold = true;
	driver_submit(1, driver_read_command(0, 1, DRIVER_DATA, 0));
	driver_ring(1);
	CHECK_EQ(nvme_ops.quiesce(&driver.dev), 0);
	CHECK_EQ(fake_nvme.pending_count, 0);
	CHECK_EQ(fake_nvme.csts & CSTS_RDY, 0);
	nvme_ops.poll(&driver.dev);
	nvme_ops.detach(&driver.dev);
	check_clean();
}

static void completions_of_nothing_are_dropped(void)
{
	struct nvme_cqe cqe;

	ready_io(16);
	fake_nvme_stray(1, 1, 0);
	fake_nvme_stray(1, 1, 0xffff);
	fake_nvme_stray(1, 0, 0);
	fake_nvme_stray(1, 5, 0);
	fake_nvme_stray(1, 0xffff, 0);
	fake_nvme_stray(0, 1, 0);
	nvme_ops.poll(&driver.dev);
	CHECK_EQ(driver_state()->stats.strays, 6);
	CHECK(!driver_reap(1, &cqe));
	fake_nvme.hold = true;
	driver_submit(1, driver_read_command(0, 1, DRIVER_DATA, 0));
	driver_ring(1);
	/* On a queue that isn't its own; then twice on its own. */
	fake_nvme_stray(0, 1, fake_nvme.pending[0].sqe.cid);
	nvme_ops.poll(&driver.dev);
	CHECK_EQ(driver_state()->stats.strays, 7);
	fake_nvme_stray(1, 1, fake_nvme.pending[0].sqe.cid);
	fake_nvme_run();
	nvme_ops.poll(&driver.dev);
	CHECK(driver_reap(1, &cqe));
	CHECK(!driver_reap(1, &cqe));
	CHECK_EQ(driver_state()->stats.strays, 8);
	check_clean();
}

static void a_stride_of_doorbells_is_followed(void)
{
	driver_reset();
	fake_nvme.cap |= 5ull << 32;
	CHECK_EQ(driver_attach(), 0);
	CHECK(driver_enable());
	CHECK_EQ(driver_create_pair(1, 16), 0);
	CHECK_EQ(driver_command(1, driver_read_command(0, 1, DRIVER_DATA, 0), NULL), 0);
	driver_write(0x1000 + 2 * 128 + 4, 4, 3);
	CHECK_EQ(driver_state()->stats.bad_doorbells, 1);
	check_clean();
}

static void small_controllers_set_the_limits(void)
{
	uint8_t *page = driver_memory(DRIVER_DATA);

	driver_reset();
	fake_nvme.cap = (fake_nvme.cap & ~CAP_MQES) | 7;
	fake_nvme.mdts = 1;
	fake_nvme.aerl = 0;
	CHECK_EQ(driver_attach(), 0);
	CHECK(driver_enable());
	CHECK_EQ(driver_read(NVME_CAP, 2), 7);
	CHECK_EQ(driver_create_pair(1, 9), NVME_SC_QUEUE_SIZE | DNR);
	CHECK_EQ(driver_create_pair(1, 8), 0);
	CHECK_EQ(driver_command(0, driver_identify_command(1, 0, DRIVER_DATA), NULL), 0);
	CHECK_EQ(page[IDC_MDTS], 1);
	CHECK_EQ(page[IDC_AERL], 0);
	CHECK_EQ(driver_command(1, driver_read_command(0, 16, DRIVER_DATA, DRIVER_HIGH), NULL), 0);
	CHECK_EQ(driver_command(1, driver_read_command(0, 17, DRIVER_DATA, DRIVER_HIGH), NULL),
		NVME_SC_FIELD | DNR);
	check_clean();
}

int main(void)
{
	RUN(attach_takes_the_controller_over);
	RUN(hand_back_restores);
	RUN(attach_unwinds);
	RUN(a_controller_that_wont_stop_gets_no_bus);
	RUN(a_start_is_not_cut_short);
	RUN(waits_are_as_long_as_the_controller_says);
	RUN(newer_controllers_say_it_elsewhere);
	RUN(namespaces_are_found);
	RUN(registers_are_modelled);
	RUN(odd_accesses_have_an_answer);
	RUN(the_region_follows_the_bar);
	RUN(enabling_nonsense_fails_the_controller);
	RUN(enabling_too_early_fails_the_controller);
	RUN(shutdown_stays_here);
	RUN(a_vanished_controller_reads_all_ones);
	RUN(identify_is_filtered);
	RUN(identify_knows_its_structures);
	RUN(bounced_pages_hold_nothing_old);
	RUN(other_admin_commands_are_refused);
	RUN(features_are_limited);
	RUN(queue_creation_is_checked);
	RUN(entry_sizes_are_checked);
	RUN(a_failed_creation_leaves_nothing);
	RUN(queues_can_be_deleted);
	RUN(deletion_aborts_what_is_in_flight);
	RUN(deletion_may_be_silent);
	RUN(late_completions_find_no_slot);
	RUN(events_are_limited_and_delivered);
	RUN(aborts_are_translated);
	RUN(reads_arrive);
	RUN(writes_are_refused);
	RUN(a_mixed_batch_completes);
	RUN(rings_wrap_and_phases_flip);
	RUN(several_queues_work_side_by_side);
	RUN(queues_may_share_completions);
	RUN(a_full_completion_queue_holds_everything);
	RUN(slots_run_out_and_come_back);
	RUN(doorbell_abuse_is_ignored);
	RUN(doorbells_before_ready_are_ignored);
	RUN(the_line_follows_unread_entries);
	RUN(a_polled_queue_never_interrupts);
	RUN(each_queue_has_its_vector);
	RUN(the_mask_register_is_not_for_msix);
	RUN(the_mask_register_is_for_msi);
	RUN(the_line_is_kept_in_every_mode);
	RUN(the_region_ends_where_msix_begins);
	RUN(rings_that_vanish_fail_the_controller);
	RUN(reset_with_commands_in_flight);
	RUN(quiesce_with_commands_in_flight);
	RUN(completions_of_nothing_are_dropped);
	RUN(a_stride_of_doorbells_is_followed);
	RUN(small_controllers_set_the_limits);
	return TEST_RESULT();
}
