/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/uring_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* --- lists ---------------------------------------------------------------------------------- */

static void add_unasked(struct uring_tcp *tcp, struct uring_conn *conn)
{
	if (conn->unasked || conn->asked || conn->ended || conn->shut)
		return;
	conn->unasked = true;
	TAILQ_INSERT_TAIL(&tcp->unasked, conn, asks);
}

static void add_unsent(struct uring_tcp *tcp, struct uring_conn *conn)
{
	if (conn->unsent || conn->sending || conn->ended || conn->shut)
		return;
	conn->unsent = true;
	TAILQ_INSERT_TAIL(&tcp->unsent, conn, sends);
}

static void take_unasked(struct uring_tcp *tcp, struct uring_conn *conn)
{
	if (conn->unasked)
		TAILQ_REMOVE(&tcp->unasked, conn, asks);
	conn->unasked = false;
}

static void take_unsent(struct uring_tcp *tcp, struct uring_conn *conn)
{
	if (conn->unsent)
		TAILQ_REMOVE(&tcp->unsent, conn, sends);
	conn->unsent = false;
}

void uring_conn_end(struct uring *uring, struct uring_conn *conn)
{
	if (conn->ended || conn->shut)
		return;
	take_unasked(uring->tcp, conn);
	take_unsent(uring->tcp, conn);
	conn->ended = true;
	TAILQ_INSERT_TAIL(&uring->tcp->ended, conn, ends);
}

/* --- life ----------------------------------------------------------------------------------- */

struct uring_conn *uring_conn_make(struct uring *uring, int fd,
				   const struct shunt_endpoint *remote)
{
	struct uring_tcp *tcp = uring->tcp;
	struct uring_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->fd = fd;
	conn->remote = *remote;
	if (tcp->spare &&
	    !shunt_uring_file(&uring->ring, tcp->free[tcp->spare - 1], fd))
		conn->place = tcp->free[--tcp->spare];
	TAILQ_INSERT_TAIL(&tcp->all, conn, all);
	add_unasked(tcp, conn);
	return conn;
}

void uring_conn_free(struct uring *uring, struct uring_conn *conn)
{
	struct uring_tcp *tcp = uring->tcp;

	shunt_stream_in_close(&conn->in);
	shunt_stream_out_close(&conn->out);
	if (conn->place && !shunt_uring_file(&uring->ring, conn->place, -1))
		tcp->free[tcp->spare++] = conn->place;
	close(conn->fd);
	TAILQ_REMOVE(&tcp->all, conn, all);
	free(conn);
}

void uring_conn_reap(struct uring *uring, struct uring_conn *conn)
{
	if (conn->shut && !conn->asked && !conn->sending && !conn->chunks)
		uring_conn_free(uring, conn);
}

/* What has been taken goes as far as it goes at once. */
static void send_rest(struct uring *uring, struct uring_conn *conn)
{
	struct msghdr message = { .msg_iov = conn->iov };

	/* A request that was prepared is sent on its way, before its frames are gone. */
	if (conn->sending) {
		if (!uring->error)
			uring_enter(uring);
		return;
	}
	message.msg_iovlen = shunt_stream_iov(&conn->out, conn->iov, URING_IOVS);
	if (!message.msg_iovlen || conn->ended)
		return;
	uring->transport.count.system_calls++;
	if (sendmsg(conn->fd, &message, SHUNT_SOCK_FLAGS) < 0)
		uring->transport.count.tx_failed += shunt_stream_waiting(&conn->out);
}

void uring_conn_shut(struct uring *uring, struct uring_conn *conn)
{
	struct uring_tcp *tcp = uring->tcp;

	if (conn->shut)
		return;
	send_rest(uring, conn);
	if (conn->peer)
		conn->peer->conn = NULL;
	conn->peer = NULL;
	if (tcp->reading == conn)
		tcp->reading = NULL;
	take_unasked(tcp, conn);
	take_unsent(tcp, conn);
	if (conn->ended)
		TAILQ_REMOVE(&tcp->ended, conn, ends);
	conn->ended = false;
	conn->shut = true;
	shunt_stream_in_close(&conn->in);
	/* Completes the requests; what the kernel has taken is sent first. */
	shutdown(conn->fd, SHUT_RDWR);
	uring_conn_reap(uring, conn);
}

/* --- sending -------------------------------------------------------------------------------- */

bool uring_conn_push(struct uring *uring, struct uring_conn *conn,
		     const struct shunt_frame *frame)
{
	if (!shunt_stream_push(&conn->out, frame))
		return false;
	add_unsent(uring->tcp, conn);
	return true;
}

static void use_conn(struct uring *uring, const struct uring_conn *conn,
		     struct io_uring_sqe *sqe)
{
	if (conn->place)
		shunt_uring_use(&uring->ring, sqe, conn->fd, conn->place);
	else
		sqe->fd = conn->fd;
}

/* What the oldest frame is held by when it goes without a copy; NULL: it is copied. */
static struct uring_held *hold(struct uring *uring, struct uring_conn *conn)
{
	struct uring_held *held = uring->tcp->spare_held;

	if (!held || !uring_zc_pays(uring, (uint32_t)conn->iov->iov_len))
		return NULL;
	uring->tcp->spare_held = held->next;
	*held = (struct uring_held){ .conn = conn };
	return held;
}

/* A request for what waits: one frame without a copy if that pays, else all. */
static void prepare_send(struct uring *uring, struct uring_conn *conn,
			 struct io_uring_sqe *sqe)
{
	unsigned int n = shunt_stream_iov(&conn->out, conn->iov, URING_IOVS);
	const struct iovec *first = conn->iov;
	struct uring_held *held = hold(uring, conn);
	const void *which = conn;

