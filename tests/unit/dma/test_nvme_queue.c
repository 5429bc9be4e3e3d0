/* Rings, slots and phases of the NVMe queue pairs. */
#include "dma/nvme_queue.h"
#include "base/error.h"
#include "fakes/fake_gmem.h"
#include "test.h"

#define ARENA_HPA 0x40000000ull

static uint8_t arena_memory[1 << 20] __attribute__((aligned(4096)));
static uint8_t guest_memory[1 << 16] __attribute__((aligned(4096)));
static struct arena arena;
static struct gmem gmem;
static struct nvme_sq sq;
static struct nvme_cq cq;

static void reset(uint32_t shadow, uint32_t guest)
{
	fake_gmem_reset();
	memset(arena_memory, 0xa5, sizeof(arena_memory));
	memset(guest_memory, 0, sizeof(guest_memory));
	memset(&gmem, 0, sizeof(gmem));
	arena_init(&arena, arena_memory, hpa(ARENA_HPA), sizeof(arena_memory));
	CHECK_EQ(gmem_add(&gmem, (struct gmem_run){gpa(0x10000), hpa(0x90000000),
					 sizeof(guest_memory), guest_memory}),
		0);
	CHECK_EQ(nvme_sq_init(&sq, &arena, 3, shadow, NVME_LIST_SIZE), 0);
	CHECK_EQ(nvme_cq_init(&cq, &arena, 3, shadow), 0);
	CHECK(arena.used <= nvme_queue_arena_size(shadow, NVME_LIST_SIZE));
	nvme_sq_start(&sq, gpa(0x10000), guest, 3);
	nvme_cq_start(&cq, gpa(0x18000), guest, true, 0);
}

static void memory_runs_out(void)
{
	size_t need;

	reset(256, 16);
	need = arena.used;
	for (size_t size = 0; size < need; size += PAGE_SIZE) {
		arena_init(&arena, arena_memory, hpa(ARENA_HPA), size);
		CHECK(nvme_sq_init(&sq, &arena, 3, 256, NVME_LIST_SIZE) == -E_NOMEM ||
			nvme_cq_init(&cq, &arena, 3, 256) == -E_NOMEM);
	}
}

static void rings_lie_in_guest_memory(void)
{
	reset(16, 16);
	CHECK(nvme_ring_ok(&gmem, 0x10000, 1024, 64));
	CHECK(!nvme_ring_ok(&gmem, 0x10000, 1025, 64));
	CHECK(nvme_ring_ok(&gmem, 0x1f000, 64, 64));
	CHECK(!nvme_ring_ok(&gmem, 0x1f000, 65, 64));
	CHECK(!nvme_ring_ok(&gmem, 0x10800, 2, 64));
	CHECK(!nvme_ring_ok(&gmem, 0xf000, 2, 64));
	CHECK(!nvme_ring_ok(&gmem, ~0xfffull, 65536, 64));
	CHECK(!nvme_ring_ok(&gmem, ~0xfffull, 64, 64));
}

static void tails_move_forward_only(void)
{
	reset(16, 8);
	CHECK(!nvme_sq_pending(&sq));
	CHECK(!nvme_sq_set_tail(&sq, 8));
	CHECK(!nvme_sq_set_tail(&sq, ~0u));
	CHECK(nvme_sq_set_tail(&sq, 0));
	CHECK(nvme_sq_set_tail(&sq, 5));
	CHECK(!nvme_sq_set_tail(&sq, 4));
	CHECK(!nvme_sq_set_tail(&sq, 0));
	CHECK_EQ(sq.guest.tail, 5);
	CHECK(nvme_sq_set_tail(&sq, 7));
	for (unsigned i = 0; i < 4; i++) {
		struct nvme_sqe sqe;

		CHECK(nvme_sq_pending(&sq));
		CHECK_EQ(nvme_sq_fetch(&sq, &gmem, &sqe), 0);
	}
	/* Head 4, tail 7: free to go up to 3. */
	CHECK(nvme_sq_set_tail(&sq, 1));
	CHECK(!nvme_sq_set_tail(&sq, 0));
	CHECK(!nvme_sq_set_tail(&sq, 7));
	CHECK(!nvme_sq_set_tail(&sq, 4));
	CHECK(nvme_sq_set_tail(&sq, 3));
}

static void heads_follow_what_was_posted(void)
{
	reset(16, 4);
	CHECK(nvme_cq_set_head(&cq, 0));
	CHECK(!nvme_cq_set_head(&cq, 1));
	for (unsigned i = 0; i < 3; i++) {
		CHECK(nvme_cq_has_room(&cq));
		CHECK_EQ(nvme_cq_post(&cq, &gmem, (struct nvme_cqe){.cid = (uint16_t)i}), 0);
	}
	CHECK(!nvme_cq_has_room(&cq));
	CHECK(!nvme_cq_set_head(&cq, 4));
	CHECK(nvme_cq_set_head(&cq, 2));
	CHECK(!nvme_cq_set_head(&cq, 1));
	CHECK(nvme_cq_unread(&cq));
	CHECK(nvme_cq_set_head(&cq, 3));
	CHECK(!nvme_cq_unread(&cq));
}

