/* Split virtqueues; see queue.h. State is the caller's. All but enabling is on the exit path. */
#include "virtio/queue.h"
#include "base/bits.h"
#include "base/error.h"

void virtq_reset(struct virtq *q, struct gmem *gmem)
{
	*q = (struct virtq){.gmem = gmem, .size = VIRTQ_SIZE_MAX};
}

/* Rings that aren't in memory break the queue when they are used. */
int virtq_enable(struct virtq *q)
{
	if (!q->size || q->size > VIRTQ_SIZE_MAX || q->size & (q->size - 1))
		return -E_INVAL;
	if (!is_aligned(q->desc.v, VIRTQ_DESC_ALIGN) ||
		!is_aligned(q->avail.v, VIRTQ_AVAIL_ALIGN) ||
		!is_aligned(q->used.v, VIRTQ_USED_ALIGN))
		return -E_INVAL;
	/* All that is added to them later is less than a megabyte. */
	if (q->desc.v > ~0ull - MIB || q->avail.v > ~0ull - MIB || q->used.v > ~0ull - MIB)
		return -E_INVAL;
	q->next_avail = q->next_used = 0;
	q->ready = true;
	q->broken = false;
	return 0;
}

static bool usable(const struct virtq *q)
{
	return q->ready && !q->broken;
}

/* The number of requests that wait; more than the ring holds is a lie. */
static unsigned waiting(struct virtq *q)
{
	uint16_t index, count;

	if (!usable(q))
		return 0;
	if (gmem_read(q->gmem, gpa(q->avail.v + VIRTQ_AVAIL_INDEX), &index, sizeof(index))) {
		q->broken = true;
		return 0;
	}
	count = (uint16_t)(index - q->next_avail);
	if (count > q->size) {
		q->broken = true;
		return 0;
	}
	return count;
}

bool virtq_has_work(struct virtq *q)
{
	return waiting(q) != 0;
}

/* What the device reads stands before what it writes. */
static int chain_add(struct virtq_chain *c, const struct virtq_desc *d)
{
	bool writable = d->flags & VIRTQ_DESC_WRITE;

	if (d->flags & VIRTQ_DESC_INDIRECT || d->addr > ~0ull - d->len)
		return -E_CORRUPT;
	if (!writable && c->count != c->readable)
		return -E_CORRUPT;
	c->piece[c->count].at = gpa(d->addr);
	c->piece[c->count++].len = d->len;
	if (writable) {
		c->writable_len += d->len;
	} else {
		c->readable++;
		c->readable_len += d->len;
	}
	return 0;
}

/* At most as many descriptors as the table has: a longer chain is a loop. */
static int chain_follow(const struct virtq *q, struct virtq_chain *c)
{
	struct virtq_desc d = {.flags = VIRTQ_DESC_NEXT, .next = c->head};

	while (d.flags & VIRTQ_DESC_NEXT) {
		int err;

		if (d.next >= q->size || c->count == q->size)
			return -E_CORRUPT;
		err = gmem_read(q->gmem, gpa(q->desc.v + d.next * sizeof(d)), &d, sizeof(d));
		if (!err)
			err = chain_add(c, &d);
		if (err)
			return err;
	}
	return 0;
}

bool virtq_pop(struct virtq *q, struct virtq_chain *ret)
{
	uint64_t slot = q->next_avail & (q->size - 1u);

	if (!waiting(q))
		return false;
	ret->readable = ret->count = 0;
	ret->readable_len = ret->writable_len = 0;
	if (gmem_read(q->gmem, gpa(q->avail.v + VIRTQ_AVAIL_RING + slot * sizeof(ret->head)),
		    &ret->head, sizeof(ret->head)) ||
		chain_follow(q, ret)) {
		q->broken = true;
		return false;
	}
	q->next_avail++;
	return true;
}

/* How many bytes lie together at an offset into the pieces from first on, and where. */
static uint64_t chain_at(const struct virtq_chain *c, unsigned first, uint64_t offset, gpa_t *ret)
{
	while (offset >= c->piece[first].len)
		offset -= c->piece[first++].len;
	*ret = gpa(c->piece[first].at.v + offset);
	return c->piece[first].len - offset;
}

int virtq_read(const struct virtq *q, const struct virtq_chain *c, uint64_t offset, void *ret_copy,
	size_t len)
{
	uint8_t *out = ret_copy;

	if (!range_fits(offset, len, c->readable_len))
		return -E_RANGE;
	while (len) {
		gpa_t at;
		uint64_t n = min_u64(chain_at(c, 0, offset, &at), len);
		int err = gmem_read(q->gmem, at, out, n);

		if (err)
			return err;
		out += n;
		offset += n;
		len -= n;
	}
	return 0;
}

int virtq_write(
	struct virtq *q, const struct virtq_chain *c, uint64_t offset, const void *data, size_t len)
{
	const uint8_t *in = data;

	if (!range_fits(offset, len, c->writable_len))
		return -E_RANGE;
	while (len) {
		gpa_t at;
		uint64_t n = min_u64(chain_at(c, c->readable, offset, &at), len);
		int err = gmem_write(q->gmem, at, in, n);

		if (err)
			return err;
		in += n;
		offset += n;
		len -= n;
	}
	return 0;
}

void virtq_push(struct virtq *q, const struct virtq_chain *c, uint32_t written)
{
	struct virtq_used_elem elem = {.id = c->head, .len = written};
	uint64_t slot = q->next_used & (q->size - 1u);

	if (!usable(q))
		return;
	q->next_used++;
	if (gmem_write(q->gmem, gpa(q->used.v + VIRTQ_USED_RING + slot * sizeof(elem)), &elem,
		    sizeof(elem)) ||
		gmem_write(q->gmem, gpa(q->used.v + VIRTQ_USED_INDEX), &q->next_used,
			sizeof(q->next_used)))
		q->broken = true;
}

bool virtq_wants_interrupt(const struct virtq *q)
{
	uint16_t flags;

	return !gmem_read(q->gmem, gpa(q->avail.v + VIRTQ_AVAIL_FLAGS), &flags, sizeof(flags)) &&
	       !(flags & VIRTQ_AVAIL_NO_INTERRUPT);
}
