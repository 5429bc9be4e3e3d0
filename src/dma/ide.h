/*
 * The restricted IDE controller: PIIX and compatible, both channels in compatibility mode, with a
 * bus master in BAR 4. Everything trapped; reads allowed, see dma/ata.h.
 *
 * dev->irq is the guest's line of the primary channel (14), the secondary has the next one. The
 * host's handlers of the real IRQ 14 and 15 set dev->irq_fired.
 */
#ifndef POSTERN_DMA_IDE_H
#define POSTERN_DMA_IDE_H

#include "core/device.h"

extern const struct device_ops ide_ops;

#endif
