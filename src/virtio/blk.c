/*
 * The block device; see blk.h. State: struct virtio_blk. On the exit path but for virtio_blk_init.
 */
#include "virtio/blk.h"
#include "base/error.h"
#include "base/mem.h"

#define QUEUE		   0u
#define CLASS_STORAGE	   0x0180u /* mass storage, other */
#define SECTORS_PER(bytes) ((bytes) / BLK_SECTOR)

static struct virtio_blk *of_virtio(struct virtio *t)
{
	return container_of(t, struct virtio_blk, virtio);
}

/* ---- what a request may do ---- */

/* Finds out where the data is; false if it may not be touched. */
static bool data_allowed(struct virtio_blk *b, uint64_t sector, uint64_t len, bool write)
{
	const struct virtio_blk_disk *d = &b->disk;
	uint64_t per_block = SECTORS_PER(d->block_size);

	if (len > VIRTIO_BLK_REQUEST || len % d->block_size || sector % per_block)
		return false;
	b->job.block = sector / per_block;
	b->job.len = (size_t)len;
	if (!range_fits(b->job.block, len / d->block_size, d->blocks))
		return false;
	return !len || policy_reach(d->window, d->windows, b->job.block, len / d->block_size,
			       write) == POLICY_INSIDE;
}

static uint8_t judge(struct virtio_blk *b, uint64_t sector)
{
	const struct virtq_chain *c = &b->job.chain;

	switch (b->job.type) {
	case BLK_T_IN:
		return data_allowed(b, sector, c->writable_len - 1, false) ? BLK_S_OK : BLK_S_IOERR;
	case BLK_T_OUT:
		if (!b->disk.writable)
			return BLK_S_IOERR;
		return data_allowed(
			       b, sector, c->readable_len - sizeof(struct virtio_blk_req), true)
			       ? BLK_S_OK
			       : BLK_S_IOERR;
	case BLK_T_FLUSH:
		return b->disk.writable ? BLK_S_OK : BLK_S_UNSUPP;
	case BLK_T_GET_ID:
		return c->writable_len > BLK_ID_BYTES ? BLK_S_OK : BLK_S_IOERR;
	default:
		return BLK_S_UNSUPP;
	}
}

/* ---- doing it ---- */

/* The status is the last byte that the device writes. */
static void job_finish(struct virtio_blk *b, uint8_t status, uint64_t written)
{
	struct virtq *q = &b->virtio.queue[QUEUE];
	struct virtq_chain *c = &b->job.chain;

	b->job.active = false;
	if (virtq_write(q, c, c->writable_len - 1, &status, 1)) {
		q->broken = true;
		return;
	}
	/* What lies between the data and the status wasn't written: it doesn't count. */
	virtq_push(q, c, (uint32_t)(written + 1 == c->writable_len ? written + 1 : written));
	virtio_used(&b->virtio, QUEUE);
}

static void job_fail(struct virtio_blk *b, int err)
{
	b->failed++;
	log_limited(&b->failed_log, "%s: block 0x%lx: %s", b->virtio.dev.name,
		b->job.block + b->job.done / b->disk.block_size, error_string(err));
	job_finish(b, BLK_S_IOERR, 0);
}

static int move_in(struct virtio_blk *b, uint64_t block, size_t len)
{
	int err = b->disk.ops->read(b->disk.arg, block, b->buffer, len);

	if (err)
		return err;
	return virtq_write(&b->virtio.queue[QUEUE], &b->job.chain, b->job.done, b->buffer, len);
}

static int move_out(struct virtio_blk *b, uint64_t block, size_t len)
{
	int err = virtq_read(&b->virtio.queue[QUEUE], &b->job.chain,
		sizeof(struct virtio_blk_req) + b->job.done, b->buffer, len);

	return err ? err : b->disk.ops->write(b->disk.arg, block, b->buffer, len);
}

/* One buffer's worth of the request under way. */
static void job_step(struct virtio_blk *b)
{
	struct virtio_blk_job *j = &b->job;
	size_t len = (size_t)min_u64(j->len - j->done, VIRTIO_BLK_BUFFER);
	uint64_t block = j->block + j->done / b->disk.block_size;
	int err = 0;

	if (len)
		err = j->type == BLK_T_IN ? move_in(b, block, len) : move_out(b, block, len);
	if (err) {
		job_fail(b, err);
		return;
	}
	j->done += len;
	if (j->done == j->len)
		job_finish(b, BLK_S_OK, j->type == BLK_T_IN ? j->len : 0);
}

