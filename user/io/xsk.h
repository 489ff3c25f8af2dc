/* SPDX-License-Identifier: BSD-2-Clause */
/* An AF_XDP socket on one queue of one interface: bursts of borrowed frames. */
#pragma once

/*
 *     program ── bpf_redirect_map(xskmap, key) ─▶ rx ring ──▶ shunt_xsk_rx()
 *                                                                  │  frames, borrowed
 *     frames of the UMEM ◀── fill ring ◀── shunt_xsk_release() ◀───┘
 *
 * A socket owns its memory: twice as many frames as the rx ring has places, all of them
 * in the fill ring, in the rx ring, or lent out. So a full ring is the only reason to
 * lose a frame for as long as the borrower holds no more than half of them, and giving
 * frames back cannot fail. The socket neither loads nor attaches a program; it is fed
 * from the moment that it stands in the program's XSKMAP.
 *
 * Every frame that the program redirected here is received, or counted by the kernel in
 * rx_dropped or rx_ring_full (struct shunt_xsk_stats), or still in the ring.
 *
 * One queue of an interface serves one socket (without a UMEM shared by both). One
 * thread at a time may use a socket.
 */
#include <stddef.h>
#include <stdint.h>

#include "user/base/err.h"
#include "user/rt/frame.h"

#define SHUNT_XSK_RING 512u /* measured: larger rings fall out of the cache */
#define SHUNT_XSK_RING_MAX 32768u
#define SHUNT_XSK_FRAME_BYTES                                                          \
	4096u /* one page a frame: 3840 bytes behind the headroom */

struct shunt_xsk;

struct shunt_xsk_opts {
	size_t sz;
	unsigned int
		ring; /* places in the rx ring, a power of two; 0: SHUNT_XSK_RING */
};

/*
 * Opens a socket on a queue in copy mode, which every driver has; its fill ring is
 * full. A queue stays bound for a moment after the last socket's close, hence a busy
 * one is tried again for a second before -EBUSY. Needs CAP_NET_RAW, in the calling
 * thread's network namespace.
 */
SHUNT_MUST_CHECK int shunt_xsk_open(struct shunt_xsk **xsk, const char *ifname,
				    unsigned int queue,
				    const struct shunt_xsk_opts *opts,
				    struct shunt_err *err);

/* Closes; the kernel takes the socket out of every XSKMAP. NULL is fine. */
void shunt_xsk_close(struct shunt_xsk *xsk);

/* --- being fed --------------------------------------------------------------- */

/*
 * Puts the socket under shunt_consumer_key(slot, its queue), only where nobody is:
 * else -EEXIST. The kernel removes it when the socket closes.
 */
SHUNT_MUST_CHECK int shunt_xsk_register(struct shunt_xsk *xsk, int xskmap_fd,
					uint32_t slot, struct shunt_err *err);

/* Takes it out again; without a registration it does nothing. */
void shunt_xsk_unregister(struct shunt_xsk *xsk);

/*
 * Waits (some 10 ms) until no program run is under way that may still have found a
 * socket: the rx rings of those that were unregistered before only empty from now on.
 */
void shunt_xsk_settle(void);

/* --- frames ------------------------------------------------------------------ */

/*
 * Takes up to max frames, good until they are released; a token is the address in the UMEM.
 * Returns how many. Never blocks.
 */
unsigned int shunt_xsk_rx(struct shunt_xsk *xsk, struct shunt_frame *frames,
			  unsigned int max);

/* Gives n received frames back, in any order. */
void shunt_xsk_release(struct shunt_xsk *xsk, const struct shunt_frame *frames,
		       unsigned int n);

/* --- what the kernel says ---------------------------------------------------- */

/* For poll(): POLLIN when frames wait. It is silent when the interface goes away. */
int shunt_xsk_fd(const struct shunt_xsk *xsk);

/* 0 while frames can arrive; -ENETDOWN, or -ENODEV once the interface is gone. */
SHUNT_MUST_CHECK int shunt_xsk_check(const struct shunt_xsk *xsk,
				     struct shunt_err *err);

/* Frames and descriptors since open. Frames lost = rx_dropped + rx_ring_full. */
struct shunt_xsk_stats {
	uint64_t rx_dropped;   /* no free frame, or a frame too large for one */
	uint64_t rx_ring_full; /* the reader was too slow */
	uint64_t
		rx_fill_ring_empty; /* why rx_dropped rose: the fill ring had run dry */
	uint64_t rx_invalid_descs;  /* bad addresses in the fill ring: a bug of ours */
};

SHUNT_MUST_CHECK int shunt_xsk_stats(const struct shunt_xsk *xsk,
				     struct shunt_xsk_stats *stats,
				     struct shunt_err *err);
