/*
 * The guest's calls to Postern; see hypercall.h. On the exit path. Everything here is the guest's input:
 * texts are copied once, the copy is checked, and only the copy is used.
 */
#include "guest/hypercall.h"
#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/gva.h"
#include "guest/hypercall_abi.h"

_Static_assert(POSTERN_BOOT_PATH_MAX == BOOT_PATH_MAX, "the longest path");

/*
 * The length of the character at s (n > 0 bytes) in UTF-8, or 0 if it isn't one that a path can have:
 * control characters, overlong forms, surrogates, and what doesn't fit UEFI's 16 bits.
 */
static size_t utf8_printable(const uint8_t *s, size_t n)
{
	unsigned c;

	if (s[0] < 0x80)
		return s[0] >= 0x20 && s[0] != 0x7f ? 1 : 0;
	if ((s[0] & 0xe0) == 0xc0 && n >= 2 && (s[1] & 0xc0) == 0x80) {
		c = (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu);
		return c >= 0xa0 ? 2 : 0; /* up to 9F: overlong forms and C1 controls */
	}
	if ((s[0] & 0xf0) == 0xe0 && n >= 3 && (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80) {
		c = (s[0] & 0x0fu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
		return c >= 0x800 && (c < 0xd800 || c > 0xdfff) && c < 0xfffe ? 3 : 0;
	}
	return 0;
}

static bool text_is_printable(const uint8_t *s, size_t n)
{
	size_t step;

	for (size_t i = 0; i < n; i += step) {
		step = utf8_printable(s + i, n - i);
		if (!step)
			return false;
	}
	return true;
}

/* Copies the text at RCX, RSI bytes, with the rights of the caller. 0 or a POSTERN_CALL_E... */
static int copy_text(struct vm *vm, char *ret_text, size_t max, size_t *ret_len)
{
	struct vcpu *v = &vm->vcpu;
	uint64_t at = vcpu_read_gpr(v, GPR_RCX), len = vcpu_read_gpr(v, GPR_RSI);
	bool user = vcpu_get(v, VREG_CPL) == 3;
	struct gva_fault fault;

	if (!len || len > max || at > ~0ull - len)
		return POSTERN_CALL_EINVAL;
	if (gva_read(vm, at, ret_text, len, GVA_READ, user, &fault))
		return POSTERN_CALL_EFAULT;
	ret_text[len] = '\0';
	*ret_len = len;
	return 0;
}

static int call_boot_path(struct vm *vm)
{
	char path[BOOT_PATH_MAX + 1];
	size_t len;
	int err = copy_text(vm, path, BOOT_PATH_MAX, &len);

	if (err)
		return err;
	if ((path[0] != '\\' && path[0] != '/') || !text_is_printable((uint8_t *)path, len))
		return POSTERN_CALL_EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (path[i] == '/')
			path[i] = '\\';
	}
	memcpy(vm->stop.path, path, len + 1);
	return 0;
}

static int call_boot(struct vm *vm)
{
	uint64_t target = vcpu_read_gpr(&vm->vcpu, GPR_RBX);
	static const enum boot_target targets[] = {
		[POSTERN_BOOT_DEFAULT] = BOOT_DEFAULT,
		[POSTERN_BOOT_PATH] = BOOT_PATH,
		[POSTERN_BOOT_NEXT] = BOOT_NEXT,
	};
	int err;

	if (target >= array_size(targets))
		return POSTERN_CALL_EINVAL;
	if (target == POSTERN_BOOT_PATH) {
		err = call_boot_path(vm);
		if (err)
			return err;
	}
	vm->stop.target = targets[target];
	vm_request_stop(vm, STOP_BOOT);
	return 0;
}

static int call_fail(struct vm *vm)
{
	uint64_t reason = vcpu_read_gpr(&vm->vcpu, GPR_RBX);

	if (reason != POSTERN_FAIL_AUTHENTICATION && reason != POSTERN_FAIL_OTHER)
		return POSTERN_CALL_EINVAL;
	vm->stop.code = (uint32_t)reason;
	vm_request_stop(vm, STOP_GUEST_FAILED);
	return 0;
}

/* Whether the guest may put one more line into the log; *ret_last if it is the last one. */
static bool may_log(struct hypercall *h, bool *ret_last)
{
	if (h->log_lines >= HYPERCALL_LOG_LINES)
		return false;
	*ret_last = ++h->log_lines == HYPERCALL_LOG_LINES;
	return true;
}

static int call_log(struct hypercall *h, struct vm *vm)
{
	char text[POSTERN_LOG_LINE_MAX + 1];
	bool last;
	size_t len;
	int err = copy_text(vm, text, POSTERN_LOG_LINE_MAX, &len);

	if (err)
		return err;
	/* A guest can't forge a line of ours or send escape sequences to the terminal. */
	for (size_t i = 0; i < len; i++) {
		if (text[i] < 0x20 || text[i] > 0x7e)
			text[i] = '?';
	}
	if (may_log(h, &last))
		log_line("guest says: %s%s", text, last ? " (and no more from here on)" : "");
	return 0;
}

static int call_exits(struct hypercall *h, const struct vm *vm)
{
	bool last;

	if (may_log(h, &last))
		vm_log_exits(vm);
	return 0;
}

static int call(struct hypercall *h, struct vm *vm, uint32_t function)
{
	switch (function) {
	case POSTERN_CALL_BOOT:
		return call_boot(vm);
	case POSTERN_CALL_FAIL:
		return call_fail(vm);
	case POSTERN_CALL_LOG:
		return call_log(h, vm);
	case POSTERN_CALL_EXITS:
		return call_exits(h, vm);
	default:
		return h->firmware ? firmware_call(h->firmware, vm, function) : POSTERN_CALL_ENOSYS;
	}
}

/* An answer that is a service's everyday business, and no news for the log. */
static bool is_usual(uint32_t function, int result)
{
	return function >= POSTERN_CALL_GET_TIME &&
	       (result == POSTERN_CALL_ENOENT || result == POSTERN_CALL_ETOOSMALL);
}

static enum io_result handle_port(struct device *dev, struct io_access *a)
{
	struct hypercall *h = dev->state;
	struct vm *vm = dev->vm;
	int result;

	if (!a->write || a->offset || a->size != 4)
		return IO_REJECT;
	/* The first call that ends the guest is the one that counts. */
	result = vm->stop.reason == STOP_NONE ? call(h, vm, (uint32_t)a->value)
					      : POSTERN_CALL_EINVAL;
	if (result && !is_usual((uint32_t)a->value, result))
		log_limited(&h->refused, "guest: call %u refused: %d", (unsigned)a->value, result);
	vcpu_write_gpr(&vm->vcpu, GPR_RAX, (uint32_t)result);
	return IO_DONE;
}

int hypercall_init(struct hypercall *h, struct vm *vm)
{
	*h = (struct hypercall){0};
	memcpy(h->dev.name, "hypercall", sizeof("hypercall"));
	h->dev.vm = vm;
	h->dev.state = h;
	h->region = (struct region){
		.base = POSTERN_CALL_PORT,
		.len = 4,
		.hw = POSTERN_CALL_PORT,
		.dev = &h->dev,
		.handler = handle_port,
		.name = "hypercall",
	};
	return region_add(&vm->pio, &h->region);
}

void hypercall_offer_firmware(struct hypercall *h, struct firmware_calls *c)
{
	h->firmware = c;
}
