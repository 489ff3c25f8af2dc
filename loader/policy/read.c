/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/consumer.h"
#include "loader/policy/given.h"
#include "loader/policy/jsonc.h"
#include "loader/policy/node.h"
#include "loader/policy/queues.h"
#include "loader/policy/rule.h"
#include "loader/policy/set.h"
#include "loader/policy/word.h"
#include "user/base/cleanup.h"

#define TEXT_MAX (64u << 20) /* bytes of a policy: more is a mistake */

/* --- the top level ----------------------------------------------------------- */

static void read_schema(const struct shunt_node *root)
{
	struct shunt_node schema = shunt_node_get(root, "schema");
	const char *text;

	if (!schema.json) {
		shunt_node_error(
			root, "the key \"schema\" is missing: write \"schema\": \"%s\"",
			SHUNT_POLICY_SCHEMA);
		return;
	}
	text = shunt_node_string(&schema, "\"" SHUNT_POLICY_SCHEMA "\"");
	if (text && strcmp(text, SHUNT_POLICY_SCHEMA) != 0)
		shunt_node_error(&schema,
				 "%s is not understood: this version reads \"%s\"",
				 SHUNT_QUOTE(text), SHUNT_POLICY_SCHEMA);
}

/* A name that stands twice has been reported: the first one counts. */
static bool is_first(const struct shunt_node *object, const struct shunt_node *child)
{
	return cJSON_GetObjectItemCaseSensitive(object->json, child->key) ==
	       child->json;
}

static bool too_many(const struct shunt_node *node, const char *what, size_t max)
{
	size_t n = shunt_node_count(node);

	if (n <= max)
		return false;
	shunt_node_error(node, "%zu %s, and a policy holds at most %zu: remove some", n,
			 what, max);
	return true;
}

/* --- sets and consumers ------------------------------------------------------ */

/* Members that are handed in for sets that there are not. */
static void check_givens(const struct shunt_policy *policy,
			 const struct shunt_node *root,
			 const struct shunt_givens *givens)
{
	for (size_t i = 0; i < givens->n; i++) {
		size_t s = 0;

		while (s < policy->sets &&
		       strcmp(policy->set[s].name, givens->at[i].name) != 0)
			s++;
		if (s == policy->sets)
			shunt_node_error(
				root,
				"members of set %s were saved, and there is no "
				"such set in \"sets\"",
				givens->at[i].name);
	}
}

static void read_sets(struct shunt_policy *policy, const struct shunt_node *node,
		      const char *source, const struct shunt_givens *givens)
{
	if (!node->json || !shunt_node_named(node, "set"))
		return;
	too_many(node, "sets", SHUNT_SET_MAX);
	policy->set = shunt_node_alloc(node->doc, shunt_node_count(node),
				       sizeof(*policy->set));
	if (!policy->set)
		return;
	shunt_node_each(child, shunt_node_first(node))
	{
		struct shunt_policy_set *set = &policy->set[policy->sets];

		if (!is_first(node, &child) ||
		    !shunt_node_label(&child, "set", child.key, set->name))
			continue;
		shunt_set_read(set, &child, source, givens);
		policy->sets++;
	}
}

static void read_consumers(struct shunt_policy *policy, const struct shunt_node *node)
{
	if (!node->json || !shunt_node_named(node, "consumer"))
		return;
	too_many(node, "consumers", SHUNT_CONSUMER_MAX);
	policy->consumer = shunt_node_alloc(node->doc, shunt_node_count(node),
					    sizeof(*policy->consumer));
	if (!policy->consumer)
		return;
	shunt_node_each(child, shunt_node_first(node))
	{
		struct shunt_policy_consumer *at = &policy->consumer[policy->consumers];

		if (!is_first(node, &child) ||
		    !shunt_node_label(&child, "consumer", child.key, at->name))
			continue;
		shunt_consumer_read(at, &child);
		policy->consumers++;
	}
}

static void read_ring(struct shunt_policy *policy, const struct shunt_node *node)
{
	static const char *const keys[] = { "bytes", "description", NULL };

	policy->ring_bytes = shunt_ring_bytes_read(node);
	if (node->json && shunt_node_object(node, keys))
		shunt_node_description(node);
}

