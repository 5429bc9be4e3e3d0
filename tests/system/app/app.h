/* What the EFI applications of the system tests share: lines on COM1, files, and the way out. */
#ifndef POSTERN_TEST_APP_H
#define POSTERN_TEST_APP_H

#include "efi/uefi.h"

/* Remembers the tables; the first call of an application. */
void app_init(EFI_HANDLE image, EFI_SYSTEM_TABLE *st);

/* One line on COM1, whatever the firmware's console does. */
void app_say(const char *format, ...) printf_like(1, 2);

/* Where this image came from, as "\EFI\...", in ASCII; "?" if it can't be told. */
void app_own_path(char *out, UINTN size);

/* The first volume that has a file; NULL if there is none. */
EFI_HANDLE app_find_volume(const char *path);

/* Loads and starts the program at a path, from the first volume that has it; its status, or why not. */
EFI_STATUS app_start(const char *path);

/* Switches the machine off: by the firmware, or by the port that Bochs knows. */
_Noreturn void app_power_off(void);

#endif
