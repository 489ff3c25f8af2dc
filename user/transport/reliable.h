/* SPDX-License-Identifier: BSD-2-Clause */
/* Reliable ordered delivery of messages over datagrams that may be lost. */
#pragma once

/*
 *     shunt_reliable_send()   ─▶ stream ─▶ segments ─▶ shunt_reliable_packet()
 *     shunt_reliable_recv()   ◀─ stream ◀─ segments ◀─ shunt_reliable_input()
 *     shunt_reliable_release() ─▶ credit for the other side
 *
 * One end of a connection, as a state machine: it has neither sockets nor a clock. The
 * caller hands in packets that it has authenticated, sends those that it is given, and
 * comes back when shunt_reliable_due() says so:
 *
 *     after input, send, release, and when it is due:
 *         while ((bytes = shunt_reliable_packet(end, now_ns, packet, room)))
 *             … seal and send packet …
 *
 * Call packet() only with somewhere to put the packet: what it has written counts as sent,
 * and comes again only after it was missed.
 *
 * Every message arrives once, and all of them in the order of sending, whatever their
 * channel: a channel is a label here, not an order of its own. Many small messages share a
 * packet; long ones are cut, and cut anew when they must be sent again, so that `room` may
 * change at any time (user/transport/segment.h has the format).
 *
 * Memory is made once, by open: a ring of the stream for each direction, and one of
 * what is under way. Both ends refuse what is beyond: send() by taking nothing, when
 * the peer's credit (user/transport/grant.h) or the own ring is used up. A message
 * that was received lies in the ring until it is released, in any order.
 *
 * Sources: RTT and its variance are RFC 6298's, in the form of RFC 9002 section 5; losses are
 * found by section 6 (three packets, 9/8 of an RTT, probes with backoff); the congestion
 * window is section 7's NewReno, or fixed where the network is one's own. What
 * differs: a packet that a probe stands in for counts as lost; the third probe without
 * answer is what that document calls persistent congestion; the backoff ends at
 * probe_max_ns, so that a network that healed is used soon.
 *
 * Over a carrier that keeps everything in order already (`lossless`) the same calls do with
 * credits alone: no numbers, no acknowledgements, no timers.
 *
 * One thread at a time uses an end. The peer is a party that authenticated itself, and
 * still not trusted: what cannot be true of a sound peer is -EPROTO, and ends it.
 */
#include "user/transport/grant.h"

struct shunt_reliable;

enum shunt_reliable_congestion {
	SHUNT_RELIABLE_NEWRENO,
	SHUNT_RELIABLE_FIXED, /* congestion_bytes may be under way, always */
};

#define SHUNT_RELIABLE_WINDOW (4u << 20) /* bytes of the stream */
#define SHUNT_RELIABLE_MESSAGES 65536u	 /* of a window */
#define SHUNT_RELIABLE_MESSAGE_MAX (1u << 20)
#define SHUNT_RELIABLE_ACK_DELAY_US 1000u
#define SHUNT_RELIABLE_PACKETS 1024u	 /* under way */
#define SHUNT_RELIABLE_PACKETS_MAX 4096u /* what a receiver remembers of */
#define SHUNT_RELIABLE_ISLANDS 512u	 /* pieces of a stream with gaps between them */
#define SHUNT_RELIABLE_ROOM_MIN 128u	 /* bytes of a packet */

/* 0 is the default of each. */
struct shunt_reliable_opts {
	size_t sz;
	struct shunt_terms theirs; /* as the peer told them; never default */
	struct shunt_terms ours;   /* as the peer was told: shunt_reliable_terms() */
	uint64_t send_bytes;	   /* of the ring of what was not received yet; 4 MiB */
	uint32_t packets; /* under way at most: a power of two, 16 to PACKETS_MAX */
	uint32_t
		packet_bytes; /* what packets are like, for the congestion window; 1400 */
	enum shunt_reliable_congestion congestion;
	uint64_t congestion_bytes; /* FIXED: the window, 256 KiB unless told */
	uint64_t rtt_ns; /* before one was measured; 333 ms (RFC 9002 section 6.2.2) */
	uint64_t granularity_ns; /* of the caller's timers; 1 ms */
	uint64_t probe_max_ns;	 /* between two probes; 1 s */
	unsigned int lossless; /* 1: packets arrive, in order; the same for both ends */
	uint64_t start; /* where all counts begin, the same for both; 0 but in tests */
};

