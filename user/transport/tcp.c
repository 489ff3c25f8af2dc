/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/tcp.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "user/rt/pool.h"

#define LINGER_NS                                                                      \
	UINT64_C(1000000000)	    /* a half-closed peer may be answered for so long */
#define DEAF_NS UINT64_C(100000000) /* without descriptors, accept again after this */
#define SPILL_NS UINT64_C(1000000)  /* streams leave the pool so often at most */
#define RETRY_NS UINT64_C(100000)   /* what waits for a frame is tried again */
#define GUESSES 4u	      /* looks at one connection for each look at all of them */
#define ACCEPTS 64u	      /* connections accepted at a time */
#define DRAINS 64u	      /* reads of what nobody wants, before a close */
#define SPARE_DESCRIPTORS 64u /* for what else the process has open */

static struct shunt_tcp_peer *of(struct shunt_peer_state *state)
{
	return (struct shunt_tcp_peer *)state;
}

static int fd_of(const struct shunt_tcp_peer *peer)
{
	return peer->fd_plus - 1;
}

/* --- lines of peers ------------------------------------------------------------------ */

static void append(struct shunt_tcp_line *line, struct shunt_tcp_peer *peer)
{
	peer->next = NULL;
	peer->before = line->last;
	if (line->last)
		line->last->next = peer;
	else
		line->first = peer;
	line->last = peer;
	peer->in_line = true;
}

static void leave(struct shunt_tcp_line *line, struct shunt_tcp_peer *peer)
{
	if (peer->before)
		peer->before->next = peer->next;
	else
		line->first = peer->next;
	if (peer->next)
		peer->next->before = peer->before;
	else
		line->last = peer->before;
	peer->in_line = false;
}

static void leave_all(struct shunt_tcp_set *tcp, struct shunt_tcp_peer *peer)
{
	if (peer->in_line)
		leave(peer->ended ? &tcp->ended : &tcp->ready, peer);
}

/* --- watching --------------------------------------------------------------------------- */

static int watch(struct shunt_tcp_set *tcp, struct shunt_tcp_peer *peer, bool in,
		 bool out)
{
	unsigned int was = (peer->in_watched ? SHUNT_TCP_IN : 0) |
			   (peer->out_watched ? SHUNT_TCP_OUT : 0);
	unsigned int what = (in ? SHUNT_TCP_IN : 0) | (out ? SHUNT_TCP_OUT : 0);
	int ret = was == what
			  ? 0
			  : tcp->watch(tcp->transport, fd_of(peer), peer, what, was);

	if (!ret) {
		tcp->full += (uint32_t)out - peer->out_watched;
		peer->in_watched = in;
		peer->out_watched = out;
	}
	return ret;
}

/* A connection becomes the peer's. */
static int adopt(struct shunt_tcp_set *tcp, struct shunt_tcp_peer *peer, int fd)
{
	int ret = tcp->watch(tcp->transport, fd, peer, SHUNT_TCP_IN, SHUNT_TCP_NEW);

	if (ret)
		return ret;
	peer->fd_plus = fd + 1;
	peer->in_watched = true;
	peer->out_watched = false;
	return 0;
}

/* --- sending ------------------------------------------------------------------------------ */

