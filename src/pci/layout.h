/*
 * Registers and class codes of PCI configuration space that only this room names; hw/pci.h has the
 * rest. PCI Local Bus Specification 3.0, PCI-to-PCI Bridge Architecture Specification 1.2.
 */
#ifndef POSTERN_PCI_LAYOUT_H
#define POSTERN_PCI_LAYOUT_H

#include "hw/pci.h"

#define PCI_CONFIG_SIZE	       256u /* without the extended space of PCI Express */
#define PCI_CONFIG_DWORDS      (PCI_CONFIG_SIZE / 4)
#define PCI_ECAM_SIZE	       4096u /* one function's share of the ECAM window */

#define PCI_HEADER_KIND	       0x7fu
#define PCI_HEADER_DEVICE      0x00u
#define PCI_CACHE_LINE	       0x0cu /* cache line, latency timer, header type, BIST */
#define PCI_SUBSYSTEM	       0x2cu
#define PCI_BRIDGE_CONTROL     0x3eu

/* Type 1 headers only. */
#define PCI_BRIDGE_BARS	       2u
#define PCI_BRIDGE_BUSES       0x18u /* primary, secondary, subordinate, latency timer */
#define PCI_BRIDGE_SECONDARY   0x19u
#define PCI_BRIDGE_SUBORDINATE 0x1au
#define PCI_BRIDGE_IO	       0x1cu /* base, limit, secondary status */
#define PCI_BRIDGE_MEMORY      0x20u
#define PCI_BRIDGE_PREFETCH    0x24u
#define PCI_BRIDGE_BASE_HIGH   0x28u
#define PCI_BRIDGE_LIM_HIGH    0x2cu
#define PCI_BRIDGE_IO_HIGH     0x30u

/* The status register's bits as they stand in the dword with the command register. */
#define PCI_STATUS_SHIFT       16
#define PCI_STATUS_INTX	       (1u << 3)
/* 66 MHz, fast back-to-back, DEVSEL timing: they never change. */
#define PCI_STATUS_FIXED       0x06a0u

#define PCI_BAR_IO	       0x1u
#define PCI_BAR_IO_FLAGS       0x3u
#define PCI_BAR_MEM_FLAGS      0xfu
#define PCI_BAR_MEM_KIND       0x6u
#define PCI_BAR_MEM_64	       0x4u

/* The data register follows the address, which has 4 bytes or 8; masks and pending bits follow that. */
#define PCI_MSI_CONTROL	       2u
#define PCI_MSI_ENABLE	       (1u << 0)
#define PCI_MSI_CAPABLE	       0x000eu /* binary logarithm of the messages that it can send */
#define PCI_MSI_COUNT	       0x0070u /* ... and of those that it may */
#define PCI_MSI_64	       (1u << 7)
#define PCI_MSI_MASKS	       (1u << 8)
#define PCI_MSI_ADDRESS	       4u
#define PCI_MSI_MAX	       32u /* messages */

#define PCI_MSIX_CONTROL       2u
#define PCI_MSIX_SIZE	       0x07ffu /* entries, less 1 */
#define PCI_MSIX_MASK	       (1u << 14)
#define PCI_MSIX_ENABLE	       (1u << 15)
#define PCI_MSIX_TABLE	       4u
#define PCI_MSIX_PENDING       8u
#define PCI_MSIX_BAR	       0x7u /* in both: the rest is an offset in that BAR */
#define PCI_MSIX_LEN	       12u
#define PCI_MSIX_MAX	       2048u	 /* entries */
#define PCI_MSIX_MASKED	       (1u << 0) /* in an entry's control */
#define PCI_CAP_FIRST	       0x40u
#define PCI_CAP_COUNT_MAX      48u /* capabilities of 4 bytes that fit behind the header */

/* Base class and subclass. */
#define PCI_CLASS_IDE	       0x0101u
#define PCI_CLASS_HOST	       0x0600u
#define PCI_CLASS_ISA	       0x0601u
#define PCI_CLASS_UNKNOWN      0xff00u
/* Programming interface of an IDE controller: a channel in native mode has BARs of its own. */
#define PCI_IDE_NATIVE_0       0x01u
#define PCI_IDE_NATIVE_1       0x04u

#endif
