/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams by io_uring: one socket, whose senders' addresses come along. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/transport/uring_impl.h"

#define SENDS 256u /* in the kernel's hands at most */
#define TRIES 3u   /* of a datagram that fails for earlier ones */
#define STREAK 2u  /* times in a row that something was there: then it asks for all */

/* Of a datagram's buffer: what recvmsg writes in front of the bytes. */
#define NAME_BYTES ((uint32_t)sizeof(struct sockaddr_in6))
#define IN_FRONT ((uint32_t)sizeof(struct io_uring_recvmsg_out) + NAME_BYTES)

_Static_assert(IN_FRONT % 4 == 0 && IN_FRONT + NAME_BYTES <= SHUNT_MEMORY_HEADROOM,
	       "lies in the headroom, in which a name has room as well");

/* A datagram in the kernel's hands. */
struct send {
	struct shunt_frame frame;
	struct shunt_sock_address address;
	uint32_t tries;
	bool zc;
};

struct uring_udp {
	bool asked; /* there is a request to receive */
	bool many;  /* it is for all that comes */
	bool lacks_many;
	bool polling; /* there is a request to say when something comes */
	uint32_t got; /* datagrams that it has brought */
	uint32_t streak;
	struct msghdr message; /* of the request */
	struct iovec any;
	uint8_t name[NAME_BYTES]; /* of the sender, by a request for one */

	uint32_t spare; /* sends that nobody has */
	uint16_t free[SENDS];
	struct send sends[SENDS];
};

/* --- opening ------------------------------------------------------------------------------ */

static int udp_open(struct uring *uring, struct shunt_err *err)
{
	struct shunt_transport *transport = &uring->transport;
	struct shunt_uring_opts opts = { .memory = transport->memory,
					 .in_front = IN_FRONT,
					 .files = 1,
					 .sqpoll = uring->options.sqpoll,
					 .any_thread = uring->options.any_thread,
					 .napi_us = uring->options.napi_us };
	uint32_t i, most = transport->pool->room;
	int ret;

	uring->udp = calloc(1, sizeof(*uring->udp));
	if (!uring->udp)
		return shunt_fail_errno(err, -ENOMEM, "make room for datagrams");
	for (i = 0; i < SENDS; i++)
		uring->udp->free[uring->udp->spare++] = (uint16_t)i;
	if (uring->receive == URING_RECEIVE_AUTO)
		uring->receive =
			opts.sqpoll ? URING_RECEIVE_MULTISHOT : URING_RECEIVE_DRAIN;
	uring->fd = shunt_sock_udp(&transport->local, &uring->options.sock, err);
	if (uring->fd < 0)
		return uring->fd;
	transport->datagram_max = shunt_sock_payload(&transport->local);
	if (transport->options.mtu)
		transport->datagram_max = (uint32_t)transport->options.mtu;
	if (transport->datagram_max > most)
		transport->datagram_max = most;
	transport->caps = SHUNT_TRANSPORT_BLOCKS | SHUNT_TRANSPORT_DATAGRAMS;
	ret = shunt_uring_open(&uring->ring, &opts, err);
	if (ret)
		return ret;
	ret = shunt_uring_file(&uring->ring, 0, uring->fd);
	return ret ? shunt_fail_errno(err, ret, "register a socket") : 0;
}

static void udp_close(struct uring *uring)
{
	struct uring_udp *udp = uring->udp;
	uint32_t i;

	if (!udp)
		return;
	for (i = 0; i < SENDS; i++)
		shunt_frames_put(&udp->sends[i].frame, 1);
	free(udp);
}

static int udp_peer_open(struct uring *uring, struct shunt_peer_state *peer,
			 uint64_t deadline_ns, struct shunt_err *err)
{
	struct uring_peer *own = (struct uring_peer *)peer;
	int ret = shunt_sock_address(&own->address, &uring->transport.local,
				     &peer->remote);

	(void)deadline_ns;
	return ret ? shunt_fail_errno(err, ret, "send there") : 0;
}

static void udp_peer_close(struct uring *uring, struct shunt_peer_state *peer)
{
	(void)uring;
	(void)peer; /* what is on its way to it has its address */
}

/* --- sending ------------------------------------------------------------------------------ */

static bool prepare_send(struct uring *uring, uint32_t which)
{
	struct send *send = &uring->udp->sends[which];
	struct io_uring_sqe *sqe = shunt_uring_sqe(&uring->ring);

	if (!sqe)
		return false;
	io_uring_prep_send(sqe, 0, send->frame.data, send->frame.len, MSG_NOSIGNAL);
	shunt_uring_use(&uring->ring, sqe, uring->fd, 0);
	sqe->addr2 = (uintptr_t)&send->address.any;
	sqe->addr_len = (uint16_t)send->address.bytes;
	uring_name(sqe, URING_SEND, which);
	send->zc = uring_zc_pays(uring, send->frame.len);
	if (send->zc)
		uring_zc_prepare(uring, sqe, &send->frame);
	return true;
}

