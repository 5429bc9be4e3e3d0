/* Records in words; see describe.h. No state but Capstone's handle, opened for each instruction. */
#include "describe.h"
#include "base/bits.h"
#include "core/vcpu.h"
#include "hw/cpu.h"
#include "mmio/decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_CAPSTONE
#include <capstone/capstone.h>
#endif

static enum insn_mode mode_of(const struct trace_record *r)
{
	uint32_t cs = r->segment[VSEG_CS].attributes;

	if (cs & SEG_L && r->reg[TRACE_EFER] & EFER_LMA)
		return INSN_MODE_64;
	return cs & SEG_DB ? INSN_MODE_32 : INSN_MODE_16;
}

void describe_insn_name(const struct trace_view *v, char text[static DESCRIBE_MAX])
{
	const struct trace_record *r = &v->record;
	struct insn insn;
	bool string;

	if (r->kind == TRACE_PORTS) {
		snprintf(text, DESCRIBE_MAX, "%s%s%s", r->flags & TRACE_REP ? "rep " : "",
			r->flags & TRACE_WRITE ? "out" : "in", r->flags & TRACE_STRING ? "s" : "");
		return;
	}
	if (insn_decode(r->insn, r->insn_bytes, mode_of(r), &insn) != INSN_OK) {
		snprintf(text, DESCRIBE_MAX, "?");
		return;
	}
	string = insn.op >= OP_MOVS && insn.op <= OP_CMPS;
	snprintf(text, DESCRIBE_MAX, "%s%s",
		string && insn.prefixes & (INSN_REP | INSN_REPNE) ? "rep " : "",
		insn_op_name(insn.op));
}

static void print_bytes(const uint8_t *bytes, unsigned n, char text[static DESCRIBE_MAX])
{
	text[0] = '\0';
	for (unsigned i = 0; i < n; i++)
		snprintf(text + strlen(text), DESCRIBE_MAX - strlen(text), i ? " %02x" : "%02x",
			bytes[i]);
}

/* An instruction by Capstone; false if there is no Capstone, or it doesn't know it. */
static bool disassemble(const struct trace_record *r, char text[static DESCRIBE_MAX])
{
#ifdef HAVE_CAPSTONE
	static const cs_mode modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
	/* A replay leaves Capstone without memory, as Postern itself has to; see mmio/second.c. */
	cs_opt_mem mem = {malloc, calloc, realloc, free, vsnprintf};
	cs_insn *insn;
	csh handle;
	size_t n;

	if (cs_option(0, CS_OPT_MEM, (uintptr_t)&mem) ||
		cs_open(CS_ARCH_X86, modes[mode_of(r)], &handle))
		return false;
	n = cs_disasm(handle, r->insn, r->insn_bytes, r->reg[TRACE_RIP], 1, &insn);
	if (n) {
		snprintf(text, DESCRIBE_MAX, "%s %s", insn->mnemonic, insn->op_str);
		cs_free(insn, n);
	}
	cs_close(&handle);
	return n != 0;
#else
	(void)r;
	(void)text;
	return false;
#endif
}

void describe_insn(const struct trace_view *v, char text[static DESCRIBE_MAX])
{
	const struct trace_record *r = &v->record;
	struct insn insn;

	if (!r->insn_bytes) {
		describe_insn_name(v, text);
		return;
	}
	if (disassemble(r, text))
		return;
	if (insn_decode(r->insn, r->insn_bytes, mode_of(r), &insn) == INSN_OK)
		print_bytes(r->insn, insn.length, text);
	else
		print_bytes(r->insn, r->insn_bytes, text);
}

uint64_t describe_offset(const struct trace_view *v)
{
	const struct trace_record *r = &v->record;

	if (r->flags & TRACE_CONFIG)
		return r->config;
	return r->kind == TRACE_PORTS ? r->gpa : r->gpa - v->region[0].base;
}

void describe_place(const struct trace_view *v, char text[static DESCRIBE_MAX])
{
	const char *kind = v->record.flags & TRACE_CONFIG  ? "config +"
			   : v->record.kind == TRACE_PORTS ? "port "
							   : "mmio +";

	snprintf(text, DESCRIBE_MAX, "%s0x%lx", kind, describe_offset(v));
}

const char *describe_device(const struct trace_header *h, const struct trace_view *v)
{
	return h->device[v->record.device].name;
}

const char *describe_verdict(unsigned verdict)
{
	static const char *const names[TRACE_VERDICTS] = {"done", "again", "exception", "stopped"};

	return verdict < TRACE_VERDICTS ? names[verdict] : "?";
}

const char *describe_vendor(unsigned vendor)
{
	static const char *const names[TRACE_VENDORS] = {"no vendor", "vmx", "svm"};

	return vendor < TRACE_VENDORS ? names[vendor] : "?";
}

bool describe_is_write(const struct trace_view *v)
{
	return v->record.flags & TRACE_WRITE;
}
