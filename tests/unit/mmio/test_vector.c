/*
 * mmio: vector registers, and other instructions of more than 8 bytes: how their accesses are split,
 * what they leave in the registers, and which exceptions come before. tests/diff holds the values
 * against real CPUs.
 */
#include "base/bits.h"
#include "fakes/fake_guest.h"
#include "fakes/fake_vector.h"
#include "mmio/emulate.h"
#include "test.h"

#define RW_USER	  0x67u /* entry bits: present, writable, user, accessed, dirty */
#define XCR0_AVX  7u
#define XCR0_SSE  3u
#define MOVUPS_1  "\x0f\x10\x08"     /* movups (%rax), %xmm1 */
#define MOVAPS_1  "\x0f\x28\x08"     /* movaps (%rax), %xmm1 */
#define VMOVUPS_1 "\xc5\xfc\x10\x08" /* vmovups (%rax), %ymm1 */
#define VSTORE_1  "\xc5\xfc\x11\x08" /* vmovups %ymm1, (%rax) */

static struct fake_guest g;
static struct insn insn;
static enum insn_mode mode;

static void boot(enum fake_mode m)
{
	fake_guest_init(&g, m);
	mode = m == FAKE_LONG ? INSN_MODE_64 : m == FAKE_FLAT32 ? INSN_MODE_32 : INSN_MODE_16;
	g.cpu.reg[VREG_CR4] |= CR4_OSFXSR | CR4_OSXSAVE;
	g.vm.vcpu.fpu.guest_xcr0 = XCR0_AVX;
	fake_vector_avx = true;
	for (unsigned i = 0; i < sizeof(fake_vector); i++)
		((uint8_t *)fake_vector)[i] = (uint8_t)(0x80 + i);
	for (unsigned i = 0; i < sizeof(g.dev); i++)
		g.dev[i] = (uint8_t)(i * 7 + 1);
	g.vm.vcpu.gpr[GPR_RAX] = FAKE_DEV;
}

static enum emulate_result run_at(const char *bytes, size_t n, uint64_t address)
{
	struct vmexit e = fake_guest_exit(FAKE_CODE, address, true, false);
	struct emulation em = {.vm = &g.vm, .exit = &e, .insn = &insn, .mode = mode};

	g.vm.vcpu.event.type = VEVENT_NONE;
	g.accesses = 0;
	CHECK(insn_decode((const uint8_t *)bytes, n, mode, &insn) == INSN_OK);
	CHECK_EQ(insn.length, n);
	return emulate_run(&em);
}

#define RUN_AT(bytes, address) run_at(bytes, sizeof(bytes) - 1, address)

static bool raised(unsigned vector)
{
	const struct vcpu_event *e = &g.vm.vcpu.event;

	return e->type == VEVENT_EXCEPTION && e->vector == vector && !e->error &&
	       e->has_error == (vector == VECTOR_GP);
}

static bool accessed(unsigned i, uint64_t offset, unsigned size)
{
	return i < g.accesses && g.log[i].offset == offset && g.log[i].size == size;
}

static void wide_accesses_are_split_in_order(void)
{
	boot(FAKE_LONG);
	CHECK(RUN_AT(MOVUPS_1, FAKE_DEV) == EMULATE_DONE);
	CHECK(g.accesses == 2 && accessed(0, 0, 8) && accessed(1, 8, 8));
	CHECK(!memcmp(fake_vector[1], g.dev, 16) && fake_vector[1][16] == 0xb0);
	CHECK(RUN_AT(VSTORE_1, FAKE_DEV) == EMULATE_DONE);
	CHECK(g.accesses == 4 && accessed(0, 0, 8) && accessed(3, 24, 8) && g.log[3].write);
	CHECK(!memcmp(g.dev, fake_vector[1], 32));
	/* Not aligned, and so in smaller pieces at both ends. */
	g.vm.vcpu.gpr[GPR_RAX] = FAKE_DEV + 5;
	CHECK(RUN_AT(MOVUPS_1, FAKE_DEV + 5) == EMULATE_DONE);
	CHECK(g.accesses == 5 && accessed(0, 5, 1) && accessed(1, 6, 2) && accessed(2, 8, 8));
	CHECK(accessed(3, 16, 4) && accessed(4, 20, 1));
	CHECK(!memcmp(fake_vector[1], g.dev + 5, 16));
}

