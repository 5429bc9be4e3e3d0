/*
 * The emulator against the host's own CPU: each sample runs natively in an executable page and
 * through decoder and emulator, from the same random state; registers, defined flags and memory
 * must agree. 64-bit code only, as that is what a process can run.
 */
#include <asm/prctl.h>
#include <cpuid.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bits.h"
#include "state.h"
#include "test.h"

#define SAMPLES_PER_FORM 8000u
#define REPORTS_MAX	 20u

/* One mapping holds everything, below 2 GiB so that absolute addresses reach it. */
#define AREA		 FAKE_VIEW
#define AREA_SIZE	 0x10000u
#define AREA_RAM	 (AREA + 0x4000)
#define AREA_CODE	 (AREA + 0x8000)
/* A page of the frame: registers in, registers out, the host's stack pointer. */
#define FRAME		 0x4000a000

static const struct layout layout = {.dev = AREA, .ram = AREA_RAM, .code = AREA_CODE, .gs = true};

struct frame {
	uint64_t gpr[GPR_COUNT];
	uint64_t rflags, host_rsp, back, code, vectors; /* 1: the vectors count */
	uint64_t unused[43];
	uint8_t vector[16][32];
};

_Static_assert(offsetof(struct frame, rflags) == 128 && offsetof(struct frame, back) == 144 &&
		       offsetof(struct frame, vectors) == 160 &&
		       offsetof(struct frame, vector) == 512,
	"the assembly below knows these offsets");

/*
 * Loads all registers from the frame, runs the code page, which ends in a jump through frame.back,
 * and stores them again. MOV leaves the flags alone; FRAME is absolute and needs no register.
 */
void native_run(void);
__asm__(".text\n"
	"native_run:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp, 0x4000a000+136\n"
	"	testq $1, 0x4000a000+160; jz 2f\n"
	"	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
	"	vmovups 0x4000a000+512+32*\\n, %ymm\\n\n"
	"	.endr\n"
	"2:\n"
	"	lea 1f(%rip), %rax; mov %rax, 0x4000a000+144\n"
	"	pushq 0x4000a000+128; popfq\n"
	"	mov 0x4000a000+0, %rax; mov 0x4000a000+8, %rcx; mov 0x4000a000+16, %rdx\n"
	"	mov 0x4000a000+24, %rbx; mov 0x4000a000+32, %rsp; mov 0x4000a000+40, %rbp\n"
	"	mov 0x4000a000+48, %rsi; mov 0x4000a000+56, %rdi; mov 0x4000a000+64, %r8\n"
	"	mov 0x4000a000+72, %r9; mov 0x4000a000+80, %r10; mov 0x4000a000+88, %r11\n"
	"	mov 0x4000a000+96, %r12; mov 0x4000a000+104, %r13; mov 0x4000a000+112, %r14\n"
	"	mov 0x4000a000+120, %r15\n"
	"	jmp *0x4000a000+152\n"
	"1:	mov %rax, 0x4000a000+0; mov %rcx, 0x4000a000+8; mov %rdx, 0x4000a000+16\n"
	"	mov %rbx, 0x4000a000+24; mov %rsp, 0x4000a000+32; mov %rbp, 0x4000a000+40\n"
	"	mov %rsi, 0x4000a000+48; mov %rdi, 0x4000a000+56; mov %r8, 0x4000a000+64\n"
	"	mov %r9, 0x4000a000+72; mov %r10, 0x4000a000+80; mov %r11, 0x4000a000+88\n"
	"	mov %r12, 0x4000a000+96; mov %r13, 0x4000a000+104; mov %r14, 0x4000a000+112\n"
	"	mov %r15, 0x4000a000+120\n"
	"	mov 0x4000a000+136, %rsp\n"
	"	pushfq; popq 0x4000a000+128\n"
	"	cld\n"
	"	testq $1, 0x4000a000+160; jz 2f\n"
	"	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
	"	vmovups %ymm\\n, 0x4000a000+512+32*\\n\n"
	"	.endr\n"
	"	vzeroupper\n"
	"2:\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n");

static struct fake_guest g;
static struct sample sample;
static struct state before;
static unsigned reports;

/* jmp *FRAME+144, absolute: ends every sample. */
static const uint8_t epilogue[] = {0xff, 0x24, 0x25, 0x90, 0xa0, 0x00, 0x40};

