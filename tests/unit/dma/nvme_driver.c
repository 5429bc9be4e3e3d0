/* See nvme_driver.h. */
#include "nvme_driver.h"
#include "fakes/fake_hw.h"
#include "fakes/fake_nvme.h"
#include "fakes/fake_vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUN_SIZE 0x100000u

struct driver driver;

static uint8_t memory[3][RUN_SIZE] __attribute__((aligned(4096)));
static const uint64_t run_gpa[3] = {0, DRIVER_DATA, DRIVER_HIGH};
/* Neither in order nor next to each other. */
static const uint64_t run_hpa[3] = {0x10000000, 0x30000000, 0x20000000};
static uint8_t arena_memory[4 << 20] __attribute__((aligned(4096)));
#define ARENA_HPA 0x40000000ull

void driver_reset(void)
{
	fake_nvme_reset();
	memset(&driver, 0, sizeof(driver));
	memset(memory, 0xa5, sizeof(memory));
	fake_vm_init(&driver.vm);
	for (unsigned i = 0; i < 3; i++) {
		struct gmem_run run = {gpa(run_gpa[i]), hpa(run_hpa[i]), RUN_SIZE, memory[i]};

		if (gmem_add(&driver.vm.gmem, run))
			abort();
		fake_nvme_allow(FAKE_NVME_DATA, run_hpa[i], RUN_SIZE, memory[i]);
	}
	memset(arena_memory, 0x5a, sizeof(arena_memory));
	/* Exactly what the device says it needs: a smaller figure than the truth fails. */
	arena_init(&driver.arena, arena_memory, hpa(ARENA_HPA), nvme_arena_size());
	fake_nvme_allow(FAKE_NVME_CONTROL, ARENA_HPA, nvme_arena_size(), arena_memory);
	driver.dev = (struct device){.ops = &nvme_ops,
		.vm = &driver.vm,
		.name = "nvme 00:04.0",
		.bdf = FAKE_NVME_BDF,
		.mode = DEVICE_RESTRICTED,
		.policy = &policy_read_only,
		.irq = 11};
}

int driver_attach(void)
{
	int err = nvme_ops.attach(&driver.dev, &driver.arena);

	arena_seal(&driver.arena);
	return err ? err : nvme_ops.bar_moved(&driver.dev, 0, DRIVER_BAR, true);
}

struct nvme *driver_state(void)
{
	return driver.dev.state;
}

uint64_t driver_read(uint64_t reg, unsigned size)
{
	return fake_vm_read(&driver.vm, false, DRIVER_BAR + reg, size);
}

void driver_write(uint64_t reg, unsigned size, uint64_t value)
{
	fake_vm_write(&driver.vm, false, DRIVER_BAR + reg, size, value);
}

void driver_doorbell(unsigned queue, bool cq, uint32_t value)
{
	uint64_t stride = 4ull << (fake_nvme.cap >> 32 & 0xf);

	driver_write(NVME_REGS_END + (2 * queue + cq) * stride, 4, value);
}

static unsigned run_of(uint64_t at)
{
	for (unsigned i = 0; i < 3; i++)
		if (at >= run_gpa[i] && at - run_gpa[i] < RUN_SIZE)
			return i;
	return 3;
}

uint8_t *driver_memory(uint64_t at)
{
	unsigned i = run_of(at);

	return i < 3 ? memory[i] + (at - run_gpa[i]) : NULL;
}

uint64_t driver_host_address(uint64_t at)
{
	unsigned i = run_of(at);

	return i < 3 ? run_hpa[i] + (at - run_gpa[i]) : 0;
}

uint64_t driver_sq_base(unsigned queue)
{
	return 0x10000 + queue * 0x8000;
}

uint64_t driver_cq_base(unsigned queue)
{
	return 0x50000 + queue * 0x8000;
}

static void queue_reset(unsigned queue, uint32_t entries)
{
	driver.q[queue] = (struct driver_queue){.entries = entries, .phase = true};
	memset(driver_memory(driver_cq_base(queue)), 0, entries * sizeof(struct nvme_cqe));
}

