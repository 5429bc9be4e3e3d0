/*
 * The machine's runtime services on behalf of a guest's firmware; see services.h. Variables are read once,
 * before the guest; the clock on the exit path, in the firmware's context.
 */
#include "efi/services.h"
#include "base/log.h"
#include "base/mem.h"
#include "efi/uefi.h"

struct clock_read {
	EFI_TIME time;
	EFI_STATUS status;
};

static void read_clock(void *arg)
{
	struct clock_read *r = arg;

	r->status = efi_st->RuntimeServices->GetTime(&r->time, NULL);
}

_Static_assert(sizeof(EFI_TIME) == sizeof(struct guest_time), "EFI_TIME");

static int get_time(void *arg, struct guest_time *ret)
{
	struct vm *vm = arg;
	struct clock_read r = {.status = EFI_NOT_READY};

	vcpu_call_firmware(&vm->vcpu, read_clock, &r);
	if (EFI_ERROR(r.status))
		return -E_IO;
	memcpy(ret, &r.time, sizeof(*ret));
	return 0;
}

static int show(struct firmware_calls *c, const struct config_variable *v)
{
	CHAR16 name[CONFIG_VARIABLE_NAME + 1];
	struct variable_id id = {0};
	UINTN size = sizeof(c->data);
	EFI_STATUS status;
	UINT32 attributes;
	EFI_GUID guid;

	uefi_widen(name, CONFIG_VARIABLE_NAME + 1, v->name);
	memcpy(&guid, v->guid, sizeof(guid));
	status = efi_st->RuntimeServices->GetVariable(name, &guid, &attributes, &size, c->data);
	if (EFI_ERROR(status)) {
		log_line("variable %s: %s", v->name, error_string(uefi_error(status)));
		return 0;
	}
	memcpy(id.guid, v->guid, sizeof(id.guid));
	id.name_size = (uint32_t)(strlen(v->name) * sizeof(CHAR16));
	memcpy(id.name, name, id.name_size);
	return variables_show(&c->variables, &id, attributes, c->data, size);
}

int services_init(struct firmware_calls *c, struct vm *vm, const struct config_variables *shown,
	struct arena *arena)
{
	int err;

	*c = (struct firmware_calls){.get_time = get_time, .arg = vm};
	err = variables_init(&c->variables, arena);
	for (unsigned i = 0; i < shown->count && !err; i++) {
		err = show(c, &shown->item[i]);
		/* Named twice, or empty: the first one stands. */
		if (err == -E_EXIST || err == -E_INVAL)
			err = 0;
	}
	return err;
}
