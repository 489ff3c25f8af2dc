/* SPDX-License-Identifier: BSD-2-Clause */
/* Feeds a port that names no consumer: by a policy of ours, for as long as it is open. */
#pragma once

/*
 * A port af_xdp:IF receives what a policy redirects to its consumer. Where none is named
 * and IF is under no policy, the feed attaches one that hands everything to a consumer of
 * the run's. It is detached with the last run that uses it, also after an error. Where a
 * run was killed it stays, passes everything meanwhile (if_down), and the next run takes
 * it on. A policy of the user's is never touched: the sentence then names its consumers.
 *
 * Frames that the parser calls malformed are not redirected by any rule: they pass.
 *
 * With a `match` only what it matches is handed over, and all else passes: two such feeds
 * of one interface exclude each other, unless they match the same.
 */
#include <stdbool.h>
#include <stddef.h>

#include "user/base/err.h"

/*
 * Places in a receive ring where the port says nothing of them: bursts outlast a moment in
 * which another program has our core.
 */
#define SHUNT_FEED_RING 2048u
#define SHUNT_FEED_RING_TEXT "2048"

struct shunt_feed;

struct shunt_feed_opts {
	/* What is to be received, as a policy's "match" has it; NULL: everything. */
	const char *match;
	const char *netns;   /* what the namespace is called, for `list`; NULL */
	const char *session; /* as in struct shunt_attach_opts, as are the next */
	const char *const *protect;
	size_t protects;
};

/*
 * *spec is what the port is to be opened by: the text, with a consumer in it where it is
 * fed, or with rx=off where nobody `receives` from it, and the usual ring (malloced). *feed is NULL where
 * nothing had to be fed. Signals wait meanwhile.
 */
SHUNT_MUST_CHECK int shunt_feed_open(struct shunt_feed **feed, char **spec,
				     const char *text, bool receives,
				     const struct shunt_feed_opts *opts,
				     struct shunt_err *err);

/* Once the ports are closed. NULL is fine. */
SHUNT_MUST_CHECK int shunt_feed_close(struct shunt_feed *feed, struct shunt_err *err);
