// SPDX-License-Identifier: GPL-2.0-only
/* What comes to a door goes into the inbox; the rest passes by (ringbuf://). */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "bpf/lib/door.h"
#include "bpf/lib/inbox.h"

char _license[] SEC("license") = "GPL";

#define HEADERS 128 /* bytes: two tags, IPv6 with some extension headers, UDP */
#define TC_ACT_OK 0
#define TC_ACT_SHOT 2

/* What the parser calls malformed is for nobody. */
static __always_inline int is_ours(const void *data, const void *end, __u32 len)
{
	const struct shunt_eth *eth = data;
	struct shunt_pkt pkt = { .len = len };
	struct shunt_inside in = { 0 };

	if ((void *)(eth + 1) > end)
		return 0;
	return shunt_parse_outer(data, end, len > end - data, &pkt, &in) ==
		       SHUNT_PARSE_OK &&
	       shunt_door_takes(&shunt_door, &pkt.layer[SHUNT_OUTER], eth->dst);
}

SEC("xdp")
int shunt_inbox_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 bytes = end - data;

	if (!is_ours(data, end, bytes))
		return XDP_PASS;
	SHUNT_OPAQUE(bytes);
	shunt_inbox_put(ctx, shunt_inbox_load_xdp, bytes);
	return XDP_DROP;
}

SEC("tc")
int shunt_inbox_tc(struct __sk_buff *skb)
{
	__u32 want = skb->len < HEADERS ? skb->len : HEADERS;
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	/* a packet socket's ring leaves no more than Ethernet's header at hand */
	if (end - data < want)
		bpf_skb_pull_data(skb, want);
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	if (!is_ours(data, end, skb->len))
		return TC_ACT_OK;
	shunt_inbox_put(skb, shunt_inbox_load_tc, skb->len);
	return TC_ACT_SHOT;
}
