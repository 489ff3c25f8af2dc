/* SPDX-License-Identifier: BSD-2-Clause */
/* The direct socket: UDP that is connected to the peer with whom most is exchanged. */
#pragma once

/*
 * A connected socket saves the kernel a search for the way each time, to and fro: about
 * 0.6 us of a round trip at each end. A transport talks to many, so it has one such socket
 * beside its own, at the same address, and aims it at whom it has exchanged AIM datagrams
 * with in a row. Anybody else's still come to the socket that is not connected.
 *
 * Linux alone: others have other rules for two sockets at one address.
 */
#include "user/transport/udp.h"

#define SHUNT_UDP_AIM 256u /* datagrams: aiming costs as much as it saves on a few */

struct shunt_udp_direct {
	struct shunt_udp_socket *udp;
	struct shunt_sock_opts opts;
	int fd;			     /* -1: there is none (yet) */
	struct shunt_udp_peer *peer; /* whom it is aimed at; NULL: nobody */
	struct shunt_udp_peer *last; /* whom `row` datagrams were exchanged with */
	uint32_t row;
	uint64_t dropped; /* as shunt_sock_dropped() told of sockets that are closed */
	bool off;	  /* it is not wanted, or the kernel refused it */
};

void shunt_udp_direct_init(struct shunt_udp_direct *direct,
			   struct shunt_udp_socket *udp,
			   const struct shunt_sock_opts *opts, bool off);
void shunt_udp_direct_close(struct shunt_udp_direct *direct);

/* Aims at the last peer: 1 if the socket is a new one, 0 if it is the same, -1 if it cannot
 * be had. */
int shunt_udp_direct_aim(struct shunt_udp_direct *direct);

/* For ops->peer_close. */
void shunt_udp_direct_forget(struct shunt_udp_direct *direct,
			     const struct shunt_peer_state *peer);

/* n datagrams were exchanged with one peer. True: aim at it. */
static inline bool shunt_udp_direct_note(struct shunt_udp_direct *direct,
					 struct shunt_peer_state *peer, unsigned int n)
{
	if ((void *)direct->last != peer) {
		direct->last = (struct shunt_udp_peer *)peer;
		direct->row = 0;
	}
	if (direct->peer == direct->last || direct->off)
		return false;
	direct->row += n;
	return direct->row >= SHUNT_UDP_AIM;
}
