/* The loader of EFI programs; see pe.h. No state. Runs in Postern before the guest, and in the guest. */
#include "guest/pe.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/mem.h"

/* "MS-DOS Stub", "COFF File Header", "Optional Header (Image Only)": offsets of what is used here. */
#define DOS_MAGIC	    0x5a4du /* "MZ" */
#define DOS_HEADER_AT	    0x3cu
#define DOS_SIZE	    0x40u
#define PE_MAGIC	    0x4550u /* "PE", and two NULs */
#define COFF_SIZE	    24u	    /* with the magic */
#define COFF_MACHINE	    4u
#define COFF_SECTIONS	    6u
#define COFF_OPTIONAL_SIZE  20u
#define COFF_FLAGS	    22u
#define OPT_MAGIC	    0u
#define OPT_ENTRY	    16u
#define OPT_BASE	    24u
#define OPT_ALIGNMENT	    32u
#define OPT_SIZE	    56u
#define OPT_HEADERS	    60u
#define OPT_SUBSYSTEM	    68u
#define OPT_DIRECTORIES	    108u
#define OPT_DIRECTORY	    112u /* of them: address and size */
#define DIRECTORY_SIZE	    8u
#define DIRECTORY_RELOC	    5u

#define MACHINE_X64	    0x8664u
#define FLAG_FIXED	    0x0001u /* IMAGE_FILE_RELOCS_STRIPPED */
#define OPT_PE32_PLUS	    0x20bu
#define SUBSYSTEM_EFI_FIRST 10u /* application, boot driver, runtime driver */
#define SUBSYSTEM_EFI_LAST  12u

/* "Section Table (Section Headers)" */
#define SECTION_SIZE	    40u
#define SECTION_VSIZE	    8u
#define SECTION_VADDR	    12u
#define SECTION_FILE_SIZE   16u
#define SECTION_FILE_AT	    20u

/* "The .reloc Section" */
#define RELOC_HEADER	    8u
#define RELOC_NONE	    0u
#define RELOC_HIGHLOW	    3u
#define RELOC_DIR64	    10u

/* Larger ones than memory are refused by whoever allocates; this keeps sums in 32 bits. */
#define PE_SIZE_MAX	    0x40000000u
#define PE_ALIGNMENT_MAX    0x200000u

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t get32(const uint8_t *at)
{
	return get16(at) | (uint32_t)get16(at + 2) << 16;
}

static uint64_t get64(const uint8_t *at)
{
	return get32(at) | (uint64_t)get32(at + 4) << 32;
}

static void put32(uint8_t *at, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (uint8_t)(v >> (8 * i));
}

static void put64(uint8_t *at, uint64_t v)
{
	put32(at, (uint32_t)v);
	put32(at + 4, (uint32_t)(v >> 32));
}

/* The optional header, of at least len bytes, of which the first OPT_DIRECTORY are there. */
static int parse_optional(struct pe *pe, const uint8_t *o, size_t len)
{
	uint32_t directories = get32(o + OPT_DIRECTORIES);
	size_t at = OPT_DIRECTORY + DIRECTORY_RELOC * DIRECTORY_SIZE;

	if (get16(o + OPT_MAGIC) != OPT_PE32_PLUS)
		return -E_NOTSUP;
	if (get16(o + OPT_SUBSYSTEM) < SUBSYSTEM_EFI_FIRST ||
		get16(o + OPT_SUBSYSTEM) > SUBSYSTEM_EFI_LAST)
		return -E_NOTSUP;
	pe->entry = get32(o + OPT_ENTRY);
	pe->preferred = get64(o + OPT_BASE);
	pe->alignment = get32(o + OPT_ALIGNMENT);
	pe->size = get32(o + OPT_SIZE);
	pe->headers = get32(o + OPT_HEADERS);
	if (directories > DIRECTORY_RELOC && range_fits(at, DIRECTORY_SIZE, len)) {
		pe->relocations_at = get32(o + at);
		pe->relocations_len = get32(o + at + 4);
	}
	if (!pe->size || pe->size > PE_SIZE_MAX || pe->entry >= pe->size)
		return -E_CORRUPT;
	if (!pe->alignment || (pe->alignment & (pe->alignment - 1)) ||
		pe->alignment > PE_ALIGNMENT_MAX)
		return -E_CORRUPT;
	if (pe->headers > pe->len)
		return -E_TRUNCATED;
	if (pe->headers > pe->size ||
		!range_fits(pe->relocations_at, pe->relocations_len, pe->size))
		return -E_CORRUPT;
	return 0;
}

struct section {
	uint32_t at, size;	     /* in the image */
	uint32_t file_at, file_size; /* what there is of it in the file; the rest is zeros */
};

