/* IN and OUT by a fake guest, through the exit handler. */
#ifndef POSTERN_TEST_GUEST_PORT_H
#define POSTERN_TEST_GUEST_PORT_H

#include "fakes/fake_guest.h"
#include "fakes/fake_lines.h"
#include "pio/pio.h"

/* A guest in 64-bit mode at RIP 1000h, without ports. */
static inline void start_guest(struct fake_guest *g, struct fake_lines *lines)
{
	fake_guest_init(g, FAKE_LONG);
	fake_lines_init(lines, &g->vm);
	g->cpu.reg[VREG_RIP] = 0x1000;
	pio_attach(&g->vm);
}

/* Runs one exit of an instruction of two bytes at RIP. */
static inline void guest_exit(struct fake_guest *g, uint16_t port, unsigned size, bool in)
{
	struct vmexit e = {.kind = VMEXIT_PIO, .insn_len = 2, .rip = g->cpu.reg[VREG_RIP]};

	e.u.pio.port = port;
	e.u.pio.size = (uint8_t)size;
	e.u.pio.in = in;
	g->vm.handler[VMEXIT_PIO](&g->vm, &e);
}

static inline void guest_out(struct fake_guest *g, uint16_t port, unsigned size, uint32_t value)
{
	g->vm.vcpu.gpr[GPR_RAX] = value;
	guest_exit(g, port, size, false);
}

static inline uint32_t guest_in(struct fake_guest *g, uint16_t port, unsigned size)
{
	g->vm.vcpu.gpr[GPR_RAX] = 0;
	guest_exit(g, port, size, true);
	return (uint32_t)g->vm.vcpu.gpr[GPR_RAX];
}

#endif
