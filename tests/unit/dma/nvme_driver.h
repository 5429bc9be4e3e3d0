/*
 * The guest's side in tests of the restricted NVMe controller: guest memory in pieces that are
 * scattered in host memory, and just enough of a driver to hold a conversation. The real controller
 * is fakes/fake_nvme.h.
 */
#ifndef POSTERN_TEST_NVME_DRIVER_H
#define POSTERN_TEST_NVME_DRIVER_H

#include "core/vm.h"
#include "dma/nvme.h"
#include "dma/nvme_spec.h"
#include "dma/nvme_state.h"

#define DRIVER_BAR	0xc0000000ull /* where the guest has put the BAR */
#define DRIVER_QUEUES	6u
#define DRIVER_ADMIN	16u	    /* entries of the guest's admin queues */
#define DRIVER_DATA	0x100000ull /* a megabyte for buffers, in the second run */
#define DRIVER_LISTS	0x80000ull
#define DRIVER_HOLE	0x200000ull /* no memory here */
#define DRIVER_HIGH	0x400000ull /* the third run, a megabyte */
#define DRIVER_HIGH_END 0x500000ull

struct driver_queue {
	uint32_t entries, tail, head;
	bool phase;
};

struct driver {
	struct vm vm;
	struct device dev;
	struct arena arena;
	struct driver_queue q[DRIVER_QUEUES];
	uint16_t next_cid;
};

extern struct driver driver;

/* A fresh machine and controller; then attach, with the BAR decoding if that succeeds. */
void driver_reset(void);
int driver_attach(void);
struct nvme *driver_state(void);

/* Registers and doorbells, as the guest accesses them. */
uint64_t driver_read(uint64_t reg, unsigned size);
void driver_write(uint64_t reg, unsigned size, uint64_t value);
void driver_doorbell(unsigned queue, bool cq, uint32_t value);

/* Host view of guest memory; NULL in holes. */
uint8_t *driver_memory(uint64_t at);
uint64_t driver_host_address(uint64_t at);

/* Where the rings of a queue are. */
uint64_t driver_sq_base(unsigned queue);
uint64_t driver_cq_base(unsigned queue);

/* AQA, ASQ, ACQ, CC.EN, and waiting for CSTS.RDY: false if it didn't come. */
bool driver_enable(void);
bool driver_disable(void);

/* Puts a command into a ring and returns its identifier; ring tells the controller. */
uint16_t driver_submit(unsigned queue, struct nvme_sqe sqe);
void driver_ring(unsigned queue);
/* The next completion, if there is one; acknowledge writes the head doorbell. */
bool driver_reap(unsigned queue, struct nvme_cqe *ret);
void driver_acknowledge(unsigned queue);

/* One command from submission to its status (without phase), or 0xffff if none came. */
uint16_t driver_command(unsigned queue, struct nvme_sqe sqe, uint32_t *ret_result);

/* Creates I/O queue pair number queue of so many entries. */
uint16_t driver_create_pair(unsigned queue, uint32_t entries);
uint16_t driver_create_pair_vector(unsigned queue, uint32_t entries, uint16_t vector);

struct nvme_sqe driver_read_command(uint64_t lba, uint32_t blocks, uint64_t prp1, uint64_t prp2);
struct nvme_sqe driver_identify_command(uint8_t cns, uint32_t nsid, uint64_t prp1);

/* Does guest memory hold these bytes of namespace 1? */
bool driver_holds(uint64_t at, uint64_t disk_offset, uint64_t len);

#endif
