/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/rule.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/match.h"
#include "loader/policy/word.h"
#include "maps/target.h"

#define IFNAME_BYTES 15 /* IFNAMSIZ without the NUL */

/* What the kernel accepts (dev_valid_name). */
static bool valid_interface(const char *name)
{
	size_t n = strlen(name);

	if (!n || n > IFNAME_BYTES || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (; *name; name++)
		if (*name == '/' || *name == ':' || isspace((unsigned char)*name))
			return false;
	return true;
}

static void read_interface(struct shunt_policy_rule *rule,
			   const struct shunt_node *node)
{
	const char *name = shunt_node_string(node, "an interface's name");

	if (!name)
		return;
	if (!valid_interface(name)) {
		shunt_node_error(
			node,
			"%s cannot be the name of an interface: that has 1 to %d bytes "
			"without blanks, slashes and colons",
			SHUNT_QUOTE(name), IFNAME_BYTES);
		return;
	}
	rule->action = SHUNT_VERDICT_INTERFACE;
	memcpy(rule->target, name, strlen(name) + 1);
}

static void read_cpu(struct shunt_policy_rule *rule, const struct shunt_node *node)
{
	int64_t cpu =
		shunt_node_number(node, "the number of a CPU", 0, SHUNT_CPU_MAX - 1);

	rule->action = SHUNT_VERDICT_CPU;
	rule->arg = cpu < 0 ? 0 : cpu;
}

static void read_consumer(const struct shunt_policy *policy,
			  struct shunt_policy_rule *rule, const struct shunt_node *node)
{
	const char *name = shunt_node_string(node, "a consumer's name");
	struct shunt_offer offer = SHUNT_OFFER(name);

	if (!name)
		return;
	for (size_t i = 0; i < policy->consumers; i++) {
		if (strcmp(policy->consumer[i].name, name) == 0) {
			rule->action = SHUNT_VERDICT_CONSUMER;
			rule->arg = i;
			return;
		}
		shunt_offer_add(&offer, policy->consumer[i].name);
	}
	shunt_node_error(node, "there is no consumer %s in \"consumers\"%s",
			 SHUNT_QUOTE(name), shunt_offer_text(&offer));
}

static void read_redirect(const struct shunt_policy *policy,
			  struct shunt_policy_rule *rule, const struct shunt_node *node)
{
	static const char *const keys[] = { "interface", "cpu", "consumer", NULL };
	struct shunt_node interface = shunt_node_get(node, "interface");
	struct shunt_node cpu = shunt_node_get(node, "cpu");
	struct shunt_node consumer = shunt_node_get(node, "consumer");

	if (!shunt_node_object(node, keys))
		return;
	if (!!interface.json + !!cpu.json + !!consumer.json != 1)
		shunt_node_error(node,
				 "must have exactly one of \"interface\", \"cpu\" and "
				 "\"consumer\": a packet goes to one place");
	if (interface.json)
		read_interface(rule, &interface);
	if (cpu.json)
		read_cpu(rule, &cpu);
	if (consumer.json)
		read_consumer(policy, rule, &consumer);
}

static void read_action(const struct shunt_policy *policy,
			struct shunt_policy_rule *rule, const struct shunt_node *node)
{
	static const char *const keys[] = { "redirect", NULL };
	struct shunt_node redirect = shunt_node_get(node, "redirect");
	int value;

	if (!cJSON_IsObject(node->json)) {
		value = shunt_node_name(node, "an action", shunt_action_names);
		rule->action = value < 0 ? SHUNT_VERDICT_DROP : value;
		return;
	}
	shunt_node_object(node, keys);
	if (redirect.json)
		read_redirect(policy, rule, &redirect);
	else
		shunt_node_error(node,
				 "names no action: write \"pass\", \"drop\", \"tx\", "
				 "\"count\" or { \"redirect\": ... }");
}

static void read_name(const struct shunt_policy *policy, struct shunt_policy_rule *rule,
		      const struct shunt_node *node)
{
	const char *text = shunt_node_string(node, "a name");

	if (!text || !shunt_node_label(node, "rule", text, rule->name))
		return;
	if (strcmp(text, "default") == 0)
		shunt_node_error(
			node, "\"default\" is the name of what happens to packets that "
			      "match no rule: choose another one");
	for (size_t i = 0; i < policy->rules; i++)
		if (strcmp(policy->rule[i].name, text) == 0) {
			shunt_node_error(
				node,
				"\"%s\" is the name of rule %zu already: counters and "
				"explanations go by name, so choose another one",
				text, i);
			return;
		}
}

void shunt_rule_read(const struct shunt_policy *policy, struct shunt_policy_rule *rule,
		     const struct shunt_node *node)
{
	static const char *const keys[] = { "name", "match", "action", "description",
					    NULL };
	struct shunt_match match = { .policy = policy, .rule = rule };
	struct shunt_node name = shunt_node_get(node, "name");
	struct shunt_node conditions = shunt_node_get(node, "match");
	struct shunt_node action = shunt_node_get(node, "action");

	if (!shunt_node_object(node, keys))
		return;
	shunt_node_description(node);
	if (name.json)
		read_name(policy, rule, &name);
	else
		shunt_node_error(
			node,
			"the key \"name\" is missing: counters and explanations go "
			"by a rule's name");
	if (conditions.json)
		shunt_match_read(&match, &conditions);
	if (action.json)
		read_action(policy, rule, &action);
	else
		shunt_node_error(
			node,
			"the key \"action\" is missing: \"pass\", \"drop\", \"tx\", "
			"\"count\" or { \"redirect\": ... }");
}

void shunt_rule_free(struct shunt_policy_rule *rule)
{
	for (int side = 0; side < SHUNT_SIDES; side++) {
		free(rule->layer[SHUNT_OUTER].side[side].in.prefix);
		free(rule->layer[SHUNT_OUTER].side[side].in.set);
	}
	for (int field = 0; field < SHUNT_FIELD_COUNT; field++)
		free(rule->layer[SHUNT_OUTER].field[field].at);
}
