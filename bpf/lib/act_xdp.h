/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What XDP does with a packet besides its verdict: rewrite and copy. */
#pragma once

/*
 * Headers are written in place. Global functions all, as shunt_judge is: each is
 * verified once by itself. None of them leaves pointers into the packet behind, for
 * room at its head moves it.
 *
 * A sender on the same machine (veth) leaves the transport checksum to the hardware that
 * is not there, unless `ethtool -K PEER tx off` forbids it; what XDP sees is then the sum
 * over the pseudo header alone, and putting that right makes a wrong checksum of it. TC
 * knows such packets and does what is right.
 */
#include "bpf/lib/copies.h"
#include "bpf/lib/mods.h"
#include "bpf/lib/rewrite.h"
#include "bpf/lib/ring.h"

/* The IP header. SHUNT_REASON_RULE, or why the packet ends here. */
static __always_inline int shunt_xdp_rewrite_l3(void *data, void *end,
						const struct shunt_layer *layer,
						const struct shunt_image_rewrite *rw,
						__u64 *change)
{
	__u32 off = layer->l3_off & 0xff;
	int code;

	if (layer->l3 == SHUNT_L3_IP4) {
		struct shunt_ip4 *ip = data + off;

		if ((void *)(ip + 1) > end)
			return SHUNT_REASON_REWRITE;
		code = shunt_rewrite_ip4(ip, rw, change);
	} else {
		struct shunt_ip6 *ip = data + off;

		if ((void *)(ip + 1) > end)
			return SHUNT_REASON_REWRITE;
		code = shunt_rewrite_ip6(ip, rw, change);
	}
	return code ? SHUNT_REASON_TTL : SHUNT_REASON_RULE;
}

static __always_inline int shunt_xdp_rewrite_l4(void *data, void *end,
						const struct shunt_layer *layer,
						const struct shunt_image_rewrite *rw,
						__u64 change)
{
	__u32 proto = layer->field[SHUNT_FIELD_PROTO] - 1;
	__u32 off = layer->l4_off & 0x7fff, at = shunt_check_off(proto, layer->l3);
	__u16 *check;

	if (!off || !at)
		return SHUNT_REASON_RULE;
	if (shunt_has_ports(proto) && rw->bits & SHUNT_REWRITE_PORTS) {
		struct shunt_ports *ports = data + off;

		if ((void *)(ports + 1) > end)
			return SHUNT_REASON_REWRITE;
		change += shunt_rewrite_ports(ports, rw);
	}
	off += at;
	SHUNT_OPAQUE(off);
	check = data + (off & 0x7fff);
	if ((void *)(check + 1) > end)
		return SHUNT_REASON_REWRITE;
	if (proto == SHUNT_IP_UDP)
		*check = shunt_csum_after_udp(*check, change);
	else
		*check = shunt_csum_after(*check, change);
	return SHUNT_REASON_RULE;
}

__noinline int shunt_xdp_rewrite_ip(struct xdp_md *ctx, struct shunt_trace *t)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const struct shunt_image_mods *mods;
	const struct shunt_layer *layer;
	__u64 change = 0;
	int code;

	if (!t)
		return SHUNT_REASON_REWRITE;
	mods = shunt_mods_at(t);
	if (!mods)
		return SHUNT_REASON_REWRITE;
	layer = &t->pkt.layer[SHUNT_OUTER];
	code = shunt_xdp_rewrite_l3(data, end, layer, &mods->rewrite, &change);
	if (code != SHUNT_REASON_RULE)
		return code;
	return shunt_xdp_rewrite_l4(data, end, layer, &mods->rewrite, change);
}

struct shunt_macs {
	__u16 half[6]; /* destination, then source */
};

/* Moves the MAC addresses and the frame's start; by > 0 takes bytes away. */
static __always_inline int shunt_xdp_move(struct xdp_md *ctx, int by)
{
	struct shunt_macs *at = (void *)(long)ctx->data, macs;

	if ((void *)(at + 1) > (void *)(long)ctx->data_end)
		return -1;
	macs = *at;
	if (bpf_xdp_adjust_head(ctx, by))
		return -1;
	at = (void *)(long)ctx->data;
	if ((void *)(at + 1) > (void *)(long)ctx->data_end)
		return -1;
	*at = macs;
	return 0;
}

/* A tag as it lies behind the MAC addresses. */
struct shunt_tag {
	struct shunt_macs macs;
	__be16 type;
	__be16 tci;
};

static __always_inline struct shunt_tag *shunt_xdp_tag_at(struct xdp_md *ctx)
{
	struct shunt_tag *tag = (void *)(long)ctx->data;

	return (void *)(tag + 1) > (void *)(long)ctx->data_end ? 0 : tag;
}

