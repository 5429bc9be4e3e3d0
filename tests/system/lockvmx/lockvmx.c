/*
 * Plays a firmware whose set-up has virtualization switched off: locks IA32_FEATURE_CONTROL without
 * VMX, then starts Postern. SDM vol. 3C "Enabling and Entering VMX Operation".
 */
#include "app/app.h"
#include "hw/cpu.h"

#define FEATURE_CONTROL_LOCKED 1u

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st);

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st)
{
	app_init(image, st);
	hw_wrmsr(MSR_FEATURE_CONTROL, FEATURE_CONTROL_LOCKED);
	return app_start("\\EFI\\postern\\postern.efi");
}
