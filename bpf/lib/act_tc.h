/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What TC does with a packet besides its verdict: rewrite and copy. */
#pragma once

/*
 * Headers are copied, rewritten, and stored by the kernel's helpers, which keep the
 * socket buffer's own idea of its checksum right:
 *
 *   - an IPv4 header sums up to what it did before, so that nothing else changes;
 *   - an IPv6 header does not, and is stored with BPF_F_RECOMPUTE_CSUM. What
 *     BPF_F_PSEUDO_HDR then takes off the packet's sum for the transport checksum is what
 *     the new addresses added: both are needed, on every kernel;
 *   - of a packet whose checksum is yet to be made (CHECKSUM_PARTIAL), the sum over the
 *     pseudo header alone is put right.
 *
 * Whom a packet is for has been judged by its destination MAC before ingress: one for
 * another host is not received because a rule rewrites that; redirect it instead, or
 * rewrite in XDP.
 */
#include "bpf/lib/copies.h"
#include "bpf/lib/mods.h"
#include "bpf/lib/rewrite.h"
#include "bpf/lib/ring.h"
#include "maps/scratch.h"

static __always_inline int shunt_tc_rewrite_l3(struct __sk_buff *skb,
					       const struct shunt_layer *layer,
					       const struct shunt_image_rewrite *rw,
					       __u64 *change)
{
	__u32 off = layer->l3_off;

	if (layer->l3 == SHUNT_L3_IP4) {
		struct shunt_ip4 ip;

		if (bpf_skb_load_bytes(skb, off, &ip, sizeof(ip)))
			return SHUNT_REASON_REWRITE;
		if (shunt_rewrite_ip4(&ip, rw, change))
			return SHUNT_REASON_TTL;
		if (bpf_skb_store_bytes(skb, off, &ip, sizeof(ip),
					BPF_F_INVALIDATE_HASH))
			return SHUNT_REASON_REWRITE;
	} else {
		struct shunt_ip6 ip;

		if (bpf_skb_load_bytes(skb, off, &ip, sizeof(ip)))
			return SHUNT_REASON_REWRITE;
		if (shunt_rewrite_ip6(&ip, rw, change))
			return SHUNT_REASON_TTL;
		if (bpf_skb_store_bytes(skb, off, &ip, sizeof(ip),
					BPF_F_INVALIDATE_HASH | BPF_F_RECOMPUTE_CSUM))
			return SHUNT_REASON_REWRITE;
	}
	return SHUNT_REASON_RULE;
}

/* A transport checksum that is 0 covers nothing: the packet's sum then changes. */
static __always_inline int shunt_tc_rewrite_ports(struct __sk_buff *skb, __u32 off,
						  __u32 check, __u64 mangled,
						  const struct shunt_image_rewrite *rw)
{
	struct shunt_ports ports;
	__u64 change, flags = BPF_F_INVALIDATE_HASH;
	__u16 sum;

	if (bpf_skb_load_bytes(skb, off, &ports, sizeof(ports)) ||
	    bpf_skb_load_bytes(skb, check, &sum, sizeof(sum)))
		return SHUNT_REASON_REWRITE;
	change = shunt_rewrite_ports(&ports, rw);
	if (mangled && !sum)
		flags |= BPF_F_RECOMPUTE_CSUM;
	if (bpf_skb_store_bytes(skb, off, &ports, sizeof(ports), flags))
		return SHUNT_REASON_REWRITE;
	if (bpf_l4_csum_replace(skb, check, 0, shunt_csum_fold32(change), mangled))
		return SHUNT_REASON_REWRITE;
	return SHUNT_REASON_RULE;
}

