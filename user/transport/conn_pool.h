/* SPDX-License-Identifier: BSD-2-Clause */
/* A pool of connections to peers that are alike: none that it hands out is broken. */
#pragma once

/*
 *     peers ─▶ calls ─▶ idle ─▶ take ─▶ the user ─▶ give ─┐
 *                        ▲                                │
 *                        └────────────────────────────────┘
 *
 * A pool keeps so many connections to each of its peers. What it hands out is up, and was
 * heard a moment ago: one that was not has to give a sign of life first, and meanwhile
 * another one is handed out. Who is lost calls anew by itself; who has ended is replaced.
 * The one that was idle longest goes first, so that all peers get their share.
 *
 * Who asks when none is there, waits in line, and nobody overtakes. A wait has a deadline.
 *
 * News of a connection in the user's hands are his, those of others are dropped. Give a
 * connection back when the conversation is over: whoever gets it next must not read
 * answers to you; discard it otherwise. Don't close it.
 *
 * The pool works when shunt_conn_pool_run() is called, beside shunt_conns_run(); one thread
 * at a time uses both.
 */
#include "user/transport/conn.h"

struct shunt_conn_pool;

/* 0 is the default of each that has one. */
struct shunt_conn_pool_opts {
	size_t sz;
	const char *const *addresses; /* of the peers */
	uint32_t peers;		      /* so many */
	uint32_t each;		      /* connections to each; 2 */
	uint32_t fresh_ms;	      /* heard so lately: 3/2 of keepalive_ms */
};

/* Begins to call them; none has to be there. The endpoint must outlive the pool. */
SHUNT_API SHUNT_MUST_CHECK int shunt_conn_pool_open(
	struct shunt_conn_pool **pool, struct shunt_conns *conns,
	const struct shunt_conn_pool_opts *opts, struct shunt_err *err);

/* Closes all of them, also those that are taken. Who still waits is told so. NULL is
 * fine. */
SHUNT_API void shunt_conn_pool_close(struct shunt_conn_pool *pool);

/* Replaces what is broken, hands out what came back, ends waits; how much it was. */
SHUNT_API unsigned int shunt_conn_pool_run(struct shunt_conn_pool *pool);

/* When it wants to run though nothing comes, as shunt_now_ns() counts. */
SHUNT_API uint64_t shunt_conn_pool_due(const struct shunt_conn_pool *pool);

/* A wait in line; the caller's memory, until it was answered. Zeroed but for the first
 * two. */
struct shunt_conn_pool_wait {
	/* conn: as asked; NULL: the time is over (-ETIMEDOUT), or the pool is closed
	 * (-ECANCELED). May ask, give and discard. */
	void (*answer)(struct shunt_conn_pool_wait *wait, struct shunt_conn *conn,
		       int error);
	uint64_t until_ns; /* as shunt_now_ns() counts */
	struct shunt_conn_pool_wait *next;
};

/* Asks for a connection: answered from shunt_conn_pool_run(), never from here. */
SHUNT_API void shunt_conn_pool_ask(struct shunt_conn_pool *pool,
				   struct shunt_conn_pool_wait *wait);

/* Waits for one, while endpoint and pool run: 0, -ETIMEDOUT, or what the endpoint says. */
SHUNT_API SHUNT_MUST_CHECK int shunt_conn_pool_take(struct shunt_conn_pool *pool,
						    struct shunt_conn **conn,
						    uint64_t timeout_ns,
						    struct shunt_err *err);

/* It is of use to somebody else. */
SHUNT_API void shunt_conn_pool_give(struct shunt_conn_pool *pool,
				    struct shunt_conn *conn);

/* It is not: it is closed, and another one takes its place. */
SHUNT_API void shunt_conn_pool_discard(struct shunt_conn_pool *pool,
				       struct shunt_conn *conn);

/* Connections that could be handed out now, that are handed out, and in all. */
struct shunt_conn_pool_stats {
	uint32_t idle, taken, all;
	uint32_t waiting;  /* in line */
	uint64_t handed;   /* out, ever */
	uint64_t doubted;  /* were asked for a sign of life before */
	uint64_t replaced; /* had ended */
	uint64_t timeouts; /* waits that came to nothing */
};

SHUNT_API void shunt_conn_pool_stats(const struct shunt_conn_pool *pool,
				     struct shunt_conn_pool_stats *stats);
