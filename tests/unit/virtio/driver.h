/*
 * A guest with a virtio driver for tests: memory with three queues' worth of rings in it, and the
 * driver's side of them, written from the specification and not from src/virtio.
 */
#ifndef POSTERN_VIRTIO_DRIVER_H
#define POSTERN_VIRTIO_DRIVER_H

#include "base/bits.h"
#include "core/vm.h"
#include "fakes/fake_gmem.h"
#include "fakes/fake_pci.h"
#include "fakes/fake_vm.h"
#include "virtio/transport.h"

#define RAM_SIZE  0x80000ull
#define DESC(q)	  (0x1000ull + (q)*0x4000)
#define AVAIL(q)  (DESC(q) + 0x1000)
#define USED(q)	  (DESC(q) + 0x2000)
#define DATA	  0x20000ull
#define QUEUE_LEN 16u

struct driver {
	struct vm vm;
	struct pci_filter filter;
	struct arena arena;
	struct virtio *t;
	uint64_t bar;
	unsigned next_desc; /* of the chain under construction */
	unsigned head;
	uint16_t avail[VIRTIO_QUEUES_MAX];
};

extern struct driver driver;
extern uint8_t ram[RAM_SIZE];

/* An empty machine with memory. Then init and show the device, and driver_find it. */
void driver_reset(void);
void driver_find(struct virtio *t);

/* Registers of the common configuration. */
uint64_t common_get(unsigned reg, unsigned size);
void common_set(unsigned reg, unsigned size, uint64_t value);

/* Reset, features as given and version 1, all queues, DRIVER_OK. The status then. */
uint8_t driver_start(uint64_t features);

/* Builds a chain: first is its head. flags as in the descriptor; NEXT is added by the second call on. */
void chain_begin(void);
void chain_put(unsigned queue, uint64_t at, uint32_t len, uint16_t flags);
/* Makes it available. */
void chain_give(unsigned queue);
void driver_kick(unsigned queue);

uint16_t used_index(unsigned queue);
struct virtq_used_elem used_get(unsigned queue, unsigned n);
struct virtq_desc *desc_at(unsigned queue, unsigned n);
uint16_t *avail_word(unsigned queue, unsigned n); /* 0: flags, 1: index, 2: the first of the ring */

#endif
