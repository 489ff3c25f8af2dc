/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/match.h"

#include <string.h>

#include "loader/policy/prefix.h"
#include "loader/policy/spans.h"
#include "loader/policy/word.h"

#define ETH_TYPE_MIN 1536 /* below it, the field is an IEEE 802.3 length */
#define VLAN_ID_MAX 4095

typedef void read_fn(struct shunt_match *match, const struct shunt_node *item,
		     struct shunt_spans *spans);

/* Adds the values lo to hi, whose indices are one more. */
static void add(const struct shunt_node *at, struct shunt_spans *spans, uint32_t lo,
		uint32_t hi)
{
	if (shunt_spans_add(spans, lo + 1, hi + 1) < 0)
		at->doc->oom = true;
}

/* --- numbers and ranges ------------------------------------------------------ */

/* Digits of the base at *p, without sign, up to max; -1 if there is no such number. */
static int64_t take_number(const char **p, int base, int64_t max)
{
	const char *digits = "0123456789abcdef";
	int64_t value = 0;
	bool any = false;

	for (; **p; (*p)++) {
		const char *at =
			strchr(digits, **p >= 'A' && **p <= 'F' ? **p | 32 : **p);

		if (!at || at - digits >= base)
			break;
		value = value * base + (at - digits);
		any = true;
		if (value > max)
			return -1;
	}
	return any ? value : -1;
}

/* A number, or "53", or "1024-65535"; what: "a port". */
static void read_range(const struct shunt_node *item, struct shunt_spans *spans,
		       const char *what, int64_t max)
{
	const char *text, *p;
	int64_t lo, hi;

	if (cJSON_IsNumber(item->json)) {
		lo = shunt_node_number(item, what, 0, max);
		if (lo >= 0)
			add(item, spans, lo, lo);
		return;
	}
	text = p = shunt_node_string(item, what);
	if (!text)
		return;
	lo = hi = take_number(&p, 10, max);
	if (lo >= 0 && *p == '-') {
		p++;
		hi = take_number(&p, 10, max);
	}
	if (lo < 0 || hi < 0 || *p)
		shunt_node_error(
			item,
			"%s is not %s or a range of them: write a number from 0 to %jd "
			"or a range like \"10-20\"",
			SHUNT_QUOTE(text), what, (intmax_t)max);
	else if (lo > hi)
		shunt_node_error(item, "the range %s is backwards: write \"%jd-%jd\"",
				 SHUNT_QUOTE(text), (intmax_t)hi, (intmax_t)lo);
	else
		add(item, spans, lo, hi);
}

static void read_port(struct shunt_match *match, const struct shunt_node *item,
		      struct shunt_spans *spans)
{
	(void)match;
	read_range(item, spans, "a port", 65535);
}

static void read_vlan(struct shunt_match *match, const struct shunt_node *item,
		      struct shunt_spans *spans)
{
	const char *text = cJSON_GetStringValue(item->json);

	(void)match;
	if (text && strcmp(text, "any") == 0) {
		add(item, spans, 0, VLAN_ID_MAX);
	} else if (text && strcmp(text, "none") == 0) {
		if (shunt_spans_add(spans, 0, 0) < 0)
			item->doc->oom = true;
	} else {
		read_range(item, spans, "\"none\", \"any\", a VLAN id", VLAN_ID_MAX);
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

		value = strlen(p) <= 4 ? take_number(&p, 16, 65535) : -1;
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
		add(item, spans, value, value);
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
		add(item, spans, value, value);
}

static void read_fragment(struct shunt_match *match, const struct shunt_node *item,
			  struct shunt_spans *spans)
{
	int value = shunt_node_name(item, "a kind of fragment", shunt_fragment_names);

	(void)match;
	if (value == SHUNT_FRAGMENT_ANY)
		add(item, spans, SHUNT_FRAGMENT_FIRST, SHUNT_FRAGMENT_LATER);
	else if (value >= 0)
		add(item, spans, value, value);
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
				add(item, spans, flags, flags);
}

/* --- the keys ---------------------------------------------------------------- */

/* "proto" comes before "icmp", which depends on it. */
static const struct row {
	const char *key;
	enum shunt_field field;
	read_fn *read;
} rows[] = {
	{ "eth_type", SHUNT_FIELD_ETH_TYPE, read_eth_type },
	{ "proto", SHUNT_FIELD_PROTO, read_proto },
	{ "fragment", SHUNT_FIELD_FRAGMENT, read_fragment },
	{ "sport", SHUNT_FIELD_SPORT, read_port },
	{ "dport", SHUNT_FIELD_DPORT, read_port },
	{ "tcp_flags", SHUNT_FIELD_TCP_FLAGS, read_tcp_flags },
	{ "icmp", SHUNT_FIELD_ICMP, shunt_match_icmp },
};

static const char *const keys[] = {
	"src",	 "dst",	      "eth_type", "vlan",     "proto", "sport",
	"dport", "tcp_flags", "icmp",	  "fragment", NULL,
};

static void read_field(struct shunt_match *match, const struct shunt_node *node,
		       enum shunt_field field, read_fn *read)
{
	struct shunt_spans *spans = &match->rule->layer[SHUNT_OUTER].field[field];
	size_t errors = node->doc->diags->errors;

