/* See bench_zydis.h. */
#include <Zydis/Zydis.h>

#include "bench_zydis.h"

static ZydisDecoder decoder;

bool zydis_is_there(void)
{
	return ZYAN_SUCCESS(
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64));
}

unsigned zydis_decode(const uint8_t *bytes, size_t n)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction instruction;

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, n, &instruction, operands)))
		return 0;
	return instruction.length;
}
