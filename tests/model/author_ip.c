/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/author_parts.h"

#include <stdio.h>
#include <string.h>

void shunt_author_side(struct shunt_pool *p, cJSON *match, const char *key,
		       enum shunt_author_family family)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t n = shunt_author_few(p), i;

	for (i = 0; i < n; i++) {
		uint32_t at = shunt_random_below(p->random, p->values);
		int f = family != ANY ? (int)(family - IP4)
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
		shunt_author_add(list, text);
	}
	shunt_author_put(p, match, key, list);
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
		shunt_author_add(list, names[i].name);
		return;
	}
	cJSON_AddItemToArray(list, cJSON_CreateNumber(proto));
}

/* 0: no protocol must be among them. */
void shunt_author_proto(struct shunt_pool *p, cJSON *match, uint32_t must)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t n = must ? shunt_author_few(p) - 1 : shunt_author_few(p);

	if (must)
		add_proto(p, list, must);
	while (n--)
		add_proto(p, list, p->proto[shunt_random_below(p->random, p->values)]);
	shunt_author_put(p, match, "proto", list);
}

void shunt_author_ports(struct shunt_pool *p, cJSON *match, const char *key)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t n = shunt_author_few(p);

	while (n--) {
		char name[16];

		if (!p->port_lists || !shunt_random_one_in(p->random, 6)) {
			cJSON_AddItemToArray(list,
					     shunt_author_number(p, p->port, 65535));
			continue;
		}
		snprintf(name, sizeof(name), "@p%u",
			 shunt_random_below(p->random, p->port_lists));
		shunt_author_add(list, name);
	}
	shunt_author_put(p, match, key, list);
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

void shunt_author_flags(struct shunt_pool *p, cJSON *match)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t n = shunt_author_few(p);

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
			shunt_author_add(list, text);
	}
	if (!cJSON_GetArraySize(list))
		shunt_author_add(list, "syn/syn,ack");
	shunt_author_put(p, match, "tcp_flags", list);
}

static cJSON *icmp_value(struct shunt_pool *p, enum shunt_author_family family)
{
	static const char *const both[] = { "echo-reply", "echo-request", "redirect",
					    "time-exceeded", "dest-unreachable" };
	static const char *const only[] = { "timestamp-request", "packet-too-big" };
	cJSON *type, *codes, *object;
	uint32_t n = shunt_author_few(p);

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
	shunt_author_put(p, object, "code", codes);
	return object;
}

void shunt_author_icmp(struct shunt_pool *p, cJSON *match,
		       enum shunt_author_family family)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t n = shunt_author_few(p);

	while (n--)
		cJSON_AddItemToArray(list, icmp_value(p, family));
	if (family != ANY)
		cJSON_AddStringToObject(match, "proto",
					family == IP4 ? "icmp" : "icmpv6");
	shunt_author_put(p, match, "icmp", list);
}

void shunt_author_fragment(struct shunt_pool *p, cJSON *match, bool transport)
{
	static const char *const kinds[] = { "none", "first", "any", "later" };
	cJSON *list = cJSON_CreateArray();
	uint32_t n = shunt_author_few(p);

	shunt_author_add(list, kinds[shunt_random_below(p->random, transport ? 3 : 4)]);
	while (--n)
		shunt_author_add(list, shunt_random_of(p->random, kinds));
	shunt_author_put(p, match, "fragment", list);
}

void shunt_author_dscp(struct shunt_pool *p, cJSON *match)
{
	static const char *const names[] = { "cs0", "ef", "af11", "af43", "cs7" };
	cJSON *list = cJSON_CreateArray();
	uint32_t n = shunt_author_few(p);

	while (n--)
		if (shunt_random_one_in(p->random, 4))
			shunt_author_add(list, shunt_random_of(p->random, names));
		else
			cJSON_AddItemToArray(list, shunt_author_number(p, p->dscp, 63));
	shunt_author_put(p, match, "dscp", list);
}
