/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/dpdk/pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <rte_errno.h>
#include <rte_mbuf_pool_ops.h>

#include "user/io/dpdk/eal.h"

#define PAGE_BYTES 4096u
#define CACHE 256u /* mbufs that a thread known to DPDK keeps at hand */

static unsigned int mbufs_get(struct shunt_pool *pool, struct shunt_frame *frames,
			      unsigned int n)
{
	struct shunt_mbufs *mbufs = (struct shunt_mbufs *)pool;
	struct rte_mbuf *got[SHUNT_BURST];
	unsigned int done = 0, want, i;

	while (done < n) {
		want = n - done < SHUNT_BURST ? n - done : SHUNT_BURST;
		/* all or none: a pool that is nearly empty still gives what it has */
		while (want && rte_pktmbuf_alloc_bulk(mbufs->mempool, got, want))
			want /= 2;
		if (!want)
			break;
		for (i = 0; i < want; i++)
			shunt_mbuf_frame(&frames[done + i], pool, got[i]);
		done += want;
	}
	return done;
}

static void mbufs_put(struct shunt_pool *pool, const struct shunt_frame *frames,
		      unsigned int n)
{
	struct rte_mbuf *back[SHUNT_BURST];
	unsigned int i, used = 0;

	(void)pool;
	for (i = 0; i < n; i++) {
		back[used++] = shunt_mbuf_of(&frames[i]);
		if (used == SHUNT_BURST || i + 1 == n) {
			rte_pktmbuf_free_bulk(back, used);
			used = 0;
		}
	}
}

static const struct shunt_pool_ops mbufs_ops = { .get = mbufs_get, .put = mbufs_put };

/* As rte_pktmbuf_pool_create() does it, which takes no flags. */
static struct rte_mempool *make_mempool(const char *name, uint32_t count, uint32_t room,
					unsigned int flags)
{
	struct rte_pktmbuf_pool_private info = {
		.mbuf_data_room_size = (uint16_t)(room + RTE_PKTMBUF_HEADROOM),
	};
	struct rte_mempool *mempool = rte_mempool_create_empty(
		name, count, sizeof(struct rte_mbuf) + info.mbuf_data_room_size, CACHE,
		sizeof(info), SOCKET_ID_ANY, flags);
	int ret;

	if (!mempool)
		return NULL;
	ret = rte_mempool_set_ops_byname(mempool, rte_mbuf_best_mempool_ops(), NULL);
	if (!ret) {
		rte_pktmbuf_pool_init(mempool, &info);
		ret = rte_mempool_populate_default(mempool);
	}
	if (ret < 0) {
		rte_mempool_free(mempool);
		rte_errno = -ret;
		return NULL;
	}
	rte_mempool_obj_iter(mempool, rte_pktmbuf_init, NULL);
	return mempool;
}

int shunt_mbufs_open(struct shunt_mbufs **out, uint32_t count, uint32_t room,
		     enum shunt_mbufs_layout layout, struct shunt_err *err)
{
	static const unsigned int flags[] = {
		[SHUNT_MBUFS_DENSE] = RTE_MEMPOOL_F_NO_IOVA_CONTIG,
		[SHUNT_MBUFS_PAGES] = RTE_MEMPOOL_F_NO_SPREAD,
	};
	static atomic_uint numbers; /* relaxed: names need only differ */
	struct shunt_mbufs *mbufs = calloc(1, sizeof(*mbufs));
	char name[RTE_MEMPOOL_NAMESIZE];

	*out = NULL;
	if (!mbufs)
		return shunt_fail_errno(err, -ENOMEM, "make a pool of mbufs");
	if (layout == SHUNT_MBUFS_PAGES)
		/* exactly a page with what DPDK puts in front: AF_XDP takes no more */
		room = PAGE_BYTES -
		       RTE_ALIGN_CEIL(sizeof(struct rte_mempool_objhdr),
				      RTE_MEMPOOL_ALIGN) -
		       sizeof(struct rte_mbuf) - RTE_PKTMBUF_HEADROOM;
	snprintf(name, sizeof(name), "shunt-%u",
		 atomic_fetch_add_explicit(&numbers, 1, memory_order_relaxed));
	mbufs->mempool = make_mempool(name, count, room, flags[layout]);
	if (!mbufs->mempool) {
		int ret = shunt_fail_errno(
			err, -rte_errno,
			"make a pool of %u mbufs of %u bytes (the first DPDK port of a "
			"process says how much memory there is: memory=…)",
			count, room);

		free(mbufs);
		return ret;
	}
	mbufs->pool = (struct shunt_pool){ .ops = &mbufs_ops,
					   .room = room,
					   .headroom = RTE_PKTMBUF_HEADROOM };
	atomic_init(&mbufs->ports, 1);
	*out = mbufs;
	return 0;
}

struct shunt_mbufs *shunt_mbufs_of(struct shunt_pool *pool)
{
	return pool && pool->ops == &mbufs_ops ? (struct shunt_mbufs *)pool : NULL;
}

struct shunt_mbufs *shunt_mbufs_use(struct shunt_mbufs *mbufs)
{
	atomic_fetch_add_explicit(&mbufs->ports, 1, memory_order_relaxed);
	return mbufs;
}

void shunt_mbufs_leave(struct shunt_mbufs *mbufs)
{
	/* pairs with itself: the last one sees what the others have done */
	if (!mbufs ||
	    atomic_fetch_sub_explicit(&mbufs->ports, 1, memory_order_acq_rel) > 1)
		return;
	rte_mempool_free(mbufs->mempool);
	free(mbufs);
}
