/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams by io_uring: the transport's own socket, and the direct one. */
#pragma once

/*
 * The direct socket (user/transport/udp_direct.h) is for those who drain: both are asked in
 * turn, the one that had something last more often. What is sent alone is sent by a plain
 * call, which costs less than a request and its completion; what finds no room then, and
 * what comes in bursts, goes by the ring.
 */
#include "user/transport/udp_direct.h"
#include "user/transport/uring_impl.h"

#define URING_SENDS 256u /* in the kernel's hands at most */

/* Of a datagram's buffer: what recvmsg writes in front of the bytes. */
#define URING_NAME ((uint32_t)sizeof(struct sockaddr_in6))
#define URING_IN_FRONT ((uint32_t)sizeof(struct io_uring_recvmsg_out) + URING_NAME)

_Static_assert(URING_IN_FRONT % 4 == 0 &&
		       URING_IN_FRONT + URING_NAME <= SHUNT_MEMORY_HEADROOM,
	       "lies in the headroom, in which a name has room as well");

enum uring_socket { URING_OWN, URING_DIRECT, URING_SOCKETS };

/* What is asked of a socket. */
struct uring_ask {
	bool asked;	       /* there is a request to receive */
	bool many;	       /* it is for all that comes */
	bool polling;	       /* there is a request to say when something comes */
	uint32_t got;	       /* datagrams that it has brought */
	uint32_t streak;       /* times in a row that something was there */
	struct msghdr message; /* of the request */
	struct iovec any;
	uint8_t name[URING_NAME]; /* of the sender, by a request for one */
};

/* A datagram in the kernel's hands. */
struct uring_send {
	struct shunt_frame frame;
	struct shunt_sock_address address;
	uint32_t tries;
	bool zc;
	bool direct;
};

struct uring_udp {
	struct shunt_udp_socket socket;
	struct shunt_udp_direct direct;
	struct uring_ask ask[URING_SOCKETS];
	enum uring_socket hot; /* had something last */
	unsigned int rounds;
	bool settled;	 /* all is read that came before the direct socket was aimed */
	bool lacks_many; /* Linux before 6.0 */

	uint32_t spare; /* sends that nobody has */
	uint16_t free[URING_SENDS];
	struct uring_send sends[URING_SENDS];
};

static inline int uring_udp_fd(const struct uring_udp *udp, enum uring_socket which)
{
	return which == URING_DIRECT ? udp->direct.fd : udp->socket.fd;
}

/* So much was exchanged with a peer: the direct socket may be aimed at it. */
void uring_udp_note(struct uring *uring, struct shunt_peer_state *peer, unsigned int n);
/* Closes the direct socket; there may be another one. */
void uring_udp_leave(struct uring *uring);

/* Of struct uring_carrier. */
void uring_udp_prepare(struct uring *uring);
void uring_udp_watch(struct uring *uring);
unsigned int uring_udp_deliver(struct uring *uring, struct shunt_datagram *datagrams,
			       unsigned int max);
void uring_udp_received(struct uring *uring, enum uring_socket which,
			const struct io_uring_cqe *cqe);
