/* The block device with its registers, over a disk in memory. */
#include "virtio/blk.h"
#include "base/error.h"
#include "test.h"
#include "virtio/driver.h"

#define BLOCKS 1024u
#define STATUS 0x30000ull
#define HEADER 0x31000ull

static struct virtio_blk blk;
static uint8_t media[BLOCKS * 4096];
static struct virtio_blk_disk disk;

static struct {
	unsigned reads, writes, flushes;
	size_t longest;
	int fail; /* what the calls from fail_at on return */
	unsigned fail_at;
} calls;

static int move(uint64_t block, size_t len)
{
	CHECK(len && len <= VIRTIO_BLK_BUFFER && len % disk.block_size == 0);
	CHECK(range_fits(block, len / disk.block_size, disk.blocks));
	if (len > calls.longest)
		calls.longest = len;
	return calls.fail && calls.reads + calls.writes > calls.fail_at ? calls.fail : 0;
}

static int disk_read(void *arg, uint64_t block, void *ret_data, size_t len)
{
	int err;

	CHECK(arg == &calls);
	calls.reads++;
	err = move(block, len);
	if (!err)
		memcpy(ret_data, media + block * disk.block_size, len);
	return err;
}

static int disk_write(void *arg, uint64_t block, void *data, size_t len)
{
	int err;

	CHECK(arg == &calls);
	calls.writes++;
	err = move(block, len);
	if (!err)
		memcpy(media + block * disk.block_size, data, len);
	return err;
}

static int disk_flush(void *arg)
{
	CHECK(arg == &calls);
	calls.flushes++;
	return calls.fail;
}

static const struct virtio_blk_disk_ops ops = {disk_read, disk_write, disk_flush};

static void prepare(uint32_t block_size, bool writable)
{
	driver_reset();
	memset(&calls, 0, sizeof(calls));
	disk = (struct virtio_blk_disk){.ops = &ops,
		.arg = &calls,
		.blocks = BLOCKS,
		.block_size = block_size,
		.writable = writable,
		.id = "serial"};
	for (size_t i = 0; i < sizeof(media); i++)
		media[i] = (uint8_t)(i * 7 ^ i >> 9);
}

static void finish(void)
{
	CHECK_EQ(virtio_blk_init(&blk, &driver.vm, &driver.arena, 10, &disk, "blk"), 0);
	CHECK_EQ(virtio_show(&blk.virtio, &driver.filter), 0);
	driver_find(&blk.virtio);
	CHECK_EQ(driver_start(blk.virtio.offered), 15);
}

static void start(uint32_t block_size, bool writable)
{
	prepare(block_size, writable);
	finish();
}

/* Gives a request with len bytes of data at DATA. */
static void give(uint32_t type, uint64_t sector, uint32_t len)
{
	struct virtio_blk_req req = {.type = type, .sector = sector};

	memcpy(ram + HEADER, &req, sizeof(req));
	ram[STATUS] = 0xee;
	chain_begin();
	chain_put(0, HEADER, sizeof(req), 0);
	if (len)
		chain_put(0, DATA, len, type == BLK_T_OUT ? 0 : VIRTQ_DESC_WRITE);
	chain_put(0, STATUS, 1, VIRTQ_DESC_WRITE);
	chain_give(0);
}

static uint8_t request(uint32_t type, uint64_t sector, uint32_t len)
{
	give(type, sector, len);
	driver_kick(0);
	return ram[STATUS];
}

static void reads(void)
{
	start(512, false);
	CHECK_EQ(request(BLK_T_IN, 5, 1024), BLK_S_OK);
	CHECK(!memcmp(ram + DATA, media + 5 * 512, 1024));
	CHECK_EQ(used_index(0), 1);
	CHECK_EQ(used_get(0, 0).len, 1025);
	CHECK(fake_irqchip.line[10]);
	CHECK_EQ(fake_vm_read(&driver.vm, false, driver.bar + 0x1000, 1), 1);
	CHECK(!fake_irqchip.line[10]);
	CHECK_EQ(request(BLK_T_IN, BLOCKS - 1, 512), BLK_S_OK);
	CHECK_EQ(request(BLK_T_IN, 0, 0), BLK_S_OK);
	CHECK_EQ(calls.reads, 2);
}