/* A message that was received. The bytes are borrowed, and begin at a multiple of 8. */
struct shunt_reliable_message {
	const uint8_t *data;
	uint32_t length;
	uint16_t channel;
	uint64_t token; /* whose it is, for release */
};

/* X(name, help) */
#define SHUNT_RELIABLE_COUNTERS(X)                                                     \
	X(tx_messages, "messages taken for sending")                                   \
	X(tx_packets, "packets written")                                               \
	X(tx_acks, "of these without a number: acknowledgements and credits")          \
	X(rx_messages, "messages received whole")                                      \
	X(rx_packets, "packets read")                                                  \
	X(lost, "packets that count as lost")                                          \
	X(resent_bytes, "bytes of the stream that were sent again")                    \
	X(probes, "times that nothing was heard for too long")                         \
	X(collapsed, "times that all that was under way was sent again")               \
	X(no_credit, "messages that were refused for want of credit")                  \
	X(no_room, "messages that were refused for want of memory here")               \
	X(duplicates, "packets that came again, or after they were given up")          \
	X(refused, "packets with more gaps than there is memory for")

#define SHUNT_RELIABLE_COUNTER(name, help) uint64_t name;
struct shunt_reliable_stats {
	SHUNT_RELIABLE_COUNTERS(SHUNT_RELIABLE_COUNTER)
	uint64_t rtt_ns;	 /* smoothed; 0: none was measured yet */
	uint64_t rtt_var_ns;	 /* its mean deviation */
	uint64_t rtt_least_ns;	 /* the least that was seen */
	uint64_t window_bytes;	 /* of congestion */
	uint64_t flight_bytes;	 /* under way */
	uint32_t flight_packets; /* under way */
	uint32_t unanswered;	 /* probes in a row that nothing answered */
};

/* Fills what is 0 with the defaults: what to tell the peer. -EINVAL: unsound. */
SHUNT_MUST_CHECK int shunt_reliable_terms(struct shunt_terms *ours,
					  struct shunt_err *err);

/* -EINVAL, -ENOMEM. */
SHUNT_MUST_CHECK int shunt_reliable_open(struct shunt_reliable **end,
					 const struct shunt_reliable_opts *opts,
					 struct shunt_err *err);

/* Messages that were lent are void. NULL is fine. */
void shunt_reliable_close(struct shunt_reliable *end);

/*
 * Takes a copy: 1; 0: no room or no credit now; -EMSGSIZE: longer than the peer takes, or
 * than send_bytes has room for; -EPROTO: the end is broken.
 */
SHUNT_MUST_CHECK int shunt_reliable_send(struct shunt_reliable *end, uint16_t channel,
					 const void *bytes, uint32_t length);

/*
 * Writes the next packet, of up to `room` bytes (SHUNT_RELIABLE_ROOM_MIN at least): its
 * bytes; 0: nothing is to be sent now.
 */
uint32_t shunt_reliable_packet(struct shunt_reliable *end, uint64_t now_ns,
			       void *packet, uint32_t room);

/* When to ask for packets again if nothing else happens; UINT64_MAX: never. */
uint64_t shunt_reliable_due(const struct shunt_reliable *end);

/*
 * Reads a packet, which stays the caller's. 0; -EBADMSG: it is unsound and was left;
 * -EPROTO: no sound peer sends it: the end is broken, and all calls say so from now on.
 */
SHUNT_MUST_CHECK int shunt_reliable_input(struct shunt_reliable *end, uint64_t now_ns,
					  const void *packet, uint32_t bytes);

/* Up to max messages, the oldest first; how many. */
unsigned int shunt_reliable_recv(struct shunt_reliable *end,
				 struct shunt_reliable_message *messages,
				 unsigned int max);

/* Gives back what recv lent, in any order. */
void shunt_reliable_release(struct shunt_reliable *end,
			    const struct shunt_reliable_message *messages,
			    unsigned int n);

/* All that was sent has been received by the peer (lossless: written into packets), and
 * nothing is under way: what to wait for before the connection is closed. */
bool shunt_reliable_idle(const struct shunt_reliable *end);

void shunt_reliable_stats(const struct shunt_reliable *end,
			  struct shunt_reliable_stats *stats);
