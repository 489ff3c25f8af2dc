/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/author_parts.h"

#include <stdio.h>
#include <string.h>

/* --- what becomes of the packet -------------------------------------------- */

/* 2 where a side may be in a prefix or in a set: the classifier takes two rules for it. */
static uint32_t ways_of(const cJSON *side)
{
	uint32_t sets = 0, prefixes = 0;
	const cJSON *item;

	cJSON_ArrayForEach(item, side)
	{
		sets += item->valuestring[0] == '@';
		prefixes += item->valuestring[0] != '@';
	}
	return sets && prefixes ? 2 : 1;
}

/* How many of the rules that count, which are limited, this one stands for. */
static uint32_t weight(const cJSON *match)
{
	const cJSON *tunnel = cJSON_GetObjectItem(match, "tunnel");
	const cJSON *inner = cJSON_GetObjectItem(tunnel, "inner");

	return ways_of(cJSON_GetObjectItem(match, "src")) *
	       ways_of(cJSON_GetObjectItem(match, "dst")) *
	       ways_of(cJSON_GetObjectItem(inner, "src")) *
	       ways_of(cJSON_GetObjectItem(inner, "dst"));
}

static const char *write_plain(struct shunt_pool *p, cJSON *rule)
{
	static const char *const plain[] = { "pass",  "drop",  "drop", "tx",
					     "count", "count", "pass" };
	const char *action = shunt_random_of(p->random, plain);

	if (!strcmp(action, "count")) {
		uint32_t n = weight(cJSON_GetObjectItem(rule, "match"));

		if (p->counts < n)
			action = "pass";
		else
			p->counts -= n;
	}
	cJSON_AddStringToObject(rule, "action", action);
	return action;
}

