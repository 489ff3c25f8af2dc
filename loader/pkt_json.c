/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/pkt_json.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>

#include "user/base/cleanup.h"

const char *shunt_pkt_addr_text(const struct shunt_pkt *pkt, const __u32 addr[4],
				char text[SHUNT_PKT_ADDR_ROOM])
{
	int family = pkt->layer[SHUNT_OUTER].l3 == SHUNT_L3_IP6 ? AF_INET6 : AF_INET;

	_Static_assert(SHUNT_PKT_ADDR_ROOM >= INET6_ADDRSTRLEN,
		       "room for every address");
	inet_ntop(family, addr, text, SHUNT_PKT_ADDR_ROOM);
	return text;
}

/* RFC 9293 section 3.1, from the lowest bit. */
const char *shunt_tcp_flags_text(unsigned int flags,
				 char text[SHUNT_PKT_TCP_FLAGS_ROOM])
{
	static const char *const names[] = { "fin", "syn", "rst", "psh",
					     "ack", "urg", "ece", "cwr" };
	size_t used = 0;
	unsigned int bit;

	text[0] = '\0';
	for (bit = 0; bit < 8; bit++) {
		if (!(flags & 1u << bit))
			continue;
		used += snprintf(text + used, SHUNT_PKT_TCP_FLAGS_ROOM - used, "%s%s",
				 used ? "," : "", names[bit]);
	}
	return text;
}

const char *shunt_fragment_name(unsigned int fragment)
{
	switch (fragment) {
	case SHUNT_FRAGMENT_FIRST:
		return "first";
	case SHUNT_FRAGMENT_LATER:
		return "later";
	default:
		return "none";
	}
}

/* Adds the field's value under name; true also when the packet lacks the field. */
static bool add_field(cJSON *json, const struct shunt_pkt *pkt, enum shunt_field field,
		      const char *name)
{
	__u32 index = pkt->layer[SHUNT_OUTER].field[field];

	return !index || cJSON_AddNumberToObject(json, name, index - 1);
}

static bool add_link(cJSON *json, const struct shunt_pkt *pkt)
{
	__u32 type = pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_ETH_TYPE];
	__u32 outer = pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_VLAN];
	__u32 inner = pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_VLAN_INNER];
	char text[8];
	int ids[2] = { (int)outer - 1, (int)inner - 1 };

	snprintf(text, sizeof(text), "0x%04x", (type - 1) & 0xffff);
	if (type && !cJSON_AddStringToObject(json, "eth_type", text))
		return false;
	if (outer) {
		_json_ cJSON *tags = cJSON_CreateIntArray(ids, inner ? 2 : 1);

		if (!cJSON_AddItemToObject(json, "vlan", tags))
			return false;
		shunt_steal(&tags);
	}
	return true;
}

static bool add_network(cJSON *json, const struct shunt_pkt *pkt)
{
	__u32 fragment = pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_FRAGMENT];
	char src[SHUNT_PKT_ADDR_ROOM], dst[SHUNT_PKT_ADDR_ROOM];

	if (pkt->layer[SHUNT_OUTER].l3 != SHUNT_L3_NONE) {
		shunt_pkt_addr_text(pkt, pkt->layer[SHUNT_OUTER].addr[SHUNT_SIDE_SRC],
				    src);
		shunt_pkt_addr_text(pkt, pkt->layer[SHUNT_OUTER].addr[SHUNT_SIDE_DST],
				    dst);
		if (!cJSON_AddStringToObject(json, "src", src) ||
		    !cJSON_AddStringToObject(json, "dst", dst))
			return false;
	}
	if (!add_field(json, pkt, SHUNT_FIELD_PROTO, "proto"))
		return false;
	return !fragment || cJSON_AddStringToObject(json, "fragment",
						    shunt_fragment_name(fragment - 1));
}

static bool add_transport(cJSON *json, const struct shunt_pkt *pkt)
{
	__u32 flags = pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_TCP_FLAGS];
	__u32 icmp = pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_ICMP];
	char text[SHUNT_PKT_TCP_FLAGS_ROOM];
	cJSON *object;

	if (!add_field(json, pkt, SHUNT_FIELD_SPORT, "sport") ||
	    !add_field(json, pkt, SHUNT_FIELD_DPORT, "dport"))
		return false;
	if (flags && !cJSON_AddStringToObject(json, "tcp_flags",
					      shunt_tcp_flags_text(flags - 1, text)))
		return false;
	if (!icmp)
		return true;
	object = cJSON_AddObjectToObject(json, "icmp");
	return object &&
	       cJSON_AddNumberToObject(object, "type", (icmp - 1) >> 8 & 0xff) &&
	       cJSON_AddNumberToObject(object, "code", (icmp - 1) & 0xff);
}

static bool add_shape(cJSON *json, const struct shunt_pkt *pkt)
{
	if (!cJSON_AddNumberToObject(json, "length", pkt->len))
		return false;
	if (pkt->layer[SHUNT_OUTER].l3_off &&
	    !cJSON_AddNumberToObject(json, "l3_offset", pkt->layer[SHUNT_OUTER].l3_off))
		return false;
	return !pkt->layer[SHUNT_OUTER].l4_off ||
	       cJSON_AddNumberToObject(json, "l4_offset",
				       pkt->layer[SHUNT_OUTER].l4_off);
}

cJSON *shunt_pkt_json(const struct shunt_pkt *pkt)
{
	_json_ cJSON *json = cJSON_CreateObject();

	if (!json || !add_link(json, pkt) || !add_network(json, pkt) ||
	    !add_transport(json, pkt) || !add_shape(json, pkt))
		return NULL;
	return shunt_steal(&json);
}
