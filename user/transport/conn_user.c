/* SPDX-License-Identifier: BSD-2-Clause */
/* What users do with connections. */
#include "user/transport/conn.h"

#include <errno.h>
#include <string.h>

#include "user/transport/conn_impl.h"

/* --- a peer that isn't proven --------------------------------------------------------------- */

int shunt_conn_call(struct shunt_conns *conns, struct shunt_conn_hello **hello,
		    const char *address, struct shunt_err *err)
{
	uint8_t handle[SHUNT_CONN_HANDLE];
	struct shunt_conn_now now;
	struct shunt_conn_step step;
	struct shunt_conn *conn;
	shunt_peer peer;
	uint32_t id;
	int ret;

	conn = shunt_conn_make(conns, &id);
	if (!conn)
		return shunt_fail(err, -ENOSPC,
				  "call %s: there are %u connections, as many as there "
				  "may be",
				  address, conns->opts.connections);
	ret = shunt_peer_open(conns->transport, &peer, address, err);
	if (ret) {
		shunt_conn_free(conn);
		return ret;
	}
	conns->now_ns = shunt_now_ns();
	conns->count.called++;
	now = shunt_conns_now(conns);
	now.random(now.self, handle, sizeof(handle));
	conn->owner = SHUNT_CONN_OWNER_CALLER;
	shunt_conn_move(conn, peer);
	shunt_conn_state_call(&conn->state, &conns->rules, id, handle, &now, &step);
	shunt_conn_follow(conn, &step);
	*hello = (struct shunt_conn_hello *)conn;
	return 0;
}

static void unsettle(struct shunt_conn *conn)
{
	conn->conns->settled -= conn->settled;
	conn->settled = false;
}

/* The handle goes back. */
static void let_go(struct shunt_conn *conn)
{
	struct shunt_conns *conns = conn->conns;

	unsettle(conn);
	conn->owner = SHUNT_CONN_OWNER_NOBODY;
	conn->muted = true;
	conn->linger_ns = shunt_now_ns() + conns->opts.linger_ms * 1000000ull;
	if (conn->in_news) {
		conn->in_news = false;
		TAILQ_REMOVE(&conns->news, conn, news_link);
	}
	if (conn->state.phase == SHUNT_CONN_PHASE_ENDED) {
		shunt_conn_free(conn);
		return;
	}
	conn->lingers = true;
	shunt_conn_push_work(conn);
}

void shunt_conn_give_up(struct shunt_conn_hello *hello)
{
	if (hello)
		let_go(&hello->conn);
}

int shunt_conn_proven(struct shunt_conn_hello **hello, struct shunt_conn **conn,
		      struct shunt_err *err)
{
	struct shunt_conn *called = &(*hello)->conn;
	int ret;

	if (called->state.phase == SHUNT_CONN_PHASE_ENDED && !called->first) {
		ret = shunt_fail(err, -ETIMEDOUT, "call %s: %s", called->address,
				 shunt_conn_reason_text(called->state.reason));
		*hello = NULL;
		let_go(called);
		return ret;
	}
	if (!called->state.proven)
		return 0;
	*hello = NULL;
	*conn = called;
	unsettle(called);
	called->owner = SHUNT_CONN_OWNER_USER;
	shunt_conn_announce(called);
	return 1;
}

int shunt_conn_prove(struct shunt_conn_hello **hello, struct shunt_conn **conn,
		     struct shunt_err *err)
{
	struct shunt_conns *conns = (*hello)->conn.conns;

	for (;;) {
		int ret = shunt_conn_proven(hello, conn, err);

		if (ret)
			return ret < 0 ? ret : 0;
		ret = shunt_conns_run(conns, err);
		if (ret > 0)
			continue;
		if (!ret) {
			const uint64_t now_ns = shunt_now_ns();
			const uint64_t due_ns = shunt_conns_due(conns);

			ret = due_ns > now_ns
				      ? shunt_transport_poll(conns->transport,
							     due_ns - now_ns, err)
				      : 0;
		}
		if (ret < 0) {
			shunt_conn_give_up(*hello);
			*hello = NULL;
			return ret;
		}
	}
}

/* --- a peer that is ------------------------------------------------------------------------- */

int shunt_conn_accept(struct shunt_conns *conns, struct shunt_conn **conn)
{
	*conn = shunt_conn_pop_waiting(conns);
	if (!*conn)
		return 0;
	(*conn)->owner = SHUNT_CONN_OWNER_USER;
	shunt_conn_announce(*conn);
	return 1;
}

void shunt_conn_close(struct shunt_conn *conn)
{
	if (conn)
		let_go(conn);
}

int shunt_conn_send(struct shunt_conn *conn, uint16_t channel, const void *bytes,
		    size_t len)
{
	struct shunt_conn_session *session = shunt_conn_session_now(conn);
	int ret;

	if (!session)
		return -ENOTCONN;
	if (len > UINT32_MAX)
		return -EMSGSIZE;
	ret = shunt_reliable_send(session->end, channel, bytes, (uint32_t)len);
	/* also when it was refused: the peer should know that we wait for it */
	shunt_conn_push_work(conn);
	if (!ret)
		session->refused = true;
	return ret == -EPROTO ? -ENOTCONN : ret;
}

size_t shunt_conn_tell_max(const struct shunt_conn *conn)
{
	return shunt_transport_datagram_max(conn->conns->transport) -
	       SHUNT_CONN_OVERHEAD;
}

int shunt_conn_tell(struct shunt_conn *conn, const void *bytes, size_t len)
{
	struct shunt_conns *conns = conn->conns;
	struct shunt_message *message;
	uint32_t sealed;

	if (len > shunt_conn_tell_max(conn))
		return -EMSGSIZE;
	if (!shunt_conn_is_up(conn))
		return -ENOTCONN;
	message = shunt_conn_out_room(conns);
	if (!message)
		return 0;
	if (len)
		memcpy(message->frame.data + SHUNT_CONN_FRONT, bytes, len);
	sealed = shunt_conn_state_seal(&conn->state, conns->now_ns,
				       SHUNT_CONN_KIND_DATAGRAM, message->frame.data,
				       (uint32_t)len);
	if (!sealed)
		return -ENOTCONN;
	shunt_conn_out_commit(conns, conn->peer, sealed);
	return 1;
}

int shunt_conn_is_idle(const struct shunt_conn *conn)
{
	const struct shunt_conn_session *session = shunt_conn_session_now(conn);

	return !session || shunt_reliable_idle(session->end);
}

int shunt_conn_is_up(const struct shunt_conn *conn)
{
	return shunt_conn_session_now(conn) != NULL;
}

uint64_t shunt_conn_heard_ns(const struct shunt_conn *conn)
{
	return conn->state.heard_ns;
}

const char *shunt_conn_address(const struct shunt_conn *conn)
{
	return conn->address;
}

void shunt_conn_set_user(struct shunt_conn *conn, void *user)
{
	conn->user = user;
}

void *shunt_conn_user(const struct shunt_conn *conn)
{
	return conn->user;
}
