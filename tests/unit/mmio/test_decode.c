/* mmio: the decoder, form by form, with the traps of prefixes, modes and lengths. */
#include "mmio/decode.h"
#include "test.h"

static struct insn insn;

static enum insn_status decode(enum insn_mode mode, const char *bytes, size_t n)
{
	uint8_t *exact = malloc(n ? n : 1); /* so that the sanitizer sees a byte too many */
	enum insn_status status;

	memcpy(exact, bytes, n);
	status = insn_decode(exact, n, mode, &insn);
	free(exact);
	return status;
}

#define DECODE(mode, bytes) decode(INSN_MODE_##mode, bytes, sizeof(bytes) - 1)

/* Decodes all bytes, and nothing less: every shorter prefix of them is truncated. */
static void good(enum insn_mode mode, const char *bytes, size_t n, int line)
{
	for (size_t i = 0; i < n; i++)
		if (decode(mode, bytes, i) != INSN_TRUNCATED)
			printf("  line %d: %zu of %zu bytes\n", line, i, n), test_case_failures++;
	memset(&insn, 0xff, sizeof(insn));
	if (decode(mode, bytes, n) != INSN_OK || insn.length != n)
		printf("  line %d: not decoded\n", line), test_case_failures++;
}

#define GOOD(mode, bytes) good(INSN_MODE_##mode, bytes, sizeof(bytes) - 1, __LINE__)

static void check_operand(struct operand o, unsigned kind, unsigned reg, unsigned size, int line)
{
	if (o.kind != kind || o.size != size || (kind <= OPERAND_HIGH && kind && o.reg != reg))
		printf("  line %d: kind %u reg %u size %u\n", line, o.kind, o.reg, o.size),
			test_case_failures++;
}

