/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Netfilter's frames: Ethernet header and bytes, for the parser and for ring buffers. */
#pragma once

/*
 * The packet begins with its IP header, and may be read only. The Ethernet header lies
 * before it, the VLAN tag beside it, as TC ingress has it. Where the link has no Ethernet
 * header (a tunnel's interface), one of zeros is made, and the packet has no MAC
 * addresses.
 */
#include "bpf/lib/copies.h"
#include "bpf/lib/mods.h"
#include "bpf/lib/ring.h"
#include "bpf/lib/wire.h"
#include "maps/netfilter.h"
#include "maps/scratch.h"

/* Linux 6.4; it stands for netfilter programs, too. */
extern int bpf_dynptr_from_skb(struct sk_buff *skb, __u64 flags,
			       struct bpf_dynptr *ptr) __ksym __weak;

#define SHUNT_NF_HEADER (sizeof(struct shunt_eth))

/* The header of any frame; 0, or not: there are no MAC addresses. */
static __always_inline int shunt_nf_header(const struct bpf_nf_ctx *ctx,
					   struct shunt_eth *eth)
{
	const struct sk_buff *skb = ctx->skb;
	const unsigned char *mac = skb->head + skb->mac_header;
	int bare = (__u64)(skb->data - mac) - SHUNT_NF_HEADER > 0xff ||
		   bpf_probe_read_kernel(eth, sizeof(*eth), mac);

	if (bare)
		__builtin_memset(eth, 0, sizeof(*eth));
	eth->type = shunt_be16(ctx->state->pf == NFPROTO_IPV4 ? SHUNT_ETH_IP4
							      : SHUNT_ETH_IP6);
	return bare;
}

/* n bytes, at least 1, from `off` on behind the Ethernet header; 0, or not. */
static __always_inline int shunt_nf_read(const struct bpf_nf_ctx *ctx, __u32 off,
					 void *to, __u32 n)
{
	struct bpf_dynptr ptr;

	if (!bpf_dynptr_from_skb || bpf_dynptr_from_skb(ctx->skb, 0, &ptr))
		return -1;
	return bpf_dynptr_read(to, n, &ptr, off, 0);
}

/* A tag that stands beside the packet comes between the addresses and the EtherType. */
static __always_inline __u32 shunt_nf_head(const struct bpf_nf_ctx *ctx, __u8 *frame)
{
	const struct sk_buff *skb = ctx->skb;
	struct shunt_eth eth;
	struct {
		__be16 type, tci, inner;
	} tag;

	shunt_nf_header(ctx, &eth);
	__builtin_memcpy(frame, &eth, sizeof(eth));
	if (!skb->vlan_proto)
		return SHUNT_NF_HEADER;
	tag.type = skb->vlan_proto;
	tag.tci = shunt_be16(skb->vlan_tci);
	tag.inner = eth.type;
	__builtin_memcpy(frame + 12, &tag, sizeof(tag));
	return SHUNT_NF_HEADER + sizeof(struct shunt_vlan);
}

/* The packet into a ring; 0, or not: it is full, or there is none. */
__noinline int shunt_nf_emit(struct bpf_nf_ctx *ctx, struct shunt_trace *t, __u32 place,
			     __u32 kind, __u32 bytes)
{
	__u32 len = t ? t->pkt.len : 0, n = shunt_ring_room(len, bytes), head, rest;
	struct shunt_ring_scratch *s = t ? shunt_ring_start(t, place, kind, len) : 0;

	if (!s)
		return -1;
	s->event.ifindex = ctx->state->in->ifindex;
	s->event.queue = 0;
	head = shunt_nf_head(ctx, s->frame);
	if (n > head) {
		rest = n - head - 1;
		SHUNT_OPAQUE(rest);
		if (rest > SHUNT_RING_FRAME_MAX - 32)
			rest = SHUNT_RING_FRAME_MAX - 32;
		if (shunt_nf_read(ctx, 0, s->frame + head, rest + 1))
			return -1;
		n = head + rest + 1;
	}
	return shunt_ring_end(s, place, n);
}

/* Netfilter has no way to send a clone. Always returns 0. */
__noinline int shunt_nf_copies(struct bpf_nf_ctx *ctx, struct shunt_trace *t)
{
	shunt_copy(ctx, t, (shunt_emit *)shunt_nf_emit, 0);
	return 0;
}

/* Would the rule change the packet? That cannot be done here. */
static __always_inline int shunt_nf_rewrites(const struct shunt_trace *t)
{
	const struct shunt_image_mods *mods = shunt_mods_at(t);

	return mods && mods->bits & SHUNT_MOD_REWRITE;
}
