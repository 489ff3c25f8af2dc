/* SPDX-License-Identifier: BSD-2-Clause */
/* An AF_XDP socket on one queue of one interface: bursts of borrowed frames. */
#pragma once

/*
 *     program ── bpf_redirect_map(xskmap, key) ─▶ rx ring ──▶ shunt_xsk_rx() ─▶ owner
 *                                                                                │
 *     memory (user/rt/pool.h) ──▶ fill ring                      back to the pool│
 *            ▲                                                      or sent on   ▼
 *            └──── completion ring ◀─── driver ◀── tx ring ◀── shunt_xsk_tx() ◀──┘
 *
 * The memory is the UMEM: every queue registers the same area with the kernel, so that
 * sockets of different queues, interfaces and processes move frames to each other without
 * a copy, and none of them depends on another one's life. Sockets of one queue share that
 * queue's fill and completion rings, as the kernel wants it (XDP_SHARED_UMEM); they must
 * stand on one memory and in one process, and are found by what they are opened with.
 *
 * The kernel holds as many frames of a queue as its rx rings have places, and a burst
 * more, so that a full ring is the first reason to lose a frame; rx takes new ones from the
 * pool for those that it hands out. Where the pool is dry the fill ring stays short, and is
 * filled up by the next rx. What the kernel holds is noted frame by frame: close gives
 * exactly that back to the pool.
 *
 * The socket neither loads nor attaches a program; it is fed from the moment that it stands
 * in the program's XSKMAP. Every frame that the program redirected here is received, or
 * counted by the kernel in rx_dropped or rx_ring_full (struct shunt_xsk_stats), or still in
 * the ring.
 *
 * The rings are set up without libxdp, which lends its inline functions alone: its sockets
 * cannot be handed to another process, keep a queue bound for as long as any sibling
 * lives, and leave a part of the completion ring unset.
 *
 * One thread at a time may use a socket; sockets of one queue may be in several threads.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/err.h"
#include "user/io/port.h"
#include "user/rt/frame.h"
#include "user/rt/pool.h"

#define SHUNT_XSK_RING 512u /* measured: larger rings fall out of the cache */
#define SHUNT_XSK_TX_RING 2048u
#define SHUNT_XSK_RING_MAX 32768u
#define SHUNT_XSK_FRAMES_MAX                                                           \
	18u /* of one packet: one, and MAX_SKB_FRAGS of the kernel */

struct shunt_xsk;

/* What is asked of bind(); AUTO takes the best that the driver and the kernel give. */
enum shunt_xsk_bind {
	SHUNT_XSK_AUTO,
	SHUNT_XSK_ZERO_COPY,
	SHUNT_XSK_COPY,
};

/* Whether packets may lie in several frames (XDP_USE_SG, Linux 6.6). */
enum shunt_xsk_multi {
	SHUNT_XSK_MULTI_AUTO, /* if the interface's MTU is over the room of a frame */
	SHUNT_XSK_MULTI_ON,
	SHUNT_XSK_MULTI_OFF,
};

struct shunt_xsk_opts {
	size_t sz;
	uint32_t ring;	  /* places in the rx ring, a power of two; 0: SHUNT_XSK_RING */
	uint32_t tx_ring; /* the same; 0: SHUNT_XSK_TX_RING */
	bool no_rx, no_tx;
	enum shunt_xsk_bind bind;
	enum shunt_xsk_multi multi;
	bool no_need_wakeup;	   /* tell the kernel at every kick, and have it poll */
	uint32_t busy_poll_us;	   /* SO_PREFER_BUSY_POLL, SO_BUSY_POLL; 0: off */
	uint32_t busy_poll_budget; /* SO_BUSY_POLL_BUDGET; 0: the kernel's */
	/* Packets a system call sends at most: XDP_MAX_TX_SKB_BUDGET (Linux 6.17), from 32
	 * to tx_ring. 0: all that the ring holds, where the kernel can. */
	uint32_t tx_budget;
	/* Frames that the kernel may have to receive into; 0: what the rx ring holds, and a
	 * burst. For who opens several queues on a memory of few. */
	uint32_t posts;
};

/*
 * Opens a socket on a queue, its fill ring full. It counts in *count, which must stay and
 * may be shared by sockets of one thread. A queue stays bound for a moment after the last
 * socket's close, hence a busy one is tried again for 3 s before -EBUSY. Needs
 * CAP_NET_RAW, in the calling thread's network namespace.
 */
SHUNT_MUST_CHECK int shunt_xsk_open(struct shunt_xsk **xsk, struct shunt_memory *memory,
				    const char *ifname, unsigned int queue,
				    const struct shunt_xsk_opts *opts,
				    struct shunt_port_stats *count,
				    struct shunt_err *err);

/*
 * Waits up to a tenth of a second for what is still to be sent, and closes; the kernel takes
 * the socket out of every XSKMAP, and its frames go back to the pool. NULL is fine.
 */
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

/* --- frames: as struct shunt_port_ops has them --------------------------------- */

unsigned int shunt_xsk_rx(struct shunt_xsk *xsk, struct shunt_frame *frames,
			  unsigned int max);
unsigned int shunt_xsk_tx(struct shunt_xsk *xsk, struct shunt_frame *frames,
			  unsigned int n);
SHUNT_MUST_CHECK int shunt_xsk_kick(struct shunt_xsk *xsk, struct shunt_err *err);

/* Before a sleep: gives the kernel frames, if it has too few and the pool some. */
void shunt_xsk_fill(struct shunt_xsk *xsk);

/* --- what the kernel gave, and says ----------------------------------------------- */

struct shunt_xsk_facts {
	unsigned int queue;
	bool zero_copy;	   /* read back (XDP_OPTIONS) */
	bool multi;	   /* packets of several frames */
	bool unaligned;	   /* frames of any size (XDP_UMEM_UNALIGNED_CHUNK_FLAG) */
	bool shares_queue; /* another socket was on this queue first */
	bool need_wakeup;
	uint16_t zero_copy_errno; /* why it is not; 0: nobody asked */
	uint32_t ring, tx_ring;	  /* 0: none */
	uint32_t tx_budget;	  /* 0: the kernel's own */
	uint32_t busy_poll_us;
	uint32_t frame_max; /* of tx */
};

void shunt_xsk_facts(const struct shunt_xsk *xsk, struct shunt_xsk_facts *facts);

/* Packets received so far. */
uint64_t shunt_xsk_received(const struct shunt_xsk *xsk);

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
	uint64_t tx_invalid_descs;  /* what the kernel refused to send */
};

SHUNT_MUST_CHECK int shunt_xsk_stats(const struct shunt_xsk *xsk,
				     struct shunt_xsk_stats *stats,
				     struct shunt_err *err);
