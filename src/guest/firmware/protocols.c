/* "Protocol Handler Services" over the table of handles, and configuration tables. Runs in the guest. */
#include "base/mem.h"
#include "guest/firmware/firmware.h"

static EFI_GUID device_path_guid = DEVICE_PATH_PROTOCOL;

void protocol_offer(EFI_HANDLE *handle, const EFI_GUID *guid, void *interface)
{
	if (EFI_ERROR(handle_install(&firmware.handles, handle, guid, interface)))
		firmware_stop();
}

static EFI_STATUS EFIAPI install_protocol(
	EFI_HANDLE *handle, EFI_GUID *guid, EFI_INTERFACE_TYPE type, VOID *interface)
{
	if (!handle || !guid || type != EFI_NATIVE_INTERFACE)
		return EFI_INVALID_PARAMETER;
	return handle_install(&firmware.handles, handle, guid, interface);
}

static EFI_STATUS EFIAPI reinstall_protocol(
	EFI_HANDLE handle, EFI_GUID *guid, VOID *before, VOID *after)
{
	(void)handle;
	(void)guid;
	(void)before;
	(void)after;
	return no_service(POSTERN_NO_REINSTALL_PROTOCOL_INTERFACE);
}

static EFI_STATUS EFIAPI uninstall_protocol(EFI_HANDLE handle, EFI_GUID *guid, VOID *interface)
{
	if (!guid)
		return EFI_INVALID_PARAMETER;
	return handle_uninstall(&firmware.handles, handle, guid, interface);
}

static EFI_STATUS EFIAPI get_protocol(EFI_HANDLE handle, EFI_GUID *guid, VOID **interface)
{
	if (!guid || !interface)
		return EFI_INVALID_PARAMETER;
	return handle_protocol(&firmware.handles, handle, guid, interface);
}

/* Who opened what isn't kept: no driver here has to let go of anything. */
static EFI_STATUS EFIAPI open_protocol(EFI_HANDLE handle, EFI_GUID *guid, VOID **interface,
	EFI_HANDLE agent, EFI_HANDLE controller, UINT32 attributes)
{
	VOID *found;
	EFI_STATUS status;

	(void)agent;
	(void)controller;
	if (!guid || (!interface && attributes != EFI_OPEN_PROTOCOL_TEST_PROTOCOL))
		return EFI_INVALID_PARAMETER;
	status = handle_protocol(&firmware.handles, handle, guid, &found);
	if (!EFI_ERROR(status) && interface)
		*interface = found;
	return status;
}

static EFI_STATUS EFIAPI close_protocol(
	EFI_HANDLE handle, EFI_GUID *guid, EFI_HANDLE agent, EFI_HANDLE controller)
{
	VOID *found;

	(void)agent;
	(void)controller;
	if (!guid)
		return EFI_INVALID_PARAMETER;
	return handle_protocol(&firmware.handles, handle, guid, &found);
}

static EFI_STATUS EFIAPI open_protocol_information(EFI_HANDLE handle, EFI_GUID *guid,
	EFI_OPEN_PROTOCOL_INFORMATION_ENTRY **entries, UINTN *count)
{
	(void)handle;
	(void)guid;
	(void)entries;
	(void)count;
	return no_service(POSTERN_NO_OPEN_PROTOCOL_INFORMATION);
}

