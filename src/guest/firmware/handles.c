/* Handles and protocols; see handles.h. State is the caller's. Runs in the guest. */
#include "guest/firmware/handles.h"
#include "base/mem.h"

bool guid_is(const EFI_GUID *a, const EFI_GUID *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

struct handle *handle_check(struct handle_table *t, EFI_HANDLE handle)
{
	uintptr_t at = (uintptr_t)handle, first = (uintptr_t)t->handle;

	if (at < first || at - first >= sizeof(t->handle) || (at - first) % sizeof(struct handle))
		return NULL;
	return t->handle[(at - first) / sizeof(struct handle)].count ? handle : NULL;
}

static unsigned find(const struct handle *h, const EFI_GUID *guid)
{
	unsigned i = 0;

	while (i < h->count && !guid_is(&h->protocol[i].guid, guid))
		i++;
	return i;
}

static struct handle *find_unused(struct handle_table *t)
{
	for (unsigned i = 0; i < HANDLES; i++)
		if (!t->handle[i].count)
			return &t->handle[i];
	return NULL;
}

EFI_STATUS handle_install(
	struct handle_table *t, EFI_HANDLE *handle, const EFI_GUID *guid, void *interface)
{
	struct handle *h = *handle ? handle_check(t, *handle) : find_unused(t);

	if (!h)
		return *handle ? EFI_INVALID_PARAMETER : EFI_OUT_OF_RESOURCES;
	if (find(h, guid) < h->count)
		return EFI_INVALID_PARAMETER;
	if (h->count == HANDLE_PROTOCOLS)
		return EFI_OUT_OF_RESOURCES;
	h->protocol[h->count].guid = *guid;
	h->protocol[h->count].interface = interface;
	h->count++;
	*handle = h;
	return EFI_SUCCESS;
}

EFI_STATUS handle_uninstall(
	struct handle_table *t, EFI_HANDLE handle, const EFI_GUID *guid, const void *interface)
{
	struct handle *h = handle_check(t, handle);
	unsigned i;

	if (!h)
		return EFI_INVALID_PARAMETER;
	i = find(h, guid);
	if (i == h->count || h->protocol[i].interface != interface)
		return EFI_NOT_FOUND;
	h->protocol[i] = h->protocol[--h->count];
	return EFI_SUCCESS;
}

EFI_STATUS handle_protocol(
	struct handle_table *t, EFI_HANDLE handle, const EFI_GUID *guid, void **ret_interface)
{
	struct handle *h = handle_check(t, handle);
	unsigned i;

	if (!h)
		return EFI_INVALID_PARAMETER;
	i = find(h, guid);
	if (i == h->count)
		return EFI_UNSUPPORTED;
	*ret_interface = h->protocol[i].interface;
	return EFI_SUCCESS;
}

EFI_HANDLE handle_next(struct handle_table *t, EFI_HANDLE after, const EFI_GUID *guid)
{
	struct handle *h = after;

	for (h = h ? h + 1 : t->handle; h < t->handle + HANDLES; h++)
		if (h->count && (!guid || find(h, guid) < h->count))
			return h;
	return NULL;
}
