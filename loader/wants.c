/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/wants.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "loader/pkt_json.h"
#include "loader/policy/name.h"
#include "loader/policy/word.h"

#define ITEM_ROOM 96

static const struct {
	const char *name;
	uint64_t values;
} fields[SHUNT_FIELD_COUNT] = {
#define X(id, name, values, help) [SHUNT_FIELD_##id] = { name, values },
	SHUNT_FIELDS(X)
#undef X
};

/* --- keys -------------------------------------------------------------------- */

/* Fields whose absence has a name of its own: "none". */
static bool has_none(unsigned int field)
{
	return field == SHUNT_FIELD_VLAN || field == SHUNT_FIELD_VLAN_INNER ||
	       field == SHUNT_FIELD_TUNNEL;
}

/* Does the ask say what must not be there? */
static bool is_negated(const struct shunt_ask *ask)
{
	const struct shunt_span *span = ask->span;

	if (ask->key >= SHUNT_FIELD_COUNT)
		return ask->key == SHUNT_ASK_NOT_SRC || ask->key == SHUNT_ASK_NOT_DST;
	if (span->lo)
		return false;
	if (!has_none(ask->key))
		return true;
	return span[ask->spans - 1].hi >= fields[ask->key].values;
}

/* GRE's key and the network ids share a field. */
static bool is_gre(const struct shunt_policy_rule *rule)
{
	const struct shunt_spans *types =
		&rule->layer[SHUNT_OUTER].field[SHUNT_FIELD_TUNNEL];

	return types->n && types->at[0].lo == SHUNT_TUNNEL_GRE + 1;
}

static const char *plain_key(const struct shunt_policy_rule *rule,
			     const struct shunt_ask *ask)
{
	switch (ask->key) {
	case SHUNT_ASK_SRC:
	case SHUNT_ASK_NOT_SRC:
		return "src";
	case SHUNT_ASK_DST:
	case SHUNT_ASK_NOT_DST:
		return "dst";
	case SHUNT_ASK_IFACE:
		return "iface";
	case SHUNT_FIELD_VLAN_INNER:
		return "vlan.inner";
	case SHUNT_FIELD_TUNNEL:
		return "tunnel.type";
	case SHUNT_FIELD_KEY:
		return is_gre(rule) ? "key" : "vni";
	default:
		return fields[ask->key].name;
	}
}

const char *shunt_wants_key(const struct shunt_trials *trials, size_t rule,
			    const struct shunt_ask *ask, char key[SHUNT_WANTS_KEY])
{
	const struct shunt_policy_rule *of = &trials->policy->rule[rule];
	bool negated = ask->key == SHUNT_ASK_IFACE ? of->iface_not : is_negated(ask);
	const char *in = ask->layer == SHUNT_INNER     ? "tunnel.inner."
			 : ask->key == SHUNT_FIELD_KEY ? "tunnel."
						       : "";

	snprintf(key, SHUNT_WANTS_KEY, "%s%s%s", in, negated ? "not." : "",
		 plain_key(of, ask));
	return key;
}

/* --- values ------------------------------------------------------------------ */

/* Strings up to a number of them; the rest is counted. */
struct list {
	cJSON *array;
	size_t items, more;
};