static void wide_accesses_cross_pages(void)
{
	uint64_t at = FAKE_VIEW + PAGE_SIZE - 8;

	boot(FAKE_LONG);
	fake_guest_map(&g, 0, FAKE_DEV, RW_USER);
	fake_guest_map(&g, 1, FAKE_DATA, RW_USER);
	g.vm.vcpu.gpr[GPR_RAX] = at;
	memset(g.ram + FAKE_DATA, 0x5a, 32);
	CHECK(RUN_AT(VMOVUPS_1, FAKE_DEV + PAGE_SIZE - 8) == EMULATE_DONE);
	CHECK(g.accesses == 1 && accessed(0, PAGE_SIZE - 8, 8));
	CHECK(!memcmp(fake_vector[1], g.dev + PAGE_SIZE - 8, 8));
	CHECK(fake_vector[1][8] == 0x5a && fake_vector[1][31] == 0x5a);
	/* The second page is missing: nothing is read, nothing changes. */
	fake_guest_map(&g, 1, 0, 0);
	fake_vector[1][0] = 0x11;
	CHECK(RUN_AT(VMOVUPS_1, FAKE_DEV + PAGE_SIZE - 8) == EMULATE_RAISED);
	CHECK(g.vm.vcpu.event.vector == VECTOR_PF && !g.accesses && fake_vector[1][0] == 0x11);
	CHECK_EQ(g.cpu.reg[VREG_CR2], FAKE_VIEW + PAGE_SIZE);
}

static void vex_zeroes_what_is_above(void)
{
	static const uint8_t zeros[24];

	boot(FAKE_LONG);
	CHECK(RUN_AT("\xc5\xf8\x10\x08", FAKE_DEV) == EMULATE_DONE); /* vmovups, 16 bytes */
	CHECK(!memcmp(fake_vector[1], g.dev, 16) && !memcmp(fake_vector[1] + 16, zeros, 16));
	CHECK(RUN_AT("\xc5\xfa\x10\x10", FAKE_DEV) == EMULATE_DONE); /* vmovss, xmm2 */
	CHECK(g.accesses == 1 && accessed(0, 0, 4));
	CHECK(!memcmp(fake_vector[2], g.dev, 4) && !memcmp(fake_vector[2] + 4, zeros, 24));
	CHECK(RUN_AT("\xf3\x0f\x10\x18", FAKE_DEV) == EMULATE_DONE); /* movss, xmm3 */
	CHECK(!memcmp(fake_vector[3] + 4, zeros, 12) && fake_vector[3][16] == 0xf0);
}

static void halves_come_from_two_sides(void)
{
	boot(FAKE_LONG);
	CHECK(RUN_AT("\x0f\x16\x08", FAKE_DEV) == EMULATE_DONE); /* movhps, xmm1 */
	CHECK(accessed(0, 0, 8) && g.accesses == 1 && fake_vector[1][0] == 0xa0);
	CHECK(!memcmp(fake_vector[1] + 8, g.dev, 8) && fake_vector[1][16] == 0xb0);
	/* vmovlps (%rax), %xmm5, %xmm1: the high half is that of xmm5, and above are zeros. */
	CHECK(RUN_AT("\xc5\xd0\x12\x08", FAKE_DEV) == EMULATE_DONE);
	CHECK(!memcmp(fake_vector[1], g.dev, 8));
	CHECK(!memcmp(fake_vector[1] + 8, fake_vector[5] + 8, 8) && !fake_vector[1][16]);
	CHECK(RUN_AT("\x0f\x17\x28", FAKE_DEV) == EMULATE_DONE); /* movhps %xmm5, (%rax) */
	CHECK(g.accesses == 1 && !memcmp(g.dev, fake_vector[5] + 8, 8));
}

