/*
 * For a core without gva.c: vcpu_skip only needs it for instructions of unknown length, and the
 * cases know each length. Not linked once core has it.
 */
#include "base/error.h"
#include "core/gva.h"

int gva_read(struct vm *vm, uint64_t gva, void *ret_copy, size_t len, enum gva_access access,
	bool user, struct gva_fault *ret_fault)
{
	(void)vm;
	(void)gva;
	(void)ret_copy;
	(void)len;
	(void)access;
	(void)user;
	(void)ret_fault;
	return -E_FAULT;
}