static EFI_STATUS EFIAPI protocols_per_handle(EFI_HANDLE handle, EFI_GUID ***ret, UINTN *count)
{
	struct handle *h = handle_check(&firmware.handles, handle);
	EFI_GUID **list;

	if (!h || !ret || !count)
		return EFI_INVALID_PARAMETER;
	list = memory_pool(EfiBootServicesData, h->count * sizeof(EFI_GUID *));
	if (!list)
		return EFI_OUT_OF_RESOURCES;
	for (unsigned i = 0; i < h->count; i++)
		list[i] = &h->protocol[i].guid;
	*ret = list;
	*count = h->count;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI register_protocol_notify(
	EFI_GUID *guid, EFI_EVENT event, VOID **registration)
{
	(void)guid;
	(void)event;
	(void)registration;
	return no_service(POSTERN_NO_REGISTER_PROTOCOL_NOTIFY);
}

static UINTN count_handles(const EFI_GUID *guid)
{
	EFI_HANDLE h = NULL;
	UINTN count = 0;

	while ((h = handle_next(&firmware.handles, h, guid)))
		count++;
	return count;
}

static EFI_STATUS EFIAPI locate_handle(
	EFI_LOCATE_SEARCH_TYPE how, EFI_GUID *guid, VOID *key, UINTN *size, EFI_HANDLE *list)
{
	EFI_HANDLE h = NULL;
	UINTN room, needed;

	(void)key;
	if (!size || (how == ByProtocol && !guid) || (how != ByProtocol && how != AllHandles))
		return EFI_INVALID_PARAMETER;
	if (how == AllHandles)
		guid = NULL;
	room = *size;
	needed = count_handles(guid) * sizeof(EFI_HANDLE);
	if (!needed)
		return EFI_NOT_FOUND;
	*size = needed;
	if (room < needed)
		return EFI_BUFFER_TOO_SMALL;
	if (!list)
		return EFI_INVALID_PARAMETER;
	while ((h = handle_next(&firmware.handles, h, guid)))
		*list++ = h;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI locate_handle_buffer(EFI_LOCATE_SEARCH_TYPE how, EFI_GUID *guid, VOID *key,
	UINTN *ret_count, EFI_HANDLE **ret_list)
{
	UINTN size = 0;
	EFI_STATUS status;
	EFI_HANDLE *list;

	if (!ret_count || !ret_list)
		return EFI_INVALID_PARAMETER;
	status = locate_handle(how, guid, key, &size, NULL);
	if (status != EFI_BUFFER_TOO_SMALL)
		return status;
	list = memory_pool(EfiBootServicesData, size);
	if (!list)
		return EFI_OUT_OF_RESOURCES;
	*ret_count = size / sizeof(EFI_HANDLE);
	*ret_list = list;
	return locate_handle(how, guid, key, &size, list);
}

static EFI_STATUS EFIAPI locate_protocol(EFI_GUID *guid, VOID *registration, VOID **ret)
{
	EFI_HANDLE h;

	(void)registration;
	if (!guid || !ret)
		return EFI_INVALID_PARAMETER;
	h = handle_next(&firmware.handles, NULL, guid);
	if (!h) {
		*ret = NULL;
		return EFI_NOT_FOUND;
	}
	return handle_protocol(&firmware.handles, h, guid, ret);
}

/* The length of a path's nodes in bytes, its end not counted. */
static UINTN path_length(const EFI_DEVICE_PATH *path)
{
	const uint8_t *at = (const uint8_t *)path;
	UINTN len = 0;

	while (at[len] != END_DEVICE_PATH_TYPE) {
		UINTN node = at[len + 2] | (UINTN)at[len + 3] << 8;

		if (node < sizeof(EFI_DEVICE_PATH))
			break;
		len += node;
	}
	return len;
}

static EFI_STATUS EFIAPI locate_device_path(EFI_GUID *guid, EFI_DEVICE_PATH **path, EFI_HANDLE *ret)
{
	EFI_HANDLE h = NULL, best = NULL;
	UINTN len, best_len = 0;
	VOID *own;

	if (!guid || !path || !*path || !ret)
		return EFI_INVALID_PARAMETER;
	len = path_length(*path);
	while ((h = handle_next(&firmware.handles, h, guid))) {
		UINTN own_len;

		if (EFI_ERROR(handle_protocol(&firmware.handles, h, &device_path_guid, &own)))
			continue;
		own_len = path_length(own);
		if (own_len > len || (best && own_len <= best_len) ||
			memcmp(own, *path, own_len) != 0)
			continue;
		best = h;
		best_len = own_len;
	}
	if (!best)
		return EFI_NOT_FOUND;
	*path = (EFI_DEVICE_PATH *)((uint8_t *)*path + best_len);
	*ret = best;
	return EFI_SUCCESS;
}

/* All or none: what was installed before one that can't be is taken away again. */
static EFI_STATUS EFIAPI install_protocols(EFI_HANDLE *handle, ...)
{
	__builtin_ms_va_list list, again;
	EFI_STATUS status = EFI_SUCCESS;
	EFI_GUID *guid;
	unsigned done = 0;

	if (!handle)
		return EFI_INVALID_PARAMETER;
	__builtin_ms_va_start(list, handle);
	__builtin_ms_va_copy(again, list);
	while (!EFI_ERROR(status) && (guid = __builtin_va_arg(list, EFI_GUID *))) {
		status = handle_install(
			&firmware.handles, handle, guid, __builtin_va_arg(list, void *));
		done += !EFI_ERROR(status);
	}
	while (EFI_ERROR(status) && done--) {
		guid = __builtin_va_arg(again, EFI_GUID *);
		handle_uninstall(&firmware.handles, *handle, guid, __builtin_va_arg(again, void *));
	}
	__builtin_ms_va_end(again);
	__builtin_ms_va_end(list);
	return status;
}

static EFI_STATUS EFIAPI uninstall_protocols(EFI_HANDLE handle, ...)
{
	__builtin_ms_va_list list;
	EFI_STATUS status = EFI_SUCCESS;
	EFI_GUID *guid;

	__builtin_ms_va_start(list, handle);
	while (!EFI_ERROR(status) && (guid = __builtin_va_arg(list, EFI_GUID *)))
		status = handle_uninstall(
			&firmware.handles, handle, guid, __builtin_va_arg(list, void *));
	__builtin_ms_va_end(list);
	return EFI_ERROR(status) ? EFI_INVALID_PARAMETER : EFI_SUCCESS;
}

static EFI_STATUS EFIAPI connect_controller(
	EFI_HANDLE controller, EFI_HANDLE *driver, EFI_DEVICE_PATH *rest, BOOLEAN recursive)
{
	(void)controller;
	(void)driver;
	(void)rest;
	(void)recursive;
	return no_service(POSTERN_NO_CONNECT_CONTROLLER);
}

static EFI_STATUS EFIAPI disconnect_controller(
	EFI_HANDLE controller, EFI_HANDLE driver, EFI_HANDLE child)
{
	(void)controller;
	(void)driver;
	(void)child;
	return no_service(POSTERN_NO_DISCONNECT_CONTROLLER);
}

/* "EFI_BOOT_SERVICES.InstallConfigurationTable()": NULL takes the table away. */
static EFI_STATUS EFIAPI install_table(EFI_GUID *guid, VOID *table)
{
	EFI_SYSTEM_TABLE *st = &runtime_tables.system;
	EFI_CONFIGURATION_TABLE *t = runtime_tables.table;
	UINTN i = 0;

	if (!guid)
		return EFI_INVALID_PARAMETER;
	while (i < st->NumberOfTableEntries && !guid_is(&t[i].VendorGuid, guid))
		i++;
	if (!table) {
		if (i == st->NumberOfTableEntries)
			return EFI_NOT_FOUND;
		t[i] = t[--st->NumberOfTableEntries];
	} else {
		if (i == FIRMWARE_TABLES_MAX)
			return EFI_OUT_OF_RESOURCES;
		t[i] = (EFI_CONFIGURATION_TABLE){*guid, table};
		if (i == st->NumberOfTableEntries)
			st->NumberOfTableEntries++;
	}
	table_seal(&st->Hdr);
	return EFI_SUCCESS;
}

void protocols_fill_services(EFI_BOOT_SERVICES *bs)
{
	bs->InstallProtocolInterface = install_protocol;
	bs->ReinstallProtocolInterface = reinstall_protocol;
	bs->UninstallProtocolInterface = uninstall_protocol;
	bs->HandleProtocol = get_protocol;
	bs->PCHandleProtocol = get_protocol;
	bs->RegisterProtocolNotify = register_protocol_notify;
	bs->LocateHandle = locate_handle;
	bs->LocateDevicePath = locate_device_path;
	bs->InstallConfigurationTable = install_table;
	bs->ConnectController = connect_controller;
	bs->DisconnectController = disconnect_controller;
	bs->OpenProtocol = open_protocol;
	bs->CloseProtocol = close_protocol;
	bs->OpenProtocolInformation = open_protocol_information;
	bs->ProtocolsPerHandle = protocols_per_handle;
	bs->LocateHandleBuffer = locate_handle_buffer;
	bs->LocateProtocol = locate_protocol;
	bs->InstallMultipleProtocolInterfaces = install_protocols;
	bs->UninstallMultipleProtocolInterfaces = uninstall_protocols;
}
