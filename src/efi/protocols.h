/*
 * Protocols of the UEFI Platform Initialization Specification (vol. 2, "DXE Architectural
 * Protocols") that gnu-efi's headers lack.
 */
#ifndef POSTERN_EFI_PROTOCOLS_H
#define POSTERN_EFI_PROTOCOLS_H

#include <efi.h>

#define EFI_CPU_ARCH_PROTOCOL_GUID                                                                 \
	{                                                                                          \
		0x26baccb1, 0x6f42, 0x11d4,                                                        \
		{                                                                                  \
			0xbc, 0xe7, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81                             \
		}                                                                                  \
	}

typedef VOID(EFIAPI *EFI_CPU_INTERRUPT_HANDLER)(INTN type, VOID *context);

/* Only the member that we call is typed. */
typedef struct EFI_CPU_ARCH_PROTOCOL {
	VOID *FlushDataCache, *EnableInterrupt, *DisableInterrupt, *GetInterruptState, *Init;
	EFI_STATUS(EFIAPI *RegisterInterruptHandler)
	(struct EFI_CPU_ARCH_PROTOCOL *self, INTN type, EFI_CPU_INTERRUPT_HANDLER handler);
	VOID *GetTimerValue, *SetMemoryAttributes;
	UINT32 NumberOfTimers, DmaBufferAlignment;
} EFI_CPU_ARCH_PROTOCOL;

#define EFI_TIMER_ARCH_PROTOCOL_GUID                                                               \
	{                                                                                          \
		0x26baccb3, 0x6f42, 0x11d4,                                                        \
		{                                                                                  \
			0xbc, 0xe7, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81                             \
		}                                                                                  \
	}

/* Periods are in units of 100 ns. */
typedef struct EFI_TIMER_ARCH_PROTOCOL {
	VOID *RegisterHandler;
	EFI_STATUS(EFIAPI *SetTimerPeriod)(struct EFI_TIMER_ARCH_PROTOCOL *self, UINT64 period);
	EFI_STATUS(EFIAPI *GetTimerPeriod)(struct EFI_TIMER_ARCH_PROTOCOL *self, UINT64 *period);
	VOID *GenerateSoftInterrupt;
} EFI_TIMER_ARCH_PROTOCOL;

#endif
