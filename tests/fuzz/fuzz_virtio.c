/*
 * Whole conversations of a guest with a disk and a console: registers, memory, doorbells and turns in any
 * order, with a short way to a started device and a request that is nearly right. Whatever the guest says,
 * the other side of the seams hears only what it may, and no more in a turn than a turn has.
 */
#include "base/bits.h"
#include "fakes/fake_hw.h"
#include "fakes/fake_pci.h"
#include "fakes/fake_vm.h"
#include "fuzz.h"
#include "input.h"
#include "virtio/blk.h"
#include "virtio/console.h"

#define RAM_SIZE   0x20000ull
#define BLOCKS	   256u
#define BLOCK_SIZE 512u
#define QUEUE_LEN  8u
#define DESC(q)	   (0x1000ull + (q)*0x3000)
#define AVAIL(q)   (DESC(q) + 0x1000)
#define USED(q)	   (DESC(q) + 0x2000)

static struct vm vm;
static struct pci_filter filter;
static struct virtio_blk blk;
static struct virtio_console console;
static uint8_t ram[RAM_SIZE] __attribute__((aligned(4096)));
static uint8_t pool[512 * 1024] __attribute__((aligned(4096)));
static uint8_t media[BLOCKS * BLOCK_SIZE];
static size_t moved, printed;
static uint8_t meddling; /* what the guest's memory becomes while the disk works */

static uint32_t take32(struct input *in)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < 4; i++)
		v = v << 8 | take(in);
	return v;
}

static void check_move(uint64_t block, size_t len)
{
	MUST(len && len <= VIRTIO_BLK_BUFFER && len % BLOCK_SIZE == 0);
	MUST(range_fits(block, len / BLOCK_SIZE, BLOCKS));
	/* The windows: all but block 100. */
	MUST(block + len / BLOCK_SIZE <= 100 || block > 100);
	moved += len;
	if (meddling)
		memset(ram + DESC(0), meddling, 0x3000);
}

static int disk_read(void *arg, uint64_t block, void *ret_data, size_t len)
{
	(void)arg;
	check_move(block, len);
	memcpy(ret_data, media + block * BLOCK_SIZE, len);
	return 0;
}

static int disk_write(void *arg, uint64_t block, void *data, size_t len)
{
	(void)arg;
	check_move(block, len);
	memcpy(media + block * BLOCK_SIZE, data, len);
	return 0;
}

static int disk_flush(void *arg)
{
	(void)arg;
	return 0;
}

static const struct virtio_blk_disk_ops disk_ops = {disk_read, disk_write, disk_flush};

static void screen_write(void *arg, const uint8_t *text, size_t len)
{
	(void)arg;
	(void)text;
	MUST(len && len <= VIRTIO_CONSOLE_TURN);
	printed += len;
}

static size_t keyboard_read(void *arg, uint8_t *ret_text, size_t max)
{
	(void)arg;
	memset(ret_text, 'k', max);
	return max / 2;
}

static const struct virtio_console_ops console_ops = {screen_write, keyboard_read};

static void make_machine(void)
{
	static const struct virtio_blk_disk disk = {.ops = &disk_ops,
		.blocks = BLOCKS,
		.block_size = BLOCK_SIZE,
		.writable = true,
		.window = {{0, 99, false}, {101, BLOCKS - 1, false}},
		.windows = 2,
		.id = "fuzz"};
	struct arena arena;

	fake_hw_reset();
	fake_vm_init(&vm);
	memset(ram, 0, sizeof(ram));
	meddling = 0;
	MUST(!gmem_add(&vm.gmem, (struct gmem_run){gpa(0), hpa(0), RAM_SIZE, ram}));
	arena_init(&arena, pool, hpa(0), sizeof(pool));
	fake_pci_q35();
	MUST(!pci_filter_init(&filter, &vm, &arena, gpa(0), 0));
	MUST(!virtio_blk_init(&blk, &vm, &arena, 10, &disk, "blk"));
	virtio_console_init(&console, &vm, 10, &console_ops, NULL, 80, 25);
	MUST(!virtio_show(&blk.virtio, &filter) && !virtio_show(&console.virtio, &filter));
	for (unsigned i = 0; i < 2; i++) {
		pci_bdf_t bdf = i ? console.virtio.dev.bdf : blk.virtio.dev.bdf;

		fake_vm_write(&vm, true, 0xcf8, 4, 0x80000004u | (uint32_t)bdf << 8);
		fake_vm_write(&vm, true, 0xcfc, 2, PCI_COMMAND_MEMORY);
	}
}

static void put(uint64_t at, const void *data, size_t len)
{
	if (range_fits(at, len, RAM_SIZE))
		memcpy(ram + at, data, len);
}

