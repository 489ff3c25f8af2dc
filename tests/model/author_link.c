/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/author_parts.h"

#include <stdio.h>
#include <string.h>

void shunt_author_eth_type(struct shunt_pool *p, cJSON *match,
			   enum shunt_author_family family, bool ip)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t n = shunt_author_few(p);
	char text[16];

	if (ip && family != IP6)
		shunt_author_add(list, "ipv4");
	if (ip && family != IP4)
		shunt_author_add(list,
				 shunt_random_one_in(p->random, 2) ? "ipv6" : "0x86dd");
	while (n--) {
		uint32_t type = p->eth_type[shunt_random_below(p->random, p->values)];

		if (ip && shunt_random_one_in(p->random, 2))
			continue;
		snprintf(text, sizeof(text), "0x%04x", type);
		if (shunt_random_one_in(p->random, 4))
			shunt_author_add(list, "arp");
		else if (shunt_random_one_in(p->random, 2))
			shunt_author_add(list, text);
		else
			cJSON_AddItemToArray(list, cJSON_CreateNumber(type));
	}
	shunt_author_put(p, match, "eth_type", list);
}

static void write_tag(struct shunt_pool *p, cJSON *object, const char *key, bool none)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t n = shunt_author_few(p);

	if (none)
		n = 0;
	if (none || shunt_random_one_in(p->random, 8))
		shunt_author_add(list, "none");
	if (!none && shunt_random_one_in(p->random, 4))
		shunt_author_add(list, "any");
	while (n--)
		cJSON_AddItemToArray(list, shunt_author_number(p, p->vlan, 4095));
	shunt_author_put(p, object, key, list);
}

void shunt_author_vlan(struct shunt_pool *p, cJSON *match)
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

/* --- addresses, length, interface ------------------------------------------ */

void shunt_author_mac(struct shunt_pool *p, cJSON *match, const char *key)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t n = shunt_author_few(p);

	while (n--)
		shunt_author_add(list, shunt_random_one_in(p->random, 2)
					       ? pool_of(p, mac)
					       : pool_of(p, mac_prefix));
	shunt_author_put(p, match, key, list);
}

void shunt_author_length(struct shunt_pool *p, cJSON *match)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t n = shunt_author_few(p);

	while (n--)
		cJSON_AddItemToArray(list, shunt_author_number(p, p->length, 65535));
	shunt_author_put(p, match, "length", list);
}

void shunt_author_iface(struct shunt_pool *p, cJSON *match)
{
	static const char *const names[] = {
		SHUNT_AUTHOR_IFACE, "eth*", "*", "e?h[0-3]", "eth1", "en*", "lo"
	};
	cJSON *list = cJSON_CreateArray();
	uint32_t n = shunt_author_few(p);

	while (n--)
		shunt_author_add(list, shunt_random_of(p->random, names));
	shunt_author_put(p, match, "iface", list);
}
