// SPDX-License-Identifier: GPL-2.0-only
/*
 * Feeds AF_XDP sockets that another library has opened (user/io/dpdk): all that arrives
 * on a queue goes to its socket, and passes where there is none.
 */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

#define QUEUES 64 /* what a port takes at most: a bit each */

/* Read here; written by DPDK's af_xdp PMD, which knows it by this name. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

SEC("xdp")
int shunt_feed(struct xdp_md *ctx)
{
	return bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_PASS);
}