static void start(const struct virtio *t)
{
	static const uint8_t steps[] = {0, 3, 11};
	uint64_t bar = t->region.base;

	fake_vm_write(&vm, false, bar + 8, 4, 1);
	for (unsigned i = 0; i < array_size(steps); i++) {
		fake_vm_write(&vm, false, bar + COMMON_STATUS, 1, steps[i]);
		fake_vm_write(&vm, false, bar + COMMON_DRIVER_FEATURE_SELECT, 4, 1);
		fake_vm_write(&vm, false, bar + COMMON_DRIVER_FEATURE, 4, 1);
	}
	for (unsigned n = 0; n < t->model->queues; n++) {
		fake_vm_write(&vm, false, bar + COMMON_QUEUE_SELECT, 2, n);
		fake_vm_write(&vm, false, bar + COMMON_QUEUE_SIZE, 2, QUEUE_LEN);
		fake_vm_write(&vm, false, bar + COMMON_QUEUE_DESC, 8, DESC(n));
		fake_vm_write(&vm, false, bar + COMMON_QUEUE_DRIVER, 8, AVAIL(n));
		fake_vm_write(&vm, false, bar + COMMON_QUEUE_DEVICE, 8, USED(n));
		fake_vm_write(&vm, false, bar + COMMON_QUEUE_ENABLE, 2, 1);
	}
	fake_vm_write(&vm, false, bar + COMMON_STATUS, 1, 15);
}

/* Header, data and status, each a bit at the input's mercy. */
static void request(struct input *in, unsigned queue)
{
	uint8_t kind = take(in), how = take(in);
	struct virtio_blk_req req = {.type = kind & 15, .sector = take(in)};
	uint16_t index, zero = 0;
	struct virtq_desc d[] = {
		{.addr = 0x8000, .len = sizeof(req), .flags = VIRTQ_DESC_NEXT, .next = 1},
		{.addr = 0x9000 + (uint64_t)how,
			.len = (uint32_t)take(in) * 512,
			.flags = VIRTQ_DESC_NEXT | (kind & 1 ? 0u : VIRTQ_DESC_WRITE),
			.next = 2},
		{.addr = 0x8100, .len = 1, .flags = VIRTQ_DESC_WRITE},
	};

	if (how & 0x40)
		d[how & 1].len = take32(in);
	if (how & 0x80)
		d[1].flags ^= take(in);
	put(0x8000, &req, sizeof(req));
	put(DESC(queue), d, sizeof(d));
	memcpy(&index, ram + AVAIL(queue) + 2, sizeof(index));
	put(AVAIL(queue) + 4 + index % QUEUE_LEN * 2u, &zero, sizeof(zero));
	index++;
	put(AVAIL(queue) + 2, &index, sizeof(index));
}

static void step(struct input *in)
{
	uint8_t op = take(in);
	struct virtio *t = op & 0x80 ? &console.virtio : &blk.virtio;
	unsigned size = 1u << (op >> 3 & 3);
	uint64_t at = t->region.base, value;

	switch (op & 7) {
	case 0:
		at += (uint64_t)take(in) | (uint64_t)(take(in) & 0x3f) << 8;
		fake_vm_write(&vm, false, at, size, take32(in));
		break;
	case 1:
		at += (uint64_t)take(in) | (uint64_t)(take(in) & 0x3f) << 8;
		(void)fake_vm_read(&vm, false, at, size);
		break;
	case 2:
		at = (uint64_t)take(in) << 8 | take(in);
		value = take32(in);
		put(at, &value, size);
		break;
	case 3:
		t->dev.ops->poll(&t->dev);
		break;
	case 4:
		start(t);
		break;
	case 5:
		request(in, op >> 6 & 1);
		fake_vm_write(&vm, false, at + 0x3000 + (op >> 6 & 1u) * 4u, 2, 0);
		break;
	case 6:
		meddling = take(in);
		break;
	default:
		MUST(!t->dev.ops->quiesce(&t->dev));
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	make_machine();
	while (in.size) {
		moved = printed = 0;
		step(&in);
		MUST(moved <= VIRTIO_BLK_TURN * VIRTIO_BLK_BUFFER);
		MUST(printed <= VIRTIO_CONSOLE_TURN);
		MUST(fake_irqchip.line[10] == (filter.sharers[10] != 0) && filter.sharers[10] <= 2);
		MUST(blk.virtio.queue[0].size <= VIRTQ_SIZE_MAX || !blk.virtio.queue[0].ready);
	}
	MUST(!blk.virtio.dev.ops->quiesce(&blk.virtio.dev));
	MUST(!console.virtio.dev.ops->quiesce(&console.virtio.dev));
	MUST(!filter.sharers[10] && !blk.job.active && !console.printing);
	return 0;
}
