/* Split virtqueues: requests of all shapes, and guests that lie about theirs. */
#include "virtio/queue.h"
#include "base/error.h"
#include "test.h"
#include "virtio/driver.h"

static struct virtq queue;
static struct virtq_chain chain;

static void start(void)
{
	driver_reset();
	virtq_reset(&queue, &driver.vm.gmem);
	queue.size = QUEUE_LEN;
	queue.desc = gpa(DESC(0));
	queue.avail = gpa(AVAIL(0));
	queue.used = gpa(USED(0));
	CHECK_EQ(virtq_enable(&queue), 0);
	chain_begin();
}

static void an_empty_queue_has_nothing(void)
{
	start();
	CHECK(!virtq_has_work(&queue) && !virtq_pop(&queue, &chain) && !queue.broken);
	virtq_reset(&queue, &driver.vm.gmem);
	CHECK(!virtq_has_work(&queue) && !virtq_pop(&queue, &chain));
}

static void a_chain_is_two_runs_of_bytes(void)
{
	uint8_t data[8];

	start();
	memcpy(ram + DATA, "abcdefgh", 8);
	chain_put(0, DATA, 3, 0);
	chain_put(0, DATA, 0, 0);
	chain_put(0, DATA + 3, 5, 0);
	chain_put(0, DATA + 0x100, 2, VIRTQ_DESC_WRITE);
	chain_put(0, DATA + 0x200, 6, VIRTQ_DESC_WRITE);
	chain_give(0);
	CHECK(virtq_pop(&queue, &chain));
	CHECK_EQ(chain.readable_len, 8);
	CHECK_EQ(chain.writable_len, 8);
	CHECK_EQ(virtq_read(&queue, &chain, 1, data, 6), 0);
	CHECK(!memcmp(data, "bcdefg", 6));
	CHECK_EQ(virtq_read(&queue, &chain, 3, data, 6), -E_RANGE);
	CHECK_EQ(virtq_read(&queue, &chain, 8, data, 0), 0);
	CHECK_EQ(virtq_read(&queue, &chain, ~0ull, data, 2), -E_RANGE);
	CHECK_EQ(virtq_write(&queue, &chain, 1, "12345", 5), 0);
	CHECK(!memcmp(ram + DATA + 0x100,
		      "\0"
		      "1",
		      2) &&
		!memcmp(ram + DATA + 0x200, "2345\0", 5));
	CHECK_EQ(virtq_write(&queue, &chain, 4, "12345", 5), -E_RANGE);
	virtq_push(&queue, &chain, 7);
	CHECK_EQ(used_index(0), 1);
	CHECK_EQ(used_get(0, 0).id, 0);
	CHECK_EQ(used_get(0, 0).len, 7);
	CHECK(!virtq_has_work(&queue));
}

static void indices_wrap(void)
{
	start();
	for (unsigned i = 0; i < 0x10003; i++) {
		chain_begin();
		chain_put(0, DATA, 1, 0);
		chain_give(0);
		if (!virtq_pop(&queue, &chain))
			break;
		virtq_push(&queue, &chain, i);
	}
	CHECK(!queue.broken);
	CHECK_EQ(used_index(0), 3);
	CHECK_EQ(used_get(0, 0x10002).len, 0x10002);
}

/* One chain that is wrong in some way; the queue has to break, and to stay so. */
static void check_broken(int line)
{
	chain_give(0);
	if (virtq_pop(&queue, &chain) || !queue.broken || virtq_has_work(&queue)) {
		printf("  line %d: not broken\n", line);
		test_case_failures++;
	}
	virtq_push(&queue, &chain, 1);
	CHECK_EQ(used_index(0), 0);
}

#define CHECK_BROKEN() check_broken(__LINE__)

static void chains_that_lie(void)
{
	/* To itself; to the one before; out of the table. */
	start();
	chain_put(0, DATA, 1, VIRTQ_DESC_NEXT);
	CHECK_BROKEN();
	start();
	chain_put(0, DATA, 1, 0);
	chain_put(0, DATA, 1, VIRTQ_DESC_NEXT);
	CHECK_BROKEN();
	start();
	chain_put(0, DATA, 1, VIRTQ_DESC_NEXT);
	desc_at(0, 0)->next = QUEUE_LEN;
	CHECK_BROKEN();
	start();
	driver.head = QUEUE_LEN;
	CHECK_BROKEN();
	start();
	driver.head = 0xffff;
	CHECK_BROKEN();
	/* To be read behind to be written; what wasn't offered; an end that wraps. */
	start();
	chain_put(0, DATA, 1, VIRTQ_DESC_WRITE);
	chain_put(0, DATA, 1, 0);
	CHECK_BROKEN();
	start();
	chain_put(0, DATA, 16, VIRTQ_DESC_INDIRECT);
	CHECK_BROKEN();
	start();
	chain_put(0, ~0ull - 3, 8, 0);
	CHECK_BROKEN();
}

