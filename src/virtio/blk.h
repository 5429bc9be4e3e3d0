/*
 * A disk for the guest whose data somebody else reads and writes: virtio-blk over a seam of three
 * functions, behind which in Postern is the firmware's own driver.
 *
 * A request is checked whole before a byte of it moves: inside the disk, inside a window, allowed. What
 * isn't completes with the device's error. Its data goes through one buffer, piece by piece, and
 * only so many pieces in one turn, so that the guest's timers live.
 */
#ifndef POSTERN_VIRTIO_BLK_H
#define POSTERN_VIRTIO_BLK_H

#include "core/policy.h"
#include "virtio/transport.h"

#define VIRTIO_BLK_BUFFER  (64 * KIB) /* bytes that move at once */
#define VIRTIO_BLK_TURN	   4u	      /* buffers in one turn */
#define VIRTIO_BLK_REQUEST (4 * MIB)  /* bytes of one request, at most */

/* Who moves the data. Each call is synchronous and stays inside the disk; 0 or a negative error. */
struct virtio_blk_disk_ops {
	int (*read)(void *arg, uint64_t block, void *ret_data, size_t len);
	int (*write)(void *arg, uint64_t block, void *data, size_t len);
	int (*flush)(void *arg);
};

struct virtio_blk_disk {
	const struct virtio_blk_disk_ops *ops;
	void *arg;
	uint64_t blocks;
	uint32_t block_size; /* bytes: a power of two, 512 to VIRTIO_BLK_BUFFER */
	bool writable;
	struct policy_window window[POLICY_WINDOWS]; /* none: all of it */
	unsigned windows;
	const char *id; /* what the guest reads as its serial number */
};

/* A request that is under way. */
struct virtio_blk_job {
	bool active;
	uint32_t type;
	uint64_t block;
	size_t len, done; /* bytes of data */
	struct virtq_chain chain;
};

struct virtio_blk {
	struct virtio virtio;
	struct virtio_blk_disk disk;
	uint8_t *buffer;
	struct virtio_blk_job job;
	struct log_limit failed_log;
	uint64_t reads, writes, failed;
};

/*
 * Before virtio_show. Takes its buffer from the arena: page aligned. -E_NOMEM, -E_NOTSUP (the disk's
 * block size), -E_INVAL (a window outside the disk).
 */
int virtio_blk_init(struct virtio_blk *b, struct vm *vm, struct arena *arena, uint8_t irq,
	const struct virtio_blk_disk *disk, const char *name) must_check;

#endif
