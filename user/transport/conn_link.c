/* SPDX-License-Identifier: BSD-2-Clause */
/* What follows a step of a connection's state machine: packets, sessions, deadlines. */
#include "user/transport/conn_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void schedule(struct shunt_conn *conn)
{
	const struct shunt_conn_session *session = shunt_conn_session_now(conn);
	uint64_t due_ns = shunt_conn_state_due(&conn->state);

	if (session)
		due_ns = sooner(due_ns, shunt_reliable_due(session->end));
	if (conn->lingers)
		due_ns = sooner(due_ns, conn->linger_ns);
	shunt_conn_due_set(&conn->conns->due, conn->place, due_ns);
}

/* --- where the peer is ------------------------------------------------------------------ */

void shunt_conn_move(struct shunt_conn *conn, shunt_peer peer)
{
	struct shunt_conns *conns = conn->conns;
	const char *address;

	if (peer == conn->peer)
		return;
	address = shunt_peer_address(conns->transport, peer);
	if (!address)
		return;
	conns->count.moved += conn->address[0] && strcmp(address, conn->address);
	conn->peer = peer;
	memcpy(conn->address, address, strlen(address) + 1);
}

/* A stream that broke is made anew by who had made it. */
void shunt_conn_reopen(struct shunt_conn *conn)
{
	struct shunt_conns *conns = conn->conns;
	const bool stream =
		shunt_transport_caps(conns->transport) & SHUNT_TRANSPORT_STREAM;

	if (conn->peer != SHUNT_PEER_NONE || !conn->address[0] ||
	    conns->now_ns < conn->reopen_ns || (stream && !conn->state.caller))
		return;
	conn->reopen_ns = conns->now_ns + conns->rules.retry_ns;
	if (shunt_peer_open(conns->transport, &conn->peer, conn->address, NULL))
		conn->peer = SHUNT_PEER_NONE;
}

static void send_step(struct shunt_conn *conn, struct shunt_conn_step *step)
{
	if (!step->send_bytes)
		return;
	shunt_conn_reopen(conn);
	shunt_conn_out_send(conn->conns, conn->peer, step->send, step->send_bytes);
	step->send_bytes = 0;
}

/* --- turns ------------------------------------------------------------------------------ */

static uint64_t name_of(const struct shunt_conn *conn)
{
	uint64_t name;

	memcpy(&name, conn->state.handle, sizeof(name));
	return name ? name : 1;
}

/* Who calls anew has lost what it had with us. */
static void replace_older(struct shunt_conn *conn)
{
	struct shunt_conns *conns = conn->conns;
	const uint64_t name = name_of(conn);
	uint32_t i;

	for (i = 0; i < conns->opts.connections; i++) {
		struct shunt_conn *old = conns->place[i];

		if (conns->handle[i] != name || old == conn ||
		    memcmp(old->state.handle, conn->state.handle, SHUNT_CONN_HANDLE))
			continue;
		shunt_conn_end(old, SHUNT_CONN_REASON_REPLACED);
	}
	conns->handle[conn->place] = name;
}

static void leave_half(struct shunt_conn *conn)
{
	conn->conns->half -= conn->half;
	conn->half = false;
}

/* Somebody waits to know what has become of his call. */
static void settle(struct shunt_conn *conn)
{
	if (conn->owner != SHUNT_CONN_OWNER_CALLER || conn->settled)
		return;
	conn->settled = true;
	conn->conns->settled++;
}

static void turn_up(struct shunt_conn *conn)
{
	conn->conns->count.proven++;
	leave_half(conn);
	if (!shunt_conn_session_begin(conn)) {
		shunt_conn_end(conn, SHUNT_CONN_REASON_UNREAD);
		return;
	}
	if (conn->state.caller) {
		settle(conn);
	} else {
		replace_older(conn);
		conn->owner = SHUNT_CONN_OWNER_WAITING;
		shunt_conn_push_waiting(conn);
	}
	shunt_conn_push_work(conn);
	shunt_conn_announce(conn);
}

static bool is_loss(enum shunt_conn_reason reason)
{
	return reason != SHUNT_CONN_REASON_OURS && reason != SHUNT_CONN_REASON_THEIRS;
}

static void turn_over(struct shunt_conn *conn)
{
	struct shunt_conns *conns = conn->conns;

	conns->count.lost += conn->state.proven && is_loss(conn->state.reason);
	leave_half(conn);
	conns->handle[conn->place] = 0;
	settle(conn);
	shunt_conn_session_end(conn, conn->state.reason);
	shunt_conn_announce(conn);
}

void shunt_conn_follow(struct shunt_conn *conn, struct shunt_conn_step *step)
{
	send_step(conn, step);
	schedule(conn);
	switch (step->turn) {
	case SHUNT_CONN_TURN_NONE:
		break;
	case SHUNT_CONN_TURN_UP:
		turn_up(conn);
		break;
	case SHUNT_CONN_TURN_DOWN:
		turn_over(conn);
		break;
	case SHUNT_CONN_TURN_ENDED:
		turn_over(conn);
		shunt_conn_tidy(conn);
		break;
	}
}

void shunt_conn_end(struct shunt_conn *conn, enum shunt_conn_reason reason)
{
	struct shunt_conn_step step = { 0 };

	shunt_conn_state_end(&conn->state, reason, &step);
	shunt_conn_follow(conn, &step);
}

