/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams by io_uring: a listener, and a connection for each peer. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "user/transport/uring_conn.h"

#define ACCEPT_NS 10000000u /* until it tries again, when there were no descriptors */
#define SPILL_NS                                                                       \
	1000000u /* from one look for frames in unfinished messages to the next */
#define PLACES_MAX 32768u /* of registered files: the rest goes by its descriptor */

/* --- opening ------------------------------------------------------------------------------- */

static int make_places(struct uring_tcp *tcp, uint32_t places)
{
	tcp->free = calloc(places, sizeof(*tcp->free));
	if (!tcp->free)
		return -ENOMEM;
	while (--places) /* 0 is the listener's */
		tcp->free[tcp->spare++] = places;
	return 0;
}

static void make_held(struct uring_tcp *tcp)
{
	uint32_t i;

	for (i = 0; i < URING_HELD; i++) {
		tcp->held[i].next = tcp->spare_held;
		tcp->spare_held = &tcp->held[i];
	}
}

static int tcp_open(struct uring *uring, struct shunt_err *err)
{
	struct shunt_transport *transport = &uring->transport;
	uint64_t places = shunt_sock_descriptors(transport->options.peers + 1);
	struct shunt_uring_opts opts = { .memory = transport->memory,
					 .sqpoll = uring->options.sqpoll,
					 .any_thread = uring->options.any_thread,
					 .napi_us = uring->options.napi_us };
	int ret;

	if (!transport->options.header)
		return shunt_fail(err, -EINVAL,
				  "header=off: in a stream the headers tell where a "
				  "message ends; leave it on, or take proto=udp");
	if (uring->receive == URING_RECEIVE_DRAIN)
		return shunt_fail(err, -EINVAL,
				  "receive=drain is for proto=udp: there may be many "
				  "connections; take multishot");
	if (uring->receive == URING_RECEIVE_AUTO)
		uring->receive = URING_RECEIVE_MULTISHOT;
	uring->tcp = calloc(1, sizeof(*uring->tcp));
	if (!uring->tcp)
		return shunt_fail_errno(err, -ENOMEM, "make room for connections");
	uring->tcp->fd = -1;
	TAILQ_INIT(&uring->tcp->all);
	TAILQ_INIT(&uring->tcp->unasked);
	TAILQ_INIT(&uring->tcp->unsent);
	TAILQ_INIT(&uring->tcp->ended);
	make_held(uring->tcp);
	opts.files = (uint32_t)(places < 2	      ? 2
				: places < PLACES_MAX ? places
						      : PLACES_MAX);
	ret = make_places(uring->tcp, opts.files);
	if (ret)
		return shunt_fail_errno(err, ret, "make room for connections");
	uring->tcp->fd =
		shunt_sock_listen(&transport->local, &uring->options.sock, err);
	if (uring->tcp->fd < 0)
		return uring->tcp->fd;
	transport->datagram_max = transport->pool->room;
	transport->caps = SHUNT_TRANSPORT_RELIABLE | SHUNT_TRANSPORT_ORDERED |
			  SHUNT_TRANSPORT_BLOCKS | SHUNT_TRANSPORT_STREAM;
	ret = shunt_uring_open(&uring->ring, &opts, err);
	if (ret)
		return ret;
	ret = shunt_uring_file(&uring->ring, 0, uring->tcp->fd);
	return ret ? shunt_fail_errno(err, ret, "register a socket") : 0;
}

static void tcp_close(struct uring *uring)
{
	struct uring_tcp *tcp = uring->tcp;
	struct uring_conn *conn;
	uint32_t i;

	if (!tcp)
		return;
	while ((conn = TAILQ_FIRST(&tcp->all)))
		uring_conn_free(uring, conn);
	for (i = 0; i < URING_HELD; i++)
		shunt_frames_put(&tcp->held[i].frame, 1);
	if (tcp->fd >= 0)
		close(tcp->fd);
	free(tcp->free);
	free(tcp);
	uring->tcp = NULL;
}

/* --- peers --------------------------------------------------------------------------------- */

