/*
 * A guest that does anything at any time to the restricted NVMe controller: random registers,
 * doorbells, rings full of half-sensible commands, with completions in any order. Whatever it
 * does, the real controller is used as its specification demands, moves data in guest memory only,
 * and a well-behaved driver can take over afterwards.
 */
#include "fakes/fake_nvme.h"
#include "nvme_driver.h"
#include "test.h"

#define SEEDS 400u
#define STEPS 400u

static uint64_t state;

static uint32_t roll(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 16) % n);
}

/* Addresses that a driver could mean, and those that a bad one would try. */
static uint64_t any_address(void)
{
	static const uint64_t base[] = {0, 0x10000, 0x50000, DRIVER_LISTS, DRIVER_DATA,
		DRIVER_DATA - 0x1000, DRIVER_HOLE - 0x1000, DRIVER_HOLE, DRIVER_HIGH,
		DRIVER_HIGH_END - 0x1000, 0x10000000, 0x40000000, 0x40010000, FAKE_NVME_BAR,
		0xfee00000, ~0xfffull};
	/* The first six are guest memory. */
	unsigned n = roll(3) ? 6 : array_size(base);
	uint64_t at = base[roll(n)];

	at += 0x1000ull * roll(4);

	switch (roll(12)) {
	case 0:
		return at + roll(0x1000);
	case 1:
		return at + 8ull * roll(0x200);
	default:
		return at;
	}
}

static uint32_t any_value(void)
{
	switch (roll(4)) {
	case 0:
		return roll(8);
	case 1:
		return (uint32_t)roll(300) << roll(24);
	case 2:
		return 1u << roll(32);
	default:
		return (uint32_t)state;
	}
}

static struct nvme_sqe any_command(bool admin)
{
	static const uint8_t admin_opcode[] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 0x80, 0x7c};
	static const uint8_t io_opcode[] = {0, 1, 2, 2, 2, 2, 2, 4, 5, 8, 9, 0x80};
	struct nvme_sqe c = {.opcode = admin ? admin_opcode[roll(12)] : io_opcode[roll(12)]};

	/* One by one: compilers evaluate initialisers in different orders. */
	c.flags = (uint8_t)(roll(10) ? 0 : roll(256));
	c.cid = (uint16_t)roll(20);
	c.nsid = roll(4) ? 1 : any_value();
	c.mptr = roll(20) ? 0 : any_address();
	c.prp1 = any_address();
	c.prp2 = any_address();
	c.cdw10 = any_value();
	c.cdw11 = roll(2) ? 1 | roll(6) << 16 : any_value();
	c.cdw12 = roll(2) ? roll(256) : any_value();
	/* Half the time something that has a chance. */
	if (admin && roll(2)) {
		c.cdw10 = roll(c.opcode == NVME_ABORT ? 2 : 6);
		if (c.opcode == NVME_CREATE_CQ || c.opcode == NVME_CREATE_SQ)
			c.cdw10 |= (1 + roll(40)) << 16;
		else if (c.opcode == NVME_ABORT)
			c.cdw10 |= roll(20) << 16;
	}
	if (!admin && roll(2)) {
		c.cdw10 = roll(9000);
		c.cdw11 = 0;
	}
	return c;
}

static void scribble(void)
{
	for (unsigned q = 0; q < 5; q++) {
		for (unsigned i = 0; i < 40; i++) {
			struct nvme_sqe c = any_command(!q);

			memcpy(driver_memory(driver_sq_base(q) + i * sizeof(c)), &c, sizeof(c));
		}
	}
	for (unsigned i = 0; i < 0x4000; i += 8) {
		uint64_t entry = any_address();

		memcpy(driver_memory(DRIVER_LISTS + i), &entry, 8);
	}
}

static void touch_a_register(void)
{
	static const uint8_t size[] = {1, 2, 4, 4, 4, 4, 8};
	unsigned n = size[roll(7)];
	uint64_t at = roll(3) ? 8ull * roll(8) : roll(0x1100);

	if (roll(2)) {
		driver_read(at, n);
		return;
	}
	/* Most writes keep it alive. */
	if (at <= NVME_CC && at + n > NVME_CC && roll(4))
		return;
	driver_write(at, n, roll(2) ? any_value() : any_address());
}

/* Makes room, or soon nothing moves any more. */
static void acknowledge_all(void)
{
	for (unsigned q = 0; q < NVME_QUEUES; q++)
		driver_doorbell(q, true, driver_state()->cq[q].guest.tail);
}

static void step(void)
{
	switch (roll(16)) {
	case 0:
		touch_a_register();
		break;
	case 1:
		scribble();
		break;
	case 2:
		fake_nvme.hold = roll(4);
		break;
	case 3:
		if (fake_nvme.pending_count && fake_nvme.hold)
			fake_nvme_event(any_value());
		break;
	case 4:
		driver_create_pair(1 + roll(4), 2 + roll(40));
		break;
	case 5:
		if (!roll(8) || !(driver_read(NVME_CSTS, 4) & CSTS_RDY)) {
			driver_disable();
			driver_enable();
		}
		break;
	case 6:
		driver_doorbell(roll(6), true, roll(45));
		break;
	case 7:
	case 8:
	case 9:
		acknowledge_all();
		break;
	default:
		driver_doorbell(roll(6), false, roll(45));
		break;
	}
	if (!roll(4) && (fake_nvme.csts & CSTS_RDY))
		fake_nvme_run();
	if (roll(2))
		nvme_ops.poll(&driver.dev);
	driver_read(0, 4);
}

static void well_behaved_again(void)
{
	fake_nvme.hold = false;
	memset(driver_memory(DRIVER_DATA), 0, 4096);
	CHECK(driver_disable());
	CHECK(driver_enable());
	CHECK_EQ(driver_create_pair(1, 16), 0);
	CHECK_EQ(driver_command(1, driver_read_command(11, 8, DRIVER_DATA, 0), NULL), 0);
	CHECK(driver_holds(DRIVER_DATA, 11 * 512, 4096));
}

static void one_guest(uint64_t seed)
{
	state = seed * 0x9e3779b97f4a7c15ull + 1;
	driver_reset();
	CHECK_EQ(driver_attach(), 0);
	CHECK(driver_enable());
	scribble();
	for (unsigned i = 0; i < STEPS; i++)
		step();
	well_behaved_again();
	CHECK_EQ(nvme_ops.quiesce(&driver.dev), 0);
	nvme_ops.detach(&driver.dev);
	CHECK_EQ(fake_nvme.bad_dma, 0);
	CHECK_EQ(fake_nvme.bad_protocol, 0);
}

static void hostile_guests_harm_nobody(void)
{
	uint64_t issued[256] = {0}, io = 0;

	for (uint64_t seed = 1; seed <= SEEDS && !test_case_failures; seed++) {
		one_guest(seed);
		for (unsigned i = 0; i < fake_nvme.history_count; i++) {
			issued[fake_nvme.history[i].sqe.opcode]++;
			io += fake_nvme.history[i].sq_id != 0;
		}
		if (test_case_failures)
			printf("  seed %" PRIu64 "\n", seed);
	}
	/* The test is worth something only if commands of all kinds came through. */
	CHECK(io > 1000);
	for (unsigned i = 0; i <= NVME_ASYNC_EVENT; i++)
		if (0x1777 >> i & 1)
			CHECK(issued[i] > 20);
}

int main(void)
{
	RUN(hostile_guests_harm_nobody);
	return TEST_RESULT();
}
