/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/traffic.h"

#include <string.h>

#include "tests/model/aim.h"

enum {
	ICMP = 1,
	IPIP = 4,
	TCP = 6,
	UDP = 17,
	IP6 = 41,
	GRE = 47,
	ICMP6 = 58,
	SCTP = 132
};
enum { VXLAN_PORT = 4789, GENEVE_PORT = 6081 };

/* One layer in the making: what is wanted of it, as indexes; -1: nothing. */
struct draft {
	struct shunt_random *r;
	const struct shunt_policy *policy;
	const struct shunt_policy_layer *want; /* NULL: nothing */
	int64_t index[SHUNT_FIELD_COUNT];
	const struct shunt_prefix *service[SHUNT_SIDES];
	struct shunt_frame_spec *s;
};

static void open_draft(struct draft *d, struct shunt_random *r,
		       const struct shunt_policy *policy,
		       const struct shunt_policy_layer *want,
		       struct shunt_frame_spec *s)
{
	*d = (struct draft){ .r = r, .policy = policy, .want = want, .s = s };
	memset(s, 0, sizeof(*s));
	for (int f = 0; f < SHUNT_FIELD_COUNT; f++)
		d->index[f] = want ? shunt_aim_field(r, want, f) : -1;
}

static uint64_t value_or(struct draft *d, enum shunt_field field, uint64_t values)
{
	return d->index[field] > 0 ? (uint64_t)d->index[field] - 1
				   : shunt_random_next(d->r) % values;
}

/* --- addresses ------------------------------------------------------------- */

static enum shunt_l3 draw_l3(struct draft *d)
{
	int64_t type = d->index[SHUNT_FIELD_ETH_TYPE];
	int64_t icmp = d->index[SHUNT_FIELD_ICMP];
	int family;

	if (type == 0x0801)
		return SHUNT_L3_IP4;
	if (type == 0x86de)
		return SHUNT_L3_IP6;
	family = d->want ? shunt_aim_family(d->r, d->policy, d->want) : 0;
	if (family) /* an EtherType that is not IP's would miss the rule anyway */
		return family;
	if (type >= 0)
		return SHUNT_L3_NONE;
	if (icmp > 0)
		return icmp > SHUNT_ICMP6_BASE ? SHUNT_L3_IP6 : SHUNT_L3_IP4;
	if (shunt_random_one_in(d->r, 10))
		return SHUNT_L3_NONE;
	return shunt_random_one_in(d->r, 2) ? SHUNT_L3_IP4 : SHUNT_L3_IP6;
}

static void draw_addresses(struct draft *d)
{
	if (d->s->l3 == SHUNT_L3_NONE)
		return;
	for (int side = 0; side < SHUNT_SIDES; side++)
		d->service[side] =
			shunt_aim_address(d->r, d->policy, d->want, side, d->s->l3,
					  side == SHUNT_SIDE_SRC ? d->s->src
								 : d->s->dst);
}

/* --- transport ------------------------------------------------------------- */

static bool is_ext(uint32_t proto)
{
	return proto == 0 || proto == 43 || proto == 44 || proto == 51 || proto == 60;
}

static uint32_t draw_proto(struct draft *d)
{
	static const uint8_t usual[] = { TCP,  UDP,   TCP, UDP, SCTP,
					 ICMP, ICMP6, GRE, 50,	2 };
	static const uint8_t ported[] = { TCP, UDP, SCTP };
	int64_t proto = d->index[SHUNT_FIELD_PROTO];
	bool ports = d->index[SHUNT_FIELD_SPORT] > 0 || d->index[SHUNT_FIELD_DPORT] > 0;

	if (d->index[SHUNT_FIELD_ICMP] > 0)
		return d->s->l3 == SHUNT_L3_IP4 ? ICMP : ICMP6;
	if (d->index[SHUNT_FIELD_TCP_FLAGS] > 0 && !shunt_random_one_in(d->r, 16))
		return TCP;
	if (proto > 0 && !(d->s->l3 == SHUNT_L3_IP6 && is_ext(proto - 1)))
		return proto - 1;
	return ports ? shunt_random_of(d->r, ported) : shunt_random_of(d->r, usual);
}

