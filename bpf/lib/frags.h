/* SPDX-License-Identifier: GPL-2.0-only */
/* Packets in several buffers: which redirects of theirs the kernel carries out. */
#pragma once

/*
 * XDP sees such packets from Linux 5.18 on. To a socket they can go from 6.6 on, to an
 * interface from 6.3 on; before that the kernel drops them, and no tracepoint tells of it
 * (xdp_do_redirect in net/core/filter.c). What came with either change is asked for by
 * name as the program is loaded, so that newer kernels run none of this.
 */
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* Any of these will do, should a kernel rename the others. */
struct net_device___several {
	unsigned int xdp_zc_max_segs;
} __attribute__((preserve_access_index));

struct xsk_buff_pool___several {
	unsigned int xdp_zc_max_segs;
	void *xskb_list;
} __attribute__((preserve_access_index));

enum netdev_xdp_act___several {
	NETDEV_XDP_ACT_NDO_XMIT_SG___several = 64,
};

static __always_inline int shunt_frags_to_xsk(void)
{
	struct net_device___several *dev = 0;
	struct xsk_buff_pool___several *pool = 0;

	return bpf_core_field_exists(dev->xdp_zc_max_segs) ||
	       bpf_core_field_exists(pool->xdp_zc_max_segs) ||
	       bpf_core_field_exists(pool->xskb_list);
}

static __always_inline int shunt_frags_to_dev(void)
{
	return bpf_core_enum_value_exists(enum netdev_xdp_act___several,
					  NETDEV_XDP_ACT_NDO_XMIT_SG___several);
}

static __always_inline int shunt_has_frags(struct xdp_md *ctx)
{
	__u64 here = ctx->data_end - ctx->data;

	return bpf_xdp_get_buff_len(ctx) > here;
}
