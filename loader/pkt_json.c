/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/pkt_json.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>

#include "user/base/cleanup.h"

const char *shunt_pkt_addr_text(unsigned int l3, const __u32 addr[4],
				char text[SHUNT_PKT_ADDR_ROOM])
{
	int family = l3 == SHUNT_L3_IP6 ? AF_INET6 : AF_INET;

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

const char *shunt_tunnel_name(unsigned int tunnel)
{
	switch (tunnel) {
#define X(id, value, name, help)                                                       \
	case value:                                                                    \
		return name;
		SHUNT_TUNNELS(X)
#undef X
	default:
		return "unknown";
	}
}

const char *shunt_mac_text(__u64 mac, char text[SHUNT_PKT_MAC_ROOM])
{
	snprintf(text, SHUNT_PKT_MAC_ROOM, "%02x:%02x:%02x:%02x:%02x:%02x",
		 (unsigned int)(mac >> 40) & 0xff, (unsigned int)(mac >> 32) & 0xff,
		 (unsigned int)(mac >> 24) & 0xff, (unsigned int)(mac >> 16) & 0xff,
		 (unsigned int)(mac >> 8) & 0xff, (unsigned int)mac & 0xff);
	return text;
}

/* Adds the field's value under name; true also when the packet lacks the field. */
static bool add_field(cJSON *json, const struct shunt_layer *l, enum shunt_field field,
		      const char *name)
{
	__u32 index = l->field[field];

	return !index || cJSON_AddNumberToObject(json, name, index - 1);
}

static bool add_mac(cJSON *json, const struct shunt_layer *l, enum shunt_field field,
		    const char *name)
{
	__u64 index = shunt_layer_wide(l, field);
	char text[SHUNT_PKT_MAC_ROOM];

	return !index ||
	       cJSON_AddStringToObject(json, name, shunt_mac_text(index - 1, text));
}

static bool add_link(cJSON *json, const struct shunt_layer *l)
{
	__u32 type = l->field[SHUNT_FIELD_ETH_TYPE];
	__u32 outer = l->field[SHUNT_FIELD_VLAN];
	__u32 inner = l->field[SHUNT_FIELD_VLAN_INNER];
	char text[8];
	int ids[2] = { (int)outer - 1, (int)inner - 1 };

	if (!add_mac(json, l, SHUNT_FIELD_SRC_MAC, "src_mac") ||
	    !add_mac(json, l, SHUNT_FIELD_DST_MAC, "dst_mac"))
		return false;
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

static bool add_network(cJSON *json, const struct shunt_layer *l)
{
	__u32 fragment = l->field[SHUNT_FIELD_FRAGMENT];
	char src[SHUNT_PKT_ADDR_ROOM], dst[SHUNT_PKT_ADDR_ROOM];

	if (l->l3 != SHUNT_L3_NONE) {
		shunt_pkt_addr_text(l->l3, l->addr[SHUNT_SIDE_SRC], src);
		shunt_pkt_addr_text(l->l3, l->addr[SHUNT_SIDE_DST], dst);
		if (!cJSON_AddStringToObject(json, "src", src) ||
		    !cJSON_AddStringToObject(json, "dst", dst))
			return false;
	}
	if (!add_field(json, l, SHUNT_FIELD_PROTO, "proto") ||
	    !add_field(json, l, SHUNT_FIELD_DSCP, "dscp"))
		return false;
	return !fragment || cJSON_AddStringToObject(json, "fragment",
						    shunt_fragment_name(fragment - 1));
}

static bool add_transport(cJSON *json, const struct shunt_layer *l)
{
	__u32 flags = l->field[SHUNT_FIELD_TCP_FLAGS];
	__u32 icmp = l->field[SHUNT_FIELD_ICMP];
	char text[SHUNT_PKT_TCP_FLAGS_ROOM];
	cJSON *object;

	if (!add_field(json, l, SHUNT_FIELD_SPORT, "sport") ||
	    !add_field(json, l, SHUNT_FIELD_DPORT, "dport"))
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

static bool add_shape(cJSON *json, const struct shunt_layer *l, __u32 bytes)
{
	if (!cJSON_AddNumberToObject(json, "length", bytes))
		return false;
	if (l->l3_off && !cJSON_AddNumberToObject(json, "l3_offset", l->l3_off))
		return false;
	return !l->l4_off || cJSON_AddNumberToObject(json, "l4_offset", l->l4_off);
}

static bool add_layer(cJSON *json, const struct shunt_layer *l, __u32 bytes)
{
	return add_link(json, l) && add_network(json, l) && add_transport(json, l) &&
	       add_shape(json, l, bytes);
}

static bool add_tunnel(cJSON *json, const struct shunt_pkt *pkt)
{
	const struct shunt_layer *l = &pkt->layer[SHUNT_OUTER],
				 *inner = &pkt->layer[SHUNT_INNER];
	__u32 tunnel = l->field[SHUNT_FIELD_TUNNEL],
	      length = inner->field[SHUNT_FIELD_LENGTH];
	__u64 key = shunt_layer_wide(l, SHUNT_FIELD_KEY);
	cJSON *object;

	if (!tunnel)
		return true;
	object = cJSON_AddObjectToObject(json, "tunnel");
	if (!object ||
	    !cJSON_AddStringToObject(object, "type", shunt_tunnel_name(tunnel - 1)))
		return false;
	if (key && !cJSON_AddNumberToObject(object, "key", key - 1))
		return false;
	if (!length)
		return true;
	object = cJSON_AddObjectToObject(object, "inner");
	return object && add_layer(object, inner, length - 1);
}

cJSON *shunt_pkt_json(const struct shunt_pkt *pkt)
{
	_json_ cJSON *json = cJSON_CreateObject();

	if (!json || !add_layer(json, &pkt->layer[SHUNT_OUTER], pkt->len) ||
	    !add_tunnel(json, pkt))
		return NULL;
	return shunt_steal(&json);
}
