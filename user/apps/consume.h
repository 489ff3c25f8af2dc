/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop that the consuming commands share: ports and rings in, bursts out. */
#pragma once

/*
 * One thread opens an AF_XDP port a queue, all on one memory, feeds each one under the
 * consumer's slot, and walks over them in turn until a limit, a signal or an error ends it:
 *
 *     queue 0 ─▶ port ─┐
 *     queue n ─▶ port ─┼─▶ burst() ─▶ frames given back
 *     any     ─▶ ring ─┘        tick() once an interval, idle() before it sleeps
 *
 * A packet of several frames is put together: the sink gets one frame a packet.
 *
 * At the end it leaves the programs' maps first and empties the rings then, so that the
 * ledger balances: frames redirected = packets + unread + rx_dropped + rx_ring_full. What
 * finds the ring buffer full is not redirected: the consumer's if_down decides. The same
 * numbers go into the consumer's seats (maps/seat.h) as they change, for the ledger of
 * `shunt stats`: by a store a burst, and with the kernel's statistics twice a second.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "loader/shunt.h"
#include "user/base/err.h"
#include "user/io/port.h"
#include "user/rt/idle.h"

struct shunt_record_opts;

/* What a consuming command is told; zeroed, but for the first group, it runs until ^C. */
struct shunt_consume_opts {
	const char *interface;
	const char *consumer;  /* name, for messages and replies */
	int xskmap_fd;	       /* stays the caller's */
	uint32_t slot;	       /* the consumer's (maps/consumer.h) */
	uint64_t queues;       /* bit q: serve queue q by a port */
	struct shunt_tap *tap; /* serve this ring buffer; the caller's; NULL: none */
	struct shunt_seats *seats; /* where it tells the ledger; the caller's; NULL */

	uint64_t duration_ns; /* 0: no limit */
	uint64_t packets;     /* stop after so many; 0: no limit */
	uint64_t interval_ns; /* between ticks; 0: none */
	enum shunt_wait wait;
	unsigned int ring; /* places of each queue's; 0: as the port has it */

	FILE *out;	   /* where results go */
	bool json;	   /* one object a line instead of text */
	const char *write; /* dump: pcap file, "-" is stdout; NULL: lines to out */
	const struct shunt_record_opts *record; /* record: user/apps/record.h */
};

/*
 * Stands for a queue where frames came by the ring buffer; each then has an event, which
 * shunt_ring_event_of() finds. One that was longer than SHUNT_RING_FRAME_MAX is cut.
 */
#define SHUNT_CONSUME_RING 0xffffffffu

struct shunt_consume_queue {
	unsigned int queue;
	uint64_t packets;
	uint64_t bytes;	 /* of the packets: Ethernet header included, FCS not */
	uint64_t unread; /* came in after the limit had been reached, thrown away */
	struct shunt_port_stats drops; /* what the kernel lost */
	const char *mode;	       /* see shunt_af_xdp_mode(); NULL: the ring */
};

struct shunt_consume_totals {
	double seconds; /* since the sockets were registered */
	bool final;
	const struct shunt_consume_queue *queues;
	size_t count;
	struct shunt_consume_queue sum; /* over the queues; its .queue means nothing */
};

/* What to do with the frames. Every slot is filled; a negative answer ends the loop. */
struct shunt_consume_sink {
	int (*burst)(void *self, unsigned int queue, const struct shunt_frame *frames,
		     unsigned int n, struct shunt_err *err);
	/* Once an interval, and with totals->final at the end, also after an error. */
	int (*tick)(void *self, const struct shunt_consume_totals *totals,
		    struct shunt_err *err);
	/* Nothing is waiting: a good moment to flush. */
	int (*idle)(void *self, struct shunt_err *err);
};

/*
 * Runs until a limit, SIGINT or SIGTERM (all of which are success), or an error:
 * -ENETDOWN or -ENODEV when the interface leaves, -EBUSY or -EEXIST when a queue is
 * taken. Owns the two signals while it runs, so only one loop at a time; a second
 * signal kills.
 */
SHUNT_MUST_CHECK int shunt_consume(const struct shunt_consume_opts *opts,
				   const struct shunt_consume_sink *sink, void *self,
				   struct shunt_err *err);

/* Frames that the kernel lost on their way here. */
static inline uint64_t shunt_consume_lost(const struct shunt_consume_queue *queue)
{
	return queue->drops.rx_dropped + queue->drops.rx_ring_full;
}
