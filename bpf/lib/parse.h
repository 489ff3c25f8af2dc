/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bytes to struct shunt_pkt: strict, once a packet, the same code in BPF and on the
 * host. */
#pragma once

/*
 * The cursor takes or says no: no byte is read that was not asked for by length.
 * Lengths are checked at both ends: a header must lie inside the frame and inside what
 * the layer above it claims, so that Ethernet padding is never taken for a header. A
 * later fragment has no transport header, and is known as one.
 *
 * When the packet is malformed, the fields that were understood before stay filled.
 */
#include "bpf/lib/compiler.h"
#include "bpf/lib/wire.h"
#include "maps/pkt.h"
#include "maps/reason.h"

#define SHUNT_PARSE_EXT_MAX 8 /* IPv6 extension headers */

/* The answer of a parser that has nothing to complain about. */
#define SHUNT_PARSE_OK (-1)

struct shunt_cursor {
	const __u8 *data; /* start of the frame */
	const __u8 *pos;
	const __u8 *end; /* of the bytes that can be read here */
	__u32 off;	 /* of pos, from the start of the frame */
	__u32 limit;	 /* offset at which the current layer's payload ends */
	__u32 hidden;	 /* the frame goes on behind `end` */
};

/* The next n bytes, or NULL; the caller says what is missing by shunt_parse_short(). */
SHUNT_INLINE const void *shunt_take(struct shunt_cursor *c, __u32 n)
{
	const __u8 *at = c->pos;

	if (c->off + n > c->limit || at + n > c->end)
		return 0;
	c->pos = at + n;
	c->off += n;
	return at;
}

/* Steps over n more bytes that need not be readable. */
SHUNT_INLINE int shunt_skip(struct shunt_cursor *c, __u32 n)
{
	if (c->off + n > c->limit)
		return 0;
	c->pos += n;
	c->off += n;
	return 1;
}

/*
 * To be called where paths join. Stored and read back, the offset is any small number to
 * the verifier: what follows is then verified once, not once for each way that leads here.
 * (Offsets stay far below the mask: 18 bytes, IPv6, and 8 headers of at most 2048.)
 */
SHUNT_INLINE void shunt_join(struct shunt_cursor *c, struct shunt_pkt *pkt)
{
	pkt->join = c->off;
	c->off = *(volatile __u16 *)&pkt->join;
	SHUNT_OPAQUE(c->off);
	c->off &= 0x7fff;
	c->pos = c->data + c->off;
}

/* Why shunt_take() said no: the layer ends, or our view of it does. */
SHUNT_INLINE int shunt_parse_short(const struct shunt_cursor *c, __u32 n, int reason)
{
	return c->hidden && c->off + n <= c->limit ? SHUNT_REASON_DEEP : reason;
}

SHUNT_INLINE int shunt_parse_arp(struct shunt_cursor *c)
{
	const struct shunt_arp *arp = shunt_take(c, sizeof(*arp));

	if (!arp)
		return shunt_parse_short(c, sizeof(*arp), SHUNT_REASON_ARP_SHORT);
	if (!shunt_skip(c, 2u * (arp->hlen + arp->plen)))
		return SHUNT_REASON_ARP_SHORT;
	return SHUNT_PARSE_OK;
}

SHUNT_INLINE int shunt_parse_tcp(struct shunt_cursor *c, struct shunt_pkt *pkt)
{
	const struct shunt_tcp *tcp = shunt_take(c, sizeof(*tcp));
	__u32 words;

	if (!tcp)
		return shunt_parse_short(c, sizeof(*tcp), SHUNT_REASON_TCP_SHORT);
	words = tcp->offset >> 4;
	if (words < 5 || c->off + (words - 5) * 4 > c->limit)
		return SHUNT_REASON_TCP_DOFF;
	pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_SPORT] = shunt_be16(tcp->sport) + 1;
	pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_DPORT] = shunt_be16(tcp->dport) + 1;
	pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_TCP_FLAGS] = tcp->flags + 1;
	return SHUNT_PARSE_OK;
}

