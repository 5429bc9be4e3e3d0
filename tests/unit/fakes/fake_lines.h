/* An interrupt controller that only remembers its lines and messages. */
#ifndef POSTERN_FAKE_LINES_H
#define POSTERN_FAKE_LINES_H

#include "core/vm.h"

struct fake_lines {
	bool line[16];
	unsigned raised[16]; /* rising edges */
	struct {
		uint64_t address;
		uint32_t data;
	} message[64]; /* the first of them */
	unsigned messages;
};

/* All low, and vm's interrupt controller from now on. */
void fake_lines_init(struct fake_lines *l, struct vm *vm);

#endif
