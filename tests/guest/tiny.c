/* What every tiny guest has: start, output, PCI, the call to Postern, and exceptions. */
#include "tiny.h"

#include <stdarg.h>

void tiny_start(const uint8_t *boot_params);

#define COM1	 0x3f8u
#define COM1_LSR (COM1 + 5)
#define LSR_THRE 0x20u

static void put(char c)
{
	for (unsigned i = 0; i < 100000 && !(in8(COM1_LSR) & LSR_THRE); i++)
		;
	out8(COM1, (uint8_t)c);
}

static void put_number(uint64_t v, unsigned base)
{
	char digits[24];
	unsigned n = 0;

	do
		digits[n++] = "0123456789abcdef"[v % base];
	while (v /= base);
	while (n)
		put(digits[--n]);
}

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (const char *s = tiny_name; *s; s++)
		put(*s);
	put(':');
	put(' ');
	for (; *format; format++) {
		if (*format != '%') {
			put(*format);
			continue;
		}
		switch (*++format) {
		case 's':
			for (const char *s = va_arg(args, const char *); *s; s++)
				put(*s);
			break;
		case 'u':
			put_number(va_arg(args, uint64_t), 10);
			break;
		case 'x':
			put_number(va_arg(args, uint64_t), 16);
			break;
		default:
			put(*format);
			break;
		}
	}
	va_end(args);
	put('\r');
	put('\n');
}

uint32_t pci_read(uint32_t address)
{
	out32(0xcf8, address);
	return in32(0xcfc);
}

void pci_write(uint32_t address, uint32_t value)
{
	out32(0xcf8, address);
	out32(0xcfc, value);
}

int32_t hypercall(uint32_t function, uint64_t rbx, const void *rcx, uint64_t rsi)
{
	uint32_t result = function;

	__asm__ volatile("outl %%eax, %%dx"
			 : "+a"(result)
			 : "d"((uint16_t)POSTERN_CALL_PORT), "b"(rbx), "c"(rcx), "S"(rsi), "D"(0ull)
			 : "memory");
	return (int32_t)result;
}

/* ---- exceptions ---- */

#define VECTORS	   256u
#define EXCEPTIONS 32u

struct frame {
	uint64_t gpr[15];
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
};

extern const char exception_stubs[];
void exception_handle(struct frame *f);

static struct gate idt[VECTORS];
volatile uint64_t fault_resume;
volatile int64_t fault_vector;
volatile uint64_t fault_count;

static void (*interrupt_handler[VECTORS])(void);

void on_interrupt(uint8_t vector, void (*handler)(void))
{
	interrupt_handler[vector] = handler;
}

/* An interrupt with a handler, an exception that a TRY waits for, or else the end of the guest. */
void exception_handle(struct frame *f)
{
	if (f->vector >= EXCEPTIONS && interrupt_handler[f->vector % VECTORS]) {
		interrupt_handler[f->vector % VECTORS]();
		return;
	}
	fault_count++;
	if (fault_resume) {
		fault_vector = (int64_t)f->vector;
		f->rip = fault_resume;
		fault_resume = 0;
		return;
	}
	say("exception %u, error %x, at %x", f->vector, f->error, f->rip);
	hypercall(POSTERN_CALL_FAIL, POSTERN_FAIL_OTHER, NULL, 0);
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void set_up_exceptions(void)
{
	struct {
		uint16_t limit;
		const void *base;
	} __attribute__((packed)) table = {sizeof(idt) - 1, idt};

	for (unsigned i = 0; i < VECTORS; i++) {
		uint64_t stub = (uint64_t)(exception_stubs + i * 16);

		idt[i] = (struct gate){(uint16_t)stub, 0x10, 0, 0x8e, (uint16_t)(stub >> 16),
			(uint32_t)(stub >> 32), 0};
	}
	__asm__ volatile("lidt %0" : : "m"(table));
}

void tiny_start(const uint8_t *boot_params)
{
	set_up_exceptions();
	say("started");
	tiny_main(boot_params);
	hypercall(POSTERN_CALL_BOOT, POSTERN_BOOT_NEXT, NULL, 0);
	say("still here after the call");
}
