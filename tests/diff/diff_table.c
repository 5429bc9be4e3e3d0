/*
 * The decoder's table against the generator's list of forms, which the other tests here go through:
 * every encoding that the decoder takes has a form, so that no entry of its table is untested, and
 * every form is taken. And each form under the prefixes that make it illegal.
 */
#include "base/bits.h"
#include "generate.h"
#include "mmio/decode.h"
#include "test.h"

#define MODRM_MEMORY 0u /* mod 0, rm 0: a register or two, and no displacement */
#define FORMS_MAX    512u

static const uint8_t mandatory[4] = {0, 0x66, 0xf3, 0xf2};

/* One encoding: maps 0 (one byte), 1 (0F), 2 (0F 38); with VEX or not. */
struct encoding {
	unsigned map, pp, reg, vex_last;
	uint8_t opcode;
	bool vex;
};

static unsigned hits[FORMS_MAX];

static void encode(const struct encoding *e, uint8_t bytes[INSN_MAX])
{
	unsigned n = 0;

	memset(bytes, 0, INSN_MAX);
	if (e->vex) {
		bytes[n++] = 0xc4;
		bytes[n++] = (uint8_t)(0xe0 | e->map);
		bytes[n++] = (uint8_t)(e->vex_last | e->pp);
	} else {
		if (e->pp)
			bytes[n++] = mandatory[e->pp];
		if (e->map)
			bytes[n++] = 0x0f;
		if (e->map == 2)
			bytes[n++] = 0x38;
	}
	bytes[n++] = e->opcode;
	bytes[n] = (uint8_t)(MODRM_MEMORY | e->reg << 3);
}

static bool is_form_of(const struct form *f, const struct encoding *e, enum insn_mode mode)
{
	if (f->opcodes != e->map + 1 || f->opcode[e->map] != e->opcode)
		return false;
	if (f->extension >= 0 && (unsigned)f->extension != e->reg)
		return false;
	if (f->flags & (mode == INSN_MODE_64 ? FORM_NO64 : FORM_64))
		return false;
	if (e->vex && !(f->flags & FORM_VECTOR))
		return false;
	return !(f->flags & FORM_NP) || f->prefix == mandatory[e->pp];
}

/* What is no opcode, but leads on to one. */
static bool leads_on(const struct encoding *e, enum insn_mode mode)
{
	static const uint8_t prefixes[] = {
		0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x0f, 0xc4, 0xc5};

	if (e->vex || e->map)
		return e->map == 1 && !e->vex && e->opcode == 0x38;
	if (mode == INSN_MODE_64 && (e->opcode & 0xf0) == 0x40)
		return true;
	return memchr(prefixes, e->opcode, sizeof(prefixes));
}

static void check_encoding(const struct encoding *e, enum insn_mode mode)
{
	uint8_t bytes[INSN_MAX];
	struct insn insn;
	bool found = false;

	encode(e, bytes);
	if (leads_on(e, mode) || insn_decode(bytes, INSN_MAX, mode, &insn) != INSN_OK)
		return;
	for (unsigned i = 0; i < form_count; i++) {
		if (is_form_of(&forms[i], e, mode)) {
			found = true;
			hits[i]++;
		}
	}
	if (!found)
		printf("  no form: mode %u, map %u, %02x /%u, prefix %u, vex %d\n", mode, e->map,
			e->opcode, e->reg, e->pp, e->vex);
	CHECK(found);
}

static void every_entry_has_a_form_and_every_form_an_entry(void)
{
	static const uint8_t vex_last[] = {0x78, 0x7c, 0xf8};
	unsigned missed = 0;

	CHECK(form_count <= FORMS_MAX);
	for (unsigned mode = INSN_MODE_16; mode <= INSN_MODE_64; mode++)
		for (unsigned i = 0; i < 3 * 4 * 256 * 8 * 4; i++) {
			struct encoding e = {.map = i % 3,
				.pp = i / 3 % 4,
				.opcode = (uint8_t)(i / 12),
				.reg = i / 3072 % 8};
			unsigned last = i / 24576;

			e.vex = last;
			e.vex_last = last ? vex_last[last - 1] : 0;
			check_encoding(&e, (enum insn_mode)mode);
		}
	for (unsigned i = 0; i < form_count; i++) {
		if (!hits[i]) {
			printf("  not decoded: %s\n", forms[i].name);
			missed++;
		}
	}
	CHECK_EQ(missed, 0);
	printf("%u forms\n", form_count);
}

static enum insn_status decode_with(uint8_t prefix, const struct encoding *e)
{
	uint8_t bytes[INSN_MAX], whole[INSN_MAX + 1];
	struct insn insn;

	encode(e, bytes);
	whole[0] = prefix;
	memcpy(whole + 1, bytes, INSN_MAX);
	return insn_decode(whole, INSN_MAX, INSN_MODE_64, &insn);
}

static struct encoding encoding_of(const struct form *f)
{
	struct encoding e = {.map = f->opcodes - 1u,
		.opcode = f->opcode[f->opcodes - 1],
		.reg = f->extension >= 0 ? (unsigned)f->extension : 1,
		.vex_last = 0x78};

	while (mandatory[e.pp] != f->prefix)
		e.pp++;
	return e;
}

static void lock_is_for_some_forms_only(void)
{
	for (unsigned i = 0; i < form_count; i++) {
		struct encoding e = encoding_of(&forms[i]);
		bool locked = forms[i].flags & FORM_LOCK;

		if (forms[i].flags & FORM_NO64)
			continue;
		CHECK_EQ(decode_with(0xf0, &e), locked ? INSN_OK : INSN_INVALID);
	}
}

static void vex_bears_no_other_prefix(void)
{
	static const uint8_t bad[] = {0x66, 0xf2, 0xf3, 0xf0, 0x40, 0x48};

	for (unsigned i = 0; i < form_count; i++) {
		struct encoding e = encoding_of(&forms[i]);

		if (!(forms[i].flags & FORM_VECTOR))
			continue;
		e.vex = true;
		CHECK_EQ(decode_with(0x67, &e), INSN_OK);
		for (unsigned j = 0; j < array_size(bad); j++)
			CHECK_EQ(decode_with(bad[j], &e), INSN_INVALID);
		e.vex_last = 0x7c;
		CHECK_EQ(decode_with(0x3e, &e),
			forms[i].flags & FORM_SHORT ? INSN_INVALID : INSN_OK);
		e.vex_last = 0x30;
		CHECK_EQ(decode_with(0x3e, &e),
			forms[i].flags & FORM_HALVES ? INSN_OK : INSN_INVALID);
	}
}

int main(void)
{
	RUN(every_entry_has_a_form_and_every_form_an_entry);
	RUN(lock_is_for_some_forms_only);
	RUN(vex_bears_no_other_prefix);
	return TEST_RESULT();
}