	if (!node->json || !shunt_node_not_empty(node))
		return;
	shunt_node_each(item, shunt_node_any(node)) read(match, &item, spans);
	shunt_spans_settle(spans);
	match->broken[field] = node->doc->diags->errors != errors;
}

static void read_tags(struct shunt_match *match, const struct shunt_node *vlan)
{
	static const char *const tags[] = { "outer", "inner", NULL };
	struct shunt_node outer = shunt_node_get(vlan, "outer");
	struct shunt_node inner = shunt_node_get(vlan, "inner");

	if (!cJSON_IsObject(vlan->json)) {
		read_field(match, vlan, SHUNT_FIELD_VLAN, read_vlan);
		return;
	}
	shunt_node_object(vlan, tags);
	if (!outer.json && !inner.json)
		shunt_node_error(vlan,
				 "names no tag: give \"outer\", \"inner\" or both");
	read_field(match, &outer, SHUNT_FIELD_VLAN, read_vlan);
	read_field(match, &inner, SHUNT_FIELD_VLAN_INNER, read_vlan);
}

/* --- addresses --------------------------------------------------------------- */

static void read_set_name(const struct shunt_match *match,
			  const struct shunt_node *item, const char *name,
			  struct shunt_addrs *addrs)
{
	struct shunt_offer offer = SHUNT_OFFER(name);
	uint32_t place = 0;

	for (; place < match->policy->sets; place++) {
		if (strcmp(match->policy->set[place].name, name) == 0)
			break;
		shunt_offer_add(&offer, match->policy->set[place].name);
	}
	if (place == match->policy->sets) {
		shunt_node_error(item, "there is no set %s in \"sets\"%s",
				 SHUNT_QUOTE(name), shunt_offer_text(&offer));
		return;
	}
	for (size_t i = 0; i < addrs->in.sets; i++)
		if (addrs->in.set[i] == place)
			return;
	addrs->in.set[addrs->in.sets++] = place;
}

static void read_side(struct shunt_match *match, const struct shunt_node *node,
		      enum shunt_side side)
{
	struct shunt_addrs *addrs = &match->rule->layer[SHUNT_OUTER].side[side];
	size_t errors = node->doc->diags->errors;
	size_t n = cJSON_IsArray(node->json) ? shunt_node_count(node) : 1;

	if (!node->json || !shunt_node_not_empty(node))
		return;
	addrs->in.prefix = shunt_node_alloc(node->doc, n, sizeof(*addrs->in.prefix));
	addrs->in.set = shunt_node_alloc(node->doc, n, sizeof(*addrs->in.set));
	if (!addrs->in.prefix || !addrs->in.set)
		return;
	shunt_node_each(item, shunt_node_any(node))
	{
		const char *text =
			shunt_node_string(&item, "an address, a prefix or \"@set\"");
		struct shunt_err err;

		if (!text)
			continue;
		if (*text == '@')
			read_set_name(match, &item, text + 1, addrs);
		else if (shunt_prefix_parse(&addrs->in.prefix[addrs->in.prefixes], text,
					    &err) < 0)
			shunt_node_error(&item, "%s", err.message);
		else
			addrs->in.prefixes++;
	}
	addrs->in.prefixes = shunt_prefix_unique(addrs->in.prefix, addrs->in.prefixes);
	match->broken_side[side] = node->doc->diags->errors != errors;
}

void shunt_match_read(struct shunt_match *match, const struct shunt_node *node)
{
	struct shunt_node src = shunt_node_get(node, "src");
	struct shunt_node dst = shunt_node_get(node, "dst");
	struct shunt_node vlan = shunt_node_get(node, "vlan");

	if (!shunt_node_object(node, keys))
		return;
	read_side(match, &src, SHUNT_SIDE_SRC);
	read_side(match, &dst, SHUNT_SIDE_DST);
	if (vlan.json)
		read_tags(match, &vlan);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct shunt_node value = shunt_node_get(node, rows[i].key);

		read_field(match, &value, rows[i].field, rows[i].read);
	}
	shunt_match_contradictions(match, node);
}
