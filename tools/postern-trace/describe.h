/* What a record is about, in words: for printing, choosing and counting. */
#ifndef POSTERN_TRACE_DESCRIBE_H
#define POSTERN_TRACE_DESCRIBE_H

#include "reader.h"

#define DESCRIBE_MAX 200u

/* "mov", "rep movs", "out", "rep ins"; "?" for what the decoder doesn't know. */
void describe_insn_name(const struct trace_view *v, char text[static DESCRIBE_MAX]);

/* The instruction as an assembler would have it, or its bytes where Capstone isn't there. */
void describe_insn(const struct trace_view *v, char text[static DESCRIBE_MAX]);

/* Where the access was: offset of the register in its region, port, or configuration offset. */
uint64_t describe_offset(const struct trace_view *v);

/* The same with its kind: "mmio +0x1000", "port 0x1f7", "config +0x4". */
void describe_place(const struct trace_view *v, char text[static DESCRIBE_MAX]);

const char *describe_device(const struct trace_header *h, const struct trace_view *v);
const char *describe_verdict(unsigned verdict);
const char *describe_vendor(unsigned vendor);

/* Did the device see a write? */
bool describe_is_write(const struct trace_view *v);

#endif
