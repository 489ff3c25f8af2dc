/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams by io_uring: the sockets, and datagrams on their way out. */
#include <errno.h>
#include <stdlib.h>

#include "user/transport/uring_udp.h"

#define TRIES 3u /* of a datagram that fails for earlier ones */

/* --- opening ------------------------------------------------------------------------------ */

static int udp_open(struct uring *uring, struct shunt_err *err)
{
	struct shunt_transport *transport = &uring->transport;
	struct shunt_uring_opts opts = { .memory = transport->memory,
					 .in_front = URING_IN_FRONT,
					 .files = URING_SOCKETS,
					 .sqpoll = uring->options.sqpoll,
					 .any_thread = uring->options.any_thread,
					 .napi_us = uring->options.napi_us };
	struct uring_udp *udp = calloc(1, sizeof(*udp));
	uint32_t i;
	int ret;

	if (!udp)
		return shunt_fail_errno(err, -ENOMEM, "make room for datagrams");
	uring->udp = udp;
	udp->socket.fd = -1;
	for (i = 0; i < URING_SENDS; i++)
		udp->free[udp->spare++] = (uint16_t)i;
	if (uring->receive == URING_RECEIVE_AUTO)
		uring->receive =
			opts.sqpoll ? URING_RECEIVE_MULTISHOT : URING_RECEIVE_DRAIN;
	shunt_udp_direct_init(&udp->direct, &udp->socket, &uring->options.sock,
			      !uring->options.direct ||
				      uring->receive != URING_RECEIVE_DRAIN);
	ret = shunt_udp_open(&udp->socket, transport, &uring->options.sock, err);
	if (ret)
		return ret;
	ret = shunt_udp_burst_open(&udp->burst, &udp->socket, err);
	if (!ret)
		ret = shunt_uring_open(&uring->ring, &opts, err);
	if (ret)
		return ret;
	ret = shunt_uring_file(&uring->ring, URING_OWN, udp->socket.fd);
	return ret ? shunt_fail_errno(err, ret, "register a socket") : 0;
}

static void udp_close(struct uring *uring)
{
	struct uring_udp *udp = uring->udp;
	uint32_t i;

	if (!udp)
		return;
	for (i = 0; i < URING_SENDS; i++)
		shunt_frames_put(&udp->sends[i].frame, 1);
	shunt_udp_direct_close(&udp->direct);
	shunt_udp_burst_close(udp->burst);
	shunt_udp_close(&udp->socket);
	free(udp);
	uring->udp = NULL;
}

/* --- the direct socket ---------------------------------------------------------------------- */

void uring_udp_leave(struct uring *uring)
{
	struct uring_udp *udp = uring->udp;
	struct io_uring_sqe *sqe = NULL;

	/* A request would hold the socket, which would still get what is sent to it. */
	if (udp->ask[URING_DIRECT].polling)
		sqe = shunt_uring_sqe(&uring->ring);
	if (sqe) {
		io_uring_prep_cancel64(
			sqe, (uint64_t)URING_DIRECT << URING_KIND_BITS | URING_POLL, 0);
		uring_name(sqe, URING_CANCEL, 0);
	}
	shunt_udp_direct_close(&udp->direct);
	/* An old one in its place does no harm but that it is open. */
	if (shunt_uring_file(&uring->ring, URING_DIRECT, -1))
		udp->direct.off = true;
	udp->hot = URING_OWN;
}

void uring_udp_note(struct uring *uring, struct shunt_peer_state *peer, unsigned int n)
{
	struct uring_udp *udp = uring->udp;
	int fresh;

	if (!shunt_udp_direct_note(&udp->direct, peer, n))
		return;
	fresh = shunt_udp_direct_aim(&udp->direct);
	udp->settled = false;
	udp->hot = URING_OWN;
	if (fresh <= 0)
		return;
	if (shunt_uring_file(&uring->ring, URING_DIRECT, udp->direct.fd)) {
		shunt_udp_direct_close(&udp->direct);
		udp->direct.off = true;
	}
}

/* --- peers ---------------------------------------------------------------------------------- */