/* A member of a set of services stands for a protocol and a port, too. */
static void serve(struct draft *d)
{
	for (int side = 0; side < SHUNT_SIDES; side++) {
		const struct shunt_prefix *member = d->service[side];

		if (!member || shunt_random_one_in(d->r, 8))
			continue;
		d->s->proto = member->proto;
		if (side == SHUNT_SIDE_SRC)
			d->s->sport = member->port + shunt_random_one_in(d->r, 12);
		else
			d->s->dport = member->port + shunt_random_one_in(d->r, 12);
	}
}

static void draw_transport(struct draft *d)
{
	struct shunt_frame_spec *s = d->s;
	uint32_t code;

	s->proto = draw_proto(d);
	s->sport = value_or(d, SHUNT_FIELD_SPORT, 65536);
	s->dport = value_or(d, SHUNT_FIELD_DPORT, 65536);
	serve(d);
	s->flags = value_or(d, SHUNT_FIELD_TCP_FLAGS, 256);
	code = value_or(d, SHUNT_FIELD_ICMP, 65536) & 65535;
	s->icmp_type = code >> 8;
	s->icmp_code = code & 255;
	if (shunt_random_one_in(d->r, 8))
		s->tcp_options = shunt_random_below(d->r, 11);
	s->payload =
		shunt_random_below(d->r, shunt_random_one_in(d->r, 16) ? 1000 : 40);
}

/* --- the network layer ----------------------------------------------------- */

static void draw_fragment(struct draft *d)
{
	struct shunt_frame_spec *s = d->s;
	int64_t index = d->index[SHUNT_FIELD_FRAGMENT];

	if (index > 0)
		s->fragment = index - 1;
	else if (shunt_random_one_in(d->r, 12))
		s->fragment = shunt_random_below(d->r, 3);
	s->atomic = shunt_random_one_in(d->r, 16);
	s->offset = shunt_random_in(d->r, 1, shunt_random_one_in(d->r, 2) ? 3 : 8000);
	s->more = shunt_random_one_in(d->r, 2);
}

static void draw_network(struct draft *d)
{
	static const uint8_t kinds[] = { 0, 43, 51, 60 };
	struct shunt_frame_spec *s = d->s;

	draw_fragment(d);
	s->dscp = value_or(d, SHUNT_FIELD_DSCP, 64);
	s->ecn = shunt_random_below(d->r, 4);
	if (shunt_random_one_in(d->r, 8))
		s->options = shunt_random_below(d->r, 11);
	if (shunt_random_one_in(d->r, 6))
		s->exts = shunt_random_below(d->r, s->fragment || s->atomic ? 8 : 9);
	for (int i = 0; i < s->exts; i++)
		s->ext[i] = shunt_random_of(d->r, kinds);
}

/* --- the link layer -------------------------------------------------------- */

static void draw_tags(struct draft *d)
{
	static const uint16_t types[] = { 0x8100, 0x8100, 0x88a8, 0x9100 };
	struct shunt_frame_spec *s = d->s;
	int64_t outer = d->index[SHUNT_FIELD_VLAN];
	int64_t inner = d->index[SHUNT_FIELD_VLAN_INNER];

	if (inner > 0)
		s->tags = 2;
	else if (inner == 0)
		s->tags = outer ? 1 : 0;
	else if (outer > 0)
		s->tags = shunt_random_in(d->r, 1, 2);
	else if (outer < 0 && shunt_random_one_in(d->r, 6))
		s->tags =
			shunt_random_in(d->r, 1, shunt_random_one_in(d->r, 8) ? 3 : 2);
	for (int i = 0; i < SHUNT_FRAME_TAGS; i++) {
		s->tag[i].type = shunt_random_of(d->r, types);
		s->tag[i].id = shunt_random_below(d->r, 4096);
	}
	if (outer > 0)
		s->tag[0].id = outer - 1;
	if (inner > 0)
		s->tag[1].id = inner - 1;
}

