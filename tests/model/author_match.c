/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/author_parts.h"

#include <stdio.h>

/* --- one layer ------------------------------------------------------------- */

static void write_transport(struct shunt_pool *p, cJSON *match,
			    struct shunt_author_asks *asks)
{
	static const uint8_t with_ports[] = { 6, 17, 132 };
	uint32_t kind = shunt_random_below(p->random, 7);

	if (kind == 0) {
		shunt_author_icmp(p, match, asks->family);
		return;
	}
	if (kind == 1) {
		asks->tcp_udp = true;
		if (shunt_random_one_in(p->random, 2))
			shunt_author_proto(p, match, 6);
		shunt_author_flags(p, match);
		if (shunt_random_one_in(p->random, 4))
			shunt_author_ports(p, match, "dport");
		return;
	}
	if (shunt_random_one_in(p->random, 4)) {
		asks->tcp_udp = true;
		cJSON_AddStringToObject(match, "proto",
					shunt_random_one_in(p->random, 2) ? "tcp"
									  : "udp");
	} else if (!shunt_random_one_in(p->random, 4)) {
		shunt_author_proto(p, match, shunt_random_of(p->random, with_ports));
	}
	if (kind != 2)
		shunt_author_ports(p, match, "dport");
	if (kind < 4)
		shunt_author_ports(p, match, "sport");
}

/* The header that carries a tunnel; its protocol says itself which that may be. */
static void write_carrier(struct shunt_pool *p, cJSON *match,
			  const struct shunt_author_asks *asks)
{
	if (!asks->udp)
		return;
	if (shunt_random_one_in(p->random, 8))
		shunt_author_proto(p, match, 17);
	if (shunt_random_one_in(p->random, 8))
		shunt_author_ports(p, match, "sport");
	if (shunt_random_one_in(p->random, 8))
		cJSON_AddStringToObject(
			match, "dport",
			shunt_random_one_in(p->random, 2) ? "4789" : "4000-7000");
}

static void write_ip(struct shunt_pool *p, cJSON *match, struct shunt_author_asks *asks)
{
	/* among many rules, few may be so wide that no other is ever reached */
	uint32_t sides = p->rules <= 256 ? 6 : 11;
	struct shunt_random *r = p->random;

	if (asks->tunnel)
		write_carrier(p, match, asks);
	else if (asks->transport)
		write_transport(p, match, asks);
	else if (shunt_random_one_in(r, 4))
		asks->ip = true, shunt_author_proto(p, match, 0);
	if (shunt_random_one_in(r, 8)) {
		asks->ip = true;
		shunt_author_fragment(p, match, asks->transport || asks->tunnel);
	}
	if (!(p->without & SHUNT_AUTHOR_VALUES) && shunt_random_one_in(r, 10))
		asks->ip = true, shunt_author_dscp(p, match);
	if (shunt_random_below(r, 12) < sides)
		asks->ip = true, shunt_author_side(p, match, "src", asks->family);
	if (shunt_random_below(r, 12) < sides)
		asks->ip = true, shunt_author_side(p, match, "dst", asks->family);
}

static void write_link(struct shunt_pool *p, cJSON *match,
		       struct shunt_author_asks *asks)
{
	struct shunt_random *r = p->random;
	uint32_t often = asks->ip ? 8 : 2, rare = asks->inner ? 6 : 16;

	if (!(p->without & SHUNT_AUTHOR_VALUES)) {
		if (!asks->bare && shunt_random_one_in(r, asks->ip ? rare : 4))
			shunt_author_mac(p, match, "src_mac");
		if (!asks->bare && shunt_random_one_in(r, asks->ip ? rare : 4))
			shunt_author_mac(p, match, "dst_mac");
		if (shunt_random_one_in(r, asks->ip ? rare : 4))
			shunt_author_length(p, match);
	}
	if (!asks->bare && shunt_random_one_in(r, often))
		shunt_author_vlan(p, match);
	if (asks->family != ANY && shunt_random_one_in(r, 10)) {
		asks->one_family = asks->ip = true;
		cJSON_AddStringToObject(match, "eth_type",
					asks->family == IP4 ? "ipv4" : "ipv6");
		return;
	}
	if (shunt_random_one_in(r, often) || (!match->child && !asks->ip))
		shunt_author_eth_type(p, match, asks->family, asks->ip);
}

