/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/forge.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "bpf/lib/parse.h"
#include "loader/pkt_json.h"

enum {
	USUAL_SPORT = 40000,
	USUAL_DPORT = 9,    /* discard, RFC 863 */
	USUAL_FLAGS = 0x02, /* syn */
	USUAL_ECHO4 = 8 << 8,
	USUAL_ECHO6 = 128 << 8,
	LATER_OFFSET = 185, /* in units of 8 bytes: behind 1480 of them */
	TTL = 64,
};

/* A frame in the making; bytes beyond the room are counted, not written. */
struct forge {
	const struct shunt_pkt *wish;
	uint8_t *bytes;
	size_t n, room;
	int error;
};

static void put8(struct forge *f, unsigned int v)
{
	if (f->n < f->room)
		f->bytes[f->n] = v;
	f->n++;
}

static void put16(struct forge *f, unsigned int v)
{
	put8(f, v >> 8);
	put8(f, v);
}

static void put32(struct forge *f, uint32_t v)
{
	put16(f, v >> 16);
	put16(f, v);
}

static void put(struct forge *f, const void *from, size_t n)
{
	const uint8_t *byte = from;

	while (n--)
		put8(f, *byte++);
}

static void put_zeros(struct forge *f, size_t n)
{
	if (f->n + n <= f->room)
		memset(f->bytes + f->n, 0, n);
	f->n += n;
}

static void patch16(struct forge *f, size_t at, unsigned int v)
{
	if (at + 2 > f->room)
		return;
	f->bytes[at] = v >> 8;
	f->bytes[at + 1] = v;
}

/* The value of a field, or what is usual. */
static uint32_t value_of(const struct shunt_layer *l, enum shunt_field field,
			 uint32_t usual)
{
	return l->field[field] ? l->field[field] - 1 : usual;
}

static bool is_later(const struct shunt_layer *l)
{
	return l->field[SHUNT_FIELD_FRAGMENT] == SHUNT_FRAGMENT_LATER + 1;
}

static bool is_first(const struct shunt_layer *l)
{
	return l->field[SHUNT_FIELD_FRAGMENT] == SHUNT_FRAGMENT_FIRST + 1;
}

/* --- checksums (RFC 1071; SCTP: RFC 9260 appendix A) -------------------------- */

static uint64_t sum(const uint8_t *at, size_t n)
{
	uint64_t total = 0;
	size_t i;

	for (i = 0; i + 1 < n; i += 2)
		total += at[i] << 8 | at[i + 1];
	return n % 2 ? total + (at[n - 1] << 8) : total;
}

static unsigned int fold(uint64_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return total ^ 0xffff;
}