static void posts_flip_the_phase(void)
{
	struct nvme_cqe *ring = (struct nvme_cqe *)(void *)(guest_memory + 0x8000);

	reset(16, 3);
	for (unsigned i = 0; i < 20; i++) {
		CHECK_EQ(nvme_cq_post(&cq, &gmem,
				 (struct nvme_cqe){
					 .cid = (uint16_t)i, .status = i & 2 ? 0xffff : 0}),
			0);
		CHECK_EQ(ring[i % 3].cid, i);
		CHECK_EQ(ring[i % 3].status & CQE_PHASE, !(i / 3 % 2));
		CHECK_EQ(ring[i % 3].status >> 1, i & 2 ? 0x7fff : 0);
		CHECK(nvme_cq_set_head(&cq, (i + 1) % 3));
	}
	gmem.count = 0;
	CHECK_EQ(nvme_cq_post(&cq, &gmem, (struct nvme_cqe){0}), -E_FAULT);
	CHECK_EQ(cq.guest.tail, 20 % 3);
}

static void fetches_wrap_and_read_once(void)
{
	struct nvme_sqe sqe;

	reset(16, 4);
	fake_gmem.hostile = true;
	for (unsigned i = 0; i < 10; i++) {
		memset(guest_memory + i % 4 * 64, (int)i, 64);
		CHECK(nvme_sq_set_tail(&sq, (i + 1) % 4));
		fake_gmem_forget();
		CHECK_EQ(nvme_sq_fetch(&sq, &gmem, &sqe), 0);
		CHECK_EQ(sqe.opcode, i);
		CHECK_EQ(sqe.cdw15, i * 0x01010101u);
		CHECK_EQ(fake_gmem.reread, 0);
	}
	CHECK_EQ(fake_gmem.reads, 10);
	gmem.count = 0;
	CHECK_EQ(nvme_sq_fetch(&sq, &gmem, &sqe), -E_FAULT);
	CHECK_EQ(sq.guest.head, 10 % 4);
}

/* The controller's side of the shadow completion queue. */
static unsigned device_tail;
static bool device_phase = true;

static void device_posts(uint16_t cid)
{
	cq.shadow[device_tail].cid = cid;
	cq.shadow[device_tail].sq_id = 3;
	cq.shadow[device_tail].result = cid * 2u;
	cq.shadow[device_tail].status = (uint16_t)(0x2004 | device_phase);
	device_tail = (device_tail + 1) % cq.entries;
	device_phase ^= !device_tail;
}

static void completions_are_taken_in_order(void)
{
	struct nvme_cqe cqe = {.cid = 77};

	reset(4, 4);
	device_tail = 0;
	device_phase = true;
	CHECK(!nvme_cq_pop(&cq, &cqe));
	CHECK_EQ(cqe.cid, 77);
	for (uint16_t i = 0; i < 23; i++) {
		device_posts(i);
		CHECK(nvme_cq_pop(&cq, &cqe));
		CHECK_EQ(cqe.cid, i);
		CHECK_EQ(cqe.result, i * 2u);
		CHECK_EQ(cqe.status >> 1, 0x1002);
		CHECK(!nvme_cq_pop(&cq, &cqe));
		CHECK_EQ(cq.head, (i + 1) % 4);
	}
	/* A new life finds nothing of the old one. */
	nvme_cq_start(&cq, gpa(0x18000), 4, false, 0);
	CHECK(!nvme_cq_pop(&cq, &cqe));
}

static void slots_have_generations(void)
{
	struct nvme_slot *slot[15];
	uint16_t cid;

	reset(16, 8);
	for (unsigned i = 0; i < 15; i++) {
		slot[i] = nvme_slot_get(&sq);
		CHECK(slot[i]);
		slot[i]->guest_cid = (uint16_t)(0x1000 + i);
		CHECK_EQ(nvme_slot_list(&sq, slot[i]).at.v & (NVME_LIST_SIZE - 1), 0);
		for (unsigned k = 0; k < i; k++)
			CHECK(slot[k] != slot[i]);
	}
	CHECK(!nvme_slot_get(&sq));
	cid = nvme_slot_cid(&sq, slot[4]);
	CHECK(nvme_slot_find(&sq, cid) == slot[4]);
	CHECK(nvme_slot_find_guest(&sq, 0x1004) == slot[4]);
	CHECK(!nvme_slot_find_guest(&sq, 0x2000));
	CHECK(!nvme_slot_find(&sq, (uint16_t)((cid & 0xff00) | 15)));
	CHECK(!nvme_slot_find(&sq, 0xffff));
	nvme_slot_put(&sq, slot[4]);
	CHECK(!nvme_slot_find(&sq, cid));
	CHECK(!nvme_slot_find_guest(&sq, 0x1004));
	CHECK(nvme_slot_get(&sq) == slot[4]);
	CHECK(!nvme_slot_find(&sq, cid));
	cid = nvme_slot_cid(&sq, slot[4]);
	nvme_sq_start(&sq, gpa(0x10000), 8, 3);
	while (nvme_slot_get(&sq))
		;
	CHECK(!nvme_slot_find(&sq, cid));
}

static void pushes_fill_the_shadow(void)
{
	reset(4, 8);
	for (unsigned i = 0; i < 9; i++) {
		nvme_sq_push(&sq, &(struct nvme_sqe){.cdw10 = i});
		CHECK_EQ(sq.shadow[i % 4].cdw10, i);
	}
	CHECK_EQ(sq.tail, 1);
	CHECK_EQ(sq.shadow_at.v, ARENA_HPA + ((uint8_t *)sq.shadow - arena_memory));
}

int main(void)
{
	RUN(memory_runs_out);
	RUN(rings_lie_in_guest_memory);
	RUN(tails_move_forward_only);
	RUN(heads_follow_what_was_posted);
	RUN(posts_flip_the_phase);
	RUN(fetches_wrap_and_read_once);
	RUN(completions_are_taken_in_order);
	RUN(slots_have_generations);
	RUN(pushes_fill_the_shadow);
	return TEST_RESULT();
}
