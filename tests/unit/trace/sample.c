/* A trace made by hand; see sample.h. */
#include "sample.h"
#include "core/vcpu.h"
#include "hw/cpu.h"

#include <string.h>

#define CODE 0x10ffdull

void sample_fill(struct sample *s)
{
	static const uint8_t insn[3] = {0x89, 0x48, 0x08};
	const struct trace_segment flat = {
		0, 0xffffffff, SEG_P | SEG_S | SEG_DB | SEG_G | 3, 0x18, {0}};

	memset(s, 0, sizeof(*s));
	s->header = (struct trace_header){.magic = TRACE_MAGIC,
		.version = TRACE_VERSION,
		.header_bytes = sizeof(s->header),
		.tsc_khz = 1000000,
		.vendor = TRACE_VENDOR_VMX,
		.physical_bits = 40,
		.records = 1,
		.bytes = sizeof(*s) - sizeof(s->header),
		.device = {{.name = "disk 00:01.0"}}};
	s->record = (struct trace_record){.length = (uint32_t)s->header.bytes,
		.kind = TRACE_MMIO,
		.flags = TRACE_WRITE,
		.tsc = 1000,
		.ticks = 500,
		.gpa = SAMPLE_DEVICE + 8,
		.insn_bytes = 3,
		.insn_source = TRACE_INSN_FETCHED,
		.verdict = TRACE_DONE,
		.region_count = 1,
		.changed = 1u << TRACE_RIP,
		.access_count = SAMPLE_ACCESSES,
		.access_bytes = sizeof(s->access)};
	memcpy(s->record.insn, insn, sizeof(insn));
	s->record.reg[GPR_RAX] = SAMPLE_DEVICE;
	s->record.reg[GPR_RCX] = 0x11223344;
	s->record.reg[TRACE_RIP] = CODE;
	s->record.reg[TRACE_RFLAGS] = RFLAGS_FIXED;
	s->record.reg[TRACE_CR0] = CR0_PE | CR0_ET;
	for (unsigned i = 0; i < TRACE_SEGMENTS; i++)
		s->record.segment[i] = flat;
	s->record.segment[VSEG_CS].attributes |= 8;
	s->region = (struct trace_region){.base = SAMPLE_DEVICE, .len = 0x1000};
	s->access[0].access = (struct trace_access){.kind = TRACE_ACCESS_FETCH,
		.flags = TRACE_ACCESS_LINEAR,
		.region = TRACE_NO_REGION,
		.len = sizeof(insn),
		.linear = CODE,
		.physical = CODE};
	memcpy(s->access[0].data, insn, sizeof(insn));
	s->access[1].access = (struct trace_access){.kind = TRACE_ACCESS_DEVICE,
		.flags = TRACE_ACCESS_LINEAR | TRACE_ACCESS_WRITE,
		.len = 4,
		.linear = SAMPLE_DEVICE + 8,
		.physical = SAMPLE_DEVICE + 8};
	memcpy(s->access[1].data, "\x44\x33\x22\x11", 4);
	s->rip = CODE + 3;
}