static void aligned_forms_want_alignment(void)
{
	boot(FAKE_LONG);
	g.vm.vcpu.gpr[GPR_RAX] = FAKE_DEV + 8;
	CHECK(RUN_AT(MOVAPS_1, FAKE_DEV + 8) == EMULATE_RAISED);
	CHECK(raised(VECTOR_GP) && !g.accesses);
	CHECK(RUN_AT(MOVUPS_1, FAKE_DEV + 8) == EMULATE_DONE);
	g.vm.vcpu.gpr[GPR_RAX] = FAKE_DEV + 16;
	CHECK(RUN_AT(MOVAPS_1, FAKE_DEV + 16) == EMULATE_DONE);
	CHECK(RUN_AT("\xc5\xfc\x29\x08", FAKE_DEV + 16) == EMULATE_RAISED); /* 32 bytes */
	CHECK(raised(VECTOR_GP) && !g.accesses);
	/* It comes before a page fault. */
	g.vm.vcpu.gpr[GPR_RAX] = FAKE_VIEW + 8;
	CHECK(RUN_AT(MOVAPS_1, FAKE_DEV) == EMULATE_RAISED && raised(VECTOR_GP));
}

static void the_guest_must_have_enabled_it(void)
{
	boot(FAKE_LONG);
	g.cpu.reg[VREG_CR4] &= ~CR4_OSFXSR;
	CHECK(RUN_AT(MOVUPS_1, FAKE_DEV) == EMULATE_RAISED && raised(VECTOR_UD));
	CHECK(RUN_AT(VMOVUPS_1, FAKE_DEV) == EMULATE_DONE);
	g.cpu.reg[VREG_CR4] |= CR4_OSFXSR;
	g.cpu.reg[VREG_CR4] &= ~CR4_OSXSAVE;
	CHECK(RUN_AT(MOVUPS_1, FAKE_DEV) == EMULATE_DONE);
	CHECK(RUN_AT(VMOVUPS_1, FAKE_DEV) == EMULATE_RAISED && raised(VECTOR_UD));
	g.cpu.reg[VREG_CR4] |= CR4_OSXSAVE;
	g.vm.vcpu.fpu.guest_xcr0 = XCR0_SSE;
	CHECK(RUN_AT(VMOVUPS_1, FAKE_DEV) == EMULATE_RAISED && raised(VECTOR_UD));
	g.vm.vcpu.fpu.guest_xcr0 = XCR0_AVX;
	g.cpu.reg[VREG_CR0] |= CR0_TS;
	CHECK(RUN_AT(MOVUPS_1, FAKE_DEV) == EMULATE_RAISED && raised(VECTOR_NM));
	CHECK(RUN_AT(VMOVUPS_1, FAKE_DEV) == EMULATE_RAISED && raised(VECTOR_NM));
	g.cpu.reg[VREG_CR0] |= CR0_EM;
	CHECK(RUN_AT(MOVUPS_1, FAKE_DEV) == EMULATE_RAISED && raised(VECTOR_UD));
	CHECK(!g.accesses);
}

static void real_mode_has_sse_and_no_avx(void)
{
	boot(FAKE_REAL);
	g.cpu.seg[VSEG_DS].base = FAKE_DEV;
	g.vm.vcpu.gpr[GPR_RBX] = 0x10;
	CHECK(RUN_AT("\x0f\x10\x0f", FAKE_DEV + 0x10) == EMULATE_DONE); /* (%bx) */
	CHECK(!memcmp(fake_vector[1], g.dev + 0x10, 16));
	CHECK(RUN_AT("\xc5\xf8\x10\x0f", FAKE_DEV + 0x10) == EMULATE_RAISED && raised(VECTOR_UD));
	boot(FAKE_FLAT32);
	CHECK(RUN_AT(VMOVUPS_1, FAKE_DEV) == EMULATE_DONE);
	g.cpu.reg[VREG_RFLAGS] |= RFLAGS_VM;
	CHECK(RUN_AT(VMOVUPS_1, FAKE_DEV) == EMULATE_RAISED && raised(VECTOR_UD));
}

static enum io_result refuse_second(struct fake_guest *guest, struct io_access *a)
{
	(void)a;
	return guest->accesses ? IO_FAULT : IO_DONE;
}

static void a_refused_access_changes_no_register(void)
{
	boot(FAKE_LONG);
	g.hook = refuse_second;
	CHECK(RUN_AT(MOVUPS_1, FAKE_DEV) == EMULATE_RAISED && raised(VECTOR_GP));
	CHECK(fake_vector[1][0] == 0xa0);
	CHECK(RUN_AT(VSTORE_1, FAKE_DEV) == EMULATE_RAISED && raised(VECTOR_GP));
	CHECK(RUN_AT(MOVUPS_1, FAKE_DEV + 0x100) == EMULATE_REFUSED && !g.accesses);
	CHECK(RUN_AT(VSTORE_1, FAKE_DEV + 0x100) == EMULATE_REFUSED && !g.accesses);
}