static void a_full_table_is_a_chain(void)
{
	start();
	for (unsigned i = 0; i < QUEUE_LEN; i++)
		chain_put(0, DATA, 0xffffffff, 0);
	chain_give(0);
	CHECK(virtq_pop(&queue, &chain));
	CHECK_EQ(chain.count, QUEUE_LEN);
	CHECK_EQ(chain.readable_len, 0xffffffffull * QUEUE_LEN);
}

static void indices_that_jump(void)
{
	start();
	*avail_word(0, 1) = QUEUE_LEN;
	CHECK(virtq_has_work(&queue));
	*avail_word(0, 1) = QUEUE_LEN + 1;
	CHECK(!virtq_has_work(&queue) && queue.broken);
	start();
	*avail_word(0, 1) = 0xffff;
	CHECK(!virtq_pop(&queue, &chain) && queue.broken);
}

static void rings_outside_memory(void)
{
	start();
	queue.avail = gpa(RAM_SIZE);
	CHECK(!virtq_has_work(&queue) && queue.broken && !virtq_wants_interrupt(&queue));
	start();
	chain_put(0, DATA, 1, 0);
	chain_give(0);
	queue.desc = gpa(RAM_SIZE - 8);
	CHECK(!virtq_pop(&queue, &chain) && queue.broken);
	start();
	chain_put(0, DATA, 1, 0);
	chain_give(0);
	CHECK(virtq_pop(&queue, &chain));
	queue.used = gpa(RAM_SIZE - 4);
	virtq_push(&queue, &chain, 0);
	CHECK(queue.broken);
}

static void data_outside_memory(void)
{
	uint8_t data[8];

	start();
	chain_put(0, RAM_SIZE - 4, 8, 0);
	chain_put(0, ~0ull - 8, 8, VIRTQ_DESC_WRITE);
	chain_give(0);
	CHECK(virtq_pop(&queue, &chain));
	CHECK_EQ(virtq_read(&queue, &chain, 0, data, 8), -E_FAULT);
	CHECK_EQ(virtq_write(&queue, &chain, 0, data, 8), -E_FAULT);
	CHECK(!queue.broken);
}

/* Nothing is read twice, so that it doesn't matter what it changes to. */
static void descriptors_that_change(void)
{
	start();
	chain_put(0, DATA, 4, 0);
	chain_put(0, DATA + 4, 4, 0);
	chain_put(0, DATA + 8, 4, VIRTQ_DESC_WRITE);
	chain_give(0);
	fake_gmem_forget();
	fake_gmem.hostile = true;
	CHECK(virtq_pop(&queue, &chain));
	CHECK_EQ(fake_gmem.reread, 0);
	CHECK_EQ(chain.count, 3);
	CHECK_EQ(chain.piece[1].at.v, DATA + 4);
	CHECK_EQ(chain.writable_len, 4);
}

static void what_cannot_be_enabled(void)
{
	static const struct {
		uint16_t size;
		uint64_t desc, avail, used;
	} bad[] = {{0, DESC(0), AVAIL(0), USED(0)}, {3, DESC(0), AVAIL(0), USED(0)},
		{256, DESC(0), AVAIL(0), USED(0)}, {8, DESC(0) + 8, AVAIL(0), USED(0)},
		{8, DESC(0), AVAIL(0) + 1, USED(0)}, {8, DESC(0), AVAIL(0), USED(0) + 2},
		{8, ~0ull & ~15, AVAIL(0), USED(0)}, {8, DESC(0), ~0ull & ~15, USED(0)},
		{8, DESC(0), AVAIL(0), ~0ull & ~15}};

	for (unsigned i = 0; i < array_size(bad); i++) {
		start();
		virtq_reset(&queue, &driver.vm.gmem);
		queue.size = bad[i].size;
		queue.desc = gpa(bad[i].desc);
		queue.avail = gpa(bad[i].avail);
		queue.used = gpa(bad[i].used);
		CHECK_EQ(virtq_enable(&queue), -E_INVAL);
		CHECK(!queue.ready);
	}
}

static void interrupts_can_be_unwanted(void)
{
	start();
	CHECK(virtq_wants_interrupt(&queue));
	*avail_word(0, 0) = VIRTQ_AVAIL_NO_INTERRUPT;
	CHECK(!virtq_wants_interrupt(&queue));
}

int main(void)
{
	RUN(an_empty_queue_has_nothing);
	RUN(a_chain_is_two_runs_of_bytes);
	RUN(indices_wrap);
	RUN(chains_that_lie);
	RUN(a_full_table_is_a_chain);
	RUN(indices_that_jump);
	RUN(rings_outside_memory);
	RUN(data_outside_memory);
	RUN(descriptors_that_change);
	RUN(what_cannot_be_enabled);
	RUN(interrupts_can_be_unwanted);
	return TEST_RESULT();
}
