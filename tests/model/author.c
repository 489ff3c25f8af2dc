/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/author.h"

#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "tests/model/pool.h"

enum { ANY, IP4, IP6 };

/* A list of one may also be written plainly. */
static void put(struct shunt_pool *p, cJSON *object, const char *key, cJSON *list)
{
	if (cJSON_GetArraySize(list) == 1 && shunt_random_one_in(p->random, 2)) {
		cJSON_AddItemToObject(object, key, cJSON_DetachItemFromArray(list, 0));
		cJSON_Delete(list);
		return;
	}
	cJSON_AddItemToObject(object, key, list);
}

static uint32_t few(struct shunt_pool *p)
{
	return shunt_random_one_in(p->random, 2) ? 1 : shunt_random_in(p->random, 1, 4);
}

static void add_text(cJSON *list, const char *text)
{
	cJSON_AddItemToArray(list, cJSON_CreateString(text));
}

/* A number, the number in quotes, or a range from it. */
static cJSON *number_or_range(struct shunt_pool *p, const uint16_t *from, uint32_t max,
			      bool plain)
{
	uint32_t lo = from[shunt_random_below(p->random, SHUNT_POOL)];
	uint32_t hi = from[shunt_random_below(p->random, SHUNT_POOL)];
	char text[32];

	switch (shunt_random_below(p->random, plain ? 6 : 3)) {
	case 0:
		snprintf(text, sizeof(text), "%u", lo);
		break;
	case 1:
		snprintf(text, sizeof(text), "%u-%u", lo < hi ? lo : hi,
			 lo < hi ? hi : lo);
		break;
	case 2:
		hi = lo + shunt_random_below(p->random, 4);
		if (shunt_random_one_in(p->random, 16))
			lo = 0, hi = max;
		snprintf(text, sizeof(text), "%u-%u", lo, hi < max ? hi : max);
		break;
	default:
		return cJSON_CreateNumber(lo);
	}
	return cJSON_CreateString(text);
}

/* --- keys that need IP ----------------------------------------------------- */

static void write_side(struct shunt_pool *p, cJSON *match, const char *key, int family)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t n = few(p), i;

	for (i = 0; i < n; i++) {
		uint32_t at = shunt_random_below(p->random, SHUNT_POOL);
		int f = family != ANY ? family - IP4
				      : (int)shunt_random_below(p->random, 2);
		char text[80];

		/* both sides start with IPv4 where either would do: they can be met */
		if (family == ANY && i == 0)
			f = 0;
		strcpy(text, p->prefix[f][at]);
		if (shunt_random_one_in(p->random, 4))
			strcpy(text, p->address[f][at]);
		if (p->sets && shunt_random_one_in(p->random, 4))
			sprintf(text, "@%s",
				p->set[shunt_random_below(p->random, p->sets)]);
		add_text(list, text);
	}
	put(p, match, key, list);
}

static void add_proto(struct shunt_pool *p, cJSON *list, uint32_t proto)
{
	static const struct {
		uint32_t proto;
		const char *name;
	} names[] = { { 1, "icmp" }, { 6, "tcp" },     { 17, "udp" },  { 47, "gre" },
		      { 51, "ah" },  { 58, "icmpv6" }, { 132, "sctp" } };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (names[i].proto != proto || shunt_random_one_in(p->random, 3))
			continue;
		add_text(list, names[i].name);
		return;
	}
	cJSON_AddItemToArray(list, cJSON_CreateNumber(proto));
}

/* 0: no protocol must be among them. */
static void write_proto(struct shunt_pool *p, cJSON *match, uint32_t must)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t n = must ? few(p) - 1 : few(p);

	if (must)
		add_proto(p, list, must);
	while (n--)
		add_proto(p, list, p->proto[shunt_random_below(p->random, SHUNT_POOL)]);
	put(p, match, "proto", list);
}

static void write_ports(struct shunt_pool *p, cJSON *match, const char *key)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t n = few(p);

	while (n--)
		cJSON_AddItemToArray(list, number_or_range(p, p->port, 65535, true));
	put(p, match, key, list);
}

