/*
 * What every guest's first instruction finds, however it is loaded: page tables that map the 32-bit space
 * 1:1, and a GDT.
 */
#ifndef POSTERN_GUEST_ENTRY_H
#define POSTERN_GUEST_ENTRY_H

#include "core/gmem.h"
#include "guest/memory_map.h"

/* The arguments of vcpu_start_long_mode, and what goes into RSI. */
struct guest_entry {
	uint64_t rip, rsp, rsi;
	gpa_t cr3, gdt;
	uint16_t gdt_limit;
};

/* Writes both to guest memory. -E_FAULT; *ret_entry is for rip and rsi, on the stack in low memory. */
int guest_entry_put(
	struct gmem *m, uint64_t rip, uint64_t rsi, struct guest_entry *ret_entry) must_check;

#endif
