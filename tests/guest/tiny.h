/*
 * What tiny guests are made of. A tiny guest is one file with a tiny_main; it is loaded as a Linux
 * kernel, prints on COM1, and ends in a way that Postern has to cope with. Nothing is cleaned up:
 * the guest is the whole machine.
 */
#ifndef POSTERN_TINY_H
#define POSTERN_TINY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/hypercall_abi.h"

extern const char tiny_name[];

/* The guest. When it returns, tiny.c asks for the next boot option. */
void tiny_main(const uint8_t *boot_params);

/* ---- ports ---- */

static inline uint8_t in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint16_t in16(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void out16(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline void out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

/* ---- processor ---- */

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

static inline uint64_t tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

/* ---- output: %s %x %u, unsigned 64-bit numbers ---- */

void say(const char *format, ...);

/* ---- PCI, by CF8h and CFCh ---- */

#define PCI_ADDRESS(bus, dev, fn, reg)                                                             \
	(0x80000000u | (uint32_t)(bus) << 16 | (uint32_t)(dev) << 11 | (uint32_t)(fn) << 8 | (reg))

uint32_t pci_read(uint32_t address);
void pci_write(uint32_t address, uint32_t value);

/* ---- the call to Postern ---- */

int32_t hypercall(uint32_t function, uint64_t rbx, const void *rcx, uint64_t rsi);

/* ---- exceptions ---- */

/*
 * TRY(instructions, outputs, inputs, clobbers...) runs what may fault, and then goes on behind it. Its
 * value is the vector, or -1 if there was none. Several operands in one place: with COMMA between.
 */
#define COMMA ,

extern volatile uint64_t fault_resume;
extern volatile int64_t fault_vector;
extern volatile uint64_t fault_count;

/* Called with interrupts off, for vectors from 32 on. Those without a handler end the guest. */
void on_interrupt(uint8_t vector, void (*handler)(void));

#define TRY_ASM(instructions)                                                                      \
	"pushq %%rax\n\t"                                                                          \
	"leaq 771f(%%rip), %%rax\n\t"                                                              \
	"movq %%rax, fault_resume(%%rip)\n\t"                                                      \
	"popq %%rax\n\t" instructions "\n"                                                         \
	"771:\n\t"                                                                                 \
	"movq $0, fault_resume(%%rip)\n\t"

/* A colon by name: clang-format takes two of them behind names for another language. */
#define TRY_NEXT :

#define TRY(instructions, outputs, inputs, ...)                                                    \
	({                                                                                         \
		fault_vector = -1;                                                                 \
		__asm__ volatile(TRY_ASM(instructions) TRY_NEXT outputs TRY_NEXT inputs TRY_NEXT   \
			"memory",                                                                  \
			##__VA_ARGS__);                                                            \
		(int)fault_vector;                                                                 \
	})

#endif
