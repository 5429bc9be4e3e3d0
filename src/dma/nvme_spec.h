/*
 * Registers, data structures and numbers of NVM Express. No state. Facts are from the NVM Express
 * Base Specification 1.4 ("Controller Registers", "Submission Queue Entry", "Completion Queue
 * Entry", "Identify command", "Status Field Definition") and, where it differs, 2.0.
 */
#ifndef POSTERN_DMA_NVME_SPEC_H
#define POSTERN_DMA_NVME_SPEC_H

#include "base/types.h"

#define NVME_CAP	   0x00u
#define CAP_MQES	   0xffffull /* entries of the largest queue, less 1 */
#define CAP_CQR		   (1ull << 16)
#define CAP_TO		   (0xffull << 24) /* in NVME_TIMEOUT_US */
#define CAP_DSTRD	   (0xfull << 32)  /* doorbells are 4 << DSTRD bytes apart */
#define CAP_CSS		   (0xffull << 37)
#define CAP_CSS_NVM	   (1ull << 37)
#define CAP_MPSMIN	   (0xfull << 48) /* smallest page is 4096 << MPSMIN */
#define CAP_CRMS	   (3ull << 59)
#define NVME_VS		   0x08u
#define NVME_VS_MAKE(a, b) ((uint32_t)(a) << 16 | (b) << 8)
#define NVME_INTMS	   0x0cu
#define NVME_INTMC	   0x10u
#define NVME_CC		   0x14u
#define CC_EN		   (1u << 0)
#define CC_CSS		   (7u << 4)
#define CC_MPS		   (0xfu << 7)
#define CC_AMS		   (7u << 11)
#define CC_SHN		   (3u << 14)
#define CC_IOSQES	   (0xfu << 16)
#define CC_IOCQES	   (0xfu << 20)
#define CC_WRITABLE	   (CC_EN | CC_CSS | CC_MPS | CC_AMS | CC_SHN | CC_IOSQES | CC_IOCQES)
#define NVME_CSTS	   0x1cu
#define CSTS_RDY	   (1u << 0)
#define CSTS_CFS	   (1u << 1)
#define CSTS_SHST_DONE	   (2u << 2)
#define NVME_AQA	   0x24u
#define AQA_ASQS	   0x00000fffu /* entries, less 1 */
#define AQA_ACQS	   0x0fff0000u
#define NVME_ASQ	   0x28u
#define NVME_ACQ	   0x30u
#define NVME_CRTO	   0x68u       /* since 2.0, if CAP.CRMS says so */
#define CRTO_CRWMT	   0x0000ffffu /* until ready with media, in NVME_TIMEOUT_US */
#define NVME_REGS_END	   0x1000u     /* where doorbells begin */

#define NVME_TIMEOUT_US	   500000u
#define NVME_SQE_SIZE	   64u
#define NVME_CQE_SIZE	   16u
#define NVME_SQE_SHIFT	   6u /* as CC.IOSQES says it */
#define NVME_CQE_SHIFT	   4u
#define NVME_NSID_ALL	   0xffffffffu

