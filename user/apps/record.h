/* SPDX-License-Identifier: BSD-2-Clause */
/* Recording packets: which of them, what is known of each, and how many were lost. */
#pragma once

/*
 *     consumer's sockets ─┐                    rule, verdict, reason
 *     ring buffer        ─┼─▶ shunt_record_put() ─▶ wanted? ─▶ cut ─▶ file
 *     any port           ─┘                    tcpdump expression
 *
 * A packet that came by the ring buffer says which rule decided, how and why: that stands
 * in its comment ("rule=web verdict=drop reason=rule hook=xdp kind=sample"), and the
 * verdict in the option epb_verdict, where the hook is XDP or TC. A packet of a socket or
 * of another port has no such thing.
 */
#include <stdint.h>

#include "maps/ring.h"
#include "user/apps/record_file.h"
#include "user/base/err.h"
#include "user/rt/frame.h"

/* Zeroed but for path and source it records everything there is. */
struct shunt_record_opts {
	struct shunt_record_file_opts file;
	const char *filter;  /* a tcpdump expression (pcap-filter(7)); NULL: none */
	const char *rule;    /* only what this rule has decided; NULL: any */
	const char *verdict; /* "drop", "redirect-consumer", …; NULL: any */
	const char *reason;  /* "rule", "limited", …; NULL: any */
	uint32_t snap;	     /* bytes of a packet that are kept; 0: all */
	uint64_t packets;    /* stop after so many are written; 0: no limit */
};

struct shunt_recorder;

/*
 * Compiles the expression and opens the file. -EINVAL: there is no such verdict or
 * reason, or the expression is wrong, in the words of libpcap.
 */
SHUNT_MUST_CHECK int shunt_record_open(struct shunt_recorder **recorder,
				       const struct shunt_record_opts *opts,
				       struct shunt_err *err);

struct shunt_record_packet {
	const uint8_t *bytes;
	uint32_t captured, len;
	uint64_t time_ns;		      /* since 1970 */
	const struct shunt_ring_event *event; /* NULL: nothing is known of it */
	const char *rule;		      /* of the event; NULL: it has no name */
	const char *consumer; /* to which it was redirected; NULL: none, or not known */
	uint32_t queue;	      /* of the consumer's socket */
};

/* 1: written, 0: not wanted, or -errno. */
SHUNT_MUST_CHECK int shunt_record_put(struct shunt_recorder *recorder,
				      const struct shunt_record_packet *packet,
				      struct shunt_err *err);

/* As above, of a packet of n frames: fills in bytes and captured. */
SHUNT_MUST_CHECK int shunt_record_frames(struct shunt_recorder *recorder,
					 struct shunt_record_packet *packet,
					 const struct shunt_frame *frames,
					 unsigned int n, struct shunt_err *err);

/* So many packets have been lost since the start. */
void shunt_record_lost(struct shunt_recorder *recorder, uint64_t lost);

/* The limit is reached. */
bool shunt_record_is_full(const struct shunt_recorder *recorder);

/* Flushes, and begins a new file where it is time for one. */
SHUNT_MUST_CHECK int shunt_record_tick(struct shunt_recorder *recorder,
				       struct shunt_err *err);

struct shunt_record_totals {
	struct shunt_record_seen seen;
	uint64_t bytes; /* of packets that are in files, without headers of the file */
	uint64_t files; /* that have been begun */
	const char *name; /* of the last one; the recorder's */
};

void shunt_record_totals(const struct shunt_recorder *recorder,
			 struct shunt_record_totals *totals);

/* Ends the file. NULL is fine; the first error of it is returned. */
SHUNT_MUST_CHECK int shunt_record_close(struct shunt_recorder *recorder,
					struct shunt_err *err);
