/* Where the log goes: the first serial port, directly, and the firmware's console. */
#ifndef POSTERN_EFI_CONSOLE_H
#define POSTERN_EFI_CONSOLE_H

#include "base/types.h"

/*
 * Installs the sinks. The serial one needs no firmware and works while the guest runs; the other
 * is silent while firmware services can't be called (console_pause).
 */
void console_init(bool serial, bool firmware);
void console_pause(bool paused);

#endif