static void marry(struct uring_peer *peer, struct uring_conn *conn)
{
	peer->conn = conn;
	conn->peer = peer;
}

static int tcp_peer_open(struct uring *uring, struct shunt_peer_state *peer,
			 uint64_t deadline_ns, struct shunt_err *err)
{
	struct uring_conn *conn;
	int fd = shunt_sock_connect(&uring->transport.local, &peer->remote,
				    &uring->options.sock, deadline_ns, err);

	if (fd < 0)
		return fd;
	conn = uring_conn_make(uring, fd, &peer->remote);
	if (!conn) {
		close(fd);
		return shunt_fail_errno(err, -ENOMEM, "make room for a connection");
	}
	marry((struct uring_peer *)peer, conn);
	return 0;
}

static void tcp_peer_close(struct uring *uring, struct shunt_peer_state *peer)
{
	struct uring_conn *conn = ((struct uring_peer *)peer)->conn;

	if (conn)
		uring_conn_shut(uring, conn);
}

/* Who has sent something is a peer. False: there are too many of them. */
static bool find_peer(struct uring *uring, struct uring_conn *conn)
{
	struct uring_peer *peer;

	if (conn->peer)
		return true;
	peer = (struct uring_peer *)shunt_transport_peer(&uring->transport,
							 &conn->remote, true);
	if (!peer)
		return false;
	/* The same address once more: of the old one nothing came to an end here. */
	if (peer->conn)
		uring_conn_shut(uring, peer->conn);
	marry(peer, conn);
	return true;
}

static void drop(struct uring *uring, struct uring_conn *conn)
{
	uring->transport.count.incomplete += shunt_stream_cut(&conn->in);
	if (conn->peer)
		shunt_transport_drop(&uring->transport, &conn->peer->udp.state);
	else
		uring_conn_shut(uring, conn);
}

/* --- accepting ----------------------------------------------------------------------------- */

static void ask_accept(struct uring *uring)
{
	struct uring_tcp *tcp = uring->tcp;
	struct io_uring_sqe *sqe;

	if (tcp->accepting || (tcp->accept_ns && shunt_now_ns() < tcp->accept_ns))
		return;
	sqe = shunt_uring_sqe(&uring->ring);
	if (!sqe)
		return;
	io_uring_prep_multishot_accept(sqe, 0, NULL, NULL, 0);
	shunt_uring_use(&uring->ring, sqe, uring->tcp->fd, 0);
	uring_name(sqe, URING_ACCEPT, 0);
	tcp->accepting = true;
	tcp->pending++;
}

static void complete_accept(struct uring *uring, const struct io_uring_cqe *cqe)
{
	struct uring_tcp *tcp = uring->tcp;
	struct shunt_endpoint remote;

	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		tcp->accepting = false;
		tcp->pending--;
	}
	tcp->accept_ns = 0;
	if (cqe->res < 0) {
		if (cqe->res != -ECONNABORTED && cqe->res != -EINTR &&
		    cqe->res != -ECANCELED)
			tcp->accept_ns = shunt_now_ns() + ACCEPT_NS;
		return;
	}
	if (uring->closing ||
	    shunt_sock_adopt(cqe->res, &remote, &uring->options.sock) ||
	    !uring_conn_make(uring, cqe->res, &remote))
		close(cqe->res);
}

/* --- messages ------------------------------------------------------------------------------ */

static int tcp_tx(struct uring *uring, struct shunt_datagram *datagrams, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		struct uring_peer *peer = (struct uring_peer *)datagrams[i].peer;

		if (!peer->conn || peer->conn->ended)
			return i ? (int)i : -ENOTCONN;
		if (!uring_conn_push(uring, peer->conn, &datagrams[i].frame))
			break;
		uring->transport.count.tx_datagrams++;
	}
	return (int)i;
}

/* Messages that have begun may hold all the frames, and none of them goes on. */
static void spill(struct uring *uring)
{
	uint64_t now_ns = shunt_now_ns();
	struct uring_conn *conn;

	if (now_ns < uring->tcp->spill_ns)
		return;
	uring->tcp->spill_ns = now_ns + SPILL_NS;
	TAILQ_FOREACH(conn, &uring->tcp->all, all)
	(void)shunt_stream_spill(&conn->in, &uring->transport);
}

