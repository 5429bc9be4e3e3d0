/* The AML writer; see aml.h. State is the caller's. Runs before the guest only. */
#include "guest/aml.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/mem.h"

#define OP_ZERO		0x00u
#define OP_ONE		0x01u
#define OP_NAME		0x08u
#define OP_BYTE		0x0au
#define OP_WORD		0x0bu
#define OP_DWORD	0x0cu
#define OP_STRING	0x0du
#define OP_QWORD	0x0eu
#define OP_SCOPE	0x10u
#define OP_BUFFER	0x11u
#define OP_PACKAGE	0x12u
#define OP_EXTENDED	0x5bu
#define OP_DEVICE	0x82u /* after OP_EXTENDED */

/* PkgLength: the bytes that follow the first, in its upper two bits. It counts itself. */
#define LENGTH_MORE	0xc0u
#define LENGTH_SHORT	0x3fu /* the most that one byte holds */
#define LENGTH_BYTES	4u

#define NAME_LEN	4u

/* Small resource items have their length in the low bits, large ones in two bytes that follow. */
#define ITEM_IRQ	0x22u
#define ITEM_IO		0x47u
#define ITEM_END	0x79u
#define ITEM_MEMORY32	0x86u
#define ITEM_DWORD	0x87u
#define ITEM_WORD	0x88u
#define ITEM_QWORD	0x8au

#define IO_DECODE_16	0x01u
#define MEMORY_WRITABLE 0x01u

/* Address space descriptors: type, general flags, flags of the type. */
#define SPACE_MEMORY	0u
#define SPACE_IO	1u
#define SPACE_BUS	2u
#define SPACE_FIXED	0x0cu /* minimum and maximum both, positive decode, a producer */
#define SPACE_IO_ALL	0x03u /* ISA and other ranges */

static void fail(struct aml *a, int error)
{
	if (!a->error)
		a->error = error;
}

static void put(struct aml *a, const void *data, size_t len)
{
	if (a->error)
		return;
	if (!range_fits(a->len, len, a->size)) {
		fail(a, -E_NOMEM);
		return;
	}
	memcpy(a->data + a->len, data, len);
	a->len += len;
}

static void put_byte(struct aml *a, unsigned value)
{
	put(a, &(uint8_t){(uint8_t)value}, 1);
}

/* Little-endian, in size bytes; the host is little-endian too. */
static void put_number(struct aml *a, uint64_t value, size_t size)
{
	put(a, &value, size);
}

/* Makes room in front of a block's content and puts data there. */
static void insert(struct aml *a, size_t at, const void *data, size_t len)
{
	size_t end = a->len;

	put(a, data, len);
	if (a->error)
		return;
	memmove(a->data + at + len, a->data + at, end - at);
	memcpy(a->data + at, data, len);
}

static size_t encode_length(size_t content, uint8_t ret[static LENGTH_BYTES])
{
	size_t more = 0, total;

	if (content + 1 <= LENGTH_SHORT) {
		ret[0] = (uint8_t)(content + 1);
		return 1;
	}
	do {
		more++;
		total = content + 1 + more;
	} while (more < LENGTH_BYTES - 1 && total >> (4 + 8 * more));
	ret[0] = (uint8_t)(more << 6 | (total & 0x0f));
	for (size_t i = 1; i <= more; i++)
		ret[i] = (uint8_t)(total >> (8 * i - 4));
	return 1 + more;
}

/* A constant in as few bytes as it takes: the number of bytes at ret. */
static size_t encode_integer(uint64_t value, uint8_t ret[static 9])
{
	static const struct {
		uint8_t op, size;
	} forms[] = {{OP_BYTE, 1}, {OP_WORD, 2}, {OP_DWORD, 4}, {OP_QWORD, 8}};
	size_t i = 0;

	if (value <= 1) {
		ret[0] = value ? OP_ONE : OP_ZERO;
		return 1;
	}
	while (value & ~size_mask(forms[i].size))
		i++;
	ret[0] = forms[i].op;
	memcpy(ret + 1, &value, forms[i].size);
	return 1u + forms[i].size;
}

