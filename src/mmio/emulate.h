/*
 * The emulator: executes a decoded instruction on the virtual CPU, with its memory operands going
 * to the guest's devices or memory. On the exit path.
 */
#ifndef POSTERN_MMIO_EMULATE_H
#define POSTERN_MMIO_EMULATE_H

#include "mmio/access.h"

enum emulate_result {
	EMULATE_DONE,  /* RIP goes behind the instruction */
	EMULATE_AGAIN, /* a repeated string has iterations left: RIP stays, registers are current */
	EMULATE_RAISED,	 /* an exception or the end of the guest is on its way; RIP stays */
	EMULATE_REFUSED, /* the instruction doesn't access what the CPU reported; nothing changed */
};

/* Iterations of a string instruction in one exit, at most. */
#define EMULATE_STRING_MAX 256u

/* Executes em->insn; the caller has filled in vm, exit, insn, mode and user. Doesn't touch RIP. */
enum emulate_result emulate_run(struct emulation *em) must_check;

/* The string instructions, for emulate_run only. 0, -E_FAULT, -E_DENIED; *ret_again as above. */
int emulate_string(struct emulation *em, bool *ret_again) must_check;

/* Moves between memory and vector registers, for emulate_run only. 0, -E_FAULT, -E_DENIED. */
int emulate_vector(struct emulation *em) must_check;

/*
 * Translates the ModRM operand. -E_FAULT: an exception is raised; -E_DENIED: it isn't what the exit
 * is about.
 */
int emulate_resolve(
	struct emulation *em, unsigned size, enum gva_access access, struct span *ret) must_check;

/* A register operand's value, and a result into a register operand. */
uint64_t emulate_get_operand(struct emulation *em, const struct operand *o);
void emulate_set_operand(struct emulation *em, const struct operand *o, uint64_t value);

/* Writes RFLAGS if they changed. */
void emulate_set_flags(struct emulation *em, uint64_t old, uint64_t flags);

#endif