static void tcp_prepare(struct uring *uring)
{
	if (!shunt_uring_refill(&uring->ring)) {
		spill(uring);
		if (!shunt_uring_refill(&uring->ring))
			return;
	}
	uring_conn_ask(uring);
	ask_accept(uring);
}

static void tcp_complete(struct uring *uring, enum uring_kind kind, uint64_t which,
			 const struct io_uring_cqe *cqe)
{
	struct uring_conn *conn =
		(struct uring_conn *)(uintptr_t)(which << URING_KIND_BITS);

	if (kind == URING_RECV)
		uring_conn_received(uring, conn, cqe);
	else if (kind == URING_SEND)
		uring_conn_sent(uring, conn, cqe);
	else if (kind == URING_SEND_ZC)
		uring_held_sent(uring,
				(struct uring_held *)(uintptr_t)(which
								 << URING_KIND_BITS),
				cqe);
	else if (kind == URING_ACCEPT)
		complete_accept(uring, cqe);
}

/* Gives the next piece to its stream, and says whose it is; NULL: there is none. */
static struct uring_conn *feed(struct uring *uring)
{
	struct uring_chunk chunk;

	while (uring_waiting(uring)) {
		chunk = *uring_first(uring);
		uring->line_tail++;
		chunk.conn->chunks--;
		if (!chunk.conn->shut && find_peer(uring, chunk.conn)) {
			uring->transport.count.rx_datagrams++;
			shunt_stream_feed(&chunk.conn->in, &chunk.frame);
			return uring->tcp->reading = chunk.conn;
		}
		shunt_frames_put(&chunk.frame, 1);
		if (chunk.conn->shut)
			uring_conn_reap(uring, chunk.conn);
		else
			uring_conn_shut(uring, chunk.conn);
	}
	return NULL;
}

static unsigned int tcp_deliver(struct uring *uring, struct shunt_datagram *datagrams,
				unsigned int max)
{
	struct uring_tcp *tcp = uring->tcp;
	struct uring_conn *conn;
	unsigned int got = 0;

	while (got < max && (conn = tcp->reading ?: feed(uring))) {
		int ret = shunt_stream_next(&conn->in, &uring->transport,
					    &datagrams[got].frame);

		if (ret > 0)
			datagrams[got++].peer = &conn->peer->udp.state;
		if (ret > 0)
			continue;
		if (ret == -ENOBUFS) {
			uring->transport.count.no_memory++;
			return got;
		}
		tcp->reading = NULL;
		if (ret < 0) {
			uring->transport.count.malformed++;
			drop(uring, conn);
		}
	}
	/* All that they have brought has been received. */
	while (got < max && (conn = TAILQ_FIRST(&tcp->ended)))
		drop(uring, conn);
	return got;
}

static uint64_t tcp_due(const struct uring *uring)
{
	const struct uring_tcp *tcp = uring->tcp;

	if (tcp->reading)
		return 0;
	return !tcp->accepting && tcp->accept_ns ? tcp->accept_ns : UINT64_MAX;
}

static uint32_t tcp_pending(const struct uring *uring)
{
	return uring->tcp ? uring->tcp->pending : 0;
}

static uint64_t tcp_dropped(const struct uring *uring)
{
	(void)uring;
	return 0; /* what is dropped comes again */
}

static int tcp_fd(const struct uring *uring)
{
	return uring->tcp->fd;
}

const struct uring_carrier uring_tcp = {
	.open = tcp_open,
	.close = tcp_close,
	.peer_open = tcp_peer_open,
	.peer_close = tcp_peer_close,
	.tx = tcp_tx,
	.prepare = tcp_prepare,
	.flush = uring_conn_send,
	.watch = tcp_prepare,
	.complete = tcp_complete,
	.deliver = tcp_deliver,
	.due = tcp_due,
	.pending = tcp_pending,
	.dropped = tcp_dropped,
	.fd = tcp_fd,
};
