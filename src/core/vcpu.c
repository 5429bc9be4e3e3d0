/*
 * What core adds to a back end: general registers, the end of an emulated instruction, exceptions,
 * and the state at a boot protocol's entry. State is the caller's. On the exit path.
 */
#include "core/vcpu.h"
#include "base/bits.h"
#include "core/gva.h"
#include "core/vm.h"
#include "hw/cpu.h"

#define INSN_MAX 15u

static const char *const kind_names[VMEXIT_KINDS] = {
	[VMEXIT_INTR] = "intr",
	[VMEXIT_NMI] = "nmi",
	[VMEXIT_PIO] = "pio",
	[VMEXIT_NPF] = "npf",
	[VMEXIT_CPUID] = "cpuid",
	[VMEXIT_MSR] = "msr",
	[VMEXIT_CR] = "cr",
	[VMEXIT_HLT] = "hlt",
	[VMEXIT_XSETBV] = "xsetbv",
	[VMEXIT_CACHE] = "cache",
	[VMEXIT_UNDEFINED] = "undefined",
	[VMEXIT_WINDOW] = "window",
	[VMEXIT_SHUTDOWN] = "shutdown",
	[VMEXIT_INIT] = "init",
	[VMEXIT_REFUSED] = "refused",
};

const char *vmexit_kind_name(enum vmexit_kind kind)
{
	return kind < VMEXIT_KINDS ? kind_names[kind] : "unknown";
}

uint64_t vcpu_read_gpr(struct vcpu *v, unsigned n)
{
	n &= GPR_COUNT - 1;
	return n == GPR_RSP ? vcpu_get(v, VREG_RSP) : v->gpr[n];
}

void vcpu_write_gpr(struct vcpu *v, unsigned n, uint64_t value)
{
	n &= GPR_COUNT - 1;
	if (n == GPR_RSP)
		vcpu_set(v, VREG_RSP, value);
	else
		v->gpr[n] = value;
}

void vcpu_set_edx_eax(struct vcpu *v, uint64_t value)
{
	v->gpr[GPR_RAX] = (uint32_t)value;
	v->gpr[GPR_RDX] = value >> 32;
}

static bool is_prefix(uint8_t b, bool long_mode)
{
	switch (b) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x66:
	case 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return true;
	default:
		return long_mode && (b & 0xf0) == 0x40;
	}
}

/* In 64-bit mode the base of CS is ignored, and the address has all its bits. */
static bool is_long_code(struct vcpu *v, const struct vcpu_segment *cs)
{
	return cs->attributes & SEG_L && vcpu_get(v, VREG_EFER) & EFER_LMA;
}

/*
 * Prefixes, then an opcode whose length follows from its first two bytes: MOV CR and the 0F 01
 * group have a ModRM byte; CPUID, RDMSR, WBINVD... don't; IN and OUT may have a port. 0 if the
 * bytes end before that is clear.
 */
static unsigned length_of(const uint8_t *b, unsigned n, bool long_code)
{
	unsigned at = 0;

	while (at < n && is_prefix(b[at], long_code))
		at++;
	if (at == n)
		return 0;
	if (b[at] != 0x0f)
		return at + (b[at] >= 0xe4 && b[at] <= 0xe7 ? 2 : 1);
	if (at + 1 == n)
		return 0;
	return at + (b[at + 1] == 0x20 || b[at + 1] == 0x22 || b[at + 1] == 0x01 ? 3 : 2);
}

/*
 * For CPUs that don't report it. 0 if the bytes can't be read any more: another agent took the page
 * away, and the guest will fault by itself. The second page is read only if the instruction goes on
 * there.
 */
static unsigned find_insn(struct vcpu *v, uint64_t rip, uint8_t b[INSN_MAX])
{
	bool user = vcpu_get(v, VREG_CPL) == 3, long_code;
	struct vcpu_segment cs;
	struct gva_fault fault;
	uint64_t linear;
	unsigned n, len;

	v->ops->get_seg(v, VSEG_CS, &cs);
	long_code = is_long_code(v, &cs);
	linear = long_code ? rip : (uint32_t)(cs.base + rip);
	n = (unsigned)min_u64(INSN_MAX, PAGE_SIZE - (linear & PAGE_MASK));
	if (gva_read(v->vm, linear, b, n, GVA_FETCH, user, &fault))
		return 0;
	len = length_of(b, n, long_code);
	if (len || n == INSN_MAX)
		return len;
	linear = long_code ? linear + n : (uint32_t)(linear + n);
	if (gva_read(v->vm, linear, b + n, INSN_MAX - n, GVA_FETCH, user, &fault))
		return 0;
	return length_of(b, INSN_MAX, long_code);
}

unsigned vcpu_find_length(struct vcpu *v, uint64_t rip)
{
	uint8_t b[INSN_MAX];

	return find_insn(v, rip, b);
}

#define MOV_CR_LENGTH 3u /* without prefixes; the last byte is ModRM */

/* REX counts only as the last of the prefixes. */
bool vcpu_find_cr_gpr(struct vcpu *v, uint64_t rip, uint8_t *ret_gpr, uint8_t *ret_length)
{
	uint8_t b[INSN_MAX], rex = 0;
	struct vcpu_segment cs;
	unsigned len = find_insn(v, rip, b);

	if (len < MOV_CR_LENGTH)
		return false;
	v->ops->get_seg(v, VSEG_CS, &cs);
	if (len > MOV_CR_LENGTH && is_long_code(v, &cs) && (b[len - 4] & 0xf0) == 0x40)
		rex = b[len - 4];
	*ret_gpr = (b[len - 1] & 7) | (rex & 1) << 3;
	*ret_length = (uint8_t)len;
	return true;
}