/* --- rules ------------------------------------------------------------------- */

static void read_rules(struct shunt_policy *policy, struct shunt_rule_scope *scope,
		       const struct shunt_node *node)
{
	if (!node->json || !shunt_node_list(node, "rules") ||
	    too_many(node, "rules", SHUNT_RULE_MAX))
		return;
	policy->rule = shunt_node_alloc(node->doc, shunt_node_count(node),
					sizeof(*policy->rule));
	if (!policy->rule)
		return;
	shunt_node_each(child, shunt_node_first(node))
	{
		shunt_rule_read(scope, &policy->rule[policy->rules], policy->rules,
				&child);
		policy->rules++;
	}
}

static bool uses_set(const struct shunt_policy_rule *rule, size_t set)
{
	return shunt_rule_uses_set(rule, set);
}

static bool uses_consumer(const struct shunt_policy_rule *rule, size_t consumer)
{
	return rule->action == SHUNT_VERDICT_CONSUMER && rule->arg == consumer;
}

static bool is_used(const struct shunt_policy *policy, size_t place,
		    bool (*uses)(const struct shunt_policy_rule *rule, size_t place))
{
	for (size_t i = 0; i < policy->rules; i++)
		if (uses(&policy->rule[i], place))
			return true;
	return false;
}

static bool uses_ring(const struct shunt_policy *policy)
{
	for (size_t i = 0; i < policy->rules; i++)
		if (policy->rule[i].sample.one_in ||
		    policy->rule[i].mirror.to == SHUNT_MIRROR_RING)
			return true;
	return false;
}

static void warn_unused(const struct shunt_policy *policy,
			const struct shunt_node *sets,
			const struct shunt_node *consumers)
{
	for (size_t i = 0; i < policy->sets; i++) {
		struct shunt_node at = shunt_node_get(sets, policy->set[i].name);

		if (!is_used(policy, i, uses_set))
			shunt_node_warn(
				&at,
				"no rule uses this set: name it \"@%s\" in a rule's "
				"\"src\" or \"dst\", or remove it",
				at.key);
	}
	for (size_t i = 0; i < policy->consumers; i++) {
		struct shunt_node at =
			shunt_node_get(consumers, policy->consumer[i].name);

		if (!is_used(policy, i, uses_consumer))
			shunt_node_warn(
				&at,
				"no rule redirects to this consumer: add one or remove "
				"the consumer");
	}
}

static void read_root(struct shunt_policy *policy, const struct shunt_node *root,
		      const char *source, const struct shunt_givens *givens)
{
	static const char *const keys[] = { "schema",	 "description", "default",
					    "malformed", "sets",	"ports",
					    "consumers", "ring",	"queues",
					    "rules",	 NULL };
	struct shunt_rule_scope scope = { .policy = policy };
	struct shunt_node sets = shunt_node_get(root, "sets");
	struct shunt_node ports = shunt_node_get(root, "ports");
	struct shunt_node consumers = shunt_node_get(root, "consumers");
	struct shunt_node ring = shunt_node_get(root, "ring");
	struct shunt_node queues = shunt_node_get(root, "queues");
	struct shunt_node rules = shunt_node_get(root, "rules");
	size_t errors = root->doc->diags->errors;

	shunt_node_duplicates(root);
	if (!shunt_node_object(root, keys))
		return;
	read_schema(root);
	shunt_node_description(root);
	if (!shunt_node_get(root, "default").json)
		shunt_node_error(
			root,
			"the key \"default\" is missing: \"pass\" or \"drop\", for "
			"packets that match no rule");
	policy->default_action = shunt_fate_read(root, "default");
	policy->malformed = shunt_fate_read(root, "malformed");
	read_sets(policy, &sets, source, givens);
	if (givens)
		check_givens(policy, root, givens);
	read_consumers(policy, &consumers);
	shunt_ports_read(&scope.ports, &ports);
	read_ring(policy, &ring);
	policy->queues = shunt_queues_read(&queues);
	read_rules(policy, &scope, &rules);
	if (root->doc->diags->errors == errors) {
		warn_unused(policy, &sets, &consumers);
		shunt_ports_warn(&scope.ports, &ports);
		if (ring.json && !uses_ring(policy))
			shunt_node_warn(&ring,
					"no rule has a \"sample\", or a \"mirror\" to "
					"the ring: add one, or remove it");
	}
	shunt_ports_free(&scope.ports);
	shunt_index_free(&scope.rules);
}

