/*
 * PCI configuration space of the real machine, by mechanism 1 (CF8h/CFCh) for the first 256 bytes
 * and ECAM where the firmware's MCFG table names it. Link-time double in tests/unit/fakes.
 */
#ifndef POSTERN_HW_PCI_H
#define POSTERN_HW_PCI_H

#include "base/types.h"

/* Bus in bits 15:8, device in 7:3, function in 2:0; segment 0. */
typedef uint16_t pci_bdf_t;

#define PCI_BDF(bus, dev, fn) ((pci_bdf_t)((bus) << 8 | (dev) << 3 | (fn)))
#define PCI_BUS(bdf)	      ((unsigned)(bdf) >> 8)
#define PCI_DEV(bdf)	      (((unsigned)(bdf) >> 3) & 31u)
#define PCI_FN(bdf)	      ((unsigned)(bdf)&7u)
#define PCI_BDF_FMT	      "%02x:%02x.%x"
#define PCI_BDF_ARGS(bdf)     PCI_BUS(bdf), PCI_DEV(bdf), PCI_FN(bdf)

/* ECAM window of segment 0; len 0 when there is none. */
void hw_pci_set_ecam(hpa_t base, uint64_t len);

/* offset below 4096 (256 without ECAM), size 1, 2 or 4, naturally aligned; else all ones. */
uint32_t hw_pci_read(pci_bdf_t bdf, unsigned offset, unsigned size);
void hw_pci_write(pci_bdf_t bdf, unsigned offset, unsigned size, uint32_t value);

/* Offset of a capability in the standard list, or 0; bounded. */
unsigned hw_pci_find_cap(pci_bdf_t bdf, uint8_t id);

/* PCI Local Bus Specification 3.0, "Configuration Space Organization". */
#define PCI_VENDOR_ID	     0x00u
#define PCI_DEVICE_ID	     0x02u
#define PCI_COMMAND	     0x04u
#define PCI_COMMAND_IO	     (1u << 0)
#define PCI_COMMAND_MEMORY   (1u << 1)
#define PCI_COMMAND_MASTER   (1u << 2)
#define PCI_COMMAND_INTX_OFF (1u << 10)
#define PCI_STATUS	     0x06u
#define PCI_STATUS_CAPS	     (1u << 4)
#define PCI_REVISION	     0x08u
#define PCI_CLASS	     0x09u /* prog-if, subclass, class: three bytes */
#define PCI_HEADER_TYPE	     0x0eu
#define PCI_HEADER_MULTI     0x80u
#define PCI_HEADER_BRIDGE    0x01u
#define PCI_BAR0	     0x10u
#define PCI_BAR_COUNT	     6u
#define PCI_ROM		     0x30u
#define PCI_CAP_PTR	     0x34u
#define PCI_INT_LINE	     0x3cu
#define PCI_INT_PIN	     0x3du
#define PCI_CAP_MSI	     0x05u
#define PCI_CAP_MSIX	     0x11u
#define PCI_CAP_VENDOR	     0x09u
#define PCI_CAP_EXPRESS	     0x10u

#endif
