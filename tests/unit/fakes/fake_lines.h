/* An interrupt controller that only remembers its lines. */
#ifndef POSTERN_FAKE_LINES_H
#define POSTERN_FAKE_LINES_H

#include "core/vm.h"

struct fake_lines {
	bool line[16];
	unsigned raised[16]; /* rising edges */
};

/* All low, and vm's interrupt controller from now on. */
void fake_lines_init(struct fake_lines *l, struct vm *vm);

#endif
