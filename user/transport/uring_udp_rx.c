/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams on their way in: asking the sockets, and what they have brought. */
#include <errno.h>
#include <string.h>

#include "user/transport/uring_udp.h"

#define STREAK 2u  /* times in a row that something was there: then it asks for all */
#define GUESSES 4u /* looks at one socket alone for each look at both */

/* --- asking -------------------------------------------------------------------------------- */

static void ask(struct uring *uring, enum uring_socket which)
{
	struct uring_udp *udp = uring->udp;
	struct uring_ask *ask = &udp->ask[which];
	bool drain = uring->receive == URING_RECEIVE_DRAIN;
	unsigned int flags = drain ? MSG_DONTWAIT : 0;
	struct io_uring_sqe *sqe;

	if (ask->asked)
		return;
	sqe = shunt_uring_sqe(&uring->ring);
	if (!sqe)
		return;
	ask->many =
		!udp->lacks_many && (drain ? ask->streak >= STREAK
					   : uring->receive == URING_RECEIVE_MULTISHOT);
	/* The one that asks for many writes the name into the buffer, not here. */
	ask->any = (struct iovec){ .iov_len = uring->transport.memory->pool.room };
	ask->message = (struct msghdr){ .msg_namelen = URING_NAME };
	if (!ask->many) {
		ask->message.msg_name = ask->name;
		ask->message.msg_iov = &ask->any;
		ask->message.msg_iovlen = 1;
		io_uring_prep_recvmsg(sqe, 0, &ask->message, flags);
	} else {
		io_uring_prep_recvmsg_multishot(sqe, 0, &ask->message, flags);
	}
	shunt_uring_use(&uring->ring, sqe, uring_udp_fd(udp, which), which);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = SHUNT_URING_GROUP;
	uring_name(sqe, URING_RECV, which);
	ask->asked = true;
	ask->got = 0;
}

/*
 * What came to the transport's own socket before the other was aimed comes first. Who
 * sleeps has both looked at each time, others most of the time one.
 */
void uring_udp_prepare(struct uring *uring)
{
	struct uring_udp *udp = uring->udp;
	enum uring_socket first = udp->hot;

	if (!shunt_uring_refill(&uring->ring))
		return;
	if (udp->direct.fd < 0 || !udp->settled)
		first = URING_OWN;
	ask(uring, first);
	if (udp->direct.fd < 0 || !udp->settled)
		return;
	if (uring->transport.options.wait == SHUNT_WAIT_POLL ||
	    !(++udp->rounds % GUESSES))
		ask(uring, first == URING_OWN ? URING_DIRECT : URING_OWN);
}

static void watch(struct uring *uring, enum uring_socket which)
{
	struct uring_ask *ask = &uring->udp->ask[which];
	struct io_uring_sqe *sqe;

	if (ask->polling)
		return;
	sqe = shunt_uring_sqe(&uring->ring);
	if (!sqe)
		return;
	io_uring_prep_poll_add(sqe, 0, POLLIN);
	shunt_uring_use(&uring->ring, sqe, uring_udp_fd(uring->udp, which), which);
	uring_name(sqe, URING_POLL, which);
	ask->polling = true;
}

/* Who asks only when recv does has the kernel look at the sockets meanwhile. */
void uring_udp_watch(struct uring *uring)
{
	if (uring->receive != URING_RECEIVE_DRAIN) {
		uring_udp_prepare(uring);
		return;
	}
	watch(uring, URING_OWN);
	if (uring->udp->direct.fd >= 0)
		watch(uring, URING_DIRECT);
}

/* --- what has come --------------------------------------------------------------------------- */

/* By a request for many: the name, then the bytes, in the buffer. */
static bool open_buffer(struct uring_ask *ask, struct uring_chunk *chunk)
{
	struct io_uring_recvmsg_out *out =
		io_uring_recvmsg_validate(chunk->frame.data, (int)chunk->frame.len,
					  &ask->message);

	if (!out)
		return false;
	chunk->name = io_uring_recvmsg_name(out);
	chunk->name_bytes = out->namelen;
	chunk->frame.data = io_uring_recvmsg_payload(out, &ask->message);
	chunk->frame.len -= URING_IN_FRONT;
	return !(out->flags & MSG_TRUNC);
}

