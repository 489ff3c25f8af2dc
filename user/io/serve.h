/* SPDX-License-Identifier: BSD-2-Clause */
/* Serving: a consumer's sockets for processes that are not root. */
#pragma once

/*
 *     shunt serve (root)                            a process of any user
 *
 *     listens on a path, whose mode says who may  ◀── connects, asks for queues
 *     opens sockets and memory, takes the seats
 *     hands sockets and memory over ──────────────▶ af_xdp:IF,serve=PATH
 *     copies a page of that process into the seats  writes the page: sums, heartbeat
 *     takes the sockets out of the XSKMAP         ◀── asks for that, before it ends
 *
 * What is handed over (user/io/handover.h) is bound already, to the queues of one consumer
 * of one interface: no map, no program, and no socket that could be bound elsewhere. The
 * other side can receive what the policy redirects to this consumer, and send any frame out
 * of this interface. A process of its own serves each client, so that none can hold up
 * another one; when the client goes, however that is, so does what served it.
 *
 * Takes Linux 6.5, which maps the rings of a socket that is bound.
 */
#include <stdbool.h>
#include <stdint.h>

#include "loader/shunt.h"
#include "user/base/err.h"
#include "user/io/pass.h"

struct shunt_af_xdp;
struct shunt_af_xdp_values;

/* --- the side of root -------------------------------------------------------------- */

struct shunt_serve_opts {
	const char *interface;
	const char *consumer;
	uint64_t frames_max; /* of one client's memory */
};

/* What a client has got. */
struct shunt_serve_client {
	struct shunt_pass_peer peer;
	uint64_t queues;
	uint32_t frames;
};

/*
 * Serves one client, until it goes or stop_fd is readable. `told` is called once it has its
 * sockets. Returns 0 when it ended in order, 1 when it died, or -errno: it got nothing, and
 * has been told why.
 */
SHUNT_MUST_CHECK int shunt_serve_client(
	int client_fd, int stop_fd, const struct shunt_serve_opts *opts,
	void (*told)(const struct shunt_serve_client *client, void *self), void *self,
	struct shunt_err *err);

/* --- the side of the client ------------------------------------------------------------ */

/* What a served port has beside its sockets. */
struct shunt_served {
	int fd; /* -1: it is not served */
	struct shunt_seat *page;
	unsigned int pages;
};

#define SHUNT_SERVED_NONE                                                              \
	{                                                                              \
		.fd = -1                                                               \
	}

/* Fills in a port that has no socket yet. */
SHUNT_MUST_CHECK int shunt_serve_join(struct shunt_af_xdp *af,
				      const struct shunt_af_xdp_values *values,
				      struct shunt_err *err);

/* Has the sockets taken out of the XSKMAP: their rings only empty from then on. */
void shunt_serve_starve(const struct shunt_served *served);

/* 0 while there is somebody who serves; -ENOTCONN. */
SHUNT_MUST_CHECK int shunt_serve_check(const struct shunt_served *served,
				       struct shunt_err *err);

/* All is told that was received. Fine on one that is not served. */
void shunt_serve_leave(struct shunt_served *served);
