/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* IPv4, IPv6 and its extension headers, fragments. */
#pragma once

/*
 * A later fragment has no transport header, and is known as one.
 */
#include "bpf/lib/parse_cursor.h"
#include "bpf/lib/wire.h"

#define SHUNT_PARSE_EXT_MAX 8 /* IPv6 extension headers */

/* Judges a fragment whose payload starts at the cursor; offset in bytes. */
SHUNT_INLINE int shunt_parse_fragment(const struct shunt_cursor *c,
				      struct shunt_layer *l, __u32 offset, __u32 more)
{
	__u32 payload = c->limit - c->off;
	__u32 before = l->field[SHUNT_FIELD_FRAGMENT];
	__u32 value = offset ? SHUNT_FRAGMENT_LATER
		      : more ? SHUNT_FRAGMENT_FIRST
			     : SHUNT_FRAGMENT_NONE;

	/* a fragment header inside a first fragment does not make it whole again */
	l->field[SHUNT_FIELD_FRAGMENT] = before > value + 1 ? before : value + 1;
	if (value != SHUNT_FRAGMENT_NONE &&
	    ((more && payload % 8) || offset + payload > 65535))
		return SHUNT_REASON_FRAGMENT;
	return SHUNT_PARSE_OK;
}

/* A total length of 0 in a frame beyond 64 KiB is that of a merged TCP burst (BIG TCP). */
SHUNT_INLINE int shunt_parse_ip4(struct shunt_cursor *c, struct shunt_layer *l)
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
	l->l3 = SHUNT_L3_IP4;
	l->l3_off = c->base + start;
	l->field[SHUNT_FIELD_DSCP] = (ip->tos >> 2) + 1;
	l->addr[SHUNT_SIDE_SRC][0] = ip->src;
	l->addr[SHUNT_SIDE_DST][0] = ip->dst;
	shunt_skip(c, header - sizeof(*ip));
	l->field[SHUNT_FIELD_PROTO] = ip->proto + 1;
	fragment = shunt_be16(ip->fragment);
	return shunt_parse_fragment(c, l, (fragment & SHUNT_IP4_OFFSET) * 8,
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
SHUNT_INLINE int shunt_parse_ip6_ext(struct shunt_cursor *c, struct shunt_layer *l,
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
		l->field[SHUNT_FIELD_PROTO] = next + 1;
		if (kind == SHUNT_IP_FRAGMENT) {
			__u32 word = shunt_be16(ext->fragment);

			reason = shunt_parse_fragment(c, l, word & SHUNT_IP6_OFFSET,
						      word & SHUNT_IP6_MORE);
			if (reason != SHUNT_PARSE_OK)
				return reason;
			if (word & SHUNT_IP6_OFFSET)
				return SHUNT_PARSE_OK;
		}
		if (!shunt_skip(c, shunt_ip6_ext_rest(kind, ext->length)))
			return SHUNT_REASON_IP6_EXT;
		shunt_join(c);
	}
	return shunt_is_ip6_ext(next) ? SHUNT_REASON_IP6_EXT : SHUNT_PARSE_OK;
}

/* A payload length of 0 in a frame beyond 64 KiB is a jumbogram's (RFC 2675). */
SHUNT_INLINE int shunt_parse_ip6(struct shunt_cursor *c, struct shunt_layer *l)
{
	const struct shunt_ip6 *ip = shunt_take(c, sizeof(*ip));
	__u32 first, length;
	int i;

	if (!ip)
		return shunt_parse_short(c, sizeof(*ip), SHUNT_REASON_IP6_SHORT);
	first = shunt_be32(ip->version_class_flow);
	if (first >> 28 != 6)
		return SHUNT_REASON_IP6_VERSION;
	length = shunt_be16(ip->length);
	if (length == 0 && c->limit - c->off > 65535)
		length = c->limit - c->off;
	if (c->off + length > c->limit)
		return SHUNT_REASON_IP6_LENGTH;
	c->limit = c->off + length;
	l->l3 = SHUNT_L3_IP6;
	l->l3_off = c->base + c->off - sizeof(*ip);
	l->field[SHUNT_FIELD_DSCP] = (first >> 22 & 0x3f) + 1;
	for (i = 0; i < 4; i++) {
		l->addr[SHUNT_SIDE_SRC][i] = ip->src[i];
		l->addr[SHUNT_SIDE_DST][i] = ip->dst[i];
	}
	l->field[SHUNT_FIELD_PROTO] = ip->next + 1;
	l->field[SHUNT_FIELD_FRAGMENT] = SHUNT_FRAGMENT_NONE + 1;
	return shunt_parse_ip6_ext(c, l, ip->next);
}
