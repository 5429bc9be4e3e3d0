/*
 * A small writer of AML, the byte code of ACPI's differentiated tables, into a buffer of fixed size.
 * ACPI Specification 6.4, "ACPI Machine Language (AML) Specification" and "ACPI Data Types for
 * Resource Descriptors".
 *
 * What opens a block is ended by aml_close; blocks nest up to AML_DEPTH_MAX. Errors stick: after the
 * first, all calls do nothing and aml_finish tells it.
 */
#ifndef POSTERN_GUEST_AML_H
#define POSTERN_GUEST_AML_H

#include "base/types.h"

#define AML_DEPTH_MAX 8u

enum aml_block_kind { AML_BLOCK_TERMS, AML_BLOCK_PACKAGE, AML_BLOCK_RESOURCES };

struct aml_block {
	enum aml_block_kind kind;
	size_t start;	   /* of what is inside; its length goes in front of it when it is closed */
	unsigned elements; /* of a package */
};

struct aml {
	uint8_t *data;
	size_t size, len;
	struct aml_block block[AML_DEPTH_MAX];
	unsigned depth;
	int error;
};

void aml_init(struct aml *a, void *buffer, size_t size);

/*
 * The end of the code. -E_NOMEM (the buffer is too small, or blocks are too deep), -E_INVAL (not a
 * name, a block left open or closed twice), -E_RANGE (a value that its place can't hold).
 */
int aml_finish(const struct aml *a, size_t *ret_len) must_check;

/*
 * Names have one to four characters A to Z, 0 to 9 and _, no digit first, perhaps after a backslash
 * for the root. Shorter ones are filled up with _.
 */
void aml_scope(struct aml *a, const char *name);
void aml_device(struct aml *a, const char *name);
void aml_close(struct aml *a);

/* A named object: the next call writes its value. */
void aml_name(struct aml *a, const char *name);

/* Values. In a package each of them is one element. */
void aml_integer(struct aml *a, uint64_t value);
void aml_string(struct aml *a, const char *text);
/* "PNP0A08": three capitals and four hexadecimal digits. */
void aml_eisa_id(struct aml *a, const char *id);
void aml_package(struct aml *a);
/* The buffer of a _CRS: only descriptors go into it. */
void aml_resources(struct aml *a);

/* Descriptors: what a device uses, ... */
void aml_io(struct aml *a, uint16_t base, uint8_t len);
void aml_irq(struct aml *a, unsigned irq);
void aml_memory(struct aml *a, uint32_t base, uint32_t len);
/* ... and what a bridge passes on, with the last address inclusive. */
void aml_bus_window(struct aml *a, uint8_t first, uint8_t last);
void aml_io_window(struct aml *a, uint16_t first, uint16_t last);
void aml_memory_window(struct aml *a, uint64_t first, uint64_t last);

#endif
