/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is ruled out beside what is asked for: keys that "match" does not have, and where
 * it has them, a part that surely leaves something of them.
 */
#include <stdio.h>
#include <string.h>

#include "tests/model/author_parts.h"

struct ruling {
	struct shunt_pool *p;
	const cJSON *match;
	cJSON * not ;
	const struct shunt_author_asks *asks;
};

/* Is the key free, and shall it be ruled out? */
static bool wanted(const struct ruling *r, const char *key)
{
	return !cJSON_GetObjectItem(r->match, key) &&
	       shunt_random_one_in(r->p->random, 8);
}

/* --- addresses ------------------------------------------------------------- */

/* Does the value, or one of a list of them, say this? */
static bool says(const cJSON *value, const char *text)
{
	const cJSON *item;

	if (cJSON_IsString(value))
		return !strcmp(value->valuestring, text);
	cJSON_ArrayForEach(item, value)
	{
		if (cJSON_IsString(item) && !strcmp(item->valuestring, text))
			return true;
	}
	return false;
}

/* An address or a set less than the side asks for, which must be more than that. */
static void rule_out_side(const struct ruling *r, const char *key)
{
	const cJSON *in = cJSON_GetObjectItem(r->match, key);
	struct shunt_random *random = r->p->random;
	char text[64];

	if (!shunt_random_one_in(random, in ? 3 : 6))
		return;
	if (!in) {
		shunt_author_side(r->p, r->not, key, ANY);
		return;
	}
	if (r->p->sets && shunt_random_one_in(random, 2))
		snprintf(text, sizeof(text), "@%s",
			 r->p->set[shunt_random_below(random, r->p->sets)]);
	else
		snprintf(text, sizeof(text), "%s",
			 r->p->address[shunt_random_below(random, 2)]
				      [shunt_random_below(random, r->p->values)]);
	if (!says(in, text))
		cJSON_AddStringToObject(r->not, key, text);
}

/* --- fields ---------------------------------------------------------------- */

static void rule_out_types(const struct ruling *r)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t n = shunt_author_few(r->p);

	if (r->asks->family == IP4)
		shunt_author_add(list, "ipv6");
	if (r->asks->family == IP6)
		shunt_author_add(list, "ipv4");
	while (n--)
		cJSON_AddItemToArray(list, cJSON_CreateNumber(pool_of(r->p, eth_type)));
	shunt_author_put(r->p, r->not, "eth_type", list);
}

static void rule_out_ports(const struct ruling *r, const char *key)
{
	const cJSON *in = cJSON_GetObjectItem(r->match, key);

	if (!in)
		shunt_author_ports(r->p, r->not, key);
	else if (says(in, "4000-7000"))
		cJSON_AddStringToObject(r->not, key, "5000-6000");
}

static void rule_out_proto(const struct ruling *r)
{
	if (!r->asks->transport && !r->asks->tunnel)
		shunt_author_proto(r->p, r->not, 0);
	else /* no transport header of these is looked into, and they carry nothing */
		cJSON_AddStringToObject(r->not, "proto",
					shunt_random_one_in(r->p->random, 2) ? "esp"
									     : "pim");
}

/* Of what a transport header needs, whole packets stay. */
static void rule_out_fragment(const struct ruling *r)
{
	static const char *const kinds[] = { "later", "first", "any", "none" };
	bool whole = r->asks->transport || r->asks->tunnel;

	cJSON_AddStringToObject(r->not, "fragment",
				kinds[shunt_random_below(r->p->random, whole ? 3 : 4)]);
}

static void rule_out_tag(const struct ruling *r)
{
	static const char *const which[] = { "outer", "inner" };
	cJSON *both = cJSON_AddObjectToObject(r->not, "vlan");

	cJSON_AddItemToObject(both, shunt_random_of(r->p->random, which),
			      shunt_author_number(r->p, r->p->vlan, 4095));
}

static void rule_out_tunnel(const struct ruling *r)
{
	static const char *const types[] = { "vxlan", "geneve", "gre", "ipip" };
	cJSON *tunnel = cJSON_AddObjectToObject(r->not, "tunnel");

	if (!shunt_random_one_in(r->p->random, 3)) /* else: no tunnel at all */
		cJSON_AddStringToObject(tunnel, "type",
					shunt_random_of(r->p->random, types));
}

/* --- all of it ------------------------------------------------------------- */

static void rule_out_ip(const struct ruling *r)
{
	rule_out_side(r, "src");
	rule_out_side(r, "dst");
	if (wanted(r, "proto"))
		rule_out_proto(r);
	if (shunt_random_one_in(r->p->random, 8))
		rule_out_ports(r, "sport");
	if (shunt_random_one_in(r->p->random, 8))
		rule_out_ports(r, "dport");
	if (wanted(r, "tcp_flags"))
		shunt_author_flags(r->p, r->not );
	if (wanted(r, "icmp") && !cJSON_GetObjectItem(r->match, "proto") &&
	    !cJSON_GetObjectItem(r->not, "proto"))
		shunt_author_icmp(r->p, r->not, ANY);
	if (wanted(r, "fragment"))
		rule_out_fragment(r);
	if (!(r->p->without & SHUNT_AUTHOR_VALUES) && wanted(r, "dscp"))
		shunt_author_dscp(r->p, r->not );
}

static void rule_out_link(const struct ruling *r)
{
	bool values = !(r->p->without & SHUNT_AUTHOR_VALUES);

	if (wanted(r, "eth_type"))
		rule_out_types(r);
	if (wanted(r, "vlan"))
		rule_out_tag(r);
	if (values && wanted(r, "src_mac"))
		shunt_author_mac(r->p, r->not, "src_mac");
	if (values && wanted(r, "dst_mac"))
		shunt_author_mac(r->p, r->not, "dst_mac");
	if (values && wanted(r, "length"))
		shunt_author_length(r->p, r->not );
}

void shunt_author_not(struct shunt_pool *p, cJSON *match,
		      const struct shunt_author_asks *asks, bool inner)
{
	cJSON *not = cJSON_CreateObject();
	struct ruling r = { p, match, not, asks };

	while (!not ->child) {
		rule_out_ip(&r);
		rule_out_link(&r);
	}
	if (!inner && !(p->without & SHUNT_AUTHOR_TUNNELS) && wanted(&r, "tunnel"))
		rule_out_tunnel(&r);
	if (!inner && !(p->without & SHUNT_AUTHOR_IFACES) && wanted(&r, "iface"))
		shunt_author_iface(p, not );
	cJSON_AddItemToObject(match, "not", not );
}
