/*
 * The guest's interval timer: an 8254 at 40h to 43h and its gate and output bits in port 61h,
 * counted from the TSC. Channel 0 drives IRQ 0. A model only: the real timer is the firmware's.
 */
#ifndef POSTERN_IRQ_VPIT_H
#define POSTERN_IRQ_VPIT_H

#include "core/vm.h"

#define VPIT_CHANNELS	 3u
#define VPIT_HZ		 1193182u

/*
 * Periods that passed while nobody looked and are still to be told, one after each acknowledge;
 * what is beyond is forgotten, so that a guest that was away for long isn't flooded.
 */
#define VPIT_BACKLOG_MAX 16u

struct vpit_channel {
	uint8_t mode;	/* 0 to 5 */
	uint8_t access; /* 1: low byte, 2: high byte, 3: low, then high */
	bool loaded;	/* has a count since the mode was set */
	bool running;	/* counts: gate, trigger */
	bool gate;
	bool bcd_asked;		    /* for the status; counting is binary */
	bool write_high, read_high; /* the next byte is the high one */
	uint8_t write_low;
	uint32_t reload;    /* 1 to 65536 */
	uint64_t start_tsc; /* when count was reload */
	uint64_t paused;    /* ticks counted when it was stopped */
	uint8_t latch_left; /* bytes of the latched count not read yet */
	uint16_t latch;
	bool status_latched;
	uint8_t status;
};

struct vpit {
	struct vpit_channel channel[VPIT_CHANNELS];
	struct device dev;
	struct region counters, port61;
	uint64_t tick_scale; /* ticks per TSC count, in units of 2^-40 */
	uint8_t speaker;     /* bits 3:0 of port 61h */
	uint64_t told;	     /* events of channel 0 that were raised or forgotten */
	unsigned backlog;
	uint64_t lost; /* events that were forgotten */
};

/* Adds the ports and a timer to the machine; its interrupt controller must be there already. */
int vpit_attach(struct vpit *p, struct vm *vm) must_check;

/* For vpic.acknowledged: the next missed period follows the acknowledge of the last one. */
void vpit_acknowledged(void *pit, unsigned irq);

/* The TSC at which IRQ 0 is due next; all ones if never. For a timer that is more precise. */
uint64_t vpit_next_deadline(const struct vpit *p);

#endif
