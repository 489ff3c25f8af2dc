/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection of the io_uring transport: what is asked of it, and how it ends. */
#pragma once

/*
 *     made ─▶ asked: receives ─▶ ended (the peer, or an error) ─┐
 *               sending: one request at a time                  ├─▶ shut ─▶ freed
 *               …                    our side wants no more ────┘
 *
 * A connection that is shut has no peer, and is freed when the kernel has completed its
 * requests and nothing of it is left in the line.
 */
#include <sys/queue.h>

#include "user/transport/stream.h"
#include "user/transport/uring_impl.h"

#define URING_IOVS 16u /* frames that one request sends */

struct uring_conn {
	struct uring_peer *peer; /* NULL: has sent nothing yet, or is shut */
	struct shunt_endpoint remote;
	int fd;
	uint32_t place; /* registered; 0: it is not */

	struct shunt_stream_in in;
	struct shunt_stream_out out;
	uint32_t chunks; /* of it, in the line */
	bool asked;	 /* there is a request to receive */
	bool sending;	 /* there is one to send */
	bool unasked;	 /* is in the list of those without a request to receive */
	bool unsent;	 /* is in the list of those that have something to send */
	bool ended;	 /* is in the list of those that have */
	bool shut;

	struct msghdr message; /* of the request to send */
	struct iovec iov[URING_IOVS];
	TAILQ_ENTRY(uring_conn) all, asks, sends, ends;
};

/* A frame that the kernel still looks at, when its connection is done with it. */
struct uring_held {
	struct shunt_frame frame; /* once it is sent */
	struct uring_conn *conn;  /* until then */
	struct uring_held *next;
};

#define URING_HELD 256u

TAILQ_HEAD(uring_conns, uring_conn);

struct uring_tcp {
	struct uring_conns all;
	struct uring_conns unasked, unsent, ended; /* each is in one of them or not */
	struct uring_conn *reading;		   /* may have a whole message */
	struct uring_held held[URING_HELD], *spare_held;
	uint32_t *free;	  /* places of registered files */
	uint32_t spare;	  /* how many */
	uint32_t pending; /* requests in the kernel's hands */
	bool accepting;
	uint64_t accept_ns; /* not before: there was no room */
	uint64_t spill_ns;  /* nor this */
};

/* Takes the socket over, but not when there is no memory for it: NULL. */
struct uring_conn *uring_conn_make(struct uring *uring, int fd,
				   const struct shunt_endpoint *remote);

/* Its peer gets no more from it, and it sends what the kernel takes at once. */
void uring_conn_shut(struct uring *uring, struct uring_conn *conn);

/* Frees it if it is shut and nothing is left of it. */
void uring_conn_reap(struct uring *uring, struct uring_conn *conn);

/* Whatever the kernel does. */
void uring_conn_free(struct uring *uring, struct uring_conn *conn);

/* It has ended: shut when what it brought has been received. */
void uring_conn_end(struct uring *uring, struct uring_conn *conn);

/* Takes a frame for sending; false: there is no room. */
bool uring_conn_push(struct uring *uring, struct uring_conn *conn,
		     const struct shunt_frame *frame);

/* Requests for those that lack them, as far as there is room. */
void uring_conn_ask(struct uring *uring);
void uring_conn_send(struct uring *uring);

void uring_conn_received(struct uring *uring, struct uring_conn *conn,
			 const struct io_uring_cqe *cqe);
void uring_conn_sent(struct uring *uring, struct uring_conn *conn,
		     const struct io_uring_cqe *cqe);
void uring_held_sent(struct uring *uring, struct uring_held *held,
		     const struct io_uring_cqe *cqe);
