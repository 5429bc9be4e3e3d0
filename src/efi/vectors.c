/*
 * Lending CPU vectors; see vectors.h. Owns the table from vector to handler. The handlers run in the
 * firmware's interrupt context, inside a back end's window.
 */
#include "efi/vectors.h"
#include "efi/protocols.h"
#include "efi/uefi.h"

#define VECTORS 256u

struct lent_vector {
	void (*handler)(void *arg);
	void *arg;
};

static EFI_CPU_ARCH_PROTOCOL *cpu;
static struct lent_vector lent[VECTORS];

int vectors_init(void)
{
	EFI_GUID guid = EFI_CPU_ARCH_PROTOCOL_GUID;

	return uefi_error(efi_bs->LocateProtocol(&guid, NULL, (void **)&cpu));
}

static VOID EFIAPI vector_entry(INTN type, VOID *context)
{
	(void)context;
	if (type >= 0 && type < (INTN)VECTORS && lent[type].handler)
		lent[type].handler(lent[type].arg);
}

/* The firmware answers "already started" when it uses the vector itself. */
static int vector_claim(unsigned vector, void (*handler)(void *arg), void *arg)
{
	EFI_STATUS status;

	if (vector >= VECTORS || lent[vector].handler)
		return -E_EXIST;
	lent[vector] = (struct lent_vector){handler, arg};
	status = cpu->RegisterInterruptHandler(cpu, (INTN)vector, vector_entry);
	if (EFI_ERROR(status))
		lent[vector] = (struct lent_vector){0};
	return uefi_error(status);
}

static void vector_release(unsigned vector)
{
	if (vector >= VECTORS || !lent[vector].handler)
		return;
	cpu->RegisterInterruptHandler(cpu, (INTN)vector, NULL);
	lent[vector] = (struct lent_vector){0};
}

const struct host_vector_ops efi_vector_ops = {vector_claim, vector_release};
