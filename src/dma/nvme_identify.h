/*
 * What the guest may know of the controller: filters over the data of Identify. Each takes a page
 * that the real controller has filled, and is applied before the guest sees a byte of it.
 *
 * Pure: no state, no hardware.
 */
#ifndef POSTERN_DMA_NVME_IDENTIFY_H
#define POSTERN_DMA_NVME_IDENTIFY_H

#include "dma/nvme_cmd.h"

/* Asynchronous event requests that the guest may have outstanding. */
#define NVME_EVENTS_MAX 4u

/* Filters a page of NVME_IDENTIFY_SIZE bytes, aligned to 8, that answers cns. */
void nvme_identify_filter(const struct nvme_view *view, uint8_t cns, uint8_t *page);

/* Identify Controller's limit on a transfer in bytes, at most NVME_TRANSFER_MAX. */
uint32_t nvme_identify_max_transfer(const uint8_t *page);

/*
 * What Identify Namespace says about namespace id; blocks is 0 if it isn't there or has a format
 * that can't be right.
 */
struct nvme_namespace nvme_identify_namespace(const uint8_t *page, uint32_t id);

#endif