/* By a request for one: the name goes to where the buffer's headroom begins. */
static bool keep_name(const struct uring_ask *ask, struct uring_chunk *chunk)
{
	uint8_t *room = chunk->frame.data - (SHUNT_MEMORY_HEADROOM - URING_IN_FRONT);

	memcpy(room, ask->name, URING_NAME);
	chunk->name = room;
	chunk->name_bytes = ask->message.msg_namelen;
	return !(ask->message.msg_flags & MSG_TRUNC);
}

/* Linux 6.1 takes a buffer out of the ring also for a look that finds nothing. */
static void give_back(struct uring *uring, const struct io_uring_cqe *cqe)
{
	struct shunt_frame frame;

	shunt_uring_take(&uring->ring, cqe->flags, 0, &frame);
	shunt_frames_put(&frame, 1);
}

static void keep(struct uring *uring, struct uring_ask *ask,
		 const struct io_uring_cqe *cqe)
{
	struct uring_chunk chunk = { 0 };

	shunt_uring_take(&uring->ring, cqe->flags, (uint32_t)cqe->res, &chunk.frame);
	ask->got++;
	if (ask->many ? open_buffer(ask, &chunk) : keep_name(ask, &chunk)) {
		uring_append(uring, chunk);
		return;
	}
	uring->transport.count.rx_dropped++; /* longer than a frame */
	shunt_frames_put(&chunk.frame, 1);
}

/* A datagram without a byte takes no buffer of the ring, if it was asked for alone. */
static void keep_empty(struct uring *uring, struct uring_ask *ask)
{
	struct uring_chunk chunk = { 0 };

	ask->got++;
	if (!shunt_pool_get(uring->transport.pool, &chunk.frame, 1)) {
		uring->transport.count.no_memory++;
		return;
	}
	chunk.frame.data -= URING_IN_FRONT;
	keep_name(ask, &chunk);
	uring_append(uring, chunk);
}

/* A request has ended: which socket is looked at next? */
static void settle(struct uring_udp *udp, enum uring_socket which)
{
	struct uring_ask *ask = &udp->ask[which];

	ask->asked = false;
	ask->streak = ask->got > ask->many ? ask->streak + 1 : 0;
	if (ask->got)
		udp->hot = which;
	if (ask->got || which != URING_OWN || udp->settled)
		return;
	udp->settled = true;
	if (udp->direct.fd >= 0)
		udp->hot = URING_DIRECT;
}

void uring_udp_received(struct uring *uring, enum uring_socket which,
			const struct io_uring_cqe *cqe)
{
	struct uring_udp *udp = uring->udp;
	struct uring_ask *ask = &udp->ask[which];

	if (cqe->flags & IORING_CQE_F_BUFFER && cqe->res >= 0)
		keep(uring, ask, cqe);
	else if (cqe->flags & IORING_CQE_F_BUFFER)
		give_back(uring, cqe);
	else if (!cqe->res && !ask->many)
		keep_empty(uring, ask);
	if (cqe->res == -ENOBUFS)
		uring->transport.count.no_memory++;
	else if (cqe->res == -EINVAL && ask->many)
		udp->lacks_many = true;
	else if (cqe->res < 0 && shunt_sock_refused(-cqe->res) &&
		 uring_udp_fd(udp, which) >= 0)
		uring->transport.count.tx_failed +=
			shunt_sock_refusals(uring_udp_fd(udp, which));
	if (!(cqe->flags & IORING_CQE_F_MORE))
		settle(udp, which);
}

unsigned int uring_udp_deliver(struct uring *uring, struct shunt_datagram *datagrams,
			       unsigned int max)
{
	unsigned int got = 0;

	while (got < max && uring_waiting(uring)) {
		struct uring_chunk *chunk = uring_first(uring);
		struct shunt_sock_address from = { .bytes = chunk->name_bytes };
		struct shunt_udp_peer *peer;

		uring->line_tail++;
		if (from.bytes > URING_NAME)
			from.bytes = URING_NAME;
		memcpy(&from.any, chunk->name, from.bytes);
		peer = shunt_udp_sender(&uring->udp->socket, &from);
		if (!peer) {
			shunt_frames_put(&chunk->frame, 1);
			continue;
		}
		datagrams[got].peer = &peer->state;
		datagrams[got++].frame = chunk->frame;
	}
	uring->transport.count.rx_datagrams += got;
	if (got)
		uring_udp_note(uring, datagrams[got - 1].peer, got);
	return got;
}
