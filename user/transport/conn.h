/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections: both ends proven, everything sealed, delivered once and in order. */
#pragma once

/*
 *     shunt_conn_call()  ─▶ struct shunt_conn_hello ─▶ shunt_conn_proven() ─┐
 *     somebody calls     ─▶ shunt_conn_accept() ────────────────────────────┤
 *                                                                           ▼
 *                shunt_conn_send(), shunt_conn_tell() ◀─ struct shunt_conn ─▶ news
 *
 * An endpoint carries connections over a transport: any of them, on one channel of it.
 * Both ends know the same 32 secret bytes and prove that to each other before anything
 * else is said (user/transport/noise.h). A connection whose peer isn't proven has another
 * type, and no function that sends takes it: that would not compile.
 *
 * What is sent arrives once and in the order of sending, or the user is told that the
 * connection is down (user/transport/reliable.h); messages that a peer isn't ready for
 * are not taken (credits). What is told instead (shunt_conn_tell()) arrives once or never.
 *
 * A caller's connection that is lost calls anew for as long as the user holds it: the
 * handle stays, and news say when it is down and when it is up. What was sent and not yet
 * received is lost with it then, for nobody can know how far the peer has come: whoever
 * needs more must ask the peer. An answerer's end is over when it is lost. An address that
 * changes breaks nothing.
 *
 * Nothing happens by itself: shunt_conns_run() or shunt_conns_poll() receive, send what was
 * taken, and look after the timers. One thread at a time uses an endpoint, its transport
 * and its connections.
 */
#include "user/transport/transport.h"

/* The channel of the transport; its other ones are free for messages without connection. */
#define SHUNT_CONN_CHANNEL 0xfff0u

#define SHUNT_CONNECTIONS_MAX 65535u

struct shunt_conns;	 /* an endpoint */
struct shunt_conn_hello; /* a connection whose peer is not proven */
struct shunt_conn;	 /* one whose peer is */

/* 0 is the default of each. */
struct shunt_conns_opts {
	size_t sz;
	const char *psk_file; /* 32 bytes, mode 0600: user/transport/psk.h */
	const uint8_t *psk;  /* or these 32 bytes themselves, which stay the caller's */
	unsigned int listen; /* 1: others may call */
	uint32_t connections;	   /* at most, called and answered; 64 */
	uint32_t half_open;	   /* answered and not proven, at most; 256 */
	uint32_t window_bytes;	   /* that a peer may send before we read; 256 KiB */
	uint32_t window_messages;  /* the same; 1024 */
	uint32_t message_max;	   /* bytes of a message that we take; 64 KiB */
	uint32_t congestion_bytes; /* under way always, where the network is one's own;
				      0: as the network bears it (NewReno) */
	uint32_t keepalive_ms; /* a peer that is silent for so long is asked; 2000 */
	uint32_t dead_ms;      /* and counts as lost after so long; 7000 */
	uint32_t connect_ms;   /* a call that nobody answers is given up; 5000 */
	uint32_t retry_ms;     /* the first repetition; 200 */
	uint32_t retry_max_ms; /* between two calls after a loss; 10000 */
	uint32_t linger_ms;    /* what was sent may still arrive after close; 2000 */
	/* Messages on other channels of the transport; they stay the endpoint's. NULL: they
	 * are dropped. */
	void (*other)(void *self, const struct shunt_message *messages, unsigned int n);
	void *self;
};

/* --- an endpoint ----------------------------------------------------------------------- */

/* The transport stays the caller's and must outlive the endpoint. -EINVAL names the option
 * or the file that is wrong; -EACCES: others may read the key. */
SHUNT_API SHUNT_MUST_CHECK int shunt_conns_open(struct shunt_conns **conns,
						struct shunt_transport *transport,
						const struct shunt_conns_opts *opts,
						struct shunt_err *err);

/* Takes leave of all peers without waiting for their answer. All handles and all that was
 * lent is void. NULL is fine. */
SHUNT_API void shunt_conns_close(struct shunt_conns *conns);

/* A burst of work: receives, sends, looks after timers. How much it was, or -errno when
 * the transport is of no more use. Never blocks. */
SHUNT_API SHUNT_MUST_CHECK int shunt_conns_run(struct shunt_conns *conns,
					       struct shunt_err *err);

/* Runs until there is news, or somebody to accept, or the time is over: 1, 0, or
 * -errno (-EINTR too). Waits as the transport does. */
SHUNT_API SHUNT_MUST_CHECK int shunt_conns_poll(struct shunt_conns *conns,
						uint64_t timeout_ns,
						struct shunt_err *err);

/* When it wants to run though nothing comes, as shunt_now_ns() counts (for tasks of a
 * worker, beside shunt_transport_wait()). */
SHUNT_API uint64_t shunt_conns_due(struct shunt_conns *conns);

/* What all connections did. X(name, help) */
#define SHUNT_CONNS_COUNTERS(X)                                                        \
	X(called, "calls that were begun")                                             \
	X(answered, "callers that were let in, proven or not")                         \
	X(proven, "times that both ends were proven")                                  \
	X(lost, "proven connections that silence or a fault has ended")                \
	X(strangers, "callers that don't know the key: answered nothing")              \
	X(cookies, "callers that were told a cookie")                                  \
	X(repeated, "calls that came again")                                           \
	X(refused, "callers for whom there was no room")                               \
	X(unsound, "packets of no known form")                                         \
	X(forged, "packets whose tag or mark is wrong")                                \
	X(replayed, "packets that came again, or far too late")                        \
	X(unexpected, "packets that nobody waits for")                                 \
	X(moved, "peers whose address has changed")                                    \
	X(unread, "datagrams that were dropped because nobody read them")

