/*
 * Calls of a guest's firmware; see firmware_calls.h. On the exit path. Each struct, name and piece of data
 * is copied from the guest once, the copy is checked, and only the copy is used.
 */
#include "guest/firmware_calls.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/gva.h"

_Static_assert(POSTERN_NO_SERVICES <= 64, "a bit for each");

static const char *const service_names[POSTERN_NO_SERVICES] = {
	[POSTERN_NO_SERVICE] = "an unknown service",
	[POSTERN_NO_REINSTALL_PROTOCOL_INTERFACE] = "ReinstallProtocolInterface",
	[POSTERN_NO_REGISTER_PROTOCOL_NOTIFY] = "RegisterProtocolNotify",
	[POSTERN_NO_LOAD_IMAGE_FROM_PATH] = "LoadImage from a path",
	[POSTERN_NO_SET_WATCHDOG_TIMER] = "SetWatchdogTimer",
	[POSTERN_NO_CONNECT_CONTROLLER] = "ConnectController",
	[POSTERN_NO_DISCONNECT_CONTROLLER] = "DisconnectController",
	[POSTERN_NO_OPEN_PROTOCOL_INFORMATION] = "OpenProtocolInformation",
	[POSTERN_NO_CREATE_EVENT] = "CreateEvent at runtime",
	[POSTERN_NO_SET_TIME] = "SetTime",
	[POSTERN_NO_GET_WAKEUP_TIME] = "GetWakeupTime",
	[POSTERN_NO_SET_WAKEUP_TIME] = "SetWakeupTime",
	[POSTERN_NO_GET_NEXT_HIGH_MONOTONIC_COUNT] = "GetNextHighMonotonicCount",
	[POSTERN_NO_UPDATE_CAPSULE] = "UpdateCapsule",
	[POSTERN_NO_QUERY_CAPSULE_CAPABILITIES] = "QueryCapsuleCapabilities",
	[POSTERN_NO_SET_VIRTUAL_ADDRESS_MAP] = "SetVirtualAddressMap, a second time",
	[POSTERN_NO_CONVERT_POINTER] = "ConvertPointer",
	[POSTERN_NO_BLT] = "Blt",
};

static bool is_user(struct vm *vm)
{
	return vcpu_get(&vm->vcpu, VREG_CPL) == 3;
}

static int copy_in(struct vm *vm, uint64_t at, void *ret, size_t len)
{
	struct gva_fault fault;

	if (at > ~0ull - len)
		return POSTERN_CALL_EFAULT;
	if (len && gva_read(vm, at, ret, len, GVA_READ, is_user(vm), &fault))
		return POSTERN_CALL_EFAULT;
	return 0;
}

static int copy_out(struct vm *vm, uint64_t at, const void *data, size_t len)
{
	struct gva_fault fault;

	if (at > ~0ull - len)
		return POSTERN_CALL_EFAULT;
	if (len && gva_write(vm, at, data, len, is_user(vm), &fault))
		return POSTERN_CALL_EFAULT;
	return 0;
}

static uint64_t argument(struct vm *vm)
{
	return vcpu_read_gpr(&vm->vcpu, GPR_RCX);
}

static int to_call_error(int err)
{
	switch (err) {
	case 0:
		return 0;
	case -E_NOENT:
		return POSTERN_CALL_ENOENT;
	case -E_NOMEM:
		return POSTERN_CALL_ENOMEM;
	case -E_DENIED:
		return POSTERN_CALL_EACCES;
	case -E_NOTSUP:
		return POSTERN_CALL_ENOSYS;
	case -E_IO:
		return POSTERN_CALL_EIO;
	default:
		return POSTERN_CALL_EINVAL;
	}
}

static int call_get_time(struct firmware_calls *c, struct vm *vm)
{
	struct guest_time t = {0};
	int err = c->get_time(c->arg, &t);

	return err ? POSTERN_CALL_EIO : copy_out(vm, argument(vm), &t, sizeof(t));
}

/* "ResetSystem()": EfiResetCold, EfiResetWarm, EfiResetShutdown, EfiResetPlatformSpecific. */
#define RESET_SHUTDOWN 2u
#define RESET_TYPES    4u

static int call_reset(struct vm *vm)
{
	uint64_t type = vcpu_read_gpr(&vm->vcpu, GPR_RBX);

	if (type >= RESET_TYPES)
		return POSTERN_CALL_EINVAL;
	vm_request_stop(vm, type == RESET_SHUTDOWN ? STOP_POWEROFF : STOP_RESET);
	return 0;
}