__noinline int shunt_xdp_rewrite_vlan(struct xdp_md *ctx, struct shunt_trace *t)
{
	const struct shunt_image_mods *mods = t ? shunt_mods_at(t) : 0;
	struct shunt_tag *tag = shunt_xdp_tag_at(ctx);
	__u32 bits, vlan;

	if (!mods)
		return SHUNT_REASON_REWRITE;
	/* a tag beside the frame (shunt_xdp_tag in bpf/xdp.bpf.c) is out of reach */
	if (SHUNT_HAS(VLAN_TAG) && t->pkt.layer[SHUNT_OUTER].field[SHUNT_FIELD_VLAN] &&
	    !(tag && shunt_is_tag(shunt_be16(tag->type))))
		return SHUNT_REASON_REWRITE;
	bits = mods->rewrite.bits;
	vlan = mods->rewrite.vlan & 0xfff;
	if (bits & SHUNT_REWRITE_VLAN_POP && tag &&
	    shunt_is_tag(shunt_be16(tag->type))) {
		if (shunt_xdp_move(ctx, 4))
			return SHUNT_REASON_REWRITE;
	}
	if (bits & SHUNT_REWRITE_VLAN_PUSH) {
		if (shunt_xdp_move(ctx, -4))
			return SHUNT_REASON_REWRITE;
		tag = shunt_xdp_tag_at(ctx);
		if (!tag)
			return SHUNT_REASON_REWRITE;
		tag->type = shunt_be16(SHUNT_ETH_VLAN);
		tag->tci = shunt_be16(vlan);
	}
	tag = shunt_xdp_tag_at(ctx);
	if (bits & SHUNT_REWRITE_VLAN_SET && tag && shunt_is_tag(shunt_be16(tag->type)))
		tag->tci = shunt_be16((shunt_be16(tag->tci) & 0xf000) | vlan);
	return SHUNT_REASON_RULE;
}

static __always_inline int shunt_xdp_rewrite_macs(struct xdp_md *ctx,
						  const struct shunt_image_rewrite *rw)
{
	struct shunt_eth *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return SHUNT_REASON_REWRITE;
	if (rw->bits & SHUNT_REWRITE_DST_MAC)
		__builtin_memcpy(eth->dst, rw->mac[1], 6);
	if (rw->bits & SHUNT_REWRITE_SRC_MAC)
		__builtin_memcpy(eth->src, rw->mac[0], 6);
	return SHUNT_REASON_RULE;
}

/* All of it, the tag last: it moves what is behind. SHUNT_REASON_RULE, or why not. */
static __always_inline int shunt_xdp_rewrite_all(struct xdp_md *ctx,
						 struct shunt_trace *t,
						 const __u32 tags)
{
	const struct shunt_image_mods *mods = t ? shunt_mods_at(t) : 0;
	int code = SHUNT_REASON_RULE;
	__u32 bits;

	if (!mods || !(mods->bits & SHUNT_MOD_REWRITE))
		return SHUNT_REASON_RULE;
	bits = mods->rewrite.bits;
	if (bits & SHUNT_REWRITE_IP && t->pkt.layer[SHUNT_OUTER].l3)
		code = shunt_xdp_rewrite_ip(ctx, t);
	if (code == SHUNT_REASON_RULE && bits & SHUNT_REWRITE_MACS)
		code = shunt_xdp_rewrite_macs(ctx, &mods->rewrite);
	if (code == SHUNT_REASON_RULE && bits & SHUNT_REWRITE_VLAN)
		code = tags ? shunt_xdp_rewrite_vlan(ctx, t) : SHUNT_REASON_REWRITE;
	return code;
}

__noinline int shunt_xdp_rewrite(struct xdp_md *ctx, struct shunt_trace *t)
{
	return shunt_xdp_rewrite_all(ctx, t, 1);
}

/* Without tags: nothing in here can move the frame's start. */
__noinline int shunt_xdp_rewrite_still(struct xdp_md *ctx, struct shunt_trace *t)
{
	return shunt_xdp_rewrite_all(ctx, t, 0);
}

/* The packet into a ring; 0, or not: it is full, or there is none. */
__noinline int shunt_xdp_emit(struct xdp_md *ctx, struct shunt_trace *t, __u32 place,
			      __u32 kind, __u32 bytes)
{
	__u32 len = bpf_xdp_get_buff_len(ctx), n = shunt_ring_room(len, bytes);
	struct shunt_ring_scratch *s = t ? shunt_ring_start(t, place, kind, len) : 0;

	if (!s)
		return -1;
	s->event.ifindex = ctx->ingress_ifindex;
	s->event.queue = ctx->rx_queue_index;
	if (n > SHUNT_RING_FRAME_MAX || bpf_xdp_load_bytes(ctx, 0, s->frame, n))
		return -1;
	return shunt_ring_end(s, place, n);
}

/* There is no clone of a frame in XDP. Always returns 0. */
__noinline int shunt_xdp_copies(struct xdp_md *ctx, struct shunt_trace *t)
{
	shunt_copy(ctx, t, (shunt_emit *)shunt_xdp_emit, 0);
	return 0;
}