static uint8_t times_read[RAM_SIZE];

static void note_read(uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		times_read[at + i]++;
}

/* All of the guest's memory is read once, but for the ring's flags and index. */
static void one_fetch(void)
{
	unsigned more = 0;

	start(512, true);
	memset(times_read, 0, sizeof(times_read));
	fake_gmem.after_read = note_read;
	CHECK_EQ(request(BLK_T_OUT, 5, 1024), BLK_S_OK);
	for (size_t i = 0; i < RAM_SIZE; i++)
		more += times_read[i] > 1 && (i < AVAIL(0) || i >= AVAIL(0) + 4);
	CHECK_EQ(more, 0);
	CHECK_EQ(times_read[HEADER + 15], 1);
	CHECK_EQ(times_read[DATA + 1023], 1);
}

static void reads_of_large_blocks(void)
{
	start(4096, false);
	CHECK_EQ(fake_vm_read(&driver.vm, false, driver.bar + 0x2000, 8), BLOCKS * 8);
	CHECK_EQ(fake_vm_read(&driver.vm, false, driver.bar + 0x2014, 4), 4096);
	CHECK_EQ(request(BLK_T_IN, 16, 8192), BLK_S_OK);
	CHECK(!memcmp(ram + DATA, media + 2 * 4096, 8192));
	CHECK_EQ(request(BLK_T_IN, 17, 4096), BLK_S_IOERR);
	CHECK_EQ(request(BLK_T_IN, 16, 512), BLK_S_IOERR);
}

static void what_is_outside(void)
{
	start(512, false);
	CHECK_EQ(request(BLK_T_IN, BLOCKS, 512), BLK_S_IOERR);
	CHECK_EQ(request(BLK_T_IN, BLOCKS - 1, 1024), BLK_S_IOERR);
	CHECK_EQ(request(BLK_T_IN, ~0ull, 512), BLK_S_IOERR);
	CHECK_EQ(request(BLK_T_IN, ~0ull / 512, 512), BLK_S_IOERR);
	CHECK_EQ(request(BLK_T_IN, 0, 511), BLK_S_IOERR);
	CHECK_EQ(request(BLK_T_IN, 0, 0xfffffe00), BLK_S_IOERR);
	CHECK_EQ(blk.virtio.dev.denied, 6);
	CHECK_EQ(calls.reads, 0);
	CHECK_EQ(request(0x7777, 0, 512), BLK_S_UNSUPP);
	CHECK_EQ(request(BLK_T_IN, 0, 512), BLK_S_OK);
}

static void windows(void)
{
	prepare(512, true);
	disk.windows = 2;
	disk.window[0] = (struct policy_window){8, 15, false};
	disk.window[1] = (struct policy_window){BLOCKS - 1, BLOCKS - 1, true};
	finish();
	CHECK_EQ(request(BLK_T_IN, 8, 4096), BLK_S_OK);
	CHECK_EQ(request(BLK_T_IN, BLOCKS - 1, 512), BLK_S_OK);
	CHECK_EQ(request(BLK_T_IN, 7, 512), BLK_S_IOERR);
	CHECK_EQ(request(BLK_T_IN, 7, 1024), BLK_S_IOERR);
	CHECK_EQ(request(BLK_T_IN, 15, 1024), BLK_S_IOERR);
	CHECK_EQ(request(BLK_T_OUT, 16, 512), BLK_S_IOERR);
	CHECK_EQ(request(BLK_T_OUT, 15, 512), BLK_S_OK);
	CHECK_EQ(request(BLK_T_OUT, BLOCKS - 1, 512), BLK_S_IOERR);
	CHECK_EQ(calls.reads, 2);
	CHECK_EQ(calls.writes, 1);
}

static void writes(void)
{
	start(512, true);
	memset(ram + DATA, 0x5a, 512);
	CHECK_EQ(request(BLK_T_OUT, 3, 512), BLK_S_OK);
	CHECK(!memcmp(media + 3 * 512, ram + DATA, 512));
	CHECK_EQ(used_get(0, 0).len, 1);
	CHECK_EQ(request(BLK_T_FLUSH, 0, 0), BLK_S_OK);
	CHECK_EQ(calls.flushes, 1);
	calls.fail = -E_IO;
	CHECK_EQ(request(BLK_T_FLUSH, 0, 0), BLK_S_IOERR);
}

