/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/udp.h"

#include <string.h>
#include <unistd.h>

#include "user/rt/pool.h"

#ifdef __linux__
/* Linux tells how long it was also of a datagram that is longer than its buffer; others
 * cut it, and then its header tells. */
#define RECEIVE_FLAGS (MSG_DONTWAIT | MSG_TRUNC)
#else
#define RECEIVE_FLAGS MSG_DONTWAIT
#endif

#define TRIES 2u  /* errors of others that are overlooked in one call */
#define LOOKS 64u /* datagrams that are not for us, in one call */

/* --- opening --------------------------------------------------------------------------- */

int shunt_udp_open(struct shunt_udp_socket *udp, struct shunt_transport *transport,
		   const struct shunt_sock_opts *opts, struct shunt_err *err)
{
	uint32_t room = transport->pool->room;

	udp->transport = transport;
	udp->full_fd = -1;
	udp->fd = shunt_sock_udp(&transport->local, opts, err);
	if (udp->fd < 0)
		return udp->fd;
	transport->caps = SHUNT_TRANSPORT_DATAGRAMS | SHUNT_TRANSPORT_BLOCKS;
	transport->datagram_max = (uint32_t)transport->options.mtu;
	if (!transport->datagram_max)
		transport->datagram_max = shunt_sock_payload(&transport->local);
	if (transport->datagram_max > room)
		transport->datagram_max = room;
	return 0;
}

void shunt_udp_close(struct shunt_udp_socket *udp)
{
	shunt_frames_put(&udp->spare, 1);
	udp->spare = (struct shunt_frame){ 0 };
	if (udp->fd >= 0)
		close(udp->fd);
	udp->fd = -1;
}

/* --- peers ------------------------------------------------------------------------------ */

const struct shunt_sock_address *shunt_udp_address(struct shunt_udp_socket *udp,
						   struct shunt_udp_peer *peer)
{
	if (!peer->address.bytes &&
	    shunt_sock_address(&peer->address, &udp->transport->local,
			       &peer->state.remote))
		return NULL;
	return &peer->address;
}

void shunt_udp_forget(struct shunt_udp_socket *udp, const struct shunt_peer_state *peer)
{
	if ((void *)udp->from_peer == peer)
		udp->from_peer = NULL;
}

struct shunt_udp_peer *shunt_udp_sender(struct shunt_udp_socket *udp,
					const struct shunt_sock_address *from)
{
	struct shunt_endpoint remote;

	if (udp->from_peer && from->bytes == udp->from.bytes &&
	    !memcmp(&from->any, &udp->from.any, from->bytes))
		return udp->from_peer;
	shunt_sock_endpoint(&remote, from);
	udp->from = *from;
	udp->from_peer = (struct shunt_udp_peer *)shunt_transport_peer(udp->transport,
								       &remote, true);
	return udp->from_peer;
}

/* --- errors ----------------------------------------------------------------------------- */

bool shunt_udp_again(struct shunt_udp_socket *udp, int fd, int error,
		     unsigned int *tries)
{
	if (error == EINTR)
		return true;
	if (!shunt_sock_refused(error) || ++*tries > TRIES)
		return false;
	udp->transport->count.tx_failed += shunt_sock_refusals(fd);
	return true;
}

/* --- a datagram --------------------------------------------------------------------------- */

unsigned int shunt_udp_receive(struct shunt_udp_socket *udp, int fd,
			       struct shunt_datagram *datagram)
{
	struct shunt_transport *transport = udp->transport;
	struct shunt_sock_address from;
	struct shunt_udp_peer *peer;
	unsigned int tries = 0, looks;
	ssize_t got = 0;

	for (looks = 0;; looks++) {
		if (looks == LOOKS)
			return 0;
		if (!udp->spare.pool &&
		    !shunt_pool_get(transport->pool, &udp->spare, 1))
			return 0;
		from.bytes = sizeof(from.ip6);
		transport->count.system_calls++;
		got = recvfrom(fd, udp->spare.data, transport->pool->room,
			       RECEIVE_FLAGS, &from.any, &from.bytes);
		if (got < 0 && shunt_udp_again(udp, fd, errno, &tries))
			continue;
		if (got < 0)
			return 0;
		if ((size_t)got > transport->pool->room) {
			transport->count.rx_dropped++;
			continue;
		}
		peer = shunt_udp_sender(udp, &from);
		if (peer)
			break;
	}
	udp->spare.len = (uint32_t)got;
	datagram->frame = udp->spare;
	datagram->peer = &peer->state;
	udp->spare.pool = NULL;
	transport->count.rx_datagrams++;
	return 1;
}

unsigned int shunt_udp_send(struct shunt_udp_socket *udp, int fd, bool connected,
			    const struct shunt_datagram *datagram)
{
	struct shunt_udp_peer *peer = (struct shunt_udp_peer *)datagram->peer;
	const struct shunt_sock_address *to = shunt_udp_address(udp, peer);
	struct shunt_transport_stats *count = &udp->transport->count;
	unsigned int tries = 0;
	ssize_t sent;

	do {
		count->system_calls++;
		if (connected)
			sent = send(fd, datagram->frame.data, datagram->frame.len,
				    SHUNT_SOCK_FLAGS);
		else
			sent = to ? sendto(fd, datagram->frame.data,
					   datagram->frame.len, SHUNT_SOCK_FLAGS,
					   &to->any, to->bytes)
				  : 0;
	} while (sent < 0 && shunt_udp_again(udp, fd, errno, &tries));
	if (sent < 0 && shunt_udp_no_room(errno)) {
		udp->full_fd = fd;
		return 0;
	}
	if (!to || sent < 0)
		count->tx_failed++;
	else
		count->tx_datagrams++;
	return 1;
}
