/* SPDX-License-Identifier: BSD-2-Clause */
/* UDP of a transport: a datagram a call, to and from frames of its pool. */
#pragma once

/*
 * What is portable of the backends over UDP: those with calls for bursts use it where there
 * is one datagram. A datagram is received into a frame and sent out of one, without a copy.
 */
#include <errno.h>
#include <stdbool.h>

#include "user/transport/backend.h"
#include "user/transport/sock.h"

struct shunt_udp_peer {
	struct shunt_peer_state state;
	struct shunt_sock_address address; /* bytes 0: not yet made of state.remote */
	uint32_t
		whole; /* runs of datagrams this long or longer go one by one; 0: none */
};

struct shunt_udp_socket {
	struct shunt_transport *transport;
	int fd;
	int full_fd; /* whose buffer had no room for what was last sent; -1: nobody's */
	struct shunt_frame spare;	  /* for what comes next; pool NULL: none */
	struct shunt_sock_address from;	  /* who sent last, and what peer that is */
	struct shunt_udp_peer *from_peer; /* NULL: not known */
};

/* Opens the socket at transport->local and sets that, caps and datagram_max; fd is -1
 * before, and what it leaves open close deals with. */
SHUNT_MUST_CHECK int shunt_udp_open(struct shunt_udp_socket *udp,
				    struct shunt_transport *transport,
				    const struct shunt_sock_opts *opts,
				    struct shunt_err *err);
void shunt_udp_close(struct shunt_udp_socket *udp);

/* The peer's address, made when it is first asked for. */
const struct shunt_sock_address *shunt_udp_address(struct shunt_udp_socket *udp,
						   struct shunt_udp_peer *peer);

/* For ops->peer_close. */
void shunt_udp_forget(struct shunt_udp_socket *udp,
		      const struct shunt_peer_state *peer);

/* The peer with this address, a new one if need be; NULL: there is no room, and that is
 * counted. */
struct shunt_udp_peer *shunt_udp_sender(struct shunt_udp_socket *udp,
					const struct shunt_sock_address *from);

/*
 * Receives one datagram from fd, udp->fd or another one of the transport's: 1; 0: nothing is
 * there, or no frame for it.
 */
unsigned int shunt_udp_receive(struct shunt_udp_socket *udp, int fd,
			       struct shunt_datagram *datagram);

/*
 * Sends one by fd; `connected`: to where that is connected. 1: it is sent, or counted as
 * failed; the frame stays with the caller. 0: there is no room.
 */
unsigned int shunt_udp_send(struct shunt_udp_socket *udp, int fd, bool connected,
			    const struct shunt_datagram *datagram);

/* A call failed with errno: true if it is to be tried again, as what failed was another
 * datagram. `tries` counts, from 0. */
bool shunt_udp_again(struct shunt_udp_socket *udp, int fd, int error,
		     unsigned int *tries);

/* A send that failed so found no room. */
static inline bool shunt_udp_no_room(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS ||
	       error == ENOMEM;
}
