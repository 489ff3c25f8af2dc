/* SPDX-License-Identifier: BSD-2-Clause */
/* A wire that loses, doubles and reorders packets on purpose, by an XDP program of our own. */
#pragma once

/*
 *     a0 ═════ m0 ── impair ── m1 ═════ b0        a0 and b0: the ends under test
 *
 * Impaired is what passes between two interfaces of one namespace, in both directions, so
 * that the ends keep their hooks, sockets and rings to themselves. tests/transport/rough.h
 * and tests/net/impair.py make such a wire. At the ends:
 *
 *   - what leaves XDP is no sk_buff any more, so nobody would complete a checksum:
 *     `ethtool -K a0 tx off`, where sockets of the kernel send;
 *   - a veth takes redirected frames only where it runs NAPI: an XDP program, or
 *     `ethtool -K a0 gro on`.
 *
 * Judged are UDP and TCP packets, of one port if that is told; others (ARP, NDP, ICMP)
 * pass. What becomes of a packet is drawn from the seed and its number in its direction:
 * the same seed and rates do the same to the same packets. Who is held back goes on behind
 * `behind` later packets of its direction, or, where these don't come, after a time, by a
 * thread of ours.
 */
#include <stddef.h>

#include "tests/transport/impair_state.h"
#include "user/base/err.h"

#define IMPAIR_BEHIND 3u
#define IMPAIR_HOLD_NS 5000000u

struct impair_opts {
	const char *interface[2];     /* of the calling thread's namespace */
	struct impair_rates rates[2]; /* for what is received on each */
	__u64 seed;		      /* the directions draw from seed and seed + 1 */
	__u32 behind;		      /* 0: IMPAIR_BEHIND */
	__u16 port;		      /* 0: all */
	__u64 hold_ns; /* at most, a few ms more or less; 0: IMPAIR_HOLD_NS */
};

struct impair;

SHUNT_MUST_CHECK int impair_open(struct impair **impair, const struct impair_opts *opts,
				 struct shunt_err *err);

/* What is held back is lost. NULL is fine. */
void impair_close(struct impair *impair);

/* From the next packet on, of what is received on interface[from]; loss IMPAIR_ALL cuts. */
void impair_set(struct impair *impair, unsigned int from,
		const struct impair_rates *rates);

/*
 * Of what was received on interface[from]. Once nothing moves any more:
 * judged = lost + doubled + held + unheld + what passed, held = reordered + waited + failed.
 */
void impair_read(const struct impair *impair, unsigned int from,
		 struct impair_counts *counts);