static void job_id(struct virtio_blk *b)
{
	char id[BLK_ID_BYTES] = {0};

	memcpy(id, b->disk.id, min_u64(strlen(b->disk.id), sizeof(id)));
	if (virtq_write(&b->virtio.queue[QUEUE], &b->job.chain, 0, id, sizeof(id)))
		job_finish(b, BLK_S_IOERR, 0);
	else
		job_finish(b, BLK_S_OK, sizeof(id));
}

static void job_flush(struct virtio_blk *b)
{
	int err = b->disk.ops->flush(b->disk.arg);

	if (err)
		job_fail(b, err);
	else
		job_finish(b, BLK_S_OK, 0);
}

static void job_start(struct virtio_blk *b)
{
	struct virtq *q = &b->virtio.queue[QUEUE];
	struct virtio_blk_job *j = &b->job;
	struct virtio_blk_req req;
	uint8_t status;

	/* Without room for a status nothing can be said about it. */
	if (!j->chain.writable_len || virtq_read(q, &j->chain, 0, &req, sizeof(req))) {
		q->broken = true;
		return;
	}
	b->virtio.requests++;
	j->active = true;
	j->type = req.type;
	j->block = 0;
	j->len = j->done = 0;
	status = judge(b, req.sector);
	if (status != BLK_S_OK) {
		b->virtio.dev.denied++;
		job_finish(b, status, 0);
	} else if (j->type == BLK_T_GET_ID) {
		job_id(b);
	} else if (j->type == BLK_T_FLUSH) {
		job_flush(b);
	} else {
		b->reads += j->type == BLK_T_IN;
		b->writes += j->type == BLK_T_OUT;
	}
}

/* A turn: some buffers, or as many requests without data. What is left makes the device busy. */
static void blk_run(struct virtio *t)
{
	struct virtio_blk *b = of_virtio(t);
	struct virtq *q = &t->queue[QUEUE];

	for (unsigned n = 0; n < VIRTIO_BLK_TURN && !q->broken; n++) {
		if (!b->job.active) {
			if (!virtq_pop(q, &b->job.chain))
				break;
			job_start(b);
		}
		if (b->job.active)
			job_step(b);
	}
	t->dev.busy = !q->broken && (b->job.active || virtq_has_work(q));
}

static void blk_notify(struct virtio *t, unsigned n)
{
	(void)n;
	blk_run(t);
}

static void blk_reset(struct virtio *t)
{
	of_virtio(t)->job.active = false;
	t->dev.busy = false;
}

static const struct virtio_model blk_model = {
	.name = "virtio-blk",
	.id = VIRTIO_ID_BLOCK,
	.class = CLASS_STORAGE,
	.queues = 1,
	.reset = blk_reset,
	.notify = blk_notify,
	.poll = blk_run,
};

static int check_disk(const struct virtio_blk_disk *d)
{
	uint32_t size = d->block_size;

	if (size < BLK_SECTOR || size > PAGE_SIZE || size & (size - 1) || !d->blocks ||
		d->blocks > ~0ull / size)
		return -E_NOTSUP;
	for (unsigned i = 0; i < d->windows; i++)
		if (d->window[i].first > d->window[i].last || d->window[i].last >= d->blocks)
			return -E_INVAL;
	return 0;
}

int virtio_blk_init(struct virtio_blk *b, struct vm *vm, struct arena *arena, uint8_t irq,
	const struct virtio_blk_disk *disk, const char *name)
{
	struct virtio_blk_config config = {
		.capacity = disk->blocks * SECTORS_PER(disk->block_size),
		.size_max = VIRTIO_BLK_BUFFER,
		/* All descriptors of a queue but those for header and status. */
		.seg_max = VIRTQ_SIZE_MAX - 2,
		.blk_size = disk->block_size,
	};
	int err = check_disk(disk);

	if (err)
		return err;
	memset(b, 0, sizeof(*b));
	b->disk = *disk;
	b->buffer = arena_pages(arena, VIRTIO_BLK_BUFFER / PAGE_SIZE);
	if (!b->buffer)
		return -E_NOMEM;
	b->virtio.offered = BLK_F_SIZE_MAX | BLK_F_SEG_MAX | BLK_F_BLK_SIZE |
			    (disk->writable ? BLK_F_FLUSH : BLK_F_RO);
	_Static_assert(sizeof(config) <= VIRTIO_CONFIG_MAX, "configuration");
	memcpy(b->virtio.config, &config, sizeof(config));
	b->virtio.config_size = sizeof(config);
	virtio_init(&b->virtio, vm, &blk_model, irq, name);
	return 0;
}