#define MOVDIRI	  "\x48\x0f\x38\xf9\x08" /* movdiri %rcx, (%rax) */
#define MOVDIR64B "\x66\x0f\x38\xf8\x08" /* movdir64b (%rax), %rcx */

static void direct_stores(void)
{
	uint64_t *gpr = g.vm.vcpu.gpr;

	boot(FAKE_LONG);
	gpr[GPR_RCX] = 0x1122334455667788;
	CHECK(RUN_AT(MOVDIRI, FAKE_DEV) == EMULATE_DONE && accessed(0, 0, 8));
	CHECK(g.accesses == 1 && !memcmp(g.dev, &gpr[GPR_RCX], 8));
	gpr[GPR_RAX] = FAKE_DATA + 3;
	gpr[GPR_RCX] = FAKE_DEV + 0x40;
	for (unsigned i = 0; i < 64; i++)
		g.ram[FAKE_DATA + 3 + i] = (uint8_t)(0xc0 + i);
	CHECK(RUN_AT(MOVDIR64B, FAKE_DEV + 0x40) == EMULATE_DONE);
	CHECK(g.accesses == 8 && accessed(0, 0x40, 8) && accessed(7, 0x78, 8));
	CHECK(!memcmp(g.dev + 0x40, g.ram + FAKE_DATA + 3, 64));
	/* From the device to memory. */
	gpr[GPR_RAX] = FAKE_DEV + 0x80;
	gpr[GPR_RCX] = FAKE_DATA;
	CHECK(RUN_AT(MOVDIR64B, FAKE_DEV + 0x80) == EMULATE_DONE);
	CHECK(!memcmp(g.dev + 0x80, g.ram + FAKE_DATA, 64));
	gpr[GPR_RCX] = FAKE_DEV + 0x48;
	CHECK(RUN_AT(MOVDIR64B, FAKE_DEV + 0x48) == EMULATE_RAISED);
	CHECK(raised(VECTOR_GP) && !g.accesses);
	gpr[GPR_RCX] = FAKE_DATA;
	CHECK(RUN_AT(MOVDIR64B, FAKE_DEV) == EMULATE_REFUSED && !g.accesses);
	gpr[GPR_RAX] = FAKE_VIEW;
	CHECK(RUN_AT(MOVDIR64B, FAKE_DEV) == EMULATE_RAISED);
	CHECK(g.vm.vcpu.event.vector == VECTOR_PF);
}

static void caches_are_not_ours(void)
{
	boot(FAKE_LONG);
	CHECK(RUN_AT("\x0f\xae\x38", FAKE_DEV) == EMULATE_DONE && !g.accesses);	    /* clflush */
	CHECK(RUN_AT("\x66\x0f\xae\x30", FAKE_DEV) == EMULATE_DONE && !g.accesses); /* clwb */
	CHECK(RUN_AT("\x0f\x18\x08", FAKE_DEV) == EMULATE_DONE && !g.accesses);
	/* A flush faults as a read does, a prefetch never. */
	g.vm.vcpu.gpr[GPR_RAX] = FAKE_VIEW;
	CHECK(RUN_AT("\x0f\xae\x38", FAKE_DEV) == EMULATE_RAISED);
	CHECK(g.vm.vcpu.event.vector == VECTOR_PF);
	CHECK(RUN_AT("\x0f\x18\x08", FAKE_DEV) == EMULATE_DONE);
}

int main(void)
{
	RUN(wide_accesses_are_split_in_order);
	RUN(wide_accesses_cross_pages);
	RUN(vex_zeroes_what_is_above);
	RUN(halves_come_from_two_sides);
	RUN(aligned_forms_want_alignment);
	RUN(the_guest_must_have_enabled_it);
	RUN(real_mode_has_sse_and_no_avx);
	RUN(a_refused_access_changes_no_register);
	RUN(direct_stores);
	RUN(caches_are_not_ours);
	return TEST_RESULT();
}
