/* SPDX-License-Identifier: BSD-2-Clause */
/* A mempool of DPDK as a pool of frames: a frame's token is its mbuf. */
#pragma once

/*
 * Frames are mbufs that are lent, not copies. A mempool belongs to the ports that were
 * opened on it, and goes with the last of them. Any thread may give frames back.
 */
#include <stdatomic.h>

#include <rte_mbuf.h>

#include "user/base/err.h"
#include "user/rt/pool.h"

struct shunt_mbufs {
	struct shunt_pool pool;
	struct rte_mempool *mempool;
	atomic_uint ports; /* that use it */
};

/*
 * How mbufs lie in memory. The af_xdp driver takes the memory to be as long as count times
 * the size of one; by default DPDK leaves gaps at the ends of ordinary pages, so that most
 * mbufs would be outside of what the kernel knows, and their frames lost.
 */
enum shunt_mbufs_layout {
	SHUNT_MBUFS_DEFAULT,
	SHUNT_MBUFS_DENSE, /* no gaps, over page boundaries: least memory */
	SHUNT_MBUFS_PAGES, /* one a page, for a NIC that reads and writes them itself */
};

/* The most that an mbuf of at most a page has room for. */
#define SHUNT_MBUFS_PAGE_ROOM 3712u

/* `count` mbufs, each with room for at least so many bytes behind its headroom. */
SHUNT_MUST_CHECK int shunt_mbufs_open(struct shunt_mbufs **mbufs, uint32_t count,
				      uint32_t room, enum shunt_mbufs_layout layout,
				      struct shunt_err *err);

/* The mempool behind a pool; NULL: the pool is of another kind. */
struct shunt_mbufs *shunt_mbufs_of(struct shunt_pool *pool);

/* One port more, one port less: with the last one it goes. NULL is fine. */
struct shunt_mbufs *shunt_mbufs_use(struct shunt_mbufs *mbufs);
void shunt_mbufs_leave(struct shunt_mbufs *mbufs);

static inline struct rte_mbuf *shunt_mbuf_of(const struct shunt_frame *frame)
{
	return (struct rte_mbuf *)(uintptr_t)frame->token;
}

/* One segment as a frame. */
static inline void shunt_mbuf_frame(struct shunt_frame *frame, struct shunt_pool *pool,
				    struct rte_mbuf *mbuf)
{
	*frame = (struct shunt_frame){
		.data = rte_pktmbuf_mtod(mbuf, uint8_t *),
		.pool = pool,
		.token = (uintptr_t)mbuf,
		.len = mbuf->data_len,
	};
}
