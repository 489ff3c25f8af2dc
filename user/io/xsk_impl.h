/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of an AF_XDP socket: for user/io/xsk*.c and what hands sockets over. */
#pragma once

/*
 *     socket ─┬─▶ queue ─▶ memory          rings that the sockets of a queue share,
 *     socket ─┘    fill, completion        and what the kernel holds of the memory
 *      rx, tx
 */
#include <net/if.h>
#include <pthread.h>

#include <linux/if_xdp.h>
#include <xdp/xsk.h>

#include "user/io/xsk.h"

/* The headers of Debian 12 are older than these (Linux 6.6, 6.17). */
#define SHUNT_XDP_USE_SG (1u << 4)
#define SHUNT_XDP_PKT_CONTD (1u << 0)
#define SHUNT_XDP_MAX_TX_SKB_BUDGET 9

/* Packets that a system call sends at least, and without a budget at most. */
#define SHUNT_XSK_BUDGET_MIN 32u /* TX_BATCH_SIZE of the kernel */

/* A ring of the kernel, mapped. */
struct shunt_xsk_map {
	void *at; /* NULL: there is none */
	size_t bytes;
};

/* Who a queue is: two sockets with the same one share its rings. */
struct shunt_xsk_place {
	uint64_t netns; /* SO_NETNS_COOKIE */
	unsigned int ifindex;
	unsigned int queue;
};

struct shunt_xsk_queue {
	/* The rings and what follows: sockets of one queue may be in several threads. */
	pthread_spinlock_t lock;
	struct xsk_ring_prod fill;
	struct xsk_ring_cons completion;
	uint32_t posted; /* frames given by the fill ring, and not received yet */
	uint32_t target; /* how many that should be */
	uint32_t sent;	 /* frames in tx rings, and not completed yet */
	uint64_t *held;	 /* bit t: frame t is the kernel's */

	struct shunt_memory *memory;
	uint32_t shift; /* frame_bytes = 1 << shift; 0: it is no power of two */
	bool unaligned;
	bool multi; /* packets may lie in several frames */
	bool wakes; /* the kernel says when the fill ring wants a system call */

	/* Under the lock of all queues (xsk_queue.c). */
	struct shunt_xsk_place place;
	uint32_t sockets;
	int fd; /* of the socket that the kernel knows the rings by; lives as long as they */
	struct shunt_xsk_map fill_map, completion_map;
	struct shunt_xsk_queue *next;
};

struct shunt_xsk {
	struct xsk_ring_cons rx;
	struct xsk_ring_prod tx;
	struct shunt_xsk_queue *queue;
	struct shunt_port_stats *count;
	uint64_t received;
	uint32_t frame_max;
	uint32_t posts;	      /* this socket's part of queue->target */
	uint32_t segment_max; /* bytes that one descriptor of tx may have */
	bool has_rx, has_tx;
	bool multi, need_wakeup, busy_poll;
	int fd;
	struct shunt_xsk_map rx_map, tx_map;
	struct shunt_xsk_facts facts;
	int xskmap_fd; /* -1: not registered */
	uint32_t key;
	char ifname[IF_NAMESIZE];
};

/* --- queues (xsk_queue.c) ------------------------------------------------------- */

/*
 * A queue whose rings belong to socket fd, which the queue dups. The UMEM is registered
 * and the rings are made, not bound yet. Nobody finds it before shunt_xsk_queue_publish().
 */
SHUNT_MUST_CHECK int shunt_xsk_queue_make(struct shunt_xsk_queue **queue, int fd,
					  struct shunt_memory *memory, uint32_t fill,
					  uint32_t completion);
void shunt_xsk_queue_publish(struct shunt_xsk_queue *queue,
			     const struct shunt_xsk_place *place);

/* One that is open in this process, with a further socket on it; NULL: there is none. */
struct shunt_xsk_queue *shunt_xsk_queue_find(const struct shunt_memory *memory,
					     const struct shunt_xsk_place *place);

/* Are there other sockets on it? */
bool shunt_xsk_queue_is_shared(const struct shunt_xsk_queue *queue);

/* One socket less; with the last one the frames go back to the pool. NULL is fine. */
void shunt_xsk_queue_leave(struct shunt_xsk_queue *queue);

/* Maps a ring of a socket, wherever its indices stand. 0 or -errno. */
SHUNT_MUST_CHECK int shunt_xsk_map_prod(struct shunt_xsk_map *map,
					struct xsk_ring_prod *ring, int fd,
					const struct xdp_ring_offset *at, uint32_t size,
					size_t entry, uint64_t page);
SHUNT_MUST_CHECK int shunt_xsk_map_cons(struct shunt_xsk_map *map,
					struct xsk_ring_cons *ring, int fd,
					const struct xdp_ring_offset *at, uint32_t size,
					size_t entry, uint64_t page);
void shunt_xsk_unmap(struct shunt_xsk_map *map);

/* More frames are to be with the kernel, or less; takes them from the pool. */
void shunt_xsk_queue_aim(struct shunt_xsk_queue *queue, int32_t more);

/* Received frames are no longer the kernel's: it gets others for them. */
void shunt_xsk_queue_took(struct shunt_xsk_queue *queue,
			  const struct shunt_frame *frames, unsigned int n);

/* With the lock held: so many more frames are in tx rings. */
void shunt_xsk_queue_sends(struct shunt_xsk_queue *queue, uint32_t frames);

/* Brings frames that were sent back to the pool. */
void shunt_xsk_queue_reap(struct shunt_xsk_queue *queue);

/* --- frames (xsk_burst.c) --------------------------------------------------------- */

/* Tells a driver that wants to know that there are frames in the fill ring. */
void shunt_xsk_wake_rx(struct shunt_xsk *xsk);

/* --- errors (xsk.c) --------------------------------------------------------------- */

/* Why a system call on the socket failed; returns code, -ENETDOWN or -ENODEV. */
int shunt_xsk_fail_io(const struct shunt_xsk *xsk, int code, const char *what,
		      struct shunt_err *err);

/* --- what the kernel holds, with the lock held -------------------------------------- */

static inline void shunt_xsk_hold(struct shunt_xsk_queue *queue, uint64_t token)
{
	queue->held[token / 64] |= UINT64_C(1) << token % 64;
}

static inline void shunt_xsk_let_go(struct shunt_xsk_queue *queue, uint64_t token)
{
	queue->held[token / 64] &= ~(UINT64_C(1) << token % 64);
}

static inline uint64_t shunt_xsk_token(const struct shunt_xsk_queue *queue,
				       uint64_t offset)
{
	return queue->shift ? offset >> queue->shift
			    : shunt_memory_token(queue->memory, offset);
}
