/* Instruction bytes: the first byte of the input picks the mode, the rest are the instruction. */
#include "mmio/decode.h"
#include "fuzz.h"

static bool is_size(unsigned size)
{
	return size == 1 || size == 2 || size == 4 || size == 8 || size == 16 || size == 32 ||
	       size == 64;
}

static void check_operand(const struct operand *o)
{
	MUST(o->kind <= OPERAND_IMM);
	MUST(o->kind == OPERAND_NONE || is_size(o->size));
	if (o->kind == OPERAND_REG || o->kind == OPERAND_VECTOR || o->kind == OPERAND_ES)
		MUST(o->reg < GPR_COUNT);
	if (o->kind == OPERAND_HIGH)
		MUST(o->reg < 4 && o->size == 1);
}

static void check_insn(const struct insn *insn)
{
	const struct insn_mem *m = &insn->mem;

	MUST(insn->op > OP_NONE && insn->op < OP_COUNT && is_size(insn->size) && insn->cc < 16);
	check_operand(&insn->dst);
	check_operand(&insn->src);
	check_operand(&insn->third);
	MUST(insn->dst.kind != OPERAND_NONE && insn->dst.kind != OPERAND_IMM);
	MUST(m->seg <= VSEG_GS && m->shift < 4);
	MUST(m->base <= INSN_RIP || m->base == INSN_NO_REG);
	MUST(m->index < GPR_COUNT || m->index == INSN_NO_REG);
	MUST(m->address_size == 2 || m->address_size == 4 || m->address_size == 8);
	if (insn->prefixes & INSN_LOCK)
		MUST(insn->dst.kind == OPERAND_MEM);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum insn_mode mode;
	struct insn insn, again;
	enum insn_status status;

	if (!size)
		return 0;
	mode = (enum insn_mode)(data[0] % 3);
	memset(&insn, 0xa5, sizeof(insn));
	again = insn;
	status = insn_decode(data + 1, size - 1, mode, &insn);
	if (status != INSN_OK) {
		MUST(!memcmp(&insn, &again, sizeof(insn)));
		MUST(status != INSN_TRUNCATED || size - 1 < INSN_MAX);
		MUST(status != INSN_TOO_LONG || size - 1 >= INSN_MAX);
		return 0;
	}
	MUST(insn.length && insn.length <= INSN_MAX && insn.length <= size - 1);
	check_insn(&insn);
	/* Its own bytes are enough, and none of them is too many. */
	memset(&again, 0, sizeof(again));
	MUST(insn_decode(data + 1, insn.length, mode, &again) == INSN_OK);
	MUST(again.length == insn.length && again.op == insn.op && again.imm == insn.imm);
	for (size_t n = 0; n < insn.length; n++)
		MUST(insn_decode(data + 1, n, mode, &again) == INSN_TRUNCATED);
	return 0;
}