static uint32_t crc32c(const uint8_t *at, size_t n)
{
	uint32_t crc = ~0u;
	int bit;

	while (n--) {
		crc ^= *at++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

/* Over the bytes that are there: of a first fragment, those of this fragment. */
static void seal_transport(struct forge *f, const struct shunt_layer *l, size_t l4)
{
	uint32_t proto = value_of(l, SHUNT_FIELD_PROTO, 0);
	size_t size = l->l3 == SHUNT_L3_IP6 ? 16 : 4, bytes = f->n - l4, at;
	uint64_t pseudo = sum((const uint8_t *)l->addr[SHUNT_SIDE_SRC], size) +
			  sum((const uint8_t *)l->addr[SHUNT_SIDE_DST], size) + proto +
			  bytes;
	uint32_t crc;

	if (f->n > f->room)
		return;
	if (proto == SHUNT_IP_TCP) {
		at = l4 + 16;
	} else if (proto == SHUNT_IP_UDP) {
		at = l4 + 6;
	} else if (proto == SHUNT_IP_ICMP && l->l3 == SHUNT_L3_IP4) {
		at = l4 + 2;
		pseudo = 0;
	} else if (proto == SHUNT_IP_ICMP6 && l->l3 == SHUNT_L3_IP6) {
		at = l4 + 2;
	} else if (proto == SHUNT_IP_SCTP) {
		crc = crc32c(f->bytes + l4, bytes);
		memcpy(f->bytes + l4 + 8, &crc, sizeof(crc)); /* little-endian */
		return;
	} else {
		return;
	}
	patch16(f, at, fold(pseudo + sum(f->bytes + l4, bytes)));
	if (proto == SHUNT_IP_UDP && !f->bytes[at] && !f->bytes[at + 1])
		patch16(f, at, 0xffff);
}

/* --- tunnels ----------------------------------------------------------------- */

static void put_layer(struct forge *f, int which, bool bare);

/* Does the inner packet have what only Ethernet has? */
static bool wants_ethernet(const struct shunt_layer *l)
{
	return l->field[SHUNT_FIELD_VLAN] || l->l3 == SHUNT_L3_NONE ||
	       shunt_layer_wide(l, SHUNT_FIELD_SRC_MAC) ||
	       shunt_layer_wide(l, SHUNT_FIELD_DST_MAC);
}

static unsigned int type_inside(const struct shunt_layer *inner)
{
	if (wants_ethernet(inner))
		return SHUNT_ETH_TEB;
	return inner->l3 == SHUNT_L3_IP4 ? SHUNT_ETH_IP4 : SHUNT_ETH_IP6;
}

static void put_tunnel(struct forge *f, unsigned int tunnel)
{
	const struct shunt_layer *inner = &f->wish->layer[SHUNT_INNER];
	uint64_t key =
		f->wish->layer[SHUNT_OUTER].wide[SHUNT_FIELD_KEY - SHUNT_FIELD_NARROW];
	bool bare = tunnel != SHUNT_TUNNEL_VXLAN && !wants_ethernet(inner);

	switch (tunnel) {
	case SHUNT_TUNNEL_VXLAN:
		put32(f, SHUNT_VXLAN_I << 24);
		put32(f, key ? (key - 1) << 8 : 0);
		break;
	case SHUNT_TUNNEL_GENEVE:
		put16(f, 0);
		put16(f, type_inside(inner));
		put32(f, key ? (key - 1) << 8 : 0);
		break;
	case SHUNT_TUNNEL_GRE:
		put16(f, key ? SHUNT_GRE_KEY : 0);
		put16(f, type_inside(inner));
		if (key)
			put32(f, key - 1);
		break;
	default: /* IPIP */
		if (!bare)
			f->error = -EINVAL;
	}
	put_layer(f, SHUNT_INNER, bare);
}

/* Protocol and port of the layer's tunnel must be those that its packet has. */
static void settle_tunnel(struct shunt_layer *l, const struct shunt_layer *inner)
{
	unsigned int proto = SHUNT_IP_UDP;

	switch (l->field[SHUNT_FIELD_TUNNEL] - 1) {
	case SHUNT_TUNNEL_VXLAN:
		l->field[SHUNT_FIELD_DPORT] = SHUNT_VXLAN_PORT + 1;
		break;
	case SHUNT_TUNNEL_GENEVE:
		l->field[SHUNT_FIELD_DPORT] = SHUNT_GENEVE_PORT + 1;
		break;
	case SHUNT_TUNNEL_GRE:
		proto = SHUNT_IP_GRE;
		break;
	default:
		proto = inner->l3 == SHUNT_L3_IP6 ? SHUNT_IP_IP6 : SHUNT_IP_IP4;
	}
	l->field[SHUNT_FIELD_PROTO] = proto + 1;
}

/* --- transport --------------------------------------------------------------- */

static void put_ports(struct forge *f, const struct shunt_layer *l)
{
	put16(f, value_of(l, SHUNT_FIELD_SPORT, USUAL_SPORT));
	put16(f, value_of(l, SHUNT_FIELD_DPORT, USUAL_DPORT));
}

static void put_header(struct forge *f, const struct shunt_layer *l)
{
	uint32_t proto = value_of(l, SHUNT_FIELD_PROTO, 0), icmp;

	if (proto == SHUNT_IP_TCP) {
		put_ports(f, l);
		put32(f, 1); /* sequence number */
		put32(f, 1);
		put8(f, 5 << 4);
		put8(f, value_of(l, SHUNT_FIELD_TCP_FLAGS, USUAL_FLAGS));
		put16(f, 65535);
		put32(f, 0);
	} else if (proto == SHUNT_IP_UDP) {
		put_ports(f, l);
		put32(f, 0);
	} else if (proto == SHUNT_IP_SCTP) {
		put_ports(f, l);
		put32(f, 0);
		put32(f, 0);
	} else if (proto == SHUNT_IP_ICMP && l->l3 == SHUNT_L3_IP4) {
		icmp = value_of(l, SHUNT_FIELD_ICMP, USUAL_ECHO4);
		put16(f, icmp);
		put_zeros(f, 6);
	} else if (proto == SHUNT_IP_ICMP6 && l->l3 == SHUNT_L3_IP6) {
		icmp = value_of(l, SHUNT_FIELD_ICMP, SHUNT_ICMP6_BASE + USUAL_ECHO6);
		put16(f, icmp & 0xffff);
		put_zeros(f, 6);
	}
}

/* Transport header, tunnel, payload: all that stands behind the IP header. */
static void put_content(struct forge *f, const struct shunt_layer *l)
{
	size_t start = f->n;
	unsigned int tunnel = l->field[SHUNT_FIELD_TUNNEL];

	if (is_later(l)) {
		put_zeros(f, 16);
		return;
	}
	put_header(f, l);
	if (tunnel)
		put_tunnel(f, tunnel - 1);
	else
		put_zeros(f, 8);
	while (is_first(l) && (f->n - start) % 8)
		put8(f, 0);
	if (l->field[SHUNT_FIELD_PROTO] == SHUNT_IP_UDP + 1)
		patch16(f, start + 4, f->n - start);
	seal_transport(f, l, start);
}

/* --- network ----------------------------------------------------------------- */

static void put_ip4(struct forge *f, const struct shunt_layer *l)
{
	unsigned int fragment = is_first(l)   ? SHUNT_IP4_MF
				: is_later(l) ? LATER_OFFSET
					      : 0;
	size_t start = f->n;

	put8(f, 0x45);
	put8(f, value_of(l, SHUNT_FIELD_DSCP, 0) << 2);
	put32(f, 0); /* length and identification */
	put16(f, fragment);
	put8(f, TTL);
	put8(f, value_of(l, SHUNT_FIELD_PROTO, 0));
	put16(f, 0);
	put(f, l->addr[SHUNT_SIDE_SRC], 4);
	put(f, l->addr[SHUNT_SIDE_DST], 4);
	put_content(f, l);
	patch16(f, start + 2, f->n - start);
	if (f->n - start > 65535)
		f->error = -EMSGSIZE;
	if (start + 20 <= f->room)
		patch16(f, start + 10, fold(sum(f->bytes + start, 20)));
}

static void put_ip6(struct forge *f, const struct shunt_layer *l)
{
	bool fragmented = is_first(l) || is_later(l);
	uint32_t proto = value_of(l, SHUNT_FIELD_PROTO, 0);
	size_t start = f->n;

	if (shunt_is_ip6_ext(proto)) /* announces a header that is not there */
		f->error = -EINVAL;
	put32(f, 6u << 28 | value_of(l, SHUNT_FIELD_DSCP, 0) << 22);
	put16(f, 0);
	put8(f, fragmented ? SHUNT_IP_FRAGMENT : proto);
	put8(f, TTL);
	put(f, l->addr[SHUNT_SIDE_SRC], 16);
	put(f, l->addr[SHUNT_SIDE_DST], 16);
	if (fragmented) {
		put8(f, proto);
		put8(f, 0);
		put16(f, is_first(l) ? SHUNT_IP6_MORE : LATER_OFFSET << 3);
		put32(f, 1);
	}
	put_content(f, l);
	patch16(f, start + 4, f->n - start - 40);
	if (f->n - start - 40 > 65535)
		f->error = -EMSGSIZE;
}

static void put_ip(struct forge *f, int which)
{
	struct shunt_layer l = f->wish->layer[which];

	if (which == SHUNT_OUTER && l.field[SHUNT_FIELD_TUNNEL])
		settle_tunnel(&l, &f->wish->layer[SHUNT_INNER]);
	else
		l.field[SHUNT_FIELD_TUNNEL] = 0;
	if (!l.field[SHUNT_FIELD_PROTO])
		f->error = -EINVAL;
	if (l.l3 == SHUNT_L3_IP4)
		put_ip4(f, &l);
	else
		put_ip6(f, &l);
}

/* --- link -------------------------------------------------------------------- */

static void put_mac(struct forge *f, const struct shunt_layer *l,
		    enum shunt_field field, uint64_t usual)
{
	uint64_t index = l->wide[field - SHUNT_FIELD_NARROW];
	uint64_t mac = index ? index - 1 : usual;

	put16(f, mac >> 32);
	put32(f, mac);
}

/* What stands in the type field: 0 is replaced by the length, where there is no type. */
static unsigned int type_of(struct forge *f, const struct shunt_layer *l)
{
	unsigned int type = value_of(l, SHUNT_FIELD_ETH_TYPE, 0);

	if (l->l3 != SHUNT_L3_NONE)
		return l->l3 == SHUNT_L3_IP4 ? SHUNT_ETH_IP4 : SHUNT_ETH_IP6;
	if (type == SHUNT_ETH_IP4 || type == SHUNT_ETH_IP6 ||
	    (type && type < SHUNT_ETH_MIN))
		f->error = -EINVAL;
	return type ? type : 46; /* of the payload that IEEE 802.3 wants at least */
}

static void put_tags(struct forge *f, const struct shunt_layer *l)
{
	uint32_t outer = l->field[SHUNT_FIELD_VLAN];
	uint32_t inner = l->field[SHUNT_FIELD_VLAN_INNER];

	if (inner && !outer)
		f->error = -EINVAL;
	if (outer) {
		put16(f, inner ? SHUNT_ETH_QINQ : SHUNT_ETH_VLAN);
		put16(f, outer - 1);
	}
	if (inner) {
		put16(f, SHUNT_ETH_VLAN);
		put16(f, inner - 1);
	}
}

static void put_arp(struct forge *f)
{
	put16(f, 1);
	put16(f, SHUNT_ETH_IP4);
	put16(f, 6 << 8 | 4);
	put16(f, 1);
	put_zeros(f, 20);
}

/* Reaches the length that the layer is wished to have. */
static void pad(struct forge *f, const struct shunt_layer *l, size_t start)
{
	uint32_t want = l->field[SHUNT_FIELD_LENGTH];
	size_t has = f->n - start;

	if (!want)
		return;
	if (has > want - 1)
		f->error = -EMSGSIZE;
	else
		put_zeros(f, want - 1 - has);
}

/* A layer from its Ethernet header on, or bare: from its IP header on. */
static void put_layer(struct forge *f, int which, bool bare)
{
	const struct shunt_layer *l = &f->wish->layer[which];
	size_t start = f->n;

	if (!bare) {
		put_mac(f, l, SHUNT_FIELD_DST_MAC, 0x020000000002);
		put_mac(f, l, SHUNT_FIELD_SRC_MAC, 0x020000000001);
		put_tags(f, l);
		put16(f, type_of(f, l));
	}
	if (l->l3 != SHUNT_L3_NONE)
		put_ip(f, which);
	else if (l->field[SHUNT_FIELD_ETH_TYPE] == SHUNT_ETH_ARP + 1)
		put_arp(f);
	else
		put_zeros(f, 46);
	pad(f, l, start);
}

int shunt_forge(const struct shunt_pkt *wish, uint8_t *bytes, size_t room)
{
	struct forge f = { .wish = wish, .bytes = bytes, .room = room };

	put_layer(&f, SHUNT_OUTER, false);
	if (f.error)
		return f.error;
	return f.n > room ? -EMSGSIZE : (int)f.n;
}

int shunt_unforge(const uint8_t *bytes, size_t len, struct shunt_pkt *pkt)
{
	memset(pkt, 0, sizeof(*pkt));
	pkt->len = len;
	return shunt_parse(bytes, bytes + len, 0, pkt);
}