static void write_layer(struct shunt_pool *p, cJSON *match,
			struct shunt_author_asks *asks)
{
	static const uint8_t families[] = { ANY, IP4, IP4, IP6, IP6 };

	asks->family = shunt_random_of(p->random, families);
	asks->transport = !asks->tunnel && shunt_random_one_in(p->random, 2);
	asks->ip = asks->tunnel || asks->transport;
	write_ip(p, match, asks);
	write_link(p, match, asks);
}

/* --- tunnels --------------------------------------------------------------- */

/* One type, or two over UDP; n of the names, and the id that all of them have. */
static const struct carrier {
	const char *type[2];
	const char *id; /* NULL: they have none */
	bool udp, bare;
} carriers[] = {
	{ { "vxlan" }, "vni", true, false },
	{ { "geneve" }, "vni", true, false },
	{ { "vxlan", "geneve" }, "vni", true, false },
	{ { "gre" }, "key", false, false },
	{ { "ipip" }, NULL, false, true },
	{ { "gre", "vxlan" }, NULL, true, false },
	{ { NULL }, NULL, true, false },
};

static cJSON *ids(struct shunt_pool *p, const struct carrier *carrier)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t n = shunt_author_few(p);

	while (n--)
		cJSON_AddItemToArray(
			list, *carrier->id == 'v'
				      ? shunt_author_number(p, p->vni, (1 << 24) - 1)
				      : shunt_author_number(p, p->key, UINT32_MAX));
	return list;
}

static void write_types(struct shunt_pool *p, cJSON *tunnel,
			const struct carrier *carrier)
{
	cJSON *list;

	if (!carrier->type[0])
		return;
	list = cJSON_CreateArray();
	for (int i = 0; i < 2 && carrier->type[i]; i++)
		shunt_author_add(list, carrier->type[i]);
	shunt_author_put(p, tunnel, "type", list);
}

static void write_tunnel(struct shunt_pool *p, cJSON *match,
			 const struct carrier *carrier)
{
	struct shunt_author_asks asks = { .inner = true, .bare = carrier->bare };
	cJSON *tunnel = cJSON_AddObjectToObject(match, "tunnel"), *inner;
	struct shunt_random *r = p->random;

	write_types(p, tunnel, carrier);
	if (carrier->id && shunt_random_one_in(r, 2))
		shunt_author_put(p, tunnel, carrier->id, ids(p, carrier));
	else if (carrier->id && !(p->without & SHUNT_AUTHOR_NOT) &&
		 shunt_random_one_in(r, 4))
		shunt_author_put(p, cJSON_AddObjectToObject(tunnel, "not"), carrier->id,
				 ids(p, carrier));
	if (shunt_random_one_in(r, 4))
		return;
	inner = cJSON_AddObjectToObject(tunnel, "inner");
	write_layer(p, inner, &asks);
	if (!(p->without & SHUNT_AUTHOR_NOT) && shunt_random_one_in(r, 3))
		shunt_author_not(p, inner, &asks, true);
}

/* --- all of it ------------------------------------------------------------- */

void shunt_author_match(struct shunt_pool *p, cJSON *match,
			struct shunt_author_asks *asks)
{
	const struct carrier *carrier = &shunt_random_of(p->random, carriers);
	struct shunt_random *r = p->random;

	*asks = (struct shunt_author_asks){ 0 };
	if (shunt_random_one_in(r, p->rules <= 256 ? 400 : 4 * p->rules))
		return;
	asks->tunnel =
		!(p->without & SHUNT_AUTHOR_TUNNELS) && shunt_random_one_in(r, 8);
	asks->udp = carrier->udp;
	write_layer(p, match, asks);
	if (asks->tunnel)
		write_tunnel(p, match, carrier);
	if (!(p->without & SHUNT_AUTHOR_IFACES) && shunt_random_one_in(r, 16))
		shunt_author_iface(p, match);
	if (!(p->without & SHUNT_AUTHOR_NOT) && shunt_random_one_in(r, 6))
		shunt_author_not(p, match, asks, false);
}
