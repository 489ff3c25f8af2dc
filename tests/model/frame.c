/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/frame.h"

#include <assert.h>
#include <string.h>

enum {
	IP4 = 0x0800,
	ARP = 0x0806,
	IP6 = 0x86dd,
	ICMP = 1,
	TCP = 6,
	UDP = 17,
	IPIP4 = 4,
	IPIP6 = 41,
	FRAGMENT = 44,
	GRE = 47,
	AH = 51,
	ICMP6 = 58,
	SCTP = 132,
	VXLAN_PORT = 4789,
	GENEVE_PORT = 6081,
};

static void put8(struct shunt_model_frame *f, unsigned int v)
{
	assert(f->len < sizeof(f->bytes));
	f->bytes[f->len++] = v;
}

static void put16(struct shunt_model_frame *f, unsigned int v)
{
	put8(f, v >> 8);
	put8(f, v & 255);
}

static void put32(struct shunt_model_frame *f, uint32_t v)
{
	put16(f, v >> 16);
	put16(f, v & 65535);
}

static void put(struct shunt_model_frame *f, const void *bytes, size_t n)
{
	assert(f->len + n <= sizeof(f->bytes));
	memcpy(f->bytes + f->len, bytes, n);
	f->len += n;
}

/* Bytes that nobody should look at: all ones where a parser went astray would show. */
static void fill(struct shunt_model_frame *f, size_t n)
{
	while (n--)
		put8(f, 0xff);
}

static void patch16(struct shunt_model_frame *f, size_t at, unsigned int v)
{
	f->bytes[at] = v >> 8;
	f->bytes[at + 1] = v & 255;
}

static void set(struct shunt_layer *l, enum shunt_field field, uint32_t value)
{
	l->field[field] = value + 1;
}

static void set_wide(struct shunt_layer *l, enum shunt_field field, uint64_t value)
{
	l->wide[field - SHUNT_FIELD_NARROW] = value + 1;
}

static void ethernet(const struct shunt_frame_spec *s, struct shunt_model_frame *f,
		     struct shunt_layer *l);
static void bare(const struct shunt_frame_spec *s, struct shunt_model_frame *f,
		 struct shunt_layer *l);

/* --- the transport layer --------------------------------------------------- */

static int has_transport(const struct shunt_frame_spec *s)
{
	return s->l3 != SHUNT_L3_NONE && s->fragment != SHUNT_FRAGMENT_LATER;
}

static int goes_on(const struct shunt_frame_spec *s)
{
	return s->fragment == SHUNT_FRAGMENT_FIRST ||
	       (s->fragment == SHUNT_FRAGMENT_LATER && s->more);
}

static void ports(const struct shunt_frame_spec *s, struct shunt_model_frame *f,
		  struct shunt_layer *l)
{
	put16(f, s->sport);
	put16(f, s->dport);
	set(l, SHUNT_FIELD_SPORT, s->sport);
	set(l, SHUNT_FIELD_DPORT, s->dport);
}

static void tcp(const struct shunt_frame_spec *s, struct shunt_model_frame *f,
		struct shunt_layer *l)
{
	unsigned int words = 5 + s->tcp_options;

	if (s->fault == SHUNT_FAULT_TCP_DOFF_LOW)
		words = 4;
	if (s->fault == SHUNT_FAULT_TCP_DOFF_HIGH)
		words = 15;
	ports(s, f, l);
	put32(f, 1);
	put32(f, 2);
	put8(f, words << 4);
	put8(f, s->flags);
	set(l, SHUNT_FIELD_TCP_FLAGS, s->flags);
	fill(f, 6 + s->tcp_options * 4);
}

static void udp(const struct shunt_frame_spec *s, struct shunt_model_frame *f,
		struct shunt_layer *l)
{
	ports(s, f, l);
	put32(f, 0);
}

/* To be called when the payload is there. */
static void udp_length(const struct shunt_frame_spec *s, struct shunt_model_frame *f,
		       const struct shunt_layer *l)
{
	unsigned int at = l->l4_off, length = f->len - at;

	if (s->fault == SHUNT_FAULT_UDP_LENGTH_LOW)
		length = s->payload % 8;
	if (s->fault == SHUNT_FAULT_UDP_LENGTH_HIGH)
		length++;
	patch16(f, at + 4, length);
}

