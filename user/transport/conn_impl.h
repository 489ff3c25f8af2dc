/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of an endpoint of connections share; nobody else includes it. */
#pragma once

/*
 *     transport ─▶ conn.c ─▶ state machine ─▶ conn_link.c ─▶ session ─▶ conn_news.c ─▶ user
 *     transport ◀─ conn_out.c ◀─ state machine, session ◀─ conn_user.c ◀──────────── user
 *
 * A session lasts from UP to DOWN or ENDED, and has one end of reliable.h.
 *
 * A connection belongs to its user (as a hello, as a connection, or unknown to anybody
 * yet) and to the endpoint; it is freed when it has ended and no user has it. What it
 * received in a session stays readable after the session's end.
 */
#include <stdbool.h>
#include <sys/queue.h>

#include "user/transport/backend.h"
#include "user/transport/conn.h"
#include "user/transport/conn_due.h"
#include "user/transport/conn_gate.h"
#include "user/transport/conn_state.h"
#include "user/transport/reliable.h"

#define SHUNT_CONN_SESSIONS 4u /* unread ones of a connection; more end it */
#define SHUNT_CONN_TOLD 64u /* datagrams of a session that are kept; bits of a word */
#define SHUNT_CONN_TURN_NEWS 16u /* of a connection, before it is the next one's turn */
#define SHUNT_CONN_TURN_PACKETS 64u

/* Who has the handle. */
enum shunt_conn_owner {
	SHUNT_CONN_OWNER_NOBODY,  /* answered and not proven, or let go of */
	SHUNT_CONN_OWNER_CALLER,  /* as a hello */
	SHUNT_CONN_OWNER_WAITING, /* proven, in the line of accept */
	SHUNT_CONN_OWNER_USER,	  /* as a connection */
};

/* From UP to DOWN or ENDED. */
struct shunt_conn_session {
	struct shunt_conn_session *next;	  /* of its connection */
	LIST_ENTRY(shunt_conn_session) lent_link; /* without a connection */
	struct shunt_conn *conn;		  /* NULL: it is only lent out */
	struct shunt_reliable *end;
	struct shunt_reliable_message ready[SHUNT_CONN_TURN_NEWS]; /* fetched from it */
	uint32_t ready_at, ready_n;
	struct shunt_message
		*told; /* SHUNT_CONN_TOLD datagrams, lent by the transport */
	uint64_t told_used, told_unread;
	uint32_t lent; /* messages and datagrams in the user's hands */
	bool again;    /* it begins with news of UP */
	bool refused;  /* a send was, and WRITABLE is owed */
	bool writable; /* the peer has taken something since */
	bool over;     /* it ends with news of DOWN, or is followed by ENDED */
	enum shunt_conn_reason reason;
};

struct shunt_conn {
	struct shunt_conns *conns;
	struct shunt_conn_state state;
	uint32_t place;
	enum shunt_conn_owner owner;
	shunt_peer peer;    /* NONE: unknown until it is heard, or opened again */
	uint64_t reopen_ns; /* not earlier */
	char address[SHUNT_ENDPOINT_TEXT];
	struct shunt_conn_session *first; /* that the user reads */
	struct shunt_conn_session *last;  /* the newest */
	uint32_t sessions;
	uint64_t linger_ns; /* it is let go of: when to close at the latest */
	bool lingers;
	bool half;     /* counted as such */
	bool settled;  /* likewise */
	bool muted;    /* its pool has it: what comes is dropped */
	bool end_told; /* ENDED was in the news */
	bool in_news, in_work, in_waiting;
	TAILQ_ENTRY(shunt_conn) news_link, work_link, waiting_link;
	void *user;
};

/* The same, by a type that can't be sent to. */
struct shunt_conn_hello {
	struct shunt_conn conn;
};

TAILQ_HEAD(shunt_conn_line, shunt_conn);
LIST_HEAD(shunt_conn_lent, shunt_conn_session);

struct shunt_conns {
	struct shunt_transport *transport;
	struct shunt_psk *psk;
	struct shunt_conn_rules rules;
	struct shunt_conn_gate gate;
	struct shunt_conns_opts opts; /* with the defaults filled in */
	struct shunt_conns_stats count;

	struct shunt_conn **place; /* by the low 16 bits of the id, less one */
	uint16_t *generation;	   /* the high 16 bits of the next id */
	uint64_t *handle;	   /* of proven callers: the first bytes; else 0 */
	uint32_t *unused;
	uint32_t unused_n;
	uint32_t half; /* answered and not proven */
	uint64_t told; /* datagrams that are kept; told_most is part of the buffers */
	uint64_t told_most;
	struct shunt_conn_due due;

	struct shunt_conn_line news;	/* there is something to tell */
	struct shunt_conn_line work;	/* packets may be to be sent there */
	struct shunt_conn_line waiting; /* for accept */
	struct shunt_conn_lent lent;	/* sessions that only a release is waited for */
	uint32_t settled; /* calls that came to their end, and nobody has looked */