static void add(struct list *list, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void add(struct list *list, const char *fmt, ...)
{
	char text[ITEM_ROOM];
	va_list args;

	if (list->items == SHUNT_WANTS_ITEMS) {
		list->more++;
		return;
	}
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	cJSON_AddItemToArray(list->array, cJSON_CreateString(text));
	list->items++;
}

static cJSON *end_list(struct list *list)
{
	char text[ITEM_ROOM];

	snprintf(text, sizeof(text), "and %zu more", list->more);
	if (list->more)
		cJSON_AddItemToArray(list->array, cJSON_CreateString(text));
	return list->array;
}

static void add_numbers(struct list *list, uint64_t lo, uint64_t hi)
{
	if (lo == hi)
		add(list, "%llu", (unsigned long long)lo);
	else
		add(list, "%llu-%llu", (unsigned long long)lo, (unsigned long long)hi);
}

static void add_icmp(struct list *list, uint64_t lo, uint64_t hi)
{
	while (lo <= hi) {
		uint64_t end = (lo | 255) < hi ? lo | 255 : hi;
		bool six = lo >= SHUNT_ICMP6_BASE;
		unsigned int type = lo >> 8 & 255, first = lo & 255, last = end & 255;
		const char *name = shunt_icmp_text(six ? 6 : 4, type);
		char number[16], code[32] = "";

		snprintf(number, sizeof(number), "type %u", type);
		if (first == last)
			snprintf(code, sizeof(code), " code %u", first);
		else if (first || last != 255)
			snprintf(code, sizeof(code), " code %u-%u", first, last);
		add(list, "%s %s%s", six ? "icmpv6" : "icmp", name ? name : number,
		    code);
		lo = end + 1;
	}
}

/* A prefix where it is one. */
static void add_macs(struct list *list, uint64_t lo, uint64_t hi)
{
	uint64_t size = hi - lo + 1;
	char from[SHUNT_PKT_MAC_ROOM], to[SHUNT_PKT_MAC_ROOM];

	shunt_mac_text(lo, from);
	if (lo == hi)
		add(list, "%s", from);
	else if (!(size & (size - 1)) && !(lo & (size - 1)))
		add(list, "%s/%d", from, 48 - __builtin_ctzll(size));
	else
		add(list, "%s-%s", from, shunt_mac_text(hi, to));
}

static void add_names(struct list *list, unsigned int field, uint64_t lo, uint64_t hi)
{
	for (; lo <= hi; lo++) {
		const char *name = field == SHUNT_FIELD_PROTO ? shunt_proto_name(lo)
				   : field == SHUNT_FIELD_FRAGMENT
					   ? shunt_fragment_name(lo)
					   : shunt_tunnel_name(lo);

		if (name)
			add(list, "%s", name);
		else
			add_numbers(list, lo, lo);
	}
}

/* Values from lo to hi of a field that is there. */
static void add_values(struct list *list, unsigned int field, uint64_t lo, uint64_t hi)
{
	if (has_none(field) && lo == 0 && hi == fields[field].values - 1) {
		add(list, "any");
		return;
	}
	switch (field) {
	case SHUNT_FIELD_ETH_TYPE:
		if (lo == hi)
			add(list, "0x%04llx", (unsigned long long)lo);
		else
			add(list, "0x%04llx-0x%04llx", (unsigned long long)lo,
			    (unsigned long long)hi);
		break;
	case SHUNT_FIELD_TUNNEL:
		if (hi > SHUNT_TUNNEL_IPIP) /* the rest of the field's room */
			hi = SHUNT_TUNNEL_IPIP;
		/* fallthrough */
	case SHUNT_FIELD_PROTO:
	case SHUNT_FIELD_FRAGMENT:
		add_names(list, field, lo, hi);
		break;
	case SHUNT_FIELD_ICMP:
		add_icmp(list, lo, hi);
		break;
	case SHUNT_FIELD_SRC_MAC:
	case SHUNT_FIELD_DST_MAC:
		add_macs(list, lo, hi);
		break;
	default:
		add_numbers(list, lo, hi);
	}
}

/* Of indexes, 0 being absence. */
static void add_indexes(struct list *list, unsigned int field, uint64_t lo, uint64_t hi)
{
	if (!lo && has_none(field))
		add(list, "none");
	if (hi >= fields[field].values)
		hi = fields[field].values;
	if (!lo)
		lo = 1;
	if (lo <= hi)
		add_values(list, field, lo - 1, hi - 1);
}

/* --- TCP flags --------------------------------------------------------------- */

static void add_flags(struct list *list, unsigned int set, unsigned int mask)
{
	char on[SHUNT_PKT_TCP_FLAGS_ROOM], of[SHUNT_PKT_TCP_FLAGS_ROOM];

	shunt_tcp_flags_text(set, on);
	add(list, "%s/%s", *on ? on : "none", shunt_tcp_flags_text(mask, of));
}

/* Are all values that look so under the mask admitted, and is one of them not said? */
static bool is_flags_item(const bool admits[256], const bool said[256],
			  unsigned int set, unsigned int mask)
{
	unsigned int free = ~mask & 255, v = 0;
	bool fresh = false;

	do {
		if (!admits[set | v])
			return false;
		fresh |= !said[set | v];
		v = (v - free) & free; /* the next combination of the free bits */
	} while (v);
	return fresh;
}

/* Notes that these are said; returns how many were not. */
static unsigned int say_flags(bool said[256], unsigned int set, unsigned int mask)
{
	unsigned int free = ~mask & 255, v = 0, n = 0;

	do {
		n += !said[set | v];
		said[set | v] = true;
		v = (v - free) & free;
	} while (v);
	return n;
}

/* The admitted values as "set/mask", the shortest masks first. */
static void add_tcp_flags(struct list *list, const bool admits[256])
{
	unsigned int bits, mask, set, left = 0;
	bool said[256] = { false };

	for (set = 0; set < 256; set++)
		left += admits[set];
	for (bits = 1; bits <= 8; bits++) {
		for (mask = 1; left && mask < 256; mask++) {
			if (__builtin_popcount(mask) != (int)bits)
				continue;
			set = 0;
			do {
				if (is_flags_item(admits, said, set, mask)) {
					add_flags(list, set, mask);
					left -= say_flags(said, set, mask);
				}
				set = (set - mask) & mask;
			} while (set);
		}
	}
}

static void add_asked_flags(struct list *list, const struct shunt_ask *ask,
			    bool negated)
{
	bool admits[256];
	unsigned int v;
	uint32_t i;

	for (v = 0; v < 256; v++) {
		admits[v] = negated;
		for (i = 0; i < ask->spans; i++)
			if (v + 1 >= ask->span[i].lo && v + 1 <= ask->span[i].hi)
				admits[v] = !negated;
	}
	add_tcp_flags(list, admits);
}

/* --- a whole ask ------------------------------------------------------------- */

static void add_field(struct list *list, const struct shunt_ask *ask)
{
	bool negated = is_negated(ask);
	uint64_t next = 1;
	uint32_t i;

	if (ask->key == SHUNT_FIELD_TCP_FLAGS) {
		add_asked_flags(list, ask, negated);
		return;
	}
	for (i = 0; i < ask->spans; i++) {
		if (!negated)
			add_indexes(list, ask->key, ask->span[i].lo, ask->span[i].hi);
		else if (ask->span[i].lo > next)
			add_indexes(list, ask->key, next, ask->span[i].lo - 1);
		next = ask->span[i].hi + 1;
	}
	if (negated && next <= fields[ask->key].values)
		add_indexes(list, ask->key, next, fields[ask->key].values);
}

static void add_addresses(struct list *list, const struct shunt_policy *policy,
			  const struct shunt_addr_list *of)
{
	char text[SHUNT_PREFIX_TEXT];
	size_t i;

	for (i = 0; i < of->prefixes; i++)
		add(list, "%s", shunt_prefix_format(&of->prefix[i], text));
	for (i = 0; i < of->sets; i++)
		add(list, "@%s", policy->set[of->set[i]].name);
}

cJSON *shunt_wants_json(const struct shunt_trials *trials, size_t rule,
			const struct shunt_ask *ask)
{
	const struct shunt_policy_rule *of = &trials->policy->rule[rule];
	struct list list = { .array = cJSON_CreateArray() };
	size_t i;

	if (ask->key < SHUNT_FIELD_COUNT)
		add_field(&list, ask);
	else if (ask->key != SHUNT_ASK_IFACE)
		add_addresses(&list, trials->policy, ask->list);
	else
		for (i = 0; i < of->ifaces; i++)
			add(&list, "%s", of->iface[i]);
	return end_list(&list);
}

static cJSON *packet_address(const struct shunt_layer *l, int side)
{
	char text[SHUNT_PKT_ADDR_ROOM];

	if (l->l3 == SHUNT_L3_NONE)
		return cJSON_CreateNull();
	return cJSON_CreateString(shunt_pkt_addr_text(l->l3, l->addr[side], text));
}

/* One value is a list of one. */
static cJSON *packet_field(const struct shunt_layer *l, unsigned int field)
{
	uint64_t index = field < SHUNT_FIELD_NARROW
				 ? l->field[field]
				 : l->wide[field - SHUNT_FIELD_NARROW];
	struct list list = { .array = NULL };
	char flags[SHUNT_PKT_TCP_FLAGS_ROOM];
	cJSON *item;

	if (!index && !has_none(field))
		return cJSON_CreateNull();
	if (field == SHUNT_FIELD_TCP_FLAGS)
		return cJSON_CreateString(shunt_tcp_flags_text(index - 1, flags));
	list.array = cJSON_CreateArray();
	add_indexes(&list, field, index, index);
	item = cJSON_DetachItemFromArray(list.array, 0);
	cJSON_Delete(list.array);
	return item;
}

cJSON *shunt_wants_packet(const struct shunt_trials *trials,
			  const struct shunt_pkt *pkt, const struct shunt_ask *ask)
{
	const struct shunt_layer *l = &pkt->layer[ask->layer];

	switch (ask->key) {
	case SHUNT_ASK_IFACE:
		return *trials->iface ? cJSON_CreateString(trials->iface)
				      : cJSON_CreateNull();
	case SHUNT_ASK_SRC:
	case SHUNT_ASK_NOT_SRC:
		return packet_address(l, SHUNT_SIDE_SRC);
	case SHUNT_ASK_DST:
	case SHUNT_ASK_NOT_DST:
		return packet_address(l, SHUNT_SIDE_DST);
	default:
		return packet_field(l, ask->key);
	}
}
