/*
 * A PIIX IDE controller behind the hooks of fake_hw: two channels with up to two drives each, task
 * file with 48-bit history, PIO and bus-master DMA into a host memory that the test provides. It
 * records the commands that reach the drives, and complains about all that real hardware could
 * not bear.
 */
#ifndef POSTERN_FAKE_IDE_H
#define POSTERN_FAKE_IDE_H

#include "base/types.h"

#define FAKE_IDE_BM	  0xc000u
#define FAKE_IDE_DATA_MAX (128 * 512u)
#define FAKE_IDE_COMMANDS 64u
#define FAKE_IDE_GONE	  0xffu /* what an empty channel answers */

struct fake_drive {
	bool present;
	uint8_t reg[8], previous[8]; /* by port */
	uint8_t status, error;
	uint8_t data[FAKE_IDE_DATA_MAX];
	uint32_t pos, len; /* of a PIO transfer */
	bool dma;	   /* waits for the bus master */
};

struct fake_ide_channel {
	struct fake_drive drive[2];
	unsigned selected;
	uint8_t control;
	bool intrq;
	uint8_t bm_command, bm_status;
	uint32_t bm_table;
};

struct fake_ide_command {
	unsigned channel, drive;
	uint8_t opcode, features;
	uint16_t count;
	uint64_t lba; /* 48 bits for wide commands, else 24 and the device register's low 4 */
};

struct fake_ide {
	struct fake_ide_channel channel[2];
	struct fake_ide_command log[FAKE_IDE_COMMANDS];
	unsigned commands;
	bool stuck;	       /* commands and resets never end */
	bool hold_dma;	       /* transfers end only by fake_ide_finish_dma */
	unsigned irqs;	       /* edges that reached the host */
	unsigned touched_busy; /* task-file writes while busy */
	unsigned data_writes;
	unsigned bad_prds; /* outside of host memory, over a 64 KiB boundary, odd, too many */
	uint64_t bytes;	   /* moved by the bus master */
	/* Host memory behind an address, or NULL if [at, at + len) isn't the guest's or a table. */
	uint8_t *(*host)(uint64_t at, uint64_t len);
};

extern struct fake_ide fake_ide;

/* Installs the hooks; drives are absent. */
void fake_ide_start(uint8_t *(*host)(uint64_t at, uint64_t len));
void fake_ide_insert(unsigned channel, unsigned drive);
void fake_ide_finish_dma(unsigned channel);

/* What the drives hold. */
uint8_t fake_ide_byte(uint64_t lba, unsigned offset);

#endif