static __always_inline int shunt_tc_rewrite_l4(struct __sk_buff *skb,
					       const struct shunt_layer *layer,
					       const struct shunt_image_rewrite *rw,
					       __u64 change)
{
	__u32 proto = layer->field[SHUNT_FIELD_PROTO] - 1;
	__u32 off = layer->l4_off, check = shunt_check_off(proto, layer->l3);
	__u64 mangled = proto == SHUNT_IP_UDP ? BPF_F_MARK_MANGLED_0 : 0;

	if (!off || !check)
		return SHUNT_REASON_RULE;
	check += off;
	if (change && bpf_l4_csum_replace(skb, check, 0, shunt_csum_fold32(change),
					  BPF_F_PSEUDO_HDR | mangled))
		return SHUNT_REASON_REWRITE;
	if (!shunt_has_ports(proto) || !(rw->bits & SHUNT_REWRITE_PORTS))
		return SHUNT_REASON_RULE;
	return shunt_tc_rewrite_ports(skb, off, check, mangled, rw);
}

__noinline int shunt_tc_rewrite_ip(struct __sk_buff *skb, struct shunt_trace *t)
{
	const struct shunt_image_mods *mods = t ? shunt_mods_at(t) : 0;
	const struct shunt_layer *layer;
	__u64 change = 0;
	int code;

	if (!mods)
		return SHUNT_REASON_REWRITE;
	layer = &t->pkt.layer[SHUNT_OUTER];
	code = shunt_tc_rewrite_l3(skb, layer, &mods->rewrite, &change);
	if (code != SHUNT_REASON_RULE)
		return code;
	return shunt_tc_rewrite_l4(skb, layer, &mods->rewrite, change);
}

/* The outer tag's id; the tag may stand beside the packet or in it. */
static __always_inline int shunt_tc_set_vlan(struct __sk_buff *skb, __u32 vlan)
{
	struct {
		__be16 type, tci;
	} tag;

	if (skb->vlan_present) {
		__u32 tci = (skb->vlan_tci & 0xf000) | vlan;
		__be16 proto = skb->vlan_proto;

		return bpf_skb_vlan_pop(skb) || bpf_skb_vlan_push(skb, proto, tci);
	}
	if (bpf_skb_load_bytes(skb, 12, &tag, sizeof(tag)) ||
	    !shunt_is_tag(shunt_be16(tag.type)))
		return 0;
	tag.tci = shunt_be16((shunt_be16(tag.tci) & 0xf000) | vlan);
	return bpf_skb_store_bytes(skb, 12, &tag, sizeof(tag), 0);
}

__noinline int shunt_tc_rewrite_vlan(struct __sk_buff *skb, struct shunt_trace *t)
{
	const struct shunt_image_mods *mods = t ? shunt_mods_at(t) : 0;
	__u32 bits, vlan;

	if (!mods)
		return SHUNT_REASON_REWRITE;
	bits = mods->rewrite.bits;
	vlan = mods->rewrite.vlan & 0xfff;
	/* of a packet without a tag, popping does nothing */
	if (bits & SHUNT_REWRITE_VLAN_POP && bpf_skb_vlan_pop(skb))
		return SHUNT_REASON_REWRITE;
	if (bits & SHUNT_REWRITE_VLAN_PUSH &&
	    bpf_skb_vlan_push(skb, shunt_be16(SHUNT_ETH_VLAN), vlan))
		return SHUNT_REASON_REWRITE;
	if (bits & SHUNT_REWRITE_VLAN_SET && shunt_tc_set_vlan(skb, vlan))
		return SHUNT_REASON_REWRITE;
	return SHUNT_REASON_RULE;
}

static __always_inline int shunt_tc_rewrite_macs(struct __sk_buff *skb,
						 const struct shunt_image_rewrite *rw)
{
	if (rw->bits & SHUNT_REWRITE_DST_MAC &&
	    bpf_skb_store_bytes(skb, 0, rw->mac[1], 6, 0))
		return SHUNT_REASON_REWRITE;
	if (rw->bits & SHUNT_REWRITE_SRC_MAC &&
	    bpf_skb_store_bytes(skb, 6, rw->mac[0], 6, 0))
		return SHUNT_REASON_REWRITE;
	return SHUNT_REASON_RULE;
}

