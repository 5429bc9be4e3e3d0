/*
 * Swapping the vector registers between guest and firmware, and single ones of the guest's; see
 * fpu.h. The former runs around the firmware's window, the latter where an exit is for an instruction
 * on vectors. SDM vol. 1 "Managing State Using the XSAVE Feature Set".
 */
#include "core/fpu.h"
#include "base/bits.h"
#include "base/error.h"
#include "hw/cpu.h"
#include "hw/vector.h"

#define CPUID_XSAVE	  BIT(26) /* leaf 1 ECX */
#define CPUID_LEAF_XSAVE  0xdu
#define FXSAVE_SIZE	  512u
#define XSAVE_HEADER_SIZE 64u
#define XCR0_X87	  BIT(0)
#define MXCSR_OFFSET	  24u
#define MXCSR_INITIAL	  0x1f80u
#define FCW_INITIAL	  0x37fu

static void area_save(const struct fpu *f, void *area)
{
	if (f->supported)
		__asm__ volatile("xsave64 (%0)" ::"r"(area), "a"(~0u), "d"(~0u) : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
}

static void area_load(const struct fpu *f, const void *area)
{
	if (f->supported)
		__asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"(~0u), "d"(~0u) : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
}

int fpu_init(struct fpu *f, struct arena *arena)
{
	size_t size = FXSAVE_SIZE;
	uint8_t *guest;

	*f = (struct fpu){.guest_xcr0 = XCR0_X87};
	if (hw_cpuid(1, 0).ecx & CPUID_XSAVE) {
		struct cpuid_regs r = hw_cpuid(CPUID_LEAF_XSAVE, 0);

		f->supported = (uint64_t)r.edx << 32 | r.eax;
		size = max_u64(r.ecx, FXSAVE_SIZE + XSAVE_HEADER_SIZE);
	}
	f->host_area = arena_alloc(arena, size, 64);
	f->guest_area = guest = arena_alloc(arena, size, 64);
	if (!f->host_area || !f->guest_area)
		return -E_NOMEM;
	/* The reset values that a zero area doesn't have. */
	*(uint16_t *)(void *)guest = FCW_INITIAL;
	*(uint32_t *)(void *)(guest + MXCSR_OFFSET) = MXCSR_INITIAL;
	return 0;
}

/* All components are moved whatever either side has enabled: XCR0 is wide open meanwhile. */
static void swap(const struct fpu *f, void *save_to, const void *load_from, uint64_t *ret_old_xcr0,
	uint64_t new_xcr0)
{
	if (f->supported) {
		*ret_old_xcr0 = hw_read_xcr0();
		hw_write_xcr0(f->supported);
	}
	area_save(f, save_to);
	area_load(f, load_from);
	if (f->supported)
		hw_write_xcr0(new_xcr0);
}

void fpu_load_guest(struct fpu *f)
{
	if (f->guest_loaded)
		return;
	swap(f, f->host_area, f->guest_area, &f->host_xcr0, f->guest_xcr0);
	f->guest_loaded = true;
}

void fpu_load_host(struct fpu *f)
{
	if (!f->guest_loaded)
		return;
	swap(f, f->guest_area, f->host_area, &f->guest_xcr0, f->host_xcr0);
	f->guest_loaded = false;
}

uint64_t fpu_guest_xcr0(const struct fpu *f)
{
	return f->guest_loaded && f->supported ? hw_read_xcr0() : f->guest_xcr0;
}

void fpu_set_guest_xcr0(struct fpu *f, uint64_t value)
{
	f->guest_xcr0 = value;
	if (f->guest_loaded && f->supported)
		hw_write_xcr0(value);
}

void fpu_read_vector(unsigned n, unsigned size, void *ret)
{
	if (size > 16)
		hw_vector_read256(n, ret);
	else
		hw_vector_read128(n, ret);
}

void fpu_write_vector(unsigned n, unsigned size, bool zero_above, const void *data)
{
	if (size > 16)
		hw_vector_write256(n, data);
	else if (zero_above)
		hw_vector_write128_zero(n, data);
	else
		hw_vector_write128(n, data);
}
