/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/match.h"

#include <string.h>

#include "loader/policy/prefix.h"
#include "loader/policy/word.h"

typedef unsigned __int128 u128;

/* --- reading ----------------------------------------------------------------- */

static uint32_t find_set(const struct shunt_policy *policy, const char *name)
{
	uint32_t place = 0;

	while (place < policy->sets && strcmp(policy->set[place].name, name) != 0)
		place++;
	return place;
}

static void read_set_name(const struct shunt_policy *policy,
			  const struct shunt_node *item, const char *name,
			  struct shunt_addr_list *list)
{
	uint32_t place = find_set(policy, name);

	if (place == policy->sets) {
		struct shunt_offer offer = SHUNT_OFFER(name);

		for (size_t i = 0; i < policy->sets; i++)
			shunt_offer_add(&offer, policy->set[i].name);
		shunt_node_error(item, "there is no set %s in \"sets\"%s",
				 SHUNT_QUOTE(name), shunt_offer_text(&offer));
		return;
	}
	for (size_t i = 0; i < list->sets; i++)
		if (list->set[i] == place)
			return;
	list->set[list->sets++] = place;
}

static void read_list(const struct shunt_policy *policy, const struct shunt_node *node,
		      struct shunt_addr_list *list)
{
	size_t n = cJSON_IsArray(node->json) ? shunt_node_count(node) : 1;

	if (!node->json || !shunt_node_not_empty(node))
		return;
	list->prefix = shunt_node_alloc(node->doc, n, sizeof(*list->prefix));
	list->set = shunt_node_alloc(node->doc, n, sizeof(*list->set));
	if (!list->prefix || !list->set)
		return;
	shunt_node_each(item, shunt_node_any(node))
	{
		const char *text =
			shunt_node_string(&item, "an address, a prefix or \"@set\"");
		struct shunt_err err;

		if (!text)
			continue;
		if (*text == '@')
			read_set_name(policy, &item, text + 1, list);
		else if (shunt_prefix_parse(&list->prefix[list->prefixes], text, &err) <
			 0)
			shunt_node_error(&item, "%s", err.message);
		else
			list->prefixes++;
	}
	list->prefixes = shunt_prefix_unique(list->prefix, list->prefixes);
}

/* --- is anything left? ------------------------------------------------------- */

/* First and last address; IPv4 in the upper bits, so that both families fit. */
static void bounds(const struct shunt_prefix *prefix, u128 *lo, u128 *hi)
{
	u128 value = 0;

	for (size_t i = 0; i < sizeof(prefix->addr); i++)
		value = value << 8 | prefix->addr[i];
	*lo = value;
	*hi = value | (prefix->bits ? ((u128)1 << (128 - prefix->bits)) - 1 : ~(u128)0);
}

/* Do the list's prefixes, which are sorted, cover this one together? */
static bool is_covered(const struct shunt_prefix *prefix,
		       const struct shunt_addr_list *by)
{
	u128 next, end, lo, hi;

	bounds(prefix, &next, &end);
	for (size_t i = 0; i < by->prefixes; i++) {
		if (by->prefix[i].family != prefix->family)
			continue;
		bounds(&by->prefix[i], &lo, &hi);
		if (lo > next)
			return false;
		if (hi >= end)
			return true;
		if (hi >= next)
			next = hi + 1;
	}
	return false;
}

static bool has_set(const struct shunt_addr_list *list, uint32_t set)
{
	for (size_t i = 0; i < list->sets; i++)
		if (list->set[i] == set)
			return true;
	return false;
}

static bool is_empty(const struct shunt_addrs *addrs)
{
	for (size_t i = 0; i < addrs->in.sets; i++)
		if (!has_set(&addrs->out, addrs->in.set[i]))
			return false;
	for (size_t i = 0; i < addrs->in.prefixes; i++)
		if (!is_covered(&addrs->in.prefix[i], &addrs->out))
			return false;
	return addrs->in.sets || addrs->in.prefixes;
}

/* --- the keys ---------------------------------------------------------------- */

static void read_side(struct shunt_match *match, const struct shunt_pair *pair,
		      enum shunt_side side)
{
	struct shunt_addrs *addrs = &match->layer->side[side];
	struct shunt_doc *doc = pair->in.doc;
	size_t errors = doc->diags->errors;

	read_list(match->policy, &pair->in, &addrs->in);
	read_list(match->policy, &pair->out, &addrs->out);
	if (doc->diags->errors == errors && is_empty(addrs))
		shunt_node_error(&pair->out,
				 "could match no packet: it rules out all that the "
				 "same key of \"match\" admits");
	match->broken_side[side] = doc->diags->errors != errors;
}

void shunt_match_sides(struct shunt_match *match, const struct shunt_node *in,
		       const struct shunt_node *out)
{
	struct shunt_pair src = shunt_pair_get(in, out, "src");
	struct shunt_pair dst = shunt_pair_get(in, out, "dst");

	read_side(match, &src, SHUNT_SIDE_SRC);
	read_side(match, &dst, SHUNT_SIDE_DST);
}