static int udp_peer_open(struct uring *uring, struct shunt_peer_state *peer,
			 uint64_t deadline_ns, struct shunt_err *err)
{
	(void)deadline_ns;
	if (!shunt_udp_address(&uring->udp->socket, (struct shunt_udp_peer *)peer))
		return shunt_fail_errno(err, -EAFNOSUPPORT, "send there");
	return 0;
}

static void udp_peer_close(struct uring *uring, struct shunt_peer_state *peer)
{
	struct uring_udp *udp = uring->udp;

	/* What is on its way to it has its address. */
	shunt_udp_forget(&udp->socket, peer);
	if ((void *)udp->direct.peer == peer)
		uring_udp_leave(uring);
	shunt_udp_direct_forget(&udp->direct, peer);
}

/* --- sending ------------------------------------------------------------------------------ */

static bool prepare_send(struct uring *uring, uint32_t which)
{
	struct uring_udp *udp = uring->udp;
	struct uring_send *send = &udp->sends[which];
	struct io_uring_sqe *sqe = shunt_uring_sqe(&uring->ring);
	enum uring_socket by = send->direct ? URING_DIRECT : URING_OWN;

	if (!sqe)
		return false;
	io_uring_prep_send(sqe, 0, send->frame.data, send->frame.len, MSG_NOSIGNAL);
	shunt_uring_use(&uring->ring, sqe, uring_udp_fd(udp, by), by);
	if (!send->direct) {
		sqe->addr2 = (uintptr_t)&send->address.any;
		sqe->addr_len = (uint16_t)send->address.bytes;
	}
	uring_name(sqe, URING_SEND, which);
	send->zc = uring_zc_pays(uring, send->frame.len);
	if (send->zc)
		uring_zc_prepare(uring, sqe, &send->frame);
	return true;
}

static bool all_to(const struct shunt_datagram *datagrams, unsigned int n,
		   const struct shunt_udp_peer *peer)
{
	while (n && (void *)datagrams[n - 1].peer == peer)
		n--;
	return !n;
}

/* Sends what there is room for; nothing overtakes what the kernel has already. */
static unsigned int send_at_once(struct uring *uring, struct shunt_datagram *datagrams,
				 unsigned int n)
{
	struct uring_udp *udp = uring->udp;
	bool direct = udp->direct.peer && all_to(datagrams, n, udp->direct.peer);
	int fd = uring_udp_fd(udp, direct ? URING_DIRECT : URING_OWN);
	uint64_t failed = uring->transport.count.tx_failed;
	unsigned int sent, i;

	if (uring->unsent || uring_zc_pays(uring, datagrams->frame.len))
		return 0;
	if (n == 1)
		sent = shunt_udp_send(&udp->socket, fd, direct, datagrams);
	else
		sent = shunt_udp_burst_send(udp->burst, fd, direct, true, datagrams, n);
	for (i = 0; i < sent; i++)
		shunt_frames_put(&datagrams[i].frame, 1);
	/* Its way is of when it was aimed: addresses may have changed since. */
	if (direct && uring->transport.count.tx_failed != failed)
		uring_udp_leave(uring);
	return sent;
}

/* Has the kernel send as soon as there is room. */
static unsigned int send_later(struct uring *uring, struct shunt_datagram *datagrams,
			       unsigned int n)
{
	struct uring_udp *udp = uring->udp;
	unsigned int i;

	for (i = 0; i < n && udp->spare; i++) {
		struct shunt_udp_peer *peer =
			(struct shunt_udp_peer *)datagrams[i].peer;
		const struct shunt_sock_address *to =
			shunt_udp_address(&udp->socket, peer);
		uint32_t which = udp->free[udp->spare - 1];
		struct uring_send *send = &udp->sends[which];

		if (!to) {
			uring->transport.count.tx_failed++;
			shunt_frames_put(&datagrams[i].frame, 1);
			continue;
		}
		*send = (struct uring_send){ .frame = datagrams[i].frame,
					     .address = *to,
					     .direct = udp->direct.peer == peer };
		if (!prepare_send(uring, which)) {
			send->frame = (struct shunt_frame){ 0 };
			break;
		}
		udp->spare--;
		uring->unsent++;
	}
	uring->transport.count.tx_datagrams += i;
	return i;
}

