// SPDX-License-Identifier: GPL-2.0-only
/* Feeds AF_XDP sockets: by the queue, and by a slot that the packet names. */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "maps/consumer.h"

char _license[] SEC("license") = "GPL";

__u64 xsk_fed; /* packets that have come by */

/* Nobody there: dropped. */
static __always_inline int feed(struct xdp_md *ctx, __u32 first)
{
	__u8 *data = (void *)(long)ctx->data;

	__sync_fetch_and_add(&xsk_fed, 1);
	if ((void *)(data + 6) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	return bpf_redirect_map(
		&shunt_xsk, shunt_consumer_key(first + data[5], ctx->rx_queue_index),
		XDP_DROP);
}

/* The slot is the last byte of the destination's MAC address. */
SEC("xdp.frags")
int xsk_feed(struct xdp_md *ctx)
{
	return feed(ctx, 0);
}

/* For the end of another wire: the same, 8 slots further. */
SEC("xdp.frags")
int xsk_feed_far(struct xdp_md *ctx)
{
	return feed(ctx, 8);
}

/* Without packets of several buffers: the kernel wants them whole in generic mode. */
SEC("xdp")
int xsk_feed_plain(struct xdp_md *ctx)
{
	return feed(ctx, 0);
}
