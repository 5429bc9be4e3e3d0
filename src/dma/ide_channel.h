/*
 * One channel of the restricted IDE controller. For the files of dma/ide_* only.
 *
 * How a command goes: the guest's writes to the task file reach the device, where they change
 * nothing yet, and are kept. A write to the command register is classified. A refused command is
 * answered from the model, without touching the device; an allowed one is issued after the whole
 * task file has been written once more from what was kept. A DMA command is held back until the
 * guest starts its bus master: only then is there a PRD table, and if that is bad the device has
 * never seen the command.
 */
#ifndef POSTERN_DMA_IDE_CHANNEL_H
#define POSTERN_DMA_IDE_CHANNEL_H

#include "base/log.h"
#include "core/device.h"
#include "core/region.h"
#include "dma/ata.h"
#include "dma/ide_prd.h"

#define IDE_CHANNELS 2u

/* The command block's registers; two of them are different ones for reading and writing. */
enum ide_register {
	IDE_DATA,
	IDE_ERROR,
	IDE_FEATURES = IDE_ERROR,
	IDE_COUNT,
	IDE_LBA_LOW,
	IDE_LBA_MID,
	IDE_LBA_HIGH,
	IDE_DEVICE,
	IDE_STATUS,
	IDE_COMMAND = IDE_STATUS,
	IDE_REGISTERS
};

/* Bus-master registers of a channel. "Bus Master IDE Controller", revision 1.0. */
#define BM_COMMAND	  0u
#define BM_STATUS	  2u
#define BM_TABLE	  4u
#define BM_PORTS	  8u
#define BM_COMMAND_START  0x01u
#define BM_COMMAND_READ	  0x08u /* from the device to memory */
#define BM_STATUS_ACTIVE  0x01u
#define BM_STATUS_ERROR	  0x02u
#define BM_STATUS_INTR	  0x04u
#define BM_STATUS_CAPABLE 0x60u /* set by software for software */

enum ide_bm_state {
	BM_IDLE,
	BM_WAITING, /* started by the guest, but no command moves data */
	BM_RUNNING, /* the real bus master works on the shadow table */
	BM_ENDED,   /* started by the guest, and failed */
};

struct ide_busmaster {
	uint16_t port; /* of the real controller */
	enum ide_bm_state state;
	uint8_t command, status; /* as the guest reads them, but for ACTIVE */
	uint32_t table;		 /* the guest's address of its table */
	struct ide_prd *shadow;
	uint32_t shadow_at; /* host-physical */
	uint32_t found_table;
};

/* The model's word in place of the device's, after a command that the device never saw. */
struct ide_answer {
	bool valid;
	uint8_t status, error;
};

struct ide_channel {
	struct device *dev;
	unsigned index;
	uint16_t port, control_port; /* of the real controller */
	struct region command_block, control_block;
	bool present[2];
	uint8_t dma_mode[2]; /* as the firmware set it, 0: none; see set_mode */

	/* The guest's last and last but one write to each register: 48-bit commands take both. */
	uint8_t reg[IDE_REGISTERS], previous[IDE_REGISTERS];
	uint8_t control; /* the guest's device control; the real nIEN stays 0 */
	struct ide_answer answer[2];
	const struct ata_command *held; /* a DMA command without its bus master, or NULL */
	uint8_t held_opcode;
	bool in_flight; /* the device was given work, and wasn't seen idle since */
	bool pio;	/* that work delivers data through the data register */
	bool interrupt; /* the device (or the model in its place) asks for attention */
	bool line;	/* what the guest's interrupt controller was told */
	struct ide_busmaster bm;
};

/* State of one controller; dev->state. */
struct ide {
	struct ide_channel channel[IDE_CHANNELS];
	struct region bm_block;
	struct log_limit refusals;
};

/* ---- ide_channel.c ---- */

enum io_result ide_command_block_access(struct ide_channel *ch, struct io_access *a);
enum io_result ide_control_access(struct ide_channel *ch, struct io_access *a);

/* The device behind the guest's device register: 0 or 1. */
unsigned ide_selected(const struct ide_channel *ch);
/* Answers the pending command in the device's place, and asks for attention. */
void ide_answer_command(struct ide_channel *ch, uint8_t status, uint8_t error);
/* Gives a command to the device, task file and all. */
void ide_issue(struct ide_channel *ch, const struct ata_command *c, uint8_t opcode);
/* Takes a real interrupt over into the model. Returns the bus master's real status. */
uint8_t ide_take_interrupt(struct ide_channel *ch);

/* ---- ide_busmaster.c ---- */

enum io_result ide_busmaster_access(struct ide *ide, struct io_access *a);

/* A DMA command is being held: runs it if the guest has started the bus master already. */
void ide_busmaster_command_held(struct ide_channel *ch);
/* Stops the real bus master, and the guest's with it. */
void ide_busmaster_halt(struct ide_channel *ch);
uint8_t ide_busmaster_status(const struct ide_channel *ch);
/* Clears bits of the real status register that clear by writing ones. */
void ide_busmaster_clear(const struct ide_channel *ch, uint8_t bits);

#endif
