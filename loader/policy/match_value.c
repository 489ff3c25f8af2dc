/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/match.h"

#include <string.h>

#include "loader/policy/mac.h"
#include "loader/policy/range.h"
#include "loader/policy/spans.h"
#include "loader/policy/word.h"

#define ETH_TYPE_MIN 1536 /* below it, the field is an IEEE 802.3 length */
#define VLAN_ID_MAX 4095
#define DSCP_MAX 63
#define LENGTH_MAX 65535

static void read_port(struct shunt_match *match, const struct shunt_node *item,
		      struct shunt_spans *spans)
{
	shunt_ports_item(match->ports, item, spans);
}

static void read_tag(struct shunt_match *match, const struct shunt_node *item,
		     struct shunt_spans *spans)
{
	const char *text = cJSON_GetStringValue(item->json);

	(void)match;
	if (text && strcmp(text, "any") == 0) {
		shunt_range_add(item, spans, 0, VLAN_ID_MAX);
	} else if (text && strcmp(text, "none") == 0) {
		if (shunt_spans_add(spans, 0, 0) < 0)
			item->doc->oom = true;
	} else {
		shunt_range_read(item, spans, "\"none\", \"any\", a VLAN id",
				 VLAN_ID_MAX);
	}
}

static void read_eth_type(struct shunt_match *match, const struct shunt_node *item,
			  struct shunt_spans *spans)
{
	const char *text = cJSON_GetStringValue(item->json);
	int64_t value;

	(void)match;
	if (text && text[0] == '0' && text[1] == 'x') {
		const char *p = text + 2;

		value = strlen(p) <= 4 ? shunt_range_digits(&p, 16, 65535) : -1;
		if (value < ETH_TYPE_MIN || *p) {
			shunt_node_error(
				item,
				"%s is not an EtherType: those are \"0x0600\" to "
				"\"0xffff\"",
				SHUNT_QUOTE(text));
			return;
		}
	} else if (text) {
		value = shunt_node_name(item, "an EtherType", shunt_eth_type_names);
	} else {
		value = shunt_node_number(item, "an EtherType", ETH_TYPE_MIN, 65535);
	}
	if (value >= 0)
		shunt_range_add(item, spans, value, value);
}

static void read_proto(struct shunt_match *match, const struct shunt_node *item,
		       struct shunt_spans *spans)
{
	int64_t value;

	(void)match;
	if (cJSON_IsNumber(item->json))
		value = shunt_node_number(item, "an IP protocol", 0, 255);
	else
		value = shunt_node_name(item, "an IP protocol", shunt_proto_names);
	if (value >= 0)
		shunt_range_add(item, spans, value, value);
}

static void read_fragment(struct shunt_match *match, const struct shunt_node *item,
			  struct shunt_spans *spans)
{
	int value = shunt_node_name(item, "a kind of fragment", shunt_fragment_names);

	(void)match;
	if (value == SHUNT_FRAGMENT_ANY)
		shunt_range_add(item, spans, SHUNT_FRAGMENT_FIRST,
				SHUNT_FRAGMENT_LATER);
	else if (value >= 0)
		shunt_range_add(item, spans, value, value);
}

static void read_dscp(struct shunt_match *match, const struct shunt_node *item,
		      struct shunt_spans *spans)
{
	const char *text = cJSON_GetStringValue(item->json);
	int value;

	(void)match;
	if (!text || (*text >= '0' && *text <= '9')) {
		shunt_range_read(item, spans, "a DSCP", DSCP_MAX);
		return;
	}
	value = shunt_node_name(item, "a DSCP", shunt_dscp_names);
	if (value >= 0)
		shunt_range_add(item, spans, value, value);
}

static void read_length(struct shunt_match *match, const struct shunt_node *item,
			struct shunt_spans *spans)
{
	(void)match;
	shunt_range_read(item, spans, "a frame's length in bytes", LENGTH_MAX);
}

static void read_mac(struct shunt_match *match, const struct shunt_node *item,
		     struct shunt_spans *spans)
{
	const char *text = shunt_node_string(item, "a MAC address or a prefix of one");
	struct shunt_err err;
	unsigned int bits;
	uint64_t mac;

	(void)match;
	if (!text)
		return;
	if (shunt_mac_parse(&mac, &bits, text, &err) < 0)
		shunt_node_error(item, "%s", err.message);
	else
		shunt_range_add(item, spans, mac,
				mac + (1ull << (SHUNT_MAC_BITS - bits)) - 1);
}

/* --- TCP flags --------------------------------------------------------------- */

/* "syn,ack" of n bytes to bits; -1 after a complaint. */
static int read_flags(const struct shunt_node *item, const char *text, size_t n)
{
	int bits = 0;

	for (const char *p = text, *end = text + n; p <= end;) {
		const char *comma = memchr(p, ',', end - p);
		size_t len = (comma ? comma : end) - p;
		char name[32] = "";
		struct shunt_offer offer = SHUNT_OFFER(name);
		int bit;

		memcpy(name, p, len < sizeof(name) ? len : sizeof(name) - 1);
		bit = shunt_name_value(shunt_tcp_flag_names, name);
		if (bit < 0) {
			for (const struct shunt_name *f = shunt_tcp_flag_names; f->name;
			     f++)
				shunt_offer_add(&offer, f->name);
			shunt_node_error(item, "%s is not a TCP flag%s",
					 SHUNT_QUOTE(name), shunt_offer_text(&offer));
			return -1;
		}
		bits |= bit;
		p += len + 1;
	}
	return bits;
}

