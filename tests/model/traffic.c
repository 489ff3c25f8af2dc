/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/traffic.h"

#include <string.h>

enum { ICMP = 1, TCP = 6, UDP = 17, ICMP6 = 58, SCTP = 132 };

static const uint64_t field_values[SHUNT_FIELD_COUNT] = {
#define X(id, name, values, help) [SHUNT_FIELD_##id] = values,
	SHUNT_FIELDS(X)
#undef X
};

/* --- one value ------------------------------------------------------------- */

/* An index of the field: of the rule's ranges, or just beside them. */
static uint32_t draw_index(struct shunt_random *r, const struct shunt_spans *spans,
			   uint32_t values)
{
	const struct shunt_span *span = &spans->at[shunt_random_below(r, spans->n)];

	switch (shunt_random_below(r, 24)) {
	case 0:
		return span->lo ? span->lo - 1 : 0;
	case 1:
		return span->hi < values ? span->hi + 1 : values;
	case 2:
		return 0;
	case 3 ... 9:
		return span->lo;
	case 10 ... 16:
		return span->hi;
	default:
		return shunt_random_in(r, span->lo, span->hi);
	}
}

/* What the rule wants of a field; -1: nothing. */
static int64_t wanted(struct shunt_random *r, const struct shunt_policy_rule *rule,
		      enum shunt_field field)
{
	if (!rule || !rule->layer[SHUNT_OUTER].field[field].n)
		return -1;
	return draw_index(r, &rule->layer[SHUNT_OUTER].field[field],
			  field_values[field]);
}

/* --- addresses ------------------------------------------------------------- */

static void draw_bytes(struct shunt_random *r, uint8_t addr[16])
{
	for (int i = 0; i < 16; i++)
		addr[i] = shunt_random_next(r);
}

/* The address one above or below, of n bytes; it wraps. */
static void step(uint8_t *addr, int n, bool up)
{
	while (n--) {
		addr[n] += up ? 1 : -1;
		if (addr[n] != (up ? 0 : 255))
			return;
	}
}

/* First, last or any address of a prefix, or the ones just outside. */
static void draw_in(struct shunt_random *r, const struct shunt_prefix *prefix,
		    uint8_t addr[16])
{
	int max = prefix->family == 4 ? 32 : 128, b;
	uint32_t how = shunt_random_below(r, 12);
	uint8_t rest[16];

	memcpy(addr, prefix->addr, 16);
	draw_bytes(r, rest);
	for (b = prefix->bits; b < max; b++) {
		uint8_t bit = 0x80 >> b % 8;

		if (how < 2   ? how == 0
		    : how < 6 ? true
		    : how < 9 ? false
			      : rest[b / 8] & bit)
			addr[b / 8] |= bit;
	}
	if (how == 0) /* filled with ones: the next one is outside */
		step(addr, max / 8, true);
	if (how == 1)
		step(addr, max / 8, false);
}

static const struct shunt_prefix *pick(struct shunt_random *r,
				       const struct shunt_prefix *prefix, size_t n,
				       int family)
{
	size_t start = n ? shunt_random_below(r, n) : 0;

	for (size_t i = 0; i < n; i++)
		if (prefix[(start + i) % n].family == family)
			return &prefix[(start + i) % n];
	return NULL;
}

/* Something of the family that this side of the rule asks for, in itself or by a set. */
static const struct shunt_prefix *target(struct shunt_random *r,
					 const struct shunt_policy *policy,
					 const struct shunt_addrs *addrs, int family)
{
	const struct shunt_prefix *prefix =
		pick(r, addrs->in.prefix, addrs->in.prefixes, family);
	const struct shunt_policy_set *set;

	if (!addrs->in.sets || (prefix && shunt_random_one_in(r, 2)))
		return prefix;
	set = &policy->set[addrs->in.set[shunt_random_below(r, addrs->in.sets)]];
	return pick(r, set->element, set->elements, family);
}

static void draw_address(struct shunt_random *r, const struct shunt_policy *policy,
			 const struct shunt_policy_rule *rule, enum shunt_side side,
			 int family, uint8_t addr[16])
{
	const struct shunt_prefix *prefix = NULL;
	int tries;

	memset(addr, 0, 16);
	if (rule)
		prefix =
			target(r, policy, &rule->layer[SHUNT_OUTER].side[side], family);
	for (tries = 0; !prefix && policy->rules && tries < 4; tries++) {
		rule = &policy->rule[shunt_random_below(r, policy->rules)];
		prefix =
			target(r, policy,
			       &rule->layer[SHUNT_OUTER].side[shunt_random_below(r, 2)],
			       family);
	}
	if (prefix)
		draw_in(r, prefix, addr);
	else
		draw_bytes(r, addr);
	if (family == 4)
		memset(addr + 4, 0, 12);
}