/* What no IP header follows, and no tag. */
static uint16_t other_type(struct draft *d)
{
	int64_t index = d->index[SHUNT_FIELD_ETH_TYPE];
	uint32_t type = index > 0 ? index - 1 : 0;

	if (index < 0 && !shunt_random_one_in(d->r, 4))
		type = shunt_random_one_in(d->r, 2) ? 0x0806 : 0x88cc;
	if (type == 0x0800 || type == 0x86dd || type == 0x8100 || type == 0x88a8 ||
	    type == 0x9100 || type < 1536)
		return 0;
	return type;
}

static void draw_macs(struct draft *d)
{
	static const enum shunt_field fields[] = { SHUNT_FIELD_SRC_MAC,
						   SHUNT_FIELD_DST_MAC };

	for (int side = 0; side < SHUNT_SIDES; side++) {
		uint64_t mac = value_or(d, fields[side], 1ull << 48);

		/* zero stands for the usual address: as good as any other */
		for (int i = 0; i < 6; i++)
			d->s->mac[side][i] = mac >> (40 - 8 * i);
	}
}

static void draw_layer(struct draft *d)
{
	d->s->l3 = draw_l3(d);
	if (d->s->bare && d->s->l3 == SHUNT_L3_NONE)
		d->s->l3 = shunt_random_one_in(d->r, 2) ? SHUNT_L3_IP4 : SHUNT_L3_IP6;
	d->s->eth_type = other_type(d);
	draw_macs(d);
	draw_tags(d);
	draw_addresses(d);
	draw_network(d);
	draw_transport(d);
}

static void draw_fault(struct shunt_random *r, struct shunt_frame_spec *s)
{
	enum shunt_fault fault = shunt_random_below(r, SHUNT_FAULT_COUNT);
	int i;

	if (!shunt_random_one_in(r, 12))
		return;
	for (i = 0; i < SHUNT_FAULT_COUNT; i++) {
		s->fault = (fault + i) % SHUNT_FAULT_COUNT;
		if (shunt_frame_can_fail(s, s->fault))
			return;
	}
}

/* --- tunnels --------------------------------------------------------------- */

static bool asks(const struct shunt_policy_layer *layer)
{
	for (int f = 0; f < SHUNT_FIELD_COUNT; f++)
		if (layer->field[f].n)
			return true;
	for (int s = 0; s < SHUNT_SIDES; s++)
		if (layer->side[s].in.prefixes || layer->side[s].in.sets ||
		    layer->side[s].out.prefixes || layer->side[s].out.sets)
			return true;
	return false;
}

/* The tunnel that the headers announce, whether they were meant to or not; 0: none. */
static int announced(const struct shunt_frame_spec *s)
{
	if (s->proto == GRE)
		return SHUNT_TUNNEL_GRE + 1;
	if (s->proto == IPIP || s->proto == IP6)
		return SHUNT_TUNNEL_IPIP + 1;
	if (s->proto == UDP && s->dport == VXLAN_PORT)
		return SHUNT_TUNNEL_VXLAN + 1;
	if (s->proto == UDP && s->dport == GENEVE_PORT)
		return SHUNT_TUNNEL_GENEVE + 1;
	return 0;
}

/* enum shunt_tunnel + 1; 0: the frame is to be no tunnel. */
static int draw_tunnel(struct draft *outer)
{
	int64_t tunnel = outer->index[SHUNT_FIELD_TUNNEL];
	bool meant = outer->want && asks(&outer->want[SHUNT_INNER]);

	if (outer->s->l3 == SHUNT_L3_NONE)
		return 0;
	if (tunnel > 0)
		return tunnel <= SHUNT_TUNNEL_IPIP + 1 ? tunnel : 0;
	if (tunnel < 0 && (meant || shunt_random_one_in(outer->r, 20)))
		return shunt_random_in(outer->r, 1, SHUNT_TUNNEL_IPIP + 1);
	return announced(outer->s);
}

static void draw_carried(struct draft *outer, enum shunt_tunnel tunnel,
			 struct shunt_frame_spec *inner)
{
	const struct shunt_policy_layer *want = outer->want;
	struct draft d;

