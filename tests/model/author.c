/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/author_parts.h"

#include <stdio.h>
#include <string.h>

#include "maps/limit.h"
#include "tests/model/model.h"

#define FEW_VALUES 10 /* of a policy of up to 256 rules */

/* --- what all parts use ---------------------------------------------------- */

void shunt_author_put(struct shunt_pool *p, cJSON *object, const char *key, cJSON *list)
{
	if (cJSON_GetArraySize(list) == 1 && shunt_random_one_in(p->random, 2)) {
		cJSON_AddItemToObject(object, key, cJSON_DetachItemFromArray(list, 0));
		cJSON_Delete(list);
		return;
	}
	cJSON_AddItemToObject(object, key, list);
}

uint32_t shunt_author_few(struct shunt_pool *p)
{
	return shunt_random_one_in(p->random, 2) ? 1 : shunt_random_in(p->random, 1, 4);
}

void shunt_author_add(cJSON *list, const char *text)
{
	cJSON_AddItemToArray(list, cJSON_CreateString(text));
}

cJSON *shunt_author_number(struct shunt_pool *p, const uint32_t *from, uint32_t max)
{
	uint32_t lo = from[shunt_random_below(p->random, p->values)];
	uint32_t hi = from[shunt_random_below(p->random, p->values)];
	uint32_t more = max - lo < 3 ? max - lo : 3;
	char text[32];

	switch (shunt_random_below(p->random, 6)) {
	case 0:
		snprintf(text, sizeof(text), "%u", lo);
		break;
	case 1:
		snprintf(text, sizeof(text), "%u-%u", lo < hi ? lo : hi,
			 lo < hi ? hi : lo);
		break;
	case 2:
		hi = lo + shunt_random_in(p->random, 0, more);
		if (shunt_random_one_in(p->random, 16))
			lo = 0, hi = max;
		snprintf(text, sizeof(text), "%u-%u", lo, hi);
		break;
	default:
		return cJSON_CreateNumber(lo);
	}
	return cJSON_CreateString(text);
}

/* --- rules ----------------------------------------------------------------- */

static uint32_t draw_count(struct shunt_random *r, uint32_t from, uint32_t most)
{
	static const uint16_t counts[] = { 0,  1,  2,	3,   5,	  8,   63,
					   64, 65, 127, 128, 129, 255, 256 };
	uint32_t n;

	if (from)
		return shunt_random_in(r, from, most);
	n = shunt_random_of(r, counts);
	if (shunt_random_one_in(r, 2))
		n = shunt_random_in(r, 1, 40);
	return n < most ? n : most;
}

static void write_rules(struct shunt_pool *p, cJSON *policy)
{
	cJSON *rules = cJSON_AddArrayToObject(policy, "rules");
	uint32_t n = p->rules, i;
	uint32_t names = n <= 256 ? 256 : 65536; /* so that 3 i is new for each i */

	p->counts = SHUNT_MODEL_COUNTED;
	p->limits_by = SHUNT_LIMIT_BY_MAX;
	for (i = 0; i < n; i++) {
		cJSON *rule = cJSON_CreateObject();
		struct shunt_author_asks asks;
		char name[16];

		/* names are kept, moved and dropped from one policy to the next */
		snprintf(name, sizeof(name), "r%u", i * 3 % names);
		cJSON_AddStringToObject(rule, "name", name);
		shunt_author_match(p, cJSON_AddObjectToObject(rule, "match"), &asks);
		shunt_author_action(p, rule, &asks);
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

/* A set's kind follows from its place, so that a kept set keeps its kind. */
static const char *const set_types[] = { "address", "prefix", "address-port" };
enum { ADDRESS, PREFIX, SERVICE };

static void draw_element(struct shunt_pool *p, int type, char *text, size_t room)
{
	static const char *const protos[] = { "tcp", "udp", "sctp" };
	uint32_t i = shunt_random_below(p->random, p->values);
	uint32_t f = shunt_random_below(p->random, 2);

	if (type == SERVICE)
		snprintf(text, room, "%s,%s:%u", p->address[f][i],
			 shunt_random_of(p->random, protos), pool_of(p, port));
	else
		snprintf(text, room, "%s",
			 type == PREFIX ? p->prefix[f][i] : p->address[f][i]);
}

static void write_set(struct shunt_pool *p, cJSON *sets, uint32_t at, bool dynamic)
{
	int type = at % (p->without & SHUNT_AUTHOR_SERVICES ? 2 : 3);
	uint32_t n = shunt_random_in(p->random, 1, 12);
	cJSON *set, *list;
	char text[96];

	snprintf(p->set[at], sizeof(p->set[at]), "%c%u", dynamic ? 'd' : 's', at);
	set = cJSON_AddObjectToObject(sets, p->set[at]);
	cJSON_AddStringToObject(set, "type", set_types[type]);
	if (dynamic)
		return;
	list = cJSON_AddArrayToObject(set, "elements");
	while (n--) {
		draw_element(p, type, text, sizeof(text));
		if (!holds(list, text))
			shunt_author_add(list, text);
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
		if (!(p->without & SHUNT_AUTHOR_RINGS) &&
		    shunt_random_one_in(p->random, 3)) {
			cJSON_AddStringToObject(one, "kind", "ring");
			cJSON_AddNumberToObject(one, "bytes", 4096);
		} else {
			cJSON_AddStringToObject(one, "kind", "xsk");
		}
		if (shunt_random_one_in(p->random, 2))
			cJSON_AddStringToObject(one, "if_down", "pass");
	}
}

static void write_port_lists(struct shunt_pool *p, cJSON *policy)
{
	uint32_t n = shunt_random_below(p->random, 4), i;
	cJSON *lists;
	char name[16];

	p->port_lists = 0;
	if (!n || p->without & SHUNT_AUTHOR_VALUES)
		return;
	lists = cJSON_AddObjectToObject(policy, "ports");
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		shunt_author_ports(p, lists, name);
	}
	p->port_lists = n;
}

char *shunt_author_write(const struct shunt_author *author)
{
	struct shunt_pool p = { .random = author->random,
				.cpus = author->cpus,
				.without = author->without };
	cJSON *policy = cJSON_CreateObject();
	char *text;

	p.rules =
		draw_count(p.random, author->from, author->rules ? author->rules : 256);
	p.values = p.rules <= 256 ? FEW_VALUES : SHUNT_POOL;
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
	write_port_lists(&p, policy);
	write_rules(&p, policy);
	text = cJSON_PrintUnformatted(policy);
	cJSON_Delete(policy);
	return text;
}