static void write_flag_names(char *text, uint32_t flags)
{
	static const char *const names[] = { "fin", "syn", "rst", "psh",
					     "ack", "urg", "ece", "cwr" };
	int i;

	if (!flags)
		strcat(text, "none");
	for (i = 0; i < 8; i++) {
		if (!(flags >> i & 1))
			continue;
		strcat(text, names[i]);
		if (flags >> (i + 1))
			strcat(text, ",");
	}
}

static void write_flags(struct shunt_pool *p, cJSON *match)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t n = few(p);

	while (n--) {
		uint32_t mask = shunt_random_in(p->random, 1, 255);
		uint32_t on = mask & shunt_random_next(p->random);
		char text[128] = "";

		mask &= shunt_random_next(p->random) | 1 << n;
		mask |= on;
		write_flag_names(text, on);
		if (mask && (!on || !shunt_random_one_in(p->random, 4))) {
			strcat(text, "/");
			write_flag_names(text, mask);
		}
		if (mask)
			add_text(list, text);
	}
	if (!cJSON_GetArraySize(list))
		add_text(list, "syn/syn,ack");
	put(p, match, "tcp_flags", list);
}

static cJSON *icmp_value(struct shunt_pool *p, int family)
{
	static const char *const both[] = { "echo-reply", "echo-request", "redirect",
					    "time-exceeded", "dest-unreachable" };
	static const char *const only[] = { "timestamp-request", "packet-too-big" };
	cJSON *type, *codes, *object;
	uint32_t n = few(p);

	if (family != ANY && shunt_random_one_in(p->random, 2))
		type = cJSON_CreateNumber(shunt_random_one_in(p->random, 3)
						  ? shunt_random_below(p->random, 256)
						  : shunt_random_below(p->random, 16));
	else if (family != ANY && shunt_random_one_in(p->random, 4))
		type = cJSON_CreateString(only[family - IP4]);
	else
		type = cJSON_CreateString(shunt_random_of(p->random, both));
	if (cJSON_IsString(type) && shunt_random_one_in(p->random, 2))
		return type;
	object = cJSON_CreateObject();
	cJSON_AddItemToObject(object, "type", type);
	if (shunt_random_one_in(p->random, 2))
		return object;
	codes = cJSON_CreateArray();
	while (n--)
		cJSON_AddItemToArray(
			codes,
			cJSON_CreateNumber(shunt_random_one_in(p->random, 4)
						   ? 255
						   : shunt_random_below(p->random, 5)));
	put(p, object, "code", codes);
	return object;
}

static void write_icmp(struct shunt_pool *p, cJSON *match, int family)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t n = few(p);

	while (n--)
		cJSON_AddItemToArray(list, icmp_value(p, family));
	if (family != ANY)
		cJSON_AddStringToObject(match, "proto",
					family == IP4 ? "icmp" : "icmpv6");
	put(p, match, "icmp", list);
}

static void write_fragment(struct shunt_pool *p, cJSON *match, bool transport)
{
	static const char *const kinds[] = { "none", "first", "any", "later" };
	cJSON *list = cJSON_CreateArray();
	uint32_t n = few(p);

	add_text(list, kinds[shunt_random_below(p->random, transport ? 3 : 4)]);
	while (--n)
		add_text(list, shunt_random_of(p->random, kinds));
	put(p, match, "fragment", list);
}

/* --- keys of the link layer ------------------------------------------------ */

static void write_eth_type(struct shunt_pool *p, cJSON *match, int family, bool ip)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t n = few(p);
	char text[16];

	if (ip && family != IP6)
		add_text(list, "ipv4");
	if (ip && family != IP4)
		add_text(list, shunt_random_one_in(p->random, 2) ? "ipv6" : "0x86dd");
	while (n--) {
		uint32_t type = p->eth_type[shunt_random_below(p->random, SHUNT_POOL)];

		if (ip && shunt_random_one_in(p->random, 2))
			continue;
		snprintf(text, sizeof(text), "0x%04x", type);
		if (shunt_random_one_in(p->random, 4))
			add_text(list, "arp");
		else if (shunt_random_one_in(p->random, 2))
			add_text(list, text);
		else
			cJSON_AddItemToArray(list, cJSON_CreateNumber(type));
	}
	put(p, match, "eth_type", list);
}

