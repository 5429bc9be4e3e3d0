/* Real I/O ports. Link-time double in tests/unit/fakes. On the exit path. */
#ifndef POSTERN_HW_PORT_H
#define POSTERN_HW_PORT_H

#include "base/types.h"

/* size is 1, 2 or 4 bytes; any other size reads all ones and writes nothing. */
uint32_t hw_port_read(uint16_t port, unsigned size);
void hw_port_write(uint16_t port, unsigned size, uint32_t value);

/* n items of size bytes from a port to host memory, as REP INS does. */
void hw_port_read_block(uint16_t port, unsigned size, void *ret, size_t n);

#endif
