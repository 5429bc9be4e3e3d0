/* The ATA command table; see ata.h. No state. On the exit path. */
#include "dma/ata.h"

static const struct ata_command unknown = {"unknown", ATA_DENY, ATA_OTHER, false};

/*
 * Entries with ATA_DENY change nothing but the name in the log, and say that the command was
 * thought about. The power commands succeed without effect: the host OS wants the disk spinning.
 */
static const struct ata_command commands[256] = {
	[0x06] = {"dsm", ATA_DENY, ATA_DMA_OUT, true},
	[0x20] = {"read", ATA_ISSUE, ATA_PIO_IN, false},
	[0x21] = {"read", ATA_ISSUE, ATA_PIO_IN, false}, /* without retries */
	[0x24] = {"read", ATA_ISSUE, ATA_PIO_IN, true},
	[0x25] = {"read", ATA_ISSUE, ATA_DMA_IN, true},
	[0x27] = {"read-capacity", ATA_ISSUE, ATA_NO_DATA, true},
	[0x29] = {"read", ATA_ISSUE, ATA_PIO_IN, true},
	[0x2f] = {"read-log", ATA_DENY, ATA_PIO_IN, true},
	[0x30] = {"write", ATA_DENY, ATA_PIO_OUT, false},
	[0x31] = {"write", ATA_DENY, ATA_PIO_OUT, false},
	[0x34] = {"write", ATA_DENY, ATA_PIO_OUT, true},
	[0x35] = {"write", ATA_DENY, ATA_DMA_OUT, true},
	[0x37] = {"set-capacity", ATA_DENY, ATA_NO_DATA, true},
	[0x39] = {"write", ATA_DENY, ATA_PIO_OUT, true},
	[0x3d] = {"write", ATA_DENY, ATA_DMA_OUT, true},
	[0x3f] = {"write-log", ATA_DENY, ATA_PIO_OUT, true},
	[0x40] = {"verify", ATA_ISSUE, ATA_NO_DATA, false},
	[0x41] = {"verify", ATA_ISSUE, ATA_NO_DATA, false},
	[0x42] = {"verify", ATA_ISSUE, ATA_NO_DATA, true},
	[0x45] = {"write-uncorrectable", ATA_DENY, ATA_NO_DATA, true},
	[0x47] = {"read-log", ATA_DENY, ATA_DMA_IN, true},
	[0x50] = {"format", ATA_DENY, ATA_PIO_OUT, false},
	[0x57] = {"write-log", ATA_DENY, ATA_DMA_OUT, true},
	[0x5c] = {"security-receive", ATA_DENY, ATA_PIO_IN, false},
	[0x5d] = {"security-receive", ATA_DENY, ATA_DMA_IN, false},
	[0x5e] = {"security-send", ATA_DENY, ATA_PIO_OUT, false},
	[0x5f] = {"security-send", ATA_DENY, ATA_DMA_OUT, false},
	[0x60] = {"read", ATA_DENY, ATA_OTHER, true}, /* queued: not on a parallel channel */
	[0x61] = {"write", ATA_DENY, ATA_OTHER, true},
	[ATA_EXECUTE_DIAGNOSTIC] = {"diagnostic", ATA_ISSUE, ATA_NO_DATA, false},
	[0x91] = {"set-geometry", ATA_ISSUE, ATA_NO_DATA, false},
	[0x92] = {"firmware", ATA_DENY, ATA_PIO_OUT, false},
	[0x93] = {"firmware", ATA_DENY, ATA_DMA_OUT, false},
	[0x94] = {"standby", ATA_PRETEND, ATA_NO_DATA, false},
	[0x95] = {"idle", ATA_PRETEND, ATA_NO_DATA, false},
	[0x98] = {"check-power", ATA_ISSUE, ATA_NO_DATA, false},
	[0xa0] = {"packet", ATA_DENY, ATA_OTHER, false},
	[0xa1] = {"identify-packet", ATA_DENY, ATA_PIO_IN, false},
	[0xb0] = {"smart", ATA_DENY, ATA_OTHER, false},
	[0xb1] = {"configuration", ATA_DENY, ATA_OTHER, false},
	[0xb4] = {"sanitize", ATA_DENY, ATA_NO_DATA, true},
	[0xc4] = {"read", ATA_ISSUE, ATA_PIO_IN, false},
	[0xc5] = {"write", ATA_DENY, ATA_PIO_OUT, false},
	[0xc6] = {"set-multiple", ATA_ISSUE, ATA_NO_DATA, false},
	[0xc8] = {"read", ATA_ISSUE, ATA_DMA_IN, false},
	[0xc9] = {"read", ATA_ISSUE, ATA_DMA_IN, false},
	[0xca] = {"write", ATA_DENY, ATA_DMA_OUT, false},
	[0xcb] = {"write", ATA_DENY, ATA_DMA_OUT, false},
	[0xe0] = {"standby", ATA_PRETEND, ATA_NO_DATA, false},
	[0xe1] = {"idle", ATA_PRETEND, ATA_NO_DATA, false},
	[0xe5] = {"check-power", ATA_ISSUE, ATA_NO_DATA, false},
	[0xe7] = {"flush", ATA_ISSUE, ATA_NO_DATA, false},
	[0xea] = {"flush", ATA_ISSUE, ATA_NO_DATA, true},
	[ATA_IDENTIFY] = {"identify", ATA_ISSUE, ATA_PIO_IN, false},
	[0xef] = {"set-features", ATA_DENY, ATA_NO_DATA, false},
	[0xf1] = {"security-set-password", ATA_DENY, ATA_PIO_OUT, false},
	[0xf2] = {"security-unlock", ATA_DENY, ATA_PIO_OUT, false},
	[0xf3] = {"security-erase", ATA_DENY, ATA_NO_DATA, false},
	[0xf4] = {"security-erase", ATA_DENY, ATA_PIO_OUT, false},
	[0xf5] = {"security-freeze", ATA_DENY, ATA_NO_DATA, false},
	[0xf6] = {"security-disable-password", ATA_DENY, ATA_PIO_OUT, false},
	[0xf8] = {"read-capacity", ATA_ISSUE, ATA_NO_DATA, false},
	[0xf9] = {"set-capacity", ATA_DENY, ATA_NO_DATA, false},
};

/* Read look-ahead is a hint. */
static const struct ata_command feature_mode = {
	"set-features:transfer-mode", ATA_MODE, ATA_NO_DATA, false};
static const struct ata_command feature_look_ahead = {
	"set-features:look-ahead", ATA_PRETEND, ATA_NO_DATA, false};

#define SET_FEATURES	      0xefu
#define FEATURE_TRANSFER_MODE 0x03u
#define FEATURE_NO_LOOK_AHEAD 0x55u
#define FEATURE_LOOK_AHEAD    0xaau

const struct ata_command *ata_classify(uint8_t opcode, uint8_t features)
{
	if (opcode == SET_FEATURES && features == FEATURE_TRANSFER_MODE)
		return &feature_mode;
	if (opcode == SET_FEATURES &&
		(features == FEATURE_LOOK_AHEAD || features == FEATURE_NO_LOOK_AHEAD))
		return &feature_look_ahead;
	return commands[opcode].name ? &commands[opcode] : &unknown;
}
