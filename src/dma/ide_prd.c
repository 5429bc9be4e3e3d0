/* The PRD validator; see ide_prd.h. No state. On the exit path. */
#include "dma/ide_prd.h"
#include "base/bits.h"
#include "base/error.h"
#include "dma/ata.h"

#define BLOCK	  (64 * KIB)
#define TOTAL_MAX ((uint64_t)ATA_SECTORS_MAX * ATA_SECTOR_SIZE)
#define CHUNK	  64u /* entries read at a time */

struct builder {
	const struct gmem *m;
	struct ide_prd *shadow;
	unsigned count;
	uint64_t total;
};

static int emit(struct builder *b, uint64_t address, uint64_t len)
{
	if (b->count == IDE_PRD_MAX)
		return -E_NOMEM;
	b->shadow[b->count++] = (struct ide_prd){
		.address = (uint32_t)address,
		.count = (uint16_t)(len & (BLOCK - 1)),
	};
	return 0;
}

static int add_region(struct builder *b, const struct ide_prd *prd)
{
	uint64_t at = prd->address, left = prd->count ? prd->count : BLOCK;

	if ((prd->address | prd->count) & 1)
		return -E_INVAL;
	if (left > TOTAL_MAX - b->total)
		return -E_RANGE;
	b->total += left;
	while (left) {
		uint64_t len;
		hpa_t to;
		int err = gmem_translate(b->m, gpa(at), left, &to, &len);

		if (err)
			return err;
		len = min_u64(len, BLOCK - (to.v & (BLOCK - 1)));
		if (!range_fits(to.v, len, 4 * GIB))
			return -E_RANGE;
		err = emit(b, to.v, len);
		if (err)
			return err;
		at += len;
		left -= len;
	}
	return 0;
}

/*
 * How many entries to copy at once: those that end in the same page, so that the copy doesn't
 * fail on what lies behind the table's end; one where the next entry straddles two pages.
 */
static unsigned chunk_at(uint64_t at, unsigned left)
{
	uint64_t n = (PAGE_SIZE - (at & PAGE_MASK)) / sizeof(struct ide_prd);

	return (unsigned)min_u64(max_u64(n, 1), min_u64(left, CHUNK));
}

int ide_prd_build(const struct gmem *m, gpa_t table, struct ide_prd *shadow)
{
	struct builder b = {.m = m, .shadow = shadow};
	struct ide_prd chunk[CHUNK];
	unsigned left = IDE_PRD_MAX;

	while (left) {
		unsigned n = chunk_at(table.v, left);
		int err = gmem_read(m, table, chunk, n * sizeof(chunk[0]));

		for (unsigned i = 0; i < n && !err; i++) {
			err = add_region(&b, &chunk[i]);
			if (!err && (chunk[i].flags & IDE_PRD_END)) {
				shadow[b.count - 1].flags = IDE_PRD_END;
				return 0;
			}
		}
		if (err)
			return err;
		table.v += n * sizeof(chunk[0]);
		left -= n;
	}
	return -E_RANGE;
}