static void write_redirect(struct shunt_pool *p, cJSON *rule, uint32_t kind)
{
	cJSON *redirect =
		cJSON_AddObjectToObject(cJSON_AddObjectToObject(rule, "action"),
					"redirect");
	char text[16];

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

/* --- what else is done with it --------------------------------------------- */

/* No packet is ever beyond it. */
static void write_limit(struct shunt_pool *p, cJSON *rule)
{
	static const char *const sides[] = { "source", "destination" };
	cJSON *limit = cJSON_AddObjectToObject(rule, "limit"), *prefix;
	struct shunt_random *r = p->random;
	bool bytes = shunt_random_one_in(r, 2);

	cJSON_AddNumberToObject(limit, bytes ? "bytes" : "packets",
				bytes ? 100000000000.0 : 1000000000.0);
	if (shunt_random_one_in(r, 2))
		cJSON_AddNumberToObject(limit, "burst", 1000000000);
	if (shunt_random_one_in(r, 2))
		cJSON_AddStringToObject(limit, "over",
					shunt_random_one_in(r, 2) ? "pass" : "drop");
	if (!p->limits_by || shunt_random_one_in(r, 2))
		return;
	p->limits_by--;
	cJSON_AddStringToObject(limit, "per", shunt_random_of(r, sides));
	cJSON_AddNumberToObject(limit, "size", shunt_random_in(r, 1, 64));
	if (shunt_random_one_in(r, 2))
		return;
	prefix = cJSON_AddObjectToObject(limit, "prefix");
	cJSON_AddNumberToObject(prefix, "ipv4", shunt_random_in(r, 1, 32));
	cJSON_AddNumberToObject(prefix, "ipv6", shunt_random_in(r, 1, 128));
}

static void write_sample(struct shunt_pool *p, cJSON *rule)
{
	cJSON *sample = cJSON_AddObjectToObject(rule, "sample");

	cJSON_AddNumberToObject(sample, "one_in", shunt_random_in(p->random, 1, 3));
	if (shunt_random_one_in(p->random, 2))
		cJSON_AddNumberToObject(sample, "bytes",
					shunt_random_in(p->random, 14, 200));
}

static void write_mirror(struct shunt_pool *p, cJSON *rule)
{
	if (shunt_random_one_in(p->random, 2))
		cJSON_AddStringToObject(rule, "mirror", "ring");
	else
		cJSON_AddStringToObject(cJSON_AddObjectToObject(rule, "mirror"),
					"interface", "lo");
}

/* --- changed headers ------------------------------------------------------- */

static void rewrite_link(struct shunt_pool *p, cJSON *rewrite, bool tag)
{
	static const char *const keys[] = { "push", "set" };
	struct shunt_random *r = p->random;

	if (shunt_random_one_in(r, 3))
		cJSON_AddStringToObject(rewrite, "src_mac", "02:00:00:00:00:0a");
	if (shunt_random_one_in(r, 3))
		cJSON_AddStringToObject(rewrite, "dst_mac", pool_of(p, mac));
	if (!tag || !shunt_random_one_in(r, 3))
		return;
	if (shunt_random_one_in(r, 3))
		cJSON_AddStringToObject(rewrite, "vlan", "pop");
	else
		cJSON_AddNumberToObject(cJSON_AddObjectToObject(rewrite, "vlan"),
					shunt_random_of(r, keys),
					shunt_random_below(r, 4095));
}

static void rewrite_ip(struct shunt_pool *p, cJSON *rewrite,
		       const struct shunt_author_asks *asks)
{
	struct shunt_random *r = p->random;

	if (shunt_random_one_in(r, 3))
		cJSON_AddNumberToObject(rewrite, "dscp", shunt_random_below(r, 64));
	if (shunt_random_one_in(r, 2))
		cJSON_AddStringToObject(rewrite, "ttl", "decrement");
	else if (shunt_random_one_in(r, 3))
		cJSON_AddNumberToObject(rewrite, "ttl", shunt_random_in(r, 1, 255));
	if (asks->one_family && shunt_random_one_in(r, 2))
		cJSON_AddStringToObject(rewrite, "src",
					pool_of(p, address[asks->family - IP4]));
	if (asks->one_family && shunt_random_one_in(r, 2))
		cJSON_AddStringToObject(rewrite, "dst",
					pool_of(p, address[asks->family - IP4]));
}

static void write_rewrite(struct shunt_pool *p, cJSON *rule,
			  const struct shunt_author_asks *asks)
{
	const cJSON *match = cJSON_GetObjectItem(rule, "match");
	bool tag = !cJSON_GetObjectItem(match, "vlan") &&
		   !cJSON_GetObjectItem(cJSON_GetObjectItem(match, "not"), "vlan");
	cJSON *rewrite = cJSON_CreateObject();

	while (!rewrite->child) {
		rewrite_link(p, rewrite, tag);
		if (asks->ip)
			rewrite_ip(p, rewrite, asks);
		if (asks->tcp_udp && shunt_random_one_in(p->random, 2))
			cJSON_AddNumberToObject(rewrite, "sport", pool_of(p, port));
		if (asks->tcp_udp && shunt_random_one_in(p->random, 2))
			cJSON_AddNumberToObject(rewrite, "dport", pool_of(p, port));
	}
	cJSON_AddItemToObject(rule, "rewrite", rewrite);
}

/* --- all of it ------------------------------------------------------------- */

void shunt_author_action(struct shunt_pool *p, cJSON *rule,
			 const struct shunt_author_asks *asks)
{
	uint32_t kind = shunt_random_below(p->random, 40);
	struct shunt_random *r = p->random;
	const char *plain = "";

	if (kind > 7)
		plain = write_plain(p, rule);
	else
		write_redirect(p, rule, kind);
	if (!strcmp(plain, "count") || (p->without & SHUNT_AUTHOR_MODIFIERS))
		return;
	if (shunt_random_one_in(r, 12))
		write_limit(p, rule);
	if (shunt_random_one_in(r, 12))
		write_sample(p, rule);
	if (shunt_random_one_in(r, 12))
		write_mirror(p, rule);
	if (strcmp(plain, "drop") && shunt_random_one_in(r, 8))
		write_rewrite(p, rule, asks);
}
