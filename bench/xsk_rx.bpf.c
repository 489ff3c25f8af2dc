// SPDX-License-Identifier: GPL-2.0-only
/* The generator's program, and the one that feeds the sockets under test. */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "maps/consumer.h"

char _license[] SEC("license") = "GPL";

const volatile __u32 out_ifindex;

SEC("xdp")
int xsk_gen(struct xdp_md *ctx __attribute__((unused)))
{
	return bpf_redirect(out_ifindex, 0);
}

SEC("xdp")
int xsk_rx(struct xdp_md *ctx)
{
	return bpf_redirect_map(&shunt_xsk, shunt_consumer_key(0, ctx->rx_queue_index),
				XDP_DROP);
}
