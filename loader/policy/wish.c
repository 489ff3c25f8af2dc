/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/wish.h"

#include <string.h>

#include "bpf/lib/wire.h"
#include "loader/policy/ranges.h"

enum { EXPERIMENTAL_PROTO = 253, EXPERIMENTAL_TYPE = 0x88b5, LENGTH_MAX = 9216 };

static const uint64_t field_values[SHUNT_FIELD_COUNT] = {
#define X(id, name, values, help) [SHUNT_FIELD_##id] = values,
	SHUNT_FIELDS(X)
#undef X
};

/* splitmix64, as good as any */
static uint64_t draw(struct shunt_wish *wish)
{
	uint64_t x = wish->draw += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

void shunt_wish_begin(struct shunt_wish *wish, const struct shunt_trials *trials,
		      const struct shunt_roll *roll, size_t rule)
{
	uint32_t i;

	memset(wish, 0, sizeof(*wish));
	wish->trials = trials;
	wish->roll = roll;
	wish->rule = rule;
	for (i = trials->first[rule]; i < trials->first[rule + 1]; i++)
		wish->ask[trials->ask[i].layer][trials->ask[i].key] = &trials->ask[i];
}

/* --- indexes ----------------------------------------------------------------- */

static bool admits(const struct shunt_ask *ask, uint64_t index)
{
	uint32_t i;

	for (i = 0; ask && i < ask->spans; i++)
		if (index >= ask->span[i].lo && index <= ask->span[i].hi)
			return true;
	return !ask;
}

/* Asked for, and not without a value. */
static bool needs(const struct shunt_wish *wish, int layer, int field)
{
	const struct shunt_ask *ask = wish->ask[layer][field];

	return ask && !admits(ask, 0);
}

/* An index that the ask admits within bounds, by the way; 0 where there is none. */
static uint64_t choose(struct shunt_wish *wish, const struct shunt_ask *ask,
		       uint64_t lo, uint64_t hi)
{
	uint32_t i, from = wish->way == 0 ? 0 : draw(wish) % ask->spans;

	if (wish->way == 1)
		from = ask->spans - 1;
	for (i = 0; i < ask->spans; i++) {
		const struct shunt_span *span = &ask->span[(from + i) % ask->spans];
		uint64_t a = span->lo > lo ? span->lo : lo;
		uint64_t b = span->hi < hi ? span->hi : hi;

		if (a > b)
			continue;
		switch (wish->way) {
		case 0:
			return a;
		case 1:
			return b;
		case 2:
			return a + (b - a) / 2;
		default:
			return a + draw(wish) % (b - a + 1);
		}
	}
	return 0;
}

/* Of a field that a packet has, whether it is asked for or not; 0: as is usual. */
static uint64_t choose_value(struct shunt_wish *wish, int layer, int field)
{
	const struct shunt_ask *ask = wish->ask[layer][field];

	return ask ? choose(wish, ask, 1, field_values[field]) : 0;
}

static void set(struct shunt_layer *l, int field, uint64_t index)
{
	if (field < SHUNT_FIELD_NARROW)
		l->field[field] = index;
	else
		l->wide[field - SHUNT_FIELD_NARROW] = index;
}

/* --- addresses --------------------------------------------------------------- */

static shunt_u128 to_number(const uint8_t *addr, int bytes)
{
	shunt_u128 value = 0;
	int i;

	for (i = 0; i < bytes; i++)
		value = value << 8 | addr[i];
	return value;
}

static void to_bytes(shunt_u128 value, uint8_t *addr, int bytes)
{
	while (bytes--) {
		addr[bytes] = value;
		value >>= 8;
	}
}

/* An address of a prefix, by the way. */
static void within(struct shunt_wish *wish, const struct shunt_prefix *prefix,
		   uint8_t *addr)
{
	int bytes = prefix->family == 4 ? 4 : 16;
	int host = bytes * 8 - prefix->bits;
	shunt_u128 base = to_number(prefix->addr, bytes);
	shunt_u128 mask = host >= 128 ? ~(shunt_u128)0 : ((shunt_u128)1 << host) - 1;
	shunt_u128 rest = (shunt_u128)draw(wish) << 64 | draw(wish);

	if (wish->way == 0)
		rest = 0;
	else if (wish->way == 1)
		rest = mask;
	else if (wish->way == 2)
		rest = mask / 2 + 1;
	to_bytes(base | (rest & mask), addr, bytes);
}

/* Has the list anything of the family? *prefix: one, by the way; it may be a member. */
static bool source_of(struct shunt_wish *wish, const struct shunt_addr_list *list,
		      int family, struct shunt_prefix *prefix)
{
	size_t n = list->prefixes + list->sets, i;
	size_t from = wish->way == 0 ? 0 : wish->way == 1 ? n - 1 : draw(wish) % n;

	for (i = 0; i < n; i++) {
		size_t at = (from + i) % n;
		uint32_t place;

		if (at < list->prefixes) {
			*prefix = list->prefix[at];
			if (prefix->family == family)
				return true;
			continue;
		}
		place = list->set[at - list->prefixes];
		if (wish->roll->member(wish->roll->self, place, family, wish->way,
				       prefix) ||
		    wish->roll->member(wish->roll->self, place, family, 0, prefix))
			return true;
	}
	return false;
}

/* An address that is taken where none is asked for; some other one in each way. */
static void any_address(struct shunt_wish *wish, int side, int family, uint8_t *addr)
{
	static const uint8_t ip4[4] = { 192, 0, 2, 1 };
	static const uint8_t ip6[16] = { 0x20, 1, 0xd, 0xb8, [15] = 1 };

	memcpy(addr, family == 4 ? ip4 : ip6, family == 4 ? 4 : 16);
	if (wish->way == 0) {
		addr[family == 4 ? 3 : 15] += side;
		return;
	}
	addr[1] = draw(wish);
	addr[2] = draw(wish);
	addr[3] = draw(wish);
}

static void take_address(struct shunt_wish *wish, int layer, int side)
{
	const struct shunt_ask *in = wish->ask[layer][SHUNT_ASK_SRC + side];
	const struct shunt_ask *out = wish->ask[layer][SHUNT_ASK_NOT_SRC + side];
	struct shunt_layer *l = &wish->pkt.layer[layer];
	struct shunt_prefix from = { .family = 0 };
	struct shunt_subject subject;
	unsigned int way = wish->way, tries;

	for (tries = 0; tries < SHUNT_WISH_WAYS; tries++) {
		uint8_t *addr = (uint8_t *)l->addr[side];

		if (in && source_of(wish, in->list, l->l3, &from))
			within(wish, &from, addr);
		else
			any_address(wish, side, l->l3, addr);
		shunt_subject_begin(&subject, wish->trials, wish->roll, &wish->pkt);
		if (!out || shunt_try_ask(&subject, out) == 1)
			break;
		wish->way = (way + tries + 1) % SHUNT_WISH_WAYS;
	}
	wish->way = way;
	wish->service[layer][side] = from;
}

/* --- which family ------------------------------------------------------------ */

enum { IP4 = 1, IP6 = 2, OTHER = 4 };

static unsigned int families_of_side(struct shunt_wish *wish, int layer, int side)
{
	const struct shunt_ask *in = wish->ask[layer][SHUNT_ASK_SRC + side];
	struct shunt_prefix any;

	if (!in)
		return IP4 | IP6 | OTHER;
	return (source_of(wish, in->list, 4, &any) ? IP4 : 0) |
	       (source_of(wish, in->list, 6, &any) ? IP6 : 0);
}

static unsigned int families_of(struct shunt_wish *wish, int layer)
{
	static const uint8_t ip_only[] = { SHUNT_FIELD_PROTO,	  SHUNT_FIELD_FRAGMENT,
					   SHUNT_FIELD_SPORT,	  SHUNT_FIELD_DPORT,
					   SHUNT_FIELD_TCP_FLAGS, SHUNT_FIELD_ICMP,
					   SHUNT_FIELD_DSCP,	  SHUNT_FIELD_TUNNEL,
					   SHUNT_FIELD_KEY };
	const struct shunt_ask *type = wish->ask[layer][SHUNT_FIELD_ETH_TYPE];
	const struct shunt_ask *icmp = wish->ask[layer][SHUNT_FIELD_ICMP];
	unsigned int families = families_of_side(wish, layer, SHUNT_SIDE_SRC) &
				families_of_side(wish, layer, SHUNT_SIDE_DST);
	size_t i;

	for (i = 0; i < sizeof(ip_only); i++)
		if (needs(wish, layer, ip_only[i]))
			families &= ~OTHER;
	if (!admits(type, SHUNT_ETH_IP4 + 1))
		families &= ~IP4;
	if (!admits(type, SHUNT_ETH_IP6 + 1))
		families &= ~IP6;
	if (needs(wish, layer, SHUNT_FIELD_ICMP) &&
	    !choose(wish, icmp, 1, SHUNT_ICMP6_BASE))
		families &= ~IP4;
	if (needs(wish, layer, SHUNT_FIELD_ICMP) &&
	    !choose(wish, icmp, SHUNT_ICMP6_BASE + 1, 2 * SHUNT_ICMP6_BASE))
		families &= ~IP6;
	return families;
}

/* Ways take turns among families; what is not IP only seldom has one. */
static enum shunt_l3 take_family(struct shunt_wish *wish, int layer)
{
	unsigned int families = families_of(wish, layer);

	if (!(families & (IP4 | IP6)) || (families & OTHER && wish->way % 4 == 3))
		return SHUNT_L3_NONE;
	if ((families & (IP4 | IP6)) == (IP4 | IP6))
		return (wish->way + wish->way / 2) % 2 ? SHUNT_L3_IP6 : SHUNT_L3_IP4;
	return families & IP4 ? SHUNT_L3_IP4 : SHUNT_L3_IP6;
}

/* --- transport --------------------------------------------------------------- */

/* Protocols in order of preference, until one is admitted. */
struct protos {
	uint8_t at[24];
	size_t n;
};

static void prefer(struct protos *protos, unsigned int proto)
{
	if (proto < 256 && protos->n < sizeof(protos->at))
		protos->at[protos->n++] = proto;
}

static void prefer_ports(struct shunt_wish *wish, struct protos *protos)
{
	static const uint8_t with_ports[] = { SHUNT_IP_TCP, SHUNT_IP_UDP,
					      SHUNT_IP_SCTP };
	unsigned int i;

	for (i = 0; i < 3; i++)
		prefer(protos, with_ports[(wish->way + i) % 3]);
}

static unsigned int take_proto(struct shunt_wish *wish, int layer)
{
	static const int with_ports[] = { SHUNT_FIELD_SPORT, SHUNT_FIELD_DPORT };
	const struct shunt_ask *ask = wish->ask[layer][SHUNT_FIELD_PROTO];
	struct shunt_layer *l = &wish->pkt.layer[layer];
	unsigned int icmp = l->l3 == SHUNT_L3_IP4 ? SHUNT_IP_ICMP : SHUNT_IP_ICMP6;
	struct protos protos = { .n = 0 };
	size_t i;

	for (i = 0; i < SHUNT_SIDES; i++)
		if (wish->service[layer][i].proto)
			prefer(&protos, wish->service[layer][i].proto);
	if (needs(wish, layer, SHUNT_FIELD_TCP_FLAGS))
		prefer(&protos, SHUNT_IP_TCP);
	if (needs(wish, layer, SHUNT_FIELD_ICMP))
		prefer(&protos, icmp);
	for (i = 0; i < 2; i++)
		if (needs(wish, layer, with_ports[i]))
			prefer_ports(wish, &protos);
	for (i = 0; ask && i < 4; i++)
		prefer(&protos, choose(wish, ask, 1, 256) - 1);
	prefer(&protos, wish->way == 3 ? EXPERIMENTAL_PROTO : SHUNT_IP_UDP);
	prefer_ports(wish, &protos);
	prefer(&protos, icmp);
	prefer(&protos, EXPERIMENTAL_PROTO);
	for (i = 0; i < protos.n; i++)
		if (admits(ask, protos.at[i] + 1))
			return protos.at[i] + 1;
	return SHUNT_IP_UDP + 1;
}

static void take_transport(struct shunt_wish *wish, int layer)
{
	struct shunt_layer *l = &wish->pkt.layer[layer];
	const struct shunt_ask *icmp = wish->ask[layer][SHUNT_FIELD_ICMP];
	const struct shunt_prefix *service = wish->service[layer];
	uint64_t lo = l->l3 == SHUNT_L3_IP4 ? 1 : SHUNT_ICMP6_BASE + 1;

	set(l, SHUNT_FIELD_PROTO, take_proto(wish, layer));
	set(l, SHUNT_FIELD_SPORT, choose_value(wish, layer, SHUNT_FIELD_SPORT));
	set(l, SHUNT_FIELD_DPORT, choose_value(wish, layer, SHUNT_FIELD_DPORT));
	if (service[SHUNT_SIDE_SRC].proto)
		set(l, SHUNT_FIELD_SPORT, service[SHUNT_SIDE_SRC].port + 1);
	if (service[SHUNT_SIDE_DST].proto)
		set(l, SHUNT_FIELD_DPORT, service[SHUNT_SIDE_DST].port + 1);
	set(l, SHUNT_FIELD_TCP_FLAGS, choose_value(wish, layer, SHUNT_FIELD_TCP_FLAGS));
	if (icmp)
		set(l, SHUNT_FIELD_ICMP,
		    choose(wish, icmp, lo, lo + SHUNT_ICMP6_BASE - 1));
}

/* --- network and link -------------------------------------------------------- */

static void take_fragment(struct shunt_wish *wish, int layer)
{
	const struct shunt_ask *ask = wish->ask[layer][SHUNT_FIELD_FRAGMENT];
	struct shunt_layer *l = &wish->pkt.layer[layer];
	uint64_t index = SHUNT_FRAGMENT_NONE + 1;

	if (ask && (!admits(ask, index) || wish->way >= 4))
		index = choose(wish, ask, 1, 3);
	set(l, SHUNT_FIELD_FRAGMENT, index);
}

static void take_tags(struct shunt_wish *wish, int layer)
{
	const struct shunt_ask *outer = wish->ask[layer][SHUNT_FIELD_VLAN];
	const struct shunt_ask *inner = wish->ask[layer][SHUNT_FIELD_VLAN_INNER];
	struct shunt_layer *l = &wish->pkt.layer[layer];

	if (outer)
		set(l, SHUNT_FIELD_VLAN, choose(wish, outer, 0, 4096));
	if (inner)
		set(l, SHUNT_FIELD_VLAN_INNER, choose(wish, inner, 0, 4096));
	if (l->field[SHUNT_FIELD_VLAN_INNER] && !l->field[SHUNT_FIELD_VLAN])
		set(l, SHUNT_FIELD_VLAN, outer ? choose(wish, outer, 1, 4096) : 2);
}

static void take_type(struct shunt_wish *wish, int layer)
{
	const struct shunt_ask *ask = wish->ask[layer][SHUNT_FIELD_ETH_TYPE];
	struct shunt_layer *l = &wish->pkt.layer[layer];
	uint64_t index = wish->way < 4 ? SHUNT_ETH_ARP + 1 : EXPERIMENTAL_TYPE + 1;

	if (!admits(ask, index))
		index = choose(wish, ask, SHUNT_ETH_MIN + 1, 65536);
	set(l, SHUNT_FIELD_ETH_TYPE, index);
}

static void take_layer(struct shunt_wish *wish, int layer)
{
	struct shunt_layer *l = &wish->pkt.layer[layer];
	int side;

	l->l3 = take_family(wish, layer);
	take_tags(wish, layer);
	set(l, SHUNT_FIELD_SRC_MAC, choose_value(wish, layer, SHUNT_FIELD_SRC_MAC));
	set(l, SHUNT_FIELD_DST_MAC, choose_value(wish, layer, SHUNT_FIELD_DST_MAC));
	if (l->l3 == SHUNT_L3_NONE) {
		take_type(wish, layer);
		return;
	}
	for (side = 0; side < SHUNT_SIDES; side++)
		take_address(wish, layer, side);
	set(l, SHUNT_FIELD_DSCP, choose_value(wish, layer, SHUNT_FIELD_DSCP));
	take_fragment(wish, layer);
	take_transport(wish, layer);
}

/* --- tunnels ----------------------------------------------------------------- */

static bool asks_inside(const struct shunt_wish *wish)
{
	int key;

	for (key = 0; key < SHUNT_ASK_KEYS; key++)
		if (wish->ask[SHUNT_INNER][key])
			return true;
	return false;
}

/* A rule that names no tunnel is not given one. */
static void take_tunnel(struct shunt_wish *wish)
{
	const struct shunt_ask *ask = wish->ask[SHUNT_OUTER][SHUNT_FIELD_TUNNEL];
	const struct shunt_ask *key = wish->ask[SHUNT_OUTER][SHUNT_FIELD_KEY];
	struct shunt_layer *outer = &wish->pkt.layer[SHUNT_OUTER];
	bool must = asks_inside(wish) || needs(wish, SHUNT_OUTER, SHUNT_FIELD_KEY);
	uint64_t index;

	if (!ask || outer->l3 == SHUNT_L3_NONE)
		return;
	index = choose(wish, ask, must ? 1 : 0, SHUNT_TUNNEL_IPIP + 1);
	set(outer, SHUNT_FIELD_TUNNEL, index);
	if (!index)
		return;
	if (key)
		set(outer, SHUNT_FIELD_KEY,
		    choose(wish, key, 1,
			   index == SHUNT_TUNNEL_GRE + 1 ? 1ull << 32 : 1 << 24));
	take_layer(wish, SHUNT_INNER);
}

void shunt_wish_make(struct shunt_wish *wish, unsigned int way)
{
	wish->way = way;
	wish->draw = wish->rule * 0x9e37 + way;
	memset(&wish->pkt, 0, sizeof(wish->pkt));
	memset(wish->service, 0, sizeof(wish->service));
	take_layer(wish, SHUNT_OUTER);
	take_tunnel(wish);
}

/* --- length ------------------------------------------------------------------ */

/* The nearest length that is admitted and not below; way 1: the longest. */
static uint32_t reach(const struct shunt_wish *wish, const struct shunt_ask *ask,
		      uint32_t least)
{
	uint32_t i;

	for (i = 0; i < ask->spans; i++) {
		uint64_t hi = ask->span[i].hi, lo = ask->span[i].lo;

		if (hi > LENGTH_MAX + 1)
			hi = LENGTH_MAX + 1;
		if (hi < least || lo > hi)
			continue;
		return wish->way == 1 ? hi : lo > least ? lo : least;
	}
	return 0;
}

bool shunt_wish_stretch(struct shunt_wish *wish, const struct shunt_pkt *natural)
{
	bool stretched = false;
	int layer;

	for (layer = 0; layer < SHUNT_LAYERS; layer++) {
		const struct shunt_ask *ask = wish->ask[layer][SHUNT_FIELD_LENGTH];
		uint32_t least = natural->layer[layer].field[SHUNT_FIELD_LENGTH];

		if (!ask || !least)
			continue;
		set(&wish->pkt.layer[layer], SHUNT_FIELD_LENGTH,
		    reach(wish, ask, least));
		stretched = true;
	}
	return stretched;
}

/* --- just outside ------------------------------------------------------------ */

/* The index behind the last span or in front of the first one, turn by turn. */
static bool beside_field(struct shunt_wish *wish, const struct shunt_ask *ask)
{
	const struct shunt_span *span = &ask->span[draw(wish) % ask->spans];
	uint64_t below = span->lo, above = span->hi + 1;
	bool up = wish->way % 2 ? above <= field_values[ask->key] : below <= 1;

	if ((up && above > field_values[ask->key]) || (!up && below <= 1))
		return false;
	set(&wish->pkt.layer[ask->layer], ask->key, up ? above : below - 1);
	return true;
}

static bool beside_address(struct shunt_wish *wish, const struct shunt_ask *ask,
			   int side)
{
	struct shunt_layer *l = &wish->pkt.layer[ask->layer];
	struct shunt_prefix prefix;
	struct shunt_range range;
	int bytes = l->l3 == SHUNT_L3_IP4 ? 4 : 16;

	if (l->l3 == SHUNT_L3_NONE || !source_of(wish, ask->list, l->l3, &prefix))
		return false;
	range = shunt_prefix_range(&prefix);
	to_bytes(wish->way % 2 ? range.hi + 1 : range.lo - 1, (uint8_t *)l->addr[side],
		 bytes);
	return true;
}

bool shunt_wish_beside(struct shunt_wish *wish, const struct shunt_ask *ask)
{
	switch (ask->key) {
	case SHUNT_ASK_IFACE:
		return false;
	case SHUNT_ASK_SRC:
	case SHUNT_ASK_NOT_SRC:
		return beside_address(wish, ask, SHUNT_SIDE_SRC);
	case SHUNT_ASK_DST:
	case SHUNT_ASK_NOT_DST:
		return beside_address(wish, ask, SHUNT_SIDE_DST);
	default:
		return beside_field(wish, ask);
	}
}