static void transport(const struct shunt_frame_spec *s, struct shunt_model_frame *f,
		      struct shunt_layer *l)
{
	set(l, SHUNT_FIELD_PROTO, s->proto);
	if (!has_transport(s))
		return;
	l->l4_off = f->len;
	if ((s->proto == IPIP4 || s->proto == IPIP6) &&
	    l == &f->pkt.layer[SHUNT_OUTER]) /* whatever is inside */
		set(l, SHUNT_FIELD_TUNNEL, SHUNT_TUNNEL_IPIP);
	if (s->proto == TCP) {
		tcp(s, f, l);
	} else if (s->proto == UDP) {
		udp(s, f, l);
	} else if (s->proto == SCTP) {
		ports(s, f, l);
		fill(f, 8);
	} else if (s->proto == (s->l3 == SHUNT_L3_IP4 ? ICMP : ICMP6)) {
		put8(f, s->icmp_type);
		put8(f, s->icmp_code);
		fill(f, s->l3 == SHUNT_L3_IP4 ? 6 : 2);
		set(l, SHUNT_FIELD_ICMP,
		    (s->l3 == SHUNT_L3_IP4 ? 0 : SHUNT_ICMP6_BASE) +
			    (s->icmp_type << 8 | s->icmp_code));
	}
}

/* --- tunnels --------------------------------------------------------------- */

void shunt_frame_carry(struct shunt_frame_spec *s, enum shunt_tunnel tunnel,
		       uint32_t key, const struct shunt_frame_spec *inner)
{
	s->tunnel = tunnel + 1;
	s->key = key;
	s->inner = inner;
	s->proto = UDP;
	if (tunnel == SHUNT_TUNNEL_VXLAN)
		s->dport = VXLAN_PORT;
	else if (tunnel == SHUNT_TUNNEL_GENEVE)
		s->dport = GENEVE_PORT;
	else if (tunnel == SHUNT_TUNNEL_GRE)
		s->proto = GRE;
	else
		s->proto = inner && inner->l3 == SHUNT_L3_IP6 ? IPIP6 : IPIP4;
}

/* The EtherType of what is inside. */
static unsigned int inside_type(const struct shunt_frame_spec *s)
{
	if (!s->inner)
		return 0x88cc;
	if (!s->inner->bare)
		return 0x6558;
	return s->inner->l3 == SHUNT_L3_IP4 ? IP4 : IP6;
}

static void tunnel_header(const struct shunt_frame_spec *s, struct shunt_model_frame *f)
{
	switch (s->tunnel - 1) {
	case SHUNT_TUNNEL_VXLAN:
		put32(f, 0x08ffffff);
		put32(f, s->key << 8 | 0xff);
		break;
	case SHUNT_TUNNEL_GENEVE:
		put8(f, s->tunnel_options);
		put8(f, 0x3f);
		put16(f, inside_type(s));
		put32(f, s->key << 8 | 0xff);
		fill(f, s->tunnel_options * 4);
		break;
	case SHUNT_TUNNEL_GRE:
		put16(f, 0x8000 * s->checksum | 0x2000 * !s->no_key |
				 0x1000 * s->sequence);
		put16(f, inside_type(s));
		fill(f, s->checksum ? 4 : 0);
		if (!s->no_key)
			put32(f, s->key);
		fill(f, s->sequence ? 4 : 0);
	}
}

static int has_key(const struct shunt_frame_spec *s)
{
	return s->tunnel - 1 == SHUNT_TUNNEL_VXLAN ||
	       s->tunnel - 1 == SHUNT_TUNNEL_GENEVE ||
	       (s->tunnel - 1 == SHUNT_TUNNEL_GRE && !s->no_key);
}

/* The tunnel's header and what it carries, which begins at the place that it returns. */
static size_t carry(const struct shunt_frame_spec *s, struct shunt_model_frame *f,
		    struct shunt_layer *l)
{
	struct shunt_layer nowhere = { { 0 } }, *inner = &nowhere;
	struct shunt_frame_spec spec;
	size_t start;

	tunnel_header(s, f);
	if (l == &f->pkt.layer[SHUNT_OUTER]) { /* else a tunnel in a tunnel */
		inner = &f->pkt.layer[SHUNT_INNER];
		set(l, SHUNT_FIELD_TUNNEL, s->tunnel - 1);
		if (has_key(s))
			set_wide(l, SHUNT_FIELD_KEY, s->key);
	}
	start = f->len;
	if (!s->inner) { /* VXLAN: too short for the Ethernet header that must be there */
		fill(f, s->tunnel - 1 == SHUNT_TUNNEL_VXLAN && s->payload > 13
				? 13
				: s->payload);
		return start;
	}
	spec = *s->inner;
	if (goes_on(s)) /* what fills a fragment up to 8n bytes might heal it */
		spec.fault = SHUNT_FAULT_NONE;
	assert(spec.bare ? s->tunnel - 1 != SHUNT_TUNNEL_VXLAN
			 : s->tunnel - 1 != SHUNT_TUNNEL_IPIP);
	(spec.bare ? bare : ethernet)(&spec, f, inner);
	return start;
}

