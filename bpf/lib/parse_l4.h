/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Transport headers: ports, TCP flags, ICMP types. */
#pragma once

#include "bpf/lib/parse_cursor.h"
#include "bpf/lib/wire.h"

SHUNT_INLINE int shunt_parse_tcp(struct shunt_cursor *c, struct shunt_layer *l)
{
	const struct shunt_tcp *tcp = shunt_take(c, sizeof(*tcp));
	__u32 words;

	if (!tcp)
		return shunt_parse_short(c, sizeof(*tcp), SHUNT_REASON_TCP_SHORT);
	words = tcp->offset >> 4;
	if (words < 5 || c->off + (words - 5) * 4 > c->limit)
		return SHUNT_REASON_TCP_DOFF;
	l->field[SHUNT_FIELD_SPORT] = shunt_be16(tcp->sport) + 1;
	l->field[SHUNT_FIELD_DPORT] = shunt_be16(tcp->dport) + 1;
	l->field[SHUNT_FIELD_TCP_FLAGS] = tcp->flags + 1;
	return SHUNT_PARSE_OK;
}

/*
 * A UDP length of 0 is a jumbogram's (RFC 2675 section 4). What lies behind the length is
 * no payload: the limit moves there.
 */
SHUNT_INLINE int shunt_parse_udp(struct shunt_cursor *c, struct shunt_layer *l)
{
	const struct shunt_udp *udp = shunt_take(c, sizeof(*udp));
	__u32 length, room;

	if (!udp)
		return shunt_parse_short(c, sizeof(*udp), SHUNT_REASON_UDP_SHORT);
	length = shunt_be16(udp->length);
	room = c->limit - c->off + sizeof(*udp);
	if (length < sizeof(*udp) && !(length == 0 && room > 65535))
		return SHUNT_REASON_UDP_LENGTH;
	if (length > room && l->field[SHUNT_FIELD_FRAGMENT] == SHUNT_FRAGMENT_NONE + 1)
		return SHUNT_REASON_UDP_LENGTH;
	if (length && length < room)
		c->limit = c->off - sizeof(*udp) + length;
	l->field[SHUNT_FIELD_SPORT] = shunt_be16(udp->sport) + 1;
	l->field[SHUNT_FIELD_DPORT] = shunt_be16(udp->dport) + 1;
	return SHUNT_PARSE_OK;
}

SHUNT_INLINE int shunt_parse_sctp(struct shunt_cursor *c, struct shunt_layer *l)
{
	const struct shunt_sctp *sctp = shunt_take(c, sizeof(*sctp));

	if (!sctp)
		return shunt_parse_short(c, sizeof(*sctp), SHUNT_REASON_SCTP_SHORT);
	l->field[SHUNT_FIELD_SPORT] = shunt_be16(sctp->sport) + 1;
	l->field[SHUNT_FIELD_DPORT] = shunt_be16(sctp->dport) + 1;
	return SHUNT_PARSE_OK;
}

SHUNT_INLINE int shunt_parse_icmp(struct shunt_cursor *c, struct shunt_layer *l,
				  __u32 min, __u32 base, int reason)
{
	__u32 left = c->limit - c->off;
	const struct shunt_icmp *icmp = shunt_take(c, sizeof(*icmp));

	if (!icmp)
		return shunt_parse_short(c, sizeof(*icmp), reason);
	if (left < min)
		return reason;
	l->field[SHUNT_FIELD_ICMP] = base + ((__u32)icmp->type << 8 | icmp->code) + 1;
	return SHUNT_PARSE_OK;
}

/* A protocol of the other family is matched by number, never taken apart. */
SHUNT_INLINE int shunt_parse_l4(struct shunt_cursor *c, struct shunt_layer *l,
				__u32 proto)
{
	if (l->field[SHUNT_FIELD_FRAGMENT] == SHUNT_FRAGMENT_LATER + 1)
		return SHUNT_PARSE_OK;
	l->l4_off = c->base + c->off;
	if (proto == SHUNT_IP_TCP)
		return shunt_parse_tcp(c, l);
	if (proto == SHUNT_IP_UDP)
		return shunt_parse_udp(c, l);
	if (proto == SHUNT_IP_SCTP)
		return shunt_parse_sctp(c, l);
	if (proto == SHUNT_IP_ICMP && l->l3 == SHUNT_L3_IP4)
		return shunt_parse_icmp(c, l, SHUNT_ICMP4_MIN, 0,
					SHUNT_REASON_ICMP_SHORT);
	if (proto == SHUNT_IP_ICMP6 && l->l3 == SHUNT_L3_IP6)
		return shunt_parse_icmp(c, l, sizeof(struct shunt_icmp),
					SHUNT_ICMP6_BASE, SHUNT_REASON_ICMP6_SHORT);
	return SHUNT_PARSE_OK;
}