struct nvme_sqe {
	uint8_t opcode;
	uint8_t flags; /* FUSE in 1:0, PSDT in 7:6: the rest is reserved */
	uint16_t cid;
	uint32_t nsid, cdw2, cdw3;
	uint64_t mptr, prp1, prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
_Static_assert(sizeof(struct nvme_sqe) == NVME_SQE_SIZE, "submission queue entry");
_Static_assert(offsetof(struct nvme_sqe, prp1) == 24, "submission queue entry");
_Static_assert(offsetof(struct nvme_sqe, cdw10) == 40, "submission queue entry");

struct nvme_cqe {
	uint32_t result, reserved;
	uint16_t sq_head, sq_id;
	uint16_t cid;
	uint16_t status; /* phase in bit 0, the status field above it */
};
_Static_assert(sizeof(struct nvme_cqe) == NVME_CQE_SIZE, "completion queue entry");
_Static_assert(offsetof(struct nvme_cqe, cid) == 12, "completion queue entry");

#define CQE_PHASE 1u

/* Admin commands. */
enum {
	NVME_DELETE_SQ = 0x00,
	NVME_CREATE_SQ = 0x01,
	NVME_GET_LOG_PAGE = 0x02,
	NVME_DELETE_CQ = 0x04,
	NVME_CREATE_CQ = 0x05,
	NVME_IDENTIFY = 0x06,
	NVME_ABORT = 0x08,
	NVME_SET_FEATURES = 0x09,
	NVME_GET_FEATURES = 0x0a,
	NVME_ASYNC_EVENT = 0x0c,
	NVME_FIRMWARE_COMMIT = 0x10,
	NVME_FORMAT = 0x80,
	NVME_SECURITY_SEND = 0x81,
	NVME_SECURITY_RECEIVE = 0x82,
};

/* I/O commands of the NVM command set. */
enum {
	NVME_FLUSH = 0x00,
	NVME_WRITE = 0x01,
	NVME_READ = 0x02,
	NVME_WRITE_UNCORRECTABLE = 0x04,
	NVME_COMPARE = 0x05,
	NVME_WRITE_ZEROES = 0x08,
	NVME_DATASET_MANAGEMENT = 0x09,
};

/*
 * Create I/O queue: identifier and size less 1 in dword 10, flags and the other identifier in
 * dword 11.
 */
#define QUEUE_ID	       0x0000ffffu
#define QUEUE_SIZE	       0xffff0000u
#define QUEUE_CONTIGUOUS       (1u << 0)
#define QUEUE_IRQ	       (1u << 1)
#define QUEUE_PRIORITY	       (3u << 1)
#define QUEUE_OTHER	       0xffff0000u /* CQ's vector, or SQ's completion queue */

/* Identify: dword 10. */
#define IDENTIFY_CNS	       0xffu
#define CNS_NAMESPACE	       0x00u
#define CNS_CONTROLLER	       0x01u
#define CNS_ACTIVE_LIST	       0x02u
#define CNS_DESCRIPTORS	       0x03u
#define CNS_CS_CONTROLLER      0x06u /* of one I/O command set, 2.0 */
#define NVME_IDENTIFY_SIZE     4096u
#define NVME_ID_LIST_LENGTH    1024u /* namespaces in an active list */

/* Identify Controller: offsets in bytes. */
#define IDC_SERIAL	       4u  /* 20 bytes */
#define IDC_MODEL	       24u /* 40 bytes */
#define IDC_FIRMWARE	       64u /* 8 bytes */
#define IDC_CMIC	       76u
#define IDC_MDTS	       77u
#define IDC_OAES	       92u
#define IDC_CTRATT	       96u
#define IDC_RRLS	       100u
#define IDC_CNTRLTYPE	       111u
#define IDC_CRDT	       128u
#define IDC_OACS	       256u
#define OACS_SECURITY	       (1u << 0)
#define IDC_ACL		       258u
#define IDC_AERL	       259u
#define IDC_FRMW	       260u
#define FRMW_READ_ONLY	       0x03u /* one slot, read-only */
#define IDC_LPA		       261u
#define IDC_ELPE	       262u
#define IDC_AVSCC	       264u
#define IDC_WCTEMP	       266u
#define IDC_MTFA	       270u
#define IDC_TNVMCAP	       280u
#define IDC_UNVMCAP	       296u
#define IDC_SQES	       512u
#define IDC_CQES	       513u
#define IDC_MAXCMD	       514u
#define IDC_NN		       516u
#define IDC_ONCS	       520u
#define ONCS_COMPARE	       (1u << 0)
#define ONCS_WRITE_ZEROES      (1u << 3)
#define IDC_FUSES	       522u
#define IDC_VWC		       525u
#define VWC_PRESENT	       0x01u
#define IDC_AWUN	       526u
#define IDC_NVSCC	       530u
#define IDC_SUBNQN	       768u
#define IDC_FABRICS	       1024u
#define IDC_PSD		       2048u
#define IDC_VENDOR	       3072u

/* Identify Namespace: offsets in bytes. */
#define IDN_NSZE	       0u
#define IDN_FLBAS	       26u
#define FLBAS_INDEX	       0x0fu
#define FLBAS_INDEX_HI	       0x60u
#define IDN_NMIC	       30u
#define IDN_RESCAP	       31u
#define IDN_FPI		       32u
#define IDN_ANAGRPID	       92u
#define IDN_NSATTR	       99u
#define IDN_NVMSETID	       100u
#define IDN_ENDGID	       102u
#define IDN_LBAF	       128u /* 64 of 4 bytes */
#define LBAF_METADATA	       0x0000ffffu
#define LBAF_LBADS	       0x00ff0000u
#define IDN_VENDOR	       384u

/* Features. */
#define FEATURE_ID	       0x000000ffu
#define FEATURE_SELECT	       0x00000700u
#define FEATURE_SAVE	       0x80000000u
#define FEATURE_QUEUES	       0x07u
#define FEATURE_VECTOR	       0x09u
#define FEATURE_EVENTS	       0x0bu
#define FEATURE_HOST_MEM       0x0du

/* Get Log Page. */
#define LOG_ID		       0x000000ffu
#define LOG_SPECIFIC	       0x00007f00u
#define LOG_RETAIN	       0x00008000u
#define LOG_NUMDL	       0xffff0000u
#define LOG_ERRORS	       0x01u
#define LOG_SMART	       0x02u
#define LOG_FIRMWARE	       0x03u

/* Security send and receive: dword 10, and protocols of SPC-4, "SECURITY PROTOCOL IN command". */
#define SECURITY_PROTOCOL      0xff000000u
#define SECURITY_SPECIFIC      0x00ffff00u
#define SECURITY_INFORMATION   0x00u
#define SECURITY_TCG_1	       0x01u
#define SECURITY_TCG_2	       0x02u

/* Read, write and their kin: dword 12. */
#define RW_BLOCKS	       0x0000ffffu /* less 1 */
#define RW_PRINFO	       0x3c000000u
#define RW_FUA		       0x40000000u
#define RW_LIMITED_RETRY       0x80000000u

/* Status field: code in 7:0, type in 10:8, "do not retry" in 14. */
#define NVME_SC(type, code)    ((uint16_t)((type) << 8 | (code)))
#define NVME_SC_DNR	       0x4000u
#define NVME_SC_SUCCESS	       NVME_SC(0, 0x00)
#define NVME_SC_OPCODE	       NVME_SC(0, 0x01)
#define NVME_SC_FIELD	       NVME_SC(0, 0x02)
#define NVME_SC_TRANSFER       NVME_SC(0, 0x04)
#define NVME_SC_NAMESPACE      NVME_SC(0, 0x0b)
#define NVME_SC_PRP_OFFSET     NVME_SC(0, 0x13)
#define NVME_SC_LBA_RANGE      NVME_SC(0, 0x80)
#define NVME_SC_CQ_INVALID     NVME_SC(1, 0x00)
#define NVME_SC_QUEUE_ID       NVME_SC(1, 0x01)
#define NVME_SC_QUEUE_SIZE     NVME_SC(1, 0x02)
#define NVME_SC_EVENT_LIMIT    NVME_SC(1, 0x05)
#define NVME_SC_VECTOR	       NVME_SC(1, 0x08)
#define NVME_SC_LOG_PAGE       NVME_SC(1, 0x09)
#define NVME_SC_QUEUE_DELETION NVME_SC(1, 0x0c)
#define NVME_SC_NOT_SAVEABLE   NVME_SC(1, 0x0d)
#define NVME_SC_READ_ONLY      NVME_SC(1, 0x82)
#define NVME_SC_ACCESS	       NVME_SC(2, 0x86)

#endif
