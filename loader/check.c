/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "loader/limits.h"
#include "loader/memory.h"
#include "loader/policy/compile.h"
#include "loader/policy/cover.h"
#include "loader/policy/features.h"
#include "loader/policy/policy.h"
#include "loader/program.h"
#include "loader/reply.h"
#include "loader/shunt.h"
#include "loader/steer_flows.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

static void put_diags(cJSON *reply, const struct shunt_diags *diags, bool warning)
{
	cJSON *list = cJSON_AddArrayToObject(reply, warning ? "warnings" : "errors");
	size_t i;

	for (i = 0; i < diags->n; i++) {
		const struct shunt_diag *diag = &diags->at[i];
		cJSON *item;

		if (diag->warning != warning)
			continue;
		item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "pointer", diag->pointer);
		cJSON_AddStringToObject(item, "message", diag->message);
		cJSON_AddItemToArray(list, item);
	}
}

/* --- what it needs ------------------------------------------------------------- */

static void put_features(cJSON *reply, uint32_t features)
{
	cJSON *list = cJSON_AddArrayToObject(reply, "features");
	uint32_t bit;

	for (bit = 0; bit < 32; bit++) {
		const char *name = shunt_feature_name(1u << bit);

		if (features >> bit & 1 && name)
			cJSON_AddItemToArray(list, cJSON_CreateString(name));
	}
}

static void put_set_sizes(cJSON *reply, const struct shunt_policy *policy)
{
	cJSON *list = cJSON_AddArrayToObject(reply, "set_bytes"), *item;
	size_t s;

	for (s = 0; s < policy->sets; s++) {
		item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "name", policy->set[s].name);
		shunt_json_add_u64(item, "bytes", shunt_memory_set(&policy->set[s]));
		cJSON_AddItemToArray(list, item);
	}
}

static void put_memory(cJSON *reply, const struct shunt_policy *policy,
		       const struct shunt_image *image, struct shunt_diags *diags)
{
	const struct shunt_needs needs = {
		.image_bytes = image->bytes,
		.counters = SHUNT_COUNTER_RULES + policy->rules,
	};
	cJSON *object = cJSON_AddObjectToObject(reply, "memory");
	uint64_t available = shunt_memory_available();
	struct shunt_memory memory;

	shunt_memory_reckon(&memory, policy, &needs);
	shunt_json_add_u64(object, "image", memory.image);
	shunt_json_add_u64(object, "counters", memory.counters);
	shunt_json_add_u64(object, "sets", memory.sets);
	shunt_json_add_u64(object, "limits", memory.limits);
	shunt_json_add_u64(object, "rings", memory.rings);
	shunt_json_add_u64(object, "record", memory.record);
	shunt_json_add_u64(object, "total", memory.total);
	if (available && memory.total > available)
		shunt_diag_add(
			diags, true, "",
			"the policy takes %llu bytes of the kernel's memory, and "
			"this machine has %llu left: smaller sets, or a smaller "
			"\"size\" of them, take less",
			(unsigned long long)memory.total,
			(unsigned long long)available);
}

/* Rules that can never decide, with the one that takes their packets. */
static int warn_covered(const struct shunt_policy *policy,
			const struct shunt_image *image, struct shunt_diags *diags)
{
	_free_ uint32_t *by = calloc(policy->rules + 1, sizeof(*by));
	char pointer[64];
	size_t r;

	if (!by || shunt_policy_covers(policy, image, by))
		return -ENOMEM;
	for (r = 0; r < policy->rules; r++) {
		const struct shunt_policy_rule *rule = &policy->rule[r];
		const struct shunt_policy_rule *first;

		if (by[r] == SHUNT_COVER_NONE)
			continue;
		first = &policy->rule[by[r]];
		snprintf(pointer, sizeof(pointer), "/rules/%zu", r);
		shunt_diag_add(
			diags, true, pointer,
			"rule %s is never reached: rule %s, at /rules/%u, matches "
			"%s; move it to the front, or remove it",
			rule->name, first->name, by[r],
			shunt_rule_covers(rule, first) ? "exactly the same packets"
						       : "all of its packets");
	}
	return 0;
}

/* Rules of a consumer that wants to be steered, and that no filter can say. */
static void warn_unsteered(const struct shunt_policy *policy, struct shunt_diags *diags)
{
	struct shunt_ntuple filter[SHUNT_STEER_OF_RULE];
	struct shunt_err why;
	char pointer[64];
	size_t r;

	for (r = 0; r < policy->rules; r++) {
		if (!shunt_steer_wanted(policy, &policy->rule[r]) ||
		    shunt_steer_flows(&policy->rule[r], filter, &why) >= 0)
			continue;
		snprintf(pointer, sizeof(pointer), "/rules/%zu/match", r);
		shunt_diag_add(diags, true, pointer,
			       "%s: its packets are not steered to the queues of "
			       "consumer %s",
			       why.message, policy->consumer[policy->rule[r].arg].name);
	}
}

