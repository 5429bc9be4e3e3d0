/*
 * The judge of NVMe commands: takes the one copy of a submission queue entry that was fetched from
 * the guest, and either builds the entry that the real controller may see, or says with which
 * status the command ends. A new entry is put together from the fields that are understood; nothing
 * is passed through because it looked harmless.
 *
 * Pure: no state, no hardware. Guest memory is read only for PRP lists, each of them once.
 */
#ifndef POSTERN_DMA_NVME_CMD_H
#define POSTERN_DMA_NVME_CMD_H

#include "core/gmem.h"
#include "core/policy.h"
#include "dma/nvme_spec.h"

/* Not a status: the command goes to the controller. */
#define NVME_FORWARD	  0xffffu

/* The largest transfer shown to the guest, as Identify's MDTS: 128 KiB. */
#define NVME_MDTS	  5u
#define NVME_TRANSFER_MAX ((uint32_t)(PAGE_SIZE << NVME_MDTS))
/* Pages that such a transfer can touch when it begins inside one. */
#define NVME_PRPS_MAX	  ((1u << NVME_MDTS) + 1)
/*
 * Host memory of each command for its PRP list, the first page's entry excepted. Areas of this size
 * and alignment don't cross a page, and no list reaches its page's last entry, where it would be
 * taken for a pointer to a next list.
 */
#define NVME_LIST_SIZE	  512u
_Static_assert((NVME_PRPS_MAX - 1) * 8 < NVME_LIST_SIZE, "PRP list");

/* What is known of a namespace; its format can't change while the guest runs. */
struct nvme_namespace {
	uint32_t id;
	uint8_t block_shift;
	uint16_t metadata; /* bytes per block */
	uint64_t blocks;
};

/* All that a judgement depends on. */
struct nvme_view {
	const struct gmem *gmem;
	const struct policy *policy;
	const struct nvme_namespace *ns;
	unsigned ns_count;
	uint32_t max_transfer; /* bytes, at most NVME_TRANSFER_MAX */
};

/* NVME_LIST_SIZE bytes that the controller may read. */
struct nvme_list {
	uint64_t *entry;
	hpa_t at;
};

/* A command's data buffer as guest pages; only the first may begin inside a page. */
struct nvme_buffer {
	uint64_t page[NVME_PRPS_MAX];
	unsigned count;
	uint32_t len;
};

/* Bytes of the buffer's nth page that belong to it. */
uint32_t nvme_buffer_bytes(const struct nvme_buffer *b, unsigned n);

/*
 * Fetches the buffer of len bytes that a command's PRP entries describe: their number, their
 * alignment, and each list once. 0, or a status with *ret undefined.
 */
uint16_t nvme_buffer_fetch(const struct gmem *gmem, const struct nvme_sqe *in, uint32_t len,
	struct nvme_buffer *ret) must_check;

/* 0 if all of a buffer is guest memory, or a status. */
uint16_t nvme_buffer_check(const struct gmem *gmem, const struct nvme_buffer *b) must_check;

/* The same, and points out's PRP entries at the host memory behind it. */
uint16_t nvme_buffer_map(const struct gmem *gmem, const struct nvme_buffer *b,
	const struct nvme_list *list, struct nvme_sqe *out) must_check;

/*
 * NVME_FORWARD with *ret filled but for its identifier, or the status of a refused command; list
 * may have been written to in both cases.
 */
uint16_t nvme_io_check(const struct nvme_view *view, const struct nvme_sqe *in,
	const struct nvme_list *list, struct nvme_sqe *ret) must_check;

/* The same for the admin commands that depend on nothing but themselves. */
uint16_t nvme_log_page_check(const struct nvme_view *view, const struct nvme_sqe *in,
	const struct nvme_list *list, struct nvme_sqe *ret) must_check;
uint16_t nvme_get_features_check(
	const struct nvme_view *view, const struct nvme_sqe *in, struct nvme_sqe *ret) must_check;
uint16_t nvme_set_features_check(
	const struct nvme_view *view, const struct nvme_sqe *in, struct nvme_sqe *ret) must_check;
/* Security send and receive: the protocols of the TCG, and the list of protocols. */
uint16_t nvme_security_check(const struct nvme_view *view, const struct nvme_sqe *in,
	const struct nvme_list *list, struct nvme_sqe *ret) must_check;
/* The data of Identify is filtered on its way: *ret_buffer is where it goes in the end. */
uint16_t nvme_identify_check(const struct nvme_view *view, const struct nvme_sqe *in,
	struct nvme_sqe *ret, struct nvme_buffer *ret_buffer) must_check;

/* The namespace of an identifier, or NULL. */
const struct nvme_namespace *nvme_find_namespace(const struct nvme_view *view, uint32_t id);

/* Reserved and unsupported bits that every command shares: fused operation, SGL, metadata. */
bool nvme_shape_ok(const struct nvme_sqe *in);

#endif
