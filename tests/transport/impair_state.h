/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What one direction of an impaired wire has done, and what it holds back. */
#pragma once

/*
 * Written by tests/bpf/impair.bpf.c, in one softirq at a time; by user space, through the
 * mapped .bss: rates, and packets that it sends on instead (state HELD to SENDING, then
 * FREE). Read by both.
 */
#include "maps/type.h"

/* X(name, help) */
#define IMPAIR_COUNTERS(X)                                                             \
	X(other, "packets of other kinds or ports: passed on")                         \
	X(judged, "packets that may be impaired")                                      \
	X(lost, "of these, dropped")                                                   \
	X(doubled, "sent on twice")                                                    \
	X(held, "held back")                                                           \
	X(reordered, "of those, sent on behind later ones")                            \
	X(waited, "of those, sent on because no later one came in time")               \
	X(unheld, "to be held back, but there was no room: passed on")                 \
	X(failed, "of those held back, not sent on for lack of memory")

#define IMPAIR_COUNTER(name, help) __u64 name;
struct impair_counts {
	IMPAIR_COUNTERS(IMPAIR_COUNTER)
};

/* Parts per million. */
#define IMPAIR_ALL 1000000u
struct impair_rates {
	__u32 loss, duplicate, reorder;
};

struct impair_plan {
	__u64 seed;
	__u32 behind; /* packets that overtake one that is held back */
	__u32 port;   /* UDP and TCP, source or destination; 0: all ports */
};

/* A value of the maps of interfaces, as the kernel has it (struct bpf_devmap_val). */
struct impair_target {
	__u32 ifindex;
	__u32 prog; /* descriptor; its id where it is read */
};

#define IMPAIR_SLOTS 64u
#define IMPAIR_FRAME_MAX 4096u /* longer ones are not held back */

enum impair_slot_state {
	IMPAIR_FREE,
	IMPAIR_HELD,
	IMPAIR_LEAVING, /* on its way, behind another packet */
	IMPAIR_SENDING, /* user space sends it */
};

struct impair_slot {
	__u32 state;
	__u32 len;
	__u64 due;	/* number of the packet behind which it goes */
	__u64 since_ns; /* CLOCK_MONOTONIC */
	__u32 visits;	/* copies of that packet that have come by */
	__u32 pad;
	__u8 bytes[IMPAIR_FRAME_MAX];
};

struct impair_state {
	struct impair_counts count;
	struct impair_rates rates;
	__u32 head, tail; /* of the slots, in the order of holding; wrap */
	__u32 pad;
	struct impair_slot slot[IMPAIR_SLOTS];
};

_Static_assert(sizeof(struct impair_slot) == 32 + IMPAIR_FRAME_MAX, "no holes");