/* --- the choice of layers -------------------------------------------------- */

/* 4 or 6 as the rule's addresses say; 0: they do not. */
static int side_family(struct shunt_random *r, const struct shunt_policy_rule *rule,
		       enum shunt_side side)
{
	const struct shunt_addrs *addrs = &rule->layer[SHUNT_OUTER].side[side];

	if (!addrs->in.prefixes)
		return 0;
	return addrs->in.prefix[shunt_random_below(r, addrs->in.prefixes)].family;
}

static enum shunt_l3 draw_l3(struct shunt_random *r,
			     const struct shunt_policy_rule *rule, int64_t eth_type,
			     int64_t icmp)
{
	int family = 0;

	if (eth_type >= 0)
		return eth_type == 0x0801   ? SHUNT_L3_IP4
		       : eth_type == 0x86de ? SHUNT_L3_IP6
					    : SHUNT_L3_NONE;
	if (icmp > 0)
		return icmp > SHUNT_ICMP6_BASE ? SHUNT_L3_IP6 : SHUNT_L3_IP4;
	if (rule)
		family = side_family(r, rule, shunt_random_below(r, 2));
	if (rule && !family)
		family = side_family(r, rule, SHUNT_SIDE_SRC);
	if (rule && !family)
		family = side_family(r, rule, SHUNT_SIDE_DST);
	if (!family && !shunt_random_one_in(r, 10))
		family = shunt_random_one_in(r, 2) ? 4 : 6;
	return family;
}

static bool is_ext(uint32_t proto)
{
	return proto == 0 || proto == 43 || proto == 44 || proto == 51 || proto == 60;
}

static uint32_t draw_proto(struct shunt_random *r, const struct shunt_policy_rule *rule,
			   enum shunt_l3 l3, int64_t icmp)
{
	static const uint8_t usual[] = { TCP,  UDP,   TCP, UDP, SCTP,
					 ICMP, ICMP6, 47,  50,	2 };
	static const uint8_t ported[] = { TCP, UDP, SCTP };
	int64_t proto = wanted(r, rule, SHUNT_FIELD_PROTO);
	bool ports = rule && (rule->layer[SHUNT_OUTER].field[SHUNT_FIELD_SPORT].n ||
			      rule->layer[SHUNT_OUTER].field[SHUNT_FIELD_DPORT].n);

	if (icmp > 0)
		return l3 == SHUNT_L3_IP4 ? ICMP : ICMP6;
	if (rule && rule->layer[SHUNT_OUTER].field[SHUNT_FIELD_TCP_FLAGS].n &&
	    !shunt_random_one_in(r, 16))
		return TCP;
	if (proto > 0 && !(l3 == SHUNT_L3_IP6 && is_ext(proto - 1)))
		return proto - 1;
	return ports ? shunt_random_of(r, ported) : shunt_random_of(r, usual);
}

static uint32_t value_or(struct shunt_random *r, int64_t index, uint32_t values)
{
	return index > 0 ? index - 1 : shunt_random_below(r, values);
}

static void draw_transport(struct shunt_random *r, const struct shunt_policy_rule *rule,
			   int64_t icmp, struct shunt_frame_spec *s)
{
	uint32_t code;

	s->proto = draw_proto(r, rule, s->l3, icmp);
	s->sport = value_or(r, wanted(r, rule, SHUNT_FIELD_SPORT), 65536);
	s->dport = value_or(r, wanted(r, rule, SHUNT_FIELD_DPORT), 65536);
	s->flags = value_or(r, wanted(r, rule, SHUNT_FIELD_TCP_FLAGS), 256);
	code = value_or(r, icmp, 65536) & 65535;
	s->icmp_type = code >> 8;
	s->icmp_code = code & 255;
	if (shunt_random_one_in(r, 8))
		s->tcp_options = shunt_random_below(r, 11);
	s->payload = shunt_random_below(r, shunt_random_one_in(r, 16) ? 1200 : 40);
}

static void draw_fragment(struct shunt_random *r, const struct shunt_policy_rule *rule,
			  struct shunt_frame_spec *s)
{
	int64_t index = wanted(r, rule, SHUNT_FIELD_FRAGMENT);

	if (index > 0)
		s->fragment = index - 1;
	else if (shunt_random_one_in(r, 12))
		s->fragment = shunt_random_below(r, 3);
	s->atomic = shunt_random_one_in(r, 16);
	s->offset = shunt_random_in(r, 1, shunt_random_one_in(r, 2) ? 3 : 8000);
	s->more = shunt_random_one_in(r, 2);
}

