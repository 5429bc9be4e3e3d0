/* IN and OUT of one item; see pio.h. No state. On the exit path: the hot part is pio_exit. */
#include "pio/pio.h"
#include "base/bits.h"
#include "base/fmt.h"

/* An access that lies in one region, or in none. */
static inline bool access_region(
	struct vm *vm, struct region *r, uint32_t port, struct io_access *a)
{
	a->offset = r ? port - r->base : port;
	return vm_io(vm, r, a, true);
}

/* Kept out of line: single bytes, the common case, never come here. */
__attribute__((noinline)) static bool access_bytes(
	struct vm *vm, uint32_t port, struct io_access *a)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < a->size; i++) {
		struct io_access byte = {.size = 1, .write = a->write};
		struct region *r = region_find(&vm->pio, port + i);

		if (a->write)
			byte.value = (a->value >> (i * 8)) & 0xff;
		if (!access_region(vm, r, port + i, &byte))
			return false;
		value |= (byte.value & 0xff) << (i * 8);
	}
	if (!a->write)
		a->value = value;
	return true;
}

static inline bool access_port(struct vm *vm, uint32_t port, struct io_access *a)
{
	struct region *r = region_find(&vm->pio, port);
	bool whole = a->size == 1;

	if (!whole && r)
		whole = !r->byte_wide && range_fits(port - r->base, a->size, r->len);
	else if (!whole)
		whole = !region_overlaps(&vm->pio, port, a->size, NULL);
	return whole ? access_region(vm, r, port, a) : access_bytes(vm, port, a);
}

bool pio_access(struct vm *vm, uint32_t port, struct io_access *a)
{
	return access_port(vm, port, a);
}

/* A 32-bit IN zero-extends into RAX; smaller ones leave the rest of it alone. */
static uint64_t merge_rax(uint64_t rax, uint64_t value, unsigned size)
{
	return size == 4 ? (uint32_t)value : bytes_merge(rax, value, 0, size);
}

static void pio_exit(struct vm *vm, const struct vmexit *e)
{
	struct vcpu *v = &vm->vcpu;
	struct io_access a = {.size = e->u.pio.size, .write = !e->u.pio.in};

	if (e->u.pio.string) {
		pio_string(vm, e);
		return;
	}
	if (a.write)
		a.value = v->gpr[GPR_RAX] & size_mask(a.size);
	if (!access_port(vm, e->u.pio.port, &a))
		return;
	if (!a.write)
		v->gpr[GPR_RAX] = merge_rax(v->gpr[GPR_RAX], a.value, a.size);
	vcpu_skip(v, e);
}

void pio_attach(struct vm *vm)
{
	vm->handler[VMEXIT_PIO] = pio_exit;
}

void pio_init_device(
	struct device *dev, const struct device_ops *ops, struct vm *vm, void *state, uint8_t irq)
{
	*dev = (struct device){.ops = ops, .vm = vm, .state = state, .irq = irq};
	dev->mode = DEVICE_RESTRICTED;
	fmt_print(dev->name, sizeof(dev->name), "%s", ops->name);
}
