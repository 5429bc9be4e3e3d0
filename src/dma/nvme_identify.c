/* Filters over the data of Identify; see nvme_identify.h. No state. On the exit path. */
#include "dma/nvme_identify.h"
#include "base/bits.h"
#include "base/mem.h"

/* Fields of these pages are little-endian and naturally aligned, and so is the machine. */
static uint16_t get16(const uint8_t *page, unsigned at)
{
	uint16_t v;

	memcpy(&v, page + at, sizeof(v));
	return v;
}

static uint32_t get32(const uint8_t *page, unsigned at)
{
	uint32_t v;

	memcpy(&v, page + at, sizeof(v));
	return v;
}

static void put16(uint8_t *page, unsigned at, uint16_t v)
{
	memcpy(page + at, &v, sizeof(v));
}

static void clear(uint8_t *page, unsigned from, unsigned to)
{
	memset(page + from, 0, to - from);
}

uint32_t nvme_identify_max_transfer(const uint8_t *page)
{
	uint8_t mdts = page[IDC_MDTS];

	return mdts && mdts < NVME_MDTS ? (uint32_t)PAGE_SIZE << mdts : NVME_TRANSFER_MAX;
}

static uint16_t optional_admin_commands(const struct policy *policy, uint16_t oacs)
{
	if (!policy_allows(policy, POLICY_SECURITY_SEND) &&
		!policy_allows(policy, POLICY_SECURITY_RECEIVE))
		return 0;
	return oacs & OACS_SECURITY;
}

static uint16_t optional_commands(const struct policy *policy, uint16_t oncs)
{
	uint16_t shown = 0;

	if (policy_allows(policy, POLICY_COMPARE))
		shown |= ONCS_COMPARE;
	if (policy_allows(policy, POLICY_WRITE_ZEROES))
		shown |= ONCS_WRITE_ZEROES;
	return oncs & shown;
}

/*
 * Everything optional goes, then what is allowed comes back: so a field that a later revision
 * defines in a reserved place stays hidden. Kept besides: identity (vendor, serial, model,
 * firmware, version, NQN, capacity), temperatures, latencies, power states, atomic units, and the
 * kind of write cache.
 */
static void filter_controller(const struct nvme_view *view, uint8_t *page)
{
	uint16_t oncs = optional_commands(view->policy, get16(page, IDC_ONCS));
	uint16_t oacs = optional_admin_commands(view->policy, get16(page, IDC_OACS));
	uint8_t mdts = (uint8_t)__builtin_ctz(view->max_transfer >> PAGE_SHIFT);
	uint8_t events = page[IDC_AERL];

	page[IDC_CMIC] = 0;
	page[IDC_MDTS] = mdts;
	clear(page, IDC_OAES, IDC_CNTRLTYPE);
	clear(page, IDC_CRDT, IDC_ACL);
	put16(page, IDC_OACS, oacs);
	page[IDC_AERL] = (uint8_t)min_u64(events, NVME_EVENTS_MAX - 1);
	page[IDC_FRMW] = FRMW_READ_ONLY;
	page[IDC_LPA] = 0;
	clear(page, IDC_AVSCC, IDC_WCTEMP);
	clear(page, IDC_MTFA, IDC_TNVMCAP);
	clear(page, IDC_UNVMCAP, IDC_SQES);
	page[IDC_SQES] = NVME_SQE_SHIFT << 4 | NVME_SQE_SHIFT;
	page[IDC_CQES] = NVME_CQE_SHIFT << 4 | NVME_CQE_SHIFT;
	clear(page, IDC_MAXCMD, IDC_NN);
	put16(page, IDC_ONCS, oncs);
	clear(page, IDC_FUSES, IDC_VWC);
	if (!policy_allows(view->policy, POLICY_FLUSH))
		page[IDC_VWC] &= (uint8_t)~VWC_PRESENT;
	clear(page, IDC_NVSCC, IDC_SUBNQN);
	clear(page, IDC_FABRICS, IDC_PSD);
	clear(page, IDC_VENDOR, NVME_IDENTIFY_SIZE);
}

static void filter_namespace(uint8_t *page)
{
	page[IDN_NMIC] = 0;
	page[IDN_RESCAP] = 0;
	page[IDN_FPI] = 0;
	clear(page, IDN_ANAGRPID, IDN_ANAGRPID + 4);
	page[IDN_NSATTR] = 0;
	clear(page, IDN_NVMSETID, IDN_ENDGID + 2);
	clear(page, IDN_VENDOR, NVME_IDENTIFY_SIZE);
}

/* Keeps the order of the list and drops what isn't known. */
static void filter_list(const struct nvme_view *view, uint8_t *page)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < NVME_ID_LIST_LENGTH; i++) {
		uint32_t id = get32(page, i * 4);

		if (id && nvme_find_namespace(view, id))
			memcpy(page + kept++ * 4, &id, sizeof(id));
	}
	clear(page, kept * 4, NVME_IDENTIFY_SIZE);
}

void nvme_identify_filter(const struct nvme_view *view, uint8_t cns, uint8_t *page)
{
	switch (cns) {
	case CNS_CONTROLLER:
		filter_controller(view, page);
		break;
	case CNS_NAMESPACE:
		filter_namespace(page);
		break;
	case CNS_ACTIVE_LIST:
		filter_list(view, page);
		break;
	case CNS_DESCRIPTORS: /* names only */
		break;
	case CNS_CS_CONTROLLER: /* size limits of commands that have no data to transfer */
		clear(page, 16, NVME_IDENTIFY_SIZE);
		break;
	default: /* never asked for */
		clear(page, 0, NVME_IDENTIFY_SIZE);
		break;
	}
}

struct nvme_namespace nvme_identify_namespace(const uint8_t *page, uint32_t id)
{
	struct nvme_namespace ns = {.id = id};
	unsigned format = (unsigned)(page[IDN_FLBAS] & FLBAS_INDEX) |
			  (unsigned)(page[IDN_FLBAS] & FLBAS_INDEX_HI) >> 1;
	uint32_t lbaf = get32(page, IDN_LBAF + format * 4);
	uint64_t blocks;

	memcpy(&blocks, page + IDN_NSZE, sizeof(blocks));
	ns.block_shift = (uint8_t)FIELD_GET(LBAF_LBADS, lbaf);
	ns.metadata = (uint16_t)FIELD_GET(LBAF_METADATA, lbaf);
	/* 512 bytes is the smallest block; a block that is no part of a transfer can't be read. */
	if (ns.block_shift >= 9 && ns.block_shift <= PAGE_SHIFT + NVME_MDTS)
		ns.blocks = blocks;
	return ns;
}
