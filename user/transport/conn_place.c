/* SPDX-License-Identifier: BSD-2-Clause */
/* The places of connections, the ids that peers know them by, and the lines they are in. */
#include "user/transport/conn_impl.h"

#include <errno.h>
#include <stdlib.h>

#include <sodium.h>

#define PLACE_BITS 16u

int shunt_conn_places_open(struct shunt_conns *conns, struct shunt_err *err)
{
	const uint32_t most = conns->opts.connections;
	uint32_t i;

	TAILQ_INIT(&conns->news);
	TAILQ_INIT(&conns->work);
	TAILQ_INIT(&conns->waiting);
	LIST_INIT(&conns->lent);
	conns->place = calloc(most, sizeof(*conns->place));
	conns->generation = calloc(most, sizeof(*conns->generation));
	conns->handle = calloc(most, sizeof(*conns->handle));
	conns->unused = calloc(most, sizeof(*conns->unused));
	if (!conns->place || !conns->generation || !conns->handle || !conns->unused)
		return shunt_fail(err, -ENOMEM, "no memory for %u connections", most);
	/* An id of the process before this one means nothing to this one, most likely;
	 * if it does, its packets have other keys. */
	randombytes_buf(conns->generation, most * sizeof(*conns->generation));
	for (i = 0; i < most; i++)
		conns->unused[i] = most - 1 - i;
	conns->unused_n = most;
	return shunt_conn_due_open(&conns->due, most, err);
}

void shunt_conn_places_close(struct shunt_conns *conns)
{
	uint32_t i;

	for (i = 0; conns->place && i < conns->opts.connections; i++)
		if (conns->place[i])
			shunt_conn_free(conns->place[i]);
	shunt_conn_due_close(&conns->due);
	free(conns->place);
	free(conns->generation);
	free(conns->handle);
	free(conns->unused);
}

struct shunt_conn *shunt_conn_make(struct shunt_conns *conns, uint32_t *id)
{
	struct shunt_conn *conn;

	if (!conns->unused_n)
		return NULL;
	conn = calloc(1, sizeof(*conn));
	if (!conn)
		return NULL;
	conn->conns = conns;
	conn->place = conns->unused[--conns->unused_n];
	conns->place[conn->place] = conn;
	*id = (uint32_t)++conns->generation[conn->place] << PLACE_BITS |
	      (conn->place + 1);
	return conn;
}

struct shunt_conn *shunt_conn_of(const struct shunt_conns *conns, uint32_t id)
{
	const uint32_t place = (id & ((1u << PLACE_BITS) - 1)) - 1;
	struct shunt_conn *conn;

	if (place >= conns->opts.connections)
		return NULL;
	conn = conns->place[place];
	return conn && conn->state.local == id ? conn : NULL;
}

/* The peer that a caller has opened stays for those who use it, too. */
static void leave_peer(const struct shunt_conn *conn)
{
	const struct shunt_conns *conns = conn->conns;
	uint32_t i;

	if (!conn->state.caller || conn->peer == SHUNT_PEER_NONE)
		return;
	for (i = 0; i < conns->opts.connections; i++)
		if (conns->place[i] && conns->place[i]->peer == conn->peer)
			return;
	shunt_peer_close(conns->transport, conn->peer);
}

void shunt_conn_free(struct shunt_conn *conn)
{
	struct shunt_conns *conns = conn->conns;

	shunt_conn_session_drop_all(conn);
	if (conn->in_news)
		TAILQ_REMOVE(&conns->news, conn, news_link);
	if (conn->in_work)
		TAILQ_REMOVE(&conns->work, conn, work_link);
	if (conn->in_waiting)
		TAILQ_REMOVE(&conns->waiting, conn, waiting_link);
	conns->half -= conn->half;
	shunt_conn_due_remove(&conns->due, conn->place);
	conns->handle[conn->place] = 0;
	conns->place[conn->place] = NULL;
	conns->unused[conns->unused_n++] = conn->place;
	leave_peer(conn);
	sodium_memzero(&conn->state, sizeof(conn->state));
	free(conn);
}

void shunt_conn_tidy(struct shunt_conn *conn)
{
	if (conn->owner == SHUNT_CONN_OWNER_NOBODY &&
	    conn->state.phase == SHUNT_CONN_PHASE_ENDED)
		shunt_conn_free(conn);
}

#define LINE(name)                                                                     \
	void shunt_conn_push_##name(struct shunt_conn *conn)                           \
	{                                                                              \
		if (conn->in_##name)                                                   \
			return;                                                        \
		conn->in_##name = true;                                                \
		TAILQ_INSERT_TAIL(&conn->conns->name, conn, name##_link);              \
	}                                                                              \
                                                                                       \
	struct shunt_conn *shunt_conn_pop_##name(struct shunt_conns *conns)            \
	{                                                                              \
		struct shunt_conn *conn = TAILQ_FIRST(&conns->name);                   \
                                                                                       \
		if (conn) {                                                            \
			conn->in_##name = false;                                       \
			TAILQ_REMOVE(&conns->name, conn, name##_link);                 \
		}                                                                      \
		return conn;                                                           \
	}

LINE(news)
LINE(work)
LINE(waiting)