static void draw_exts(struct shunt_random *r, struct shunt_frame_spec *s)
{
	static const uint8_t kinds[] = { 0, 43, 51, 60 };

	if (shunt_random_one_in(r, 8))
		s->options = shunt_random_below(r, 11);
	if (shunt_random_one_in(r, 6))
		s->exts = shunt_random_below(r, s->fragment || s->atomic ? 8 : 9);
	for (int i = 0; i < s->exts; i++)
		s->ext[i] = shunt_random_of(r, kinds);
}

static void draw_tags(struct shunt_random *r, const struct shunt_policy_rule *rule,
		      struct shunt_frame_spec *s)
{
	static const uint16_t types[] = { 0x8100, 0x8100, 0x88a8, 0x9100 };
	int64_t outer = wanted(r, rule, SHUNT_FIELD_VLAN);
	int64_t inner = wanted(r, rule, SHUNT_FIELD_VLAN_INNER);

	if (inner > 0)
		s->tags = 2;
	else if (inner == 0)
		s->tags = outer ? 1 : 0;
	else if (outer > 0)
		s->tags = shunt_random_in(r, 1, 2);
	else if (outer < 0 && shunt_random_one_in(r, 6))
		s->tags = shunt_random_in(r, 1, shunt_random_one_in(r, 8) ? 3 : 2);
	for (int i = 0; i < SHUNT_FRAME_TAGS; i++) {
		s->tag[i].type = shunt_random_of(r, types);
		s->tag[i].id = shunt_random_below(r, 4096);
	}
	if (outer > 0)
		s->tag[0].id = outer - 1;
	if (inner > 0)
		s->tag[1].id = inner - 1;
}

/* What no IP header follows, and no tag. */
static uint16_t other_type(struct shunt_random *r, int64_t index)
{
	uint32_t type = index > 0 ? index - 1 : 0;

	if (index < 0 && !shunt_random_one_in(r, 4))
		type = shunt_random_one_in(r, 2) ? 0x0806 : 0x88cc;
	if (type == 0x0800 || type == 0x86dd || type == 0x8100 || type == 0x88a8 ||
	    type == 0x9100 || type < 1536)
		return 0;
	return type;
}

static const struct shunt_policy_rule *aim(struct shunt_random *r,
					   const struct shunt_policy *policy)
{
	if (!policy->rules || shunt_random_one_in(r, 16))
		return NULL;
	return &policy->rule[shunt_random_below(r, policy->rules)];
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

void shunt_traffic_draw(struct shunt_random *r, const struct shunt_policy *policy,
			struct shunt_frame_spec *s)
{
	const struct shunt_policy_rule *rule = aim(r, policy);
	int64_t icmp = wanted(r, rule, SHUNT_FIELD_ICMP);
	int64_t eth_type = wanted(r, rule, SHUNT_FIELD_ETH_TYPE);

	memset(s, 0, sizeof(*s));
	s->l3 = draw_l3(r, rule, eth_type, icmp);
	s->eth_type = other_type(r, eth_type);
	draw_tags(r, rule, s);
	draw_address(r, policy, rule, SHUNT_SIDE_SRC, s->l3, s->src);
	draw_address(r, policy, rule, SHUNT_SIDE_DST, s->l3, s->dst);
	draw_transport(r, rule, icmp, s);
	draw_fragment(r, rule, s);
	draw_exts(r, s);
	if (shunt_random_one_in(r, 6))
		s->pad = shunt_random_below(r, 48);
	draw_fault(r, s);
}

void shunt_traffic_draw_pkt(struct shunt_random *r, const struct shunt_policy *policy,
			    struct shunt_pkt *pkt)
{
	const struct shunt_policy_rule *rule = aim(r, policy);
	int64_t icmp = wanted(r, rule, SHUNT_FIELD_ICMP);
	int f;

	memset(pkt, 0, sizeof(*pkt));
	pkt->layer[SHUNT_OUTER].l3 =
		draw_l3(r, rule, wanted(r, rule, SHUNT_FIELD_ETH_TYPE), icmp);
	for (f = 0; f < SHUNT_FIELD_NARROW; f++) {
		int64_t index = wanted(r, rule, f);

		if (index < 0)
			index = shunt_random_one_in(r, 3)
					? 0
					: shunt_random_in(r, 0, field_values[f]);
		pkt->layer[SHUNT_OUTER].field[f] = index;
	}
	if (pkt->layer[SHUNT_OUTER].l3 == SHUNT_L3_NONE)
		return;
	draw_address(r, policy, rule, SHUNT_SIDE_SRC, pkt->layer[SHUNT_OUTER].l3,
		     (uint8_t *)pkt->layer[SHUNT_OUTER].addr[SHUNT_SIDE_SRC]);
	draw_address(r, policy, rule, SHUNT_SIDE_DST, pkt->layer[SHUNT_OUTER].l3,
		     (uint8_t *)pkt->layer[SHUNT_OUTER].addr[SHUNT_SIDE_DST]);
}