#define OPERAND(which, kind, reg, size)                                                            \
	check_operand(insn.which, OPERAND_##kind, GPR_##reg, size, __LINE__)
#define MEMORY(which, size) check_operand(insn.which, OPERAND_MEM, 0, size, __LINE__)

static void check_mem(
	unsigned seg, unsigned base, unsigned index, unsigned shift, uint64_t disp, int line)
{
	const struct insn_mem *m = &insn.mem;

	if (m->seg != seg || m->base != base || m->index != index || m->shift != shift ||
		m->disp != disp)
		printf("  line %d: %u:%u+(%u<<%u)+%" PRIx64 "\n", line, m->seg, m->base, m->index,
			m->shift, m->disp),
			test_case_failures++;
}

#define NONE INSN_NO_REG
#define MEM(seg, base, index, shift, disp)                                                         \
	check_mem(VSEG_##seg, base, index, shift, (uint64_t)(disp), __LINE__)

static void moves(void)
{
	GOOD(64, "\x89\x08"); /* mov %ecx, (%rax) */
	CHECK(insn.op == OP_MOV && insn.size == 4 && insn.mem.address_size == 8);
	MEMORY(dst, 4);
	OPERAND(src, REG, RCX, 4);
	MEM(DS, GPR_RAX, NONE, 0, 0);
	GOOD(64, "\x4c\x8b\x7d\xf8"); /* mov -8(%rbp), %r15 */
	OPERAND(dst, REG, R15, 8);
	MEMORY(src, 8);
	MEM(SS, GPR_RBP, NONE, 0, -8);
	GOOD(64, "\x66\xc7\x00\x34\x92");
	CHECK(insn.size == 2 && (uint16_t)insn.imm == 0x9234);
	GOOD(64, "\x48\xc7\x00\x00\x00\x00\x80");
	CHECK(insn.size == 8 && insn.imm == 0xffffffff80000000);
	GOOD(64, "\xc6\x00\xff");
	CHECK(insn.size == 1);
	GOOD(64, "\x0f\xc3\x08");
	CHECK(insn.op == OP_MOVNTI && insn.size == 4);
	GOOD(64, "\x66\x0f\x38\xf1\x08");
	CHECK(insn.op == OP_MOVBE && insn.size == 2);
	MEMORY(dst, 2);
}

static void widening(void)
{
	GOOD(64, "\x0f\xb6\x08");
	CHECK(insn.op == OP_MOVZX);
	OPERAND(dst, REG, RCX, 4);
	MEMORY(src, 1);
	GOOD(64, "\x48\x0f\xbf\x08");
	CHECK(insn.op == OP_MOVSX);
	OPERAND(dst, REG, RCX, 8);
	MEMORY(src, 2);
	GOOD(64, "\x66\x0f\xb7\x08");
	OPERAND(dst, REG, RCX, 2);
	GOOD(64, "\x48\x63\x08");
	OPERAND(dst, REG, RCX, 8);
	MEMORY(src, 4);
	CHECK(DECODE(32, "\x63\x08") == INSN_UNSUPPORTED); /* ARPL */
}

static void high_bytes(void)
{
	GOOD(64, "\x88\x28"); /* mov %ch, (%rax) */
	OPERAND(src, HIGH, RCX, 1);
	GOOD(64, "\x40\x88\x28"); /* mov %bpl, (%rax) */
	OPERAND(src, REG, RBP, 1);
	GOOD(64, "\x44\x88\x28");
	OPERAND(src, REG, R13, 1);
	GOOD(32, "\x8a\x38"); /* mov (%eax), %bh */
	OPERAND(dst, HIGH, RBX, 1);
	GOOD(64, "\x89\x28");
	OPERAND(src, REG, RBP, 4);
}

static void rex_counts_only_right_before_the_opcode(void)
{
	GOOD(64, "\x48\x66\x89\x08");
	CHECK(insn.size == 2 && !(insn.prefixes & INSN_REX_W));
	GOOD(64, "\x44\x67\x88\x28");
	OPERAND(src, HIGH, RCX, 1);
	GOOD(64, "\x48\x40\x89\x08");
	CHECK(insn.size == 4);
	GOOD(64, "\x66\x48\x89\x08");
	CHECK(insn.size == 8);
	CHECK(DECODE(32, "\x48\x89\x08") == INSN_UNSUPPORTED); /* dec %eax */
}

static void addressing_64(void)
{
	GOOD(64, "\x8b\x05\x10\x00\x00\x00");
	MEM(DS, INSN_RIP, NONE, 0, 0x10);
	GOOD(64, "\x67\x8b\x05\xf0\xff\xff\xff");
	MEM(DS, INSN_RIP, NONE, 0, -16);
	CHECK_EQ(insn.mem.address_size, 4);
	GOOD(64, "\x8b\x04\x25\x00\x00\x00\xfe"); /* absolute, sign-extended */
	MEM(DS, NONE, NONE, 0, 0xfffffffffe000000);
	GOOD(64, "\x8b\x04\x24"); /* (%rsp) */
	MEM(SS, GPR_RSP, NONE, 0, 0);
	GOOD(64, "\x41\x8b\x04\x24"); /* (%r12) */
	MEM(DS, GPR_R12, NONE, 0, 0);
	GOOD(64, "\x41\x8b\x45\x00"); /* (%r13) */
	MEM(DS, GPR_R13, NONE, 0, 0);
	GOOD(64, "\x42\x8b\x04\xa0"); /* (%rax,%r12,4) */
	MEM(DS, GPR_RAX, GPR_R12, 2, 0);
	GOOD(64, "\x8b\x04\xcd\x00\x01\x00\x00"); /* 0x100(,%rcx,8) */
	MEM(DS, NONE, GPR_RCX, 3, 0x100);
	GOOD(64, "\x49\x8b\x84\x0d\x00\x00\x00\x80"); /* -0x80000000(%r13,%rcx) */
	MEM(DS, GPR_R13, GPR_RCX, 0, -0x80000000ll);
	GOOD(64, "\x43\x8b\x04\xe5\x00\x00\x00\x00"); /* base r13 with mod 0 is none */
	MEM(DS, NONE, GPR_R12, 3, 0);
}

static void addressing_32(void)
{
	GOOD(32, "\x8b\x05\x78\x56\x34\x12");
	MEM(DS, NONE, NONE, 0, 0x12345678);
	GOOD(32, "\x8b\x44\xec\x7f"); /* 0x7f(%esp,%ebp,8) */
	MEM(SS, GPR_RSP, GPR_RBP, 3, 0x7f);
	GOOD(32, "\x67\x8b\x46\x80"); /* -0x80(%bp) */
	MEM(SS, GPR_RBP, NONE, 0, -0x80);
	CHECK_EQ(insn.mem.address_size, 2);
}

static void addressing_16(void)
{
	static const uint8_t base[8] = {
		GPR_RBX, GPR_RBX, GPR_RBP, GPR_RBP, GPR_RSI, GPR_RDI, NONE, GPR_RBX};
	static const uint8_t index[8] = {
		GPR_RSI, GPR_RDI, GPR_RSI, GPR_RDI, NONE, NONE, NONE, NONE};

	for (unsigned rm = 0; rm < 8; rm++) {
		char bytes[4] = {(char)0x8b, (char)rm, 0x34, 0x12};

		good(INSN_MODE_16, bytes, rm == 6 ? 4 : 2, __LINE__);
		check_mem(base[rm] == GPR_RBP ? VSEG_SS : VSEG_DS, base[rm], index[rm], 0,
			rm == 6 ? 0x1234 : 0, __LINE__);
		CHECK_EQ(insn.size, 2);
	}
	GOOD(16, "\x8b\x87\x00\x80");
	MEM(DS, GPR_RBX, NONE, 0, -0x8000);
	GOOD(16, "\x67\x66\x8b\x04\x88");
	MEM(DS, GPR_RAX, GPR_RCX, 2, 0);
	CHECK(insn.size == 4 && insn.mem.address_size == 4);
}

static void segments(void)
{
	GOOD(64, "\x2e\x8b\x00");
	MEM(DS, GPR_RAX, NONE, 0, 0);
	GOOD(64, "\x64\x2e\x8b\x00"); /* the CS after FS is as if it weren't there */
	MEM(FS, GPR_RAX, NONE, 0, 0);
	GOOD(64, "\x36\x65\x8b\x45\x00");
	MEM(GS, GPR_RBP, NONE, 0, 0);
	GOOD(32, "\x2e\x8b\x45\x00");
	MEM(CS, GPR_RBP, NONE, 0, 0);
	GOOD(32, "\x26\x36\x8b\x00");
	MEM(SS, GPR_RAX, NONE, 0, 0);
	GOOD(16, "\x26\xa5");
	CHECK_EQ(insn.mem.seg, VSEG_ES);
}

static void absolute_offsets(void)
{
	GOOD(64, "\xa1\x08\x07\x06\x05\x04\x03\x02\x01");
	MEM(DS, NONE, NONE, 0, 0x0102030405060708);
	OPERAND(dst, REG, RAX, 4);
	GOOD(64, "\x67\x48\xa3\x00\x00\x00\xfe");
	MEMORY(dst, 8);
	CHECK_EQ((uint32_t)insn.mem.disp, 0xfe000000);
	GOOD(16, "\x65\xa2\x34\x12");
	MEM(GS, NONE, NONE, 0, 0x1234);
	OPERAND(src, REG, RAX, 1);
}

static void strings(void)
{
	GOOD(64, "\xf3\x48\xa5");
	CHECK(insn.op == OP_MOVS && insn.size == 8 && insn.prefixes & INSN_REP);
	CHECK(insn.dst.kind == OPERAND_DI && insn.src.kind == OPERAND_SI);
	GOOD(64, "\x66\xf3\xa5"); /* what Capstone 4 gets wrong */
	CHECK_EQ(insn.size, 2);
	GOOD(64, "\xf3\x66\xab");
	CHECK(insn.op == OP_STOS && insn.size == 2);
	OPERAND(src, REG, RAX, 2);
	GOOD(64, "\xf3\xf2\xae");
	CHECK(insn.op == OP_SCAS && insn.size == 1);
	CHECK((insn.prefixes & (INSN_REP | INSN_REPNE)) == INSN_REPNE);
	GOOD(64, "\xf2\xf3\x67\xa7");
	CHECK((insn.prefixes & (INSN_REP | INSN_REPNE)) == INSN_REP);
	CHECK(insn.op == OP_CMPS && insn.mem.address_size == 4);
	GOOD(32, "\xac");
	CHECK(insn.op == OP_LODS);
	CHECK(DECODE(64, "\xf0\xa5") == INSN_INVALID);
}

static void arithmetic(void)
{
	GOOD(64, "\x83\x08\xff");
	CHECK(insn.op == OP_OR && insn.size == 4 && insn.imm == ~0ull);
	GOOD(64, "\x66\x81\x38\x34\x12");
	CHECK(insn.op == OP_CMP && insn.imm == 0x1234);
	GOOD(32, "\x82\x30\x01");
	CHECK(insn.op == OP_XOR && insn.size == 1);
	CHECK(DECODE(64, "\x82\x30\x01") == INSN_INVALID);
	GOOD(64, "\x03\x08");
	CHECK(insn.op == OP_ADD);
	OPERAND(dst, REG, RCX, 4);
	GOOD(64, "\xf6\x08\x01"); /* F6 /1 is TEST too */
	CHECK(insn.op == OP_TEST);
	GOOD(64, "\xd3\x30"); /* /6 is SHL too */
	CHECK(insn.op == OP_SHL);
	OPERAND(src, REG, RCX, 1);
	GOOD(64, "\xd0\x10");
	CHECK(insn.op == OP_RCL && insn.src.kind == OPERAND_IMM && insn.imm == 1);
	GOOD(64, "\x0f\xa4\x08\x05");
	CHECK(insn.op == OP_SHLD && insn.third.kind == OPERAND_IMM && insn.imm == 5);
	GOOD(64, "\x0f\xad\x08");
	OPERAND(third, REG, RCX, 1);
	GOOD(64, "\x0f\xba\x28\x41");
	CHECK(insn.op == OP_BTS && insn.imm == 0x41);
	CHECK(DECODE(64, "\x0f\xba\x18\x01") == INSN_UNSUPPORTED);
	GOOD(64, "\x0f\x94\x00");
	CHECK(insn.op == OP_SETCC && insn.cc == 4 && insn.size == 1);
	GOOD(64, "\x0f\x4f\x00");
	CHECK(insn.op == OP_CMOV && insn.cc == 15);
	GOOD(64, "\x48\x0f\xc7\x08");
	CHECK(insn.op == OP_CMPXCHG8B && insn.size == 16);
}

static void stack(void)
{
	GOOD(64, "\xff\x30");
	CHECK(insn.op == OP_PUSH && insn.size == 8);
	GOOD(64, "\x66\x8f\x00");
	CHECK(insn.op == OP_POP && insn.size == 2);
	GOOD(32, "\xff\x30");
	CHECK_EQ(insn.size, 4);
	CHECK(DECODE(64, "\x8f\x08") == INSN_UNSUPPORTED); /* XOP */
	CHECK(DECODE(64, "\xff\x10") == INSN_UNSUPPORTED); /* call */
}

static void lock_only_where_it_is_legal(void)
{
	GOOD(64, "\xf0\x01\x08");
	CHECK(insn.prefixes & INSN_LOCK);
	GOOD(64, "\xf0\x0f\xb1\x08");
	CHECK(DECODE(64, "\xf0\x03\x08") == INSN_INVALID); /* memory is the source */
	CHECK(DECODE(64, "\xf0\x89\x08") == INSN_INVALID);
	CHECK(DECODE(64, "\xf0\x39\x08") == INSN_INVALID); /* CMP */
	CHECK(DECODE(64, "\xf0\x01\xc8") == INSN_INVALID); /* a register */
	CHECK(DECODE(64, "\xf0\x0f\xa3\x08") == INSN_INVALID);
	CHECK(DECODE(64, "\xf0\xd3\x00") == INSN_INVALID);
}

static void other_instructions_under_a_prefix(void)
{
	CHECK(DECODE(64, "\x66\x0f\xc3\x08") == INSN_UNSUPPORTED);
	CHECK(DECODE(64, "\xf2\x0f\x38\xf0\x08") == INSN_UNSUPPORTED); /* CRC32 */
	CHECK(DECODE(64, "\x0f\x38\xf0\xc8") == INSN_UNSUPPORTED);     /* no register form */
	CHECK(DECODE(64, "\x0f\xc7\xc8") == INSN_UNSUPPORTED);
	CHECK(DECODE(64, "\x0f\x6f\x00") == INSN_UNSUPPORTED);
	CHECK(DECODE(64, "\xc5\xf8\x58\x00") == INSN_UNSUPPORTED);
	CHECK(DECODE(64, "\x90") == INSN_UNSUPPORTED);
	CHECK(DECODE(64, "\xc7\xf8\x00\x00\x00\x00") == INSN_UNSUPPORTED); /* XBEGIN */
}

static void registers_instead_of_memory(void)
{
	GOOD(64, "\x41\x89\xc8");
	OPERAND(dst, REG, R8, 4);
	OPERAND(src, REG, RCX, 4);
	GOOD(64, "\x8a\xe7");
	OPERAND(dst, HIGH, RAX, 1);
	OPERAND(src, HIGH, RBX, 1);
}

static void length_is_bounded(void)
{
	static const char prefixes[16] =
		"\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66";

	CHECK(decode(INSN_MODE_64, prefixes, 14) == INSN_TRUNCATED);
	CHECK(decode(INSN_MODE_64, prefixes, 15) == INSN_TOO_LONG);
	CHECK(DECODE(64, "\x26\x26\x26\x26\x26\x26\x26\x26\x26\x26\x26\x26\x26\x89\x08") ==
		INSN_OK);
	CHECK_EQ(insn.length, 15);
	CHECK(DECODE(64, "\x26\x26\x26\x26\x26\x26\x26\x26\x26\x26\x26\x26\x26\x26\x89\x08") ==
		INSN_TOO_LONG);
	CHECK(DECODE(64, "\x26\x26\x26\x26\x26\xc7\x84\x00\0\0\0\0\0\0\0\0") == INSN_TOO_LONG ||
		insn.length <= INSN_MAX);
	CHECK(decode(INSN_MODE_64, "", 0) == INSN_TRUNCATED);
}

static void failure_leaves_the_result(void)
{
	memset(&insn, 0x5a, sizeof(insn));
	CHECK(DECODE(64, "\x8b\x04") == INSN_TRUNCATED && insn.op == 0x5a);
	CHECK(DECODE(64, "\x0f\x0b") == INSN_UNSUPPORTED && insn.op == 0x5a);
	CHECK(DECODE(64, "\xf0\x89\x08") == INSN_INVALID && insn.op == 0x5a);
}

static void operations_have_names(void)
{
	CHECK(!strcmp(insn_op_name(OP_ADD), "add") && !strcmp(insn_op_name(OP_CMPS), "cmps"));
	CHECK(!strcmp(insn_op_name(OP_CMPXCHG8B), "cmpxchg8b"));
	CHECK(!strcmp(insn_op_name(OP_COUNT), "?"));
}

static void vectors(void)
{
	GOOD(64, "\x0f\x10\x08");
	CHECK(insn.op == OP_MOVU && insn.size == 16 && !insn.vex);
	CHECK(insn.dst.kind == OPERAND_VECTOR && insn.dst.reg == 1 && insn.dst.size == 16);
	MEMORY(src, 16);
	GOOD(64, "\x66\x44\x0f\x29\x40\x10");
	CHECK(insn.op == OP_MOVA && insn.src.reg == 8);
	/* Of F2 and F3 the last one counts, and 66 doesn't beside them. */
	GOOD(64, "\x66\xf2\xf3\x0f\x10\x00");
	CHECK(insn.op == OP_MOVLOW && insn.size == 4);
	GOOD(64, "\xf3\x66\xf2\x0f\x10\x00");
	CHECK(insn.op == OP_MOVLOW && insn.size == 8);
	GOOD(64, "\x66\x48\x0f\x7e\x00");
	CHECK(insn.op == OP_MOVLOW && insn.size == 8 && insn.dst.kind == OPERAND_MEM);
	GOOD(32, "\x66\x0f\x7e\x00");
	CHECK(insn.size == 4);
	GOOD(64, "\x66\x0f\x38\x2a\x00");
	CHECK(insn.op == OP_MOVA);
	CHECK(DECODE(64, "\x0f\x38\x2a\x00") == INSN_UNSUPPORTED);
	CHECK(DECODE(64, "\x0f\x10\xc1") == INSN_UNSUPPORTED); /* between registers */
	CHECK(DECODE(64, "\x0f\x6f\x00") == INSN_UNSUPPORTED); /* MMX */
	CHECK(DECODE(64, "\xf0\x0f\x10\x00") == INSN_INVALID);
}

static void vex(void)
{
	GOOD(64, "\xc5\x7c\x10\x08");
	CHECK(insn.op == OP_MOVU && insn.size == 32 && insn.vex && insn.dst.reg == 9);
	CHECK(insn.dst.size == 32);
	GOOD(64, "\xc4\xc1\x7a\x7e\x44\x24\x08");
	CHECK(insn.op == OP_MOVLOW && insn.size == 8 && insn.mem.base == GPR_R12);
	GOOD(64, "\xc4\xe1\xf9\x6e\x00");
	CHECK(insn.size == 8);
	/* Outside of 64-bit mode: no W, no more than 8 registers, and LES and LDS are near. */
	GOOD(32, "\xc4\xe1\xf9\x6e\x00");
	CHECK(insn.size == 4);
	GOOD(32, "\xc5\xf8\x16\x00");
	CHECK(insn.third.kind == OPERAND_VECTOR && insn.third.reg == 0);
	CHECK(DECODE(32, "\xc5\x78\x10\x08") == INSN_UNSUPPORTED);
	CHECK(DECODE(32, "\xc4\x00\x00") == INSN_UNSUPPORTED);
	GOOD(64, "\xc5\x28\x12\x18");
	CHECK(insn.op == OP_MOVL && insn.dst.reg == 11 && insn.third.reg == 10);
	GOOD(64, "\x67\x64\xc5\xf8\x28\x08");
	CHECK(insn.mem.seg == VSEG_FS && insn.mem.address_size == 4);
	CHECK(DECODE(64, "\xc5\xfc\x12\x08") == INSN_INVALID); /* 256 bits */
	CHECK(DECODE(64, "\xc5\xf0\x10\x08") == INSN_INVALID); /* vvvv without a meaning */
	CHECK(DECODE(64, "\x66\xc5\xf8\x10\x08") == INSN_INVALID);
	CHECK(DECODE(64, "\x40\xc5\xf8\x10\x08") == INSN_INVALID);
	CHECK(DECODE(64, "\xf0\xc5\xf8\x10\x08") == INSN_INVALID);
	CHECK(DECODE(64, "\xc4\xe0\x78\x10\x08") == INSN_UNSUPPORTED); /* map 0 */
	CHECK(DECODE(64, "\xc4\xe3\x78\x10\x08") == INSN_UNSUPPORTED);
	CHECK(DECODE(64, "\xc5\xf8\xb6\x08") == INSN_UNSUPPORTED); /* MOVZX has no VEX */
	CHECK(DECODE(64, "\xc5\xf8\x10\xc8") == INSN_UNSUPPORTED); /* between registers */
	CHECK(DECODE(64, "\xc5") == INSN_TRUNCATED);
	CHECK(DECODE(64, "\xc4\xe1") == INSN_TRUNCATED);
}

static void direct_stores_and_caches(void)
{
	GOOD(64, "\x48\x0f\x38\xf9\x08");
	CHECK(insn.op == OP_MOVDIRI && insn.size == 8);
	CHECK(DECODE(64, "\x66\x0f\x38\xf9\x08") == INSN_UNSUPPORTED);
	GOOD(64, "\x66\x0f\x38\xf8\x08");
	CHECK(insn.op == OP_MOVDIR64B && insn.size == 64 && insn.dst.kind == OPERAND_ES);
	CHECK(insn.dst.reg == GPR_RCX);
	MEMORY(src, 64);
	CHECK(DECODE(64, "\x0f\x38\xf8\x08") == INSN_UNSUPPORTED);
	CHECK(DECODE(64, "\x66\xf2\x0f\x38\xf8\x08") == INSN_UNSUPPORTED); /* ENQCMD */
	CHECK(DECODE(64, "\x66\x0f\x38\xf8\xc8") == INSN_UNSUPPORTED);
	GOOD(64, "\x0f\xae\x38");
	CHECK(insn.op == OP_FLUSH && insn.size == 1);
	GOOD(64, "\x66\x0f\xae\x30");
	CHECK(DECODE(64, "\x0f\xae\x30") == INSN_UNSUPPORTED); /* XSAVEOPT */
	CHECK(DECODE(64, "\xf3\x0f\xae\x38") == INSN_UNSUPPORTED);
	CHECK(DECODE(64, "\x0f\xae\xf8") == INSN_UNSUPPORTED); /* SFENCE */
	CHECK(DECODE(64, "\xf0\x0f\xae\x38") == INSN_INVALID);
	GOOD(16, "\x0f\x18\x0f");
	CHECK(insn.op == OP_PREFETCH);
	GOOD(64, "\x0f\x0d\x08");
	CHECK(DECODE(64, "\x0f\x18\x20") == INSN_UNSUPPORTED);
}

int main(void)
{
	RUN(moves);
	RUN(widening);
	RUN(high_bytes);
	RUN(rex_counts_only_right_before_the_opcode);
	RUN(addressing_64);
	RUN(addressing_32);
	RUN(addressing_16);
	RUN(segments);
	RUN(absolute_offsets);
	RUN(strings);
	RUN(arithmetic);
	RUN(stack);
	RUN(lock_only_where_it_is_legal);
	RUN(other_instructions_under_a_prefix);
	RUN(registers_instead_of_memory);
	RUN(length_is_bounded);
	RUN(failure_leaves_the_result);
	RUN(vectors);
	RUN(vex);
	RUN(direct_stores_and_caches);
	RUN(operations_have_names);
	return TEST_RESULT();
}
