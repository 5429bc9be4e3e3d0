/* The machine's DMA remapping, as the firmware describes it. Before the guest only. */
#ifndef POSTERN_EFI_IOMMU_H
#define POSTERN_EFI_IOMMU_H

#include "iommu/dmar.h"

/* Reads and reports it. Without it, or when it can't be understood, *ret has no unit, and the log says so. */
void iommu_describe(struct dmar *ret);

#endif
