/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "tests/model/aim.h"
#include "tests/model/traffic.h"

static void set_index(struct shunt_layer *l, enum shunt_field field, uint64_t index)
{
	if (field < SHUNT_FIELD_NARROW)
		l->field[field] = index;
	else
		l->wide[field - SHUNT_FIELD_NARROW] = index;
}

static enum shunt_l3 draw_l3(struct shunt_random *r, const struct shunt_policy *policy,
			     const struct shunt_policy_layer *want)
{
	int64_t type = want ? shunt_aim_field(r, want, SHUNT_FIELD_ETH_TYPE) : -1;
	int64_t icmp = want ? shunt_aim_field(r, want, SHUNT_FIELD_ICMP) : -1;
	int family = want ? shunt_aim_family(r, policy, want) : 0;

	if (family)
		return family;
	if (type >= 0)
		return type == 0x0801	? SHUNT_L3_IP4
		       : type == 0x86de ? SHUNT_L3_IP6
					: SHUNT_L3_NONE;
	if (icmp > 0)
		return icmp > SHUNT_ICMP6_BASE ? SHUNT_L3_IP6 : SHUNT_L3_IP4;
	if (shunt_random_one_in(r, 10))
		return SHUNT_L3_NONE;
	return shunt_random_one_in(r, 2) ? SHUNT_L3_IP4 : SHUNT_L3_IP6;
}

/* What a member of a set of services asks for besides its address. */
static void serve(struct shunt_random *r, const struct shunt_prefix *member,
		  enum shunt_field port, struct shunt_layer *l)
{
	if (!member || shunt_random_one_in(r, 8))
		return;
	l->field[SHUNT_FIELD_PROTO] = member->proto + 1;
	l->field[port] = member->port + 1 - shunt_random_one_in(r, 12);
}

static void draw_layer(struct shunt_random *r, const struct shunt_policy *policy,
		       const struct shunt_policy_layer *want, struct shunt_layer *l)
{
	const struct shunt_prefix *src, *dst;
	int f;

	l->l3 = draw_l3(r, policy, want);
	for (f = 0; f < SHUNT_FIELD_COUNT; f++) {
		int64_t index = want ? shunt_aim_field(r, want, f) : -1;

		if (f == SHUNT_FIELD_TUNNEL || f == SHUNT_FIELD_KEY)
			continue;
		set_index(l, f, index < 0 ? shunt_aim_any(r, f) : (uint64_t)index);
	}
	if (l->l3 == SHUNT_L3_NONE)
		return;
	src = shunt_aim_address(r, policy, want, SHUNT_SIDE_SRC, l->l3,
				(uint8_t *)l->addr[SHUNT_SIDE_SRC]);
	dst = shunt_aim_address(r, policy, want, SHUNT_SIDE_DST, l->l3,
				(uint8_t *)l->addr[SHUNT_SIDE_DST]);
	serve(r, src, SHUNT_FIELD_SPORT, l);
	serve(r, dst, SHUNT_FIELD_DPORT, l);
}

void shunt_traffic_draw_pkt(struct shunt_random *r, const struct shunt_policy *policy,
			    struct shunt_pkt *pkt)
{
	const struct shunt_policy_rule *rule = shunt_aim_rule(r, policy);
	const struct shunt_policy_layer *want = rule ? rule->layer : NULL;
	struct shunt_layer *outer = &pkt->layer[SHUNT_OUTER];
	int64_t tunnel = -1, key = -1;

	memset(pkt, 0, sizeof(*pkt));
	draw_layer(r, policy, want, outer);
	if (want) {
		tunnel = shunt_aim_field(r, want, SHUNT_FIELD_TUNNEL);
		key = shunt_aim_field(r, want, SHUNT_FIELD_KEY);
	}
	if (tunnel < 0)
		tunnel = shunt_random_one_in(r, 8) ? shunt_random_in(r, 1, 4) : 0;
	set_index(outer, SHUNT_FIELD_TUNNEL, tunnel);
	if (!tunnel)
		return;
	set_index(outer, SHUNT_FIELD_KEY,
		  key < 0 ? shunt_aim_any(r, SHUNT_FIELD_KEY) : (uint64_t)key);
	if (!shunt_random_one_in(r, 12)) /* else it is malformed, or cut */
		draw_layer(r, policy, want ? want + SHUNT_INNER : NULL,
			   &pkt->layer[SHUNT_INNER]);
}
