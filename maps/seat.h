/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What consumers tell of themselves, where it can be read also after their death. */
#pragma once

#include "maps/consumer.h"
#include "maps/type.h"

/*
 * A seat is where one consumer is served: by the socket of a receive queue, or by its
 * ring buffer. Whoever serves it has a claim on the seat (loader/seat.h), is its only
 * writer, and goes on with the sums that it finds. It writes by plain stores into mapped
 * memory, once a burst: no system call. `pid` is set before the first packet can come
 * and cleared when the last one has been taken, so that a seat with a pid and no claim is
 * that of a consumer that died.
 *
 * Key: slot * SHUNT_SEATS + queue, or + SHUNT_SEAT_RING. No program uses the map, an mmap-able
 * array; an instance has it once a policy has named a consumer.
 */
#define SHUNT_SEAT_RING SHUNT_QUEUE_MAX
#define SHUNT_SEATS (SHUNT_QUEUE_MAX + 1)
#define SHUNT_SEAT_MAX (SHUNT_CONSUMER_SLOTS * SHUNT_SEATS)

struct shunt_seat {
	__u64 received;	 /* packets taken and consumed */
	__u64 discarded; /* packets taken and thrown away, for it was to end */
	/* of the kernel's statistics of a socket (XDP_STATISTICS), as last asked for */
	__u64 ring_full;
	__u64 dropped;	  /* no frame was free, or it was too long for one */
	__u64 fill_empty; /* how often the fill ring was found empty */
	__u64 lost;	  /* with consumers that had died before this one came */
	__u64 stamp_ns;	  /* CLOCK_MONOTONIC, when it last looked at its statistics */
	__u32 pid;	  /* of who serves it; 0: nobody */
	__u32 room;	  /* packets that may wait here at most */
};

_Static_assert(sizeof(struct shunt_seat) == 64, "one cache line, one writer");

static inline __u32 shunt_seat_key(__u32 slot, __u32 place)
{
	return slot * SHUNT_SEATS + place;
}
