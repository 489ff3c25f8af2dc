// SPDX-License-Identifier: GPL-2.0-only
/* Redirects every frame into one consumer slot and counts on both sides of that. */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "maps/consumer.h"

char _license[] SEC("license") = "GPL";

const volatile __u32 slot;

struct xsk_check_count {
	__u64 offered;
	__u64 redirected;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xsk_check_count);
} xsk_check_count SEC(".maps");

SEC("xdp")
int xsk_check(struct xdp_md *ctx)
{
	__u32 queue = ctx->rx_queue_index, key = 0;
	struct xsk_check_count *count = bpf_map_lookup_elem(&xsk_check_count, &key);
	int code = XDP_PASS;

	if (queue < SHUNT_QUEUE_MAX)
		code = bpf_redirect_map(&shunt_xsk, shunt_consumer_key(slot, queue),
					XDP_PASS);
	if (count) {
		count->offered++;
		count->redirected += code == XDP_REDIRECT;
	}
	return code;
}
