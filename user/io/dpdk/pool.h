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

/* `count` mbufs, each with room for so many bytes behind its headroom. */
SHUNT_MUST_CHECK int shunt_mbufs_open(struct shunt_mbufs **mbufs, uint32_t count,
				      uint32_t room, struct shunt_err *err);

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