static void read_tcp_flags(struct shunt_match *match, const struct shunt_node *item,
			   struct shunt_spans *spans)
{
	const char *text = shunt_node_string(item, "TCP flags as set/mask"), *slash;
	int set, mask;
	size_t n;

	(void)match;
	if (!text)
		return;
	slash = strchr(text, '/');
	n = slash ? (size_t)(slash - text) : strlen(text);
	if (n == 4 && memcmp(text, "none", 4) == 0)
		set = 0;
	else
		set = read_flags(item, text, n);
	if (set < 0)
		return;
	mask = slash ? read_flags(item, slash + 1, strlen(slash + 1)) : set;
	if (mask < 0)
		return;
	if (!mask)
		shunt_node_error(item,
				 "\"none\" needs to know of which flags: write it like "
				 "\"none/syn,ack\"");
	else if (set & ~mask)
		shunt_node_error(
			item,
			"%s asks for flags on that the mask behind the slash does not "
			"look at: add them to the mask",
			SHUNT_QUOTE(text));
	else
		for (int flags = 0; flags < 256; flags++)
			if ((flags & mask) == set)
				shunt_range_add(item, spans, flags, flags);
}

/* --- VLAN tags --------------------------------------------------------------- */

/* Reports what is wrong with the object form. */
static void check_tags(const struct shunt_node *vlan, bool ruled_out)
{
	static const char *const tags[] = { "outer", "inner", NULL };
	bool outer = shunt_node_get(vlan, "outer").json;
	bool inner = shunt_node_get(vlan, "inner").json;

	if (!cJSON_IsObject(vlan->json))
		return;
	shunt_node_object(vlan, tags);
	if (!outer && !inner)
		shunt_node_error(vlan,
				 "names no tag: give \"outer\", \"inner\" or both");
	if (ruled_out && outer && inner)
		shunt_node_error(
			vlan,
			"rules out one tag at a time: for packets that differ in "
			"either tag, write two rules, one with \"outer\" and one with "
			"\"inner\"");
}

/* A tag's value: the plain form is about the outer tag. */
static struct shunt_node tag_of(const struct shunt_node *vlan, const char *tag)
{
	struct shunt_node none = { .doc = vlan->doc };

	if (cJSON_IsObject(vlan->json))
		return shunt_node_get(vlan, tag);
	return strcmp(tag, "outer") == 0 ? *vlan : none;
}

static void read_vlan(struct shunt_match *match, const struct shunt_pair *vlan)
{
	struct shunt_pair outer = { tag_of(&vlan->in, "outer"),
				    tag_of(&vlan->out, "outer") };
	struct shunt_pair inner = { tag_of(&vlan->in, "inner"),
				    tag_of(&vlan->out, "inner") };

	check_tags(&vlan->in, false);
	check_tags(&vlan->out, true);
	shunt_match_field(match, &outer, SHUNT_FIELD_VLAN, read_tag);
	shunt_match_field(match, &inner, SHUNT_FIELD_VLAN_INNER, read_tag);
}

/* --- the keys ---------------------------------------------------------------- */

/* "proto" comes before "icmp", which depends on it. */
static const struct row {
	const char *key;
	enum shunt_field field;
	shunt_item_fn *item;
} rows[] = {
	{ "eth_type", SHUNT_FIELD_ETH_TYPE, read_eth_type },
	{ "proto", SHUNT_FIELD_PROTO, read_proto },
	{ "fragment", SHUNT_FIELD_FRAGMENT, read_fragment },
	{ "sport", SHUNT_FIELD_SPORT, read_port },
	{ "dport", SHUNT_FIELD_DPORT, read_port },
	{ "tcp_flags", SHUNT_FIELD_TCP_FLAGS, read_tcp_flags },
	{ "icmp", SHUNT_FIELD_ICMP, shunt_match_icmp },
	{ "dscp", SHUNT_FIELD_DSCP, read_dscp },
	{ "length", SHUNT_FIELD_LENGTH, read_length },
	{ "src_mac", SHUNT_FIELD_SRC_MAC, read_mac },
	{ "dst_mac", SHUNT_FIELD_DST_MAC, read_mac },
};

void shunt_match_values(struct shunt_match *match, const struct shunt_node *in,
			const struct shunt_node *out)
{
	struct shunt_pair vlan = shunt_pair_get(in, out, "vlan");

	read_vlan(match, &vlan);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct shunt_pair pair = shunt_pair_get(in, out, rows[i].key);

		shunt_match_field(match, &pair, rows[i].field, rows[i].item);
	}
}