static struct section section_get(const struct pe *pe, unsigned i)
{
	const uint8_t *h = pe->file + pe->sections_at + (size_t)i * SECTION_SIZE;
	struct section s = {
		.at = get32(h + SECTION_VADDR),
		.size = get32(h + SECTION_VSIZE),
		.file_at = get32(h + SECTION_FILE_AT),
		.file_size = get32(h + SECTION_FILE_SIZE),
	};

	/* A size of 0 in memory means: as in the file. More in the file than in memory is padding. */
	if (!s.size)
		s.size = s.file_size;
	if (s.file_size > s.size)
		s.file_size = s.size;
	return s;
}

static int check_sections(const struct pe *pe)
{
	if (!range_fits(pe->sections_at, (size_t)pe->section_count * SECTION_SIZE, pe->len))
		return -E_TRUNCATED;
	for (unsigned i = 0; i < pe->section_count; i++) {
		struct section s = section_get(pe, i);

		if (!range_fits(s.at, s.size, pe->size))
			return -E_CORRUPT;
		if (s.file_size && !range_fits(s.file_at, s.file_size, pe->len))
			return -E_TRUNCATED;
	}
	return 0;
}

int pe_parse(const void *file, size_t len, struct pe *ret_pe)
{
	struct pe pe = {.file = file, .len = len};
	const uint8_t *coff;
	size_t coff_at, optional_len;
	int err;

	if (len < DOS_SIZE || get16(pe.file) != DOS_MAGIC)
		return -E_INVAL;
	coff_at = get32(pe.file + DOS_HEADER_AT);
	if (!range_fits(coff_at, COFF_SIZE, len))
		return -E_INVAL;
	coff = pe.file + coff_at;
	if (get32(coff) != PE_MAGIC)
		return -E_INVAL;
	if (get16(coff + COFF_MACHINE) != MACHINE_X64)
		return -E_NOTSUP;
	optional_len = get16(coff + COFF_OPTIONAL_SIZE);
	if (optional_len < OPT_DIRECTORY)
		return -E_NOTSUP;
	if (!range_fits(coff_at + COFF_SIZE, optional_len, len))
		return -E_TRUNCATED;
	err = parse_optional(&pe, coff + COFF_SIZE, optional_len);
	if (err)
		return err;
	pe.sections_at = (uint32_t)(coff_at + COFF_SIZE + optional_len);
	pe.section_count = get16(coff + COFF_SECTIONS);
	pe.fixed = get16(coff + COFF_FLAGS) & FLAG_FIXED;
	err = check_sections(&pe);
	if (!err)
		*ret_pe = pe;
	return err;
}

static int relocate_one(
	const struct pe *pe, uint8_t *memory, uint64_t delta, uint32_t page, uint16_t entry)
{
	uint64_t at = (uint64_t)page + (entry & 0xfff);

	switch (entry >> 12) {
	case RELOC_NONE:
		return 0;
	case RELOC_HIGHLOW:
		if (!range_fits(at, 4, pe->size))
			return -E_CORRUPT;
		put32(memory + at, (uint32_t)(get32(memory + at) + delta));
		return 0;
	case RELOC_DIR64:
		if (!range_fits(at, 8, pe->size))
			return -E_CORRUPT;
		put64(memory + at, get64(memory + at) + delta);
		return 0;
	default:
		return -E_NOTSUP;
	}
}

/*
 * The relocations lie in the image that they change, so that they may change each other. That is the
 * image's problem: each number is checked when it is used.
 */
static int relocate(const struct pe *pe, uint8_t *memory, uint64_t delta)
{
	uint32_t at = pe->relocations_at, end = at + pe->relocations_len;
	int err = 0;

	while (!err && end - at >= RELOC_HEADER) {
		uint32_t page = get32(memory + at), len = get32(memory + at + 4);

		/* The end, as some linkers write it. */
		if (!len)
			return 0;
		if (len < RELOC_HEADER || len > end - at)
			return -E_CORRUPT;
		for (uint32_t i = RELOC_HEADER; !err && len - i >= 2; i += 2)
			err = relocate_one(pe, memory, delta, page, get16(memory + at + i));
		at += len;
	}
	return err;
}

int pe_load(const struct pe *pe, void *memory, uint64_t address)
{
	uint8_t *to = memory;

	memset(to, 0, pe->size);
	memcpy(to, pe->file, pe->headers);
	for (unsigned i = 0; i < pe->section_count; i++) {
		struct section s = section_get(pe, i);

		if (s.file_size)
			memcpy(to + s.at, pe->file + s.file_at, s.file_size);
	}
	if (address == pe->preferred)
		return 0;
	return pe->fixed ? -E_NOTSUP : relocate(pe, to, address - pe->preferred);
}
