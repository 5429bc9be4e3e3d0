/* See fake_vm.h. */
#include "fakes/fake_vm.h"
#include "base/bits.h"
#include "hw/mmio.h"
#include "hw/port.h"

#include <string.h>

struct fake_lines fake_irqchip;

void fake_vm_init(struct vm *vm)
{
	memset(vm, 0, sizeof(*vm));
	fake_lines_init(&fake_irqchip, vm);
}

void vm_request_stop(struct vm *vm, enum vm_stop_reason reason)
{
	if (vm->stop.reason == STOP_NONE)
		vm->stop.reason = reason;
}

static enum io_result dispatch(
	struct vm *vm, bool port, uint64_t at, struct io_access *a, uint64_t *ret_hw)
{
	struct region *r = region_find(port ? &vm->pio : &vm->mmio, at);

	if (!r || at - r->base + a->size > r->len)
		return IO_REJECT;
	a->offset = at - r->base;
	*ret_hw = r->hw + a->offset;
	return r->handler(r->dev, a);
}

uint64_t fake_vm_read(struct vm *vm, bool port, uint64_t at, unsigned size)
{
	struct io_access a = {.size = (uint8_t)size};
	uint64_t hw = 0;

	switch (dispatch(vm, port, at, &a, &hw)) {
	case IO_DONE:
		return a.value;
	case IO_PASS:
		return port ? hw_port_read((uint16_t)hw, size) : hw_mmio_read(hpa(hw), size);
	default:
		return size_mask(size);
	}
}

void fake_vm_write(struct vm *vm, bool port, uint64_t at, unsigned size, uint64_t value)
{
	struct io_access a = {
		.size = (uint8_t)size, .write = true, .value = value & size_mask(size)};
	uint64_t hw = 0;

	if (dispatch(vm, port, at, &a, &hw) != IO_PASS)
		return;
	if (port)
		hw_port_write((uint16_t)hw, size, (uint32_t)a.value);
	else
		hw_mmio_write(hpa(hw), size, a.value);
}
