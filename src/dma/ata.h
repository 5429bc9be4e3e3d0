/*
 * The ATA command set as a policy sees it: what a command is, how it moves data, and whether a
 * restricted guest may have it. A pure table, for every controller that carries ATA commands.
 * Default deny: an opcode without an entry is refused. ATA/ATAPI Command Set - 3 (ACS-3),
 * "Command descriptions", and ATA/ATAPI-5 for the commands that it dropped.
 */
#ifndef POSTERN_DMA_ATA_H
#define POSTERN_DMA_ATA_H

#include "base/types.h"

/* Status and error register. */
#define ATA_STATUS_BSY	       0x80u
#define ATA_STATUS_DRDY	       0x40u
#define ATA_STATUS_DSC	       0x10u
#define ATA_STATUS_DRQ	       0x08u
#define ATA_STATUS_ERR	       0x01u
#define ATA_ERROR_ABRT	       0x04u
/* Device control register. */
#define ATA_CONTROL_NIEN       0x02u
#define ATA_CONTROL_SRST       0x04u
/* Device register. */
#define ATA_DEVICE_1	       0x10u

/* Transfer modes in the count register of SET FEATURES: a kind and a number. */
#define ATA_MODE_MULTIWORD     0x20u
#define ATA_MODE_ULTRA	       0x40u

#define ATA_IDENTIFY	       0xecu
#define ATA_EXECUTE_DIAGNOSTIC 0x90u
#define ATA_SECTOR_SIZE	       512u
#define ATA_SECTORS_MAX	       65536u /* of one command, by the 16-bit count of the wide ones */

enum ata_protocol { ATA_NO_DATA, ATA_PIO_IN, ATA_PIO_OUT, ATA_DMA_IN, ATA_DMA_OUT, ATA_OTHER };

enum ata_verdict {
	ATA_DENY,    /* aborted, as by a device that lacks the command */
	ATA_ISSUE,   /* given to the device */
	ATA_PRETEND, /* succeeds without reaching the device */
	ATA_MODE, /* sets the transfer mode: on a parallel channel the firmware's, not the guest's */
};

struct ata_command {
	const char *name; /* as policies and logs say it; never NULL */
	uint8_t verdict, protocol;
	bool wide; /* takes the previous contents of the task file too: 48-bit addresses */
};

/* features is the low byte of that register: it selects the subcommand of some commands. */
const struct ata_command *ata_classify(uint8_t opcode, uint8_t features);

#endif
