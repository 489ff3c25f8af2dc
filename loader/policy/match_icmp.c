/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/match.h"

#include <netinet/in.h>

#include "loader/policy/spans.h"
#include "loader/policy/word.h"

/* What "proto" admits. */
struct scope {
	bool ip4, ip6; /* ICMP, ICMPv6 */
	bool one;      /* exactly one protocol */
	bool moot;     /* "proto" is faulty, which is reported elsewhere and once */
};

static struct scope proto_scope(const struct shunt_match *match)
{
	const struct shunt_spans *proto = &match->layer->field[SHUNT_FIELD_PROTO];
	struct scope s = { .ip4 = true, .ip6 = true };

	if (match->broken[SHUNT_FIELD_PROTO]) {
		s.moot = true;
	} else if (proto->n) {
		s.ip4 = shunt_spans_have(proto, IPPROTO_ICMP + 1);
		s.ip6 = shunt_spans_have(proto, IPPROTO_ICMPV6 + 1);
		s.one = proto->n == 1 && proto->at[0].lo == proto->at[0].hi;
		if (!s.ip4 && !s.ip6)
			s.ip4 = s.ip6 = s.moot = true;
	}
	return s;
}

/* The types that a name or number stands for; -1: none in this family. */
struct types {
	int ip4, ip6;
};

static bool named_types(const struct shunt_node *node, struct scope scope,
			struct types *types)
{
	const char *text = shunt_node_string(node, "an ICMP type");
	const struct shunt_icmp_name *row = text ? shunt_icmp_by_name(text) : NULL;
	struct shunt_offer offer = SHUNT_OFFER(text);

	if (!text)
		return false;
	if (!row) {
		for (row = shunt_icmp_names; row->name; row++)
			shunt_offer_add(&offer, row->name);
		shunt_node_error(node, "%s is not an ICMP type%s", SHUNT_QUOTE(text),
				 shunt_offer_text(&offer));
		return false;
	}
	*types = (struct types){ scope.ip4 ? row->type4 : -1,
				 scope.ip6 ? row->type6 : -1 };
	if (types->ip4 >= 0 || types->ip6 >= 0 || scope.moot)
		return true;
	shunt_node_error(node,
			 "\"%s\" exists only in ICMP%s, which \"proto\" does not admit",
			 text, row->type4 >= 0 ? "" : "v6");
	return false;
}

static bool numbered_type(const struct shunt_node *node, struct scope scope,
			  struct types *types)
{
	int64_t type = shunt_node_number(node, "an ICMP type", 0, 255);

	if (type < 0)
		return false;
	if (!scope.one && !scope.moot) {
		shunt_node_error(
			node, "a number is another type in ICMP than in ICMPv6: give "
			      "\"proto\" exactly \"icmp\" or \"icmpv6\", or write the "
			      "type by name");
		return false;
	}
	*types = (struct types){ scope.ip4 ? type : -1, scope.ip6 ? type : -1 };
	return true;
}

static void add(const struct shunt_node *at, struct shunt_spans *spans, uint32_t base,
		int type, int code, int codes)
{
	uint32_t lo = base + ((uint32_t)type << 8) + code + 1;

	if (type >= 0 && shunt_spans_add(spans, lo, lo + codes - 1) < 0)
		at->doc->oom = true;
}

void shunt_match_icmp(struct shunt_match *match, const struct shunt_node *item,
		      struct shunt_spans *spans)
{
	static const char *const keys[] = { "type", "code", NULL };
	bool object = cJSON_IsObject(item->json);
	struct shunt_node type = object ? shunt_node_get(item, "type") : *item;
	struct shunt_node code = shunt_node_get(item, "code");
	struct scope scope = proto_scope(match);
	struct types types = { -1, -1 };

	if (object && !shunt_node_object(item, keys))
		return;
	if (!type.json)
		shunt_node_error(
			item,
			"the key \"type\" is missing: a code alone means nothing");
	else if (cJSON_IsNumber(type.json))
		numbered_type(&type, scope, &types);
	else
		named_types(&type, scope, &types);
	if (!object || !code.json) {
		add(item, spans, 0, types.ip4, 0, 256);
		add(item, spans, SHUNT_ICMP6_BASE, types.ip6, 0, 256);
		return;
	}
	if (!shunt_node_not_empty(&code))
		return;
	shunt_node_each(one, shunt_node_any(&code))
	{
		int64_t number = shunt_node_number(&one, "an ICMP code", 0, 255);

		if (number < 0)
			continue;
		add(item, spans, 0, types.ip4, number, 1);
		add(item, spans, SHUNT_ICMP6_BASE, types.ip6, number, 1);
	}
}
