/*
 * The device's side of a split virtqueue. Rings and descriptors are the guest's memory and may change
 * or lie at any time: each is copied once, judged, and only the copy is used. A queue that breaks the
 * rules is broken until it is reset, as the specification's DEVICE_NEEDS_RESET has it.
 *
 * Chains are bounded by the size of the queue. Indirect descriptors aren't offered, and break it.
 */
#ifndef POSTERN_VIRTIO_QUEUE_H
#define POSTERN_VIRTIO_QUEUE_H

#include "core/gmem.h"
#include "virtio/spec.h"

#define VIRTQ_SIZE_MAX 128u

struct virtq {
	struct gmem *gmem;
	gpa_t desc, avail, used;
	uint16_t size; /* entries, a power of two up to VIRTQ_SIZE_MAX */
	uint16_t next_avail, next_used;
	bool ready, broken;
};

/* A request: what the device may read of it, then what it may write, as one run of bytes each. */
struct virtq_chain {
	uint16_t head;
	unsigned readable, count; /* pieces to be read, pieces in all */
	uint64_t readable_len, writable_len;
	struct {
		gpa_t at;
		uint32_t len;
	} piece[VIRTQ_SIZE_MAX];
};

/* Off, with nothing in flight. */
void virtq_reset(struct virtq *q, struct gmem *gmem);

/* Starts a queue whose size and addresses are set. -E_INVAL: size or alignment. */
int virtq_enable(struct virtq *q) must_check;

/* Takes the next request; false if there is none. A queue can get broken here. On the exit path. */
bool virtq_pop(struct virtq *q, struct virtq_chain *ret) must_check;

/* Is there a request? A guest's index that jumps breaks the queue. */
bool virtq_has_work(struct virtq *q);

/*
 * Copies len bytes at offset of the readable or the writable part. -E_RANGE behind its end, -E_FAULT
 * where a descriptor points to something that isn't memory; then part of it may have been copied.
 */
int virtq_read(const struct virtq *q, const struct virtq_chain *c, uint64_t offset, void *ret_copy,
	size_t len) must_check;
int virtq_write(struct virtq *q, const struct virtq_chain *c, uint64_t offset, const void *data,
	size_t len) must_check;

/* Gives a request back, with so many bytes written from the start of its writable part. */
void virtq_push(struct virtq *q, const struct virtq_chain *c, uint32_t written);

/* Does the driver want an interrupt for what was pushed? */
bool virtq_wants_interrupt(const struct virtq *q);

#endif
