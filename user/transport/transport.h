/* SPDX-License-Identifier: BSD-2-Clause */
/* Transports: messages between peers, whatever carries them. */
#pragma once

/*
 *     open(uri) ─▶ transport ─▶ peer(address)        SCHEME://ADDRESS:PORT[?KEY=VALUE&…]
 *
 *     send     copies bytes; they stay the caller's             ─▶ n taken, from the front
 *     reserve ─▶ the caller fills a buffer ─▶ submit            ─▶ n taken, from the front
 *     recv    ─▶ the caller reads what it borrowed ─▶ release
 *
 * A message is bytes with a length, sent to one peer on one of 65,536 channels. What a
 * transport promises is in its capability bits; without them a message may be lost, come
 * twice or out of order, and then that is counted: messages carry a header (16 bytes,
 * user/transport/wire.h). With header=off they travel bare, to talk to anybody: then
 * channels and these counters are 0, and nothing is cut into fragments.
 *
 * Memory. A buffer belongs to one side at any time. What reserve or recv gave is the
 * caller's until submit has taken it or release has it back; nothing else has to be waited
 * for. A received message may be submitted again, as it is or changed, if it is no longer
 * than it was: the way to answer without a copy.
 *
 * Full is short. send and submit say how many messages they took; the rest stays with the
 * caller, who tries again later. Nothing queues without a bound, and nothing blocks but
 * shunt_transport_poll() and shunt_peer_open(). What was taken may wait for the next kick.
 *
 * One thread at a time uses a transport, its peers and its messages.
 */
#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "user/base/err.h"
#include "user/rt/frame.h"

/* What a transport keeps, and how it waits: their names in describe, and what they mean.
 * X(ENUM, bit, name, help) */
#define SHUNT_TRANSPORT_CAPS(X)                                                        \
	X(RELIABLE, 0, "reliable", "a message arrives, or the peer is lost")           \
	X(ORDERED, 1, "ordered", "messages to a peer arrive in the order of sending")  \
	X(ZERO_COPY, 2, "zero-copy", "submit and recv lend the carrier's own memory")  \
	X(ONE_SIDED, 3, "one-sided", "writes into a peer's memory without its help")   \
	X(BLOCKS, 4, "blocks", "poll can sleep until there is something")              \
	X(DATAGRAMS, 5, "datagrams", "an ordinary UDP socket is a peer")               \
	X(STREAM, 6, "stream", "an ordinary TCP socket is a peer")                     \
	X(ANSWERS, 7, "answers", "the kernel answers for it, without user space")

#define SHUNT_TRANSPORT_CAP(name, bit, text, help) SHUNT_TRANSPORT_##name = 1u << (bit),
enum shunt_transport_cap { SHUNT_TRANSPORT_CAPS(SHUNT_TRANSPORT_CAP) };

/* What has been counted since it was opened. X(name, help) */
#define SHUNT_TRANSPORT_COUNTERS(X)                                                    \
	X(rx_messages, "messages received")                                            \
	X(rx_bytes, "bytes in them")                                                   \
	X(tx_messages, "messages taken for sending")                                   \
	X(tx_bytes, "bytes in them")                                                   \
	X(rx_datagrams, "datagrams or pieces of a stream that they came in")           \
	X(tx_datagrams, "and went in")                                                 \
	X(tx_full, "messages that found no room, each time they were offered")         \
	X(tx_failed, "datagrams taken, then refused by what carries them")             \
	X(lost, "datagrams that never came, as their numbers tell")                    \
	X(late, "datagrams that came after later ones")                                \
	X(duplicates, "datagrams that came again, and were dropped")                   \
	X(restarts, "peers that have begun to count anew")                             \
	X(incomplete, "messages given up because a fragment was missing")              \
	X(malformed, "datagrams with an unsound header, dropped")                      \
	X(no_memory, "datagrams dropped because all buffers were lent")                \
	X(no_peer, "datagrams dropped because there are too many peers")               \
	X(rx_dropped, "lost before recv, as the kernel or the NIC tells")              \
	X(system_calls, "system calls for sending, receiving and waiting")

#define SHUNT_TRANSPORT_COUNTER(name, help) uint64_t name;
struct shunt_transport_stats {
	SHUNT_TRANSPORT_COUNTERS(SHUNT_TRANSPORT_COUNTER)
};

struct shunt_transport;

/* A handle of a peer; stale ones are found out. */
typedef uint32_t shunt_peer;
#define SHUNT_PEER_NONE 0u

#define SHUNT_MESSAGE_MAX (1u << 20) /* bytes; a transport may take less: message_max */

/*
 * The message's bytes are frame.data and frame.len; the frame's other members are the
 * transport's.
 */
struct shunt_message {
	struct shunt_frame frame;
	shunt_peer peer;   /* from whom, or to whom */
	uint16_t channel;  /* chosen by the sender */
	uint16_t reserved; /* 0 */
	uint32_t sequence; /* received: the number of its (first) datagram */
	uint32_t room;	   /* reserved: bytes that fit */
};

/* --- a transport ----------------------------------------------------------------------- */

/*
 * "epoll://192.0.2.1:7000?wait=spin": listens there, and sends from there; port 0 takes a
 * free one. `shunt help transports` has the schemes and their options. -EPROTONOSUPPORT:
 * no such scheme, or it needs what this machine lacks; the sentence says which.
 */
SHUNT_API SHUNT_MUST_CHECK int shunt_transport_open(struct shunt_transport **transport,
						    const char *uri,
						    struct shunt_err *err);