static int udp_tx(struct uring *uring, struct shunt_datagram *datagrams, unsigned int n)
{
	unsigned int sent = send_at_once(uring, datagrams, n);

	if (!sent)
		sent = send_later(uring, datagrams, n);
	if (sent)
		uring_udp_note(uring, datagrams[0].peer, sent);
	return (int)sent;
}

static void end_send(struct uring *uring, uint32_t which)
{
	struct uring_udp *udp = uring->udp;

	shunt_frames_put(&udp->sends[which].frame, 1);
	udp->sends[which].frame = (struct shunt_frame){ 0 };
	udp->free[udp->spare++] = (uint16_t)which;
}

/* Is it to be sent once more? */
static bool is_undecided(struct uring *uring, struct uring_send *send, int error)
{
	if (send->zc && (error == -EINVAL || error == -EOPNOTSUPP)) {
		uring->zc = URING_ZC_OFF; /* this socket, or this kernel, has none */
		return true;
	}
	if (send->direct) { /* perhaps it goes another way */
		send->direct = false;
		return true;
	}
	if (!shunt_sock_refused(-error))
		return false;
	/* What ICMP said of another datagram. */
	uring->transport.count.tx_failed += shunt_sock_refusals(uring->udp->socket.fd);
	return ++send->tries < TRIES;
}

static void complete_send(struct uring *uring, uint32_t which,
			  const struct io_uring_cqe *cqe)
{
	struct uring_send *send = &uring->udp->sends[which];

	if (cqe->flags & IORING_CQE_F_NOTIF) {
		uring_zc_noted(uring, cqe);
		end_send(uring, which);
		return;
	}
	if (cqe->res < 0) {
		/* Not one that the kernel still looks at. */
		if (!uring->closing && !(cqe->flags & IORING_CQE_F_MORE) &&
		    is_undecided(uring, send, cqe->res) && prepare_send(uring, which))
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

/* --- the rest --------------------------------------------------------------------------------- */

static void udp_complete(struct uring *uring, enum uring_kind kind, uint64_t which,
			 const struct io_uring_cqe *cqe)
{
	if (kind == URING_SEND)
		complete_send(uring, (uint32_t)which, cqe);
	else if (kind == URING_RECV)
		uring_udp_received(uring, (enum uring_socket)which, cqe);
	else if (kind == URING_POLL)
		uring->udp->ask[which].polling = false;
}

unsigned int uring_udp_wait(struct uring *uring, struct pollfd *fds, unsigned int max)
{
	const struct uring_udp *udp = uring->udp;
	short events = uring->unsent ? POLLIN | POLLOUT : POLLIN;
	unsigned int n = 0, i;

	for (i = 0; i < URING_SOCKETS && n < max; i++)
		if (uring_udp_fd(udp, (enum uring_socket)i) >= 0)
			fds[n++] = (struct pollfd){
				.fd = uring_udp_fd(udp, (enum uring_socket)i),
				.events = events,
			};
	return n;
}

static uint64_t udp_due(const struct uring *uring)
{
	(void)uring;
	return UINT64_MAX;
}

static uint32_t udp_pending(const struct uring *uring)
{
	const struct uring_udp *udp = uring->udp;
	uint32_t sum, i;

	if (!udp)
		return 0;
	sum = URING_SENDS - udp->spare;
	for (i = 0; i < URING_SOCKETS; i++)
		sum += udp->ask[i].asked + udp->ask[i].polling;
	return sum;
}

static uint64_t udp_dropped(const struct uring *uring)
{
	const struct uring_udp *udp = uring->udp;
	uint64_t sum = udp->direct.dropped + shunt_sock_dropped(udp->socket.fd);

	return udp->direct.fd < 0 ? sum : sum + shunt_sock_dropped(udp->direct.fd);
}

static int udp_fd(const struct uring *uring)
{
	return uring->udp->socket.fd;
}

const struct uring_carrier uring_udp = {
	.open = udp_open,
	.close = udp_close,
	.peer_open = udp_peer_open,
	.peer_close = udp_peer_close,
	.tx = udp_tx,
	.prepare = uring_udp_prepare,
	.flush = udp_flush,
	.watch = uring_udp_watch,
	.complete = udp_complete,
	.deliver = uring_udp_deliver,
	.due = udp_due,
	.pending = udp_pending,
	.dropped = udp_dropped,
	.fd = udp_fd,
};