static void writes_that_are_not_allowed(void)
{
	start(512, false);
	CHECK_EQ(blk.virtio.offered & (BLK_F_RO | BLK_F_FLUSH), BLK_F_RO);
	CHECK_EQ(request(BLK_T_OUT, 3, 512), BLK_S_IOERR);
	CHECK_EQ(request(BLK_T_FLUSH, 0, 0), BLK_S_UNSUPP);
	CHECK(!calls.writes && !calls.flushes);
}

static void its_id(void)
{
	start(512, false);
	CHECK_EQ(request(BLK_T_GET_ID, 0, 20), BLK_S_OK);
	CHECK(!strcmp((char *)ram + DATA, "serial"));
	CHECK_EQ(used_get(0, 0).len, 21);
	CHECK_EQ(request(BLK_T_GET_ID, 0, 19), BLK_S_IOERR);
}

static void large_requests_take_turns(void)
{
	uint32_t turn = VIRTIO_BLK_TURN * VIRTIO_BLK_BUFFER;

	start(512, false);
	give(BLK_T_IN, 0, turn + 512);
	/* The data is where rings are not; status and header stay below. */
	desc_at(0, 1)->addr = 0x38000;
	driver_kick(0);
	CHECK_EQ(ram[STATUS], 0xee);
	CHECK_EQ(used_index(0), 0);
	CHECK_EQ(calls.reads, VIRTIO_BLK_TURN);
	CHECK(blk.virtio.dev.busy);
	blk.virtio.dev.ops->poll(&blk.virtio.dev);
	CHECK_EQ(ram[STATUS], BLK_S_OK);
	CHECK_EQ(calls.longest, VIRTIO_BLK_BUFFER);
	CHECK(!blk.virtio.dev.busy && !memcmp(ram + 0x38000, media, turn + 512));
	give(BLK_T_IN, 0, VIRTIO_BLK_REQUEST + 512);
	driver_kick(0);
	CHECK_EQ(ram[STATUS], BLK_S_IOERR);
}

/* A reset in the middle forgets the request. */
static void resets(void)
{
	start(512, false);
	give(BLK_T_IN, 0, (VIRTIO_BLK_TURN + 1) * VIRTIO_BLK_BUFFER);
	desc_at(0, 1)->addr = 0x30001;
	driver_kick(0);
	CHECK(blk.job.active && blk.virtio.dev.busy);
	CHECK_EQ(driver_start(0), 15);
	CHECK(!blk.job.active && !blk.virtio.dev.busy && !fake_irqchip.line[10]);
	CHECK_EQ(request(BLK_T_IN, 0, 512), BLK_S_OK);
}

static void many_requests_take_turns(void)
{
	start(512, false);
	for (unsigned i = 0; i < 5; i++)
		give(BLK_T_IN, i, 512);
	driver_kick(0);
	CHECK_EQ(used_index(0), VIRTIO_BLK_TURN);
	CHECK(blk.virtio.dev.busy);
	blk.virtio.dev.ops->poll(&blk.virtio.dev);
	CHECK_EQ(used_index(0), 5);
	CHECK(!blk.virtio.dev.busy);
}

static void disks_that_fail(void)
{
	start(512, true);
	calls.fail = -E_IO;
	CHECK_EQ(request(BLK_T_IN, 0, 512), BLK_S_IOERR);
	CHECK_EQ(request(BLK_T_OUT, 0, 512), BLK_S_IOERR);
	CHECK_EQ(used_index(0), 2);
	CHECK_EQ(blk.failed, 2);
	calls.fail_at = calls.reads + calls.writes + 1;
	CHECK_EQ(request(BLK_T_IN, 0, VIRTIO_BLK_BUFFER + 512), BLK_S_IOERR);
	CHECK(!blk.job.active);
	calls.fail = 0;
	CHECK_EQ(request(BLK_T_IN, 0, 512), BLK_S_OK);
}