/* EIP wraps where RIP doesn't; with bits above it an entry would be refused. */
uint64_t vcpu_wrap_rip(struct vcpu *v, uint64_t rip)
{
	struct vcpu_segment cs;

	v->ops->get_seg(v, VSEG_CS, &cs);
	return is_long_code(v, &cs) ? rip : (uint32_t)rip;
}

static bool is_contributory(const struct vcpu_event *e)
{
	return e->type == VEVENT_EXCEPTION &&
	       (e->vector == 0 || (e->vector >= 10 && e->vector <= 13));
}

static bool is_page_fault(const struct vcpu_event *e)
{
	return e->type == VEVENT_EXCEPTION && e->vector == VECTOR_PF;
}

static void raise(struct vcpu *v, struct vcpu_event second)
{
	const struct vcpu_event first = v->event;

	if (first.type == VEVENT_EXCEPTION && first.vector == VECTOR_DF) {
		vm_request_stop(v->vm, STOP_TRIPLE_FAULT);
		return;
	}
	if ((is_contributory(&first) && is_contributory(&second)) ||
		(is_page_fault(&first) && (is_contributory(&second) || is_page_fault(&second))))
		second = (struct vcpu_event){VEVENT_EXCEPTION, VECTOR_DF, true, 0};
	v->event = second;
}

void vcpu_raise(struct vcpu *v, uint8_t vector)
{
	raise(v, (struct vcpu_event){VEVENT_EXCEPTION, vector, false, 0});
}

/* Real mode pushes no error codes, and entry with one would fail. */
void vcpu_raise_error(struct vcpu *v, uint8_t vector, uint32_t error)
{
	bool has_error = vcpu_get(v, VREG_CR0) & CR0_PE;

	raise(v, (struct vcpu_event){VEVENT_EXCEPTION, vector, has_error, has_error ? error : 0});
}

/*
 * The delivery of an injected #DB changes no debug register: SDM vol. 3C "VM-Entry Event Injection"
 * (325462-084), AMD64 Architecture Programmer's Manual vol. 2 "Event Injection".
 */
void vcpu_trap(struct vcpu *v, uint64_t causes)
{
	vcpu_set(v, VREG_DR6, (vcpu_get(v, VREG_DR6) & ~DR6_B0_TO_B3) | causes);
	vcpu_set(v, VREG_DR7, vcpu_get(v, VREG_DR7) & ~DR7_GD);
	vcpu_raise(v, VECTOR_DB);
}

/*
 * What interrupts it finds RF set, so that a breakpoint on the instruction doesn't hit at each
 * iteration: SDM vol. 3A "Masking Exceptions and Interrupts" (325462-084).
 */
void vcpu_iterate(struct vcpu *v, uint64_t rip)
{
	vcpu_complete(v, rip);
	vcpu_set(v, VREG_RFLAGS, vcpu_get(v, VREG_RFLAGS) | RFLAGS_RF);
}

bool vcpu_can_interrupt(struct vcpu *v)
{
	return v->event.type == VEVENT_NONE && (vcpu_get(v, VREG_RFLAGS) & RFLAGS_IF) &&
	       !vcpu_get(v, VREG_INTR_SHADOW);
}

bool vcpu_can_nmi(struct vcpu *v)
{
	return v->event.type == VEVENT_NONE && !vcpu_get(v, VREG_INTR_SHADOW) &&
	       !vcpu_get(v, VREG_NMI_BLOCKED);
}

static void set_flat(struct vcpu *v, enum vcpu_seg seg, uint16_t selector, uint32_t attributes)
{
	struct vcpu_segment s = {selector, attributes, 0xffffffff, 0};

	v->ops->set_seg(v, seg, &s);
}

void vcpu_start_long_mode(
	struct vcpu *v, uint64_t rip, uint64_t rsp, gpa_t cr3, gpa_t gdt, uint16_t gdt_limit)
{
	static const enum vcpu_seg data[] = {VSEG_DS, VSEG_ES, VSEG_SS, VSEG_FS, VSEG_GS};
	struct vcpu_segment table = {.limit = gdt_limit, .base = gdt.v};
	struct vcpu_segment none = {.attributes = SEG_UNUSABLE};
	struct vcpu_segment tss = {.attributes = SEG_P | 11, .limit = 0x67};

	vcpu_set(v, VREG_CR3, cr3.v);
	vcpu_set(v, VREG_CR4, CR4_PAE);
	vcpu_set(v, VREG_EFER, EFER_LME | EFER_LMA);
	vcpu_set(v, VREG_CR0, CR0_PE | CR0_ET | CR0_WP | CR0_PG);
	set_flat(v, VSEG_CS, 0x10, SEG_P | SEG_S | SEG_L | SEG_G | 11);
	for (size_t i = 0; i < array_size(data); i++)
		set_flat(v, data[i], 0x18, SEG_P | SEG_S | SEG_DB | SEG_G | 3);
	v->ops->set_seg(v, VSEG_LDTR, &none);
	v->ops->set_seg(v, VSEG_TR, &tss);
	v->ops->set_seg(v, VSEG_GDTR, &table);
	table = (struct vcpu_segment){0};
	v->ops->set_seg(v, VSEG_IDTR, &table);
	vcpu_set(v, VREG_RSP, rsp);
	vcpu_set(v, VREG_RFLAGS, RFLAGS_FIXED);
	v->ops->resume_at(v, rip);
}