/* What a parser finds of the inner packet, which lies in so many bytes. */
static void carried(const struct shunt_frame_spec *s, struct shunt_model_frame *f,
		    size_t bytes)
{
	struct shunt_layer *inner = &f->pkt.layer[SHUNT_INNER];

	if (!s->inner || (s->inner->fault && !goes_on(s)))
		memset(inner, 0, sizeof(*inner));
	else
		set(inner, SHUNT_FIELD_LENGTH, bytes);
}

/* --- the network layer ----------------------------------------------------- */

static unsigned int fragment_word(const struct shunt_frame_spec *s, int ip4)
{
	unsigned int more = ip4 ? 0x2000 : 1, shift = ip4 ? 0 : 3;
	unsigned int offset = s->offset ? s->offset : 1;

	if (s->fault == SHUNT_FAULT_FRAGMENT_FAR)
		offset = 8191;
	if (s->fragment == SHUNT_FRAGMENT_FIRST)
		return more;
	if (s->fragment == SHUNT_FRAGMENT_LATER)
		return offset << shift | (s->more ? more : 0);
	return 0;
}

/* Bytes behind the transport header; those of VXLAN's port must not look like VXLAN. */
static void payload(const struct shunt_frame_spec *s, struct shunt_model_frame *f)
{
	int vxlan = s->proto == UDP && s->dport == VXLAN_PORT && !s->tunnel;
	unsigned int n;

	for (n = 0; n < s->payload; n++)
		put8(f, vxlan ? 0 : 0xff);
}

/* Transport header and payload; a fragment that is not the last has 8n bytes. */
static void content(const struct shunt_frame_spec *s, struct shunt_model_frame *f,
		    struct shunt_layer *l)
{
	size_t start = f->len, inside = 0, end;

	transport(s, f, l);
	if (s->tunnel && has_transport(s))
		inside = carry(s, f, l);
	else
		payload(s, f);
	end = f->len;
	if (s->proto == UDP && has_transport(s))
		udp_length(s, f, l);
	if (s->fault == SHUNT_FAULT_FRAGMENT_FAR)
		fill(f, 8);
	while (goes_on(s) && (f->len - start) % 8)
		put8(f, 0xff);
	if (s->fault == SHUNT_FAULT_FRAGMENT_ODD)
		put8(f, 0xff);
	if (s->proto != UDP)
		end = f->len;
	if (inside && l == &f->pkt.layer[SHUNT_OUTER])
		carried(s, f, end - inside);
}

/* Where the IP packet must end so that the transport header is cut; 0: it is not. */
static size_t cut_at(const struct shunt_frame_spec *s,
		     const struct shunt_model_frame *f, const struct shunt_layer *l)
{
	switch (s->fault) {
	case SHUNT_FAULT_TCP_CUT:
		return l->l4_off + 19;
	case SHUNT_FAULT_UDP_CUT:
	case SHUNT_FAULT_ICMP_CUT:
		return l->l4_off + 7;
	case SHUNT_FAULT_SCTP_CUT:
		return l->l4_off + 11;
	case SHUNT_FAULT_ICMP6_CUT:
		return l->l4_off + 3;
	default:
		return f->len;
	}
}

static void ip4(const struct shunt_frame_spec *s, struct shunt_model_frame *f,
		struct shunt_layer *l)
{
	size_t start = f->len, length;
	unsigned int ihl = s->fault == SHUNT_FAULT_IP4_IHL ? 4 : 5 + s->options;

	put8(f, (s->fault == SHUNT_FAULT_IP4_VERSION ? 0x60 : 0x40) | ihl);
	put8(f, s->dscp << 2 | s->ecn);
	put16(f, 0);
	put16(f, 0x1234);
	put16(f, fragment_word(s, 1) | 0x4000 * !s->fragment);
	put8(f, 64);
	put8(f, s->proto);
	put16(f, 0);
	put(f, s->src, 4);
	put(f, s->dst, 4);
	fill(f, s->options * 4);
	memcpy(l->addr[SHUNT_SIDE_SRC], s->src, 4);
	memcpy(l->addr[SHUNT_SIDE_DST], s->dst, 4);
	content(s, f, l);
	length = cut_at(s, f, l) - start;
	if (s->fault == SHUNT_FAULT_IP4_TOO_SHORT)
		length = (5 + s->options) * 4 - 1;
	if (s->fault == SHUNT_FAULT_IP4_TOO_LONG)
		length = f->len - start + s->pad + 1;
	patch16(f, start + 2, length);
}