/* What the policy takes once it is compiled; too much is an error of the whole
 * document. */
static int put_needs(cJSON *reply, const struct shunt_policy *policy,
		     struct shunt_diags *diags)
{
	static const struct shunt_binding unbound;
	struct shunt_compiled compiled;
	struct shunt_err err;
	int ret = shunt_limits_check(policy, &err);

	if (!ret)
		ret = shunt_compile(policy, &unbound, &compiled, &err);
	if (ret) {
		shunt_diag_add(diags, false, "", "%s", err.message);
		return -EINVAL;
	}
	cJSON_AddNumberToObject(reply, "rules", policy->rules);
	cJSON_AddNumberToObject(reply, "sets", policy->sets);
	cJSON_AddNumberToObject(reply, "consumers", policy->consumers);
	cJSON_AddNumberToObject(reply, "image_bytes", compiled.image->bytes);
	cJSON_AddNumberToObject(reply, "classes", compiled.classes);
	cJSON_AddNumberToObject(reply, "words", compiled.words);
	put_features(reply, compiled.image->features);
	put_memory(reply, policy, compiled.image, diags);
	put_set_sizes(reply, policy);
	warn_unsteered(policy, diags);
	ret = warn_covered(policy, compiled.image, diags);
	free(compiled.image);
	return ret;
}

/* --- what hooks cannot do ------------------------------------------------------ */

static void put_hook(cJSON *list, enum shunt_hook hook,
		     const struct shunt_policy *policy)
{
	cJSON *item = cJSON_CreateObject(), *cannot;
	size_t r;

	cJSON_AddStringToObject(item, "hook", shunt_hook_name(hook));
	cannot = cJSON_AddArrayToObject(item, "cannot");
	for (r = 0; r < policy->rules; r++) {
		const struct shunt_policy_rule *rule = &policy->rule[r];
		const struct shunt_policy_consumer *consumer =
			rule->action == SHUNT_VERDICT_CONSUMER
				? &policy->consumer[rule->arg]
				: NULL;
		struct shunt_reply_deed deed = {
			.rule = rule->name,
			.action = rule->action,
			.target = consumer ? consumer->name : rule->target,
			.sockets = consumer && consumer->kind == SHUNT_CONSUMER_XSK,
			.mirror = rule->mirror.to == SHUNT_MIRROR_INTERFACE
					  ? rule->mirror.target
					  : NULL,
			.rewrites = rule->rewrite.bits != 0,
		};
		struct shunt_err why;
		char pointer[64];
		cJSON *one;

		if (!shunt_reply_cannot(&why, hook, &deed))
			continue;
		snprintf(pointer, sizeof(pointer), "/rules/%zu/%s", r,
			 shunt_reply_cannot_key(hook, &deed));
		one = cJSON_CreateObject();
		cJSON_AddStringToObject(one, "pointer", pointer);
		cJSON_AddStringToObject(one, "message", why.message);
		cJSON_AddItemToArray(cannot, one);
	}
	cJSON_AddItemToArray(list, item);
}

static void put_hooks(cJSON *reply, const struct shunt_policy *policy)
{
	cJSON *list = cJSON_AddArrayToObject(reply, "hooks");
	int hook;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		put_hook(list, hook, policy);
}

int shunt_check(const char *path, struct shunt_policy **policy, cJSON **reply,
		struct shunt_err *err)
{
	struct shunt_diags diags = { 0 };
	int ret;

	*policy = NULL;
	*reply = cJSON_CreateObject();
	ret = shunt_policy_read_file(policy, path, &diags);
	cJSON_AddStringToObject(*reply, "schema", "shunt.check/1");
	cJSON_AddStringToObject(*reply, "source", path);
	if (!ret)
		ret = put_needs(*reply, *policy, &diags);
	if (!ret)
		put_hooks(*reply, *policy);
	if (ret) {
		shunt_policy_free(*policy);
		*policy = NULL;
		shunt_fail(err, ret, "%s: %zu error%s", path, diags.errors,
			   diags.errors == 1 ? "" : "s");
	}
	cJSON_AddBoolToObject(*reply, "valid", !ret);
	put_diags(*reply, &diags, false);
	put_diags(*reply, &diags, true);
	shunt_diags_free(&diags);
	return ret;
}
