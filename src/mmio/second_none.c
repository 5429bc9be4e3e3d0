/* No second opinion: Postern without Capstone. See second.h. No state; on the exit path. */
#include "mmio/second.h"

int second_open(struct arena *arena, struct second **ret)
{
	(void)arena;
	*ret = NULL;
	return 0;
}

bool second_agrees(struct second *s, const uint8_t *bytes, size_t n, enum insn_mode mode,
	const struct insn *ours)
{
	(void)s, (void)bytes, (void)n, (void)mode, (void)ours;
	return true;
}

void second_describe(const struct second *s, const struct insn *ours, char *out, size_t size)
{
	(void)s, (void)ours;
	if (size)
		out[0] = '\0';
}

const char *second_name(struct second *s, const uint8_t *bytes, size_t n, enum insn_mode mode)
{
	(void)s, (void)bytes, (void)n, (void)mode;
	return "?";
}

unsigned second_defect_count(void)
{
	return 0;
}

const struct second_defect *second_defect_get(unsigned i)
{
	(void)i;
	return NULL;
}

uint64_t second_defect_hits(const struct second *s, unsigned i)
{
	(void)s, (void)i;
	return 0;
}