/* Writes what waits: 0, also if some of it still does; or -errno. */
static int flush(struct shunt_tcp_set *tcp, struct shunt_tcp_peer *peer)
{
	struct shunt_transport_stats *count = &tcp->transport->count;
	struct iovec iov[SHUNT_STREAM_BACKLOG];
	struct msghdr message = { .msg_iov = iov };

	while (shunt_stream_waiting(&peer->out)) {
		ssize_t sent;

		message.msg_iovlen =
			shunt_stream_iov(&peer->out, iov, SHUNT_STREAM_BACKLOG);
		count->system_calls++;
		sent = message.msg_iovlen == 1
			       ? send(fd_of(peer), iov[0].iov_base, iov[0].iov_len,
				      SHUNT_SOCK_FLAGS)
			       : sendmsg(fd_of(peer), &message, SHUNT_SOCK_FLAGS);
		if (sent >= 0) {
			count->tx_datagrams +=
				shunt_stream_wrote(&peer->out, (uint64_t)sent);
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
			return watch(tcp, peer, peer->in_watched, true);
		if (errno != EINTR)
			return -errno;
	}
	return watch(tcp, peer, peer->in_watched, false);
}

static void drop(struct shunt_tcp_set *tcp, struct shunt_tcp_peer *peer)
{
	tcp->transport->count.tx_failed += shunt_stream_waiting(&peer->out);
	shunt_stream_out_close(&peer->out);
	shunt_transport_drop(tcp->transport, &peer->state);
}

int shunt_tcp_tx(struct shunt_tcp_set *tcp, struct shunt_datagram *datagrams,
		 unsigned int n)
{
	unsigned int i = 0;

	while (i < n) {
		struct shunt_tcp_peer *peer = of(datagrams[i].peer);
		unsigned int first = i;

		if (!peer->fd_plus || peer->broken)
			return i ? (int)i : -ENOTCONN;
		while (i < n && datagrams[i].peer == &peer->state &&
		       shunt_stream_push(&peer->out, &datagrams[i].frame))
			i++;
		if (flush(tcp, peer))
			drop(tcp, peer);
		else if (i == first &&
			 shunt_stream_waiting(&peer->out) == SHUNT_STREAM_BACKLOG)
			break;
	}
	return (int)i;
}

/* --- receiving ---------------------------------------------------------------------------- */

/* It sends no more. What it still wants to hear can be sent for a while. */
static void end(struct shunt_tcp_set *tcp, struct shunt_tcp_peer *peer)
{
	tcp->transport->count.incomplete += shunt_stream_cut(&peer->in);
	shunt_stream_in_close(&peer->in);
	if (watch(tcp, peer, false, peer->out_watched)) {
		peer->broken = true;
		return;
	}
	leave_all(tcp, peer);
	peer->ended = true;
	peer->ended_ns = shunt_now_ns();
	append(&tcp->ended, peer);
}

/* Streams that never go on give the pool's frames back. */
static void spill(struct shunt_tcp_set *tcp)
{
	struct shunt_peer_state *state;
	uint64_t now_ns = shunt_now_ns();
	uint32_t at = 0;

	if (now_ns - tcp->spilt_ns < SPILL_NS)
		return;
	tcp->spilt_ns = now_ns;
	while ((state = shunt_transport_each(tcp->transport, &at)))
		(void)shunt_stream_spill(&of(state)->in, tcp->transport);
}

/* Reads once. 1: there may be more; 0: that was all; -ENOBUFS: no frame; other -errno: the
 * connection is broken. */
static int read_some(struct shunt_tcp_set *tcp, struct shunt_tcp_peer *peer)
{
	uint32_t bytes;
	void *to;
	ssize_t got;

	if (!shunt_stream_room(&peer->in, tcp->transport, &to, &bytes)) {
		spill(tcp);
		return -ENOBUFS;
	}
	do {
		tcp->transport->count.system_calls++;
		got = recv(fd_of(peer), to, bytes, MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	shunt_stream_came(&peer->in, got > 0 ? (uint32_t)got : 0);
	if (!got) {
		end(tcp, peer);
		return 0;
	}
	if (got < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	tcp->hot = peer;
	return (uint32_t)got == bytes;
}

/* Messages of one peer, and one read if they run out; what that read brought is taken as
 * well. Returns how many; *again: it is to be looked at again. */
static unsigned int take(struct shunt_tcp_set *tcp, struct shunt_tcp_peer *peer,
			 struct shunt_datagram *datagrams, unsigned int max,
			 bool *again)
{
	struct shunt_transport_stats *count = &tcp->transport->count;
	unsigned int got = 0;
	bool has_read = false;
	int ret = 1;

	*again = true;
	while (got < max && !peer->broken) {
		int whole = shunt_stream_next(&peer->in, tcp->transport,
					      &datagrams[got].frame);

		if (whole > 0) {
			datagrams[got++].peer = &peer->state;
			continue;
		}
		if (whole == -ENOBUFS)
			break;
		count->malformed += whole < 0;
		peer->broken = whole < 0;
		if (peer->broken || has_read) {
			*again = peer->broken || ret;
			break;
		}
		has_read = true;
		ret = read_some(tcp, peer);
		if (peer->ended)
			break;
		if (ret == -ENOBUFS)
			break;
		peer->broken = ret < 0;
	}
	count->rx_datagrams += got;
	return got;
}

unsigned int shunt_tcp_rx(struct shunt_tcp_set *tcp, struct shunt_datagram *datagrams,
			  unsigned int max)
{
	struct shunt_tcp_peer *peer, *last = tcp->ready.last;
	unsigned int got = 0;

	while (got < max && (peer = tcp->ready.first)) {
		unsigned int here = 0;
		bool again, was_last = peer == last;

		if (!peer->broken)
			here = take(tcp, peer, datagrams + got, max - got, &again);
		got += here;
		/* what it still sent is received before it goes */
		if (peer->broken && !here)
			drop(tcp, peer);
		else if (!peer->ended) {
			leave(&tcp->ready, peer);
			if (again)
				append(&tcp->ready, peer);
		}
		if (was_last) /* each of them once */
			break;
	}
	return got;
}

/* --- what a loop reports -------------------------------------------------------------------- */

static bool is_short_of_room(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOBUFS ||
	       error == -ENOMEM;
}

/* Connections wait until there are descriptors again, and the loop does not spin. */
static void turn_deaf(struct shunt_tcp_set *tcp)
{
	if (tcp->watch(tcp->transport, tcp->listener, NULL, 0, SHUNT_TCP_IN))
		return;
	tcp->transport->count.no_peer++;
	tcp->deaf_ns = shunt_now_ns() + DEAF_NS;
}

static void accept_some(struct shunt_tcp_set *tcp)
{
	struct shunt_peer_state *peer;
	struct shunt_endpoint remote;
	unsigned int i;

	for (i = 0; i < ACCEPTS; i++) {
		int fd = shunt_sock_accept(tcp->listener, &remote, &tcp->opts);

		tcp->transport->count.system_calls++;
		if (fd < 0) {
			if (is_short_of_room(fd))
				turn_deaf(tcp);
			return;
		}
		/* one with the same address has ended without our noticing */
		peer = shunt_transport_peer(tcp->transport, &remote, false);
		if (peer)
			drop(tcp, of(peer));
		peer = shunt_transport_peer(tcp->transport, &remote, true);
		if (!peer) {
			close(fd);
			continue;
		}
		if (adopt(tcp, of(peer), fd)) {
			close(fd);
			shunt_transport_drop(tcp->transport, peer);
		}
	}
}

void shunt_tcp_ready(struct shunt_tcp_set *tcp, struct shunt_tcp_peer *who, bool in,
		     bool out, bool broken)
{
	if (!who) {
		accept_some(tcp);
		return;
	}
	if (!who->fd_plus) /* dropped since it was reported */
		return;
	if (out && flush(tcp, who))
		broken = true;
	if (who->ended) {
		if (broken)
			drop(tcp, who);
		return;
	}
	/* of one that broke, too, what it sent before is to be read */
	if ((in || broken) && !who->in_line)
		append(&tcp->ready, who);
}

bool shunt_tcp_must_ask(struct shunt_tcp_set *tcp)
{
	/* however much there is to read: others may have come, or wait to be accepted */
	if (!(++tcp->guesses % GUESSES))
		return true;
	if (tcp->ready.first)
		return false;
	if (!tcp->hot || tcp->hot->in_line)
		return true;
	append(&tcp->ready, tcp->hot);
	return false;
}

/* --- peers ----------------------------------------------------------------------------------- */

int shunt_tcp_peer_open(struct shunt_tcp_set *tcp, struct shunt_peer_state *peer,
			uint64_t deadline_ns, struct shunt_err *err)
{
	int fd = shunt_sock_connect(&tcp->transport->local, &peer->remote, &tcp->opts,
				    deadline_ns, err);
	int ret;

	if (fd < 0)
		return fd;
	ret = adopt(tcp, of(peer), fd);
	if (ret) {
		close(fd);
		return shunt_fail_errno(err, ret, "watch a connection");
	}
	return 0;
}

/*
 * A close with bytes unread is a reset, which would destroy what the peer has not read
 * yet: so what it sent last is read and thrown away, as far as it is there.
 */
static void close_gently(int fd)
{
	uint8_t nobody[4096];
	unsigned int i;

	(void)shutdown(fd, SHUT_WR);
	for (i = 0; i < DRAINS; i++)
		if (recv(fd, nobody, sizeof(nobody), MSG_DONTWAIT) <= 0)
			break;
	close(fd);
}

void shunt_tcp_peer_close(struct shunt_tcp_set *tcp, struct shunt_peer_state *state)
{
	struct shunt_tcp_peer *peer = of(state);

	leave_all(tcp, peer);
	if (tcp->hot == peer)
		tcp->hot = NULL;
	if (peer->fd_plus) {
		if (!peer->broken && flush(tcp, peer)) {
			/* it is closed in any case */
		}
		tcp->transport->count.tx_failed += shunt_stream_waiting(&peer->out);
		close_gently(fd_of(peer));
		peer->fd_plus = 0;
		tcp->full -= peer->out_watched;
	}
	shunt_stream_in_close(&peer->in);
	shunt_stream_out_close(&peer->out);
}

/* --- time -------------------------------------------------------------------------------------- */

void shunt_tcp_kick(struct shunt_tcp_set *tcp)
{
	uint64_t now_ns;

	if (!tcp->ended.first && !tcp->deaf_ns)
		return;
	now_ns = shunt_now_ns();
	while (tcp->ended.first && now_ns - tcp->ended.first->ended_ns >= LINGER_NS)
		drop(tcp, tcp->ended.first);
	if (tcp->deaf_ns && now_ns >= tcp->deaf_ns &&
	    !tcp->watch(tcp->transport, tcp->listener, NULL, SHUNT_TCP_IN, 0))
		tcp->deaf_ns = 0;
}

uint64_t shunt_tcp_due(const struct shunt_tcp_set *tcp)
{
	uint64_t due_ns = tcp->ready.first ? shunt_now_ns() + RETRY_NS : UINT64_MAX;

	if (tcp->ended.first && tcp->ended.first->ended_ns + LINGER_NS < due_ns)
		due_ns = tcp->ended.first->ended_ns + LINGER_NS;
	if (tcp->deaf_ns && tcp->deaf_ns < due_ns)
		due_ns = tcp->deaf_ns;
	return due_ns;
}

/* --- opening ------------------------------------------------------------------------------------- */

int shunt_tcp_open(struct shunt_tcp_set *tcp, struct shunt_transport *transport,
		   const struct shunt_sock_opts *opts, shunt_tcp_watch how,
		   struct shunt_err *err)
{
	int ret;

	if (!transport->options.header)
		return shunt_fail(
			err, -EINVAL,
			"header=off does not go with proto=tcp: the header says "
			"where a message ends");
	tcp->transport = transport;
	tcp->watch = how;
	tcp->opts = *opts;
	tcp->descriptors =
		shunt_sock_descriptors(transport->options.peers + SPARE_DESCRIPTORS);
	tcp->listener = shunt_sock_listen(&transport->local, opts, err);
	if (tcp->listener < 0)
		return tcp->listener;
	ret = tcp->watch(transport, tcp->listener, NULL, SHUNT_TCP_IN, SHUNT_TCP_NEW);
	if (ret)
		return shunt_fail_errno(err, ret, "watch the listener");
	transport->caps = SHUNT_TRANSPORT_RELIABLE | SHUNT_TRANSPORT_ORDERED |
			  SHUNT_TRANSPORT_STREAM | SHUNT_TRANSPORT_BLOCKS;
	transport->datagram_max = transport->options.mtu
					  ? (uint32_t)transport->options.mtu
					  : transport->pool->room;
	return 0;
}

void shunt_tcp_close(struct shunt_tcp_set *tcp)
{
	if (tcp->listener >= 0)
		close(tcp->listener);
	tcp->listener = -1;
}