static int udp_tx(struct uring *uring, struct shunt_datagram *datagrams, unsigned int n)
{
	struct uring_udp *udp = uring->udp;
	unsigned int i;

	for (i = 0; i < n && udp->spare; i++) {
		struct uring_peer *peer = (struct uring_peer *)datagrams[i].peer;
		uint32_t which = udp->free[udp->spare - 1];
		struct send *send = &udp->sends[which];

		if (!peer->address.bytes && udp_peer_open(uring, &peer->state, 0, NULL))
			return i ? (int)i : -EAFNOSUPPORT;
		*send = (struct send){ .frame = datagrams[i].frame,
				       .address = peer->address };
		if (!prepare_send(uring, which)) {
			send->frame = (struct shunt_frame){ 0 };
			break;
		}
		udp->spare--;
		uring->unsent++;
	}
	uring->transport.count.tx_datagrams += i;
	return (int)i;
}

static void end_send(struct uring *uring, uint32_t which)
{
	struct uring_udp *udp = uring->udp;

	shunt_frames_put(&udp->sends[which].frame, 1);
	udp->sends[which].frame = (struct shunt_frame){ 0 };
	udp->free[udp->spare++] = (uint16_t)which;
}

/* Is it to be sent once more? */
static bool is_undecided(struct uring *uring, struct send *send, int error)
{
	if (send->zc && (error == -EINVAL || error == -EOPNOTSUPP)) {
		uring->zc = URING_ZC_OFF; /* this socket, or this kernel, has none */
		return true;
	}
	if (!shunt_sock_refused(-error))
		return false;
	/* What ICMP said of another datagram. */
	uring->transport.count.tx_failed += shunt_sock_refusals(uring->fd);
	return ++send->tries < TRIES;
}

static void complete_send(struct uring *uring, uint32_t which,
			  const struct io_uring_cqe *cqe)
{
	struct send *send = &uring->udp->sends[which];

	if (cqe->flags & IORING_CQE_F_NOTIF) {
		uring_zc_noted(uring, cqe);
		end_send(uring, which);
		return;
	}
	if (cqe->res < 0) {
		if (!uring->closing && is_undecided(uring, send, cqe->res) &&
		    prepare_send(uring, which))
			return;
		uring->transport.count.tx_failed++;
	}
	uring->unsent--;
	if (!(cqe->flags & IORING_CQE_F_MORE))
		end_send(uring, which);
}

static void udp_flush(struct uring *uring)
{
	(void)uring; /* a datagram is prepared once it is taken */
}

/* --- receiving ---------------------------------------------------------------------------- */

