/* SPDX-License-Identifier: BSD-2-Clause */
/* Flight: the numbered packets that are under way, and what has become of them. */
#pragma once

/*
 * A record for each number from `oldest` (the first that is not settled) to `next`, in a
 * ring. A record is settled by an acknowledgement, or because it is lost: later ones have
 * arrived (RFC 9002 section 6.1). When nothing was heard for too long, the oldest ones are
 * sent again (section 6.2). What such packets carried goes back into the backlog.
 */
#include "user/transport/congestion.h"
#include "user/transport/backlog.h"
#include "user/transport/rtt.h"
#include "user/transport/segment.h"

/* What a packet carries besides the stream, that must not be lost. */
enum shunt_flight_note {
	SHUNT_FLIGHT_WANT = 1,
	SHUNT_FLIGHT_ANSWER = 2,
};

enum shunt_flight_state {
	SHUNT_FLIGHT_SETTLED, /* acknowledged, or lost */
	SHUNT_FLIGHT_OPEN,
	SHUNT_FLIGHT_MISSED, /* another goes in its place; it may still be acknowledged,
				which is how a much longer way is found out */
};

struct shunt_flight_record {
	uint64_t time_ns;
	struct shunt_backlog_range range; /* of length 0: none */
	uint32_t bytes;			  /* of the packet */
	uint16_t notes;			  /* enum shunt_flight_note */
	uint16_t state;			  /* enum shunt_flight_state */
};

/* How long to wait for what. */
struct shunt_flight_times {
	uint64_t granularity_ns;
	uint64_t delay_ns; /* of the peer's acknowledgements, at most */
	uint64_t probe_max_ns;
};

struct shunt_flight {
	struct shunt_flight_record *record; /* of a number: [number & mask] */
	uint32_t mask;
	uint64_t oldest;
	uint64_t next;
	uint64_t acked; /* the greatest acknowledged number, plus 1 */
	uint64_t bytes; /* of open ones */
	uint32_t packets;
	uint32_t unanswered; /* probes in a row */
	uint32_t probes; /* packets that are to be sent at once, whatever the window */
	uint32_t lost_notes; /* enum shunt_flight_note: to be told again */
	uint64_t last_ns;    /* when one was sent */
	uint64_t loss_ns;    /* when one counts as lost; UINT64_MAX: none does */
	uint64_t lost;
	uint64_t probed;
	struct shunt_flight_times times;
	struct shunt_rtt rtt;
	struct shunt_congestion congestion;
};

/* -ENOMEM. rtt and congestion are the caller's to init. */
SHUNT_MUST_CHECK int shunt_flight_open(struct shunt_flight *flight, uint32_t packets,
				       const struct shunt_flight_times *times,
				       uint64_t start);
void shunt_flight_close(struct shunt_flight *flight);

/* Is there a record for one more packet? */
static inline bool shunt_flight_room(const struct shunt_flight *flight)
{
	return flight->next - flight->oldest <= flight->mask;
}

/* The packet with the number `next` goes. */
void shunt_flight_sent(struct shunt_flight *flight, uint64_t now_ns,
		       const struct shunt_backlog_range *range, uint32_t bytes,
		       uint16_t notes);

/* What a segment acknowledges; false: what was never sent. */
bool shunt_flight_ack(struct shunt_flight *flight, struct shunt_backlog *backlog,
		      uint64_t now_ns, const struct shunt_segment *segment);

/* When shunt_flight_late() has something to do; UINT64_MAX: never. */
uint64_t shunt_flight_due(const struct shunt_flight *flight);

/* Looks after packets of which nothing was heard in time. */
void shunt_flight_late(struct shunt_flight *flight, struct shunt_backlog *backlog,
		       uint64_t now_ns);