/* One extension header, of 8 to 24 bytes by its place. */
static void ext(struct shunt_model_frame *f, unsigned int kind, unsigned int next,
		int i)
{
	unsigned int bytes = kind == AH ? 12 + 4 * (i % 3) : 8 + 8 * (i % 3);

	put8(f, next);
	put8(f, kind == AH ? bytes / 4 - 2 : bytes / 8 - 1);
	fill(f, bytes - 2);
}

static void ip6(const struct shunt_frame_spec *s, struct shunt_model_frame *f,
		struct shunt_layer *l)
{
	int fragmented = s->fragment != SHUNT_FRAGMENT_NONE || s->atomic, i;
	unsigned int last = fragmented ? FRAGMENT : s->proto;
	size_t start = f->len, body, length, ends = 0;

	put32(f, (s->fault == SHUNT_FAULT_IP6_VERSION ? 0x40000000 : 0x60012345) |
			 (uint32_t)(s->dscp << 2 | s->ecn) << 20);
	put16(f, 0);
	put8(f, s->exts ? s->ext[0] : last);
	put8(f, 64);
	put(f, s->src, 16);
	put(f, s->dst, 16);
	memcpy(l->addr[SHUNT_SIDE_SRC], s->src, 16);
	memcpy(l->addr[SHUNT_SIDE_DST], s->dst, 16);
	body = f->len;
	for (i = 0; i < s->exts; i++)
		ext(f, s->ext[i], i + 1 < s->exts ? s->ext[i + 1] : last, i);
	if (fragmented) {
		put8(f, s->proto);
		put8(f, 0);
		put16(f, fragment_word(s, 0));
		put32(f, 0x12345678);
	}
	ends = f->len;
	content(s, f, l);
	length = cut_at(s, f, l) - body;
	if (s->fault == SHUNT_FAULT_IP6_TOO_LONG)
		length = f->len - body + s->pad + 1;
	if (s->fault == SHUNT_FAULT_IP6_EXT_CUT)
		length = ends - body - 1;
	patch16(f, start + 4, length);
}

static void network(const struct shunt_frame_spec *s, struct shunt_model_frame *f,
		    struct shunt_layer *l)
{
	l->l3 = s->l3;
	l->l3_off = f->len;
	set(l, SHUNT_FIELD_FRAGMENT, s->fragment);
	set(l, SHUNT_FIELD_DSCP, s->dscp);
	if (s->l3 == SHUNT_L3_IP4)
		ip4(s, f, l);
	else
		ip6(s, f, l);
}

/* --- the link layer -------------------------------------------------------- */

static void arp(struct shunt_model_frame *f)
{
	put16(f, 1);
	put16(f, IP4);
	put8(f, 6);
	put8(f, 4);
	put16(f, 1);
	fill(f, 20);
}

static unsigned int last_type(const struct shunt_frame_spec *s)
{
	if (s->l3 == SHUNT_L3_IP4)
		return IP4;
	if (s->l3 == SHUNT_L3_IP6)
		return IP6;
	return s->eth_type ? s->eth_type : 3 + s->payload;
}

/* Where the frame itself must end; it begins at `eth`, what is cut lies at `start`. */
static void cut(const struct shunt_frame_spec *s, struct shunt_model_frame *f,
		size_t eth, size_t start)
{
	if (s->fault == SHUNT_FAULT_VLAN_CUT)
		f->len = eth + 14 + (s->tags > 1 ? 4 : 0) + 3;
	if (s->fault == SHUNT_FAULT_ARP_CUT)
		f->len = start + 27;
	if (s->fault == SHUNT_FAULT_IP4_CUT)
		f->len = start + 19;
	if (s->fault == SHUNT_FAULT_IP6_CUT)
		f->len = start + 39;
}

static const int reasons[SHUNT_FAULT_COUNT] = { [SHUNT_FAULT_NONE] = SHUNT_FRAME_SOUND,
#define X(id, reason, layer) [SHUNT_FAULT_##id] = SHUNT_REASON_##reason,
						SHUNT_FAULTS(X)
#undef X
};

