/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What consumers tell of themselves, where it can be read also after their death. */
#pragma once

#include "maps/consumer.h"
#include "maps/type.h"

/*
 * A seat is where one consumer is served: by the socket of a receive queue, or by its
 * ring buffer. Whoever serves it has a claim on the seat (loader/seat.h), is its only
 * writer, and goes on with the sums that it finds. It writes by plain stores into mapped
 * memory: no system call. `pid` is set before the first packet can come and cleared when
 * the last one has been taken, so that a seat with a pid and no claim is that of a
 * consumer that died.
 *
 * The heartbeat. A consumer that is watched promises one within each `heartbeat_ns` and
 * says in `due_ns` until when the last one stands. The programs compare that one word with
 * their clock before they hand a packet over; once it is past, the consumer has stalled,
 * and its if_down decides. So what a stall costs is what came in one interval. Who never
 * writes a heartbeat leaves 0 there, and is not watched.
 *
 * Two cache lines: the programs read the first one, which changes some times in an
 * interval; the second one changes with every burst.
 *
 * Key: slot * SHUNT_SEATS + queue, or + SHUNT_SEAT_RING. Read by: the programs, user space.
 */
#define SHUNT_SEAT_RING SHUNT_QUEUE_MAX
#define SHUNT_SEATS (SHUNT_QUEUE_MAX + 1)
#define SHUNT_SEAT_MAX (SHUNT_CONSUMER_SLOTS * SHUNT_SEATS)

/*
 * The interval where the policy is silent; the shortest one, in which a sleeper wakes four
 * times for less than 1 % of a core; and the longest one.
 */
#define SHUNT_HEARTBEAT_NS 1000000000ull
#define SHUNT_HEARTBEAT_NS_MIN 20000000ull
#define SHUNT_HEARTBEAT_NS_MAX 600000000000ull

struct shunt_seat {
	__u64 due_ns; /* CLOCK_MONOTONIC, as the kernel's first time namespace has it; 0:
			 not watched */
	__u64 heartbeat_ns; /* the interval that is promised; 0: none */
	__u32 pid;	    /* of who serves it; 0: nobody */
	__u32 room;	    /* packets that may wait here at most */
	__u64 pad[5];

	__u64 received;	 /* packets taken and consumed */
	__u64 discarded; /* packets taken and thrown away, for it was to end */
	/* of the kernel's statistics of a socket (XDP_STATISTICS), as last asked for */
	__u64 ring_full;
	__u64 dropped;	  /* no frame was free, or it was too long for one */
	__u64 fill_empty; /* how often the fill ring was found empty */
	__u64 lost;	  /* with consumers that had died before this one came */
	__u64 stamp_ns;	  /* CLOCK_MONOTONIC, when it last looked at its statistics */
	__u64 pad2;
};

_Static_assert(sizeof(struct shunt_seat) == 128, "two cache lines, one writer");
_Static_assert(__builtin_offsetof(struct shunt_seat, received) == 64, "one each");

static inline __u32 shunt_seat_key(__u32 slot, __u32 place)
{
	return slot * SHUNT_SEATS + place;
}

/* Has a heartbeat that was due by then not come? */
static inline int shunt_seat_is_late(__u64 due_ns, __u64 now_ns)
{
	return due_ns && now_ns > due_ns;
}

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHUNT_SEAT_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_seat);
} shunt_seat SEC(".maps");
#endif