#define SHUNT_CONNS_COUNTER(name, help) uint64_t name;
struct shunt_conns_stats {
	SHUNT_CONNS_COUNTERS(SHUNT_CONNS_COUNTER)
};

SHUNT_API void shunt_conns_stats(const struct shunt_conns *conns,
				 struct shunt_conns_stats *stats);

/* --- a peer that isn't proven ------------------------------------------------------------ */

/* Begins to call whoever is at this address; may wait as shunt_peer_open() does. -ENOSPC:
 * there are as many connections as there may be. */
SHUNT_API SHUNT_MUST_CHECK int shunt_conn_call(struct shunt_conns *conns,
					       struct shunt_conn_hello **hello,
					       const char *address,
					       struct shunt_err *err);

/*
 * Has the peer proven itself? 1: *conn is the connection; 0: not yet, ask again after
 * shunt_conns_run(); -ETIMEDOUT: nobody answers who knows the key. *hello is gone and NULL
 * unless it returns 0.
 */
SHUNT_API SHUNT_MUST_CHECK int shunt_conn_proven(struct shunt_conn_hello **hello,
						 struct shunt_conn **conn,
						 struct shunt_err *err);

/* Runs the endpoint until it is known, which connect_ms bounds: 0 and *conn, or -errno.
 * *hello is gone and NULL in any case. */
SHUNT_API SHUNT_MUST_CHECK int shunt_conn_prove(struct shunt_conn_hello **hello,
						struct shunt_conn **conn,
						struct shunt_err *err);

/* Calls no more. NULL is fine. */
SHUNT_API void shunt_conn_give_up(struct shunt_conn_hello *hello);

/* --- a peer that is -------------------------------------------------------------------- */

/* The next one who has called and is proven: 1, or 0. */
SHUNT_API SHUNT_MUST_CHECK int shunt_conn_accept(struct shunt_conns *conns,
						 struct shunt_conn **conn);

/* Takes leave once all that was sent has arrived (linger_ms at most), while the endpoint
 * runs. The handle is void at once; what it lent stays until it is released. NULL is
 * fine. */
SHUNT_API void shunt_conn_close(struct shunt_conn *conn);

/*
 * Takes a copy of a message, to be sent when the endpoint runs: 1; 0: no room or no credit
 * now (a WRITABLE in the news says when); -EMSGSIZE: longer than the peer takes; -ENOTCONN:
 * it is down or ended.
 */
SHUNT_API SHUNT_MUST_CHECK int shunt_conn_send(struct shunt_conn *conn,
					       uint16_t channel, const void *bytes,
					       size_t len);

/* Sends a datagram, sealed, that may get lost: 1; 0: no room now; -EMSGSIZE: longer than
 * shunt_conn_tell_max(); -ENOTCONN. */
SHUNT_API SHUNT_MUST_CHECK int shunt_conn_tell(struct shunt_conn *conn,
					       const void *bytes, size_t len);
SHUNT_API size_t shunt_conn_tell_max(const struct shunt_conn *conn);

/* All that was sent has been received by the peer's endpoint. */
SHUNT_API int shunt_conn_is_idle(const struct shunt_conn *conn);
SHUNT_API int shunt_conn_is_up(const struct shunt_conn *conn);

/* When the peer was heard last (proven to be it), as shunt_now_ns() counts. */
SHUNT_API uint64_t shunt_conn_heard_ns(const struct shunt_conn *conn);

/* Where the peer is, "192.0.2.2:7000". Valid until the endpoint runs. */
SHUNT_API const char *shunt_conn_address(const struct shunt_conn *conn);

/* Whatever the user wants to find again at a connection; NULL at first. */
SHUNT_API void shunt_conn_set_user(struct shunt_conn *conn, void *user);
SHUNT_API void *shunt_conn_user(const struct shunt_conn *conn);

/* --- news ------------------------------------------------------------------------------- */

/* X(NAME, name, help) */
#define SHUNT_CONN_NEWS(X)                                                             \
	X(MESSAGE, "message", "a message of the peer, in its order")                   \
	X(DATAGRAM, "datagram", "what the peer has told, in no order")                 \
	X(WRITABLE, "writable", "a send that was refused is worth another try")        \
	X(DOWN, "down", "it is lost, and calls anew; what was under way may be lost")  \
	X(UP, "up", "it is there again, with a peer that may know nothing any more")   \
	X(ENDED, "ended", "it is over: close the handle")

#define SHUNT_CONN_NEWS_KIND(name, text, help) SHUNT_CONN_##name##_NEWS,
enum shunt_conn_news_kind { SHUNT_CONN_NEWS(SHUNT_CONN_NEWS_KIND) };

struct shunt_conn_news {
	struct shunt_conn *conn;
	enum shunt_conn_news_kind kind;
	uint32_t len;	     /* of MESSAGE and DATAGRAM */
	const uint8_t *data; /* lent; NULL in the others */
	uint16_t channel;    /* of MESSAGE */
	const char *reason;  /* of DOWN and ENDED: a sentence; else NULL */
	void *session;	     /* the endpoint's */
	uint64_t token;	     /* the endpoint's */
};

/* Up to max, from all connections in turn; what a lost connection has received comes before
 * its DOWN. Bytes are lent until they are released. */
SHUNT_API unsigned int shunt_conns_news(struct shunt_conns *conns,
					struct shunt_conn_news *news, unsigned int max);

/* Gives back what news lent, in any order, once; the peer may send as much again. */
SHUNT_API void shunt_conns_release(struct shunt_conns *conns,
				   const struct shunt_conn_news *news, unsigned int n);
