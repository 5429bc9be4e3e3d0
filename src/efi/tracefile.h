/* What the recorder has collected, on its way out of the machine. */
#ifndef POSTERN_EFI_TRACEFILE_H
#define POSTERN_EFI_TRACEFILE_H

#include "efi/boot.h"
#include "efi/config.h"

#define TRACE_FILE "\\EFI\\postern\\trace.bin"

/*
 * Writes the trace to where the configuration says, once the guest is gone and the firmware has its
 * drivers back. The serial port gets lines of base64 behind TRACE_LINE, which postern-trace finds in
 * a log. A failure is logged, and changes nothing else. Does nothing if no device was traced.
 */
void trace_file_save(struct vm *vm, const struct config *c, const struct boot_origin *o);

#endif