/* Messages that were lent are void; what was taken for sending is sent as far as that
 * takes no waiting. NULL is fine. */
SHUNT_API void shunt_transport_close(struct shunt_transport *transport);

/* enum shunt_transport_cap. */
SHUNT_API uint32_t shunt_transport_caps(const struct shunt_transport *transport);

/* Bytes of the longest message. */
SHUNT_API uint32_t shunt_transport_message_max(const struct shunt_transport *transport);

/* Bytes of the longest message that travels in one datagram, which reserve has room for. */
SHUNT_API uint32_t
shunt_transport_datagram_max(const struct shunt_transport *transport);

/* Where it can be reached, "192.0.2.1:7000": its own address, for peers. */
SHUNT_API const char *shunt_transport_address(const struct shunt_transport *transport);

/* --- peers ------------------------------------------------------------------------------ */

/*
 * Finds a peer by its address (see user/net/endpoint.h); the same address is the same
 * peer. May wait for a name, a neighbour or a connection, for as long as the option
 * `connect` says (5 s unless told). Who sends to us first becomes a peer by itself.
 */
SHUNT_API SHUNT_MUST_CHECK int shunt_peer_open(struct shunt_transport *transport,
					       shunt_peer *peer, const char *address,
					       struct shunt_err *err);

/* Forgets it; unknown ones are fine. If it sends again, it is a new peer. */
SHUNT_API void shunt_peer_close(struct shunt_transport *transport, shunt_peer peer);

/* Its address, "192.0.2.2:7000"; NULL: the peer is gone. Valid until the next call. */
SHUNT_API const char *shunt_peer_address(struct shunt_transport *transport,
					 shunt_peer peer);

/* --- messages ---------------------------------------------------------------------------- */

/*
 * Takes a copy: 1, or 0 where there is no room now; -EMSGSIZE: longer than message_max;
 * -ENOTCONN: the peer is gone; or another -errno of the carrier.
 */
SHUNT_API SHUNT_MUST_CHECK int shunt_send(struct shunt_transport *transport,
					  shunt_peer peer, uint16_t channel,
					  const void *bytes, size_t len);

/*
 * As shunt_send() for n messages, of which peer, channel, frame.data and frame.len count;
 * the bytes stay the caller's. How many it took from the front; the error of the first
 * one if that is what stopped it there.
 */
SHUNT_API SHUNT_MUST_CHECK int shunt_send_batch(struct shunt_transport *transport,
						const struct shunt_message *messages,
						unsigned int n);

/* Up to n buffers to fill: frame.data, `room` bytes. Set frame.len, peer and channel. */
SHUNT_API unsigned int shunt_reserve(struct shunt_transport *transport,
				     struct shunt_message *messages, unsigned int n);

/* Takes reserved or received messages, from the front; as shunt_send_batch() else. */
SHUNT_API SHUNT_MUST_CHECK int shunt_submit(struct shunt_transport *transport,
					    struct shunt_message *messages,
					    unsigned int n);

/* Up to max messages, borrowed; 0: nothing is there. Never blocks. Who has sent one may be
 * gone already: then its handle is stale. */
SHUNT_API unsigned int shunt_recv(struct shunt_transport *transport,
				  struct shunt_message *messages, unsigned int max);

/* Gives back what recv or reserve lent, in any order. */
SHUNT_API void shunt_release(struct shunt_transport *transport,
			     const struct shunt_message *messages, unsigned int n);

/*
 * Hands on what waits, and looks after timers: after a burst of sends, and now and then
 * when idle. 0; or -errno when the transport is of no more use (-ENETDOWN, -ENODEV).
 */
SHUNT_API SHUNT_MUST_CHECK int shunt_transport_kick(struct shunt_transport *transport,
						    struct shunt_err *err);

/*
 * Kicks, then waits until there is something to receive or the time is over, by the
 * option `wait`: spin, poll, or adaptive (spin for a moment, then sleep). 1: there may be
 * something; 0: the time is over; -errno, -EINTR too.
 */
SHUNT_API SHUNT_MUST_CHECK int shunt_transport_poll(struct shunt_transport *transport,
						    uint64_t timeout_ns,
						    struct shunt_err *err);

/*
 * For those who wait for several things (user/rt/worker.h): what poll() is to look at,
 * asked anew before each sleep, and when it wants a kick in any case, as shunt_now_ns()
 * counts.
 */
#define SHUNT_TRANSPORT_FDS 64
SHUNT_API unsigned int shunt_transport_wait(struct shunt_transport *transport,
					    struct pollfd *fds, unsigned int max);
SHUNT_API uint64_t shunt_transport_due(struct shunt_transport *transport);

/* --- what it is, and what it did ---------------------------------------------------------- */

SHUNT_API SHUNT_MUST_CHECK int shunt_transport_stats(
	struct shunt_transport *transport, struct shunt_transport_stats *stats,
	struct shunt_err *err);

/* What one peer's numbers tell: lost, late, duplicates, restarts; the rest is 0. */
SHUNT_API SHUNT_MUST_CHECK int shunt_peer_stats(struct shunt_transport *transport,
						shunt_peer peer,
						struct shunt_transport_stats *stats,
						struct shunt_err *err);

/*
 * {"transport": "epoll://192.0.2.1:7000", "capabilities": ["blocks", …], "message_max": …}
 * with what the backend adds. NULL: out of memory.
 */
SHUNT_API cJSON *shunt_transport_describe(struct shunt_transport *transport);
