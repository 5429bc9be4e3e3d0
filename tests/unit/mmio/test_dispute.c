/* mmio with a second opinion that says what the test wants: a double of second.c. */
#include "base/bits.h"
#include "base/log.h"
#include "fakes/fake_guest.h"
#include "mmio/mmio.h"
#include "mmio/second.h"
#include "test.h"

static struct fake_guest g;
static char last_line[LOG_LINE_MAX];
static unsigned lines, asked;
static bool answer;

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
	asked++;
	return answer;
}

void second_describe(const struct second *s, const struct insn *ours, char *out, size_t size)
{
	(void)s;
	snprintf(out, size, "ours %s, double nothing", insn_op_name(ours->op));
}

const char *second_name(struct second *s, const uint8_t *bytes, size_t n, enum insn_mode mode)
{
	(void)s, (void)bytes, (void)n, (void)mode;
	return "movups";
}

static void keep_line(const char *line, bool alert)
{
	(void)alert;
	strcpy(last_line, line);
	lines++;
}

static void boot(bool opinion)
{
	static uint8_t pool[64 * KIB] __attribute__((aligned(4096)));
	struct arena arena;

	arena_init(&arena, pool, hpa(0), sizeof(pool));
	fake_guest_init(&g, FAKE_LONG);
	CHECK(!mmio_attach(&g.vm, &arena));
	log_reset();
	log_add_sink(keep_line);
	lines = asked = 0;
	answer = opinion;
}

/* Runs mov %eax,(%rdi) or add %eax,(%rdi) at the device. */
static void run_insn(uint8_t opcode)
{
	struct vmexit e = fake_guest_exit(FAKE_CODE, FAKE_DEV, true, true);

	g.vm.vcpu.event.type = VEVENT_NONE;
	g.cpu.resumed = false;
	g.cpu.reg[VREG_RIP] = FAKE_CODE;
	g.vm.vcpu.gpr[GPR_RDI] = FAKE_DEV;
	g.vm.vcpu.gpr[GPR_RAX] = 0x11223344;
	g.ram[FAKE_CODE] = opcode;
	g.ram[FAKE_CODE + 1] = 0x07;
	g.vm.handler[VMEXIT_NPF](&g.vm, &e);
}

static bool undefined(void)
{
	const struct vcpu_event *e = &g.vm.vcpu.event;

	return e->type == VEVENT_EXCEPTION && e->vector == VECTOR_UD && !g.cpu.resumed;
}

static void a_dispute_is_undefined(void)
{
	boot(false);
	run_insn(0x89);
	CHECK(undefined());
	CHECK_EQ(g.accesses, 0);
	CHECK_EQ(g.vm.vcpu.gpr[GPR_RAX], 0x11223344);
	CHECK_EQ(lines, 1);
	CHECK(strstr(last_line, "decoders differ: 89 07 "));
	CHECK(strstr(last_line, "ours mov, double nothing"));
}

/* What was refused isn't in the cache, whatever was there before. */
static void a_dispute_is_not_remembered(void)
{
	boot(true);
	run_insn(0x89);
	CHECK(!undefined() && asked == 1);
	answer = false;
	run_insn(0x01);
	run_insn(0x01);
	CHECK(undefined());
	CHECK_EQ(asked, 3);
	CHECK_EQ(g.accesses, 1);
	answer = true;
	run_insn(0x01);
	CHECK(!undefined());
	CHECK_EQ(asked, 4);
}

static void asks_once_for_the_same_bytes(void)
{
	boot(true);
	for (unsigned i = 0; i < 10; i++)
		run_insn(0x89);
	CHECK_EQ(asked, 1);
	CHECK_EQ(g.accesses, 10);
	/* A hit isn't asked about. */
	answer = false;
	run_insn(0x89);
	CHECK_EQ(g.accesses, 11);
	run_insn(0x01);
	CHECK_EQ(asked, 2);
	CHECK(undefined());
}

static void disputes_cannot_flood_the_log(void)
{
	boot(false);
	for (unsigned i = 0; i < 4000; i++)
		run_insn(0x89);
	CHECK(lines < 20);
}

/* What ours doesn't know is named, but not by vote: it is undefined in any case. */
static void unknown_instructions_are_named(void)
{
	boot(true);
	run_insn(0x8d);
	CHECK(undefined());
	CHECK_EQ(asked, 0);
	CHECK(strstr(last_line, "unknown instruction movups: 8d 07"));
}

int main(void)
{
	RUN(a_dispute_is_undefined);
	RUN(a_dispute_is_not_remembered);
	RUN(asks_once_for_the_same_bytes);
	RUN(disputes_cannot_flood_the_log);
	RUN(unknown_instructions_are_named);
	return TEST_RESULT();
}