	open_draft(&d, outer->r, outer->policy, want ? &want[SHUNT_INNER] : NULL,
		   inner);
	if (tunnel == SHUNT_TUNNEL_IPIP)
		inner->bare = 1;
	else if (tunnel != SHUNT_TUNNEL_VXLAN)
		inner->bare = shunt_random_one_in(d.r, 2);
	draw_layer(&d);
	if (inner->bare)
		inner->tags = 0;
	draw_fault(d.r, inner);
}

static void carry(struct draft *outer, struct shunt_frame_spec *inner)
{
	struct shunt_random *r = outer->r;
	uint32_t key = value_or(outer, SHUNT_FIELD_KEY, 1ull << 32);
	struct shunt_frame_spec *s = outer->s;
	int tunnel = draw_tunnel(outer);

	if (!tunnel)
		return;
	if (tunnel == SHUNT_TUNNEL_VXLAN + 1 || tunnel == SHUNT_TUNNEL_GENEVE + 1)
		key &= 0xffffff;
	s->checksum = shunt_random_one_in(r, 4);
	s->sequence = shunt_random_one_in(r, 4);
	s->no_key = outer->index[SHUNT_FIELD_KEY] < 0 ? shunt_random_one_in(r, 4)
						      : !outer->index[SHUNT_FIELD_KEY];
	if (shunt_random_one_in(r, 4))
		s->tunnel_options = shunt_random_below(r, 64);
	draw_carried(outer, tunnel - 1, inner);
	shunt_frame_carry(s, tunnel - 1, key,
			  shunt_random_one_in(r, 24) ? NULL : inner);
}

/* --- length ---------------------------------------------------------------- */

/* Makes the frame as long as it is to be, as far as the last payload can do that. */
static void stretch(struct shunt_frame_spec *spec, struct shunt_frame_spec *inner,
		    int64_t want)
{
	struct shunt_frame_spec *last = spec->inner ? inner : spec;
	static struct shunt_model_frame frame;
	int64_t payload;

	if (want <= 0)
		return;
	shunt_frame_build(spec, &frame);
	payload = last->payload + (want - 1) - (int64_t)frame.len;
	/* some faults are only faults of a short packet */
	if (!last->fault && payload >= 0 && payload <= 1000)
		last->payload = payload;
}

/* With inner NULL, it is to be no tunnel. */
static void draw(struct shunt_random *r, const struct shunt_policy *policy,
		 struct shunt_frame_spec *spec, struct shunt_frame_spec *inner)
{
	const struct shunt_policy_rule *rule = shunt_aim_rule(r, policy);
	struct draft d;

	open_draft(&d, r, policy, rule ? rule->layer : NULL, spec);
	draw_layer(&d);
	if (shunt_random_one_in(r, 6))
		spec->pad = shunt_random_below(r, 48);
	if (inner)
		carry(&d, inner);
	stretch(spec, inner, d.index[SHUNT_FIELD_LENGTH]);
	draw_fault(r, spec);
}

void shunt_traffic_draw(struct shunt_random *r, const struct shunt_policy *policy,
			struct shunt_frame_spec *spec)
{
	draw(r, policy, spec, NULL);
}

void shunt_traffic_draw_both(struct shunt_random *r, const struct shunt_policy *policy,
			     struct shunt_traffic *t)
{
	draw(r, policy, &t->spec, &t->inner);
}

void shunt_traffic_age(struct shunt_random *r, struct shunt_model_frame *frame)
{
	static const uint8_t ages[] = { 0, 1, 1, 2, 255 };
	const struct shunt_layer *outer = &frame->pkt.layer[SHUNT_OUTER];
	int at = outer->l3_off + (outer->l3 == SHUNT_L3_IP4 ? 8 : 7);

	if (frame->reason != SHUNT_FRAME_SOUND || outer->l3 == SHUNT_L3_NONE ||
	    !shunt_random_one_in(r, 4))
		return;
	frame->bytes[at] = shunt_random_of(r, ages);
}
