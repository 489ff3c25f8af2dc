/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/net/nexthop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/lib/rewrite.h"
#include "loader/policy/jsonc.h"
#include "loader/policy/mac.h"
#include "loader/policy/word.h"
#include "user/base/cleanup.h"
#include "user/base/file.h"

#define TABLE_SCHEMA "shunt.nexthops/1"
#define TABLE_BYTES_MAX (64u << 20) /* of a file: more is a mistake */
#define ETH_BYTES 14u
#define TAG_BYTES 4u
#define TAGS_MAX 2

/* --- reading ----------------------------------------------------------------------- */

static void read_mac(const struct shunt_node *route, const char *key, uint8_t *to)
{
	struct shunt_node node = shunt_node_get(route, key);
	struct shunt_err err;
	const char *text;
	unsigned int bits;
	uint64_t mac;
	int i;

	if (!node.json) {
		shunt_node_error(route,
				 "the key \"%s\" is missing: write \"%s\": "
				 "\"02:00:00:00:00:01\"",
				 key, key);
		return;
	}
	text = shunt_node_string(&node, "a MAC address");
	if (!text)
		return;
	if (shunt_mac_parse(&mac, &bits, text, &err) || bits != SHUNT_MAC_BITS) {
		shunt_node_error(&node, "%s is not one MAC address", SHUNT_QUOTE(text));
		return;
	}
	for (i = 0; i < 6; i++)
		to[i] = (uint8_t)(mac >> (40 - 8 * i));
}

static void read_prefix(const struct shunt_node *route, struct shunt_prefix *prefix)
{
	struct shunt_node node = shunt_node_get(route, "prefix");
	struct shunt_err err;
	const char *text;

	if (!node.json) {
		shunt_node_error(route,
				 "the key \"prefix\" is missing: write \"prefix\": "
				 "\"192.0.2.0/24\", or \"0.0.0.0/0\" for all of IPv4");
		return;
	}
	text = shunt_node_string(&node, "a prefix");
	if (text && shunt_prefix_parse(prefix, text, &err))
		shunt_node_error(&node, "%s", err.message);
}

static uint32_t read_port(const struct shunt_node *route,
			  const struct shunt_nexthop_ports *ports)
{
	struct shunt_node node = shunt_node_get(route, "port");
	struct shunt_offer offer;
	const char *text;
	unsigned int i;

	if (!node.json) {
		shunt_node_error(route,
				 "the key \"port\" is missing: a name of a port, or "
				 "its place, from 0");
		return 0;
	}
	if (cJSON_IsNumber(node.json)) {
		int64_t at =
			shunt_node_number(&node, "a port's place", 0, ports->count - 1);

		return at < 0 ? 0 : (uint32_t)at;
	}
	text = shunt_node_string(&node, "a name of a port, or its place as a number");
	offer = (struct shunt_offer)SHUNT_OFFER(text);
	for (i = 0; text && i < ports->count; i++) {
		if (!strcmp(ports->name[i], text))
			return i;
		shunt_offer_add(&offer, ports->name[i]);
	}
	if (text)
		shunt_node_error(&node, "%s is none of the ports%s", SHUNT_QUOTE(text),
				 shunt_offer_text(&offer));
	return 0;
}

static void read_route(const struct shunt_node *route, struct shunt_lpm_row *row,
		       struct shunt_nexthop *hop,
		       const struct shunt_nexthop_ports *ports)
{
	static const char *const keys[] = { "prefix",  "port",	      "dst_mac",
					    "src_mac", "description", NULL };

	if (!shunt_node_object(route, keys))
		return;
	shunt_node_description(route);
	read_prefix(route, &row->prefix);
	hop->port = read_port(route, ports);
	read_mac(route, "dst_mac", hop->mac);
	read_mac(route, "src_mac", hop->mac + 6);
}

bool shunt_nexthops_read(struct shunt_nexthops *table, const struct shunt_node *routes,
			 const struct shunt_nexthop_ports *ports)
{
	size_t errors = routes->doc->diags->errors, n = shunt_node_count(routes);
	_free_ struct shunt_lpm_row *rows = NULL;
	struct shunt_err err;

	*table = (struct shunt_nexthops){ .hop = NULL };
	if (!shunt_node_list(routes, "routes"))
		return false;
	rows = shunt_node_alloc(routes->doc, n, sizeof(*rows));
	table->hop = shunt_node_alloc(routes->doc, n, sizeof(*table->hop));
	if (!rows || !table->hop)
		return false;
	shunt_node_each(route, shunt_node_first(routes))
	{
		rows[table->hops].value = table->hops;
		read_route(&route, &rows[table->hops], &table->hop[table->hops], ports);
		table->hops++;
	}
	if (routes->doc->diags->errors == errors &&
	    shunt_lpm_make(&table->lpm, rows, n, &err))
		shunt_node_error(routes, "%s", err.message);
	return routes->doc->diags->errors == errors;
}

static void read_document(struct shunt_nexthops *table, const struct shunt_node *root,
			  const struct shunt_nexthop_ports *ports)
{
	static const char *const keys[] = { "schema", "routes", "description", NULL };
	struct shunt_node schema, routes;
	const char *text;

	if (!shunt_node_object(root, keys))
		return;
	shunt_node_description(root);
	schema = shunt_node_get(root, "schema");
	routes = shunt_node_get(root, "routes");
	text = cJSON_GetStringValue(schema.json);
	if (!text || strcmp(text, TABLE_SCHEMA) != 0)
		shunt_node_error(schema.json ? &schema : root,
				 "a table of next hops says \"schema\": \"%s\"",
				 TABLE_SCHEMA);
	if (!routes.json)
		shunt_node_error(root, "the key \"routes\" is missing: a list");
	else
		(void)shunt_nexthops_read(table, &routes, ports);
}