bool driver_enable(void)
{
	queue_reset(0, DRIVER_ADMIN);
	driver_write(NVME_AQA, 4, (DRIVER_ADMIN - 1) << 16 | (DRIVER_ADMIN - 1));
	driver_write(NVME_ASQ, 8, driver_sq_base(0));
	driver_write(NVME_ACQ, 4, driver_cq_base(0));
	driver_write(NVME_ACQ + 4, 4, 0);
	driver_write(NVME_CC, 4, 0x00460000);
	driver_write(NVME_CC, 4, 0x00460001);
	for (unsigned i = 0; i < 100; i++)
		if (driver_read(NVME_CSTS, 4) & CSTS_RDY)
			return true;
	return false;
}

bool driver_disable(void)
{
	driver_write(NVME_CC, 4, 0x00460000);
	for (unsigned i = 0; i < 100; i++)
		if (!(driver_read(NVME_CSTS, 4) & CSTS_RDY))
			return true;
	return false;
}

uint16_t driver_submit(unsigned queue, struct nvme_sqe sqe)
{
	struct driver_queue *q = &driver.q[queue];

	sqe.cid = driver.next_cid++;
	memcpy(driver_memory(driver_sq_base(queue) + q->tail * sizeof(sqe)), &sqe, sizeof(sqe));
	q->tail = (q->tail + 1) % q->entries;
	return sqe.cid;
}

void driver_ring(unsigned queue)
{
	driver_doorbell(queue, false, driver.q[queue].tail);
}

bool driver_reap(unsigned queue, struct nvme_cqe *ret)
{
	struct driver_queue *q = &driver.q[queue];
	struct nvme_cqe cqe;

	memcpy(&cqe, driver_memory(driver_cq_base(queue) + q->head * sizeof(cqe)), sizeof(cqe));
	if ((cqe.status & CQE_PHASE) != q->phase)
		return false;
	q->head = (q->head + 1) % q->entries;
	if (!q->head)
		q->phase = !q->phase;
	*ret = cqe;
	return true;
}

void driver_acknowledge(unsigned queue)
{
	driver_doorbell(queue, true, driver.q[queue].head);
}

uint16_t driver_command(unsigned queue, struct nvme_sqe sqe, uint32_t *ret_result)
{
	uint16_t cid = driver_submit(queue, sqe);
	struct nvme_cqe cqe = {.cid = (uint16_t)~cid};

	driver_ring(queue);
	for (unsigned i = 0; i < 4 && cqe.cid != cid; i++) {
		nvme_ops.poll(&driver.dev);
		if (driver_reap(queue, &cqe))
			driver_acknowledge(queue);
	}
	if (cqe.cid != cid || cqe.sq_id != queue)
		return 0xffff;
	if (ret_result)
		*ret_result = cqe.result;
	return cqe.status >> 1;
}

uint16_t driver_create_pair(unsigned queue, uint32_t entries)
{
	return driver_create_pair_vector(queue, entries, 0);
}

uint16_t driver_create_pair_vector(unsigned queue, uint32_t entries, uint16_t vector)
{
	struct nvme_sqe cq = {.opcode = NVME_CREATE_CQ,
		.prp1 = driver_cq_base(queue),
		.cdw10 = (entries - 1) << 16 | queue,
		.cdw11 = QUEUE_CONTIGUOUS | QUEUE_IRQ | (uint32_t)vector << 16};
	struct nvme_sqe sq = {.opcode = NVME_CREATE_SQ,
		.prp1 = driver_sq_base(queue),
		.cdw10 = (entries - 1) << 16 | queue,
		.cdw11 = queue << 16 | QUEUE_CONTIGUOUS};
	uint16_t status;

	queue_reset(queue, entries);
	status = driver_command(0, cq, NULL);
	return status ? status : driver_command(0, sq, NULL);
}

struct nvme_sqe driver_read_command(uint64_t lba, uint32_t blocks, uint64_t prp1, uint64_t prp2)
{
	return (struct nvme_sqe){.opcode = NVME_READ,
		.nsid = 1,
		.prp1 = prp1,
		.prp2 = prp2,
		.cdw10 = (uint32_t)lba,
		.cdw11 = (uint32_t)(lba >> 32),
		.cdw12 = blocks - 1};
}

struct nvme_sqe driver_identify_command(uint8_t cns, uint32_t nsid, uint64_t prp1)
{
	return (struct nvme_sqe){.opcode = NVME_IDENTIFY, .nsid = nsid, .prp1 = prp1, .cdw10 = cns};
}

bool driver_holds(uint64_t at, uint64_t disk_offset, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		if (*driver_memory(at + i) != fake_nvme_byte(1, disk_offset + i))
			return false;
	return true;
}