/* A UDP length of 0 is a jumbogram's (RFC 2675 section 4). */
SHUNT_INLINE int shunt_parse_udp(struct shunt_cursor *c, struct shunt_pkt *pkt)
{
	const struct shunt_udp *udp = shunt_take(c, sizeof(*udp));
	__u32 length, room;

	if (!udp)
		return shunt_parse_short(c, sizeof(*udp), SHUNT_REASON_UDP_SHORT);
	length = shunt_be16(udp->length);
	room = c->limit - c->off + sizeof(*udp);
	if (length < sizeof(*udp) && !(length == 0 && room > 65535))
		return SHUNT_REASON_UDP_LENGTH;
	if (length > room && pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_FRAGMENT] ==
				     SHUNT_FRAGMENT_NONE + 1)
		return SHUNT_REASON_UDP_LENGTH;
	pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_SPORT] = shunt_be16(udp->sport) + 1;
	pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_DPORT] = shunt_be16(udp->dport) + 1;
	return SHUNT_PARSE_OK;
}

SHUNT_INLINE int shunt_parse_sctp(struct shunt_cursor *c, struct shunt_pkt *pkt)
{
	const struct shunt_sctp *sctp = shunt_take(c, sizeof(*sctp));

	if (!sctp)
		return shunt_parse_short(c, sizeof(*sctp), SHUNT_REASON_SCTP_SHORT);
	pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_SPORT] = shunt_be16(sctp->sport) + 1;
	pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_DPORT] = shunt_be16(sctp->dport) + 1;
	return SHUNT_PARSE_OK;
}

SHUNT_INLINE int shunt_parse_icmp(struct shunt_cursor *c, struct shunt_pkt *pkt,
				  __u32 min, __u32 base, int reason)
{
	__u32 left = c->limit - c->off;
	const struct shunt_icmp *icmp = shunt_take(c, sizeof(*icmp));

	if (!icmp)
		return shunt_parse_short(c, sizeof(*icmp), reason);
	if (left < min)
		return reason;
	pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_ICMP] =
		base + ((__u32)icmp->type << 8 | icmp->code) + 1;
	return SHUNT_PARSE_OK;
}

/* A protocol of the other family is matched by number, never taken apart. */
SHUNT_INLINE int shunt_parse_l4(struct shunt_cursor *c, struct shunt_pkt *pkt,
				__u32 proto)
{
	if (pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_FRAGMENT] ==
	    SHUNT_FRAGMENT_LATER + 1)
		return SHUNT_PARSE_OK;
	pkt->layer[SHUNT_OUTER].l4_off = c->off;
	if (proto == SHUNT_IP_TCP)
		return shunt_parse_tcp(c, pkt);
	if (proto == SHUNT_IP_UDP)
		return shunt_parse_udp(c, pkt);
	if (proto == SHUNT_IP_SCTP)
		return shunt_parse_sctp(c, pkt);
	if (proto == SHUNT_IP_ICMP && pkt->layer[SHUNT_OUTER].l3 == SHUNT_L3_IP4)
		return shunt_parse_icmp(c, pkt, SHUNT_ICMP4_MIN, 0,
					SHUNT_REASON_ICMP_SHORT);
	if (proto == SHUNT_IP_ICMP6 && pkt->layer[SHUNT_OUTER].l3 == SHUNT_L3_IP6)
		return shunt_parse_icmp(c, pkt, sizeof(struct shunt_icmp),
					SHUNT_ICMP6_BASE, SHUNT_REASON_ICMP6_SHORT);
	return SHUNT_PARSE_OK;
}

/* Judges a fragment whose payload starts at the cursor; offset in bytes. */
SHUNT_INLINE int shunt_parse_fragment(const struct shunt_cursor *c,
				      struct shunt_pkt *pkt, __u32 offset, __u32 more)
{
	__u32 payload = c->limit - c->off;
	__u32 before = pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_FRAGMENT];
	__u32 value = offset ? SHUNT_FRAGMENT_LATER
		      : more ? SHUNT_FRAGMENT_FIRST
			     : SHUNT_FRAGMENT_NONE;

	/* a fragment header inside a first fragment does not make it whole again */
	pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_FRAGMENT] =
		before > value + 1 ? before : value + 1;
	if (value != SHUNT_FRAGMENT_NONE &&
	    ((more && payload % 8) || offset + payload > 65535))
		return SHUNT_REASON_FRAGMENT;
	return SHUNT_PARSE_OK;
}