static void write_tag(struct shunt_pool *p, cJSON *object, const char *key, bool none)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t n = few(p);

	if (none)
		n = 0;
	if (none || shunt_random_one_in(p->random, 8))
		add_text(list, "none");
	if (!none && shunt_random_one_in(p->random, 4))
		add_text(list, "any");
	while (n--)
		cJSON_AddItemToArray(list, number_or_range(p, p->vlan, 4095, true));
	put(p, object, key, list);
}

static void write_vlan(struct shunt_pool *p, cJSON *match)
{
	bool none = shunt_random_one_in(p->random, 4);
	uint32_t which = shunt_random_below(p->random, 4);
	cJSON *both;

	if (which == 0) {
		write_tag(p, match, "vlan", none);
		return;
	}
	both = cJSON_AddObjectToObject(match, "vlan");
	if (which != 1)
		write_tag(p, both, "outer", none);
	if (which != 2)
		write_tag(p, both, "inner", none);
}

/* --- rules ----------------------------------------------------------------- */

static void write_transport(struct shunt_pool *p, cJSON *match, int family,
			    uint32_t kind)
{
	static const uint8_t with_ports[] = { 6, 17, 132 };

	if (kind == 0) {
		write_icmp(p, match, family);
	} else if (kind == 1) {
		if (shunt_random_one_in(p->random, 2))
			write_proto(p, match, 6);
		write_flags(p, match);
		if (shunt_random_one_in(p->random, 4))
			write_ports(p, match, "dport");
	} else {
		if (!shunt_random_one_in(p->random, 4))
			write_proto(p, match, shunt_random_of(p->random, with_ports));
		if (kind != 2)
			write_ports(p, match, "dport");
		if (kind < 4)
			write_ports(p, match, "sport");
	}
}

static void write_match(struct shunt_pool *p, cJSON *match)
{
	static const uint8_t families[] = { ANY, IP4, IP4, IP6, IP6 };
	struct shunt_random *r = p->random;
	int family = shunt_random_of(r, families);
	bool transport = shunt_random_one_in(r, 2), ip = transport;

	if (shunt_random_one_in(r, 400))
		return;
	if (transport)
		write_transport(p, match, family, shunt_random_below(r, 7));
	else if (shunt_random_one_in(r, 4))
		ip = true, write_proto(p, match, 0);
	if (shunt_random_one_in(r, 8))
		ip = true, write_fragment(p, match, transport);
	if (shunt_random_one_in(r, 2))
		ip = true, write_side(p, match, "src", family);
	if (shunt_random_one_in(r, 2))
		ip = true, write_side(p, match, "dst", family);
	if (shunt_random_one_in(r, ip ? 8 : 2))
		write_vlan(p, match);
	if (shunt_random_one_in(r, ip ? 8 : 2) || (!match->child && !ip))
		write_eth_type(p, match, family, ip);
}

static void write_action(struct shunt_pool *p, cJSON *rule)
{
	static const char *const plain[] = { "pass",  "drop",  "drop", "tx",
					     "count", "count", "pass" };
	uint32_t kind = shunt_random_below(p->random, 40);
	cJSON *redirect;
	char text[16];

	if (kind > 7) {
		cJSON_AddStringToObject(rule, "action",
					shunt_random_of(p->random, plain));
		return;
	}
	redirect = cJSON_AddObjectToObject(cJSON_AddObjectToObject(rule, "action"),
					   "redirect");
	if (kind == 0 && p->cpus)
		cJSON_AddNumberToObject(redirect, "cpu",
					shunt_random_below(p->random, p->cpus));
	else if (kind < 4 || !p->consumers)
		cJSON_AddStringToObject(redirect, "interface", "lo");
	else {
		snprintf(text, sizeof(text), "c%u",
			 shunt_random_below(p->random, p->consumers));
		cJSON_AddStringToObject(redirect, "consumer", text);
	}
}