/* --- what is delivered ------------------------------------------------------------------ */

static bool keep_told(struct shunt_conn *conn, struct shunt_conn_session *session,
		      const struct shunt_message *message, uint32_t bytes)
{
	struct shunt_conns *conns = conn->conns;
	struct shunt_message *told;
	unsigned int at;

	if (!session->told)
		session->told = calloc(SHUNT_CONN_TOLD, sizeof(*session->told));
	if (!session->told || session->told_used == UINT64_MAX || conn->muted ||
	    conn->lingers || conns->told >= conns->told_most) {
		conns->count.unread++;
		return false;
	}
	at = (unsigned int)__builtin_ctzll(~session->told_used);
	told = &session->told[at];
	*told = *message;
	told->frame.data += SHUNT_CONN_FRONT;
	told->frame.len = bytes;
	session->told_used |= 1ull << at;
	session->told_unread |= 1ull << at;
	conns->told++;
	return true;
}

bool shunt_conn_deliver(struct shunt_conn *conn, const struct shunt_message *message,
			const struct shunt_conn_step *step)
{
	struct shunt_conn_session *session = shunt_conn_session_now(conn);
	struct shunt_conns *conns = conn->conns;
	bool kept = false;
	int ret;

	if (!session)
		return false;
	if (step->kind == SHUNT_CONN_KIND_DATAGRAM) {
		kept = keep_told(conn, session, message, step->bytes);
	} else {
		ret = shunt_reliable_input(session->end, conns->now_ns,
					   message->frame.data + SHUNT_CONN_FRONT,
					   step->bytes);
		if (ret == -EPROTO) {
			shunt_conn_end(conn, SHUNT_CONN_REASON_PROTOCOL);
			return false;
		}
		conns->count.unsound += ret != 0;
		session->writable |= session->refused;
		shunt_conn_push_work(conn);
	}
	shunt_conn_announce(conn);
	return kept;
}

/* --- what is to be sent ------------------------------------------------------------------ */

/* Takes leave once there is nothing more to wait for. */
static void close_if_idle(struct shunt_conn *conn)
{
	const struct shunt_conn_session *session = shunt_conn_session_now(conn);
	struct shunt_conn_now now = shunt_conns_now(conn->conns);
	struct shunt_conn_step step;

	if (session && !shunt_reliable_idle(session->end) && now.ns < conn->linger_ns)
		return;
	conn->lingers = false;
	shunt_conn_state_close(&conn->state, &now, &step);
	shunt_conn_session_end(conn, SHUNT_CONN_REASON_OURS);
	shunt_conn_follow(conn, &step);
}

/* A packet of its session: 1; 0: there is none; -errno: no room, or its end. */
static int pump_one(struct shunt_conn *conn, struct shunt_conn_session *session)
{
	struct shunt_conns *conns = conn->conns;
	struct shunt_message *message = shunt_conn_out_room(conns);
	uint32_t bytes;

	if (!message)
		return -EAGAIN;
	bytes = shunt_reliable_packet(session->end, conns->now_ns,
				      message->frame.data + SHUNT_CONN_FRONT,
				      message->room - SHUNT_CONN_OVERHEAD);
	if (!bytes)
		return 0;
	bytes = shunt_conn_state_seal(&conn->state, conns->now_ns,
				      SHUNT_CONN_KIND_RELIABLE, message->frame.data,
				      bytes);
	if (!bytes)
		return -EOVERFLOW;
	shunt_conn_reopen(conn);
	shunt_conn_out_commit(conns, conn->peer, bytes);
	return 1;
}

bool shunt_conn_pump(struct shunt_conn *conn)
{
	struct shunt_conn_session *session = shunt_conn_session_now(conn);
	unsigned int sent = 0;
	int ret = 0;

	while (session && sent < SHUNT_CONN_TURN_PACKETS) {
		ret = pump_one(conn, session);
		if (ret <= 0)
			break;
		sent++;
	}
	if (ret == -EOVERFLOW) {
		shunt_conn_end(conn, SHUNT_CONN_REASON_SPENT);
		return true;
	}
	schedule(conn);
	if (ret)
		shunt_conn_push_work(conn);
	if (conn->lingers)
		close_if_idle(conn);
	return ret != -EAGAIN;
}

void shunt_conn_tick(struct shunt_conn *conn)
{
	struct shunt_conn_now now = shunt_conns_now(conn->conns);
	const uint32_t id = conn->state.local;
	struct shunt_conns *conns = conn->conns;
	struct shunt_conn_step step;

	shunt_conn_state_tick(&conn->state, &now, &step);
	shunt_conn_follow(conn, &step);
	if (shunt_conn_of(conns, id) == conn)
		shunt_conn_push_work(conn);
}

void shunt_conn_doubt(struct shunt_conn *conn)
{
	struct shunt_conn_now now = shunt_conns_now(conn->conns);
	struct shunt_conn_step step;

	shunt_conn_state_doubt(&conn->state, &now, &step);
	shunt_conn_follow(conn, &step);
}

void shunt_conn_mute(struct shunt_conn *conn, bool muted)
{
	conn->muted = muted;
	shunt_conn_announce(conn);
}

bool shunt_conn_has_ended(const struct shunt_conn *conn)
{
	return conn->state.phase == SHUNT_CONN_PHASE_ENDED;
}