/* All of it, the tag last: it moves what is behind. SHUNT_REASON_RULE, or why not. */
__noinline int shunt_tc_rewrite(struct __sk_buff *skb, struct shunt_trace *t)
{
	const struct shunt_image_mods *mods = t ? shunt_mods_at(t) : 0;
	int code = SHUNT_REASON_RULE;
	__u32 bits;

	if (!mods || !(mods->bits & SHUNT_MOD_REWRITE))
		return SHUNT_REASON_RULE;
	bits = mods->rewrite.bits;
	if (bits & SHUNT_REWRITE_IP && t->pkt.layer[SHUNT_OUTER].l3)
		code = shunt_tc_rewrite_ip(skb, t);
	if (code == SHUNT_REASON_RULE && bits & SHUNT_REWRITE_MACS)
		code = shunt_tc_rewrite_macs(skb, &mods->rewrite);
	if (code == SHUNT_REASON_RULE && bits & SHUNT_REWRITE_VLAN)
		code = shunt_tc_rewrite_vlan(skb, t);
	return code;
}

/* A frame's bytes, its tag put back in between the addresses and the EtherType. */
static __always_inline int shunt_tc_capture(struct __sk_buff *skb, __u8 *frame, __u32 n)
{
	struct {
		__be16 type, tci;
	} tag;

	if (!skb->vlan_present)
		return bpf_skb_load_bytes(skb, 0, frame, n);
	if (n < 16 || bpf_skb_load_bytes(skb, 0, frame, 12))
		return -1;
	tag.type = skb->vlan_proto;
	tag.tci = shunt_be16(skb->vlan_tci);
	__builtin_memcpy(frame + 12, &tag, sizeof(tag));
	if (n == 16)
		return 0;
	/* less one, and one back, for the same reason as in shunt_ring_room() */
	n -= 17;
	SHUNT_OPAQUE(n);
	if (n > SHUNT_RING_FRAME_MAX - 17)
		return -1;
	return bpf_skb_load_bytes(skb, 12, frame + 16, n + 1);
}

/* The packet into a ring; 0, or not: it is full, or there is none. */
__noinline int shunt_tc_emit(struct __sk_buff *skb, struct shunt_trace *t, __u32 place,
			     __u32 kind, __u32 bytes)
{
	__u32 len = skb->len + (skb->vlan_present ? sizeof(struct shunt_vlan) : 0);
	__u32 n = shunt_ring_room(len, bytes);
	struct shunt_ring_scratch *s = t ? shunt_ring_start(t, place, kind, len) : 0;

	if (!s)
		return -1;
	s->event.ifindex = skb->ifindex;
	s->event.queue = 0;
	if (n > SHUNT_RING_FRAME_MAX || shunt_tc_capture(skb, s->frame, n))
		return -1;
	return shunt_ring_end(s, place, n);
}

/*
 * A copy out of another interface, before the packet itself is redirected: sending may
 * run other programs, which would forget where to. A copy that comes by this very hook
 * again, over a bridge or a VLAN of the same interface, would take our scratch from us:
 * it is let through, uncounted (shunt_scratch_take).
 */
__noinline int shunt_tc_mirror(struct __sk_buff *skb, struct shunt_trace *t)
{
	const struct shunt_image_mods *mods = t ? shunt_mods_at(t) : 0;
	__u32 id = SHUNT_COUNTER_MIRRORED;
	__u32 ifindex;

	if (!mods || !(mods->bits & SHUNT_MOD_MIRROR_INTERFACE))
		return 0;
	ifindex = mods->mirror;
	shunt_scratch_busy(t, 1);
	if (bpf_clone_redirect(skb, ifindex, 0))
		id = SHUNT_COUNTER_MIRROR_LOST;
	shunt_scratch_busy(t, 0);
	shunt_count(t->hook, id, t->pkt.len);
	return 0;
}

/* Clones are shunt_tc_mirror()'s. Always returns 0. */
__noinline int shunt_tc_copies(struct __sk_buff *skb, struct shunt_trace *t)
{
	shunt_copy(skb, t, (shunt_emit *)shunt_tc_emit, 1);
	return 0;
}