static void run_native(const struct sample *s, struct state *st)
{
	struct frame *f = (struct frame *)(uintptr_t)FRAME;
	uint8_t *code = (uint8_t *)(uintptr_t)layout.code;

	memcpy(code, s->bytes, s->len);
	memcpy(code + s->len, epilogue, sizeof(epilogue));
	memcpy(f->gpr, st->gpr, sizeof(f->gpr));
	f->rflags = st->rflags;
	f->code = layout.code;
	f->vectors = s->form->flags & FORM_VECTOR ? 1 : 0;
	if (f->vectors)
		memcpy(f->vector, st->vector, sizeof(f->vector));
	native_run();
	if (f->vectors)
		memcpy(st->vector, f->vector, sizeof(f->vector));
	memcpy(st->gpr, f->gpr, sizeof(f->gpr));
	st->rflags = f->rflags;
	st->rip += s->len;
}

static bool same_memory(void)
{
	return !memcmp(g.dev, (void *)(uintptr_t)layout.dev, GEN_WINDOW) &&
	       !memcmp(emulated_ram(&g, &layout), (void *)(uintptr_t)layout.ram, GEN_WINDOW);
}

static void copy_memory(void)
{
	memcpy((void *)(uintptr_t)layout.dev, g.dev, GEN_WINDOW);
	memcpy((void *)(uintptr_t)layout.ram, emulated_ram(&g, &layout), GEN_WINDOW);
}

static void one_sample(const struct form *form)
{
	struct state want, got;
	uint64_t flags;

	sample_make(&sample, form, 64, &layout, true);
	before = state_random(&sample, &layout);
	if (is_undefined(&sample, &before))
		return;
	state_make_equal(&sample, (const uint8_t *)(uintptr_t)sample.target, &before);
	want = got = before;
	flags = defined_flags(&sample, &before);
	run_native(&sample, &want);
	if (!emulated_run(&g, &layout, &sample, &got)) {
		printf("  not emulated:\n");
		reports++;
	}
	want.rflags &= flags | RFLAGS_DF;
	got.rflags &= flags | RFLAGS_DF;
	if (memcmp(&want, &got, sizeof(want)) || !same_memory()) {
		reports++;
		if (reports < REPORTS_MAX)
			state_report(&sample, &before, &want, &got);
		if (!same_memory() && reports < REPORTS_MAX)
			printf("    memory differs\n");
		emulated_fill(&g, &layout);
		copy_memory();
	}
}

static bool host_has(const struct form *form)
{
	unsigned a, b = 0, c = 0, d;

	__get_cpuid(1, &a, &b, &c, &d);
	if (!strcmp(form->name, "movbe"))
		return c & bit_MOVBE;
	if (form->flags & FORM_VECTOR && !(c & bit_AVX))
		return false;
	__get_cpuid_count(7, 0, &a, &b, &c, &d);
	if (!strcmp(form->name, "clflushopt"))
		return b & bit_CLFLUSHOPT;
	if (!strcmp(form->name, "clwb"))
		return b & bit_CLWB;
	if (!strcmp(form->name, "movdiri"))
		return c & bit_MOVDIRI;
	if (!strcmp(form->name, "movdir64b"))
		return c & bit_MOVDIR64B;
	/* Its form with 256 bits. */
	return strcmp(form->name, "movntdqa") || b & bit_AVX2;
}

static void every_form_agrees_with_the_cpu(void)
{
	unsigned n = 0;

	emulated_init(&g, 64, &layout);
	emulated_fill(&g, &layout);
	copy_memory();
	for (unsigned f = 0; f < form_count; f++) {
		if (forms[f].flags & FORM_NO64 || !host_has(&forms[f]))
			continue;
		for (unsigned i = 0; i < SAMPLES_PER_FORM; i++, n++)
			one_sample(&forms[f]);
	}
	CHECK_EQ(reports, 0);
	printf("%u states of %u forms\n", n, form_count);
	CHECK(n >= 1000000);
}

/* The native side ran into something that the sample should not have done. */
static void crashed(int signal)
{
	printf("signal %d in:\n", signal);
	state_report(&sample, &before, &before, &before);
	fflush(stdout);
	_exit(1);
}

static void catch (int signal)
{
	static uint8_t stack[64 * KIB];
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_handler = crashed, .sa_flags = SA_ONSTACK};

	sigaltstack(&alternate, NULL);
	sigaction(signal, &action, NULL);
}

int main(void)
{
	void *area = mmap((void *)(uintptr_t)AREA, AREA_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (area != (void *)(uintptr_t)AREA || syscall(SYS_arch_prctl, ARCH_SET_GS, GEN_GS)) {
		printf("SKIP: no executable memory at %#llx\n", AREA);
		return 77;
	}
	catch (SIGSEGV);
	catch (SIGILL);
	catch (SIGBUS);
	rng_seed(2);
	RUN(every_form_agrees_with_the_cpu);
	return TEST_RESULT();
}
