/*
 * Layouts and numbers of Virtual I/O Device (VIRTIO) Version 1.1, OASIS Committee Specification 01:
 * "Split Virtqueues", "Virtio Over PCI Bus", "Block Device", "Console Device". Little endian
 * throughout, as this machine is.
 */
#ifndef POSTERN_VIRTIO_SPEC_H
#define POSTERN_VIRTIO_SPEC_H

#include "base/types.h"

/* "Virtqueue Descriptor Table". */
#define VIRTQ_DESC_NEXT	    0x1u
#define VIRTQ_DESC_WRITE    0x2u
#define VIRTQ_DESC_INDIRECT 0x4u

struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};
_Static_assert(sizeof(struct virtq_desc) == 16, "descriptor");

/* "Virtqueue Available Ring": flags, index, then 16-bit heads. */
#define VIRTQ_AVAIL_NO_INTERRUPT 0x1u
#define VIRTQ_AVAIL_FLAGS	 0u
#define VIRTQ_AVAIL_INDEX	 2u
#define VIRTQ_AVAIL_RING	 4u

/* "Virtqueue Used Ring": flags, index, then elements. */
#define VIRTQ_USED_INDEX	 2u
#define VIRTQ_USED_RING		 4u

struct virtq_used_elem {
	uint32_t id, len;
};
_Static_assert(sizeof(struct virtq_used_elem) == 8, "used element");

#define VIRTQ_DESC_ALIGN	  16u
#define VIRTQ_AVAIL_ALIGN	  2u
#define VIRTQ_USED_ALIGN	  4u

/* "Device Status Field". */
#define VIRTIO_STATUS_DRIVER_OK	  0x04u
#define VIRTIO_STATUS_FEATURES_OK 0x08u
#define VIRTIO_STATUS_NEEDS_RESET 0x40u

/* "Reserved Feature Bits". */
#define VIRTIO_F_VERSION_1	  (1ull << 32)

/* "PCI Device Discovery": 1040h and the device id; a revision of 1 or more has no legacy interface. */
#define VIRTIO_PCI_VENDOR	  0x1af4u
#define VIRTIO_PCI_DEVICE	  0x1040u
#define VIRTIO_PCI_REVISION	  1u
#define VIRTIO_ID_BLOCK		  2u
#define VIRTIO_ID_CONSOLE	  3u

/* "Virtio Structure PCI Capabilities". */
#define VIRTIO_CAP_COMMON	  1u
#define VIRTIO_CAP_NOTIFY	  2u
#define VIRTIO_CAP_ISR		  3u
#define VIRTIO_CAP_DEVICE	  4u

struct virtio_pci_cap {
	uint8_t vendor, next, len, type, bar, id, padding[2];
	uint32_t offset, length;
	uint32_t notify_multiplier; /* VIRTIO_CAP_NOTIFY only */
};
_Static_assert(sizeof(struct virtio_pci_cap) == 20, "capability");
#define VIRTIO_PCI_CAP_LEN	     16u /* of the kinds without a multiplier */

/* "Common configuration structure layout". */
#define COMMON_DEVICE_FEATURE_SELECT 0x00u
#define COMMON_DEVICE_FEATURE	     0x04u
#define COMMON_DRIVER_FEATURE_SELECT 0x08u
#define COMMON_DRIVER_FEATURE	     0x0cu
#define COMMON_MSIX_CONFIG	     0x10u
#define COMMON_NUM_QUEUES	     0x12u
#define COMMON_STATUS		     0x14u
#define COMMON_GENERATION	     0x15u
#define COMMON_QUEUE_SELECT	     0x16u
#define COMMON_QUEUE_SIZE	     0x18u
#define COMMON_QUEUE_MSIX	     0x1au
#define COMMON_QUEUE_ENABLE	     0x1cu
#define COMMON_QUEUE_NOTIFY	     0x1eu
#define COMMON_QUEUE_DESC	     0x20u
#define COMMON_QUEUE_DRIVER	     0x28u
#define COMMON_QUEUE_DEVICE	     0x30u
#define COMMON_SIZE		     0x38u
#define VIRTIO_NO_VECTOR	     0xffffu

/* "ISR status capability". */
#define VIRTIO_ISR_QUEUE	     0x1u
#define VIRTIO_ISR_CONFIG	     0x2u

/* "Block Device". Sectors have 512 bytes, whatever the block size is. */
#define BLK_F_SIZE_MAX		     (1ull << 1)
#define BLK_F_SEG_MAX		     (1ull << 2)
#define BLK_F_RO		     (1ull << 5)
#define BLK_F_BLK_SIZE		     (1ull << 6)
#define BLK_F_FLUSH		     (1ull << 9)
#define BLK_SECTOR		     512u

enum { BLK_T_IN = 0, BLK_T_OUT = 1, BLK_T_FLUSH = 4, BLK_T_GET_ID = 8 };
enum { BLK_S_OK = 0, BLK_S_IOERR = 1, BLK_S_UNSUPP = 2 };
#define BLK_ID_BYTES 20u

struct virtio_blk_req {
	uint32_t type, reserved;
	uint64_t sector;
};
_Static_assert(sizeof(struct virtio_blk_req) == 16, "request header");

struct virtio_blk_config {
	uint64_t capacity; /* sectors */
	uint32_t size_max, seg_max;
	uint16_t cylinders;
	uint8_t heads, sectors;
	uint32_t blk_size;
};
_Static_assert(sizeof(struct virtio_blk_config) == 24, "block configuration");

/* "Console Device": without MULTIPORT, queue 0 is input and queue 1 output. */
#define CONSOLE_F_SIZE (1ull << 0)
enum { CONSOLE_INPUT, CONSOLE_OUTPUT, CONSOLE_QUEUES };

struct virtio_console_config {
	uint16_t cols, rows;
	uint32_t max_ports, emergency;
};
_Static_assert(sizeof(struct virtio_console_config) == 12, "console configuration");

#endif
