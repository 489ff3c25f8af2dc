/* SPDX-License-Identifier: BSD-2-Clause */
/* Sessions, and what their users read of them. */
#include "user/transport/conn_impl.h"

#include <errno.h>
#include <stdlib.h>

/* --- sessions --------------------------------------------------------------------------- */

struct shunt_conn_session *shunt_conn_session_now(const struct shunt_conn *conn)
{
	return conn->last && !conn->last->over ? conn->last : NULL;
}

static struct shunt_reliable *open_end(const struct shunt_conn *conn)
{
	const struct shunt_conns *conns = conn->conns;
	const uint32_t most = shunt_transport_datagram_max(conns->transport);
	const struct shunt_reliable_opts opts = {
		.sz = sizeof(opts),
		.theirs = conn->state.theirs,
		.ours = conns->rules.terms,
		.send_bytes = conns->rules.terms.window_bytes,
		.packet_bytes = most - (uint32_t)SHUNT_CONN_OVERHEAD,
		.congestion = conns->opts.congestion_bytes ? SHUNT_RELIABLE_FIXED
							   : SHUNT_RELIABLE_NEWRENO,
		.congestion_bytes = conns->opts.congestion_bytes,
	};
	struct shunt_reliable *end;

	return shunt_reliable_open(&end, &opts, NULL) ? NULL : end;
}

bool shunt_conn_session_begin(struct shunt_conn *conn)
{
	struct shunt_conn_session *session;

	if (conn->sessions >= SHUNT_CONN_SESSIONS)
		return false;
	session = calloc(1, sizeof(*session));
	if (!session)
		return false;
	session->end = open_end(conn);
	if (!session->end) {
		free(session);
		return false;
	}
	session->conn = conn;
	session->again = conn->last || conn->owner == SHUNT_CONN_OWNER_USER;
	if (conn->last)
		conn->last->next = session;
	else
		conn->first = session;
	conn->last = session;
	conn->sessions++;
	return true;
}

/* What was fetched is the user's to read still; what lies there unfetched, too. */
static void fetch(struct shunt_conn_session *session)
{
	if (session->ready_at < session->ready_n)
		return;
	session->ready_at = 0;
	session->ready_n =
		shunt_reliable_recv(session->end, session->ready, SHUNT_CONN_TURN_NEWS);
}

static void free_session(struct shunt_conn_session *session)
{
	shunt_reliable_close(session->end);
	free(session->told);
	free(session);
}

static void release_told(struct shunt_conns *conns, struct shunt_conn_session *session,
			 uint64_t which)
{
	session->told_used &= ~which;
	session->told_unread &= ~which;
	for (; which; which &= which - 1) {
		shunt_release(conns->transport, &session->told[__builtin_ctzll(which)],
			      1);
		conns->told--;
	}
}

/* Takes the first one out; it is freed when nothing of it is lent any more. */
static void drop_first(struct shunt_conn *conn)
{
	struct shunt_conn_session *session = conn->first;

	conn->first = session->next;
	if (conn->last == session)
		conn->last = NULL;
	conn->sessions--;
	session->conn = NULL;
	release_told(conn->conns, session, session->told_unread);
	if (!session->lent)
		free_session(session);
	else
		LIST_INSERT_HEAD(&conn->conns->lent, session, lent_link);
}

void shunt_conn_session_drop_all(struct shunt_conn *conn)
{
	while (conn->first)
		drop_first(conn);
}

void shunt_conn_session_drop_lent(struct shunt_conns *conns)
{
	struct shunt_conn_session *session;

	while ((session = LIST_FIRST(&conns->lent))) {
		LIST_REMOVE(session, lent_link);
		release_told(conns, session, session->told_used);
		free_session(session);
	}
}

void shunt_conn_session_end(struct shunt_conn *conn, enum shunt_conn_reason reason)
{
	struct shunt_conn_session *session = shunt_conn_session_now(conn);

	if (!session)
		return;
	session->over = true;
	session->reason = reason;
}

/* --- what there is to read ------------------------------------------------------------------ */

static bool has_bytes(struct shunt_conn_session *session)
{
	fetch(session);
	return session->told_unread || session->ready_at < session->ready_n;
}

static bool has_ended(const struct shunt_conn *conn)
{
	return !conn->first && conn->state.phase == SHUNT_CONN_PHASE_ENDED &&
	       !conn->end_told;
}

