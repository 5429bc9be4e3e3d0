/*
 * A guest for tests of what emulates instructions: memory, page tables, a fake CPU, and a device
 * whose registers are plain bytes and which writes down every access.
 *
 * Guest-physical: RAM from 0 to FAKE_RAM_SIZE with the tables in its first pages, the device at
 * FAKE_DEV, nothing elsewhere. Linear addresses below 4 GiB are mapped to themselves, but for the
 * 2 MiB at FAKE_VIEW: those are 4 KiB pages, absent until fake_guest_map maps them.
 */
#ifndef POSTERN_FAKE_GUEST_H
#define POSTERN_FAKE_GUEST_H

#include "core/vm.h"
#include "fakes/fake_vcpu.h"

#define FAKE_RAM_SIZE 0x200000ull
#define FAKE_TABLES   0x1000ull	 /* root, directory pointers, four directories, FAKE_VIEW's */
#define FAKE_CODE     0x10000ull /* a good place for instructions */
#define FAKE_DATA     0x20000ull /* and for strings and stacks */
#define FAKE_VIEW     0x40000000ull
#define FAKE_DEV      0xfe000000ull
#define FAKE_DEV_SIZE 0x4000ull
#define FAKE_LOG      1024u

struct fake_guest {
	struct vm vm;
	struct fake_vcpu cpu;
	struct region region;
	uint8_t ram[FAKE_RAM_SIZE] __attribute__((aligned(4096)));
	uint8_t dev[FAKE_DEV_SIZE];
	struct io_access log[FAKE_LOG]; /* value: what was written, or given */
	unsigned accesses;		/* in all; the first FAKE_LOG are in the log */
	/* Called before each access of the device; what it returns instead of IO_DONE wins. */
	enum io_result (*hook)(struct fake_guest *g, struct io_access *a);
};

/* Everything zero but what the mode needs. */
void fake_guest_init(struct fake_guest *g, enum fake_mode mode);

/* Maps one page at FAKE_VIEW + page * 4 KiB with these entry bits (P, W, U, ...); 0 unmaps. */
void fake_guest_map(struct fake_guest *g, unsigned page, uint64_t to, uint64_t bits);

/* Lets the tables of FAKE_VIEW be where no memory is. */
void fake_guest_lose_view(struct fake_guest *g);

/*
 * The exit that the CPU would make for an access to a linear address inside the identity mapping;
 * with the linear address told, as VMX does, or not, as SVM.
 */
struct vmexit fake_guest_exit(uint64_t rip, uint64_t address, bool write, bool with_gla);

#endif
