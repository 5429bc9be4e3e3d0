/*
 * The parts of core/vm.h that devices call, for tests without the run loop: an interrupt controller
 * that remembers its lines, and vm_request_stop.
 */
#ifndef POSTERN_FAKE_VM_H
#define POSTERN_FAKE_VM_H

#include "core/vm.h"
#include "fakes/fake_lines.h"

extern struct fake_lines fake_irqchip;

/* An empty machine without memory, with the interrupt controller in it. */
void fake_vm_init(struct vm *vm);

/*
 * One access as vm_io makes it, to ports or memory: all ones from nobody and from IO_REJECT,
 * IO_PASS on the doubles of hw. IO_FAULT reads as all ones too.
 */
uint64_t fake_vm_read(struct vm *vm, bool port, uint64_t at, unsigned size);
void fake_vm_write(struct vm *vm, bool port, uint64_t at, unsigned size, uint64_t value);

#endif