static void data_outside_memory(void)
{
	start(512, true);
	give(BLK_T_IN, 0, 1024);
	desc_at(0, 1)->addr = RAM_SIZE - 512;
	driver_kick(0);
	CHECK_EQ(ram[STATUS], BLK_S_IOERR);
	give(BLK_T_OUT, 0, 1024);
	desc_at(0, 4)->addr = RAM_SIZE - 512;
	driver_kick(0);
	CHECK_EQ(ram[STATUS], BLK_S_IOERR);
	CHECK_EQ(calls.writes, 0);
}

static void check_needs_reset(void)
{
	CHECK_EQ(common_get(0x14, 1), 0x4f);
	CHECK_EQ(fake_vm_read(&driver.vm, false, driver.bar + 0x1000, 1) & 2, 2);
	CHECK_EQ(request(BLK_T_IN, 0, 512), 0xee);
	CHECK_EQ(driver_start(0), 15);
	CHECK_EQ(request(BLK_T_IN, 0, 512), BLK_S_OK);
}

static void requests_without_a_frame(void)
{
	start(512, false);
	chain_begin();
	chain_put(0, HEADER, 16, 0);
	chain_give(0);
	driver_kick(0);
	check_needs_reset();
	chain_begin();
	chain_put(0, HEADER, 15, 0);
	chain_put(0, STATUS, 1, VIRTQ_DESC_WRITE);
	chain_give(0);
	driver_kick(0);
	check_needs_reset();
	give(BLK_T_IN, 0, 512);
	desc_at(0, (driver.next_desc + QUEUE_LEN - 1) % QUEUE_LEN)->addr = RAM_SIZE;
	driver_kick(0);
	check_needs_reset();
}

/* Header and data in pieces of any size: the specification doesn't frame them. */
static void pieces(void)
{
	struct virtio_blk_req req = {.type = BLK_T_IN, .sector = 9};

	start(512, false);
	memcpy(ram + HEADER, &req, sizeof(req));
	chain_begin();
	chain_put(0, HEADER, 5, 0);
	chain_put(0, HEADER + 5, 11, 0);
	chain_put(0, DATA, 1, VIRTQ_DESC_WRITE);
	chain_put(0, DATA + 1, 510, VIRTQ_DESC_WRITE);
	chain_put(0, DATA + 511, 2, VIRTQ_DESC_WRITE);
	chain_give(0);
	ram[DATA + 512] = 0xee;
	driver_kick(0);
	CHECK_EQ(ram[DATA + 512], BLK_S_OK);
	CHECK(!memcmp(ram + DATA, media + 9 * 512, 512));
}

static void disks_that_cannot_be(void)
{
	static const struct {
		uint64_t blocks;
		uint32_t size;
	} bad[] = {{0, 512}, {8, 0}, {8, 256}, {8, 520}, {8, 8192}, {~0ull, 512}};

	for (unsigned i = 0; i < array_size(bad); i++) {
		prepare(512, false);
		disk.blocks = bad[i].blocks;
		disk.block_size = bad[i].size;
		CHECK_EQ(virtio_blk_init(&blk, &driver.vm, &driver.arena, 10, &disk, "b"),
			-E_NOTSUP);
	}
	prepare(512, false);
	disk.windows = 1;
	disk.window[0] = (struct policy_window){0, BLOCKS, false};
	CHECK_EQ(virtio_blk_init(&blk, &driver.vm, &driver.arena, 10, &disk, "b"), -E_INVAL);
	disk.windows = 0;
	arena_seal(&driver.arena);
	CHECK_EQ(virtio_blk_init(&blk, &driver.vm, &driver.arena, 10, &disk, "b"), -E_NOMEM);
}

int main(void)
{
	RUN(reads);
	RUN(one_fetch);
	RUN(reads_of_large_blocks);
	RUN(what_is_outside);
	RUN(windows);
	RUN(writes);
	RUN(writes_that_are_not_allowed);
	RUN(its_id);
	RUN(large_requests_take_turns);
	RUN(resets);
	RUN(many_requests_take_turns);
	RUN(disks_that_fail);
	RUN(data_outside_memory);
	RUN(requests_without_a_frame);
	RUN(pieces);
	RUN(disks_that_cannot_be);
	return TEST_RESULT();
}