/* A total length of 0 in a frame beyond 64 KiB is that of a merged TCP burst (BIG TCP). */
SHUNT_INLINE int shunt_parse_ip4(struct shunt_cursor *c, struct shunt_pkt *pkt)
{
	const struct shunt_ip4 *ip = shunt_take(c, sizeof(*ip));
	__u32 start = c->off - sizeof(*ip);
	__u32 header, length, fragment;

	if (!ip)
		return shunt_parse_short(c, sizeof(*ip), SHUNT_REASON_IP4_SHORT);
	if (ip->version_ihl >> 4 != 4)
		return SHUNT_REASON_IP4_VERSION;
	header = (ip->version_ihl & 15) * 4;
	if (header < sizeof(*ip))
		return SHUNT_REASON_IP4_IHL;
	length = shunt_be16(ip->length);
	if (length == 0 && c->limit - start > 65535)
		length = c->limit - start;
	if (length < header || start + length > c->limit)
		return SHUNT_REASON_IP4_LENGTH;
	c->limit = start + length;
	pkt->layer[SHUNT_OUTER].l3 = SHUNT_L3_IP4;
	pkt->layer[SHUNT_OUTER].l3_off = start;
	pkt->layer[SHUNT_OUTER].addr[SHUNT_SIDE_SRC][0] = ip->src;
	pkt->layer[SHUNT_OUTER].addr[SHUNT_SIDE_DST][0] = ip->dst;
	shunt_skip(c, header - sizeof(*ip));
	pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_PROTO] = ip->proto + 1;
	fragment = shunt_be16(ip->fragment);
	return shunt_parse_fragment(c, pkt, (fragment & SHUNT_IP4_OFFSET) * 8,
				    fragment & SHUNT_IP4_MF);
}

SHUNT_INLINE int shunt_is_ip6_ext(__u32 next)
{
	return next == SHUNT_IP_HOPOPT || next == SHUNT_IP_ROUTING ||
	       next == SHUNT_IP_FRAGMENT || next == SHUNT_IP_AH ||
	       next == SHUNT_IP_DSTOPTS;
}

/*
 * What is left of an extension header behind its first 8 bytes; the length field counts
 * in 8 bytes, AH's in 4, and a fragment header has no more. Without branches, or the
 * verifier would walk each chain of headers on its own.
 */
SHUNT_INLINE __u32 shunt_ip6_ext_rest(__u32 kind, __u32 length)
{
	__u32 is_ah = ((__u64)(kind ^ SHUNT_IP_AH) - 1) >> 63;
	__u32 is_fragment = ((__u64)(kind ^ SHUNT_IP_FRAGMENT) - 1) >> 63;
	__u32 rest = (length & (is_fragment - 1)) << (3 - is_ah);

	/* the compiler knows the bound; the verifier must be shown it */
	SHUNT_OPAQUE(rest);
	return rest & 0x7ff;
}

/*
 * Walks the extension headers (RFC 8200 section 4; the same ones as the kernel's
 * ipv6_skip_exthdr) and stops at a later fragment, behind which nothing can be known.
 */
SHUNT_INLINE int shunt_parse_ip6_ext(struct shunt_cursor *c, struct shunt_pkt *pkt,
				     __u32 next)
{
	int i;

	SHUNT_UNROLL
	for (i = 0; i < SHUNT_PARSE_EXT_MAX; i++) {
		const struct shunt_ip6_ext *ext;
		__u32 kind = next;
		int reason;

		if (!shunt_is_ip6_ext(kind))
			return SHUNT_PARSE_OK;
		ext = shunt_take(c, sizeof(*ext));
		if (!ext)
			return shunt_parse_short(c, sizeof(*ext), SHUNT_REASON_IP6_EXT);
		next = ext->next;
		pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_PROTO] = next + 1;
		if (kind == SHUNT_IP_FRAGMENT) {
			__u32 word = shunt_be16(ext->fragment);

			reason = shunt_parse_fragment(c, pkt, word & SHUNT_IP6_OFFSET,
						      word & SHUNT_IP6_MORE);
			if (reason != SHUNT_PARSE_OK)
				return reason;
			if (word & SHUNT_IP6_OFFSET)
				return SHUNT_PARSE_OK;
		}
		if (!shunt_skip(c, shunt_ip6_ext_rest(kind, ext->length)))
			return SHUNT_REASON_IP6_EXT;
		shunt_join(c, pkt);
	}
	return shunt_is_ip6_ext(next) ? SHUNT_REASON_IP6_EXT : SHUNT_PARSE_OK;
}

