/* The state of one restricted NVMe controller; private to the nvme_*.c files. */
#ifndef POSTERN_DMA_NVME_STATE_H
#define POSTERN_DMA_NVME_STATE_H

#include "base/log.h"
#include "core/device.h"
#include "core/region.h"
#include "core/vm.h"
#include "dma/nvme_identify.h"
#include "dma/nvme_queue.h"

#define NVME_IO_QUEUES	    POLICY_QUEUES
#define NVME_QUEUES	    (NVME_IO_QUEUES + 1)
#define NVME_NAMESPACES_MAX 32u

/*
 * Of the real controller. Shadow memory is its property in all phases but NVME_OFF. NVME_ABORTING:
 * starting, and to be stopped as soon as it is ready.
 */
enum nvme_phase { NVME_OFF, NVME_STARTING, NVME_ABORTING, NVME_ON, NVME_STOPPING };

struct nvme_stats {
	uint64_t commands, refused, completions;
	uint64_t doorbells, bad_doorbells, bad_accesses;
	uint64_t strays;   /* completions of no command of ours */
	uint64_t messages; /* interrupts of the guest that weren't its line */
};

struct nvme {
	struct device *dev;
	struct region region;
	struct nvme_view view;
	struct nvme_stats stats;
	struct log_limit refused_log, doorbell_log;

	/* The real controller. */
	hpa_t bar;
	enum nvme_phase phase;
	uint64_t real_cap;
	uint32_t version;
	uint32_t doorbell_stride; /* bytes */
	uint64_t timeout_us;	  /* of a change of CC.EN */
	uint32_t io_entries;	  /* of shadow I/O queues */
	uint32_t events_max;	  /* asynchronous event requests */
	struct nvme_namespace ns[NVME_NAMESPACES_MAX];

	/* What attach found and detach puts back. */
	bool taken;
	uint16_t saved_command;
	uint32_t saved_aqa;
	uint64_t saved_asq, saved_acq;

	/* The guest's registers. */
	uint64_t cap, asq, acq;
	uint32_t cc, aqa, intms;
	bool failed;	/* CSTS.CFS: what the guest set up can't work */
	bool shut_down; /* CSTS.SHST: complete */
	bool irq_high;
	uint32_t posted; /* interrupt vectors with new entries that no message has told of yet */

	/* Number 0 is the admin pair. */
	struct nvme_sq sq[NVME_QUEUES];
	struct nvme_cq cq[NVME_QUEUES];
};

/* ---- nvme_ctrl.c: the real controller ---- */

/*
 * Reads what attach needs to know and stops the controller, with bus mastering off; then, once the
 * queues have memory, finds its namespaces.
 */
int nvme_ctrl_take(struct nvme *n) must_check;
int nvme_ctrl_discover(struct nvme *n) must_check;
/* Bus mastering on or off. */
void nvme_ctrl_set_master(struct nvme *n, bool on);
/* Puts back what take found; the controller stays off. */
void nvme_ctrl_release(struct nvme *n);

/* Begins to enable it on the shadow admin queues, which are started. Only in NVME_OFF. */
void nvme_ctrl_start(struct nvme *n);
/* Begins to disable it; the guest's queues are gone at once. */
void nvme_ctrl_stop(struct nvme *n);
/* Reads CSTS and moves the phase on. */
uint32_t nvme_ctrl_update(struct nvme *n);
/* Waits for the end of a start or a stop. -E_TIMEOUT. */
int nvme_ctrl_wait(struct nvme *n, enum nvme_phase phase) must_check;
/* Stops it and waits for that. -E_TIMEOUT. */
int nvme_ctrl_halt(struct nvme *n) must_check;

/* Tell the controller about new entries in a shadow, and entries taken from one. */
void nvme_ctrl_ring_sq(struct nvme *n, struct nvme_sq *sq);
void nvme_ctrl_ring_cq(struct nvme *n, const struct nvme_cq *cq);

/* ---- nvme_exec.c: commands and completions ---- */

/* Completions to the guest, then new commands to the controller, then interrupts. */
void nvme_exec_run(struct nvme *n);
void nvme_exec_update_irq(struct nvme *n);
/* The guest has cleared bits of its interrupt mask. */
void nvme_exec_unmask(struct nvme *n, uint32_t bits);
/* The guest's set-up turned out to be impossible: CSTS.CFS, until it resets the controller. */
void nvme_exec_fail(struct nvme *n);

/* ---- nvme_admin.c ---- */

/*
 * NVME_FORWARD with *ret filled, or the status with which the command is complete; *ret_result is
 * dword 0 of its completion, if it isn't 0.
 */
uint16_t nvme_admin_check(struct nvme *n, const struct nvme_sqe *in, struct nvme_slot *slot,
	struct nvme_sqe *ret, uint32_t *ret_result) must_check;
/* The controller has completed a command: follow it, and adapt what the guest will see of it. */
void nvme_admin_finish(struct nvme *n, struct nvme_slot *slot, struct nvme_cqe *cqe);

#endif