/* The struct and the name that it points to. */
static int copy_variable(
	struct vm *vm, struct postern_variable *ret_variable, struct variable_id *ret_id)
{
	struct postern_variable v;
	struct variable_id id = {0};
	int err = copy_in(vm, argument(vm), &v, sizeof(v));

	if (err)
		return err;
	if (v.name_size > sizeof(id.name) || v.name_size % 2)
		return POSTERN_CALL_EINVAL;
	memcpy(id.guid, v.guid, sizeof(id.guid));
	id.name_size = v.name_size;
	err = copy_in(vm, v.name, id.name, v.name_size);
	if (err)
		return err;
	*ret_variable = v;
	*ret_id = id;
	return 0;
}

/* The data, as far as there is room for it, and the struct. */
static int answer(struct vm *vm, struct postern_variable *v, const void *data, uint32_t size)
{
	bool fits = size <= v->data_size;
	int err = fits ? copy_out(vm, v->data, data, size) : 0;

	v->data_size = size;
	if (!err)
		err = copy_out(vm, argument(vm), v, sizeof(*v));
	return err ? err : fits ? 0 : POSTERN_CALL_ETOOSMALL;
}

static int call_get_variable(struct firmware_calls *c, struct vm *vm)
{
	struct postern_variable v;
	struct variable_id id;
	const void *data;
	uint32_t size;
	int err = copy_variable(vm, &v, &id);

	if (err)
		return err;
	err = variables_get(&c->variables, &id, &v.attributes, &data, &size);
	return err ? to_call_error(err) : answer(vm, &v, data, size);
}

static int call_set_variable(struct firmware_calls *c, struct vm *vm)
{
	struct postern_variable v;
	struct variable_id id;
	int err = copy_variable(vm, &v, &id);

	if (err)
		return err;
	if (v.data_size > sizeof(c->data))
		return POSTERN_CALL_ENOMEM;
	err = copy_in(vm, v.data, c->data, v.data_size);
	if (err)
		return err;
	return to_call_error(variables_set(&c->variables, &id, v.attributes, c->data, v.data_size));
}

static int call_next_variable(struct firmware_calls *c, struct vm *vm)
{
	uint8_t name[POSTERN_VARIABLE_NAME_MAX + 2] = {0};
	const struct variable_id *next;
	struct postern_variable v;
	struct variable_id id;
	int err = copy_variable(vm, &v, &id);

	if (err)
		return err;
	err = variables_next(&c->variables, &id, &next);
	if (err)
		return to_call_error(err);
	memcpy(name, next->name, next->name_size);
	memcpy(v.guid, next->guid, sizeof(v.guid));
	return answer(vm, &v, name, next->name_size + 2);
}

static int call_variable_info(struct firmware_calls *c, struct vm *vm)
{
	uint32_t room = variables_room(&c->variables);
	struct postern_variable_info info = {
		.size = VARIABLES_ROOM,
		.left = room,
		.variable_max = min_u64(room, POSTERN_VARIABLE_DATA_MAX),
	};

	return copy_out(vm, argument(vm), &info, sizeof(info));
}

static int call_exit_boot(struct firmware_calls *c)
{
	if (!c->variables.boot_over)
		log_line("guest: boot services ended");
	variables_end_boot(&c->variables);
	return 0;
}

/* Once for each service, by name. */
static int call_no_service(struct firmware_calls *c, struct vm *vm)
{
	uint64_t service = vcpu_read_gpr(&vm->vcpu, GPR_RBX);

	if (service >= POSTERN_NO_SERVICES)
		service = POSTERN_NO_SERVICE;
	if (!(c->missing & BIT(service)))
		log_line("guest: its firmware has no %s", service_names[service]);
	c->missing |= BIT(service);
	return 0;
}

int firmware_call(struct firmware_calls *c, struct vm *vm, uint32_t function)
{
	switch (function) {
	case POSTERN_CALL_GET_TIME:
		return call_get_time(c, vm);
	case POSTERN_CALL_RESET:
		return call_reset(vm);
	case POSTERN_CALL_GET_VARIABLE:
		return call_get_variable(c, vm);
	case POSTERN_CALL_SET_VARIABLE:
		return call_set_variable(c, vm);
	case POSTERN_CALL_NEXT_VARIABLE:
		return call_next_variable(c, vm);
	case POSTERN_CALL_VARIABLE_INFO:
		return call_variable_info(c, vm);
	case POSTERN_CALL_EXIT_BOOT:
		return call_exit_boot(c);
	case POSTERN_CALL_NO_SERVICE:
		return call_no_service(c, vm);
	default:
		return POSTERN_CALL_ENOSYS;
	}
}
