/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/rule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/iface.h"
#include "loader/policy/match.h"
#include "loader/policy/modifier.h"
#include "loader/policy/word.h"
#include "maps/target.h"

static void read_interface(struct shunt_policy_rule *rule,
			   const struct shunt_node *node)
{
	if (shunt_iface_read(node, rule->target))
		rule->action = SHUNT_VERDICT_INTERFACE;
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

static void read_name(struct shunt_rule_scope *scope, struct shunt_policy_rule *rule,
		      size_t place, const struct shunt_node *node)
{
	const char *text = shunt_node_string(node, "a name");
	int ret;

	if (!text || !shunt_node_label(node, "rule", text, rule->name))
		return;
	if (strcmp(text, "default") == 0)
		shunt_node_error(
			node, "\"default\" is the name of what happens to packets that "
			      "match no rule: choose another one");
	ret = shunt_index_add(&scope->rules, rule->name, place);
	if (ret == -EEXIST)
		shunt_node_error(node,
				 "\"%s\" is the name of rule %zu already: counters and "
				 "explanations go by name, so choose another one",
				 text, shunt_index_find(&scope->rules, text));
	else if (ret < 0)
		node->doc->oom = true;
}

void shunt_rule_read(struct shunt_rule_scope *scope, struct shunt_policy_rule *rule,
		     size_t place, const struct shunt_node *node)
{
	static const char *const keys[] = {
		"name", "match", "action", SHUNT_MODIFIER_KEYS, "description", NULL,
	};
	struct shunt_match match = { .policy = scope->policy,
				     .ports = &scope->ports,
				     .layer = &rule->layer[SHUNT_OUTER] };
	struct shunt_node name = shunt_node_get(node, "name");
	struct shunt_node conditions = shunt_node_get(node, "match");
	struct shunt_node action = shunt_node_get(node, "action");
	size_t errors;

	if (!shunt_node_object(node, keys))
		return;
	shunt_node_description(node);
	if (name.json)
		read_name(scope, rule, place, &name);
	else
		shunt_node_error(
			node,
			"the key \"name\" is missing: counters and explanations go "
			"by a rule's name");
	errors = node->doc->diags->errors;
	if (conditions.json)
		shunt_match_read(&match, rule, &conditions);
	match.faulty = node->doc->diags->errors != errors;
	errors = node->doc->diags->errors;
	if (action.json)
		read_action(scope->policy, rule, &action);
	else
		shunt_node_error(
			node,
			"the key \"action\" is missing: \"pass\", \"drop\", \"tx\", "
			"\"count\" or { \"redirect\": ... }");
	shunt_modifiers_read(&match, rule, node, node->doc->diags->errors == errors);
}

/* --- all of a rule's lists --------------------------------------------------- */

static void free_list(struct shunt_addr_list *list)
{
	free(list->prefix);
	free(list->set);
}

void shunt_rule_free(struct shunt_policy_rule *rule)
{
	for (int l = 0; l < SHUNT_LAYERS; l++) {
		struct shunt_policy_layer *layer = &rule->layer[l];

		for (int side = 0; side < SHUNT_SIDES; side++) {
			free_list(&layer->side[side].in);
			free_list(&layer->side[side].out);
		}
		for (int field = 0; field < SHUNT_FIELD_COUNT; field++)
			free(layer->field[field].at);
	}
	free(rule->iface);
}

static bool names_set(const struct shunt_addr_list *list, uint32_t set)
{
	for (size_t i = 0; i < list->sets; i++)
		if (list->set[i] == set)
			return true;
	return false;
}

bool shunt_rule_uses_set(const struct shunt_policy_rule *rule, uint32_t set)
{
	for (int l = 0; l < SHUNT_LAYERS; l++)
		for (int side = 0; side < SHUNT_SIDES; side++)
			if (names_set(&rule->layer[l].side[side].in, set) ||
			    names_set(&rule->layer[l].side[side].out, set))
				return true;
	return false;
}