	if (held) {
		/* All of it, so that the frame is done with at once. */
		io_uring_prep_send(sqe, 0, first->iov_base, first->iov_len,
				   MSG_NOSIGNAL | MSG_WAITALL);
		uring_zc_prepare(uring, sqe, shunt_stream_oldest(&conn->out));
		which = held;
	} else if (n == 1) {
		io_uring_prep_send(sqe, 0, first->iov_base, first->iov_len,
				   MSG_NOSIGNAL);
	} else {
		conn->message =
			(struct msghdr){ .msg_iov = conn->iov, .msg_iovlen = n };
		io_uring_prep_sendmsg(sqe, 0, &conn->message, MSG_NOSIGNAL);
	}
	use_conn(uring, conn, sqe);
	uring_name(sqe, held ? URING_SEND_ZC : URING_SEND,
		   (uintptr_t)which >> URING_KIND_BITS);
	conn->sending = true;
	uring->tcp->pending++;
}

void uring_conn_send(struct uring *uring)
{
	struct uring_conn *conn;

	while ((conn = TAILQ_FIRST(&uring->tcp->unsent))) {
		struct io_uring_sqe *sqe = shunt_uring_sqe(&uring->ring);

		if (!sqe)
			return;
		take_unsent(uring->tcp, conn);
		prepare_send(uring, conn, sqe);
	}
}

/* The next frames may go. */
static void end_send(struct uring *uring, struct uring_conn *conn, int res)
{
	conn->sending = false;
	if (res < 0 && res != -EINTR && res != -EAGAIN && res != -ECANCELED) {
		uring->transport.count.tx_failed += shunt_stream_waiting(&conn->out);
		uring_conn_end(uring, conn);
	}
	if (shunt_stream_waiting(&conn->out))
		add_unsent(uring->tcp, conn);
	uring_conn_reap(uring, conn);
}

void uring_conn_sent(struct uring *uring, struct uring_conn *conn,
		     const struct io_uring_cqe *cqe)
{
	uring->tcp->pending--;
	if (cqe->res > 0)
		shunt_stream_wrote(&conn->out, (uint64_t)cqe->res);
	end_send(uring, conn, cqe->res);
}

static void give_up(struct uring *uring, struct uring_held *held)
{
	uring->tcp->pending--;
	shunt_frames_put(&held->frame, 1);
	held->frame = (struct shunt_frame){ 0 };
	held->next = uring->tcp->spare_held;
	uring->tcp->spare_held = held;
}

void uring_held_sent(struct uring *uring, struct uring_held *held,
		     const struct io_uring_cqe *cqe)
{
	struct uring_conn *conn = held->conn;
	bool held_on = cqe->flags & IORING_CQE_F_MORE;
	int res = cqe->res;

	if (cqe->flags & IORING_CQE_F_NOTIF) {
		uring_zc_noted(uring, cqe);
		give_up(uring, held);
		return;
	}
	if (res == -EINVAL || res == -EOPNOTSUPP) {
		uring->zc = URING_ZC_OFF; /* this socket, or this kernel, has none */
		res = -EAGAIN;
	} else if (held_on) {
		/* A part alone means that the connection broke. */
		if (res >= 0 && (uint32_t)res < shunt_stream_oldest(&conn->out)->len)
			res = -EPIPE;
		held->frame = shunt_stream_pop(&conn->out);
	} else if (res > 0) {
		shunt_stream_wrote(&conn->out, (uint64_t)res);
	}
	held->conn = NULL;
	if (!held_on)
		give_up(uring, held);
	end_send(uring, conn, res);
}

/* --- receiving ------------------------------------------------------------------------------ */

void uring_conn_ask(struct uring *uring)
{
	struct uring_tcp *tcp = uring->tcp;
	struct uring_conn *conn;

	while ((conn = TAILQ_FIRST(&tcp->unasked))) {
		struct io_uring_sqe *sqe = shunt_uring_sqe(&uring->ring);

		if (!sqe)
			return;
		take_unasked(tcp, conn);
		if (uring->receive == URING_RECEIVE_MULTISHOT)
			io_uring_prep_recv_multishot(sqe, 0, NULL, 0, 0);
		else
			io_uring_prep_recv(sqe, 0, NULL, 0, 0);
		use_conn(uring, conn, sqe);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = SHUNT_URING_GROUP;
		uring_name(sqe, URING_RECV, (uintptr_t)conn >> URING_KIND_BITS);
		conn->asked = true;
		tcp->pending++;
	}
}

void uring_conn_received(struct uring *uring, struct uring_conn *conn,
			 const struct io_uring_cqe *cqe)
{
	struct uring_chunk chunk = { .conn = conn };

	if (cqe->flags & IORING_CQE_F_BUFFER) {
		shunt_uring_take(&uring->ring, cqe->flags,
				 cqe->res > 0 ? (uint32_t)cqe->res : 0, &chunk.frame);
		if (cqe->res > 0 && !conn->shut) {
			uring_append(uring, chunk);
			conn->chunks++;
		} else {
			shunt_frames_put(&chunk.frame, 1);
		}
	}
	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		conn->asked = false;
		uring->tcp->pending--;
	}
	if (cqe->res == -ENOBUFS)
		uring->transport.count.no_memory++;
	else if (cqe->res == -EINVAL && uring->receive == URING_RECEIVE_MULTISHOT)
		uring->receive = URING_RECEIVE_SINGLE; /* Linux before 6.0 */
	else if (cqe->res <= 0 && cqe->res != -EINTR && cqe->res != -EAGAIN &&
		 cqe->res != -ECANCELED) /* as when the thread that asked ends */
		uring_conn_end(uring, conn);
	add_unasked(uring->tcp, conn);
	uring_conn_reap(uring, conn);
}