	struct shunt_message spare[SHUNT_BURST]; /* reserved, not filled */
	unsigned int spares;
	struct shunt_message out[SHUNT_BURST]; /* filled, not taken */
	unsigned int outs;
	uint64_t now_ns; /* of this run */
};

struct shunt_conn_now shunt_conns_now(struct shunt_conns *conns);

/* --- conn_place.c: places, ids and lines -------------------------------------------------- */

SHUNT_MUST_CHECK int shunt_conn_places_open(struct shunt_conns *conns,
					    struct shunt_err *err);
void shunt_conn_places_close(struct shunt_conns *conns);

/* A connection, and the id by which its peer will name it; NULL: there are too many, or
 * no memory. */
struct shunt_conn *shunt_conn_make(struct shunt_conns *conns, uint32_t *id);
/* NULL: none has this id. */
struct shunt_conn *shunt_conn_of(const struct shunt_conns *conns, uint32_t id);
/* Frees it if it has ended and nobody has its handle. */
void shunt_conn_tidy(struct shunt_conn *conn);
/* Frees it whatever it is. */
void shunt_conn_free(struct shunt_conn *conn);
/* Each of these lines has it at most once. */
void shunt_conn_push_news(struct shunt_conn *conn);
void shunt_conn_push_work(struct shunt_conn *conn);
void shunt_conn_push_waiting(struct shunt_conn *conn);
struct shunt_conn *shunt_conn_pop_news(struct shunt_conns *conns);
struct shunt_conn *shunt_conn_pop_work(struct shunt_conns *conns);
struct shunt_conn *shunt_conn_pop_waiting(struct shunt_conns *conns);

/* --- conn_link.c: what follows a step ------------------------------------------------------- */

/* Sends what the step says, begins and ends sessions; the connection may be freed. */
void shunt_conn_follow(struct shunt_conn *conn, struct shunt_conn_step *step);
/* The bytes that a step has delivered; true: the message is kept. */
bool shunt_conn_deliver(struct shunt_conn *conn, const struct shunt_message *message,
			const struct shunt_conn_step *step);
/* The peer is here. */
void shunt_conn_move(struct shunt_conn *conn, shunt_peer peer);
/* Finds its peer again, where the carrier has forgotten it. */
void shunt_conn_reopen(struct shunt_conn *conn);
/* Sends what its session has to, and closes it if it only lingers; the connection may be
 * freed. False: there was no room for all of it. */
bool shunt_conn_pump(struct shunt_conn *conn);
/* Its deadline has come; it may be freed. */
void shunt_conn_tick(struct shunt_conn *conn);
/* Its pool has it, and nobody reads its news; or somebody does again. */
void shunt_conn_mute(struct shunt_conn *conn, bool muted);
/* Has the peer give a sign of life, or be lost. */
void shunt_conn_doubt(struct shunt_conn *conn);
/* It is over, and calls no more. */
bool shunt_conn_has_ended(const struct shunt_conn *conn);
/* Ends it by our own word; it may be freed. */
void shunt_conn_end(struct shunt_conn *conn, enum shunt_conn_reason reason);

/* --- conn_out.c ----------------------------------------------------------------------------- */

/* A buffer to fill, or NULL; what isn't committed is given again. */
struct shunt_message *shunt_conn_out_room(struct shunt_conns *conns);
/* That buffer, filled with so many bytes, goes to this peer. */
void shunt_conn_out_commit(struct shunt_conns *conns, shunt_peer peer, uint32_t bytes);
/* A packet of our own; where there is no room it is lost, as packets are. */
void shunt_conn_out_send(struct shunt_conns *conns, shunt_peer peer, const void *packet,
			 uint32_t bytes);
/* Hands what waits to the transport; 0, or -errno when that is of no more use. */
SHUNT_MUST_CHECK int shunt_conn_out_flush(struct shunt_conns *conns);
void shunt_conn_out_close(struct shunt_conns *conns);

/* --- conn_news.c ----------------------------------------------------------------------------- */

/* A session that begins; false: no memory, or too many of the connection are unread. */
SHUNT_MUST_CHECK bool shunt_conn_session_begin(struct shunt_conn *conn);
/* And ends; nothing where there is none. */
void shunt_conn_session_end(struct shunt_conn *conn, enum shunt_conn_reason reason);
/* All of them go; those with something lent go with its release. */
void shunt_conn_session_drop_all(struct shunt_conn *conn);
/* What was lent and not released goes, too. */
void shunt_conn_session_drop_lent(struct shunt_conns *conns);
/* The session that is up; NULL: none is. */
struct shunt_conn_session *shunt_conn_session_now(const struct shunt_conn *conn);
/* Puts the connection into the line of news if its user has something to read. */
void shunt_conn_announce(struct shunt_conn *conn);
