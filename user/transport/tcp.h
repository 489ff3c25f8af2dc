/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP of a transport: its listener and its peers' connections, for a loop over readiness. */
#pragma once

/*
 *     loop (epoll, kqueue) ── readable, writable, broken ─▶ shunt_tcp_ready() ─▶ line of
 *                                                           peers to be read
 *     rx ◀── messages ◀── shunt_tcp_rx() ◀── read() ◀───────┘
 *     tx ──▶ shunt_tcp_tx() ──▶ backlog ──▶ writev(), at once; the rest when writable
 *
 * A peer is a connection: one that we opened, or one that came. A peer that has ended its
 * half is heard to the end and can be answered for another second; then it is dropped,
 * and so is at once one whose connection broke, or that sends what are no messages. The
 * loop says what it watches by one function, and reports by the pointers it was given:
 * NULL is the listener.
 */
#include <stdbool.h>

#include "user/transport/backend.h"
#include "user/transport/sock.h"
#include "user/transport/stream.h"

struct shunt_tcp_peer {
	struct shunt_peer_state state;
	int fd_plus; /* the connection's descriptor + 1; 0: there is none */
	bool in_line, ended, broken, in_watched, out_watched;
	uint64_t ended_ns;
	struct shunt_tcp_peer *next, *before; /* in the line of those to be read, or of
						 those that have ended */
	struct shunt_stream_in in;
	struct shunt_stream_out out;
};

struct shunt_tcp_line {
	struct shunt_tcp_peer *first, *last;
};

/*
 * Watches a descriptor for what is set, level-triggered, and no longer for what is not;
 * `was`: what it has been watched for until now (0: it is new). 0 or -errno.
 */
#define SHUNT_TCP_IN 1u
#define SHUNT_TCP_OUT 2u
#define SHUNT_TCP_NEW 4u /* in `was`: not yet known */
typedef int (*shunt_tcp_watch)(struct shunt_transport *transport, int fd,
			       struct shunt_tcp_peer *who, unsigned int what,
			       unsigned int was);

struct shunt_tcp_set {
	struct shunt_transport *transport;
	shunt_tcp_watch watch;
	struct shunt_sock_opts opts;
	int listener;
	uint64_t deaf_ns;  /* until then it does not accept: there are no descriptors */
	uint64_t spilt_ns; /* when streams were last made to leave the pool */
	uint64_t descriptors; /* that there may be */
	uint32_t full;	      /* connections that are watched for room */
	struct shunt_tcp_line ready, ended;
	struct shunt_tcp_peer *hot; /* who was read last */
	unsigned int guesses;
};

/* Listens at transport->local and sets that, caps and datagram_max; listener is -1 before,
 * and what it leaves open close deals with. */
SHUNT_MUST_CHECK int shunt_tcp_open(struct shunt_tcp_set *tcp,
				    struct shunt_transport *transport,
				    const struct shunt_sock_opts *opts,
				    shunt_tcp_watch watch, struct shunt_err *err);
void shunt_tcp_close(struct shunt_tcp_set *tcp);

/* What a loop reports. */
void shunt_tcp_ready(struct shunt_tcp_set *tcp, struct shunt_tcp_peer *who, bool in,
		     bool out, bool broken);

/*
 * Before rx: true if the loop is to ask the kernel what is ready. Mostly it need not: what
 * it has reported is not yet read, or the peer that spoke last is looked at instead, which
 * is the cheaper call.
 */
bool shunt_tcp_must_ask(struct shunt_tcp_set *tcp);

/* As the slots of struct shunt_transport_ops. */
SHUNT_MUST_CHECK int shunt_tcp_peer_open(struct shunt_tcp_set *tcp,
					 struct shunt_peer_state *peer,
					 uint64_t deadline_ns, struct shunt_err *err);
void shunt_tcp_peer_close(struct shunt_tcp_set *tcp, struct shunt_peer_state *peer);
int shunt_tcp_tx(struct shunt_tcp_set *tcp, struct shunt_datagram *datagrams,
		 unsigned int n);
unsigned int shunt_tcp_rx(struct shunt_tcp_set *tcp, struct shunt_datagram *datagrams,
			  unsigned int max);
void shunt_tcp_kick(struct shunt_tcp_set *tcp);
uint64_t shunt_tcp_due(const struct shunt_tcp_set *tcp);