/* A payload length of 0 in a frame beyond 64 KiB is a jumbogram's (RFC 2675). */
SHUNT_INLINE int shunt_parse_ip6(struct shunt_cursor *c, struct shunt_pkt *pkt)
{
	const struct shunt_ip6 *ip = shunt_take(c, sizeof(*ip));
	__u32 length;
	int i;

	if (!ip)
		return shunt_parse_short(c, sizeof(*ip), SHUNT_REASON_IP6_SHORT);
	if (shunt_be32(ip->version_class_flow) >> 28 != 6)
		return SHUNT_REASON_IP6_VERSION;
	length = shunt_be16(ip->length);
	if (length == 0 && c->limit - c->off > 65535)
		length = c->limit - c->off;
	if (c->off + length > c->limit)
		return SHUNT_REASON_IP6_LENGTH;
	c->limit = c->off + length;
	pkt->layer[SHUNT_OUTER].l3 = SHUNT_L3_IP6;
	pkt->layer[SHUNT_OUTER].l3_off = c->off - sizeof(*ip);
	for (i = 0; i < 4; i++) {
		pkt->layer[SHUNT_OUTER].addr[SHUNT_SIDE_SRC][i] = ip->src[i];
		pkt->layer[SHUNT_OUTER].addr[SHUNT_SIDE_DST][i] = ip->dst[i];
	}
	pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_PROTO] = ip->next + 1;
	pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_FRAGMENT] = SHUNT_FRAGMENT_NONE + 1;
	return shunt_parse_ip6_ext(c, pkt, ip->next);
}

/*
 * Parses a frame. The caller has zeroed pkt and set its len; it may have set
 * pkt->layer[SHUNT_OUTER].field[VLAN], where the hook has already taken the outer tag off the frame. `end`
 * is the end of the readable bytes, which may be short of len.
 *
 * Returns SHUNT_PARSE_OK, or the enum shunt_reason that makes the packet malformed.
 */
SHUNT_INLINE int shunt_parse(const void *data, const void *end, __u32 hidden,
			     struct shunt_pkt *pkt)
{
	struct shunt_cursor c = { .data = data,
				  .pos = data,
				  .end = end,
				  .limit = pkt->len,
				  .hidden = hidden };
	const struct shunt_eth *eth = shunt_take(&c, sizeof(*eth));
	__u32 type;
	int i, reason;

	if (!eth)
		return shunt_parse_short(&c, sizeof(*eth), SHUNT_REASON_ETH_SHORT);
	type = shunt_be16(eth->type);
	for (i = 0; i < 2; i++) {
		const struct shunt_vlan *vlan;
		__u32 id;

		if (type != SHUNT_ETH_VLAN && type != SHUNT_ETH_QINQ &&
		    type != SHUNT_ETH_QINQ1)
			break;
		if (pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_VLAN_INNER])
			break;
		vlan = shunt_take(&c, sizeof(*vlan));
		if (!vlan)
			return shunt_parse_short(&c, sizeof(*vlan),
						 SHUNT_REASON_VLAN_SHORT);
		id = (shunt_be16(vlan->tci) & 0xfff) + 1;
		if (pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_VLAN])
			pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_VLAN_INNER] = id;
		else
			pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_VLAN] = id;
		type = shunt_be16(vlan->type);
	}
	if (type < SHUNT_ETH_MIN) /* 802.3: LLC, no EtherType */
		return SHUNT_PARSE_OK;
	pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_ETH_TYPE] = type + 1;
	shunt_join(&c, pkt);
	if (type == SHUNT_ETH_IP4)
		reason = shunt_parse_ip4(&c, pkt);
	else if (type == SHUNT_ETH_IP6)
		reason = shunt_parse_ip6(&c, pkt);
	else
		return type == SHUNT_ETH_ARP ? shunt_parse_arp(&c) : SHUNT_PARSE_OK;
	if (reason != SHUNT_PARSE_OK)
		return reason;
	shunt_join(&c, pkt);
	return shunt_parse_l4(&c, pkt,
			      pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_PROTO] - 1);
}