static uint64_t mac_number(const uint8_t mac[6])
{
	uint64_t number = 0;
	int i;

	for (i = 0; i < 6; i++)
		number = number * 256 + mac[i];
	return number;
}

static void macs(const struct shunt_frame_spec *s, struct shunt_model_frame *f,
		 struct shunt_layer *l)
{
	static const uint8_t none[2][6],
		usual[2][6] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 } };
	const uint8_t(*mac)[6] = memcmp(s->mac, none, sizeof(none)) ? s->mac : usual;

	put(f, mac[SHUNT_SIDE_DST], 6);
	put(f, mac[SHUNT_SIDE_SRC], 6);
	set_wide(l, SHUNT_FIELD_DST_MAC, mac_number(mac[SHUNT_SIDE_DST]));
	set_wide(l, SHUNT_FIELD_SRC_MAC, mac_number(mac[SHUNT_SIDE_SRC]));
}

static void ethernet(const struct shunt_frame_spec *s, struct shunt_model_frame *f,
		     struct shunt_layer *l)
{
	unsigned int type = last_type(s), i;
	size_t eth = f->len, start;

	macs(s, f, l);
	for (i = 0; i < s->tags; i++) {
		put16(f, s->tag[i].type);
		put16(f, 0xe000 | s->tag[i].id);
	}
	put16(f, type);
	if (s->tags > 0)
		set(l, SHUNT_FIELD_VLAN, s->tag[0].id);
	if (s->tags > 1)
		set(l, SHUNT_FIELD_VLAN_INNER, s->tag[1].id);
	if (s->tags > 2)
		type = s->tag[2].type;
	if (type >= 1536)
		set(l, SHUNT_FIELD_ETH_TYPE, type);
	start = f->len;
	if (s->tags > 2)
		fill(f, 60);
	else if (s->l3 != SHUNT_L3_NONE)
		network(s, f, l);
	else if (type == ARP)
		arp(f);
	else
		fill(f, 3 + s->payload);
	fill(f, s->pad);
	cut(s, f, eth, start);
}

/* IP right inside a tunnel. */
static void bare(const struct shunt_frame_spec *s, struct shunt_model_frame *f,
		 struct shunt_layer *l)
{
	size_t start = f->len;

	assert(s->l3 != SHUNT_L3_NONE);
	set(l, SHUNT_FIELD_ETH_TYPE, last_type(s));
	network(s, f, l);
	fill(f, s->pad);
	cut(s, f, start, start);
}

void shunt_frame_build(const struct shunt_frame_spec *s, struct shunt_model_frame *f)
{
	memset(&f->pkt, 0, sizeof(f->pkt));
	f->len = 0;
	ethernet(s, f, &f->pkt.layer[SHUNT_OUTER]);
	set(&f->pkt.layer[SHUNT_OUTER], SHUNT_FIELD_LENGTH, f->len);
	f->pkt.len = f->len;
	f->reason = reasons[s->fault];
}

/* --- faults ---------------------------------------------------------------- */

int shunt_frame_can_fail(const struct shunt_frame_spec *s, enum shunt_fault fault)
{
	int deep = s->tags<3, tag = s->tags> 0;
	int ip4 = deep && s->l3 == SHUNT_L3_IP4, ip6 = deep && s->l3 == SHUNT_L3_IP6;
	int arp = deep && s->l3 == SHUNT_L3_NONE && s->eth_type == ARP;
	int ext = ip6 && (s->exts || s->atomic || s->fragment);
	int more = (ip4 || ip6) && goes_on(s);
	int later = (ip4 || ip6) && s->fragment == SHUNT_FRAGMENT_LATER;
	/* a cut first fragment would be wrong in two ways */
	int head = (ip4 || ip6) && s->fragment == SHUNT_FRAGMENT_NONE;
	int tcp = head && s->proto == TCP, udp = head && s->proto == UDP;
	int sctp = head && s->proto == SCTP;
	int icmp = head && ip4 && s->proto == ICMP;
	int icmp6 = head && ip6 && s->proto == ICMP6, whole_udp = udp;

	if (fault == SHUNT_FAULT_TCP_DOFF_HIGH && s->tcp_options * 4 + s->payload >= 40)
		return 0;
	switch (fault) {
#define X(id, reason, layer)                                                           \
	case SHUNT_FAULT_##id:                                                         \
		return layer;
		SHUNT_FAULTS(X)
#undef X
	default:
		return 1;
	}
}
