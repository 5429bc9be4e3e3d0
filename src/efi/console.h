/* Where the log goes: the first serial port, directly, and the firmware's console. */
#ifndef POSTERN_EFI_CONSOLE_H
#define POSTERN_EFI_CONSOLE_H

#include "base/types.h"

/*
 * Installs the sinks, for lines of either kind that the user wants; alerts go to both. The serial
 * one needs no firmware and works while the guest runs; the other is silent while firmware services
 * can't be called (console_pause). Where the firmware's console ends in the same serial port, a
 * line is written there once.
 */
void console_init(bool serial, bool firmware);
void console_pause(bool paused);

/*
 * Writes a line to the serial port as it is, whatever the user wants there; for traces. Waits for a
 * slow receiver, up to a second for each character. -E_NOENT without a port, -E_TIMEOUT.
 */
int console_serial_line(const char *text) must_check;

#endif
