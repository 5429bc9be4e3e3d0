/*
 * An NVMe controller behind the doubles of hw: registers at its BAR, commands fetched from queues
 * in "host memory", data moved by DMA. It plays a device that believes what it is told, and notes
 * what a driver must never do to it. It sits at 00:04.0 of fake_pci's q35 machine.
 */
#ifndef POSTERN_FAKE_NVME_H
#define POSTERN_FAKE_NVME_H

#include "dma/nvme_spec.h"
#include "hw/pci.h"

#define FAKE_NVME_BDF	     PCI_BDF(0, 4, 0)
#define FAKE_NVME_BAR	     0x800000000ull
#define FAKE_NVME_QUEUES     8u
#define FAKE_NVME_NAMESPACES 40u
#define FAKE_NVME_PENDING    2048u
#define FAKE_NVME_HISTORY    4096u

struct fake_nvme_queue {
	uint64_t base;
	uint32_t entries, head, tail;
	uint16_t cq_id;
	bool exists, phase;
};

struct fake_nvme_pending {
	struct nvme_sqe sqe;
	uint16_t sq_id;
};

struct fake_nvme {
	/* Set these before attach. */
	uint64_t cap;
	uint32_t version, crto;
	struct {
		uint32_t id;
		uint8_t shift;
		uint16_t metadata;
		uint64_t blocks;
	} ns[FAKE_NVME_NAMESPACES];
	unsigned ns_count;
	uint8_t mdts, aerl;

	/* Ways to behave. */
	bool gone; /* every register reads all ones */
	bool never_ready, never_stops;
	unsigned slow_reads;  /* CSTS is read so often before RDY follows CC.EN */
	bool hold;	      /* commands wait for fake_nvme_run */
	bool no_data;	      /* Identify succeeds and transfers nothing */
	bool silent_deletion; /* commands of a deleted queue get no completion */
	uint16_t fail_opcode; /* this admin opcode fails; 0xffff: none */
	uint16_t fail_status;
	uint32_t queues_granted; /* answer to Set Features, number of queues */

	/* What happened. */
	uint32_t cc, csts, aqa;
	uint64_t asq, acq;
	struct fake_nvme_queue sq[FAKE_NVME_QUEUES], cq[FAKE_NVME_QUEUES];
	struct fake_nvme_pending pending[FAKE_NVME_PENDING];
	unsigned pending_count;
	struct fake_nvme_pending history[FAKE_NVME_HISTORY]; /* as fetched, oldest first */
	unsigned history_count;
	unsigned countdown;
	unsigned interrupts;
	unsigned enables;
	unsigned bad_dma;      /* to or from memory that isn't its to touch, or as no bus master */
	unsigned bad_protocol; /* wrong doorbells, queues, registers */
};

extern struct fake_nvme fake_nvme;

/* A fresh controller with namespace 1 of 8192 512-byte blocks; installs fake_hw's and fake_pci's. */
void fake_nvme_reset(void);

/*
 * Memory that it may reach: host-physical at .. at + len is the test's va. Queues and PRP lists
 * must be in control memory, and what I/O commands transfer in data memory.
 */
#define FAKE_NVME_CONTROL 1u
#define FAKE_NVME_DATA	  2u
void fake_nvme_allow(unsigned kind, uint64_t at, uint64_t len, void *va);

/* Executes the commands that are waiting, all but asynchronous events; or only the ith of them. */
void fake_nvme_run(void);
void fake_nvme_run_one(unsigned i);
/* Completes one asynchronous event request, if there is one, with this result. */
bool fake_nvme_event(uint32_t result);
/* Posts a completion that no command asked for. */
void fake_nvme_stray(uint16_t cq_id, uint16_t sq_id, uint16_t cid);

/* What a byte of a namespace holds. */
uint8_t fake_nvme_byte(uint32_t nsid, uint64_t at);

#endif
