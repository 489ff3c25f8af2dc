/* SPDX-License-Identifier: BSD-2-Clause */
/* Hand-over: a process takes over the AF_XDP sockets of a running one, and no frame is lost. */
#pragma once

/*
 *     running one                                  its successor
 *
 *     listens under its seat's name  ◀── connects ── asks
 *     rx gives nothing; lent frames come home
 *     sockets, memory, claims, ring positions ─────▶ maps memory and rings, looks at all
 *     waits, and shows that it lives                 word: OFFERED ─▶ TAKEN
 *     touches nothing of it any more; ended          receives where the other one stopped
 *
 * The sockets stay bound and in the XSKMAP all the while: what comes meanwhile waits in their
 * rings. The claims on the seats (loader/shunt.h) go along, so that nobody comes in between.
 *
 * One word, in memory that both have, says whose the sockets are: the successor takes them
 * by a compare-and-swap, and so does the running one take its offer back when the successor
 * dies or is silent for too long. So one of both serves, whichever is killed when; if both
 * are, the kernel closes the sockets, and the next one opens new ones.
 *
 * A port can be handed over that has its memory to itself, and by processes of the same
 * version. Both have to be root, or the same user.
 */
#include <stdbool.h>
#include <stdint.h>

#include "loader/shunt.h"
#include "user/base/err.h"

struct shunt_af_xdp;

/* The side of the running one, in its port. */
struct shunt_handover_host {
	int listen_fd; /* -1: it does not listen (yet) */
	int asker_fd;  /* who has asked; -1: nobody */
	uint64_t asked_ns;
	uint64_t looked_ns;
};

#define SHUNT_HANDOVER_HOST                                                            \
	{                                                                              \
		.listen_fd = -1, .asker_fd = -1                                        \
	}

/*
 * To be called between bursts, as often as one likes; `anyway`: before a sleep. It looks a
 * few times a second whether somebody asks. While somebody does, lent frames are awaited.
 */
void shunt_handover_tend(struct shunt_af_xdp *af, uint64_t now_ns, bool anyway);

/* Somebody waits for the port's frames to come home: rx is to lend none. */
static inline bool shunt_handover_waits(const struct shunt_handover_host *host)
{
	return host->asker_fd >= 0;
}

/* A descriptor to poll for askers, -1: none. */
int shunt_handover_fd(const struct shunt_handover_host *host);

void shunt_handover_close(struct shunt_handover_host *host);

/*
 * The side of the successor: fills in a port that has no socket yet, with those that serve
 * exactly these queues of the seats' consumer. -ENOENT: nobody serves them who would hand
 * them over.
 */
SHUNT_MUST_CHECK int shunt_handover_take(struct shunt_af_xdp *af, uint64_t queues,
					 int xskmap_fd, struct shunt_seats *seats,
					 struct shunt_err *err);
