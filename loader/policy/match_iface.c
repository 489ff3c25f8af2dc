/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/match.h"

#include <ctype.h>
#include <string.h>

#include "loader/policy/iface.h"
#include "loader/policy/word.h"

static bool valid_pattern(const char *text)
{
	size_t n = strlen(text);

	if (!strpbrk(text, "*?[\\"))
		return shunt_iface_valid(text);
	if (n >= SHUNT_NAME_MAX)
		return false;
	for (; *text; text++)
		if (*text == '/' || isspace((unsigned char)*text))
			return false;
	return true;
}

void shunt_match_iface(struct shunt_policy_rule *rule, const struct shunt_pair *pair)
{
	const struct shunt_node *node = pair->in.json ? &pair->in : &pair->out;
	size_t n = cJSON_IsArray(node->json) ? shunt_node_count(node) : 1;

	if (pair->in.json && pair->out.json)
		shunt_node_error(&pair->out,
				 "stands in \"match\" too: say either where the rule "
				 "applies, or where it does not");
	if (!shunt_node_not_empty(node))
		return;
	rule->iface_not = !pair->in.json;
	rule->iface = shunt_node_alloc(node->doc, n, sizeof(*rule->iface));
	if (!rule->iface)
		return;
	shunt_node_each(item, shunt_node_any(node))
	{
		const char *text = shunt_node_string(&item, "an interface's name");

		if (!text)
			continue;
		if (valid_pattern(text))
			memcpy(rule->iface[rule->ifaces++], text, strlen(text) + 1);
		else
			shunt_node_error(
				&item,
				"%s is neither the name of an interface, of at "
				"most %d bytes, nor a pattern such as \"eth*\" "
				"or \"ens[0-3]\"; there are no blanks and "
				"slashes in either",
				SHUNT_QUOTE(text), SHUNT_IFACE_BYTES);
	}
}