static void write_rules(struct shunt_pool *p, cJSON *policy, uint32_t most)
{
	static const uint16_t counts[] = { 0,  1,  2,	3,   5,	  8,   63,
					   64, 65, 127, 128, 129, 255, 256 };
	cJSON *rules = cJSON_AddArrayToObject(policy, "rules");
	uint32_t n = shunt_random_of(p->random, counts), i;

	if (shunt_random_one_in(p->random, 2))
		n = shunt_random_in(p->random, 1, 40);
	for (i = 0; i < n && i < most; i++) {
		cJSON *rule = cJSON_CreateObject();
		char name[16];

		/* names are kept, moved and dropped from one policy to the next */
		snprintf(name, sizeof(name), "r%u", i * 3 % 256 + i / 256);
		cJSON_AddStringToObject(rule, "name", name);
		write_match(p, cJSON_AddObjectToObject(rule, "match"));
		write_action(p, rule);
		cJSON_AddItemToArray(rules, rule);
	}
}

/* --- sets and consumers ---------------------------------------------------- */

static bool holds(const cJSON *list, const char *text)
{
	const cJSON *item;

	cJSON_ArrayForEach(item,
			   list) if (!strcmp(item->valuestring, text)) return true;
	return false;
}

static void write_set(struct shunt_pool *p, cJSON *sets, uint32_t at, bool dynamic)
{
	bool prefixes = at % 2;
	uint32_t n = shunt_random_in(p->random, 1, 12);
	cJSON *set, *list;

	snprintf(p->set[at], sizeof(p->set[at]), "%c%u", dynamic ? 'd' : 's', at);
	set = cJSON_AddObjectToObject(sets, p->set[at]);
	cJSON_AddStringToObject(set, "type", prefixes ? "prefix" : "address");
	if (dynamic)
		return;
	list = cJSON_AddArrayToObject(set, "elements");
	while (n--) {
		uint32_t i = shunt_random_below(p->random, SHUNT_POOL);
		uint32_t f = shunt_random_below(p->random, 2);
		const char *text = prefixes ? p->prefix[f][i] : p->address[f][i];

		if (!holds(list, text))
			add_text(list, text);
	}
}

static void write_sets(struct shunt_pool *p, cJSON *policy, bool dynamic)
{
	cJSON *sets = cJSON_AddObjectToObject(policy, "sets");
	uint32_t n = shunt_random_below(p->random, SHUNT_POOL_SETS + 1), i;

	if (shunt_random_one_in(p->random, 2))
		n = 0;
	for (i = 0; i < n; i++)
		write_set(p, sets, i,
			  dynamic && i < 4 && shunt_random_one_in(p->random, 3));
	p->sets = n;
}

static void write_consumers(struct shunt_pool *p, cJSON *policy)
{
	cJSON *consumers = cJSON_AddObjectToObject(policy, "consumers"), *one;
	uint32_t i;
	char name[16];

	p->consumers = shunt_random_below(p->random, 3);
	for (i = 0; i < p->consumers; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		one = cJSON_AddObjectToObject(consumers, name);
		cJSON_AddStringToObject(one, "kind", "xsk");
		if (shunt_random_one_in(p->random, 2))
			cJSON_AddStringToObject(one, "if_down", "pass");
	}
}

char *shunt_author_write(const struct shunt_author *author)
{
	struct shunt_pool p = { .random = author->random, .cpus = author->cpus };
	cJSON *policy = cJSON_CreateObject();
	char *text;

	shunt_pool_draw(&p);
	cJSON_AddStringToObject(policy, "schema", "shunt.policy/1");
	cJSON_AddStringToObject(policy, "default",
				shunt_random_one_in(p.random, 2) ? "pass" : "drop");
	if (shunt_random_one_in(p.random, 2))
		cJSON_AddStringToObject(policy, "malformed",
					shunt_random_one_in(p.random, 2) ? "pass"
									 : "drop");
	write_sets(&p, policy, author->dynamic);
	write_consumers(&p, policy);
	write_rules(&p, policy, author->rules ? author->rules : 256);
	text = cJSON_PrintUnformatted(policy);
	cJSON_Delete(policy);
	return text;
}