static void udp_prepare(struct uring *uring)
{
	struct uring_udp *udp = uring->udp;
	bool drain = uring->receive == URING_RECEIVE_DRAIN;
	int flags = drain ? MSG_DONTWAIT : 0;
	struct io_uring_sqe *sqe;

	if (!shunt_uring_refill(&uring->ring) || udp->asked)
		return;
	sqe = shunt_uring_sqe(&uring->ring);
	if (!sqe)
		return;
	udp->many =
		!udp->lacks_many && (drain ? udp->streak >= STREAK
					   : uring->receive == URING_RECEIVE_MULTISHOT);
	/* The one that asks for many writes the name into the buffer, not here. */
	udp->any = (struct iovec){ .iov_len = uring->transport.memory->pool.room };
	udp->message = (struct msghdr){ .msg_namelen = NAME_BYTES };
	if (!udp->many) {
		udp->message.msg_name = udp->name;
		udp->message.msg_iov = &udp->any;
		udp->message.msg_iovlen = 1;
	}
	if (udp->many)
		io_uring_prep_recvmsg_multishot(sqe, 0, &udp->message,
						(unsigned int)flags);
	else
		io_uring_prep_recvmsg(sqe, 0, &udp->message, (unsigned int)flags);
	shunt_uring_use(&uring->ring, sqe, uring->fd, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = SHUNT_URING_GROUP;
	uring_name(sqe, URING_RECV, 0);
	udp->asked = true;
	udp->got = 0;
}

/* By a request for many: the name, then the bytes, in the buffer. */
static bool open_buffer(struct uring *uring, struct uring_chunk *chunk)
{
	struct io_uring_recvmsg_out *out =
		io_uring_recvmsg_validate(chunk->frame.data, (int)chunk->frame.len,
					  &uring->udp->message);

	if (!out)
		return false;
	chunk->name = io_uring_recvmsg_name(out);
	chunk->name_bytes = out->namelen;
	chunk->frame.data = io_uring_recvmsg_payload(out, &uring->udp->message);
	chunk->frame.len -= IN_FRONT;
	return !(out->flags & MSG_TRUNC);
}

/* By a request for one: the name goes to where the buffer's headroom begins. */
static bool keep_name(struct uring *uring, struct uring_chunk *chunk)
{
	const struct msghdr *message = &uring->udp->message;
	uint8_t *room = chunk->frame.data - (SHUNT_MEMORY_HEADROOM - IN_FRONT);

	memcpy(room, uring->udp->name, NAME_BYTES);
	chunk->name = room;
	chunk->name_bytes = message->msg_namelen;
	return !(message->msg_flags & MSG_TRUNC);
}

static void complete_recv(struct uring *uring, const struct io_uring_cqe *cqe)
{
	struct uring_udp *udp = uring->udp;
	struct uring_chunk chunk = { 0 };
	bool whole;

	if (cqe->flags & IORING_CQE_F_BUFFER && cqe->res >= 0) {
		shunt_uring_take(&uring->ring, cqe->flags, (uint32_t)cqe->res,
				 &chunk.frame);
		whole = udp->many ? open_buffer(uring, &chunk)
				  : keep_name(uring, &chunk);
		udp->got++;
		if (whole) {
			uring_append(uring, chunk);
		} else { /* longer than a buffer */
			uring->transport.count.malformed++;
			shunt_frames_put(&chunk.frame, 1);
		}
	}
	if (cqe->res == -ENOBUFS)
		uring->transport.count.no_memory++;
	else if (cqe->res == -EINVAL && udp->many) /* Linux before 6.0 */
		udp->lacks_many = true;
	else if (cqe->res < 0 && shunt_sock_refused(-cqe->res))
		uring->transport.count.tx_failed += shunt_sock_refusals(uring->fd);
	if (cqe->flags & IORING_CQE_F_MORE)
		return;
	udp->asked = false;
	if (udp->got > udp->many)
		udp->streak++;
	else
		udp->streak = 0;
}

static void udp_complete(struct uring *uring, enum uring_kind kind, uint64_t which,
			 const struct io_uring_cqe *cqe)
{
	if (kind == URING_SEND)
		complete_send(uring, (uint32_t)which, cqe);
	else if (kind == URING_RECV)
		complete_recv(uring, cqe);
	else if (kind == URING_POLL)
		uring->udp->polling = false;
}

static unsigned int udp_deliver(struct uring *uring, struct shunt_datagram *datagrams,
				unsigned int max)
{
	unsigned int got = 0;

	while (got < max && uring_waiting(uring)) {
		struct uring_chunk *chunk = uring_first(uring);
		struct shunt_sock_address from = { .bytes = chunk->name_bytes };
		struct shunt_endpoint remote;

		uring->line_tail++;
		if (from.bytes > NAME_BYTES)
			from.bytes = NAME_BYTES;
		memcpy(&from.any, chunk->name, from.bytes);
		shunt_sock_endpoint(&remote, &from);
		datagrams[got].peer =
			shunt_transport_peer(&uring->transport, &remote, true);
		datagrams[got].frame = chunk->frame;
		if (datagrams[got].peer)
			got++;
		else
			shunt_frames_put(&chunk->frame, 1);
	}
	uring->transport.count.rx_datagrams += got;
	return got;
}

/* --- waiting ------------------------------------------------------------------------------ */

/* Who asks only when recv does has the kernel look at the socket meanwhile. */
static void udp_watch(struct uring *uring)
{
	struct uring_udp *udp = uring->udp;
	struct io_uring_sqe *sqe;

	if (uring->receive != URING_RECEIVE_DRAIN)
		return udp_prepare(uring);
	if (udp->polling)
		return;
	sqe = shunt_uring_sqe(&uring->ring);
	if (!sqe)
		return;
	io_uring_prep_poll_add(sqe, 0, POLLIN);
	shunt_uring_use(&uring->ring, sqe, uring->fd, 0);
	uring_name(sqe, URING_POLL, 0);
	udp->polling = true;
}

static uint64_t udp_due(const struct uring *uring)
{
	(void)uring;
	return UINT64_MAX;
}

static uint32_t udp_pending(const struct uring *uring)
{
	const struct uring_udp *udp = uring->udp;

	return udp ? SENDS - udp->spare + udp->asked + udp->polling : 0;
}

const struct uring_carrier uring_udp = {
	.open = udp_open,
	.close = udp_close,
	.peer_open = udp_peer_open,
	.peer_close = udp_peer_close,
	.tx = udp_tx,
	.prepare = udp_prepare,
	.flush = udp_flush,
	.watch = udp_watch,
	.complete = udp_complete,
	.deliver = udp_deliver,
	.due = udp_due,
	.pending = udp_pending,
};