/* Whatever is a value: an element, if a package is open. Only descriptors go into resources. */
static void begin_value(struct aml *a)
{
	struct aml_block *b = a->depth ? &a->block[a->depth - 1] : NULL;

	if (!b || b->kind == AML_BLOCK_TERMS)
		return;
	if (b->kind == AML_BLOCK_RESOURCES)
		fail(a, -E_INVAL);
	else if (b->elements == UINT8_MAX)
		fail(a, -E_RANGE);
	else
		b->elements++;
}

/* Names and their blocks stand among other terms. */
static void begin_term(struct aml *a)
{
	if (a->depth && a->block[a->depth - 1].kind != AML_BLOCK_TERMS)
		fail(a, -E_INVAL);
}

static void open(struct aml *a, enum aml_block_kind kind)
{
	if (a->error)
		return;
	if (a->depth == AML_DEPTH_MAX) {
		fail(a, -E_NOMEM);
		return;
	}
	a->block[a->depth++] = (struct aml_block){.kind = kind, .start = a->len};
}

static bool is_name_char(char c, bool first)
{
	return (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

static void put_name(struct aml *a, const char *name)
{
	char segment[NAME_LEN] = {'_', '_', '_', '_'};
	size_t len;

	if (*name == '\\') {
		put_byte(a, '\\');
		name++;
	}
	len = strlen(name);
	if (!len || len > NAME_LEN) {
		fail(a, -E_INVAL);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		if (!is_name_char(name[i], i == 0))
			fail(a, -E_INVAL);
		segment[i] = name[i];
	}
	put(a, segment, sizeof(segment));
}

void aml_init(struct aml *a, void *buffer, size_t size)
{
	*a = (struct aml){.data = buffer, .size = size};
}

int aml_finish(const struct aml *a, size_t *ret_len)
{
	if (a->error)
		return a->error;
	if (a->depth)
		return -E_INVAL;
	*ret_len = a->len;
	return 0;
}

void aml_scope(struct aml *a, const char *name)
{
	begin_term(a);
	put_byte(a, OP_SCOPE);
	open(a, AML_BLOCK_TERMS);
	put_name(a, name);
}

void aml_device(struct aml *a, const char *name)
{
	begin_term(a);
	put_byte(a, OP_EXTENDED);
	put_byte(a, OP_DEVICE);
	open(a, AML_BLOCK_TERMS);
	put_name(a, name);
}

void aml_name(struct aml *a, const char *name)
{
	begin_term(a);
	put_byte(a, OP_NAME);
	put_name(a, name);
}

void aml_integer(struct aml *a, uint64_t value)
{
	uint8_t bytes[9];

	begin_value(a);
	put(a, bytes, encode_integer(value, bytes));
}

void aml_string(struct aml *a, const char *text)
{
	begin_value(a);
	put_byte(a, OP_STRING);
	for (const char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			fail(a, -E_INVAL);
	put(a, text, strlen(text) + 1);
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Five bits for each letter, four for each digit, and all of that with its bytes swapped. */
void aml_eisa_id(struct aml *a, const char *id)
{
	uint32_t v = 0;

	if (strlen(id) != 7) {
		fail(a, -E_INVAL);
		return;
	}
	for (unsigned i = 0; i < 7; i++) {
		int digit = i < 3 ? id[i] - '@' : hex_value(id[i]);

		if (digit < (i < 3) || digit > (i < 3 ? 26 : 15))
			fail(a, -E_INVAL);
		v = v << (i < 3 ? 5 : 4) | ((uint32_t)digit & 0x1f);
	}
	aml_integer(a, __builtin_bswap32(v));
}

void aml_package(struct aml *a)
{
	begin_value(a);
	put_byte(a, OP_PACKAGE);
	open(a, AML_BLOCK_PACKAGE);
}

void aml_resources(struct aml *a)
{
	begin_value(a);
	put_byte(a, OP_BUFFER);
	open(a, AML_BLOCK_RESOURCES);
}

/* What stands between a block's length and its content. */
static void close_kind(struct aml *a, const struct aml_block *b)
{
	uint8_t bytes[9], elements = (uint8_t)b->elements;

	if (b->kind == AML_BLOCK_PACKAGE)
		insert(a, b->start, &elements, 1);
	if (b->kind != AML_BLOCK_RESOURCES)
		return;
	put_byte(a, ITEM_END);
	put_byte(a, 0); /* 0: no checksum */
	insert(a, b->start, bytes, encode_integer(a->len - b->start, bytes));
}

void aml_close(struct aml *a)
{
	uint8_t length[LENGTH_BYTES];
	const struct aml_block *b;
	size_t content;

	if (a->error)
		return;
	if (!a->depth) {
		fail(a, -E_INVAL);
		return;
	}
	b = &a->block[--a->depth];
	close_kind(a, b);
	content = a->len - b->start;
	if (content + LENGTH_BYTES >= BIT(28))
		fail(a, -E_RANGE);
	else
		insert(a, b->start, length, encode_length(content, length));
}

/* ---- descriptors ---- */

static void begin_item(struct aml *a, unsigned tag)
{
	if (!a->depth || a->block[a->depth - 1].kind != AML_BLOCK_RESOURCES)
		fail(a, -E_INVAL);
	put_byte(a, tag);
}

void aml_io(struct aml *a, uint16_t base, uint8_t len)
{
	if (!len || !range_fits(base, len, 0x10000))
		fail(a, -E_RANGE);
	begin_item(a, ITEM_IO);
	put_byte(a, IO_DECODE_16);
	put_number(a, base, 2);
	put_number(a, base, 2);
	put_byte(a, 1); /* alignment */
	put_byte(a, len);
}

/* Without a byte of flags: an edge, active high, not shared. */
void aml_irq(struct aml *a, unsigned irq)
{
	if (irq > 15)
		fail(a, -E_RANGE);
	begin_item(a, ITEM_IRQ);
	put_number(a, 1u << (irq & 15), 2);
}

void aml_memory(struct aml *a, uint32_t base, uint32_t len)
{
	if (!len || !range_fits(base, len, 4 * GIB))
		fail(a, -E_RANGE);
	begin_item(a, ITEM_MEMORY32);
	put_number(a, 9, 2);
	put_byte(a, MEMORY_WRITABLE);
	put_number(a, base, 4);
	put_number(a, len, 4);
}

/* Granularity, first, last, translation, length: numbers of size bytes. */
static void put_window(struct aml *a, unsigned tag, unsigned type, unsigned flags, uint64_t first,
	uint64_t last, size_t size)
{
	if (first > last || last - first == ~0ull)
		fail(a, -E_RANGE);
	begin_item(a, tag);
	put_number(a, 3 + 5 * size, 2);
	put_byte(a, type);
	put_byte(a, SPACE_FIXED);
	put_byte(a, flags);
	put_number(a, 0, size);
	put_number(a, first, size);
	put_number(a, last, size);
	put_number(a, 0, size);
	put_number(a, last - first + 1, size);
}

void aml_bus_window(struct aml *a, uint8_t first, uint8_t last)
{
	put_window(a, ITEM_WORD, SPACE_BUS, 0, first, last, 2);
}

/* All 64 Ki ports have a length that two bytes can't hold. */
void aml_io_window(struct aml *a, uint16_t first, uint16_t last)
{
	bool all = first == 0 && last == 0xffff;

	put_window(
		a, all ? ITEM_DWORD : ITEM_WORD, SPACE_IO, SPACE_IO_ALL, first, last, all ? 4 : 2);
}

void aml_memory_window(struct aml *a, uint64_t first, uint64_t last)
{
	bool wide = last >> 32 || last - first == UINT32_MAX;

	put_window(a, wide ? ITEM_QWORD : ITEM_DWORD, SPACE_MEMORY, MEMORY_WRITABLE, first, last,
		wide ? 8 : 4);
}