/* --- entry ------------------------------------------------------------------- */

static int new_policy(struct shunt_policy **policy, const char *text, size_t len,
		      const char *source)
{
	struct shunt_policy *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->text = malloc(len + 1);
	p->source = strdup(source ? source : "-");
	if (!p->text || !p->source) {
		shunt_policy_free(p);
		return -ENOMEM;
	}
	memcpy(p->text, text, len);
	p->text[len] = 0;
	*policy = p;
	return 0;
}

int shunt_policy_read_given(struct shunt_policy **policy, const char *text, size_t len,
			    const char *source, const struct shunt_givens *givens,
			    struct shunt_diags *diags)
{
	struct shunt_doc doc = { .diags = diags };
	struct shunt_node root = { .doc = &doc };
	size_t errors = diags->errors;
	struct shunt_policy *p = NULL;
	_json_ cJSON *json = NULL;
	int ret;

	ret = shunt_jsonc_parse(&json, text, len, source ? source : "policy", diags);
	if (ret < 0)
		return ret;
	ret = new_policy(&p, text, len, source);
	if (ret < 0)
		return ret;
	root.json = json;
	read_root(p, &root, source, givens);
	if (doc.oom || diags->errors != errors) {
		shunt_policy_free(p);
		return doc.oom ? -ENOMEM : -EINVAL;
	}
	*policy = p;
	return 0;
}

int shunt_policy_read(struct shunt_policy **policy, const char *text, size_t len,
		      const char *source, struct shunt_diags *diags)
{
	return shunt_policy_read_given(policy, text, len, source, NULL, diags);
}

/* Reads all of f; the caller frees *text. */
static int read_all(FILE *f, char **text, size_t *len)
{
	_free_ char *buf = NULL;
	size_t n = 0, room = 0;

	while (!feof(f)) {
		if (n == room) {
			char *grown = realloc(buf, room ? room * 2 : 65536);

			if (!grown)
				return -ENOMEM;
			buf = grown;
			room = room ? room * 2 : 65536;
		}
		n += fread(buf + n, 1, room - n, f);
		if (ferror(f))
			return -errno;
		if (n > TEXT_MAX)
			return -EFBIG;
	}
	*len = n;
	*text = shunt_steal(&buf);
	return 0;
}

int shunt_policy_read_file(struct shunt_policy **policy, const char *path,
			   struct shunt_diags *diags)
{
	bool input = strcmp(path, "-") == 0;
	_file_ FILE *opened = input ? NULL : fopen(path, "re");
	FILE *f = input ? stdin : opened;
	_free_ char *text = NULL;
	size_t len = 0;
	int ret;

	ret = f ? read_all(f, &text, &len) : -errno;
	if (ret == -ENOMEM)
		return ret;
	if (ret < 0) {
		shunt_diag_add(diags, false, "", "read policy %s: %s",
			       SHUNT_QUOTE(path), strerror(-ret));
		return -EINVAL;
	}
	return shunt_policy_read(policy, text, len, path, diags);
}

void shunt_policy_free(struct shunt_policy *policy)
{
	if (!policy)
		return;
	for (size_t i = 0; i < policy->rules; i++)
		shunt_rule_free(&policy->rule[i]);
	for (size_t i = 0; i < policy->sets; i++)
		free(policy->set[i].element);
	free(policy->rule);
	free(policy->set);
	free(policy->consumer);
	free(policy->queues);
	free(policy->text);
	free(policy->source);
	free(policy);
}

void shunt_policy_cleanup(struct shunt_policy **policy)
{
	shunt_policy_free(*policy);
}