/* While its pool has it, what comes is of no use to anybody. */
static void skip(struct shunt_conn *conn)
{
	while (conn->first) {
		struct shunt_conn_session *session = conn->first;

		session->again = session->writable = session->refused = false;
		release_told(conn->conns, session, session->told_unread);
		while (has_bytes(session)) {
			shunt_reliable_release(session->end,
					       session->ready + session->ready_at,
					       session->ready_n - session->ready_at);
			session->ready_at = session->ready_n;
		}
		if (!session->over)
			return;
		drop_first(conn);
	}
}

void shunt_conn_announce(struct shunt_conn *conn)
{
	struct shunt_conn_session *session;

	if (conn->muted)
		skip(conn);
	session = conn->first;
	if (conn->owner != SHUNT_CONN_OWNER_USER || conn->muted)
		return;
	if (session ? session->again || session->writable || session->over ||
			      has_bytes(session)
		    : has_ended(conn))
		shunt_conn_push_news(conn);
}

static void tell_datagram(struct shunt_conn_session *session,
			  struct shunt_conn_news *news)
{
	const unsigned int at = (unsigned int)__builtin_ctzll(session->told_unread);

	session->told_unread &= session->told_unread - 1;
	session->lent++;
	news->kind = SHUNT_CONN_DATAGRAM_NEWS;
	news->data = session->told[at].frame.data;
	news->len = session->told[at].frame.len;
	news->token = at;
	news->session = session;
}

static void tell_message(struct shunt_conn_session *session,
			 struct shunt_conn_news *news)
{
	const struct shunt_reliable_message *message =
		&session->ready[session->ready_at++];

	session->lent++;
	news->kind = SHUNT_CONN_MESSAGE_NEWS;
	news->data = message->data;
	news->len = message->length;
	news->channel = message->channel;
	news->token = message->token;
	news->session = session;
}

/* The next piece of news of a connection; false: there is none. */
static bool tell(struct shunt_conn *conn, struct shunt_conn_news *news)
{
	struct shunt_conn_session *session;

	*news = (struct shunt_conn_news){ .conn = conn };
	while ((session = conn->first)) {
		if (session->again) {
			session->again = false;
			news->kind = SHUNT_CONN_UP_NEWS;
		} else if (session->told_unread) {
			tell_datagram(session, news);
		} else if (has_bytes(session)) {
			tell_message(session, news);
		} else if (session->over) {
			bool last = session == conn->last &&
				    conn->state.phase == SHUNT_CONN_PHASE_ENDED;

			news->kind = SHUNT_CONN_DOWN_NEWS;
			news->reason = shunt_conn_reason_text(session->reason);
			drop_first(conn);
			if (last)
				continue;
		} else if (session->writable) {
			session->writable = session->refused = false;
			news->kind = SHUNT_CONN_WRITABLE_NEWS;
		} else {
			return false;
		}
		return true;
	}
	if (!has_ended(conn))
		return false;
	conn->end_told = true;
	news->kind = SHUNT_CONN_ENDED_NEWS;
	news->reason = shunt_conn_reason_text(conn->state.reason);
	return true;
}

unsigned int shunt_conns_news(struct shunt_conns *conns, struct shunt_conn_news *news,
			      unsigned int max)
{
	struct shunt_conn *conn;
	unsigned int got = 0, turn;

	while (got < max && (conn = shunt_conn_pop_news(conns))) {
		for (turn = 0; turn < SHUNT_CONN_TURN_NEWS && got < max; turn++)
			if (!tell(conn, &news[got++])) {
				got--;
				break;
			}
		shunt_conn_announce(conn);
	}
	return got;
}

static void release_one(struct shunt_conns *conns, const struct shunt_conn_news *news)
{
	struct shunt_conn_session *session = news->session;
	const struct shunt_reliable_message message = { .data = news->data,
							.length = news->len,
							.channel = news->channel,
							.token = news->token };

	if (!session)
		return;
	if (news->kind == SHUNT_CONN_DATAGRAM_NEWS)
		release_told(conns, session, 1ull << news->token);
	else
		shunt_reliable_release(session->end, &message, 1);
	session->lent--;
	if (session->conn)
		shunt_conn_push_work(session->conn); /* there may be credit to tell */
	if (session->conn || session->lent)
		return;
	LIST_REMOVE(session, lent_link);
	free_session(session);
}

void shunt_conns_release(struct shunt_conns *conns, const struct shunt_conn_news *news,
			 unsigned int n)
{
	while (n--)
		release_one(conns, news++);
}
