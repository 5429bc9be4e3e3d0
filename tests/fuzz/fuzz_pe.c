/* A file that claims to be an EFI program: parsed, and loaded twice into memory just large enough. */
#include "guest/pe.h"
#include "fuzz.h"

#define IMAGE_MAX 0x100000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *memory;
	struct pe pe;

	if (pe_parse(data, size, &pe))
		return 0;
	MUST(pe.entry < pe.size && pe.headers <= pe.size && pe.headers <= size);
	MUST(pe.alignment && !(pe.alignment & (pe.alignment - 1)));
	if (pe.size > IMAGE_MAX)
		return 0;
	memory = malloc(pe.size);
	MUST(memory);
	MUST(pe_load(&pe, memory, pe.preferred) == 0);
	MUST(pe_load(&pe, memory, pe.preferred + 0x12345000) <= 0);
	free(memory);
	return 0;
}