int shunt_nexthops_read_file(struct shunt_nexthops *table, const char *path,
			     const struct shunt_nexthop_ports *ports,
			     struct shunt_diags *diags)
{
	struct shunt_doc doc = { .diags = diags };
	_json_ cJSON *json = NULL;
	_free_ char *text = NULL;
	struct shunt_node root;
	struct shunt_err err;
	size_t bytes;
	int ret;

	*table = (struct shunt_nexthops){ .hop = NULL };
	ret = shunt_file_read(path, TABLE_BYTES_MAX, &text, &bytes, &err);
	if (ret) {
		shunt_diag_add(diags, false, "", "%s", err.message);
		return ret;
	}
	ret = shunt_jsonc_parse(&json, text, bytes, path, diags);
	if (ret)
		return ret;
	root = (struct shunt_node){ .doc = &doc, .json = json };
	shunt_node_duplicates(&root);
	read_document(table, &root, ports);
	if (!diags->errors && !doc.oom)
		return 0;
	shunt_nexthops_free(table);
	return doc.oom ? -ENOMEM : -EINVAL;
}

void shunt_nexthops_free(struct shunt_nexthops *table)
{
	shunt_lpm_free(&table->lpm);
	free(table->hop);
	*table = (struct shunt_nexthops){ .hop = NULL };
}

/* --- forwarding -------------------------------------------------------------------- */

static const struct shunt_image_rewrite one_hop = { .bits = SHUNT_REWRITE_TTL_DEC };

static uint16_t type_at(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* Where the IP header is, and its EtherType. */
static uint32_t skip_tags(const uint8_t *frame, uint32_t len, uint16_t *type)
{
	uint32_t at = ETH_BYTES;
	int i;

	*type = type_at(frame + at - 2);
	for (i = 0; i < TAGS_MAX && shunt_is_tag(*type) && at + TAG_BYTES <= len; i++) {
		at += TAG_BYTES;
		*type = type_at(frame + at - 2);
	}
	return at;
}

/* Is the one's complement sum over the header what it has to be? */
static bool sums_up(const uint8_t *header, uint32_t bytes)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < bytes; i += 2)
		sum += shunt_csum_word(header[i], header[i + 1]);
	return shunt_csum_fold(sum) == 0xffff;
}

static int hop_of(const struct shunt_nexthops *table, int is_ip6, const void *addr)
{
	uint32_t hop = shunt_lpm_find(&table->lpm, is_ip6, addr);

	return hop == SHUNT_LPM_NONE ? SHUNT_NEXTHOP_NO_ROUTE : (int)hop;
}

/* The next hop's number, or a fault. */
static int apply_ip4(const struct shunt_nexthops *table, uint8_t *at, uint32_t len,
		     uint32_t bytes)
{
	struct shunt_ip4 ip;
	uint32_t header, total;
	__u64 change;
	int hop;

	if (len < sizeof(ip))
		return SHUNT_NEXTHOP_MALFORMED;
	memcpy(&ip, at, sizeof(ip));
	header = (ip.version_ihl & 15u) * 4;
	total = shunt_be16(ip.length);
	if (ip.version_ihl >> 4 != 4 || header < sizeof(ip) || header > len ||
	    total < header || total > bytes || !sums_up(at, header))
		return SHUNT_NEXTHOP_MALFORMED;
	hop = hop_of(table, 0, &ip.dst);
	if (hop < 0)
		return hop;
	if (shunt_rewrite_ip4(&ip, &one_hop, &change))
		return SHUNT_NEXTHOP_EXPIRED;
	memcpy(at, &ip, sizeof(ip));
	return hop;
}

static int apply_ip6(const struct shunt_nexthops *table, uint8_t *at, uint32_t len,
		     uint32_t bytes)
{
	struct shunt_ip6 ip;
	__u64 change;
	int hop;

	if (len < sizeof(ip))
		return SHUNT_NEXTHOP_MALFORMED;
	memcpy(&ip, at, sizeof(ip));
	if (shunt_be32(ip.version_class_flow) >> 28 != 6 ||
	    sizeof(ip) + shunt_be16(ip.length) > bytes)
		return SHUNT_NEXTHOP_MALFORMED;
	hop = hop_of(table, 1, &ip.dst);
	if (hop < 0)
		return hop;
	if (shunt_rewrite_ip6(&ip, &one_hop, &change))
		return SHUNT_NEXTHOP_EXPIRED;
	memcpy(at, &ip, sizeof(ip));
	return hop;
}

int shunt_nexthop_apply(const struct shunt_nexthops *table, uint8_t *frame,
			uint32_t len, uint32_t bytes)
{
	uint16_t type;
	uint32_t at;
	int hop;

	if (len < ETH_BYTES)
		return SHUNT_NEXTHOP_MALFORMED;
	if (frame[0] & 1)
		return SHUNT_NEXTHOP_GROUP;
	at = skip_tags(frame, len, &type);
	if (type == SHUNT_ETH_IP4)
		hop = apply_ip4(table, frame + at, len - at, bytes - at);
	else if (type == SHUNT_ETH_IP6)
		hop = apply_ip6(table, frame + at, len - at, bytes - at);
	else
		return SHUNT_NEXTHOP_NOT_IP;
	if (hop < 0)
		return hop;
	memcpy(frame, table->hop[hop].mac, sizeof(table->hop[hop].mac));
	return (int)table->hop[hop].port;
}
